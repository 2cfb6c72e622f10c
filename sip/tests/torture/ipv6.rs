//! RFC 5118: IPv6 in SIP.

use crate::own::own;
use crate::{Facts, Row, Want};
use sip::value::{Host, Uri, Via};
use sip::{Message, Name, ParseError};
use std::net::IpAddr;

fn row(name: &'static str, section: &'static str, facts: Facts, more: fn(&Message), own: Vec<u8>) -> Row {
    Row { name, section, want: Want::Accept(facts, more), gate: None, own }
}

fn refused(name: &'static str, section: &'static str, own: Vec<u8>) -> Row {
    Row { name, section, want: Want::Answer(ParseError::RequestUri, 400), gate: None, own }
}

fn facts(method: &'static str, cseq: u32) -> Facts {
    Facts { method, cseq, to_tag: false, vias: 1, contacts: 0, body_bytes: 0 }
}

fn target(message: &Message) -> (Host<'_>, Option<u16>) {
    let uri = message.uri().unwrap();
    (uri.host_kind().unwrap(), uri.port)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn session(message: &Message) -> sip::sdp::Session {
    sip::sdp::Session::parse(message.body()).unwrap()
}

/// Address families of the media, in order.
fn families(message: &Message) -> Vec<bool> {
    let session = session(message);
    let media = session.media.iter();
    media.map(|m| session.connection_of(m).and_then(|c| c.ip()).unwrap().is_ipv6()).collect()
}

fn with_body(mut head: Vec<u8>, body: &str) -> Vec<u8> {
    head.extend_from_slice(body.as_bytes());
    head
}

/// A session description of `bytes` with these address lines.
fn described(session_line: &str, audio: &str, video: &str, bytes: usize) -> String {
    let mut text = format!(
        "v=0\r\no=ann 1 1 IN IP4 h.ours.test\r\ns=-\r\n{session_line}t=0 0\r\nm=audio 6000 RTP/AVP 0\r\n{audio}m=video 6024 RTP/AVP 107\r\n{video}a="
    );
    while text.len() + 2 < bytes {
        text.push('x');
    }
    text + "\r\n"
}

#[rustfmt::skip] // a table: one row a message
pub fn rows() -> Vec<Row> {
    vec![
        row("ipv6-good", "4.1", Facts { contacts: 1, ..facts("REGISTER", 98_176) },
            |m| assert_eq!(target(m), (Host::Ip(ip("2001:db8::10")), None)),
            own("REGISTER sip:[2001:db8::10] SIP/2.0", &["CSeq: 98176 REGISTER", "Via: SIP/2.0/UDP [2001:db8::77];branch=z9hG4bKs", "Contact: <sip:ann@[2001:db8::77]>"], 0)),
        refused("ipv6-bad", "4.2", own("REGISTER sip:2001:db8::11 SIP/2.0", &[], 0)),
        row("port-ambiguous", "4.3", Facts { contacts: 1, ..facts("REGISTER", 98_176) },
            |m| assert_eq!(target(m), (Host::Ip(ip("2001:db8::10:5070")), None)),
            own("REGISTER sip:[2001:db8::10:5070] SIP/2.0", &["CSeq: 98176 REGISTER", "Contact: <sip:ann@[2001:db8::77]>"], 0)),
        row("port-unambiguous", "4.4", Facts { contacts: 1, ..facts("REGISTER", 98_176) },
            |m| assert_eq!(target(m), (Host::Ip(ip("2001:db8::10")), Some(5070))),
            own("REGISTER sip:[2001:db8::10]:5070 SIP/2.0", &["CSeq: 98176 REGISTER", "Contact: <sip:ann@[2001:db8::77]>"], 0)),
        row("via-received-param-with-delim", "4.5", Facts { to_tag: true, ..facts("BYE", 321) },
            |m| {
                let via = m.via();
                assert_eq!(via.received(), Some(ip("2001:db8::9:255")));
                assert!(via.has_modern_branch());
            },
            own("BYE sip:[2001:db8::10] SIP/2.0", &["CSeq: 321 BYE", "To: <sip:b@ours.test>;tag=1", "Via: SIP/2.0/UDP [2001:db8::77];received=[2001:db8::9:255];branch=z9hG4bKw"], 0)),
        row("via-received-param-no-delim", "4.5", Facts { contacts: 1, ..facts("OPTIONS", 921) },
            |m| {
                let via = m.via();
                assert_eq!(via.received(), Some(ip("2001:db8::9:255")));
                assert!(via.has_modern_branch());
            },
            own("OPTIONS sip:[2001:db8::10] SIP/2.0", &["CSeq: 921 OPTIONS", "Contact: <sip:ann@[2001:db8::77]>", "Via: SIP/2.0/UDP [2001:db8::77];received=2001:db8::9:255;branch=z9hG4bKn"], 0)),
        row("ipv6-in-sdp", "4.6", Facts { contacts: 1, body_bytes: 241, ..facts("INVITE", 8_612) },
            |m| assert_eq!(families(m), [true, true]),
            with_body(own("INVITE sip:ben@[2001:db8::10] SIP/2.0", &["CSeq: 8612 INVITE", "Contact: <sip:ann@[2001:db8::77]>", "Content-Length: 241"], 0),
                &described("c=IN IP6 2001:db8::77\r\n", "", "", 241))),
        row("mult-ip-in-header", "4.7", Facts { to_tag: true, vias: 3, ..facts("BYE", 89_187) },
            |m| {
                let vias: Vec<_> = m.values(Name::Via).map(|v| Via::parse(v.unwrap()).unwrap()).collect();
                assert_eq!(vias[0].port, Some(6050));
                assert_eq!(Host::parse(vias[1].host), Ok(Host::Ip(ip("192.0.2.1"))));
                assert_eq!(vias[2].received(), Some(ip("192.0.2.200")));
            },
            own("BYE sip:ben@ours.test SIP/2.0", &["CSeq: 89187 BYE", "To: <sip:b@ours.test>;tag=1", "Via: SIP/2.0/UDP [2001:db8::78]:6050;branch=z9hG4bK1", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2, SIP/2.0/TCP [2001:db8::79];branch=z9hG4bK3;received=192.0.2.200"], 0)),
        row("mult-ip-in-sdp", "4.8", Facts { contacts: 1, body_bytes: 181, ..facts("INVITE", 8_912) },
            |m| assert_eq!(families(m), [false, true]),
            with_body(own("INVITE sip:ben@[2001:db8::10] SIP/2.0", &["CSeq: 8912 INVITE", "Contact: <sip:ann@[2001:db8::77]>", "Content-Length: 181"], 0),
                &described("", "c=IN IP4 192.0.2.77\r\n", "c=IN IP6 2001:db8::77\r\n", 181))),
        row("ipv4-mapped-ipv6", "4.9", Facts { vias: 2, contacts: 1, body_bytes: 236, ..facts("INVITE", 612) },
            |m| {
                let contact = Uri::parse(m.contact().unwrap().uri).unwrap();
                let Some(Host::Ip(host)) = contact.host_kind() else { panic!("no address") };
                assert_eq!(host.to_canonical(), ip("192.0.2.2"));
                assert_eq!(families(m), [true, true]);
            },
            with_body(own("INVITE sip:ben@ours.test SIP/2.0", &["CSeq: 612 INVITE", "Contact: <sip:ann@[::ffff:192.0.2.2]>", "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bK1", "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bK2", "Content-Length: 236"], 0),
                &described("c=IN IP6 ::ffff:192.0.2.2\r\n", "", "", 236))),
        row("ipv6-correct-abnf-2-colons", "4.10", facts("OPTIONS", 689),
            |m| assert_eq!(target(m), (Host::Ip(ip("2001:db8::192.0.2.1")), None)),
            own("OPTIONS sip:ben@[2001:db8::192.0.2.1] SIP/2.0", &["CSeq: 689 OPTIONS"], 0)),
        // What the grammar of RFC 3261 makes by mistake is no address, and RFC 5954 has mended the grammar.
        refused("ipv6-bug-abnf-3-colons", "4.10", own("OPTIONS sip:ben@[2001:db8:::192.0.2.1] SIP/2.0", &[], 0)),
    ]
}

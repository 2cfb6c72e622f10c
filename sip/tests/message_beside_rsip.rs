//! On the messages that rsip reads rightly, we read the same.
//!
//! rsip is an oracle within bounds: it takes no folds, compact names, several values a line, IPv6, quoted parameters,
//! foreign schemes or unknown methods, and loses URI headers. Generated messages stay on the side that it knows.

use proptest::prelude::*;
use rsip::prelude::*;
use sip::value::{NameAddr, Scheme, Uri, Via};
use sip::{Message, Method, Name};

const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "INFO",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "UPDATE",
    "PRACK",
    "PUBLISH",
];

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9]{0,10}"
}

fn host() -> impl Strategy<Value = String> {
    let port = prop_oneof![Just(String::new()), (1_u16..).prop_map(|p| format!(":{p}"))];
    let name = prop_oneof![
        "[a-z][a-z0-9]{0,8}\\.(test|example\\.com)",
        (1_u8..255, 0_u8..255, 1_u8..255).prop_map(|(a, b, c)| format!("{a}.{b}.0.{c}")),
    ];
    (name, port).prop_map(|(name, port)| name + &port)
}

fn uri() -> impl Strategy<Value = String> {
    let params = prop_oneof![
        Just(""),
        Just(";transport=tcp"),
        Just(";lr"),
        Just(";user=phone"),
        Just(";transport=udp;lr"),
        Just(";maddr=192.0.2.1"),
    ];
    let user = prop_oneof![Just(String::new()), "[a-z0-9][a-z0-9+_-]{0,11}@", "[a-z0-9]{1,8}:[a-z0-9]{1,8}@"];
    (prop_oneof![Just("sip"), Just("sips")], user, host(), params)
        .prop_map(|(scheme, user, host, params)| format!("{scheme}:{user}{host}{params}"))
}

fn address() -> impl Strategy<Value = String> {
    let display = prop_oneof![Just(String::new()), word().prop_map(|w| w + " "), "\"[A-Za-z0-9 .]{1,16}\" "];
    (display, uri()).prop_map(|(display, uri)| format!("{display}<{uri}>"))
}

prop_compose! {
    fn text()(
        method in 0..METHODS.len(),
        status in proptest::option::of(prop_oneof![Just((200_u16, "OK")), Just((180, "Ringing")), Just((486, "Busy Here"))]),
        target in uri(),
        vias in proptest::collection::vec((prop_oneof![Just("UDP"), Just("TCP"), Just("TLS"), Just("WS")], host(), word(), any::<bool>()), 1..4),
        from in address(),
        from_tag in word(),
        to in address(),
        to_tag in proptest::option::of(word()),
        contact in address(),
        call_id in "[a-z0-9]{1,20}@[a-z0-9.]{1,12}",
        cseq in 0_u32..(1 << 31),
        forwards in 0_u8..=255,
        body in "[ -~]{0,60}",
    ) -> String {
        let method = METHODS[method];
        let mut out = match status {
            Some((code, reason)) => format!("SIP/2.0 {code} {reason}\r\n"),
            None => format!("{method} {target} SIP/2.0\r\n"),
        };
        for (transport, host, branch, rport) in &vias {
            let rport = if *rport { ";rport" } else { "" };
            out += &format!("Via: SIP/2.0/{transport} {host};branch=z9hG4bK{branch}{rport}\r\n");
        }
        let to_tag = to_tag.map_or(String::new(), |t| format!(";tag={t}"));
        out += &format!(
            "From: {from};tag={from_tag}\r\nTo: {to}{to_tag}\r\nContact: {contact}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: {forwards}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        out
    }
}

fn same_uri(ours: &[u8], theirs: &rsip::Uri) {
    let ours = Uri::parse(ours).unwrap();
    let scheme = match theirs.scheme {
        Some(rsip::Scheme::Sips) => Scheme::Sips,
        _ => Scheme::Sip,
    };
    assert_eq!(ours.scheme, scheme);
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
    assert_eq!(text(ours.user).as_deref(), theirs.user());
    let password = theirs.auth.as_ref().and_then(|a| a.password.clone());
    assert_eq!(text(ours.password), password);
    assert_eq!(ours.host_text(), theirs.host().to_string());
    assert_eq!(ours.port, theirs.port().map(|p| *p.value()));
    let transport = theirs.transport().map(|t| t.to_string().to_ascii_lowercase());
    assert_eq!(text(ours.params.value(b"transport")), transport);
    assert_eq!(ours.params.iter().count(), theirs.params.len());
}

fn same_address(ours: NameAddr<'_>, display: Option<&str>, uri: &rsip::Uri, tag: Option<String>) {
    assert_eq!(ours.display_text(), display.unwrap_or_default().trim_matches('"'));
    same_uri(ours.uri, uri);
    assert_eq!(ours.tag().map(|t| String::from_utf8(t.to_vec()).unwrap()), tag);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_rsip_reads_we_read_the_same(text in text()) {
        let theirs = rsip::SipMessage::try_from(text.as_bytes()).unwrap();
        let ours = Message::parse(text).unwrap();
        ours.check().unwrap();
        match &theirs {
            rsip::SipMessage::Request(request) => {
                prop_assert_eq!(ours.method(), &Method::from(request.method));
                prop_assert_eq!(ours.method().to_rsip(), Some(request.method));
                same_uri(ours.request_uri(), &request.uri);
            }
            rsip::SipMessage::Response(response) => {
                let status = ours.status().unwrap();
                prop_assert_eq!(rsip::StatusCode::from(status), response.status_code.clone());
            }
        }
        let from = theirs.from_header().unwrap().typed().unwrap();
        let tag = |tag: Option<&rsip::param::Tag>| tag.map(|t| t.value().to_string());
        same_address(ours.from().unwrap(), from.display_name.as_deref(), &from.uri, tag(from.tag()));
        let to = theirs.to_header().unwrap().typed().unwrap();
        same_address(ours.to().unwrap(), to.display_name.as_deref(), &to.uri, tag(to.tag()));
        let contact = theirs.contact_header().unwrap().typed().unwrap();
        same_address(ours.contact().unwrap(), contact.display_name.as_deref(), &contact.uri, None);
        let cseq = theirs.cseq_header().unwrap().typed().unwrap();
        prop_assert_eq!((ours.cseq(), ours.method().clone()), (cseq.seq, Method::from(cseq.method)));
        prop_assert_eq!(ours.call_id(), theirs.call_id_header().unwrap().value().as_bytes());
        let forwards = theirs.max_forwards_header().unwrap().num().unwrap();
        prop_assert_eq!(ours.number(Name::MaxForwards, 255).unwrap(), Some(u64::from(forwards)));
        prop_assert_eq!(ours.body(), &theirs.body()[..]);
        prop_assert_eq!(ours.headers().count(), theirs.headers().iter().count());
        let their_vias = theirs.headers().iter().filter_map(|h| match h {
            rsip::Header::Via(via) => Some(via.clone().typed().unwrap()),
            _ => None,
        });
        let our_vias: Vec<Via<'_>> = ours.values(Name::Via).map(|v| Via::parse(v.unwrap()).unwrap()).collect();
        for (ours, theirs) in our_vias.iter().zip(their_vias) {
            prop_assert_eq!(String::from_utf8_lossy(ours.transport), theirs.transport.to_string());
            prop_assert_eq!(String::from_utf8_lossy(ours.host), theirs.uri.host().to_string());
            prop_assert_eq!(ours.port, theirs.uri.port().map(|p| *p.value()));
            let branch = theirs.branch().map(|b| b.value().to_string());
            prop_assert_eq!(ours.branch().map(|b| String::from_utf8_lossy(b).into_owned()), branch);
            prop_assert_eq!(ours.params.iter().count(), theirs.params.len());
        }
    }
}

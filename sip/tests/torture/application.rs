//! RFC 4475 sections 3.3 and 3.4: well-formed; what becomes of them the application decides by the proven fact.

use crate::own::own;
use crate::{Facts, Row, Want};
use sip::value::{NameAddr, Scheme, Uri};
use sip::{Message, Name};

const INVITE: &str = "INVITE sip:ben@ours.test SIP/2.0";
const REGISTER: &str = "REGISTER sip:ours.test SIP/2.0";

fn row(
    name: &'static str,
    section: &'static str,
    facts: Facts,
    gate: Option<u16>,
    more: fn(&Message),
    own: Vec<u8>,
) -> Row {
    Row { name, section, want: Want::Accept(facts, more), gate, own }
}

fn facts(method: &'static str, cseq: u32) -> Facts {
    Facts { method, cseq, to_tag: false, vias: 1, contacts: 0, body_bytes: 0 }
}

fn contact_uri<'a>(message: &'a Message) -> (NameAddr<'a>, Uri<'a>) {
    let contact = message.contact().unwrap();
    (contact, Uri::parse(contact.uri).unwrap())
}

#[rustfmt::skip] // a table: one row a message
pub fn rows() -> Vec<Row> {
    vec![
        row("unkscm", "3.3.2", facts("OPTIONS", 3_923_423), Some(416),
            |m| assert!(matches!(m.uri().unwrap().scheme, Scheme::Other(_))),
            own("OPTIONS unheardOf:something SIP/2.0", &["CSeq: 3923423 OPTIONS"], 0)),
        row("novelsc", "3.3.3", facts("OPTIONS", 3_923_423), Some(416),
            |m| assert_eq!(m.uri().unwrap().scheme, Scheme::Other(b"soap.beep")),
            own("OPTIONS soap.beep://192.0.2.7:3002 SIP/2.0", &["CSeq: 3923423 OPTIONS"], 0)),
        row("unksm2", "3.3.4", Facts { contacts: 1, ..facts("REGISTER", 234_902) }, Some(400),
            |m| {
                // The registrar keeps addresses of record of SIP only.
                assert!(matches!(Uri::parse(m.to().unwrap().uri).unwrap().scheme, Scheme::Other(_)));
                assert_eq!(contact_uri(m).1.scheme, Scheme::Other(b"name"));
            },
            own(REGISTER, &["CSeq: 234902 REGISTER", "To: isbn:12345", "From: <http://ours.test>;tag=3", "Contact: <name:Ben_Roe>"], 0)),
        row("bext01", "3.3.5", facts("OPTIONS", 8), Some(420),
            |m| {
                assert!(m.lists(Name::Require, "NothingSupportsThisEither"));
                assert_eq!(m.values(Name::ProxyRequire).count(), 2);
            },
            own("OPTIONS sip:ben@ours.test SIP/2.0", &["Require: a, nothingSupportsThisEither", "Proxy-Require: b, c"], 0)),
        row("invut", "3.3.6", Facts { contacts: 1, body_bytes: 40, ..facts("INVITE", 235_448) }, Some(415),
            |m| assert_eq!(m.content_type(), "application/unknownformat"),
            own(INVITE, &["CSeq: 235448 INVITE", "Contact: <sip:a@h.ours.test>", "Content-Type: Application/UnknownFormat"], 40)),
        row("regaut01", "3.3.7", Facts { ..facts("REGISTER", 9_338) }, Some(401),
            |m| assert!(!m.value(Name::Authorization).unwrap().starts_with(b"Digest ")),
            own(REGISTER, &["CSeq: 9338 REGISTER", "Authorization: Rumour opaque=x"], 0)),
        row("zeromf", "3.3.11", facts("OPTIONS", 39_234_321), None,
            // No hop is left to go, and none is needed: the request has arrived.
            |m| assert_eq!(m.number(Name::MaxForwards, 255), Ok(Some(0))),
            own("OPTIONS sip:ben@ours.test SIP/2.0", &["CSeq: 39234321 OPTIONS", "Max-Forwards: 0"], 0)),
        row("cparam01", "3.3.12", Facts { contacts: 1, ..facts("REGISTER", 2) }, None,
            |m| {
                let (contact, uri) = contact_uri(m);
                assert!(contact.params.has(b"unknownparam") && !uri.params.has(b"unknownparam"));
            },
            own(REGISTER, &["CSeq: 2 REGISTER", "Contact: sip:+1555@gw.ours.test;unknownparam"], 0)),
        row("cparam02", "3.3.13", Facts { contacts: 1, ..facts("REGISTER", 3) }, None,
            |m| {
                let (contact, uri) = contact_uri(m);
                assert!(!contact.params.has(b"unknownparam") && uri.params.has(b"unknownparam"));
            },
            own(REGISTER, &["CSeq: 3 REGISTER", "Contact: <sip:+1555@gw.ours.test;unknownparam>"], 0)),
        row("regescrt", "3.3.14", Facts { contacts: 1, ..facts("REGISTER", 14_398_234) }, None,
            |m| assert!(contact_uri(m).1.headers.starts_with(b"Route=%3Csip:")),
            own(REGISTER, &["CSeq: 14398234 REGISTER", "M: <sip:ben@ours.test?Route=%3Csip:p.ours.test%3E>"], 0)),
        row("sdp01", "3.3.15", Facts { contacts: 1, body_bytes: 150, ..facts("INVITE", 8) }, Some(406),
            |m| assert!(!m.lists(Name::Accept, "application/sdp") && m.value(Name::Accept).is_some()),
            own(INVITE, &["Accept: text/unheardOf", "Contact: <sip:a@h.ours.test>"], 150)),
        row("inv2543", "3.4.1", Facts { body_bytes: 105, ..facts("INVITE", 56) }, None,
            |m| {
                assert_eq!((m.from_tag(), m.branch()), (&b""[..], &b""[..]));
                assert_eq!(m.value(Name::MaxForwards), None);
                assert_eq!(m.value(Name::ContentLength), None);
            },
            b"INVITE sip:ben@ours.test SIP/2.0\r\nVia: SIP/2.0/UDP gw.ours.test\r\nFrom: <sip:+1555@ours.test;user=phone>\r\nRecord-Route: <sip:ben@ours.test;maddr=p.ours.test>\r\nTo: sip:+1666@ours.test;user=phone\r\nCall-ID: 25@ours.test\r\nCSeq: 56 INVITE\r\n\r\n"
                .iter().copied().chain(crate::own::session(105).into_bytes()).collect()),
    ]
}

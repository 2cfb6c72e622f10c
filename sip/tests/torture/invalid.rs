//! RFC 4475 sections 3.1.2 and 3.3: broken in a way that a parser must see.

use crate::own::own;
use crate::{Facts, Row, Want};
use sip::value::Via;
use sip::{Name, ParseError};

fn answer(name: &'static str, section: &'static str, kind: ParseError, status: u16, own: Vec<u8>) -> Row {
    Row { name, section, want: Want::Answer(kind, status), gate: None, own }
}

fn silence(name: &'static str, section: &'static str, kind: ParseError, own: Vec<u8>) -> Row {
    Row { name, section, want: Want::Silence(kind), gate: None, own }
}

const INVITE: &str = "INVITE sip:ben@ours.test SIP/2.0";
const OPTIONS: &str = "OPTIONS sip:ben@ours.test SIP/2.0";
const REGISTER: &str = "REGISTER sip:ours.test SIP/2.0";

#[rustfmt::skip] // a table: one row a message
pub fn rows() -> Vec<Row> {
    use ParseError::{CSeqMethod, Header, Length, Missing, Repeated, RequestUri, StartLine, Version};
    vec![
        answer("badinv01", "3.1.2.1", Header(Name::Via), 400, own(INVITE, &["Via: SIP/2.0/UDP 192.0.2.77;;,;,,", "Contact: <sip:ann@ours.test>;;;;"], 152)),
        answer("clerr", "3.1.2.2", Length, 400, own(INVITE, &["Content-Length: 9999"], 150)),
        answer("ncl", "3.1.2.3", Header(Name::ContentLength), 400, own(INVITE, &["Content-Length: -999"], 150)),
        answer("scalar02", "3.1.2.4", Header(Name::CSeq), 400, own(REGISTER, &["CSeq: 36893488147419103232 REGISTER", "Max-Forwards: 300", "Expires: 100000000000000000000", "Contact: <sip:ben@pc7.ours.test>;expires=280297596632815"], 0)),
        silence("scalarlg", "3.1.2.5", Header(Name::CSeq), own("SIP/2.0 503 No", &["CSeq: 9292394834772304023312 OPTIONS", "Retry-After: 949302838503028349304023988", "Warning: 1812 here \"No\""], 0)),
        answer("quotbal", "3.1.2.6", Header(Name::To), 400, own(INVITE, &["To: \"Mr. Ben <sip:ben@ours.test>"], 152)),
        answer("ltgtruri", "3.1.2.7", RequestUri, 400, own("INVITE <sip:ben@ours.test> SIP/2.0", &[], 159)),
        answer("lwsruri", "3.1.2.8", StartLine, 400, own("INVITE sip:ben@ours.test; lr SIP/2.0", &[], 159)),
        answer("lwsstart", "3.1.2.9", StartLine, 400, own("INVITE  sip:ben@ours.test  SIP/2.0", &[], 150)),
        answer("trws", "3.1.2.10", StartLine, 400, own("OPTIONS sip:ben@ours.test SIP/2.0  ", &["CSeq: 8 OPTIONS"], 0)),
        answer("escruri", "3.1.2.11", RequestUri, 400, own("INVITE sip:ben@ours.test?Route=%3Csip:ours.test%3E SIP/2.0", &[], 150)),
        Row {
            // The switch reads no Date, and who does not may let it pass.
            name: "baddate",
            section: "3.1.2.12",
            want: Want::Accept(
                Facts { method: "INVITE", cseq: 1_392_934, to_tag: false, vias: 1, contacts: 1, body_bytes: 150 },
                |m| assert!(m.value(Name::Date).unwrap().ends_with(b" EST")),
            ),
            gate: None,
            own: own(INVITE, &["CSeq: 1392934 INVITE", "Date: Mon, 01 Feb 2010 11:00:00 EST", "Contact: <sip:ann@pc7.ours.test>"], 150),
        },
        answer("regbadct", "3.1.2.13", Header(Name::Contact), 400, own(REGISTER, &["Contact: sip:ben@ours.test?Route=%3Csip:p.ours.test%3E"], 0)),
        answer("badaspec", "3.1.2.14", Header(Name::To), 400, own(OPTIONS, &["To: \"Ben\" < sip:ben@ours.test >"], 0)),
        answer("baddn", "3.1.2.15", Header(Name::From), 400, own(OPTIONS, &["From: Lee, Ann <sip:ann@ours.test>;tag=4", "To: Roe, Ben <sip:ben@ours.test>"], 0)),
        answer("badvers", "3.1.2.16", Version, 505, own("OPTIONS sip:ben@ours.test SIP/7.0", &["Via: SIP/7.0/UDP pc7.ours.test;branch=z9hG4bKq"], 0)),
        answer("mismatch01", "3.1.2.17", CSeqMethod, 400, own(OPTIONS, &["CSeq: 8 INVITE"], 0)),
        answer("mismatch02", "3.1.2.18", CSeqMethod, 400, own("NOVEL sip:ben@ours.test SIP/2.0", &["CSeq: 8 INVITE"], 138)),
        silence("bigcode", "3.1.2.19", StartLine, own("SIP/2.0 4294967301 over", &["CSeq: 8 INVITE"], 0)),
        Row {
            name: "badbranch",
            section: "3.2.1",
            want: Want::Accept(
                Facts { method: "OPTIONS", cseq: 8, to_tag: false, vias: 1, contacts: 0, body_bytes: 0 },
                // A cookie alone names nothing: matched as RFC 2543 did.
                |m| assert!(!m.via().has_modern_branch()),
            ),
            gate: None,
            own: own(OPTIONS, &["Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK"], 0),
        },
        answer("insuf", "3.3.1", Missing(Name::From), 400, b"INVITE sip:ben@ours.test SIP/2.0\r\nCSeq: 1 INVITE\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKi\r\nl: 0\r\n\r\n".to_vec()),
        answer("multi01", "3.3.8", Repeated(Name::CSeq), 400, b"INVITE sip:ben@ours.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKm\r\nCSeq: 5 INVITE\r\nCall-ID: 1\r\nCSeq: 59 INVITE\r\nCall-ID: 2\r\nFrom: sip:a@ours.test;tag=1\r\nTo: sip:b@ours.test\r\nTo: sip:c@ours.test\r\nFrom: sip:d@ours.test;tag=2\r\nl: 0\r\n\r\n".to_vec()),
        answer("mcl01", "3.3.9", Repeated(Name::ContentLength), 400, own(OPTIONS, &["Content-Length: 13", "Content-Length: 5"], 150)),
        Row {
            // The second Via says that it went elsewhere; the transaction layer finds no transaction of its own in it.
            name: "bcast",
            section: "3.3.10",
            want: Want::Accept(
                Facts { method: "INVITE", cseq: 35, to_tag: true, vias: 2, contacts: 1, body_bytes: 154 },
                |m| {
                    let second = m.values(Name::Via).nth(1).unwrap().unwrap();
                    assert_eq!(Via::parse(second).unwrap().host, b"255.255.255.255");
                },
            ),
            gate: None,
            own: own("SIP/2.0 200 OK", &["To: <sip:b@ours.test>;tag=t", "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2", "CSeq: 35 INVITE", "Contact: <sip:b@h.ours.test>"], 154),
        },
    ]
}

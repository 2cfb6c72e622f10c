//! RFC 4475 section 3.1.1: unusual and right.

use crate::own::{own, session};
use crate::{Facts, Row, Want};
use sip::message::Message;
use sip::value::{NameAddr, Via};
use sip::{Method, Name, Status};

fn row(name: &'static str, section: &'static str, facts: Facts, more: fn(&Message), own: Vec<u8>) -> Row {
    Row { name, section, want: Want::Accept(facts, more), gate: None, own }
}

fn facts(method: &'static str, cseq: u32) -> Facts {
    Facts { method, cseq, to_tag: false, vias: 1, contacts: 0, body_bytes: 0 }
}

pub fn rows() -> Vec<Row> {
    vec![
        wsinv(),
        intmeth(),
        row(
            "esc01",
            "3.1.1.3",
            Facts { contacts: 1, body_bytes: 150, ..facts("INVITE", 234_234) },
            |m| {
                // An escaped user is one user, whatever it looks like when undone.
                assert_eq!(m.uri().unwrap().user_text().unwrap(), "sips:user@example.com");
                let contact = m.values(Name::Contact).next().unwrap().unwrap();
                let uri = NameAddr::parse(contact).unwrap().uri;
                assert_eq!(sip::value::Uri::parse(uri).unwrap().user_text().unwrap(), "caller");
            },
            own(
                "INVITE sip:sips%3Auser%40example.com@ours.test SIP/2.0",
                &["To: sip:%62en@ours.test", "CSeq: 234234 INVITE", "m:", "\t<sip:c%61ller@pc7.ours.test;%78=%25>"],
                150,
            ),
        ),
        row(
            "escnull",
            "3.1.1.4",
            Facts { contacts: 2, ..facts("REGISTER", 14_398_234) },
            |m| {
                let to = m.to().unwrap();
                let user = sip::value::Uri::parse(to.uri).unwrap().user_text().unwrap();
                assert!(user.contains('\0') && user.len() > 1, "the null does not end it");
            },
            own(
                "REGISTER sip:ours.test SIP/2.0",
                &[
                    "To: sip:be%00n@ours.test",
                    "CSeq: 14398234 REGISTER",
                    "Contact: <sip:%00@pc7.ours.test>",
                    "Contact: <sip:%00%00@pc7.ours.test>",
                ],
                0,
            ),
        ),
        Row {
            // A method is not unescaped: this one is nobody's.
            gate: Some(501),
            ..row(
                "esc02",
                "3.1.1.5",
                Facts { contacts: 2, ..facts("RE%47IST%45R", 29_344) },
                |m| {
                    assert!(matches!(m.method(), Method::Other(_)));
                    assert_eq!(m.to().unwrap().display_text(), "%Z%45");
                },
                own(
                    "RE%47IST%45R sip:ours.test SIP/2.0",
                    &[
                        "To: \"%Z%45\" <sip:ben@ours.test>",
                        "CSeq: 29344 RE%47IST%45R",
                        "Contact: <sip:one@pc7.ours.test>",
                        "C%6Fntact: <sip:none@pc7.ours.test>",
                        "Contact: <sip:two@pc7.ours.test>",
                    ],
                    0,
                ),
            )
        },
        row(
            "lwsdisp",
            "3.1.1.6",
            facts("OPTIONS", 60),
            |m| {
                let from = m.from().unwrap();
                assert_eq!(from.display_text(), "caller");
                assert!(from.tag().is_some());
            },
            own("OPTIONS sip:ben@ours.test SIP/2.0", &["From: caller<sip:ann@ours.test>;tag=1", "CSeq: 60 OPTIONS"], 0),
        ),
        longreq(),
        dblreq(),
        row(
            "semiuri",
            "3.1.1.9",
            facts("OPTIONS", 8),
            |m| {
                let uri = m.uri().unwrap();
                assert_eq!(uri.user, Some(&b"user;par=u%40example.net"[..]));
                assert!(uri.params.0.is_empty());
            },
            own("OPTIONS sip:user;par=u%40example.net@ours.test SIP/2.0", &["Accept: application/sdp,", "  a/b"], 0),
        ),
        row(
            "transports",
            "3.1.1.10",
            Facts { vias: 5, ..facts("OPTIONS", 60) },
            |m| {
                let transports: Vec<_> =
                    m.values(Name::Via).map(|v| Via::parse(v.unwrap()).unwrap().transport).collect();
                let mut known = transports.iter().filter(|t| sip::Protocol::parse(t).is_some());
                assert_eq!(known.by_ref().count(), 3);
            },
            own(
                "OPTIONS sip:ben@ours.test SIP/2.0",
                &[
                    "CSeq: 60 OPTIONS",
                    "Via: SIP/2.0/UDP a.ours.test;branch=z9hG4bK1",
                    "Via: SIP/2.0/SCTP b.ours.test;branch=z9hG4bK2",
                    "Via: SIP/2.0/TLS c.ours.test;branch=z9hG4bK3",
                    "Via: SIP/2.0/PIGEON d.ours.test;branch=z9hG4bK4",
                    "Via: SIP/2.0/TCP e.ours.test;branch=z9hG4bK5",
                ],
                0,
            ),
        ),
        mpart(),
        unreason(),
        row(
            "noreason",
            "3.1.1.13",
            Facts { to_tag: true, contacts: 1, ..facts("INVITE", 35) },
            |m| {
                assert_eq!(m.status(), Some(Status::TRYING));
                assert_eq!(m.reason(), "");
            },
            own(
                "SIP/2.0 100 ",
                &["To: <sip:ben@ours.test>;tag=b", "CSeq: 35 INVITE", "Contact: <sip:ben@h.ours.test>"],
                0,
            ),
        ),
    ]
}

fn wsinv() -> Row {
    let text = "INVITE sip:ben@ours.test;odd SIP/2.0\r\n\
        TO :\r\n\tsip:ben@ours.test ;   tag    = b1\r\n\
        FROM   : \"A \\\\\\\"\"       <sip:ann@ours.test>\r\n  ;\r\n  tag = 98asjd8\r\n\
        mAX-fORWARDS: 0068\r\ncALL-id : w1@ours.test\r\nContent-LENGTH   : 150\r\ncseq: 0009\r\n  INVITE\r\n\
        Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.9;branch=old\r\ns :\r\n\
        Odd:   one\r\n two\r\nOdder: ;;,,;;,;\r\nContent-Type: application/sdp\r\n\
        v:  SIP  / 2.0  / TCP     a.ours.test   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.0.2.11   ; branch=\r\n z9hG4bK30239\r\n\
        m:\"Q \\\"\\\"\" <sip:ann@ours.test> ; x =\r\n      y ;\r\n  z ; q = 0.33\r\n\r\n";
    row(
        "wsinv",
        "3.1.1.1",
        Facts { to_tag: true, vias: 3, contacts: 1, body_bytes: 150, ..facts("INVITE", 9) },
        |m| {
            assert_eq!(m.number(Name::MaxForwards, 255), Ok(Some(68)));
            assert_eq!(m.from_tag(), b"98asjd8");
            assert_eq!(m.value(Name::Subject), Some(&b""[..]));
            assert!(!m.via().has_modern_branch());
            let vias: Vec<_> = m.values(Name::Via).map(|v| Via::parse(v.unwrap()).unwrap()).collect();
            assert_eq!(vias[0].transport, b"UDP");
            assert_eq!(vias[1].branch(), Some(&b"z9hG4bK9ikj8"[..]));
            assert_eq!(vias[2].branch(), Some(&b"z9hG4bK30239"[..]));
            assert_eq!(m.contact().unwrap().params.value(b"q"), Some(&b"0.33"[..]));
            assert!(m.headers().any(|h| h.name == Name::Other && h.value == b";;,,;;,;"));
            assert!(m.headers().all(|h| !h.unfolded().contains(&b'\n')));
        },
        [text.as_bytes(), session(150).as_bytes()].concat(),
    )
}

fn intmeth() -> Row {
    let text = "!interesting-Method0123456789_*+`.%indeed'~ sip:o_d.U~(x!)&y+it$/z?,/;;*:&h=1,w!*pas$wo~d_t.(n'-i)@ours.test SIP/2.0\r\n\
        Via: SIP/2.0/TCP h.ours.test;branch=z9hG4bK-.!%66*_+`'~\r\n\
        To: \"B:\\\u{7} N:\\\0 D:\\\u{7f}\" <sip:o_d.U~(x!)&y+it$/z?,/;;*@ours.test>\r\n\
        From: t1~` t2'+_ t3*%!.- <sip:ann@ours.test>;p''~+*_!.-%=\"\u{440}\u{430}\";tag=_token~1'+`*%!-.\r\n\
        Call-ID: i.w%Z-!.*_+'@w`~)(><:\\/\"][?}{\r\n\
        CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\nMax-Forwards: 255\r\n\
        x-.!%*+_`'~:\u{feff}\u{5927}\r\nContent-Length: 0\r\n\r\n";
    Row {
        gate: Some(501),
        ..row(
            "intmeth",
            "3.1.1.2",
            facts("!interesting-Method0123456789_*+`.%indeed'~", 139_122_385),
            |m| {
                assert!(m.uri().unwrap().user.unwrap().ends_with(b"/;;*"), "the password is apart");
                assert!(m.to().unwrap().display_text().contains('\0'));
                assert_eq!(m.from_tag(), b"_token~1'+`*%!-.");
                assert_eq!(m.number(Name::MaxForwards, 255), Ok(Some(255)));
                assert!(m.call_id().ends_with(b"\"][?}{"));
            },
            text.as_bytes().to_vec(),
        )
    }
}

fn longreq() -> Row {
    let mut lines: Vec<String> = (0..33).map(|i| format!("vIa  : SIP/2.0/TCP h{i}.ours.test")).collect();
    lines.push(format!("v: SIP/2.0/TCP last.ours.test;branch={}", "long".repeat(200)));
    lines.push(format!("F: sip:{}@ours.test;tag={}", "ann".repeat(90), "12982".repeat(70)));
    lines.push(format!("{}-Name: {}", "Unknown-Long".repeat(30), "value; ".repeat(50)));
    lines.push("CSeq: 3882340 INVITE".to_owned());
    lines.push("Contact: <sip:ann@pc7.ours.test>".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    row(
        "longreq",
        "3.1.1.7",
        Facts { vias: 34, contacts: 1, body_bytes: 150, ..facts("INVITE", 3_882_340) },
        |m| assert!(m.from_tag().len() > 150),
        own("INVITE sip:ben@ours.test SIP/2.0", &lines, 150),
    )
}

fn dblreq() -> Row {
    let first = own("REGISTER sip:ours.test SIP/2.0", &["I: 5512", "Contact: sip:ben@pc7.ours.test"], 0);
    let second = own("INVITE sip:joe@ours.test SIP/2.0", &[], 150);
    row(
        "dblreq",
        "3.1.1.8",
        Facts { contacts: 1, ..facts("REGISTER", 8) },
        |m| {
            // What follows in a datagram is nothing; in a stream it is the next message.
            let frame = sip::message::frame(m.raw()).unwrap();
            let next = Message::parse(m.raw().slice(frame.skip + frame.len..)).unwrap();
            assert_eq!((next.method(), next.body().len()), (&Method::Invite, 150));
        },
        [first, b"\r\n".to_vec(), second].concat(),
    )
}

fn mpart() -> Row {
    let mut body = b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHi\r\n--7a9cbec02ceef655\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    let tail = b"\r\n--7a9cbec02ceef655--";
    // All byte values, NUL, CR and LF among them.
    body.extend((0_u8..=255).cycle().take(553 - body.len() - tail.len()));
    body.extend_from_slice(tail);
    let mut raw = own(
        "MESSAGE sip:ben@ours.test SIP/2.0",
        &[
            "CSeq: 1 MESSAGE",
            "Contact: <sip:ann@pc7.ours.test>",
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",
            "Content-Length: 553",
        ],
        0,
    );
    raw.extend_from_slice(&body);
    row(
        "mpart01",
        "3.1.1.11",
        Facts { contacts: 1, body_bytes: 553, ..facts("MESSAGE", 1) },
        |m| {
            let parts: Vec<_> = m.parts().collect::<Result<_, _>>().unwrap();
            let types: Vec<_> = parts.iter().map(|p| p.content_type()).collect();
            assert_eq!(types, ["text/plain", "application/octet-stream"]);
            assert!(parts[1].body.contains(&0) && parts[1].body.len() > 300);
        },
        raw,
    )
}

fn unreason() -> Row {
    let phrase = "= 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}";
    row(
        "unreason",
        "3.1.1.12",
        Facts { to_tag: true, contacts: 1, body_bytes: 154, ..facts("INVITE", 35) },
        |m| {
            assert_eq!(m.status(), Some(Status::OK));
            assert!(m.reason().starts_with("= 2**3 * 5**2 \u{43d}\u{43e}"));
        },
        own(
            &format!("SIP/2.0 200 {phrase}"),
            &["To: <sip:ben@ours.test>;tag=b", "CSeq: 35 INVITE", "Contact: <sip:ben@h.ours.test>"],
            154,
        ),
    )
}

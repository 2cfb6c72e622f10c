//! Header values, each by the examples and the traps of its RFC.

use sip::Message;
use sip::message::{PARTS_MAX, Parts};
use sip::value::{Malformed, MediaRange, Q, Reason, RetryAfter, Uri, Via, Warning, accepts, escape_user, split_commas};

fn same(a: &str, b: &str) -> bool {
    let (a, b) = (Uri::parse(a.as_bytes()).unwrap(), Uri::parse(b.as_bytes()).unwrap());
    assert_eq!(a.is_equivalent(&b), b.is_equivalent(&a), "one way only");
    assert!(a.is_equivalent(&a));
    a.is_equivalent(&b)
}

#[test]
fn uris_are_equivalent_where_rfc_3261_section_19_1_4_says_so() {
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        // RFC 5954 section 3.2
        ("sip:bob@[2001:db8::9:1]", "sip:bob@[2001:db8::9:01]"),
        ("sip:bob@[2001:db8::9:1]", "sip:bob@[2001:DB8:0:0:0:0:9:1]"),
        ("sip:bob@[::FFFF:192.0.2.4]", "sip:bob@[::ffff:c000:204]"),
        // RFC 3966 section 5
        ("tel:+1-(555)-012.3", "tel:+15550123"),
        ("tel:012;phone-context=+49;ext=7", "tel:012;ext=7;phone-context=+49"),
    ] {
        assert!(same(a, b), "{a} and {b}");
    }
}

#[test]
fn uris_differ_where_rfc_3261_section_19_1_4_says_so() {
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sips:carol@chicago.com"),
        ("sip:chicago.com", "sip:carol@chicago.com"),
        ("sip:carol:one@chicago.com", "sip:carol@chicago.com"),
        ("sip:carol:one@chicago.com", "sip:carol:two@chicago.com"),
        // A reserved character and its escape are two.
        ("sip:a%3Bb@chicago.com", "sip:a;b@chicago.com"),
        ("sip:c;maddr=192.0.2.1", "sip:c"),
        ("sip:c?a=1&a=1&b=2", "sip:c?a=1&b=2&b=2&b=2"),
        ("tel:+15550123", "tel:15550123"),
        ("tel:012;phone-context=+49", "tel:012;phone-context=+44"),
        ("tel:+15550123", "tel:+15550123;ext=1"),
        ("urn:a", "urn:b"),
    ] {
        assert!(!same(a, b), "{a} and {b}");
    }
}

#[test]
fn any_text_can_be_a_user_and_none_leaves_the_user_part() {
    for text in ["alice", "+1;x=y", "a@b:c", "\r\nVia: x", "<>\"%41 ", "\u{43d}\u{43e}", "&=+$,;?/-_.!~*'()", "#[]"] {
        let written = format!("sip:{}@h.test;lr", escape_user(text));
        let uri = Uri::parse(written.as_bytes()).unwrap();
        assert_eq!(uri.user_text().as_deref(), Some(text));
        assert_eq!((uri.host, uri.password), (&b"h.test"[..], None));
    }
}

#[test]
fn q_values_are_thousandths_and_nothing_over_one() {
    for (text, thousandths, printed) in [
        ("0", 0, "0"),
        ("1", 1000, "1"),
        ("0.5", 500, "0.5"),
        ("0.", 0, "0"),
        ("1.000", 1000, "1"),
        ("0.007", 7, "0.007"),
    ] {
        let q = Q::parse(text.as_bytes()).unwrap();
        assert_eq!((q.thousandths(), q.to_string().as_str()), (thousandths, printed));
    }
    for bad in ["", "2", "1.001", "0.1234", ".5", "0,5", "-0", "0.a", "00", "1.0.0"] {
        assert_eq!(Q::parse(bad.as_bytes()), Err(Malformed), "{bad}");
    }
}

#[test]
fn a_reason_has_a_protocol_and_perhaps_cause_and_text() {
    let header = b"SIP;cause=200;text=\"Call completed, \\\"elsewhere\\\"\", Q.850 ; cause = 16";
    let reasons: Vec<_> = split_commas(header).map(|v| Reason::parse(v.unwrap()).unwrap()).collect();
    assert!(reasons[0].is("sip") && reasons[1].is("q.850"));
    assert_eq!((reasons[0].cause, reasons[1].cause), (Some(200), Some(16)));
    assert_eq!(reasons[0].text.as_deref(), Some(&b"Call completed, \"elsewhere\""[..]));
    assert_eq!(Reason::parse(b"SIP").unwrap().cause, None);
    for bad in [&b""[..], b";cause=1", b"SIP;cause=70000", b"SIP;cause=a", b"SIP;cause=1;text=\"open", b"S P"] {
        assert_eq!(Reason::parse(bad), Err(Malformed));
    }
}

#[test]
fn a_warning_has_three_parts() {
    let warning = Warning::parse(b"370 devnull:5060 \"Choose a bigger \\\"pipe\\\"\"").unwrap();
    assert_eq!((warning.code, warning.agent), (370, &b"devnull:5060"[..]));
    assert_eq!(warning.text.as_ref(), b"Choose a bigger \"pipe\"");
    for bad in [&b"1812 overture \"In\""[..], b"370 h", b"370 h text", b"370 h \"open", b"370 h \"a\" b", b""] {
        assert_eq!(Warning::parse(bad), Err(Malformed));
    }
}

#[test]
fn retry_after_is_read_past_its_comment() {
    let parse = |text: &str| RetryAfter::parse(text.as_bytes());
    assert_eq!(parse("18000;duration=3600"), Ok(RetryAfter { seconds: 18_000, duration: Some(3600) }));
    assert_eq!(parse("120 (in a (long) meeting \\))"), Ok(RetryAfter { seconds: 120, duration: None }));
    assert_eq!(parse("5(x);duration=7").unwrap().duration, Some(7));
    for bad in ["", "(x)", "5 (x", "5 x", "949302838503028349304023988", "5;duration=x", "5;;"] {
        assert_eq!(parse(bad), Err(Malformed), "{bad}");
    }
}

#[test]
fn the_closest_range_says_how_much_a_media_type_is_wanted() {
    let wanted = |header: &str, media_type: &str| {
        let ranges: Vec<_> = split_commas(header.as_bytes()).map(|v| MediaRange::parse(v.unwrap()).unwrap()).collect();
        accepts(ranges.into_iter(), media_type).thousandths()
    };
    let header = "application/sdp;level=1, application/x;q=0, application/*;q=0.5, */*;q=0.1, text/html ; q = 0.7";
    assert_eq!(wanted(header, "application/sdp"), 1000);
    assert_eq!(wanted(header, "application/x"), 0);
    assert_eq!(wanted(header, "application/isup"), 500);
    assert_eq!(wanted(header, "TEXT/html"), 700);
    assert_eq!(wanted(header, "text/plain"), 100);
    assert_eq!(wanted("text/plain", "application/sdp"), 0);
    for bad in ["", "text", "text/", "/plain", "*/plain", "a b/c", "a/b;q=2"] {
        assert_eq!(MediaRange::parse(bad.as_bytes()), Err(Malformed), "{bad}");
    }
}

#[test]
fn received_and_rport_say_where_a_request_came_from() {
    let via = |params: &str| format!("SIP/2.0/UDP h.test;{params};branch=z9hG4bK1");
    for (params, received, rport) in [
        ("received=192.0.2.1;rport=5070", Some("192.0.2.1"), Some(5070)),
        ("received=2001:db8::9:255;rport", Some("2001:db8::9:255"), None),
        ("received=[2001:db8::9:255];rport=0", Some("2001:db8::9:255"), Some(0)),
        ("received=h.test;rport=65536", None, None),
    ] {
        let text = via(params);
        let via = Via::parse(text.as_bytes()).unwrap();
        assert_eq!(via.received(), received.map(|r| r.parse().unwrap()), "{params}");
        assert_eq!(via.rport(), rport, "{params}");
        assert_eq!(via.branch(), Some(&b"z9hG4bK1"[..]));
    }
}

fn cut<'a>(content_type: &str, body: &'a str) -> Result<Vec<&'a [u8]>, Malformed> {
    Parts::new(content_type.as_bytes(), body.as_bytes())?.map(|p| p.map(|p| p.body)).collect()
}

#[test]
fn a_multipart_body_is_cut_at_its_boundary_only() {
    let body = "preamble --b\r\n--b \t\r\nA: 1\r\n\r\none\r\n--bc\r\n--b\r\n\r\ntwo\r\n\r\n--b\r\n\r\n\r\n--b--\r\nepilogue\r\n--b";
    let parts = cut("Multipart/Mixed; x=\"a;b\" ; boundary=\"b\"", body).unwrap();
    assert_eq!(parts, [&b"one\r\n--bc"[..], b"two\r\n", b""]);
    for (content_type, body) in [
        ("text/plain;boundary=b", "--b\r\n\r\n--b--"),
        ("multipart/mixed", "--b\r\n\r\n--b--"),
        ("multipart/mixed;boundary=\"\"", "--\r\n\r\n----"),
        ("multipart/mixed;boundary=b", ""),
        ("multipart/mixed;boundary=b", "--b\r\nA: 1\r\n\r\nno end"),
        ("multipart/mixed;boundary=b", "--b\r\nA: 1\r\n--b--"),
        ("multipart/mixed;boundary=b", "--b junk\r\n\r\n--b--"),
    ] {
        assert!(cut(content_type, body).is_err(), "{content_type}: {body}");
    }
    let many = format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(PARTS_MAX + 1));
    assert!(cut("multipart/mixed;boundary=b", &many).is_err());
    let most = format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(PARTS_MAX));
    assert_eq!(cut("multipart/mixed;boundary=b", &most).unwrap().len(), PARTS_MAX);
    let long = format!("multipart/mixed;boundary={}", "b".repeat(71));
    assert!(cut(&long, &format!("--{0}\r\n\r\n\r\n--{0}--", "b".repeat(71))).is_err());
}

fn with_body(content_type: &str, body: &str) -> Message {
    Message::parse(format!(
        "INVITE sip:a@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK1\r\nFrom: <sip:a@h.test>;tag=1\r\n\
         To: <sip:a@h.test>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: {content_type}\r\n\r\n{body}"
    ))
    .unwrap()
}

#[test]
fn the_session_description_is_found_wherever_it_stands() {
    let sdp = "application/sdp";
    assert_eq!(with_body("Application/SDP;x=y", "v=0").content(sdp), Some(&b"v=0"[..]));
    let part = |content_type: &str, body: &str| format!("--b\r\nContent-Type: {content_type}\r\n\r\n{body}\r\n");
    let mixed = format!("{}{}--b--", part("application/isup", "\0\u{1}"), part("application/SDP", "v=0"));
    assert_eq!(with_body("multipart/mixed;boundary=b", &mixed).content(sdp), Some(&b"v=0"[..]));
    let inner = "--c\r\n\r\ntext\r\n--c\r\nContent-Type: application/sdp\r\n\r\nv=1\r\n--c--";
    let nested = format!("{}--b--", part("multipart/alternative;boundary=c", inner));
    assert_eq!(with_body("multipart/mixed;boundary=b", &nested).content(sdp), Some(&b"v=1"[..]));
    let coded = "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--";
    assert_eq!(with_body("multipart/mixed;boundary=b", coded).content(sdp), None);
    assert_eq!(with_body("text/plain", "v=0").content(sdp), None);
    assert_eq!(with_body("text/plain", "v=0").parts().count(), 0);
}

//! Session descriptions are read as RFC 8866 says, and what real phones send is read as well.

use std::net::{IpAddr, Ipv4Addr};

use sip::sdp::{
    Attribute, BODY_BYTES_MAX, Connection, Direction, LINE_BYTES_MAX, LINES_MAX, MEDIA_MAX, MediaKind, ParseError,
    Session,
};

const PHONE: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 192.0.2.10\r\ns=call\r\nc=IN IP4 192.0.2.10\r\n\
    t=0 0\r\nm=audio 49170 RTP/AVP 96 8 0 101\r\nb=AS:80\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:30\r\na=maxptime:60\r\n\
    a=rtcp:53020 IN IP4 192.0.2.11\r\na=sendonly\r\nm=video 0 RTP/AVP 31\r\n";

fn session(text: &str) -> Session {
    Session::parse(text.as_bytes()).expect("a description")
}

#[test]
fn a_phones_description_is_read_into_types() {
    let session = session(PHONE);
    assert_eq!((session.origin.session_id, session.origin.version), (2_890_844_526, 2_890_844_527));
    let audio = &session.media[0];
    assert_eq!((audio.kind.clone(), audio.port, audio.is_plain_rtp()), (MediaKind::Audio, 49170, true));
    let opus = audio.rtpmap("96").expect("mapped");
    assert_eq!((opus.encoding.as_str(), opus.clock_hz, opus.channels), ("opus", 48_000, 2));
    assert_eq!(audio.fmtp("96"), Some("useinbandfec=1"));
    assert_eq!(audio.rtpmap("0").expect("static").encoding, "PCMU", "a static type needs no rtpmap");
    assert_eq!(audio.rtpmap("97"), None, "a dynamic type without rtpmap means nothing");
    assert_eq!(audio.ptime_ms(), 30);
    assert_eq!(session.direction_of(audio), Direction::SendOnly);
    assert_eq!(session.rtp_target(audio).map(|a| a.to_string()), Some("192.0.2.10:49170".to_owned()));
    assert_eq!(session.rtcp_target(audio).map(|a| a.to_string()), Some("192.0.2.11:53020".to_owned()));
    assert_eq!(session.direction_of(&session.media[1]), Direction::SendRecv);
}

#[test]
fn what_is_in_grammar_order_is_printed_byte_for_byte() {
    assert_eq!(session(PHONE).to_string(), PHONE);
}

#[test]
fn bare_line_feeds_missing_s_and_t_and_vendor_lines_are_tolerated() {
    let odd =
        session("v=0\no=- 1 1 IN IP4 192.0.2.1\nx=vendor\n\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\ny=more\n");
    assert_eq!(odd.name, "-");
    let printed = odd.to_string();
    assert!(printed.contains("t=0 0\r\nx=vendor\r\n"), "{printed}");
    assert!(printed.ends_with("c=IN IP4 192.0.2.1\r\ny=more\r\n"), "{printed}");
    assert_eq!(session(&printed), odd);
}

#[test]
fn a_session_id_past_64_bits_does_not_cost_the_call() {
    let big = session("v=0\r\no=- 99999999999999999999999 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n");
    assert_eq!(big.origin.session_id, u64::MAX);
}

#[test]
fn ipv6_addresses_and_host_names_are_kept_apart() {
    let v6 =
        session("v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n");
    assert_eq!(v6.rtp_target(&v6.media[0]).map(|a| a.to_string()), Some("[2001:db8::1]:5".to_owned()));
    let name =
        session("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 media.example.com\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n");
    assert_eq!(name.rtp_target(&name.media[0]), None);
    let multicast =
        session("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 224.2.1.1/127\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n");
    assert!(matches!(multicast.connection, Some(Connection::Other { .. })));
}

#[test]
fn the_hold_of_rfc_2543_means_that_nothing_is_received() {
    let held =
        session("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n");
    assert_eq!(held.direction_of(&held.media[0]), Direction::SendOnly);
    assert_eq!(held.connection, Some(Connection::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED))));
}

#[test]
fn ptime_is_kept_within_what_is_honoured() {
    let ptime = |lines: &str| {
        session(&format!("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n{lines}")).media[0]
            .ptime_ms()
    };
    let table = [
        ("", 20),
        ("a=ptime:10\r\n", 10),
        ("a=ptime:5\r\n", 10),
        ("a=ptime:60\r\n", 60),
        ("a=ptime:200\r\n", 60),
        ("a=ptime:20.0\r\n", 20),
        ("a=ptime:40\r\na=maxptime:30\r\n", 30),
        ("a=ptime:0\r\n", 20),
        ("a=ptime:x\r\n", 20),
    ];
    for (lines, wanted) in table {
        assert_eq!(ptime(lines), wanted, "{lines:?}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let base = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
    let table: &[(String, ParseError)] = &[
        (String::new(), ParseError::Missing { letter: 'v' }),
        ("o=- 1 1 IN IP4 h\r\n".into(), ParseError::Version { line: 1 }),
        ("v=1\r\n".into(), ParseError::Version { line: 1 }),
        ("v=0\r\ns=-\r\n".into(), ParseError::Missing { letter: 'o' }),
        (format!("{base}nonsense\r\n"), ParseError::NotALine { line: 5 }),
        (format!("{base}a=x\0y\r\n"), ParseError::NotALine { line: 5 }),
        (format!("{base}a=x\ry\r\n"), ParseError::NotALine { line: 5 }),
    ];
    for (text, error) in table {
        assert_eq!(Session::parse(text.as_bytes()).as_ref(), Err(error), "{text:?}");
    }
    for line in ["m=audio 70000 RTP/AVP 0", "m=audio -1 RTP/AVP 0", "m=audio 5", "c=IN IP5 x", "c=ATM NSAP 1", "a=:x"] {
        let found = Session::parse(format!("{base}{line}\r\n").as_bytes());
        assert!(matches!(found, Err(ParseError::Value { line: 5, .. })), "{line}: {found:?}");
    }
}

#[test]
fn every_size_has_a_limit() {
    let base = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
    let too_large = |text: String| matches!(Session::parse(text.as_bytes()), Err(ParseError::TooLarge { .. }));
    assert!(too_large("x".repeat(BODY_BYTES_MAX + 1)));
    assert!(too_large(format!("{base}a={}\r\n", "x".repeat(LINE_BYTES_MAX))));
    assert!(too_large(format!("{base}{}", "\r\n".repeat(LINES_MAX))));
    assert!(too_large(format!("{base}{}", "m=audio 0 RTP/AVP 0\r\n".repeat(MEDIA_MAX + 1))));
    assert!(too_large(format!("{base}m=audio 5 RTP/AVP{}\r\n", " 0".repeat(65))));
    assert!(!too_large(format!("{base}{}", "m=audio 0 RTP/AVP 0\r\n".repeat(MEDIA_MAX))));
}

#[test]
fn bytes_that_are_not_utf8_do_not_cost_the_call() {
    let mut bytes = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=M\xfcller\r\nt=0 0\r\n".to_vec();
    bytes.extend_from_slice(b"m=audio 5 RTP/AVP 0\r\n");
    let session = Session::parse(&bytes).expect("a description");
    assert_eq!(session.name, "M\u{fffd}ller");
    assert_eq!(session.attributes, Vec::<Attribute>::new());
}

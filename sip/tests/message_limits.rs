//! Every limit holds to the byte: the largest that is allowed is read, one more is refused.

use sip::message::{HEADERS_MAX, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, frame};
use sip::{Message, Name, ParseError};

const HEAD: &str = "OPTIONS sip:a@h.test SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bK1\r\nFrom: <sip:a@h.test>;tag=1\r\n\
    To: <sip:a@h.test>\r\nCall-ID: 1\r\n";
const HEAD_LINES: usize = 4;

/// A message with CSeq, `lines` and a body; its Content-Length stands last.
fn message(lines: &str, body_bytes: usize) -> Vec<u8> {
    let mut out = format!("{HEAD}CSeq: 1 OPTIONS\r\n{lines}Content-Length: {body_bytes:05}\r\n\r\n").into_bytes();
    out.resize(out.len() + body_bytes, b'b');
    out
}

fn parse(raw: Vec<u8>) -> Result<Message, ParseError> {
    let message = Message::parse(raw)?;
    message.check()?;
    Ok(message)
}

fn with(line: &str) -> Result<Message, ParseError> {
    parse(message(&format!("{line}\r\n"), 0))
}

#[test]
fn a_message_of_the_largest_size_is_read_to_its_last_byte_and_a_larger_one_is_not() {
    let room = MESSAGE_BYTES_MAX - message("", 0).len();
    let largest = message("", room);
    assert_eq!(largest.len(), MESSAGE_BYTES_MAX);
    assert_eq!(frame(&largest).unwrap().len, MESSAGE_BYTES_MAX);
    assert_eq!(parse(largest).unwrap().body().len(), room);
    let larger = message("", room + 1);
    assert_eq!(frame(&larger), Err(ParseError::TooLarge));
    assert_eq!(frame(&larger[..200]), Err(ParseError::TooLarge), "known as soon as Content-Length is");
    assert_eq!(parse(larger).unwrap_err(), ParseError::TooLarge);
    assert_eq!(ParseError::TooLarge.status().code(), 513);
}

#[test]
fn a_line_of_the_largest_length_is_read_folded_or_not_and_a_longer_one_is_refused() {
    for fold in ["", "\r\n "] {
        let line = |bytes: usize| {
            let head = format!("Subject: {fold}");
            format!("{head}{}", "s".repeat(bytes - head.len()))
        };
        assert!(with(&line(LINE_BYTES_MAX)).is_ok());
        assert_eq!(with(&line(LINE_BYTES_MAX + 1)).unwrap_err(), ParseError::TooLarge);
    }
    let start = |bytes: usize| {
        let user = "u".repeat(bytes - "OPTIONS sip:@h.test SIP/2.0".len());
        let text = String::from_utf8(message("", 0)).unwrap();
        text.replacen("sip:a@h.test", &format!("sip:{user}@h.test"), 1).into_bytes()
    };
    assert!(parse(start(LINE_BYTES_MAX)).is_ok());
    assert_eq!(parse(start(LINE_BYTES_MAX + 1)).unwrap_err(), ParseError::TooLarge);
}

#[test]
fn a_stream_that_never_ends_its_line_or_its_headers_is_given_up() {
    assert_eq!(frame(&[b'a'; LINE_BYTES_MAX]), Err(ParseError::Incomplete));
    assert_eq!(frame(&[b'a'; LINE_BYTES_MAX + 1]), Err(ParseError::TooLarge));
    let endless = format!("{HEAD}{}", "a: b\r\n".repeat(MESSAGE_BYTES_MAX / 6));
    assert_eq!(frame(endless.as_bytes()), Err(ParseError::TooLarge));
    let folds = format!("{HEAD}a: b\r\n{}", " \r\n".repeat(LINE_BYTES_MAX));
    assert_eq!(frame(folds.as_bytes()), Err(ParseError::TooLarge));
}

#[test]
fn the_most_headers_are_read_and_one_more_is_refused() {
    let more = HEADERS_MAX - HEAD_LINES - 2;
    assert_eq!(parse(message(&"a: b\r\n".repeat(more), 0)).unwrap().headers().count(), HEADERS_MAX);
    assert_eq!(parse(message(&"a: b\r\n".repeat(more + 1), 0)).unwrap_err(), ParseError::TooLarge);
}

#[test]
fn numbers_stay_within_their_bounds() {
    for (line, largest, over) in [
        ("Max-Forwards", "255", "256"),
        ("Expires", "4294967295", "4294967296"),
        ("Min-Expires", "4294967295", "99999999999999999999999999"),
    ] {
        assert!(with(&format!("{line}: {largest}")).is_ok(), "{line}");
        assert!(matches!(with(&format!("{line}: {over}")), Err(ParseError::Header(_))), "{line}");
        for bad in ["", "-1", "+1", "0x1", "1a", "\u{664}"] {
            assert!(matches!(with(&format!("{line}: {bad}")), Err(ParseError::Header(_))), "{line}: {bad}");
        }
    }
    let cseq = |number: &str| Message::parse(format!("{HEAD}CSeq: {number} OPTIONS\r\n\r\n"));
    assert_eq!(cseq("2147483647").unwrap().cseq(), 2_147_483_647);
    assert_eq!(cseq("2147483648").unwrap_err(), ParseError::Header(Name::CSeq));
    assert_eq!(cseq("18446744073709551617").unwrap_err(), ParseError::Header(Name::CSeq));
}

#[test]
fn content_length_is_believed_only_when_it_is_one_number_that_fits() {
    let with_length = |line: &str, body: &str| format!("{HEAD}CSeq: 1 OPTIONS\r\n{line}\r\n{body}");
    for (line, datagram, stream) in [
        ("l: 6\r\n", ParseError::Length, ParseError::Incomplete),
        ("l: 4294967297\r\n", ParseError::Header(Name::ContentLength), ParseError::Length),
        ("l: 5 5\r\n", ParseError::Header(Name::ContentLength), ParseError::Length),
        ("l: 5\r\nContent-Length: 5\r\n", ParseError::Repeated(Name::ContentLength), ParseError::Length),
    ] {
        let raw = with_length(line, "12345");
        assert_eq!(frame(raw.as_bytes()), Err(stream), "{line}");
        assert_eq!(Message::parse(raw).unwrap_err(), datagram, "{line}");
    }
    let none = with_length("", "12345");
    assert_eq!(frame(none.as_bytes()), Err(ParseError::Length));
    assert_eq!(Message::parse(none).unwrap().body(), b"12345");
}

#[test]
fn a_stream_cannot_be_cut_elsewhere_than_its_messages_are_read() {
    // A continuation line that looks like a length, a line of white space that looks like the end, a length in a fold.
    for (lines, body) in [
        ("Subject: x\r\n Content-Length: 2\r\nl: 5\r\n", "12345"),
        ("Subject: x\r\n \r\nl: 5\r\n", "12345"),
        ("Subject: x\r\n\t\r\n y\r\nl: 5\r\n", "12345"),
        ("l:\r\n 5\r\n", "12345"),
    ] {
        let raw = format!("{HEAD}CSeq: 1 OPTIONS\r\n{lines}\r\n{body}");
        assert_eq!(frame(raw.as_bytes()).unwrap().len, raw.len(), "{lines}");
        assert_eq!(Message::parse(raw).unwrap().body(), body.as_bytes());
    }
    for stray in ["a: b\rVia: c", "a: b\r\rl: 5", "a\r: b"] {
        let raw = message(&format!("{stray}\r\n"), 0);
        assert_eq!(frame(&raw), Err(ParseError::HeaderLine), "{stray:?}");
        assert_eq!(Message::parse(raw).unwrap_err(), ParseError::HeaderLine, "{stray:?}");
    }
    let led = format!("{HEAD}CSeq: 1 OPTIONS\r\n\r\n").replacen("\r\nVia", "\r\n Via", 1);
    assert_eq!(Message::parse(led).unwrap_err(), ParseError::HeaderLine, "a start line is never continued");
}

#[test]
fn every_via_value_is_checked_not_only_the_first() {
    for second in ["SIP/2.0/UDP", ", SIP/2.0/UDP h.test", "SIP/2.0/UDP h.test;;", "SIP/2.0/UDP [::::1]"] {
        for separator in [",", "\r\nVia: "] {
            let raw = String::from_utf8(message("", 0)).unwrap();
            let raw = raw.replacen("=z9hG4bK1", &format!("=z9hG4bK1{separator}{second}"), 1);
            assert!(Message::parse(raw.clone()).is_ok(), "{raw}");
            assert_eq!(parse(raw.into_bytes()).unwrap_err(), ParseError::Header(Name::Via), "{second}");
        }
    }
}

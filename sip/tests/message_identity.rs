//! Reading what was written gives what was meant, and writing it again gives the same message.

use proptest::prelude::*;
use sip::message::{Frame, frame};
use sip::{Message, Name, ParseError};

/// A message before it is bytes: values as words, between which a writer may fold.
#[derive(Clone, Debug)]
struct Draft {
    start: String,
    headers: Vec<(String, Vec<Vec<u8>>)>,
    /// Where the words of all values are folded, in turn.
    folds: Vec<&'static str>,
    /// What ends a line.
    line_end: &'static str,
    body: Vec<u8>,
}

impl Draft {
    fn write(&self) -> Vec<u8> {
        let mut folds = self.folds.iter().cycle();
        let mut out = format!("{}{}", self.start, self.line_end).into_bytes();
        for (name, words) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            for word in words {
                out.extend_from_slice(folds.next().map_or(" ", |fold| fold).as_bytes());
                out.extend_from_slice(word);
            }
            out.extend_from_slice(self.line_end.as_bytes());
        }
        let length = format!("l :{}{}", self.body.len(), self.line_end.repeat(2));
        out.extend_from_slice(length.as_bytes());
        out.extend_from_slice(&self.body);
        out
    }
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,12}"
}

/// Bytes that may stand in a quoted string, UTF-8 or not, with escapes.
fn quoted() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0x20_u8..0x7f).prop_filter("bare", |c| !matches!(c, b'"' | b'\\')).prop_map(|c| vec![c]),
        2 => (0x80_u8..=0xff).prop_map(|c| vec![c]),
        1 => (0_u8..0x80).prop_filter("no line end", |c| !matches!(c, b'\r' | b'\n')).prop_map(|c| vec![b'\\', c]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| {
        // Runs of spaces at a fold are one space; a quoted string is one word here, so it keeps its own.
        [b"\"".to_vec(), pieces.concat(), b"\"".to_vec()].concat()
    })
}

fn uri() -> impl Strategy<Value = String> {
    let host = prop_oneof![Just("h.test".to_owned()), Just("192.0.2.1".to_owned()), Just("[2001:db8::1]".to_owned()),];
    let sip = (
        prop_oneof![Just("sip"), Just("SIPS")],
        proptest::option::of("[a-z0-9;?/%._~]{0,6}[a-z0-9]"),
        host,
        proptest::option::of(1_u16..),
        proptest::collection::vec(token(), 0..3),
    )
        .prop_map(|(scheme, user, host, port, params)| {
            let user = user.map_or(String::new(), |u| format!("{u}@"));
            let port = port.map_or(String::new(), |p| format!(":{p}"));
            let params: String = params.iter().map(|p| format!(";{p}=x")).collect();
            format!("{scheme}:{user}{host}{port}{params}")
        });
    prop_oneof![
        4 => sip,
        1 => "tel:\\+[0-9]{3,9};phone-context=x".prop_map(|t| t),
        1 => "[a-z][a-z0-9+.-]{2,8}:[a-z0-9:/]{1,10}",
    ]
}

fn address(tag: Option<&'static str>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let display = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(token().prop_map(String::into_bytes), 1..3),
        quoted().prop_map(|q| vec![q]),
    ];
    (display, uri()).prop_map(move |(mut words, uri)| {
        words.push(format!("<{uri}>").into_bytes());
        if let Some(tag) = tag {
            words.extend([b";".to_vec(), b"tag".to_vec(), b"=".to_vec(), tag.into()]);
        }
        words
    })
}

fn via() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec((token(), token()), 1..4).prop_map(|values| {
        let mut words = Vec::new();
        for (i, (transport, branch)) in values.iter().enumerate() {
            if i > 0 {
                words.push(b",".to_vec());
            }
            let parts = ["SIP", "/", "2.0", "/", transport, "h.test", ";", "branch", "=", branch];
            words.extend(parts.map(|p| p.as_bytes().to_vec()));
        }
        words
    })
}

/// A header that the switch does not interpret, with any bytes in its value.
fn foreign() -> impl Strategy<Value = (String, Vec<Vec<u8>>)> {
    let byte = any::<u8>().prop_filter("no white space", |c| !matches!(c, b'\r' | b'\n' | b' ' | b'\t'));
    let words = proptest::collection::vec(proptest::collection::vec(byte, 1..8), 0..4);
    (token().prop_map(|t| format!("X-{t}")), words)
}

prop_compose! {
    fn draft()(
        method in prop_oneof![Just("INVITE".to_owned()), Just("MESSAGE".to_owned()), token()],
        status in proptest::option::of((100_u16..700, "[ -~\u{e9}\u{4e00}]{0,12}")),
        target in uri(),
        vias in via(),
        more_vias in proptest::option::of(via()),
        from in address(Some("f1")),
        to in address(None),
        contacts in proptest::collection::vec(address(None), 0..3),
        foreign in proptest::collection::vec(foreign(), 0..4),
        number in 0_u32..(1 << 31),
        compact in any::<bool>(),
        folds in proptest::collection::vec(prop_oneof![3 => Just(" "), 1 => Just("\r\n "), 1 => Just(" \r\n\t \r\n ")], 1..9),
        bare_line_feed in any::<bool>(),
        body in proptest::collection::vec(any::<u8>(), 0..80),
        rotate in 0_usize..9,
    ) -> Draft {
        let name = |long: &str, short: &str| if compact { short.to_owned() } else { long.to_owned() };
        let start = match &status {
            Some((code, reason)) => format!("SIP/2.0 {code} {reason}"),
            None => format!("{method} {target} SIP/2.0"),
        };
        let mut headers = vec![
            (name("Via", "V"), vias),
            (name("FROM", "f"), from),
            (name("To ", "t"), to),
            (name("Call-ID", "i "), vec![b"id@h".to_vec()]),
            ("CSeq".to_owned(), vec![number.to_string().into_bytes(), method.clone().into_bytes()]),
        ];
        headers.extend(more_vias.map(|words| ("vIa".to_owned(), words)));
        headers.extend(contacts.into_iter().map(|words| (name("contact", "m"), words)));
        headers.extend(foreign);
        let by = rotate % headers.len();
        headers.rotate_left(by);
        Draft { start, headers, folds, line_end: if bare_line_feed { "\n" } else { "\r\n" }, body }
    }
}

/// Everything that a message says, apart from how it is written.
fn meaning(m: &Message) -> impl PartialEq + std::fmt::Debug + use<> {
    let headers: Vec<_> = m
        .headers()
        .filter(|h| h.name != Name::ContentLength)
        .map(|h| {
            let name = match h.name {
                Name::Other => h.name_bytes.to_vec(),
                known => known.as_str().as_bytes().to_vec(),
            };
            (name, h.unfolded().into_owned())
        })
        .collect();
    let ids = (m.call_id().to_vec(), m.from_tag().to_vec(), m.to_tag().map(<[u8]>::to_vec), m.branch().to_vec());
    let start = (m.is_request(), m.method().clone(), m.request_uri().to_vec(), m.status(), m.reason().into_owned());
    (start, headers, ids, m.cseq(), m.body().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_says_what_was_meant_and_printing_it_changes_nothing(draft in draft()) {
        let raw = draft.write();
        let message = Message::parse(raw).unwrap();
        prop_assert_eq!(message.body(), &draft.body[..]);
        for (header, (name, words)) in message.headers().zip(&draft.headers) {
            prop_assert_eq!(header.name_bytes, name.trim_end().as_bytes());
            prop_assert_eq!(header.unfolded().into_owned(), words.join(&b' '));
        }
        prop_assert_eq!(message.headers().count(), draft.headers.len() + 1);
        message.check().unwrap();
        let printed = message.print();
        let again = Message::parse(printed.clone()).unwrap();
        prop_assert_eq!(meaning(&message), meaning(&again));
        prop_assert_eq!(again.print(), printed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_gives_the_same_message_wherever_it_is_cut(draft in draft(), keep_alives in 0_usize..3) {
        let skip = keep_alives * 2;
        let whole = [b"\r\n".repeat(keep_alives), draft.write()].concat();
        for cut in 0..whole.len() {
            prop_assert_eq!(frame(&whole[..cut]), Err(ParseError::Incomplete), "cut at {}", cut);
        }
        let found = Ok(Frame { skip, len: whole.len() - skip });
        prop_assert_eq!(frame(&whole), found);
        let next = [&whole[..], b"INVITE sip:next"].concat();
        prop_assert_eq!(frame(&next), found);
        let in_stream = Message::parse(whole[skip..].to_vec()).unwrap();
        let in_datagram = Message::parse(whole).unwrap();
        prop_assert_eq!(meaning(&in_stream), meaning(&in_datagram));
    }
}

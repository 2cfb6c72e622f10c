//! The answer to a request that could not be read: what little is legible is given back (RFC 3261 section 8.2.6).

use super::lexer::{HeaderSpan, Lexed, StartSpan};
use super::{Name, ParseError, lexer};
use crate::value::Via;
use crate::value::scan::{is_token, split_at, split_commas, trim};
use memchr::memchr;

/// Makes the response to the malformed request in `raw`, or `None` where silence is right: a response, an ACK, a
/// message whose top Via cannot be read (nobody to answer), or one without the headers that a response must copy.
/// The reason phrase names what is wrong.
pub fn refuse(raw: &[u8], error: ParseError) -> Option<Vec<u8>> {
    if raw
        .get(..4)
        .is_some_and(|s| s.eq_ignore_ascii_case(b"SIP/"))
        || raw.starts_with(b"ACK ")
    {
        return None;
    }
    let status = error.status();
    let mut out = Vec::with_capacity(512);
    let reason = match error {
        ParseError::Version | ParseError::TooLarge => status.reason().to_owned(),
        other => format!("{} ({other})", status.reason()),
    };
    out.extend_from_slice(format!("SIP/2.0 {} {reason}\r\n", status.code()).as_bytes());
    let mut have = 0_u8;
    for (name, value) in legible(raw) {
        let bit = match name {
            Name::Via => 1,
            Name::From => 2,
            Name::To => 4,
            Name::CallId => 8,
            Name::CSeq => 16,
            _ => continue,
        };
        if name == Name::Via && have & 1 == 0 {
            // Nobody to answer when the top Via does not say where to.
            Via::parse(split_commas(value).next()?.ok()?).ok()?;
        } else if name != Name::Via && have & bit != 0 {
            continue;
        }
        have |= bit;
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.iter().filter(|c| !matches!(c, b'\r' | b'\n')));
        out.extend_from_slice(b"\r\n");
    }
    if have & 1 == 0 {
        return None;
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(out)
}

/// Header lines of a message that may be broken elsewhere.
fn legible(raw: &[u8]) -> Vec<(Name, &[u8])> {
    if let Ok(Lexed {
        start: StartSpan::Request { .. },
        headers,
        ..
    }) = lexer::lex(raw)
    {
        return headers
            .iter()
            .map(|h: &HeaderSpan| (h.name, h.value.of(raw)))
            .collect();
    }
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some(end) = memchr(b'\n', rest) {
        let (line, tail) = split_at(rest, end + 1);
        rest = tail;
        if trim(line).is_empty() || out.len() >= super::HEADERS_MAX {
            if out.is_empty() {
                continue;
            }
            break;
        }
        let Some(colon) = memchr(b':', line) else {
            continue;
        };
        let (name, value) = split_at(line, colon);
        if is_token(trim(name)) {
            out.push((Name::from_bytes(trim(name)), trim(split_at(value, 1).1)));
        }
    }
    out
}

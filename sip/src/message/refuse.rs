//! The answer to a request that could not be read: what little is legible is given back (RFC 3261 section 8.2.6).

use super::lexer::{Span, folded_line, line};
use super::{HEADERS_MAX, Name, ParseError};
use crate::value::scan::{is_token, split_at, split_commas, trim, trim_end};
use crate::value::{Params, Via};
use memchr::memchr;

/// Makes the response to the malformed request in `raw`, or `None` where silence is right: a response, an ACK, or a
/// message whose top Via does not say who sent it. The reason phrase names what is wrong. The other headers that a
/// response copies are given back as far as they are there (RFC 4475 section 3.3.1); of a top Via with broken
/// parameters, those before the first broken one (RFC 4475 section 3.1.2.1).
pub fn refuse(raw: &[u8], error: ParseError) -> Option<Vec<u8>> {
    let lead = raw.iter().position(|c| !matches!(c, b'\r' | b'\n')).unwrap_or(raw.len());
    let raw = split_at(raw, lead).1;
    if split_at(raw, 4).0.eq_ignore_ascii_case(b"SIP/") || raw.starts_with(b"ACK ") {
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
        if name != Name::Via && have & bit != 0 {
            continue;
        }
        let value = if bit == 1 && have & 1 == 0 { sane_via(value)? } else { value };
        have |= bit;
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.iter().map(|c| match c {
            b'\r' | b'\n' => b' ',
            other => *other,
        }));
        out.extend_from_slice(b"\r\n");
    }
    if have & 1 == 0 {
        return None;
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(out)
}

/// The line of the top Via as far as it can be read: the whole, or its first value up to the first broken parameter.
fn sane_via(line: &[u8]) -> Option<&[u8]> {
    let readable = |line| {
        let first = split_commas(line).next().and_then(Result::ok);
        first.is_some_and(|value| Via::parse(value).is_ok())
    };
    if readable(line) {
        return Some(line);
    }
    let (head, params) = split_at(line, memchr(b';', line)?);
    Via::parse(head).ok()?;
    let mut sane = head.len();
    for param in Params(params).iter().map_while(Result::ok) {
        let last = param.value.unwrap_or(param.name);
        sane = Span::find(line, last).range().end;
    }
    let via = split_at(line, sane).0;
    readable(via).then_some(via)
}

/// Header lines of a message that may be broken elsewhere: what cannot be read is passed over.
fn legible(raw: &[u8]) -> Vec<(Name, &[u8])> {
    let mut out = Vec::new();
    let mut at = memchr(b'\n', raw).map_or(raw.len(), |end| end + 1);
    while out.len() < HEADERS_MAX && at < raw.len() {
        // The last line of a message that ends before its headers do is still a line.
        let found = folded_line(raw, at).map(|(header, next, _)| (header, next)).or_else(|_| line(raw, at));
        let Ok((header, next)) = found else {
            at += memchr(b'\n', split_at(raw, at).1).map_or(raw.len(), |end| end + 1);
            continue;
        };
        if header.is_empty() {
            break;
        }
        at = next;
        let Some(colon) = memchr(b':', header) else {
            continue;
        };
        let (name, value) = split_at(header, colon);
        let name = trim_end(name);
        if is_token(name) {
            out.push((Name::from_bytes(name), trim(split_at(value, 1).1)));
        }
    }
    out
}

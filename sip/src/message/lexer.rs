//! Received bytes to spans: one pass, no copy, no recursion, every limit checked before anything is stored.

use super::{HEADERS_MAX, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, Name, ParseError};
use crate::value::scan::{find, number, split_at, trim, trim_end};
use crate::value::{Uri, is_token};
use memchr::{memchr, memchr2};
use smallvec::SmallVec;

/// Largest Content-Length that is a number at all; what does not fit the message is refused for that.
const CONTENT_LENGTH_MAX: u64 = 1 << 30;

/// A stretch of the message's bytes. Sixteen bits suffice: a message is at most [`MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The bytes of `raw` under this span.
    pub(crate) fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.range()).unwrap_or_default()
    }

    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// Where `part`, a sub-slice of `raw`, lies in it.
    pub(crate) fn find(raw: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) if usize::from(end) <= raw.len() => Self { start, end },
            _ => Self::default(),
        }
    }

    /// Follows the bytes after `by` more were put in at `at`; a span that ends there takes them in when `grows`.
    pub(crate) fn insert(&mut self, at: usize, by: usize, grows: bool) {
        let (start, end) = (usize::from(self.start), usize::from(self.end));
        let moved = |edge: usize| u16::try_from(edge + by).unwrap_or(u16::MAX);
        if end > at || (grows && end == at && start < at) {
            self.end = moved(end);
        }
        if start >= at {
            self.start = moved(start);
        }
    }

    /// From where another one starts to where this one ends.
    pub(crate) const fn from(self, other: Span) -> Span {
        Span { start: other.start, end: self.end }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// One header line (folded lines joined under one span).
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderSpan {
    pub name: Name,
    pub folded: bool,
    pub name_span: Span,
    pub value: Span,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum StartSpan {
    Request { method: Span, uri: Span },
    Response { code: u16, reason: Span },
}

/// Header lines in order; as many as usual lie in place.
pub(crate) type Headers = SmallVec<[HeaderSpan; 24]>;

/// What the lexer makes of one message.
#[derive(Debug)]
pub(crate) struct Lexed {
    pub start: StartSpan,
    pub headers: Headers,
    pub body: Span,
}

/// How much of a stream the next message takes.
///
/// Leading CRLFs (keep-alives, RFC 5626 section 4.4.1) are counted in `skip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of CR and LF before the message.
    pub skip: usize,
    /// Bytes of the message.
    pub len: usize,
}

/// Finds the next whole message at the head of a stream's bytes (RFC 3261 section 18.3). Lines are cut as
/// [`Message::parse`](super::Message::parse) cuts them, so both always see the same message.
///
/// # Errors
/// [`ParseError::Incomplete`] until the message is all there; [`ParseError::Length`] when Content-Length is missing,
/// malformed or repeated; [`ParseError::TooLarge`] when it can never fit; [`ParseError::HeaderLine`] for a CR that ends
/// no line. After any but the first the stream cannot be read on.
pub fn frame(stream: &[u8]) -> Result<Frame, ParseError> {
    let skip = stream.iter().position(|c| !matches!(c, b'\r' | b'\n')).ok_or(ParseError::Incomplete)?;
    let bytes = split_at(stream, skip).1;
    let head = split_at(bytes, MESSAGE_BYTES_MAX).0;
    let (head_bytes, length) = head_and_length(head).map_err(|error| match error {
        // What is not complete within the largest message will never be.
        ParseError::Incomplete if bytes.len() > MESSAGE_BYTES_MAX => ParseError::TooLarge,
        other => other,
    })?;
    let len = head_bytes + length;
    if len > MESSAGE_BYTES_MAX {
        Err(ParseError::TooLarge)
    } else if len > bytes.len() {
        Err(ParseError::Incomplete)
    } else {
        Ok(Frame { skip, len })
    }
}

/// Bytes up to and with the empty line, and what Content-Length says.
fn head_and_length(bytes: &[u8]) -> Result<(usize, usize), ParseError> {
    let mut at = line(bytes, 0)?.1;
    let mut length = None;
    loop {
        let (header, next, _) = folded_line(bytes, at)?;
        at = next;
        if header.is_empty() {
            let length = length.ok_or(ParseError::Length)?;
            return Ok((at, usize::try_from(length).map_err(|_| ParseError::Length)?));
        }
        let Some(colon) = memchr(b':', header) else {
            continue;
        };
        if Name::from_bytes(trim(split_at(header, colon).0)) == Name::ContentLength {
            let value = number(trim(split_at(header, colon + 1).1), CONTENT_LENGTH_MAX);
            if length.is_some() {
                return Err(ParseError::Length);
            }
            length = Some(value.ok_or(ParseError::Length)?);
        }
    }
}

/// Reads one whole message: a datagram, or the bytes that [`frame`] cut out of a stream.
pub(crate) fn lex(raw: &[u8]) -> Result<Lexed, ParseError> {
    if raw.len() > MESSAGE_BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    let lead = raw.iter().position(|c| !matches!(c, b'\r' | b'\n')).unwrap_or(raw.len());
    let (first, mut at) = line(raw, lead)?;
    let start = start_line(raw, first)?;
    let mut headers: Headers = SmallVec::new();
    let mut seen = 0_u64;
    let mut length = None;
    loop {
        let (header, next, folded) = folded_line(raw, at)?;
        at = next;
        if header.is_empty() {
            break;
        }
        if headers.len() >= HEADERS_MAX {
            return Err(ParseError::TooLarge);
        }
        let colon = find(header, b':').ok_or(ParseError::HeaderLine)?;
        let (name_bytes, value) = split_at(header, colon);
        let name_bytes = trim_end(name_bytes);
        let name = Name::from_bytes(name_bytes);
        if name == Name::Other && !is_token(name_bytes) {
            return Err(ParseError::HeaderLine);
        }
        let value = trim(split_at(value, 1).1);
        if name.single() {
            let bit = 1_u64 << (name as u8);
            if seen & bit != 0 {
                return Err(ParseError::Repeated(name));
            }
            seen |= bit;
        }
        if name == Name::ContentLength {
            let value = number(value, CONTENT_LENGTH_MAX);
            length = Some(value.ok_or(ParseError::Header(name))?);
        }
        headers.push(HeaderSpan {
            name,
            folded,
            name_span: Span::find(raw, name_bytes),
            value: Span::find(raw, value),
        });
    }
    let rest = split_at(raw, at).1;
    let body = match length.map(usize::try_from) {
        Some(Ok(length)) => rest.get(..length).ok_or(ParseError::Length)?,
        Some(Err(_)) => return Err(ParseError::Length),
        None => rest,
    };
    Ok(Lexed { start, headers, body: Span::find(raw, body) })
}

/// The line that begins at `at`, without its end, and where the next begins. A CR inside a line would end it for
/// another reader, so it is refused here and never forwarded.
pub(super) fn line(raw: &[u8], at: usize) -> Result<(&[u8], usize), ParseError> {
    let rest = split_at(raw, at).1;
    let end = memchr2(b'\r', b'\n', rest).ok_or(too_long_or_incomplete(rest))?;
    let (line, tail) = split_at(rest, end);
    match tail {
        [b'\n', ..] => Ok((line, at + end + 1)),
        [b'\r', b'\n', ..] => Ok((line, at + end + 2)),
        [b'\r'] => Err(ParseError::Incomplete),
        _ => Err(ParseError::HeaderLine),
    }
}

/// The header line that begins at `at` with the lines that continue it (RFC 3261 section 7.3.1), where the next begins,
/// and whether it is folded. Empty at the end of the headers.
pub(super) fn folded_line(raw: &[u8], at: usize) -> Result<(&[u8], usize, bool), ParseError> {
    let (first, mut next) = line(raw, at)?;
    if first.len() > LINE_BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    if first.is_empty() {
        return Ok((first, next, false));
    }
    let mut end = at + first.len();
    let mut folded = false;
    while let b' ' | b'\t' = raw.get(next).ok_or(ParseError::Incomplete)? {
        let (more, after) = line(raw, next)?;
        end = next + more.len();
        next = after;
        folded = true;
        if end - at > LINE_BYTES_MAX {
            return Err(ParseError::TooLarge);
        }
    }
    Ok((split_at(split_at(raw, end).0, at).1, next, folded))
}

/// A line that has no end yet: it may still come, unless the line is over its limit already.
const fn too_long_or_incomplete(rest: &[u8]) -> ParseError {
    if rest.len() > LINE_BYTES_MAX { ParseError::TooLarge } else { ParseError::Incomplete }
}

fn start_line(raw: &[u8], line: &[u8]) -> Result<StartSpan, ParseError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    if line.len() >= 8 && split_at(line, 4).0.eq_ignore_ascii_case(b"SIP/") {
        let (version, rest) = split_at(line, 8);
        if !version.eq_ignore_ascii_case(b"SIP/2.0 ") {
            return Err(ParseError::Version);
        }
        let (code, reason) = split_at(rest, memchr(b' ', rest).unwrap_or(rest.len()));
        let code = number(code, 699).filter(|c| *c >= 100 && code.len() == 3).ok_or(ParseError::StartLine)?;
        let code = u16::try_from(code).map_err(|_| ParseError::StartLine)?;
        let reason = Span::find(raw, split_at(reason, 1).1);
        return Ok(StartSpan::Response { code, reason });
    }
    let (method, rest) = split_at(line, find(line, b' ').ok_or(ParseError::StartLine)?);
    if !is_token(method) {
        return Err(ParseError::StartLine);
    }
    let rest = split_at(rest, 1).1;
    let (uri, version) = split_at(rest, find(rest, b' ').ok_or(ParseError::StartLine)?);
    let version = split_at(version, 1).1;
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        // A version with its form right but another number is 505; anything else is a broken line (RFC 4475 3.1.2.9).
        let other = version.len() >= 7
            && split_at(version, 4).0.eq_ignore_ascii_case(b"SIP/")
            && split_at(version, 4).1.iter().all(|c| c.is_ascii_digit() || *c == b'.');
        return Err(if other { ParseError::Version } else { ParseError::StartLine });
    }
    // Headers have no place in a Request-URI (RFC 3261 section 19.1.1, RFC 4475 section 3.1.2.11).
    if !Uri::parse(uri).is_ok_and(|uri| uri.headers.is_empty()) {
        return Err(ParseError::RequestUri);
    }
    Ok(StartSpan::Request { method: Span::find(raw, method), uri: Span::find(raw, uri) })
}

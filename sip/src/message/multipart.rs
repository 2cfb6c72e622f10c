//! Bodies of several parts (RFC 2046 section 5.1, RFC 5621): cut, never copied, bounded.

use super::lexer::folded_line;
use super::{Message, Name};
use crate::value::scan::{split_at, trim};
use crate::value::{Malformed, Params, unquote};
use memchr::{memchr, memmem};
use smallvec::SmallVec;

/// Most parts that are read of one body.
pub const PARTS_MAX: usize = 16;
/// Longest boundary (RFC 2046 section 5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;
/// Most header lines of a part.
const PART_HEADERS_MAX: usize = 32;

/// One part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The part's header lines with the empty line behind them.
    head: &'a [u8],
    /// The part's content.
    pub body: &'a [u8],
}

impl<'a> Part<'a> {
    /// The value of a header of the part by its long name, folds as they stand.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        let mut at = 0;
        for _ in 0..PART_HEADERS_MAX {
            let (line, next, _) = folded_line(self.head, at).ok()?;
            let (found, value) = split_at(line, memchr(b':', line)?);
            if trim(found).eq_ignore_ascii_case(name.as_bytes()) {
                return Some(trim(split_at(value, 1).1));
            }
            at = next;
        }
        None
    }

    /// The media type in lower case without parameters; `text/plain` when none is named (RFC 2046 section 5.1).
    pub fn content_type(&self) -> String {
        self.value(Name::ContentType.as_str()).map_or_else(|| "text/plain".to_owned(), media_type)
    }

    /// Whether the content stands as it is: no base64 or quoted-printable (RFC 3261 section 7.4.1 has no need of them).
    fn is_plain(&self) -> bool {
        self.value("Content-Transfer-Encoding")
            .is_none_or(|e| [&b"7bit"[..], b"8bit", b"binary"].iter().any(|plain| plain.eq_ignore_ascii_case(e)))
    }
}

/// The parts of a body, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// What follows the last delimiter; `None` at the end.
    rest: Option<&'a [u8]>,
    delimiter: SmallVec<[u8; BOUNDARY_BYTES_MAX + 2]>,
    left: usize,
}

impl<'a> Parts<'a> {
    /// Prepares to cut `body` by the boundary that `content_type` names.
    ///
    /// # Errors
    /// Not `multipart/…`, no boundary or a bad one, or none of it in the body.
    pub fn new(content_type: &[u8], body: &'a [u8]) -> Result<Self, Malformed> {
        if !media_type(content_type).starts_with("multipart/") {
            return Err(Malformed);
        }
        let semicolon = memchr(b';', content_type).ok_or(Malformed)?;
        let boundary = unquote(Params(split_at(content_type, semicolon).1).value(b"boundary").ok_or(Malformed)?);
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return Err(Malformed);
        }
        let mut delimiter = SmallVec::from_slice(b"--");
        delimiter.extend_from_slice(&boundary);
        let mut this = Self { rest: None, delimiter, left: PARTS_MAX };
        this.rest = Some(this.cut(body).ok_or(Malformed)?.1);
        Ok(this)
    }

    /// What stands before the next delimiter line, and what behind the delimiter.
    fn cut(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        memmem::find_iter(bytes, &self.delimiter).find_map(|at| {
            let (before, rest) = split_at(bytes, at);
            let behind = split_at(rest, self.delimiter.len()).1;
            // A longer boundary that begins like ours is not ours.
            let ends = behind.starts_with(b"--") || matches!(behind.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
            // The line end before a delimiter belongs to it.
            let before = match before {
                [] => Some(before),
                [.., b'\n'] => before.strip_suffix(b"\r\n").or(before.strip_suffix(b"\n")),
                _ => None,
            };
            Some((before.filter(|_| ends)?, behind))
        })
    }

    fn part(&mut self, rest: &'a [u8]) -> Result<Part<'a>, Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed)?;
        let line_end = memchr(b'\n', rest).ok_or(Malformed)?;
        if !trim(split_at(rest, line_end).0).is_empty() {
            return Err(Malformed);
        }
        let (part, behind) = self.cut(split_at(rest, line_end + 1).1).ok_or(Malformed)?;
        self.rest = Some(behind);
        let mut at = 0;
        for _ in 0..PART_HEADERS_MAX {
            let (line, next, _) = folded_line(part, at).map_err(|_| Malformed)?;
            at = next;
            if line.is_empty() {
                let (head, body) = split_at(part, at);
                return Ok(Part { head, body });
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        (!rest.starts_with(b"--")).then(|| self.part(rest))
    }
}

impl Message {
    /// The parts of a multipart body; none when the body is of one piece.
    pub fn parts(&self) -> impl Iterator<Item = Result<Part<'_>, Malformed>> {
        let content_type = self.value(Name::ContentType).unwrap_or_default();
        Parts::new(content_type, self.body()).into_iter().flatten()
    }

    /// The content of the media type `wanted` (lower case, without parameters): the whole body, the first such part of
    /// a multipart body, or of a multipart that stands in it (RFC 5621 section 3.1). Encoded parts are passed over.
    pub fn content(&self, wanted: &str) -> Option<&[u8]> {
        let first = self.value(Name::ContentType)?;
        if media_type(first) == wanted {
            return Some(self.body());
        }
        let outer = Parts::new(first, self.body()).ok()?;
        let mut nested: SmallVec<[Part<'_>; 4]> = SmallVec::new();
        let mine = |p: &Part<'_>| p.is_plain() && p.content_type() == wanted;
        for part in outer.map_while(Result::ok) {
            if mine(&part) {
                return Some(part.body);
            }
            if part.content_type().starts_with("multipart/") {
                nested.push(part);
            }
        }
        nested.iter().find_map(|part| {
            let content_type = part.value(Name::ContentType.as_str())?;
            Parts::new(content_type, part.body).ok()?.map_while(Result::ok).find(mine).map(|p| p.body)
        })
    }
}

/// `type/subtype` in lower case, without parameters.
pub(super) fn media_type(value: &[u8]) -> String {
    let end = memchr(b';', value).unwrap_or(value.len());
    String::from_utf8_lossy(trim(split_at(value, end).0)).to_ascii_lowercase()
}

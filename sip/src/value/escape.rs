//! `%HH` in URIs (RFC 3261 section 19.1.2, 25.1): undone for reading, made for writing, and compared.

use std::fmt::Write as _;

/// One byte of a URI's part, and whether it was escaped though it is reserved: then it is not the bare one
/// (RFC 3261 section 19.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub byte: u8,
    pub escaped_reserved: bool,
}

/// The bytes of `part` with escapes undone; a `%` without two hexadecimal digits stays as it is.
pub(super) fn units(part: &[u8]) -> impl Iterator<Item = Unit> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let [first, tail @ ..] = rest else {
            return None;
        };
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = after;
            let byte = high << 4 | low;
            return Some(Unit { byte, escaped_reserved: is_reserved(byte) });
        }
        rest = tail;
        Some(Unit { byte: *first, escaped_reserved: false })
    })
}

/// `part` with escapes undone.
pub(super) fn unescape(part: &[u8]) -> Vec<u8> {
    units(part).map(|unit| unit.byte).collect()
}

/// Writes a user part: what may not stand there bare is escaped (RFC 3261 section 25.1, user), so that any text can be
/// a user and none can leave the user part.
pub fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for c in user.bytes() {
        let unreserved =
            c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
        let user_unreserved = matches!(c, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/');
        if unreserved || user_unreserved {
            out.push(char::from(c));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{c:02X}");
        }
    }
    out
}

/// `reserved` (RFC 3261 section 25.1).
const fn is_reserved(c: u8) -> bool {
    matches!(c, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',')
}

const fn hex(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

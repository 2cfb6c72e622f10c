//! The character classes and small scanners of RFC 3261 section 25.1.

use super::Malformed;
use memchr::{memchr, memchr3};

/// The classes of a byte, a bit each.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        #[allow(clippy::cast_possible_truncation)] // i < 256
        let c = i as u8;
        let alphanumeric = c.is_ascii_alphanumeric();
        let mark = matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        let mut class = 0;
        if alphanumeric || mark {
            class |= TOKEN;
        }
        if c > b' ' && c != 0x7f && c != b'<' && c != b'>' {
            class |= URI;
        }
        if alphanumeric || matches!(c, b'-' | b'.' | b'_') {
            class |= HOST;
        }
        #[allow(clippy::indexing_slicing)] // i < 256
        {
            table[i] = class;
        }
        i += 1;
    }
    table
};

/// `token` (RFC 3261 section 25.1).
const TOKEN: u8 = 1;
/// What a URI may hold at all: no white space, no control character, no bracket.
const URI: u8 = 2;
/// What a host name may hold; with the underscore that is in use against the grammar.
const HOST: u8 = 4;

fn is(c: u8, class: u8) -> bool {
    CLASSES.get(usize::from(c)).is_some_and(|k| k & class != 0)
}

/// `token` characters (RFC 3261 section 25.1).
pub fn is_token_char(c: u8) -> bool {
    is(c, TOKEN)
}

/// Characters that may stand in a URI.
pub fn is_uri_char(c: u8) -> bool {
    is(c, URI)
}

/// Characters that may stand in a host name.
pub fn is_host_char(c: u8) -> bool {
    is(c, HOST)
}

/// Whether `bytes` is a non-empty token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|c| is_token_char(*c))
}

/// Linear white space, folded lines included.
pub const fn is_space(c: u8) -> bool {
    const SPACES: u64 = 1 << b' ' | 1 << b'\t' | 1 << b'\r' | 1 << b'\n';
    c <= b' ' && SPACES >> c & 1 == 1
}

/// Where `wanted` first stands, eight bytes a step. For the short values of headers this takes fewer instructions than
/// `memchr`, which prepares its vectors first.
pub fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (eights, rest) = bytes.as_chunks::<8>();
    let pattern = LOW.wrapping_mul(u64::from(wanted));
    for (i, eight) in eights.iter().enumerate() {
        // A byte that is zero borrows into its high bit; the lowest such bit is exact.
        let differs = u64::from_le_bytes(*eight) ^ pattern;
        let zero = differs.wrapping_sub(LOW) & !differs & HIGH;
        if zero != 0 {
            return Some(i * 8 + usize::try_from(zero.trailing_zeros() / 8).unwrap_or_default());
        }
    }
    let at = rest.iter().position(|c| *c == wanted)?;
    Some(eights.len() * 8 + at)
}

/// Takes white space off both ends.
pub fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Takes white space off the start.
pub fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_space(*first) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Takes white space off the end.
pub fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes {
        if !is_space(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Digits only, not empty, at most `max`.
pub fn number(bytes: &[u8], max: u64) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for c in bytes {
        if !c.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(*c - b'0'))?;
        if value > max {
            return None;
        }
    }
    Some(value)
}

/// Length of the quoted string that starts `bytes`, quotes included.
pub fn quoted_len(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut at = 1;
    while let Some(c) = bytes.get(at) {
        at += 1;
        match c {
            b'\\' => at += 1,
            b'"' => return Ok(at),
            _ => {}
        }
    }
    Err(Malformed)
}

/// Splits off the first `at` bytes; the whole when it is shorter.
pub fn split_at(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    bytes.split_at(at.min(bytes.len()))
}

/// The values of a comma-separated header, in order; commas in quotes and angle brackets do not count.
pub fn split_commas(value: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let all = rest?;
        let mut at = 0;
        while let Some(found) = memchr3(b'"', b'<', b',', split_at(all, at).1) {
            at += found;
            let tail = split_at(all, at).1;
            match tail.first() {
                Some(b'"') => match quoted_len(tail) {
                    Ok(quoted) => at += quoted,
                    Err(error) => {
                        rest = None;
                        return Some(Err(error));
                    }
                },
                // A bracket that is never closed holds the rest.
                Some(b'<') => at += memchr(b'>', tail).unwrap_or(tail.len()),
                _ => {
                    rest = Some(split_at(tail, 1).1);
                    return Some(Ok(trim(split_at(all, at).0)));
                }
            }
        }
        rest = None;
        Some(Ok(trim(all)))
    })
}

/// The text of a quoted string without quotes and escapes; anything else as it is.
pub fn unquote(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = value else {
        return value.into();
    };
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner {
        if *c == b'\\' && !escaped {
            escaped = true;
        } else {
            out.push(*c);
            escaped = false;
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_finds_the_first_of_any_byte_at_any_place_among_any_neighbours() {
        for wanted in 0..=255_u8 {
            for neighbour in [wanted ^ 1, wanted ^ 0x80, wanted.wrapping_sub(1), 0xff ^ wanted] {
                for len in 0..20 {
                    let mut bytes = vec![neighbour; len];
                    assert_eq!(find(&bytes, wanted), None);
                    for at in (0..len).rev() {
                        bytes[at] = wanted;
                        assert_eq!(find(&bytes, wanted), Some(at));
                    }
                }
            }
        }
    }
}

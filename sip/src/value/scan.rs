//! The character classes and small scanners of RFC 3261 section 25.1.

use super::Malformed;

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        #[allow(clippy::cast_possible_truncation)]
        let c = i as u8;
        let mark = matches!(
            c,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        );
        #[allow(clippy::indexing_slicing)] // i < 256
        {
            table[i] = c.is_ascii_alphanumeric() || mark;
        }
        i += 1;
    }
    table
};

/// `token` characters (RFC 3261 section 25.1).
pub fn is_token_char(c: u8) -> bool {
    TOKEN.get(usize::from(c)).copied().unwrap_or(false)
}

/// Whether `bytes` is a non-empty token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|c| is_token_char(*c))
}

/// Linear white space, folded lines included.
pub const fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\r' | b'\n')
}

/// Takes white space off both ends.
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_space(*first) {
            break;
        }
        bytes = rest;
    }
    trim_end(bytes)
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
    let mut escaped = false;
    for (i, c) in bytes.iter().enumerate().skip(1) {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(i + 1),
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
        let (mut i, mut angle) = (0, false);
        while let Some(c) = all.get(i) {
            match c {
                b'"' if !angle => match quoted_len(split_at(all, i).1) {
                    Ok(n) => {
                        i += n;
                        continue;
                    }
                    Err(e) => {
                        rest = None;
                        return Some(Err(e));
                    }
                },
                b'<' => angle = true,
                b'>' => angle = false,
                b',' if !angle => {
                    let (head, tail) = split_at(all, i);
                    rest = Some(split_at(tail, 1).1);
                    return Some(Ok(trim(head)));
                }
                _ => {}
            }
            i += 1;
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

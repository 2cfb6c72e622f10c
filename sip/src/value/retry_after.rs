//! Retry-After (RFC 3261 section 20.33).

use super::scan::{number, split_at, trim};
use super::{Malformed, Params};

/// When to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds until the service may be there again.
    pub seconds: u32,
    /// Seconds for which it is then expected to stay.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads `delta-seconds [(comment)] *(;param)`; the comment is passed over. A number over 2^32 - 1 is malformed, and
    /// may be taken for absent (RFC 4475 section 3.1.2.5).
    ///
    /// # Errors
    /// No number in front, an open comment, malformed parameters.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        let digits = value.iter().take_while(|c| c.is_ascii_digit()).count();
        let (seconds, rest) = split_at(value, digits);
        let params = Params(after_comment(trim(rest))?);
        params.check()?;
        let duration = params.value(b"duration").map(seconds_of);
        Ok(Self { seconds: seconds_of(seconds)?, duration: duration.transpose()? })
    }
}

fn seconds_of(digits: &[u8]) -> Result<u32, Malformed> {
    number(digits, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()).ok_or(Malformed)
}

/// What stands behind a comment, which may hold comments and escapes (RFC 3261 section 25.1).
fn after_comment(value: &[u8]) -> Result<&[u8], Malformed> {
    if value.first() != Some(&b'(') {
        return Ok(value);
    }
    let (mut depth, mut escaped) = (0_usize, false);
    for (i, c) in value.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return Ok(trim(split_at(value, i + 1).1)),
            b')' => depth -= 1,
            _ => {}
        }
    }
    Err(Malformed)
}

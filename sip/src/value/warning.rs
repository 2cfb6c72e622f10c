//! Warning (RFC 3261 section 20.43).

use super::Malformed;
use super::scan::{is_space, number, quoted_len, split_at, trim, unquote};
use std::borrow::Cow;

/// One Warning value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// Three digits, 300 to 399 in SIP.
    pub code: u16,
    /// Host or name of who warns.
    pub agent: &'a [u8],
    /// The text without quotes and escapes.
    pub text: Cow<'a, [u8]>,
}

impl<'a> Warning<'a> {
    /// Reads one value (split at commas before).
    ///
    /// # Errors
    /// Anything but `3DIGIT SP agent SP quoted-string`.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let (code, rest) = word(trim(value))?;
        let (agent, text) = word(rest)?;
        if code.len() != 3 || text.first() != Some(&b'"') || quoted_len(text)? != text.len() {
            return Err(Malformed);
        }
        Ok(Self {
            code: number(code, 999).and_then(|c| u16::try_from(c).ok()).ok_or(Malformed)?,
            agent,
            text: unquote(text),
        })
    }
}

/// The text up to the first white space, and what stands behind it.
fn word(value: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = value.iter().position(|c| is_space(*c)).ok_or(Malformed)?;
    let (word, rest) = split_at(value, end);
    Ok((word, trim(rest)))
}

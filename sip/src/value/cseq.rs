//! CSeq (RFC 3261 section 20.16).

use super::Malformed;
use super::scan::{is_space, is_token, number, split_at, trim};

/// Sequence number and method token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31 (RFC 3261 section 8.1.1.5).
    pub number: u32,
    /// The method as it stands.
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads `number LWS method`.
    ///
    /// # Errors
    /// A number of 2^31 or more (RFC 4475 section 3.1.2.4), a method that is no token.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        let end = value.iter().position(|c| is_space(*c)).ok_or(Malformed)?;
        let (digits, method) = split_at(value, end);
        let number = number(digits, (1 << 31) - 1).and_then(|n| u32::try_from(n).ok()).ok_or(Malformed)?;
        let method = trim(method);
        if is_token(method) { Ok(Self { number, method }) } else { Err(Malformed) }
    }
}

//! Reason (RFC 3326): why a request or response was sent.

use super::scan::{is_token, number, split_at, trim, unquote};
use super::{Malformed, Params};
use memchr::memchr;
use std::borrow::Cow;

/// One Reason value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` or another protocol.
    pub protocol: &'a [u8],
    /// Cause in that protocol's numbers.
    pub cause: Option<u16>,
    /// The text without quotes and escapes.
    pub text: Option<Cow<'a, [u8]>>,
}

impl<'a> Reason<'a> {
    /// Reads one value (split at commas before).
    ///
    /// # Errors
    /// No protocol token, malformed parameters, a cause that is no number of 16 bits.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let (protocol, params) = split_at(value, memchr(b';', value).unwrap_or(value.len()));
        let (protocol, params) = (trim(protocol), Params(params));
        if !is_token(protocol) {
            return Err(Malformed);
        }
        params.check()?;
        let cause = params
            .value(b"cause")
            .map(|c| number(c, u64::from(u16::MAX)).and_then(|c| u16::try_from(c).ok()).ok_or(Malformed));
        Ok(Self { protocol, cause: cause.transpose()?, text: params.value(b"text").map(unquote) })
    }

    /// Whether the reason is one of `protocol`, without case.
    pub fn is(&self, protocol: &str) -> bool {
        self.protocol.eq_ignore_ascii_case(protocol.as_bytes())
    }
}

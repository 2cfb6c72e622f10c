//! Accept (RFC 3261 section 20.1): the media types that somebody reads, with wildcards and q-values.

use super::scan::{is_token, split_at, trim};
use super::{Malformed, Params, Q};
use memchr::memchr;

/// One range of media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaRange<'a> {
    /// Type, or `*`.
    pub kind: &'a [u8],
    /// Subtype, or `*`.
    pub subtype: &'a [u8],
    /// How much it is wanted.
    pub q: Q,
}

impl<'a> MediaRange<'a> {
    /// Reads one value (split at commas before).
    ///
    /// # Errors
    /// Anything but `type/subtype *(;param)`, a bad q-value, `*/subtype`.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let (range, params) = split_at(value, memchr(b';', value).unwrap_or(value.len()));
        let (kind, subtype) = split_at(range, memchr(b'/', range).ok_or(Malformed)?);
        let (kind, subtype) = (trim(kind), trim(split_at(subtype, 1).1));
        if !is_token(kind) || !is_token(subtype) || (kind == b"*" && subtype != b"*") {
            return Err(Malformed);
        }
        let params = Params(params);
        params.check()?;
        let q = params.value(b"q").map_or(Ok(Q::FULL), Q::parse)?;
        Ok(Self { kind, subtype, q })
    }

    /// How well the range fits `type/subtype`: 0 not at all, 3 exactly.
    fn fits(&self, kind: &[u8], subtype: &[u8]) -> u8 {
        match (self.kind, self.subtype) {
            (b"*", _) => 1,
            (k, b"*") if k.eq_ignore_ascii_case(kind) => 2,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
            _ => 0,
        }
    }
}

/// How much `media_type` is wanted by one who accepts `ranges`: the closest range decides; [`Q::NONE`] when none fits.
pub fn accepts<'a>(ranges: impl Iterator<Item = MediaRange<'a>>, media_type: &str) -> Q {
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    ranges
        .map(|r| (r.fits(kind.as_bytes(), subtype.as_bytes()), r.q))
        .filter(|(fit, _)| *fit > 0)
        .max()
        .map_or(Q::NONE, |(_, q)| q)
}

//! q-values (RFC 3261 section 25.1, qvalue): how much something is wanted.

use super::Malformed;
use super::scan::split_at;

/// A preference in thousandths, 0 to 1000. Absent means [`Q::FULL`] (RFC 3261 section 20.10 leaves it open; RFC 2616
/// section 14.1 says 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Q(u16);

impl Q {
    /// 1.0
    pub const FULL: Self = Self(1000);
    /// 0.0: not wanted.
    pub const NONE: Self = Self(0);

    /// Thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0`, `1`, `0.7`, `1.000`: at most three digits behind the point.
    ///
    /// # Errors
    /// Anything else, more than 1 included.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let (whole, rest) = split_at(value, 1);
        let digits = match rest {
            [] => rest,
            [b'.', digits @ ..] if digits.len() <= 3 => digits,
            _ => return Err(Malformed),
        };
        let mut out = match whole {
            b"0" => 0,
            b"1" => 1000,
            _ => return Err(Malformed),
        };
        for (digit, weight) in digits.iter().zip([100, 10, 1]) {
            if !digit.is_ascii_digit() {
                return Err(Malformed);
            }
            out += u16::from(*digit - b'0') * weight;
        }
        if out > 1000 {
            return Err(Malformed);
        }
        Ok(Self(out))
    }
}

impl std::fmt::Display for Q {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

//! What can be dialled: an extension, a number of the public network, or a name.

use smol_str::SmolStr;
use std::fmt;

/// A number of the public network: `+` and up to 15 digits of which the first is not 0 (E.164 section 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(SmolStr);

/// What is known of a number of the public network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its country code.
    pub country_code: u16,
    /// The country or region, by ISO 3166-1; `None` where the code is shared or of no country.
    pub country: Option<String>,
    /// As people write it abroad.
    pub international: String,
    /// Whether the number plan of its country has such numbers.
    pub valid: bool,
}

impl E164 {
    /// Reads a number with its `+` and without separators.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let right =
            (1..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()) && !digits.starts_with('0');
        right.then(|| Self(text.into()))
    }

    /// With its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits.
    pub fn digits(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }

    /// What the number plans of the world say of it; `None` when no country has its code or its length. Not for the way of
    /// a call: it reads tables of all countries.
    pub fn facts(&self) -> Option<Facts> {
        let number = phonenumber::parse(None, self.as_str()).ok()?;
        Some(Facts {
            country_code: number.country().code(),
            country: number.country().id().map(|id| id.as_ref().to_owned()),
            international: number.format().mode(phonenumber::Mode::International).to_string(),
            valid: number.is_valid(),
        })
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a number to dial: digits, `*`, `#`, a `+` before them, and an extension behind.
pub fn is_number(text: &str) -> bool {
    let body = text.strip_prefix('+').unwrap_or(text);
    let (body, extension) = body.split_once(";ext=").unwrap_or((body, ""));
    !body.is_empty()
        && body.bytes().all(|c| c.is_ascii_digit() || c == b'*' || c == b'#')
        && extension.bytes().all(|c| c.is_ascii_digit())
}

/// A number without visual separators (RFC 3966 section 5.1.1).
pub fn bare(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_number_has_up_to_15_digits_and_no_zero_first() {
        assert!(E164::parse("+390391234567").is_some());
        for wrong in ["390391234567", "+", "+0391234567", "+39 039", "+1234567890123456", "+39a"] {
            assert_eq!(E164::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_public_number_has_a_country() {
        let facts = |text| E164::parse(text).unwrap().facts();
        let italian = facts("+390391234567").unwrap();
        assert_eq!((italian.country_code, italian.country.as_deref(), italian.valid), (39, Some("IT"), true));
        assert_eq!(italian.international, "+39 039 123 4567");
        assert_eq!(facts("+99912345678"), None);
    }

    #[test]
    fn names_are_no_numbers() {
        for number in ["0", "*21#", "+14255550123;ext=10001", "112"] {
            assert!(is_number(number), "{number}");
        }
        for name in ["", "+", "alice", "12a", "+1;ext=x", "1;x=1"] {
            assert!(!is_number(name), "{name}");
        }
        assert_eq!(bare("+1 (425) 555-01.00"), "+14255550100");
    }
}

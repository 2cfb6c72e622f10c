//! Number masks: digits, `x` for one digit, `*` for any number of digits at the end (reference, unified messaging, 7.5),
//! and number formats: digits and `x`, filled from the end of a number (2.1).

use smol_str::SmolStr;

/// Longest mask.
const MASK_BYTES_MAX: usize = 64;

/// A mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    text: SmolStr,
}

/// Why a text is no mask, or two masks no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// It has other characters.
    #[error("a mask has digits, `x` and one `*` at the end, and at most {MASK_BYTES_MAX} characters")]
    Characters,
    /// The two masks have not the same wildcards.
    #[error("the dialled number has not the wildcards of the mask: as many `x`, and `*` in both or in none")]
    Wildcards,
    /// It has an asterisk.
    #[error("a number format has digits and `x`")]
    Format,
}

impl Mask {
    /// Reads a mask.
    ///
    /// # Errors
    ///
    /// See [`MaskError`].
    pub fn new(text: &str) -> Result<Self, MaskError> {
        let body = text.strip_suffix('*').unwrap_or(text);
        let right = body.bytes().all(|c| c.is_ascii_digit() || c == b'x');
        if !right || text.is_empty() || text.len() > MASK_BYTES_MAX {
            return Err(MaskError::Characters);
        }
        Ok(Self { text: text.into() })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Literal digits: the more, the more exact a mask is.
    pub fn literals(&self) -> usize {
        self.text.bytes().filter(u8::is_ascii_digit).count()
    }

    fn wildcards(&self) -> (usize, bool) {
        (self.text.bytes().filter(|c| *c == b'x').count(), self.text.ends_with('*'))
    }

    /// Whether numbers that match this mask can be written in another.
    ///
    /// # Errors
    ///
    /// [`MaskError::Wildcards`].
    pub fn fits(&self, dialled: &Self) -> Result<(), MaskError> {
        if self.wildcards() == dialled.wildcards() { Ok(()) } else { Err(MaskError::Wildcards) }
    }

    /// The digits that stand at the wildcards, in order and the rest last; `None` when the number does not match.
    fn read<'n>(&self, number: &'n str) -> Option<(Vec<u8>, &'n str)> {
        let (body, open) = match self.text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (self.text.as_str(), false),
        };
        let (head, rest) = number.split_at_checked(body.len())?;
        let mut wild = Vec::new();
        for (mask, digit) in body.bytes().zip(head.bytes()) {
            match mask {
                b'x' if digit.is_ascii_digit() => wild.push(digit),
                literal if literal == digit => {}
                _ => return None,
            }
        }
        let rest_fits = if open { rest.bytes().all(|c| c.is_ascii_digit()) } else { rest.is_empty() };
        rest_fits.then_some((wild, rest))
    }

    /// What a number becomes that matches this mask, written as `dialled`.
    pub fn apply(&self, dialled: &Self, number: &str) -> Option<String> {
        let (wild, rest) = self.read(number)?;
        let mut wild = wild.into_iter();
        let mut out = String::new();
        for c in dialled.text.chars() {
            match c {
                'x' => out.push(char::from(wild.next()?)),
                '*' => out.push_str(rest),
                digit => out.push(digit),
            }
        }
        Some(out)
    }
}

/// A number format such as `020xxxxxxx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Mask);

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    ///
    /// [`MaskError::Format`].
    pub fn new(text: &str) -> Result<Self, MaskError> {
        match Mask::new(text) {
            Ok(mask) if !text.ends_with('*') => Ok(Self(mask)),
            _ => Err(MaskError::Format),
        }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// The format with the last digits of a number at its wildcards; `None` when it has fewer.
    pub fn fill(&self, number: &str) -> Option<String> {
        let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
        let (wildcards, _) = self.0.wildcards();
        let mut last = digits.get(digits.len().checked_sub(wildcards)?..)?.iter();
        self.0.text().chars().map(|c| if c == 'x' { last.next().copied() } else { Some(c) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference (unified messaging, 7.5), and the example there that it calls wrong.
    #[test]
    fn the_masks_of_the_reference_send_the_numbers_of_the_reference() {
        for (mask, dialled, input, sent) in [
            ("91425xxxxxxx", "9xxxxxxx", "914255551234", "95551234"),
            ("9425xxxxxxx", "9xxxxxxx", "94255551234", "95551234"),
            ("9xxxxxxx", "9xxxxxxx", "95551234", "95551234"),
            ("xxxxxxx", "1425xxxxxxx", "5551234", "14255551234"),
            ("1425xxxxxxx", "91425xxxxxxx", "14255551234", "914255551234"),
            ("9xxxxxxxxxx", "91xxxxxxxxxx", "94255551234", "914255551234"),
            ("91*", "91*", "914085550100", "914085550100"),
            ("901144*", "901144*", "901144201234", "901144201234"),
            ("*", "*", "31337", "31337"),
            ("91425*", "91*", "914255551234", "915551234"),
        ] {
            let (mask, dialled) = (Mask::new(mask).unwrap(), Mask::new(dialled).unwrap());
            mask.fits(&dialled).unwrap();
            assert_eq!(mask.apply(&dialled, input).as_deref(), Some(sent), "{mask:?}");
        }
    }

    #[test]
    fn a_number_of_another_length_does_not_match_and_wildcards_must_agree() {
        let mask = Mask::new("9xxxxxxx").unwrap();
        assert_eq!(mask.apply(&mask, "955512345"), None);
        assert_eq!(mask.apply(&mask, "9555123"), None);
        assert_eq!(mask.apply(&mask, "9555123é"), None);
        assert_eq!(mask.fits(&Mask::new("9xxxxxx").unwrap()), Err(MaskError::Wildcards));
        assert_eq!(mask.fits(&Mask::new("9xxxxxxx*").unwrap()), Err(MaskError::Wildcards));
        assert_eq!(Mask::new("9*1"), Err(MaskError::Characters));
        assert_eq!(Mask::new(""), Err(MaskError::Characters));
    }

    #[test]
    fn a_format_takes_the_last_digits_of_a_number() {
        let format = |text| Format::new(text).unwrap();
        assert_eq!(format("020xxxxxxx").fill("+44 20 7946 0958").as_deref(), Some("0209460958"));
        assert_eq!(format("4420xxxxxxx").fill("5460958").as_deref(), Some("44205460958"));
        assert_eq!(format("142570xxxxx").fill("12345").as_deref(), Some("14257012345"));
        assert_eq!(format("142570xxxxx").fill("1234"), None);
        assert_eq!(Format::new("44*"), Err(MaskError::Format));
    }
}

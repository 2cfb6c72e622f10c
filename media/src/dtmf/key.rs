//! The keys of a telephone.

/// A key: one of the sixteen of ITU-T Q.23, or hook flash, which has no tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u8);

/// What becomes of a key. Each one that goes down comes up before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is pressed.
    Down(Key),
    /// It was let go.
    Up {
        /// Which.
        key: Key,
        /// How long it was down, in milliseconds.
        duration_ms: u32,
    },
}

/// By the code of the event (RFC 4733 section 3.2, table 3).
const DIGITS: [char; 17] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D', '!'];
/// The low and the high frequencies in Hz (ITU-T Q.23).
pub(super) const LOW_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
pub(super) const HIGH_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Codes by low and high frequency.
const GRID: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

impl Key {
    /// The key that an event's code stands for; `None` for events that are no keys.
    pub fn of_code(code: u8) -> Option<Key> {
        (usize::from(code) < DIGITS.len()).then_some(Key(code))
    }

    /// The key of `0`–`9`, `*`, `#`, `A`–`D` or `!`; letters ignore case.
    pub fn of_digit(digit: char) -> Option<Key> {
        let code = DIGITS.iter().position(|known| known.eq_ignore_ascii_case(&digit))?;
        u8::try_from(code).ok().map(Key)
    }

    /// The code of its event.
    pub fn code(self) -> u8 {
        self.0
    }

    /// `0`–`9`, `*`, `#`, `A`–`D`, or `!` for hook flash.
    pub fn digit(self) -> char {
        DIGITS.get(usize::from(self.0)).copied().unwrap_or('!')
    }

    /// Low and high frequency of its tone in Hz; `None` for hook flash.
    pub fn tone_hz(self) -> Option<(f64, f64)> {
        let (row, column) = GRID.iter().enumerate().find_map(|(row, codes)| {
            let column = codes.iter().position(|code| *code == self.0)?;
            Some((row, column))
        })?;
        LOW_HZ.get(row).copied().zip(HIGH_HZ.get(column).copied())
    }

    /// The key of the low and the high frequency at these places.
    pub(super) fn at(row: usize, column: usize) -> Option<Key> {
        GRID.get(row)?.get(column).copied().map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_code_and_every_tone_its_key() {
        for digit in "0123456789*#ABCD!".chars() {
            let key = Key::of_digit(digit).unwrap();
            assert_eq!((key.digit(), Key::of_code(key.code())), (digit, Some(key)));
        }
        assert_eq!(Key::of_digit('a'), Key::of_digit('A'));
        assert_eq!((Key::of_code(17), Key::of_digit('x')), (None, None));
        // ITU-T Q.23, figure 1.
        for (digit, tone) in
            [('1', (697.0, 1209.0)), ('6', (770.0, 1477.0)), ('0', (941.0, 1336.0)), ('D', (941.0, 1633.0))]
        {
            assert_eq!(Key::of_digit(digit).unwrap().tone_hz(), Some(tone));
        }
        assert_eq!(Key::of_digit('!').unwrap().tone_hz(), None);
    }
}

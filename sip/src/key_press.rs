//! A key in the body of an INFO request: `application/dtmf-relay` and `application/dtmf`. Neither was ever registered, and
//! phones write them in their own ways; what is read here is what they have in common.

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// `application/dtmf-relay`: lines of `Signal=` and `Duration=`.
    Relay,
    /// `application/dtmf`: the key alone.
    Plain,
}

/// A key that somebody has pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// `0`–`9`, `*`, `#`, `A`–`D`, or `!` for hook flash.
    pub digit: char,
    /// For how long, in milliseconds: 40 to 6000.
    pub duration_ms: u32,
}

/// The body is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body names no key")]
pub struct NoKey;

/// How long a key is that does not say it, ms.
const DURATION_MS: u32 = 160;
/// Shorter ones nobody recognises (ITU-T Q.24); longer ones nobody presses.
const DURATIONS_MS: std::ops::RangeInclusive<u32> = 40..=6_000;
/// Bytes of a body that are looked at.
const BODY_BYTES_MAX: usize = 256;

impl KeyForm {
    /// What a Content-Type or a value of Accept says; `None` for other bodies.
    pub fn of_content_type(content_type: &[u8]) -> Option<KeyForm> {
        let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
        let kind = content_type.get(..end)?.trim_ascii();
        [KeyForm::Relay, KeyForm::Plain]
            .into_iter()
            .find(|form| kind.eq_ignore_ascii_case(form.content_type().as_bytes()))
    }

    /// Its Content-Type.
    pub const fn content_type(self) -> &'static str {
        match self {
            KeyForm::Relay => "application/dtmf-relay",
            KeyForm::Plain => "application/dtmf",
        }
    }
}

impl KeyPress {
    /// Reads a body.
    ///
    /// # Errors
    /// [`NoKey`]: it does not name one.
    pub fn read(form: KeyForm, body: &[u8]) -> Result<KeyPress, NoKey> {
        let text = std::str::from_utf8(body.get(..BODY_BYTES_MAX).unwrap_or(body)).map_err(|_| NoKey)?;
        let (signal, duration) = match form {
            KeyForm::Plain => (text.trim(), None),
            KeyForm::Relay => {
                let lines = || text.lines().filter_map(|line| line.split_once('='));
                let of = |wanted: &str| {
                    lines().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
                };
                (of("Signal").ok_or(NoKey)?, of("Duration"))
            }
        };
        let duration_ms = duration.and_then(|text| text.parse().ok()).unwrap_or(DURATION_MS);
        let duration_ms = duration_ms.clamp(*DURATIONS_MS.start(), *DURATIONS_MS.end());
        Ok(KeyPress { digit: digit(signal).ok_or(NoKey)?, duration_ms })
    }

    /// Writes a body.
    pub fn body(&self, form: KeyForm) -> String {
        let duration_ms = self.duration_ms.clamp(*DURATIONS_MS.start(), *DURATIONS_MS.end());
        match form {
            KeyForm::Relay => format!("Signal={}\r\nDuration={duration_ms}\r\n", self.digit),
            KeyForm::Plain => self.digit.to_string(),
        }
    }
}

/// A key by itself, or by the code of its event (RFC 4733 section 3.2).
fn digit(signal: &str) -> Option<char> {
    const CODES: [(&str, char); 7] =
        [("10", '*'), ("11", '#'), ("12", 'A'), ("13", 'B'), ("14", 'C'), ("15", 'D'), ("16", '!')];
    if let Some((_, digit)) = CODES.iter().find(|(code, _)| *code == signal) {
        return Some(*digit);
    }
    let mut characters = signal.chars();
    let digit = characters.next()?.to_ascii_uppercase();
    let is_key = digit.is_ascii_digit() || matches!(digit, '*' | '#' | '!' | 'A'..='D');
    (is_key && characters.next().is_none()).then_some(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn relay(body: &str) -> Result<KeyPress, NoKey> {
        KeyPress::read(KeyForm::Relay, body.as_bytes())
    }

    #[test]
    fn keys_are_read_as_phones_write_them() {
        let key = |digit, duration_ms| Ok(KeyPress { digit, duration_ms });
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), key('5', 160));
        assert_eq!(relay("Signal= #\nDuration= 250"), key('#', 250));
        assert_eq!(relay("signal=d\r\n"), key('D', 160));
        assert_eq!(relay("Signal=11\r\nDuration=1"), key('#', 40));
        assert_eq!(relay("Signal=*\r\nDuration=99999999"), key('*', 6000));
        assert_eq!(KeyPress::read(KeyForm::Plain, b"7"), key('7', 160));
        assert_eq!(KeyPress::read(KeyForm::Plain, b"10\r\n"), key('*', 160));
        assert_eq!(KeyPress::read(KeyForm::Plain, b"!"), key('!', 160));
    }

    #[test]
    fn what_names_no_key_is_none() {
        for body in ["", "Duration=160\r\n", "Signal=\r\n", "Signal=55\r\n", "Signal=x", "Signal", "Signal=17"] {
            assert_eq!(relay(body), Err(NoKey), "{body:?}");
        }
        for body in [&b""[..], b"12345", b"\xff", b"E"] {
            assert_eq!(KeyPress::read(KeyForm::Plain, body), Err(NoKey), "{body:?}");
        }
    }

    #[test]
    fn the_form_is_known_by_its_content_type_and_by_nothing_else() {
        assert_eq!(KeyForm::of_content_type(b"application/dtmf-relay"), Some(KeyForm::Relay));
        assert_eq!(KeyForm::of_content_type(b" Application/DTMF ; charset=utf-8"), Some(KeyForm::Plain));
        for other in [&b"application/dtmf-relays"[..], b"application/sdp", b"", b"text/plain"] {
            assert_eq!(KeyForm::of_content_type(other), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(digit in "[0-9*#A-D!]", duration_ms in 40u32..=6000) {
            let key = KeyPress { digit: digit.chars().next().unwrap(), duration_ms };
            prop_assert_eq!(KeyPress::read(KeyForm::Relay, key.body(KeyForm::Relay).as_bytes()), Ok(key));
            let plain = KeyPress::read(KeyForm::Plain, key.body(KeyForm::Plain).as_bytes());
            prop_assert_eq!(plain.map(|key| key.digit), Ok(key.digit));
        }

        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = KeyPress::read(KeyForm::Relay, &body);
            let _ = KeyPress::read(KeyForm::Plain, &body);
        }
    }
}

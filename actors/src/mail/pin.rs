//! PINs: which may be set, how they are kept, what wrong ones lead to (reference, unified messaging, 5).

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng};
use argon2::{Algorithm, Argon2, Params, Version};
use std::time::Duration;
use store::{MailboxState, Pin};

use crate::talk::PinAnswer;

/// Digits of the longest PIN.
pub const DIGITS_MAX: usize = 24;
/// Digits of a PIN that is made up, at least.
const MADE_UP_DIGITS: usize = 6;
/// Memory of a hash, KiB, and its passes (RFC 9106 section 4 has more; a PIN is also behind a lock-out, and many are checked on
/// one node).
const MEMORY_KIB: u32 = 8 * 1024;
const PASSES: u32 = 2;

/// What PINs must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRules {
    /// Digits at least.
    pub digits_min: usize,
    /// Whether 1234, 1111 and their like are allowed.
    pub common: bool,
    /// How many PINs of before are not allowed again.
    pub history: usize,
    /// How long a PIN is good; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// Wrong PINs in a row after which another PIN is made; `None`: never.
    pub failures_reset: Option<u32>,
    /// Wrong PINs in a row after which nobody gets in; `None`: never.
    pub failures_lock: Option<u32>,
}

/// Why a PIN is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinFault {
    /// Fewer digits than asked for.
    #[error("it has too few digits")]
    TooShort,
    /// More than 24.
    #[error("it has more than 24 digits")]
    TooLong,
    /// Something else than digits.
    #[error("a PIN is made of digits")]
    NoDigits,
    /// A row of digits that anybody tries first, or the extension.
    #[error("it is too easily guessed: a row, one digit, or the extension")]
    Common,
    /// It is one of before.
    #[error("it was used before")]
    Used,
    /// It could not be kept.
    #[error("it could not be saved")]
    NotSaved,
}

/// Looks at a PIN as the rules want it, but for its history.
///
/// # Errors
/// What is wrong with it.
pub fn judge(pin: &str, extension: Option<&str>, rules: &PinRules) -> Result<(), PinFault> {
    if !pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PinFault::NoDigits);
    }
    if pin.len() < rules.digits_min {
        return Err(PinFault::TooShort);
    }
    if pin.len() > DIGITS_MAX {
        return Err(PinFault::TooLong);
    }
    // An end of the extension with which a PIN ends is guessed first, whatever else is allowed.
    let ends_alike = extension.is_some_and(|extension| extension.ends_with(pin) || pin.ends_with(extension));
    let holds = extension.is_some_and(|extension| extension.len() >= 3 && pin.contains(extension));
    if ends_alike || !rules.common && (holds || is_common(pin)) {
        return Err(PinFault::Common);
    }
    Ok(())
}

/// One digit, or a row up or down.
fn is_common(pin: &str) -> bool {
    let bytes = pin.as_bytes();
    let steps = || {
        bytes
            .windows(2)
            .map(|pair| i16::from(pair.last().copied().unwrap_or(0)) - i16::from(pair.first().copied().unwrap_or(0)))
    };
    steps().all(|step| step == 0) || steps().all(|step| step == 1) || steps().all(|step| step == -1)
}

/// The hash of a PIN, with a salt of its own. Takes tens of milliseconds: not for a thread that must not wait.
pub fn hash(pin: &str, pepper: &[u8]) -> Option<String> {
    let salt = SaltString::generate(&mut OsRng);
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    let hasher = hasher(pepper, params)?;
    Some(hasher.hash_password(pin.as_bytes(), &salt).ok()?.to_string())
}

/// Whether a PIN is that of a hash. As slow as [`hash`].
pub fn is_of(pin: &str, hash: &str, pepper: &[u8]) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    let Ok(params) = Params::try_from(&parsed) else { return false };
    hasher(pepper, params).is_some_and(|hasher| hasher.verify_password(pin.as_bytes(), &parsed).is_ok())
}

/// A PIN is short: without the node's secret its hash alone gives it away to whoever has the time.
fn hasher(pepper: &[u8], params: Params) -> Option<Argon2<'_>> {
    Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params).ok()
}

/// A PIN that nobody knows yet and the rules allow.
pub fn made_up(extension: Option<&str>, rules: &PinRules) -> String {
    let digits = rules.digits_min.clamp(MADE_UP_DIGITS, DIGITS_MAX);
    loop {
        let pin: String = (0..digits).map(|_| char::from(b'0' + rand::random_range(0..10u8))).collect();
        if judge(&pin, extension, rules).is_ok() {
            return pin;
        }
    }
}

/// Sets the PIN of a mailbox.
pub fn set(state: &mut MailboxState, pin: &str, hash: String, must_change: bool, now_ms: i64, rules: &PinRules) {
    if let Some(before) = state.pin.take() {
        state.history.insert(0, before.hash);
    }
    // The PIN in force is one of the history.
    state.history.truncate(rules.history.saturating_sub(1));
    let digits = u32::try_from(pin.len()).unwrap_or(u32::MAX);
    state.pin = Some(Pin { hash, digits, set_ms: now_ms, must_change });
}

/// Hashes that a new PIN must differ from.
pub fn not_again(state: &MailboxState) -> Vec<String> {
    state.pin.iter().map(|pin| pin.hash.clone()).chain(state.history.iter().cloned()).collect()
}

/// Whether the PIN must be changed: it was given, is too old, or has too few digits.
pub fn must_change(state: &MailboxState, now_ms: i64, rules: &PinRules) -> bool {
    state.pin.as_ref().is_some_and(|pin| {
        let age = Duration::from_millis(u64::try_from(now_ms - pin.set_ms).unwrap_or(0));
        let few = (pin.digits as usize) < rules.digits_min;
        pin.must_change || few || rules.lifetime.is_some_and(|lifetime| age > lifetime)
    })
}

/// Counts a right or a wrong PIN; what it leads to.
pub fn count(state: &mut MailboxState, right: bool, rules: &PinRules) -> PinAnswer {
    if state.locked {
        return PinAnswer::Locked;
    }
    if right {
        state.failures = 0;
        return PinAnswer::Right;
    }
    state.failures = state.failures.saturating_add(1);
    if rules.failures_lock.is_some_and(|most| state.failures >= most) {
        state.locked = true;
        return PinAnswer::Locked;
    }
    match rules.failures_reset {
        Some(every) if every > 0 && state.failures.is_multiple_of(every) => PinAnswer::Reset,
        _ => PinAnswer::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PinRules {
        PinRules {
            digits_min: 4,
            common: false,
            history: 3,
            lifetime: Some(Duration::from_secs(60 * 86_400)),
            failures_reset: Some(5),
            failures_lock: Some(15),
        }
    }

    #[test]
    fn what_is_easily_guessed_is_refused() {
        for (pin, wanted) in [
            ("2580", Ok(())),
            ("123", Err(PinFault::TooShort)),
            ("1234", Err(PinFault::Common)),
            ("65432", Err(PinFault::Common)),
            ("11111", Err(PinFault::Common)),
            ("6697", Err(PinFault::Common)),
            ("3669712", Err(PinFault::Common)),
            ("9036697", Err(PinFault::Common)),
            ("12a4", Err(PinFault::NoDigits)),
            ("1357913579135791357913579", Err(PinFault::TooLong)),
        ] {
            assert_eq!(judge(pin, Some("36697"), &rules()), wanted, "{pin}");
        }
        let lax = PinRules { common: true, ..rules() };
        assert_eq!(judge("1234", Some("36697"), &lax), Ok(()));
        assert_eq!(judge("3669712", Some("36697"), &lax), Ok(()));
        assert_eq!(judge("6697", Some("36697"), &lax), Err(PinFault::Common));
    }

    #[test]
    fn a_pin_is_known_by_its_hash_and_the_secret_alone() {
        let hash = hash("2580", b"secret").unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("2580"));
        assert!(is_of("2580", &hash, b"secret"));
        assert!(
            !is_of("2581", &hash, b"secret") && !is_of("2580", &hash, b"another") && !is_of("2580", "x", b"secret")
        );
    }

    #[test]
    fn five_wrong_pins_make_another_and_fifteen_lock() {
        let mut state = MailboxState::default();
        let answers: Vec<_> = (0..16).map(|_| count(&mut state, false, &rules())).collect();
        for (at, answer) in (1..).zip(&answers) {
            let wanted = match at {
                5 | 10 => PinAnswer::Reset,
                15.. => PinAnswer::Locked,
                _ => PinAnswer::Wrong,
            };
            assert_eq!(*answer, wanted, "failure {at}");
        }
        // A right one does not open what is locked.
        assert_eq!(count(&mut state, true, &rules()), PinAnswer::Locked);
        state.locked = false;
        assert_eq!(count(&mut state, true, &rules()), PinAnswer::Right);
        assert_eq!(state.failures, 0);
    }

    #[test]
    fn a_pin_that_is_old_short_or_given_must_be_changed() {
        let mut state = MailboxState::default();
        set(&mut state, "2580", "h".into(), false, 0, &rules());
        let day = 86_400_000;
        assert!(!must_change(&state, 60 * day, &rules()) && must_change(&state, 60 * day + 1, &rules()));
        assert!(must_change(&state, 0, &PinRules { digits_min: 6, ..rules() }));
        set(&mut state, "2581", "i".into(), true, 0, &rules());
        assert!(must_change(&state, 0, &rules()));
        assert_eq!(not_again(&state), ["i", "h"]);
        for at in 0..5 {
            set(&mut state, "2582", at.to_string(), false, 0, &rules());
        }
        assert_eq!(not_again(&state), ["4", "3", "2"]);
    }

    #[test]
    fn a_pin_that_is_made_up_is_allowed() {
        for _ in 0..100 {
            let pin = made_up(Some("1001"), &rules());
            assert!(pin.len() == 6 && judge(&pin, Some("1001"), &rules()).is_ok(), "{pin}");
        }
    }
}

//! Which nonce counts were used, for every nonce that was used rightly: bounded, and safe when it overflows.

use std::collections::BTreeMap;

use super::nonce::NonceId;

/// Counts behind the highest that may still arrive late, once each.
const WINDOW: u32 = 64;

/// The record of used nonce counts (RFC 7616 section 3.4, `nc`).
pub(super) struct Replays {
    /// In order of birth, so the oldest is first to expire and first to go.
    used: BTreeMap<NonceId, Used>,
    entries_max: usize,
    lifetime_ms: u64,
    /// Nonces up to this one may have been evicted: one of them that is not in the table is stale.
    floor: Option<NonceId>,
}

struct Used {
    highest: u32,
    /// Bit n: the count `highest - n` was used.
    window: u64,
}

/// What became of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// First seen.
    Fresh,
    /// Used before, or too far behind to know.
    Used,
    /// The record of the nonce was evicted: it may have been used.
    Unknown,
}

impl Replays {
    pub(super) fn new(entries_max: usize, lifetime_ms: u64) -> Replays {
        Replays { used: BTreeMap::new(), entries_max: entries_max.max(1), lifetime_ms, floor: None }
    }

    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    /// Notes that `count` of `nonce` is used now. Called only after the password was right.
    pub(super) fn note(&mut self, now_ms: u64, nonce: NonceId, count: u32) -> Count {
        if let Some(used) = self.used.get_mut(&nonce) {
            return used.note(count);
        }
        if self.floor.is_some_and(|floor| nonce <= floor) {
            return Count::Unknown;
        }
        self.forget_dead(now_ms);
        if self.used.len() >= self.entries_max {
            // The oldest goes, even if that is the new one.
            match self.used.first_key_value() {
                Some((oldest, _)) if *oldest < nonce => {
                    self.floor = self.used.pop_first().map(|(evicted, _)| evicted);
                }
                _ => return Count::Unknown,
            }
        }
        self.used.insert(nonce, Used { highest: count, window: 1 });
        Count::Fresh
    }

    /// Expired nonces are refused by their age, so their record is not needed. A few a call keeps each call short.
    fn forget_dead(&mut self, now_ms: u64) {
        for _ in 0..4 {
            let Some(oldest) = self.used.first_entry() else {
                return;
            };
            if now_ms < oldest.key().made_ms.saturating_add(self.lifetime_ms) {
                return;
            }
            // Under the floor, so that it stays dead even if the clock is set back.
            self.floor = Some(oldest.remove_entry().0);
        }
    }
}

impl Used {
    fn note(&mut self, count: u32) -> Count {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.window = self.window.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return Count::Fresh;
        }
        let behind = self.highest.saturating_sub(count);
        if behind >= WINDOW {
            return Count::Used;
        }
        let bit = 1_u64 << behind;
        if self.window & bit != 0 {
            return Count::Used;
        }
        self.window |= bit;
        Count::Fresh
    }
}

//! Packet indices: the guess of the roll-over counter, and what was seen (RFC 3711 section 3.3).

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How far behind the newest a packet may be (RFC 3711 section 3.3.2 asks for 64 at least).
pub const WINDOW_PACKETS: u64 = 64;
/// Sources that may send under one key; further ones are refused.
pub const SOURCES_MAX: usize = 32;

/// The sources under one key, in atomics that another thread can go on from; nothing is locked. A source is written by one
/// thread at a time; while a party moves from call to call, two workers have its key for a moment, so a place and an SRTCP
/// index are claimed in one step.
#[derive(Default)]
pub struct Sources {
    slots: [Source; SOURCES_MAX],
    count: AtomicUsize,
    /// The SRTCP index of the next packet that we send: one for all sources, so that none is ever used twice.
    reports: AtomicU32,
}

/// One synchronisation source.
#[derive(Default)]
pub struct Source {
    ssrc: AtomicU32,
    pub rtp: Window,
    pub rtcp: Window,
}

/// Which indices of a source were seen.
#[derive(Default)]
pub struct Window {
    /// The newest index plus one; 0 before the first.
    next: AtomicU64,
    /// Bit n: newest - n was seen.
    seen: AtomicU64,
}

/// The index was seen, or is so old that nobody remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen;

impl Sources {
    /// The place of a source; `hint` is where it was last.
    #[inline]
    pub fn find(&self, ssrc: u32, hint: usize) -> Option<usize> {
        let count = self.count.load(Relaxed).min(SOURCES_MAX);
        let is = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.ssrc.load(Relaxed) == ssrc);
        if hint < count && is(&hint) {
            return Some(hint);
        }
        (0..count).find(is)
    }

    #[inline]
    pub fn get(&self, at: usize) -> Option<&Source> {
        self.slots.get(at)
    }

    /// Gives a new source a place; `None` when there are as many as may be.
    pub fn add(&self, ssrc: u32) -> Option<usize> {
        let at = self.count.fetch_update(Relaxed, Relaxed, |at| (at < SOURCES_MAX).then_some(at + 1)).ok()?;
        self.slots.get(at)?.ssrc.store(ssrc, Relaxed);
        Some(at)
    }

    /// The index of the next SRTCP packet to send; `None` when the key has had all 2^31 (RFC 3711 section 9.2).
    pub fn next_report(&self) -> Option<u32> {
        self.reports.fetch_update(Relaxed, Relaxed, |index| (index < 1 << 31).then_some(index + 1)).ok()
    }
}

impl Window {
    /// The index that a sequence number most likely means (RFC 3711 section 3.3.1 and appendix A); `None` where it would be
    /// before the first or past the last.
    #[inline]
    pub fn guess(&self, sequence: u16) -> Option<u64> {
        const HALF: u16 = 1 << 15;
        let Some(newest) = self.next.load(Relaxed).checked_sub(1) else { return Some(sequence.into()) };
        let [_, _, _, _, _, _, high, low] = newest.to_be_bytes();
        let newest_sequence = u16::from_be_bytes([high, low]);
        let cycles = newest >> 16;
        let cycles = if newest_sequence < HALF {
            if sequence > newest_sequence + HALF { cycles.checked_sub(1)? } else { cycles }
        } else if sequence < newest_sequence - HALF {
            cycles + 1
        } else {
            cycles
        };
        (cycles <= u64::from(u32::MAX)).then(|| cycles << 16 | u64::from(sequence))
    }

    /// Whether an index is new.
    ///
    /// # Errors
    /// [`Seen`].
    #[inline]
    pub fn judge(&self, index: u64) -> Result<(), Seen> {
        let Some(newest) = self.next.load(Relaxed).checked_sub(1) else { return Ok(()) };
        match newest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind >= WINDOW_PACKETS => Err(Seen),
            Some(behind) if self.seen.load(Relaxed) >> behind & 1 == 1 => Err(Seen),
            Some(_) => Ok(()),
        }
    }

    /// Marks a judged index as seen.
    #[inline]
    pub fn note(&self, index: u64) {
        let seen = self.seen.load(Relaxed);
        let ahead = (index + 1).saturating_sub(self.next.load(Relaxed));
        if ahead > 0 {
            // The window before the newest: who dies in between has marked too much, never too little.
            let shifted = u32::try_from(ahead).ok().and_then(|ahead| seen.checked_shl(ahead)).unwrap_or(0);
            self.seen.store(shifted | 1, Relaxed);
            self.next.store(index + 1, Relaxed);
        } else if let Some(newest) = self.next.load(Relaxed).checked_sub(1) {
            self.seen.store(seen | 1 << (newest - index).min(63), Relaxed);
        }
    }
}

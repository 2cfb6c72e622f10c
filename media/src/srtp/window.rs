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
    /// SRTP packets under the key, of all sources.
    packets: AtomicU64,
    /// SRTCP packets under the key, of all sources: the index of the next one that we send, so that none is ever used twice.
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

/// A sequence number stands for no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoIndex {
    /// It would be before the first.
    Before,
    /// It would be past the last.
    Past,
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

    /// The index of the next SRTCP packet to send; `None` when the key has had as many as it may.
    pub fn next_report(&self, most: u32) -> Option<u32> {
        self.reports.fetch_update(Relaxed, Relaxed, |index| (index < most).then_some(index + 1)).ok()
    }

    /// Counts an SRTCP packet that came.
    pub fn count_report(&self) {
        self.reports.store(self.reports().saturating_add(1), Relaxed);
    }

    /// SRTCP packets so far.
    pub fn reports(&self) -> u32 {
        self.reports.load(Relaxed)
    }

    /// Counts an SRTP packet. Two workers that have the key for a moment may count two as one: nothing hangs on a few.
    #[inline]
    pub fn count_packet(&self) {
        self.packets.store(self.packets() + 1, Relaxed);
    }

    /// SRTP packets so far.
    #[inline]
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }
}

impl Window {
    /// The index that a sequence number most likely means (RFC 3711 section 3.3.1 and appendix A).
    ///
    /// # Errors
    /// [`NoIndex`].
    #[inline]
    pub fn guess(&self, sequence: u16) -> Result<u64, NoIndex> {
        const HALF: u16 = 1 << 15;
        let Some(newest) = self.next.load(Relaxed).checked_sub(1) else { return Ok(sequence.into()) };
        let [_, _, _, _, _, _, high, low] = newest.to_be_bytes();
        let newest_sequence = u16::from_be_bytes([high, low]);
        let cycles = newest >> 16;
        let cycles = if newest_sequence < HALF {
            if sequence > newest_sequence + HALF { cycles.checked_sub(1).ok_or(NoIndex::Before)? } else { cycles }
        } else if sequence < newest_sequence - HALF {
            cycles + 1
        } else {
            cycles
        };
        if cycles > u64::from(u32::MAX) { Err(NoIndex::Past) } else { Ok(cycles << 16 | u64::from(sequence)) }
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

#[cfg(test)]
impl Sources {
    /// As after that many packets and reports, the last packet of `ssrc` having had the index `newest`.
    pub fn after(ssrc: u32, newest: u64, packets: u64, reports: u32) -> Sources {
        let sources = Sources::default();
        let at = sources.add(ssrc).unwrap();
        sources.get(at).unwrap().rtp.note(newest);
        sources.packets.store(packets, Relaxed);
        sources.reports.store(reports, Relaxed);
        sources
    }
}

//! A tape: samples on their way from a worker to the writer, in a ring without a lock. One thread puts, one takes.

use super::Why;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Samples in one place of the ring: they travel by four.
const PER_PLACE: usize = 4;

/// See the module.
#[derive(Debug)]
pub struct Tape {
    rate_hz: u32,
    places: Box<[AtomicU64]>,
    /// Places put and taken since the beginning; their difference is what lies on the tape.
    put: AtomicU64,
    taken: AtomicU64,
    lost: AtomicU64,
    /// 0: runs; 1: told to stop; else the key that stopped it.
    stop: AtomicU32,
    stop_keys: &'static str,
    closed: AtomicBool,
}

impl Tape {
    /// A tape for so much sound.
    pub fn new(rate_hz: u32, length_ms: u32, stop_keys: &'static str) -> Tape {
        let places = (rate_hz * length_ms / 1000) as usize / PER_PLACE;
        Tape {
            rate_hz,
            places: (0..places.max(1)).map(|_| AtomicU64::new(0)).collect(),
            put: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            stop: AtomicU32::new(0),
            stop_keys,
            closed: AtomicBool::new(false),
        }
    }

    /// Rate of the samples that it wants, Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Puts samples on the tape, a multiple of four; all of them or, where there is no room, none. Never waits.
    pub fn put(&self, samples: &[i16]) {
        let (groups, rest) = samples.as_chunks::<PER_PLACE>();
        let put = self.put.load(Ordering::Relaxed);
        let room = self.places.len() as u64 - (put - self.taken.load(Ordering::Acquire));
        self.lost.fetch_add(rest.len() as u64, Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) != 0 || self.closed.load(Ordering::Relaxed) {
            return;
        }
        if (groups.len() as u64) > room {
            self.lost.fetch_add(groups.as_flattened().len() as u64, Ordering::Relaxed);
            return;
        }
        for (at, [a, b, c, d]) in (put..).zip(groups) {
            let word = [a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes()];
            if let (Some(place), Ok(word)) = (self.place(at), <[u8; 8]>::try_from(word.as_flattened())) {
                place.store(u64::from_ne_bytes(word), Ordering::Relaxed);
            }
        }
        self.put.store(put + groups.len() as u64, Ordering::Release);
    }

    /// Takes samples off the tape; 0 when there are none. `out` has room for four at least.
    pub fn take(&self, out: &mut [i16]) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        let there = self.put.load(Ordering::Acquire) - taken;
        let (groups, _) = out.as_chunks_mut::<PER_PLACE>();
        let count = groups.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        for (at, group) in (taken..).zip(groups.iter_mut().take(count)) {
            let word = self.place(at).map_or(0, |place| place.load(Ordering::Relaxed)).to_ne_bytes();
            for (sample, bytes) in group.iter_mut().zip(word.as_chunks::<2>().0) {
                *sample = i16::from_ne_bytes(*bytes);
            }
        }
        self.taken.store(taken + count as u64, Ordering::Release);
        count * PER_PLACE
    }

    /// Ends the recording: what is on the tape is still written.
    pub fn stop(&self) {
        let _stopped_before = self.stop.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// A key was pressed: ends the recording if it is one of its keys.
    pub fn key(&self, digit: char) {
        if self.stop_keys.contains(digit) {
            let _stopped_before = self.stop.compare_exchange(0, u32::from(digit), Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Why it was told to stop, if it was.
    pub(super) fn stopped(&self) -> Option<Why> {
        match self.stop.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Why::Stopped),
            key => Some(char::from_u32(key).map_or(Why::Stopped, Why::Key)),
        }
    }

    /// The recording has ended: nothing is put any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether the recording has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Samples that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn place(&self, at: u64) -> Option<&AtomicU64> {
        usize::try_from(at % self.places.len() as u64).ok().and_then(|at| self.places.get(at))
    }
}

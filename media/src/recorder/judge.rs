//! When a recording ends by itself: rules on samples alone, without a clock.

use super::Why;
use std::time::Duration;

/// Below this mean square (about -50 dBm0) a block of 20 ms is silence: the noise of a line is not worth keeping.
const SOUND: f64 = 70.0 * 70.0;
/// Silence that stays at the end of a recording that silence has ended.
const TAIL_MS: u64 = 300;

/// Counts what it hears.
pub struct Judge {
    block: usize,
    in_block: usize,
    power: f64,
    /// Samples heard, and samples since the last block with a sound.
    heard: u64,
    quiet: u64,
    /// Samples of blocks with a sound.
    sounded: u64,
    longest: u64,
    silence: Option<u64>,
    tail: u64,
}

impl Judge {
    pub fn new(rate_hz: u32, longest: Duration, silence: Option<Duration>) -> Judge {
        let samples = |time: Duration| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(rate_hz)) / 1000
        };
        Judge {
            block: (rate_hz / 50).max(1) as usize,
            in_block: 0,
            power: 0.0,
            heard: 0,
            quiet: 0,
            sounded: 0,
            longest: samples(longest),
            silence: silence.map(samples),
            tail: samples(Duration::from_millis(TAIL_MS)),
        }
    }

    /// Hears samples: how many of them still belong to the recording, and why it ends with them, if it does.
    pub fn hear(&mut self, samples: &[i16]) -> (usize, Option<Why>) {
        for (at, sample) in samples.iter().enumerate() {
            if self.heard >= self.longest {
                return (at, Some(Why::Longest));
            }
            self.heard += 1;
            self.power += f64::from(*sample).powi(2);
            self.in_block += 1;
            if self.in_block < self.block {
                continue;
            }
            let loud = self.power / self.block as f64 >= SOUND;
            (self.in_block, self.power) = (0, 0.0);
            self.sounded += if loud { self.block as u64 } else { 0 };
            self.quiet = if loud { 0 } else { self.quiet + self.block as u64 };
            if self.silence.is_some_and(|limit| self.quiet >= limit) {
                return (at + 1, Some(Why::Silence));
            }
        }
        (samples.len(), None)
    }

    /// Samples that belong to a sound.
    pub fn sounded(&self) -> u64 {
        self.sounded
    }

    /// Samples at the end that are silence and may be cut off.
    pub fn trailing_silence(&self) -> u64 {
        self.quiet.saturating_sub(self.tail)
    }
}

//! The tone of a key.

use super::Key;
use crate::tone::Sine;

/// Levels of the two frequencies, in dBm0: the high one leaves louder, because lines weaken it more.
const LOW_DBM0: f64 = -9.0;
const HIGH_DBM0: f64 = -7.0;

/// Generates the tone of a key.
#[derive(Clone, Copy, Debug)]
pub struct DualTone {
    low: Sine,
    high: Sine,
}

impl DualTone {
    /// The tone of `key` at the levels that the switch gives it, -9 and -7 dBm0; `None` for hook flash.
    pub fn new(key: Key, rate_hz: u32) -> Option<DualTone> {
        let (low_hz, high_hz) = key.tone_hz()?;
        Some(DualTone::of((low_hz, LOW_DBM0), (high_hz, HIGH_DBM0), rate_hz))
    }

    /// Two frequencies in Hz with their levels in dBm0.
    pub fn of(low: (f64, f64), high: (f64, f64), rate_hz: u32) -> DualTone {
        DualTone { low: Sine::new(low.0, low.1, rate_hz), high: Sine::new(high.0, high.1, rate_hz) }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            let (mut low, mut high) = ([0], [0]);
            self.low.fill(&mut low);
            self.high.fill(&mut high);
            let ([low], [high]) = (low, high);
            *sample = low.saturating_add(high);
        }
    }
}

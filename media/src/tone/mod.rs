//! Tones: a sine at an exact frequency and level, and the instrument that measures one.

mod measure;

pub use measure::{Measured, measure};

/// Peak of a sine at 0 dBm0 in 16-bit samples.
///
/// ITU-T G.711 puts the overload point of µ-law (8159 of 14 bits, 32636 of 16) at 3.17 dBm0; A-law's 3.14 dBm0 gives the
/// same within 0.06 dB, so one figure serves both laws and L16.
pub const PEAK_0_DBM0: f64 = 22_656.4;

/// Generates a sine. Cheap to copy; keeps its phase from call to call, so that blocks join without a click.
#[derive(Clone, Copy, Debug)]
pub struct Sine {
    peak: f64,
    turns_per_sample: f64,
    /// Phase in turns, 0 to 1.
    phase: f64,
}

impl Sine {
    /// A sine of `hz` at `dbm0` for samples taken at `rate_hz`.
    pub fn new(hz: f64, dbm0: f64, rate_hz: u32) -> Sine {
        Sine {
            peak: PEAK_0_DBM0 * 10f64.powf(dbm0 / 20.0),
            turns_per_sample: hz / f64::from(rate_hz.max(1)),
            phase: 0.0,
        }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = to_sample(self.peak * (self.phase * std::f64::consts::TAU).sin());
            self.phase = (self.phase + self.turns_per_sample).fract();
        }
    }

    /// Moves the phase on as if `samples` had been written.
    pub fn skip(&mut self, samples: u32) {
        self.phase = (self.phase + self.turns_per_sample * f64::from(samples)).fract();
    }
}

/// Rounds and clips to 16 bits.
#[allow(clippy::cast_possible_truncation)] // clamped before: the cast cannot lose anything but the fraction
pub(crate) fn to_sample(value: f64) -> i16 {
    value.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests;

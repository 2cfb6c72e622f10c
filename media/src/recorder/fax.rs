//! The calling tone of a fax machine (ITU-T T.30 section 4.2: 1,100 Hz ± 38 Hz, half a second of each three and a half).

use std::f64::consts::TAU;

/// Hz.
const TONE_HZ: f64 = 1100.0;
/// Blocks of 10 ms: wide enough for the tolerance of the frequency.
const BLOCKS_PER_S: u32 = 100;
/// How many blocks a tone has: 0.5 s ± 15 %, and the blocks that it only begins and ends in.
const LASTS: std::ops::RangeInclusive<u32> = 40..=60;
/// What the tone holds of the power of its blocks.
const SHARE_MIN: f64 = 0.5;
/// Mean square of a block below which nothing is heard (about -43 dBm0).
const POWER_MIN: f64 = 150.0 * 150.0;
/// Blocks without the tone that end it; a single one is a click.
const GAP: u32 = 3;

/// Listens for it: rules on samples alone.
pub struct FaxTone {
    block: usize,
    in_block: usize,
    /// Goertzel's two values and its coefficient.
    before: (f64, f64),
    coefficient: f64,
    power: f64,
    /// Blocks with the tone in a row, and without it since.
    with: u32,
    without: u32,
}

impl FaxTone {
    pub fn new(rate_hz: u32) -> FaxTone {
        let block = (rate_hz / BLOCKS_PER_S).max(1);
        FaxTone {
            block: block as usize,
            in_block: 0,
            before: (0.0, 0.0),
            coefficient: 2.0 * (TAU * TONE_HZ / f64::from(rate_hz.max(1))).cos(),
            power: 0.0,
            with: 0,
            without: 0,
        }
    }

    /// Hears samples; true when a calling tone has just ended.
    pub fn hear(&mut self, samples: &[i16]) -> bool {
        let mut ended = false;
        for sample in samples {
            ended |= self.sample(f64::from(*sample));
        }
        ended
    }

    fn sample(&mut self, sample: f64) -> bool {
        let (one, two) = self.before;
        self.before = (sample + self.coefficient * one - two, one);
        self.power += sample * sample;
        self.in_block += 1;
        if self.in_block < self.block {
            return false;
        }
        let (one, two) = self.before;
        let count = self.block as f64;
        // The power of the tone over the power of all: 1 for a pure one.
        let of_tone = 2.0 * (one * one + two * two - self.coefficient * one * two) / count;
        let has_tone = self.power / count >= POWER_MIN && of_tone >= SHARE_MIN * self.power;
        (self.in_block, self.before, self.power) = (0, (0.0, 0.0), 0.0);
        if has_tone {
            (self.with, self.without) = (self.with + 1, 0);
            return false;
        }
        self.without += 1;
        if self.without < GAP {
            return false;
        }
        LASTS.contains(&std::mem::take(&mut self.with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Sine;

    const RATE_HZ: u32 = 8000;

    /// Whether a tone of this length, between silences, is told.
    fn told(hz: f64, ms: usize) -> bool {
        let mut sine = vec![0; ms * 8];
        Sine::new(hz, -15.0, RATE_HZ).fill(&mut sine);
        let samples = [vec![0; 1234], sine, vec![0; 800]].concat();
        let mut fax = FaxTone::new(RATE_HZ);
        samples.chunks(77).filter(|part| fax.hear(part)).count() == 1
    }

    #[test]
    fn half_a_second_of_its_tone_is_a_fax_machine_and_other_tones_are_none() {
        for (hz, ms) in [(1100.0, 500), (1100.0, 425), (1100.0, 575), (1062.0, 500), (1138.0, 500)] {
            assert!(told(hz, ms), "{hz} Hz, {ms} ms");
        }
        for (hz, ms) in [(1100.0, 300), (1100.0, 1000), (1000.0, 500), (1209.0, 500), (440.0, 500), (2100.0, 500)] {
            assert!(!told(hz, ms), "{hz} Hz, {ms} ms");
        }
        // With noise over all of it.
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (i32::try_from(seed >> 16).unwrap() - 32_768) / 40
        };
        let mut sine = vec![0; 4000];
        Sine::new(1100.0, -15.0, RATE_HZ).fill(&mut sine);
        let clean: Vec<i16> = [vec![0; 800], sine, vec![0; 800]].concat();
        let noisy: Vec<i16> = clean.iter().map(|sample| (i32::from(*sample) + noise()) as i16).collect();
        assert!(FaxTone::new(RATE_HZ).hear(&noisy));
    }
}

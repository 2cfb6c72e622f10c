//! The instrument: strongest frequency and its level, by Goertzel's algorithm under a Hann window.

use super::PEAK_0_DBM0;
use std::f64::consts::TAU;

/// Samples that a measurement looks at, from the start; more are ignored.
const SAMPLES_MAX: usize = 8192;
/// Fewer samples than this tell nothing.
const SAMPLES_MIN: usize = 64;

/// What [`measure`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Frequency of the strongest tone.
    pub hz: f64,
    /// Its level.
    pub dbm0: f64,
    /// Its share of the whole power, 0 to 1: near 1 means that there was nothing else.
    pub purity: f64,
}

/// Measures the strongest tone between 50 Hz and just below half of `rate_hz`. `None` for silence or fewer than 64 samples.
///
/// With half a second of a clean tone, frequency is good to 0.1 Hz and level to 0.05 dB.
pub fn measure(samples: &[i16], rate_hz: u32) -> Option<Measured> {
    let samples = samples.get(..SAMPLES_MAX).unwrap_or(samples);
    if samples.len() < SAMPLES_MIN || samples.iter().all(|sample| *sample == 0) {
        return None;
    }
    let rate = f64::from(rate_hz);
    let count = samples.len() as f64;
    let windowed: Vec<f64> = samples
        .iter()
        .enumerate()
        .map(|(n, sample)| f64::from(*sample) * (0.5 - 0.5 * (TAU * (n as f64 + 0.5) / count).cos()))
        .collect();
    let strength = |hz: f64| amplitude(&windowed, hz / rate);
    // The main lobe is four bins wide: one look a bin cannot miss it.
    let bin = rate / count;
    let bins = (50.0 / bin).ceil() as usize..(0.49 * count) as usize;
    let (_, coarse) =
        bins.map(|n| n as f64 * bin).map(|hz| (strength(hz), hz)).max_by(|left, right| left.0.total_cmp(&right.0))?;
    let (mut low, mut high) = (coarse - bin, coarse + bin);
    while high - low > 0.001 {
        let third = (high - low) / 3.0;
        if strength(low + third) < strength(high - third) { low += third } else { high -= third }
    }
    let hz = (low + high) / 2.0;
    let peak = strength(hz);
    let power = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / count;
    Some(Measured { hz, dbm0: 20.0 * (peak / PEAK_0_DBM0).log10(), purity: (peak * peak / 2.0 / power).min(1.0) })
}

/// Peak of the sine at `turns` a sample inside Hann-windowed samples (Goertzel; the window's mean is one half).
fn amplitude(windowed: &[f64], turns: f64) -> f64 {
    let coefficient = 2.0 * (TAU * turns).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in windowed {
        (last, before) = (sample + coefficient * last - before, last);
    }
    let power = last * last + before * before - coefficient * last * before;
    4.0 * power.max(0.0).sqrt() / windowed.len() as f64
}

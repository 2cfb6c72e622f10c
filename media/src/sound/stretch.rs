//! Speech that is said faster or slower, at the same pitch: by overlapping and adding pieces of it where they are most alike
//! (WSOLA: Verhelst and Roelands, ICASSP 1993).

/// Samples of a piece: 30 ms at 8 kHz, more than a period of the lowest voice.
const PIECE: usize = 240;
/// Half of it overlaps with its neighbour.
const STEP: usize = PIECE / 2;
/// How far a piece may be moved to where it fits: 10 ms, a period of 100 Hz.
const SEARCH: usize = 80;
/// Every how many samples are compared.
const STRIDE: usize = 2;

/// Plays `samples` at `percent` of their speed: 50 is half as fast, 200 twice.
pub fn stretch(samples: &[i16], percent: u32) -> Vec<i16> {
    let percent = percent.clamp(50, 200) as usize;
    if percent == 100 || samples.len() < PIECE + SEARCH {
        return samples.to_vec();
    }
    let length = samples.len() * 100 / percent;
    let mut out = Vec::with_capacity(length + PIECE);
    out.extend_from_slice(samples.get(..STEP).unwrap_or_default());
    // Where the piece before would go on by itself.
    let mut natural = STEP;
    while out.len() < length {
        let ideal = out.len() * percent / 100;
        let Some(at) = best(samples, natural, ideal) else { break };
        let (Some(fading), Some(coming)) = (samples.get(natural..natural + STEP), samples.get(at..at + STEP)) else {
            break;
        };
        out.extend(fading.iter().zip(coming).enumerate().map(|(index, (fading, coming))| mix(*fading, *coming, index)));
        natural = at + STEP;
    }
    let rest = samples.get(natural..).unwrap_or_default();
    out.extend(rest.iter().take(length.saturating_sub(out.len())));
    out
}

/// Where near `ideal` the sound is most like what comes at `natural`.
fn best(samples: &[i16], natural: usize, ideal: usize) -> Option<usize> {
    let wanted = samples.get(natural..natural + STEP)?;
    let first = ideal.saturating_sub(SEARCH / 2);
    let last = (first + SEARCH).min(samples.len().checked_sub(PIECE)?);
    let likeness = |at: usize| -> i64 {
        let there = samples.get(at..at + STEP).unwrap_or_default();
        let both = wanted.iter().zip(there).step_by(STRIDE);
        // Of two that are as like, the one that is as loud: a product alone prefers the loudest.
        both.map(|(one, other)| -(i64::from(*one) - i64::from(*other)).abs()).sum()
    };
    (first..=last).max_by_key(|at| likeness(*at))
}

#[allow(clippy::cast_possible_truncation)] // between two samples
fn mix(fading: i16, coming: i16, index: usize) -> i16 {
    let (index, step) = (index as i32, STEP as i32);
    ((i32::from(fading) * (step - index) + i32::from(coming) * index) / step) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Sine, measure};
    use proptest::prelude::*;

    #[test]
    fn a_tone_keeps_its_pitch_and_level_at_every_speed() {
        for hz in [150.0, 440.0, 1000.0] {
            let mut tone = vec![0; 16_000];
            Sine::new(hz, -10.0, 8000).fill(&mut tone);
            for percent in [50, 75, 125, 150, 200] {
                let out = stretch(&tone, percent);
                let wanted = 16_000 * 100 / percent as usize;
                assert!(out.len().abs_diff(wanted) <= PIECE, "{hz} Hz at {percent} %: {} samples", out.len());
                let found = measure(&out, 8000).unwrap();
                assert!((found.hz - hz).abs() < hz * 0.01, "{hz} Hz at {percent} %: {found:?}");
                assert!((found.dbm0 + 10.0).abs() < 1.0, "{hz} Hz at {percent} %: {found:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_sound_at_any_speed_is_as_long_as_it_should_be(samples: Vec<i16>, percent in 0u32..300) {
            let out = stretch(&samples, percent);
            let wanted = samples.len() * 100 / percent.clamp(50, 200) as usize;
            prop_assert!(out.len() == samples.len() || out.len().abs_diff(wanted) <= PIECE + SEARCH);
        }
    }
}

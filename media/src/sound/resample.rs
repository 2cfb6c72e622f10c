//! From one rate to another: a low-pass filter by table, evaluated only where a sample is wanted (polyphase).

use parking_lot::Mutex;
use std::sync::{Arc, LazyLock};

use super::RATES_HZ;

/// Length of the filter, in periods of the lower rate. With [`SHAPE`] it is flat to 0.42 of the lower rate (3.4 kHz of 8) and
/// 65 dB down from 0.51 on.
const PERIODS: u32 = 48;
/// The filter's half-power point, as a share of the lower rate.
const CUTOFF: f64 = 0.465;
/// Of the Kaiser window.
const SHAPE: f64 = 6.2;
/// 1 in coefficients. Their magnitudes sum up to less than two, so that 32 bits hold any sum of products.
const ONE: f64 = 16_384.0;
const ONE_BITS: u32 = 14;
/// Samples that are taken in at a time.
const BLOCK: usize = 960;

/// Changes the rate of one stream. Its delay is half of the filter: 3 ms where the lower rate is 8 kHz.
#[derive(Debug)]
pub struct Resampler {
    table: Arc<Table>,
    /// The samples that later outputs may need, oldest first.
    waiting: Vec<i16>,
    /// Where the next output's window begins, and how far it lies behind that sample, in parts of [`Table::up`].
    start: usize,
    phase: usize,
}

/// The filter between two rates.
#[derive(Debug)]
struct Table {
    from_hz: u32,
    to_hz: u32,
    /// `up` outputs for `down` inputs.
    up: usize,
    down: usize,
    taps: usize,
    /// `up` rows of `taps` coefficients.
    coefficients: Box<[i16]>,
}

/// Tables are made once: there are at most as many as pairs of rates.
static TABLES: LazyLock<Mutex<Vec<Arc<Table>>>> = LazyLock::new(Mutex::default);

impl Resampler {
    /// From one rate of [`RATES_HZ`] to another; `None` for other rates. The first use of a pair makes its table.
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Resampler> {
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return None;
        }
        let mut tables = TABLES.lock();
        let known = tables.iter().find(|table| (table.from_hz, table.to_hz) == (from_hz, to_hz)).cloned();
        let table = known.unwrap_or_else(|| {
            let table = Arc::new(Table::new(from_hz, to_hz));
            tables.push(Arc::clone(&table));
            table
        });
        drop(tables);
        let mut waiting = Vec::with_capacity(table.taps + BLOCK);
        waiting.resize(table.taps - 1, 0);
        Some(Resampler { table, waiting, start: 0, phase: 0 })
    }

    /// How many samples must go in for `count` to come out.
    pub fn input_for(&self, count: usize) -> usize {
        let Some(last) = count.checked_sub(1) else { return 0 };
        let end = self.start + (self.phase + last * self.table.down) / self.table.up + self.table.taps;
        end.saturating_sub(self.waiting.len())
    }

    /// The most samples that `count` can become.
    pub fn output_max(&self, count: usize) -> usize {
        count * self.table.up / self.table.down + 1
    }

    /// Takes samples in and writes what they give; returns the samples written. What finds no room in `out` is lost.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let Table { up, down, taps, coefficients, .. } = &*self.table;
        let mut written = 0;
        for block in input.chunks(BLOCK) {
            self.waiting.extend_from_slice(block);
            while let Some(window) = self.waiting.get(self.start..self.start + taps) {
                let row = coefficients.get(self.phase * taps..(self.phase + 1) * taps).unwrap_or_default();
                if let Some(place) = out.get_mut(written) {
                    *place = weigh(window, row);
                    written += 1;
                }
                self.phase += down;
                self.start += self.phase / up;
                self.phase %= up;
            }
            let keep_from = self.start.min(self.waiting.len());
            self.waiting.copy_within(keep_from.., 0);
            self.waiting.truncate(self.waiting.len() - keep_from);
            self.start -= keep_from;
        }
        written
    }
}

fn weigh(window: &[i16], row: &[i16]) -> i16 {
    let sum = window.iter().zip(row).map(|(sample, weight)| i32::from(*sample) * i32::from(*weight)).sum::<i32>();
    let rounded = (sum + (1 << (ONE_BITS - 1))) >> ONE_BITS;
    i16::try_from(rounded.clamp(i16::MIN.into(), i16::MAX.into())).unwrap_or(0)
}

impl Table {
    fn new(from_hz: u32, to_hz: u32) -> Table {
        let common = greatest_common_divisor(from_hz, to_hz);
        let (up, down) = ((to_hz / common) as usize, (from_hz / common) as usize);
        let low = from_hz.min(to_hz);
        // A multiple of eight: the sums are done eight at a time.
        let taps = ((PERIODS * from_hz).div_ceil(low) as usize).next_multiple_of(8);
        let cutoff = CUTOFF * f64::from(low) / f64::from(from_hz);
        let middle = (taps - 1) as f64 / 2.0;
        let mut coefficients = Vec::with_capacity(up * taps);
        for phase in 0..up {
            // The output lies `phase / up` behind the window's middle.
            let centre = middle + phase as f64 / up as f64;
            let row: Vec<f64> = (0..taps)
                .map(|tap| {
                    let at = tap as f64 - centre;
                    2.0 * cutoff * sinc(2.0 * cutoff * at) * kaiser(at / (taps as f64 / 2.0 + 0.5))
                })
                .collect();
            let sum: f64 = row.iter().sum();
            coefficients.extend(row.iter().map(|weight| crate::tone::to_sample(weight / sum * ONE)));
        }
        Table { from_hz, to_hz, up, down, taps, coefficients: coefficients.into() }
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    let turned = std::f64::consts::PI * x;
    if turned.abs() < 1e-9 { 1.0 } else { turned.sin() / turned }
}

/// The Kaiser window between -1 and 1.
fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel(SHAPE * (1.0 - x * x).sqrt()) / bessel(SHAPE) }
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Sine, measure};

    #[test]
    fn tones_keep_frequency_and_level_between_any_two_rates() {
        for from_hz in RATES_HZ {
            for to_hz in RATES_HZ {
                for hz in [300.0, 1000.0, 3300.0] {
                    let mut samples = vec![0; from_hz as usize / 2];
                    Sine::new(hz, -10.0, from_hz).fill(&mut samples);
                    let mut out = vec![0; to_hz as usize / 2 + 2];
                    let count = Resampler::new(from_hz, to_hz).unwrap().process(&samples, &mut out);
                    let found = measure(&out[to_hz as usize / 50..count.min(to_hz as usize / 8)], to_hz).unwrap();
                    let what = format!("{hz} Hz, {from_hz} to {to_hz}: {found:?}");
                    assert!((found.hz - hz).abs() < 0.2 && (found.dbm0 + 10.0).abs() < 0.15, "{what}");
                    assert!(found.purity > 0.99, "{what}");
                }
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_gone() {
        for hz in [4200.0, 5000.0, 9000.0, 15_000.0, 23_000.0] {
            let mut samples = vec![0; 24_000];
            Sine::new(hz, 0.0, 48_000).fill(&mut samples);
            let mut out = vec![0; 4002];
            let count = Resampler::new(48_000, 8000).unwrap().process(&samples, &mut out);
            let loudest = out[200..count].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!(f64::from(loudest) < crate::tone::PEAK_0_DBM0 * 10f64.powf(-55.0 / 20.0), "{hz} Hz: {loudest}");
        }
    }

    #[test]
    fn blocks_of_any_length_give_what_one_gives_and_the_count_is_foreseen() {
        for (from_hz, to_hz) in [(8000, 48_000), (48_000, 8000), (44_100, 16_000), (8000, 44_100), (16_000, 8000)] {
            let mut samples = vec![0; from_hz as usize / 5];
            Sine::new(440.0, -6.0, from_hz).fill(&mut samples);
            let mut whole = vec![0; to_hz as usize];
            let count = Resampler::new(from_hz, to_hz).unwrap().process(&samples, &mut whole);
            let mut resampler = Resampler::new(from_hz, to_hz).unwrap();
            let mut parts = Vec::new();
            let mut rest = &samples[..];
            for wanted in [1, 160, 7, 320, 80].into_iter().cycle() {
                let needed = resampler.input_for(wanted);
                if needed > rest.len() {
                    break;
                }
                let (now, later) = rest.split_at(needed);
                rest = later;
                let mut out = [0; 1000];
                let given = resampler.process(now, &mut out);
                assert!(given <= resampler.output_max(needed) && (given >= wanted), "{from_hz} to {to_hz}");
                parts.extend_from_slice(&out[..given]);
            }
            assert!(parts.len() > count / 2);
            assert_eq!(parts[..], whole[..parts.len()]);
        }
    }

    #[test]
    fn rates_that_nobody_speaks_have_no_table() {
        assert!(Resampler::new(8000, 8001).is_none() && Resampler::new(96_000, 8000).is_none());
    }
}

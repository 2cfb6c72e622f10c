//! Keys as tones in sound: the detector (ITU-T Q.23, Q.24).
//!
//! Each hop of 8 ms the last 24 ms are looked at, under a Hann window, at the eight frequencies. Where a low and a high one
//! hold nearly all of the power, their phases since the window before tell what the frequencies really are, to a few
//! hertz: no speech keeps two of them in place for long. A key is down when four hops in a row are equally loud and the
//! last two windows, which lie inside them, agree; so a tone of 40 ms is always told, and one of 24 ms never.

use super::key::{HIGH_HZ, Key, LOW_HZ, Turn};
use crate::tone::PEAK_0_DBM0;
use std::f64::consts::TAU;
use std::sync::LazyLock;

/// The rate of the samples that are listened to, in Hz.
pub const RATE_HZ: u32 = 8000;

/// Samples of a hop: 8 ms.
const HOP: usize = 64;
/// Samples of a window: three hops.
const WINDOW: usize = 3 * HOP;
const HOP_MS: u32 = 8;
/// Hops of equal loudness that make a key.
const STEADY_HOPS: usize = 4;
/// Hops without the tone after which a key is up: an interruption of 10 ms takes two at most, a pause of 40 ms fills four.
const SILENT_HOPS: u32 = 4;
const FREQUENCIES: usize = LOW_HZ.len() + HIGH_HZ.len();

/// How far a frequency may be off: 1.5 % and 2 Hz are a key's, 3.5 % are nobody's.
const OFF_MAX: f32 = 0.025;
/// Level of each frequency, dBm0.
const LEVEL_MIN_DBM0: f64 = -36.0;
/// The high frequency may be this much louder than the low one, or that much softer (Q.24, table A-1: 4 and 8 dB), with
/// what noise adds.
const TWIST_HIGH_DB: f32 = 5.0;
const TWIST_LOW_DB: f32 = 9.5;
/// What the two must hold of the power. Noise 15 dB below them leaves them 0.97.
const SHARE_MIN: f32 = 0.88;
/// The same of a window that a key has only begun in, wherever its frequencies really are.
const SHARE_HINT_MIN: f32 = 0.7;
/// While a key is down, noise may hold as much as it.
const SHARE_HELD_MIN: f32 = 0.4;
/// Loudest to softest hop of a key that goes down, as power.
const STEADY_MAX: f32 = 1.6;
/// A hop below this part of the key's power is a pause.
const PAUSE_BELOW: f32 = 0.25;
/// How much a frequency's amplitude may change within a hop.
const CHANGE_MAX: f32 = 1.25;

/// Listens to one stream of samples. It has no clock, and needs no memory but its own.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The last window, oldest first; the last hop of it is filled up to `filled`.
    samples: [f32; WINDOW],
    filled: usize,
    /// Mean power of the last hops, newest last.
    powers: [f32; STEADY_HOPS],
    before: Option<Look>,
    /// The last window held a tone, of whatever length.
    suspects: bool,
    held: Option<Held>,
}

/// A key that is down.
#[derive(Clone, Copy, Debug)]
struct Held {
    key: Key,
    power: f32,
    hops: u32,
    /// Of them without the tone, at their end.
    silent: u32,
}

/// The strongest two frequencies of a window.
#[derive(Clone, Copy, Debug)]
struct Look {
    row: usize,
    column: usize,
    low: Line,
    high: Line,
    /// Power of the window.
    power: f32,
}

/// What a window holds of a frequency.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// As if the frequency were exact.
    amplitude: f32,
    phase: f32,
}

/// A window as a pair of tones.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    key: Key,
    /// Amplitude of each.
    low: f32,
    high: f32,
}

/// A window's weights for the sine and the cosine of each frequency, and the sum of its weights and of their squares.
struct Tables {
    cosines: [[f32; WINDOW]; FREQUENCIES],
    sines: [[f32; WINDOW]; FREQUENCIES],
    weights: [f32; WINDOW],
    sum: f32,
    squares: f32,
}

static TABLES: LazyLock<Box<Tables>> = LazyLock::new(|| {
    let mut tables = Box::new(Tables {
        cosines: [[0.0; WINDOW]; FREQUENCIES],
        sines: [[0.0; WINDOW]; FREQUENCIES],
        weights: [0.0; WINDOW],
        sum: 0.0,
        squares: 0.0,
    });
    for (n, weight) in tables.weights.iter_mut().enumerate() {
        *weight = (0.5 - 0.5 * (TAU * (n as f64 + 0.5) / WINDOW as f64).cos()) as f32;
    }
    tables.sum = tables.weights.iter().sum();
    tables.squares = tables.weights.iter().map(|weight| weight * weight).sum();
    let weights = tables.weights;
    let Tables { cosines, sines, .. } = &mut *tables;
    let frequencies = LOW_HZ.iter().chain(&HIGH_HZ);
    for ((hz, cosines), sines) in frequencies.zip(cosines).zip(sines) {
        for (n, ((cosine, sine), weight)) in cosines.iter_mut().zip(sines).zip(weights).enumerate() {
            let angle = TAU * hz * n as f64 / f64::from(RATE_HZ);
            (*cosine, *sine) = (weight * angle.cos() as f32, weight * angle.sin() as f32);
        }
    }
    tables
});

impl Default for Detector {
    fn default() -> Detector {
        Detector {
            samples: [0.0; WINDOW],
            filled: 0,
            powers: [0.0; STEADY_HOPS],
            before: None,
            suspects: false,
            held: None,
        }
    }
}

impl Detector {
    /// Listens on, at [`RATE_HZ`], and tells each key when it goes down and when it is up.
    pub fn listen(&mut self, mut samples: &[i16], mut tell: impl FnMut(Turn)) {
        while !samples.is_empty() {
            let place = self.samples.get_mut(WINDOW - HOP + self.filled..).unwrap_or_default();
            let (now, later) = samples.split_at(place.len().min(samples.len()));
            for (place, sample) in place.iter_mut().zip(now) {
                *place = f32::from(*sample);
            }
            self.filled += now.len();
            samples = later;
            if self.filled >= HOP {
                self.hop(&mut tell);
                self.samples.copy_within(HOP.., 0);
                self.filled = 0;
            }
        }
    }

    /// Whether what was heard last sounds like a key, told or not: who passes the sound on mutes it.
    pub fn suspects(&self) -> bool {
        self.suspects || self.held.is_some()
    }

    /// Some of the sound was lost: what comes next does not join what was. A key that is down stays down.
    pub fn gap(&mut self) {
        (self.before, self.filled, self.suspects) = (None, 0, false);
        self.powers = [0.0; STEADY_HOPS];
    }

    /// No more sound comes: lets a key go that is down.
    pub fn end(&mut self, mut tell: impl FnMut(Turn)) {
        self.gap();
        self.release(&mut tell);
    }

    fn hop(&mut self, tell: &mut impl FnMut(Turn)) {
        let newest = self.samples.get(WINDOW - HOP..).unwrap_or_default();
        let power = newest.iter().map(|sample| sample * sample).sum::<f32>() / HOP as f32;
        self.powers.rotate_left(1);
        if let Some(place) = self.powers.last_mut() {
            *place = power;
        }
        let look = Look::at(&self.samples, &TABLES);
        let verdict = self.before.and_then(|before| look.verdict(&before, &TABLES));
        self.before = Some(look);
        self.suspects = verdict.is_some() || look.hints(&TABLES);
        if let Some(held) = &mut self.held {
            held.hops += 1;
            let goes_on = power >= PAUSE_BELOW * held.power
                && look.key() == Some(held.key)
                && look.share(&TABLES) >= SHARE_HELD_MIN;
            held.silent = if goes_on { 0 } else { held.silent + 1 };
            if held.silent >= SILENT_HOPS {
                self.release(tell);
            }
        }
        let Some(verdict) = verdict.filter(|_| self.is_steady()) else { return };
        if self.held.is_none_or(|held| held.key != verdict.key) {
            self.release(tell);
            let power = (verdict.low * verdict.low + verdict.high * verdict.high) / 2.0;
            self.held = Some(Held { key: verdict.key, power, hops: STEADY_HOPS as u32, silent: 0 });
            tell(Turn::Down(verdict.key));
        }
    }

    /// Whether the last hops are equally loud.
    fn is_steady(&self) -> bool {
        let loudest = self.powers.iter().copied().fold(0.0, f32::max);
        let softest = self.powers.iter().copied().fold(f32::MAX, f32::min);
        loudest <= STEADY_MAX * softest
    }

    fn release(&mut self, tell: &mut impl FnMut(Turn)) {
        if let Some(held) = self.held.take() {
            tell(Turn::Up { key: held.key, duration_ms: held.hops.saturating_sub(held.silent) * HOP_MS });
        }
    }
}

impl Look {
    fn at(samples: &[f32; WINDOW], tables: &Tables) -> Look {
        let mut lines = [Line::default(); FREQUENCIES];
        for ((line, cosines), sines) in lines.iter_mut().zip(&tables.cosines).zip(&tables.sines) {
            let (real, imaginary) = (dot(samples, cosines), -dot(samples, sines));
            *line = Line { amplitude: 2.0 * real.hypot(imaginary) / tables.sum, phase: imaginary.atan2(real) };
        }
        let (lows, highs) = lines.split_at(LOW_HZ.len());
        let ((row, low), (column, high)) = (strongest(lows), strongest(highs));
        let weighted = samples.iter().zip(&tables.weights).map(|(sample, weight)| (sample * weight).powi(2));
        Look { row, column, low, high, power: weighted.sum() }
    }

    fn key(&self) -> Option<Key> {
        Key::at(self.row, self.column)
    }

    /// What the two hold of the power as if they were exact, 0 to 1.
    fn share(&self, tables: &Tables) -> f32 {
        share(self.low.amplitude, self.high.amplitude, self.power, tables)
    }

    /// Whether a key may have begun in this window: it holds two frequencies and hardly anything else, whatever was before it.
    fn hints(&self, tables: &Tables) -> bool {
        is_pair(self.low.amplitude, self.high.amplitude) && self.share(tables) >= SHARE_HINT_MIN
    }

    /// The key that this window and the one a hop before it are of.
    fn verdict(&self, before: &Look, tables: &Tables) -> Option<Verdict> {
        if (self.row, self.column) != (before.row, before.column) {
            return None;
        }
        let (low_hz, high_hz) = LOW_HZ.get(self.row).zip(HIGH_HZ.get(self.column))?;
        let low = self.low.measured(&before.low, *low_hz as f32)?;
        let high = self.high.measured(&before.high, *high_hz as f32)?;
        let holds = is_pair(low, high) && share(low, high, self.power, tables) >= SHARE_MIN;
        self.key().filter(|_| holds).map(|key| Verdict { key, low, high })
    }
}

impl Line {
    /// The amplitude of the tone that is near `hz` in this window and in the one a hop before it; `None` if it is too far from
    /// there, or changes.
    fn measured(&self, before: &Line, hz: f32) -> Option<f32> {
        let turns_a_hop = HOP as f32 / RATE_HZ as f32;
        let turned = (self.phase - before.phase) / std::f32::consts::TAU - hz * turns_a_hop;
        let off_hz = (turned - turned.round()) / turns_a_hop;
        if off_hz.abs() > OFF_MAX * hz {
            return None;
        }
        let change = self.amplitude / before.amplitude.max(f32::MIN_POSITIVE);
        if !(1.0 / CHANGE_MAX..=CHANGE_MAX).contains(&change) {
            return None;
        }
        Some(self.amplitude / response(off_hz * WINDOW as f32 / RATE_HZ as f32))
    }
}

/// Whether two frequencies are as loud as those of a key.
fn is_pair(low: f32, high: f32) -> bool {
    let level_min = (PEAK_0_DBM0 * 10f64.powf(LEVEL_MIN_DBM0 / 20.0)) as f32;
    let twist_db = 20.0 * (high / low).log10();
    low.min(high) >= level_min && (-TWIST_LOW_DB..=TWIST_HIGH_DB).contains(&twist_db)
}

/// What a Hann window passes of a tone that is `bins` of its length away.
fn response(bins: f32) -> f32 {
    let rest = 1.0 - bins * bins;
    if bins.abs() < 1e-3 {
        return 1.0;
    }
    if rest.abs() < 1e-3 {
        return 0.5;
    }
    let angle = std::f32::consts::PI * bins;
    angle.sin() / angle / rest
}

/// What two sines hold of a window's power.
fn share(low: f32, high: f32, power: f32, tables: &Tables) -> f32 {
    (low * low + high * high) / 2.0 * tables.squares / power.max(1.0)
}

fn strongest(lines: &[Line]) -> (usize, Line) {
    let mut found = (0, Line::default());
    for (at, line) in lines.iter().enumerate() {
        if line.amplitude > found.1.amplitude {
            found = (at, *line);
        }
    }
    found
}

fn dot(left: &[f32; WINDOW], right: &[f32; WINDOW]) -> f32 {
    // Eight sums side by side: so the compiler makes vectors of them.
    let mut sums = [0.0f32; 8];
    let (left, _) = left.as_chunks::<8>();
    let (right, _) = right.as_chunks::<8>();
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;

//! Decoded samples on their way out, and what can be done to them there: going on where a packet is missing, and being made
//! shorter or longer by a period of the voice, so that the delay can change without anybody hearing it.

/// Samples that stay behind the reading point, in milliseconds: two of the longest periods.
const PAST_MS: usize = 40;
/// Shortest and longest period that is looked for, in eighths of a millisecond: 400 to 60 Hz.
const PERIOD_EIGHTHS: std::ops::RangeInclusive<usize> = 20..=133;
/// How much of the past is compared, in eighths of a millisecond.
const COMPARED_EIGHTHS: usize = 80;
/// For how long concealment is as loud as what it goes on from, and when nothing is left of it.
const FADE_FROM_MS: usize = 10;
const FADE_TO_MS: usize = 60;
/// How long real sound and its concealment overlap.
const OVERLAP_MS: usize = 4;
/// A period is cut out or put in only where its neighbours are as alike as this (correlation), or hardly heard (RMS).
const ALIKE: f32 = 0.6;
const FAINT: f32 = 60.0;

/// Samples of one stream at one rate.
#[derive(Debug)]
pub struct Line {
    per_ms: usize,
    samples: Vec<i16>,
    /// The first that was not read.
    read: usize,
    /// A period of what was heard before a loss, and how many samples were made of it.
    pattern: Vec<i16>,
    concealed: usize,
}

impl Line {
    /// A line for a rate in Hz, with silence behind it.
    pub fn new(rate_hz: u32) -> Line {
        let per_ms = (rate_hz / 1000).max(8) as usize;
        let read = PAST_MS * per_ms;
        let mut samples = Vec::with_capacity(read + 300 * per_ms);
        samples.resize(read, 0);
        Line { per_ms, samples, read, pattern: Vec::with_capacity(17 * per_ms), concealed: 0 }
    }

    /// Samples that wait.
    pub fn waiting(&self) -> usize {
        self.samples.len().saturating_sub(self.read)
    }

    /// Milliseconds of concealment since the last real sound.
    pub fn concealed_ms(&self) -> usize {
        self.concealed / self.per_ms
    }

    /// Hands the next `count` samples out, or as many as wait.
    pub fn take(&mut self, count: usize) -> &[i16] {
        let past = PAST_MS * self.per_ms;
        // Memory is moved when the read part has grown to a tenth of a second, not at each look.
        let spent = self.read.saturating_sub(past);
        if spent > 100 * self.per_ms {
            self.samples.copy_within(spent.., 0);
            self.samples.truncate(self.samples.len() - spent);
            self.read -= spent;
        }
        let from = self.read;
        self.read = (from + count).min(self.samples.len());
        self.samples.get(from..self.read).unwrap_or_default()
    }

    /// Puts real sound on: `fill` gets room for `most` samples and says how many it wrote. After a concealment the two overlap.
    pub fn append<E>(&mut self, most: usize, fill: impl FnOnce(&mut [i16]) -> Result<usize, E>) -> Result<usize, E> {
        let from = self.samples.len();
        self.samples.resize(from + most, 0);
        let filled = fill(self.samples.get_mut(from..).unwrap_or_default());
        let count = *filled.as_ref().unwrap_or(&0);
        self.samples.truncate(from + count);
        if self.concealed > 0 && count > 0 {
            let overlap = (OVERLAP_MS * self.per_ms).min(count);
            let length = overlap as f32;
            for n in 0..overlap {
                let old = self.next_concealed();
                if let Some(sample) = self.samples.get_mut(from + n) {
                    *sample = blend(old, *sample, n as f32 / length);
                }
            }
            self.concealed = 0;
            self.pattern.clear();
        }
        filled
    }

    /// Puts silence on.
    pub fn append_silence(&mut self, count: usize) {
        // An empty closure's error type has to be named.
        let _always: Result<usize, std::convert::Infallible> = self.append(count, |room| Ok(room.len()));
    }

    /// Goes on from what was heard last, fainter and fainter.
    pub fn conceal(&mut self, count: usize) {
        if self.concealed == 0 {
            self.learn_pattern();
        }
        for _ in 0..count {
            let sample = self.next_concealed();
            self.samples.push(sample);
        }
    }

    fn next_concealed(&mut self) -> i16 {
        let at = self.concealed % self.pattern.len().max(1);
        let sample = self.pattern.get(at).copied().unwrap_or(0);
        let (from, to) = (FADE_FROM_MS * self.per_ms, FADE_TO_MS * self.per_ms);
        let gain = to.saturating_sub(self.concealed.max(from)) as f32 / (to - from) as f32;
        self.concealed += 1;
        crate::tone::to_sample(f64::from(f32::from(sample) * gain))
    }

    fn learn_pattern(&mut self) {
        let end = self.samples.len();
        let (period, _) = self.period(end);
        self.pattern.clear();
        self.pattern.extend_from_slice(self.samples.get(end.saturating_sub(period)..).unwrap_or_default());
        // Its end turns into what came before its beginning, so that one round joins the next.
        let before = self.samples.get(end.saturating_sub(2 * period)..end.saturating_sub(period)).unwrap_or_default();
        let overlap = period / 4;
        let from = period.saturating_sub(overlap);
        for (n, (sample, before)) in self.pattern.iter_mut().zip(before).enumerate().skip(from) {
            *sample = blend(*sample, *before, (n - from) as f32 / overlap.max(1) as f32);
        }
    }

    /// Cuts a period out of what waits, if that is long enough and would not be heard (or must be: `force`). Returns how many
    /// samples are gone.
    pub fn shorten(&mut self, force: bool) -> usize {
        let Some((period, _)) = self.joint(self.samples.len(), force) else { return 0 };
        let end = self.samples.len();
        if self.waiting() < 2 * period {
            return 0;
        }
        // The last two periods become one that begins like the first and ends like the second.
        for n in 0..period {
            let first = self.samples.get(end - 2 * period + n).copied().unwrap_or(0);
            let second = self.samples.get(end - period + n).copied().unwrap_or(0);
            if let Some(place) = self.samples.get_mut(end - 2 * period + n) {
                *place = blend(first, second, n as f32 / period as f32);
            }
        }
        self.samples.truncate(end - period);
        period
    }

    /// Puts a period on that goes on from what was heard last, if that would not be heard. Returns how many samples were added.
    pub fn lengthen(&mut self) -> usize {
        let end = self.samples.len();
        let Some((period, _)) = self.joint(end, false) else { return 0 };
        // The last period once more, beginning like what followed the one before it.
        for n in 0..period {
            let again = self.samples.get(end - period + n).copied().unwrap_or(0);
            self.samples.push(again);
        }
        period
    }

    /// The period at `end`, where it may be cut or doubled.
    fn joint(&self, end: usize, force: bool) -> Option<(usize, f32)> {
        if self.concealed > 0 {
            return None;
        }
        let (period, alike) = self.period(end);
        let loud = rms(self.samples.get(end.saturating_sub(2 * period)..end).unwrap_or_default());
        (force || alike > ALIKE || loud < FAINT).then_some((period, alike))
    }

    /// The period of the voice before `end`, in samples, and how alike two of them are, at most 1.
    fn period(&self, end: usize) -> (usize, f32) {
        // At 8 kHz whatever the rate, then to the sample around that.
        let step = (self.per_ms / 8).max(1);
        let coarse = self.best(end, (*PERIOD_EIGHTHS.start()..=*PERIOD_EIGHTHS.end()).map(|lag| lag * step), step);
        if step == 1 {
            return coarse;
        }
        let (near, _) = coarse;
        self.best(end, near.saturating_sub(step).max(*PERIOD_EIGHTHS.start() * step)..=near + step, 1)
    }

    fn best(&self, end: usize, lags: impl Iterator<Item = usize>, step: usize) -> (usize, f32) {
        let compared = COMPARED_EIGHTHS * (self.per_ms / 8).max(1);
        let recent = self.samples.get(end.saturating_sub(compared)..end).unwrap_or_default();
        let mut found = (PERIOD_EIGHTHS.end() * (self.per_ms / 8).max(1), f32::MIN);
        for lag in lags {
            let Some(start) = end.checked_sub(compared + lag) else { break };
            let older = self.samples.get(start..start + compared).unwrap_or_default();
            let (mut both, mut power, mut power_recent) = (0.0, 1.0, 1.0);
            for (now, then) in recent.iter().zip(older).step_by(step) {
                let (now, then) = (f32::from(*now), f32::from(*then));
                both += now * then;
                power += then * then;
                power_recent += now * now;
            }
            let alike = both / (power * power_recent).sqrt();
            // Longer multiples of a period are as alike as it: the shortest of them serves.
            if alike > found.1 + 0.01 {
                found = (lag, alike);
            }
        }
        found
    }
}

fn blend(from: i16, to: i16, share: f32) -> i16 {
    let mixed = f32::from(from) * (1.0 - share) + f32::from(to) * share;
    crate::tone::to_sample(f64::from(mixed))
}

fn rms(samples: &[i16]) -> f32 {
    let power: f32 = samples.iter().map(|sample| f32::from(*sample).powi(2)).sum();
    (power / samples.len().max(1) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Sine, measure};

    fn with_tone(hz: f64, rate_hz: u32, ms: usize) -> Line {
        let mut line = Line::new(rate_hz);
        let mut sine = Sine::new(hz, -10.0, rate_hz);
        let count = line.per_ms * ms;
        line.append::<()>(count, |room| {
            sine.fill(room);
            Ok(count)
        })
        .unwrap();
        line
    }

    #[test]
    fn concealment_goes_on_with_the_tone_and_fades_to_nothing() {
        for (rate_hz, hz) in [(8000, 200.0), (8000, 333.3), (16_000, 250.0), (48_000, 440.0)] {
            let mut line = with_tone(hz, rate_hz, 100);
            let per_ms = line.per_ms;
            line.conceal(10 * per_ms);
            line.take(80 * per_ms);
            let found = measure(line.take(30 * per_ms), rate_hz).unwrap();
            assert!((found.hz - hz).abs() < 4.0 && found.purity > 0.95, "{hz} at {rate_hz}: {found:?}");
            line.conceal(60 * per_ms);
            line.take(50 * per_ms);
            assert!(line.take(10 * per_ms).iter().all(|sample| *sample == 0));
        }
    }

    #[test]
    fn a_period_less_or_more_is_not_heard() {
        for (rate_hz, hz) in [(8000, 200.0), (16_000, 250.0), (48_000, 440.0)] {
            let mut line = with_tone(hz, rate_hz, 100);
            let per_ms = line.per_ms;
            let before = line.waiting();
            let gone = line.shorten(false);
            assert!(gone >= 2 * per_ms && gone <= 17 * per_ms, "{gone}");
            let added = line.lengthen();
            assert_eq!(line.waiting(), before - gone + added);
            let count = line.waiting();
            let found = measure(line.take(count), rate_hz).unwrap();
            assert!((found.hz - hz).abs() < 2.0 && found.purity > 0.98, "{hz} at {rate_hz}: {found:?}");
        }
    }

    #[test]
    fn the_line_keeps_no_more_than_it_needs() {
        let mut line = Line::new(8000);
        for _ in 0..10_000 {
            line.append_silence(160);
            assert_eq!(line.take(160).len(), 160);
        }
        assert!(line.samples.capacity() <= 8 * 400, "{}", line.samples.capacity());
    }
}

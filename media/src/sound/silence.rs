//! Silence on its way out: what of a stream is worth a packet, and how loud the noise is that stands for the rest.
//!
//! Packets go in, in order, and each is judged by its power against a floor that follows the softest of what came. Whatever is
//! louder is sound at once, so no beginning is cut off; soft packets stay sound for a while behind it.

/// For how long packets are sound that are as soft as silence, behind louder ones, ms.
const HANGOVER_MS: u32 = 200;
/// While nothing changes the noise is said again after this time, ms: longer, and a far end could take the line for dead.
const REPEAT_MS: u32 = 400;
/// A change of the noise by this is said at once, dB.
const CHANGE_DB: f64 = 3.0;
/// What is softer is silence in any case: below the idle codes of A-law, dBov (0 dBov is a full square wave, 6.15 dB above 0 dBm0).
const SILENT_DBOV: f64 = -72.0;
/// What is louder is sound in any case, dBov: speech of somebody who whispers is softer than the noise of a street.
const SOUND_DBOV: f64 = -48.0;
/// How far noise is above its softest packet, dB.
const RIPPLE_DB: f64 = 4.0;
/// How fast the floor goes up while all is louder, dB in a second: a pause of a talker comes sooner than it reaches speech.
const RISE_DB: f64 = 3.0;
/// How much of a change the level takes over in a second; in decibels, so that it falls as fast as it rises.
const SMOOTHING: f64 = 5.0;
/// Softest level that can be said (RFC 3389 section 3.1).
const LEVEL_MAX: u8 = 127;

/// What a packet is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sound.
    Sound,
    /// It is silence, and noise of this level in -dBov is to be said in its place.
    Noise(u8),
    /// It is silence as was said.
    Nothing,
}

/// Judges the packets of one stream.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The softest of what came, dBov; absent before the first packet.
    floor_dbov: Option<f64>,
    /// How long packets have been soft, ms.
    soft_ms: u32,
    /// How loud those are, smoothed, dBov; and how loud was said last, when.
    level_dbov: f64,
    said: Option<Said>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    dbov: f64,
    ago_ms: u32,
}

impl Gate {
    /// Judges the next packet, `packet_ms` of sound.
    pub fn judge(&mut self, samples: &[i16], packet_ms: u32) -> Verdict {
        let level = level_dbov(samples);
        let seconds = f64::from(packet_ms) / 1000.0;
        let floor = match self.floor_dbov {
            Some(floor) if level > floor => (floor + RISE_DB * seconds).min(level),
            _ => level,
        };
        self.floor_dbov = Some(floor);
        if level > SILENT_DBOV && level > (floor + RIPPLE_DB).min(SOUND_DBOV) {
            (self.soft_ms, self.said) = (0, None);
            return Verdict::Sound;
        }
        let step = if self.soft_ms == 0 { 1.0 } else { (SMOOTHING * seconds).min(1.0) };
        self.level_dbov += (level - self.level_dbov) * step;
        self.soft_ms = self.soft_ms.saturating_add(packet_ms);
        if self.soft_ms <= HANGOVER_MS {
            return Verdict::Sound;
        }
        let now = self.level_dbov;
        match &mut self.said {
            Some(said) if said.ago_ms + packet_ms < REPEAT_MS && (said.dbov - now).abs() < CHANGE_DB => {
                said.ago_ms += packet_ms;
                Verdict::Nothing
            }
            said => {
                *said = Some(Said { dbov: now, ago_ms: 0 });
                // A float past either end becomes that end.
                Verdict::Noise((-now).round().clamp(0.0, f64::from(LEVEL_MAX)) as u8)
            }
        }
    }

    /// The stream was interrupted: what comes is sound until it has been soft for long enough again.
    pub fn interrupt(&mut self) {
        (self.soft_ms, self.said) = (0, None);
    }
}

/// Level of samples, to a full square wave.
fn level_dbov(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| f64::from(*sample) * f64::from(*sample)).sum();
    let power = sum / samples.len().max(1) as f64 / (32_768.0 * 32_768.0);
    10.0 * power.max(1e-13).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::noise::Noise;
    use crate::tone::Sine;

    const FRAME_MS: u32 = 20;

    /// The verdicts on so many frames of a source.
    fn judged(gate: &mut Gate, frames: usize, mut fill: impl FnMut(&mut [i16])) -> Vec<Verdict> {
        let mut frame = [0; 160];
        let one = |_| {
            fill(&mut frame);
            gate.judge(&frame, FRAME_MS)
        };
        (0..frames).map(one).collect()
    }

    fn sounds(verdicts: &[Verdict]) -> usize {
        verdicts.iter().filter(|verdict| **verdict == Verdict::Sound).count()
    }

    fn levels(verdicts: &[Verdict]) -> Vec<u8> {
        verdicts
            .iter()
            .filter_map(|verdict| if let Verdict::Noise(level) = verdict { Some(*level) } else { None })
            .collect()
    }

    #[test]
    fn digital_silence_is_said_once_in_a_while_after_the_hangover() {
        let verdicts = judged(&mut Gate::default(), 100, |frame| frame.fill(0));
        assert_eq!(sounds(&verdicts), 10);
        assert_eq!(verdicts[10], Verdict::Noise(127));
        assert_eq!(levels(&verdicts), [127; 5], "each 400 ms of the 1.8 s");
        // The idle codes of A-law are no sound either.
        assert_eq!(sounds(&judged(&mut Gate::default(), 100, |frame| frame.fill(8))), 10);
    }

    #[test]
    fn noise_is_said_as_loud_as_it_is() {
        for level in [50u8, 55, 60, 65, 70] {
            let mut noise = Noise::from_payload(&[level]);
            let verdicts = judged(&mut Gate::default(), 250, |frame| noise.fill(frame));
            let said = levels(&verdicts);
            assert!(sounds(&verdicts) < 30, "{level}: {verdicts:?}");
            assert!(!said.is_empty() && said.iter().all(|said| said.abs_diff(level) <= 1), "{level}: {said:?}");
        }
    }

    #[test]
    fn noise_that_grows_louder_is_sound_for_a_while_and_then_noise_again() {
        let mut gate = Gate::default();
        let mut noise = Noise::from_payload(&[65]);
        judged(&mut gate, 100, |frame| noise.fill(frame));
        noise.update(&[52]);
        let verdicts = judged(&mut gate, 400, |frame| noise.fill(frame));
        assert_eq!(verdicts[0], Verdict::Sound);
        assert!(verdicts[300..].iter().all(|verdict| *verdict != Verdict::Sound), "{verdicts:?}");
        assert!(levels(&verdicts[300..]).iter().all(|said| said.abs_diff(52) <= 1));
    }

    #[test]
    fn noise_that_ceases_is_told_to_have_ceased_within_a_second() {
        let mut gate = Gate::default();
        let mut noise = Noise::from_payload(&[60]);
        judged(&mut gate, 100, |frame| noise.fill(frame));
        let verdicts = judged(&mut gate, 100, |frame| frame.fill(0));
        assert_eq!(sounds(&verdicts), 0);
        assert!(levels(&verdicts[..50]).last().is_some_and(|last| *last > 120), "{verdicts:?}");
        assert_eq!(levels(&verdicts).last(), Some(&127));
    }

    #[test]
    fn a_tone_of_a_soft_talker_is_never_silence_and_begins_whole() {
        let mut gate = Gate::default();
        judged(&mut gate, 100, |frame| frame.fill(0));
        let mut sine = Sine::new(400.0, -40.0, 8000);
        assert_eq!(sounds(&judged(&mut gate, 1500, |frame| sine.fill(frame))), 1500);
    }

    #[test]
    fn between_words_over_noise_is_silence_and_the_words_are_sound() {
        let mut gate = Gate::default();
        let (mut noise, mut sine) = (Noise::from_payload(&[60]), Sine::new(300.0, -25.0, 8000));
        for _ in 0..20 {
            assert_eq!(sounds(&judged(&mut gate, 50, |frame| sine.fill(frame))), 50);
            let pause = judged(&mut gate, 50, |frame| noise.fill(frame));
            assert!(sounds(&pause) <= 12, "{pause:?}");
            assert!(levels(&pause).iter().all(|said| said.abs_diff(60) <= 2), "{pause:?}");
        }
    }

    #[test]
    fn after_an_interruption_silence_is_sound_until_it_has_lasted() {
        let mut gate = Gate::default();
        judged(&mut gate, 50, |frame| frame.fill(0));
        gate.interrupt();
        assert_eq!(sounds(&judged(&mut gate, 50, |frame| frame.fill(0))), 10);
    }
}

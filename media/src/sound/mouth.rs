//! The speaking end of a stream.

use super::Resampler;
use super::silence::{Gate, Verdict};
use crate::codec::{Encoder, Payload};

/// Bytes that one packet's payload has at most: L16 is cut to shorter packets rather than into IP fragments.
pub const PAYLOAD_BYTES_MAX: usize = 1440;
/// An Opus packet of no more bytes says nothing: its frame need not be sent (RFC 6716 section 2.1.9).
const UNSAID_BYTES_MAX: usize = 2;

/// Turns frames of sound into the payloads of one RTP stream.
#[derive(Debug)]
pub struct Mouth {
    encoder: Encoder,
    resampler: Option<Resampler>,
    /// Samples that fill no packet yet, at the encoder's rate.
    samples: Vec<i16>,
    packet_samples: usize,
    packet_ms: u32,
    units: u32,
    silence: Silence,
    gate: Gate,
}

/// How silence is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Silence {
    /// As any other sound.
    #[default]
    Coded,
    /// As comfort noise (RFC 3389), and between its packets not at all.
    Noise,
    /// Not at all, but for what the codec sends itself: Opus has its own way (RFC 6716 section 2.1.9).
    Unsaid,
}

/// A packet's worth of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// What it is.
    pub as_what: As,
    /// The payload.
    pub payload: &'a [u8],
    /// What the timestamp goes on by after this packet, in units of the payload's RTP clock.
    pub units: u32,
}

/// What is sent for a packet's worth of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// Sound.
    Sound,
    /// Comfort noise, under the number that it has.
    Noise,
    /// Nothing; what comes behind it begins a talkspurt.
    Nothing,
}

impl Mouth {
    /// A mouth that speaks `payload` in packets of at most `ptime_ms` (10 to 60), for frames at `rate_hz`. `None` if the switch
    /// does not encode it, or the rate is none of [`super::RATES_HZ`].
    pub fn new(payload: &Payload, rate_hz: u32, ptime_ms: u32) -> Option<Mouth> {
        let encoder = Encoder::new(payload, rate_hz)?;
        let resampler =
            if encoder.rate_hz() == rate_hz { None } else { Some(Resampler::new(rate_hz, encoder.rate_hz())?) };
        let packet_ms = encoder.packet_ms(ptime_ms);
        Some(Mouth {
            packet_samples: (encoder.rate_hz() * packet_ms / 1000) as usize,
            packet_ms,
            units: encoder.clock_hz() * packet_ms / 1000,
            samples: Vec::new(),
            encoder,
            resampler,
            silence: Silence::Coded,
            gate: Gate::default(),
        })
    }

    /// The same, with silence said otherwise.
    pub fn with_silence(mut self, silence: Silence) -> Mouth {
        self.encoder.set_dtx(silence == Silence::Unsaid);
        self.silence = silence;
        self
    }

    /// Length of its packets in milliseconds, which may be less than was asked for.
    pub fn packet_ms(&self) -> u32 {
        self.packet_ms
    }

    /// Takes the next frame, of any length, and hands out each packet that it completes.
    pub fn speak(&mut self, frame: &[i16], mut say: impl FnMut(Spoken<'_>)) {
        let from = self.samples.len();
        match &mut self.resampler {
            None => self.samples.extend_from_slice(frame),
            Some(resampler) => {
                self.samples.resize(from + resampler.output_max(frame.len()), 0);
                let written = resampler.process(frame, self.samples.get_mut(from..).unwrap_or_default());
                self.samples.truncate(from + written);
            }
        }
        let mut spoken = 0;
        let mut payload = [0; PAYLOAD_BYTES_MAX];
        while let Some(packet) = self.samples.get(spoken..spoken + self.packet_samples) {
            let verdict = match self.silence {
                Silence::Noise => self.gate.judge(packet, self.packet_ms),
                Silence::Coded | Silence::Unsaid => Verdict::Sound,
            };
            let said = match verdict {
                Verdict::Sound => match self.encoder.encode(packet, &mut payload) {
                    Some(bytes) if self.silence == Silence::Unsaid && bytes <= UNSAID_BYTES_MAX => {
                        Some((As::Nothing, 0))
                    }
                    Some(bytes) => Some((As::Sound, bytes)),
                    None => None,
                },
                Verdict::Noise(level) => {
                    // The level alone (RFC 3389 section 3): a spectrum that is flat.
                    let [first, ..] = &mut payload;
                    *first = level;
                    Some((As::Noise, 1))
                }
                Verdict::Nothing => Some((As::Nothing, 0)),
            };
            if let Some((as_what, bytes)) = said {
                say(Spoken { as_what, payload: payload.get(..bytes).unwrap_or_default(), units: self.units });
            }
            spoken += self.packet_samples;
        }
        self.samples.copy_within(spoken.., 0);
        self.samples.truncate(self.samples.len() - spoken);
    }

    /// Forgets what fills no packet yet: what is said next has nothing to do with it.
    pub fn pause(&mut self) {
        self.samples.clear();
        self.gate.interrupt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::sound::Ear;
    use crate::tone::Sine;
    use std::time::Duration;

    const PCMU: Payload = Payload { pt: 0, codec: Codec::Pcmu, clock_hz: 8000, events: false };
    const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };

    /// What is sent for half a second of silence, half a second of a tone, and two seconds of silence; and the timestamp at its end.
    fn said(mouth: &mut Mouth) -> (Vec<As>, u32) {
        let mut sine = Sine::new(400.0, -10.0, 8000);
        let (mut all, mut units) = (Vec::new(), 0);
        for frame in 0..150 {
            let mut samples = [0; 160];
            if (25..50).contains(&frame) {
                sine.fill(&mut samples);
            }
            mouth.speak(&samples, |spoken| {
                all.push(spoken.as_what);
                units += spoken.units;
                assert_eq!(spoken.payload.is_empty(), spoken.as_what == As::Nothing);
            });
        }
        (all, units)
    }

    fn count(all: &[As], what: As) -> usize {
        all.iter().filter(|said| **said == what).count()
    }

    #[test]
    fn silence_is_noise_and_pauses_where_that_was_agreed_and_sound_where_not() {
        for ptime_ms in [10, 20, 30, 60] {
            let mut mouth = Mouth::new(&PCMU, 8000, ptime_ms).unwrap().with_silence(Silence::Noise);
            let (all, units) = said(&mut mouth);
            let packets = 3000 / ptime_ms as usize;
            assert_eq!((all.len(), units), (packets, 24_000), "time goes on: {ptime_ms}");
            // The tone, and 200 ms before and behind it.
            let sound = count(&all, As::Sound) * ptime_ms as usize;
            assert!((880..=1100).contains(&sound), "{ptime_ms}: {sound} ms of sound");
            assert!((4..=9).contains(&count(&all, As::Noise)), "{ptime_ms}: {all:?}");
        }
        let (all, _) = said(&mut Mouth::new(&PCMU, 8000, 20).unwrap());
        assert_eq!(count(&all, As::Sound), 150);
    }

    #[test]
    fn opus_says_nothing_of_silence_where_the_party_likes_that() {
        let (all, units) = said(&mut Mouth::new(&OPUS, 8000, 20).unwrap().with_silence(Silence::Unsaid));
        assert_eq!((all.len(), units), (150, 144_000), "time goes on");
        assert!(all[28..48].iter().all(|said| *said == As::Sound), "{all:?}");
        assert!(count(&all[75..], As::Nothing) > 60, "{all:?}");
        let (all, _) = said(&mut Mouth::new(&OPUS, 8000, 20).unwrap());
        assert_eq!(count(&all, As::Sound), 150);
    }

    #[test]
    fn an_ear_hears_the_noise_as_loud_as_it_was() {
        let noise = Payload::new(13, Codec::ComfortNoise, 8000);
        let mut mouth = Mouth::new(&PCMU, 8000, 20).unwrap().with_silence(Silence::Noise);
        let mut ear = Ear::new(&[PCMU, noise], 8000).unwrap();
        let mut source = crate::codec::noise::Noise::from_payload(&[55]);
        let (mut sequence, mut timestamp, mut heard) = (0u16, 0u32, Vec::new());
        let (mut sounds, mut noises) = (0, 0);
        for frame in 0..400u32 {
            let now = Duration::from_millis(u64::from(20 * frame));
            let mut samples = [0; 160];
            source.fill(&mut samples);
            mouth.speak(&samples, |spoken| {
                let pt = if spoken.as_what == As::Noise { 13 } else { 0 };
                let header = crate::rtp::Header {
                    payload_type: pt,
                    marker: false,
                    sequence,
                    timestamp,
                    ssrc: 1,
                    payload_start: 12,
                    payload_end: 12 + spoken.payload.len(),
                };
                timestamp += spoken.units;
                if spoken.as_what != As::Nothing {
                    sequence += 1;
                    sounds += u32::from(pt == 0);
                    noises += u32::from(pt == 13);
                    ear.packet(&header, spoken.payload, now);
                }
            });
            ear.pull(now, &mut samples);
            if frame >= 200 {
                heard.extend(samples);
            }
        }
        assert!(sounds <= 30 && (15..40).contains(&noises), "{sounds} packets of sound, {noises} of noise");
        let power: f64 = heard.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / heard.len() as f64;
        let dbov = 10.0 * (power / 32_768f64.powi(2)).log10();
        assert!((dbov + 55.0).abs() < 1.0, "{dbov} dBov");
    }
}

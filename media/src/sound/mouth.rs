//! The speaking end of a stream.

use super::Resampler;
use crate::codec::{Encoder, Payload};

/// Bytes that one packet's payload has at most: L16 is cut to shorter packets rather than into IP fragments.
pub const PAYLOAD_BYTES_MAX: usize = 1440;

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
}

/// A packet's worth of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// The payload.
    pub payload: &'a [u8],
    /// What the timestamp goes on by after this packet, in units of the payload's RTP clock.
    pub units: u32,
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
        })
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
            if let Some(bytes) = self.encoder.encode(packet, &mut payload) {
                say(Spoken { payload: payload.get(..bytes).unwrap_or_default(), units: self.units });
            }
            spoken += self.packet_samples;
        }
        self.samples.copy_within(spoken.., 0);
        self.samples.truncate(self.samples.len() - spoken);
    }

    /// Forgets what fills no packet yet: what is said next has nothing to do with it.
    pub fn pause(&mut self) {
        self.samples.clear();
    }
}

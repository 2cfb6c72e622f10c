//! From samples to payload bytes, whatever the codec.

use super::g711::Law;
use super::{Codec, Payload, g722, l16, opus};
use crate::sound::RATES_HZ;

/// Bytes of linear samples in one packet: what an Ethernet frame carries.
const L16_BYTES_MAX: u32 = 1400;

/// Encodes one stream of one codec. Its state goes on from packet to packet.
#[derive(Debug)]
pub struct Encoder {
    kind: Kind,
    rate_hz: u32,
    clock_hz: u32,
}

#[derive(Debug)]
enum Kind {
    G711(Law),
    L16,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
}

impl Encoder {
    /// An encoder of `payload` for sound that is there at `source_hz`; `None` if the switch does not encode it. It wants samples
    /// at [`Encoder::rate_hz`], which is another rate where the codec cannot choose.
    pub fn new(payload: &Payload, source_hz: u32) -> Option<Encoder> {
        let (kind, rate_hz) = match payload.codec {
            Codec::Pcmu => (Kind::G711(Law::Mu), 8000),
            Codec::Pcma => (Kind::G711(Law::A), 8000),
            Codec::G722 => (Kind::G722(Box::default()), g722::RATE_HZ),
            Codec::L16 if RATES_HZ.contains(&payload.clock_hz) => (Kind::L16, payload.clock_hz),
            Codec::Opus => {
                let rate_hz = opus::rate_for(source_hz);
                (Kind::Opus(Box::new(opus::Encoder::new(rate_hz)?)), rate_hz)
            }
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other | Codec::Passing(_) => return None,
        };
        Some(Encoder { kind, rate_hz, clock_hz: payload.clock_hz })
    }

    /// The rate of the samples, in Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// The RTP clock, in Hz.
    pub fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    /// The longest packet of at most `ptime_ms` that the codec can fill, in whole milliseconds from 10 to 60.
    pub fn packet_ms(&self, ptime_ms: u32) -> u32 {
        let wanted = ptime_ms.clamp(10, 60);
        match self.kind {
            // One frame a packet (RFC 6716 section 2).
            Kind::Opus(_) => [60, 40, 20, 10].into_iter().find(|ms| *ms <= wanted).unwrap_or(10),
            // Tens, because 44.1 kHz has whole samples in no shorter time, and never more than a datagram holds.
            Kind::L16 => (wanted / 10 * 10).min(L16_BYTES_MAX / (self.rate_hz / 50) * 10).max(10),
            Kind::G711(_) | Kind::G722(_) => wanted,
        }
    }

    /// Whether the codec itself leaves silence unsaid, where it can: its packets for that have two bytes at most.
    pub fn set_dtx(&mut self, dtx: bool) {
        if let Kind::Opus(encoder) = &mut self.kind {
            encoder.set_dtx(dtx);
        }
    }

    /// Encodes a packet's samples, of a length from [`Encoder::packet_ms`]; returns the bytes written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> Option<usize> {
        match &mut self.kind {
            Kind::G711(law) => Some(law.encode(samples, out)),
            Kind::L16 => Some(l16::encode(samples, out)),
            Kind::G722(encoder) => Some(encoder.encode(samples, out)),
            Kind::Opus(encoder) => encoder.encode(samples, out),
        }
    }
}

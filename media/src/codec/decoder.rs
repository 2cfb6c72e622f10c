//! From payload bytes to samples, whatever the codec.

use super::g711::Law;
use super::{Codec, Payload, g722, l16, opus};
use crate::sound::RATES_HZ;

/// The longest sound that one packet may hold, in milliseconds; what is longer is cut.
pub const PACKET_MS_MAX: u32 = opus::PACKET_MS_MAX;

/// Decodes one stream of one codec to mono samples of 16 bits. Its state goes on from packet to packet.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    rate_hz: u32,
}

#[derive(Debug)]
enum Kind {
    G711(Law),
    L16,
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
}

/// The bytes are not what the codec writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload that its codec cannot decode")]
pub struct Undecodable;

impl Decoder {
    /// A decoder of `payload` for somebody who wants samples at `wanted_hz`; `None` if the switch does not decode it. The samples
    /// come at [`Decoder::rate_hz`], which is another rate where the codec cannot choose.
    pub fn new(payload: &Payload, wanted_hz: u32) -> Option<Decoder> {
        let (kind, rate_hz) = match payload.codec {
            Codec::Pcmu => (Kind::G711(Law::Mu), 8000),
            Codec::Pcma => (Kind::G711(Law::A), 8000),
            Codec::G722 => (Kind::G722(Box::default()), g722::RATE_HZ),
            Codec::L16 if RATES_HZ.contains(&payload.clock_hz) => (Kind::L16, payload.clock_hz),
            Codec::Opus => {
                let rate_hz = opus::rate_for(wanted_hz);
                (Kind::Opus(Box::new(opus::Decoder::new(rate_hz)?)), rate_hz)
            }
            Codec::L16 | Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other | Codec::Passing(_) => return None,
        };
        Some(Decoder { kind, rate_hz })
    }

    /// The rate of the samples, in Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// The samples of the longest packet: room for that many serves every payload.
    pub fn samples_max(&self) -> usize {
        (self.rate_hz * PACKET_MS_MAX / 1000) as usize
    }

    /// Decodes a payload; returns the samples written, as many as `out` has room for.
    ///
    /// # Errors
    /// [`Undecodable`]; nothing was written that may be played.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, Undecodable> {
        match &mut self.kind {
            Kind::G711(law) => Ok(law.decode(payload, out)),
            Kind::L16 => Ok(l16::decode(payload, out)),
            Kind::G722(decoder) => Ok(decoder.decode(payload, out)),
            Kind::Opus(decoder) => decoder.decode(payload, out).ok_or(Undecodable),
        }
    }

    /// Fills `out` with what the codec itself puts in the place of a lost packet; false if it does not know how. `next` is the
    /// payload of the packet after the lost one, if that has come.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> bool {
        let Kind::Opus(decoder) = &mut self.kind else { return false };
        let filled = match next {
            Some(next) => decoder.recover(next, out),
            None => decoder.conceal(out),
        };
        filled == Some(out.len())
    }
}

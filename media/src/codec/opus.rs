//! Opus (RFC 6716) in RTP (RFC 7587), by the library `ropus`: a port of the reference whose output is the same bit for bit.
//!
//! One channel always: a decoder mixes two down by itself, and what we send may be one (RFC 7587 section 3.4). Both ends run at
//! any of [`RATES_HZ`] whatever the other does, so a call with a narrow-band phone needs no resampling and half of the work.
//! The library allocates for its scratch memory at each frame, alone in this crate; it was kept because the one that does not
//! decodes wide-band speech wrongly at 8 kHz.

use ropus::{Application, Bitrate, Channels, DecodeMode};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The rates at which either end can run, in Hz.
pub const RATES_HZ: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];
/// The RTP clock (RFC 7587 section 4.1).
pub const CLOCK_HZ: u32 = 48_000;
/// The longest packet, in milliseconds (RFC 6716 section 2).
pub const PACKET_MS_MAX: u32 = 120;
/// Between the cost of a call and what is heard: 5 of 10.
const COMPLEXITY: u8 = 5;

/// Decodes at one rate.
pub struct Decoder {
    inner: ropus::Decoder,
    rate_hz: u32,
}

/// Encodes at one rate.
pub struct Encoder {
    inner: ropus::Encoder,
    rate_hz: u32,
}

/// The rate of [`RATES_HZ`] that serves somebody who wants `hz`: the same, else the next above.
pub fn rate_for(hz: u32) -> u32 {
    RATES_HZ.into_iter().find(|rate| *rate >= hz).unwrap_or(CLOCK_HZ)
}

/// How long the sound of a packet is, in microseconds (RFC 6716 section 3.1); `None` where its head says nothing.
pub fn length_us(packet: &[u8]) -> Option<u32> {
    let (head, rest) = packet.split_first()?;
    let configuration = head >> 3;
    let frame_us = match (configuration, configuration % 4) {
        (0..=11, 0) => 10_000,
        (0..=11, 1) => 20_000,
        (0..=11, 2) => 40_000,
        (0..=11, _) => 60_000,
        (12..=15, 0 | 2) => 10_000,
        (12..=15, _) => 20_000,
        (_, 0) => 2_500,
        (_, 1) => 5_000,
        (_, 2) => 10_000,
        (_, _) => 20_000,
    };
    let frames = match head & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    Some(frame_us * frames)
}

impl Decoder {
    /// A decoder whose sound comes at `rate_hz`; `None` if that is none of [`RATES_HZ`].
    pub fn new(rate_hz: u32) -> Option<Decoder> {
        Some(Decoder { inner: ropus::Decoder::new(rate_hz, Channels::Mono).ok()?, rate_hz })
    }

    /// The rate of the sound.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Decodes a packet; returns the samples written, or `None` if it is not Opus or longer than `out`.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Option<usize> {
        if packet.is_empty() { None } else { self.run(packet, out, DecodeMode::Normal) }
    }

    /// Fills `out`, whole multiples of 2.5 ms, with what may have been in a lost packet.
    pub fn conceal(&mut self, out: &mut [i16]) -> Option<usize> {
        self.run(&[], out, DecodeMode::Normal)
    }

    /// Fills `out`, exactly as long as the lost packet, from the copy in the packet after it (RFC 6716 section 2.1.7), or by
    /// concealment if it carries none.
    pub fn recover(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        self.run(next, out, DecodeMode::Fec)
    }

    /// The library is asked about bytes of strangers: should one of them make it panic, then this stream alone suffers.
    fn run(&mut self, packet: &[u8], out: &mut [i16], mode: DecodeMode) -> Option<usize> {
        match catch_unwind(AssertUnwindSafe(|| self.inner.decode(packet, out, mode))) {
            Ok(decoded) => decoded.ok(),
            Err(_) => {
                if let Ok(fresh) = ropus::Decoder::new(self.rate_hz, Channels::Mono) {
                    self.inner = fresh;
                }
                None
            }
        }
    }
}

impl Encoder {
    /// An encoder for speech at `rate_hz`; `None` if that is none of [`RATES_HZ`].
    pub fn new(rate_hz: u32) -> Option<Encoder> {
        // About what RFC 7587 section 3.1.1 recommends for the band that there is.
        let bits = match rate_hz {
            8000 => 16_000,
            12_000 | 16_000 => 24_000,
            _ => 32_000,
        };
        let inner = ropus::Encoder::builder(rate_hz, Channels::Mono, Application::Voip)
            .bitrate(Bitrate::Bits(bits))
            .complexity(COMPLEXITY)
            .build()
            .ok()?;
        Some(Encoder { inner, rate_hz })
    }

    /// The rate of the sound.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Whether silence is left unsaid (RFC 7587 section 3.1.3), in packets of two bytes at most.
    pub fn set_dtx(&mut self, dtx: bool) {
        // Both values are of the library's own.
        let _known = self.inner.set_dtx(dtx);
    }

    /// How much later a decoder says what went in, in units of [`CLOCK_HZ`].
    pub fn lookahead(&self) -> u32 {
        self.inner.lookahead()
    }

    /// Encodes a frame of 2.5, 5, 10, 20, 40 or 60 ms; returns the bytes written, or `None` if it has another length or `out`
    /// has no room.
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Option<usize> {
        self.inner.encode(frame, out).ok()
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("opus::Decoder").field("rate_hz", &self.rate_hz).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("opus::Encoder").field("rate_hz", &self.rate_hz).finish_non_exhaustive()
    }
}

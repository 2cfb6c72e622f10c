//! Sound: between the packets of a stream and samples at the rate that somebody wants, in both directions.
//!
//! ```text
//!  packets ──▶ Ear:   queue ─ delay ─ decoder ─ concealment, stretching ─ resampler ──▶ frames, one each pull
//!  packets ◀── Mouth: encoder ◀─ as many samples as a packet holds ◀─ resampler ◀────── frames
//! ```
//!
//! An [`Ear`] is the listening end of one RTP stream: packets go in as they come (late, twice, out of order, or not at all),
//! and each [`Ear::pull`] gives the next 10 or 20 ms of sound, without fail. It plays as late as the network's jitter asks for
//! and no later. A [`Mouth`] is the speaking end: frames go in, payloads come out, and where that was agreed none for
//! silence. Both are rules, not wires: no clock, no
//! socket, and after their first packets no allocation but what the Opus library makes.

mod delay;
mod ear;
mod line;
mod mouth;
mod queue;
mod resample;
mod silence;
mod stretch;

pub use ear::{Ear, Heard};
pub use mouth::{As, Mouth, PAYLOAD_BYTES_MAX, Silence, Spoken};
pub use queue::PACKETS_MAX as EAR_PACKETS_MAX;
pub use resample::Resampler;
pub use stretch::stretch;

/// The rates that samples may have, in Hz: those of the codecs, and those of RFC 3551 section 4.5.11 that have whole samples in
/// ten milliseconds.
pub const RATES_HZ: [u32; 7] = [8000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000];

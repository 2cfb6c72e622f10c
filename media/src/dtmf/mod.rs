//! DTMF: keys as telephone-events (RFC 4733) and as tones, read, written, and told once each.
//!
//! ```text
//!  packets ──▶ EventReceiver ──▶ Turn      Keying ──▶ events for packets, or tones for frames, one each beat
//!  samples ──▶ Detector      ──▶ Turn
//! ```
//!
//! A [`Key`] goes down and comes up ([`Turn`]), whichever way it came. What takes keys to somebody who has agreed to another
//! way is a [`Keying`].

mod detect;
mod event;
mod key;
mod keying;
mod receiver;
mod tone;

pub use detect::{Detector, RATE_HZ};
pub use event::{EVENT_BYTES, Event};
pub use key::{Key, Turn};
pub use keying::{Due, KEYS_MAX, Keying, Report};
pub use receiver::{END_TIMEOUT, EventReceiver};
pub use tone::DualTone;

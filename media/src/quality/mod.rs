//! Quality: what was lost of a stream and in what pattern, and what somebody who hears it would say of it.
//!
//! [`LossPattern`] counts packets as they are found received or lost, with whole numbers only, and [`Losses`] is what it comes
//! to: loss, bursts and gaps (RFC 3611 section 4.7.2), and how much longer the losses run than chance would have them run.
//! [`Impairment`] says what a codec costs by itself and how well it bears losses (ITU-T G.113 appendix I), and
//! [`Impairment::rate`] makes a [`Rating`] of both and of the delay: R and MOS by the E-model (ITU-T G.107).

mod loss;
mod rating;

pub use loss::{GMIN, LossPattern, Losses};
pub use rating::{Conditions, Impairment, Rating, mos_of};

#[cfg(test)]
mod tests;

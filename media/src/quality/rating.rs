//! The E-model (ITU-T G.107), as far as packets decide: everything else at its default.
//!
//! `R = 93.2 − Id − Ie,eff`: 93.2 is what noise, loudness and the rest of a telephone at their defaults leave (G.107 section 7.7), the
//! advantage factor A is 0, and echo is cancelled by the phones, so that Id is Idd, the cost of delay alone.

use crate::codec::{Codec, Payload};

/// R of a connection without any impairment but those at their defaults (G.107 section 7.7).
const R_DEFAULT: f64 = 93.2;
/// The worst that a codec with losses can cost (G.107 equation 7-29).
const IMPAIRMENT_MAX: f64 = 95.0;
/// Delay that nobody notices, mT (G.107 section 7.4).
const DELAY_FREE_MS: f64 = 100.0;

/// What a codec costs (ITU-T G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Ie: the cost of the codec itself, on the scale of R.
    pub ie: f64,
    /// Bpl: the percentage of lost packets that costs half of what all of them would.
    pub bpl: f64,
    /// How far the encoder looks ahead, ms.
    pub lookahead_ms: f64,
}

/// What the network does to a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Packets lost, 0 to 1.
    pub loss: f64,
    /// Burst ratio, at least 1.
    pub burst_ratio: f64,
    /// From mouth to ear, ms.
    pub delay_ms: f64,
}

/// What a listener would say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// R, 0 to 93.2.
    pub r: f64,
    /// Mean opinion score, conversational, estimated (MOS-CQE), 1 to 4.41.
    pub mos: f64,
}

impl Impairment {
    /// What the format of a payload costs; `None` where nothing is published or nothing is spoken in it.
    ///
    /// All on the narrow-band scale, G.711 with concealment as the best (`docs/decisions.md` says why).
    pub fn of(payload: &Payload) -> Option<Impairment> {
        let row = |ie, bpl, lookahead_ms| Some(Impairment { ie, bpl, lookahead_ms });
        match payload.codec {
            Codec::Pcmu | Codec::Pcma | Codec::L16 => row(0.0, 25.1, 0.0),
            Codec::G722 => row(0.0, 25.1, 1.5),
            Codec::Opus => row(0.0, 25.1, 6.5),
            // Passed through, and known by the static number alone (RFC 3551 section 6): G.723.1 and G.729A, with silence
            // suppression.
            Codec::Other if payload.pt == 4 => row(15.0, 16.1, 7.5),
            Codec::Other if payload.pt == 18 => row(11.0, 19.0, 5.0),
            Codec::Other | Codec::Passing(_) | Codec::TelephoneEvent | Codec::ComfortNoise => None,
        }
    }

    /// R and MOS under these conditions.
    pub fn rate(&self, conditions: &Conditions) -> Rating {
        let r = (R_DEFAULT - delay(conditions.delay_ms) - self.effective(conditions)).clamp(0.0, 100.0);
        Rating { r, mos: mos_of(r) }
    }

    /// Ie,eff (G.107 equation 7-29).
    fn effective(&self, conditions: &Conditions) -> f64 {
        let percent = 100.0 * conditions.loss.clamp(0.0, 1.0);
        let share = percent / (percent / conditions.burst_ratio.max(1.0) + self.bpl);
        self.ie + (IMPAIRMENT_MAX - self.ie) * share.min(1.0)
    }
}

/// MOS-CQE of an R (G.107 annex B). R below 6.5 would come to less than 1, the worst there is.
pub fn mos_of(r: f64) -> f64 {
    let r = r.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// Idd, the cost of a one-way delay, with the usual sensitivity, sT = 1 (G.107 equations 7-27 and 7-28).
fn delay(delay_ms: f64) -> f64 {
    if delay_ms <= DELAY_FREE_MS {
        return 0.0;
    }
    let x = (delay_ms / DELAY_FREE_MS).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

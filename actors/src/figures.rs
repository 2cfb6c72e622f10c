//! What a call's media came to, as records and the list of calls show it: one shape for both.

use media::{FlowStats, Heard, Quality, Side};
use serde::Serialize;
use std::time::Duration;

use crate::counters::DirectionCounters;

/// The media of one party: what came from it, and what it says of what it hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MediaFigures {
    /// RTP packets received from the party.
    pub packets: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came after their successor.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Interarrival jitter, ms (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Round trip between the switch and the party, ms; `None` where no report told it.
    pub rtt_ms: Option<f64>,
    /// How the losses lie together.
    pub burst: BurstFigures,
    /// R of what came from the party (ITU-T G.107), 0 to 93.2; `None` without a packet, or in a codec that is not rated.
    pub r: Option<f64>,
    /// MOS of what came from the party, 1 to 4.41.
    pub mos: Option<f64>,
    /// What the party reports of what it hears (RTCP); `None` where it does not.
    pub hears: Option<HeardFigures>,
    /// Packets dropped because they came from a stranger.
    pub strangers: u64,
    /// Packets dropped because the party's key had not made them.
    pub forged: u64,
    /// Encrypted packets dropped because they came before.
    pub replayed: u64,
    /// Packets from or to the party for which its key had no room, or had protected all that it may.
    pub exhausted: u64,
}

/// Losses in bursts and gaps (RFC 3611 section 4.7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BurstFigures {
    /// Lost of the packets in bursts, 0 to 1.
    pub density: f64,
    /// How long a burst lasts on average, ms.
    pub duration_ms: f64,
    /// Lost of the packets outside of bursts, 0 to 1.
    pub gap_density: f64,
    /// How long a gap lasts on average, ms.
    pub gap_duration_ms: f64,
    /// How much longer the losses run than by chance, at least 1 (ITU-T G.107).
    pub ratio: f64,
}

/// What a party reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeardFigures {
    /// Packets that never came to it.
    pub lost: u64,
    /// Of all packets, 0 to 1.
    pub loss: f64,
    /// Interarrival jitter, ms.
    pub jitter_ms: f64,
    /// R, its own or computed.
    pub r: Option<f64>,
    /// MOS, its own or computed.
    pub mos: Option<f64>,
}

impl MediaFigures {
    /// The figures of one party of a flow.
    pub fn of(stats: &FlowStats, side: Side) -> Self {
        let of = stats.get(side);
        let quality = stats.quality(side);
        let rating = quality.and_then(|quality| quality.rating);
        Self {
            packets: of.packets_received,
            lost: of.lost,
            late: of.late,
            duplicate: of.duplicate,
            jitter_ms: rounded(of.jitter_ms, HUNDREDTHS),
            rtt_ms: of.round_trip.map(ms),
            burst: quality.as_ref().map_or_else(BurstFigures::default, BurstFigures::of),
            r: rating.map(|rating| rounded(rating.r, TENTHS)),
            mos: rating.map(|rating| rounded(rating.mos, HUNDREDTHS)),
            hears: stats.heard(side).map(HeardFigures::of),
            strangers: of.strangers,
            forged: of.forged,
            replayed: of.replayed,
            exhausted: of.exhausted,
        }
    }

    /// Enters an ended call's figures into the histograms of its direction.
    pub fn count(&self, into: &DirectionCounters) {
        if self.packets == 0 {
            return;
        }
        into.jitter.record(self.jitter_ms / 1000.0);
        #[allow(clippy::cast_precision_loss)] // exact up to 2^53 packets
        into.loss.record(self.lost as f64 / self.packets.saturating_add(self.lost) as f64);
        if let Some(mos) = self.mos {
            into.mos.record(mos);
        }
    }
}

impl BurstFigures {
    fn of(quality: &Quality) -> Self {
        let losses = &quality.losses;
        Self {
            density: rounded(losses.burst_density(), MILLIONTHS),
            duration_ms: rounded(quality.burst_ms, TENTHS),
            gap_density: rounded(losses.gap_density(), MILLIONTHS),
            gap_duration_ms: rounded(quality.gap_ms, TENTHS),
            ratio: rounded(losses.burst_ratio(), HUNDREDTHS),
        }
    }
}

impl HeardFigures {
    fn of(heard: Heard) -> Self {
        Self {
            lost: heard.lost,
            loss: rounded(heard.loss, MILLIONTHS),
            jitter_ms: rounded(heard.jitter_ms, HUNDREDTHS),
            r: heard.rating.map(|rating| rounded(rating.r, TENTHS)),
            mos: heard.rating.map(|rating| rounded(rating.mos, HUNDREDTHS)),
        }
    }
}

const TENTHS: f64 = 10.0;
const HUNDREDTHS: f64 = 100.0;
const MILLIONTHS: f64 = 1_000_000.0;

/// A figure without digits that mean nothing.
fn rounded(figure: f64, parts: f64) -> f64 {
    (figure * parts).round() / parts
}

fn ms(span: Duration) -> f64 {
    rounded(span.as_secs_f64() * 1000.0, HUNDREDTHS)
}

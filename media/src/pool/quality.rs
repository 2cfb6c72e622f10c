//! Quality of a flow: what its worker leaves in atomics for it, and what it comes to when somebody asks.

use super::counters::{Counter, SideStats};
use super::vocabulary::{Side, Sides};
use crate::quality::{Conditions, Impairment, LossPattern, Losses, Rating};
use crate::rtcp::VoipMetrics;
use crate::rtp::{Reception, ReportInterval};
use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A stream's losses: three stores a packet, the others only when one has been lost.
#[derive(Debug, Default)]
pub struct LossCounters {
    expected: Counter,
    window: Counter,
    window_places: Counter,
    lost: Counter,
    runs: Counter,
    bursts: Counter,
    burst_packets: Counter,
    burst_lost: Counter,
    open_lost: Counter,
    open_packets: Counter,
    clear_from: Counter,
}

impl LossCounters {
    #[inline]
    pub fn note(&self, reception: &Reception) {
        let pattern = reception.pattern();
        let (window, places) = reception.window();
        self.expected.set(pattern.expected);
        self.window.set(window);
        self.window_places.set(places.into());
        if pattern.lost != self.lost.get() {
            self.lost.set(pattern.lost);
            self.runs.set(pattern.runs);
            self.bursts.set(pattern.bursts);
            self.burst_packets.set(pattern.burst_packets);
            self.burst_lost.set(pattern.burst_lost);
            self.open_lost.set(pattern.open_lost);
            self.open_packets.set(pattern.open_packets);
            self.clear_from.set(pattern.clear_from);
        }
    }

    /// The pattern up to the newest packet.
    pub fn pattern(&self) -> LossPattern {
        let mut pattern = LossPattern {
            expected: self.expected.get(),
            lost: self.lost.get(),
            runs: self.runs.get(),
            bursts: self.bursts.get(),
            burst_packets: self.burst_packets.get(),
            burst_lost: self.burst_lost.get(),
            open_lost: self.open_lost.get(),
            open_packets: self.open_packets.get(),
            clear_from: self.clear_from.get(),
        };
        pattern.window(self.window.get(), u8::try_from(self.window_places.get()).unwrap_or(0));
        pattern
    }
}

/// What a side reports of the packets that it gets.
#[derive(Debug, Default)]
pub struct ReportCounters {
    pub reports: Counter,
    pub fraction_lost: AtomicU32,
    pub jitter_units: AtomicU32,
    pub lost: Counter,
    /// The words of the last VoIP metrics block, and how many blocks have come.
    metrics: [AtomicU64; 4],
    metrics_blocks: Counter,
}

impl ReportCounters {
    pub fn note(&self, interval: &ReportInterval) {
        self.fraction_lost.store(interval.fraction_lost.into(), Relaxed);
        self.jitter_units.store(interval.jitter, Relaxed);
        self.lost.set(u64::try_from(interval.cumulative_lost).unwrap_or(0));
        self.reports.add(1);
    }

    pub fn note_metrics(&self, metrics: &VoipMetrics) {
        for (place, word) in self.metrics.iter().zip(metrics.words()) {
            place.store(word, Relaxed);
        }
        self.metrics_blocks.add(1);
    }

    pub fn metrics(&self) -> Option<VoipMetrics> {
        let words = || array::from_fn(|at| self.metrics.get(at).map_or(0, |word| word.load(Relaxed)));
        (self.metrics_blocks.get() > 0).then(|| VoipMetrics::from_words(words()))
    }
}

/// How the sound of one side is when it reaches the pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Losses and how they lie together.
    pub losses: Losses,
    /// How long a burst lasts on average, ms; 0 without bursts.
    pub burst_ms: f64,
    /// How long a gap between bursts lasts on average, ms.
    pub gap_ms: f64,
    /// Interarrival jitter, ms.
    pub jitter_ms: f64,
    /// From mouth to ear, as far as it is known, ms: half of the round trip of either side, a packet, the look-ahead of the
    /// codec, and what a jitter buffer holds back.
    pub delay_ms: f64,
    /// R and MOS; `None` where the codec has no published impairment.
    pub rating: Option<Rating>,
    /// The MOS of who only listens: without what the delay costs.
    pub listening_mos: Option<f64>,
}

/// How the sound is that one side hears, by its own reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Packets that it reports lost.
    pub lost: u64,
    /// Of those that it should have got, 0 to 1; with VoIP metrics those that came too late as well.
    pub loss: f64,
    /// Interarrival jitter, ms.
    pub jitter_ms: f64,
    /// R and MOS: its own where it tells them, else what its report comes to.
    pub rating: Option<Rating>,
}

impl Sides<SideStats> {
    /// How the sound from a side is; `None` before its first packet.
    pub fn quality(&self, from: Side) -> Option<Quality> {
        let stats = self.get(from);
        let losses = stats.losses;
        if losses.expected == 0 {
            return None;
        }
        let impairment = stats.payload.as_ref().and_then(Impairment::of);
        let delay_ms = self.delay_ms(stats, impairment, stats.packet_ms + 2.0 * stats.jitter_ms);
        let conditions = Conditions { loss: losses.ratio(), burst_ratio: losses.burst_ratio(), delay_ms };
        Some(Quality {
            losses,
            burst_ms: losses.burst_length() * stats.packet_ms,
            gap_ms: losses.gap_length() * stats.packet_ms,
            jitter_ms: stats.jitter_ms,
            delay_ms,
            rating: impairment.map(|impairment| impairment.rate(&conditions)),
            listening_mos: impairment.map(|of| of.rate(&Conditions { delay_ms: 0.0, ..conditions }).mos),
        })
    }

    /// How the sound is that a side hears; `None` while it has not reported.
    pub fn heard(&self, by: Side) -> Option<Heard> {
        let (stats, source) = (self.get(by), self.get(by.other()));
        let metrics = stats.remote_metrics;
        if stats.remote_reports == 0 && metrics.is_none() {
            return None;
        }
        // What was lost before it came to us is missing there too: numbers pass unchanged.
        let expected = stats.packets_sent.max(source.losses.expected).max(1) as f64;
        let reported = (stats.remote_lost as f64 / expected).min(1.0);
        let loss = metrics.map_or(reported, |metrics| (metrics.loss() + metrics.discarded()).min(1.0));
        let payload = source.payload.or(stats.payload);
        let clock_hz = payload.map_or(0, |payload| payload.clock_hz);
        let jitter_ms =
            if clock_hz == 0 { 0.0 } else { f64::from(stats.remote_jitter_units) * 1000.0 / f64::from(clock_hz) };
        let packet_ms = if source.packet_ms > 0.0 { source.packet_ms } else { stats.packet_ms };
        let buffer_ms = match metrics.map_or(0, |metrics| metrics.jitter_buffer_ms()) {
            0 => packet_ms + 2.0 * jitter_ms,
            told => f64::from(told),
        };
        let impairment = payload.as_ref().and_then(Impairment::of);
        let delay_ms = self.delay_ms(source, impairment, buffer_ms);
        let computed = impairment.map(|of| of.rate(&Conditions { loss, burst_ratio: 1.0, delay_ms }));
        let (told_r, told_mos) = metrics.map_or((None, None), |metrics| (metrics.r(), metrics.mos().1));
        let rating = match (told_r.map(f64::from), told_mos, computed) {
            (Some(r), mos, _) => Some(Rating { r, mos: mos.unwrap_or_else(|| crate::quality::mos_of(r)) }),
            (None, Some(mos), Some(computed)) => Some(Rating { mos, ..computed }),
            (None, _, computed) => computed,
        };
        Some(Heard { lost: stats.remote_lost, loss, jitter_ms, rating })
    }

    fn delay_ms(&self, from: &SideStats, impairment: Option<Impairment>, buffer_ms: f64) -> f64 {
        let half = |trip: Option<Duration>| trip.map_or(0.0, |trip| trip.as_secs_f64() * 500.0);
        let lookahead_ms = impairment.map_or(0.0, |impairment| impairment.lookahead_ms);
        half(self.a.round_trip) + half(self.b.round_trip) + from.packet_ms + lookahead_ms + buffer_ms
    }
}

//! Counters that leave a worker through atomics: written by one thread, read by anybody, locked by nobody.

use super::quality::{LossCounters, ReportCounters};
use super::vocabulary::Sides;
use crate::codec::Payload;
use crate::quality::Losses;
use crate::rtcp::VoipMetrics;
use crate::rtp::{Reception, ReportInterval};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A counter with one writer: its worker. Adding is a load and a store, without a locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// What was added too soon.
    pub fn take(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Everything counted about one side of a flow. Outlives a worker's death.
#[derive(Debug, Default)]
pub(super) struct SideCounters {
    pub packets_received: Counter,
    pub bytes_received: Counter,
    pub packets_sent: Counter,
    pub bytes_sent: Counter,
    pub lost: Counter,
    pub late: Counter,
    pub duplicate: Counter,
    pub jitter_units: Counter,
    pub strangers: Counter,
    pub early: Counter,
    pub malformed: Counter,
    pub forged: Counter,
    pub replayed: Counter,
    pub exhausted: Counter,
    pub unserved: Counter,
    pub held: Counter,
    pub unmapped: Counter,
    pub unheard: Counter,
    pub send_failed: Counter,
    pub ungenerated: Counter,
    /// Nanoseconds of the pool's clock; 0 means never.
    pub last_packet_ns: Counter,
    pub clock_hz: AtomicU32,
    /// Payload type of the last packet with sound, plus one.
    pub payload_type: AtomicU32,
    /// Timestamp units of a packet.
    pub packet_units: AtomicU32,
    pub losses: LossCounters,
    pub remote: ReportCounters,
    /// Microseconds plus one; 0 means unknown.
    pub round_trip_us: Counter,
}

/// What a worker has dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// From an address that was not negotiated.
    pub strangers: u64,
    /// Before any address was negotiated.
    pub early: u64,
    /// Neither RTP nor RTCP.
    pub malformed: u64,
    /// SRTP or SRTCP that is not what the side's key would have made.
    pub forged: u64,
    /// SRTP or SRTCP that came before.
    pub replayed: u64,
    /// A key had no room for another source, or was used up.
    pub exhausted: u64,
    /// Datagrams of handshakes for which there was no room.
    pub unserved: u64,
    /// From a side that should not send.
    pub held: u64,
    /// A payload that was not negotiated, or that the other side does not have.
    pub unmapped: u64,
    /// From a side that hears the other one and is heard by nobody.
    pub unheard: u64,
    /// The kernel did not take it.
    pub send_failed: u64,
}

/// One side's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideStats {
    /// RTP packets accepted from the side.
    pub packets_received: u64,
    /// Bytes of those packets, RTP headers included.
    pub bytes_received: u64,
    /// RTP packets sent to the side.
    pub packets_sent: u64,
    /// Bytes of those packets, RTP headers included.
    pub bytes_sent: u64,
    /// Packets from the side that never came (RFC 3550 A.3).
    pub lost: u64,
    /// Packets that came after their successor.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Interarrival jitter in timestamp units (RFC 3550 A.8).
    pub jitter_units: u64,
    /// The same in milliseconds.
    pub jitter_ms: f64,
    /// Packets from an address that was not negotiated: dropped.
    pub strangers: u64,
    /// Packets that came before any address was negotiated: dropped. A phone may send as soon as it has said yes, which is
    /// before we have read it.
    pub early: u64,
    /// Datagrams that are neither RTP nor RTCP: dropped.
    pub malformed: u64,
    /// Packets of the side's address that are not what its key would have made, plain ones too: dropped.
    pub forged: u64,
    /// SRTP packets that came before, or so late that nobody can tell: dropped.
    pub replayed: u64,
    /// Packets for which a key of the side had no room: a source too many, or nothing left of it. Dropped, either way.
    pub exhausted: u64,
    /// Datagrams of the side's handshake for which there was no room: dropped.
    pub unserved: u64,
    /// Packets from the side while it should not send: dropped.
    pub held: u64,
    /// Packets whose payload was not negotiated or that the other side does not have: dropped.
    pub unmapped: u64,
    /// Packets for the other side while that was not there yet, or did not want to hear: dropped.
    pub unheard: u64,
    /// Packets that the kernel did not take.
    pub send_failed: u64,
    /// Packets that were due but not generated, because the side has no codec that the pool speaks.
    pub ungenerated: u64,
    /// Time since the last accepted packet.
    pub last_packet_age: Option<Duration>,
    /// What the side's last packet with sound was coded in; `None` before it, and where nobody said what its number means.
    pub payload: Option<Payload>,
    /// How long a packet of the side lasts, ms; 0 while that is unknown.
    pub packet_ms: f64,
    /// The side's losses and how they lie together.
    pub losses: Losses,
    /// Reports about our packets that came from the side (RTCP).
    pub remote_reports: u64,
    /// Fraction of our packets that the side reported lost last (RTCP), 0 to 1.
    pub remote_fraction_lost: f64,
    /// Packets that the side reported lost in all (RTCP).
    pub remote_lost: u64,
    /// Jitter that the side reported last (RTCP), in the timestamp units of what it hears.
    pub remote_jitter_units: u32,
    /// What the side said last of the sound that it hears (RFC 3611 section 4.7).
    pub remote_metrics: Option<VoipMetrics>,
    /// Round trip between the pool and the side, from RTCP.
    pub round_trip: Option<Duration>,
}

/// A flow's figures: a snapshot, not a lock; fields may be a packet apart.
pub type FlowStats = Sides<SideStats>;

impl SideCounters {
    /// A stream that goes on from what was counted before its worker died.
    pub fn reception(&self) -> Reception {
        Reception::after(self.lost.get(), self.losses.pattern())
    }

    /// What a packet has changed.
    #[inline]
    pub fn note(&self, reception: &Reception) {
        self.lost.set(reception.lost());
        self.losses.note(reception);
    }

    /// What a packet with sound has changed besides.
    #[inline]
    pub fn note_timing(&self, reception: &Reception, clock_hz: u32, payload_type: u8) {
        self.jitter_units.set(reception.jitter().into());
        self.packet_units.store(reception.packet_units(), Relaxed);
        self.clock_hz.store(clock_hz, Relaxed);
        self.payload_type.store(u32::from(payload_type) + 1, Relaxed);
    }

    /// What the side reports of our packets.
    pub fn note_report(&self, interval: &ReportInterval) {
        self.remote.note(interval);
    }

    /// What the side says of the sound that it hears.
    pub fn note_metrics(&self, metrics: &VoipMetrics) {
        self.remote.note_metrics(metrics);
    }

    /// The figures; `payload_of` says what a payload type stands for.
    pub fn snapshot(&self, now: Duration, payload_of: impl Fn(u8) -> Option<Payload>) -> SideStats {
        let jitter_units = self.jitter_units.get();
        let clock_hz = self.clock_hz.load(Relaxed);
        let in_ms = |units: u64| if clock_hz == 0 { 0.0 } else { units as f64 * 1000.0 / f64::from(clock_hz) };
        let payload_type = self.payload_type.load(Relaxed).checked_sub(1).and_then(|pt| u8::try_from(pt).ok());
        let age = |ns: u64| now.saturating_sub(Duration::from_nanos(ns));
        SideStats {
            packets_received: self.packets_received.get(),
            bytes_received: self.bytes_received.get(),
            packets_sent: self.packets_sent.get(),
            bytes_sent: self.bytes_sent.get(),
            lost: self.lost.get(),
            late: self.late.get(),
            duplicate: self.duplicate.get(),
            jitter_units,
            jitter_ms: in_ms(jitter_units),
            strangers: self.strangers.get(),
            early: self.early.get(),
            malformed: self.malformed.get(),
            forged: self.forged.get(),
            replayed: self.replayed.get(),
            exhausted: self.exhausted.get(),
            unserved: self.unserved.get(),
            held: self.held.get(),
            unmapped: self.unmapped.get(),
            unheard: self.unheard.get(),
            send_failed: self.send_failed.get(),
            ungenerated: self.ungenerated.get(),
            last_packet_age: Some(self.last_packet_ns.get()).filter(|ns| *ns != 0).map(age),
            payload: payload_type.and_then(payload_of),
            packet_ms: in_ms(self.packet_units.load(Relaxed).into()),
            losses: self.losses.pattern().losses(),
            remote_reports: self.remote.reports.get(),
            remote_fraction_lost: f64::from(self.remote.fraction_lost.load(Relaxed)) / 256.0,
            remote_lost: self.remote.lost.get(),
            remote_jitter_units: self.remote.jitter_units.load(Relaxed),
            remote_metrics: self.remote.metrics(),
            round_trip: self.round_trip_us.get().checked_sub(1).map(Duration::from_micros),
        }
    }
}

/// A worker's pulse and sums.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// Nanoseconds of the pool's clock at the last turn of the loop.
    pub heartbeat_ns: AtomicU64,
    pub busy_ns: AtomicU64,
    pub packets_in: Counter,
    pub packets_out: Counter,
    pub strangers: Counter,
    pub early: Counter,
    pub malformed: Counter,
    pub forged: Counter,
    pub replayed: Counter,
    pub exhausted: Counter,
    pub unserved: Counter,
    pub held: Counter,
    pub unmapped: Counter,
    pub unheard: Counter,
    pub send_failed: Counter,
}

impl Vitals {
    pub fn dropped(&self) -> Dropped {
        Dropped {
            strangers: self.strangers.get(),
            early: self.early.get(),
            malformed: self.malformed.get(),
            forged: self.forged.get(),
            replayed: self.replayed.get(),
            exhausted: self.exhausted.get(),
            unserved: self.unserved.get(),
            held: self.held.get(),
            unmapped: self.unmapped.get(),
            unheard: self.unheard.get(),
            send_failed: self.send_failed.get(),
        }
    }
}

//! Housekeeping, ten times a second: time-outs, RTCP of our own, CPU time.

use super::super::vocabulary::{MediaEvent, Side, Sides};
use super::super::{Inner, sys};
use super::entry::{Entry, Lanes};
use super::play::Playing;
use super::{Worker, keys, nanos};
use crate::rtcp::{
    self, Block, EXTENDED_BYTES_MAX, Extended, INTERVAL_MEAN, Metrics, REPORT_BYTES_MAX, Report, SenderInfo,
    VoipMetrics,
};
use crate::rtp::reception::in_clock_units;
use crate::sound::{EAR_PACKETS_MAX, Ear};
use crate::srtp::Wear;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Worker<'_> {
    pub(super) fn keep_house(&mut self, now: Duration) {
        self.seat.vitals.busy_ns.store(nanos(sys::thread_cpu()), Relaxed);
        let pool = self.pool;
        pool.ports.lock().trim(now);
        for entry in self.flows.iter_mut().flatten() {
            self.seat.serving.store(entry.record.id.slot, Relaxed);
            keys::release(entry, now);
            notice_silence(entry, now);
            notice_lost_consent(entry, pool.config.consent, now);
            for side in [Side::A, Side::B] {
                seal(entry, side);
                notice_wear(entry, side);
                report_if_due(pool, entry, side, now);
            }
        }
    }

    /// BYE to a side that heard something of our own.
    pub(super) fn say_goodbye(&self, entry: &mut Entry, side: Side, now: Duration) {
        let state = entry.sides.get(side);
        if state.own.packets == 0 {
            return;
        }
        let sender = sender_info(entry, side, now);
        let report = Report { ssrc: state.own.ssrc, sender, block: None, cname: &self.pool.cname, bye: true };
        let mut packet = [0; REPORT_BYTES_MAX];
        if let Some(length) = report.write(&mut packet) {
            entry.sides.get_mut(side).send_rtcp(packet.get(..length).unwrap_or_default());
        }
    }
}

/// Notes that nothing of anybody but the peer can be in a side's socket: it was connected a round ago at least, so that no
/// packet is on its way past the kernel's check, and it has been empty since.
fn seal(entry: &mut Entry, side: Side) {
    let state = entry.sides.get_mut(side);
    let Some(route) = state.route.as_mut().filter(|route| route.connected && !route.sealed) else { return };
    let empty = || matches!(state.outlet.rtp().peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    route.sealed = route.connected_long && empty();
    route.connected_long = true;
}

/// A side that should send and does not.
fn notice_silence(entry: &mut Entry, now: Duration) {
    let limit = entry.record.media_timeout;
    if limit.is_zero() || entry.timed_out {
        return;
    }
    let silent = [Side::A, Side::B].into_iter().any(|side| {
        let state = entry.sides.get(side);
        state.route.is_some_and(|route| route.send) && now.saturating_sub(state.quiet_since) >= limit
    });
    if silent {
        entry.timed_out = true;
        entry.record.tell(MediaEvent::TimedOut);
    }
}

/// A side with ICE that has shown for long neither by a check nor by a packet that it is there.
fn notice_lost_consent(entry: &mut Entry, limit: Duration, now: Duration) {
    for side in [Side::A, Side::B] {
        if entry.sides.get_mut(side).loses_consent(limit, now) {
            entry.record.tell(MediaEvent::ConsentLost(side));
        }
    }
}

/// The keys of a side come to their end.
fn notice_wear(entry: &Entry, side: Side) {
    let Some(guard) = &entry.sides.get(side).guard else { return };
    for (key, ours) in [(guard.opener.key(), false), (guard.sealer.key(), true)] {
        match key.worn_since_asked() {
            None | Some(Wear::Good) => {}
            Some(Wear::Worn) => entry.record.tell(MediaEvent::KeyWorn { side, ours }),
            Some(Wear::Spent) => entry.record.tell(MediaEvent::KeySpent { side, ours }),
        }
    }
}

/// SR or RR to a side for which the pool is the end point; where it relays, the other side's reports go through.
fn report_if_due(pool: &Inner, entry: &mut Entry, side: Side, now: Duration) {
    let state = entry.sides.get(side);
    let relayed = matches!(state.playing, Playing::Peer) && !entry.makes();
    if now < state.next_report || state.route.is_none() || relayed {
        return;
    }
    let sender = sender_info(entry, side, now);
    let cname = &pool.cname;
    let state = entry.sides.get_mut(side);
    state.next_report = now + rtcp::next_interval(rand::random());
    let block = state.reception.ssrc().zip(state.reception.report()).map(|(ssrc, interval)| Block {
        ssrc,
        interval,
        last_sr: state.report_in.map_or(0, |(report, _)| report),
        delay_since_last_sr: state.report_in.map_or(0, |(_, at)| rtcp::delay_units(now.saturating_sub(at))),
    });
    if sender.is_none() && block.is_none() {
        return;
    }
    if let Some(info) = sender {
        state.report_out = Some((rtcp::middle(info.ntp), now));
    }
    let mut packet = [0; REPORT_BYTES_MAX + EXTENDED_BYTES_MAX];
    let ssrc = state.own.ssrc;
    let report = Report { ssrc, sender, block, cname, bye: false };
    let Some(length) = report.write(&mut packet) else { return };
    let more = match block {
        Some(_) => extended(entry, side, now).write(ssrc, packet.get_mut(length..).unwrap_or_default()).unwrap_or(0),
        None => 0,
    };
    entry.sides.get_mut(side).send_rtcp(packet.get(..length + more).unwrap_or_default());
}

/// What a side wants to know besides of the sound that it sends.
fn extended(entry: &mut Entry, side: Side, now: Duration) -> Extended {
    let (state, other) = entry.sides.split_mut(side);
    let wanted = state.route.map(|route| route.reports).unwrap_or_default();
    let summary = state.reception.summary().filter(|_| wanted.summary()).map(|summary| (summary, wanted));
    let Some(ssrc) = state.reception.ssrc().filter(|_| wanted.metrics) else {
        return Extended { summary, metrics: None };
    };
    // What it says is heard by whoever hears it made anew, or by a room or a recording.
    let ear = other.made.as_ref().filter(|made| made.active).map(|made| made.ear()).or(state.ear.as_deref());
    let figures = |side: Side, lanes: &Lanes| {
        let payload = |pt| lanes.iter().find(|lane| lane.payload.pt == pt).map(|lane| lane.payload);
        entry.record.counters.get(side).snapshot(now, payload)
    };
    let (mine, theirs) = (figures(side, &state.lanes), figures(side.other(), &other.lanes));
    let (packet_ms, trip) = (mine.packet_ms, mine.round_trip);
    let stats = match side {
        Side::A => Sides { a: mine, b: theirs },
        Side::B => Sides { a: theirs, b: mine },
    };
    let metrics = stats.quality(side).map(|quality| {
        let buffer_ms = ear.map(|ear| (1000.0 * ear.delay().as_secs_f64(), packet_ms * EAR_PACKETS_MAX as f64));
        VoipMetrics::of(&Metrics {
            ssrc,
            losses: quality.losses,
            discarded: ear.map_or(0, Ear::discarded),
            burst_ms: quality.burst_ms,
            gap_ms: quality.gap_ms,
            round_trip_ms: trip.map_or(0.0, |trip| 1000.0 * trip.as_secs_f64()),
            here_ms: packet_ms + buffer_ms.map_or(0.0, |(now_ms, _)| now_ms),
            rating: quality.rating,
            listening_mos: quality.listening_mos,
            buffer_ms,
        })
    });
    Extended { summary, metrics }
}

/// What an SR says about our stream to a side; `None` if we sent nothing in the last two intervals
/// (RFC 3550 section 6.4).
fn sender_info(entry: &Entry, side: Side, now: Duration) -> Option<SenderInfo> {
    let own = &entry.sides.get(side).own;
    let (timestamp, at) = own.last.filter(|(_, at)| now.saturating_sub(*at) < 2 * INTERVAL_MEAN)?;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(SenderInfo {
        ntp: rtcp::ntp(wall),
        timestamp: timestamp.wrapping_add(in_clock_units(now.saturating_sub(at), own.clock_hz)),
        packets: own.packets,
        octets: own.octets,
    })
}

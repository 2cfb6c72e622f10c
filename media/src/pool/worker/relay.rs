//! The way of a packet: socket → source check → header → statistics → rewrite in place → socket.

use super::super::book::FlowRecord;
use super::super::counters::{SideCounters, Vitals};
use super::super::vocabulary::{Carries, MediaEvent, Side};
use super::super::{Inner, sys};
use super::entry::{Entry, SideState};
use super::keys::{self, Turns};
use super::play::Playing;
use super::transcode::{self, Came, Taken};
use super::{BURST_MAX, DATAGRAM_BYTES_MAX, Token, Worker, nanos};
use crate::rtcp::{self, Part};
use crate::rtp::{self, Arrival, Header};
use crate::srtp::{OVERHEAD_BYTES_MAX, Refused};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl Worker<'_> {
    /// Reads what a socket has, within its share.
    pub(super) fn readable(&mut self, token: Token, datagram: &mut [u8], now: Duration) {
        let wake = self.wake;
        let vitals = &self.seat.vitals;
        let Some(place) = self.places.get(token.place()) else { return };
        let Some((slot, side)) = place.flow else {
            if let Some(pair) = place.pair.upgrade() {
                throw_away(if token.is_rtcp() { &pair.rtcp } else { &pair.rtp }, vitals, datagram);
            }
            return;
        };
        self.seat.serving.store(slot, Relaxed);
        let Some(Some(entry)) = self.flows.get_mut(slot as usize) else {
            return;
        };
        let state = entry.sides.get_mut(side);
        let backlog = state.last_wake.wrapping_add(1) == wake;
        if !token.is_rtcp() {
            state.last_wake = wake;
        }
        let share = if backlog || token.is_rtcp() { BURST_MAX } else { 1 };
        let mut hands = Hands { pool: self.pool, vitals, side, now };
        hands.read(entry, token.is_rtcp(), share, datagram);
        if !entry.listed && entry.makes() {
            self.list_if_playing(slot);
        }
    }
}

/// What comes to a port that no flow has: late packets of its last call, or a stranger's.
fn throw_away(socket: &UdpSocket, vitals: &Vitals, datagram: &mut [u8]) {
    for _ in 0..BURST_MAX {
        match socket.recv(datagram) {
            Ok(_) => vitals.strangers.add(1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {}
        }
    }
}

/// What handles one packet.
pub struct Hands<'a> {
    pub pool: &'a Inner,
    pub vitals: &'a Vitals,
    pub side: Side,
    pub now: Duration,
}

/// A datagram that is a side's by where it came in.
pub struct Datagram<'a> {
    /// Its bytes, and behind them room for what SRTP adds.
    pub buffer: &'a mut [u8],
    pub length: usize,
    pub from: SocketAddr,
    pub is_rtcp: bool,
}

impl Hands<'_> {
    /// Reads up to `share` packets of a socket of the side's own.
    fn read(&mut self, entry: &mut Entry, is_rtcp: bool, share: usize, buffer: &mut [u8]) {
        for _ in 0..share {
            let state = entry.sides.get(self.side);
            let (Some(pair), Some(room)) = (state.outlet.own(), buffer.get_mut(..DATAGRAM_BYTES_MAX)) else { return };
            let socket = if is_rtcp { &pair.rtcp } else { &pair.rtp };
            // Where the kernel lets nobody else in, it need not say who it was.
            let received = match state.route.as_ref().filter(|route| route.sealed && !is_rtcp) {
                Some(route) => sys::receive(socket, room).map(|length| (length, route.rtp)),
                None => socket.recv_from(room),
            };
            match received {
                Ok((length, from)) => self.take(entry, Datagram { buffer, length, from, is_rtcp }),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // ICMP errors of what we sent: a peer that is not there yet, or not there any more. Neither ends anything.
                Err(_) => {}
            }
        }
    }

    /// Takes a datagram; one that fills its room was cut.
    #[inline]
    pub fn take(&mut self, entry: &mut Entry, datagram: Datagram<'_>) {
        let Datagram { buffer, length, from, is_rtcp } = datagram;
        match (length >= DATAGRAM_BYTES_MAX, is_rtcp) {
            (true, _) => self.malformed(entry, from),
            (false, true) => self.rtcp(entry, buffer, length, from),
            (false, false) => self.rtp(entry, buffer, length, from),
        }
    }

    pub fn malformed(&self, entry: &Entry, from: SocketAddr) {
        let counters = entry.record.counters.get(self.side);
        let route = entry.sides.get(self.side).route.as_ref();
        if route.is_some_and(|route| route.accepts(from) || route.accepts_rtcp(from)) {
            counters.malformed.add(1);
            self.vitals.malformed.add(1);
        } else {
            self.stranger(counters, route.is_some());
        }
    }

    /// A packet that the side's route does not accept, or that came before there is a route.
    pub fn stranger(&self, counters: &SideCounters, routed: bool) {
        if routed {
            counters.strangers.add(1);
            self.vitals.strangers.add(1);
        } else {
            counters.early.add(1);
            self.vitals.early.add(1);
        }
    }

    /// A packet of the side's address that its key does not open.
    fn refused(&self, counters: &SideCounters, why: Refused) {
        let (of_side, of_worker) = match why {
            Refused::Replayed => (&counters.replayed, &self.vitals.replayed),
            Refused::Exhausted => (&counters.exhausted, &self.vitals.exhausted),
            Refused::Forged | Refused::Unfit => (&counters.forged, &self.vitals.forged),
        };
        of_side.add(1);
        of_worker.add(1);
    }

    /// The packet lies in the first `length` bytes of the buffer, behind which there is room for what SRTP adds.
    #[inline]
    fn rtp(&mut self, entry: &mut Entry, buffer: &mut [u8], length: usize, from: SocketAddr) {
        if entry.sides.get(self.side).web.is_some() && super::web::is_other(buffer) {
            return self.web(entry, buffer.get(..length).unwrap_or_default(), from);
        }
        let record = &*entry.record;
        let counters = record.counters.get(self.side);
        let (me, other) = entry.sides.split_mut(self.side);
        let Some(route) = me.route.as_mut() else {
            return self.stranger(counters, false);
        };
        if !route.accepts(from) && !me.web.as_ref().is_some_and(|web| web.has_checked(from)) {
            return self.stranger(counters, true);
        }
        if route.shut {
            return self.stranger(counters, false);
        }
        let Some(packet) = buffer.get_mut(..length) else { return };
        if route.rtcp_mux && rtp::is_rtcp(packet) {
            return self.rtcp(entry, buffer, length, from);
        }
        // Before anything in it is believed, and before anything follows from where it came from.
        let length = match me.guard.as_mut().map(|guard| guard.opener.rtp(packet)) {
            None => length,
            Some(Ok(opened)) => opened,
            Some(Err(why)) => return self.refused(counters, why),
        };
        if record.carries != Carries::Sound {
            return self.pass(record, me, other, buffer, length, from);
        }
        let Some(packet) = buffer.get_mut(..length) else { return };
        let Ok(header) = Header::parse(packet) else {
            return self.malformed(entry, from);
        };
        if !route.send {
            counters.held.add(1);
            self.vitals.held.add(1);
            return;
        }
        let Some(lane) = me.lanes.find(header.payload_type) else {
            counters.unmapped.add(1);
            self.vitals.unmapped.add(1);
            return;
        };
        if !route.heard {
            latch(record, self.side, me, from);
        }
        entry.timed_out = false;
        me.quiet_since = self.now;
        counters.packets_received.add(1);
        counters.bytes_received.add(packet.len() as u64);
        counters.last_packet_ns.set(nanos(self.now));
        self.vitals.packets_in.add(1);
        let arrival = me.reception.packet(header.ssrc, header.sequence);
        match arrival {
            // A stream of ours goes on where it was, whatever the party's does: under SRTP a number is never used again.
            Arrival::Restarted if me.own.last.is_some() => {
                me.own.echo_ahead = me.own.next_sequence.wrapping_sub(header.sequence);
            }
            Arrival::Late => counters.late.add(1),
            Arrival::Duplicate => counters.duplicate.add(1),
            Arrival::InOrder | Arrival::Restarted | Arrival::Suspect => {}
        }
        counters.note(&me.reception);
        let mut turns = Turns::new();
        if lane.payload.events {
            // All packets of an event have the timestamp of its start, so they say nothing about jitter.
            let (of, payload) = ((header.ssrc, header.timestamp), header.payload(packet));
            me.events.packet(of, payload, lane.payload.clock_hz, self.now, |turn| turns.push(turn));
        } else {
            me.reception.timing(header.timestamp, lane.payload.clock_hz, self.now);
            counters.note_timing(&me.reception, lane.payload.clock_hz, header.payload_type);
            if me.listener.is_some() {
                let in_order = !matches!(arrival, Arrival::Late | Arrival::Duplicate);
                turns = keys::overhear(me, other, &lane, &header, packet, in_order);
            }
        }
        if !turns.is_empty() {
            keys::tell(record, entry.recording.as_ref(), self.side, &turns);
        }
        if let Some(ear) = &mut me.ear {
            ear.packet(&header, header.payload(packet), self.now);
        }
        let relayed = matches!(other.playing, Playing::Peer) && other.route.is_some_and(|route| route.hears());
        if matches!(me.playing, Playing::Echo) && me.route.is_some_and(|route| route.hears()) {
            let mut copy = [0; DATAGRAM_BYTES_MAX + OVERHEAD_BYTES_MAX];
            let buffer = if relayed {
                if let Some(place) = copy.get_mut(..length) {
                    place.copy_from_slice(packet);
                }
                &mut copy[..]
            } else {
                &mut *buffer
            };
            // Its own SSRC would look like a loop to it (RFC 3550 section 8.2).
            rtp::set_ssrc(buffer, me.own.ssrc);
            let sequence = header.sequence.wrapping_add(me.own.echo_ahead);
            rtp::set_sequence(buffer, sequence);
            mark_if_due(me, buffer);
            me.own.clock_hz = lane.payload.clock_hz;
            // What may be generated for it later goes on from here.
            me.own.next_sequence = sequence.wrapping_add(1);
            me.send_own(buffer, length, header.timestamp, self.now, counters, self.vitals);
        }
        if relayed {
            let Some(packet) = buffer.get(..length) else { return };
            if transcode::concerns(me, other, &lane, header.payload(packet)) {
                let came = Came { lane, header: &header, bytes: packet, turns: &turns, now: self.now };
                match transcode::take(me, other, &came) {
                    Taken::Pass => {}
                    Taken::Made => return,
                    Taken::Unmapped => {
                        counters.unmapped.add(1);
                        self.vitals.unmapped.add(1);
                        return;
                    }
                }
            }
            let Some(across) = lane.across else { return };
            rtp::set_payload_type(buffer, across);
            other.unify(record, self.side.other(), buffer, &header, lane.payload.clock_hz, self.now);
            mark_if_due(other, buffer);
            other.send(buffer, length, record.counters.get(self.side.other()), self.vitals);
        } else if matches!(me.playing, Playing::Peer) && me.ear.is_none() {
            // What it hears is the other side, so that is whom it speaks to.
            counters.unheard.add(1);
            self.vitals.unheard.add(1);
        }
    }

    fn rtcp(&mut self, entry: &mut Entry, buffer: &mut [u8], length: usize, from: SocketAddr) {
        let record = &*entry.record;
        let counters = record.counters.get(self.side);
        let makes = entry.makes();
        let (me, other) = entry.sides.split_mut(self.side);
        let Some(route) = &mut me.route else {
            return self.stranger(counters, false);
        };
        // With a shared port the RTP rule has been applied, and there is no other address to learn.
        let checked = || me.web.as_ref().is_some_and(|web| web.has_checked(from));
        if !(route.accepts_rtcp(from) || route.rtcp_mux && route.accepts(from) || checked()) {
            return self.stranger(counters, true);
        }
        if route.shut {
            return self.stranger(counters, false);
        }
        let Some(packet) = buffer.get_mut(..length) else { return };
        let length = match me.guard.as_mut().map(|guard| guard.opener.rtcp(packet)) {
            None => length,
            Some(Ok(opened)) => opened,
            Some(Err(why)) => return self.refused(counters, why),
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let Ok(compound) = rtcp::parse(packet) else {
            return self.malformed(entry, from);
        };
        if !route.rtcp_latched && !route.rtcp_mux {
            (route.rtcp, route.rtcp_latched) = (from, true);
            record.saw(self.side, me.remote_serial, |wanted| wanted.seen_rtcp = Some(from));
        }
        let relayed = matches!(other.playing, Playing::Peer) && other.route.is_some() && !makes;
        for part in compound {
            let blocks = match part {
                Part::Sender(_, info, blocks) => {
                    let sent = (rtcp::middle(info.ntp), self.now);
                    me.report_in = Some(sent);
                    if relayed {
                        other.report_out = Some(sent);
                    }
                    blocks
                }
                Part::Receiver(_, blocks) => blocks,
                Part::Extended(metrics) => {
                    if let Some(metrics) = metrics {
                        counters.note_metrics(&metrics);
                    }
                    continue;
                }
                Part::Goodbye | Part::Other(_) => continue,
            };
            for block in blocks {
                counters.note_report(&block.interval);
                let trip = me.report_out.and_then(|(report, at)| block.round_trip(report, self.now.saturating_sub(at)));
                if let Some(trip) = trip {
                    counters.round_trip_us.set(u64::try_from(trip.as_micros()).unwrap_or(0).saturating_add(1));
                }
            }
        }
        if relayed {
            let (sent, heard) = (other.translation(), me.translation());
            if let Some(packet) = buffer.get_mut(..length) {
                rtcp::translate(packet, sent.as_ref(), heard.as_ref());
                other.send_rtcp(packet);
            }
        }
    }
}

#[inline]
fn mark_if_due(state: &mut SideState, packet: &mut [u8]) {
    if state.marker_due {
        state.marker_due = false;
        rtp::set_marker(packet);
    }
}

/// The first packet of a side: from now on only this address counts, here and in the kernel.
pub fn latch(record: &FlowRecord, side: Side, me: &mut SideState, from: SocketAddr) {
    let Some(route) = &mut me.route else { return };
    if route.behind_nat && route.rtcp_mux {
        route.rtcp = from;
    }
    route.heard = true;
    let place = if route.ice { route.rtp } else { from };
    if !route.ice {
        (route.rtp, route.latched) = (from, true);
        route.connected = me.outlet.connect(from);
    }
    let mut first = false;
    record.saw(side, me.remote_serial, |wanted| {
        wanted.seen = Some(place);
        first = !std::mem::replace(&mut wanted.heard, true);
    });
    if first {
        record.tell(MediaEvent::FirstPacket(side));
    }
}

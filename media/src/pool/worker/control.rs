//! Commands: making a flow's entry agree with what its record wants.

use super::super::book::FlowRecord;
use super::super::handshakes::Job;
use super::super::port::{Port, Spots};
use super::super::ports::PortPair;
use super::super::vocabulary::{MediaEvent, Secure, Side, Sides};
use super::super::{Inner, sys};
use super::entry::{Entry, Guard, Lanes, Route, SideState, Stream, keys_of, silence_of, voice_of};
use super::play::{Playing, note_progress};
use super::shared::{At, Outlet, Peers, Share};
use super::{BURST_MAX, Place, Token, Worker};
use crate::dtmf::EventReceiver;
use crate::prompt;
use crate::srtp::{Opener, Sealer};
use smallvec::SmallVec;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Leftovers of a port's last user that are thrown away when a flow gets it.
const LEFTOVERS_MAX: usize = 64 * BURST_MAX;

impl Worker<'_> {
    /// Looks at a record and does what it wants.
    pub(super) fn apply(&mut self, record: &Arc<FlowRecord>, now: Duration) {
        // Cleared before the record is read: a later change rings again.
        record.dirty.store(false, Ordering::SeqCst);
        self.seat.serving.store(record.id.slot, Ordering::Relaxed);
        if record.wanted.lock().closed {
            return self.close(record, now);
        }
        if let Err(error) = self.admit(record, now) {
            tracing::error!(flow = ?record.id, %error, "a flow cannot be opened");
            self.close(record, now);
            return record.tell(MediaEvent::Lost);
        }
        if let Err(error) = self.follow_ports(record) {
            tracing::error!(flow = ?record.id, %error, "a side does not get its own port");
        }
        let pool = self.pool;
        if let Some(Some(entry)) = self.flows.get_mut(record.id.slot as usize) {
            negotiate(pool, entry, &mut self.peers, now);
            choose_sources(entry);
            choose_recording(entry);
        }
        self.list_if_playing(record.id.slot);
        self.settle_rooms(record.id.slot, false);
        self.settle_tape(record.id.slot);
        self.settle_keys(record.id.slot);
    }

    /// Gives a record an entry and its sockets a place in epoll, unless it has them.
    fn admit(&mut self, record: &Arc<FlowRecord>, now: Duration) -> io::Result<()> {
        let slot = record.id.slot as usize;
        if self.flows.get(slot).is_some_and(|entry| entry.as_ref().is_some_and(|entry| entry.record.id == record.id)) {
            return Ok(());
        }
        let Some(ports) = record.ports.lock().clone() else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the flow has no ports any more"));
        };
        let again = record.admitted.swap(true, Ordering::SeqCst);
        let a = self.outlet(ports.a, At { slot: record.id.slot, side: Side::A }, again)?;
        let b = self.outlet(ports.b, At { slot: record.id.slot, side: Side::B }, again)?;
        let sides = Sides { a: new_side(record, Side::A, a, now), b: new_side(record, Side::B, b, now) };
        if self.flows.len() <= slot {
            self.flows.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.flows.get_mut(slot) {
            let record = Arc::clone(record);
            *place = Some(Box::new(Entry {
                record,
                sides,
                listed: false,
                timed_out: false,
                in_room: false,
                recording: None,
            }));
        }
        Ok(())
    }

    /// Opens the port of a side; `again` says that a predecessor had it already.
    fn outlet(&mut self, port: Port, at: At, again: bool) -> io::Result<Outlet> {
        let pair = match (port, &self.shared) {
            (Port::Own(pair), _) => pair,
            (Port::Shared(_), Some(shared)) => return Ok(Outlet::Shared(Share { shared: Rc::clone(shared), at })),
            (Port::Shared(_), None) => {
                return Err(io::Error::new(io::ErrorKind::NotConnected, "the worker shares no port"));
            }
        };
        if again {
            // A predecessor may have connected it to a peer that has been negotiated away since.
            sys::disconnect(&pair.rtp)?;
        } else if pair.watched.load(Ordering::SeqCst) != self.epoch {
            // Nobody has thrown away what came to it.
            discard_leftovers(&pair);
        }
        self.watch(&pair)?;
        if let Some(place) = self.places.get_mut(pair.place as usize) {
            place.flow = Some((at.slot, at.side));
        }
        Ok(Outlet::Own(pair))
    }

    /// Gives a side that was found to be unable to share a port the one that it has got instead.
    fn follow_ports(&mut self, record: &FlowRecord) -> io::Result<()> {
        for side in [Side::A, Side::B] {
            let at = At { slot: record.id.slot, side };
            let shares = |worker: &Self| {
                let entry = worker.flows.get(at.slot as usize).and_then(Option::as_deref);
                entry.is_some_and(|entry| matches!(entry.sides.get(side).outlet, Outlet::Shared(_)))
            };
            let own = record.ports.lock().as_ref().and_then(|ports| ports.get(side).own().cloned());
            let Some(own) = own.filter(|_| shares(self)) else { continue };
            let outlet = self.outlet(Port::Own(own), at, false)?;
            if let Some(Some(entry)) = self.flows.get_mut(at.slot as usize) {
                let state = entry.sides.get_mut(side);
                self.peers.forget(at, state);
                state.outlet = outlet;
            }
        }
        Ok(())
    }

    /// Has the sockets of a pair reported, from now until they close.
    pub(super) fn watch(&mut self, pair: &Arc<PortPair>) -> io::Result<()> {
        let at = pair.place as usize;
        if self.places.len() <= at {
            self.places.resize_with(at + 1, Place::default);
        }
        if pair.watched.load(Ordering::SeqCst) != self.epoch {
            self.epoll.add(&pair.rtp, Token::new(pair.place, false).0)?;
            self.epoll.add(&pair.rtcp, Token::new(pair.place, true).0)?;
            pair.watched.store(self.epoch, Ordering::SeqCst);
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = Place { pair: Arc::downgrade(pair), flow: None };
        }
        Ok(())
    }

    /// Says goodbye, gives the ports back and forgets the flow.
    pub(super) fn close(&mut self, record: &Arc<FlowRecord>, now: Duration) {
        record.wanted.lock().closed = true;
        let slot = record.id.slot as usize;
        if self.flows.get(slot).is_some_and(|entry| entry.as_ref().is_some_and(|e| e.record.id == record.id)) {
            self.settle_rooms(record.id.slot, true);
            self.taped.retain(|taped| *taped != record.id.slot);
        }
        let mine = |entry: &mut Box<Entry>| entry.record.id == record.id;
        if let Some(mut entry) = self.flows.get_mut(slot).and_then(|place| place.take_if(mine)) {
            for side in [Side::A, Side::B] {
                self.say_goodbye(&mut entry, side, now);
                self.peers.forget(At { slot: record.id.slot, side }, entry.sides.get_mut(side));
            }
            if entry.listed {
                self.playing.retain(|playing| *playing != record.id.slot);
            }
        }
        record.release_spots();
        if let Some(ports) = record.ports.lock().take() {
            for port in [ports.a, ports.b] {
                let Port::Own(pair) = port else { continue };
                if let Some(place) = self.places.get_mut(pair.place as usize)
                    && place.flow.is_some_and(|(of, _)| of == record.id.slot)
                {
                    place.flow = None;
                }
                // A hung predecessor may still hold the sockets: then they close when it lets go.
                if Arc::strong_count(&pair) == 1 {
                    self.pool.ports.lock().give_back(pair, now);
                } else {
                    let _not_there = self.epoll.remove(&pair.rtp).and(self.epoll.remove(&pair.rtcp));
                    self.pool.ports.lock().write_off(&pair);
                }
            }
        }
        let _owner_dropped_without_the_lock = self.seat.book.lock().remove(record.id);
    }
}

fn new_side(record: &FlowRecord, side: Side, outlet: Outlet, now: Duration) -> SideState {
    let marks = record.marks.get(side);
    let [_, _, s0, s1, t0, t1, t2, t3] = marks.stream.load(Ordering::Relaxed).to_be_bytes();
    SideState {
        outlet,
        spots: Spots::new(),
        fragment: None,
        route: None,
        guard: None,
        web: None,
        remote_serial: 0,
        source_serial: 0,
        lanes: Lanes::ANY,
        payloads: SmallVec::new(),
        ear: None,
        eared: 0,
        voice: None,
        silence: Default::default(),
        keys: None,
        told_keys: false,
        listener: None,
        speaker: None,
        made: None,
        playing: Playing::Peer,
        own: Stream {
            ssrc: marks.ssrc,
            next_sequence: u16::from_be_bytes([s0, s1]),
            next_timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            echo_ahead: 0,
            clock_hz: prompt::RATE_HZ,
            credit_ms: 0,
            last: None,
            packets: 0,
            octets: 0,
            flowing: false,
        },
        reception: record.counters.get(side).reception(),
        events: EventReceiver::default(),
        marker_due: false,
        quiet_since: now,
        next_report: now,
        report_out: None,
        report_in: None,
        last_wake: 0,
    }
}

/// Takes over the far ends that changed.
fn negotiate(pool: &Inner, entry: &mut Entry, peers: &mut Peers, now: Duration) {
    let wanted = entry.record.wanted.lock();
    let mut changed = false;
    for side in [Side::A, Side::B] {
        let wish = wanted.sides.get(side);
        let state = entry.sides.get_mut(side);
        let Some(remote) = wish.remote.as_ref().filter(|_| wish.remote_serial != state.remote_serial) else {
            continue;
        };
        peers.settle(At { slot: entry.record.id.slot, side }, state, wish);
        let before = state.route;
        let mut route = Route::new(remote, wish.seen, wish.seen_rtcp);
        match before {
            Some(before) if before.connected && before.rtp == route.rtp && route.latched && !route.ice => {
                route.connected = true;
            }
            Some(before) if before.connected => {
                // A packet of the old peer that is queued already is caught by the source check.
                if sys::disconnect(state.outlet.rtp()).is_err() {
                    tracing::warn!(flow = ?entry.record.id, ?side, "a media socket keeps its old peer");
                }
            }
            // Not connected by this worker: known already if a predecessor saw a packet.
            _ => route.connected = route.latched && !route.ice && state.outlet.connect(route.rtp),
        }
        if before.is_none() {
            state.next_report = now + crate::rtcp::next_interval(rand::random());
        }
        if remote.reports.summary() {
            state.reception.tally();
        }
        let keys = match &remote.dtls {
            Some(handshake) => {
                handshake.0.keys().map(|keys| Secure { open: keys.open.clone(), seal: keys.seal.clone() })
            }
            None => remote.secure.clone(),
        };
        let keyed = secure(state, keys.as_ref());
        if !keyed {
            tracing::error!(flow = ?entry.record.id, ?side, "the keys of a side are refused: it hears and says nothing");
        }
        state.route = Some(route);
        state.take_web(remote, now);
        if let Some(route) = &mut state.route {
            route.shut |= !keyed;
        }
        if let Some(to) = state.begins_at() {
            let job = Job { record: Arc::clone(&entry.record), side, association: to.0, peer: to.1, datagram: None };
            pool.handshakes.submit(job);
        }
        let voice = voice_of(remote);
        let spoken = |state: &SideState| (state.voice, state.silence, state.route.map(|route| route.ptime_ms));
        let spoken_before = (state.voice, state.silence, before.map(|before| before.ptime_ms));
        (state.voice, state.silence) = (voice, silence_of(remote, voice));
        (state.keys, state.told_keys) = (keys_of(remote, voice), remote.told_keys);
        if spoken(state) != spoken_before {
            (state.speaker, state.made) = (None, None);
        }
        state.payloads.clone_from(&remote.payloads);
        state.remote_serial = wish.remote_serial;
        // A side that is expected to send gets its whole time-out from here.
        state.quiet_since = now;
        changed = true;
    }
    if changed {
        let (a, b) = (wanted.sides.a.remote.as_ref(), wanted.sides.b.remote.as_ref());
        let lanes = Sides {
            a: a.map_or(Lanes::ANY, |mine| Lanes::new(mine, b)),
            b: b.map_or(Lanes::ANY, |mine| Lanes::new(mine, a)),
        };
        for side in [Side::A, Side::B] {
            let (me, other) = entry.sides.split_mut(side);
            if me.lanes != *lanes.get(side) {
                me.lanes = *lanes.get(side);
                other.made = None;
            }
        }
        entry.timed_out = false;
    }
}

/// Puts a side's keys to work, unless they are already; false if that fails.
fn secure(state: &mut SideState, wanted: Option<&Secure>) -> bool {
    let Some(wanted) = wanted else {
        state.guard = None;
        return true;
    };
    let same =
        |guard: &Guard| Arc::ptr_eq(guard.opener.key(), &wanted.open) && Arc::ptr_eq(guard.sealer.key(), &wanted.seal);
    if !state.guard.as_deref().is_some_and(same) {
        let keyed = Opener::new(&wanted.open).zip(Sealer::new(&wanted.seal));
        state.guard = keyed.map(|(opener, sealer)| Box::new(Guard { opener, sealer }));
    }
    state.guard.is_some()
}

/// Takes over the sources that changed.
fn choose_sources(entry: &mut Entry) {
    let record = Arc::clone(&entry.record);
    let wanted = record.wanted.lock();
    for side in [Side::A, Side::B] {
        let wish = wanted.sides.get(side);
        let state = entry.sides.get_mut(side);
        if wish.source_serial == state.source_serial {
            continue;
        }
        let marks = record.marks.get(side);
        let known = marks.played_serial.load(Ordering::Relaxed) == wish.source_serial;
        let played = if known { marks.played.load(Ordering::Relaxed) } else { 0 };
        let playing = Playing::new(&wish.source, played);
        // From the other side to the other side is no new stream.
        state.marker_due |= !matches!((&state.playing, &playing), (Playing::Peer, Playing::Peer));
        if matches!(state.playing, Playing::Room(_)) && !matches!(playing, Playing::Room(_)) {
            (state.ear, state.eared) = (None, 0);
        }
        state.playing = playing;
        state.source_serial = wish.source_serial;
        state.own.flowing = false;
        note_progress(&record, side, state);
    }
}

/// Takes over the recording that is wanted.
fn choose_recording(entry: &mut Entry) {
    let wanted = entry.record.wanted.lock().recording.clone();
    entry.recording = wanted;
}

fn discard_leftovers(pair: &PortPair) {
    let mut bin = [0; 16];
    for socket in [&pair.rtp, &pair.rtcp] {
        for _ in 0..LEFTOVERS_MAX {
            if let Err(error) = socket.recv(&mut bin)
                && error.kind() == io::ErrorKind::WouldBlock
            {
                break;
            }
        }
    }
}

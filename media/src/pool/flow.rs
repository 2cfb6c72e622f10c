//! The handle that a call keeps of its flow.

use super::Inner;
use super::book::{ENDED, FlowRecord, Seat, Wanted};
use super::counters::FlowStats;
use super::port::{Port, SharedPort, Spot, Spots};
use super::vocabulary::{
    ConnectError, FlowCheckpoint, FlowId, NoPort, PoolBusy, Press, Recording, Remote, Side, Sides, Source, Whereabouts,
};
use crate::dtmf::KEYS_MAX;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A media path between two sides. Dropping the handle leaves the flow open; [`Flow::close`] ends it. Every method is a
/// message to the worker or a look at the book, and never blocks; [`Flow::wake`] has the messages read at once.
#[derive(Clone)]
pub struct Flow {
    pub(super) pool: Arc<Inner>,
    pub(super) seat: Arc<Seat>,
    pub(super) record: Arc<FlowRecord>,
}

impl Flow {
    /// The flow's name, for [`super::Pool::adopt`].
    pub fn id(&self) -> FlowId {
        self.record.id
    }

    /// The RTP address to put into the SDP that this side gets. [`Flow::choose_port`] and [`Flow::connect`] may change it.
    pub fn local(&self, side: Side) -> SocketAddr {
        self.record.local.lock().get(side).0
    }

    /// The RTCP address of this side: the port after the RTP port, or on a shared port the same.
    pub fn local_rtcp(&self, side: Side) -> SocketAddr {
        self.record.local.lock().get(side).1
    }

    /// Sees to it that the side has a port at which a party can be told from others: the shared one where its address will do that,
    /// else a pair of its own. With a pair of its own, nothing changes. A party that was told another port must be told anew.
    ///
    /// # Errors
    /// [`NoPort`]; nothing was changed.
    pub fn choose_port(&self, side: Side, whereabouts: Whereabouts) -> Result<(), NoPort> {
        let shared = match self.record.ports.lock().as_ref().map(|ports| ports.get(side).clone()) {
            Some(Port::Shared(shared)) => shared,
            Some(Port::Own(_)) | None => return Ok(()),
        };
        if self.can_share(&shared, side, whereabouts) {
            return Ok(());
        }
        let now = self.pool.now();
        let pair = self.pool.ports.lock().take(now, self.seat.number).map_err(|error| {
            tracing::warn!(flow = ?self.id(), ?side, %error, "a side that cannot share a port has none");
            NoPort
        })?;
        let addresses = self.pool.addresses(&Port::Own(Arc::clone(&pair)));
        {
            let mut ports = self.record.ports.lock();
            match ports.as_mut().map(|ports| ports.get_mut(side)) {
                Some(port @ Port::Shared(_)) => *port = Port::Own(pair),
                // Closed, or moved by somebody else at the same time.
                _ => {
                    drop(ports);
                    self.pool.ports.lock().give_back(pair, now);
                    return Ok(());
                }
            }
        }
        *self.record.local.lock().get_mut(side) = addresses;
        // One entry a flow: the worker must hear of it.
        let _always_room = self.seat.change(&self.record, usize::MAX, |wanted| {
            shared.release(&std::mem::take(&mut wanted.sides.get_mut(side).spots), self.record.id, side);
        });
        self.seat.ring();
        Ok(())
    }

    /// Claims where the party is, and gives up what was claimed before; false if somebody else's party is there, or if nobody
    /// knows.
    fn can_share(&self, shared: &SharedPort, side: Side, whereabouts: Whereabouts) -> bool {
        let mut wanted = self.record.wanted.lock();
        let (closed, wanted) = (wanted.closed, wanted.sides.get_mut(side));
        let had_ice = wanted.remote.as_ref().is_some_and(|remote| remote.ice.is_some());
        let spots: Spots = match whereabouts {
            _ if closed => return true,
            Whereabouts::Unknown => return true,
            Whereabouts::BehindNat => return false,
            // What its checks have shown stays its own.
            Whereabouts::Checked if had_ice => return true,
            Whereabouts::Checked => Spots::new(),
            Whereabouts::At { rtp, rtcp } => {
                // Nothing comes from where nobody is: a party on hold, of old.
                let real = |place: &SocketAddr| !place.ip().is_unspecified() && place.port() != 0;
                [Some(rtp), rtcp].into_iter().flatten().filter(real).map(Spot::from).collect()
            }
        };
        let id = self.record.id;
        let others = spots.iter().position(|spot| !shared.claim(*spot, id, side));
        let (unwanted, fits) = match others {
            Some(other) => (spots.get(..other).unwrap_or_default(), false),
            None => (&wanted.spots[..], true),
        };
        let kept = if fits { &spots[..] } else { &wanted.spots[..] };
        let gone: Spots = unwanted.iter().copied().filter(|spot| !kept.contains(spot)).collect();
        shared.release(&gone, id, side);
        if fits {
            wanted.spots = spots;
        }
        fits
    }

    /// Tells where a side is and what it speaks; again after every new negotiation. A new RTP address is learned anew. The side's
    /// port is another afterwards where the party cannot share one ([`Flow::choose_port`]).
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing was changed.
    pub fn connect(&self, side: Side, remote: Remote) -> Result<(), ConnectError> {
        self.choose_port(side, Whereabouts::of(&remote))?;
        self.change(|wanted| {
            let wanted = wanted.sides.get_mut(side);
            // The first packet wakes the worker by itself, and what is waiting is done before it is judged. A socket that is
            // connected to an old peer would not report the new one.
            // Who begins a handshake itself waits for nobody's.
            let urgent = wanted.remote.is_some() || remote.dtls.is_some();
            // With ICE, checks have said where it is, and its new credentials leave that until a new check says otherwise.
            let same_place = wanted.remote.as_ref().is_some_and(|old| match (&old.ice, &remote.ice) {
                (Some(_), Some(_)) => true,
                (None, None) => (old.rtp, old.rtcp, old.behind_nat) == (remote.rtp, remote.rtcp, remote.behind_nat),
                _ => false,
            });
            if !same_place {
                (wanted.seen, wanted.seen_rtcp) = (None, None);
            }
            wanted.remote = Some(remote);
            wanted.remote_serial = wanted.remote_serial.wrapping_add(1);
            urgent
        })?;
        Ok(())
    }

    /// Chooses what a side hears, in the first of its codecs that the pool speaks ([`crate::Payload::sound_hz`]); a side
    /// without any gets nothing, and what was due is counted. A prompt starts at its beginning, also when it was playing.
    ///
    /// # Errors
    /// [`PoolBusy`]: the worker's queue is full, and nothing was changed.
    pub fn hear(&self, side: Side, source: Source) -> Result<(), PoolBusy> {
        self.change(|wanted| {
            let wanted = wanted.sides.get_mut(side);
            // A relay begins with a packet, which wakes the worker by itself.
            let urgent = !matches!((&wanted.source, &source), (Source::Peer, Source::Peer));
            wanted.source = source;
            wanted.source_serial = wanted.source_serial.wrapping_add(1);
            urgent
        })
    }

    /// How far a side has heard the recording that it hears: `None` once it is over. Right to a packet.
    pub fn played(&self, side: Side) -> Option<Duration> {
        let wanted = self.record.wanted.lock();
        let marks = self.record.marks.get(side);
        if marks.played_serial.load(Ordering::Relaxed) != wanted.sides.get(side).source_serial {
            // It has not begun yet.
            return Some(Duration::ZERO);
        }
        let played = marks.played.load(Ordering::Relaxed);
        let samples = played & u64::from(u32::MAX);
        (played != ENDED).then(|| Duration::from_micros(samples * 1_000_000 / u64::from(crate::prompt::RATE_HZ)))
    }

    /// Begins a recording of the flow, or ends the one that is made: its tape is then stopped.
    ///
    /// # Errors
    /// [`PoolBusy`]: the worker's queue is full, and nothing was changed.
    pub fn record(&self, recording: Option<Recording>) -> Result<(), PoolBusy> {
        self.change(|wanted| {
            if let Some(before) = std::mem::replace(&mut wanted.recording, recording) {
                before.tape.stop();
            }
            true
        })
    }

    /// A side has pressed a key by another way than its media (SIP INFO): the other side is told it in the form that it has
    /// agreed to, as an event or as a tone, and so is a recording. The owner is not: it knows.
    ///
    /// # Errors
    /// [`PoolBusy`]: the worker's queue is full, or more keys wait for the worker than anybody presses; nothing was changed.
    pub fn press(&self, press: Press) -> Result<(), PoolBusy> {
        let mut room = false;
        self.change(|wanted| {
            room = wanted.presses.len() < KEYS_MAX;
            if room {
                wanted.presses.push(press);
            }
            true
        })?;
        if room { Ok(()) } else { Err(PoolBusy) }
    }

    /// Has the worker look now at what [`Flow::connect`] and [`Flow::hear`] have asked for; without it, it looks within a
    /// tenth of a second. A call says it once for all that a step of it has changed.
    pub fn wake(&self) {
        if self.record.urgent.load(Ordering::Relaxed) && self.record.urgent.swap(false, Ordering::SeqCst) {
            self.seat.ring();
        }
    }

    /// Writes a wish; the edit says whether somebody waits for it.
    fn change(&self, edit: impl FnOnce(&mut Wanted) -> bool) -> Result<(), PoolBusy> {
        let mut urgent = false;
        self.seat.change(&self.record, self.pool.config.commands_max, |wanted| urgent = edit(wanted))?;
        if urgent {
            self.record.urgent.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// A snapshot of the flow's figures; they stay readable after the flow is closed.
    pub fn stats(&self) -> FlowStats {
        let now = self.pool.now();
        let wanted = self.record.wanted.lock();
        let counters = &self.record.counters;
        Sides {
            a: counters.a.snapshot(now, |pt| wanted.sides.a.payload(pt)),
            b: counters.b.snapshot(now, |pt| wanted.sides.b.payload(pt)),
        }
    }

    /// Ends the flow within a tenth of a second: BYE to those who were sent generated media, and the ports go to rest.
    /// Closing twice is closing once.
    pub fn close(&self) {
        // Not bounded by the queue's limit, but by one entry a flow: a close must not get lost.
        let _always_room = self.seat.change(&self.record, usize::MAX, |wanted| wanted.closed = true);
    }

    /// What a restarted worker would open the flow from.
    pub fn checkpoint(&self) -> FlowCheckpoint {
        let wanted = self.record.wanted.lock();
        let (a, b) = (&wanted.sides.a, &wanted.sides.b);
        FlowCheckpoint {
            id: self.record.id,
            local: Sides { a: self.local(Side::A), b: self.local(Side::B) },
            remote: Sides { a: a.remote.clone(), b: b.remote.clone() },
            source: Sides { a: a.source.clone(), b: b.source.clone() },
            seen: Sides { a: a.seen, b: b.seen },
            closed: wanted.closed,
        }
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("id", &self.record.id)
            .field("local", &*self.record.local.lock())
            .finish_non_exhaustive()
    }
}

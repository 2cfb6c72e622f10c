//! The handle that a call keeps of its flow.

use super::Inner;
use super::book::{FlowRecord, Seat, Wanted};
use super::counters::FlowStats;
use super::vocabulary::{FlowCheckpoint, FlowId, PoolBusy, Recording, Remote, Side, Sides, Source};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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

    /// The RTP address to put into the SDP that this side gets.
    pub fn local(&self, side: Side) -> SocketAddr {
        self.record.local.get(side).0
    }

    /// The RTCP address of this side: the port after the RTP port.
    pub fn local_rtcp(&self, side: Side) -> SocketAddr {
        self.record.local.get(side).1
    }

    /// Tells where a side is and what it speaks; again after every new negotiation. A new RTP address is learned anew.
    ///
    /// # Errors
    /// [`PoolBusy`]: the worker's queue is full, and nothing was changed.
    pub fn connect(&self, side: Side, remote: Remote) -> Result<(), PoolBusy> {
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
        })
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
            local: Sides { a: self.record.local.a.0, b: self.record.local.b.0 },
            remote: Sides { a: a.remote.clone(), b: b.remote.clone() },
            source: Sides { a: a.source.clone(), b: b.source.clone() },
            seen: Sides { a: a.seen, b: b.seen },
            closed: wanted.closed,
        }
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("id", &self.record.id).field("local", &self.record.local).finish_non_exhaustive()
    }
}

//! The book: what the pool knows of every flow beside the worker that serves it, so that a worker's death loses nothing.

use super::counters::{SideCounters, Vitals};
use super::port::{Port, SharedPort, Spots};
use super::sys::Bell;
use super::vocabulary::{Carries, FlowId, OpenError, Owner, PoolBusy, Press, Recording, Remote, Side, Sides, Source};
use crate::codec::Payload;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Flows of one worker at most.
pub const FLOWS_MAX: usize = 1 << 16;

/// What a worker is told. A change names the flow only: what to do stands in the record, so that telling twice is the same
/// as once, and a worker that starts again knows everything without the queue.
pub enum Command {
    Apply(Arc<FlowRecord>),
    Panic,
    Stall(Duration),
}

/// Changes that may wait for the worker's next turn; past it the worker is woken all the same.
const UNSEEN_MAX: usize = 64;

/// A worker's seat: what stays when its thread goes.
pub struct Seat {
    pub number: u16,
    pub queue: Mutex<Vec<Command>>,
    /// Something is in the queue: a worker that turns for a packet takes no lock to see that nothing is.
    pub waiting: AtomicBool,
    pub bell: Bell,
    /// The port that its flows share, where they share one.
    pub shared: Option<Arc<SharedPort>>,
    /// The bell was rung and the worker has not come yet: nobody needs to ring again.
    pub rung: AtomicBool,
    pub book: Mutex<Book>,
    pub vitals: Vitals,
    /// The thread of the newest epoch is the worker; an older one leaves when it notices.
    pub epoch: AtomicU64,
    pub stopping: AtomicBool,
    pub running: AtomicBool,
    /// The slot being served, for the blame after a panic; `u32::MAX` for none.
    pub serving: AtomicU32,
}

impl Seat {
    pub fn new(number: u16, shared: Option<Arc<SharedPort>>) -> io::Result<Seat> {
        Ok(Seat {
            number,
            queue: Mutex::new(Vec::new()),
            waiting: AtomicBool::new(false),
            bell: Bell::new()?,
            shared,
            rung: AtomicBool::new(false),
            book: Mutex::default(),
            vitals: Vitals::default(),
            epoch: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            running: AtomicBool::new(false),
            serving: AtomicU32::new(u32::MAX),
        })
    }

    /// Writes a wish into a flow's record. The worker sees it when it turns next, in a tenth of a second at the latest:
    /// a wake costs more than everything else that a call wants of the pool, so one is spent only by [`Seat::ring`].
    pub fn change(
        &self,
        record: &Arc<FlowRecord>,
        commands_max: usize,
        edit: impl FnOnce(&mut Wanted),
    ) -> Result<(), PoolBusy> {
        let mut queue = self.queue.lock();
        if queue.len() >= commands_max && !record.dirty.load(Ordering::SeqCst) {
            return Err(PoolBusy);
        }
        edit(&mut record.wanted.lock());
        // The worker clears the flag before it reads: either it will still see this edit, or it is told again.
        if !record.dirty.swap(true, Ordering::SeqCst) {
            queue.push(Command::Apply(Arc::clone(record)));
            self.waiting.store(true, Ordering::SeqCst);
        }
        let waiting = queue.len();
        drop(queue);
        if waiting >= UNSEEN_MAX {
            self.ring();
        }
        Ok(())
    }

    /// Queues a command that is not about a flow; the operator's, so beside the bound.
    pub fn order(&self, command: Command) {
        self.queue.lock().push(command);
        self.waiting.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes the worker, unless it was rung for already. The queue was filled before this is asked, and the worker puts
    /// the flag down before it empties the queue: one of the two sees the other.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.bell.ring();
        }
    }
}

/// The flows of one worker by slot.
#[derive(Default)]
pub struct Book {
    slots: Vec<(u32, Option<Arc<FlowRecord>>)>,
    free: Vec<u32>,
    open: usize,
}

impl Book {
    pub fn insert(&mut self, build: impl FnOnce(u32, u32) -> FlowRecord) -> Result<Arc<FlowRecord>, OpenError> {
        if self.open >= FLOWS_MAX {
            return Err(OpenError::TooManyFlows(FLOWS_MAX));
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).map_err(|_| OpenError::TooManyFlows(FLOWS_MAX))?;
                self.slots.push((0, None));
                slot
            }
        };
        let Some((generation, place)) = self.slots.get_mut(slot as usize) else {
            return Err(OpenError::TooManyFlows(FLOWS_MAX));
        };
        *generation = generation.wrapping_add(1);
        let record = Arc::new(build(slot, *generation));
        *place = Some(Arc::clone(&record));
        self.open += 1;
        Ok(record)
    }

    pub fn get(&self, id: FlowId) -> Option<&Arc<FlowRecord>> {
        self.slots.get(id.slot as usize)?.1.as_ref().filter(|record| record.id == id)
    }

    /// Takes a flow out. The record is handed back, so that the owner inside is not dropped under the book's lock.
    pub fn remove(&mut self, id: FlowId) -> Option<Arc<FlowRecord>> {
        self.get(id)?;
        let (_, place) = self.slots.get_mut(id.slot as usize)?;
        self.free.push(id.slot);
        self.open -= 1;
        place.take()
    }

    pub fn flows(&self) -> usize {
        self.open
    }

    pub fn records(&self) -> Vec<Arc<FlowRecord>> {
        self.slots.iter().filter_map(|(_, record)| record.clone()).collect()
    }

    pub fn in_slot(&self, slot: u32) -> Option<&Arc<FlowRecord>> {
        self.slots.get(slot as usize)?.1.as_ref()
    }
}

/// One flow, as it is wished and as it was learned. Shared by handle, book and worker.
pub struct FlowRecord {
    pub id: FlowId,
    pub owner: Owner,
    pub media_timeout: Duration,
    pub carries: Carries,
    /// Addresses that peers are told, RTP and RTCP.
    pub local: Mutex<Sides<(SocketAddr, SocketAddr)>>,
    /// Taken out when the flow closes.
    pub ports: Mutex<Option<Sides<Port>>>,
    /// The port that a side without one of its own shares.
    pub shared: Option<Arc<SharedPort>>,
    pub wanted: Mutex<Wanted>,
    /// A worker has had it: what lies in its sockets is its own, and they may be connected.
    pub admitted: AtomicBool,
    /// A command for this flow is on its way.
    pub dirty: AtomicBool,
    /// Somebody waits to hear or to be heard by a change that the worker has not been woken for.
    pub urgent: AtomicBool,
    pub counters: Sides<SideCounters>,
    pub marks: Sides<Marks>,
    /// Workers that died serving it.
    pub deaths: AtomicU32,
}

/// What generated media continues from after a worker's death.
#[derive(Default)]
pub struct Marks {
    pub ssrc: u32,
    /// Sequence number and timestamp that come next, in the upper and lower half.
    pub stream: AtomicU64,
    /// Rounds played and samples into this round, in the upper and lower half; [`ENDED`] when over.
    pub played: AtomicU64,
    /// The [`WantedSide::source_serial`] that `played` is about.
    pub played_serial: AtomicU32,
}

/// [`Marks::played`] of a prompt that is over.
pub const ENDED: u64 = u64::MAX;

/// What the call wants of its flow.
pub struct Wanted {
    pub closed: bool,
    pub sides: Sides<WantedSide>,
    /// The recording that is to be made.
    pub recording: Option<Recording>,
    /// Keys that were pressed by other ways, for the worker to take.
    pub presses: SmallVec<[Press; 1]>,
}

/// What the call wants of one side, and what the worker learned about it.
pub struct WantedSide {
    pub remote: Option<Remote>,
    pub remote_serial: u32,
    pub source: Source,
    pub source_serial: u32,
    /// Where its packets really come from: set once by the worker, cleared by a new negotiation.
    pub seen: Option<SocketAddr>,
    pub seen_rtcp: Option<SocketAddr>,
    /// Addresses that are claimed for it on the shared port.
    pub spots: Spots,
    /// [`super::MediaEvent::FirstPacket`] was told.
    pub heard: bool,
}

impl Default for WantedSide {
    fn default() -> WantedSide {
        WantedSide {
            remote: None,
            remote_serial: 0,
            source: Source::Peer,
            source_serial: 0,
            seen: None,
            seen_rtcp: None,
            spots: Spots::new(),
            heard: false,
        }
    }
}

impl WantedSide {
    /// What a payload type of the side stands for: as negotiated, else by its static number.
    pub fn payload(&self, pt: u8) -> Option<Payload> {
        let negotiated = self.remote.as_ref()?.payloads.iter().find(|payload| payload.pt == pt);
        negotiated.copied().or_else(|| Payload::from_static(pt))
    }
}

impl FlowRecord {
    /// Tells the owner. Its panic is its own: the worker that carries the call stays.
    pub fn tell(&self, event: super::MediaEvent) {
        let told =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.owner.events)(self.owner.key, event)));
        if told.is_err() {
            tracing::error!(flow = ?self.id, ?event, "the owner of a flow panicked over an event");
        }
    }

    /// Gives up what is claimed on the shared port; the flow is closed and claims nothing more.
    pub fn release_spots(&self) {
        let Some(shared) = &self.shared else { return };
        let mut wanted = self.wanted.lock();
        for side in [Side::A, Side::B] {
            shared.release(&std::mem::take(&mut wanted.sides.get_mut(side).spots), self.id, side);
        }
    }

    /// Remembers where a side's packets come from; false if the side was negotiated anew in the meantime.
    pub fn saw(&self, side: Side, serial: u32, edit: impl FnOnce(&mut WantedSide)) -> bool {
        let mut wanted = self.wanted.lock();
        let wanted = wanted.sides.get_mut(side);
        let current = wanted.remote_serial == serial;
        if current {
            edit(wanted);
        }
        current
    }
}

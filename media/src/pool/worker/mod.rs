//! A worker: one thread, one epoll, one slab of flows, and the loop that turns.

mod control;
mod entry;
mod house;
mod keys;
mod one;
mod pass;
mod play;
mod record;
mod relay;
mod room;
mod shared;
mod transcode;
mod web;

use super::Inner;
use super::book::{Command, Seat};
use super::ports::PortPair;
use super::sys::{self, Epoll, Metronome, Ready};
use super::vocabulary::{MediaEvent, Side};
use crate::srtp::OVERHEAD_BYTES_MAX;
use entry::Entry;
#[cfg(test)]
pub use entry::Lanes;
use room::RoomAtWork;
use shared::{Peers, Rush, Shared};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Packets read from one socket in one wake, once it has a backlog.
pub const BURST_MAX: usize = 16;
/// Sockets reported in one wake.
const READY_MAX: usize = 256;
/// Receive buffer; a datagram that fills it was cut, and is dropped.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// The beat of generated media.
const BEAT: Duration = Duration::from_millis(20);
/// Beats that are made up for after a late wake; of what is older only the timestamps go on.
const CATCH_UP_BEATS_MAX: u64 = 5;
/// Time-outs, reports and the heartbeat are looked after this often.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// A worker that has more to do than a packet at a time begins its turns no more often than this, and serves what came
/// meanwhile together: a wake costs more than a packet. It is the longest that a packet waits for it, a fortieth of its sound.
const GATHER: Duration = Duration::from_micros(500);
/// A flow that killed this many workers is not opened again.
const DEATHS_MAX: u32 = 3;

/// Token of the command bell.
const BELL: u64 = u64::MAX;
/// Token of the timer of generated media.
const METRONOME: u64 = u64::MAX - 1;
/// Token of the timer of housekeeping.
const ROUND: u64 = u64::MAX - 2;
/// Token of the shared port.
const SHARED: u64 = u64::MAX - 3;

/// How a worker's thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was told to stop.
    Stopped,
    /// A newer thread took its seat.
    Superseded,
    /// It panicked; the cause.
    Panicked(String),
    /// The system refused what it cannot do without.
    Failed(String),
}

impl WorkerEnd {
    /// The end by a panic that was caught.
    pub(in super::super) fn of_panic(cause: Box<dyn std::any::Any + Send>) -> WorkerEnd {
        WorkerEnd::Panicked(cause_text(&*cause))
    }
}

/// A thread of the pool: a worker's, or that of handshakes.
#[derive(Debug)]
pub struct WorkerThread(JoinHandle<WorkerEnd>);

impl WorkerThread {
    pub(in super::super) fn spawn(
        name: &str,
        work: impl FnOnce() -> WorkerEnd + Send + 'static,
    ) -> io::Result<WorkerThread> {
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map(WorkerThread)
    }

    /// Waits for the thread's end and tells how it came.
    pub fn join(self) -> WorkerEnd {
        self.0.join().unwrap_or_else(WorkerEnd::of_panic)
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Takes the seat and starts its thread.
pub fn start(
    pool: Arc<Inner>,
    seat: Arc<Seat>,
    on_end: impl FnOnce(&WorkerEnd) + Send + 'static,
) -> io::Result<WorkerThread> {
    let epoch = seat.epoch.fetch_add(1, Ordering::SeqCst) + 1;
    seat.stopping.store(false, Ordering::SeqCst);
    seat.bell.ring(); // a thread that is still there shall notice
    seat.vitals.heartbeat_ns.store(nanos(pool.now()), Ordering::Relaxed);
    seat.running.store(true, Ordering::SeqCst);
    WorkerThread::spawn(&format!("rtp-{}", seat.number), move || {
        let end = catch_unwind(AssertUnwindSafe(|| run(&pool, &seat, epoch))).unwrap_or_else(WorkerEnd::of_panic);
        if matches!(end, WorkerEnd::Panicked(_)) {
            blame(&seat);
        }
        if seat.epoch.load(Ordering::SeqCst) == epoch {
            seat.running.store(false, Ordering::SeqCst);
        }
        tracing::info!(worker = seat.number, ?end, "media worker ended");
        on_end(&end);
        end
    })
}

fn run(pool: &Arc<Inner>, seat: &Arc<Seat>, epoch: u64) -> WorkerEnd {
    // With a thread a core each has its own; with fewer the scheduler knows better.
    let cores = sys::cores();
    if pool.seats.len() == cores.len()
        && let Some(core) = cores.get(usize::from(seat.number))
        && let Err(error) = sys::pin(*core)
    {
        tracing::debug!(worker = seat.number, core, %error, "media worker is not pinned");
    }
    match Worker::new(pool, seat, epoch).and_then(|mut worker| worker.turn()) {
        Ok(end) => end,
        Err(error) => WorkerEnd::Failed(error.to_string()),
    }
}

/// Notes on the flow that was being served that it was there when its worker died.
pub fn blame(seat: &Seat) {
    let slot = seat.serving.swap(u32::MAX, Ordering::SeqCst);
    if let Some(record) = seat.book.lock().in_slot(slot) {
        record.deaths.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a panic said.
fn cause_text(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// Everything that one thread owns.
struct Worker<'a> {
    pool: &'a Inner,
    seat: &'a Arc<Seat>,
    epoch: u64,
    epoll: Epoll,
    metronome: Metronome,
    round: Metronome,
    /// By slot, as in the book. Boxed, so that an idle slot costs eight bytes.
    flows: Vec<Option<Box<Entry>>>,
    /// By [`PortPair::place`]: whose the sockets are.
    places: Vec<Place>,
    /// The port that its flows share, what is read from it, and who is where.
    shared: Option<Rc<Shared>>,
    inbox: Option<sys::Inbox>,
    peers: Peers,
    /// Slots in which a side hears something generated.
    playing: Vec<u32>,
    /// Rooms that have a member.
    rooms: Vec<RoomAtWork>,
    /// Slots of which a recording is made.
    taped: Vec<u32>,
    /// The timer of generated media runs.
    beating: bool,
    /// Commands taken from the queue; kept for its memory.
    commands: Vec<Command>,
    wake: u32,
}

impl<'a> Worker<'a> {
    fn new(pool: &'a Arc<Inner>, seat: &'a Arc<Seat>, epoch: u64) -> io::Result<Worker<'a>> {
        let mut worker = Worker {
            pool,
            seat,
            epoch,
            epoll: Epoll::new()?,
            metronome: Metronome::new()?,
            round: Metronome::new()?,
            flows: Vec::new(),
            places: Vec::new(),
            shared: seat.shared.clone().map(Shared::new).map(Rc::new),
            inbox: seat.shared.as_ref().map(|_| sys::Inbox::new()),
            peers: Peers::default(),
            playing: Vec::new(),
            rooms: Vec::new(),
            taped: Vec::new(),
            beating: false,
            commands: Vec::new(),
            wake: 0,
        };
        // Whatever was rung for a predecessor: the book says it all.
        seat.rung.store(false, Ordering::SeqCst);
        worker.epoll.add(&seat.bell, BELL)?;
        worker.epoll.add(&worker.metronome, METRONOME)?;
        worker.epoll.add(&worker.round, ROUND)?;
        worker.round.set(HOUSEKEEPING)?;
        let idle = pool.ports.lock().waiting(seat.number);
        for pair in idle {
            worker.watch(&pair)?;
        }
        if let Some(shared) = &seat.shared {
            worker.epoll.add(&shared.socket, SHARED)?;
        }
        // Behind the idle ones: a flow may have got one of them meanwhile.
        worker.reopen_all();
        Ok(worker)
    }

    /// Opens what a predecessor left.
    fn reopen_all(&mut self) {
        let records = self.seat.book.lock().records();
        let now = self.pool.now();
        for record in records {
            if record.deaths.load(Ordering::SeqCst) >= DEATHS_MAX {
                tracing::error!(flow = ?record.id, "a flow that killed its worker {DEATHS_MAX} times is given up");
                self.close(&record, now);
                record.tell(MediaEvent::Lost);
            } else {
                self.apply(&record, now);
            }
        }
    }

    fn turn(&mut self) -> io::Result<WorkerEnd> {
        let mut ready = [Ready::EMPTY; READY_MAX];
        // Room for what SRTP adds when it goes on.
        let mut datagram = [0; DATAGRAM_BYTES_MAX + OVERHEAD_BYTES_MAX];
        let mut began = Duration::ZERO;
        let mut busy = false;
        let mut rush = Rush::No;
        loop {
            if busy
                && rush != Rush::Backlog
                && let Some(early) = (began + GATHER).checked_sub(self.pool.now())
            {
                std::thread::sleep(early);
            }
            // Without a time-out: one would start and stop a timer of the kernel at every sleep.
            let reports = self.epoll.wait(&mut ready)?;
            if self.seat.epoch.load(Ordering::SeqCst) != self.epoch {
                return Ok(WorkerEnd::Superseded);
            }
            if self.seat.stopping.load(Ordering::SeqCst) {
                return Ok(WorkerEnd::Stopped);
            }
            let now = self.pool.now();
            busy = reports.len() > 1 || now.saturating_sub(began) < GATHER;
            began = now;
            rush = Rush::No;
            self.seat.vitals.heartbeat_ns.store(nanos(now), Ordering::Relaxed);
            self.wake = self.wake.wrapping_add(1);
            // Before the packets: who was waiting for one of them may have been told where it comes from just now.
            if self.seat.waiting.load(Ordering::SeqCst) {
                self.obey(now);
            }
            let mut beats = 0;
            let mut rung = false;
            let mut round = false;
            for report in reports {
                match report.token() {
                    BELL => rung = true,
                    METRONOME => beats = self.metronome.beats(),
                    ROUND => round = self.round.beats() > 0,
                    SHARED => rush = self.read_shared(&mut datagram, now),
                    token => self.readable(Token(token), &mut datagram, now),
                }
            }
            busy |= rush == Rush::Several;
            if rung {
                self.seat.bell.quiet();
                self.seat.rung.store(false, Ordering::SeqCst);
            }
            if self.seat.waiting.load(Ordering::SeqCst) {
                self.obey(now);
            }
            if beats > 0 {
                self.play(beats, now);
                let made_up = beats.min(CATCH_UP_BEATS_MAX);
                self.turn_rooms(made_up, now);
                self.record_tapes(made_up, now);
                self.keep_beat();
            }
            if round {
                self.keep_house(now);
            }
            self.flush_shared();
            self.seat.serving.store(u32::MAX, Ordering::Relaxed);
        }
    }

    /// Does what the queue holds, at every turn: what was not worth a wake is waiting there too.
    fn obey(&mut self, now: Duration) {
        self.seat.waiting.store(false, Ordering::SeqCst);
        let mut commands = std::mem::take(&mut self.commands);
        std::mem::swap(&mut *self.seat.queue.lock(), &mut commands);
        for command in commands.drain(..) {
            if self.seat.epoch.load(Ordering::SeqCst) != self.epoch {
                break; // hung until it was replaced: the successor has read all records itself
            }
            self.seat.serving.store(u32::MAX, Ordering::Relaxed);
            match command {
                Command::Apply(record) => self.apply(&record, now),
                Command::Panic => resume_unwind(Box::new("asked to panic")),
                Command::Stall(duration) => std::thread::sleep(duration),
            }
        }
        self.commands = commands;
    }

    /// Runs the timer of generated media while somebody needs it.
    fn keep_beat(&mut self) {
        let needed = !(self.playing.is_empty() && self.rooms.is_empty() && self.taped.is_empty());
        if needed == self.beating {
            return;
        }
        match self.metronome.set(if needed { BEAT } else { Duration::ZERO }) {
            Ok(()) => self.beating = needed,
            Err(error) => tracing::error!(worker = self.seat.number, %error, "the media timer cannot be set"),
        }
    }

    /// The entry of a slot, with its number noted for the blame.
    fn entry(&mut self, slot: u32) -> Option<&mut Entry> {
        self.seat.serving.store(slot, Ordering::Relaxed);
        self.flows.get_mut(slot as usize)?.as_deref_mut()
    }
}

/// Whose the sockets of a port pair are.
#[derive(Default)]
struct Place {
    /// To throw away what comes while no flow has the pair; it does not keep the pair bound.
    pair: Weak<PortPair>,
    /// Slot and side of the flow that has it.
    flow: Option<(u32, Side)>,
}

/// What epoll hands back for a media socket: the pair's place, and which of its two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token(u64);

impl Token {
    fn new(place: u32, rtcp: bool) -> Token {
        Token(u64::from(place) << 1 | u64::from(rtcp))
    }

    fn place(self) -> usize {
        usize::try_from(self.0 >> 1).unwrap_or(usize::MAX)
    }

    fn is_rtcp(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A time of the pool's clock as nanoseconds; 584 years fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_back_what_it_was_made_of() {
        for (place, rtcp) in [(0, false), (65_535, true), (u32::MAX, false), (u32::MAX, true)] {
            let token = Token::new(place, rtcp);
            assert_eq!((token.place(), token.is_rtcp()), (place as usize, rtcp));
            assert!(token.0 < SHARED);
        }
    }

    #[test]
    fn an_open_flow_costs_its_worker_at_most_four_kilobytes() {
        let bytes = size_of::<Entry>();
        println!("slab entry: {bytes} bytes; record: {} bytes", size_of::<super::super::book::FlowRecord>());
        assert!(bytes + size_of::<super::super::book::FlowRecord>() <= 4096, "{bytes}");
    }
}

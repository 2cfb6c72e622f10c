//! The RTP pool: the only place of the switch where media meets a socket.
//!
//! # The mental model
//!
//! A **flow** is the media path of one m-line of one call. It has two **sides**: [`Side::A`] the caller, [`Side::B`] the
//! callee. Each side owns a port pair of ours (RTP even, RTCP odd). A call opens a flow, puts the two addresses into its
//! SDP, says where the sides are ([`Flow::connect`]) and what each hears ([`Flow::hear`]): the other side, itself, a tone, a
//! recording, music. It never sees a packet.
//!
//! ```text
//!  call actor ──open/connect/hear/close──▶ book + bounded queue + bell ─▶ worker thread ◀── RTP/RTCP ──▶ phones
//!             ◀──────few events a call──────────────────────────────────┘      │
//!  anybody    ◀──────────── stats(), health(): atomics ────────────────────────┘
//! ```
//!
//! A **worker** is a thread with its own epoll and its own slab of flows; a flow lives its whole life on one worker, so a
//! packet takes no lock, allocates nothing, logs nothing and hashes nothing: token → slab entry → source check → header →
//! statistics → rewrite in place → send. Packets never queue: what the kernel does not take at once is dropped and counted.
//! Workers are started by whoever supervises them ([`Pool::start_worker`]); one thread a core is pinned to its core where the
//! system allows it, and left to the scheduler otherwise.
//!
//! The **book** is beside the worker. It holds every flow's sockets, and what is *wanted* of it: the far ends, the sources,
//! the addresses that were learned. A command only says "look at this flow again"; doing it twice is doing it once. So a
//! worker may die at any instruction: its successor opens all flows from the book, with the same sockets, whose receive
//! buffers kept what arrived in between. Where generated media was (SSRC, sequence, timestamp, place in the prompt) is in
//! the book too. A flow that was being served when its worker panicked is blamed; the third time it is not opened again, and
//! its owner hears [`MediaEvent::Lost`].
//!
//! # Who may send
//!
//! A side accepts packets only from its negotiated address. If it is behind a NAT its port is learned once, from the first
//! valid packet that comes from the signalled IP address, and never again until the call negotiates another address; where a
//! side has keys ([`Remote::secure`]), only a packet that authenticates is valid. At the
//! first packet the socket is connected to its peer: from then on the kernel itself drops strangers. Packets that were queued
//! before still pass the check here. A stranger gets not one byte back and changes nothing but a counter.
//!
//! A side with ICE ([`Remote::ice`]) is where its authentic checks say, and a side with DTLS ([`Remote::dtls`]) is heard and
//! hears nothing until its handshake has come to keys, which happens beside the worker, on a thread that is supervised as it is.
//!
//! # Choices
//!
//! - *Level-triggered epoll.* A phone's socket holds one packet in twenty milliseconds. With edges every wake would need a
//!   second `recv` only to see that nothing is left: a system call a packet. With levels one read a report is enough; a socket
//!   that is reported in two wakes in a row has a backlog, and only then more than one packet is read, at most
//!   `BURST_MAX` a wake so that it cannot starve others.
//! - *A busy worker gathers.* One that woke for several sockets, or again within half a millisecond, sleeps until half a
//!   millisecond after its last turn began, whatever comes: then it serves all of it at one wake. At a hundred calls that halves
//!   the cost of a packet. A packet that comes alone is served at once.
//! - *A pair belongs to one worker for as long as it is bound*, and its sockets stay in that worker's epoll: opening, connecting
//!   and closing a flow costs no system call. A relay needs no wake either: its first packet wakes the worker, which reads its
//!   commands before its packets.
//! - *Connected sockets*: no route look-up, 30 % less than an unconnected one (measured, see the project's notes).
//! - *Two timers a worker*, in its epoll: a timerfd of 20 ms that runs only while somebody hears generated media, and one of
//!   100 ms for housekeeping. Beats are counted by the kernel, so a late wake is made up for and nothing drifts. Waiting has no
//!   time-out: the kernel would program its timer at every sleep, which costs more than a packet.
//! - *Sound is made anew only where it has to be*: a packet whose codec the other side has not goes to an ear of that side, and
//!   the worker's beat has it said again, in a stream of the pool's own. Every other packet passes as it came.
//! - *RTCP* is relayed where RTP is relayed, because SSRCs pass unchanged; where the pool is an end point (music, tone,
//!   prompt, echo) it sends its own reports under its own SSRC.

mod book;
mod counters;
mod flow;
mod handshakes;
mod port;
mod ports;
mod quality;
mod room;
mod sys;
mod vocabulary;
mod worker;

pub use counters::{Dropped, FlowStats, SideStats};
pub use flow::Flow;
pub use handshakes::HandshakesHealth;
pub use quality::{Heard, Quality};
pub use room::{Member, Room, RoomFigures, RoomSounds};
pub use vocabulary::{
    Carries, ConnectError, FlowCheckpoint, FlowId, FlowSpec, Handshake, Insecure, MediaEvent, NoPort, OpenError, Owner,
    PAYLOADS_MAX, PoolBusy, PoolConfig, PortMode, Press, Recorded, Recording, Remote, Repeat, Secure, Side, Sides,
    Source, Whereabouts,
};
pub use worker::{WorkerEnd, WorkerThread};

use crate::dtls::Identity;
use book::{Command, FlowRecord, Marks, Seat, Wanted, WantedSide};
use counters::SideCounters;
use handshakes::Handshakes;
use parking_lot::Mutex;
use port::Port;
use ports::Ports;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pool, by a handle that is cheap to clone. When the last handle is dropped, the workers stop.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    _alive: Arc<Alive>,
}

/// What handles, flows and threads share.
pub(crate) struct Inner {
    config: PoolConfig,
    ports: Mutex<Ports>,
    seats: Vec<Arc<Seat>>,
    /// Zero of the pool's clock.
    start: Instant,
    /// Our name in RTCP: random, and the same for all flows (RFC 7022 section 4.2).
    cname: String,
    /// Our certificate for DTLS.
    identity: Arc<Identity>,
    handshakes: Handshakes,
}

impl Inner {
    /// The pool's clock: time since it was made.
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// What peers are told of a port, for RTP and RTCP.
    fn addresses(&self, port: &Port) -> (SocketAddr, SocketAddr) {
        let ip = self.config.advertised_ip.unwrap_or(self.config.ip);
        let (rtp, rtcp) = port.numbers();
        (SocketAddr::new(ip, rtp), SocketAddr::new(ip, rtcp))
    }
}

/// Stops the workers when the last handle goes.
struct Alive(Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.handshakes.stop();
        for seat in &self.0.seats {
            seat.stopping.store(true, Ordering::SeqCst);
            seat.bell.ring();
        }
    }
}

/// How a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerHealth {
    /// A thread sits on the seat.
    pub running: bool,
    /// Time since the thread's loop turned last; it turns at least ten times a second. Past a second it hangs.
    pub heartbeat_age: Duration,
    /// Open flows.
    pub flows: usize,
    /// RTP packets accepted.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// What was dropped.
    pub dropped: Dropped,
    /// CPU time of the present thread.
    pub busy: Duration,
    /// Commands that wait.
    pub queue_depth: usize,
    /// Threads that sat on the seat before.
    pub restarts: u64,
}

impl Pool {
    /// Makes the book and binds the warm ports; the threads are started one by one with [`Pool::start_worker`] and
    /// [`Pool::start_handshakes`].
    ///
    /// A flow holds four descriptors, so the process's soft limit of them is raised to the hard one.
    ///
    /// # Errors
    /// The port range holds no pair, or a socket could not be bound.
    pub fn new(config: PoolConfig) -> io::Result<Pool> {
        let workers = match config.workers {
            0 => sys::cores().len().max(1),
            count => count,
        };
        let workers =
            u16::try_from(workers).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "too many workers"))?;
        sys::raise_descriptor_limit();
        let port::Bound { shared, rest } = port::bind(config.port_mode, config.ip, &config.ports, workers)?;
        let seats = (0..workers).zip(shared).map(|(number, shared)| Seat::new(number, shared).map(Arc::new));
        let inner = Arc::new(Inner {
            seats: seats.collect::<io::Result<_>>()?,
            ports: Mutex::new(Ports::new(config.ip, &rest, workers, config.warm_pairs, config.idle_pairs)?),
            start: Instant::now(),
            cname: format!("{:024x}", rand::random::<u128>() >> 32),
            identity: Arc::new(Identity::fresh().map_err(io::Error::other)?),
            handshakes: Handshakes::default(),
            config,
        });
        Ok(Pool { _alive: Arc::new(Alive(Arc::clone(&inner))), inner })
    }

    /// Our certificate for DTLS; its fingerprint goes into descriptions, and associations are made with it.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.inner.identity
    }

    /// How many workers the pool has.
    pub fn worker_count(&self) -> usize {
        self.inner.seats.len()
    }

    /// The worker that runs and has the fewest flows.
    pub fn idlest_worker(&self) -> u16 {
        self.idlest_seat().map_or(0, |seat| seat.number)
    }

    fn idlest_seat(&self) -> Option<&Arc<Seat>> {
        self.inner.seats.iter().min_by_key(|seat| (!seat.running.load(Ordering::Relaxed), seat.book.lock().flows()))
    }

    /// Starts worker `n`'s thread and opens every flow of its book, with the sockets and from the checkpoints it had. A thread
    /// that still sits there (a hung one) leaves as soon as it can.
    ///
    /// # Errors
    /// There is no worker `n`, or the system gives no thread.
    pub fn start_worker(&self, n: usize) -> io::Result<WorkerThread> {
        self.start_worker_watched(n, |_| ())
    }

    /// As [`Pool::start_worker`]; `on_end` is called from the thread as its last act, so that nobody has to wait in a join.
    ///
    /// # Errors
    /// There is no worker `n`, or the system gives no thread.
    pub fn start_worker_watched(
        &self,
        n: usize,
        on_end: impl FnOnce(&WorkerEnd) + Send + 'static,
    ) -> io::Result<WorkerThread> {
        let seat =
            self.inner.seats.get(n).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no worker {n}")))?;
        worker::start(Arc::clone(&self.inner), Arc::clone(seat), on_end)
    }

    /// Starts the thread that takes the steps of DTLS handshakes; it goes on with those under way. Without it no side with DTLS
    /// comes to keys.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start_handshakes(&self) -> io::Result<WorkerThread> {
        self.start_handshakes_watched(|_| ())
    }

    /// As [`Pool::start_handshakes`]; `on_end` is called from the thread as its last act.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start_handshakes_watched(
        &self,
        on_end: impl FnOnce(&WorkerEnd) + Send + 'static,
    ) -> io::Result<WorkerThread> {
        handshakes::start(Arc::clone(&self.inner), on_end)
    }

    /// Ends the thread of handshakes; those under way wait until it is started again.
    pub fn stop_handshakes(&self) {
        self.inner.handshakes.stop();
    }

    /// Makes the thread of handshakes panic, to see it come back.
    pub fn ask_handshakes_panic(&self) {
        self.inner.handshakes.ask_panic();
    }

    /// How the thread of handshakes is.
    pub fn handshakes(&self) -> HandshakesHealth {
        self.inner.handshakes.health()
    }

    /// Opens a flow: a port for each side ([`PortMode`]), on the worker with the fewest flows or on the one in `spec`. Never blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is held after an error.
    pub fn open(&self, owner: Owner, spec: FlowSpec) -> Result<Flow, OpenError> {
        let seat = match spec.worker {
            Some(number) => self.inner.seats.get(usize::from(number)).ok_or(OpenError::NoSuchWorker(number))?,
            None => self.idlest_seat().ok_or(OpenError::NoSuchWorker(0))?,
        };
        let ports = self.lend_two(seat)?;
        let local = Sides { a: self.inner.addresses(&ports.a), b: self.inner.addresses(&ports.b) };
        // A pair that the worker's thread does not watch yet would not wake it for a packet.
        let epoch = seat.epoch.load(Ordering::SeqCst);
        let pairs = [&ports.a, &ports.b].into_iter().filter_map(Port::own);
        let watched = pairs.into_iter().all(|pair| pair.watched.load(Ordering::SeqCst) == epoch);
        let mut ports = Some(ports);
        let inserted = seat.book.lock().insert(|slot, generation| FlowRecord {
            id: FlowId { worker: seat.number, slot, generation },
            owner,
            media_timeout: spec.media_timeout.unwrap_or(self.inner.config.media_timeout),
            carries: spec.carries,
            local: Mutex::new(local),
            ports: Mutex::new(ports.take()),
            shared: seat.shared.clone(),
            wanted: Mutex::new(Wanted {
                closed: false,
                sides: Sides::<WantedSide>::default(),
                recording: None,
                presses: smallvec::SmallVec::new(),
            }),
            admitted: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            counters: Sides::<SideCounters>::default(),
            marks: Sides { a: new_marks(), b: new_marks() },
            deaths: AtomicU32::new(0),
        });
        let opened = inserted.and_then(|record| match seat.change(&record, self.inner.config.commands_max, |_| ()) {
            Ok(()) => Ok(record),
            Err(PoolBusy) => {
                let _owner_dropped_without_the_lock = seat.book.lock().remove(record.id);
                ports = record.ports.lock().take();
                Err(OpenError::WorkerBusy)
            }
        });
        for unused in ports.into_iter().flat_map(|ports| [ports.a, ports.b]) {
            if let Port::Own(pair) = unused {
                self.inner.ports.lock().give_back(pair, self.inner.now());
            }
        }
        if opened.is_ok() && !watched {
            seat.ring();
        }
        Ok(Flow { pool: Arc::clone(&self.inner), seat: Arc::clone(seat), record: opened? })
    }

    /// A handle of a flow that is still open, for a call that was rebuilt.
    pub fn adopt(&self, id: FlowId) -> Option<Flow> {
        let seat = self.inner.seats.get(usize::from(id.worker))?;
        let record = seat.book.lock().get(id).cloned()?;
        Some(Flow { pool: Arc::clone(&self.inner), seat: Arc::clone(seat), record })
    }

    /// How worker `n` is; a worker that there is not is not running and has done nothing.
    pub fn health(&self, n: usize) -> WorkerHealth {
        let Some(seat) = self.inner.seats.get(n) else {
            return WorkerHealth::default();
        };
        let vitals = &seat.vitals;
        let heartbeat = Duration::from_nanos(vitals.heartbeat_ns.load(Ordering::Relaxed));
        WorkerHealth {
            running: seat.running.load(Ordering::SeqCst),
            heartbeat_age: self.inner.now().saturating_sub(heartbeat),
            flows: seat.book.lock().flows(),
            packets_in: vitals.packets_in.get(),
            packets_out: vitals.packets_out.get(),
            dropped: vitals.dropped(),
            busy: Duration::from_nanos(vitals.busy_ns.load(Ordering::Relaxed)),
            queue_depth: seat.queue.lock().len(),
            restarts: seat.epoch.load(Ordering::SeqCst).saturating_sub(1),
        }
    }

    /// Makes worker `n` panic, to see it come back.
    pub fn ask_panic(&self, n: usize) {
        self.order(n, Command::Panic);
    }

    /// Makes worker `n` hang for a while, to see it replaced.
    pub fn ask_stall(&self, n: usize, duration: Duration) {
        self.order(n, Command::Stall(duration));
    }

    /// Ends worker `n`'s thread; its flows stay in the book until it is started again.
    pub fn stop_worker(&self, n: usize) {
        if let Some(seat) = self.inner.seats.get(n) {
            seat.stopping.store(true, Ordering::SeqCst);
            seat.bell.ring();
        }
    }

    fn order(&self, n: usize, command: Command) {
        if let Some(seat) = self.inner.seats.get(n) {
            seat.order(command);
        }
    }

    fn lend_two(&self, seat: &Seat) -> Result<Sides<Port>, OpenError> {
        if let Some(shared) = &seat.shared {
            return Ok(Sides { a: Port::Shared(Arc::clone(shared)), b: Port::Shared(Arc::clone(shared)) });
        }
        let now = self.inner.now();
        let mut ports = self.inner.ports.lock();
        let a = ports.take(now, seat.number)?;
        match ports.take(now, seat.number) {
            Ok(b) => Ok(Sides { a: Port::Own(a), b: Port::Own(b) }),
            Err(error) => {
                ports.give_back(a, now);
                Err(error)
            }
        }
    }
}

/// A fresh identity for generated media: SSRC, first sequence number and timestamp are random (RFC 3550 section 5.1).
fn new_marks() -> Marks {
    // In the lower half, so that the first packet that arrives is before the first roll-over (RFC 3711 section 3.3.1).
    let stream = u64::from(rand::random::<u16>() >> 1) << 32 | u64::from(rand::random::<u32>());
    Marks { ssrc: rand::random(), stream: AtomicU64::new(stream), ..Marks::default() }
}

#[cfg(test)]
mod tests;

//! DTLS handshakes, beside the workers: a signature takes longer than a hundred packets, which would wait for it.
//!
//! A worker that gets a handshake's datagram leaves it here and goes on. One thread of the pool takes a step at a time, sends
//! what follows from the side's own socket, keeps the timers of what is under way, and writes into the book when there are
//! keys; the worker reads that as it reads every command. A step that panics is the end of that handshake and of nothing else.

use super::Inner;
use super::book::FlowRecord;
use super::vocabulary::{Insecure, MediaEvent, Side};
use crate::dtls::{Association, Failure, Step};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Datagrams that may wait for their step; past it they are lost, as a network may lose them.
const WAITING_MAX: usize = 1024;
/// Of one association: nobody can keep the others from theirs.
const WAITING_OF_ONE_MAX: u32 = 16;

/// A step that is to be taken.
pub struct Job {
    pub record: Arc<FlowRecord>,
    pub side: Side,
    pub association: Arc<Association>,
    /// Where the party is.
    pub peer: SocketAddr,
    /// What it has sent; without it the handshake is to begin.
    pub datagram: Option<Box<[u8]>>,
}

/// The queue, and what the thread sleeps on.
#[derive(Default)]
pub struct Handshakes {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl Handshakes {
    /// Leaves a step for the thread; false when there is no room.
    pub fn submit(&self, job: Job) -> bool {
        if job.association.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_OF_ONE_MAX {
            job.association.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= WAITING_MAX {
            job.association.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.bell.notify_one();
        true
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.queue.lock().stopping = true;
        self.bell.notify_one();
    }

    /// The next step, or `None` when `until` has come first; `Err` at the end.
    fn next(&self, until: Option<Instant>) -> Result<Option<Job>, Over> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopping {
                return Err(Over);
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Ok(Some(job));
            }
            match until {
                Some(until) if self.bell.wait_until(&mut queue, until).timed_out() => return Ok(None),
                Some(_) => {}
                None => self.bell.wait(&mut queue),
            }
        }
    }
}

struct Over;

/// A handshake under way.
struct Open {
    record: Weak<FlowRecord>,
    side: Side,
    association: Arc<Association>,
    peer: SocketAddr,
}

/// Starts the thread; it ends with [`Handshakes::stop`].
pub fn start(pool: Arc<Inner>) -> io::Result<()> {
    std::thread::Builder::new().name("dtls".into()).spawn(move || run(&pool)).map(drop)
}

fn run(pool: &Inner) {
    let mut open: Vec<Open> = Vec::new();
    while let Ok(job) = pool.handshakes.next(open.iter().filter_map(|open| open.association.next_timeout()).min()) {
        match job {
            Some(job) => {
                job.association.waiting.fetch_sub(1, Ordering::Relaxed);
                open.retain(|open| !Arc::ptr_eq(&open.association, &job.association));
                let record = Arc::downgrade(&job.record);
                let now = Open { record, side: job.side, association: job.association, peer: job.peer };
                now.step(pool, |at, association, send| match &job.datagram {
                    Some(datagram) => association.receive(at, datagram, send),
                    None => association.begin(at, send),
                });
                open.push(now);
            }
            None => {
                let now = Instant::now();
                for due in open.iter().filter(|open| open.association.next_timeout().is_some_and(|at| at <= now)) {
                    due.step(pool, |at, association, send| association.time_out(at, send));
                }
            }
        }
        open.retain(Open::is_open);
    }
}

impl Open {
    fn step(&self, pool: &Inner, step: impl FnOnce(Instant, &Association, &mut dyn FnMut(&[u8])) -> Step) {
        let Some(record) = self.record.upgrade() else { return };
        let mut send = |packet: &[u8]| {
            // Under the lock, so that a flow that closes gives its ports back whole.
            if let Some(pairs) = record.pairs.lock().as_ref() {
                let _lost = pairs.get(self.side).rtp.send_to(packet, self.peer);
            }
        };
        let stepped = catch_unwind(AssertUnwindSafe(|| step(Instant::now(), &self.association, &mut send)));
        let event = match stepped {
            Ok(Step::Same) => return,
            Ok(Step::Secured) => MediaEvent::Secured(self.side),
            Ok(Step::Failed(failure)) => {
                tracing::info!(flow = ?record.id, side = ?self.side, %failure, "a DTLS handshake has failed");
                MediaEvent::NotSecured(self.side, reason(&failure))
            }
            Err(_) => {
                tracing::error!(flow = ?record.id, side = ?self.side, "a DTLS handshake panicked");
                self.association.give_up();
                MediaEvent::NotSecured(self.side, Insecure::Protocol)
            }
        };
        self.publish(pool, &record);
        record.tell(event);
    }

    /// Has the worker look at the side again, which has keys now.
    fn publish(&self, pool: &Inner, record: &Arc<FlowRecord>) {
        let Some(seat) = pool.seats.get(usize::from(record.id.worker)) else { return };
        // Not bounded by the queue's limit, but by one entry a flow: keys must not get lost.
        let _always_room = seat.change(record, usize::MAX, |wanted| {
            let wanted = wanted.sides.get_mut(self.side);
            let mine = wanted.remote.as_ref().and_then(|remote| remote.dtls.as_ref());
            if mine.is_some_and(|mine| Arc::ptr_eq(&mine.0, &self.association)) {
                wanted.remote_serial = wanted.remote_serial.wrapping_add(1);
            }
        });
        seat.ring();
    }

    fn is_open(&self) -> bool {
        self.association.keys().is_none()
            && !self.association.has_failed()
            && self.record.upgrade().is_some_and(|record| !record.wanted.lock().closed)
    }
}

fn reason(failure: &Failure) -> Insecure {
    match failure {
        Failure::Stranger => Insecure::Stranger,
        Failure::NoProfile => Insecure::NoProfile,
        Failure::Protocol(_) => Insecure::Protocol,
    }
}

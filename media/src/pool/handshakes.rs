//! DTLS handshakes, beside the workers: a signature takes longer than a hundred packets, which would wait for it.
//!
//! A worker that gets a handshake's datagram leaves it here and goes on. One thread, which is supervised as the workers are, takes
//! a step at a time, sends what follows from the side's own socket, keeps the timers of what is under way, and writes into the
//! book when there are keys; the worker reads that as it reads every command. A step that panics is the end of that handshake and
//! of nothing else. What is under way and what waits lies beside the thread: its successor goes on with it.

use super::Inner;
use super::book::FlowRecord;
use super::vocabulary::{Insecure, MediaEvent, Side};
use super::worker::{WorkerEnd, WorkerThread};
use crate::dtls::{Association, Failure, Step};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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

/// What stays when the thread goes: the queue, what is under way, and what the thread sleeps on.
#[derive(Default)]
pub struct Handshakes {
    queue: Mutex<Queue>,
    bell: Condvar,
    /// Touched by the thread alone, and by whoever looks.
    open: Mutex<Vec<Open>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// The thread of the newest epoch is the one; an older one leaves when it notices.
    epoch: u64,
    running: bool,
    stopping: bool,
    panic: bool,
}

/// How the thread of handshakes is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakesHealth {
    /// A thread sits there.
    pub running: bool,
    /// Handshakes under way.
    pub open: usize,
    /// Datagrams that wait for their step.
    pub waiting: usize,
    /// Threads that sat there before.
    pub restarts: u64,
}

/// What the thread is to do next.
enum Next {
    Step(Job),
    TimeOuts,
    End(WorkerEnd),
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

    /// Ends the thread; what is under way stays.
    pub fn stop(&self) {
        self.queue.lock().stopping = true;
        self.bell.notify_all();
    }

    /// Makes the thread panic.
    pub fn ask_panic(&self) {
        self.queue.lock().panic = true;
        self.bell.notify_all();
    }

    pub fn health(&self) -> HandshakesHealth {
        let open = self.open.lock().len();
        let queue = self.queue.lock();
        let (running, waiting, restarts) = (queue.running, queue.jobs.len(), queue.epoch.saturating_sub(1));
        HandshakesHealth { running, open, waiting, restarts }
    }

    /// What comes next for the thread of an epoch; it waits no longer than until the first time-out.
    fn next(&self, epoch: u64) -> Next {
        let until = self.open.lock().iter().filter_map(|open| open.association.next_timeout()).min();
        let mut queue = self.queue.lock();
        loop {
            if queue.epoch != epoch {
                return Next::End(WorkerEnd::Superseded);
            }
            if queue.stopping {
                return Next::End(WorkerEnd::Stopped);
            }
            if std::mem::take(&mut queue.panic) {
                drop(queue);
                resume_unwind(Box::new("asked to panic"));
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Next::Step(job);
            }
            match until {
                Some(until) if self.bell.wait_until(&mut queue, until).timed_out() => return Next::TimeOuts,
                Some(_) => {}
                None => self.bell.wait(&mut queue),
            }
        }
    }

    /// Writes down that a handshake is under way, where its party is now.
    fn enter(&self, now: Open) {
        let mut open = self.open.lock();
        open.retain(|open| !Arc::ptr_eq(&open.association, &now.association));
        open.push(now);
    }

    /// What is under way; what is over is forgotten.
    fn under_way(&self) -> Vec<Open> {
        let mut open = self.open.lock();
        open.retain(Open::is_open);
        open.clone()
    }
}

/// A handshake under way.
#[derive(Clone)]
struct Open {
    record: Weak<FlowRecord>,
    side: Side,
    association: Arc<Association>,
    peer: SocketAddr,
}

/// Starts the thread; it ends with [`Handshakes::stop`]. `on_end` is its last act.
pub fn start(pool: Arc<Inner>, on_end: impl FnOnce(&WorkerEnd) + Send + 'static) -> io::Result<WorkerThread> {
    let epoch = {
        let mut queue = pool.handshakes.queue.lock();
        (queue.stopping, queue.running) = (false, true);
        queue.epoch += 1;
        queue.epoch
    };
    pool.handshakes.bell.notify_all(); // a thread that is still there shall notice
    let not_started = Arc::clone(&pool);
    let started = WorkerThread::spawn("handshakes", move || {
        let end = catch_unwind(AssertUnwindSafe(|| run(&pool, epoch))).unwrap_or_else(WorkerEnd::of_panic);
        let mut queue = pool.handshakes.queue.lock();
        if queue.epoch == epoch {
            queue.running = false;
        }
        drop(queue);
        tracing::info!(?end, "the thread of handshakes ended");
        on_end(&end);
        end
    });
    if started.is_err() {
        not_started.handshakes.queue.lock().running = false;
    }
    started
}

fn run(pool: &Inner, epoch: u64) -> WorkerEnd {
    // A predecessor may have died before it began one; who has begun does not begin again.
    for open in pool.handshakes.under_way() {
        open.step(pool, |at, association, send| association.begin(at, send));
    }
    loop {
        match pool.handshakes.next(epoch) {
            Next::Step(job) => {
                job.association.waiting.fetch_sub(1, Ordering::Relaxed);
                let record = Arc::downgrade(&job.record);
                let now = Open { record, side: job.side, association: job.association, peer: job.peer };
                pool.handshakes.enter(now.clone());
                now.step(pool, |at, association, send| match &job.datagram {
                    Some(datagram) => association.receive(at, datagram, send),
                    None => association.begin(at, send),
                });
            }
            Next::TimeOuts => {
                let now = Instant::now();
                let due = |open: &Open| open.association.next_timeout().is_some_and(|at| at <= now);
                for due in pool.handshakes.under_way().iter().filter(|open| due(open)) {
                    due.step(pool, |at, association, send| association.time_out(at, send));
                }
            }
            Next::End(end) => return end,
        }
        pool.handshakes.open.lock().retain(Open::is_open);
    }
}

impl Open {
    fn step(&self, pool: &Inner, step: impl FnOnce(Instant, &Association, &mut dyn FnMut(&[u8])) -> Step) {
        let Some(record) = self.record.upgrade() else { return };
        let mut send = |packet: &[u8]| {
            // Under the lock, so that a flow that closes gives its ports back whole.
            if let Some(ports) = record.ports.lock().as_ref() {
                let _lost = ports.get(self.side).rtp().send_to(packet, self.peer);
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

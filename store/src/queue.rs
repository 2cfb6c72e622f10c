//! The bounded queue between callers and the writer thread, and the state that both see.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use std::time::Instant;

use crate::StoreError;
use crate::engine::Batch;

/// Whether the store takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// Writes are taken.
    Running,
    /// The drive has no room: writes are refused until a probe finds some.
    DiskFull,
    /// The database is damaged: writes are refused until [`crate::Store::recover`] or a restart.
    ReadOnly(String),
    /// Shut down, or on the way there: writes are refused.
    Stopped,
}

impl StoreState {
    fn refusal(&self) -> Option<StoreError> {
        match self {
            Self::Running => None,
            Self::DiskFull => Some(StoreError::DiskFull),
            Self::ReadOnly(reason) => Some(StoreError::ReadOnly { reason: reason.clone() }),
            Self::Stopped => Some(StoreError::Stopped),
        }
    }
}

/// Called once with the outcome of a write.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A write that waits. It is answered exactly once: by the writer, or on drop when the writer died with it.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    answer: Option<Answer>,
}

impl Pending {
    pub(crate) fn new(batch: Batch, answer: Answer) -> Self {
        Self { batch, answer: Some(answer) }
    }

    pub(crate) fn answer(mut self, outcome: Result<(), StoreError>) {
        self.answer_once(outcome);
    }

    fn answer_once(&mut self, outcome: Result<(), StoreError>) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        // A panic in a caller's callback is the caller's; the group's other callers still get their answer.
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(outcome)));
        if called.is_err() {
            tracing::error!("a callback of a store write panicked");
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.answer_once(Err(StoreError::WriterDied));
    }
}

/// Bounds of the queue and shape of its groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) writes_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) group_writes_max: usize,
    pub(crate) group_window: Duration,
}

/// What the writer wakes up for.
pub(crate) enum Work {
    Group(Vec<Pending>),
    /// No room was found last time: probe again.
    Probe,
    /// The simulation or an operator wants this writer to die.
    Die,
    /// Shut down and nothing left.
    Stop,
}

pub(crate) struct Queue {
    bounds: Bounds,
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    waiting: VecDeque<Pending>,
    bytes: usize,
    state: StoreState,
    writer_lives: bool,
    die: bool,
    /// When the writer last took a group.
    last_group: Option<Instant>,
}

impl Inner {
    fn drain(&mut self, writes_max: usize) -> Vec<Pending> {
        let take = self.waiting.len().min(writes_max);
        let group: Vec<Pending> = self.waiting.drain(..take).collect();
        let taken: usize = group.iter().map(|pending| pending.batch.bytes()).sum();
        self.bytes = self.bytes.saturating_sub(taken);
        group
    }
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                bytes: 0,
                state: StoreState::Running,
                writer_lives: false,
                die: false,
                last_group: None,
            }),
            wake: Condvar::new(),
        }
    }

    /// Takes a write or answers it with the refusal at once.
    pub(crate) fn push(&self, pending: Pending) {
        let bytes = pending.batch.bytes();
        let refusal = {
            let mut inner = self.inner.lock();
            let queued = inner.waiting.len();
            let full = queued >= self.bounds.writes_max || inner.bytes.saturating_add(bytes) > self.bounds.bytes_max;
            match inner.state.refusal() {
                Some(refusal) => refusal,
                None if full => StoreError::Busy { queued, max: self.bounds.writes_max },
                None => {
                    inner.bytes += bytes;
                    inner.waiting.push_back(pending);
                    // The writer sleeps only on an empty queue or for its window.
                    if queued == 0 || queued + 1 == self.bounds.group_writes_max {
                        self.wake.notify_all();
                    }
                    return;
                }
            }
        };
        // Outside the lock: the callback may submit again.
        pending.answer(Err(refusal));
    }

    /// Blocks until there is work for the writer.
    pub(crate) fn next(&self, probe_every: Duration) -> Work {
        let mut inner = self.inner.lock();
        loop {
            if inner.die {
                inner.die = false;
                return Work::Die;
            }
            if !inner.waiting.is_empty() {
                break;
            }
            match inner.state {
                StoreState::Stopped => return Work::Stop,
                StoreState::DiskFull => {
                    if self.wake.wait_for(&mut inner, probe_every).timed_out() && inner.state == StoreState::DiskFull {
                        return Work::Probe;
                    }
                }
                StoreState::Running | StoreState::ReadOnly(_) => self.wake.wait(&mut inner),
            }
        }
        // Counted from the last group: a lone write goes at once, under load groups keep this distance.
        if let Some(until) = inner.last_group.map(|last| last + self.bounds.group_window) {
            while inner.waiting.len() < self.bounds.group_writes_max
                && inner.state == StoreState::Running
                && !self.wake.wait_until(&mut inner, until).timed_out()
            {}
        }
        inner.last_group = Some(Instant::now());
        Work::Group(inner.drain(self.bounds.group_writes_max))
    }

    /// What a dead writer left, after a shutdown; `None` when nothing waits.
    pub(crate) fn take_group(&self) -> Option<Vec<Pending>> {
        let mut inner = self.inner.lock();
        (!inner.waiting.is_empty()).then(|| inner.drain(self.bounds.group_writes_max))
    }

    pub(crate) fn state(&self) -> StoreState {
        self.inner.lock().state.clone()
    }

    /// Changes the state, unless the store was shut down meanwhile; wakes everyone.
    pub(crate) fn set_state(&self, state: StoreState) {
        let mut inner = self.inner.lock();
        if inner.state != StoreState::Stopped {
            inner.state = state;
        }
        self.wake.notify_all();
    }

    /// Has the living writer die; a successor that waits for its place is not meant.
    pub(crate) fn kill_writer(&self) {
        let mut inner = self.inner.lock();
        inner.die = inner.writer_lives;
        self.wake.notify_all();
    }

    pub(crate) fn depth(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    pub(crate) fn writer_lives(&self) -> bool {
        self.inner.lock().writer_lives
    }

    /// Claims the one writer's place as soon as it is free; false when the store was shut down meanwhile.
    pub(crate) fn claim_writer(&self) -> bool {
        let mut inner = self.inner.lock();
        while inner.writer_lives {
            if inner.state == StoreState::Stopped {
                return false;
            }
            self.wake.wait(&mut inner);
        }
        inner.writer_lives = true;
        true
    }

    pub(crate) fn release_writer(&self) {
        let mut inner = self.inner.lock();
        inner.writer_lives = false;
        inner.die = false;
        self.wake.notify_all();
    }

    /// Blocks until no writer thread lives.
    pub(crate) fn wait_for_no_writer(&self) {
        let mut inner = self.inner.lock();
        while inner.writer_lives {
            self.wake.wait(&mut inner);
        }
    }
}

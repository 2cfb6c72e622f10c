//! The one writer thread a database: everything that waits becomes one batch, one flush, one sync; then all are
//! answered. Group commit is what makes a durable write cheap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::StoreError;
use crate::counts::Counts;
use crate::engine::guarded_call;
use crate::queue::{Pending, StoreState, Work};
use crate::store::Shared;

/// How often a full drive is probed for room.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How a writer thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterEnd {
    /// The store was shut down.
    Stopped,
    /// It panicked or was killed; [`crate::Store::start_writer`] starts another, which finds the queue as it was.
    Died,
}

/// The running writer.
#[derive(Debug)]
pub struct WriterThread {
    handle: JoinHandle<()>,
}

impl WriterThread {
    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Blocks until the thread has ended.
    #[must_use]
    pub fn join(self) -> WriterEnd {
        match self.handle.join() {
            Ok(()) => WriterEnd::Stopped,
            Err(_) => WriterEnd::Died,
        }
    }
}

type OnEnd = Box<dyn FnOnce(WriterEnd) + Send>;

/// Starts the thread of a writer, which waits for its place: its predecessor may still be on its way out.
pub(crate) fn start(shared: Arc<Shared>, on_end: OnEnd) -> Result<WriterThread, StoreError> {
    let guard = Guard { shared: Arc::clone(&shared), on_end: Some(on_end), claimed: false };
    let run = move || {
        let mut guard = guard;
        guard.claimed = shared.queue.claim_writer();
        if !guard.claimed {
            return;
        }
        // A writer that died between apply and flush left changes in memory whose counts it did not keep.
        if shared.unsettled.load(Ordering::Acquire)
            && let Err(error) = recover(&shared)
        {
            tracing::error!(%error, "the store could not be recovered for its new writer");
        }
        write_until_stopped(&shared);
    };
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(run)
        .map(|handle| WriterThread { handle })
        .map_err(|error| StoreError::io("starting the writer thread", &error))
}

/// Tells the parent how the thread ended, whichever way it ended.
struct Guard {
    shared: Arc<Shared>,
    on_end: Option<OnEnd>,
    claimed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.claimed {
            self.shared.queue.release_writer();
        }
        let end = if std::thread::panicking() { WriterEnd::Died } else { WriterEnd::Stopped };
        if let Some(on_end) = self.on_end.take() {
            on_end(end);
        }
    }
}

fn write_until_stopped(shared: &Shared) {
    loop {
        match shared.queue.next(PROBE_EVERY) {
            Work::Group(group) => write_group(shared, group),
            Work::Probe => {
                if shared.engine.probe_room().is_ok() && recover(shared).is_ok() {
                    tracing::info!("the store's disk has room again");
                }
            }
            Work::Stop => return,
            // No panic hook: this death was asked for.
            Work::Die => std::panic::resume_unwind(Box::new("the writer was killed on request")),
        }
    }
}

/// Writes one group and answers all of it.
pub(crate) fn write_group(shared: &Shared, mut group: Vec<Pending>) {
    let started = Instant::now();
    let batches: Vec<_> = group.iter_mut().map(|pending| std::mem::take(&mut pending.batch)).collect();
    let mut counts = shared.counts.lock();
    shared.unsettled.store(true, Ordering::Release);
    let outcome = match shared.queue.state() {
        // A group taken just before the state changed must not write into an engine that failed.
        StoreState::DiskFull => Err(StoreError::DiskFull),
        StoreState::ReadOnly(reason) => Err(StoreError::ReadOnly { reason }),
        StoreState::Running | StoreState::Stopped => guarded_call(|| {
            let (batch, next) = counts.merge(&*shared.engine, batches.into_iter())?;
            if !batch.is_empty() {
                shared.engine.apply(batch)?;
                shared.engine.flush()?;
                shared.witness.note(next.group());
            }
            *counts = next;
            Ok(())
        }),
    };
    shared.unsettled.store(false, Ordering::Release);
    drop(counts);
    if let Err(error) = &outcome {
        note_failure(shared, error);
    }
    shared.stats.note_group(group.len(), started.elapsed(), outcome.is_ok());
    for pending in group {
        pending.answer(outcome.clone());
    }
}

fn note_failure(shared: &Shared, error: &StoreError) {
    let state = match error {
        StoreError::DiskFull => StoreState::DiskFull,
        StoreError::Io { .. } | StoreError::Damaged { .. } => StoreState::ReadOnly(error.to_string()),
        _ => return,
    };
    tracing::error!(%error, ?state, "the store cannot write");
    shared.queue.set_state(state);
}

/// Reopens the engine (which keeps all that was acknowledged) and takes writes again.
pub(crate) fn recover(shared: &Shared) -> Result<(), StoreError> {
    let mut counts = shared.counts.lock();
    let reopened = guarded_call(|| {
        shared.engine.reopen()?;
        shared.calls.recount(&*shared.engine)?;
        Counts::load(&*shared.engine)
    });
    match reopened {
        Ok(fresh) => {
            *counts = fresh;
            shared.queue.set_state(StoreState::Running);
            Ok(())
        }
        Err(error) => {
            note_failure(shared, &error);
            Err(error)
        }
    }
}

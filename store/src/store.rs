//! The handle that actors hold.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;

use crate::calls::CallBook;
use crate::counts::{self, Counts, Missing};
use crate::dump::{self, DumpReport};
use crate::engine::{Batch, Engine, Tree};
use crate::messages::{Index, MessageBounds};
use crate::queue::{Bounds, Pending, Queue, StoreState};
use crate::witness::Witness;
use crate::writer::{self, WriterEnd, WriterThread};
use crate::{Calls, Facts, Locations, Mailboxes, Messages, Meta, OpenReport, StoreError, meta, open};

/// Which engine keeps the records.
#[derive(Clone)]
pub enum EngineChoice {
    /// sled in a folder of its own.
    Sled {
        /// The data folder: the database is `sled/` in it, quarantined ones are `damaged-N/`.
        folder: PathBuf,
        /// Bytes of pages kept in memory.
        cache_bytes: u64,
    },
    /// An engine that is open already, for simulations.
    Given(Arc<dyn Engine>),
}

impl fmt::Debug for EngineChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sled { folder, .. } => write!(out, "Sled({})", folder.display()),
            Self::Given(_) => write!(out, "Given"),
        }
    }
}

/// Bounds and places of a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Which engine.
    pub engine: EngineChoice,
    /// Most writes that wait; past it a write is refused with [`StoreError::Busy`].
    pub queue_writes_max: usize,
    /// Most bytes of keys and values that wait.
    pub queue_bytes_max: usize,
    /// Most writes that share one flush.
    pub group_writes_max: usize,
    /// The least time from one group to the next. A lone write does not wait; under load a write waits at most this
    /// long for others to share its flush, which costs the same for one as for many.
    pub group_window: Duration,
    /// Bounds of the messages kept for absent users.
    pub messages: MessageBounds,
}

impl StoreConfig {
    /// sled in `folder`, with a cache of 16 MB, 8,192 writes or 64 MB in the queue, groups of 1,024 and no window.
    #[must_use]
    pub fn sled(folder: impl Into<PathBuf>) -> Self {
        Self::with_engine(EngineChoice::Sled { folder: folder.into(), cache_bytes: 16 * 1024 * 1024 })
    }

    /// The same bounds over an engine that is open already.
    #[must_use]
    pub fn given(engine: Arc<dyn Engine>) -> Self {
        Self::with_engine(EngineChoice::Given(engine))
    }

    fn with_engine(engine: EngineChoice) -> Self {
        Self {
            engine,
            queue_writes_max: 8192,
            queue_bytes_max: 64 * 1024 * 1024,
            group_writes_max: 1024,
            group_window: Duration::ZERO,
            messages: MessageBounds::default(),
        }
    }
}

/// What a monitor wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether writes are taken.
    pub state: StoreState,
    /// Whether a writer thread lives.
    pub writer_lives: bool,
    /// Writes that wait.
    pub queue_depth: usize,
    /// Writes answered `Ok` since the store was opened.
    pub writes: u64,
    /// Groups that were flushed.
    pub groups: u64,
    /// Writes answered with an error after they were queued.
    pub failed_writes: u64,
    /// Microseconds that the last group took from merge to sync.
    pub last_group_us: u64,
    /// Bytes on the drive.
    pub bytes_on_disk: u64,
    /// Bindings kept.
    pub bindings: u64,
    /// Messages kept.
    pub messages: u64,
    /// Call detail records kept.
    pub calls: u64,
}

/// The store. Clones share one database, queue and writer.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Store({:?})", self.shared.queue.state())
    }
}

pub(crate) struct Shared {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) queue: Queue,
    /// Held by whoever writes to the engine: the writer, or a recovery.
    pub(crate) counts: Mutex<Counts>,
    pub(crate) stats: Stats,
    pub(crate) messages: Mutex<Index>,
    pub(crate) calls: CallBook,
    pub(crate) witness: Witness,
    /// A group was begun and not ended.
    pub(crate) unsettled: AtomicBool,
}

impl Shared {
    /// Queues a batch; `answer` is called exactly once.
    pub(crate) fn submit(&self, batch: Batch, answer: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.queue.push(Pending::new(batch, Box::new(answer)));
    }
}

#[derive(Default)]
pub(crate) struct Stats {
    writes: AtomicU64,
    groups: AtomicU64,
    failed_writes: AtomicU64,
    last_group_us: AtomicU64,
}

impl Stats {
    pub(crate) fn note_group(&self, writes: usize, took: Duration, succeeded: bool) {
        let counter = if succeeded { &self.writes } else { &self.failed_writes };
        counter.fetch_add(writes as u64, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_group_us.store(us, Ordering::Relaxed);
    }
}

impl Store {
    /// Opens or makes the database. A crash needs no repair by hand; a damaged database is renamed aside and what can
    /// be read of it is carried over, which the report tells. Start a writer next: until then writes only queue.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::DiskFull`], or [`StoreError::Io`] (also when another process has it open).
    pub fn open(config: StoreConfig) -> Result<(Self, OpenReport), StoreError> {
        let (engine, witness, report) = open::open(&config.engine)?;
        let counts = Counts::load(&*engine)?;
        let messages = Index::load(&*engine, config.messages)?;
        let calls = CallBook::load(&*engine)?;
        let shared = Shared {
            engine,
            queue: Queue::new(Bounds {
                writes_max: config.queue_writes_max.max(1),
                bytes_max: config.queue_bytes_max,
                group_writes_max: config.group_writes_max.max(1),
                group_window: config.group_window,
            }),
            counts: Mutex::new(counts),
            stats: Stats::default(),
            messages: Mutex::new(messages),
            calls,
            witness,
            unsettled: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, report))
    }

    /// Starts the writer thread. See [`Store::start_writer_watched`].
    ///
    /// # Errors
    /// [`StoreError::Stopped`] after a shutdown, [`StoreError::Io`].
    pub fn start_writer(&self) -> Result<WriterThread, StoreError> {
        self.start_writer_watched(|_| {})
    }

    /// Starts the writer thread; `on_end` is called on it when it ends, also by a panic, so that a parent can start
    /// another. While one lives the new one waits for its place: a predecessor may still be on its way out. What waits in the queue waits on for the next writer; what the dead one held is answered with
    /// [`StoreError::WriterDied`].
    ///
    /// # Errors
    /// As [`Store::start_writer`].
    pub fn start_writer_watched(
        &self,
        on_end: impl FnOnce(WriterEnd) + Send + 'static,
    ) -> Result<WriterThread, StoreError> {
        if self.shared.queue.state() == StoreState::Stopped {
            return Err(StoreError::Stopped);
        }
        writer::start(Arc::clone(&self.shared), Box::new(on_end))
    }

    /// Makes the writer thread die as by a fault, to see it come back.
    pub fn kill_writer(&self) {
        self.shared.queue.kill_writer();
    }

    /// Reopens the database after [`StoreState::ReadOnly`] or [`StoreState::DiskFull`] and takes writes again.
    ///
    /// # Errors
    /// What the engine met; the state says so too.
    pub fn recover(&self) -> Result<(), StoreError> {
        writer::recover(&self.shared)
    }

    /// Queues a batch of sealed values. `reply` is called exactly once: on the writer thread after the batch is
    /// durable, or with the refusal, then perhaps on the caller's thread. It must not block. After an error other than
    /// a refusal at the door the write may be there or not.
    pub fn submit(&self, batch: Batch, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.shared.submit(batch, reply);
    }

    /// Registrar bindings.
    #[must_use]
    pub fn locations(&self) -> Locations {
        Locations::new(Arc::clone(&self.shared))
    }

    /// Messages for absent users.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(Arc::clone(&self.shared))
    }

    /// Call detail records.
    #[must_use]
    pub fn calls(&self) -> Calls {
        Calls::new(Arc::clone(&self.shared))
    }

    /// What people and operators have switched.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts::new(Arc::clone(&self.shared))
    }

    /// Mailboxes and the letters that wait to be delivered.
    #[must_use]
    pub fn mailboxes(&self) -> Mailboxes {
        Mailboxes::new(Arc::clone(&self.shared))
    }

    /// Node identity.
    #[must_use]
    pub fn meta(&self) -> Meta {
        Meta::new(Arc::clone(&self.shared))
    }

    /// State, depth and counters. Reads the size of files; not for a hot path.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let counts = shared.counts.lock().clone();
        Health {
            state: shared.queue.state(),
            writer_lives: shared.queue.writer_lives(),
            queue_depth: shared.queue.depth(),
            writes: shared.stats.writes.load(Ordering::Relaxed),
            groups: shared.stats.groups.load(Ordering::Relaxed),
            failed_writes: shared.stats.failed_writes.load(Ordering::Relaxed),
            last_group_us: shared.stats.last_group_us.load(Ordering::Relaxed),
            bytes_on_disk: shared.engine.bytes_on_disk(),
            bindings: counts.of(Tree::Locations),
            messages: counts.of(Tree::Messages),
            calls: self.shared.calls.records(),
        }
    }

    /// Reads every record and compares with the counts; empty when all is there and whole. Meant for a quiet store: it
    /// holds up the writer meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the engine cannot read on.
    pub fn verify(&self) -> Result<Vec<Missing>, StoreError> {
        let _no_writes = self.shared.counts.lock();
        counts::verify(&*self.shared.engine)
    }

    /// Writes every record to `out` in a framed format with a checksum a record. Writes go on meanwhile: each record is
    /// whole, but one that is written during the dump may or may not be in it.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::DiskFull`], [`StoreError::Damaged`].
    pub fn dump(&self, out: &mut dyn std::io::Write) -> Result<DumpReport, StoreError> {
        dump::dump(&*self.shared.engine, out)
    }

    /// Adds every record of a dump, durably, over what is there. Needs a running writer. Reopen the store afterwards:
    /// the bounds of messages are counted at opening.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] at the first frame that is cut or changed; what came before it is loaded.
    pub fn load(&self, from: &mut dyn std::io::Read) -> Result<DumpReport, StoreError> {
        let report = dump::load(from, |batch| wait(|reply| self.submit(batch, reply)))?;
        self.shared.calls.recount(&*self.shared.engine)?;
        Ok(report)
    }

    /// Refuses new writes, waits until those that were queued are answered, marks the database as cleanly closed.
    ///
    /// # Errors
    /// What the last writes met; then the next opening treats it as a crash.
    pub fn shutdown(&self) -> Result<(), StoreError> {
        let queue = &self.shared.queue;
        let before = queue.state();
        queue.set_state(StoreState::Stopped);
        queue.wait_for_no_writer();
        // Only a dead writer leaves work behind.
        while let Some(group) = queue.take_group() {
            writer::write_group(&self.shared, group);
        }
        match before {
            StoreState::Running => meta::end(&*self.shared.engine),
            StoreState::Stopped => Ok(()),
            StoreState::DiskFull => Err(StoreError::DiskFull),
            StoreState::ReadOnly(reason) => Err(StoreError::ReadOnly { reason }),
        }
    }
}

/// Calls something that takes a reply callback, and blocks for the reply. For tools and tests, never for actors.
///
/// # Errors
/// What the reply says; [`StoreError::WriterDied`] when it never comes.
pub fn wait<T: Send + 'static>(
    ask: impl FnOnce(Box<dyn FnOnce(Result<T, StoreError>) + Send>),
) -> Result<T, StoreError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    ask(Box::new(move |outcome| {
        // The other end waits below until this comes or is dropped.
        let _ = sender.send(outcome);
    }));
    receiver.recv().unwrap_or(Err(StoreError::WriterDied))
}

//! The register of all seats: what an operator sees of the living switch, and where it can be hurt on purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ahash::RandomState;
use dashmap::{DashMap, Entry};
use serde::Serialize;

use super::{
    Ended, Ref, Supervisor, fault,
    seat::{Node, Occupied, Place},
    shell::{Control, Up, ask_description, start_here},
    spec::next_generation,
};

/// The longest stall that an operator may inject.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The living tree. Cheap to clone, good on every thread.
#[derive(Clone)]
pub struct Tree(Arc<Inner>);

struct Inner {
    seats: DashMap<Arc<str>, Arc<dyn Occupied>, RandomState>,
    kinds: DashMap<&'static str, Arc<KindStats>, RandomState>,
    next_id: AtomicU64,
    epoch: Instant,
    faults: AtomicBool,
}

/// Counters of a kind, written by its actors.
pub(super) struct KindStats {
    pub(super) kind: &'static str,
    pub(super) alive: AtomicI64,
    pub(super) restarts: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Tree {
    /// An empty tree. Also installs the panic hook that keeps message and location for the parent (once a process).
    #[must_use]
    pub fn new() -> Self {
        fault::install_hook();
        Self(Arc::new(Inner {
            seats: DashMap::default(),
            kinds: DashMap::default(),
            next_id: AtomicU64::new(1),
            epoch: Instant::now(),
            faults: AtomicBool::new(false),
        }))
    }

    /// Starts the root on this arbiter. `on_end` runs once when it is over: in order after [`Ref::halt`], otherwise
    /// because its intensity was passed, and then only a new process can help.
    pub fn plant(&self, name: &str, root: Supervisor, on_end: impl FnOnce(Ended) + Send + 'static) -> Ref<Supervisor> {
        let seat = Ref::<Supervisor>::vacant();
        self.plant_at(&seat, name, root, on_end);
        seat
    }

    /// As [`Tree::plant`], in a seat that others know already.
    pub fn plant_at(
        &self,
        seat: &Ref<Supervisor>,
        name: &str,
        root: Supervisor,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) {
        let path: Arc<str> = ["/", name].concat().into();
        let kind = self.kind(<Supervisor as super::Live>::KIND);
        let _ = seat.0.node.place.set(Place { path: Arc::clone(&path), tree: self.clone(), kind, parent: None });
        self.enter(path, Arc::clone(&seat.0) as _);
        start_here(&seat.0, next_generation(&seat.0), Up::Nobody(Some(Box::new(on_end))), || root);
    }

    /// Lets an operator inject panics and stalls; off unless called.
    pub fn allow_faults(&self, allowed: bool) {
        self.0.faults.store(allowed, Relaxed);
    }

    /// All seats, parents before children, without descriptions. Costs nothing to the actors.
    #[must_use]
    pub fn snapshot(&self) -> Vec<NodeView> {
        let mut views: Vec<NodeView> = self.seats().iter().map(|seat| view(&**seat)).collect();
        views.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        views
    }

    /// As [`Tree::snapshot`], with a description of each actor that gives one before the deadline. Descriptions are
    /// asked and not kept: thousands of calls then pay nothing for a line that nobody reads.
    pub async fn snapshot_described(&self, deadline: Duration) -> Vec<NodeView> {
        let until = tokio::time::Instant::now() + deadline;
        let asked: Vec<_> = self.seats().into_iter().map(|seat| (ask_description(&*seat), seat)).collect();
        let mut views = Vec::with_capacity(asked.len());
        for (answer, seat) in asked {
            let mut seen = view(&*seat);
            if let Some(answer) = answer
                && let Ok(Ok(text)) = tokio::time::timeout_at(until, answer).await
            {
                seen.description = text;
            }
            views.push(seen);
        }
        views.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
        views
    }

    /// Kills the actor: it ends without last words, and its parent acts as after a failure with the cause "killed by
    /// operator". The kill queues behind the messages that are already there.
    ///
    /// # Errors
    /// [`TreeError`] when nobody is there.
    pub fn kill(&self, path: &str) -> Result<(), TreeError> {
        self.order(path, Control::Kill { generation: None })
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`TreeError`] when nobody is there or faults are not allowed.
    pub fn panic(&self, path: &str) -> Result<(), TreeError> {
        self.faults_allowed()?;
        self.order(path, Control::Panic)
    }

    /// Blocks the actor, and so its whole arbiter, for at most 60 s.
    ///
    /// # Errors
    /// [`TreeError`] when nobody is there or faults are not allowed.
    pub fn stall(&self, path: &str, duration: Duration) -> Result<(), TreeError> {
        self.faults_allowed()?;
        self.order(path, Control::Stall(duration.min(STALL_MAX)))
    }

    /// What there is of each kind, sorted by kind. Walks the tree once.
    #[must_use]
    pub fn kinds(&self) -> Vec<KindView> {
        let mut kinds: Vec<KindView> = self
            .0
            .kinds
            .iter()
            .map(|entry| KindView {
                kind: entry.key(),
                alive: u64::try_from(entry.alive.load(Relaxed)).unwrap_or(0),
                restarts: entry.restarts.load(Relaxed),
                refused: entry.refused.load(Relaxed),
                mailbox_depth: 0,
                mailbox_age_ms: 0,
            })
            .collect();
        kinds.sort_by_key(|view| view.kind);
        for seat in self.seats() {
            let seen = view(&*seat);
            if let Ok(at) = kinds.binary_search_by_key(&seen.kind, |view| view.kind)
                && let Some(kind) = kinds.get_mut(at)
            {
                kind.mailbox_depth = kind.mailbox_depth.saturating_add(seen.mailbox_depth);
                kind.mailbox_age_ms = kind.mailbox_age_ms.max(seen.mailbox_age_ms);
            }
        }
        kinds
    }

    /// Writes the figures of each kind into the metrics recorder; to be called when somebody scrapes. The actors count
    /// in plain atomics, so a recorder that is installed late misses nothing.
    pub fn publish(&self) {
        for view in self.kinds() {
            metrics::gauge!("strowger_actor_alive", "kind" => view.kind).set(float(view.alive));
            metrics::counter!("strowger_actor_restarts_total", "kind" => view.kind).absolute(view.restarts);
            metrics::gauge!("strowger_mailbox_depth", "kind" => view.kind).set(float(view.mailbox_depth));
            metrics::counter!("strowger_mailbox_refused_total", "kind" => view.kind).absolute(view.refused);
            metrics::gauge!("strowger_mailbox_age_ms", "kind" => view.kind).set(float(view.mailbox_age_ms));
        }
    }

    pub(super) fn kind(&self, kind: &'static str) -> Arc<KindStats> {
        if let Some(known) = self.0.kinds.get(kind) {
            return Arc::clone(&known);
        }
        let fresh =
            || KindStats { kind, alive: AtomicI64::new(0), restarts: AtomicU64::new(0), refused: AtomicU64::new(0) };
        Arc::clone(&self.0.kinds.entry(kind).or_insert_with(|| Arc::new(fresh())))
    }

    pub(super) fn next_id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Relaxed)
    }

    pub(super) fn epoch(&self) -> Instant {
        self.0.epoch
    }

    /// Registers a seat; false when another one that has not ended is there.
    pub(super) fn enter(&self, path: Arc<str>, seat: Arc<dyn Occupied>) -> bool {
        match self.0.seats.entry(path) {
            Entry::Vacant(free) => {
                free.insert(seat);
                true
            }
            Entry::Occupied(mut taken) => {
                let same = std::ptr::eq(taken.get().node(), seat.node());
                let over = taken.get().node().state.load(Relaxed) == NodeState::Ended as u8;
                if over && !same {
                    taken.insert(seat);
                }
                same || over
            }
        }
    }

    pub(super) fn forget(&self, path: &str, node: &Node) {
        self.0.seats.remove_if(path, |_, seat| std::ptr::eq(seat.node(), node));
    }

    /// A copy of the register, so that no lock is held while actors are looked at.
    fn seats(&self) -> Vec<Arc<dyn Occupied>> {
        self.0.seats.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    fn order(&self, path: &str, order: Control) -> Result<(), TreeError> {
        let seat = self.0.seats.get(path).map(|entry| Arc::clone(entry.value()));
        let seat = seat.ok_or_else(|| TreeError::Unknown(path.to_owned()))?;
        if seat.control(order) { Ok(()) } else { Err(TreeError::Vacant(path.to_owned())) }
    }

    /// Whether faults may be injected.
    ///
    /// # Errors
    /// They may not.
    pub fn faults_allowed(&self) -> Result<(), NoFaults> {
        if self.0.faults.load(Relaxed) { Ok(()) } else { Err(NoFaults) }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an order could not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The tree has no such path.
    #[error("there is no actor at {0}; `strowger tree` lists the paths")]
    Unknown(String),
    /// The actor is down at this moment.
    #[error("the actor at {0} is down at this moment and waits for its restart")]
    Vacant(String),
    /// Faults are not allowed.
    #[error(transparent)]
    NoFaults(#[from] NoFaults),
}

/// Faults may be injected only where the configuration allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("injecting faults is not allowed in this switch")]
pub struct NoFaults;

/// How a seat's occupant does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum NodeState {
    /// Its factory runs, or it has not been scheduled yet.
    #[default]
    Starting,
    /// It takes messages.
    Running,
    /// It is down and waits for its restart.
    Restarting,
    /// It was asked to end.
    Stopping,
    /// It ended abnormally and its parent has not acted yet.
    Failed,
    /// It ended in order and its parent has not forgotten it yet.
    Ended,
}

/// One seat as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// As `/switch/shard-0/calls/5f3a`.
    pub path: Arc<str>,
    /// As `call`.
    pub kind: &'static str,
    /// How it does.
    pub state: NodeState,
    /// Since its present incarnation started.
    pub uptime_ms: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it last ended abnormally.
    pub last_cause: Option<Arc<str>>,
    /// Messages waiting.
    pub mailbox_depth: u64,
    /// Messages that may wait.
    pub mailbox_capacity: u64,
    /// Age of the oldest message that is not finished; 0 when idle.
    pub mailbox_age_ms: u64,
    /// One line by the actor itself; empty unless asked for.
    pub description: String,
}

/// The figures of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindView {
    /// As `call`.
    pub kind: &'static str,
    /// Actors alive.
    pub alive: u64,
    /// Restarts since the start of the process.
    pub restarts: u64,
    /// Messages refused because a mailbox was full.
    pub refused: u64,
    /// Messages waiting, all actors of the kind together.
    pub mailbox_depth: u64,
    /// Age of the oldest unfinished message of any of them.
    pub mailbox_age_ms: u64,
}

fn view(seat: &dyn Occupied) -> NodeView {
    let node = seat.node();
    let now_us = node.now_us();
    let oldest_us = node.oldest_us.load(Relaxed);
    let (path, kind) = match node.place.get() {
        Some(place) => (Arc::clone(&place.path), place.kind.kind),
        None => (Arc::from(""), ""),
    };
    NodeView {
        path,
        kind,
        state: state(node.state.load(Relaxed)),
        uptime_ms: now_us.saturating_sub(node.started_us.load(Relaxed)) / 1_000,
        restarts: node.restarts.load(Relaxed),
        last_cause: node.last_cause.lock().clone(),
        mailbox_depth: count(node.depth.load(Relaxed)),
        mailbox_capacity: count(seat.capacity()),
        mailbox_age_ms: if oldest_us == 0 { 0 } else { now_us.saturating_sub(oldest_us) / 1_000 },
        description: String::new(),
    }
}

fn state(stored: u8) -> NodeState {
    use NodeState::{Ended, Failed, Restarting, Running, Starting, Stopping};
    [Starting, Running, Restarting, Stopping, Failed, Ended]
        .into_iter()
        .find(|state| *state as u8 == stored)
        .unwrap_or_default()
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// For gauges, which are floats: exact up to 2^53, more than any count here.
#[allow(clippy::cast_precision_loss)]
fn float(n: u64) -> f64 {
    n as f64
}

//! The supervisor: an ordered list of children, and what to do when one of them ends.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use ahash::RandomState;
use tokio::time::Instant;

use super::{
    Backoff, Cx, Ended, Intensity, Live, NodeState, Restart, Spec, Strategy, Task,
    live::KILLED,
    nursery::{Newborn, this_thread},
    seat::Place,
    slot::{Slot, State, Sweep, Then},
};

/// Dynamic children that a supervisor may have unless told otherwise.
const CHILDREN_MAX: u32 = 100_000;
/// How long children may take to end before they are given up, unless told otherwise.
const HALT_WITHIN: Duration = Duration::from_secs(5);

/// A supervisor is declared by its strategy, its intensity and its children, in the order in which they start.
pub struct Supervisor {
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    halt_within: Duration,
    children_max: u32,
    specs: Vec<Spec>,
    /// Runs when it has started.
    adopting: Option<Box<dyn FnOnce()>>,
    /// By number; numbers grow, so their order is the order of birth.
    slots: HashMap<u64, Slot, RandomState>,
    /// When children failed within the window; at most `intensity.restarts` + 1.
    recent: VecDeque<Instant>,
    /// Children that wait for their restart. One timer serves them all.
    due: BTreeSet<(Instant, u64)>,
    timer: Option<(Instant, Task)>,
    sweep: Option<Sweep>,
    sweeps: u64,
}

impl Supervisor {
    /// A supervisor without children.
    #[must_use]
    pub fn new(strategy: Strategy, intensity: Intensity) -> Self {
        Self {
            strategy,
            intensity,
            backoff: Backoff::default(),
            halt_within: HALT_WITHIN,
            children_max: CHILDREN_MAX,
            specs: Vec::new(),
            adopting: None,
            slots: HashMap::default(),
            recent: VecDeque::new(),
            due: BTreeSet::new(),
            timer: None,
            sweep: None,
            sweeps: 0,
        }
    }

    /// Adds a child, started after those before it and halted before them.
    #[must_use]
    pub fn with(mut self, spec: impl Into<Spec>) -> Self {
        self.specs.push(spec.into());
        self
    }

    /// Sets the waits before restarts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how long the children together may take to end before they are given up.
    #[must_use]
    pub fn halt_within(mut self, patience: Duration) -> Self {
        self.halt_within = patience;
        self
    }

    /// Sets how many dynamic children there may be.
    #[must_use]
    pub fn children_max(mut self, most: u32) -> Self {
        self.children_max = most;
        self
    }

    /// Sets what is done once it runs and has started its declared children: where dynamic children must outlive it, a
    /// fresh one starts them again here ([`super::SupervisorRef::start_child`] works already).
    #[must_use]
    pub fn adopting(mut self, adopt: impl FnOnce() + 'static) -> Self {
        self.adopting = Some(Box::new(adopt));
        self
    }

    fn settle(&mut self, spec: Spec, cx: &Cx<'_, Self>) {
        let Some(above) = cx.seat().node.place.get() else {
            return;
        };
        let path: Arc<str> = [&*above.path, "/", &*spec.name].concat().into();
        let seat = spec.kid.seat();
        // A seat that was settled by an earlier incarnation of this supervisor keeps its place, which is the same.
        let _ = seat.node().place.set(Place {
            path: Arc::clone(&path),
            tree: above.tree.clone(),
            kind: above.tree.kind(spec.kind),
            parent: Some(cx.me()),
        });
        if !above.tree.enter(Arc::clone(&path), seat) {
            tracing::error!(actor = &*path, "two children have this name: the later one is not in the tree");
        }
        let id = above.tree.next_id();
        let mut slot = Slot::declared(id, spec);
        slot.start();
        self.slots.insert(id, slot);
    }

    fn adopt(&mut self, slot: Slot) {
        // While everything is swept out, a newborn goes as well: dropping its slot ends it.
        if self.sweep.as_ref().is_none_or(|sweep| !sweep.is_last()) {
            self.slots.insert(slot.id, slot);
        }
    }

    fn down(&mut self, id: u64, generation: u32, ended: Ended, cx: &mut Cx<'_, Self>) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        if slot.generation != generation {
            return;
        }
        slot.state = State::Down;
        let wanted = match slot.restart {
            Restart::Permanent => true,
            Restart::Transient => !ended.is_normal(),
            Restart::Temporary => false,
        };
        if let Some(sweep) = &mut self.sweep {
            if sweep.covers(id) {
                sweep.waiting.remove(&id);
                self.advance(cx);
                return;
            }
            if wanted {
                sweep.meanwhile.push((id, ended));
                return;
            }
        }
        if wanted {
            self.failed(id, &ended, cx);
        } else {
            self.slots.remove(&id);
        }
    }

    /// A child that must come back is down.
    fn failed(&mut self, id: u64, ended: &Ended, cx: &mut Cx<'_, Self>) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let now = Instant::now();
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > self.intensity.within) {
            self.recent.pop_front();
        }
        slot.kid.occupied().node().set_state(NodeState::Restarting);
        if self.recent.len() > usize::try_from(self.intensity.restarts).unwrap_or(usize::MAX) {
            let cause = format!(
                "more than {} restarts in {:?}; the last: {} {ended}",
                self.intensity.restarts,
                self.intensity.within,
                slot.kid.occupied().node().path(),
            );
            self.sweep_out(self.all(), Then::Fail(cause.into()), cx);
            return;
        }
        if slot.failed.is_some_and(|at| now.duration_since(at) > self.intensity.within) {
            slot.failures = 0;
        }
        slot.failed = Some(now);
        slot.failures = slot.failures.saturating_add(1);
        let due = now + self.backoff.wait(slot.failures);
        let group = match self.strategy {
            Strategy::OneForOne => {
                self.due.insert((due, id));
                self.start_due(cx);
                return;
            }
            Strategy::RestForOne => self.all().into_iter().filter(|other| *other >= id).collect(),
            Strategy::OneForAll => self.all(),
        };
        self.sweep_out(group, Then::Restart(due), cx);
    }

    /// Everyone's number, in the order of birth.
    fn all(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.slots.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Ends these children, youngest first, and then does the rest.
    fn sweep_out(&mut self, ids: Vec<u64>, then: Then, cx: &mut Cx<'_, Self>) {
        if self.sweep.as_ref().is_some_and(Sweep::is_last) {
            return;
        }
        self.due.retain(|(_, id)| ids.binary_search(id).is_err());
        self.sweeps += 1;
        let serial = self.sweeps;
        let meanwhile = self.sweep.take().map(|sweep| sweep.meanwhile).unwrap_or_default();
        self.sweep = Some(Sweep { serial, queue: ids.clone(), ids, waiting: BTreeSet::new(), then, meanwhile });
        // Those that an earlier sweep was already waiting for are waited for again.
        let halting: Vec<u64> =
            self.slots.values().filter(|slot| slot.state == State::Halting).map(|slot| slot.id).collect();
        if let Some(sweep) = &mut self.sweep {
            sweep.waiting.extend(halting.into_iter().filter(|id| sweep.ids.binary_search(id).is_ok()));
        }
        cx.later(self.halt_within, move |this, cx| this.out_of_patience(serial, cx));
        self.advance(cx);
    }

    fn advance(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(sweep) = &mut self.sweep else { return };
        if !sweep.waiting.is_empty() {
            return;
        }
        while let Some(id) = sweep.queue.pop() {
            let up = self.slots.get_mut(&id).filter(|slot| slot.state == State::Up);
            let Some(slot) = up else { continue };
            slot.halt(&sweep.then);
            sweep.waiting.insert(id);
            let dynamic = slot.dynamic;
            // Declared children go one by one, because the later lean on the earlier; dynamic ones are each other's
            // equals and go together.
            let next = sweep.queue.last().and_then(|next| self.slots.get(next));
            if !(dynamic && next.is_some_and(|next| next.dynamic)) {
                return;
            }
        }
        if sweep.waiting.is_empty() {
            self.swept(cx);
        }
    }

    fn swept(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(sweep) = self.sweep.take() else {
            return;
        };
        match sweep.then {
            Then::End => cx.stop(),
            Then::Fail(cause) => cx.fail(cause),
            Then::Restart(due) => {
                for id in sweep.ids {
                    match self.slots.get(&id) {
                        Some(slot) if slot.restart == Restart::Temporary => {
                            self.slots.remove(&id);
                        }
                        Some(slot) => {
                            slot.kid.occupied().node().set_state(NodeState::Restarting);
                            self.due.insert((due, id));
                        }
                        None => {}
                    }
                }
                self.start_due(cx);
                for (id, ended) in sweep.meanwhile {
                    match &mut self.sweep {
                        Some(sweep) if sweep.covers(id) => {}
                        Some(sweep) => sweep.meanwhile.push((id, ended)),
                        None => self.failed(id, &ended, cx),
                    }
                }
            }
        }
    }

    /// Children that do not end in time are killed, and their ends no longer awaited.
    fn out_of_patience(&mut self, serial: u64, cx: &mut Cx<'_, Self>) {
        let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.serial == serial) else {
            return;
        };
        sweep.waiting.clear();
        for id in std::mem::take(&mut sweep.queue).into_iter().chain(sweep.ids.clone()) {
            if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.state != State::Down) {
                tracing::error!(actor = slot.kid.occupied().node().path(), "did not end in time: given up");
                slot.kill();
                // A seat that moves on ignores the old occupant, whenever it ends.
                slot.generation = 0;
                slot.state = State::Down;
            }
        }
        self.advance(cx);
    }

    fn start_due(&mut self, cx: &mut Cx<'_, Self>) {
        let now = Instant::now();
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            if let Some(slot) = self.slots.get_mut(&id) {
                let node = slot.kid.occupied().node();
                node.restarts.fetch_add(1, Relaxed);
                if let Some(place) = node.place.get() {
                    place.kind.restarts.fetch_add(1, Relaxed);
                }
                slot.start();
            }
        }
        let Some((next, _)) = self.due.first().copied() else {
            return;
        };
        if let Some((armed, task)) = self.timer {
            if armed <= next {
                return;
            }
            cx.cancel(task);
        }
        let task = cx.later(next.duration_since(now), |this, cx| {
            this.timer = None;
            this.start_due(cx);
        });
        self.timer = Some((next, task));
    }
}

impl Live for Supervisor {
    type Msg = SupervisorMsg;
    const KIND: &'static str = "supervisor";
    /// Only the layer itself writes to a supervisor, one birth and one end a child, past the bound if need be.
    const MAILBOX: usize = 1024;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.seat().node.children_max.store(self.children_max, Relaxed);
        cx.seat().node.home.store(this_thread(), Relaxed);
        for spec in std::mem::take(&mut self.specs) {
            self.settle(spec, cx);
        }
        if let Some(adopt) = self.adopting.take() {
            adopt();
        }
    }

    fn handle(&mut self, msg: SupervisorMsg, cx: &mut Cx<'_, Self>) {
        match msg.0 {
            News::Adopt(newborn) => {
                if let Some(slot) = newborn.take() {
                    self.adopt(slot);
                }
            }
            News::Down { id, generation, ended } => self.down(id, generation, ended, cx),
        }
    }

    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        self.sweep_out(self.all(), Then::End, cx);
    }

    fn killed(&mut self, cx: &mut Cx<'_, Self>) {
        self.sweep_out(self.all(), Then::Fail(KILLED.into()), cx);
    }

    fn describe(&self) -> String {
        format!(
            "{:?}, {} children, at most {} restarts in {:?}",
            self.strategy,
            self.slots.len(),
            self.intensity.restarts,
            self.intensity.within
        )
    }
}

/// What a supervisor is told; made by the layer alone.
pub struct SupervisorMsg(News);

enum News {
    Adopt(Newborn),
    Down { id: u64, generation: u32, ended: Ended },
}

impl SupervisorMsg {
    pub(super) fn adopt(child: Newborn) -> Self {
        Self(News::Adopt(child))
    }

    pub(super) fn down(id: u64, generation: u32, ended: Ended) -> Self {
        Self(News::Down { id, generation, ended })
    }
}

//! A child as its supervisor keeps it, and a sweep: children that are being ended together.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::time::Instant;

use super::{Ended, Restart, Spec, StopReason, shell::Control, spec::Kid};

/// How a child stands with its supervisor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Up,
    /// Told to end.
    Halting,
    Down,
}

/// A child as its supervisor keeps it. Dropping the slot ends the child and takes it out of the tree.
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) restart: Restart,
    pub(super) kid: Box<dyn Kid>,
    pub(super) dynamic: bool,
    pub(super) state: State,
    pub(super) generation: u32,
    /// Failures in a row, and the last of them.
    pub(super) failures: u32,
    pub(super) failed: Option<Instant>,
}

impl Slot {
    /// A declared child that has not started yet.
    pub(super) fn declared(id: u64, spec: Spec) -> Self {
        Self {
            id,
            restart: spec.restart,
            kid: spec.kid,
            dynamic: false,
            state: State::Down,
            generation: 0,
            failures: 0,
            failed: None,
        }
    }

    /// A child that runs already.
    pub(super) fn adopted(id: u64, restart: Restart, kid: Box<dyn Kid>, generation: u32) -> Self {
        Self { id, restart, kid, dynamic: true, state: State::Up, generation, failures: 0, failed: None }
    }

    pub(super) fn start(&mut self) {
        self.generation = self.kid.start(self.id);
        self.state = State::Up;
    }

    pub(super) fn halt(&mut self, then: &Then) {
        self.state = State::Halting;
        let why = match then {
            Then::End => StopReason::Halted,
            Then::Restart(_) => StopReason::Restarting,
            // The room burns: no last words, so that whoever rebuilds it finds the work as it was.
            Then::Fail(_) => return self.kill(),
        };
        self.kid.occupied().control(Control::Halt { why, generation: Some(self.generation) });
    }

    pub(super) fn kill(&self) {
        self.kid.occupied().control(Control::Kill { generation: Some(self.generation) });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.state != State::Down {
            self.kill();
        }
        let node = self.kid.occupied().node();
        let Some(place) = node.place.get() else {
            return;
        };
        place.tree.forget(&place.path, node);
        if let Some(above) = place.parent.as_ref().filter(|_| self.dynamic) {
            above.0.node.children.fetch_sub(1, Relaxed);
        }
    }
}

/// Children being ended, and what comes after.
pub(super) struct Sweep {
    pub(super) serial: u64,
    /// All that belong to it, in the order of birth.
    pub(super) ids: Vec<u64>,
    /// Those still to be told, the next one last.
    pub(super) queue: Vec<u64>,
    /// Those told and not yet down.
    pub(super) waiting: BTreeSet<u64>,
    pub(super) then: Then,
    /// Others that failed while it ran.
    pub(super) meanwhile: Vec<(u64, Ended)>,
}

/// What comes after a sweep.
pub(super) enum Then {
    End,
    Fail(Arc<str>),
    Restart(Instant),
}

impl Sweep {
    pub(super) fn covers(&self, id: u64) -> bool {
        self.is_last() || self.ids.binary_search(&id).is_ok()
    }

    /// Whether the supervisor ends with it.
    pub(super) fn is_last(&self) -> bool {
        !matches!(self.then, Then::Restart(_))
    }
}

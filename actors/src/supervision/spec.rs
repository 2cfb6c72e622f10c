//! What a supervisor is told of a child: name, restart, factory, and on which arbiter it lives.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use actix_rt::ArbiterHandle;
use parking_lot::Mutex;

use super::{
    Live, Ref,
    seat::{Occupied, Seat},
    shell::{Up, start_here, start_on},
};

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After an abnormal end only (panic, failure, kill, loss of its arbiter).
    Transient,
    /// Never.
    Temporary,
}

/// Who else is restarted when a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    OneForOne,
    /// Those that were started after it, because they depend on it.
    RestForOne,
    /// All, because they depend on each other.
    OneForAll,
}

/// How many failures a supervisor takes before it fails itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// This many are taken within the window; one more escalates.
    pub restarts: u32,
    /// The window, on the runtime's clock.
    pub within: Duration,
}

/// How long a supervisor waits before a restart: not at all the first time, then `first`, doubled up to `most`. A child
/// that has not failed for the window of the intensity begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second restart in a row.
    pub first: Duration,
    /// The bound.
    pub most: Duration,
}

impl Backoff {
    /// The wait after this many failures in a row (1 is the first).
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(2) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(5) }
    }
}

/// Declares a child of a supervisor. The factory runs for every incarnation and gives a fresh value each time; what must
/// outlive an incarnation (a checkpoint) is read by the factory from outside.
pub fn child<L: Live, F: FnMut() -> L + 'static>(
    name: impl Into<Arc<str>>,
    restart: Restart,
    factory: F,
) -> Child<L, F> {
    Child { name: name.into(), restart, factory, seat: None }
}

/// A declaration in the making; see [`child`]. It becomes a [`Spec`] by `into`, which [`super::Supervisor::with`] does.
pub struct Child<L: Live, F> {
    name: Arc<str>,
    restart: Restart,
    factory: F,
    seat: Option<Ref<L>>,
}

impl<L: Live, F: FnMut() -> L + 'static> Child<L, F> {
    /// Gives the child a seat that others know already ([`Ref::vacant`]).
    #[must_use]
    pub fn seat(mut self, seat: &Ref<L>) -> Self {
        self.seat = Some(seat.clone());
        self
    }

    /// Lets the child live on another arbiter than its supervisor's.
    #[must_use]
    pub fn on(self, arbiter: &ArbiterHandle) -> Spec
    where
        F: Send,
    {
        let seat = self.seat.unwrap_or_else(Ref::vacant).0;
        let kid = Away { seat, arbiter: arbiter.clone(), factory: Arc::new(Mutex::new(self.factory)) };
        Spec { name: self.name, kind: L::KIND, restart: self.restart, kid: Box::new(kid) }
    }
}

impl<L: Live, F: FnMut() -> L + 'static> From<Child<L, F>> for Spec {
    fn from(child: Child<L, F>) -> Self {
        let seat = child.seat.unwrap_or_else(Ref::vacant).0;
        Self {
            name: child.name,
            kind: L::KIND,
            restart: child.restart,
            kid: Box::new(Home { seat, factory: child.factory }),
        }
    }
}

/// A declared child, whatever its type.
pub struct Spec {
    pub(super) name: Arc<str>,
    pub(super) kind: &'static str,
    pub(super) restart: Restart,
    pub(super) kid: Box<dyn Kid>,
}

/// A seat with the factory of its occupants.
pub(super) trait Kid {
    fn seat(&self) -> Arc<dyn Occupied>;
    fn occupied(&self) -> &dyn Occupied;
    /// Starts a new incarnation and returns its generation.
    fn start(&mut self, id: u64) -> u32;
}

/// A child on its supervisor's arbiter.
pub(super) struct Home<L: Live, F> {
    pub(super) seat: Arc<Seat<L>>,
    pub(super) factory: F,
}

impl<L: Live, F: FnMut() -> L> Kid for Home<L, F> {
    fn seat(&self) -> Arc<dyn Occupied> {
        Arc::clone(&self.seat) as Arc<dyn Occupied>
    }

    fn occupied(&self) -> &dyn Occupied {
        &*self.seat
    }

    fn start(&mut self, id: u64) -> u32 {
        let generation = next_generation(&self.seat);
        start_here(&self.seat, generation, Up::Parent(id), &mut self.factory);
        generation
    }
}

/// A child on another arbiter.
struct Away<L: Live, F> {
    seat: Arc<Seat<L>>,
    arbiter: ArbiterHandle,
    factory: Arc<Mutex<F>>,
}

impl<L: Live, F: FnMut() -> L + Send + 'static> Kid for Away<L, F> {
    fn seat(&self) -> Arc<dyn Occupied> {
        Arc::clone(&self.seat) as Arc<dyn Occupied>
    }

    fn occupied(&self) -> &dyn Occupied {
        &*self.seat
    }

    fn start(&mut self, id: u64) -> u32 {
        let generation = next_generation(&self.seat);
        let factory = Arc::clone(&self.factory);
        start_on(&self.arbiter, &self.seat, generation, Up::Parent(id), move || (factory.lock())());
        generation
    }
}

pub(super) fn next_generation<L: Live>(seat: &Seat<L>) -> u32 {
    seat.node.generation.fetch_add(1, Relaxed).saturating_add(1)
}

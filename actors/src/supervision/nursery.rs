//! Children that are born at run time, thousands a second: started at once where they are wanted, adopted by message.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use ahash::RandomState;

use super::{
    Live, NodeState, Ref, Restart, Supervisor, SupervisorMsg,
    seat::Place,
    slot::Slot,
    spec::{Home, Kid},
};

/// Why a child was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The supervisor is not running: not started, ended, or being rebuilt.
    #[error("the supervisor is not running")]
    Dead,
    /// The supervisor has as many children as it may have.
    #[error("the supervisor has no room for another child")]
    Full,
    /// A living child has that name.
    #[error("a child with this name is alive")]
    Taken,
    /// The supervisor lives on another arbiter than the caller.
    #[error("the supervisor lives on another arbiter")]
    Elsewhere,
}

impl Ref<Supervisor> {
    /// Starts a child at once on the caller's arbiter, which must be the supervisor's own; the supervisor learns of it
    /// by an ordered message, always before it can learn of its end. The factory runs now for the first incarnation and
    /// again for every restart.
    ///
    /// # Errors
    /// [`StartError`]; the factory has not run then.
    pub fn start_child<L: Live>(
        &self,
        name: &str,
        restart: Restart,
        factory: impl FnMut() -> L + 'static,
    ) -> Result<Ref<L>, StartError> {
        let above = &self.0.node;
        let Some(place) = above.place.get() else {
            return Err(StartError::Dead);
        };
        if above.state.load(Relaxed) != NodeState::Running as u8 {
            return Err(StartError::Dead);
        }
        if above.home.load(Relaxed) != this_thread() {
            return Err(StartError::Elsewhere);
        }
        if above.children.fetch_add(1, Relaxed) >= above.children_max.load(Relaxed) {
            above.children.fetch_sub(1, Relaxed);
            return Err(StartError::Full);
        }
        let born = Ref::<L>::vacant();
        let path: Arc<str> = [&*place.path, "/", name].concat().into();
        let _ = born.0.node.place.set(Place {
            path: Arc::clone(&path),
            tree: place.tree.clone(),
            kind: place.tree.kind(L::KIND),
            parent: Some(self.clone()),
        });
        if !place.tree.enter(path, Arc::clone(&born.0) as _) {
            above.children.fetch_sub(1, Relaxed);
            return Err(StartError::Taken);
        }
        let mut kid = Home { seat: Arc::clone(&born.0), factory };
        let id = place.tree.next_id();
        let generation = kid.start(id);
        let slot = Slot::adopted(id, restart, Box::new(kid), generation);
        // Bounded by `children_max`. If the supervisor is gone by now the slot is dropped, and the child with it.
        if self.send_reply(SupervisorMsg::adopt(Newborn::lay(id, slot))) { Ok(born) } else { Err(StartError::Dead) }
    }
}

thread_local! {
    /// Children on their way from the one who started them to their supervisor, which is on the same thread.
    static CRADLE: RefCell<HashMap<u64, Slot, RandomState>> = RefCell::default();
    static THREAD: u64 = next_thread();
}

/// The token of a child in the cradle. A factory need not be `Send` and so cannot travel in a message; its number can.
pub(super) struct Newborn(u64);

impl Newborn {
    fn lay(id: u64, slot: Slot) -> Self {
        CRADLE.with_borrow_mut(|cradle| cradle.insert(id, slot));
        Self(id)
    }

    /// The child, to be kept.
    pub(super) fn take(&self) -> Option<Slot> {
        CRADLE.try_with(|cradle| cradle.borrow_mut().remove(&self.0)).ok().flatten()
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        // Nobody took it: its slot is dropped here, outside of the cradle's borrow, and ends it.
        drop(self.take());
    }
}

/// A number for the calling thread, never 0.
pub(super) fn this_thread() -> u64 {
    THREAD.with(|number| *number)
}

fn next_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

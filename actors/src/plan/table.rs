//! All desks, by kind and name.

use ahash::AHashMap;
use arc_swap::ArcSwap;
use smol_str::SmolStr;
use std::sync::Arc;

use super::clerk::{DialPlans, HuntGroups, OfHours, Policies, Sort, Usages};
use super::desk::{Counts, Desk, DeskView, Full, Place};
use super::planner::{Planner, PlannerMsg};
use super::{Clerk, ClerkMsg, Kind, Under, configured};
use crate::routing::Routing;
use crate::shared::Shared;
use crate::supervision::{Ref, Restart, StartError, SupervisorRef};

/// The space of what was counted among the facts of the store.
const SPACE: &str = "plan";

/// See the module. Shards read it; it is replaced whole when the configuration is.
pub struct Plans {
    table: ArcSwap<Table>,
    branches: [SupervisorRef; Kind::ALL.len()],
    /// Starts clerks for what is new.
    pub planner: Ref<Planner>,
}

type Table = [AHashMap<SmolStr, Arc<Desk>>; Kind::ALL.len()];

impl Default for Plans {
    fn default() -> Self {
        Self { table: ArcSwap::default(), branches: Kind::ALL.map(|_| Ref::vacant()), planner: Ref::vacant() }
    }
}

impl Plans {
    /// The desks of a plan. One that is there already goes on with what it has counted and the calls under it; the clerk of one that is
    /// not planned any more goes. `known` are the counts of the store, read when the switch starts.
    pub fn set(&self, routing: &Routing, known: &AHashMap<String, Counts>) {
        let before = self.table.load_full();
        let mut table = Table::default();
        for ((kind, desks), old) in Kind::ALL.into_iter().zip(&mut table).zip(before.iter()) {
            for (name, calls_max) in configured(routing, kind) {
                let fresh = || {
                    let counts = known.get(&key(kind, &name)).copied().unwrap_or_default();
                    Arc::new(Desk::new(kind, name.clone(), counts))
                };
                let desk = old.get(&name).cloned().unwrap_or_else(fresh);
                desk.bound(calls_max);
                desks.insert(name, desk);
            }
            old.values().filter(|desk| !desks.contains_key(&desk.name)).for_each(|desk| desk.close());
        }
        self.table.store(Arc::new(table));
        self.all().iter().for_each(|desk| desk.look());
        // One word a change; a planner that is full of them looks anyway, and one that is dead looks when it is back.
        let _told = self.planner.try_send(PlannerMsg::Changed);
    }

    /// A desk.
    pub fn get(&self, kind: Kind, name: &str) -> Option<Arc<Desk>> {
        self.table.load().get(kind as usize)?.get(name).cloned()
    }

    /// All desks, by kind and name.
    pub fn all(&self) -> Vec<Arc<Desk>> {
        let mut all: Vec<_> = self.table.load().iter().flat_map(|desks| desks.values().cloned()).collect();
        all.sort_by(|one, other| (one.kind as usize, &one.name).cmp(&(other.kind as usize, &other.name)));
        all
    }

    /// All of them, as operators see them.
    pub fn views(&self) -> Vec<DeskView> {
        self.all().iter().map(|desk| desk.view()).collect()
    }

    /// Calls under objects of the plan, each counted for each object.
    pub fn up(&self) -> u64 {
        self.table.load().iter().flat_map(|desks| desks.values()).map(|desk| u64::from(desk.up())).sum()
    }

    /// Places for a call by what its decision went by.
    ///
    /// # Errors
    /// An object has as many calls as it may have.
    pub fn admit(&self, under: &Under) -> Result<Vec<Place>, Full> {
        let table = self.table.load();
        let desks = under.objects().filter_map(|(kind, name)| table.get(kind as usize)?.get(name));
        let places = desks.map(|desk| desk.take(under.emergency)).collect::<Result<Vec<Place>, Full>>()?;
        places.iter().for_each(Place::passed);
        Ok(places)
    }

    /// Whether another call of that kind would be let in.
    ///
    /// # Errors
    /// As [`Plans::admit`].
    pub fn would_admit(&self, under: &Under) -> Result<(), Full> {
        if under.emergency {
            return Ok(());
        }
        let table = self.table.load();
        let mut desks = under.objects().filter_map(|(kind, name)| table.get(kind as usize)?.get(name));
        desks.try_for_each(|desk| desk.would_take())
    }

    /// A call by this decision led nowhere.
    pub fn refuse(&self, under: &Under) {
        let table = self.table.load();
        under.objects().filter_map(|(kind, name)| table.get(kind as usize)?.get(name)).for_each(|desk| desk.refuse());
    }

    /// The supervisor of the clerks of a kind.
    pub(crate) fn branch(&self, kind: Kind) -> SupervisorRef {
        self.branches.get(kind as usize).cloned().unwrap_or_else(Ref::vacant)
    }

    /// Starts the clerks of all desks of a kind: at the start of the switch, and after the death of their supervisor.
    pub(crate) fn adopt(&self, shared: &Arc<Shared>, kind: Kind) {
        for desk in self.all().iter().filter(|desk| desk.kind == kind) {
            if let Err(error) = self.begin(shared, desk) {
                tracing::error!(kind = kind.as_str(), name = %desk.name, %error, "a clerk of the plan was not started");
            }
        }
    }

    /// Starts the clerk of a desk.
    pub(super) fn begin(&self, shared: &Arc<Shared>, desk: &Arc<Desk>) -> Result<(), StartError> {
        match desk.kind {
            Kind::DialPlan => self.start::<DialPlans>(shared, desk),
            Kind::HuntGroup => self.start::<HuntGroups>(shared, desk),
            Kind::Policy => self.start::<Policies>(shared, desk),
            Kind::Usage => self.start::<Usages>(shared, desk),
            Kind::Hours => self.start::<OfHours>(shared, desk),
        }
    }

    fn start<S: Sort>(&self, shared: &Arc<Shared>, desk: &Arc<Desk>) -> Result<(), StartError> {
        let factory = {
            let (shared, desk) = (Arc::clone(shared), Arc::clone(desk));
            move || Clerk::<S>::new(Arc::clone(&shared), Arc::clone(&desk))
        };
        let seat = self.branch(desk.kind).start_child(&desk.name, Restart::Transient, factory)?;
        // A clerk that is full of mail looks anyway; one that is dead looks when it is back.
        desk.served_by(move || drop(seat.try_send(ClerkMsg::Look)));
        Ok(())
    }
}

/// Its name among the facts of the store.
fn key(kind: Kind, name: &str) -> String {
    format!("{} {name}", kind.as_str())
}

/// Writes down what an object has counted.
pub(super) fn write(store: &store::Store, desk: &Desk) {
    use std::sync::atomic::Ordering::Relaxed;
    if !desk.unwritten.swap(false, Relaxed) {
        return;
    }
    let Ok(text) = serde_json::to_string(&desk.counts()) else { return };
    store.facts().put(SPACE, &key(desk.kind, &desk.name), &text, |result| {
        if let Err(error) = result {
            tracing::error!(%error, "what the plan has counted is not in the store");
        }
    });
}

/// Forgets what an object has counted that the configuration has no more.
pub(super) fn forget(store: &store::Store, desk: &Desk) {
    store.facts().remove(SPACE, &key(desk.kind, &desk.name), |_| ());
}

/// What was counted before this start.
pub fn known(store: &store::Store) -> AHashMap<String, Counts> {
    match store.facts().all(SPACE) {
        Ok((facts, unread)) => {
            if unread > 0 {
                tracing::error!(unread, "counts of the plan cannot be read");
            }
            facts.into_iter().filter_map(|(key, text)| Some((key, serde_json::from_str(&text).ok()?))).collect()
        }
        Err(error) => {
            tracing::error!(%error, "what the plan has counted cannot be read");
            AHashMap::new()
        }
    }
}

//! Ring groups: a number behind which several people answer, and a queue before them.
//!
//! A group is an actor from the start of the switch to its end. What it *knows* lies in its [`Book`], which the calls in it, its
//! actor and the operator share: a killed actor costs nobody its place. The actor decides who rings for whom
//! ([`rules`]) and tells the calls, which ring phones, play music and tell back what came of it (`call/grouped.rs`).
//!
//! | file | what it knows |
//! | --- | --- |
//! | `plan` | what an operator says of a group |
//! | `book` | agents and calls as they are |
//! | `rules` | who rings for whom |
//! | `ticket` | a call's place in a group |
//! | `actor` | decides when something has changed; signs agents in and out |
//! | `view` | what others see of it |

mod actor;
pub mod book;
mod plan;
pub mod rules;
#[cfg(test)]
mod tests;
mod ticket;
mod view;

pub use actor::{GroupActor, GroupMsg, NotSigned};
pub use book::Book;
pub use plan::{Method, Plan};
pub use rules::{Order, Presence, Why};
pub use ticket::Ticket;
pub use view::{AgentView, CallerView, GroupView};

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use smol_str::SmolStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::shard::{Core, home_of};
use crate::shared::Shared;
use crate::supervision::{Ref, Restart, StartError};

/// The space of the store in which agents who have signed in stand, as `GROUP AGENT`.
pub const SIGN_INS: &str = "sign-in";

/// Counts of a group.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that came.
    pub came: AtomicU64,
    /// Calls that an agent took.
    pub answered: AtomicU64,
    /// Calls that left for another target, by whatever reason.
    pub overflowed: AtomicU64,
    /// Calls that were refused or ended because nobody took them.
    pub refused: AtomicU64,
    /// Calls whose caller has gone.
    pub abandoned: AtomicU64,
    /// Times that agents have rung and nobody took the call.
    pub missed: AtomicU64,
}

/// See the module.
pub struct Group {
    plan: ArcSwap<Plan>,
    /// The shard of its actor.
    pub shard: usize,
    /// Agents and calls.
    pub book: Mutex<Book>,
    /// What has been counted.
    pub tally: Tally,
    /// The configuration has it no more.
    closed: AtomicBool,
    seat: Mutex<Option<Ref<GroupActor>>>,
}

impl Group {
    /// What is configured.
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// Its actor.
    pub fn actor(&self) -> Option<Ref<GroupActor>> {
        self.seat.lock().clone()
    }

    /// Whether the configuration has it no more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Something has changed: its actor looks.
    pub fn look(&self) {
        // One that is full of mail looks anyway; one that is dead looks when it is back.
        let _told = self.actor().map(|seat| seat.try_send(GroupMsg::Look));
    }
}

/// The groups of the node.
#[derive(Default)]
pub struct Groups {
    table: ArcSwap<Table>,
}

#[derive(Default)]
struct Table {
    all: Vec<Arc<Group>>,
    by_name: AHashMap<SmolStr, usize>,
    by_agent: AHashMap<SmolStr, Vec<usize>>,
}

impl Groups {
    /// The groups of these plans. One that is there already goes on with its agents and calls; one that is not planned any more
    /// lets its calls go. `sign_ins` are those of the store, read when the switch starts.
    pub fn set(&self, plans: &[Arc<Plan>], shards: usize, sign_ins: &[(SmolStr, SmolStr)]) {
        let before = self.table.load_full();
        let mut table = Table::default();
        for plan in plans {
            let known = before.by_name.get(&plan.name).and_then(|at| before.all.get(*at));
            let group = match known {
                Some(group) => {
                    group.plan.store(Arc::clone(plan));
                    Arc::clone(group)
                }
                None => Arc::new(Group {
                    plan: ArcSwap::new(Arc::clone(plan)),
                    shard: home_of(plan.name.as_bytes(), shards),
                    book: Mutex::default(),
                    tally: Tally::default(),
                    closed: AtomicBool::new(false),
                    seat: Mutex::default(),
                }),
            };
            for (_, agent) in sign_ins.iter().filter(|(name, _)| *name == plan.name) {
                group.book.lock().agent_mut(agent).signed_in = true;
            }
            let at = table.all.len();
            table.by_name.insert(plan.name.clone(), at);
            for agent in &plan.agents {
                table.by_agent.entry(agent.clone()).or_default().push(at);
            }
            table.all.push(group);
        }
        for gone in before.all.iter().filter(|group| !table.by_name.contains_key(&group.plan().name)) {
            gone.closed.store(true, Relaxed);
            gone.look();
        }
        let all = table.all.clone();
        self.table.store(Arc::new(table));
        all.iter().for_each(|group| group.look());
    }

    /// A group by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Group>> {
        let table = self.table.load();
        table.all.get(*table.by_name.get(name)?).cloned()
    }

    /// All groups, in the order of the configuration.
    pub fn all(&self) -> Vec<Arc<Group>> {
        self.table.load().all.clone()
    }

    /// The groups that a user is an agent of.
    pub fn of_agent(&self, user: &str) -> Vec<Arc<Group>> {
        let table = self.table.load();
        let places = table.by_agent.get(user).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|at| table.all.get(*at).cloned()).collect()
    }

    /// An agent may be free now, or gone: its groups look, where somebody waits.
    pub fn agent_changed(&self, aor: &str) {
        let table = self.table.load();
        if table.by_agent.is_empty() {
            return;
        }
        let user = aor.split('@').next().unwrap_or_default();
        for at in table.by_agent.get(user).map_or(&[][..], Vec::as_slice) {
            if let Some(group) = table.all.get(*at).filter(|group| !group.book.lock().calls.is_empty()) {
                group.look();
            }
        }
    }

    /// Calls in all groups.
    pub fn calls(&self) -> usize {
        self.table.load().all.iter().map(|group| group.book.lock().calls.len()).sum()
    }
}

/// The groups and agents of the store's sign-ins.
pub fn sign_ins(shared_store: &store::Store) -> Vec<(SmolStr, SmolStr)> {
    match shared_store.facts().all(SIGN_INS) {
        Ok((facts, unread)) => {
            if unread > 0 {
                tracing::error!(unread, "sign-ins of agents cannot be read");
            }
            let names = |key: &str| key.split_once(' ').map(|(group, agent)| (group.into(), agent.into()));
            facts.iter().filter_map(|(key, _)| names(key)).collect()
        }
        Err(error) => {
            tracing::error!(%error, "the sign-ins of agents cannot be read");
            Vec::new()
        }
    }
}

/// Starts the actors of all groups of a shard: at the start of the switch, and after the death of their supervisor.
pub fn adopt(core: &Core) {
    begin(core, |_| true);
}

/// Starts those that have none yet: the configuration has brought them.
pub fn adopt_new(core: &Core) {
    begin(core, |group| group.actor().is_none());
}

fn begin(core: &Core, which: impl Fn(&Group) -> bool) {
    let all = core.shared.groups.all();
    for group in all.iter().filter(|group| group.shard == core.shard && which(group)) {
        if let Err(error) = group.begin(core) {
            tracing::error!(group = %group.plan().name, %error, "a group was not started");
        }
    }
}

impl Group {
    /// Its actor, in the care of its shard's supervisor.
    fn begin(self: &Arc<Self>, core: &Core) -> Result<(), StartError> {
        let (group, shared) = (Arc::clone(self), Arc::clone(&core.shared));
        let factory = move || GroupActor::new(Arc::clone(&shared), Arc::clone(&group));
        let seat = core.groups_supervisor.start_child(&self.plan().name, Restart::Transient, factory)?;
        *self.seat.lock() = Some(seat);
        Ok(())
    }
}

/// How an agent is: whether a phone of it is registered and takes calls, and whether it has a call.
pub fn presence(shared: &Shared, user: &str) -> Presence {
    let directory = shared.directory();
    let Some(user) = directory.user(user) else { return Presence::Away };
    let aor = directory.aor(user);
    let now = crate::shared::unix_ms();
    let registered = shared.location.get(&aor).iter().any(|contact| contact.expires_at_ms > now);
    if !registered || shared.features.of(&user.name).do_not_disturb {
        return Presence::Away;
    }
    if shared.lines.of(&aor) == 0 { Presence::Free } else { Presence::Busy }
}

//! Real supervision on actix: whatever lives has one parent, and the parent learns how it ended.
//!
//! The model in five sentences. A [`Live`] value is an actor: one message type, one bounded mailbox, one kind. It sits
//! in a *seat*; a [`Ref`] points to the seat and not to the actor, so every `Ref` stays good when the actor is
//! restarted. A [`Supervisor`] is itself `Live`: it owns an ordered list of children ([`child`]) and may be given more at
//! run time ([`Ref::start_child`]). Each actor carries a guard whose drop tells the parent [`Ended`]; the parent restarts,
//! gives up the child or escalates, by [`Restart`], [`Strategy`] and [`Intensity`]. [`Tree`] is the register of all
//! seats: what the operator looks at, and where an actor can be killed to see it come back.
//!
//! One law: a panic inside an actor (handler, timer, future or factory) ends that actor and nothing else. Every entry
//! into an actor is caught, so its value is dropped outside of the unwinding and a second panic there cannot abort the
//! process.
//!
//! What it costs (printed by `actors/tests/supervision_cost.rs`): a child started, adopted, told once, stopped and
//! forgotten takes a few microseconds; it occupies about a kilobyte, most of it actix's own context and queue.

mod fault;
mod live;
mod nursery;
mod seat;
mod shell;
mod slot;
mod spec;
mod supervisor;
mod thread;
mod tree;

pub use live::{Ended, Live, StopReason};
pub use nursery::StartError;
pub use seat::{AskError, Asked, Ref, Refused, Reply};
pub use shell::{Cx, Task};
pub use spec::{Backoff, Child, Intensity, Restart, Spec, Strategy, child};
pub use supervisor::{Supervisor, SupervisorMsg};
pub use thread::{Join, ThreadBell, ThreadDown, ThreadFace};
pub use tree::{KindView, NoFaults, NodeState, NodeView, Tree, TreeError};

/// A handle of a supervisor; it stays good when the supervisor is rebuilt.
pub type SupervisorRef = Ref<Supervisor>;

//! What it is to be alive: the trait that every actor of the switch implements, and the ways in which one ends.

use std::{fmt, sync::Arc};

use super::Cx;

/// Everything alive implements this; the layer turns it into an actix actor, guards it, counts it and names it.
///
/// Methods run on the actor's arbiter and must not block: anything over a millisecond belongs to a blocking pool.
pub trait Live: Sized + Unpin + 'static {
    /// What the actor can be told: one enum an actor.
    type Msg: Send + 'static;
    /// The kind in the tree and in metrics: `call`, `registrar`, `worker`.
    const KIND: &'static str;
    /// Bound of the mailbox in messages; [`super::Ref::try_send`] refuses past it.
    const MAILBOX: usize;

    /// Whether mail outlives the actor: what waits behind a fault, and what comes while a successor is on its way (up to
    /// the bound), is for the successor. For actors that owe somebody an answer. Otherwise it is dropped, and refused as
    /// dead. The message at which an actor failed is never given again.
    const KEEPS_MAIL: bool = false;

    /// Runs once, before the first message.
    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        let _ = cx;
    }

    /// Takes one message.
    fn handle(&mut self, msg: Self::Msg, cx: &mut Cx<'_, Self>);

    /// The parent or an operator asks for an orderly end. By default the actor ends at once; one that has children or
    /// unsaved work lets go of them first and calls [`Cx::stop`] later, before its parent's patience is over.
    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        cx.stop();
    }

    /// The actor is killed: an abnormal end without [`Live::stopping`]. By default it ends at once; one that owns
    /// something outside of itself (children, a thread) lets go of it first and then calls [`Cx::fail`].
    fn killed(&mut self, cx: &mut Cx<'_, Self>) {
        cx.fail(KILLED);
    }

    /// The last words before a normal end; not called after a panic, a failure or a kill.
    fn stopping(&mut self, why: &StopReason, cx: &mut Cx<'_, Self>) {
        let _ = (why, cx);
    }

    /// One line for the tree, as `alice → bob, up 12 s`. Asked only when somebody looks at the tree.
    fn describe(&self) -> String {
        String::new()
    }
}

/// The cause that the parent and the tree see after an operator's kill.
pub(super) const KILLED: &str = "killed by operator";

/// Why an actor ends normally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It called [`Cx::stop`] because its work is done.
    Done,
    /// Its parent shuts down, or somebody halted it through its handle.
    Halted,
    /// A sibling failed and the strategy restarts this one as well: the same work goes on in a fresh actor.
    Restarting,
}

/// How an actor ended, as its parent learns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In order.
    Stopped(StopReason),
    /// A panic in its handler, timer, future or factory: message and source location.
    Panicked(Arc<str>),
    /// It gave up by itself ([`Cx::fail`]), or was killed: the cause.
    Failed(Arc<str>),
    /// Its arbiter, and so its thread, went away under it.
    Lost,
}

impl Ended {
    /// Whether a transient child may rest after this end.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(StopReason::Done) => f.write_str("done"),
            Self::Stopped(StopReason::Halted) => f.write_str("halted"),
            Self::Stopped(StopReason::Restarting) => f.write_str("restarted with its siblings"),
            Self::Panicked(cause) => write!(f, "panicked: {cause}"),
            Self::Failed(cause) => f.write_str(cause),
            Self::Lost => f.write_str("its arbiter ended"),
        }
    }
}

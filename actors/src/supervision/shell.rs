//! The shell around a [`Live`] value: the actix actor itself, its context, and the guard that tells the parent.

use std::{
    future::Future,
    panic::panic_any,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task,
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Running, SpawnHandle,
    fut::wrap_future,
};
use actix_rt::ArbiterHandle;
use tokio::sync::oneshot;

use super::{
    Ended, Live, NodeState, Ref, StopReason, SupervisorMsg, SupervisorRef, Tree, fault,
    live::KILLED,
    seat::{Occupied, Seat},
};

/// What travels in a mailbox.
pub(super) enum Parcel<L: Live> {
    /// A message, and when it was sent (µs of the tree's clock).
    Told { msg: L::Msg, at_us: u64 },
    /// The next message of the seat's mail ([`Live::KEEPS_MAIL`]).
    Mail,
    /// An order of the layer itself.
    Control(Control),
}

impl<L: Live> Message for Parcel<L> {
    type Result = ();
}

/// Orders of the layer. Where a generation is given, another incarnation ignores the order.
pub(super) enum Control {
    Halt { why: StopReason, generation: Option<u32> },
    Kill { generation: Option<u32> },
    Panic,
    Stall(Duration),
    Describe(oneshot::Sender<String>),
}

/// Whom the guard tells.
pub(super) enum Up {
    /// The parent of the seat, which knows the child by this number.
    Parent(u64),
    /// The root has nobody above: this runs once, with its end.
    Nobody(Option<Box<dyn FnOnce(Ended) + Send>>),
}

/// Starts an actor in its seat, on this arbiter.
pub(super) fn start_here<L: Live>(seat: &Arc<Seat<L>>, generation: u32, up: Up, make: impl FnOnce() -> L) {
    let guard = LifeGuard::new(Arc::clone(seat), generation, up);
    let mut context = Context::new();
    let shell = Shell::new(guard, &mut context, make);
    seat.open(context.address(), generation);
    actix_rt::spawn(context.into_future(shell));
}

/// Starts an actor in its seat, on another arbiter. If that one is gone the guard is dropped at once and tells so.
pub(super) fn start_on<L: Live>(
    arbiter: &ArbiterHandle,
    seat: &Arc<Seat<L>>,
    generation: u32,
    up: Up,
    make: impl FnOnce() -> L + Send + 'static,
) {
    let guard = LifeGuard::new(Arc::clone(seat), generation, up);
    let addr: Addr<Shell<L>> = Shell::start_in_arbiter(arbiter, move |context| Shell::new(guard, context, make));
    seat.open(addr, generation);
}

/// The actix actor. Fields are dropped in order: the value first, then the guard tells the parent.
pub(super) struct Shell<L: Live> {
    /// None when the factory panicked.
    live: Option<L>,
    halting: Option<StopReason>,
    guard: LifeGuard<L>,
}

impl<L: Live> Shell<L> {
    fn new(mut guard: LifeGuard<L>, context: &mut Context<Self>, make: impl FnOnce() -> L) -> Self {
        // 0 turns actix's own bound off: the seat counts exactly.
        context.set_mailbox_capacity(0);
        let live = match fault::guarded(make) {
            Ok(live) => Some(live),
            Err(cause) => {
                guard.how = Some(Ended::Panicked(cause));
                None
            }
        };
        Self { live, halting: None, guard }
    }

    /// The only way into the value: caught, and followed by what the value asked of its context.
    fn enter(&mut self, context: &mut Context<Self>, code: impl FnOnce(&mut L, &mut Cx<'_, L>)) {
        if self.guard.how.is_some() {
            return;
        }
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let mut exit = None;
        let mut cx = Cx { seat: &self.guard.seat, context: &mut *context, exit: &mut exit };
        let how = match fault::guarded(|| code(live, &mut cx)) {
            Err(cause) => Ended::Panicked(cause),
            Ok(()) => match exit {
                None => return,
                Some(Exit::Fail(cause)) => Ended::Failed(cause),
                Some(Exit::Stop) => {
                    let why = self.halting.unwrap_or(StopReason::Done);
                    self.guard.seat.node.set_state(NodeState::Stopping);
                    let mut cx = Cx { seat: &self.guard.seat, context: &mut *context, exit: &mut None };
                    match fault::guarded(|| live.stopping(&why, &mut cx)) {
                        Ok(()) => Ended::Stopped(why),
                        Err(cause) => Ended::Panicked(cause),
                    }
                }
            },
        };
        self.end(context, how);
    }

    fn take(&mut self, msg: L::Msg, at_us: u64, context: &mut Context<Self>) {
        self.guard.seat.node.taken(at_us);
        self.enter(context, |live, cx| live.handle(msg, cx));
        self.guard.seat.node.finished(at_us);
    }

    fn end(&mut self, context: &mut Context<Self>, how: Ended) {
        if self.guard.how.is_none() {
            self.guard.how = Some(how);
        }
        context.stop();
    }

    fn obey(&mut self, order: Control, context: &mut Context<Self>) {
        let me = self.guard.generation;
        match order {
            Control::Halt { why, generation } if generation.is_none_or(|g| g == me) => {
                self.halting = Some(why);
                self.guard.seat.node.set_state(NodeState::Stopping);
                self.enter(context, |live, cx| live.halting(cx));
            }
            Control::Kill { generation } if generation.is_none_or(|g| g == me) => {
                self.enter(context, |live, cx| live.killed(cx));
            }
            Control::Halt { .. } | Control::Kill { .. } => {}
            // The payload is all that tells this one from an honest fault.
            Control::Panic => self.enter(context, |_, _| panic_any("panic asked by operator".to_owned())),
            Control::Stall(duration) => std::thread::sleep(duration),
            Control::Describe(answer) => self.enter(context, |live, _| {
                let _ = answer.send(live.describe());
            }),
        }
    }
}

impl<L: Live> Actor for Shell<L> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if self.live.is_none() {
            context.stop();
            return;
        }
        self.guard.seat.node.set_state(NodeState::Running);
        self.enter(context, |live, cx| live.started(cx));
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Stop
    }
}

impl<L: Live> Handler<Parcel<L>> for Shell<L> {
    type Result = ();

    fn handle(&mut self, parcel: Parcel<L>, context: &mut Self::Context) {
        if self.guard.seat.node.generation.load(Relaxed) != self.guard.generation {
            // It did not end in time, was given up, and its seat is taken: it has no say any more.
            self.end(context, Ended::Failed("given up by its parent".into()));
            return;
        }
        match parcel {
            Parcel::Told { msg, at_us } => self.take(msg, at_us, context),
            // One that has failed leaves the rest to its successor.
            Parcel::Mail if self.guard.how.is_none() => {
                if let Some((msg, at_us)) = self.guard.seat.next_mail() {
                    self.take(msg, at_us, context);
                }
            }
            Parcel::Mail => {}
            Parcel::Control(order) => self.obey(order, context),
        }
    }
}

/// Owned by the actor; its drop is the one place where an end becomes known.
struct LifeGuard<L: Live> {
    seat: Arc<Seat<L>>,
    generation: u32,
    up: Up,
    /// None until the end is known: dropped so, the arbiter went away or a drop of the value panicked.
    how: Option<Ended>,
}

impl<L: Live> LifeGuard<L> {
    fn new(seat: Arc<Seat<L>>, generation: u32, up: Up) -> Self {
        let node = &seat.node;
        node.set_state(NodeState::Starting);
        node.started_us.store(node.now_us(), Relaxed);
        if let Some(place) = node.place.get() {
            place.kind.alive.fetch_add(1, Relaxed);
        }
        Self { seat, generation, up, how: None }
    }
}

impl<L: Live> Drop for LifeGuard<L> {
    fn drop(&mut self) {
        let how = if std::thread::panicking() {
            Ended::Panicked(fault::take_last().unwrap_or_else(|| "panicked in its drop".into()))
        } else {
            self.how.take().unwrap_or(Ended::Lost)
        };
        let node = &self.seat.node;
        if let Some(place) = node.place.get() {
            place.kind.alive.fetch_sub(1, Relaxed);
        }
        let normal = how.is_normal();
        let cause: Option<Arc<str>> = (!normal).then(|| how.to_string().into());
        if let Some(cause) = &cause {
            tracing::error!(actor = node.path(), kind = L::KIND, %cause, "actor ended abnormally");
        }
        // An occupant that was given up leaves a seat that is no longer its own.
        if self.seat.close(self.generation, normal)
            && let Some(cause) = cause
        {
            *node.last_cause.lock() = Some(cause);
        }
        match (&mut self.up, node.place.get()) {
            (Up::Parent(child), Some(place)) => {
                if let Some(parent) = &place.parent {
                    // At most one a child, so bounded by the number of children.
                    parent.send_reply(SupervisorMsg::down(*child, self.generation, how));
                }
            }
            (Up::Nobody(tell), place) => {
                if let Some(place) = place {
                    place.tree.forget(&place.path, node);
                }
                if let Some(tell) = tell.take() {
                    tell(how);
                }
            }
            (Up::Parent(_), None) => {}
        }
    }
}

/// What an actor asked for while it ran.
enum Exit {
    Stop,
    Fail(Arc<str>),
}

/// A running future or timer of an actor, to be cancelled with [`Cx::cancel`].
#[derive(Clone, Copy, Debug)]
pub struct Task(SpawnHandle);

/// What an actor sees of its surroundings while it runs.
pub struct Cx<'a, L: Live> {
    seat: &'a Arc<Seat<L>>,
    context: &'a mut Context<Shell<L>>,
    exit: &'a mut Option<Exit>,
}

impl<L: Live> Cx<'_, L> {
    /// A handle of this actor.
    #[must_use]
    pub fn me(&self) -> Ref<L> {
        Ref(Arc::clone(self.seat))
    }

    /// This actor's path in the tree.
    #[must_use]
    pub fn path(&self) -> &str {
        self.seat.node.path()
    }

    /// The tree that this actor stands in.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        self.seat.node.place.get().map(|place| &place.tree)
    }

    /// The supervisor of this actor; none above the root.
    #[must_use]
    pub fn supervisor(&self) -> Option<&SupervisorRef> {
        self.seat.node.place.get().and_then(|place| place.parent.as_ref())
    }

    /// Ends in order as soon as the handler returns. Messages still queued are dropped, their askers see it.
    pub fn stop(&mut self) {
        self.exit.get_or_insert(Exit::Stop);
    }

    /// Ends abnormally as soon as the handler returns: the parent acts as after a panic with this cause.
    pub fn fail(&mut self, cause: impl Into<Arc<str>>) {
        *self.exit = Some(Exit::Fail(cause.into()));
    }

    /// Runs a future beside the mailbox and gives its output back to the actor. actix polls all futures of an actor at
    /// every wake of it: a handful an actor, never one an entry of a table.
    pub fn spawn<F>(&mut self, future: F, then: impl FnOnce(&mut L, F::Output, &mut Cx<'_, L>) + 'static) -> Task
    where
        F: Future + 'static,
    {
        let caught = wrap_future::<_, Shell<L>>(Caught(Box::pin(future)));
        Task(self.context.spawn(caught.map(move |output, shell, context| match output {
            Ok(output) => shell.enter(context, |live, cx| then(live, output, cx)),
            Err(cause) => shell.end(context, Ended::Panicked(cause)),
        })))
    }

    /// Runs once after `delay` of the runtime's clock (which a test may pause). Same rule as for [`Cx::spawn`].
    pub fn later(&mut self, delay: Duration, then: impl FnOnce(&mut L, &mut Cx<'_, L>) + 'static) -> Task {
        self.spawn(tokio::time::sleep(delay), move |live, (), cx| then(live, cx))
    }

    /// Drops a future or timer; one that has run already is no error.
    pub fn cancel(&mut self, task: Task) {
        self.context.cancel_future(task.0);
    }

    pub(super) fn seat(&self) -> &Arc<Seat<L>> {
        self.seat
    }

    /// The default answer to a kill, for actors that must first let go of something.
    pub(super) fn fail_as_killed(&mut self) {
        self.fail(KILLED);
    }
}

/// A future whose panic is its output.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Arc<str>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        match fault::guarded(|| self.0.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(cause) => task::Poll::Ready(Err(cause)),
        }
    }
}

/// Asks the actor in any seat for its description; None when nobody is there.
pub(super) fn ask_description(seat: &dyn Occupied) -> Option<oneshot::Receiver<String>> {
    let (answer, asked) = oneshot::channel();
    seat.control(Control::Describe(answer)).then_some(asked)
}

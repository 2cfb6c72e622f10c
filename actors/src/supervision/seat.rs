//! A seat: the place of one actor in the tree, which stays while its occupants come and go.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix::{Addr, prelude::SendError};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::oneshot, time::Timeout};

use super::{
    Live, NodeState, StopReason, SupervisorRef, Tree,
    shell::{Control, Parcel, Shell},
    tree::KindStats,
};

/// A handle of an actor, cheap to clone, good on every thread, and good for every incarnation of the actor.
pub struct Ref<L: Live>(pub(super) Arc<Seat<L>>);

impl<L: Live> Ref<L> {
    /// A seat that nobody occupies yet: made first, given to whoever must know the actor, and to its
    /// [`super::Child::seat`]. Until the actor starts, and while it is being restarted, messages are refused as dead.
    #[must_use]
    pub fn vacant() -> Self {
        let door = RwLock::new(Door { addr: None, ended: 0 });
        Self(Arc::new(Seat { node: Node::default(), door, mail: Mutex::default() }))
    }

    /// Tells the actor, up to its bound ([`Live::MAILBOX`]).
    ///
    /// # Errors
    /// The message comes back: [`Refused::Full`] past the bound (counted), [`Refused::Dead`] when nobody is there.
    pub fn try_send(&self, msg: L::Msg) -> Result<(), Refused<L::Msg>> {
        self.0.tell(msg, L::MAILBOX)
    }

    /// Tells the actor past its bound: for replies and for messages that are bounded by construction, nothing else.
    /// False when nobody is there; the message is then dropped, as a reply to a dead asker is.
    pub fn send_reply(&self, msg: L::Msg) -> bool {
        self.0.tell(msg, usize::MAX).is_ok()
    }

    /// Asks the actor: `make` puts the [`Reply`] into a message. The question leaves at once; the answer is awaited
    /// for at most `deadline`. Must be called inside a tokio runtime (any actor or HTTP handler is).
    pub fn ask<T: Send + 'static>(&self, make: impl FnOnce(Reply<T>) -> L::Msg, deadline: Duration) -> Asked<T> {
        let (reply, answer) = oneshot::channel();
        match self.try_send(make(Reply(reply))) {
            Ok(()) => Asked(Ok(Box::pin(tokio::time::timeout(deadline, answer)))),
            Err(Refused::Full(_)) => Asked(Err(AskError::Full)),
            Err(Refused::Dead(_)) => Asked(Err(AskError::Dead)),
        }
    }

    /// The path, as `/switch/shard-0/calls/5f3a`; empty while the seat has no place in a tree.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.node.path()
    }

    /// Whether an actor sits there now. It may end before the next line runs: a hint, never a promise.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.door.read().addr.as_ref().is_some_and(Addr::connected)
    }

    /// Asks the actor to end in order ([`Live::halting`]), after the messages that are already queued.
    pub fn halt(&self) {
        self.0.control(Control::Halt { why: StopReason::Halted, generation: None });
    }
}

impl<L: Live> Clone for Ref<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Live> std::fmt::Debug for Ref<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ref({} {})", L::KIND, self.path())
    }
}

/// A message that was not taken, given back.
#[derive(PartialEq, Eq)]
pub enum Refused<M> {
    /// The mailbox is at its bound: answer with the protocol's own refusal.
    Full(M),
    /// Nobody is there: never started, ended, or between two incarnations.
    Dead(M),
}

impl<M> Refused<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(msg) | Self::Dead(msg) => msg,
        }
    }
}

impl<M> std::fmt::Debug for Refused<M> {
    /// Without the message, which may be somebody's private text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Dead(_) => "Dead",
        })
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The mailbox is at its bound.
    #[error("the mailbox is full")]
    Full,
    /// Nobody is there, or the actor ended (or dropped the reply) before it answered.
    #[error("nobody answers: the actor is gone")]
    Dead,
    /// The deadline passed.
    #[error("no answer before the deadline")]
    Deadline,
}

/// Where the answer to a question goes: once, to whoever still waits.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// A reply to somebody who waits in a future, with its own patience.
    #[must_use]
    pub fn of(sender: oneshot::Sender<T>) -> Self {
        Self(sender)
    }

    /// Answers. An asker that waits no longer is no error.
    pub fn send(self, answer: T) {
        let _ = self.0.send(answer);
    }

    /// Whether the asker has stopped waiting, so that work for it can be spared.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// An answer on its way; see [`Ref::ask`]. Dropping it abandons the question.
#[must_use = "an answer must be awaited"]
pub struct Asked<T>(Result<Pin<Box<Timeout<oneshot::Receiver<T>>>>, AskError>);

impl<T> Future for Asked<T> {
    type Output = Result<T, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Err(refused) => Poll::Ready(Err(*refused)),
            Ok(answer) => answer.as_mut().poll(cx).map(|end| match end {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(AskError::Dead),
                Err(_) => Err(AskError::Deadline),
            }),
        }
    }
}

/// The seat itself: account and door.
pub(super) struct Seat<L: Live> {
    pub(super) node: Node,
    door: RwLock<Door<L>>,
    /// Of a kind that keeps its mail ([`Live::KEEPS_MAIL`]): all of it, with the time of sending; the actor's own queue
    /// then has a token for each. Always locked inside of the door's lock.
    mail: Mutex<VecDeque<(L::Msg, u64)>>,
}

/// The way to the present occupant.
struct Door<L: Live> {
    addr: Option<Addr<Shell<L>>>,
    /// The newest generation that has ended; an older or equal one can no longer take the seat.
    ended: u32,
}

impl<L: Live> Seat<L> {
    /// An actor takes the seat; false when it ended even before (its arbiter was gone).
    pub(super) fn open(&self, addr: Addr<Shell<L>>, generation: u32) -> bool {
        let mut door = self.door.write();
        if generation <= door.ended {
            return false;
        }
        for _ in 0..self.count_mail() {
            // Nobody has had the address before: it takes them.
            let _ = addr.try_send(Parcel::Mail);
        }
        door.addr = Some(addr);
        true
    }

    /// The actor of `generation` leaves. False when a younger one already sits here.
    pub(super) fn close(&self, generation: u32, is_normal: bool) -> bool {
        let mut door = self.door.write();
        if self.node.generation.load(Relaxed) != generation {
            return false;
        }
        door.ended = generation;
        let gone = door.addr.take();
        // Nobody comes after an end in order who would owe the answers.
        let unread = if is_normal { std::mem::take(&mut *self.mail.lock()) } else { VecDeque::new() };
        self.node.set_state(if is_normal { NodeState::Ended } else { NodeState::Failed });
        self.count_mail();
        drop(door);
        drop((gone, unread));
        true
    }

    /// Books the mail that is there as all that waits.
    fn count_mail(&self) -> usize {
        let mail = self.mail.lock();
        self.node.depth.store(mail.len(), Relaxed);
        self.node.oldest_us.store(mail.front().map_or(0, |(_, at_us)| *at_us), Relaxed);
        mail.len()
    }

    /// The oldest message, with the time of its sending.
    pub(super) fn next_mail(&self) -> Option<(L::Msg, u64)> {
        self.mail.lock().pop_front()
    }

    /// Nobody is there: the message waits for a successor if there will be one, and it keeps its mail.
    fn keep(&self, msg: L::Msg) -> Result<(), Refused<L::Msg>> {
        let state = self.node.state.load(Relaxed);
        let is_awaited = state == NodeState::Failed as u8
            || state == NodeState::Restarting as u8
            || (state == NodeState::Starting as u8 && self.node.generation.load(Relaxed) > 1);
        if !L::KEEPS_MAIL || !is_awaited {
            return Err(Refused::Dead(msg));
        }
        let mut mail = self.mail.lock();
        if mail.len() >= L::MAILBOX {
            return Err(Refused::Full(msg));
        }
        mail.push_back((msg, self.node.now_us()));
        self.node.depth.fetch_add(1, Relaxed);
        Ok(())
    }

    fn tell(&self, msg: L::Msg, bound: usize) -> Result<(), Refused<L::Msg>> {
        // The account is kept under the door's read lock, so that it cannot be booked on the next incarnation.
        let door = self.door.read();
        let Some(addr) = &door.addr else {
            return self.keep(msg);
        };
        let before = self.node.depth.fetch_add(1, Relaxed);
        if before >= bound {
            self.node.depth.fetch_sub(1, Relaxed);
            if let Some(place) = self.node.place.get() {
                place.kind.refused.fetch_add(1, Relaxed);
            }
            return Err(Refused::Full(msg));
        }
        let at_us = self.node.now_us();
        if before == 0 {
            self.node.oldest_us.store(at_us, Relaxed);
        }
        if L::KEEPS_MAIL {
            self.mail.lock().push_back((msg, at_us));
            // One that dies at this moment takes no token: its successor counts the mail anew.
            let _ = addr.try_send(Parcel::Mail);
            return Ok(());
        }
        // actix's own bound is off: ours is exact, and the message comes back.
        let refused = match addr.try_send(Parcel::Told { msg, at_us }) {
            Ok(()) => return Ok(()),
            Err(SendError::Full(parcel)) => (parcel, true),
            Err(SendError::Closed(parcel)) => (parcel, false),
        };
        self.node.depth.fetch_sub(1, Relaxed);
        drop(door);
        match refused {
            (Parcel::Told { msg, .. }, true) => Err(Refused::Full(msg)),
            (Parcel::Told { msg, .. }, false) => Err(Refused::Dead(msg)),
            // A parcel comes back as it was sent.
            (Parcel::Mail | Parcel::Control(_), _) => Ok(()),
        }
    }
}

/// What the tree and a supervisor need of a seat, whoever may sit in it.
pub(super) trait Occupied: Send + Sync {
    fn node(&self) -> &Node;
    /// The bound of the mailbox.
    fn capacity(&self) -> usize;
    /// Sends an order of the layer itself; false when nobody is there.
    fn control(&self, order: Control) -> bool;
}

impl<L: Live> Occupied for Seat<L> {
    fn node(&self) -> &Node {
        &self.node
    }

    fn capacity(&self) -> usize {
        L::MAILBOX
    }

    fn control(&self, order: Control) -> bool {
        let door = self.door.read();
        let Some(addr) = &door.addr else { return false };
        addr.try_send(Parcel::Control(order)).is_ok()
    }
}

/// The account of a seat: where it is, and how its occupant does. Atomics only, so that reading never stops an actor.
#[derive(Default)]
pub(super) struct Node {
    pub(super) place: OnceLock<Place>,
    /// Counts occupants; the present one has this number, from 1.
    pub(super) generation: AtomicU32,
    pub(super) restarts: AtomicU32,
    pub(super) state: AtomicU8,
    /// Messages sent and not yet taken by the handler.
    pub(super) depth: AtomicUsize,
    /// When the oldest unfinished message was sent, in µs of the tree's clock; 0 when idle.
    pub(super) oldest_us: AtomicU64,
    pub(super) started_us: AtomicU64,
    pub(super) last_cause: Mutex<Option<Arc<str>>>,
    /// Of a supervisor: its thread ([`super::nursery::this_thread`]), dynamic children alive, how many it may have.
    pub(super) home: AtomicU64,
    pub(super) children: AtomicU32,
    pub(super) children_max: AtomicU32,
}

/// Where a seat stands, for good.
pub(super) struct Place {
    pub(super) path: Arc<str>,
    pub(super) tree: Tree,
    pub(super) kind: Arc<KindStats>,
    /// None only for the root.
    pub(super) parent: Option<SupervisorRef>,
}

impl Node {
    pub(super) fn path(&self) -> &str {
        self.place.get().map_or("", |place| &place.path)
    }

    pub(super) fn set_state(&self, state: NodeState) {
        self.state.store(state as u8, Relaxed);
    }

    /// µs since the tree was made; at least 1, because 0 means idle. Real time on purpose: a stalled actor is stalled
    /// even where a test has paused the runtime's clock.
    pub(super) fn now_us(&self) -> u64 {
        let Some(place) = self.place.get() else {
            return 1;
        };
        let since = Instant::now().saturating_duration_since(place.tree.epoch());
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// The handler takes a message that was sent at `at_us`.
    pub(super) fn taken(&self, at_us: u64) {
        // Checked, because an occupant that was given up may still empty its queue beside the next one.
        let _ = self.depth.fetch_update(Relaxed, Relaxed, |depth| depth.checked_sub(1));
        self.oldest_us.store(at_us, Relaxed);
    }

    /// The handler has finished that message.
    pub(super) fn finished(&self, at_us: u64) {
        if self.depth.load(Relaxed) == 0 {
            // Whoever sent in between has stored a younger time: leave it.
            let _ = self.oldest_us.compare_exchange(at_us, 0, Relaxed, Relaxed);
        }
    }
}

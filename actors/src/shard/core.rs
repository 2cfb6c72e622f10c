//! What the actors of a shard share on their thread: transactions, timers, the network, the tables of calls and dialogs.
//!
//! It is not an actor: it has no life of its own, and every entry is one short synchronous call. The actors that use it
//! come and go; the core stays, so a call that is rebuilt finds its transactions where they were.

use ahash::AHashMap;
use bytes::Bytes;
use sip::timer::{Handle, Wheel};
use sip::transaction::{ClientId, Layer, Output, Outputs, ServerId, Timers};
use sip::{Hop, Message, Method, Name, Status, Writer};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::calls::{CallSlot, Dialogs};
use super::errands::Errands;
use super::gate::Gate;
use super::request::RequestId;
use crate::admission::Buckets;
use crate::call::{CallKey, CallMsg, EndedRecord, LegId};
use crate::gateway::KeeperMsg;
use crate::messages::MessageRelay;
use crate::outside;
use crate::records::{EndedCall, RecordsMsg};
use crate::registrar::{Registrar, RegistrarMsg};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::subscriptions::{SubscriptionMsg, Subscriptions};
use crate::supervision::{Ref, SupervisorRef};

/// Who a transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A call's leg.
    Call(CallKey, LegId),
    /// The instant message relay.
    Relay(u64),
    /// The notifier.
    Subscription(u64),
    /// The keeper of a gateway.
    Gateway(u32),
    /// A request to a name, on whoever's behalf.
    Errand(u64),
    /// Nobody any more: a last word whose answer changes nothing.
    Nobody,
}

/// What a shard timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// A call's timer.
    Call(CallKey, crate::call::CallTimer),
    /// Bindings that may have expired.
    Registrar,
    /// A subscription's expiry.
    Subscription(u64),
    /// Something that the keeper of a gateway has to do.
    Gateway(u32),
    /// Gateways that have no keeper yet.
    Adopt,
    /// Records of ended calls wait to be handed over.
    Records,
}

/// See the module.
pub struct Core {
    me: Weak<Core>,
    /// What all shards share.
    pub shared: Arc<Shared>,
    /// This shard's number.
    pub shard: usize,
    /// Where the shard's time begins.
    pub clock: tokio::time::Instant,
    /// Supervisor of the calls.
    pub calls_supervisor: SupervisorRef,
    /// Supervisor of the conferences.
    pub conferences_supervisor: SupervisorRef,
    /// Supervisor of the keepers of gateways.
    pub gateways_supervisor: SupervisorRef,
    /// Supervisor of the ring groups.
    pub groups_supervisor: SupervisorRef,
    /// The registrar of this shard.
    pub registrar: Ref<Registrar>,
    /// The instant message relay of this shard.
    pub relay: Ref<MessageRelay>,
    /// The notifier of this shard.
    pub subscriptions: Ref<Subscriptions>,
    /// Admission's table.
    pub buckets: Rc<RefCell<Buckets>>,
    pub(super) gate: RefCell<Gate>,
    pub(super) layer: RefCell<Layer<Owner>>,
    spare: RefCell<Vec<Outputs<Owner>>>,
    wheel: RefCell<Wheel<TimerKind>>,
    pub(super) net: RefCell<Option<sip::net::ShardNet>>,
    pub(super) errands: RefCell<Errands>,
    /// Living calls.
    pub calls: RefCell<AHashMap<CallKey, CallSlot>>,
    pub(super) dialogs: RefCell<Dialogs>,
    pub(super) ended: RefCell<VecDeque<EndedRecord>>,
    /// Where the pool tells its events: the calls of this shard.
    pub media_events: Arc<dyn Fn(u64, media::MediaEvent) + Send + Sync>,
    records: RefCell<Vec<EndedCall>>,
    pub(super) names: RefCell<OwnNames>,
    next_call: Cell<u64>,
    /// Wakes the driver when a timer is armed that is due before it would look.
    pub(super) wake: tokio::sync::Notify,
    pub(super) looks_at: Cell<Duration>,
}

/// How our addresses are written to others, under the settings that say so.
#[derive(Default)]
pub(super) struct OwnNames {
    pub(super) of: Option<Arc<Settings>>,
    pub(super) list: Vec<(SocketAddr, Rc<str>)>,
}

/// Addresses of ours whose text is kept.
pub(super) const OWN_NAMES_MAX: usize = 16;
/// How long the record of a call waits for others.
const RECORDS_WAIT: Duration = Duration::from_millis(200);
/// Records that are handed over at once.
const RECORDS_MAX: usize = 256;
/// Transactions of a shard at once; past it requests get 503.
const TRANSACTIONS_MAX: usize = 1 << 20;
/// Timers of a shard at once: a few a call.
const TIMERS_MAX: usize = 1 << 22;

/// Parts that exist before the core does.
pub struct Seats {
    /// Supervisor of the calls.
    pub calls: SupervisorRef,
    /// Supervisor of the conferences.
    pub conferences: SupervisorRef,
    /// Supervisor of the keepers of gateways.
    pub gateways: SupervisorRef,
    /// Supervisor of the ring groups.
    pub groups: SupervisorRef,
    /// Registrar.
    pub registrar: Ref<Registrar>,
    /// Message relay.
    pub relay: Ref<MessageRelay>,
    /// Notifier.
    pub subscriptions: Ref<Subscriptions>,
}

/// Live transactions, timers, calls and dialogs of a shard.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Load {
    /// Calls.
    pub calls: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// Transactions.
    pub transactions: usize,
    /// Timers.
    pub timers: usize,
    /// Requests to names that are on their way.
    pub errands: usize,
}

impl Core {
    /// An empty core.
    pub fn new(shared: Arc<Shared>, shard: usize, seats: Seats) -> Rc<Self> {
        let settings = shared.settings();
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            shard,
            clock: tokio::time::Instant::now(),
            calls_supervisor: seats.calls,
            conferences_supervisor: seats.conferences,
            gateways_supervisor: seats.gateways,
            groups_supervisor: seats.groups,
            registrar: seats.registrar,
            relay: seats.relay,
            subscriptions: seats.subscriptions,
            buckets: Rc::new(RefCell::new(Buckets::new(&settings.admission))),
            gate: RefCell::new(Gate::new(&settings)),
            layer: RefCell::new(Layer::new(Timers::new(settings.sip.t1), TRANSACTIONS_MAX)),
            spare: RefCell::default(),
            wheel: RefCell::new(Wheel::new(TIMERS_MAX)),
            media_events: Self::media_events(&shared, shard),
            net: RefCell::new(None),
            errands: RefCell::default(),
            calls: RefCell::default(),
            dialogs: RefCell::default(),
            ended: RefCell::default(),
            records: RefCell::default(),
            names: RefCell::default(),
            next_call: Cell::new(1),
            wake: tokio::sync::Notify::new(),
            looks_at: Cell::new(Duration::MAX),
            shared,
        })
    }

    fn media_events(shared: &Arc<Shared>, shard: usize) -> Arc<dyn Fn(u64, media::MediaEvent) + Send + Sync> {
        let seat = shared.signalling_seat(shard);
        Arc::new(move |key, event| {
            // A few a call, and the pool must not wait: bounded by the flows that there are.
            seat.send_reply(super::SignallingMsg::Media { key, event });
        })
    }

    /// The shard's time.
    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Gives the core its network.
    pub fn attach(&self, net: sip::net::ShardNet) {
        *self.net.borrow_mut() = Some(net);
    }

    /// A name for a new call: never used twice on this node, and its shard can be told from it.
    pub fn new_call_key(&self) -> CallKey {
        let number = self.next_call.get();
        self.next_call.set(number + 1);
        CallKey::new(self.shared.epoch_s, self.shard, number)
    }

    /// A Call-ID that hashes to this shard.
    pub fn new_call_id(&self) -> String {
        loop {
            let id = random_token(20);
            if super::home_of(id.as_bytes(), self.shared.shards()) == self.shard {
                return id;
            }
        }
    }

    // ---- timers

    /// Wakes `kind` at `at`.
    pub fn arm(&self, at: Duration, kind: TimerKind) -> Option<Handle> {
        let armed = self.wheel.borrow_mut().arm(at, kind).ok();
        if armed.is_none() {
            tracing::error!(shard = self.shard, ?kind, "no room for another timer");
        }
        self.nudge(at);
        armed
    }

    /// Forgets a timer; one that has fired already is no error.
    pub fn disarm(&self, timer: Handle) {
        self.wheel.borrow_mut().cancel(timer);
    }

    fn nudge(&self, at: Duration) {
        if at < self.looks_at.get() {
            self.wake.notify_one();
        }
    }

    /// When the driver must look again.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let layer = self.layer.borrow().next_timeout();
        let wheel = self.wheel.borrow().next_due();
        layer.into_iter().chain(wheel).min()
    }

    /// Runs what is due.
    pub(super) fn tick(&self) {
        let now = self.now();
        self.with_layer(|layer, now, out| layer.timeout(now, out));
        loop {
            let Some(kind) = self.wheel.borrow_mut().expire(now) else { return };
            match kind {
                TimerKind::Call(key, timer) => self.tell_call(key, CallMsg::Timer(timer)),
                TimerKind::Registrar => {
                    self.registrar.send_reply(RegistrarMsg::Expire);
                }
                TimerKind::Subscription(number) => {
                    self.subscriptions.send_reply(SubscriptionMsg::Expire(number));
                }
                TimerKind::Gateway(number) => self.tell_keeper(number, KeeperMsg::Due),
                TimerKind::Adopt => {
                    if let Some(core) = self.handle() {
                        crate::gateway::adopt(&core);
                    }
                }
                TimerKind::Records => self.hand_over_records(),
            }
        }
    }

    // ---- transactions

    /// Uses the transaction layer and then does what it asks for.
    pub(super) fn with_layer<R>(&self, f: impl FnOnce(&mut Layer<Owner>, Duration, &mut Outputs<Owner>) -> R) -> R {
        let mut out = self.spare.borrow_mut().pop().unwrap_or_default();
        let now = self.now();
        let (result, due) = {
            let mut layer = self.layer.borrow_mut();
            let result = f(&mut layer, now, &mut out);
            (result, layer.next_timeout())
        };
        if let Some(due) = due {
            self.nudge(due);
        }
        for output in out.drain(..) {
            self.act(output);
        }
        self.spare.borrow_mut().push(out);
        result
    }

    fn act(&self, output: Output<Owner>) {
        match output {
            Output::Send { bytes, hop } => self.send(&hop, bytes),
            Output::Request { server, message, hop } => self.dispatch(server, message, hop),
            Output::Overload { message, hop } => {
                self.shared.counters.refused_overload.increment(1);
                let bytes = self.plain_response(&message, Status::SERVICE_UNAVAILABLE, None);
                self.send(&hop, bytes);
            }
            Output::Ack { message, hop } => self.ack(message, hop),
            Output::Acked { owner: Some(Owner::Call(key, leg)), message, .. } => {
                self.tell_call(key, CallMsg::Ack { leg, message });
            }
            Output::Cancel { server, owner: Some(Owner::Call(key, _)), message } => {
                self.tell_call(key, CallMsg::Cancel { server, message });
            }
            // An INVITE is claimed by its call in the step that dispatches it: without an owner it is answered already.
            Output::Cancel { .. } => {}
            Output::Response { client, owner: Owner::Errand(number), message, hop } => {
                self.errand_answered(number, client, message, hop);
            }
            Output::Response { client, owner, message, hop } => {
                self.told(owner, RequestId::Direct(client), message, hop);
            }
            Output::ClientEnded { owner: Owner::Errand(number), why, .. } => self.errand_unanswered(number, why),
            Output::ClientEnded { client, owner, why } => {
                self.told_unanswered(owner, RequestId::Direct(client), why.into());
            }
            Output::ServerEnded { server, owner: Some(Owner::Call(key, leg)), why } => {
                self.tell_call(key, CallMsg::ServerEnded { server, leg, why });
            }
            Output::ServerEnded { .. } | Output::Acked { .. } => {}
            Output::Stray { .. } => self.shared.counters.stray_responses.increment(1),
        }
    }

    /// Takes a server transaction for an owner.
    pub fn claim(&self, server: ServerId, owner: Owner) {
        self.layer.borrow_mut().claim(server, owner);
    }

    /// Answers a server transaction.
    pub fn respond(&self, server: ServerId, status: Status, bytes: Bytes) {
        self.with_layer(|layer, now, out| layer.respond(now, server, status, bytes, out));
    }

    /// Answers a request with a status and nothing else.
    pub fn answer(&self, server: ServerId, request: &Message, status: Status, reason: Option<&str>) {
        let bytes = self.plain_response(request, status, reason);
        self.respond(server, status, bytes);
    }

    /// A response without body, with Server and, for a refusal, our tag.
    pub fn plain_response(&self, request: &Message, status: Status, reason: Option<&str>) -> Bytes {
        let tag = random_token(8);
        let mut writer = Writer::response(request, status, reason, Some(&tag));
        writer.header(Name::Server, &self.shared.settings().sip.user_agent);
        if status == Status::SERVICE_UNAVAILABLE {
            let after = self.shared.settings().admission.retry_after.as_secs().max(1);
            writer.header(Name::RetryAfter, after.to_string());
        }
        writer.finish()
    }

    /// Refuses a stranger's request and keeps nothing of it.
    pub(super) fn refuse(&self, server: ServerId, bytes: Bytes) {
        self.with_layer(|layer, _, out| layer.respond_and_forget(server, bytes, out));
    }

    /// Sends a reliable provisional response (RFC 3262).
    /// False while an earlier one waits for its PRACK.
    pub fn respond_reliably(&self, server: ServerId, rseq: u32, bytes: Bytes) -> bool {
        self.with_layer(|layer, now, out| layer.respond_reliably(now, server, rseq, bytes, out))
    }

    /// A PRACK came for a reliable provisional response; false when there is none.
    pub fn pracked(&self, server: ServerId, rseq: u32) -> bool {
        self.with_layer(|layer, now, _| layer.pracked(now, server, rseq))
    }

    /// Begins a transaction of ours. `None` when there are too many.
    pub(super) fn transact(
        &self,
        owner: Owner,
        method: &Method,
        branch: &str,
        hop: Hop,
        bytes: Bytes,
    ) -> Option<ClientId> {
        self.with_layer(|layer, now, out| layer.request(now, bytes, method, branch, hop, owner, out))
            .inspect_err(|error| tracing::warn!(shard = self.shard, %error, "a request was not sent"))
            .ok()
    }

    /// The network of this shard, for what takes time (name resolution).
    pub fn network(&self) -> Option<sip::net::ShardNet> {
        self.net.borrow().clone()
    }

    // ---- gateways and records

    /// Tells the keeper of a gateway something that is bounded by construction: it has two requests at once and one timer.
    pub(super) fn tell_keeper(&self, number: u32, msg: KeeperMsg) {
        if let Some(standing) = self.shared.gateways.at(number) {
            standing.seat().send_reply(msg);
        }
    }

    /// A handle of this core for what lives on this thread; `None` while the shard is being taken down.
    pub fn handle(&self) -> Option<Rc<Self>> {
        self.me.upgrade()
    }

    /// Keeps the record of a call that has ended, to be handed over with others.
    pub fn record_call(&self, ended: EndedCall) {
        let waiting = {
            let mut records = self.records.borrow_mut();
            records.push(ended);
            records.len()
        };
        if waiting == 1 {
            self.arm(self.now() + RECORDS_WAIT, TimerKind::Records);
        } else if waiting >= RECORDS_MAX {
            self.hand_over_records();
        }
    }

    /// Hands the records of ended calls to their writer. They are what a carrier bills by, so they are never refused:
    /// bounded by the calls that there are.
    pub fn hand_over_records(&self) {
        let records = std::mem::take(&mut *self.records.borrow_mut());
        if !records.is_empty() {
            self.shared.records.send_reply(RecordsMsg::Ended(records));
        }
    }

    /// What is alive.
    pub fn load(&self) -> Load {
        Load {
            calls: self.calls.borrow().len(),
            dialogs: self.dialogs.borrow().len(),
            transactions: self.layer.borrow().counts().total(),
            timers: self.wheel.borrow().len(),
            errands: self.errands.borrow().counts().0,
        }
    }
}

/// Random letters and digits: 5 bits each (RFC 3261 section 19.3 wants 32 bits in a tag).
pub fn random_token(len: usize) -> String {
    token_behind("", len)
}

/// A branch of RFC 3261 (section 8.1.1.7).
pub fn new_branch() -> String {
    token_behind("z9hG4bK", 16)
}

fn token_behind(prefix: &str, len: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    /// Letters that one draw of 64 bits gives.
    const LETTERS: usize = 12;
    let mut out = String::with_capacity(prefix.len() + len);
    out.push_str(prefix);
    let mut bits = 0_u64;
    for at in 0..len {
        bits = if at % LETTERS == 0 { outside::random() } else { bits >> 5 };
        let [low, ..] = bits.to_le_bytes();
        out.push(char::from(ALPHABET.get(usize::from(low & 31)).copied().unwrap_or(b'a')));
    }
    out
}

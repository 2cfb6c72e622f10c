//! The registrar of a shard: takes REGISTER, has it stored, then says 200 (RFC 3261 section 10; design law 5).
//!
//! A REGISTER reaches the shard that its address of record hashes to, so one registrar alone changes an entry. While a
//! change is on its way to the store, further requests for the same address wait in line.

pub mod gruu;
mod rules;

use ahash::AHashMap;
use sip::transaction::ServerId;
use sip::value::Uri;
use sip::{Hop, Message, Name, Status};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;

use crate::directory::User;
use crate::location::Contact;
use crate::messages::RelayMsg;
use crate::outside;
use crate::shard::{Core, Identity, TimerKind, home_of};
use crate::shared::unix_ms;
use crate::subscriptions::SubscriptionMsg;
use crate::supervision::{Cx, Live};

/// Requests for one address of record that may wait for a change before them.
const WAITING_MAX: usize = 8;
/// Bytes that a Contact of an answer usually takes.
const CONTACT_VALUE_BYTES: usize = 128;

/// What the registrar can be told.
pub enum RegistrarMsg {
    /// A REGISTER that has passed the gate.
    Register {
        /// Its transaction.
        server: ServerId,
        /// The request.
        message: Message,
        /// Where it came from.
        hop: Hop,
        /// Who sent it.
        identity: Identity,
    },
    /// The store has, or has not, a change of this address of record; the number is that of the submission.
    Stored(Arc<str>, u64, Result<(), StoreError>),
    /// Bindings may have expired.
    Expire,
}

/// What outlives the actor: requests in line, and when to look at whom.
#[derive(Default)]
pub struct Ledger {
    in_flight: AHashMap<Arc<str>, InFlight>,
    submissions: u64,
    /// The first expiry of each address of record, ms since 1970, or an earlier time: one entry each counts, the one whose
    /// time the location table has too. One timer of the shard serves them all.
    watches: BinaryHeap<Reverse<(i64, Arc<str>)>>,
    /// When that timer fires.
    timer: Option<(i64, sip::timer::Handle)>,
}

/// Expired bindings that could not be removed are tried again after this long.
const EXPIRE_AGAIN_MS: i64 = 10_000;
/// Entries of the watch list that may be out of date before it is cleared of them, beside as many as there are.
const STALE_MAX: usize = 1_024;

struct InFlight {
    /// `None` for a removal of expired bindings.
    request: Option<(ServerId, Message)>,
    contacts: Arc<[Contact]>,
    remove: Vec<store::BindingId>,
    put: Vec<store::Binding>,
    /// The submission whose outcome is awaited: that of an earlier one says nothing of this.
    submission: u64,
    waiting: VecDeque<(ServerId, Message, Hop, Arc<User>)>,
}

/// See the module.
pub struct Registrar {
    core: Rc<Core>,
    ledger: Rc<RefCell<Ledger>>,
    /// The Date of this second, s since 1970.
    date: RefCell<(i64, String)>,
}

impl Registrar {
    /// Works for `core`, going on with `ledger`.
    pub fn new(core: Rc<Core>, ledger: Rc<RefCell<Ledger>>) -> Self {
        Self { core, ledger, date: RefCell::default() }
    }

    fn register(&mut self, server: ServerId, message: Message, hop: Hop, identity: Identity, cx: &Cx<'_, Self>) {
        let Identity::User(user) = identity else {
            self.core.answer(server, &message, Status::FORBIDDEN, None);
            return;
        };
        // A user registers its own address of record and nobody else's (RFC 3261 section 10.3 steps 3 to 5).
        let directory = self.core.shared.directory();
        let named = message.to().ok().and_then(|to| Uri::parse(to.uri).ok()).and_then(|uri| uri.user_text());
        match named.as_deref().map(|name| directory.find(name)) {
            Some(Some(owner)) if owner.name == user.name => {}
            Some(Some(_)) => {
                self.core.answer(server, &message, Status::FORBIDDEN, Some("Not Your Address Of Record"));
                return;
            }
            Some(None) | None => {
                self.core.answer(server, &message, Status::NOT_FOUND, None);
                return;
            }
        }
        let aor: Arc<str> = directory.aor(&user).into();
        {
            let mut ledger = self.ledger.borrow_mut();
            if let Some(before) = ledger.in_flight.get_mut(&aor) {
                if before.waiting.len() < WAITING_MAX {
                    before.waiting.push_back((server, message, hop, user));
                } else {
                    drop(ledger);
                    self.core.answer(server, &message, Status::SERVICE_UNAVAILABLE, None);
                }
                return;
            }
        }
        self.begin(&aor, server, message, hop, &user, cx);
    }

    fn begin(&mut self, aor: &Arc<str>, server: ServerId, message: Message, hop: Hop, user: &User, cx: &Cx<'_, Self>) {
        let settings = self.core.shared.settings();
        let current = self.core.shared.location.get(aor);
        let most = user.contacts_max.unwrap_or(settings.registrar.contacts_max);
        let agent = String::from_utf8_lossy(message.value(Name::UserAgent).unwrap_or_default());
        let agent = self.core.shared.location.user_agent(&agent);
        let change = match rules::apply(unix_ms(), &current, &message, &hop, &settings.registrar, most, &agent) {
            Ok(change) => change,
            Err(refusal) => {
                let mut writer = self.core.response(&message, refusal.status, refusal.reason);
                if let Some((name, value)) = refusal.header {
                    writer.header(name, value);
                }
                self.core.respond(server, refusal.status, writer.finish());
                return;
            }
        };
        if change.put.is_empty() && change.removed.is_empty() {
            self.accept(server, &message, &change.contacts);
            return;
        }
        let entry = InFlight {
            request: Some((server, message)),
            remove: change.removed.iter().map(|c| c.to_binding(aor).id()).collect(),
            put: change.put.iter().map(|c| c.to_binding(aor)).collect(),
            contacts: change.contacts.into(),
            submission: 0,
            waiting: VecDeque::new(),
        };
        self.ledger.borrow_mut().in_flight.insert(Arc::clone(aor), entry);
        self.submit(aor, cx);
    }

    /// Has the change of an address of record stored. The same change twice is the same as once.
    fn submit(&self, aor: &Arc<str>, cx: &Cx<'_, Self>) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.submissions += 1;
        let submission = ledger.submissions;
        let Some(entry) = ledger.in_flight.get_mut(aor) else { return };
        entry.submission = submission;
        let (me, aor_back) = (cx.me(), Arc::clone(aor));
        self.core.shared.store.locations().update(aor, &entry.remove, &entry.put, move |result| {
            me.send_reply(RegistrarMsg::Stored(aor_back, submission, result));
        });
    }

    fn stored(&mut self, aor: &Arc<str>, submission: u64, result: Result<(), StoreError>, cx: &Cx<'_, Self>) {
        let done = {
            let mut ledger = self.ledger.borrow_mut();
            if ledger.in_flight.get(aor).is_none_or(|entry| entry.submission != submission) {
                return;
            }
            ledger.in_flight.remove(aor)
        };
        let Some(InFlight { request, contacts, mut waiting, .. }) = done else { return };
        match result {
            Ok(()) => {
                self.core.shared.location.set(aor, Arc::clone(&contacts));
                self.core.shared.groups.agent_changed(aor);
                self.watch(aor, &contacts);
                if let Some((server, message)) = request {
                    self.core.shared.counters.registrations.increment(1);
                    self.accept(server, &message, &contacts);
                    if !contacts.is_empty() {
                        self.core.relay.send_reply(RelayMsg::Registered(Arc::clone(aor)));
                    }
                }
                self.core.subscriptions.send_reply(SubscriptionMsg::RegistrationChanged(Arc::clone(aor)));
            }
            Err(error) => {
                tracing::warn!(%aor, %error, "a binding was not stored");
                match request {
                    Some((server, message)) => {
                        let reason = Some("Location Store Unavailable");
                        self.core.answer(server, &message, Status::SERVICE_UNAVAILABLE, reason);
                    }
                    // What has expired is tried again; nobody is called by it meanwhile.
                    None => self.look_at(aor, unix_ms() + EXPIRE_AGAIN_MS),
                }
            }
        }
        while let Some((server, message, hop, user)) = waiting.pop_front() {
            self.begin(aor, server, message, hop, &user, cx);
            if let Some(next) = self.ledger.borrow_mut().in_flight.get_mut(aor) {
                next.waiting = waiting;
                return;
            }
        }
    }

    /// 200 with all bindings (RFC 3261 section 10.3 step 8).
    fn accept(&self, server: ServerId, request: &Message, contacts: &[Contact]) {
        let now = unix_ms();
        let mut writer = self.core.response(request, Status::OK, None);
        let directory = self.core.shared.directory();
        // RFC 5627 section 5.3: who supports GRUUs gets both kinds.
        let owner = request.to().ok().filter(|_| request.lists(Name::Supported, "gruu"));
        let owner = owner.and_then(|to| Uri::parse(to.uri).ok()?.user_text()).and_then(|name| directory.find(&name));
        let mut value = String::with_capacity(CONTACT_VALUE_BYTES);
        for contact in contacts {
            let left_ms = u64::try_from(contact.expires_at_ms - now).unwrap_or(0);
            value.clear();
            let _ = write!(value, "<{}>;expires={}", contact.uri, left_ms.div_ceil(1000));
            if contact.q_milli != 1000 {
                let _ = write!(value, ";q=0.{:03}", contact.q_milli);
            }
            if let Some(instance) = &contact.instance {
                let _ = write!(value, ";+sip.instance=\"{instance}\"");
                if let Some(user) = owner {
                    let _ = write!(value, ";pub-gruu=\"sip:{};gr={}\"", directory.aor(user), gruu::bare(instance));
                    let temporary =
                        self.core.shared.gruus.give(outside::random(), &user.name, instance, &contact.call_id);
                    if let Some(name) = temporary {
                        let _ = write!(value, ";temp-gruu=\"sip:{name}@{};gr\"", directory.domain());
                    }
                }
            }
            if let Some(reg_id) = contact.reg_id {
                let _ = write!(value, ";reg-id={reg_id}");
            }
            writer.header(Name::Contact, &value);
        }
        if contacts.iter().any(|c| c.reg_id.is_some()) && request.lists(Name::Supported, "outbound") {
            writer.header(Name::Require, "outbound");
        }
        if request.lists(Name::Supported, "path") {
            writer.copy(request, Name::Path);
        }
        let mut date = self.date.borrow_mut();
        if date.0 != now / 1000 {
            *date = (now / 1000, crate::shared::sip_date(now));
        }
        writer.header(Name::Date, &date.1);
        self.core.respond(server, Status::OK, writer.finish());
    }

    /// Has the first expiry of an address of record watched; who is watched already is looked at anew then.
    fn watch(&self, aor: &Arc<str>, contacts: &[Contact]) {
        let location = &self.core.shared.location;
        let Some(first) = contacts.iter().map(|c| c.expires_at_ms).min() else { return };
        if location.watched_at(aor).is_none_or(|at| at > first) {
            self.look_at(aor, first);
        }
    }

    fn look_at(&self, aor: &Arc<str>, at_ms: i64) {
        let location = &self.core.shared.location;
        let mut ledger = self.ledger.borrow_mut();
        location.watch(aor, at_ms);
        if ledger.watches.len() > 2 * location.len() + STALE_MAX {
            ledger.watches.retain(|Reverse((at, aor))| location.watched_at(aor) == Some(*at));
        }
        ledger.watches.push(Reverse((at_ms, Arc::clone(aor))));
        drop(ledger);
        self.arm();
    }

    /// Has the shard's timer fire for the first of all.
    fn arm(&self) {
        let mut ledger = self.ledger.borrow_mut();
        let Some(first) = ledger.watches.peek().map(|Reverse((at, _))| *at) else { return };
        match ledger.timer {
            Some((at, _)) if at <= first => return,
            Some((_, timer)) => self.core.disarm(timer),
            None => {}
        }
        let wait = Duration::from_millis(u64::try_from(first - unix_ms()).unwrap_or(0).saturating_add(1));
        ledger.timer = self.core.arm(self.core.now() + wait, TimerKind::Registrar).map(|timer| (first, timer));
    }

    /// Looks at all whose time has come.
    fn expire(&mut self, cx: &Cx<'_, Self>) {
        let now = unix_ms();
        self.ledger.borrow_mut().timer = None;
        loop {
            let due = {
                let mut ledger = self.ledger.borrow_mut();
                let is_due = ledger.watches.peek().is_some_and(|Reverse((at, _))| *at <= now);
                if is_due { ledger.watches.pop() } else { None }
            };
            let Some(Reverse((at, aor))) = due else { break };
            if self.core.shared.location.watched_at(&aor) == Some(at) {
                self.expire_one(&aor, now, cx);
            }
        }
        self.arm();
    }

    fn expire_one(&mut self, aor: &Arc<str>, now: i64, cx: &Cx<'_, Self>) {
        let contacts = self.core.shared.location.get(aor);
        let busy = self.ledger.borrow().in_flight.contains_key(aor);
        let Some(first) = contacts.iter().map(|c| c.expires_at_ms).min() else { return };
        if first > now || busy {
            return self.look_at(aor, first.max(now + 1000));
        }
        self.core.shared.location.watch(aor, 0);
        let (gone, stay): (Vec<_>, Vec<_>) = contacts.iter().cloned().partition(|c| c.expires_at_ms <= now);
        let entry = InFlight {
            request: None,
            remove: gone.iter().map(|c| c.to_binding(aor).id()).collect(),
            put: Vec::new(),
            contacts: stay.into(),
            submission: 0,
            waiting: VecDeque::new(),
        };
        self.ledger.borrow_mut().in_flight.insert(Arc::clone(aor), entry);
        self.submit(aor, cx);
    }
}

impl Live for Registrar {
    type Msg = RegistrarMsg;
    const KIND: &'static str = "registrar";
    const MAILBOX: usize = 16_384;
    const KEEPS_MAIL: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // Bindings that were there before this actor: from the store at start, or from its predecessor.
        let shards = self.core.shared.shards();
        for (aor, contacts) in self.core.shared.location.snapshot(usize::MAX) {
            let name = aor.split('@').next().unwrap_or_default();
            if home_of(name.as_bytes(), shards) == self.core.shard {
                self.watch(&aor, &contacts);
            }
        }
        // The outcome of what its predecessor had submitted may have come while nobody was there.
        let unsettled: Vec<Arc<str>> = self.ledger.borrow().in_flight.keys().cloned().collect();
        for aor in unsettled {
            self.submit(&aor, cx);
        }
    }

    fn handle(&mut self, msg: RegistrarMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            RegistrarMsg::Register { server, message, hop, identity } => {
                self.register(server, message, hop, identity, cx);
            }
            RegistrarMsg::Stored(aor, submission, result) => self.stored(&aor, submission, result, cx),
            RegistrarMsg::Expire => self.expire(cx),
        }
    }

    fn describe(&self) -> String {
        let ledger = self.ledger.borrow();
        format!("{} addresses of record, {} changes under way", ledger.watches.len(), ledger.in_flight.len())
    }
}

//! The notifier (RFC 6665): who watches whose registrations (`reg`, RFC 3680), calls (`dialog`, RFC 4235) and
//! messages (`message-summary`, RFC 3842).

use ahash::AHashMap;
use sip::dialog::Dialog;
use sip::dialog::events::{dialog as dialog_event, reg};
use sip::dialog::subscription::{Bounds, Notifier, Reason, event};
use sip::timer::Handle;
use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Name, Status};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::call::CallView;
use crate::directory::{Destination, ServiceKind};
use crate::lamps;
use crate::outgoing::{self, Found};
use crate::shard::core::{new_branch, random_token};
use crate::shard::dialog_key;
use crate::shard::{Core, Identity, Owner, SignallingMsg, TimerKind};
use crate::shared::unix_ms;
use crate::supervision::{Cx, Live};

/// Packages that the switch notifies of.
pub const ALLOW_EVENTS: &str = "reg, dialog, message-summary";
/// Subscriptions of a shard.
const SUBSCRIPTIONS_MAX: usize = 65_536;
/// How long asking the shards for their calls may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// What is granted (RFC 3680 section 4.4, RFC 4235 section 3.4: an hour).
const BOUNDS: Bounds = Bounds { min_s: 60, max_s: 3600, usual_s: 3600 };

/// What the notifier can be told.
pub enum SubscriptionMsg {
    /// A SUBSCRIBE, the first or a later one.
    Subscribe {
        /// Its transaction.
        server: ServerId,
        /// The request.
        message: Message,
        /// Where it came from.
        hop: Hop,
        /// Who sent it.
        identity: Identity,
    },
    /// An answer to a NOTIFY.
    Response {
        /// Which subscription.
        number: u64,
        /// The response.
        message: Message,
    },
    /// A NOTIFY to a name has reached somebody, or is on its way there.
    Reached {
        /// Which subscription.
        number: u64,
        /// What was looked up.
        place: Box<str>,
        /// Who is there.
        hop: Hop,
    },
    /// A NOTIFY got no answer.
    Ended {
        /// Which subscription.
        number: u64,
    },
    /// A subscription's time is over.
    Expire(u64),
    /// The bindings of an address of record have changed.
    RegistrationChanged(Arc<str>),
    /// A call of an address of record has begun, been answered or ended.
    CallsChanged(Arc<str>),
    /// The messages of an address of record have changed.
    MessagesChanged(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Package {
    Reg,
    Dialog,
    Messages,
}

impl Package {
    const fn name(self) -> &'static str {
        match self {
            Self::Reg => "reg",
            Self::Dialog => "dialog",
            Self::Messages => "message-summary",
        }
    }
}

struct Subscription {
    package: Package,
    aor: Arc<str>,
    dialog: Dialog,
    /// The way that its requests come.
    hop: Hop,
    /// The watcher is reached by that way alone.
    bound: bool,
    /// Who has answered at the name that was looked up last.
    found: Option<Found>,
    notifier: Notifier,
    version: u32,
    id: Option<String>,
    /// Its expiry in the shard's wheel.
    timer: Option<Handle>,
}

/// Subscriptions; outlive the actor.
#[derive(Default)]
pub struct Ledger {
    next: u64,
    by_number: AHashMap<u64, Subscription>,
    by_dialog: AHashMap<Box<[u8]>, u64>,
}

/// See the module.
pub struct Subscriptions {
    core: Rc<Core>,
    ledger: Rc<RefCell<Ledger>>,
}

impl Subscriptions {
    /// Works for `core`, going on with `ledger`.
    pub fn new(core: Rc<Core>, ledger: Rc<RefCell<Ledger>>) -> Self {
        Self { core, ledger }
    }

    fn subscribe(&mut self, server: ServerId, message: &Message, hop: Hop, identity: &Identity, cx: &mut Cx<'_, Self>) {
        let package = match event(message) {
            Some((b"reg", _)) => Package::Reg,
            Some((b"dialog", _)) => Package::Dialog,
            Some((b"message-summary", _)) => Package::Messages,
            _ => {
                let mut writer = self.core.response(message, Status::BAD_EVENT, None);
                writer.header(Name::AllowEvents, ALLOW_EVENTS);
                return self.core.respond(server, Status::BAD_EVENT, writer.finish());
            }
        };
        let granted = match BOUNDS.grant(message) {
            Ok(granted) => granted,
            Err(brief) => {
                let mut writer = self.core.response(message, Status::INTERVAL_TOO_BRIEF, None);
                writer.header(Name::MinExpires, brief.min_s.to_string());
                return self.core.respond(server, Status::INTERVAL_TOO_BRIEF, writer.finish());
            }
        };
        let number = match message.to_tag() {
            Some(tag) => self.renew(message, tag, hop, granted),
            None => self.accept(message, hop, identity, package, granted),
        };
        let number = match number {
            Ok(number) => number,
            Err((status, reason)) => return self.core.answer(server, message, status, reason),
        };
        let tag = self
            .ledger
            .borrow()
            .by_number
            .get(&number)
            .map(|s| String::from_utf8_lossy(s.dialog.local_tag()).into_owned());
        let secure = message.request_uri().starts_with(b"sips:");
        let mut writer = sip::Writer::response(message, Status::OK, None, tag.as_deref());
        writer
            .copy(message, Name::RecordRoute)
            .header(Name::Expires, granted.to_string())
            .header(Name::Contact, outgoing::contact(&self.core, &hop, secure, "notifier"));
        self.core.respond(server, Status::OK, writer.finish());
        self.notify(number, cx);
    }

    fn accept(
        &self,
        message: &Message,
        hop: Hop,
        identity: &Identity,
        package: Package,
        granted: u32,
    ) -> Result<u64, (Status, Option<&'static str>)> {
        let Identity::User(watcher) = identity else { return Err((Status::CALL_DOES_NOT_EXIST, None)) };
        let directory = self.core.shared.directory();
        let name = message.uri().ok().and_then(|uri| uri.user_text());
        let user = name.as_ref().and_then(|name| directory.find(name).cloned());
        // Some phones ask the number of voice access for their own messages.
        let voice = |name: &String| matches!(directory.owner(name), Some(Destination::Service(ServiceKind::Voicemail)));
        let own = package == Package::Messages && user.is_none() && name.as_ref().is_some_and(voice);
        let user = if own { directory.user(&watcher.name).cloned() } else { user };
        let Some(user) = user else { return Err((Status::NOT_FOUND, None)) };
        // Registrations tell where a person's phones are: its own business (RFC 3680 section 4.1, 6). Lamps are for all.
        if package == Package::Reg && user.name != watcher.name {
            return Err((Status::FORBIDDEN, Some("Not Your Registrations")));
        }
        if package == Package::Messages && user.name != watcher.name {
            return Err((Status::FORBIDDEN, Some("Not Your Messages")));
        }
        if package == Package::Messages && user.mailbox.as_ref().is_none_or(|mailbox| !mailbox.policy.lamp) {
            return Err((Status::NOT_FOUND, Some("No Mailbox")));
        }
        let mut ledger = self.ledger.borrow_mut();
        if ledger.by_number.len() >= SUBSCRIPTIONS_MAX {
            return Err((Status::SERVICE_UNAVAILABLE, None));
        }
        let tag = random_token(12);
        let Ok(mut dialog) = Dialog::of_server(message, &tag) else {
            return Err((Status::BAD_REQUEST, Some("Contact Missing")));
        };
        let _ = dialog.confirm(None);
        ledger.next += 1;
        let number = ledger.next;
        let now = self.core.now();
        let id = event(message).and_then(|(_, id)| id).map(|id| String::from_utf8_lossy(id).into_owned());
        let aor: Arc<str> = directory.aor(&user).into();
        let notifier = Notifier::new(granted, now);
        ledger.by_dialog.insert(dialog_key(message.call_id(), tag.as_bytes()), number);
        let timer = self.core.arm(now + Duration::from_secs(granted.into()), TimerKind::Subscription(number));
        let bound = outgoing::is_bound(&self.core, message, &hop, Some(identity));
        let subscription =
            Subscription { package, aor, dialog, hop, bound, found: None, notifier, version: 0, id, timer };
        ledger.by_number.insert(number, subscription);
        if package == Package::Dialog {
            self.core.shared.watchers.fetch_add(1, Relaxed);
        }
        Ok(number)
    }

    fn renew(
        &self,
        message: &Message,
        tag: &[u8],
        hop: Hop,
        granted: u32,
    ) -> Result<u64, (Status, Option<&'static str>)> {
        let mut ledger = self.ledger.borrow_mut();
        let number = ledger.by_dialog.get(&dialog_key(message.call_id(), tag)).copied();
        let gone = (Status::CALL_DOES_NOT_EXIST, None);
        let number = number.ok_or(gone)?;
        let subscription = ledger.by_number.get_mut(&number).ok_or(gone)?;
        if subscription.dialog.check_incoming(message).is_err() {
            return Err((Status::SERVER_INTERNAL_ERROR, Some("CSeq Out Of Order")));
        }
        subscription.dialog.refresh(message);
        let stays = subscription.hop.protocol == hop.protocol && subscription.hop.remote == hop.remote;
        subscription.bound = (stays && subscription.bound) || outgoing::is_bound(&self.core, message, &hop, None);
        subscription.hop = hop;
        subscription.notifier.renew(granted, self.core.now());
        let at = subscription.notifier.expires_at();
        // One timer a subscription, however often it is renewed.
        if let Some(timer) = subscription.timer.take() {
            self.core.disarm(timer);
        }
        subscription.timer = self.core.arm(at, TimerKind::Subscription(number));
        Ok(number)
    }

    /// Sends the state as it is now; of calls after all shards have told theirs.
    fn notify(&mut self, number: u64, cx: &mut Cx<'_, Self>) {
        let found = self.ledger.borrow().by_number.get(&number).map(|s| (s.package, Arc::clone(&s.aor)));
        match found {
            Some((Package::Reg, aor)) => {
                let body = self.registrations(number, &aor);
                self.send(number, reg::REGINFO, &body);
            }
            Some((Package::Dialog, aor)) => {
                let shared = Arc::clone(&self.core.shared);
                let asked: Vec<_> = (0..shared.shards())
                    .filter_map(|n| shared.signalling(n))
                    .map(|seat| seat.ask(SignallingMsg::Calls, PATIENCE))
                    .collect();
                let gather = async move {
                    let mut calls = Vec::new();
                    for answer in asked {
                        calls.extend(answer.await.unwrap_or_default());
                    }
                    calls
                };
                cx.spawn(gather, move |this, calls, _| {
                    let body = this.lamps(number, &aor, &calls);
                    this.send(number, dialog_event::DIALOG_INFO, &body);
                });
            }
            Some((Package::Messages, aor)) => {
                // Until they are counted there is nothing to be told (RFC 6665 section 4.2.1.2); the count is told then.
                let counts = self.core.messages_of(&aor);
                let body = counts.map(|counts| lamps::summary(&aor, counts)).unwrap_or_default();
                self.send(number, lamps::SUMMARY, &body);
            }
            None => {}
        }
    }

    fn registrations(&self, number: u64, aor: &str) -> String {
        let now = unix_ms();
        let contacts = self.core.shared.location.get(aor);
        let ids: Vec<String> = (0..contacts.len()).map(|n| format!("c{n}")).collect();
        let list: Vec<reg::Contact<'_>> = contacts
            .iter()
            .zip(&ids)
            .filter(|(c, _)| c.expires_at_ms > now)
            .map(|(c, id)| reg::Contact {
                id,
                uri: &c.uri,
                event: reg::Event::Registered,
                expires_s: u32::try_from((c.expires_at_ms - now) / 1000).unwrap_or(0),
                q_thousandths: c.q_milli,
            })
            .collect();
        reg::body(&format!("sip:{aor}"), "r1", self.next_version(number), &list)
    }

    fn lamps(&self, number: u64, aor: &str, calls: &[CallView]) -> String {
        let uri = |party: &str| format!("sip:{party}");
        let (local, mine) = (uri(aor), |c: &&CallView| c.from == aor || c.to == aor);
        let remotes: Vec<(String, bool, dialog_event::State, &str)> = calls
            .iter()
            .filter(mine)
            .map(|c| {
                let begun = c.from == aor;
                let state = match c.state {
                    "ringing" => dialog_event::State::Early,
                    "ending" => dialog_event::State::Terminated,
                    _ => dialog_event::State::Confirmed,
                };
                let remote = match begun {
                    true => &c.to,
                    false if c.from_hidden => "anonymous@anonymous.invalid",
                    false => &c.from,
                };
                (uri(remote), begun, state, c.id.as_str())
            })
            .collect();
        let list: Vec<dialog_event::Call<'_>> = remotes
            .iter()
            .map(|(remote, initiator, state, id)| dialog_event::Call {
                id,
                state: *state,
                initiator: *initiator,
                replaces: None,
                local: &local,
                remote,
                remote_display: "",
            })
            .collect();
        dialog_event::body(&local, self.next_version(number), &list)
    }

    fn next_version(&self, number: u64) -> u32 {
        let mut ledger = self.ledger.borrow_mut();
        ledger.by_number.get_mut(&number).map_or(0, |s| {
            s.version += 1;
            s.version - 1
        })
    }

    fn send(&mut self, number: u64, content_type: &str, body: &str) {
        let now = self.core.now();
        let ended = {
            let mut ledger = self.ledger.borrow_mut();
            let Some(subscription) = ledger.by_number.get_mut(&number) else { return };
            let branch = new_branch();
            let Subscription { dialog, hop, bound, found, .. } = &*subscription;
            let way = outgoing::inside(&self.core, dialog, hop, *bound, found.as_ref());
            let via = outgoing::via(&self.core, way.hop(), &branch);
            let contact = outgoing::contact(&self.core, way.hop(), dialog.is_secure(), "notifier");
            let mut writer = subscription.dialog.request(&Method::Notify, &via);
            let package = subscription.package.name();
            let event = subscription.id.as_ref().map_or(package.to_owned(), |id| format!("{package};id={id}"));
            writer
                .header(Name::Event, event)
                .header(Name::SubscriptionState, subscription.notifier.state(now))
                .header(Name::Contact, contact);
            let bytes = match body.is_empty() {
                true => writer.finish(),
                false => writer.body(content_type, body.as_bytes()),
            };
            let ended = subscription.notifier.is_ended(now);
            drop(ledger);
            self.core.request(Owner::Subscription(number), &Method::Notify, &branch, &way, bytes);
            ended
        };
        if ended {
            self.forget(number);
        }
    }

    fn forget(&self, number: u64) {
        let mut ledger = self.ledger.borrow_mut();
        if let Some(gone) = ledger.by_number.remove(&number) {
            ledger.by_dialog.remove(&dialog_key(gone.dialog.call_id(), gone.dialog.local_tag()));
            if let Some(timer) = gone.timer {
                self.core.disarm(timer);
            }
            if gone.package == Package::Dialog {
                self.core.shared.watchers.fetch_sub(1, Relaxed);
            }
        }
    }

    fn expire(&mut self, number: u64, cx: &mut Cx<'_, Self>) {
        let now = self.core.now();
        let due = {
            let mut ledger = self.ledger.borrow_mut();
            let Some(subscription) = ledger.by_number.get_mut(&number) else { return };
            // A timer of before a refresh finds that there is time left; the refresh has armed its own.
            let due = subscription.notifier.is_ended(now);
            if due {
                subscription.notifier.end(Reason::Timeout);
            }
            due
        };
        if due {
            self.notify(number, cx);
        }
    }

    /// Tells phones that have not asked how many messages there are; at a registration those that have something to show.
    fn light(&self, aor: &str, registered: bool) {
        let Some(counts) = self.core.messages_of(aor) else { return };
        if registered && counts.new == 0 {
            return;
        }
        let ledger = self.ledger.borrow();
        let asked = |remote| {
            let of = |s: &Subscription| s.package == Package::Messages && *s.aor == *aor && s.hop.remote == remote;
            ledger.by_number.values().any(of)
        };
        self.core.tell_lamps(aor, counts, asked);
    }

    fn changed(&mut self, package: Package, aor: &str, cx: &mut Cx<'_, Self>) {
        let numbers: Vec<u64> = {
            let ledger = self.ledger.borrow();
            ledger.by_number.iter().filter(|(_, s)| s.package == package && *s.aor == *aor).map(|(n, _)| *n).collect()
        };
        for number in numbers {
            self.notify(number, cx);
        }
    }
}

impl Live for Subscriptions {
    type Msg = SubscriptionMsg;
    const KIND: &'static str = "subscriptions";
    const MAILBOX: usize = 4096;
    const KEEPS_MAIL: bool = true;

    fn handle(&mut self, msg: SubscriptionMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            SubscriptionMsg::Subscribe { server, message, hop, identity } => {
                self.subscribe(server, &message, hop, &identity, cx);
            }
            SubscriptionMsg::Response { number, message } => {
                // RFC 6665 section 4.2.2: a watcher that does not know the subscription has none.
                if message
                    .status()
                    .is_some_and(|s| matches!(s.code(), 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604))
                {
                    self.forget(number);
                }
            }
            SubscriptionMsg::Reached { number, place, hop } => {
                if let Some(subscription) = self.ledger.borrow_mut().by_number.get_mut(&number) {
                    subscription.found = Some((place, hop));
                }
            }
            SubscriptionMsg::Ended { number } => self.forget(number),
            SubscriptionMsg::Expire(number) => self.expire(number, cx),
            SubscriptionMsg::RegistrationChanged(aor) => {
                self.changed(Package::Reg, &aor, cx);
                self.light(&aor, true);
            }
            SubscriptionMsg::MessagesChanged(aor) => {
                self.changed(Package::Messages, &aor, cx);
                self.light(&aor, false);
            }
            SubscriptionMsg::CallsChanged(aor) => self.changed(Package::Dialog, &aor, cx),
        }
    }

    fn describe(&self) -> String {
        format!("{} subscriptions", self.ledger.borrow().by_number.len())
    }
}

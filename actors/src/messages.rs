//! Instant messages (RFC 3428): delivered to the phones that are there, kept durably for those that are not.
//!
//! 200 means that a phone has it; 202 means that it is on disk and will be delivered at the next registration.

use ahash::AHashMap;
use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Name, Status, Writer};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use store::{NewMessage, StoreError, StoredMessage};

use crate::directory::Destination;
use crate::location::Contact;
use crate::outgoing;
use crate::registrar::gruu;
use crate::shard::core::{new_branch, random_token};
use crate::shard::{Core, Identity, Owner, Unanswered, Way};
use crate::shared::unix_ms;
use crate::supervision::{Cx, Live};

/// Longest body that is taken: what fits a datagram beside its headers (RFC 3428 section 8).
const BODY_BYTES_MAX: usize = 32_768;
/// Kept messages that are read from the store at once.
const PAGE: usize = 32;

/// What the relay can be told.
pub enum RelayMsg {
    /// A MESSAGE that has passed the gate.
    Request {
        /// Its transaction.
        server: ServerId,
        /// The request.
        message: Message,
        /// Who sent it.
        identity: Identity,
    },
    /// An answer to a MESSAGE of ours.
    Response {
        /// Which delivery.
        number: u64,
        /// The response.
        message: Message,
    },
    /// A MESSAGE of ours got no answer.
    Ended {
        /// Which delivery.
        number: u64,
        /// Why.
        why: Unanswered,
    },
    /// A message is on disk, or is not.
    Kept {
        /// Its transaction.
        server: ServerId,
        /// The request.
        message: Message,
        /// Of the store.
        result: Result<u64, StoreError>,
    },
    /// A user has registered: deliver what was kept.
    Registered(Arc<str>),
}

/// Deliveries under way; outlives the actor.
#[derive(Default)]
pub struct Ledger {
    next: u64,
    under_way: AHashMap<u64, Request>,
    /// Users whose kept messages are being delivered.
    emptying: AHashMap<Arc<str>, VecDeque<StoredMessage>>,
}

/// One MESSAGE of ours that waits for its answer.
struct Request {
    delivery: Rc<RefCell<Delivery>>,
    /// It went by TCP because it is long (RFC 3261 section 18.1.1): whom to send it to by UDP when there is no connection.
    datagram: Option<Box<Contact>>,
}

/// One text on its way to all phones of one user.
struct Delivery {
    text: NewMessage,
    /// It is for this instance alone.
    instance: Option<String>,
    /// Requests that are still unanswered.
    open: usize,
    done: bool,
    /// Where it came from: a sender who waits, or the store.
    from: From,
}

enum From {
    Sender(ServerId, Message),
    Store(u64),
}

/// See the module.
pub struct MessageRelay {
    core: Rc<Core>,
    ledger: Rc<RefCell<Ledger>>,
}

impl MessageRelay {
    /// Works for `core`, going on with `ledger`.
    pub fn new(core: Rc<Core>, ledger: Rc<RefCell<Ledger>>) -> Self {
        Self { core, ledger }
    }

    fn request(&mut self, server: ServerId, message: Message, identity: &Identity, cx: &Cx<'_, Self>) {
        let directory = self.core.shared.directory();
        let Ok(uri) = message.uri() else { return };
        if message.body().len() > BODY_BYTES_MAX {
            let status = Status::new(413).unwrap_or(Status::BAD_REQUEST);
            self.core.answer(server, &message, status, None);
            return;
        }
        let route = gruu::route(&self.core.shared, &uri, identity.asks());
        let user = match route.destination {
            Destination::User(user) => user,
            Destination::Service(_)
            | Destination::Conference { .. }
            | Destination::Group(_)
            | Destination::Feature(_)
            | Destination::Park(_)
            | Destination::Mailbox(_)
            | Destination::Attendant(_) => {
                self.core.answer(
                    server,
                    &message,
                    Status::METHOD_NOT_ALLOWED,
                    Some("A Service Number Takes No Messages"),
                );
                return;
            }
            Destination::Outside(_) => {
                let reason = Some("No Messages Leave The Switch");
                return self.core.answer(server, &message, Status::METHOD_NOT_ALLOWED, reason);
            }
            Destination::Nowhere(refusal) => {
                let status = refusal.kind.status();
                let mut writer = self.core.response(&message, status, None);
                writer.header(Name::Reason, refusal.reason());
                self.core.respond(server, status, writer.finish());
                return;
            }
        };
        let now = unix_ms();
        let from = match identity {
            Identity::User(user) => format!("\"{}\" <sip:{}>", user.display, directory.aor(user)),
            _ => message
                .from()
                .map(|f| String::from_utf8_lossy(f.uri).into_owned())
                .map(|u| format!("<{u}>"))
                .unwrap_or_default(),
        };
        let aor = directory.aor(&user);
        let keep = self.core.shared.settings().messages.expires;
        let text = NewMessage {
            user: aor.clone(),
            from,
            to: format!("<sip:{aor}>"),
            call_id: String::from_utf8_lossy(message.call_id()).into_owned(),
            content_type: String::from_utf8_lossy(message.value(Name::ContentType).unwrap_or(b"text/plain"))
                .into_owned(),
            body: message.body().to_vec(),
            received_at_ms: now,
            expires_at_ms: now.saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)),
        };
        // Kept messages go first, so that nobody reads an answer before the question.
        if route.instance.is_none() && self.ledger.borrow().emptying.contains_key(aor.as_str()) {
            self.keep(text, server, message, cx);
            return;
        }
        self.deliver(text, route.instance, From::Sender(server, message), cx);
    }

    /// Sends to all contacts, or to those of one instance; keeps the text where there is none.
    fn deliver(&mut self, text: NewMessage, instance: Option<String>, from: From, cx: &Cx<'_, Self>) {
        let now = unix_ms();
        let bound = self.core.shared.location.get(&text.user);
        let alive = bound.iter().filter(|c| c.expires_at_ms > now);
        let contacts: Vec<Contact> =
            alive.filter(|c| instance.as_deref().is_none_or(|of| c.is_instance(of))).cloned().collect();
        let delivery = Rc::new(RefCell::new(Delivery { text, instance, open: 0, done: false, from }));
        for contact in &contacts {
            self.send(contact, &delivery, true);
        }
        if delivery.borrow().open == 0 {
            self.failed(&delivery, cx);
        }
    }

    /// Sends a text to a contact, one that is too long for a datagram by TCP where `stream` allows it.
    fn send(&self, contact: &Contact, delivery: &Rc<RefCell<Delivery>>, stream: bool) {
        let mut way = outgoing::to_contact(&self.core, contact);
        let branch = new_branch();
        let call_id = self.core.new_call_id();
        let tag = random_token(10);
        let compose = |hop: &Hop| {
            let text = &delivery.borrow().text;
            let mut writer = Writer::request(sip::message::RequestHead {
                method: &Method::Message,
                uri: contact.uri.as_bytes(),
                via: &outgoing::via(&self.core, hop, &branch),
                from: format!("{};tag={tag}", text.from).as_bytes(),
                to: text.to.as_bytes(),
                call_id: call_id.as_bytes(),
                cseq: 1,
                max_forwards: 70,
            });
            for path in &contact.path {
                writer.header(Name::Route, path.as_bytes());
            }
            writer.header(Name::Date, crate::shared::sip_date(text.received_at_ms));
            writer.body(&text.content_type, &text.body)
        };
        let mut bytes = compose(way.hop());
        let mut datagram = None;
        if stream
            && let Way::Hop(hop) = &way
            && outgoing::takes_connections(contact, hop)
            && let Some(by_stream) = outgoing::by_stream(&self.core, hop, bytes.len())
        {
            bytes = compose(&by_stream);
            way = Way::Hop(by_stream);
            datagram = Some(Box::new(contact.clone()));
        }
        let number = {
            let mut ledger = self.ledger.borrow_mut();
            ledger.next += 1;
            let number = ledger.next;
            ledger.under_way.insert(number, Request { delivery: Rc::clone(delivery), datagram });
            number
        };
        delivery.borrow_mut().open += 1;
        if self.core.request(Owner::Relay(number), &Method::Message, &branch, &way, bytes).is_none() {
            self.ledger.borrow_mut().under_way.remove(&number);
            delivery.borrow_mut().open -= 1;
        }
    }

    /// A MESSAGE of ours got no answer. Where there was no connection, UDP is tried (RFC 3261 section 18.1.1).
    fn unanswered(&mut self, number: u64, why: Unanswered, cx: &Cx<'_, Self>) {
        let again = match self.ledger.borrow_mut().under_way.get_mut(&number) {
            Some(request) if why == Unanswered::TransportFailed => {
                request.datagram.take().map(|contact| (contact, Rc::clone(&request.delivery)))
            }
            _ => None,
        };
        if let Some((contact, delivery)) = again {
            self.send(&contact, &delivery, false);
        }
        self.answered(number, None, cx);
    }

    fn answered(&mut self, number: u64, message: Option<&Message>, cx: &Cx<'_, Self>) {
        let status = message.and_then(Message::status);
        if status.is_some_and(Status::is_provisional) {
            return;
        }
        let Some(Request { delivery, .. }) = self.ledger.borrow_mut().under_way.remove(&number) else { return };
        delivery.borrow_mut().open -= 1;
        if status.is_some_and(Status::is_success) {
            if !std::mem::replace(&mut delivery.borrow_mut().done, true) {
                self.core.shared.counters.messages_delivered.increment(1);
                self.succeeded(&delivery, cx);
            }
        } else if delivery.borrow().open == 0 && !delivery.borrow().done {
            match status.filter(|status| is_for_good(*status)) {
                Some(status) => self.refused(&delivery, status, cx),
                None => self.failed(&delivery, cx),
            }
        }
    }

    fn succeeded(&mut self, delivery: &Rc<RefCell<Delivery>>, cx: &Cx<'_, Self>) {
        let delivery = delivery.borrow();
        match &delivery.from {
            From::Sender(server, message) => self.core.answer(*server, message, Status::OK, None),
            From::Store(number) => {
                let user = delivery.text.user.clone();
                self.core.shared.store.messages().remove(&user, &[*number], |_| {});
                self.next_kept(&user.into(), cx);
            }
        }
    }

    /// The phones will not take this text at any other time either: its sender hears it, and a kept one makes way for those
    /// behind it.
    fn refused(&mut self, delivery: &Rc<RefCell<Delivery>>, status: Status, cx: &Cx<'_, Self>) {
        if let From::Sender(server, message) = &delivery.borrow().from {
            return self.core.answer(*server, message, status, None);
        }
        self.succeeded(delivery, cx);
    }

    /// No phone took it: it is kept, or stays kept. What is for one instance alone is not kept, for what is kept goes to
    /// all (RFC 5627 section 3.3: 480).
    fn failed(&mut self, delivery: &Rc<RefCell<Delivery>>, cx: &Cx<'_, Self>) {
        if delivery.borrow().instance.is_some() {
            return self.refused(delivery, Status::TEMPORARILY_UNAVAILABLE, cx);
        }
        let (text, sender) = {
            let delivery = delivery.borrow();
            let sender = match &delivery.from {
                From::Sender(server, message) => Some((*server, message.clone())),
                From::Store(_) => None,
            };
            (delivery.text.clone(), sender)
        };
        match sender {
            Some((server, message)) => self.keep(text, server, message, cx),
            None => drop(self.ledger.borrow_mut().emptying.remove(text.user.as_str())),
        }
    }

    fn keep(&self, text: NewMessage, server: ServerId, message: Message, cx: &Cx<'_, Self>) {
        let me = cx.me();
        self.core.shared.store.messages().enqueue(&text, move |result| {
            me.send_reply(RelayMsg::Kept { server, message, result });
        });
    }

    fn kept(&self, server: ServerId, message: &Message, result: Result<u64, StoreError>) {
        match result {
            Ok(_) => {
                self.core.shared.counters.messages_kept.increment(1);
                self.core.answer(server, message, Status::ACCEPTED, None);
            }
            Err(StoreError::Full { .. }) => {
                self.core.answer(
                    server,
                    message,
                    Status::TEMPORARILY_UNAVAILABLE,
                    Some("Message Store Of This User Is Full"),
                );
            }
            Err(error) => {
                tracing::warn!(%error, "a message was not kept");
                self.core.answer(server, message, Status::SERVICE_UNAVAILABLE, Some("Message Store Unavailable"));
            }
        }
    }

    fn registered(&mut self, aor: &Arc<str>, cx: &Cx<'_, Self>) {
        let store = self.core.shared.store.messages();
        if self.ledger.borrow().emptying.contains_key(aor) || store.count(aor) == 0 {
            return;
        }
        match store.list(aor, PAGE) {
            Ok(messages) => {
                self.ledger.borrow_mut().emptying.insert(Arc::clone(aor), messages.into());
                self.next_kept(aor, cx);
            }
            Err(error) => tracing::warn!(%aor, %error, "kept messages cannot be read"),
        }
    }

    /// Delivers the next kept message; one at a time keeps the order.
    fn next_kept(&mut self, aor: &Arc<str>, cx: &Cx<'_, Self>) {
        let now = unix_ms();
        loop {
            let next = self.ledger.borrow_mut().emptying.get_mut(aor).and_then(VecDeque::pop_front);
            match next {
                Some(expired) if expired.message.expires_at_ms <= now => {
                    self.core.shared.store.messages().remove(aor, &[expired.number], |_| {});
                }
                Some(kept) => {
                    self.deliver(kept.message, None, From::Store(kept.number), cx);
                    return;
                }
                None => {
                    self.ledger.borrow_mut().emptying.remove(aor);
                    // More than a page was kept: the removals above are on their way, so a fresh page is read after them.
                    if self.core.shared.store.messages().count(aor) > PAGE {
                        let (me, again) = (cx.me(), Arc::clone(aor));
                        self.core.shared.store.messages().remove(aor, &[], move |_| {
                            me.send_reply(RelayMsg::Registered(again));
                        });
                    }
                    return;
                }
            }
        }
    }
}

/// Whether a refusal is of the text and not of the moment: what the phone cannot show, or will not take as long as it is
/// the phone that it is.
fn is_for_good(status: Status) -> bool {
    matches!(status.code(), 405 | 406 | 413 | 415 | 488 | 493 | 501 | 513 | 606)
}

impl Live for MessageRelay {
    type Msg = RelayMsg;
    const KIND: &'static str = "messages";
    const MAILBOX: usize = 4096;
    const KEEPS_MAIL: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // Deliveries whose end a predecessor may not have heard of. Who waits is answered when the text is kept; twice
        // delivered is better than lost.
        let (open, emptying) = {
            let mut ledger = self.ledger.borrow_mut();
            (std::mem::take(&mut ledger.under_way), std::mem::take(&mut ledger.emptying))
        };
        for Request { delivery, .. } in open.into_values() {
            if !std::mem::replace(&mut delivery.borrow_mut().done, true) {
                self.failed(&delivery, cx);
            }
        }
        for aor in emptying.into_keys() {
            self.registered(&aor, cx);
        }
    }

    fn handle(&mut self, msg: RelayMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            RelayMsg::Request { server, message, identity } => self.request(server, message, &identity, cx),
            RelayMsg::Response { number, message } => self.answered(number, Some(&message), cx),
            RelayMsg::Ended { number, why } => self.unanswered(number, why, cx),
            RelayMsg::Kept { server, message, result } => self.kept(server, &message, result),
            RelayMsg::Registered(aor) => self.registered(&aor, cx),
        }
    }

    fn describe(&self) -> String {
        format!("{} deliveries under way", self.ledger.borrow().under_way.len())
    }
}

//! Requests of ours to a name: each is an errand until somebody there has answered (RFC 3263 section 4).
//!
//! An errand has the name looked up, sends the request to the first place, and where that is not to be reached, says
//! nothing, or says 503, to the next one, as a new transaction with a branch of its own (section 4.3). Its owner hears what
//! it would hear of a single request. The actor that looks names up is [`super::names`]; what is asked and what waits lies
//! here, so nothing is lost with it.

use ahash::AHashMap;
use bytes::Bytes;
use sip::message::RequestHead;
use sip::net::resolve::{ResolveError, Target};
use sip::transaction::{ClientEnd, ClientId};
use sip::value::{Scheme, Uri};
use sip::{Hop, Message, Name, Protocol, Status, Writer};
use std::collections::VecDeque;
use std::net::SocketAddr;

use super::core::{Core, Owner, new_branch};
use super::request::{Named, RequestId, Unanswered, Way};
use crate::call::{CallMsg, Said, What};
use crate::gateway::KeeperMsg;
use crate::messages::RelayMsg;
use crate::outgoing;
use crate::subscriptions::SubscriptionMsg;

/// Errands of a shard at once; past it requests to names are not sent, as past the bound of transactions.
const ERRANDS_MAX: usize = 65_536;
/// Names of a shard that are asked for at once; past it a request to another name fails.
const NAMES_MAX: usize = 1_024;
/// Names of TLS peers that are remembered, for the certificates that they must show.
const TLS_NAMES_MAX: usize = 4_096;

/// What an errand carries.
pub(super) enum Load {
    /// A request that is answered.
    Request,
    /// The ACK of a 2xx, which is not: to the INVITE's transaction.
    Ack { client: RequestId, to_tag: Box<[u8]> },
}

struct Errand {
    owner: Owner,
    load: Load,
    /// As it was written for the way back.
    request: Message,
    named: Named,
    /// The way back has had its try.
    gone_back: bool,
    /// The DNS has had its say.
    asked: bool,
    /// Places that are left to try.
    left: VecDeque<Target>,
    /// Tries so far.
    tries: u32,
    /// The transaction of the present try.
    trying: Option<(Option<ClientId>, Hop)>,
    /// It has had an answer of the present try.
    heard: bool,
    cancelled: bool,
    /// A 503, and why the last try failed.
    refusal: Option<(Message, Hop)>,
    why: Unanswered,
}

/// The errands of a shard; see the module.
#[derive(Default)]
pub struct Errands {
    last: u64,
    by_number: AHashMap<u64, Errand>,
    /// Names that are being looked up, with who waits, in order.
    asking: AHashMap<Box<str>, Vec<u64>>,
    /// Those of which the looking up has not begun.
    queue: VecDeque<Box<str>>,
    tls_names: AHashMap<SocketAddr, Box<str>>,
    /// Rung when the queue grows.
    wake: std::rc::Rc<tokio::sync::Notify>,
}

impl Errands {
    /// Requests that are on their way, and names that are asked for.
    pub fn counts(&self) -> (usize, usize) {
        (self.by_number.len(), self.asking.len())
    }

    /// The name that a TLS peer must prove (RFC 5922), where it was found by one.
    pub fn tls_name(&self, remote: SocketAddr) -> Option<&str> {
        self.tls_names.get(&remote).map(AsRef::as_ref)
    }
}

impl Core {
    /// The errands of an owner.
    pub fn errands_of(&self, owner: Owner) -> Vec<RequestId> {
        let errands = self.errands.borrow();
        let mine = errands.by_number.iter().filter(|(_, errand)| errand.owner == owner);
        mine.map(|(number, _)| RequestId::Errand(*number)).collect()
    }

    /// The TLS peer at an address must show a certificate of this name (RFC 5922 section 7.2).
    pub fn expect_certificate(&self, remote: SocketAddr, name: &str) {
        expect(&mut self.errands.borrow_mut().tls_names, remote, name);
    }

    /// Begins an errand. `None` when there are too many.
    pub(super) fn errand(&self, owner: Owner, load: Load, named: &Named, bytes: Bytes) -> Option<u64> {
        let request = Message::parse(bytes).ok()?;
        let number = {
            let mut errands = self.errands.borrow_mut();
            if errands.by_number.len() >= ERRANDS_MAX {
                tracing::warn!(shard = self.shard, "too many requests to names: one was not sent");
                return None;
            }
            errands.last += 1;
            let number = errands.last;
            let errand = Errand {
                owner,
                load,
                request,
                named: named.clone(),
                gone_back: false,
                asked: false,
                left: VecDeque::new(),
                tries: 0,
                trying: None,
                heard: false,
                cancelled: false,
                refusal: None,
                why: Unanswered::TransportFailed,
            };
            errands.by_number.insert(number, errand);
            number
        };
        match named.known {
            Some(hop) => self.try_at(number, hop),
            None => self.ask(number),
        }
        Some(number)
    }

    /// Has the name of an errand looked up.
    fn ask(&self, number: u64) {
        let refused = {
            let mut errands = self.errands.borrow_mut();
            let errands = &mut *errands;
            let Some(errand) = errands.by_number.get_mut(&number) else { return };
            errand.asked = true;
            errand.trying = None;
            let place = &errand.named.place;
            if let Some(waiting) = errands.asking.get_mut(place) {
                waiting.push(number);
                false
            } else if errands.asking.len() < NAMES_MAX {
                errands.asking.insert(place.clone(), vec![number]);
                errands.queue.push_back(place.clone());
                errands.wake.notify_one();
                false
            } else {
                true
            }
        };
        if refused {
            self.placed(number, &Err(ResolveError::Busy));
        } else {
            self.note_errand(number, |errand| format!("the DNS is asked where {} leads", errand.named.place));
        }
    }

    /// The next name to look up.
    pub(super) fn next_name(&self) -> Option<Box<str>> {
        self.errands.borrow_mut().queue.pop_front()
    }

    /// Rings when there is one.
    pub(super) fn name_bell(&self) -> std::rc::Rc<tokio::sync::Notify> {
        std::rc::Rc::clone(&self.errands.borrow().wake)
    }

    /// Nobody looks anything up at this moment: whatever waits is asked for anew.
    pub(super) fn ask_again(&self) {
        let mut errands = self.errands.borrow_mut();
        let errands = &mut *errands;
        errands.asking.clear();
        errands.queue.clear();
        let mut waiting: Vec<u64> =
            errands.by_number.iter().filter(|(_, errand)| errand.trying.is_none()).map(|(number, _)| *number).collect();
        waiting.sort_unstable();
        for number in waiting {
            let Some(errand) = errands.by_number.get(&number) else { continue };
            let place = &errand.named.place;
            if !errands.asking.contains_key(place) {
                errands.queue.push_back(place.clone());
            }
            errands.asking.entry(place.clone()).or_default().push(number);
        }
    }

    /// What the DNS says of a name.
    pub(super) fn located(&self, place: &str, found: &Result<Vec<Target>, ResolveError>) {
        let waiting = self.errands.borrow_mut().asking.remove(place).unwrap_or_default();
        self.shared.counters.lookups.increment(1);
        if found.is_err() {
            self.shared.counters.lookups_failed.increment(1);
        }
        for number in waiting {
            self.placed(number, found);
        }
    }

    fn placed(&self, number: u64, found: &Result<Vec<Target>, ResolveError>) {
        let targets = match found {
            Ok(targets) => targets,
            Err(why) => {
                self.note_errand(number, |errand| format!("{}: {why}", errand.named.place));
                if let Some(errand) = self.errands.borrow_mut().by_number.get_mut(&number)
                    && errand.tries == 0
                {
                    errand.why = Unanswered::NoPlace(*why);
                    // A name that nobody knows but the phone.
                    errand.named.inside |= *why == ResolveError::NotFound;
                }
                return self.next(number);
            }
        };
        let places =
            targets.iter().map(|t| format!("{}:{}", t.protocol.uri(), t.address)).collect::<Vec<_>>().join(", ");
        self.note_errand(number, |errand| format!("{} leads to {places}", errand.named.place));
        if let Some(errand) = self.errands.borrow_mut().by_number.get_mut(&number) {
            // RFC 3261 section 18.1.1; a dialog stays on its way.
            let is_long = !errand.named.inside && sip::net::needs_stream(errand.request.raw().len(), None);
            let tried = errand.named.known.map(|hop| Target { protocol: hop.protocol, address: hop.remote });
            let family = errand.named.family;
            let wanted = |target: &&Target| family.is_none_or(|family| family.has(target.address.ip()));
            for target in targets.iter().filter(wanted).filter(|target| Some(**target) != tried) {
                if is_long && target.protocol == Protocol::Udp {
                    errand.left.push_back(Target { protocol: Protocol::Tcp, ..*target });
                }
                errand.left.push_back(*target);
            }
        }
        self.next(number);
    }

    /// Tries the next place of an errand, and where none is left tells its owner how it went.
    fn next(&self, number: u64) {
        loop {
            let next = {
                let mut errands = self.errands.borrow_mut();
                let Some(errand) = errands.by_number.get_mut(&number) else { return };
                if errand.cancelled { None } else { errand.left.pop_front() }
            };
            let Some(Target { protocol, address: remote }) = next else { break };
            // A transport or family that we do not speak is no place.
            if let Some(local) = self.local_for(protocol, remote) {
                return self.try_at(number, Hop { protocol, local, remote, connection: None });
            }
        }
        let (asks, back, why) = {
            let mut errands = self.errands.borrow_mut();
            let Some(errand) = errands.by_number.get_mut(&number) else { return };
            let open = !errand.cancelled;
            let asks = open && !errand.asked;
            let goes_back = open && !asks && errand.named.inside && errand.refusal.is_none() && !errand.gone_back;
            errand.gone_back |= goes_back;
            (asks, goes_back.then_some(errand.named.back), errand.why)
        };
        match back {
            _ if asks => self.ask(number),
            Some(back) => {
                self.note_errand(number, |_| "back the way that its signalling came".to_owned());
                self.try_at(number, back);
            }
            None => self.fail(number, why),
        }
    }

    fn try_at(&self, number: u64, hop: Hop) {
        let branch = new_branch();
        let (try_number, bytes, method, owner, ack) = {
            let mut errands = self.errands.borrow_mut();
            let errands = &mut *errands;
            let Some(errand) = errands.by_number.get_mut(&number) else { return };
            errand.tries += 1;
            errand.heard = false;
            errand.trying = Some((None, hop));
            if errand.tries > 1 {
                self.shared.counters.failovers.increment(1);
            }
            if hop.protocol == Protocol::Tls {
                match &errand.named.certificate {
                    Some(name) => expect(&mut errands.tls_names, hop.remote, name),
                    None => remember_tls(&mut errands.tls_names, hop.remote, &errand.named.place),
                }
            }
            let ack = match &errand.load {
                Load::Request => None,
                Load::Ack { client, to_tag } => Some((*client, to_tag.clone())),
            };
            let bytes = readdressed(self, &errand.request, &hop, &branch);
            (errand.tries, bytes, errand.request.method().clone(), errand.owner, ack)
        };
        if let Owner::Call(key, leg) = owner {
            let what = What::Sent { message: Said::request(method.clone()), to: Some(hop.into()) };
            self.note_call(key, leg, what);
        }
        if let Some((client, to_tag)) = ack {
            self.reached(number, None, hop);
            self.errands.borrow_mut().by_number.remove(&number);
            return self.ack_success(owner, client, &to_tag, bytes, &Way::Hop(hop));
        }
        let client = self.transact(Owner::Errand(number), &method, &branch, hop, bytes);
        let mut errands = self.errands.borrow_mut();
        // What is known at once has been heard already: then another try is under way, or none.
        if let Some(errand) = errands.by_number.get_mut(&number)
            && errand.tries == try_number
        {
            errand.trying = Some((client, hop));
            if client.is_none() {
                drop(errands);
                self.fail(number, Unanswered::TransportFailed);
            }
        }
    }

    /// An answer to the present try of an errand.
    pub(super) fn errand_answered(&self, number: u64, client: ClientId, message: Message, from: Hop) {
        let Some(status) = message.status() else { return };
        let (owner, hop, first, more) = {
            let mut errands = self.errands.borrow_mut();
            let Some(errand) = errands.by_number.get_mut(&number) else { return };
            let Some((_, hop)) = errand.trying else { return };
            let first = !std::mem::replace(&mut errand.heard, true);
            let more = !errand.cancelled && (!errand.left.is_empty() || !errand.asked);
            (errand.owner, hop, first, more)
        };
        if status == Status::SERVICE_UNAVAILABLE && more {
            // RFC 3263 section 4.3.
            self.note_errand(number, |_| format!("503 of {hop}: the next place is tried"));
            if let Some(errand) = self.errands.borrow_mut().by_number.get_mut(&number) {
                errand.refusal = Some((message, from));
            }
            return self.next(number);
        }
        if status.is_provisional() {
            if first {
                self.reached(number, None, hop);
            }
            return self.told(owner, RequestId::Errand(number), message, from);
        }
        // Somebody there has answered: from now on it is a request like any other.
        self.reached(number, Some(client), hop);
        self.errands.borrow_mut().by_number.remove(&number);
        self.with_layer(|layer, _, _| layer.reassign(client, owner));
        self.told(owner, RequestId::Direct(client), message, from);
    }

    /// The present try of an errand got no answer.
    pub(super) fn errand_unanswered(&self, number: u64, why: ClientEnd) {
        {
            let mut errands = self.errands.borrow_mut();
            let Some(errand) = errands.by_number.get_mut(&number) else { return };
            errand.why = why.into();
        }
        self.note_errand(number, |errand| match errand.trying {
            Some((_, hop)) => format!("{hop}: {}", errand.why),
            None => errand.why.to_string(),
        });
        self.next(number);
    }

    /// Tells an errand's owner which place is tried, and by which name it knows the request from now on.
    fn reached(&self, number: u64, settled: Option<ClientId>, hop: Hop) {
        let (owner, place) = {
            let errands = self.errands.borrow();
            let Some(errand) = errands.by_number.get(&number) else { return };
            (errand.owner, errand.named.place.clone())
        };
        let request = RequestId::Errand(number);
        let now = settled.map_or(request, RequestId::Direct);
        match owner {
            Owner::Call(key, leg) => self.tell_call(key, CallMsg::Reached { leg, request, now, place, hop }),
            Owner::Subscription(number) => {
                self.subscriptions.send_reply(SubscriptionMsg::Reached { number, place, hop });
            }
            Owner::Relay(_) | Owner::Gateway(_) | Owner::Errand(_) | Owner::Nobody => {}
        }
    }

    /// Nothing of an errand is sent any more. The transaction to cancel, where it has one; `None` where it never was sent, and
    /// its owner hears so.
    pub(super) fn withdraw(&self, number: u64) -> Option<ClientId> {
        let trying = {
            let mut errands = self.errands.borrow_mut();
            let errand = errands.by_number.get_mut(&number)?;
            errand.cancelled = true;
            errand.trying.and_then(|(client, _)| client)
        };
        if trying.is_none() {
            self.fail(number, Unanswered::Withdrawn);
        }
        trying
    }

    /// No place is left.
    fn fail(&self, number: u64, why: Unanswered) {
        let Some(errand) = self.errands.borrow_mut().by_number.remove(&number) else { return };
        match errand.refusal.filter(|_| why != Unanswered::Withdrawn) {
            Some((message, from)) => self.told(errand.owner, RequestId::Errand(number), message, from),
            None => self.told_unanswered(errand.owner, RequestId::Errand(number), why),
        }
    }

    /// An answer goes to who asked.
    pub(super) fn told(&self, owner: Owner, request: RequestId, message: Message, hop: Hop) {
        match owner {
            Owner::Call(key, leg) => self.tell_call(key, CallMsg::Response { client: request, leg, message, hop }),
            Owner::Relay(number) => {
                self.relay.send_reply(RelayMsg::Response { number, message });
            }
            Owner::Subscription(number) => {
                self.subscriptions.send_reply(SubscriptionMsg::Response { number, message });
            }
            Owner::Gateway(number) => self.tell_keeper(number, KeeperMsg::Answer { message }),
            Owner::Errand(_) | Owner::Nobody => {}
        }
    }

    /// That there is none goes to who asked.
    pub(super) fn told_unanswered(&self, owner: Owner, request: RequestId, why: Unanswered) {
        match owner {
            Owner::Call(key, leg) => self.tell_call(key, CallMsg::ClientEnded { client: request, leg, why }),
            Owner::Relay(number) => {
                self.relay.send_reply(RelayMsg::Ended { number, why });
            }
            Owner::Subscription(number) => {
                self.subscriptions.send_reply(SubscriptionMsg::Ended { number });
            }
            Owner::Gateway(number) => self.tell_keeper(number, KeeperMsg::Unanswered { request, why }),
            Owner::Errand(_) | Owner::Nobody => {}
        }
    }

    fn note_errand(&self, number: u64, why: impl FnOnce(&Errand) -> String) {
        let noted = {
            let errands = self.errands.borrow();
            let Some(errand) = errands.by_number.get(&number) else { return };
            let Owner::Call(key, leg) = errand.owner else { return };
            (key, leg, why(errand))
        };
        self.note_call(noted.0, noted.1, What::Decided { why: noted.2.into() });
    }
}

fn remember_tls(names: &mut AHashMap<SocketAddr, Box<str>>, remote: SocketAddr, place: &str) {
    if let Ok(uri) = Uri::parse(place.as_bytes()) {
        expect(names, remote, uri.host_text());
    }
}

fn expect(names: &mut AHashMap<SocketAddr, Box<str>>, remote: SocketAddr, name: &str) {
    if names.len() >= TLS_NAMES_MAX {
        // A name that is needed again is learned again with the next request to it.
        names.clear();
    }
    names.insert(remote, name.into());
}

/// The request once more, with our Via and Contact towards another hop.
fn readdressed(core: &Core, request: &Message, hop: &Hop, branch: &str) -> Bytes {
    let value = |name| request.value(name).unwrap_or_default();
    let forwards = request.number(Name::MaxForwards, 255).ok().flatten().and_then(|n| u8::try_from(n).ok());
    let mut writer = Writer::request(RequestHead {
        method: request.method(),
        uri: request.request_uri(),
        via: &outgoing::via(core, hop, branch),
        from: value(Name::From),
        to: value(Name::To),
        call_id: request.call_id(),
        cseq: request.cseq(),
        max_forwards: forwards.unwrap_or(70),
    });
    for header in request.headers() {
        match header.name {
            Name::Via | Name::MaxForwards | Name::From | Name::To | Name::CallId | Name::CSeq => {}
            Name::ContentType | Name::ContentLength => {}
            Name::Contact => {
                let own = request.contact().and_then(|contact| Uri::parse(contact.uri).ok());
                let secure = own.is_some_and(|uri| uri.scheme == Scheme::Sips);
                let user = own.and_then(|uri| uri.user).map(String::from_utf8_lossy).unwrap_or_default();
                writer.header(Name::Contact, outgoing::contact(core, hop, secure, &user));
            }
            _ => drop(writer.named(header.name_bytes, header.value)),
        }
    }
    match request.value(Name::ContentType) {
        Some(kind) if !request.body().is_empty() => writer.body(&String::from_utf8_lossy(kind), request.body()),
        _ => writer.finish(),
    }
}

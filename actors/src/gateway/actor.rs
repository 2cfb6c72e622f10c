//! The keeper of a gateway: asks it whether it is there, registers with its carrier, and does what the operator wants of it.
//!
//! What it knows lies in the gateway's [`Standing`], so a keeper that is killed costs nothing but the answer that it waited for.

use bytes::Bytes;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sip::auth::ChallengedBy;
use sip::message::RequestHead;
use sip::timer::Handle;
use sip::{Hop, Message, Method, Name, Status, Writer};

use super::account::answerer;
use super::health::{Change, Health, is_alive};
use super::lamp::Lamp;
use super::plan::Host;
use super::registration::{Outcome, Registration};
use super::standing::{Standing, Wanted};
use super::together::together;
use crate::outgoing;
use crate::outside::random;
use crate::shard::core::{new_branch, random_token};
use crate::shard::{Core, Owner, RequestId, TimerKind, Unanswered};
use crate::supervision::{Cx, Live, Reply};

/// How long after its start a gateway is first asked, at most.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// How often the name of a gateway is looked up, for the addresses that its requests come from.
const LOOK_UP_EVERY: Duration = Duration::from_secs(60);
/// How long the carrier may take to let go of our registration when the switch stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What a keeper can be told.
pub enum KeeperMsg {
    /// Something is due.
    Due,
    /// An answer to a request of its.
    Answer {
        /// The answer.
        message: Message,
    },
    /// A request of its got no answer.
    Unanswered {
        /// Which.
        request: RequestId,
        /// Why.
        why: Unanswered,
    },
    /// A call got nothing from the gateway: it may be gone.
    CallFailed,
    /// It has sent an OPTIONS of its own.
    Asks,
    /// The operator wants this of it.
    Want(Wanted, Reply<()>),
    /// A phone behind it is to show this of its messages.
    Lamp {
        /// The number of the phone there.
        number: String,
        /// What is told (RFC 3842 section 5.2).
        body: String,
        /// The final status.
        reply: Reply<u16>,
    },
    /// The switch takes no more calls: the carrier is to send none.
    Withdraw,
    /// It is configured otherwise, where it was.
    Changed(Arc<Standing>),
}

/// What a successor goes on with.
#[derive(Default)]
pub struct Notes {
    health: Health,
    /// The OPTIONS that waits for its answer.
    probe: Option<Probe>,
    /// When the next one is due.
    probe_at: Option<Duration>,
    registration: Option<Registration>,
    /// Call-ID and tag of the REGISTERs, the same for all (RFC 3261 section 10.2).
    dialogue: Option<(String, String)>,
    /// The Contact of the REGISTER that is on its way.
    contact: String,
    register: Option<RequestId>,
    looked_up_at: Option<Duration>,
    /// What phones behind it are to show, on its way.
    pub(super) lamps: Vec<Lamp>,
    timer: Option<Handle>,
}

struct Probe {
    request: Option<RequestId>,
    call_id: String,
    began: Duration,
}

/// See the module.
pub struct Keeper {
    core: Rc<Core>,
    standing: Arc<Standing>,
    /// It ends as soon as the carrier has let go of our binding.
    halts: bool,
}

impl Keeper {
    /// Looks after `standing`.
    pub fn new(core: Rc<Core>, standing: Arc<Standing>) -> Self {
        Self { core, standing, halts: false }
    }

    pub(super) const fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(super) const fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    fn begin(&mut self, cx: &mut Cx<'_, Self>) {
        let now = self.core.now();
        {
            let mut notes = self.standing.life.notes.lock();
            // What was on its way is not waited for: its answer went to the keeper of before.
            notes.probe = None;
            notes.lamps.clear();
            notes.timer = None;
            let spread = self.standing.gateway.probing.every.unwrap_or(FIRST_WITHIN).min(FIRST_WITHIN);
            notes.probe_at.get_or_insert(together(now + spread.mul_f64(random()), spread));
            if let Some(account) = self.standing.gateway.account.as_ref().filter(|account| account.registers)
                && notes.registration.is_none()
            {
                let expires = u32::try_from(account.expires.as_secs()).unwrap_or(u32::MAX);
                notes.registration = Some(Registration::new(answerer(account), expires, now));
            } else if notes.register.take().is_some()
                && let Some(registration) = &mut notes.registration
            {
                registration.unanswered(now, "its keeper has died", 0.0);
            }
        }
        self.due(cx);
    }

    /// Does what is due, and sets the timer for what comes next.
    fn due(&mut self, cx: &mut Cx<'_, Self>) {
        let now = self.core.now();
        self.look_up(now, cx);
        let (missed, probes, registers, leaves) = {
            let mut notes = self.standing.life.notes.lock();
            let patience = self.standing.gateway.probing.patience;
            let late = notes.probe.take_if(|probe| probe.began + patience <= now);
            let probes = notes.probe.is_none() && late.is_none() && notes.probe_at.is_some_and(|at| at <= now);
            let registers = notes.registration.as_ref().is_some_and(|r| r.next().is_some_and(|at| at <= now));
            let leaves = notes.registration.as_ref().is_some_and(Registration::is_leaving);
            (late.is_some(), probes && self.standing.gateway.probing.every.is_some(), registers, leaves)
        };
        if missed {
            self.missed("nothing came in time");
        }
        let is_wanted = self.standing.wanted() != Wanted::Disabled;
        if probes && is_wanted {
            self.probe(now);
        }
        // A binding is taken back also of a gateway that is switched off.
        if registers && (is_wanted || leaves) {
            self.register();
        }
        self.set_timer();
    }

    fn set_timer(&self) {
        let mut notes = self.standing.life.notes.lock();
        if let Some(timer) = notes.timer.take() {
            self.core.disarm(timer);
        }
        if self.standing.wanted() == Wanted::Disabled {
            return;
        }
        let late = notes.probe.as_ref().map(|probe| probe.began + self.standing.gateway.probing.patience);
        let probes = self.standing.gateway.probing.every.is_some();
        let probe = notes.probe_at.filter(|_| late.is_none() && probes);
        let register = notes.registration.as_ref().and_then(Registration::next);
        let named = matches!(self.standing.gateway.host, Host::Name(_));
        let look_up = notes.looked_up_at.map(|at| at + LOOK_UP_EVERY).filter(|_| named);
        let next = [late, probe, register, look_up].into_iter().flatten().min();
        notes.timer = next.and_then(|at| self.core.arm(at, TimerKind::Gateway(self.standing.number)));
    }

    /// Learns where the gateway's name leads: its requests come from there.
    fn look_up(&self, now: Duration, cx: &mut Cx<'_, Self>) {
        let gateway = &self.standing.gateway;
        let Host::Name(_) = gateway.host else { return };
        {
            let mut notes = self.standing.life.notes.lock();
            if notes.looked_up_at.is_some_and(|at| at + LOOK_UP_EVERY > now) {
                return;
            }
            notes.looked_up_at = Some(now);
        }
        let Some(network) = self.core.network() else { return };
        let looking = network.resolving(gateway.place().into());
        cx.spawn(looking, |this, found, _| match found {
            Ok(targets) => {
                let family = this.standing.gateway.family;
                let wanted = |ip: &IpAddr| family.is_none_or(|family| family.has(*ip));
                let mut addresses: Vec<IpAddr> =
                    targets.iter().map(|target| target.address.ip()).filter(wanted).collect();
                addresses.dedup();
                this.standing.set_addresses(addresses);
            }
            // What it led to before stands: a name server that is down does not make the carrier a stranger.
            Err(why) => {
                tracing::warn!(gateway = this.standing.gateway.name, %why, "the gateway's name leads nowhere");
            }
        });
    }

    // ---- OPTIONS

    /// Asks the gateway whether it is there (RFC 3261 section 11).
    fn probe(&self, now: Duration) {
        let (call_id, tag) = (self.core.new_call_id(), random_token(8));
        self.standing.life.notes.lock().probe = Some(Probe { request: None, call_id: call_id.clone(), began: now });
        self.standing.tally().probes.fetch_add(1, Relaxed);
        let uri = self.standing.gateway.own_uri();
        let request = self.send(&Method::Options, &uri, (&call_id, &tag, 1), |mut writer, _| {
            writer.header(Name::Accept, "application/sdp");
            writer.finish()
        });
        if let Some(probe) = self.standing.life.notes.lock().probe.as_mut().filter(|probe| probe.call_id == call_id) {
            probe.request = request;
        }
    }

    fn probed(&self, message: &Message) {
        let began = {
            let mut notes = self.standing.life.notes.lock();
            let ours = |probe: &mut Probe| probe.call_id.as_bytes() == message.call_id();
            match notes.probe.take_if(ours) {
                Some(probe) => probe.began,
                // It has had its time: a late answer is none.
                None => return,
            }
        };
        let Some(status) = message.status() else { return };
        let took = self.core.now().saturating_sub(began);
        self.standing.set_round_trip(took);
        if is_alive(status) {
            self.is_there();
        } else {
            self.missed(&format!("OPTIONS was answered {} {}", status.code(), message.reason()));
        }
    }

    fn is_there(&self) {
        let change = self.standing.life.notes.lock().health.answered(&self.standing.gateway.probing);
        self.changed(change, None);
    }

    fn missed(&self, why: &str) {
        self.standing.tally().missed.fetch_add(1, Relaxed);
        let change = self.standing.life.notes.lock().health.missed_one(&self.standing.gateway.probing);
        self.changed(change, Some(why));
    }

    /// Says what has changed, and when it is asked again.
    fn changed(&self, change: Change, trouble: Option<&str>) {
        let name = &self.standing.gateway.name;
        match (change, trouble) {
            (Change::Down, why) => tracing::warn!(gateway = name, why, "the gateway is gone"),
            (Change::Up, _) => self.is_back(name),
            (Change::None, _) => {}
        }
        if self.standing.is_registered() || trouble.is_some() {
            self.standing.set_trouble(trouble.map(Arc::from));
        }
        let now = self.core.now();
        let mut notes = self.standing.life.notes.lock();
        self.standing.set_up(notes.health.is_up());
        let rest = notes.health.rest(now, &self.standing.gateway.probing, random());
        notes.probe_at = rest.map(|rest| together(now + rest, rest));
    }

    // ---- REGISTER

    fn register(&self) {
        let uri = self.standing.gateway.registrar_uri();
        let (ask, (call_id, tag)) = {
            let mut notes = self.standing.life.notes.lock();
            let dialogue = notes.dialogue.get_or_insert_with(|| (self.core.new_call_id(), random_token(12))).clone();
            let Some(registration) = &mut notes.registration else { return };
            (registration.ask(&uri), dialogue)
        };
        let request = self.send(&Method::Register, &uri, (&call_id, &tag, ask.cseq), |mut writer, contact| {
            writer.header(Name::Expires, ask.expires_s.to_string());
            self.standing.life.notes.lock().contact = contact.trim_matches(['<', '>']).to_owned();
            match &ask.credentials {
                Some((ChallengedBy::Server, value)) => drop(writer.header(Name::Authorization, value)),
                Some((ChallengedBy::Proxy, value)) => drop(writer.header(Name::ProxyAuthorization, value)),
                None => {}
            }
            writer.finish()
        });
        self.standing.life.notes.lock().register = request;
        if request.is_none() {
            self.settled(|registration, now, _, _| registration.unanswered(now, "it was not sent", random()));
        }
    }

    fn registered(&self, message: &Message) {
        let uri = self.standing.gateway.registrar_uri();
        self.settled(|registration, now, contact, chance| registration.answered(now, message, &uri, contact, chance));
    }

    /// Takes what an answer has come to.
    fn settled(&self, answered: impl FnOnce(&mut Registration, Duration, &str, f64) -> Outcome) {
        let (now, name) = (self.core.now(), &self.standing.gateway.name);
        let (outcome, holds) = {
            let mut notes = self.standing.life.notes.lock();
            notes.register = None;
            let contact = std::mem::take(&mut notes.contact);
            let Some(registration) = &mut notes.registration else { return };
            let outcome = answered(registration, now, &contact, random());
            (outcome, registration.is_registered(now))
        };
        match outcome {
            Outcome::Again => {}
            Outcome::Registered(lasts) => {
                if !self.standing.is_registered() {
                    tracing::info!(gateway = name, expires_s = lasts.as_secs(), "registered with the carrier");
                }
                self.standing.set_trouble(None);
                self.standing.set_registered(true);
            }
            Outcome::Left => self.standing.set_registered(false),
            Outcome::Failed(why) => {
                tracing::warn!(gateway = name, why, "the carrier does not register us");
                self.standing.set_trouble(Some(Arc::from(format!("REGISTER: {why}"))));
                self.standing.set_registered(holds);
            }
        }
    }

    /// Has the carrier let go of our binding. False where there is none.
    fn leave(&self) -> bool {
        let now = self.core.now();
        {
            let mut notes = self.standing.life.notes.lock();
            let Some(registration) = notes.registration.as_mut().filter(|r| r.is_to_be_left()) else { return false };
            registration.leave(now);
        }
        self.register();
        true
    }

    // ---- both

    /// Sends a request outside of dialogs; `fill` adds what it has besides, and is told our Contact.
    pub(super) fn send(
        &self,
        method: &Method,
        uri: &str,
        (call_id, tag, cseq): (&str, &str, u32),
        fill: impl FnOnce(Writer, &str) -> Bytes,
    ) -> Option<RequestId> {
        let (core, gateway) = (&self.core, &self.standing.gateway);
        let way = outgoing::to_gateway(core, gateway);
        let branch = new_branch();
        let hop: Hop = *way.hop();
        let own = gateway.own_address(core.shared.directory().domain());
        let to = if *method == Method::Register { own.clone() } else { uri.to_owned() };
        let mut writer = Writer::request(RequestHead {
            method,
            uri: uri.as_bytes(),
            via: &outgoing::via(core, &hop, &branch),
            from: sip::text!["<", own, ">;tag=", tag].as_bytes(),
            to: sip::text!["<", to, ">"].as_bytes(),
            call_id: call_id.as_bytes(),
            cseq,
            max_forwards: 70,
        });
        let contact = outgoing::contact(core, &hop, false, &gateway.contact_user());
        writer.header(Name::Contact, &contact).header(Name::UserAgent, &core.shared.settings().sip.user_agent);
        core.request(Owner::Gateway(self.standing.number), method, &branch, &way, fill(writer, &contact))
    }

    fn unanswered(&self, request: RequestId, why: Unanswered) {
        if self.not_lit(request) {
            return;
        }
        let (probe, register) = {
            let mut notes = self.standing.life.notes.lock();
            let probe = notes.probe.take_if(|probe| probe.request.is_none_or(|own| own == request));
            (probe.is_some(), notes.register == Some(request))
        };
        if register {
            self.settled(|registration, now, _, chance| registration.unanswered(now, &why.to_string(), chance));
        } else if probe {
            self.missed(&why.to_string());
        }
    }

    fn want(&self, wanted: Wanted) {
        if self.standing.wanted() == wanted {
            return;
        }
        tracing::info!(gateway = self.standing.gateway.name, ?wanted, "the operator has decided");
        if wanted == Wanted::Disabled {
            self.leave();
        }
        self.standing.set_wanted(wanted);
        if wanted == Wanted::Enabled {
            let now = self.core.now();
            let mut notes = self.standing.life.notes.lock();
            notes.probe_at = Some(now);
            if let Some(account) = self.standing.gateway.account.as_ref().filter(|account| account.registers)
                && notes.registration.as_ref().is_none_or(|r| !r.is_registered(now))
            {
                let expires = u32::try_from(account.expires.as_secs()).unwrap_or(u32::MAX);
                notes.registration = Some(Registration::new(answerer(account), expires, now));
                // A new registration, of which the CSeq begins anew (RFC 3261 section 10.2).
                notes.dialogue = None;
            }
        }
    }
}

impl Live for Keeper {
    type Msg = KeeperMsg;
    const KIND: &'static str = "gateway";
    const MAILBOX: usize = 256;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.begin(cx);
    }

    fn handle(&mut self, msg: KeeperMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            KeeperMsg::Due => {}
            KeeperMsg::Answer { message } => match message.method() {
                _ if message.status().is_none_or(Status::is_provisional) => return,
                Method::Register => self.registered(&message),
                Method::Notify => self.lit(&message),
                _ => self.probed(&message),
            },
            KeeperMsg::Unanswered { request, why } => self.unanswered(request, why),
            // Who is never asked would never come back.
            KeeperMsg::CallFailed if self.standing.gateway.probing.every.is_none() => {}
            KeeperMsg::CallFailed => {
                let now = self.core.now();
                self.missed("it did not take a call");
                self.standing.life.notes.lock().probe_at = Some(now);
            }
            KeeperMsg::Asks => {
                let now = self.core.now();
                let change = self.standing.life.notes.lock().health.asks(now, &self.standing.gateway.probing);
                self.changed(change, None);
            }
            KeeperMsg::Want(wanted, reply) => {
                self.want(wanted);
                reply.send(());
            }
            KeeperMsg::Lamp { number, body, reply } => self.light(&number, &body, reply),
            KeeperMsg::Withdraw => drop(self.leave()),
            KeeperMsg::Changed(standing) => {
                let enabled = standing.gateway.enabled;
                let ordered = enabled != self.standing.gateway.enabled;
                self.standing = standing;
                if ordered {
                    self.want(if enabled { Wanted::Enabled } else { Wanted::Disabled });
                }
                // It is asked as often as it is now to be.
                let now = self.core.now();
                self.standing.life.notes.lock().probe_at = Some(together(now, FIRST_WITHIN));
            }
        }
        if self.halts && self.standing.life.notes.lock().registration.as_ref().is_none_or(Registration::has_left) {
            return cx.stop();
        }
        self.due(cx);
    }

    fn halting(&mut self, cx: &mut Cx<'_, Self>) {
        match self.leave() {
            true => {
                self.halts = true;
                cx.later(LEAVE_WITHIN, |_, cx| cx.stop());
            }
            false => cx.stop(),
        }
    }

    fn describe(&self) -> String {
        let standing = &self.standing;
        format!("{}, {} of {} channels", standing.state().as_str(), standing.channels(), standing.gateway.channels_max)
    }
}

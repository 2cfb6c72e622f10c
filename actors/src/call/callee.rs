//! A call for a user, by what the user has switched: it is sent on, refused, or rings, and others ring beside its phones.
//!
//! What the features do is decided by `features/rules.rs`; here it is done.

use sip::{Message, Name, Status};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::groups::Turn;
use super::history::Why;
use super::leg::LegId;
use super::{CallTimer, Work};
use crate::call::rfc3339;
use crate::directory::{Destination, User};
use crate::features::rules::{self, Now, Outcome, Refused};
use crate::features::{DELEGATES, Features, LastCall, VOICEMAIL};
use crate::gateway::Exit;
use crate::mail::ReasonForCall;
use crate::registrar::gruu;
use crate::routing::spec::Switches;
use crate::routing::{self, By, Question, Trail};
use crate::shard::RequestId;
use crate::shared::unix_ms;
use crate::user_lines::UserLine;

/// The user that a call rings for, until somebody answers or it goes on.
pub struct Callee {
    user: Arc<User>,
    features: Arc<Features>,
    switches: Switches,
    /// Who rings beside its phones, and has not begun.
    beside: Vec<Vec<String>>,
}

/// A number outside that rings beside the user's phones.
pub struct RingsOutside {
    leg: LegId,
    /// When its INVITE went.
    began: Duration,
    /// The ways that are left, should this one not take the call.
    rest: VecDeque<Exit>,
}

impl Work<'_> {
    /// The call is for a user, or for one of its phones that a GRUU names.
    pub fn reach(&mut self, user: Arc<User>, instance: Option<&str>) {
        let directory = self.core.shared.directory();
        let aor = directory.aor(&user);
        self.file.facts.borrow_mut().to.clone_from(&aor);
        let features = self.core.shared.features.holding(directory.routing(), &user.name, crate::outside::now());
        let switches = directory.routing().switches(&user.routing);
        self.remember(&user);
        let (callers, hidden) = self.callers();
        let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
        let now = Now {
            user: &user.name,
            callers: &callers,
            hidden,
            lines: self.core.shared.lines.of(&aor),
            lines_max: user.max_calls.unwrap_or(usize::MAX),
            ring: self.core.shared.settings().features.ring,
        };
        let mut trail = Trail::brief();
        let outcome = rules::incoming(&features, &switches, &now, &mut trail);
        let steps = trail.into_steps();
        if !steps.is_empty() {
            self.decided(None, routing::brief(&steps));
        }
        match outcome {
            Outcome::SendOn(to, why) => self.send_on(&user, &features, &to, why),
            // Who is busy or does not want to be disturbed has a mailbox; callers that are not wanted have none.
            Outcome::Refuse(refused)
                if matches!(refused.code, 480 | 486)
                    && self.take_message(&user, refused.reason, reason_of(&refused)) => {}
            Outcome::Refuse(refused) => self.refuse_for(refused),
            Outcome::Ring if !self.take_line(&user, &aor) => {
                if !self.take_message(&user, rules::BUSY.reason, ReasonForCall::DivertBusy) {
                    self.refuse_for(rules::BUSY);
                }
            }
            Outcome::Ring => {
                self.state.callee = Some(Callee { user, features, switches, beside: Vec::new() });
                self.ring(&aor, instance);
            }
        }
    }

    /// Numbers and names that the caller is known by, and whether it is hidden.
    fn callers(&self) -> (Vec<String>, bool) {
        let Some(leg) = self.state.leg(LegId::CALLER) else { return (Vec::new(), false) };
        let mut known = vec![leg.party.split('@').next().unwrap_or_default().to_owned()];
        if let Some(user) = &leg.user {
            known.extend(user.extension.iter().chain(&user.numbers).cloned());
        }
        known.extend(leg.claims.as_ref().and_then(|claims| claims.number.clone()));
        (known, leg.is_hidden())
    }

    /// Who wants to trace it later finds it.
    fn remember(&self, user: &User) {
        let Some(leg) = self.state.leg(LegId::CALLER) else { return };
        let gateway = leg.channel.as_ref().map(|channel| channel.standing().gateway.name.clone());
        let facts = self.file.facts.borrow();
        let call = LastCall {
            at: rfc3339(unix_ms()),
            call: self.key.to_string(),
            sip_call_id: facts.call_id.clone(),
            from: leg.party.clone(),
            hidden: leg.is_hidden(),
            gateway,
            source: format!("{} {}", leg.hop.protocol.uri(), leg.hop.remote),
        };
        self.core.shared.features.came(&user.name, call);
    }

    fn refuse_for(&mut self, refused: Refused) {
        let Refused { reason, q850, .. } = refused;
        self.refuse_by("callee", refused.status(), Some(reason), q850, |writer| {
            writer.header(Name::Reason, format!("Q.850;cause={q850};text=\"{}\"", reason.to_ascii_lowercase()));
        });
    }

    fn send_on(&mut self, user: &Arc<User>, features: &Features, to: &str, why: Why) {
        if to == VOICEMAIL {
            if !self.take_message(user, why.reason(), why.into()) {
                self.refuse(Status::TEMPORARILY_UNAVAILABLE, None, 20);
            }
            return;
        }
        if to != DELEGATES {
            return self.divert(to, user, why);
        }
        if !self.sent_on(user, why) {
            self.decided(None, format!("is not sent on to the delegates of {}: it was there", user.name));
            return self.refuse(Status::TEMPORARILY_UNAVAILABLE, Some("Too Many Diversions"), 25);
        }
        if !self.ready_media() {
            return;
        }
        for delegate in &features.delegates {
            self.ring_beside(delegate, user);
        }
        if !self.state.ringing() {
            self.decided(None, "no delegate can be reached");
            return self.refuse(Status::TEMPORARILY_UNAVAILABLE, None, 20);
        }
        self.time_ringing();
    }

    /// How long the phones may ring, where the call goes on after that.
    pub fn patience(&self) -> Option<Duration> {
        let callee = self.state.callee.as_ref()?;
        let settings = self.core.shared.settings();
        if rules::unanswered(&callee.features, &callee.switches, Why::NoAnswer).is_none() {
            return callee.user.mailbox.as_ref().map(|_| settings.mail.answer_after);
        }
        Some(rules::ring(&callee.features, self.core.shared.settings().features.ring))
    }

    /// Whether somebody is to ring beside the user's phones.
    pub fn has_others(&self) -> bool {
        let also = |callee: &Callee| !rules::also(&callee.features, &callee.switches).is_empty();
        self.state.callee.as_ref().is_some_and(also)
    }

    /// Nobody else begins to ring.
    pub fn nobody_beside(&mut self) {
        let Some(callee) = &mut self.state.callee else { return };
        let many = std::mem::take(&mut callee.beside).len();
        for at in 0..u8::try_from(many).unwrap_or(u8::MAX) {
            self.disarm(CallTimer::Beside(at));
        }
    }

    /// The user's phones ring, or it has none: who rings beside them begins now or later. True where somebody does or will.
    pub fn ring_others(&mut self, alone: bool) -> bool {
        let Some(callee) = &mut self.state.callee else { return false };
        let also = rules::also(&callee.features, &callee.switches);
        let (user, mut now, mut later) = (Arc::clone(&callee.user), Vec::new(), Vec::new());
        for (_, who, after_s) in also {
            if alone || after_s == 0 {
                now.extend(who.iter().cloned());
            } else {
                later.push((who.to_vec(), Duration::from_secs(after_s.into())));
            }
        }
        callee.beside = later.iter().map(|(who, _)| who.clone()).collect();
        for who in &now {
            self.ring_beside(who, &user);
        }
        for (at, (_, wait)) in (0_u8..).zip(&later) {
            self.arm(CallTimer::Beside(at), *wait);
        }
        self.state.ringing()
    }

    /// It is the turn of those who ring beside the user's phones.
    pub fn beside_due(&mut self, at: u8) {
        let Some(callee) = self.state.callee.as_mut().filter(|_| self.state.partner.is_none()) else { return };
        let who = callee.beside.get_mut(usize::from(at)).map(std::mem::take).unwrap_or_default();
        let user = Arc::clone(&callee.user);
        for who in &who {
            self.ring_beside(who, &user);
        }
    }

    /// Nobody rings any more: who would have begun later begins now. True where somebody rings.
    pub fn ring_those_left(&mut self) -> bool {
        let left: usize = self.state.callee.as_ref().map_or(0, |callee| callee.beside.len());
        for at in 0..u8::try_from(left).unwrap_or(u8::MAX) {
            self.disarm(CallTimer::Beside(at));
            self.beside_due(at);
        }
        self.state.ringing()
    }

    /// Rings a number beside the user's phones, by the user's leave. What the one who is rung has switched does not hold, but that
    /// it is not to be disturbed.
    fn ring_beside(&mut self, to: &str, by: &Arc<User>) {
        let directory = self.core.shared.directory();
        let question = Question { dialled: to, by: By::User(by), at: crate::outside::now(), sent_on: true };
        let decision = directory.routing().decide(&directory, &question, false);
        let first = self.state.next_leg;
        match decision.destination {
            Destination::User(other) => {
                let aor = directory.aor(&other);
                if self.core.shared.features.of(&other.name).do_not_disturb {
                    return self.decided(None, format!("{} is not to be disturbed", other.name));
                }
                let most = other.max_calls.unwrap_or(usize::MAX);
                let Some(line) = UserLine::take(&self.core.shared, &aor, most) else {
                    return self.decided(None, format!("{} has as many calls as it may have", other.name));
                };
                self.state.rung.push(line);
                self.decided(None, format!("{} rings as well", other.name));
                self.state.forks = 0;
                for turn in self.groups_of(&aor, None) {
                    self.ring_turn(turn);
                }
            }
            Destination::Outside(exits) => {
                self.decided(None, format!("{to} rings as well: {}", routing::brief(&decision.steps)));
                let exits = self.in_order(exits).into_iter().filter_map(|turn| match turn {
                    Turn::Exit(exit) => Some(exit),
                    Turn::Contacts(_) => None,
                });
                let exits = exits.collect();
                self.ring_outside(exits);
            }
            other => self.decided(None, format!("{to} does not ring as well: it is {}", routing::describe(&other))),
        }
        for leg in self.state.legs.iter_mut().filter(|leg| leg.outgoing && leg.id.0 >= first) {
            leg.beside = true;
        }
    }

    /// Rings a number outside by the first of these ways that takes the call.
    fn ring_outside(&mut self, mut exits: VecDeque<Exit>) -> bool {
        while let Some(exit) = exits.pop_front() {
            let before = self.state.next_leg;
            self.leave_by(exit);
            if self.state.next_leg == before {
                continue;
            }
            let leg = LegId(before);
            if let Some(leg) = self.state.leg_mut(leg) {
                leg.beside = true;
            }
            self.state.outside.push(RingsOutside { leg, began: self.core.now(), rest: exits });
            return true;
        }
        false
    }

    /// The gateway of a number that rings beside the user's phones does not take the call: the next one is tried, as for a call
    /// outside.
    pub fn next_outside(&mut self, id: LegId) -> bool {
        let at = self.state.outside.iter().position(|outside| outside.leg == id);
        let Some(at) = at.filter(|_| self.state.partner.is_none()) else { return false };
        let rest = self.state.outside.swap_remove(at).rest;
        self.ring_outside(rest)
    }

    /// The call has come to nothing at the user's phones: it goes on, where the user has said so. True when it does.
    pub fn callee_left(&mut self, why: Why) -> bool {
        if self.state.partner.is_some() || self.state.transfer.is_some() {
            return false;
        }
        let Some(callee) = self.state.callee.take() else { return false };
        let Some(to) = rules::unanswered(&callee.features, &callee.switches, why) else {
            // What the user has said comes first; then the mailbox.
            return self.take_message(&callee.user, why.reason(), why.into());
        };
        self.cancel_forks(None, Some("SIP;cause=480;text=\"the call goes on elsewhere\""));
        let aor = self.core.shared.directory().aor(&callee.user);
        self.drop_line(&aor);
        self.leave_rung(None);
        (self.state.best, self.state.why, self.state.forks) = (None, None, 0);
        self.send_on(&callee.user, &callee.features, &to, why);
        true
    }

    /// Somebody has answered: a phone of the user, or somebody who rang beside it.
    pub fn callee_answered(&mut self, id: LegId) {
        if self.state.group.is_some() {
            return;
        }
        let callee = self.state.callee.take();
        let Some(leg) = self.state.leg(id).filter(|leg| leg.beside) else { return self.leave_rung(None) };
        let (party, user) = (leg.party.clone(), leg.user.clone());
        let aor = user.map(|user| self.core.shared.directory().aor(&user));
        if let Some(callee) = callee {
            // It is not this user's call any more.
            let own = self.core.shared.directory().aor(&callee.user);
            self.drop_line(&own);
        }
        self.leave_rung(aor.as_deref());
        self.file.facts.borrow_mut().to = aor.unwrap_or(party);
    }

    /// A number outside that rang beside the user's phones has answered: so soon that it is its carrier's voice mail, which would
    /// keep the call from everybody (reference, mobility and voice, 5.5). True when it was, and has been let go.
    pub fn escaped(&mut self, client: RequestId, id: LegId, response: &Message) -> bool {
        let escape = self.state.callee.as_ref().and_then(|callee| callee.switches.escape);
        let began = self.state.outside.iter().find(|outside| outside.leg == id).map(|outside| outside.began);
        let Some((escape, began)) = escape.zip(began) else { return false };
        let took = self.core.now().saturating_sub(began);
        if took >= escape || self.state.partner.is_some() {
            return false;
        }
        self.decided(
            Some(id),
            format!("answered after {} ms: the carrier's voice mail, which is let go", took.as_millis()),
        );
        self.acknowledge_and_end(client, id, response);
        self.weigh(Status::TEMPORARILY_UNAVAILABLE, "".into());
        if !self.state.ringing() && !self.ring_next() {
            self.all_refused(Status::TEMPORARILY_UNAVAILABLE);
        }
        true
    }

    /// Whom a transfer's target sends all its calls to, and so on; the steps are in the record.
    pub fn followed(&mut self, mut route: gruu::Route) -> gruu::Route {
        let directory = self.core.shared.directory();
        while let Destination::User(user) = &route.destination {
            let features = self.core.shared.features.holding(directory.routing(), &user.name, crate::outside::now());
            let switches = directory.routing().switches(&user.routing);
            let Some(to) =
                features.forward_all.clone().filter(|to| switches.forwarding && to != DELEGATES && to != VOICEMAIL)
            else {
                break;
            };
            let user = Arc::clone(user);
            if !self.sent_on(&user, Why::Unconditional) {
                break;
            }
            let question = Question { dialled: &to, by: By::User(&user), at: crate::outside::now(), sent_on: true };
            let decision = directory.routing().decide(&directory, &question, false);
            self.decided(None, format!("{} sends all calls to {to}", user.name));
            route = decision.into();
        }
        route
    }
}

/// Why a mailbox answers for somebody who has refused.
const fn reason_of(refused: &Refused) -> ReasonForCall {
    match refused.code {
        486 => ReasonForCall::DivertBusy,
        _ => ReasonForCall::DivertForward,
    }
}

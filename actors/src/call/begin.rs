//! The INVITE that begins a call: what it asks for, who asks, where it leads.

use media::{FlowSpec, Owner, Side};
use sip::sdp::{Carrier, Meaning, MediaKind, OurKeys, Profile, RelayPolicy, Session, Srtp};
use sip::transaction::ServerId;
use sip::{Hop, Message, Name, Status};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::diverted::diverted;
use super::history::Why;
use super::keys::is_private;
use super::leg::{Leg, LegId, LegState};
use super::record::{Said, What};
use super::{Work, media as audio};
use crate::directory::{Destination, User};
use crate::gateway::Direction;
use crate::registrar::gruu;
use crate::routing::{self, By, Inbound};
use crate::shard::Identity;
use crate::shared::unix_now;
use crate::user_lines::UserLine;

impl Work<'_> {
    /// Takes the INVITE.
    pub fn begin(&mut self, server: ServerId, invite: Message, hop: Hop, identity: Identity) {
        self.state.begun = true;
        self.state.next_leg = 1;
        self.core.shared.counters.calls_begun.increment(1);
        self.note(
            Some(LegId::CALLER),
            What::Received { message: Said::request(sip::Method::Invite), from: Some(hop.into()) },
        );
        // A leg is large, and a usual call has two.
        self.state.legs.reserve_exact(2);
        self.state.legs.push(Leg::incoming(self.core, LegId::CALLER, Side::A, server, invite.clone(), hop, &identity));
        if let Identity::User(user) = &identity
            && self.core.shared.features.of(&user.name).hide_number
            && let Some(caller) = self.state.caller()
        {
            caller.hide();
        }
        if let Some(caller) = self.state.caller() {
            let mut facts = self.file.facts.borrow_mut();
            facts.from.clone_from(&caller.party);
            facts.from_hidden = caller.is_hidden();
        }
        self.tie(LegId::CALLER);

        let offer = match description(&invite) {
            Ok(offer) => offer,
            Err(why) => return self.refuse(Status::BAD_REQUEST, Some(why), 96),
        };
        if let Err(small) = self.session_answer(LegId::CALLER, &invite) {
            self.too_brief(LegId::CALLER, server, &invite, small);
            let status = Status::SESSION_INTERVAL_TOO_SMALL;
            return self.finish_unanswered("switch", "the session interval is too short", status, 127);
        }
        if let Some(leg) = self.state.caller()
            && let Err(why) = leg.exchange.received(Carrier::Invite, offer.clone())
        {
            let why = why.to_string();
            return self.refuse(Status::BAD_REQUEST, Some(&why), 96);
        }
        if let Identity::User(user) = &identity {
            let aor = self.core.shared.directory().aor(user);
            let line = UserLine::take(&self.core.shared, &aor, user.max_calls.unwrap_or(usize::MAX));
            if line.is_none() {
                self.decided(Some(LegId::CALLER), "the caller has as many calls as it may have");
                return self.refuse(Status::SERVICE_UNAVAILABLE, Some("Too Many Calls Of This User"), 34);
            }
            if let Some(leg) = self.state.caller() {
                leg.line = line;
            }
        }
        if let Identity::Gateway(gateway) = &identity
            && let Some(standing) = self.core.shared.gateways.get(&gateway.name)
        {
            match standing.take(Direction::In, unix_now()) {
                Ok(channel) => {
                    standing.tally().came.fetch_add(1, Relaxed);
                    if let Some(leg) = self.state.caller() {
                        leg.channel = Some(channel);
                    }
                }
                Err(why) => {
                    self.decided(Some(LegId::CALLER), format!("a call of gateway {} is refused: {why}", gateway.name));
                    return self.refuse_with(Status::SERVICE_UNAVAILABLE, Some("No Channel Free"), 34, |writer| {
                        writer.header(Name::Reason, format!("Q.850;cause=34;text=\"{why}\""));
                    });
                }
            }
        }
        let Ok(uri) = invite.uri() else { return self.refuse(Status::BAD_REQUEST, None, 96) };
        let dialled = uri.user_text().unwrap_or_default();
        self.file.facts.borrow_mut().dialled.clone_from(&dialled);
        if let Some(why) = offer.as_ref().map_or_else(|| self.exposed(LegId::CALLER), |o| self.unfit(LegId::CALLER, o))
        {
            self.decided(Some(LegId::CALLER), why);
            let warning = format!("399 {} \"{why}\"", self.core.own_name(&hop));
            return self.refuse_with(Status::NOT_ACCEPTABLE_HERE, Some("SRTP Policy"), 88, |writer| {
                writer.header(Name::Warning, warning);
            });
        }
        if let Some(offer) = &offer
            && !carried(&self.relay_policy(), offer)
        {
            self.decided(Some(LegId::CALLER), "no audio section that can be carried");
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, None, 88);
        }
        let divert = diverted(&invite);
        let secure = |section: &sip::sdp::Media| {
            section.protocol.contains("SAVP") || section.attributes.iter().any(|a| a.name() == "crypto")
        };
        let srtp = offer.as_ref().is_some_and(|offer| offer.media.iter().any(secure));
        let by = match &identity {
            Identity::Gateway(gateway) => {
                let claims = self.state.leg(LegId::CALLER).and_then(|leg| leg.claims.as_deref());
                let caller = claims.and_then(|claims| claims.number.as_deref()).unwrap_or_default();
                let tls = is_private(&hop);
                By::Gateway(gateway, Inbound { caller, diverted: &divert, tls, srtp })
            }
            other => other.asks(),
        };
        let route = gruu::route(&self.core.shared, &uri, by);
        self.go(route, &dialled);
    }

    /// Takes the caller to where its number leads.
    pub fn go(&mut self, route: gruu::Route, dialled: &str) {
        let directory = self.core.shared.directory();
        if !matches!(route.destination, Destination::User(_)) {
            self.file.facts.borrow_mut().to = dialled.to_owned();
        }
        if !self.admitted(&route) {
            return;
        }
        match route.destination {
            Destination::Service(crate::directory::ServiceKind::Voicemail) => {
                // Who has sent the call on to voice access means its own mailbox.
                let last = self.state.sent_on.last().map(|one| (Arc::clone(&one.by), one.why));
                if let Some((user, why)) = last.filter(|(user, _)| user.mailbox.is_some()) {
                    self.file.facts.borrow_mut().to = directory.aor(&user);
                    self.decided(None, format!("the mailbox of {} answers, to which it has sent the call", user.name));
                    return self.answer_for(&user, Some(why.into()));
                }
                self.decided(None, "the number is voice access");
                self.voice_access();
            }
            Destination::Mailbox(user) => {
                self.file.facts.borrow_mut().to = directory.aor(&user);
                self.decided(None, routing::brief(&route.steps));
                self.answer_for(&user, None);
            }
            Destination::Attendant(attendant) => {
                self.decided(None, format!("the number is attendant {}", attendant.name));
                self.attend(attendant);
            }
            Destination::Service(kind) => {
                self.decided(None, sip::text!["the number is the ", kind.as_str(), " service"]);
                self.serve(kind);
            }
            Destination::Conference { plan, number } => {
                self.decided(None, format!("the number is conference {number}"));
                self.confer(&plan, &number);
            }
            Destination::Group(plan) => self.enter_group(&plan),
            Destination::User(user) => {
                self.decided(None, sip::text![dialled, " is ", &directory.aor(&user)]);
                self.reach(user, route.instance.as_deref());
            }
            Destination::Feature(wish) => self.fulfil(wish),
            Destination::Park(place) => self.retrieve(&place),
            Destination::Outside(exits) => {
                self.decided(None, routing::brief(&route.steps));
                self.leave(exits);
            }
            Destination::Nowhere(refusal) => {
                self.decided(None, routing::brief(&route.steps));
                self.refuse_with(refusal.kind.status(), None, refusal.kind.q850(), |writer| {
                    writer.header(Name::Reason, refusal.reason());
                });
            }
        }
    }

    /// Takes a place under each object of the plan that the decision went by, in place of those under the decision before. False when
    /// one is full; then the caller is refused.
    fn admitted(&mut self, route: &gruu::Route) -> bool {
        let plans = &self.core.shared.plans;
        self.state.under.clear();
        if matches!(route.destination, Destination::Nowhere(_)) {
            plans.refuse(&route.under);
            return true;
        }
        match plans.admit(&route.under) {
            Ok(places) => {
                self.state.under = places;
                true
            }
            Err(full) => {
                self.decided(None, full.to_string());
                self.refuse_with(Status::SERVICE_UNAVAILABLE, Some("Too Many Calls"), 34, |writer| {
                    writer.header(Name::Reason, format!("Q.850;cause=34;text=\"{full}\""));
                });
                false
            }
        }
    }

    /// Takes the caller to another number, by leave of whom it was for.
    pub fn divert(&mut self, to: &str, by: &Arc<User>, why: Why) {
        if !self.sent_on(by, why) {
            self.decided(
                None,
                format!("is not sent on to {to}: {} had it before, or it was sent on too often", by.name),
            );
            return self.refuse(Status::TEMPORARILY_UNAVAILABLE, Some("Too Many Diversions"), 25);
        }
        let directory = self.core.shared.directory();
        let question = routing::Question { dialled: to, by: By::User(by), at: crate::outside::now(), sent_on: true };
        let decision = directory.routing().decide(&directory, &question, false);
        self.decided(None, format!("{} sends it on to {to}: {}", by.name, why.reason()));
        // To voice access: whose calls are sent there is not asked for a PIN, but to leave a message.
        let is_mail = matches!(decision.destination, Destination::Service(crate::directory::ServiceKind::Voicemail));
        if is_mail && self.take_message(by, why.reason(), why.into()) {
            return;
        }
        self.go(decision.into(), to);
    }

    /// What a phone or gateway needs to be rung: the media path, where the caller has offered media. False when there is
    /// none; then the caller is refused.
    pub fn ready_media(&mut self) -> bool {
        let offer = self.state.caller().and_then(|caller| caller.exchange.pending_offer().cloned());
        let Some(offer) = offer else { return true };
        if !self.open_media() {
            self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
            return false;
        }
        self.open_lines(&offer);
        true
    }

    /// Why an offer that could be carried may not be: what its party's policy says about SRTP.
    pub fn unfit(&self, id: LegId, offer: &Session) -> Option<&'static str> {
        if let Some(why) = self.exposed(id) {
            return Some(why);
        }
        let leg = self.state.leg(id)?;
        let (policy, keys) = (self.relay_policy(), leg.keys.ours(Some(offer), leg.profile));
        let web = (keys.profile == Profile::Dtls).then(|| leg.keys.any_web());
        let keys = OurKeys { web, ..keys };
        let sound = offer.media.iter().filter(|section| section.kind == MediaKind::Audio);
        let mut carried = sound.filter(|section| policy.carries(offer, section)).peekable();
        carried.peek()?;
        match carried.any(|section| keys.takes(offer, section)) {
            true => None,
            false if leg.keys.srtp() == Srtp::Never => Some("SRTP is switched off for this user"),
            false if leg.keys.srtp() == Srtp::Require => {
                Some("SRTP is required of this user: offer RTP/SAVP with a=crypto")
            }
            false => Some("none of the crypto suites offered is known here"),
        }
    }

    fn exposed(&self, id: LegId) -> Option<&'static str> {
        let exposed = self.state.leg(id).is_some_and(|leg| leg.keys.exposed());
        exposed.then_some("SRTP is required of this user, and its keys may not travel in plain SIP: use TLS")
    }

    /// Who hears of the call's media: the call.
    pub fn media_owner(&self) -> Owner {
        Owner { key: self.key.0, events: std::sync::Arc::clone(&self.core.media_events) }
    }

    /// The media path, opened when it is first needed. False when the pool has no room; then the call must be refused.
    pub fn open_media(&mut self) -> bool {
        if self.state.flow.is_some() {
            return true;
        }
        let owner = self.media_owner();
        // A conference is mixed on one worker, and whoever is in it must be there.
        let spec = FlowSpec {
            worker: self.state.seated.as_ref().map(crate::conference::Seated::worker),
            ..FlowSpec::default()
        };
        match self.core.shared.pool.open(owner, spec) {
            Ok(flow) => {
                let caller = self.state.caller().map(|caller| audio::whereabouts(caller));
                if caller.is_some_and(|whereabouts| flow.choose_port(Side::A, whereabouts).is_err()) {
                    flow.close();
                    let what = "not opened: the caller needs a port of its own, and none is free";
                    self.note(None, What::Media { what: what.into() });
                    return false;
                }
                let what = sip::text!["opened ", flow.local(Side::A), " and ", flow.local(Side::B)];
                self.note(None, What::Media { what: what.into() });
                self.state.flow = Some(flow);
                true
            }
            Err(error) => {
                tracing::warn!(call = %self.key, %error, "no media path");
                self.note(None, What::Media { what: format!("not opened: {error}").into() });
                false
            }
        }
    }

    /// Refuses the caller and ends the call.
    pub fn refuse(&mut self, status: Status, reason: Option<&str>, q850: u8) {
        self.refuse_with(status, reason, q850, |_| {});
    }

    /// As [`Work::refuse`], with headers.
    pub fn refuse_with(&mut self, status: Status, reason: Option<&str>, q850: u8, fill: impl FnOnce(&mut sip::Writer)) {
        self.refuse_by("switch", status, reason, q850, fill);
    }

    /// As [`Work::refuse_with`], for the record in the name of who refuses.
    pub fn refuse_by(
        &mut self,
        by: &str,
        status: Status,
        reason: Option<&str>,
        q850: u8,
        fill: impl FnOnce(&mut sip::Writer),
    ) {
        let cause = reason.unwrap_or(status.reason());
        let Some((server, invite)) = self.state.caller().and_then(|leg| leg.server.take()) else {
            // Answered already: nothing can be refused any more, only ended.
            self.hang_up_rest(None);
            return self.finish(by, cause, status, q850);
        };
        let mut writer = self.reply_inside(LegId::CALLER, &invite, status, reason);
        if status == Status::SERVICE_UNAVAILABLE {
            let after = self.core.shared.settings().admission.retry_after.as_secs().max(1);
            writer.header(Name::RetryAfter, after.to_string());
        }
        fill(&mut writer);
        self.respond(LegId::CALLER, server, invite.method(), status, writer.finish());
        self.finish_unanswered(by, cause, status, q850);
    }

    /// The call has ended without an answer: the caller has its refusal already.
    pub fn finish_unanswered(&mut self, by: &str, cause: &str, status: Status, q850: u8) {
        for leg in &mut self.state.legs {
            if leg.id == LegId::CALLER {
                leg.state = LegState::Ended;
            }
        }
        self.untie(LegId::CALLER);
        self.finish(by, cause, status, q850);
    }
}

/// The description of a message: its body, or the `application/sdp` part of a multipart body (RFC 5621 section 3.2).
///
/// # Errors
/// A description that cannot be read, in words.
pub fn description(message: &Message) -> Result<Option<Session>, &'static str> {
    let Some(body) = message.content("application/sdp") else { return Ok(None) };
    Session::parse(body).map(Some).map_err(|_| "Session Description malformed")
}

/// Whether some sound of an offer can be carried.
fn carried(policy: &RelayPolicy, offer: &Session) -> bool {
    offer.media.iter().any(|section| section.kind == MediaKind::Audio && policy.carries(offer, section))
}

/// Whether a meaning is an answer that puts descriptions in force or shows them.
pub const fn is_answer(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Answer | Meaning::Preview)
}

//! Ringing a user: one INVITE to every contact, early answers passed back, the first answer wins (RFC 3261 sections 13, 16.7).

use media::{Side, Source};
use sip::dialog::Dialog;
use sip::dialog::reliable::{Sent, Verdict};
use sip::dialog::session_timer::Policy;
use sip::sdp::{Carrier, Meaning, Profile, Session, relay_offer};
use sip::transaction::{ServerEnd, ServerId};
use sip::{Hop, Message, Method, Name, Status, Writer};
use std::fmt::Write as _;
use std::time::Duration;

use super::begin::description;
use super::cancel::{q850_of, rank};
use super::leg::{Abilities, Leg, LegId, LegState, TooLong, Unpracked};
use super::modify::resumed;
use super::record::{Said, What};
use super::{CallTimer, Work, media as audio};
use crate::location::Contact;
use crate::outgoing;
use crate::shard::core::new_branch;
use crate::shard::{ALLOW, RequestId, SUPPORTED, Unanswered, Way};

/// As [`SUPPORTED`] in an INVITE without offer: a reliable provisional response would have to carry the offer, whose
/// answer only the caller can give (RFC 3262 section 5), and in its ACK.
const SUPPORTED_WITHOUT_OFFER: &str = "replaces, timer, norefersub";

/// Why a phone whose media must be encrypted is not called over SIP that is not.
pub const NEEDS_TLS: &str = "SRTP Needs SIP Over TLS";

impl Work<'_> {
    /// Rings every contact of an address of record, or the one instance that a GRUU names (RFC 5627 section 3.3).
    pub fn ring(&mut self, aor: &str, instance: Option<&str>, offer: Option<&Session>) {
        let settings = self.core.shared.settings();
        self.state.forks = 0;
        let groups = self.groups_of(aor, instance);
        self.state.tried.push(aor.to_owned());
        if groups.is_empty() {
            self.decided(None, sip::text![aor, " is not registered"]);
            return self.refuse_with(Status::TEMPORARILY_UNAVAILABLE, None, 20, |writer| {
                writer.header(Name::Reason, "Q.850;cause=20;text=\"not registered\"");
            });
        }
        if offer.is_some() && !self.open_media() {
            return self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
        }
        self.decided(
            None,
            sip::text![aor, " has ", self.state.forks as u64, " contacts of ", groups.len() as u64, " q"],
        );
        if !self.ring_groups(groups) {
            if let Some((status, _)) = self.state.best {
                return self.all_refused(status);
            }
            return self.refuse(Status::SERVICE_UNAVAILABLE, None, 41);
        }
        // The caller may set its INVITE a time (RFC 3261 section 13.3.1); ours is the longest.
        let invite = self.state.caller().and_then(|leg| leg.server.as_ref()).map(|(_, invite)| invite);
        let expires = invite.and_then(|i| i.number(Name::Expires, u64::from(u32::MAX)).ok().flatten());
        let expires = expires.map(Duration::from_secs).filter(|e| *e < settings.sip.max_ringing);
        self.state.expires = expires.is_some();
        self.arm(CallTimer::Ringing, expires.unwrap_or(settings.sip.max_ringing));
        self.lamps();
    }

    /// Sends an INVITE to a contact, as a new leg: for the caller on side B, or on the side of whoever transfers the call.
    pub fn invite(&mut self, contact: &Contact, aor: &str) {
        let (side, theirs) = self.place();
        let Some(id) = self.state.new_leg() else { return };
        let leg = Leg::outgoing(self.core, id, side, contact, aor.to_owned());
        if leg.keys.exposed() {
            self.decided(None, format!("{aor} at {} is not rung: its SRTP keys would travel in plain SIP", leg.hop));
            return self.weigh(Status::NOT_ACCEPTABLE_HERE, NEEDS_TLS.into());
        }
        let ours = theirs.and_then(|theirs| self.first_offer(&leg, &theirs));
        self.state.legs.push(leg);
        self.send_invite(id, contact.uri.as_bytes(), &contact.path, aor, ours, None);
    }

    /// What a contact is offered of what the party that waits for it has said.
    fn first_offer(&self, leg: &Leg, theirs: &Session) -> Option<Session> {
        let our = audio::ours(self.state.flow.as_ref()?, leg, Some(theirs));
        Some(relay_offer(theirs, &our, &self.relay_policy()))
    }

    /// The side of the media path on which contacts are rung, and what the party that waits for them has said.
    pub fn place(&self) -> (Side, Option<Session>) {
        if let Some(place) = self.transfer_place() {
            return place;
        }
        let exchange = self.state.leg(LegId::CALLER).map(|caller| &caller.exchange);
        let offer = exchange.and_then(|e| e.pending_offer().cloned().or_else(|| e.remote().map(resumed)));
        (Side::B, offer)
    }

    /// Sends the first INVITE of an outgoing leg. `session` is what a 422 made of our wish.
    pub fn send_invite(
        &mut self,
        id: LegId,
        target: &[u8],
        path: &[Box<str>],
        to: &str,
        offer: Option<Session>,
        session: Option<Policy>,
    ) {
        let (core, key) = (self.core, self.key);
        let settings = core.shared.settings();
        let (from, forwards) = self.caller_headers();
        let policy = self.session_policy();
        let Some(leg) = self.state.leg_mut(id) else { return };
        let branch = new_branch();
        let from = sip::text![&from, ";tag=", &leg.tag];
        let (interval, min_se) = session.unwrap_or(policy).offer();
        let body = offer.as_ref().map(Session::print);
        // Via and Contact are of the way that it goes; all else is the same on every way.
        let compose = |leg: &Leg| {
            let mut writer = Writer::request(sip::message::RequestHead {
                method: &Method::Invite,
                uri: target,
                via: &outgoing::via(core, &leg.hop, &branch),
                from: from.as_bytes(),
                to: sip::text!["<sip:", to, ">"].as_bytes(),
                call_id: leg.call_id.as_bytes(),
                cseq: 1,
                max_forwards: forwards,
            });
            for hop in path {
                writer.header(Name::Route, hop.as_bytes());
            }
            writer
                .header(Name::Contact, leg.contact(core, key, &leg.hop))
                .header(Name::Allow, ALLOW)
                .header(Name::Supported, if body.is_some() { SUPPORTED } else { SUPPORTED_WITHOUT_OFFER })
                .header(Name::SessionExpires, &interval)
                .header(Name::MinSe, &min_se)
                .header(Name::UserAgent, &settings.sip.user_agent);
            match &body {
                Some(body) => writer.body("application/sdp", body.as_bytes()),
                None => writer.finish(),
            }
        };
        if leg.exchange.sent(Carrier::Invite, offer).is_err() {
            leg.state = LegState::Ended;
            return;
        }
        let mut bytes = compose(leg);
        if leg.too_long == TooLong::ByStream
            && let Some(stream) = outgoing::by_stream(core, &leg.hop, bytes.len())
        {
            leg.too_long = TooLong::Tried(std::mem::replace(&mut leg.hop, stream));
            bytes = compose(leg);
        }
        leg.invite = Message::parse(bytes.clone()).ok();
        let way = match leg.named.clone() {
            Some(named) => Way::Named(*named),
            None => Way::Hop(leg.hop),
        };
        let client = core.request(self.owner(id), &Method::Invite, &branch, &way, bytes);
        if let Some(leg) = self.state.leg_mut(id) {
            leg.client = client;
        }
        if client.is_none() {
            return self.untie(id);
        }
        self.tie(id);
        if let Way::Hop(hop) = way {
            self.note(Some(id), What::Sent { message: Said::request(Method::Invite), to: Some(hop.into()) });
        }
    }

    /// From without tag, and the hops that are left, for requests on behalf of the caller.
    fn caller_headers(&mut self) -> (String, u8) {
        // Whom a transfer calls, it calls for the party that stays.
        let stays = self.state.transfer.as_ref().and_then(|t| self.state.leg(t.stays())).map(|leg| leg.party.clone());
        let from = stays.unwrap_or_else(|| self.file.facts.borrow().from.clone());
        let directory = self.core.shared.directory();
        let user = from.split('@').next().unwrap_or_default();
        let (display, address) = match directory.user(user) {
            Some(user) => {
                let number = user.extension.as_deref().unwrap_or(&user.name);
                (user.display.clone(), sip::text![number, "@", directory.domain()])
            }
            // A stranger's name is its own: nothing in it may leave the user part.
            None => match from.rsplit_once('@') {
                Some((user, host)) => (String::new(), format!("{}@{host}", sip::value::escape_user(user))),
                None => (String::new(), from),
            },
        };
        let invite = self.state.caller().and_then(|leg| leg.server.as_ref()).map(|(_, invite)| invite);
        let forwards = invite
            .and_then(|i| i.number(Name::MaxForwards, 255).ok().flatten())
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(70);
        let display = display.replace(['"', '\\'], "");
        let mut out = String::new();
        if !display.is_empty() {
            let _ = write!(out, "\"{display}\" ");
        }
        let _ = write!(out, "<sip:{address}>");
        (out, forwards.saturating_sub(1))
    }

    /// A response on any leg.
    pub fn response(&mut self, client: RequestId, id: LegId, response: &Message, hop: Hop) {
        let Some(status) = response.status() else { return };
        // Who answers has been reached: there is no other way to try.
        if let Some(leg) = self.state.leg_mut(id) {
            leg.too_long = TooLong::ByDatagram;
        }
        if status.code() == 100 {
            return;
        }
        self.note(
            Some(id),
            What::Received { message: Said::response(status, response.method()), from: Some(hop.into()) },
        );
        if self.passed_back(client, response, status) {
            return;
        }
        match response.method() {
            Method::Invite => self.invite_response(client, id, response, status),
            Method::Bye => {
                if status.is_final() {
                    self.untie(id);
                }
            }
            Method::Update => self.update_response(id, response, status),
            _ => {
                // A dialog that the party no longer knows is over (RFC 3261 section 12.2.1.2).
                if matches!(status.code(), 481 | 408)
                    && self.state.leg(id).is_some_and(|l| l.state == LegState::Confirmed)
                {
                    self.party_gone(id, "the party no longer knows the dialog");
                }
            }
        }
    }

    fn invite_response(&mut self, client: RequestId, id: LegId, response: &Message, status: Status) {
        let Some(leg) = self.state.leg(id) else { return };
        match leg.state {
            LegState::Confirmed => self.reinvite_response(client, id, response, status),
            LegState::Early | LegState::Late if leg.outgoing => {
                if status.is_provisional() {
                    if leg.state == LegState::Early {
                        self.progress(id, response, status);
                    }
                } else if status.is_success() {
                    self.picked_up(client, id, response);
                } else {
                    self.fork_refused(id, response, status);
                }
            }
            // A re-INVITE of ours that crossed the BYE: its 2xx wants its ACK, and the BYE has its own answer to come.
            _ if leg.dialog.as_ref().is_some_and(|d| d.state() == sip::dialog::State::Confirmed) => {
                if status.is_success() && leg.dialog.as_ref().is_some_and(|d| d.owns(response)) {
                    self.send_ack(client, id, response, None);
                } else if status.is_success() {
                    self.end_other_fork(client, id, response);
                }
            }
            _ => {
                // A leg that was cancelled and answered all the same: it is taken and hung up (section 9.1).
                if status.is_success() {
                    self.acknowledge_and_end(client, id, response);
                } else if status.is_final() {
                    self.untie(id);
                }
            }
        }
    }

    /// 18x: an early dialog, perhaps early media, perhaps to be acknowledged (RFC 3262).
    fn progress(&mut self, id: LegId, response: &Message, status: Status) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        leg.abilities = Abilities::of(response);
        leg.turn_to(response);
        let rack = match leg.reliable_received.judge(response) {
            Verdict::Drop => return,
            Verdict::Plain => None,
            Verdict::Prack(rack) => Some(rack),
        };
        let reliable = rack.is_some();
        let carrier = if reliable { Carrier::ReliableProvisional } else { Carrier::UnreliableProvisional };
        let body = description(response).ok().flatten();
        let has_media = body.is_some();
        let meaning = leg.exchange.received(carrier, body).unwrap_or(Meaning::Ignored);
        if let Some(rack) = rack {
            self.send_inside(id, &Method::Prack, |mut writer| {
                writer.header(Name::RAck, rack);
                writer.finish()
            });
        }
        if super::begin::is_answer(meaning) {
            self.connect_side(id);
        }
        if self.transfer_progress(id, status) {
            return;
        }
        if super::begin::is_answer(meaning) {
            self.state.heard = Some(id);
        }
        self.tell_caller(id, status, has_media && super::begin::is_answer(meaning));
    }

    /// Passes a provisional answer on to the caller, with the early media's description when there is some.
    fn tell_caller(&mut self, from: LegId, status: Status, with_media: bool) {
        let answer = with_media.then(|| self.answer_for_caller(from)).flatten();
        let has_media = answer.is_some();
        let Some(caller) = self.state.caller() else { return };
        let Some((server, invite)) = caller.server.clone() else { return };
        if caller.told == Some((status, has_media)) && !has_media {
            return;
        }
        if caller.dialog.is_none() {
            caller.dialog = Dialog::of_server(&invite, &caller.tag).ok();
        }
        let reliable = caller.abilities.reliable_required || (caller.abilities.reliable && has_media);
        if reliable && caller.unpracked != Unpracked::Nothing {
            // RFC 3262 section 3: one at a time. What this one would have said, the answer says.
            return;
        }
        caller.told = Some((status, has_media));
        let carrier = if reliable { Carrier::ReliableProvisional } else { Carrier::UnreliableProvisional };
        // An answer that went out reliably is the answer; it is not said again.
        let body = answer.filter(|a| {
            matches!(caller.exchange.sent(carrier, Some(a.clone())), Ok(Meaning::Answer | Meaning::Preview))
        });
        let rseq = if reliable { caller.reliable_sent.as_mut().map_or(1, Sent::next_rseq) } else { 0 };
        let mut writer = self.reply_inside(LegId::CALLER, &invite, status, None);
        if reliable {
            writer.header(Name::Require, "100rel").header(Name::RSeq, rseq.to_string());
        }
        let bytes = match &body {
            Some(body) => writer.body("application/sdp", body.print().as_bytes()),
            None => writer.finish(),
        };
        if reliable {
            if self.core.respond_reliably(server, rseq, bytes) {
                if let Some(caller) = self.state.caller() {
                    caller.unpracked = if body.is_some() { Unpracked::Description } else { Unpracked::Plain };
                }
                let to = self.state.leg(LegId::CALLER).map(|l| l.hop);
                self.note(
                    Some(LegId::CALLER),
                    What::Sent { message: Said::response(status, &Method::Invite), to: to.map(Into::into) },
                );
            }
        } else {
            self.respond(LegId::CALLER, server, invite.method(), status, bytes);
        }
        if body.is_some() {
            self.connect_side(LegId::CALLER);
            if let Some(flow) = &self.state.flow {
                audio::hear(flow, Side::A, Source::Peer);
            }
        }
    }

    /// A contact says no. When it was the last, the caller hears the best of all noes (RFC 3261 section 16.7 step 6).
    fn fork_refused(&mut self, id: LegId, response: &Message, status: Status) {
        let in_turn = self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early);
        if status == Status::SESSION_INTERVAL_TOO_SMALL && in_turn && self.retry_with_longer_session(id, response) {
            return;
        }
        if matches!(status.code(), 300..=399) && in_turn && self.redirected(id, response) {
            return;
        }
        if matches!(status.code(), 488 | 606) && in_turn && self.retry_with_another_profile(id) {
            return;
        }
        // A phone that declines for all of its owner's phones (6xx) ends the ringing of the others, before its refusal
        // is weighed: it is the last one then.
        if status.code() >= 600 {
            self.cancel_forks(Some(id), None);
        }
        let reason: std::sync::Arc<str> = response.reason().into_owned().into();
        self.fork_over(id, status, reason);
    }

    /// A leg that rang is over; when no other rings the next group has its turn, and after the last the caller hears of it.
    pub fn fork_over(&mut self, id: LegId, status: Status, reason: std::sync::Arc<str>) {
        self.untie(id);
        let answered = self.state.partner.is_some() && self.transfer_place().is_none();
        if answered || self.state.ringing() {
            return self.weigh(status, reason);
        }
        self.weigh(status, reason);
        if !self.ring_next() {
            self.all_refused(status);
        }
    }

    /// A refusal, of which the caller hears if it is the best of all (RFC 3261 section 16.7 step 6).
    pub fn weigh(&mut self, status: Status, reason: std::sync::Arc<str>) {
        let better = self.state.best.as_ref().is_none_or(|(best, _)| rank(status) < rank(*best));
        if better {
            self.state.best = Some((status, reason));
        }
    }

    /// Nobody rings and nobody is left whose turn could come; `last` is the last refusal.
    pub fn all_refused(&mut self, last: Status) {
        self.cancel_forks(None, None);
        if self.transfer_place().is_some() {
            return self.transfer_failed(last);
        }
        let (status, reason) = self.state.best.clone().unwrap_or((Status::TEMPORARILY_UNAVAILABLE, "".into()));
        // What a callee says about credentials or routes is between it and us.
        let status = match status.code() {
            401 | 407 | 300..=399 | 482 | 483 => Status::TEMPORARILY_UNAVAILABLE,
            503 => Status::SERVER_INTERNAL_ERROR,
            _ => status,
        };
        let reason = if reason.is_empty() { None } else { Some(&*reason) };
        let q850 = q850_of(status);
        self.refuse_by("callee", status, reason, q850, |writer| {
            writer.header(Name::Reason, format!("Q.850;cause={q850}"));
        });
    }

    /// 422: once more with the interval that is asked for (RFC 4028 section 7.3).
    fn retry_with_longer_session(&mut self, id: LegId, response: &Message) -> bool {
        let Some(raised) = self.session_policy().raised(response) else { return false };
        let Some(leg) = self.state.leg_mut(id) else { return false };
        let Some(invite) = leg.invite.take() else { return false };
        // A raised wish that is refused again is given up: two tries.
        if std::mem::replace(&mut leg.session_raised, true) {
            return false;
        }
        let offer = leg.exchange.pending_offer().cloned();
        leg.exchange.failed();
        let call_id = self.core.new_call_id();
        self.core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
        leg.call_id = call_id;
        self.invite_again(id, &invite, offer, Some(raised));
        true
    }

    /// A phone that refuses a transport may be one that takes another: once more with the next that our policy has for it.
    fn retry_with_another_profile(&mut self, id: LegId) -> bool {
        let (_, theirs) = self.place();
        let Some((leg, theirs)) = self.state.leg_mut(id).zip(theirs) else { return false };
        let Some(refused) = leg.exchange.pending_offer().cloned() else { return false };
        let now = leg.profile;
        let rest: Vec<Profile> = leg.profiles().into_iter().skip_while(|profile| *profile != now).skip(1).collect();
        leg.exchange.failed();
        let transports = |offer: &Session| offer.media.iter().map(|media| media.protocol.clone()).collect::<Vec<_>>();
        for profile in rest {
            let Some(leg) = self.state.leg_mut(id) else { return false };
            leg.profile = profile;
            let Some(leg) = self.state.leg(id) else { return false };
            let offer = self.first_offer(leg, &theirs).filter(|offer| transports(offer) != transports(&refused));
            let Some(offer) = offer else { continue };
            let named = offer.media.iter().find(|media| media.port != 0).map(|media| media.protocol.clone());
            let call_id = self.core.new_call_id();
            let Some(leg) = self.state.leg_mut(id) else { return false };
            let Some(invite) = leg.invite.take() else { return false };
            self.core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
            leg.call_id = call_id;
            let named = named.unwrap_or_default();
            self.decided(Some(id), format!("refuses what was offered: the INVITE goes once more, with {named}"));
            self.invite_again(id, &invite, Some(offer), None);
            return self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early);
        }
        false
    }

    /// There is no connection to a party whose INVITE is too long for a datagram: it goes by UDP all the same (the
    /// exception of RFC 3261 section 18.1.1), so that a phone without TCP rings.
    fn retry_by_datagram(&mut self, id: LegId) -> bool {
        let Some(leg) = self.state.leg_mut(id) else { return false };
        let TooLong::Tried(hop) = leg.too_long else { return false };
        let Some(invite) = leg.invite.take() else { return false };
        leg.too_long = TooLong::ByDatagram;
        leg.hop = hop;
        let offer = leg.exchange.pending_offer().cloned();
        leg.exchange.failed();
        self.decided(Some(id), "no TCP there: the INVITE goes by UDP, long as it is");
        self.invite_again(id, &invite, offer, None);
        self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early)
    }

    /// Sends the INVITE of a leg once more, with what the leg says now.
    fn invite_again(&mut self, id: LegId, invite: &Message, offer: Option<Session>, session: Option<Policy>) {
        let Some(to) = self.state.leg(id).map(|leg| leg.party.clone()) else { return };
        let path: Vec<Box<str>> =
            invite.values(Name::Route).filter_map(Result::ok).map(|r| String::from_utf8_lossy(r).into()).collect();
        self.send_invite(id, invite.request_uri(), &path, &to, offer, session);
    }

    /// A request of ours got no final answer.
    pub fn unanswered(&mut self, client: RequestId, id: LegId, why: Unanswered) {
        let status = why.status();
        self.decided(Some(id), format!("no answer: {why}"));
        if self.passed_unanswered(client, status) {
            return;
        }
        let Some((state, waiting)) = self.state.leg(id).map(|leg| (leg.state, leg.client)) else { return };
        match state {
            // A PRACK without answer: the callee, which has not seen it either, ends its INVITE (RFC 3262 section 3).
            LegState::Early if waiting != Some(client) => {}
            LegState::Early if why == Unanswered::TransportFailed && self.retry_by_datagram(id) => {}
            LegState::Early | LegState::Late => self.fork_over(id, status, why.phrase().into()),
            LegState::Confirmed => self.party_gone(id, "the party does not answer"),
            LegState::Ending => self.untie(id),
            LegState::Ended => {}
        }
    }

    /// A final answer of ours got no ACK, or a provisional one no PRACK.
    pub fn answer_lost(&mut self, server: ServerId, id: LegId, why: ServerEnd) {
        self.decided(Some(id), format!("no acknowledgement: {why:?}"));
        let Some(leg) = self.state.leg_mut(id) else { return };
        match (why, leg.state) {
            // RFC 3262 section 3: the INVITE is answered with a 5xx.
            (ServerEnd::ProvisionalNotAcknowledged, LegState::Early) => {
                self.hang_up_rest(None);
                self.refuse(Status::new(504).unwrap_or(Status::SERVER_INTERNAL_ERROR), None, 102);
            }
            // RFC 3261 section 13.3.1.4: the dialog is ended with BYE.
            (ServerEnd::NoAck, LegState::Confirmed) if leg.ack_due => {
                self.hang_up_all("switch", "the answer was never acknowledged")
            }
            (ServerEnd::TransportFailed, LegState::Early) if leg.server.as_ref().is_some_and(|(s, _)| *s == server) => {
                leg.server = None;
                self.hang_up_rest(None);
                self.finish_unanswered("switch", "the caller cannot be reached", Status::SERVICE_UNAVAILABLE, 38);
            }
            (ServerEnd::TransportFailed, LegState::Confirmed) => self.party_gone(id, "the way to the party is gone"),
            _ => {}
        }
    }
}

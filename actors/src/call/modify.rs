//! Changes of a session, in a call that is up or still rings: hold and resume, new addresses, session refresh (RFC 3261 section 14,
//! RFC 3311, RFC 6337 section 2.2).
//!
//! The switch answers such an offer itself, from what the other party has agreed to: its media is anchored here, so the
//! other party need not be asked. A party that is put on hold hears music.

use media::Source;
use rand::Rng;
use sip::sdp::{Carrier, Meaning, Refusal, Session, relay_answer, revise};
use sip::transaction::ServerId;
use sip::{Message, Method, Name, Status};

use super::begin::description;
use super::leg::{Abilities, LegId, LegState};
use super::record::What;
use super::{CallTimer, Work, media as audio};
use crate::outside::{self, Chance};
use crate::shard::{RequestId, SUPPORTED};

impl Work<'_> {
    /// A re-INVITE or UPDATE of a party.
    pub fn modify(&mut self, server: ServerId, id: LegId, request: Message) {
        let is_invite = *request.method() == Method::Invite;
        let Some(leg) = self.state.leg_mut(id) else { return };
        let seen = Abilities::of(&request);
        leg.abilities = match is_invite {
            true => seen,
            // Whether provisional responses may be reliable is said by the INVITE alone.
            false => Abilities {
                reliable_required: leg.abilities.reliable_required,
                reliable: leg.abilities.reliable,
                ..seen
            },
        };
        let misplaced = match leg.state {
            LegState::Early => false,
            // A transferor whose place is taken, or a newcomer that has none yet: neither has a side of the media path.
            LegState::Confirmed => self.state.partner.is_some() && self.state.other(id).is_none(),
            LegState::Late | LegState::Ending | LegState::Ended => true,
        };
        if misplaced {
            return self.answer_plain(id, server, &request, Status::REQUEST_PENDING, None);
        }
        let Some(leg) = self.state.leg_mut(id) else { return };
        // RFC 3261 section 14.2: one INVITE at a time in each direction.
        if is_invite && leg.server.is_some() {
            return self.later(id, server, &request);
        }
        if is_invite && leg.client.is_some() {
            return self.answer_plain(id, server, &request, Status::REQUEST_PENDING, None);
        }
        if let Err(small) = self.session_answer(id, &request) {
            return self.too_brief(id, server, &request, small);
        }
        if !self.ask_about_lines(server, id, &request) {
            self.answer_change(server, id, &request);
        }
    }

    /// Answers a re-INVITE or UPDATE that may stand.
    pub fn answer_change(&mut self, server: ServerId, id: LegId, request: &Message) {
        let Ok(timer) = self.session_answer(id, request) else { return };
        let Some((meaning, ours)) = self.negotiate(server, id, request) else { return };
        if *request.method() == Method::Invite
            && let Some(leg) = self.state.leg_mut(id)
        {
            leg.ack_due = true;
        }
        if meaning == Meaning::Offer {
            // The party sends as soon as it has read this: its way is open before.
            self.connect_lines(id);
        }
        let mut writer = self.reply_inside(id, request, Status::OK, None);
        self.session_agreed(id, &timer, &mut writer, request);
        let bytes = match &ours {
            Some(ours) => writer.body("application/sdp", ours.print().as_bytes()),
            None => writer.finish(),
        };
        self.respond(id, server, request.method(), Status::OK, bytes);
        if meaning == Meaning::Offer {
            self.renegotiated(id);
        }
    }

    /// What an INVITE, UPDATE or PRACK of a party inside its dialog means for the session, and the description that its
    /// 2xx has. `None`: it does not stand, it has its refusal, and nothing has changed.
    pub fn negotiate(&mut self, server: ServerId, id: LegId, request: &Message) -> Option<(Meaning, Option<Session>)> {
        let (carrier, reply) = match request.method() {
            Method::Invite => (Carrier::Invite, Carrier::InviteOk),
            Method::Prack => (Carrier::Prack, Carrier::PrackOk),
            _ => (Carrier::Update, Carrier::UpdateOk),
        };
        let refuse = |work: &Self, status, why: Option<&str>| {
            work.answer_plain(id, server, request, status, why);
            None
        };
        let body = match description(request) {
            Ok(body) => body,
            Err(why) => return refuse(self, Status::BAD_REQUEST, Some(why)),
        };
        let leg = self.state.leg_mut(id)?;
        let before = leg.exchange.clone();
        let meaning = match leg.exchange.received(carrier, body) {
            Ok(meaning) => meaning,
            Err(Refusal::Glare) => return refuse(self, Status::REQUEST_PENDING, None),
            Err(Refusal::Busy) => {
                self.later(id, server, request);
                return None;
            }
            Err(why) => return refuse(self, Status::BAD_REQUEST, Some(&why.to_string())),
        };
        let ours = match meaning {
            Meaning::Offer => match self.counter(id) {
                Some(answer) => Some(answer),
                None => {
                    let offer = self.state.leg(id)?.exchange.pending_offer();
                    let unfit = offer.and_then(|offer| self.unfit(id, offer));
                    self.state.leg_mut(id)?.exchange = before;
                    self.decided(Some(id), unfit.unwrap_or("the new offer has no codec that the other party has"));
                    return refuse(self, Status::NOT_ACCEPTABLE_HERE, unfit.map(|_| "SRTP Policy"));
                }
            },
            // Without an offer we offer what is in force, and that both may talk: only so can a phone on hold come back
            // (section 14.2, RFC 6337 section 5.3).
            Meaning::OfferInvited => self
                .state
                .leg(id)
                .and_then(|leg| leg.exchange.local().map(resumed))
                .map(|offer| sip::sdp::reoffer(&offer)),
            _ => None,
        };
        let leg = self.state.leg_mut(id)?;
        if let Err(why) = leg.exchange.sent(reply, ours.clone()) {
            leg.exchange = before;
            tracing::error!(call = %self.key, %why, "our own answer does not stand");
            return refuse(self, Status::SERVER_INTERNAL_ERROR, None);
        }
        Some((meaning, ours))
    }

    /// A party has a new agreement with us: its media follows.
    pub fn renegotiated(&mut self, id: LegId) {
        self.connect_side(id);
        self.follow_hold(id);
        let rings = self.state.leg(id).is_some_and(|leg| leg.outgoing && leg.state == LegState::Early);
        if rings && self.transfer_place().is_none() {
            self.state.heard = Some(id);
        }
        self.retell_deaf(id);
        self.settle_lines();
    }

    /// RFC 3261 section 14.2, RFC 3311 section 5.2: 500 with a Retry-After of 0 to 10 s.
    fn later(&self, id: LegId, server: ServerId, request: &Message) {
        let mut writer =
            self.reply_inside(id, request, Status::SERVER_INTERNAL_ERROR, Some("Another Request Is Pending"));
        writer.header(Name::RetryAfter, Chance.random_range(0..=10_u8).to_string());
        self.respond(id, server, request.method(), Status::SERVER_INTERNAL_ERROR, writer.finish());
    }

    /// The answer to a party's new offer: what the other party has agreed to, in the offer's numbers.
    fn counter(&self, id: LegId) -> Option<Session> {
        let leg = self.state.leg(id)?;
        let offer = leg.exchange.pending_offer()?;
        let answer = match self.opposite(id) {
            Some(theirs) => {
                let our = audio::ours(self.state.paths()?, leg, Some(offer));
                relay_answer(offer, &theirs, &our, &self.relay_policy())
            }
            None if self.state.service.is_some() => self.own_description(id)?,
            None => return None,
        };
        // A party on hold may close its audio with port 0; everything else needs a codec.
        if !answer.has_active_media() && offer.has_active_media() {
            return None;
        }
        Some(leg.exchange.local().map_or(answer.clone(), |before| revise(before, answer)))
    }

    /// What is said opposite of a party: by the other party, or before the answer by who may be it.
    fn opposite(&self, id: LegId) -> Option<Session> {
        let said = |leg: LegId| self.state.leg(leg)?.their_description().map(resumed);
        match self.state.other(id) {
            Some(other) => said(other),
            None if id == LegId::CALLER => said(self.state.heard?),
            None => self.place().1,
        }
    }

    /// Music for the other party while this one holds, each other again when it does not.
    pub fn follow_hold(&mut self, id: LegId) {
        let Some(leg) = self.state.leg(id).filter(|leg| leg.exchange.remote().is_some()) else { return };
        let holds = audio::sound(leg.exchange.agreed()).is_none_or(|sound| !sound.send);
        let side = leg.side;
        if leg.holds == holds {
            return;
        }
        if let Some(leg) = self.state.leg_mut(id) {
            leg.holds = holds;
        }
        self.note(Some(id), What::Media { what: if holds { "holds" } else { "resumes" }.into() });
        if !holds && let Some(other) = self.state.other(id) {
            // It may have been silent for long: its time-out begins anew.
            self.connect_side(other);
        }
        if self.state.partner.is_none() {
            if !holds {
                self.play();
            }
            return;
        }
        if let Some(flow) = &self.state.flow {
            audio::hear(flow, side.other(), if holds { Source::MusicOnHold } else { Source::Peer });
        }
    }

    /// Two parties are put together: each hears the other, or music while the other holds.
    pub fn hear_each_other(&mut self, one: LegId, other: LegId) {
        for (party, hears) in [(one, other), (other, one)] {
            let (Some(party), Some(hears), Some(flow)) =
                (self.state.leg(party), self.state.leg(hears), &self.state.flow)
            else {
                continue;
            };
            audio::hear(flow, party.side, if hears.holds { Source::MusicOnHold } else { Source::Peer });
        }
    }

    /// A re-INVITE of ours with the description in force: a refresh of the session.
    pub fn reinvite_same(&mut self, id: LegId) {
        let Some(local) = self.state.leg(id).and_then(|leg| leg.exchange.local().cloned()) else { return };
        self.reinvite(id, local);
    }

    /// A re-INVITE of ours.
    pub fn reinvite(&mut self, id: LegId, offer: Session) {
        let (interval, min_se) = self.session_policy().offer();
        let offer = sip::sdp::reoffer(&offer);
        let Some(leg) = self.state.leg_mut(id) else { return };
        let interval = leg.session.map_or(interval, |timer| timer.refresh_value());
        if leg.exchange.sent(Carrier::Invite, Some(offer.clone())).is_err() {
            return;
        }
        let client = self.send_inside(id, &Method::Invite, |mut writer| {
            writer
                .header(Name::Supported, SUPPORTED)
                .header(Name::SessionExpires, interval)
                .header(Name::MinSe, min_se);
            writer.body("application/sdp", offer.print().as_bytes())
        });
        if let Some(leg) = self.state.leg_mut(id) {
            leg.client = client;
            if client.is_none() {
                leg.exchange.failed();
            }
        }
    }

    /// The answer to a re-INVITE of ours.
    pub fn reinvite_response(&mut self, client: RequestId, id: LegId, response: &Message, status: Status) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if leg.client != Some(client) {
            // A 2xx of another fork of the first INVITE (RFC 3261 section 13.2.2.4), or one that was lost with an actor.
            let ours = leg.dialog.as_ref().is_some_and(|d| d.remote_tag() == response.to_tag().unwrap_or_default());
            return match (status.is_success(), ours) {
                (true, false) => self.end_other_fork(client, id, response),
                (true, true) => self.send_ack(client, id, response, None),
                (false, _) => {}
            };
        }
        if status.is_provisional() {
            return;
        }
        leg.client = None;
        if status.is_success() {
            let body = description(response).ok().flatten();
            let met = leg.exchange.received(Carrier::InviteOk, body);
            if let Some(dialog) = leg.dialog.as_mut() {
                dialog.refresh(response);
            }
            self.send_ack(client, id, response, None);
            self.session_settled(id, response);
            if met.is_ok() {
                self.connect_side(id);
            }
            let agreed = self.state.leg(id).is_some_and(|leg| leg.agrees());
            self.transfer_reinvited(id, met.is_ok() && agreed);
            self.retold(id, met.is_ok());
            self.added(id);
            self.rekey(id);
            return;
        }
        leg.exchange.failed();
        match status.code() {
            // A line that cannot be added now is not added.
            491 if self.state.adding.is_none() => self.retry_later(id),
            408 | 481 => self.party_gone(id, "the party no longer knows the dialog"),
            _ => {
                self.transfer_reinvited(id, false);
                self.retold(id, false);
                self.added(id);
            }
        }
    }

    /// A re-INVITE is to be tried again, when what is open of the party is over (RFC 3261 section 14.1).
    pub fn retry_later(&mut self, id: LegId) {
        let dialog = self.state.leg(id).and_then(|leg| leg.dialog.as_ref());
        let owner = dialog.is_some_and(sip::dialog::Dialog::is_caller);
        self.arm(CallTimer::Retry(id), sip::dialog::glare::retry_after(owner, outside::random()));
    }

    /// A re-INVITE is tried again.
    pub fn retry(&mut self, id: LegId) {
        self.disarm(CallTimer::Retry(id));
        let free = self.state.leg(id).is_some_and(|l| l.state == LegState::Confirmed && l.client.is_none());
        if !free || self.transfer_retry(id) || self.rekey(id) {
            return;
        }
        match self.state.leg_mut(id).filter(|leg| leg.retell) {
            Some(leg) => {
                // An ACK that was lost with an actor is not waited for.
                leg.ack_due = false;
                self.retell(id);
            }
            None => self.reinvite_same(id),
        }
    }

    /// The answer to an UPDATE of ours: a session refresh.
    pub fn update_response(&mut self, id: LegId, response: &Message, status: Status) {
        if status.is_success() {
            if let Some(dialog) = self.state.leg_mut(id).and_then(|leg| leg.dialog.as_mut()) {
                // RFC 3311 section 5.1: it is a target refresh.
                dialog.refresh(response);
            }
            self.session_settled(id, response);
        } else if matches!(status.code(), 408 | 481) {
            self.party_gone(id, "the party no longer knows the dialog");
        } else if matches!(status.code(), 405 | 501)
            && let Some(leg) = self.state.leg_mut(id)
        {
            // It says that it takes no UPDATE: the next refresh is a re-INVITE.
            leg.abilities.update = false;
        }
    }
}

/// A description as its party would give it when it held nobody: hold of one party is not hold of the other.
pub fn resumed(description: &Session) -> Session {
    sip::sdp::redirect(description, |_| sip::sdp::Direction::SendRecv)
}

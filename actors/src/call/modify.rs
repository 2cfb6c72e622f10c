//! Changes of a session that is up: hold and resume, new addresses, session refresh (RFC 3261 section 14, RFC 3311).
//!
//! The switch answers such an offer itself, from what the other party has agreed to: its media is anchored here, so the
//! other party need not be asked. A party that is put on hold hears music.

use media::Source;
use rand::Rng;
use sip::sdp::{Carrier, Meaning, Refusal, Session, relay_answer, revise};
use sip::transaction::{ClientId, ServerId};
use sip::{Message, Method, Name, Status};

use super::begin::description;
use super::leg::{Abilities, LegId, LegState};
use super::record::What;
use super::{CallTimer, Work, media as audio};
use crate::shard::SUPPORTED;

impl Work<'_> {
    /// A re-INVITE or UPDATE of a party.
    pub fn modify(&mut self, server: ServerId, id: LegId, request: Message) {
        let is_invite = *request.method() == Method::Invite;
        let Some(leg) = self.state.leg_mut(id) else { return };
        leg.abilities = Abilities::of(&request);
        if leg.state == LegState::Confirmed && self.state.partner.is_some() && self.state.other(id).is_none() {
            // A transferor whose place is taken, or a newcomer that has none yet: neither has a side of the media path.
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
        let body = match description(&request) {
            Ok(body) => body,
            Err(why) => return self.answer_plain(id, server, &request, Status::BAD_REQUEST, Some(why)),
        };
        if leg.state != LegState::Confirmed && body.is_some() {
            // Before the call is answered its media is the forking's business.
            return self.answer_plain(id, server, &request, Status::REQUEST_PENDING, None);
        }
        let before = leg.exchange.clone();
        let carrier = if is_invite { Carrier::Invite } else { Carrier::Update };
        let meaning = match leg.exchange.received(carrier, body) {
            Ok(meaning) => meaning,
            Err(Refusal::Glare) => return self.answer_plain(id, server, &request, Status::REQUEST_PENDING, None),
            Err(Refusal::Busy) => return self.later(id, server, &request),
            Err(why) => return self.answer_plain(id, server, &request, Status::BAD_REQUEST, Some(&why.to_string())),
        };
        let restore = |work: &mut Self| {
            if let Some(leg) = work.state.leg_mut(id) {
                leg.exchange = before;
            }
        };
        let timer = match self.session_answer(id, &request) {
            Ok(timer) => timer,
            Err(small) => {
                restore(self);
                return self.too_brief(id, server, &request, small);
            }
        };
        let ours = match meaning {
            Meaning::Offer => match self.counter(id) {
                Some(answer) => Some(answer),
                None => {
                    restore(self);
                    self.decided(Some(id), "the new offer has no codec that the other party has");
                    return self.answer_plain(id, server, &request, Status::NOT_ACCEPTABLE_HERE, None);
                }
            },
            // Without an offer we offer what is in force, and that both may talk: only so can a phone on hold come back
            // (section 14.2, RFC 6337 section 5.3).
            Meaning::OfferInvited => self.state.leg(id).and_then(|leg| leg.exchange.local().map(resumed)),
            _ => None,
        };
        let Some(leg) = self.state.leg_mut(id) else { return };
        let reply = if is_invite { Carrier::InviteOk } else { Carrier::UpdateOk };
        if let Err(why) = leg.exchange.sent(reply, ours.clone()) {
            tracing::error!(call = %self.key, %why, "our own answer does not stand");
            restore(self);
            return self.answer_plain(id, server, &request, Status::SERVER_INTERNAL_ERROR, None);
        }
        leg.ack_due = is_invite;
        let mut writer = self.reply_inside(id, &request, Status::OK, None);
        self.session_agreed(id, &timer, &mut writer, &request);
        let bytes = match &ours {
            Some(ours) => writer.body("application/sdp", ours.to_string().as_bytes()),
            None => writer.finish(),
        };
        self.respond(id, server, request.method(), Status::OK, bytes);
        if meaning == Meaning::Offer {
            self.connect_side(id);
            self.follow_hold(id);
        }
    }

    /// RFC 3261 section 14.2: 500 with a Retry-After of 0 to 10 s.
    fn later(&self, id: LegId, server: ServerId, request: &Message) {
        let mut writer =
            self.reply_inside(id, request, Status::SERVER_INTERNAL_ERROR, Some("Another INVITE Is Pending"));
        writer.header(Name::RetryAfter, rand::rng().random_range(0..=10_u8).to_string());
        self.respond(id, server, request.method(), Status::SERVER_INTERNAL_ERROR, writer.finish());
    }

    /// The answer to a party's new offer: what the other party has agreed to, in the offer's numbers.
    fn counter(&self, id: LegId) -> Option<Session> {
        let leg = self.state.leg(id)?;
        let offer = leg.exchange.pending_offer()?;
        let answer = match self.state.other(id).and_then(|other| self.state.leg(other)) {
            Some(other) => {
                let our = audio::ours(self.state.flow.as_ref()?, leg.side, leg.session_id, Some(offer));
                let theirs = resumed(other.their_description()?);
                relay_answer(offer, &theirs, &our, &audio::relay_policy())
            }
            None => self.own_description(id)?,
        };
        // A party on hold may close its audio with port 0; everything else needs a codec.
        if !answer.has_active_media() && offer.has_active_media() {
            return None;
        }
        Some(leg.exchange.local().map_or(answer.clone(), |before| revise(before, answer)))
    }

    /// Music for the other party while this one holds, each other again when it does not.
    pub fn follow_hold(&mut self, id: LegId) {
        let Some(leg) = self.state.leg(id) else { return };
        let (Some(local), Some(remote)) = (leg.exchange.local(), leg.exchange.remote()) else { return };
        let holds = audio::audio(local, remote, leg.hop.remote).is_none_or(|a| !a.party_hears);
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
            writer.body("application/sdp", offer.to_string().as_bytes())
        });
        if let Some(leg) = self.state.leg_mut(id) {
            leg.client = client;
            if client.is_none() {
                leg.exchange.failed();
            }
        }
    }

    /// The answer to a re-INVITE of ours.
    pub fn reinvite_response(&mut self, client: ClientId, id: LegId, response: &Message, status: Status) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if leg.client != Some(client) {
            // A 2xx of another fork of the first INVITE (RFC 3261 section 13.2.2.4) or a late answer.
            if status.is_success()
                && leg.dialog.as_ref().is_some_and(|d| d.remote_tag() != response.to_tag().unwrap_or_default())
            {
                self.end_other_fork(client, id, response);
            }
            return;
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
            self.transfer_reinvited(id, met.is_ok());
            return;
        }
        leg.exchange.failed();
        match status.code() {
            491 => {
                let owner = leg.dialog.as_ref().is_some_and(sip::dialog::Dialog::is_caller);
                self.arm(CallTimer::Retry(id), sip::dialog::glare::retry_after(owner, rand::random()));
            }
            408 | 481 => self.party_gone(id, "the party no longer knows the dialog"),
            _ => self.transfer_reinvited(id, false),
        }
    }

    /// A re-INVITE is tried again after glare.
    pub fn retry(&mut self, id: LegId) {
        self.disarm(CallTimer::Retry(id));
        let free = self.state.leg(id).is_some_and(|l| l.state == LegState::Confirmed && l.client.is_none());
        if free && !self.transfer_retry(id) {
            self.reinvite_same(id);
        }
    }

    /// The answer to an UPDATE of ours: a session refresh.
    pub fn update_response(&mut self, id: LegId, response: &Message, status: Status) {
        if status.is_success() {
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

//! Somebody has answered: the winner is taken, the others are let go, the caller hears it.

use media::{Side, Source};
use sip::dialog::Dialog;
use sip::sdp::{Carrier, Meaning, MediaKind, Session, State, relay_answer, relay_offer, revise};
use sip::{Message, Method, Status};

use super::begin::description;
use super::leg::{Abilities, LegId, LegState, Unpracked};
use super::record::{Said, What};
use super::{CallTimer, Work, media as audio};
use crate::shard::{RequestId, Way};
use crate::shared::unix_ms;

impl Work<'_> {
    /// 2xx to our INVITE.
    pub fn picked_up(&mut self, client: RequestId, id: LegId, response: &Message) {
        if self.escaped(client, id, response) || !self.confirm(client, id, response) {
            return;
        }
        if self.play_answered(client, id, response) || self.transfer_answered(client, id, response) {
            return;
        }
        if self.state.partner.is_some() {
            // Two answered at once: the first has it (RFC 3261 section 13.2.2.4).
            return self.acknowledge_and_end(client, id, response);
        }
        let body = description(response).ok().flatten();
        let Some(leg) = self.state.leg_mut(id) else { return };
        let meaning = match leg.exchange.received(Carrier::InviteOk, body) {
            Ok(meaning) => meaning,
            Err(why) => {
                self.decided(Some(id), why.to_string());
                self.acknowledge_and_end(client, id, response);
                self.cancel_losers(id);
                return self.refuse(Status::NOT_ACCEPTABLE_HERE, Some("No Answer In The Answer"), 88);
            }
        };
        self.state.partner = Some(id);
        if let Some(channel) =
            self.state.leg(id).filter(|leg| leg.outward.is_some()).and_then(|leg| leg.channel.as_ref())
        {
            channel.standing().tally().answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        self.cancel_losers(id);
        let waited = self.state.service.is_some();
        self.taken_by_agent(id);
        self.callee_answered(id);
        self.settle_line(id);
        if meaning == Meaning::Offer {
            // The INVITE had no offer: the callee's goes to the caller, whose answer comes in its ACK and goes back in ours.
            return self.answer_with_offer(client, id, response);
        }
        self.send_ack(client, id, response, None);
        self.connect_side(id);
        let Some(answer) = self.answer_for_caller(id) else {
            self.hang_up(id, Some("SIP;cause=488;text=\"no common codec\""));
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, None, 88);
        };
        if self.state.caller().is_some_and(|caller| caller.unpracked == Unpracked::Description) {
            self.decided(Some(LegId::CALLER), "the answer waits for the PRACK of what was said before");
        } else {
            self.note_answer(id);
            self.answer_caller(Some(answer));
        }
        // Who has put the call on hold before it was answered holds it now.
        self.hear_each_other(LegId::CALLER, id);
        self.retell(id);
        if waited {
            // The caller has been answered before anybody knew what the agent speaks.
            self.retell_deaf(id);
            self.settle_lines();
        }
    }

    /// Makes a leg's dialog the confirmed one of `response`. False when the response cannot make one.
    pub fn confirm(&mut self, client: RequestId, id: LegId, response: &Message) -> bool {
        let Some(leg) = self.state.leg_mut(id) else { return false };
        // The early dialog of this answer goes on, with what was agreed in it and the CSeq that its PRACKs have reached;
        // those of other branches are over (RFC 3261 section 13.2.2.4).
        leg.turn_to(response);
        leg.early = Vec::new();
        let early = leg.dialog.take().filter(|d| d.owns(response));
        let dialog = match early {
            Some(mut dialog) => dialog.confirm(Some(response)).ok().map(|()| dialog),
            None => leg.invite.as_ref().and_then(|invite| Dialog::of_client(invite, response).ok()),
        };
        let Some(dialog) = dialog else {
            self.decided(Some(id), "the answer makes no dialog: it has no Contact");
            self.fork_over(id, Status::new(502).unwrap_or(Status::SERVER_INTERNAL_ERROR), "".into());
            return false;
        };
        leg.dialog = Some(dialog);
        leg.abilities = Abilities::of(response);
        leg.state = LegState::Confirmed;
        leg.client = Some(client);
        self.take_channel_again(id);
        self.charge(id);
        self.session_settled(id, response);
        true
    }

    /// The leg has answered, for the record and the timers.
    pub fn note_answer(&mut self, id: LegId) {
        self.disarm(CallTimer::Ringing);
        let was_answered = self.file.facts.borrow().answered_ms.is_some();
        if !was_answered {
            self.core.shared.counters.calls_answered.increment(1);
            self.file.facts.borrow_mut().answered_ms = Some(unix_ms());
            self.core.shared.counters.answer_delay.record((self.core.now() - self.file.began()).as_secs_f64());
        }
        let longest = self.core.shared.settings().sip.max_call_duration;
        self.arm(CallTimer::MaxDuration, longest);
        self.decided(Some(id), "answered; the others are let go");
        self.lamps();
    }

    /// The 2xx for the caller, with a description.
    pub fn answer_caller(&mut self, answer: Option<Session>) {
        let Some(caller) = self.state.caller() else { return };
        let Some((server, invite)) = caller.server.take() else { return };
        let previewed = caller.exchange.preview().cloned();
        let fixed = caller.exchange.state() == State::Stable;
        // A description that went out in a reliable 18x is the answer already; RFC 6337 section 3.1.1: not again.
        let body = answer.as_ref().map(Session::print);
        let meaning = caller.exchange.sent(Carrier::InviteOk, answer);
        let body = body.filter(|_| matches!(meaning, Ok(Meaning::Answer | Meaning::Offer)));
        if caller.dialog.is_none() {
            caller.dialog = Dialog::of_server(&invite, &caller.tag).ok();
        }
        if let Some(dialog) = &mut caller.dialog {
            let _ = dialog.confirm(None);
        }
        caller.state = LegState::Confirmed;
        caller.ack_due = true;
        let mut writer = self.reply_inside(LegId::CALLER, &invite, Status::OK, None);
        if let Ok(timer) = self.session_answer(LegId::CALLER, &invite) {
            self.session_agreed(LegId::CALLER, &timer, &mut writer, &invite);
        }
        let bytes = match &body {
            Some(body) => writer.body("application/sdp", body.as_bytes()),
            None => writer.finish(),
        };
        // The caller sends sound as soon as it has read this: its way is open before.
        self.connect_side(LegId::CALLER);
        self.respond(LegId::CALLER, server, &Method::Invite, Status::OK, bytes);
        if let Some(partner) = self.state.partner {
            self.retell_previewed(previewed.as_ref());
            if fixed {
                self.retell_both(partner);
            }
            self.settle_lines();
        }
    }

    /// The PRACK has come for which the answer to the caller may have waited (RFC 3262 section 3).
    pub fn answer_held(&mut self) {
        let waits = self.state.caller().is_some_and(|caller| caller.server.is_some());
        if let Some(partner) = self.state.partner.filter(|_| waits) {
            let answer = self.answer_for_caller(partner);
            self.note_answer(partner);
            self.answer_caller(answer);
        }
    }

    /// What the caller is answered, from what the leg `from` has said: nothing when they have no codec in common.
    pub fn answer_for_caller(&mut self, from: LegId) -> Option<Session> {
        let party = self.state.leg(from)?;
        let paths = self.state.paths()?;
        let caller = self.state.leg(LegId::CALLER)?;
        let Some(offer) = caller.exchange.pending_offer() else {
            // Answered in a reliable 18x.
            return caller.exchange.local().cloned();
        };
        // Where it was to be SRTP and is not, nothing is agreed.
        let theirs = party.their_description().filter(|_| party.agrees())?;
        let our = audio::ours(paths, caller, Some(offer));
        let answer = relay_answer(offer, theirs, &our, &self.relay_policy());
        answer.has_active_media().then_some(answer)
    }

    /// The caller sent no offer and the callee's 2xx has one: it goes on, with our address.
    fn answer_with_offer(&mut self, client: RequestId, id: LegId, response: &Message) {
        if !self.open_media() {
            self.acknowledge_and_end(client, id, response);
            return self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
        }
        let offer = self.state.leg(id).and_then(|leg| leg.exchange.pending_offer().cloned());
        if let Some(offer) = &offer {
            self.open_lines(offer);
        }
        let offer = offer.zip(self.state.paths()).zip(self.state.leg(LegId::CALLER)).map(|((offer, paths), caller)| {
            relay_offer(&offer, &audio::ours(paths, caller, Some(&offer)), &self.relay_policy())
        });
        let Some(offer) = offer.filter(Session::has_active_media) else {
            self.acknowledge_and_end(client, id, response);
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, None, 88);
        };
        if let Some(leg) = self.state.leg_mut(id) {
            leg.ack_held = Some((client, response.clone()));
        }
        self.note_answer(id);
        self.answer_caller(Some(offer));
    }

    /// The ACK of a 2xx of ours.
    pub fn acked(&mut self, id: LegId, ack: &Message) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if !std::mem::take(&mut leg.ack_due) {
            return;
        }
        let body = description(ack).ok().flatten();
        let meaning = leg.exchange.received(Carrier::Ack, body);
        self.note(Some(id), What::Received { message: Said::request(Method::Ack), from: None });
        match meaning {
            Ok(Meaning::Answer) => {
                self.connect_side(id);
                self.follow_hold(id);
                self.release_held_ack(id);
                self.retell(id);
            }
            Ok(_) => self.retell(id),
            Err(why) => {
                self.decided(Some(id), why.to_string());
                return self.hang_up_all("switch", "the ACK had no answer to our offer");
            }
        }
        self.group_acked();
        self.promise_kept();
    }

    /// The caller's answer came in its ACK: the callee's 2xx, which waited for it, is acknowledged with it.
    fn release_held_ack(&mut self, from: LegId) {
        let Some(to) = self.state.other(from) else { return };
        let Some((client, response)) = self.state.leg_mut(to).and_then(|leg| leg.ack_held.take()) else { return };
        let answer = self.answer_from(from, to);
        let Some(answer) = answer else {
            self.acknowledge_and_end(client, to, &response);
            return self.hang_up_all("switch", "no common codec");
        };
        if let Some(leg) = self.state.leg_mut(to) {
            let _ = leg.exchange.sent(Carrier::Ack, Some(answer.clone()));
        }
        self.send_ack(client, to, &response, Some(&answer));
        self.connect_side(to);
        if let Some(flow) = &self.state.flow {
            audio::hear(flow, Side::A, Source::Peer);
            audio::hear(flow, Side::B, Source::Peer);
        }
        self.settle_lines();
    }

    /// The answer to the offer of `to`, made from what `from` has said.
    pub fn answer_from(&self, from: LegId, to: LegId) -> Option<Session> {
        let theirs = self.state.leg(from)?;
        let theirs = theirs.their_description().filter(|_| theirs.agrees())?;
        let leg = self.state.leg(to)?;
        let offer = leg.exchange.pending_offer()?;
        let our = audio::ours(self.state.paths()?, leg, Some(offer));
        let answer = relay_answer(offer, theirs, &our, &self.relay_policy());
        let answer = match leg.exchange.local() {
            Some(before) => revise(before, answer),
            None => answer,
        };
        answer.has_active_media().then_some(answer)
    }

    /// Acknowledges a 2xx (RFC 3261 section 13.2.2.4); the layer repeats the ACK when the 2xx comes again.
    pub fn send_ack(&mut self, client: RequestId, id: LegId, response: &Message, body: Option<&Session>) {
        let core = self.core;
        let Some(leg) = self.state.leg_mut(id) else { return };
        leg.client = leg.client.filter(|open| *open != client);
        let way = leg.way(core);
        let via = crate::outgoing::via(core, way.hop(), &crate::shard::core::new_branch());
        let Some(dialog) = &leg.dialog else { return };
        let writer = dialog.ack(response.cseq(), &via);
        let bytes = match body {
            Some(body) => writer.body("application/sdp", body.print().as_bytes()),
            None => writer.finish(),
        };
        core.ack_success(self.owner(id), client, response.to_tag().unwrap_or_default(), bytes, &way);
        if let Way::Hop(hop) = way {
            self.note(Some(id), What::Sent { message: Said::request(Method::Ack), to: Some(hop.into()) });
        }
    }

    /// A 2xx that comes too late is acknowledged and its dialog ended at once (RFC 3261 section 13.2.2.4).
    pub fn acknowledge_and_end(&mut self, client: RequestId, id: LegId, response: &Message) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if leg.state != LegState::Confirmed {
            leg.dialog = leg.invite.as_ref().and_then(|invite| Dialog::of_client(invite, response).ok());
            leg.state = LegState::Confirmed;
        }
        self.send_ack(client, id, response, None);
        self.hang_up(id, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    }

    /// Tells the pool where a leg's media is, from the descriptions in force or previewed.
    pub fn connect_side(&mut self, id: LegId) {
        self.connect_lines(id);
        let Some(flow) = self.state.flow.clone() else { return };
        let Some(leg) = self.state.leg_mut(id).filter(|leg| leg.their_description().is_some()) else { return };
        let side = leg.side;
        let Some(mut agreement) = leg.agreement() else {
            audio::silence(&flow, side);
            return self.note(Some(id), What::Media { what: "no audio in common".into() });
        };
        // Never plain where it was to be SRTP.
        let Some((secure, handshake)) = leg.keys.join(&agreement) else {
            return self.note(Some(id), What::Media { what: "its keys are of no use".into() });
        };
        agreement.remote.told_keys = leg.told_keys(&agreement).is_some();
        if let Err(error) = audio::connect(&flow, side, &agreement, secure, handshake) {
            return self.note(Some(id), What::Media { what: sip::text!["not connected: ", &error.to_string()].into() });
        }
        // Where it turned out only now that the party cannot share a port, it must hear of the one that it has got.
        let told =
            leg.exchange.local().and_then(|ours| ours.media.iter().find(|m| m.kind == MediaKind::Audio && m.port != 0));
        let moved = told.is_some_and(|told| told.port != flow.local(side).port());
        leg.retell |= moved;
        let (comma, suite) = agreement.keys.as_ref().map_or(("", ""), |keys| (", ", keys.local.suite.name()));
        let flows = match (agreement.party_sends, agreement.party_hears) {
            (true, true) => "",
            (true, false) => ", sends only",
            (false, true) => ", hears only",
            (false, false) => ", inactive",
        };
        let dtls = if agreement.dtls.is_some() { ", DTLS-SRTP" } else { "" };
        let what = match agreement.remote.ice {
            Some(_) => sip::text![&agreement.codec, " where ICE finds it", dtls, flows],
            None => sip::text![&agreement.codec, " at ", agreement.remote.rtp, dtls, comma, suite, flows],
        };
        self.note(Some(id), What::Media { what: what.into() });
        let mut facts = self.file.facts.borrow_mut();
        match side {
            Side::A => facts.codec_a = Some(agreement.codec),
            Side::B => facts.codec_b = Some(agreement.codec),
        }
        drop(facts);
        if moved || self.has_moved_line(id) {
            self.retell(id);
        }
    }
}

//! A call that the switch makes itself: to a phone on which a user hears messages (reference, unified messaging, 7.7).
//!
//! While phones ring nobody has called. The one that answers takes the caller's place: from then on the call is like any other
//! whose caller talks with a dialogue.

use media::Side;
use sip::sdp::{Carrier, Direction, OurKeys, Session, offer};
use sip::{Message, Status};
use std::rc::Rc;
use std::sync::Arc;

use super::begin::description;
use super::file::CallFile;
use super::leg::LegId;
use super::service::PTIME_MS;
use super::{CallKey, CallMsg, CallTimer, Work, media as audio, seat};
use crate::directory::{Destination, ServiceKind};
use crate::mail::{Play, PlayState};
use crate::routing::{self, By};
use crate::shard::{Core, RequestId};
use crate::shared::unix_ms;
use crate::supervision::StartError;
use crate::talk::Talk;

/// Starts the actor of a call to whom something is to be played.
///
/// # Errors
/// The shard takes no more calls.
pub fn start_play(core: &Core, key: CallKey, play: Arc<Play>) -> Result<(), StartError> {
    let file = Rc::new(CallFile::of_switch(core));
    let seat = seat(core, key, &file)?;
    core.add_call(key, seat, file);
    play.begun(key);
    core.tell_call(key, CallMsg::Play(play));
    Ok(())
}

impl Work<'_> {
    /// Calls the phone.
    pub fn begin_play(&mut self, play: Arc<Play>) {
        self.state.begun = true;
        self.state.next_leg = 1;
        self.core.shared.counters.calls_begun.increment(1);
        let directory = self.core.shared.directory();
        let (user, number) = (directory.user(&play.user).cloned(), play.number.clone());
        self.state.plays = Some(play);
        if let Some(user) = &user {
            self.mail_plays(user, &number);
        }
        let Some(user) = user else { return self.finish("switch", "there is no such user", Status::NOT_FOUND, 1) };
        {
            let mut facts = self.file.facts.borrow_mut();
            facts.from = format!("voicemail@{}", directory.domain());
            (facts.to, facts.dialled) = (number.clone(), number.clone());
        }
        let text = format!("sip:{number}@{}", directory.domain());
        let decision = sip::value::Uri::parse(text.as_bytes()).ok().map(|uri| directory.route(&uri, By::User(&user)));
        let Some(decision) = decision else {
            return self.finish("switch", "the number cannot be dialled", Status::NOT_FOUND, 1);
        };
        self.decided(None, routing::brief(&decision.steps));
        let turns = match decision.destination {
            Destination::User(callee) => {
                let aor = directory.aor(&callee);
                self.file.facts.borrow_mut().to.clone_from(&aor);
                if !self.take_line(&callee, &aor) {
                    return self.finish("switch", "the user has as many calls as it may have", Status::BUSY_HERE, 17);
                }
                self.groups_of(&aor, None)
            }
            Destination::Outside(exits) => self.in_order(exits),
            Destination::Nowhere(refusal) => {
                return self.finish("switch", &refusal.reason(), refusal.kind.status(), refusal.kind.q850());
            }
            _ => return self.finish("switch", "the number is no phone", Status::NOT_FOUND, 1),
        };
        if !self.open_media() {
            return self.finish("switch", "no media port free", Status::SERVICE_UNAVAILABLE, 34);
        }
        if !self.ring_turns(turns) && !self.state.finished {
            let (status, _) = self.state.best.clone().unwrap_or((Status::TEMPORARILY_UNAVAILABLE, "".into()));
            return self.finish("switch", "the phone is not there", status, 20);
        }
        let longest = self.core.shared.settings().sip.max_ringing;
        self.arm(CallTimer::Ringing, longest);
    }

    /// Phones ring, and nobody has called.
    pub fn plays_to_nobody_yet(&self) -> bool {
        self.state.plays.is_some() && self.state.leg(LegId::CALLER).is_none()
    }

    /// Where the phone is rung, and what the switch would say to it.
    pub fn place_of_play(&self) -> Option<(Side, Option<Session>)> {
        if !self.plays_to_nobody_yet() {
            return None;
        }
        let our = audio::ours_at(self.state.paths()?.sound, Side::A, 0, OurKeys::default(), None);
        Some((Side::A, Some(offer(&self.relay_policy().coded, &our, Direction::SendRecv, PTIME_MS))))
    }

    /// The phone rings.
    pub fn play_rings(&self) {
        if let Some(play) = &self.state.plays
            && self.plays_to_nobody_yet()
        {
            play.reached(PlayState::Alerted);
        }
    }

    /// The phone has answered; true when it was one that is played to.
    pub fn play_answered(&mut self, client: RequestId, id: LegId, response: &Message) -> bool {
        let Some(play) = self.state.plays.clone().filter(|_| self.plays_to_nobody_yet()) else { return false };
        let body = description(response).ok().flatten();
        let met = self.state.leg_mut(id).map(|leg| leg.exchange.received(Carrier::InviteOk, body));
        self.cancel_losers(id);
        self.send_ack(client, id, response, None);
        if !matches!(met, Some(Ok(_))) || !self.state.leg(id).is_some_and(|leg| leg.agrees()) {
            self.hang_up(id, Some("SIP;cause=488"));
            self.finish("switch", "no common codec", Status::NOT_ACCEPTABLE_HERE, 88);
            return true;
        }
        self.take_callers_place(id);
        self.settle_line(LegId::CALLER);
        self.core.shared.counters.calls_answered.increment(1);
        self.file.facts.borrow_mut().answered_ms = Some(unix_ms());
        self.connect_side(LegId::CALLER);
        play.reached(PlayState::Connected);
        let (settings, caller) = (self.core.shared.settings(), self.talking_caller());
        self.arm(CallTimer::MaxDuration, settings.mail.call_max);
        self.state.service = Some(ServiceKind::Voicemail);
        self.play();
        let mut talk = Talk::playing(Arc::clone(&settings.mail.rules), caller, play.user.clone(), play.what);
        let begun = talk.begin();
        self.state.talk = Some(Box::new(talk));
        self.obey(begun);
        self.lamps();
        true
    }

    /// What a leg is called is changed: it is the caller's from now on.
    fn take_callers_place(&mut self, id: LegId) {
        self.disarm_leg(id);
        let Some(at) = self.state.legs.iter().position(|leg| leg.id == id) else { return };
        let mut leg = self.state.legs.remove(at);
        self.core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
        leg.id = LegId::CALLER;
        leg.client = None;
        self.file.facts.borrow_mut().call_id.clone_from(&leg.call_id);
        self.state.legs.insert(0, leg);
        self.tie(LegId::CALLER);
        self.arm_session(LegId::CALLER);
        self.time_minute(LegId::CALLER);
        self.decided(Some(LegId::CALLER), "the phone has answered, and is played to");
    }

    /// The call is over.
    pub fn play_over(&mut self, status: Status, cause: &str) {
        if let Some(play) = self.state.plays.take() {
            play.over(status.code(), cause);
        }
    }
}

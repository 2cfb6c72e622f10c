//! A call is taken over by somebody who dials: one that rings for another (pickup), or one that is parked.
//!
//! The taker's call asks the other for the party that waits, which comes over as in an attended transfer, from whatever shard. A
//! caller whose call rings is answered first, with music: an INVITE cannot move, a dialog can.

use media::Side;
use sip::Status;
use std::time::Duration;

use super::cancel::ELSEWHERE;
use super::leg::{Leg, LegId, LegState};
use super::{CallKey, CallTimer, Work};
use crate::directory::{Destination, ServiceKind, User};
use crate::shard::SignallingMsg;

/// How long the other call may take to give its party, whose ACK may have to come from far away.
const FETCH: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// Takes a call that rings for a number, or for anybody of the user's pickup group.
    pub fn pick_up(&mut self, user: &User, number: &str) {
        let directory = self.core.shared.directory();
        let of_group = |other: &&std::sync::Arc<User>| {
            other.name != user.name && user.pickup_group.is_some() && other.pickup_group == user.pickup_group
        };
        let for_user = |other: &User| {
            let features = self.core.shared.features.of(&other.name);
            let helps = features.users().any(|name| *name == user.name);
            helps || user.pickup_group.is_some() && other.pickup_group == user.pickup_group
        };
        let whose: Vec<String> = match directory.owner(number) {
            _ if number.is_empty() => {
                directory.users().iter().filter(of_group).map(|other| directory.aor(other)).collect()
            }
            Some(Destination::User(other)) if for_user(&other) => vec![directory.aor(&other)],
            Some(Destination::Group(plan)) if plan.agents.contains(&smol_str::SmolStr::new(&user.name)) => {
                plan.agents.iter().filter_map(|name| directory.user(name)).map(|agent| directory.aor(agent)).collect()
            }
            Some(Destination::User(_) | Destination::Group(_)) => {
                self.decided(None, format!("{} may take no calls of {number}", user.name));
                return self.refuse(Status::FORBIDDEN, Some("Not In The Pickup Group"), 21);
            }
            _ => Vec::new(),
        };
        match self.core.shared.ringing.oldest(whose.iter().map(String::as_str), self.key) {
            Some((call, shard)) => self.fetch_waiting(call, shard),
            None => self.refuse(Status::NOT_FOUND, Some("No Call Rings There"), 31),
        }
    }

    /// Takes the call that is parked at a place.
    pub fn retrieve(&mut self, place: &str) {
        match self.core.shared.parked.at(place) {
            Some(parked) => self.fetch_waiting(parked.call, parked.shard),
            None => self.refuse(Status::NOT_FOUND, Some("No Call Is Parked There"), 31),
        }
    }

    fn fetch_waiting(&mut self, call: CallKey, shard: usize) {
        if self.state.caller().is_none_or(|caller| caller.exchange.pending_offer().is_none()) {
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, Some("An Offer Is Needed"), 88);
        }
        if !self.ready_media() {
            return;
        }
        self.decided(None, format!("asks call {call} for its party"));
        self.state.fetches = true;
        self.arm(CallTimer::Fetched, FETCH);
        let msg = SignallingMsg::FetchWaiting { call, for_call: self.key, for_shard: self.core.shard };
        if self.core.shared.signalling(shard).is_none_or(|seat| seat.try_send(msg).is_err()) {
            self.fetched(None);
        }
    }

    /// The party has come, or does not.
    pub fn fetched(&mut self, leg: Option<Box<Leg>>) {
        self.disarm(CallTimer::Fetched);
        let waits = std::mem::take(&mut self.state.fetches) && !self.state.finished;
        let Some(mut leg) = leg else {
            if waits {
                self.refuse(Status::NOT_FOUND, Some("The Call Is Gone"), 31);
            }
            return;
        };
        let Some(id) = self.state.new_leg().filter(|_| waits) else {
            // The taker has hung up meanwhile.
            return leg.say_goodbye(self.core);
        };
        (leg.id, leg.side, leg.retell) = (id, Side::B, true);
        let party = leg.party.clone();
        self.state.legs.push(*leg);
        self.tie(id);
        self.state.partner = Some(id);
        let Some(answer) = self.answer_for_caller(id) else {
            self.hang_up(id, Some("SIP;cause=488;text=\"no common codec\""));
            return self.refuse(Status::NOT_ACCEPTABLE_HERE, None, 88);
        };
        self.decided(Some(id), format!("{party} comes over"));
        self.file.facts.borrow_mut().to = party;
        self.note_answer(id);
        self.answer_caller(Some(answer));
        self.hear_each_other(LegId::CALLER, id);
        // It is offered the taker's media at our port here.
        self.retell(id);
    }

    /// Another call wants the party that waits here: one that is parked, or the caller while phones ring.
    pub fn give_waiting(&mut self, to: CallKey, shard: usize) {
        let parked = self.state.parked.as_ref().and(self.state.transfer.as_ref()).map(super::transfer::Transfer::stays);
        if let Some(stays) = parked.filter(|id| self.state.leg(*id).is_some_and(Leg::is_idle)) {
            self.cancel_forks(None, Some(ELSEWHERE));
            (self.state.parked, self.state.transfer) = (None, None);
            return self.hand_over(stays, to, shard, "the parked call was taken");
        }
        let free = self.state.partner.is_none() && !self.state.finished && self.state.promised.is_none();
        let waits = self.state.group.is_some() || self.state.ringing();
        let Some(caller) = self.state.caller().filter(|_| free && waits) else { return self.give_nothing(to, shard) };
        let answered = caller.state == LegState::Confirmed;
        self.cancel_forks(None, Some(ELSEWHERE));
        for timer in [CallTimer::Alert, CallTimer::Waited, CallTimer::Announce] {
            self.disarm(timer);
        }
        self.leave_rung(None);
        self.state.callee = None;
        if let Some(ticket) = self.state.group.take() {
            ticket.leave(true);
        }
        self.decided(None, format!("is picked up by call {to}"));
        self.state.promised = Some((to, shard));
        if !answered {
            self.serve(ServiceKind::Music);
        }
        self.promise_kept();
    }

    /// The caller who was promised to another call goes there, once it has acknowledged our answer.
    pub fn promise_kept(&mut self) {
        let Some((to, shard)) = self.state.promised else { return };
        if self.state.finished {
            self.state.promised = None;
            return self.give_nothing(to, shard);
        }
        if self.state.leg(LegId::CALLER).is_some_and(Leg::is_idle) {
            self.state.promised = None;
            self.hand_over(LegId::CALLER, to, shard, "picked up");
        }
    }

    fn give_nothing(&self, to: CallKey, shard: usize) {
        if let Some(seat) = self.core.shared.signalling(shard) {
            seat.send_reply(SignallingMsg::Leg { call: to, leg: None });
        }
    }

    /// A party goes to another call, and this one ends.
    pub fn hand_over(&mut self, far: LegId, to: CallKey, shard: usize, cause: &str) {
        self.disarm_leg(far);
        let at = self.state.legs.iter().position(|leg| leg.id == far);
        let Some(given) = at.map(|at| self.state.legs.remove(at)) else { return self.give_nothing(to, shard) };
        self.decided(Some(given.id), format!("the party goes to call {to}: {cause}"));
        self.core.remove_dialog(given.call_id.as_bytes(), given.tag.as_bytes());
        if shard != self.core.shard {
            self.core.shared.move_dialog(given.call_id.as_bytes(), shard);
        }
        if let Some(seat) = self.core.shared.signalling(shard) {
            seat.send_reply(SignallingMsg::Leg { call: to, leg: Some(Box::new(given)) });
        }
        self.hang_up_rest(Some("SIP;cause=200;text=\"Call transferred\""));
        self.finish("switch", cause, Status::OK, 16);
    }
}

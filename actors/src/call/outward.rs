//! Out of the switch: gateways are tried in order until one takes the call.
//!
//! | a gateway | then |
//! | --- | --- |
//! | says nothing for its `silence`, not even 100 | it is cancelled and the next is tried |
//! | says neither 18x nor a final answer for its `failover` | the same |
//! | cannot be reached, refuses the connection or shows a wrong certificate | the next is tried |
//! | says 5xx | the next is tried |
//! | says 3xx, 4xx or 6xx | that is the answer: it has looked at the number, and another would say the same |
//! | picks up after its turn is over, because its answer crosses the CANCEL | has the call |

use sip::sdp::Session;
use sip::{Status, value::escape_user};

use super::groups::Turn;
use super::leg::{Leg, LegId, LegState};
use super::{CallTimer, Work};
use crate::gateway::Exit;

/// What a leg that leads out of the switch has beside the others.
pub struct Outward {
    /// The gateway, and what it is told.
    pub exit: Exit,
    /// What has come of it.
    pub heard: Heard,
}

/// What has come of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// 100: it has our INVITE.
    Trying,
    /// 18x: the call goes on behind it.
    Progress,
}

impl Work<'_> {
    /// Takes the caller out of the switch by the first of these that takes the call.
    pub fn leave(&mut self, exits: Vec<Exit>, offer: Option<&Session>) {
        if offer.is_some() && !self.open_media() {
            return self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Media Port Free"), 34);
        }
        if let Some(offer) = offer {
            self.open_lines(offer);
        }
        if !self.ring_turns(exits.into_iter().map(Turn::Exit).collect()) {
            let (status, _) = self.state.best.clone().unwrap_or((Status::SERVICE_UNAVAILABLE, "".into()));
            return self.all_refused(status);
        }
        self.time_ringing();
    }

    /// Sends an INVITE to a gateway, as a new leg.
    pub fn leave_by(&mut self, exit: Exit) {
        let (side, theirs) = self.place();
        let Some(id) = self.state.new_leg() else { return };
        let gateway = std::sync::Arc::clone(&exit.gateway);
        self.decided(Some(id), sip::text!["gateway ", &gateway.name, " is tried with ", &exit.number, ": ", &exit.why]);
        let target = gateway.uri(&exit.number);
        let leg = Leg::outward(self.core, id, side, exit);
        if leg.keys.exposed() {
            self.decided(Some(id), "it is not tried: its SRTP keys would travel in plain SIP");
            return self.weigh(Status::NOT_ACCEPTABLE_HERE, super::fork::NEEDS_TLS.into());
        }
        let ours = theirs.and_then(|theirs| self.first_offer(&leg, &theirs));
        self.state.legs.push(leg);
        self.arm(CallTimer::Silence(id), gateway.silence);
        self.arm(CallTimer::Failover(id), gateway.failover);
        self.send_invite(id, target.as_bytes(), &[], ours, None);
    }

    /// A provisional or final answer has come on a leg.
    pub fn heard(&mut self, id: LegId, status: Status) {
        let Some(outward) = self.state.leg_mut(id).and_then(|leg| leg.outward.as_mut()) else { return };
        let now = if status == Status::TRYING { Heard::Trying } else { Heard::Progress };
        outward.heard = outward.heard.max(now);
        self.disarm(CallTimer::Silence(id));
        if now == Heard::Progress {
            self.disarm(CallTimer::Failover(id));
        }
    }

    /// A gateway has had its time: the next is tried.
    pub fn gateway_late(&mut self, id: LegId, why: &'static str) {
        if self.state.leg(id).is_none_or(|leg| leg.state != LegState::Early) {
            return;
        }
        self.decided(Some(id), why);
        self.disarm(CallTimer::Silence(id));
        self.disarm(CallTimer::Failover(id));
        self.cancel_leg(id, LegState::Late, Some("SIP;cause=408;text=\"the next gateway is tried\""));
        self.weigh(Status::REQUEST_TIMEOUT, "".into());
        if !self.state.ringing() && !self.ring_next() {
            self.all_refused(Status::REQUEST_TIMEOUT);
        }
    }

    /// A gateway has refused: where it has judged the number, no other one is asked.
    pub fn gateway_refused(&mut self, id: LegId, status: Status) {
        let outward = self.state.leg(id).is_some_and(|leg| leg.outward.is_some());
        if outward && !matches!(status.code(), 500..=599) {
            self.state.turns.retain(|turn| !matches!(turn, Turn::Exit(_)));
        }
    }

    /// A leg that leads out, after its actor has died: its time begins anew.
    pub fn time_gateway(&mut self, id: LegId) {
        let Some(leg) = self.state.leg(id).filter(|leg| leg.state == LegState::Early) else { return };
        let Some(outward) = &leg.outward else { return };
        let (gateway, heard) = (std::sync::Arc::clone(&outward.exit.gateway), outward.heard);
        if heard == Heard::Nothing {
            self.arm(CallTimer::Silence(id), gateway.silence);
        }
        if heard < Heard::Progress {
            self.arm(CallTimer::Failover(id), gateway.failover);
        }
    }

    /// From without tag, and To, of an INVITE to a gateway.
    pub fn outward_heads(&self, id: LegId) -> Option<(String, String)> {
        let exit = &self.state.leg(id)?.outward.as_ref()?.exit;
        let to = sip::text!["<", exit.gateway.uri(&exit.number), ">"];
        let directory = self.core.shared.directory();
        let caller = match &exit.caller {
            Some(caller) => caller.clone(),
            None => self.calling_number(),
        };
        Some((sip::text!["<sip:", escape_user(&caller), "@", directory.domain(), ">"], to))
    }

    /// The number that the calling party is known by outside: the first public one, else its extension or name.
    fn calling_number(&self) -> String {
        let stays = self.state.transfer.as_ref().map_or(LegId::CALLER, super::transfer::Transfer::stays);
        let leg = self.state.leg(stays);
        if let Some(user) = leg.and_then(|leg| leg.user.as_ref()) {
            let number = user.numbers.first().or(user.extension.as_ref());
            return number.unwrap_or(&user.name).clone();
        }
        let party = leg.map_or("anonymous", |leg| leg.party.as_str());
        party.rsplit_once('@').map_or(party, |(user, _)| user).to_owned()
    }
}

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

use sip::auth::{Answerer, Attempt, ChallengedBy};
use sip::{Message, Status};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::groups::Turn;
use super::leg::{Leg, LegId, LegState};
use super::{CallTimer, Work};
use crate::gateway::{Channel, Direction, Exit, KeeperMsg, NoChannel, Standing, State, answerer, challenge};
use crate::limits::{Charge, Refused};
use crate::shared::unix_now;

/// What is charged is charged by the minute.
const MINUTE: Duration = Duration::from_secs(60);

/// What a leg that leads out of the switch has beside the others.
pub struct Outward {
    /// The gateway, and what it is told.
    pub exit: Exit,
    /// What has come of it.
    pub heard: Heard,
    /// Our answers to its challenges, once it has asked who we are.
    pub proof: Option<Proof>,
    /// Whose channel was given back when it was given up.
    pub given_up: Option<Arc<Standing>>,
}

/// Who we are, as a gateway was told for one INVITE.
pub struct Proof {
    answerer: Answerer,
    attempt: Attempt,
    /// For the INVITE that goes next.
    pub credentials: Option<(ChallengedBy, String)>,
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
    pub fn leave(&mut self, exits: Vec<Exit>) {
        if !self.ready_media() {
            return;
        }
        if !self.ring_turns(self.in_order(exits)) {
            let (status, _) = self.state.best.clone().unwrap_or((Status::SERVICE_UNAVAILABLE, "".into()));
            return self.all_refused(status);
        }
        self.time_ringing();
    }

    /// Ways out, in the order in which they are tried: those whose gateway is known to be gone come last. Where all are, they
    /// are tried all the same (reference, mobility and voice, 6.8: who is alone is tried on).
    pub fn in_order(&self, exits: Vec<Exit>) -> VecDeque<Turn> {
        let gateways = &self.core.shared.gateways;
        let gone = |exit: &Exit| gateways.get(&exit.gateway.name).is_some_and(|s| s.state() == State::Failed);
        let (last, first): (Vec<Exit>, Vec<Exit>) = exits.into_iter().partition(gone);
        first.into_iter().chain(last).map(Turn::Exit).collect()
    }

    /// A channel of the gateway that an exit leads over, or why there is none.
    fn channel_of(&mut self, exit: &Exit) -> Option<Channel> {
        let standing = self.core.shared.gateways.get(&exit.gateway.name)?;
        match standing.take(Direction::Out, unix_now()) {
            Ok(channel) => Some(channel),
            Err(why) => {
                self.decided(None, format!("gateway {} is passed over: {why}", exit.gateway.name));
                let reason = match why {
                    NoChannel::Full | NoChannel::TooFast => "No Channel Free",
                    NoChannel::Disabled | NoChannel::Draining | NoChannel::NotOutbound => "No Gateway In Service",
                };
                self.state.limited = true;
                self.weigh(Status::SERVICE_UNAVAILABLE, reason.into());
                None
            }
        }
    }

    /// Whether each who pays for an exit has room for the call: one place, by however many ways it is tried.
    fn within_limits(&mut self, exit: &Exit) -> bool {
        let now = unix_now();
        for charge in &exit.charges {
            if self.state.places.iter().any(|place| place.charge.account == charge.account) {
                continue;
            }
            match self.core.shared.limits.take(charge, now) {
                Ok(place) => self.state.places.push(place),
                Err(why) => {
                    self.decided(None, format!("gateway {} is not tried: {} {why}", exit.gateway.name, charge.account));
                    let (status, reason) = match why {
                        Refused::Hour | Refused::Day => (Status::FORBIDDEN, "Spending Limit Reached"),
                        Refused::Calls | Refused::Pace => (Status::SERVICE_UNAVAILABLE, "Too Many Calls Outside"),
                    };
                    self.state.limited = true;
                    self.weigh(status, reason.into());
                    // Other ways that it pays for are none either.
                    let pays = |exit: &Exit| exit.charges.iter().any(|other| other.account == charge.account);
                    self.state.turns.retain(|turn| !matches!(turn, Turn::Exit(exit) if pays(exit)));
                    return false;
                }
            }
        }
        true
    }

    /// A gateway has answered: the call costs, now and with every minute that it begins.
    pub fn charge(&mut self, id: LegId) {
        let Some(outward) = self.state.leg(id).and_then(|leg| leg.outward.as_ref()) else { return };
        let rate = &outward.exit.rate;
        let units = u64::from(rate.call) + u64::from(rate.minute);
        for charge in &outward.exit.charges {
            // That it was the last is found when the next minute begins.
            self.core.shared.limits.charge(charge, units, unix_now());
        }
        self.time_minute(id);
    }

    /// The minute of a leg that somebody pays for begins.
    pub fn time_minute(&mut self, id: LegId) {
        let outward = self.state.leg(id).filter(|leg| leg.state == LegState::Confirmed);
        let exit = outward.and_then(|leg| leg.outward.as_ref()).map(|outward| &outward.exit);
        if exit.is_some_and(|exit| !exit.charges.is_empty()) {
            self.arm(CallTimer::Minute(id), MINUTE);
        }
    }

    /// Another minute of a leg has begun. Where what may be spent is spent before it, the call ends, if the limit says so.
    pub fn charge_minute(&mut self, id: LegId) {
        let up = self.state.leg(id).filter(|leg| leg.state == LegState::Confirmed);
        let Some(exit) = up.and_then(|leg| leg.outward.as_ref()).map(|outward| outward.exit.clone()) else { return };
        let (book, now) = (Arc::clone(&self.core.shared.limits), unix_now());
        let spent = |charge: &&Charge| charge.limit.cuts && book.over(charge, now).is_some();
        if let Some(charge) = exit.charges.iter().find(spent) {
            return self.hang_up_all("switch", &format!("{} has spent what it may", charge.account));
        }
        for charge in &exit.charges {
            book.charge(charge, u64::from(exit.rate.minute), now);
        }
        self.time_minute(id);
    }

    /// The gateway that a leg leads over did not take the call.
    fn gateway_failed(&self, id: LegId, silent: bool) {
        let Some(channel) = self.state.leg(id).and_then(|leg| leg.channel.as_ref()) else { return };
        channel.standing().tally().failed.fetch_add(1, Relaxed);
        if silent {
            // One that has enough to do learns it from its own OPTIONS.
            let _ = channel.standing().seat().try_send(KeeperMsg::CallFailed);
        }
    }

    /// A gateway asks who we are: the INVITE goes once more with the answer (RFC 3261 section 22.2). False where we have none.
    pub fn prove(&mut self, id: LegId, response: &Message, status: Status) -> bool {
        let Some(leg) = self.state.leg_mut(id) else { return false };
        let Some(invite) = leg.invite.clone() else { return false };
        let uri = String::from_utf8_lossy(invite.request_uri()).into_owned();
        let Some(outward) = &mut leg.outward else { return false };
        let Some(account) = &outward.exit.gateway.account else { return false };
        let proof = outward.proof.get_or_insert_with(|| Proof {
            answerer: answerer(account),
            attempt: Attempt::default(),
            credentials: None,
        });
        match challenge(response, status, &mut proof.answerer, &mut proof.attempt, "INVITE", &uri) {
            Ok(credentials) => proof.credentials = Some(credentials),
            Err(why) => {
                self.decided(Some(id), format!("the gateway does not take our credentials: {why}"));
                return false;
            }
        }
        let offer = leg.exchange.pending_offer().cloned();
        leg.exchange.failed();
        if let Some(outward) = &mut leg.outward {
            outward.heard = Heard::Nothing;
        }
        self.decided(Some(id), "the gateway asks who we are, and is told");
        self.invite_again(id, &invite, offer, None);
        self.time_gateway(id);
        self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early)
    }

    /// Credentials of the INVITE that goes next.
    pub fn credentials(&mut self, id: LegId) -> Option<(ChallengedBy, String)> {
        self.state.leg_mut(id)?.outward.as_mut()?.proof.as_mut()?.credentials.take()
    }

    /// Whether a party is asked for a session timer.
    pub fn asks_for_timer(&self, id: LegId) -> bool {
        let outward = self.state.leg(id).and_then(|leg| leg.outward.as_ref());
        outward.is_none_or(|outward| outward.exit.gateway.session_timer)
    }

    /// Sends an INVITE to a gateway, as a new leg.
    pub fn leave_by(&mut self, exit: Exit) {
        let (side, theirs) = self.place();
        if !self.within_limits(&exit) {
            return;
        }
        let Some(channel) = self.channel_of(&exit) else { return };
        let Some(id) = self.state.new_leg() else { return };
        channel.standing().tally().tried.fetch_add(1, Relaxed);
        let gateway = Arc::clone(&exit.gateway);
        self.decided(Some(id), sip::text!["gateway ", &gateway.name, " is tried with ", &exit.number, ": ", &exit.why]);
        let target = gateway.uri(&exit.number);
        let mut leg = Leg::outward(self.core, id, side, exit);
        leg.channel = Some(channel);
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
        self.gateway_failed(id, true);
        self.cancel_leg(id, LegState::Late, Some("SIP;cause=408;text=\"the next gateway is tried\""));
        self.weigh(Status::REQUEST_TIMEOUT, "".into());
        self.next_outside(id);
        if !self.state.ringing() && !self.ring_next() {
            self.all_refused(Status::REQUEST_TIMEOUT);
        }
    }

    /// A gateway that is cancelled and has not even rung keeps no channel from others, however long its transaction lasts.
    pub fn give_channel_back(&mut self, id: LegId) {
        let silent = |leg: &&mut Leg| leg.outward.as_ref().is_some_and(|outward| outward.heard < Heard::Progress);
        let Some(leg) = self.state.leg_mut(id).filter(silent) else { return };
        let channel = leg.channel.take();
        if let Some((outward, channel)) = leg.outward.as_mut().zip(channel) {
            outward.given_up = Some(Arc::clone(channel.standing()));
        }
    }

    /// Who was given up has picked up: it has its channel after all.
    pub fn take_channel_again(&mut self, id: LegId) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        let standing = leg.outward.as_mut().and_then(|outward| outward.given_up.take());
        if let Some(standing) = standing {
            leg.channel = Some(standing.take_anyway());
        }
    }

    /// A gateway has refused: where it has judged the number, no other one is asked.
    pub fn gateway_refused(&mut self, id: LegId, status: Status) {
        let outward = self.state.leg(id).is_some_and(|leg| leg.outward.is_some());
        if outward && matches!(status.code(), 500..=599) {
            self.gateway_failed(id, false);
        }
        if outward && !matches!(status.code(), 500..=599) {
            self.state.turns.retain(|turn| !matches!(turn, Turn::Exit(_)));
        }
    }

    /// A gateway cannot be reached, or has said nothing to the end of the transaction.
    pub fn gateway_unreached(&self, id: LegId) {
        if self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early) {
            self.gateway_failed(id, true);
        }
    }

    /// A leg that leads out, after its actor has died: its time begins anew.
    pub fn time_gateway(&mut self, id: LegId) {
        let Some(leg) = self.state.leg(id).filter(|leg| leg.state == LegState::Early) else { return };
        let Some(outward) = &leg.outward else { return };
        let (gateway, heard) = (Arc::clone(&outward.exit.gateway), outward.heard);
        if heard == Heard::Nothing {
            self.arm(CallTimer::Silence(id), gateway.silence);
        }
        if heard < Heard::Progress {
            self.arm(CallTimer::Failover(id), gateway.failover);
        }
    }
}

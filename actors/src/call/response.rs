//! Answers to requests of ours, and the want of them.

use sip::transaction::{ServerEnd, ServerId};
use sip::{Hop, Message, Method, Name, Status};

use super::Work;
use super::cancel::rank;
use super::leg::{LegId, LegState, TooLong};
use super::record::{Said, What};
use crate::shard::{RequestId, Unanswered};

/// Longest Reason of a refusal that is passed on.
const REASON_BYTES_MAX: usize = 256;

impl Work<'_> {
    /// A response on any leg.
    pub fn response(&mut self, client: RequestId, id: LegId, response: &Message, hop: Hop) {
        let Some(status) = response.status() else { return };
        // Who answers has been reached: there is no other way to try.
        if let Some(leg) = self.state.leg_mut(id) {
            leg.too_long = TooLong::ByDatagram;
        }
        if *response.method() == Method::Invite {
            self.heard(id, status);
        }
        if status.code() == 100 {
            return;
        }
        self.note(
            Some(id),
            What::Received { message: Said::response(status, response.method()), from: Some(hop.into()) },
        );
        if self.passed_back(client, response, status) || self.told_back(client, status) {
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

    /// A contact says no. When it was the last, the caller hears the best of all noes (RFC 3261 section 16.7 step 6).
    fn fork_refused(&mut self, id: LegId, response: &Message, status: Status) {
        let in_turn = self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early);
        if status == Status::SESSION_INTERVAL_TOO_SMALL && in_turn && self.retry_with_longer_session(id, response) {
            return;
        }
        if matches!(status.code(), 401 | 407) && in_turn && self.prove(id, response, status) {
            return;
        }
        self.gateway_refused(id, status);
        let outward = self.state.leg(id).is_some_and(|leg| leg.outward.is_some());
        if matches!(status.code(), 300..=399) && in_turn && !outward && self.redirected(id, response) {
            return;
        }
        if matches!(status.code(), 488 | 606) && in_turn && self.retry_with_another_profile(id) {
            return;
        }
        // A phone that declines for all of its owner's phones (6xx) ends the ringing of the others, before its refusal
        // is weighed: it is the last one then.
        // One agent of a ring group does not decline for the others.
        if status.code() >= 600 && self.state.group.is_none() {
            self.cancel_forks(Some(id), None);
        }
        let better = self.state.best.as_ref().is_none_or(|(best, _)| rank(status) < rank(*best));
        if better {
            // RFC 3326: why, in the words of who refuses; the caller hears them with the refusal.
            let why = response.value(Name::Reason).filter(|why| why.len() <= REASON_BYTES_MAX);
            self.state.why = why.map(|why| String::from_utf8_lossy(why).into_owned());
        }
        let reason: std::sync::Arc<str> = response.reason().into_owned().into();
        self.fork_over(id, status, reason);
    }

    /// A request of ours got no final answer.
    pub fn unanswered(&mut self, client: RequestId, id: LegId, why: Unanswered) {
        let status = why.status();
        self.decided(Some(id), format!("no answer: {why}"));
        if self.passed_unanswered(client, status) || self.told_back(client, status) {
            return;
        }
        let Some((state, waiting)) = self.state.leg(id).map(|leg| (leg.state, leg.client)) else { return };
        match state {
            // A PRACK without answer: the callee, which has not seen it either, ends its INVITE (RFC 3262 section 3).
            LegState::Early if waiting != Some(client) => {}
            LegState::Early if why == Unanswered::TransportFailed && self.retry_by_datagram(id) => {}
            LegState::Early | LegState::Late => {
                self.gateway_unreached(id);
                self.fork_over(id, status, why.phrase().into());
            }
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

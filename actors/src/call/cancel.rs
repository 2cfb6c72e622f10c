//! Ringing that ends without an answer: CANCEL in both directions, ringing too long, and which refusal counts.

use sip::transaction::ServerId;
use sip::{Message, Name, Status};

use super::history::Why;
use super::leg::{Leg, LegId, LegState};
use super::record::{Said, What};
use super::{CallTimer, Work};

/// Says to the phones that lost the race who won (RFC 3326).
pub const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Work<'_> {
    /// The caller gives up before an answer (RFC 3261 section 9.2).
    pub fn cancelled(&mut self, server: ServerId, cancel: &Message) {
        let Some(leg) = self.state.legs.iter_mut().find(|l| l.server.as_ref().is_some_and(|(s, _)| *s == server))
        else {
            return;
        };
        let id = leg.id;
        let Some((server, invite)) = leg.server.take() else { return };
        self.note(Some(id), What::Received { message: Said::request(sip::Method::Cancel), from: None });
        self.answer_plain(id, server, &invite, Status::REQUEST_TERMINATED, None);
        if self.state.leg(id).is_some_and(|l| l.state == LegState::Confirmed) {
            // A re-INVITE was cancelled: the session stays as it was.
            if let Some(leg) = self.state.leg_mut(id) {
                leg.exchange.failed();
            }
            return self.not_added(id);
        }
        let reason = cancel.value(Name::Reason).map(|r| String::from_utf8_lossy(r).into_owned());
        self.hang_up_rest(reason.as_deref());
        self.finish_unanswered("caller", "cancelled", Status::REQUEST_TERMINATED, 16);
    }

    /// Cancels every leg that still rings, but `except`; nobody else has a turn any more.
    pub fn cancel_forks(&mut self, except: Option<LegId>, reason: Option<&str>) {
        self.disarm(CallTimer::Ringing);
        self.disarm(CallTimer::Group);
        self.nobody_beside();
        self.state.rings.clear();
        self.state.turns.clear();
        let waits = |leg: &&Leg| leg.outgoing && matches!(leg.state, LegState::Early | LegState::Late);
        let forks: Vec<LegId> = self.state.legs.iter().filter(waits).map(|leg| leg.id).collect();
        for id in forks.into_iter().filter(|id| Some(*id) != except) {
            self.cancel_leg(id, LegState::Ending, reason);
        }
    }

    /// Cancels the INVITE of a leg, which is in this state then.
    pub fn cancel_leg(&mut self, id: LegId, state: LegState, reason: Option<&str>) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        let before = std::mem::replace(&mut leg.state, state);
        let Some(client) = leg.client else {
            leg.state = LegState::Ended;
            return;
        };
        if before == LegState::Early {
            let to = Some(leg.hop.into());
            if self.core.cancel(client, reason) {
                self.note(Some(id), What::Sent { message: Said::request(sip::Method::Cancel), to });
            }
            self.give_channel_back(id);
        }
    }

    /// As [`Work::cancel_forks`], for phones that lost the race.
    pub fn cancel_losers(&mut self, winner: LegId) {
        self.cancel_forks(Some(winner), Some(ELSEWHERE));
    }

    /// Rang too long.
    pub fn nobody_answered(&mut self) {
        if self.state.partner.is_some() || !self.state.expires && self.callee_left(Why::NoAnswer) {
            return;
        }
        self.cancel_forks(None, Some("SIP;cause=480;text=\"nobody answered\""));
        if self.state.expires {
            return self.refuse(Status::REQUEST_TERMINATED, Some("INVITE Expired"), 102);
        }
        self.refuse_with(Status::TEMPORARILY_UNAVAILABLE, Some("Nobody Answered"), 19, |writer| {
            writer.header(Name::Reason, "Q.850;cause=19;text=\"no answer\"");
        });
    }
}

/// RFC 3261 section 16.7 step 6: 6xx first, then the lowest class; within it what tells the caller most.
pub const fn rank(status: Status) -> u16 {
    match status.code() {
        600..=699 => 0,
        486 => 1,
        401 | 407 | 415 | 420 | 484 => 2,
        300..=399 => 3,
        408 => 500,
        503 => 900,
        code => code,
    }
}

/// The Q.850 cause of a SIP status (RFC 3398 section 8.2.6.1).
pub const fn q850_of(status: Status) -> u8 {
    match status.code() {
        401 | 402 | 403 | 407 | 603 => 21,
        404 | 604 => 1,
        405 => 63,
        406 | 415 | 488 | 606 => 79,
        408 | 504 => 102,
        410 => 22,
        413 | 414 | 420 | 421 | 423 | 505 | 513 => 127,
        416 | 484 => 28,
        480 => 18,
        481 | 500 | 503 => 41,
        482 | 483 => 25,
        485 => 1,
        486 | 600 => 17,
        487 => 16,
        501 => 79,
        502 => 38,
        _ => 31,
    }
}

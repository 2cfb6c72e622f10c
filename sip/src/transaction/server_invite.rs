//! INVITE server transaction (RFC 3261 section 17.2.1 with the Accepted state of RFC 6026 section 7.1), with the
//! retransmission of a 2xx (RFC 3261 section 13.3.1.4) and of reliable provisional responses (RFC 3262 section 3).

use super::effects::{Alarm, Effects};
use super::server_other::known;
use super::timers::TRYING_MS;
use super::{ServerEnd, Timers};
use crate::message::Writer;
use crate::{Message, Name, Status};
use bytes::Bytes;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted { acked: bool },
}

#[derive(Debug)]
pub(super) struct ServerInvite {
    state: State,
    /// Until the first response.
    request: Option<Message>,
    /// The last response; empty before the first and after the ACK.
    response: Bytes,
    interval: Duration,
    /// RSeq of a reliable provisional response that awaits its PRACK.
    unacknowledged: Option<u32>,
}

impl ServerInvite {
    pub fn begin(timers: Timers, request: Message) -> (Self, Effects) {
        let effects = Effects { retransmit: Alarm::After(Duration::from_millis(TRYING_MS)), ..Effects::default() };
        let this = Self {
            state: State::Proceeding,
            request: Some(request),
            response: Bytes::new(),
            interval: timers.t1(),
            unacknowledged: None,
        };
        (this, effects)
    }

    /// The INVITE came again.
    pub fn repeated(&self) -> Effects {
        let again = matches!(self.state, State::Proceeding | State::Completed);
        Effects { send: Some(self.response.clone()).filter(|r| again && !r.is_empty()), ..Effects::default() }
    }

    pub fn respond(&mut self, timers: Timers, reliable: bool, status: Status, response: Bytes) -> Effects {
        let mut effects = Effects::default();
        if self.state != State::Proceeding {
            return effects;
        }
        self.request = None;
        effects.send = Some(response.clone());
        if status.is_provisional() {
            if self.unacknowledged.is_none() {
                self.response = response;
                effects.retransmit = Alarm::Stop;
            }
            return effects;
        }
        self.response = response;
        self.unacknowledged = None;
        self.interval = timers.t1();
        effects.end = Alarm::After(timers.life());
        if status.is_success() {
            // On every transport: a later hop may lose it (section 13.3.1.4).
            self.state = State::Accepted { acked: false };
            effects.retransmit = Alarm::After(self.interval);
        } else {
            self.state = State::Completed;
            effects.retransmit = if reliable { Alarm::Stop } else { Alarm::After(self.interval) };
        }
        effects
    }

    /// `None` when an earlier one still waits (RFC 3262 section 3), or after the final response.
    pub fn respond_reliably(&mut self, timers: Timers, rseq: u32, response: Bytes) -> Option<Effects> {
        if self.state != State::Proceeding || self.unacknowledged.is_some() {
            return None;
        }
        self.request = None;
        self.unacknowledged = Some(rseq);
        self.response = response.clone();
        self.interval = timers.t1();
        Some(Effects {
            send: Some(response),
            retransmit: Alarm::After(self.interval),
            end: Alarm::After(timers.life()),
            ..Effects::default()
        })
    }

    /// `None` when `rseq` is not the one that waits.
    pub fn pracked(&mut self, rseq: u32) -> Option<Effects> {
        if self.unacknowledged != Some(rseq) {
            return None;
        }
        self.unacknowledged = None;
        Some(Effects { retransmit: Alarm::Stop, end: Alarm::Stop, ..Effects::default() })
    }

    /// An ACK on the INVITE's own branch: acknowledges a final response that is no 2xx.
    pub fn ack(&mut self, timers: Timers, reliable: bool) -> Effects {
        let mut effects = Effects::default();
        if self.state == State::Completed {
            self.state = State::Confirmed;
            self.response = Bytes::new();
            effects.linger(timers.t4(reliable));
        }
        effects
    }

    /// An ACK of its own: acknowledges the 2xx. The first one goes to the user.
    pub fn ack_success(&mut self) -> Option<Effects> {
        let State::Accepted { acked } = self.state else {
            return None;
        };
        self.state = State::Accepted { acked: true };
        self.response = Bytes::new();
        Some(Effects { retransmit: Alarm::Stop, pass: !acked, ..Effects::default() })
    }

    /// The user's 200 ms are over, timer G, the next 2xx, or the next reliable provisional response.
    pub fn retransmit(&mut self, timers: Timers) -> Effects {
        let mut effects = Effects::default();
        match self.state {
            State::Proceeding if self.unacknowledged.is_some() => {
                self.interval = self.interval.saturating_mul(2);
            }
            State::Proceeding => {
                if let Some(request) = self.request.take() {
                    let mut trying = Writer::response(&request, Status::TRYING, None, None);
                    trying.copy(&request, Name::Timestamp); // section 8.2.6.1
                    self.response = trying.finish();
                    effects.send = Some(self.response.clone());
                }
                return effects;
            }
            State::Completed | State::Accepted { acked: false } => {
                self.interval = timers.doubled(self.interval);
            }
            State::Confirmed | State::Accepted { acked: true } => return effects,
        }
        effects.send = Some(self.response.clone());
        effects.retransmit = Alarm::After(self.interval);
        effects
    }

    /// Timer H, I or L, or no PRACK within 64·T1.
    pub fn end(&mut self) -> Effects {
        let mut effects = Effects::default();
        match self.state {
            State::Proceeding => {
                self.unacknowledged = None;
                effects.retransmit = Alarm::Stop;
                effects.server_end = Some(ServerEnd::ProvisionalNotAcknowledged);
                return effects;
            }
            State::Completed | State::Accepted { acked: false } => {
                effects.server_end = Some(ServerEnd::NoAck);
            }
            State::Confirmed | State::Accepted { acked: true } => {}
        }
        effects.done = true;
        effects
    }

    /// Whether the user still has to answer.
    pub fn is_open(&self) -> bool {
        self.state == State::Proceeding
    }

    /// Whether somebody still waits: the client for the answer, or the user for the ACK.
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Completed | State::Accepted { acked: false })
    }

    /// Bytes that a refusal can be made from.
    pub fn known(&self) -> Option<Message> {
        known(self.request.as_ref(), &self.response)
    }
}

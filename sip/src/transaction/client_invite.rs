//! INVITE client transaction (RFC 3261 section 17.1.1 with the Accepted state of RFC 6026 section 7.2).

use super::effects::{Alarm, Effects};
use super::{ClientEnd, Timers, cancel};
use crate::{Hop, Message};
use bytes::Bytes;
use std::time::Duration;

/// Forks whose 2xx are kept apart; a 2xx of one more is not passed on.
pub const FORKS_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

#[derive(Debug)]
enum Cancel {
    No,
    /// RFC 3261 section 9.1: not before the first provisional response.
    Waiting(Bytes),
    Sent,
}

/// One 2xx, by its To tag.
#[derive(Debug)]
struct Fork {
    to_tag: Box<[u8]>,
    ack: Option<(Bytes, Hop)>,
}

#[derive(Debug)]
pub(super) struct ClientInvite {
    state: State,
    /// The INVITE until a final response, then its ACK when that was no 2xx.
    bytes: Bytes,
    interval: Duration,
    cancel: Cancel,
    forks: Vec<Fork>,
}

impl ClientInvite {
    pub fn begin(timers: Timers, reliable: bool, invite: Bytes) -> (Self, Effects) {
        let effects = Effects {
            send: Some(invite.clone()),
            retransmit: if reliable { Alarm::Keep } else { Alarm::After(timers.t1()) },
            end: Alarm::After(timers.life()),
            ..Effects::default()
        };
        let this =
            Self { state: State::Calling, bytes: invite, interval: timers.t1(), cancel: Cancel::No, forks: Vec::new() };
        (this, effects)
    }

    pub fn response(&mut self, timers: Timers, reliable: bool, response: &Message) -> Effects {
        let Some(status) = response.status() else {
            return Effects::default();
        };
        match self.state {
            State::Calling | State::Proceeding if status.is_provisional() => self.provisional(timers),
            State::Calling | State::Proceeding | State::Accepted if status.is_success() => {
                self.success(timers, response)
            }
            State::Calling | State::Proceeding if status.is_final() => {
                self.state = State::Completed;
                let ack = cancel::ack_of(&self.bytes, response).unwrap_or_default();
                self.bytes = ack;
                let mut effects = Effects { send: self.ack(), pass: true, ..Effects::default() };
                effects.linger(timers.d(reliable));
                effects
            }
            State::Completed if status.is_final() && !status.is_success() => {
                Effects { send: self.ack(), ..Effects::default() }
            }
            _ => Effects::default(),
        }
    }

    fn provisional(&mut self, timers: Timers) -> Effects {
        let mut effects = Effects { pass: true, ..Effects::default() };
        if self.state == State::Calling {
            self.state = State::Proceeding;
            effects.retransmit = Alarm::Stop;
            effects.end = Alarm::Stop;
        }
        if let Cancel::Waiting(bytes) = &self.cancel {
            effects.cancel = Some(bytes.clone());
            effects.end = Alarm::After(timers.life());
            self.cancel = Cancel::Sent;
        }
        effects
    }

    fn success(&mut self, timers: Timers, response: &Message) -> Effects {
        let mut effects = Effects::default();
        if self.state != State::Accepted {
            self.state = State::Accepted;
            self.bytes = Bytes::new();
            effects.linger(timers.life());
        }
        let tag = response.to_tag().unwrap_or_default();
        match self.forks.iter().find(|f| f.to_tag.as_ref() == tag) {
            Some(fork) => effects.send = fork.ack.as_ref().map(|(bytes, _)| bytes.clone()),
            None if self.forks.len() < FORKS_MAX => {
                let to_tag = tag.into();
                // Nearly always there is one, and it is kept for 64·T1.
                self.forks.reserve_exact(1);
                self.forks.push(Fork { to_tag, ack: None });
                effects.pass = true;
            }
            None => {}
        }
        effects
    }

    /// The user acknowledges the 2xx of one fork; sent again whenever that 2xx comes again.
    pub fn acknowledge(&mut self, to_tag: &[u8], ack: Bytes, hop: Hop) {
        if let Some(fork) = self.forks.iter_mut().find(|f| *f.to_tag == *to_tag) {
            fork.ack = Some((ack, hop));
        }
    }

    /// Where the ACK of a fork goes: along the dialog's route, not the INVITE's.
    pub fn ack_hop(&self, to_tag: Option<&[u8]>) -> Option<Hop> {
        let tag = to_tag.unwrap_or_default();
        let fork = self.forks.iter().find(|f| *f.to_tag == *tag)?;
        fork.ack.as_ref().map(|(_, hop)| *hop)
    }

    /// RFC 3261 section 9.1. A second CANCEL, and one after the final response, is none.
    pub fn cancel(&mut self, timers: Timers, reason: Option<&str>) -> Effects {
        let mut effects = Effects::default();
        if !self.is_open() || !matches!(self.cancel, Cancel::No) {
            return effects;
        }
        let Some(bytes) = cancel::cancel_of(&self.bytes, reason) else {
            return effects;
        };
        if self.state == State::Calling {
            self.cancel = Cancel::Waiting(bytes);
        } else {
            self.cancel = Cancel::Sent;
            effects.cancel = Some(bytes);
            effects.end = Alarm::After(timers.life());
        }
        effects
    }

    /// Timer A.
    pub fn retransmit(&mut self) -> Effects {
        if self.state != State::Calling {
            return Effects::default();
        }
        self.interval = self.interval.saturating_mul(2);
        Effects { send: Some(self.bytes.clone()), retransmit: Alarm::After(self.interval), ..Effects::default() }
    }

    /// Timer B, D or M, or no final response after CANCEL.
    pub fn end(&self) -> Effects {
        Effects { client_end: self.is_open().then_some(ClientEnd::Timeout), done: true, ..Effects::default() }
    }

    /// Whether the final response is still to come.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Calling | State::Proceeding)
    }

    fn ack(&self) -> Option<Bytes> {
        Some(self.bytes.clone()).filter(|b| !b.is_empty())
    }
}

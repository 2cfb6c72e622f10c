//! Non-INVITE client transaction (RFC 3261 section 17.1.2).

use super::effects::{Alarm, Effects};
use super::{ClientEnd, Timers};
use crate::Status;
use bytes::Bytes;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

#[derive(Debug)]
pub(super) struct ClientOther {
    state: State,
    /// The request until a final response, then nothing.
    request: Bytes,
    interval: Duration,
}

impl ClientOther {
    pub fn begin(timers: Timers, reliable: bool, request: Bytes) -> (Self, Effects) {
        let effects = Effects {
            send: Some(request.clone()),
            retransmit: if reliable { Alarm::Keep } else { Alarm::After(timers.t1()) },
            end: Alarm::After(timers.life()),
            ..Effects::default()
        };
        let this = Self { state: State::Trying, request, interval: timers.t1() };
        (this, effects)
    }

    pub fn response(&mut self, timers: Timers, reliable: bool, status: Status) -> Effects {
        let mut effects = Effects::default();
        if !self.is_open() {
            return effects;
        }
        effects.pass = true;
        if status.is_final() {
            self.state = State::Completed;
            self.request = Bytes::new();
            effects.linger(timers.t4(reliable));
        } else {
            self.state = State::Proceeding;
        }
        effects
    }

    /// Timer E: doubles up to T2; T2 at once after a provisional response.
    pub fn retransmit(&mut self, timers: Timers) -> Effects {
        self.interval = match self.state {
            State::Trying => timers.doubled(self.interval),
            State::Proceeding => timers.t2(),
            State::Completed => return Effects::default(),
        };
        Effects { send: Some(self.request.clone()), retransmit: Alarm::After(self.interval), ..Effects::default() }
    }

    /// Timer F or K.
    pub fn end(&self) -> Effects {
        Effects { client_end: self.is_open().then_some(ClientEnd::Timeout), done: true, ..Effects::default() }
    }

    /// Whether the final response is still to come.
    pub fn is_open(&self) -> bool {
        self.state != State::Completed
    }
}

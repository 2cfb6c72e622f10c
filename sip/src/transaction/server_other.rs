//! Non-INVITE server transaction (RFC 3261 section 17.2.2).

use super::effects::{Alarm, Effects};
use super::{ServerEnd, Timers};
use crate::{Message, Status};
use bytes::Bytes;

#[derive(Debug)]
pub(super) struct ServerOther {
    answered: bool,
    /// Until the first response, so that it can be refused when its user goes away.
    request: Option<Message>,
    /// The last response; empty before the first.
    response: Bytes,
}

impl ServerOther {
    /// The client gives up after 64·T1 (timer F), and so does the server when its user stays silent.
    pub fn begin(timers: Timers, request: Message) -> (Self, Effects) {
        let effects = Effects { end: Alarm::After(timers.life()), ..Effects::default() };
        let this = Self { answered: false, request: Some(request), response: Bytes::new() };
        (this, effects)
    }

    pub fn repeated(&self) -> Effects {
        Effects { send: Some(self.response.clone()).filter(|r| !r.is_empty()), ..Effects::default() }
    }

    pub fn respond(&mut self, timers: Timers, reliable: bool, status: Status, response: Bytes) -> Effects {
        let mut effects = Effects::default();
        if self.answered {
            return effects;
        }
        self.request = None;
        self.response = response.clone();
        effects.send = Some(response);
        if status.is_final() {
            self.answered = true;
            effects.linger(timers.j(reliable));
        }
        effects
    }

    /// Timer J, or a user that never answered.
    pub fn end(&self) -> Effects {
        Effects { server_end: (!self.answered).then_some(ServerEnd::Unanswered), done: true, ..Effects::default() }
    }

    pub const fn is_open(&self) -> bool {
        !self.answered
    }

    /// Bytes that a refusal can be made from: the request, or what was answered so far.
    pub fn known(&self) -> Option<Message> {
        known(self.request.as_ref(), &self.response)
    }
}

/// The request when it is still there, else the provisional response that has its Via, From, To, Call-ID and CSeq.
pub(super) fn known(request: Option<&Message>, response: &Bytes) -> Option<Message> {
    match request {
        Some(request) => Some(request.clone()),
        None => Message::parse(response.clone()).ok(),
    }
}

//! What a state machine wants done after one step; the layer does it.

use super::{ClientEnd, ServerEnd};
use bytes::Bytes;
use std::time::Duration;

/// One of the two alarms that a transaction has: for its next retransmission, and for its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Alarm {
    /// As it is.
    #[default]
    Keep,
    /// Cancelled.
    Stop,
    /// Armed, this long after now.
    After(Duration),
}

#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Goes to the neighbour.
    pub send: Option<Bytes>,
    /// Alarm for the next retransmission.
    pub retransmit: Alarm,
    /// Alarm for the end of the state.
    pub end: Alarm,
    /// The message that caused the step goes to the user.
    pub pass: bool,
    /// The CANCEL that waited may go out now.
    pub cancel: Option<Bytes>,
    /// The user learns that a client transaction got no answer.
    pub client_end: Option<ClientEnd>,
    /// The user learns that a server transaction failed.
    pub server_end: Option<ServerEnd>,
    /// The transaction is over.
    pub done: bool,
}

impl Effects {
    /// Enters a last state for `linger`; over at once when that is zero.
    pub fn linger(&mut self, linger: Duration) {
        self.retransmit = Alarm::Stop;
        if linger.is_zero() {
            self.end = Alarm::Stop;
            self.done = true;
        } else {
            self.end = Alarm::After(linger);
        }
    }
}

//! What happened to a call, and why: one ordered list (design law 8). The detail record, the ladder and the console are
//! views of it.

use serde::{Serialize, Serializer};
use sip::{Hop, Method, Protocol, Status};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

/// Events of a call that are kept; a call that does more has its oldest middle dropped and counted.
const EVENTS_MAX: usize = 512;

/// Events of a usual call, from INVITE to BYE.
const EVENTS_USUAL: usize = 28;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// ms since the call began; more than 49 days are written as that.
    pub at_ms: u32,
    /// On which leg, if on one: 0 is the caller's.
    pub leg: Option<u8>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen to a call.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A message came from a party.
    Received {
        /// Which.
        message: Said,
        /// From where, where that says anything.
        from: Option<Place>,
    },
    /// A message went to a party.
    Sent {
        /// Which.
        message: Said,
        /// To where.
        to: Option<Place>,
    },
    /// A decision of the switch.
    Decided {
        /// In words.
        why: Cow<'static, str>,
    },
    /// Media: opened, connected, held, timed out.
    Media {
        /// In words.
        what: Cow<'static, str>,
    },
    /// The call's actor was rebuilt.
    Rebuilt,
    /// The call ended.
    Ended {
        /// Who ended it.
        by: String,
        /// In words.
        cause: String,
    },
}

/// A message by its method and status: kept as it is, written out (`INVITE`, `200 INVITE`) when somebody looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    method: Method,
    status: Option<Status>,
}

impl Said {
    /// A request.
    pub const fn request(method: Method) -> Self {
        Self { method, status: None }
    }

    /// A response to a request of this method.
    pub fn response(status: Status, method: &Method) -> Self {
        Self { method: method.clone(), status: Some(status) }
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.status {
            Some(status) => serializer.collect_str(&format_args!("{} {}", status.code(), self.method)),
            None => serializer.collect_str(&self.method),
        }
    }
}

/// Where a message came from or went to: what of a hop tells somebody who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    protocol: Protocol,
    remote: SocketAddr,
}

impl From<Hop> for Place {
    fn from(hop: Hop) -> Self {
        Self { protocol: hop.protocol, remote: hop.remote }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol.uri(), self.remote)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Record {
    events: Vec<Event>,
    dropped: u64,
}

impl Record {
    /// Appends.
    pub fn push(&mut self, at_ms: u32, leg: Option<u8>, what: What) {
        if self.events.len() >= EVENTS_MAX {
            // The beginning tells how the call came to be, the end how it went: the middle goes.
            self.events.remove(EVENTS_MAX / 2);
            self.dropped += 1;
        }
        if self.events.capacity() == 0 {
            // A usual call has fewer: one allocation for all of it.
            self.events.reserve(EVENTS_USUAL);
        }
        self.events.push(Event { at_ms, leg, what });
    }

    /// In order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Events that were dropped.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_takes_at_most_80_bytes() {
        assert!(size_of::<Event>() <= 80, "{}", size_of::<Event>());
    }
}

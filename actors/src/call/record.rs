//! What happened to a call, and why: one ordered list (design law 8). The detail record, the ladder and the console are
//! views of it.

use serde::Serialize;

/// Events of a call that are kept; a call that does more has its oldest middle dropped and counted.
const EVENTS_MAX: usize = 512;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// ms since the call began.
    pub at_ms: u64,
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
        /// `INVITE`, `200 INVITE`, …
        message: String,
        /// From where.
        from: String,
    },
    /// A message went to a party.
    Sent {
        /// `INVITE`, `200 INVITE`, …
        message: String,
        /// To where.
        to: String,
    },
    /// A decision of the switch.
    Decided {
        /// In words.
        why: String,
    },
    /// Media: opened, connected, held, timed out.
    Media {
        /// In words.
        what: String,
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

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Record {
    events: Vec<Event>,
    dropped: u64,
}

impl Record {
    /// Appends.
    pub fn push(&mut self, at_ms: u64, leg: Option<u8>, what: What) {
        if self.events.len() >= EVENTS_MAX {
            // The beginning tells how the call came to be, the end how it went: the middle goes.
            self.events.remove(EVENTS_MAX / 2);
            self.dropped += 1;
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

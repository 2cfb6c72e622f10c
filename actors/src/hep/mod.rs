//! HEP version 3: every SIP message that comes or leaves is shown to a collector, decrypted as the shards see it.
//!
//! A shard hands a reference to the message to the mailbox of one actor and goes on. Past the mailbox's bound a message is
//! counted and not shown; nothing waits for the collector. Packets of sound are not shown.
//!
//! | file | holds |
//! | --- | --- |
//! | `packet` | how a message is written |
//! | `exporter` | the actor with the socket |

mod exporter;
mod packet;

use bytes::Bytes;
use metrics::{Counter, counter};
use sip::{Hop, Protocol};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::outside;
use crate::supervision::Ref;

pub use exporter::Exporter;

/// Who is shown the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its name or address.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
    /// The number by which it knows this switch.
    pub agent: u32,
    /// What it wants to see as proof.
    pub key: Option<Arc<[u8]>>,
}

/// Whether a message came or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It came.
    In,
    /// It leaves.
    Out,
}

/// A message on its way to the collector.
#[derive(Debug)]
pub struct Seen {
    /// The message.
    pub bytes: Bytes,
    /// Who sent it.
    pub from: SocketAddr,
    /// Who is to get it.
    pub to: SocketAddr,
    /// By what.
    pub protocol: Protocol,
    /// When, µs since 1970.
    pub at_us: u64,
}

/// The shards' end of it.
pub struct Hep {
    /// There is a collector.
    pub(crate) is_on: AtomicBool,
    /// The actor.
    pub(crate) exporter: Ref<Exporter>,
    /// Messages that went to the collector.
    pub(crate) shown: Counter,
    /// Those that did not: the mailbox was full, the collector is nowhere or sent them back, the message is too long.
    pub(crate) dropped: Counter,
}

impl Default for Hep {
    fn default() -> Self {
        Self {
            is_on: AtomicBool::new(false),
            exporter: Ref::vacant(),
            shown: counter!("strowger_hep_shown_total"),
            dropped: counter!("strowger_hep_dropped_total"),
        }
    }
}

impl Hep {
    /// Whether anybody is shown anything.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Shows a message that came or leaves by `hop`.
    pub fn show(&self, direction: Direction, bytes: &Bytes, hop: &Hop) {
        let (from, to) = match direction {
            Direction::In => (hop.remote, hop.local),
            Direction::Out => (hop.local, hop.remote),
        };
        let seen = Seen { bytes: bytes.clone(), from, to, protocol: hop.protocol, at_us: outside::unix_us() };
        if self.exporter.try_send(seen).is_err() {
            self.dropped.increment(1);
        }
    }
}

//! Counters of the wires: plain atomics that anybody reads.

use super::CloseReason;
use crate::Protocol;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter; only grows, but for [`Counters::open`].
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, n: usize) {
        // usize is at most 64 bits wide on every platform that tokio runs on.
        self.0.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn sub_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Traffic of one protocol.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Messages received.
    pub messages_in: Counter,
    /// Bytes of them.
    pub bytes_in: Counter,
    /// Messages handed to the kernel.
    pub messages_out: Counter,
    /// Bytes of them.
    pub bytes_out: Counter,
}

/// All counters of a [`super::Network`], shared by its shards.
#[derive(Debug, Default)]
pub struct Counters {
    udp: Traffic,
    tcp: Traffic,
    tls: Traffic,
    ws: Traffic,
    wss: Traffic,
    closed: [Counter; CloseReason::ALL.len()],
    /// Connections that exist now, handshakes included.
    pub open: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections opened by us.
    pub opened: Counter,
    /// Connections turned away: too many in all.
    pub refused_total: Counter,
    /// Connections turned away: too many from their source.
    pub refused_source: Counter,
    /// Connections that we could not open.
    pub connect_failed: Counter,
    /// Messages that did not leave, at once or later.
    pub send_failed: Counter,
    /// Datagrams that came back, because nobody took them.
    pub refused: Counter,
    /// Streams that could not be cut into messages.
    pub unframed: Counter,
    /// Keep-alives answered: CRLF (RFC 5626 section 4.4.1) and STUN (section 4.4.2).
    pub keepalives: Counter,
    /// Errors that receiving and accepting sockets reported.
    pub socket_errors: Counter,
    /// Notices that a shard was too slow to take.
    pub notices_dropped: Counter,
    /// Panics of a shard's [`super::Inbound`].
    pub inbound_panics: Counter,
}

impl Counters {
    /// Traffic of `protocol`.
    pub const fn traffic(&self, protocol: Protocol) -> &Traffic {
        match protocol {
            Protocol::Udp => &self.udp,
            Protocol::Tcp => &self.tcp,
            Protocol::Tls => &self.tls,
            Protocol::Ws => &self.ws,
            Protocol::Wss => &self.wss,
        }
    }

    /// Connections closed for each reason.
    pub fn closed(&self) -> impl Iterator<Item = (CloseReason, u64)> + '_ {
        CloseReason::ALL.into_iter().zip(self.closed.iter().map(Counter::get))
    }

    pub(crate) fn count_closed(&self, why: CloseReason) {
        for (reason, counter) in CloseReason::ALL.iter().zip(&self.closed) {
            if *reason == why {
                counter.add(1);
            }
        }
    }

    pub(crate) fn received(&self, protocol: Protocol, bytes: usize) {
        let traffic = self.traffic(protocol);
        traffic.messages_in.add(1);
        traffic.bytes_in.add(bytes);
    }

    pub(crate) fn sent(&self, protocol: Protocol, bytes: usize) {
        let traffic = self.traffic(protocol);
        traffic.messages_out.add(1);
        traffic.bytes_out.add(bytes);
    }
}

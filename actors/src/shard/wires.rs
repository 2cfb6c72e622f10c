//! The way from a shard's core to its wires: what leaves, what did not, and the names that we are reached by.

use bytes::Bytes;
use sip::Hop;
use sip::net::SendError;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::core::{Core, OWN_NAMES_MAX, OwnNames};
use crate::hep::Direction;
use crate::settings::advertised_host;

impl Core {
    /// A neighbour cannot be reached.
    pub(super) fn unreachable(&self, hop: &Hop) {
        self.with_layer(|layer, _, out| layer.transport_failed(hop, out));
    }

    /// A datagram came back: the request of ours that it was has failed (RFC 3261 section 18.4). False when it is none of
    /// this shard.
    pub(super) fn refused(&self, quoted: &[u8], hop: &Hop) -> bool {
        self.with_layer(|layer, now, out| layer.datagram_refused(now, quoted, hop, out))
    }

    /// Sends bytes; a failure reaches the transaction that sent them.
    pub fn send(&self, hop: &Hop, bytes: Bytes) {
        self.show(Direction::Out, &bytes, hop);
        let failed = match &*self.net.borrow() {
            Some(net) if hop.protocol == sip::Protocol::Tls && hop.connection.is_none() => {
                net.send_as(hop, self.errands.borrow().tls_name(hop.remote), bytes).err()
            }
            Some(net) => net.send(hop, bytes).err(),
            None => return,
        };
        if let Some(error) = failed {
            tracing::debug!(shard = self.shard, %hop, %error, "not sent");
            self.shared.counters.send_failures.increment(1);
            // What is known at once is not told by the wires again. A datagram that found a full queue is repeated by
            // its transaction.
            if !matches!(error, SendError::Busy | SendError::TooLarge) || hop.protocol.is_reliable() {
                self.unreachable(hop);
            }
        }
    }

    /// Our address towards a neighbour.
    pub fn local_for(&self, protocol: sip::Protocol, remote: SocketAddr) -> Option<SocketAddr> {
        self.net.borrow().as_ref()?.local_for(protocol, remote)
    }

    /// `host:port` that the neighbour at the other end of `hop` reaches us by, written once for each of our addresses.
    pub fn own_name(&self, hop: &Hop) -> Rc<str> {
        // A connection that we opened has a port of its own; what others can reach is the listener.
        let local = self.local_for(hop.protocol, hop.remote).unwrap_or(hop.local);
        let settings = self.shared.settings();
        let mut names = self.names.borrow_mut();
        if names.of.as_ref().is_none_or(|of| !Arc::ptr_eq(of, &settings)) || names.list.len() > OWN_NAMES_MAX {
            *names = OwnNames { of: Some(Arc::clone(&settings)), list: Vec::new() };
        }
        if let Some((_, name)) = names.list.iter().find(|(address, _)| *address == local) {
            return Rc::clone(name);
        }
        let name: Rc<str> = format!("{}:{}", advertised_host(&settings.sip, local), local.port()).into();
        names.list.push((local, Rc::clone(&name)));
        name
    }

    /// Shows a message to the collector, where there is one: a reference, no copy.
    pub(super) fn show(&self, direction: Direction, bytes: &Bytes, hop: &Hop) {
        let hep = &self.shared.hep;
        if !hep.is_on() {
            return;
        }
        let mut hop = *hop;
        if hop.local.port() == 0 || hop.local.ip().is_unspecified() {
            hop.local = self.local_for(hop.protocol, hop.remote).unwrap_or(hop.local);
        }
        hep.show(direction, bytes, &hop);
    }
}

//! The way of a packet that is no sound: from the negotiated peer of one side to the other, as it came.
//!
//! A picture has several sources (its layers, its retransmissions) and feedback that names them, so nothing of a packet is
//! changed but the number of its payload, where the two sides have different ones for the same.

use super::super::book::FlowRecord;
use super::super::vocabulary::{Carries, Side};
use super::entry::SideState;
use super::nanos;
use super::play::Playing;
use super::relay::{Hands, latch};
use crate::rtp::{self, Header};
use std::net::SocketAddr;

impl Hands<'_> {
    /// The packet lies opened in the first `length` bytes of the buffer, and its source has been checked.
    pub fn pass(
        &self,
        record: &FlowRecord,
        me: &mut SideState,
        other: &mut SideState,
        buffer: &mut [u8],
        length: usize,
        from: SocketAddr,
    ) {
        let counters = record.counters.get(self.side);
        let Some(route) = me.route else { return };
        let header = buffer.get(..length).map(Header::parse);
        let payload_type = match (record.carries, header) {
            (Carries::Datagrams, _) => None,
            (_, Some(Ok(header))) => Some(header.payload_type),
            (_, _) => {
                counters.malformed.add(1);
                return self.vitals.malformed.add(1);
            }
        };
        if !route.send {
            counters.held.add(1);
            return self.vitals.held.add(1);
        }
        let lane = payload_type.map(|payload_type| me.lanes.find(payload_type));
        if lane == Some(None) {
            counters.unmapped.add(1);
            return self.vitals.unmapped.add(1);
        }
        if !route.heard {
            latch(record, self.side, me, from);
        }
        me.quiet_since = self.now;
        counters.packets_received.add(1);
        counters.bytes_received.add(length as u64);
        counters.last_packet_ns.set(nanos(self.now));
        self.vitals.packets_in.add(1);
        if !matches!(other.playing, Playing::Peer) || !other.route.is_some_and(|route| route.hears()) {
            counters.unheard.add(1);
            return self.vitals.unheard.add(1);
        }
        match lane.flatten().map(|lane| lane.across) {
            Some(None) => {
                counters.unmapped.add(1);
                return self.vitals.unmapped.add(1);
            }
            Some(Some(across)) => rtp::set_payload_type(buffer, across),
            None => {}
        }
        let across: Side = self.side.other();
        other.send(buffer, length, record.counters.get(across), self.vitals);
    }
}

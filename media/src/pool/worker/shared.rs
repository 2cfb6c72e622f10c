//! The port that the flows of a worker share, at work: read and written in batches, each packet to whom its address says.
//!
//! ```text
//! recvmmsg ─▶ datagram (a run of packets, where the kernel has joined them) ─▶ its address, else the fragment of its check
//!          ─▶ flow ─▶ as on a port of its own ─▶ outbox ─▶ sendmmsg, once a turn
//! ```
//!
//! What comes from an address that no flow has is a stranger's, unless it is a check of ICE: that names its flow by our fragment, and
//! where it is authentic the address is the flow's from then on.

use super::super::book::WantedSide;
use super::super::port::{SharedPort, Spot, Spots};
use super::super::ports::PortPair;
use super::super::sys::{INBOX_MAX, Outbox};
use super::super::vocabulary::Side;
use super::entry::{Entry, Route, SideState, same_place};
use super::relay::{Datagram, Hands};
use super::{DATAGRAM_BYTES_MAX, Worker};
use crate::srtp::OVERHEAD_BYTES_MAX;
use crate::stun::Message;
use ahash::RandomState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Batches read in one turn: what comes meanwhile waits for the next.
const BATCHES_MAX: usize = 8;
/// Addresses that a side with ICE has here at most; the agent remembers fewer.
const SPOTS_MAX: usize = 16;
/// No flow counts the packet.
const UNCOUNTED: u64 = u64::MAX;
/// What a packet in the outbox may have.
const PACKET_BYTES_MAX: usize = DATAGRAM_BYTES_MAX + OVERHEAD_BYTES_MAX;

/// The port and what is to leave by it.
pub struct Shared {
    pub port: Arc<SharedPort>,
    outbox: RefCell<Outbox<PACKET_BYTES_MAX>>,
    /// What the kernel did not take.
    lost: RefCell<Vec<u64>>,
}

impl Shared {
    pub fn new(port: Arc<SharedPort>) -> Shared {
        Shared { port, outbox: RefCell::new(Outbox::new()), lost: RefCell::default() }
    }

    fn flush(&self) {
        let mut lost = self.lost.borrow_mut();
        self.outbox.borrow_mut().flush(&self.port.socket, |tag| {
            if tag != UNCOUNTED {
                lost.push(tag);
            }
        });
    }
}

/// How a side's media leaves.
pub enum Outlet {
    Own(Arc<PortPair>),
    Shared(Share),
}

/// A side's part in the worker's port.
pub struct Share {
    pub shared: Rc<Shared>,
    pub at: At,
}

impl Share {
    /// Sends a packet with the others at the end of the turn. `counted` is what it counts for as media of the side.
    #[inline]
    pub fn send(&self, packet: &[u8], to: SocketAddr, counted: Option<usize>) -> io::Result<usize> {
        if self.shared.outbox.borrow().is_full() {
            self.shared.flush();
        }
        match self.shared.outbox.borrow_mut().push(packet, to, counted.map_or(UNCOUNTED, |bytes| self.at.tag(bytes))) {
            true => Ok(packet.len()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Outlet {
    /// The socket that RTP leaves from.
    pub fn rtp(&self) -> &UdpSocket {
        match self {
            Outlet::Own(pair) => &pair.rtp,
            Outlet::Shared(share) => &share.shared.port.socket,
        }
    }

    pub fn own(&self) -> Option<&Arc<PortPair>> {
        match self {
            Outlet::Own(pair) => Some(pair),
            Outlet::Shared(_) => None,
        }
    }

    /// Whether the kernel now lets in nobody but the peer; at a shared port it never does.
    pub fn connect(&self, peer: SocketAddr) -> bool {
        self.own().is_some_and(|pair| pair.connect(peer).is_ok())
    }
}

/// A side of a flow of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub slot: u32,
    pub side: Side,
}

impl At {
    /// The side, and the bytes that a packet of it counts for, in one number.
    fn tag(self, bytes: usize) -> u64 {
        let bytes = u64::try_from(bytes).unwrap_or(0) & 0xffff;
        bytes << 33 | u64::from(self.slot) << 1 | u64::from(self.side == Side::B)
    }

    fn of_tag(tag: u64) -> (At, u64) {
        let side = if tag & 1 == 0 { Side::A } else { Side::B };
        let slot = u32::try_from(tag >> 1 & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (At { slot, side }, tag >> 33)
    }
}

/// Who is where on the shared port.
#[derive(Default)]
pub struct Peers {
    spots: HashMap<Spot, At, RandomState>,
    /// By our fragment of ICE.
    fragments: HashMap<Box<[u8]>, At, RandomState>,
}

impl Peers {
    /// Whose a datagram is, and whether its address is not known yet.
    #[inline]
    fn find(&self, datagram: &[u8], from: SocketAddr) -> Option<(At, bool)> {
        let known = self.spots.get(&Spot::from(from));
        // The first byte of a message of STUN (RFC 7983 section 7).
        if datagram.first().is_some_and(|first| *first < 4)
            && let Some(checked) = self.by_fragment(datagram)
        {
            return match known {
                None => Some((checked, true)),
                // Whoever can check in one flow shall not take another one's peer away.
                Some(known) => (*known == checked).then_some((checked, false)),
            };
        }
        known.map(|at| (*at, false))
    }

    /// Whom a check names: USERNAME begins with our fragment and a colon (RFC 8445 section 7.2.2).
    fn by_fragment(&self, datagram: &[u8]) -> Option<At> {
        let username = Message::parse(datagram).ok()?.username?;
        let fragment = username.split(|byte| *byte == b':').next()?;
        self.fragments.get(fragment).copied()
    }

    /// Takes over where a side is to be found.
    pub fn settle(&mut self, at: At, state: &mut SideState, wish: &WantedSide) {
        let shared = matches!(state.outlet, Outlet::Shared(_));
        let ice = wish.remote.as_ref().and_then(|remote| remote.ice.as_ref()).filter(|_| shared);
        let fragment = ice.map(|ice| ice.local.ufrag.as_bytes());
        if state.fragment.as_deref() != fragment {
            self.forget_fragment(at, state);
            state.fragment = fragment.map(Box::from);
            if let Some(fragment) = &state.fragment {
                self.fragments.insert(fragment.clone(), at);
            }
        }
        let wanted: &[Spot] = if shared { &wish.spots } else { &[] };
        self.forget_spots(at, state, wanted);
        for spot in wanted {
            self.spots.insert(*spot, at);
        }
        state.spots = wanted.into();
    }

    /// Forgets a side.
    pub fn forget(&mut self, at: At, state: &mut SideState) {
        self.forget_fragment(at, state);
        self.forget_spots(at, state, &[]);
        state.spots.clear();
    }

    fn forget_fragment(&mut self, at: At, state: &mut SideState) {
        if let Some(before) = state.fragment.take()
            && self.fragments.get(&before) == Some(&at)
        {
            self.fragments.remove(&before);
        }
    }

    fn forget_spots(&mut self, at: At, state: &SideState, but: &[Spot]) {
        for spot in state.spots.iter().filter(|spot| !but.contains(spot)) {
            if self.spots.get(spot) == Some(&at) {
                self.spots.remove(spot);
            }
        }
    }

    /// A side with ICE has checked from an address: what comes from there is its own from now on, unless it is somebody's.
    fn meet(&mut self, at: At, entry: &mut Entry, port: &SharedPort, from: SocketAddr) {
        let Entry { sides, record, .. } = entry;
        let state = sides.get_mut(at.side);
        let spot = Spot::from(from);
        if !port.claim(spot, record.id, at.side) {
            return;
        }
        let mut gone = Spots::new();
        let current = record.saw(at.side, state.remote_serial, |wanted| {
            let (here, spots) = (wanted.seen.map(Spot::from), &mut wanted.spots);
            spots.push(spot);
            while spots.len() > SPOTS_MAX
                && let Some(oldest) = spots.iter().position(|spot| Some(*spot) != here)
            {
                gone.push(spots.remove(oldest));
            }
            state.spots.clone_from(spots);
        });
        if !current {
            return port.release(&[spot], record.id, at.side);
        }
        port.release(&gone, record.id, at.side);
        for spot in &gone {
            self.spots.remove(spot);
        }
        self.spots.insert(spot, at);
    }
}

/// How much came at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rush {
    /// A packet at most.
    No,
    Several,
    /// More than was read: there is nothing to wait for.
    Backlog,
}

impl Worker<'_> {
    /// Reads what the shared port has, within its share.
    pub(super) fn read_shared(&mut self, spare: &mut [u8], now: Duration) -> Rush {
        let Some((shared, mut inbox)) = self.shared.clone().zip(self.inbox.take()) else { return Rush::No };
        let mut packets = 0;
        let mut rush = Rush::Backlog;
        for _ in 0..BATCHES_MAX {
            // An error: nothing more, or ICMP about what was sent, which ends nothing.
            let count = inbox.fill(&shared.port.socket).unwrap_or_default();
            for at in 0..count {
                let Some(datagram) = inbox.get(at) else { continue };
                if datagram.each >= datagram.length {
                    packets += 1;
                    self.take_shared(&shared, datagram.buffer, datagram.length, datagram.from, now);
                    continue;
                }
                // Behind each of a run there is the next one: it is taken where there is room for what SRTP adds.
                for packet in datagram.buffer.get(..datagram.length).unwrap_or_default().chunks(datagram.each.max(1)) {
                    packets += 1;
                    let Some(place) = spare.get_mut(..packet.len()) else {
                        self.seat.vitals.malformed.add(1);
                        continue;
                    };
                    place.copy_from_slice(packet);
                    self.take_shared(&shared, spare, packet.len(), datagram.from, now);
                }
            }
            if count < INBOX_MAX {
                rush = if packets > 1 { Rush::Several } else { Rush::No };
                break;
            }
        }
        self.inbox = Some(inbox);
        rush
    }

    fn take_shared(&mut self, shared: &Shared, buffer: &mut [u8], length: usize, from: SocketAddr, now: Duration) {
        let vitals = &self.seat.vitals;
        let packet = buffer.get(..length).unwrap_or_default();
        let Some((at, new)) = self.peers.find(packet, from) else { return vitals.strangers.add(1) };
        self.seat.serving.store(at.slot, Relaxed);
        let Some(Some(entry)) = self.flows.get_mut(at.slot as usize) else { return };
        // By the address, where RTCP has one of its own; else its bytes will tell.
        let its_own = |route: &Route| !route.rtcp_mux && same_place(from, route.rtcp) && !same_place(from, route.rtp);
        let is_rtcp = entry.sides.get(at.side).route.as_ref().is_some_and(its_own);
        let mut hands = Hands { pool: self.pool, vitals, side: at.side, now };
        hands.take(entry, Datagram { buffer, length, from, is_rtcp });
        let checked = |entry: &Entry| entry.sides.get(at.side).web.as_ref().is_some_and(|web| web.has_checked(from));
        if new && checked(entry) {
            self.peers.meet(at, entry, &shared.port, from);
        }
        if !entry.listed && entry.makes() {
            self.list_if_playing(at.slot);
        }
    }

    /// Sends what the turn has left in the outbox.
    pub(super) fn flush_shared(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.flush();
        let vitals = &self.seat.vitals;
        for tag in shared.lost.borrow_mut().drain(..) {
            let (at, bytes) = At::of_tag(tag);
            vitals.send_failed.add(1);
            vitals.packets_out.take(1);
            if let Some(Some(entry)) = self.flows.get(at.slot as usize) {
                let counters = entry.record.counters.get(at.side);
                counters.send_failed.add(1);
                counters.packets_sent.take(1);
                counters.bytes_sent.take(bytes);
            }
        }
    }
}

/// What a side on the shared port is found by.
pub type Fragment = Option<Box<[u8]>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_back_whose_packet_it_was_and_what_it_counted_for() {
        for (slot, side, bytes) in [(0, Side::A, 0), (65_535, Side::B, 172), (u32::MAX, Side::A, 2047)] {
            let at = At { slot, side };
            assert_eq!(At::of_tag(at.tag(bytes)), (at, bytes as u64));
            assert_ne!(at.tag(bytes), UNCOUNTED);
        }
    }
}

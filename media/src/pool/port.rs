//! Where the media of a side comes in and goes out: a port pair of its own, or the one port that its worker's flows share.
//!
//! On the shared port a flow is known by its peers' addresses, so no two may have the same: an address is *claimed* by a side, and
//! whoever comes second gets a pair of its own. Who claims first keeps it; a claim for somebody else's address only sends that
//! one to another port.

use super::PortMode;
use super::ports::{PortPair, even_port_of_the_kernel};
use super::sys;
use super::vocabulary::{FlowId, Side};
use ahash::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Numbers of the kernel that are tried for a shared port.
const TRIES_MAX: usize = 64;

/// The port of a side.
#[derive(Clone)]
pub enum Port {
    Own(Arc<PortPair>),
    Shared(Arc<SharedPort>),
}

impl Port {
    /// The socket that RTP leaves from.
    pub fn rtp(&self) -> &UdpSocket {
        match self {
            Port::Own(pair) => &pair.rtp,
            Port::Shared(shared) => &shared.socket,
        }
    }

    /// Port numbers of RTP and RTCP.
    pub fn numbers(&self) -> (u16, u16) {
        match self {
            Port::Own(pair) => (pair.rtp_port, pair.rtp_port | 1),
            Port::Shared(shared) => (shared.number, shared.number),
        }
    }

    pub fn own(&self) -> Option<&Arc<PortPair>> {
        match self {
            Port::Own(pair) => Some(pair),
            Port::Shared(_) => None,
        }
    }
}

/// An address as the key of a table. IPv4 addresses are theirs in IPv6; a scope, which SDP cannot say, does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    ip: u128,
    port: u16,
}

impl From<SocketAddr> for Spot {
    #[inline]
    fn from(address: SocketAddr) -> Spot {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        Spot { ip, port: address.port() }
    }
}

/// The addresses that a side has claimed.
pub type Spots = SmallVec<[Spot; 1]>;

/// One port for all flows of a worker. It stays bound for the life of the pool: a worker that dies finds it again.
pub struct SharedPort {
    pub socket: UdpSocket,
    number: u16,
    /// Whose peers are where; control only, a worker has its own table.
    claims: Mutex<HashMap<Spot, (FlowId, Side), RandomState>>,
}

impl SharedPort {
    fn new(socket: UdpSocket) -> io::Result<SharedPort> {
        socket.set_nonblocking(true)?;
        sys::ready_for_batches(&socket);
        Ok(SharedPort { number: socket.local_addr()?.port(), socket, claims: Mutex::default() })
    }

    /// Claims an address for a side; false if another side has it.
    pub fn claim(&self, spot: Spot, id: FlowId, side: Side) -> bool {
        match self.claims.lock().entry(spot) {
            Entry::Occupied(taken) => *taken.get() == (id, side),
            Entry::Vacant(free) => {
                free.insert((id, side));
                true
            }
        }
    }

    /// Gives up addresses of a side.
    pub fn release(&self, spots: &[Spot], id: FlowId, side: Side) {
        let mut claims = self.claims.lock();
        for spot in spots {
            if claims.get(spot) == Some(&(id, side)) {
                claims.remove(spot);
            }
        }
    }

    #[cfg(test)]
    pub fn claimed(&self) -> usize {
        self.claims.lock().len()
    }
}

/// What the workers share, by their numbers, and what of the range is left for pairs.
pub struct Bound {
    pub shared: Vec<Option<Arc<SharedPort>>>,
    pub rest: RangeInclusive<u16>,
}

/// Binds what the workers share in a mode: a port each, the first even ones of the range.
///
/// # Errors
/// The range holds fewer even ports than there are workers, or one of them is taken.
pub fn bind(mode: PortMode, ip: IpAddr, range: &RangeInclusive<u16>, workers: u16) -> io::Result<Bound> {
    if mode == PortMode::Range {
        return Ok(Bound { shared: (0..workers).map(|_| None).collect(), rest: range.clone() });
    }
    let (start, end) = (*range.start(), *range.end());
    if (start, end) == (0, 0) {
        let ports = (0..workers).map(|_| shared_port_of_the_kernel(ip).map(|port| Some(Arc::new(port))));
        return Ok(Bound { shared: ports.collect::<io::Result<_>>()?, rest: 0..=0 });
    }
    // RFC 3550 section 11: whoever is told an odd port may take it for the RTCP port of the even one below.
    let first = start.saturating_add(start % 2);
    let mut shared = Vec::new();
    for worker in 0..workers {
        let number = worker.checked_mul(2).and_then(|offset| first.checked_add(offset)).filter(|number| *number <= end);
        let few =
            || io::Error::new(io::ErrorKind::InvalidInput, "the media port range has no even port for each worker");
        let socket = UdpSocket::bind(SocketAddr::new(ip, number.ok_or_else(few)?))?;
        shared.push(Some(Arc::new(SharedPort::new(socket)?)));
    }
    #[allow(clippy::reversed_empty_ranges)] // of which no pair can be had
    let rest = first.checked_add(workers.saturating_mul(2)).map_or(1..=0, |next| next..=end);
    Ok(Bound { shared, rest })
}

fn shared_port_of_the_kernel(ip: IpAddr) -> io::Result<SharedPort> {
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES_MAX {
        match UdpSocket::bind(SocketAddr::new(ip, even_port_of_the_kernel(ip)?)) {
            Ok(socket) => return SharedPort::new(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn id(slot: u32) -> FlowId {
        FlowId { worker: 0, slot, generation: 1 }
    }

    #[test]
    fn an_address_is_of_the_side_that_claimed_it_first_until_that_gives_it_up() {
        let port = shared_port_of_the_kernel(LOOPBACK).unwrap();
        let spot = Spot::from(SocketAddr::from(([192, 0, 2, 1], 4000)));
        assert!(port.claim(spot, id(1), Side::A) && port.claim(spot, id(1), Side::A));
        assert!(!port.claim(spot, id(1), Side::B) && !port.claim(spot, id(2), Side::A));
        port.release(&[spot], id(2), Side::A);
        assert!(!port.claim(spot, id(2), Side::A));
        port.release(&[spot], id(1), Side::A);
        assert!(port.claim(spot, id(2), Side::A));
        assert_eq!(port.claimed(), 1);
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_by_either_family() {
        let plain: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        assert_eq!(Spot::from(plain), Spot::from("[::ffff:192.0.2.1]:4000".parse::<SocketAddr>().unwrap()));
        assert_ne!(Spot::from(plain), Spot::from("192.0.2.1:4001".parse::<SocketAddr>().unwrap()));
        assert_ne!(Spot::from(plain), Spot::from("192.0.2.2:4000".parse::<SocketAddr>().unwrap()));
    }

    #[test]
    fn workers_share_the_first_even_ports_of_the_range_and_pairs_get_the_rest() {
        // Three even ports in a row that nobody has.
        let (base, ports, rest) = (0..100)
            .find_map(|_| {
                let base = even_port_of_the_kernel(LOOPBACK).ok()?;
                let Bound { shared: ports, rest } = bind(PortMode::Single, LOOPBACK, &(base - 1..=base + 9), 3).ok()?;
                Some((base, ports, rest))
            })
            .expect("free ports");
        let numbers: Vec<_> = ports.iter().flatten().map(|port| Port::Shared(Arc::clone(port)).numbers()).collect();
        assert_eq!(numbers, [0, 2, 4].map(|offset| (base + offset, base + offset)));
        assert_eq!(rest, base + 6..=base + 9);
    }

    #[test]
    fn one_port_is_enough_for_one_worker_and_not_for_two() {
        let base = even_port_of_the_kernel(LOOPBACK).unwrap();
        let bound = bind(PortMode::Single, LOOPBACK, &(base..=base), 1).unwrap();
        assert!(bound.shared.len() == 1 && bound.rest.is_empty());
        drop(bound);
        assert!(bind(PortMode::Single, LOOPBACK, &(base..=base), 2).is_err());
        let bound = bind(PortMode::Range, LOOPBACK, &(base..=base + 1), 2).unwrap();
        assert!(bound.shared.iter().all(Option::is_none) && bound.rest == (base..=base + 1));
    }
}

//! Port pairs: bound once, lent to one flow after the other.
//!
//! A pair belongs to one worker for as long as it is bound: its sockets stay in that worker's epoll, so lending it costs no
//! system call, and what comes while nobody has it is thrown away. A pair that comes back is disconnected and goes to the
//! end of a queue, so a port that just carried a call rests longest: late packets of its old peer die out before a new call
//! gets it.

use super::sys;
use super::vocabulary::OpenError;
use rand::seq::SliceRandom;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A port that was in use is not lent again for this long, while others are to be had: what its old peer had on the way
/// is over by then, and the source check guards it anyway.
pub const REST: Duration = Duration::from_millis(500);
/// Ports that somebody else holds are passed over, at most this many for one request.
const TRIES_MAX: usize = 8;
/// A port that somebody else holds is tried again after this long.
const SHUN: Duration = Duration::from_secs(60);
/// Pairs when the kernel picks the numbers.
const KERNEL_PAIRS_MAX: usize = 16_384;

/// An RTP socket on an even port and its RTCP socket on the odd port above.
#[derive(Debug)]
pub struct PortPair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub rtp_port: u16,
    /// The worker that it belongs to.
    pub home: u16,
    /// Its place in that worker's table of sockets.
    pub place: u32,
    /// The epoch of the worker's thread whose epoll has its sockets; 0 for none.
    pub watched: AtomicU64,
    /// The RTP socket has been connected to a peer since it was lent.
    connected: AtomicBool,
}

impl PortPair {
    /// Connects the RTP socket to its peer: the kernel drops everybody else's packets from then on.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.connected.store(true, Ordering::Relaxed);
        self.rtp.connect(peer)
    }
}

/// The pairs of one worker that no flow has.
#[derive(Default)]
struct Home {
    /// With the time it came back; `None` for a pair that was never lent.
    warm: VecDeque<(Arc<PortPair>, Option<Duration>)>,
    /// Places in the worker's table that no bound pair has, and the first that none has had.
    free: Vec<u32>,
    next: u32,
}

/// All pairs that no flow has.
pub struct Ports {
    ip: IpAddr,
    /// `None`: the kernel picks.
    unbound: Option<VecDeque<u16>>,
    /// Numbers that somebody else held, with the time of the last try.
    shunned: VecDeque<(u16, Duration)>,
    homes: Vec<Home>,
    warm_max: usize,
    idle: Duration,
    lent: usize,
}

impl Ports {
    /// Plans the range for so many workers and binds the warm pairs; of an empty range there are none to be had.
    pub fn new(
        ip: IpAddr,
        range: &RangeInclusive<u16>,
        workers: u16,
        warm: usize,
        idle: Duration,
    ) -> io::Result<Ports> {
        let kernel_picks = *range.start() == 0 && *range.end() == 0;
        let mut numbers: Vec<u16> =
            range.clone().filter(|port| port % 2 == 0 && *port != 0 && port < range.end()).collect();
        if numbers.is_empty() && !kernel_picks && !range.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the media port range holds no even port with its odd one",
            ));
        }
        // In no order that a stranger could count along.
        numbers.shuffle(&mut rand::rng());
        let unbound = if kernel_picks { None } else { Some(numbers.into()) };
        let homes = (0..workers.max(1)).map(|_| Home::default()).collect();
        let mut ports = Ports { ip, unbound, shunned: VecDeque::new(), homes, warm_max: warm, idle, lent: 0 };
        for home in (0..workers.max(1)).cycle().take(warm) {
            match ports.bind(Duration::ZERO, home) {
                Ok(pair) => ports.shelve(pair, None),
                // Numbers that others hold are no reason not to start: fewer are warm then.
                Err(OpenError::Io(error)) if error.kind() != io::ErrorKind::AddrInUse => return Err(error),
                Err(_) => {}
            }
        }
        Ok(ports)
    }

    /// Lends a pair of a worker: a rested one, else a newly bound one, else the one that rested longest, else the number
    /// of a pair of another worker.
    pub fn take(&mut self, now: Duration, home: u16) -> Result<Arc<PortPair>, OpenError> {
        let warm = |ports: &mut Self| ports.homes.get_mut(usize::from(home)).and_then(|h| h.warm.pop_front());
        let rested = self.homes.get(usize::from(home)).and_then(|h| h.warm.front());
        let rested = rested.is_some_and(|(_, back)| back.is_none_or(|back| now.saturating_sub(back) >= REST));
        let pair = if rested { warm(self).map(|(pair, _)| pair) } else { None };
        let pair = match pair {
            Some(pair) => pair,
            None => match self.bind(now, home) {
                Ok(pair) => pair,
                // Better a port that has not rested than no call: the source check guards it anyway.
                Err(error) => match warm(self) {
                    Some((pair, _)) => pair,
                    None if self.close_one_elsewhere(home) => self.bind(now, home)?,
                    None => return Err(error),
                },
            },
        };
        self.lent += 1;
        Ok(pair)
    }

    /// Takes a pair back that nobody else holds any more. Sockets that cannot be disconnected are closed and their numbers
    /// used again later.
    pub fn give_back(&mut self, pair: Arc<PortPair>, now: Duration) {
        self.lent = self.lent.saturating_sub(1);
        let connected = pair.connected.swap(false, Ordering::Relaxed);
        if !connected || sys::disconnect(&pair.rtp).is_ok() {
            self.shelve(pair, Some(now));
        } else {
            self.forget(&pair);
        }
    }

    /// Closes pairs beyond the warm ones that nobody has wanted for long: binding costs more than waiting, so what a
    /// busy hour needed stays bound while it lasts.
    pub fn trim(&mut self, now: Duration) {
        let idle = self.idle;
        for home in 0..self.homes.len() {
            while self.warm() > self.warm_max
                && let Some(warm) = self.homes.get_mut(home).map(|home| &mut home.warm)
                && warm.front().is_some_and(|(_, back)| back.is_none_or(|back| now.saturating_sub(back) >= idle))
                && let Some((oldest, _)) = warm.pop_front()
            {
                self.forget(&oldest);
            }
        }
    }

    /// Gives up a pair whose sockets somebody still holds; its number comes up again when they are closed.
    pub fn write_off(&mut self, pair: &PortPair) {
        self.lent = self.lent.saturating_sub(1);
        self.forget(pair);
    }

    /// The pairs of a worker that wait bound: a new thread of it watches them.
    pub fn waiting(&self, home: u16) -> Vec<Arc<PortPair>> {
        let home = self.homes.get(usize::from(home));
        home.map_or_else(Vec::new, |home| home.warm.iter().map(|(pair, _)| Arc::clone(pair)).collect())
    }

    /// Pairs that wait bound.
    pub fn warm(&self) -> usize {
        self.homes.iter().map(|home| home.warm.len()).sum()
    }

    fn shelve(&mut self, pair: Arc<PortPair>, back: Option<Duration>) {
        if let Some(home) = self.homes.get_mut(usize::from(pair.home)) {
            home.warm.push_back((pair, back));
        }
    }

    fn forget(&mut self, pair: &PortPair) {
        if let Some(home) = self.homes.get_mut(usize::from(pair.home)) {
            home.free.push(pair.place);
        }
        self.forget_number(pair.rtp_port);
    }

    fn forget_number(&mut self, rtp_port: u16) {
        if let Some(unbound) = &mut self.unbound {
            unbound.push_back(rtp_port);
        }
    }

    /// Closes the pair of another worker that rested longest, so that its number can be bound here.
    fn close_one_elsewhere(&mut self, home: u16) -> bool {
        let others = self.homes.iter_mut().enumerate().filter(|(at, _)| *at != usize::from(home));
        let fullest = others.map(|(_, home)| home).max_by_key(|home| home.warm.len());
        match fullest.and_then(|home| home.warm.pop_front()) {
            Some((pair, _)) => {
                self.forget(&pair);
                true
            }
            None => false,
        }
    }

    fn bind(&mut self, now: Duration, home: u16) -> Result<Arc<PortPair>, OpenError> {
        let mut failure = OpenError::NoPorts;
        while let Some((port, _)) = self.shunned.pop_front_if(|(_, tried)| now.saturating_sub(*tried) >= SHUN) {
            self.forget_number(port);
        }
        let bound = self.lent + self.warm();
        for _ in 0..TRIES_MAX {
            let port = match &mut self.unbound {
                Some(unbound) => unbound.pop_front().ok_or(failure)?,
                None if bound >= KERNEL_PAIRS_MAX => {
                    return Err(OpenError::NoPorts);
                }
                None => even_port_of_the_kernel(self.ip)?,
            };
            match bind_pair(self.ip, port) {
                Ok((rtp, rtcp)) => {
                    let (watched, connected) = (AtomicU64::new(0), AtomicBool::new(false));
                    let place = self.new_place(home);
                    return Ok(Arc::new(PortPair { rtp, rtcp, rtp_port: port, home, place, watched, connected }));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if self.unbound.is_some() {
                        self.shunned.push_back((port, now));
                    }
                    failure = error.into();
                }
                Err(error) => {
                    self.forget_number(port);
                    return Err(error.into());
                }
            }
        }
        Err(failure)
    }

    fn new_place(&mut self, home: u16) -> u32 {
        let Some(home) = self.homes.get_mut(usize::from(home)) else { return 0 };
        home.free.pop().unwrap_or_else(|| {
            home.next += 1;
            home.next - 1
        })
    }
}

fn bind_pair(ip: IpAddr, rtp_port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
    // Bound by number, never by 0: only then does the port survive a disconnect.
    let bind = |port: u16| {
        let socket = UdpSocket::bind(SocketAddr::new(ip, port))?;
        socket.set_nonblocking(true)?;
        Ok::<_, io::Error>(socket)
    };
    Ok((bind(rtp_port)?, bind(rtp_port | 1)?))
}

/// An even port near one that the kernel finds free; whether the pair is free shows when it is bound.
pub fn even_port_of_the_kernel(ip: IpAddr) -> io::Result<u16> {
    Ok(UdpSocket::bind(SocketAddr::new(ip, 0))?.local_addr()?.port() & !1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_survives_connecting_and_disconnecting() {
        let mut ports = Ports::new(LOOPBACK, &(0..=0), 1, 1, IDLE).unwrap();
        let pair = ports.take(Duration::ZERO, 0).unwrap();
        let before = pair.rtp.local_addr().unwrap();
        assert_eq!(before.port() % 2, 0);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), before.port() + 1);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        pair.connect(peer.local_addr().unwrap()).unwrap();
        ports.give_back(pair, Duration::ZERO);
        let pair = ports.take(Duration::ZERO + REST, 0).unwrap();
        assert_eq!(pair.rtp.local_addr().unwrap(), before);
        assert!(pair.rtp.peer_addr().is_err());
        pair.rtp.set_nonblocking(false).unwrap();
        pair.rtp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"anybody", before).unwrap();
        assert_eq!(pair.rtp.recv(&mut [0; 16]).unwrap(), 7);
    }

    #[test]
    fn a_port_that_was_used_rests_while_others_are_free_and_is_lent_early_rather_than_none() {
        let mut ports = Ports::new(LOOPBACK, &(0..=0), 1, 2, IDLE).unwrap();
        let first = ports.take(Duration::ZERO, 0).unwrap();
        let first_port = first.rtp_port;
        ports.give_back(first, Duration::ZERO);
        let second = ports.take(Duration::ZERO, 0).unwrap();
        assert_ne!(second.rtp_port, first_port);

        let free = second.rtp_port;
        drop((second, ports));
        let mut narrow = Ports::new(LOOPBACK, &(free..=free + 1), 1, 2, IDLE).unwrap();
        let only = narrow.take(Duration::ZERO, 0).unwrap();
        assert!(matches!(narrow.take(Duration::ZERO, 0), Err(OpenError::NoPorts)));
        narrow.give_back(only, Duration::ZERO);
        assert_eq!(narrow.take(Duration::ZERO, 0).unwrap().rtp_port, free);
    }

    #[test]
    fn idle_pairs_beyond_the_warm_ones_are_closed() {
        let mut ports = Ports::new(LOOPBACK, &(0..=0), 1, 1, IDLE).unwrap();
        let pairs: Vec<_> = (0..5).map(|_| ports.take(Duration::ZERO, 0).unwrap()).collect();
        pairs.into_iter().for_each(|pair| ports.give_back(pair, Duration::ZERO));
        ports.trim(IDLE / 2);
        assert_eq!(ports.warm(), 5);
        ports.trim(IDLE);
        assert_eq!(ports.warm(), 1);
    }

    #[test]
    fn a_range_without_a_pair_is_refused() {
        assert!(Ports::new(LOOPBACK, &(4001..=4002), 1, 0, IDLE).is_err());
    }

    #[test]
    fn a_worker_without_a_free_number_gets_that_of_another_workers_idle_pair() {
        let free = even_port_of_the_kernel(LOOPBACK).unwrap();
        let mut ports = Ports::new(LOOPBACK, &(free..=free + 1), 2, 1, IDLE).unwrap();
        assert_eq!((ports.waiting(0).len(), ports.waiting(1).len()), (1, 0));
        let pair = ports.take(Duration::ZERO, 1).unwrap();
        assert_eq!((pair.rtp_port, pair.home, ports.warm()), (free, 1, 0));
        assert!(matches!(ports.take(Duration::ZERO, 0), Err(OpenError::NoPorts)));
        ports.give_back(pair, Duration::ZERO);
        assert_eq!(ports.waiting(1).len(), 1);
    }
}

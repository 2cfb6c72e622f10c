//! Ports for processes that must be told theirs before they bind it.
//!
//! A number that the kernel gave away a moment ago can be anybody's by the time that a process binds it: an outgoing
//! connection's, another test's. So these numbers lie outside of the range that the kernel chooses from, where nobody comes by
//! chance, and each is held among all tests of this machine by a socket of another kind until its last holder is gone.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below it lie the numbers that services and SIPp itself have a liking for.
const FIRST: u16 = 10_000;

/// With fewer the tests would wait for one another.
const WANTED: u16 = 2_000;

/// A port of loopback, for UDP and TCP, that no other test has while this or a clone of it lives.
#[derive(Clone)]
pub struct Port {
    number: u16,
    /// A name that only one process can listen on, and that the kernel takes back however that process ends.
    _held: Arc<UnixListener>,
}

impl Port {
    /// One that is free for UDP and for TCP.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let range = halves().0;
        let count = range.end() - range.start() + 1;
        // Test binaries begin at different places, so that they seldom meet.
        let began = u16::try_from(u64::from(std::process::id()) * 97 % u64::from(count)).expect("below a u16");
        for _ in 0..count {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % count;
            let place = (u32::from(began) + u32::from(step)) % u32::from(count);
            let number = range.start() + u16::try_from(place).expect("below a u16");
            if let Some(port) = Self::hold(number) {
                return port;
            }
        }
        panic!("all ports of {range:?} are taken");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// This one, if nobody has it.
    pub fn hold(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("strowger-test-port-{number}")).expect("a short name");
        let held = UnixListener::bind_addr(&name).ok()?;
        // A service of this machine may live there.
        UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _held: Arc::new(held) })
    }
}

/// Numbers for a process that tries others of a range by itself until it has what it needs.
pub fn rtp_range() -> RangeInclusive<u16> {
    halves().1
}

/// Those that are held, and those for [`rtp_range`].
fn halves() -> (RangeInclusive<u16>, RangeInclusive<u16>) {
    let (first, last) = range().into_inner();
    let middle = first + (last - first) / 2;
    (first..=middle, middle + 1..=last)
}

/// The numbers that the kernel never chooses: those below its range, or above it.
fn range() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("the kernel's range");
    let mut bounds = text.split_whitespace().map(|bound| bound.parse::<u16>().expect("a port"));
    let (low, high) = (bounds.next().expect("two bounds"), bounds.next().expect("two bounds"));
    if low > FIRST + WANTED {
        FIRST..=low - 1
    } else if high < u16::MAX - WANTED {
        high.max(FIRST) + 1..=u16::MAX
    } else {
        panic!("the kernel chooses from {low} to {high}: the tests need {WANTED} ports that it leaves alone")
    }
}

//! A network that loses, delays, doubles and reorders datagrams: those of the loopback of the trial's own network come to us by the
//! kernel's packet queue (nfnetlink_queue), and go on when and as often as they should. Connections, and so the admin API, do not.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::bail;
use nfq::{Message, Queue, Verdict};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use socket2::{Domain, Protocol, Socket, Type};

use super::breaking::Unavailable;
use super::fault::Network;

/// The number of the kernel's queue: the network is the trial's own, and has no other.
const QUEUE: u16 = 0;
/// Datagrams that the kernel keeps for us; past it they are lost, as in any queue.
const QUEUE_MAX: u32 = 65_536;
/// What marks the second of two alike, which is not looked at again.
const MARK: u32 = 0x7777;
/// How long a look lasts when nothing comes.
const LOOK: Duration = Duration::from_micros(500);
/// Where the checksum of a UDP datagram stands behind its IP header; 0 is none (RFC 768).
const CHECKSUM_AT: usize = 6;

/// A network that is broken until this is dropped.
pub struct Impaired {
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl Impaired {
    /// Breaks it.
    ///
    /// # Errors
    /// This kernel has no packet queue, or we may not use it.
    pub fn begin(network: &Network) -> anyhow::Result<Self> {
        let no_queue = |error: std::io::Error| {
            Unavailable::new(format!("this kernel gives its packets to nobody (nfnetlink_queue): {error}"))
        };
        let mut queue = Queue::open().map_err(no_queue)?;
        queue.bind(QUEUE).map_err(no_queue)?;
        queue.set_queue_max_len(QUEUE, QUEUE_MAX).map_err(no_queue)?;
        queue.set_recv_enobufs(false).map_err(no_queue)?;
        queue.set_nonblocking(true);
        let again = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        again.set_mark(MARK)?;
        rule("-A")?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let fate = Fates::of(network);
        let running = thread::spawn(move || carry(queue, &again, fate, &asked));
        Ok(Self { stop, running: Some(running) })
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        // No datagram comes to the queue any more before nobody looks at it.
        let _ = rule("-D");
        self.stop.store(true, Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// Lays or removes the rule by which datagrams come to us.
fn rule(how: &str) -> anyhow::Result<()> {
    let mark = format!("{MARK:#x}");
    let arguments = [how, "INPUT", "-i", "lo", "-p", "udp", "-m", "mark", "!", "--mark", &mark, "-j", "NFQUEUE"];
    let done = Command::new("iptables").args(arguments).args(["--queue-num", "0"]).output();
    let done = done.map_err(|_| Unavailable::new("iptables is not on this machine".to_owned()))?;
    if !done.status.success() {
        bail!("iptables {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// A datagram that waits for its moment.
struct Waiting {
    due: Instant,
    number: u64,
    message: Message,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Waiting {}

fn carry(mut queue: Queue, again: &Socket, mut fates: Fates, stop: &AtomicBool) {
    let mut waiting: BinaryHeap<Reverse<Waiting>> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let stopping = stop.load(Relaxed);
        let came = queue.recv();
        let now = Instant::now();
        let idle = came.is_err();
        match came {
            Ok(mut message) => {
                number += 1;
                let fate = fates.next();
                if fate.twice {
                    twice(again, message.get_payload());
                }
                if fate.lost {
                    message.set_verdict(Verdict::Drop);
                    let _ = queue.verdict(message);
                } else {
                    message.set_verdict(Verdict::Accept);
                    waiting.push(Reverse(Waiting { due: now + fate.later, number, message }));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The queue is gone with its network.
            Err(_) => return,
        }
        while waiting.peek().is_some_and(|Reverse(first)| stopping || first.due <= now) {
            if let Some(Reverse(first)) = waiting.pop() {
                let _ = queue.verdict(first.message);
            }
        }
        if idle && stopping {
            return;
        }
        if idle {
            let next = waiting.peek().map_or(LOOK, |Reverse(first)| first.due.saturating_duration_since(now));
            thread::sleep(next.min(LOOK));
        }
    }
}

/// Sends a copy of an IP packet, which has no checksum yet: loopback leaves that to nobody.
fn twice(again: &Socket, packet: &[u8]) {
    let mut copy = packet.to_vec();
    // The header's length stands in words of four bytes (RFC 791 section 3.1).
    let head = usize::from(copy.first().copied().unwrap_or(0) & 0x0f) * 4;
    if let Some(checksum) = copy.get_mut(head + CHECKSUM_AT..head + CHECKSUM_AT + 2) {
        checksum.fill(0);
    }
    let to: Option<[u8; 4]> = copy.get(16..20).and_then(|to| to.try_into().ok());
    let Some(to) = to.map(Ipv4Addr::from) else { return };
    // What the kernel does not take is not doubled.
    let _ = again.send_to(&copy, &SocketAddr::from((to, 0)).into());
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    lost: bool,
    twice: bool,
    later: Duration,
}

/// What becomes of each, by chance: the same of the same seed.
struct Fates {
    network: Network,
    chance: StdRng,
}

impl Fates {
    fn of(network: &Network) -> Self {
        Self { network: network.clone(), chance: StdRng::seed_from_u64(network.seed) }
    }

    fn next(&mut self) -> Fate {
        let Network { loss, duplicate, reorder, delay, jitter, .. } = self.network.clone();
        let mut is = |percent: f64| self.chance.random_bool((percent / 100.0).clamp(0.0, 1.0));
        let (lost, twice, overtakes) = (is(loss), is(duplicate), is(reorder));
        let (delay, jitter) = (delay.unwrap_or_default(), jitter.unwrap_or_default());
        // From `delay - jitter` to `delay + jitter`.
        let later = (delay + jitter.mul_f64(2.0 * self.chance.random::<f64>())).saturating_sub(jitter);
        Fate { lost, twice: twice && !lost, later: if overtakes { Duration::ZERO } else { later } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(network: &Network, count: usize) -> Vec<Fate> {
        let mut fates = Fates::of(network);
        (0..count).map(|_| fates.next()).collect()
    }

    #[test]
    fn so_many_are_lost_doubled_and_overtake_as_the_plan_says() {
        let network = Network {
            loss: 10.0,
            duplicate: 20.0,
            reorder: 5.0,
            delay: Some(Duration::from_millis(30)),
            jitter: Some(Duration::from_millis(10)),
            ..Network::default()
        };
        let all = fates(&network, 10_000);
        let count = |is: fn(&Fate) -> bool| all.iter().filter(|fate| is(fate)).count();
        assert!((800..1_200).contains(&count(|fate| fate.lost)));
        // Of those that are not lost.
        assert!((1_600..2_000).contains(&count(|fate| fate.twice)));
        assert!((400..600).contains(&count(|fate| fate.later.is_zero())));
        let range = Duration::from_millis(20)..=Duration::from_millis(40);
        assert!(all.iter().all(|fate| fate.later.is_zero() || range.contains(&fate.later)));
    }

    #[test]
    fn the_same_seed_has_the_same_fates_and_another_has_others() {
        let network = |seed| Network { loss: 50.0, seed, ..Network::default() };
        assert_eq!(fates(&network(7), 100), fates(&network(7), 100));
        assert_ne!(fates(&network(7), 100), fates(&network(8), 100));
    }
}

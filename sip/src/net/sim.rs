//! A simulated network of datagrams, beside the kernel's: seeded, on the runtime's clock, within one thread.
//!
//! What is sent arrives after the weather's latency, which differs from packet to packet, so that packets overtake one
//! another; or twice, or never. The same seed and the same senders give the same run, packet for packet. The switch stands
//! in it by [`super::Network::simulated`], phones by [`Simulator::bind`].

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Datagrams that are remembered for [`Simulator::trace`]; then the oldest are forgotten.
const TRACE_MAX: usize = 10_000;
/// Datagrams that are on their way to one socket; more are lost, as in a full buffer.
const WAITING_MAX: usize = 4_096;

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest way.
    pub latency_min: Duration,
    /// The longest way.
    pub latency_max: Duration,
    /// Of a thousand datagrams so many are lost.
    pub lost_permille: u32,
    /// Of a thousand so many arrive twice.
    pub doubled_permille: u32,
}

impl Weather {
    /// 5 ms each way, and nothing goes wrong.
    pub const FAIR: Self = Self {
        latency_min: Duration::from_millis(5),
        latency_max: Duration::from_millis(5),
        lost_permille: 0,
        doubled_permille: 0,
    };
    /// Between 1 and 80 ms, a tenth lost, a tenth doubled.
    pub const FOUL: Self = Self {
        latency_min: Duration::from_millis(1),
        latency_max: Duration::from_millis(80),
        lost_permille: 100,
        doubled_permille: 100,
    };
}

/// A datagram as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When, since the simulation began.
    pub at: Duration,
    /// By whom.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub bytes: Bytes,
    /// When its copies arrive, since the simulation began; none when it is lost.
    pub arrives: Vec<Duration>,
}

/// Decides whether a datagram may go on; beside the weather, for faults that a test wants exactly.
pub type Censor = Box<dyn FnMut(&Sent) -> bool + Send>;

/// The network. Clones are the same one.
#[derive(Clone)]
pub struct Simulator(Arc<Mutex<State>>);

struct State {
    began: Instant,
    rng: StdRng,
    weather: Weather,
    censor: Option<Censor>,
    /// Several sockets at one address share what comes, as with SO_REUSEPORT.
    sockets: BTreeMap<SocketAddr, Vec<Inbox>>,
    last_id: u64,
    /// Datagrams that arrive at the same moment do so in the order in which they were sent.
    last_sent: u64,
    trace: VecDeque<Sent>,
}

struct Inbox {
    id: u64,
    /// By the time of arrival and the order of sending.
    waiting: BTreeMap<(Instant, u64), (Bytes, SocketAddr)>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

impl Simulator {
    /// A network whose chance follows from `seed` and whose time begins now, on the runtime's clock.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self(Arc::new(Mutex::new(State {
            began: Instant::now(),
            rng: StdRng::seed_from_u64(seed),
            weather,
            censor: None,
            sockets: BTreeMap::new(),
            last_id: 0,
            last_sent: 0,
            trace: VecDeque::new(),
        })))
    }

    /// A socket at an address.
    pub fn bind(&self, address: SocketAddr) -> SimulatedSocket {
        let wake = Arc::new(Notify::new());
        let mut state = self.lock();
        state.last_id += 1;
        let id = state.last_id;
        let inbox = Inbox { id, waiting: BTreeMap::new(), wake: Arc::clone(&wake) };
        state.sockets.entry(address).or_default().push(inbox);
        SimulatedSocket { network: self.clone(), address, id, wake }
    }

    /// Other weather from now on; what is on its way stays so.
    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// Asks `censor` about every datagram from now on: false loses it, whatever the weather.
    pub fn set_censor(&self, censor: impl FnMut(&Sent) -> bool + Send + 'static) {
        self.lock().censor = Some(Box::new(censor));
    }

    /// The last datagrams, in the order in which they were sent.
    pub fn trace(&self) -> Vec<Sent> {
        self.lock().trace.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let mut state = self.lock();
        let state = &mut *state;
        let now = Instant::now();
        let copies = match state.rng.random_range(0..1_000) {
            n if n < state.weather.lost_permille => 0,
            _ if state.rng.random_range(0..1_000) < state.weather.doubled_permille => 2,
            _ => 1,
        };
        let (least, most) = (state.weather.latency_min, state.weather.latency_max);
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            arrivals.push(now + state.rng.random_range(least..=most.max(least)));
        }
        let since = |at: Instant| at.saturating_duration_since(state.began);
        let mut sent = Sent { at: since(now), from, to, bytes, arrives: arrivals.iter().copied().map(since).collect() };
        if state.censor.as_mut().is_some_and(|censor| !censor(&sent)) {
            arrivals.clear();
            sent.arrives.clear();
        }
        // Nobody is there: nobody says so.
        if let Some(inboxes) = state.sockets.get_mut(&to).filter(|inboxes| !inboxes.is_empty()) {
            let at = usize::from(from.port()) % inboxes.len();
            if let Some(inbox) = inboxes.get_mut(at) {
                for arrival in arrivals {
                    state.last_sent += 1;
                    if inbox.waiting.len() < WAITING_MAX {
                        inbox.waiting.insert((arrival, state.last_sent), (sent.bytes.clone(), from));
                    }
                }
                inbox.wake.notify_one();
            }
        }
        if state.trace.len() >= TRACE_MAX {
            state.trace.pop_front();
        }
        state.trace.push_back(sent);
    }
}

/// A place in a simulated network; closed on drop, with what was on its way to it.
#[derive(Debug)]
pub struct SimulatedSocket {
    network: Simulator,
    address: SocketAddr,
    id: u64,
    wake: Arc<Notify>,
}

impl SimulatedSocket {
    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a datagram.
    pub fn send_to(&self, bytes: Bytes, to: SocketAddr) {
        self.network.send(self.address, to, bytes);
    }

    /// The next datagram that arrives, and who sent it.
    pub async fn receive(&self) -> (Bytes, SocketAddr) {
        loop {
            let due = {
                let mut state = self.network.lock();
                let inboxes = state.sockets.get_mut(&self.address);
                let inbox = inboxes.and_then(|inboxes| inboxes.iter_mut().find(|inbox| inbox.id == self.id));
                let first = inbox.and_then(|inbox| inbox.waiting.first_entry());
                match first {
                    Some(first) if first.key().0 <= Instant::now() => return first.remove(),
                    first => first.map(|first| first.key().0),
                }
            };
            match due {
                None => self.wake.notified().await,
                Some(due) => tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }
}

impl Drop for SimulatedSocket {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        if let Some(inboxes) = state.sockets.get_mut(&self.address) {
            inboxes.retain(|inbox| inbox.id != self.id);
        }
    }
}

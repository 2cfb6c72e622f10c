//! The whole switch in one deterministic run: the real supervision tree with one shard, the real store (in memory) and the
//! real pool, on the runtime's paused clock and a simulated network.
//!
//! A run is one thread. Only the store's writer and the pool's workers have threads of their own, and neither can change what
//! happens when: the writer is let go on only while the switch has nothing else to do, and the clock stands still meanwhile
//! ([`Turns`]); the workers say nothing, for no packet of media is sent.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod calls;
pub mod phone;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actors::directory::User;
use actors::outside;
use actors::settings::{AdmissionSettings, AuthSettings, MessageSettings, RegistrarSettings, Settings, SipSettings};
use actors::shard::SignallingMsg;
use actors::shard::core::Load;
use actors::shared::Shared;
use actors::supervision::{NodeState, SupervisorRef, Tree};
use sip::net::sim::{Sent, Simulator, Weather};
use sip::sdp::CodecSpec;
use store::engine::{Batch, MemoryEngine};
use store::{CallSelect, Store, StoreConfig};

/// The domain of the users.
pub const DOMAIN: &str = "example.com";
/// Who can call and be called: name, extension; the password is `<name>-secret`.
pub const USERS: [(&str, &str); 3] = [("alice", "1001"), ("bob", "1002"), ("carol", "1003")];
/// Session interval of the switch.
pub const SESSION_EXPIRES: Duration = Duration::from_secs(1_800);
/// By then every transaction has ended (RFC 3261 section 17: 64 × T1, and T4 or T2 beside), records have been handed over,
/// and a call whose BYE nobody answered is gone.
pub const SETTLED: Duration = Duration::from_secs(100);

/// When the simulated day begins, ms since 1970.
const DAY_UNIX_MS: i64 = 1_800_000_000_000;
/// Real time that threads get for what they do beside the simulation.
const PATIENCE: Duration = Duration::from_secs(20);
/// Simulated time in which an actor answers.
const ANSWER: Duration = Duration::from_secs(5);

/// The seeds of a test: `STROWGER_SEED` alone where it is set, else the first `count`, or the first `STROWGER_SEEDS`.
pub fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    match number("STROWGER_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("STROWGER_SEEDS").unwrap_or(count)).collect(),
    }
}

/// Runs a scenario in a world of its own, and checks that nothing is left of it. A failure tells the seed and the ladder.
pub fn run(seed: u64, weather: Weather, scenario: impl AsyncFnOnce(&World) + Send + 'static) -> Vec<Sent> {
    run_with(seed, weather, |_| {}, scenario)
}

/// As [`run`], with other settings.
pub fn run_with(
    seed: u64,
    weather: Weather,
    change: impl FnOnce(&mut Settings) + Send + 'static,
    scenario: impl AsyncFnOnce(&World) + Send + 'static,
) -> Vec<Sent> {
    let mut settings = settings();
    change(&mut settings);
    // A thread a run: what actors keep on their thread ends with it.
    let ladder: Arc<Mutex<Vec<Sent>>> = Arc::default();
    let kept = Arc::clone(&ladder);
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let running = thread.spawn(move || one_run(seed, weather, settings, &kept, scenario)).expect("a thread");
    let ended = running.join();
    let sent = std::mem::take(&mut *ladder.lock().unwrap_or_else(PoisonError::into_inner));
    if let Err(panic) = ended {
        for packet in &sent {
            eprintln!("{}", line(packet));
        }
        eprintln!("this was seed {seed}: STROWGER_SEED={seed} replays it");
        std::panic::resume_unwind(panic);
    }
    sent
}

/// Where the switch is.
pub fn switch_address() -> SocketAddr {
    "192.0.2.1:5060".parse().expect("an address")
}

/// A run.
pub struct World {
    /// The network.
    pub net: Simulator,
    /// What the switch shares.
    pub shared: Arc<Shared>,
    /// Its tree.
    pub tree: Tree,
    idle: Load,
    hurt: Cell<bool>,
}

fn one_run(
    seed: u64,
    weather: Weather,
    settings: Settings,
    ladder: &Mutex<Vec<Sent>>,
    scenario: impl AsyncFnOnce(&World),
) {
    let turns = Turns::default();
    let parked = turns.clone();
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .on_thread_park(move || parked.pass())
            .build()
            .expect("a runtime")
    });
    system.block_on(async {
        let outside = outside::simulate(seed, DAY_UNIX_MS);
        let net = Simulator::new(seed, weather);
        let keeper = Keeper { net: net.clone(), ladder };
        let (store, _) = Store::open(StoreConfig::given(Arc::new(MemoryEngine::default()))).expect("a store");
        let pool = media::Pool::new(media_config()).expect("a pool");
        let network = sip::net::Network::simulated(&net, &[switch_address()]);
        let tree = Tree::new();
        tree.allow_faults(true);
        let here = vec![actix::Arbiter::current()];
        let shared =
            Shared::new(settings, store.clone(), pool, media::prompt::Prompts::shipped(), network, tree.clone(), here);
        let (on_end, ended) = tokio::sync::oneshot::channel();
        let root = actors::switch::plant(&tree, &shared, Vec::new(), move |how| drop(on_end.send(how)));
        really(|| store.health().writer_lives).await;
        turns.begin(&store);
        let mut world = World { net, shared, tree, idle: Load::default(), hurt: Cell::new(false) };
        world.is_up().await;
        world.idle = world.load().await;
        scenario(&world).await;
        world.has_settled().await;
        turns.end();
        end(world, root).await;
        let ended = ended.await;
        assert!(ended.is_ok(), "the root did not end");
        drop((keeper, outside));
        store.shutdown().expect("the store ends");
    });
}

async fn end(world: World, root: SupervisorRef) {
    drop(world);
    root.halt();
}

impl World {
    /// What is alive on the shard.
    pub async fn load(&self) -> Load {
        let signalling = self.shared.signalling(0).expect("one shard");
        signalling.ask(SignallingMsg::Load, ANSWER).await.expect("the shard answers")
    }

    /// Lets an actor panic; false where there is none at this moment.
    pub fn hurt(&self, path: &str) -> bool {
        self.hurt.set(true);
        self.tree.panic(path).is_ok()
    }

    /// The records of ended calls, as JSON, oldest first.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let all = CallSelect::Started { from_ms: 0, until_ms: i64::MAX };
        let found = self.shared.store.calls().find(&all, 1_000).expect("readable");
        let mut records: Vec<serde_json::Value> =
            found.iter().map(|record| serde_json::from_str(&record.line).expect("JSON")).collect();
        records.sort_by_key(|record| record["id"].as_str().map(str::to_owned));
        records
    }

    /// Lets time pass until nothing of the calls can be alive, and checks that nothing is.
    pub async fn has_settled(&self) {
        tokio::time::sleep(SETTLED).await;
        let load = self.load().await;
        let registered = self.shared.location.len();
        assert_eq!((load.calls, load.dialogs, load.transactions), (0, 0, 0), "something is left: {load:?}");
        assert!(
            // One timer of the shard looks at whose registration ends next.
            load.timers <= self.idle.timers + registered.min(1),
            "timers are left beside that of {registered} registrations: {load:?}, idle {:?}",
            self.idle
        );
        assert_eq!(self.shared.calls_alive.load(std::sync::atomic::Ordering::Relaxed), 0, "calls are counted as alive");
        assert_eq!(self.shared.lines.taken(), 0, "lines are taken");
        assert_eq!(self.shared.groups.calls(), 0, "calls are in ring groups");
        let (parked, ringing) = (self.shared.parked.len(), self.shared.ringing.len());
        assert_eq!((parked, ringing), (0, 0), "places are taken, or phones counted as ringing");
        assert_eq!(self.shared.limits.up(), 0, "places among the calls outside are taken");
        assert_eq!(self.shared.plans.up(), 0, "places under objects of the plan are taken");
        if !self.hurt.get() {
            let kinds = self.tree.kinds();
            let fell: Vec<_> = kinds.iter().filter(|kind| kind.restarts > 0).collect();
            assert!(fell.is_empty(), "actors failed that nobody hurt: {fell:?}");
        }
        assert_eq!(self.shared.network.counters().inbound_panics.get(), 0, "a message made the shard panic");
        let nodes = self.tree.snapshot();
        let down: Vec<_> = nodes.iter().filter(|node| node.state != NodeState::Running).collect();
        assert!(down.is_empty(), "not running: {down:?}");
        let calls: Vec<_> = nodes.iter().filter(|node| node.path.starts_with("/switch/shard-0/calls/")).collect();
        assert!(calls.is_empty(), "actors of calls are left: {calls:?}");
        // The worker closes flows on its own thread, at its next turn: any order makes it one.
        self.shared.pool.ask_stall(0, Duration::ZERO);
        really(|| self.shared.pool.health(0).flows == 0).await;
    }

    async fn is_up(&self) {
        let paths = ["registrar", "messages", "subscriptions", "calls", "signalling"];
        while !self.is_running(&paths.map(|name| format!("/switch/shard-0/{name}"))) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether actors run.
    pub fn is_running(&self, paths: &[String]) -> bool {
        let nodes = self.tree.snapshot();
        let runs = |path: &String| nodes.iter().any(|n| *n.path == **path && n.state == NodeState::Running);
        paths.iter().all(runs)
    }
}

/// Keeps what was sent, also of a run that fails.
struct Keeper<'l> {
    net: Simulator,
    ladder: &'l Mutex<Vec<Sent>>,
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        *self.ladder.lock().unwrap_or_else(PoisonError::into_inner) = self.net.trace();
    }
}

/// The store's writer has its turn whenever the switch has nothing else to do, and only then: it rests in the answer to an
/// empty write of ours. So the clock, which leaps ahead when all is idle, never leaps past a write that is under way, and
/// the answers come at the same places in every run.
#[derive(Clone, Default)]
struct Turns(Arc<Mutex<Option<Turn>>>);

struct Turn {
    store: Store,
    /// While this is there the writer rests.
    rests: Option<Sender<()>>,
}

impl Turns {
    fn begin(&self, store: &Store) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Turn { store: store.clone(), rests: None });
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// All that was submitted is written and answered. Called when the thread is about to wait.
    fn pass(&self) {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(turn) = turn.as_mut() else { return };
        turn.rests = None;
        let (rests, until): (Sender<()>, Receiver<()>) = channel();
        let (tell, done) = channel();
        turn.store.submit(Batch::default(), move |_| {
            let _ = tell.send(());
            // Ends when the other end is dropped.
            let _ = until.recv();
        });
        turn.rests = Some(rests);
        // A writer that was killed is started again by the tree, on this thread: that is not waited for.
        if turn.store.health().writer_lives {
            let _ = done.recv_timeout(PATIENCE);
        }
    }
}

/// Waits for other threads, in real time: the switch goes on, and its clock stands.
async fn really(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "another thread did not do its part");
        tokio::task::yield_now().await;
    }
}

/// A packet in one line.
pub fn line(sent: &Sent) -> String {
    let text = String::from_utf8_lossy(&sent.bytes);
    let first = text.lines().next().unwrap_or_default();
    let cseq = text.lines().find(|line| line.starts_with("CSeq")).unwrap_or_default();
    let arrives = match sent.arrives.as_slice() {
        [] => "lost".to_owned(),
        all => all.iter().map(|at| format!("{:.3}", at.as_secs_f64())).collect::<Vec<_>>().join(", "),
    };
    format!("{:>9.3} {} > {} ({arrives})  {first}  [{cseq}]", sent.at.as_secs_f64(), sent.from, sent.to)
}

fn media_config() -> media::PoolConfig {
    media::PoolConfig { workers: 1, ports: 0..=0, warm_pairs: 0, media_timeout: Duration::ZERO, ..Default::default() }
}

fn settings() -> Settings {
    let user = |(name, extension): &(&str, &str)| User {
        name: (*name).to_owned(),
        display: String::new(),
        extension: Some((*extension).to_owned()),
        numbers: Vec::new(),
        secret: sip::auth::Secret::Password(format!("{name}-secret")),
        contacts_max: None,
        max_calls: Some(10),
        srtp: None,
        routing: Default::default(),
        mailbox: None,
        keys_by_info: false,
        pickup_group: None,
    };
    Settings {
        node: "simulated".to_owned(),
        domains: vec![DOMAIN.to_owned()],
        shards: 1,
        cdr_file: None,
        sip: SipSettings {
            advertised: None,
            listen: vec![(sip::Protocol::Udp, switch_address())],
            user_agent: "Strowger".to_owned(),
            t1: Duration::from_millis(500),
            session_expires: SESSION_EXPIRES,
            min_se: Duration::from_secs(90),
            max_call_duration: Duration::from_secs(86_400),
            max_ringing: Duration::from_secs(180),
            ring_step: Duration::from_secs(20),
            max_forks: 10,
        },
        registrar: RegistrarSettings {
            expires_default: Duration::from_secs(3_600),
            expires_min: Duration::from_secs(60),
            expires_max: Duration::from_secs(7_200),
            contacts_max: 10,
        },
        auth: AuthSettings {
            realm: DOMAIN.to_owned(),
            algorithms: vec![sip::auth::Algorithm::Sha256, sip::auth::Algorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            tries_max: 5,
            delay_first: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
        },
        admission: AdmissionSettings {
            per_source_rate: 1_000,
            per_source_burst: 1_000,
            sources_max: 1_000,
            retry_after: Duration::from_secs(5),
            calls_max: 1_000,
        },
        relay: actors::settings::relay_policy(vec![
            CodecSpec::pcma(),
            CodecSpec::pcmu(),
            CodecSpec::g722(),
            CodecSpec::opus(),
        ]),
        messages: MessageSettings { expires: Duration::from_secs(86_400) },
        media: media_config(),
        srtp: actors::settings::SrtpSettings::default(),
        routing: Default::default(),
        users: USERS.iter().map(user).collect(),
        gateways: Vec::new(),
        services: Vec::new(),
        conferences: Vec::new(),
        groups: Vec::new(),
        features: Default::default(),
        mail: actors::mail::MailSettings::default(),
        attendants: Vec::new(),
        recordings: None,
        hep: None,
    }
}

/// Both of two futures, on one task.
pub async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

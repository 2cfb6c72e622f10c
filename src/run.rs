//! A switch's life: everything is opened, then the tree is planted, then calls are taken; at the end the same backwards.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use actix_web::web::Data;
use actors::shard::SignallingMsg;
use actors::shared::Shared;
use actors::supervision::{Ended, Restart, Spec, SupervisorRef, Tree, child};
use anyhow::{Context as _, bail};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use sip::net::{Bind, Limits, NetConfig, Network, SetupError};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, timeout};

use crate::applied::{Applied, Watch};
use crate::banner::Banner;
use crate::config::Config;
use crate::data::DataFolder;
use crate::housekeeping::Housekeeping;
use crate::http::face::{Face, Listening};
use crate::http::{self, Web};
use crate::signals::{Asked, Signals};
use crate::stop::Drain;
use crate::tls::{self, Https, Pair};
use crate::{logging, settings};

/// The exit code of a switch whose root has given up (sysexits: internal software error).
pub const EXIT_GAVE_UP: u8 = 70;

/// How long the actors may take until calls are taken.
const READY_WITHIN: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(20);
/// How long calls may go on after Ctrl-C or SIGTERM.
const CALLS_WITHIN: Duration = Duration::from_secs(5);
/// How long calls may take to end once they were told to.
const HANG_UP_WITHIN: Duration = Duration::from_secs(3);
/// How long writes may take that were promised before the stop.
const WRITES_WITHIN: Duration = Duration::from_secs(2);
const DRAIN_POLL: Duration = Duration::from_millis(50);
/// How long the tree may take to end: a little more than its supervisors' own patience.
const TREE_WITHIN: Duration = Duration::from_secs(15);
const STORE_WITHIN: Duration = Duration::from_secs(10);
/// The bounds of each histogram: seconds, MOS, and lost of all packets. MOS where ITU-T G.107 annex B draws its lines between
/// satisfied and dissatisfied users (2.58, 3.10, 3.60, 4.03, 4.34).
const BUCKETS: [(&str, &[f64]); 4] = [
    ("strowger_answer_delay_seconds", &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 180.0]),
    ("strowger_call_mos", &[1.5, 2.0, 2.58, 3.1, 3.6, 4.03, 4.34, 4.5]),
    ("strowger_call_jitter_seconds", &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]),
    ("strowger_call_loss_ratio", &[0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]),
];

/// Runs the switch of `config` until it is asked to stop. The exit code is 0 after a stop in order, 70 when the root of
/// the tree has given up, 130 or 143 when a second signal cut the stop short.
///
/// # Errors
/// Something that the switch needs cannot be had; says what would help.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config.node)?;
    let folder = DataFolder::take(&config.node.data)?;
    let ground = Ground::lay(&config, &folder)?;
    let ended = System::new().block_on(live(&config, &folder, ground));
    folder.withdraw()?;
    ended
}

/// What is opened before anything lives.
struct Ground {
    metrics: PrometheusHandle,
    store: store::Store,
    pool: media::Pool,
    prompts: media::prompt::Prompts,
    network: Network,
    /// The certificate of SIP over TLS, where that is spoken.
    sip_pair: Option<Pair>,
    https: Option<Https>,
    http_address: SocketAddr,
    https_address: Option<SocketAddr>,
    listening: Listening,
}

impl Ground {
    fn lay(config: &Config, folder: &DataFolder) -> anyhow::Result<Self> {
        let recorder = BUCKETS.into_iter().try_fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
        });
        let metrics = recorder.and_then(PrometheusBuilder::install_recorder).context("the metrics recorder")?;
        let store = open_store(config, folder)?;
        let pool = media::Pool::new(settings::settings(config, folder.path()).media)
            .context("the media ports cannot be had: look at `media.ip` and `media.ports`")?;
        let prompts = prompts(config);
        folder.recordings()?;
        let sip_pair = match config.sip.tls.is_empty() {
            true => None,
            false => Some(tls::sip_pair(config, folder.path())?),
        };
        let network = open_network(config, sip_pair.as_ref())?;
        let plain = listen(config.http.listen, "http.listen")?;
        let http_address = plain.local_addr()?;
        let (mut secure, mut https, mut https_address) = (None, None, None);
        if let Some(at) = config.http.tls_listen {
            let listener = listen(at, "http.tls_listen")?;
            https_address = Some(listener.local_addr()?);
            let certificate = Https::new(tls::http_pair(config, folder.path())?)?;
            secure = Some((listener, certificate.server()?));
            https = Some(certificate);
        }
        let listening = Listening::new(plain, secure, config.sip.max_connections).context("the sockets of HTTP")?;
        Ok(Self { metrics, store, pool, prompts, network, sip_pair, https, http_address, https_address, listening })
    }
}

/// The prompts of the program, and of the folder that replaces them; `strowger check` has said what is wrong with a file there.
fn prompts(config: &Config) -> media::prompt::Prompts {
    let Some(folder) = &config.media.prompts else { return media::prompt::Prompts::shipped() };
    let (prompts, bad) = media::prompt::Prompts::with_folder(folder);
    for bad in bad {
        tracing::error!(%bad, "a prompt is not used");
    }
    prompts
}

fn open_store(config: &Config, folder: &DataFolder) -> anyhow::Result<store::Store> {
    let (store, report) = store::Store::open(settings::store(&config.store, folder.path()))
        .with_context(|| format!("the store in {} cannot be opened", folder.path().display()))?;
    if let Some(quarantine) = &report.quarantine {
        eprintln!(
            "strowger: the database was damaged ({}) and was set aside in {}: {} records were carried over, {} were damaged",
            quarantine.reason,
            quarantine.folder.display(),
            quarantine.carried_over,
            quarantine.damaged
        );
    }
    tracing::info!(created = report.created, clean = report.clean, missing = report.missing.len(), "the store is open");
    Ok(store)
}

fn open_network(config: &Config, pair: Option<&Pair>) -> anyhow::Result<Network> {
    let binds: Vec<_> =
        settings::listen(&config.sip).into_iter().map(|(protocol, address)| Bind { protocol, address }).collect();
    for bind in &binds {
        free(bind).map_err(|source| SetupError::Bind { bind: *bind, source }).map_err(taken)?;
    }
    let limits = Limits { connections_max: config.sip.max_connections, idle: config.sip.tcp_idle, ..Limits::default() };
    let tls = pair.map(|pair| tls::of_sip(&config.tls, pair)).transpose()?;
    Network::new(NetConfig { binds, tls, limits, nameservers: config.sip.nameservers.clone() }).map_err(taken)
}

/// What ended while the switch was down leaves the store; what ends while it is up is the actors' own work.
fn forget_expired(shared: &Shared) {
    let now_ms = actors::shared::unix_ms();
    let told = |what: &'static str| {
        move |result: Result<usize, store::StoreError>| match result {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "{what} that had expired were removed"),
            Err(error) => tracing::warn!(%error, "expired {what} could not be removed"),
        }
    };
    shared.store.locations().remove_expired(now_ms, EXPIRED_MAX, told("bindings"));
    shared.store.messages().remove_expired(now_ms, EXPIRED_MAX, told("messages"));
}

/// Expired entries that one start removes at most; the next start removes the rest.
const EXPIRED_MAX: usize = 65_536;

/// Whether an address is free. The shards share theirs with each other (SO_REUSEPORT), so the kernel would let a second
/// switch of the same user share them as well, and take half of the first one's calls.
fn free(bind: &Bind) -> io::Result<()> {
    match (bind.address.port(), bind.protocol) {
        (0, _) => Ok(()),
        (_, sip::Protocol::Udp) => UdpSocket::bind(bind.address).map(drop),
        (_, _) => TcpListener::bind(bind.address).map(drop),
    }
}

fn taken(error: SetupError) -> anyhow::Error {
    let remedy = match &error {
        SetupError::Bind { bind, .. } => format!(
            ": free this address, or give the switch another one as `sip.{}` of its configuration (port 0 takes any)",
            bind.protocol.uri()
        ),
        _ => String::new(),
    };
    anyhow::anyhow!("{error}{remedy}")
}

fn listen(at: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at).with_context(|| {
        format!("cannot listen on {at}: free this address, or give the switch another one as `{key}` of its configuration (port 0 takes any)")
    })
}

/// A switch whose tree is planted.
struct Switch {
    shared: Arc<Shared>,
    root: SupervisorRef,
    ended: oneshot::Receiver<Ended>,
    /// Threads of the shards, which end when they are told.
    arbiters: Vec<Arbiter>,
    drain: Drain,
    sip_pair: Option<Pair>,
    https: Option<Https>,
}

async fn live(config: &Config, folder: &DataFolder, ground: Ground) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("signals")?;
    let (http_address, https_address) = (ground.http_address, ground.https_address);
    let started = jiff::Timestamp::now();
    let (mut switch, restored) = plant(config, folder, ground, started)?;
    let mut cut = tokio::select! {
        ready = ready(&switch.shared) => {
            ready?;
            None
        }
        ended = &mut switch.ended => return gave_up(switch, ended.ok()).await,
        code = signals.stop() => Some(code),
    };
    if cut.is_none() {
        let shared = &switch.shared;
        folder.announce(&json!({
            "pid": std::process::id(),
            "http": http_address,
            "https": https_address,
            "token_file": folder.token_file(),
            "sip": http::sip_addresses(shared),
            "started": started.to_string(),
        }))?;
        let banner = Banner {
            config,
            sip: shared.network.listening(),
            http: http_address,
            https: https_address,
            data: folder.path(),
            token_file: &folder.token_file(),
            certificate: switch.sip_pair.as_ref(),
            restored,
        };
        banner.print();
        tracing::info!(node = config.node.name, "calls are taken");
        cut = loop {
            tokio::select! {
                ended = &mut switch.ended => return gave_up(switch, ended.ok()).await,
                () = switch.drain.asked() => break None,
                asked = signals.next() => match asked {
                    Asked::Stop(code) => break Some(code),
                    Asked::Reload => switch.reload_certificates(),
                },
            }
        };
    }
    let mut is_urgent = cut.is_some();
    if is_urgent {
        switch.drain.ask(CALLS_WITHIN);
    }
    let drain = switch.drain.clone();
    let mut stopping = std::pin::pin!(stop(switch));
    loop {
        tokio::select! {
            code = &mut stopping => return code,
            code = signals.stop() => {
                if is_urgent {
                    // At once: what was acknowledged is on disk.
                    folder.withdraw()?;
                    std::process::exit(i32::from(code));
                }
                is_urgent = true;
                drain.ask(CALLS_WITHIN);
            }
        }
    }
}

/// Brings everything to life; also says how many bindings were found.
fn plant(
    config: &Config,
    folder: &DataFolder,
    ground: Ground,
    started: jiff::Timestamp,
) -> anyhow::Result<(Switch, usize)> {
    let settings = settings::settings(config, folder.path());
    let arbiters: Vec<_> = (0..settings.shards).map(|_| Arbiter::new()).collect();
    let tree = Tree::new();
    tree.allow_faults(config.admin.allow_faults);
    let handles = arbiters.iter().map(Arbiter::handle).collect();
    let Ground { metrics, store, pool, prompts, network, sip_pair, https, http_address, https_address, listening } =
        ground;
    let shared = Shared::new(settings, store, pool, prompts, network, tree.clone(), handles);
    let (restored, unreadable) = shared.restore_locations();
    if unreadable > 0 {
        tracing::error!(unreadable, "bindings in the store cannot be read: their phones must register again");
    }
    shared.limits.restore(&shared.store).context("what was spent on calls outside")?;
    forget_expired(&shared);
    let drain = Drain::new();
    let applied = Applied::new(Arc::clone(&shared), config.clone(), folder.path());
    let applied = Arc::new(applied.context("the versions of the configuration in the data folder")?);
    let web = Data::new(Web {
        shared: Arc::clone(&shared),
        token: folder.token(config.admin.token.as_ref())?,
        metrics: metrics.clone(),
        drain: drain.clone(),
        started: (started, std::time::Instant::now()),
        listening: std::iter::once(http_address).chain(https_address).collect(),
        applied: Arc::clone(&applied),
        websockets: http::Books::new(config.sip.max_connections, config.sip.tcp_idle),
    });
    let (listening, records_max) = (Arc::new(listening), config.store.records_max);
    let (keeper, watched) = (Arc::clone(&shared), config.node.watch);
    let faces: Vec<Spec> = vec![
        child("configuration", Restart::Permanent, move || Watch::new(Arc::clone(&applied), watched)).into(),
        child("housekeeping", Restart::Permanent, move || {
            Housekeeping::new(Arc::clone(&keeper), metrics.clone(), records_max)
        })
        .into(),
        child("http", Restart::Permanent, move || Face::new(web.clone(), Arc::clone(&listening))).into(),
    ];
    let (on_end, ended) = oneshot::channel();
    let root = actors::switch::plant(&tree, &shared, faces, move |how| {
        // Whoever waited has gone with the process.
        let _ = on_end.send(how);
    });
    Ok((Switch { shared, root, ended, arbiters, drain, sip_pair, https }, restored))
}

/// Waits until calls are taken.
async fn ready(shared: &Shared) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let mut looks = interval(READY_POLL);
    loop {
        looks.tick().await;
        let reasons = http::health::unready(shared).await;
        if reasons.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!(
                "the switch is not ready after {} s: {}; its log says more",
                READY_WITHIN.as_secs(),
                reasons.join("; ")
            );
        }
    }
}

impl Switch {
    /// Reads the certificates again; one that is wrong leaves the old one.
    fn reload_certificates(&self) {
        let sip = self.sip_pair.as_ref().map(|pair| {
            let (chain, key) = pair.read()?;
            self.shared.network.reload_certificates(&chain, &key).map_err(anyhow::Error::from)
        });
        let https = self.https.as_ref().map(Https::reload);
        for (of, done) in [("sip", sip), ("https", https)] {
            match done {
                Some(Ok(())) => tracing::info!(of, "the certificate was read again"),
                Some(Err(error)) => tracing::error!(of, error = format!("{error:#}"), "the old certificate stays"),
                None => {}
            }
        }
    }
}

/// Ends in order: no new calls; then no calls; then no actors; then no store.
async fn stop(switch: Switch) -> anyhow::Result<ExitCode> {
    let shared = &switch.shared;
    shared.drain();
    tracing::info!(calls = shared.calls_alive.load(Relaxed), "draining: no new call is let in");
    // The deadline may be moved while we wait.
    until(shared, || switch.drain.deadline()).await;
    if shared.calls_alive.load(Relaxed) > 0 {
        tracing::warn!(calls = shared.calls_alive.load(Relaxed), "the deadline has passed: these calls are ended");
        for signalling in (0..shared.shards()).filter_map(|shard| shared.signalling(shard)) {
            // One word a shard.
            signalling.send_reply(SignallingMsg::HangUpAll);
        }
        let deadline = Instant::now() + HANG_UP_WITHIN;
        until(shared, || Some(deadline)).await;
    }
    let deadline = Instant::now() + WRITES_WITHIN;
    while shared.store.health().queue_depth > 0 && Instant::now() < deadline {
        tokio::time::sleep(DRAIN_POLL).await;
    }
    switch.root.halt();
    let ended = timeout(TREE_WITHIN, switch.ended).await;
    if ended.is_err() {
        tracing::error!("the tree did not end in time");
    }
    for arbiter in &switch.arbiters {
        arbiter.stop();
    }
    close_store(&switch.shared, ExitCode::SUCCESS, 0).await.inspect(|_| tracing::info!("stopped"))
}

/// Waits until no call is left, or the deadline has passed.
async fn until(shared: &Shared, deadline: impl Fn() -> Option<Instant>) {
    let mut looks = interval(DRAIN_POLL);
    while shared.calls_alive.load(Relaxed) > 0 && deadline().is_none_or(|at| Instant::now() < at) {
        looks.tick().await;
    }
}

/// The root has ended by itself: only a new process can help.
async fn gave_up(switch: Switch, how: Option<Ended>) -> anyhow::Result<ExitCode> {
    let cause = how.map_or_else(|| "its root is lost".to_owned(), |how| how.to_string());
    tracing::error!(cause, "the switch gives up");
    eprintln!("strowger: the switch gave up: {cause}");
    for arbiter in &switch.arbiters {
        arbiter.stop();
    }
    close_store(&switch.shared, ExitCode::from(EXIT_GAVE_UP), EXIT_GAVE_UP).await
}

async fn close_store(shared: &Shared, exit: ExitCode, code: u8) -> anyhow::Result<ExitCode> {
    let store = shared.store.clone();
    match timeout(STORE_WITHIN, tokio::task::spawn_blocking(move || store.shutdown())).await {
        Ok(closed) => {
            closed
                .context("closing the store")?
                .context("the store was not closed in order; the next start checks it")?;
            Ok(exit)
        }
        Err(_) => {
            tracing::error!("the store did not close in time; the next start checks it");
            // The thread that hangs in it would hold up an orderly return for ever.
            std::process::exit(i32::from(code));
        }
    }
}

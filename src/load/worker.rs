//! A worker: a thread with its own wires and transactions, which places calls, answers calls, or registers.
//!
//! The rules are the switch's own ([`sip::transaction`], [`sip::dialog`]): a generator with other rules would test them against
//! itself. What differs from a user agent is the clock: a call begins at the moment for which it was planned, or is counted
//! from there.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use media::codec::Codec;
use sip::auth::{Account, Answerer, Secret};
use sip::net::{CloseReason, Inbound, SendError};
use sip::transaction::{ClientEnd, Layer, Output, Timers};
use sip::{Hop, Message, ParseError};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::answered::Answered;
use super::measure::Figures;
use super::placed::Placed;
use super::registered::{All, Registration};
use super::wires::{Way, Wires};

/// Most transactions of a worker.
const TRANSACTIONS_MAX: usize = 2_000_000;
/// How often it looks at what is due.
const BEAT: Duration = Duration::from_millis(2);

/// Codecs of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecOf {
    /// G.711 µ-law
    #[default]
    Pcmu,
    /// G.711 A-law
    Pcma,
    /// G.722
    G722,
    /// Opus
    Opus,
}

impl CodecOf {
    /// As media knows it.
    pub const fn codec(self) -> Codec {
        match self {
            Self::Pcmu => Codec::Pcmu,
            Self::Pcma => Codec::Pcma,
            Self::G722 => Codec::G722,
            Self::Opus => Codec::Opus,
        }
    }
}

/// A user of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user part of its address of record.
    pub name: String,
    /// Its password; a user without is never asked for one.
    pub password: Option<String>,
}

/// What every worker of a load does alike.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The domain of the users.
    pub domain: String,
    /// The numbers that are called, in turn.
    pub numbers: Vec<String>,
    /// The sound: none, plain, with keys.
    pub sound: SoundOf,
    /// The codec of callers.
    pub codec: Codec,
    /// The codec of callees: another one is for the switch to make of it.
    pub callee_codec: Codec,
    /// What callers should hear.
    pub hears: Hears,
    /// How long calls stand.
    pub talk: Duration,
    /// Session establishment threshold time (RFC 7501 section 3.3.2): a call that is answered later has failed.
    pub threshold: Duration,
    /// How much of a stream may be lost, 0 to 1.
    pub loss_max: f64,
}

/// What a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundOf {
    /// Descriptions without a packet behind them
    None,
    /// RTP
    Rtp,
    /// SRTP, keys by SDES
    Srtp,
}

/// What callers should hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// The answer of a callee of ours.
    Answer,
    /// A tone.
    Tone(u32),
    /// Anything that is no silence.
    Anything,
}

/// What a worker is told.
pub enum Order {
    /// Register all users; the sender hears when it is done, and of what failed.
    Register(std::sync::mpsc::Sender<Result<(), String>>),
    /// Withdraw all registrations.
    Withdraw(std::sync::mpsc::Sender<Result<(), String>>),
    /// Something is due that was planned for this moment.
    Due(Work, Instant),
    /// Hang up what stands and cancel what is not answered; none of it counts any more.
    GiveUp,
    /// Tell what was counted since the last time.
    Tell(std::sync::mpsc::Sender<Figures>),
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Place a call.
    Call,
    /// Register a user.
    Register,
}

/// How far a load is, for those who look.
#[derive(Debug, Default)]
pub struct Progress {
    /// Begun: calls or registrations.
    pub begun: AtomicU64,
    /// Answered 200.
    pub established: AtomicU64,
    /// Failed.
    pub failed: AtomicU64,
    /// Under way.
    pub open: AtomicU64,
    /// Nobody wants the rest.
    pub stopped: AtomicBool,
}

/// Who a transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A call that was placed.
    Placed(u64),
    /// A call that was answered.
    Answered(u64),
    /// A registration.
    Registration(u64),
    /// Nobody waits for its end.
    Nobody,
}

/// What a worker is started with.
pub struct Start {
    /// Its number, from 0.
    pub number: usize,
    /// Its way to the switch.
    pub way: Way,
    /// What it does.
    pub manner: Arc<Manner>,
    /// Whose calls it places or answers.
    pub users: Vec<User>,
    /// See [`Progress`].
    pub progress: Arc<Progress>,
}

/// A worker at work.
pub struct Worker {
    pub(super) number: usize,
    pub(super) wires: Wires,
    pub(super) layer: Layer<Owner>,
    pub(super) manner: Arc<Manner>,
    pub(super) users: Vec<Member>,
    pub(super) progress: Arc<Progress>,
    pub(super) figures: Figures,
    pub(super) placed: HashMap<u64, Placed>,
    pub(super) answered: HashMap<u64, Answered>,
    pub(super) by_call_id: HashMap<Bytes, Owner>,
    /// When calls are to be hung up, in order.
    pub(super) hang_ups: VecDeque<(Instant, u64)>,
    pub(super) registrations: HashMap<u64, Registration>,
    /// The registrations of all users, while somebody waits for them.
    pub(super) all: Option<All>,
    pub(super) next: u64,
    pub(super) out: Vec<Output<Owner>>,
    epoch: Instant,
    failed_hops: Vec<Hop>,
}

/// A user and the challenges that it answers.
pub struct Member {
    pub(super) name: String,
    pub(super) answerer: Option<Answerer>,
}

/// Runs a worker on this thread until its orders end. `ready` hears where it is reached.
///
/// # Errors
/// Its wires cannot be laid.
pub fn run(
    start: Start,
    orders: mpsc::UnboundedReceiver<Order>,
    ready: &std::sync::mpsc::Sender<anyhow::Result<std::net::SocketAddr>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(anyhow::Error::new(error).context("a worker's runtime")));
            return;
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match Worker::start(start).await {
            Ok(worker) => {
                let _ = ready.send(Ok(worker.borrow().wires.address()));
                serve(&worker, orders).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

async fn serve(worker: &RefCell<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => worker.borrow_mut().order(order),
                None => return,
            },
            _ = beat.tick() => worker.borrow_mut().beat(),
        }
    }
}

/// The wires' ear of a worker that is being made, and then of the worker.
#[derive(Default)]
struct Ear(RefCell<Option<Rc<RefCell<Worker>>>>);

impl Ear {
    fn tell(&self, what: impl FnOnce(&mut Worker)) {
        if let Some(worker) = &*self.0.borrow() {
            what(&mut worker.borrow_mut());
        }
    }
}

impl Inbound for Ear {
    fn message(&self, bytes: Bytes, hop: Hop) {
        self.tell(|worker| worker.message(bytes, hop));
    }

    fn unframed(&self, _: ParseError, _: Bytes, _: Hop) {
        self.tell(|worker| worker.figures.failed("a stream that cannot be read"));
    }

    fn connected(&self, _: Hop) {}

    fn closed(&self, hop: Hop, _: CloseReason) {
        self.tell(|worker| worker.gone(&hop));
    }

    fn refused(&self, quoted: Bytes, hop: Hop) {
        self.tell(|worker| {
            let now = worker.now();
            let mut out = std::mem::take(&mut worker.out);
            worker.layer.datagram_refused(now, &quoted, &hop, &mut out);
            worker.out = out;
            worker.carry_out();
        });
    }

    fn undeliverable(&self, hop: Hop, _: SendError) {
        self.tell(|worker| worker.gone(&hop));
    }
}

impl Worker {
    async fn start(start: Start) -> anyhow::Result<Rc<RefCell<Self>>> {
        let Start { number, way, manner, users, progress } = start;
        let ear = Rc::new(Ear::default());
        let wires = Wires::lay(way, Rc::clone(&ear) as Rc<dyn Inbound>).await?;
        let users = users.into_iter().map(Member::of).collect();
        let worker = Rc::new(RefCell::new(Self {
            number,
            wires,
            layer: Layer::new(Timers::default(), TRANSACTIONS_MAX),
            manner,
            users,
            progress,
            figures: Figures::default(),
            placed: HashMap::new(),
            answered: HashMap::new(),
            by_call_id: HashMap::new(),
            hang_ups: VecDeque::new(),
            registrations: HashMap::new(),
            all: None,
            next: 0,
            out: Vec::new(),
            epoch: Instant::now(),
            failed_hops: Vec::new(),
        }));
        *ear.0.borrow_mut() = Some(Rc::clone(&worker));
        Ok(worker)
    }

    /// Time for the transactions.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A number that no other call, dialog or branch of this worker has.
    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A branch that no other worker has either.
    pub(super) fn branch(&mut self) -> String {
        let fresh = self.fresh();
        format!("z9hG4bK{:x}.{fresh:x}.{:x}", self.number, rand::random::<u32>())
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Register(told) => self.register_all(3_600, told),
            Order::Withdraw(told) => self.register_all(0, told),
            Order::Due(Work::Call, planned) => self.place(planned),
            Order::Due(Work::Register, planned) => self.register_next(planned),
            Order::GiveUp => self.give_up(),
            Order::Tell(told) => {
                let _ = told.send(std::mem::take(&mut self.figures));
            }
        }
        self.carry_out();
    }

    fn beat(&mut self) {
        let now = self.now();
        if self.layer.next_timeout().is_some_and(|due| due <= now) {
            let mut out = std::mem::take(&mut self.out);
            self.layer.timeout(now, &mut out);
            let resent = out.iter().filter(|output| matches!(output, Output::Send { .. })).count();
            self.figures.resent += u64::try_from(resent).unwrap_or(0);
            self.out = out;
        }
        self.hang_up_due();
        self.carry_out();
    }

    fn message(&mut self, bytes: Bytes, hop: Hop) {
        // Keep-alives (RFC 5626 section 4.4.1) and what is no SIP have no answer here.
        if let Ok(message) = Message::parse(bytes) {
            let now = self.now();
            let mut out = std::mem::take(&mut self.out);
            self.layer.receive(now, message, hop, &mut out);
            self.out = out;
            self.carry_out();
        }
    }

    fn gone(&mut self, hop: &Hop) {
        let mut out = std::mem::take(&mut self.out);
        self.layer.transport_failed(hop, &mut out);
        self.out = out;
        self.carry_out();
    }

    /// Does what the layer wants done, and tells those concerned, until nothing is left.
    pub(super) fn carry_out(&mut self) {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.one(output);
            }
            for hop in std::mem::take(&mut self.failed_hops) {
                let mut out = std::mem::take(&mut self.out);
                self.layer.transport_failed(&hop, &mut out);
                self.out = out;
            }
        }
    }

    fn one(&mut self, output: Output<Owner>) {
        match output {
            Output::Send { bytes, hop } => {
                if self.wires.send(&hop, bytes).is_err() {
                    self.failed_hops.push(hop);
                }
            }
            Output::Request { server, message, hop } => self.request(server, &message, hop),
            Output::Acked { owner: Some(Owner::Answered(call)), message, .. } => self.acknowledged(call, &message),
            Output::Cancel { server, owner: Some(Owner::Answered(call)), .. } => self.cancelled(call, server),
            Output::Response { client, owner, message, .. } => match owner {
                Owner::Placed(call) => self.placed_answered(call, client, &message),
                Owner::Registration(number) => self.registration_answered(number, &message),
                Owner::Answered(_) | Owner::Nobody => {}
            },
            Output::ClientEnded { owner, why, .. } => match owner {
                Owner::Placed(call) => self.placed_ended(call, why),
                Owner::Registration(number) => self.registration_failed(number, story(why)),
                Owner::Answered(_) | Owner::Nobody => {}
            },
            Output::ServerEnded { owner: Some(Owner::Answered(call)), .. } => self.never_acknowledged(call),
            Output::Overload { .. } => self.figures.failed("too many transactions"),
            Output::Acked { .. }
            | Output::Cancel { .. }
            | Output::ServerEnded { .. }
            | Output::Ack { .. }
            | Output::Stray { .. } => {}
        }
    }
}

impl Member {
    fn of(user: User) -> Self {
        let answerer = user.password.map(|password| {
            let account = Account {
                peer: "switch".to_owned(),
                realm: None,
                username: user.name.clone(),
                secret: Secret::Password(password),
            };
            Answerer::new(account, &rand::random())
        });
        Self { name: user.name, answerer }
    }
}

/// In words.
pub(super) const fn story(why: ClientEnd) -> &'static str {
    match why {
        ClientEnd::Timeout => "no answer (timer B or F)",
        ClientEnd::TransportFailed => "not to be reached",
    }
}

/// Counts down what is under way.
pub(super) fn closed(progress: &Progress) {
    // One that had not ended when its phase did is not counted any more.
    let _ = progress.open.fetch_update(Relaxed, Relaxed, |open| open.checked_sub(1));
}

/// Reads a file of users: a line `name,password` or `name` each; lines that are empty or begin with `#` count for nothing.
///
/// # Errors
/// It cannot be read, or has nobody in it.
pub fn read_users(file: &std::path::Path) -> anyhow::Result<Vec<User>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let users: Vec<User> = lines.map(|line| User::parse(line, ',')).collect();
    anyhow::ensure!(!users.is_empty(), "{} has no users: write a line `name,password` for each", file.display());
    Ok(users)
}

impl User {
    /// `name` and a password behind the first separator.
    pub fn parse(text: &str, separator: char) -> Self {
        match text.split_once(separator) {
            Some((name, password)) => Self { name: name.trim().to_owned(), password: Some(password.trim().to_owned()) },
            None => Self { name: text.trim().to_owned(), password: None },
        }
    }
}

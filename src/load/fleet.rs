//! The workers of a load, and the pace at which they are told to work.
//!
//! The pace is an open loop: request `i` of a phase is planned for `i / rate` after its begin, whatever became of those before
//! it. What comes late is sent at once and counted from its own moment, so that a switch that stalls is seen to stall
//! (coordinated omission hides just that).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use sip::Protocol;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::measure::{Figures, float};
use super::wires::Way;
use super::worker::{self, Manner, Order, Progress, Start, User, Work};

/// How long all users may take to register, at most, beside a millisecond for each.
const REGISTERED_WITHIN: Duration = Duration::from_secs(40);
/// How long a worker may take to lay its wires and to tell what it counted.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// How long the last call may take to end beyond its own time: timers B and F.
const ENDED_WITHIN: Duration = Duration::from_secs(34);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// All workers of a load.
pub struct Fleet {
    callers: Vec<Hand>,
    callees: Vec<Hand>,
    progress: Arc<Progress>,
    talk: Duration,
}

struct Hand {
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// Who takes part.
pub struct Crew {
    /// Workers of each side.
    pub workers: usize,
    /// Who calls, or is registered at a rate.
    pub callers: Vec<User>,
    /// Who answers; none where others do.
    pub callees: Vec<User>,
}

/// A stretch of a load at one rate.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// What is done.
    pub work: Work,
    /// How often in a second.
    pub rate: f64,
    /// How often in all.
    pub count: u64,
    /// Stop at the first failure.
    pub stops: bool,
}

impl Drop for Hand {
    fn drop(&mut self) {
        // Its orders end, and so does it.
        let (nobody, _) = unbounded_channel();
        self.orders = nobody;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Fleet {
    /// Starts the workers on their way to a switch, and registers the callees.
    ///
    /// # Errors
    /// A worker finds no wires, or a callee cannot register.
    pub fn start(crew: &Crew, way: &Way, manner: &Arc<Manner>) -> anyhow::Result<Self> {
        let progress = Arc::new(Progress::default());
        let side = |users: &[User], first: usize| -> anyhow::Result<Vec<Hand>> {
            let count = crew.workers.min(users.len());
            let start = |number: usize| {
                let users = users.iter().skip(number).step_by(count).cloned().collect();
                Hand::start(Start {
                    number: first + number,
                    way: way.clone(),
                    manner: Arc::clone(manner),
                    users,
                    progress: Arc::clone(&progress),
                })
            };
            Ok((0..count).map(start).collect::<anyhow::Result<Vec<_>>>()?.into_iter().map(|(hand, _)| hand).collect())
        };
        let callees = side(&crew.callees, crew.workers)?;
        // One user may call on several workers: what it is asked for is its own on each.
        let callers: Vec<User> =
            crew.callers.iter().cycle().take(crew.callers.len().max(crew.workers)).cloned().collect();
        let callers = side(&callers, 0)?;
        let fleet = Self { callers, callees, progress, talk: manner.talk };
        fleet.all(&fleet.callees, crew.callees.len(), Order::Register).context("the callees")?;
        Ok(fleet)
    }

    /// Starts callers whose switch is no switch: callees of our own, bare, who take every call (RFC 7502 section 6.1).
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn bare(crew: &Crew, way: &Way, manner: &Arc<Manner>) -> anyhow::Result<Self> {
        let protocol = bare_protocol(way.protocol);
        let way = Way { protocol, authorities: way.pair.0.clone(), ..way.clone() };
        let progress = Arc::new(Progress::default());
        let hand = |number: usize, target: SocketAddr| {
            let user = User { name: "load".to_owned(), password: None };
            Hand::start(Start {
                number,
                way: Way { target, ..way.clone() },
                manner: Arc::clone(manner),
                users: vec![user],
                progress: Arc::clone(&progress),
            })
        };
        let (mut callers, mut callees) = (Vec::new(), Vec::new());
        for number in 0..crew.workers {
            let (callee, address) = hand(crew.workers + number, way.target)?;
            callees.push(callee);
            callers.push(hand(number, address)?.0);
        }
        Ok(Self { callers, callees, progress, talk: manner.talk })
    }

    /// Withdraws the registrations of callees, and of callers whose rate was measured.
    ///
    /// # Errors
    /// One cannot be withdrawn.
    pub fn withdraw(&self, work: Work, users: usize) -> anyhow::Result<()> {
        let hands = if work == Work::Register { &self.callers } else { &self.callees };
        self.all(hands, users, Order::Withdraw).context("the registrations are not withdrawn")
    }

    fn all(
        &self,
        hands: &[Hand],
        users: usize,
        order: impl Fn(Sender<Result<(), String>>) -> Order,
    ) -> anyhow::Result<()> {
        let within = REGISTERED_WITHIN + Duration::from_millis(u64::try_from(users).unwrap_or(u64::MAX).min(3_600_000));
        let (told, done) = channel();
        for hand in hands {
            hand.order(order(told.clone()))?;
        }
        for _ in hands {
            match done.recv_timeout(within) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => bail!("{why}"),
                Err(_) => bail!("not all answered within {within:?}"),
            }
        }
        Ok(())
    }

    /// Runs a phase; `look` is shown how far it is, again and again. Answers what was counted, and whether it was cut short.
    ///
    /// # Errors
    /// A worker is gone.
    pub fn phase(&self, phase: Phase, look: &dyn Fn(&Progress)) -> anyhow::Result<Figures> {
        let progress = &self.progress;
        for counter in [&progress.begun, &progress.established, &progress.failed] {
            counter.store(0, Relaxed);
        }
        progress.stopped.store(false, Relaxed);
        let pacer = self.pace(phase);
        let failed = || phase.stops && progress.failed.load(Relaxed) > 0;
        while !pacer.is_finished() && !failed() {
            look(progress);
            thread::sleep(LOOK);
        }
        progress.stopped.store(true, Relaxed);
        pacer.join().map_err(|_| anyhow!("the pacer died"))?;
        let began = Instant::now();
        let (mut within, mut given_up) = (ENDED_WITHIN + self.talk, false);
        // The last orders may still be on their way to their workers.
        while (progress.open.load(Relaxed) > 0 || began.elapsed() < LOOK) && began.elapsed() < within {
            if failed() && !given_up {
                // The rest proves nothing; the next rate begins when all of it has been answered.
                (within, given_up) = (began.elapsed() + ENDED_WITHIN, true);
                for hand in &self.callers {
                    hand.order(Order::GiveUp)?;
                }
            }
            look(progress);
            thread::sleep(LOOK);
        }
        let left = progress.open.swap(0, Relaxed);
        let mut figures = Figures::default();
        let (told, tell) = channel();
        for hand in self.callers.iter().chain(&self.callees) {
            hand.order(Order::Tell(told.clone()))?;
            figures.merge(&tell.recv_timeout(ANSWERS_WITHIN).context("a worker does not answer")?);
        }
        if left > 0 {
            figures.failed("did not end in time");
        }
        Ok(figures)
    }

    /// Plans each request of a phase for its moment, and tells the workers in turn when it has come.
    fn pace(&self, phase: Phase) -> JoinHandle<()> {
        let hands: Vec<UnboundedSender<Order>> = self.callers.iter().map(|hand| hand.orders.clone()).collect();
        let progress = Arc::clone(&self.progress);
        thread::spawn(move || {
            let began = Instant::now();
            for (number, hand) in (0..phase.count).zip(hands.iter().cycle()) {
                let planned = began + Duration::from_secs_f64(float(number) / phase.rate);
                while let Some(early) = planned.checked_duration_since(Instant::now()).filter(|early| !early.is_zero())
                {
                    // In pieces, so that nobody waits for it at a low rate.
                    thread::sleep(early.min(LOOK));
                    if progress.stopped.load(Relaxed) {
                        return;
                    }
                }
                if progress.stopped.load(Relaxed) || hand.send(Order::Due(phase.work, planned)).is_err() {
                    return;
                }
            }
        })
    }
}

impl Hand {
    fn start(start: Start) -> anyhow::Result<(Self, SocketAddr)> {
        let (orders, taken) = unbounded_channel();
        let (told, ready) = channel();
        let name = format!("load-{}", start.number);
        let thread = thread::Builder::new().name(name).spawn(move || worker::run(start, taken, &told))?;
        let hand = Self { orders, thread: Some(thread) };
        let address = ready.recv_timeout(ANSWERS_WITHIN).context("a worker does not start")??;
        Ok((hand, address))
    }

    fn order(&self, order: Order) -> anyhow::Result<()> {
        self.orders.send(order).map_err(|_| anyhow!("a worker of the generator died"))
    }
}

/// What bare callees speak: they are no WebSocket servers, so the stream below stands in.
pub const fn bare_protocol(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Ws => Protocol::Tcp,
        Protocol::Wss => Protocol::Tls,
        other => other,
    }
}

//! The load generator: places calls, answers them, listens to what is heard, and finds the highest rate without a failure.
//!
//! In: [`Options`]. Out: an [`Outcome`] in the terms of RFC 7501 and RFC 6076. The procedure is that of RFC 7502, its baseline
//! included: first the generator is measured against bare callees of its own, so that nobody takes its limit for the switch's.
//!
//! | file | holds |
//! | --- | --- |
//! | `fleet` | the workers of a load, and the pace: an open loop |
//! | `worker` | one worker: a thread with wires, transactions and calls |
//! | `placed`, `answered`, `registered` | what it does |
//! | `talk` | one end of a call's sound: what it says, and what it must hear |
//! | `describe` | the session descriptions |
//! | `wires` | sockets and connections |
//! | `measure` | what is counted |
//! | `search` | the search for the highest rate |
//! | `report` | the outcome in words |

mod answered;
mod describe;
mod fleet;
mod measure;
mod placed;
mod registered;
mod report;
mod search;
mod talk;
mod wires;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use sip::Protocol;

use fleet::{Crew, Fleet, Phase, bare_protocol};
use measure::float;
use search::Length;
use wires::Way;
use worker::Work;

pub use measure::{Delays, Figures};
pub use placed::{authorize, challenges};
pub use report::summary;
pub use search::{Bounds, Tried};
pub use wires::local_ip;
pub use worker::{CodecOf, Hears, Manner, Progress, SoundOf, User, read_users};

/// How much later than planned 99 of 100 requests may leave: past it the generator does not keep its pace.
const LAG_MAX_MS: f64 = 100.0;
/// A step of a search tries at least so many.
const ATTEMPTS_MIN: u64 = 10;
/// The proof of a found rate is so many times as long as a step.
const PROOF_STEPS: f64 = 2.0;
/// A step is at least so many times as long as a call.
const CALLS_IN_STEP: u32 = 2;
/// A switch rests so long after a step that failed.
const REST: Duration = Duration::from_secs(1);
/// A rate below so much of the ceiling is the switch's own.
const OWN_SHARE: f64 = 0.8;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// Sessions: INVITE to BYE
    Calls,
    /// Registrations
    Registrations,
}

/// At which rates.
#[derive(Clone, Copy, Debug)]
pub enum Rates {
    /// One rate, for so long.
    Fixed {
        /// Requests a second.
        rate: f64,
        /// How long.
        length: Duration,
    },
    /// A search.
    Search {
        /// Where.
        bounds: Bounds,
        /// How long each rate is held.
        step: Duration,
    },
}

/// A load.
#[derive(Clone, Debug)]
pub struct Options {
    /// The switch.
    pub target: SocketAddr,
    /// How SIP travels.
    pub protocol: Protocol,
    /// What every caller does alike.
    pub manner: Manner,
    /// Authorities that are trusted over TLS: a file of PEM.
    pub authorities: Option<PathBuf>,
    /// Path of the WebSocket.
    pub path: String,
    /// What is measured.
    pub measured: Measured,
    /// At which rates.
    pub rates: Rates,
    /// Who calls, or registers.
    pub callers: Vec<User>,
    /// Who answers; none where others do.
    pub callees: Vec<User>,
    /// Workers of each side.
    pub workers: usize,
    /// Measure the generator itself first.
    pub ceiling: bool,
}

/// Whose limit a rate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The switch's.
    Switch,
    /// Perhaps the generator's: the switch may do more.
    Generator,
    /// Nothing failed: the search ended at its own bound.
    Bound,
}

/// What came of a load.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What was measured.
    pub measured: Measured,
    /// The switch.
    pub target: SocketAddr,
    /// How SIP travelled.
    pub transport: &'static str,
    /// The sound.
    pub sound: SoundOf,
    /// How long calls stood, s.
    pub talk_s: f64,
    /// Workers of each side.
    pub workers: usize,
    /// The generator by itself.
    pub ceiling: Option<Ceiling>,
    /// Each rate that was tried, in order.
    pub tried: Vec<Tried>,
    /// The highest rate without a failure: session establishment rate (RFC 7501 section 3.4.2), or registration rate (3.4.3).
    pub rate: Option<f64>,
    /// Whose limit that is; none where one rate was asked for.
    pub limit: Option<Limit>,
}

/// What the generator does against bare callees of its own (RFC 7502 section 6.1).
#[derive(Debug, Serialize)]
pub struct Ceiling {
    /// The highest rate without a failure.
    pub rate: Option<f64>,
    /// How SIP travelled: the stream below, where the switch's is a WebSocket.
    pub transport: &'static str,
    /// Each rate that was tried.
    pub tried: Vec<Tried>,
}

impl Outcome {
    /// Whether what was asked for was reached: a rate was found, or the one that was asked for held.
    pub const fn passed(&self) -> bool {
        self.rate.is_some()
    }
}

/// Runs a load. `look` is shown what is being done: the phase in words, and how far it is.
///
/// # Errors
/// The generator cannot do its work: no way, no certificate, a callee that cannot register. A switch that fails is no error.
pub fn run(options: &Options, look: &dyn Fn(&str, &Progress)) -> anyhow::Result<Outcome> {
    let manner = Arc::new(options.manner.clone());
    let way = Way {
        protocol: options.protocol,
        target: options.target,
        domain: manner.domain.clone(),
        authorities: match &options.authorities {
            Some(file) => std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?,
            None => Vec::new(),
        },
        path: options.path.clone(),
        pair: Arc::new(own_certificate(&manner.domain)?),
    };
    let crew = Crew { workers: options.workers, callers: options.callers.clone(), callees: options.callees.clone() };
    let ceiling = if options.ceiling {
        // What bare callees say is known.
        let manner = Arc::new(Manner { hears: Hears::Answer, ..(*manner).clone() });
        let fleet = Fleet::bare(&crew, &way, &manner)?;
        let (rate, tried) = rates(options, &fleet, &|progress| look("the generator by itself", progress))?;
        Some(Ceiling { rate, transport: bare_protocol(way.protocol).uri(), tried })
    } else {
        None
    };
    let fleet = Fleet::start(&crew, &way, &manner)?;
    let (rate, tried) = rates(options, &fleet, &|progress| look("", progress))?;
    let users = if options.measured == Measured::Calls { crew.callees.len() } else { crew.callers.len() };
    // A switch that has died meanwhile fails the load, not its end.
    let withdrawn = fleet.withdraw(options.work(), users);
    if rate.is_some() {
        withdrawn?;
    }
    let limit = match options.rates {
        Rates::Fixed { .. } => None,
        Rates::Search { bounds, .. } => rate.map(|rate| limit(rate, &tried, ceiling.as_ref(), bounds)),
    };
    Ok(Outcome {
        measured: options.measured,
        target: options.target,
        transport: options.protocol.uri(),
        sound: options.manner.sound,
        talk_s: options.manner.talk.as_secs_f64(),
        workers: options.workers,
        ceiling,
        tried,
        rate,
        limit,
    })
}

impl Options {
    const fn work(&self) -> Work {
        match self.measured {
            Measured::Calls => Work::Call,
            Measured::Registrations => Work::Register,
        }
    }
}

fn limit(rate: f64, tried: &[Tried], ceiling: Option<&Ceiling>, bounds: Bounds) -> Limit {
    let reached = ceiling.and_then(|ceiling| ceiling.rate).is_some_and(|ceiling| rate >= OWN_SHARE * ceiling);
    if reached || tried.iter().any(|one| !one.passed && one.generator_was_late) {
        Limit::Generator
    } else if rate >= bounds.up_to {
        Limit::Bound
    } else {
        Limit::Switch
    }
}

/// Tries the rates that are asked for.
fn rates(options: &Options, fleet: &Fleet, look: &dyn Fn(&Progress)) -> anyhow::Result<(Option<f64>, Vec<Tried>)> {
    let work = options.work();
    match options.rates {
        Rates::Fixed { rate, length } => {
            let one = attempt(fleet, Phase { work, rate, count: count(rate, length), stops: false }, look)?;
            Ok((one.passed.then_some(rate), vec![one]))
        }
        Rates::Search { bounds, step } => {
            let step = if work == Work::Call { step.max(options.manner.talk * CALLS_IN_STEP) } else { step };
            search::search(bounds, |rate, length| {
                let length = if length == Length::Proof { step.mul_f64(PROOF_STEPS) } else { step };
                let count = count(rate, length).max(ATTEMPTS_MIN);
                let one = attempt(fleet, Phase { work, rate, count, stops: true }, look)?;
                if !one.passed {
                    std::thread::sleep(REST);
                }
                Ok(one)
            })
        }
    }
}

fn attempt(fleet: &Fleet, phase: Phase, look: &dyn Fn(&Progress)) -> anyhow::Result<Tried> {
    let (began, cpu) = (Instant::now(), cpu());
    let figures = fleet.phase(phase, look)?;
    let lasted = began.elapsed();
    let late = figures.lag.percentile_ms(99.0) > LAG_MAX_MS;
    let used = cpu.and_then(|before| Some(self::cpu()?.saturating_sub(before))).unwrap_or_default();
    let done = match phase.work {
        Work::Call => figures.completed,
        Work::Register => figures.registered,
    };
    Ok(Tried {
        rate: phase.rate,
        lasted_s: lasted.as_secs_f64(),
        passed: figures.failures() == 0 && done == phase.count && !late,
        generator_was_late: late,
        generator_cpu_percent: 100.0 * used.as_secs_f64() / lasted.as_secs_f64().max(0.001),
        figures,
    })
}

/// Attempts of a rate that is held for so long.
pub fn count(rate: f64, length: Duration) -> u64 {
    // Rates and lengths are bounded: at most 10^5 times 10^5.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = (rate * length.as_secs_f64()).round() as u64;
    count.max(1)
}

/// CPU time of this process: the generator, whose switch is another one.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything; Linux tells the time in hundredths of a second (proc(5)).
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// A certificate for those who connect to us: bare callers over TLS.
fn own_certificate(domain: &str) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let made = rcgen::generate_simple_self_signed([domain.to_owned()]).context("a certificate")?;
    Ok((made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes()))
}

impl Progress {
    /// How far it is, in a line.
    pub fn line(&self) -> String {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let (begun, established, failed, open) =
            (of(&self.begun), of(&self.established), of(&self.failed), of(&self.open));
        let percent = if begun > 0 { 100.0 * float(failed) / float(begun) } else { 0.0 };
        format!("{begun} begun, {established} answered, {open} open, {failed} failed ({percent:.1} %)")
    }
}

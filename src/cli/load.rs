//! `strowger load`: the generator at the command line.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use sip::Protocol;

use super::say;
use crate::config::units;
use crate::load::{self, Bounds, CodecOf, Hears, Manner, Measured, Options, Rates, SoundOf, User};
use crate::trial::{Ground, Needs, SwitchUnderTest};

/// What the command tells of itself beside its arguments.
pub const EXAMPLES: &str = "\
Examples: strowger load                                     a switch of our own is started: how many calls it takes
          strowger load --sound none --talk 0s              without sound
          strowger load --measure registrations             how many registrations
          strowger load 192.0.2.1:5060 --domain example.com --callers users.csv --callees others.csv
          strowger load 127.0.0.1:5060 --caller alice:alice-secret --callee bob:bob-secret --rate 2 --for 10s
          strowger load 127.0.0.1:5060 --caller alice:alice-secret --to 5501 --hear 1000 --rate 1

Without --rate the rate grows until something fails, and the highest without a failure is found and held for longer
(RFC 7502). A call fails that is not answered 200 in time, not ended 200, or does not hear what it should. Delays count
from the moment for which a request was planned. Before that the generator is measured against callees of its own.
Exit codes: 0 a rate held, 1 none did, 2 wrong usage.";

/// Users of each side that a started switch has.
const USERS: usize = 100;
/// Their password.
const PASSWORD: &str = "load-secret";

#[derive(Args)]
pub struct LoadArgs {
    /// The SIP address of the switch; without it one is started
    address: Option<SocketAddr>,
    /// How SIP travels
    #[arg(long, value_enum, default_value = "udp")]
    transport: Transport,
    /// The domain of the users; over TLS the switch must prove it
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// The authorities that are trusted over TLS, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The path of the WebSocket
    #[arg(long, default_value = "/sip")]
    path: String,
    /// What is measured
    #[arg(long, value_enum, default_value = "calls")]
    measure: Measured,
    /// Who calls, or registers: again for each
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    caller: Vec<String>,
    /// The same from a file: a line `name,password` each
    #[arg(long, value_name = "FILE")]
    callers: Option<PathBuf>,
    /// Who is registered and answers: again for each
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    callee: Vec<String>,
    /// The same from a file: a line `name,password` each
    #[arg(long, value_name = "FILE")]
    callees: Option<PathBuf>,
    /// Who is called, again for each; without it the callees
    #[arg(long, value_name = "NUMBER")]
    to: Vec<String>,
    /// What a call carries
    #[arg(long, value_enum, default_value = "rtp")]
    sound: SoundOf,
    /// The codec of the sound
    #[arg(long, value_enum, default_value = "pcmu")]
    codec: CodecOf,
    /// The codec of the callees, where it is another one
    #[arg(long, value_enum)]
    callee_codec: Option<CodecOf>,
    /// What callers must hear of a number that no callee of ours answers: a tone of so many Hz, or `any`
    #[arg(long, value_name = "HZ")]
    hear: Option<String>,
    /// How much of a stream may be lost, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    loss_max: f64,
    /// How long a call stands
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2s")]
    talk: Duration,
    /// The longest that an answer may take (RFC 7501: establishment threshold time)
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    threshold: Duration,
    /// One rate, in a second, instead of the search
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// How long that rate is held
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "10s")]
    length: Duration,
    /// The first rate of the search
    #[arg(long, value_name = "RATE", default_value_t = 20.0)]
    from: f64,
    /// The last rate of the search
    #[arg(long, value_name = "RATE", default_value_t = 20_000.0)]
    up_to: f64,
    /// How exactly the rate is to be known
    #[arg(long, value_name = "RATE", default_value_t = 5.0)]
    granularity: f64,
    /// How long each rate of the search is held
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "4s")]
    step: Duration,
    /// Threads of each side; without it half of the processors
    #[arg(long, value_name = "COUNT")]
    workers: Option<usize>,
    /// Do not measure the generator itself before a search
    #[arg(long)]
    no_ceiling: bool,
}

/// How SIP travels.
#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    /// Datagrams
    Udp,
    /// A connection for each worker
    Tcp,
    /// The same, encrypted
    Tls,
    /// A WebSocket for each worker (RFC 7118)
    Ws,
    /// The same, encrypted
    Wss,
}

/// Runs it.
pub fn load(args: &LoadArgs, is_json: bool) -> anyhow::Result<ExitCode> {
    args.check()?;
    let room = tempfile::Builder::new().prefix("strowger-load").tempdir().context("a folder for the load")?;
    let mut options = args.options()?;
    // Stopped when it is dropped, at the end.
    let _switch = match args.address {
        Some(_) => None,
        None => Some(start(&mut options, room.path())?),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let outcome = load::run(&options, &|phase, progress| {
        if is_terminal && !is_json {
            let phase = if phase.is_empty() { String::new() } else { format!("{phase}: ") };
            let _ = write!(std::io::stderr(), "\r\x1b[K{phase}{}", progress.line());
        }
    });
    if is_terminal && !is_json {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let outcome = outcome?;
    match is_json {
        true => say(&format!("{:#}\n", json!(outcome)))?,
        false => say(&load::summary(&outcome))?,
    }
    Ok(if outcome.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts a switch for the load, and fills in where it is and who its users are.
fn start(options: &mut Options, folder: &std::path::Path) -> anyhow::Result<Ground> {
    let mut text = include_str!("../load/switch.toml").to_owned();
    let users = |side: &str| -> Vec<User> {
        let user = |number| User { name: format!("{side}{number:03}"), password: Some(PASSWORD.to_owned()) };
        (0..USERS).map(user).collect()
    };
    (options.callers, options.callees) = (users("caller"), users("callee"));
    for user in options.callers.iter().chain(&options.callees) {
        let _ = write!(text, "\n[[user]]\nname = \"{}\"\npassword = \"{PASSWORD}\"\nmax_calls = 10000\n", user.name);
    }
    let config = folder.join("switch.toml");
    std::fs::write(&config, text).with_context(|| config.display().to_string())?;
    let wanted = SwitchUnderTest { config: Some(config), ..SwitchUnderTest::default() };
    let ground = Ground::lay(&wanted, folder, folder, Needs::default())?;
    options.target = ground.place(options.protocol)?;
    options.authorities = ground.started().map(|started| started.data().join("tls/dev-cert.pem"));
    if options.measured == Measured::Registrations {
        options.callees = Vec::new();
    } else if options.manner.numbers.is_empty() {
        options.manner.numbers = options.callees.iter().map(|user| user.name.clone()).collect();
    }
    Ok(ground)
}

impl LoadArgs {
    /// What the shapes of the arguments do not say.
    fn check(&self) -> anyhow::Result<()> {
        let known = !(self.caller.is_empty() && self.callers.is_none());
        match (self.address, known) {
            (Some(_), false) => bail!("whose calls are they? Name --caller NAME:PASSWORD, or --callers FILE"),
            (None, true) => {
                bail!("a switch that is started has users of its own: name its ADDRESS, or leave out callers")
            }
            _ => {}
        }
        if self.address.is_none() && !(self.callee.is_empty() && self.callees.is_none() && self.to.is_empty()) {
            bail!("a switch that is started has callees of its own: name its ADDRESS, or leave out --callee and --to");
        }
        let is_rate = |rate: f64| rate.is_finite() && (0.01..=100_000.0).contains(&rate);
        if !(self.rate.is_none_or(is_rate) && is_rate(self.from) && is_rate(self.up_to) && is_rate(self.granularity)) {
            bail!("a rate is from 0.01 to 100000 a second");
        }
        if !(0.0..=100.0).contains(&self.loss_max) {
            bail!("--loss-max is from 0 to 100 percent");
        }
        if self.sound != SoundOf::None && self.talk < Duration::from_millis(500) {
            bail!("nothing can be heard in less than 500ms: give --talk more, or --sound none");
        }
        if self.workers.is_some_and(|workers| !(1..=64).contains(&workers)) {
            bail!("--workers is from 1 to 64");
        }
        Ok(())
    }

    fn options(&self) -> anyhow::Result<Options> {
        let people = |named: &[String], file: &Option<PathBuf>| -> anyhow::Result<Vec<User>> {
            let mut users: Vec<User> = named.iter().map(|text| User::parse(text, ':')).collect();
            if let Some(file) = file {
                users.extend(load::read_users(file)?);
            }
            Ok(users)
        };
        let (callers, callees) = (people(&self.caller, &self.callers)?, people(&self.callee, &self.callees)?);
        let mut numbers = self.to.clone();
        if numbers.is_empty() {
            numbers = callees.iter().map(|user| user.name.clone()).collect();
        }
        if self.address.is_some() && numbers.is_empty() && self.measure == Measured::Calls {
            bail!("who is called? Name --callee NAME:PASSWORD, --callees FILE or --to NUMBER");
        }
        let hears = match self.hear.as_deref() {
            None if callees.is_empty() && self.address.is_some() => Hears::Anything,
            None => Hears::Answer,
            Some("any") => Hears::Anything,
            Some(hz) => Hears::Tone(
                hz.parse()
                    .ok()
                    .filter(|hz| (200..=3_400).contains(hz))
                    .with_context(|| format!("`{hz}` is no tone: --hear takes 200 to 3400 Hz, or `any`"))?,
            ),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            // Filled in when the switch has been started.
            target: self.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            protocol: match self.transport {
                Transport::Udp => Protocol::Udp,
                Transport::Tcp => Protocol::Tcp,
                Transport::Tls => Protocol::Tls,
                Transport::Ws => Protocol::Ws,
                Transport::Wss => Protocol::Wss,
            },
            authorities: self.ca.clone(),
            path: self.path.clone(),
            measured: self.measure,
            rates: match self.rate {
                Some(rate) => Rates::Fixed { rate, length: self.length },
                None => Rates::Search {
                    bounds: Bounds { from: self.from, up_to: self.up_to, granularity: self.granularity },
                    step: self.step,
                },
            },
            callers,
            callees: if self.measure == Measured::Calls { callees } else { Vec::new() },
            manner: Manner {
                domain: self.domain.clone(),
                numbers,
                sound: if self.measure == Measured::Calls { self.sound } else { SoundOf::None },
                codec: self.codec.codec(),
                callee_codec: self.callee_codec.unwrap_or(self.codec).codec(),
                hears,
                talk: self.talk,
                threshold: self.threshold,
                loss_max: self.loss_max / 100.0,
            },
            workers: self.workers.unwrap_or((processors / 2).max(1)),
            ceiling: self.rate.is_none() && !self.no_ceiling,
        })
    }
}

fn time(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .ok_or_else(|| format!("`{text}` is no time: write a whole number with its unit, as in 500ms or 5s"))
}

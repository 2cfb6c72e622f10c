//! A trial: a plan is run against a switch, and a report says what held and what did not.
//!
//! | file | holds |
//! | --- | --- |
//! | `plan` | what is to be done: TOML, checked as a whole |
//! | `ground` | the switch under test: started for the trial, or one that runs already |
//! | `register` | where a callee is |
//! | `sipp` | SIPp as a caller or callee |
//! | `loading` | our own generator as both |
//! | `records` | what the switch has written down of a step's calls |
//! | `replay` | a captured call, played again |
//! | `step` | one step: parties, faults, samples |
//! | `fault` | what can be broken, by name |
//! | `breaking` | how it is broken, and mended |
//! | `impair` | a network that loses, delays, doubles and reorders |
//! | `verdict` | what must hold, and whether it did |
//! | `report` | the terminal, JUnit, JSON and one page of HTML |

mod breaking;
mod fault;
mod ground;
mod impair;
mod loading;
mod plan;
mod records;
mod register;
mod replay;
mod report;
mod sipp;
mod step;
mod verdict;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use plan::Plan;
use verdict::{StepResult, Verdict};

/// How a trial is run.
pub struct Options {
    /// The plan.
    pub plan: PathBuf,
    /// Where the report goes; made if it is not there.
    pub out: PathBuf,
    /// Only the steps whose names contain this.
    pub only: Option<String>,
    /// A switch that runs already, instead of the plan's.
    pub address: Option<std::net::SocketAddr>,
    /// Faults that come in each step, beside the plan's: each as an inline table of the plan.
    pub faults: Vec<String>,
    /// How long the calls stand that are to be long ones.
    pub long: Option<std::time::Duration>,
    /// Tell on standard error how far it is.
    pub tells: bool,
}

/// What came of a trial.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The plan's name.
    pub name: String,
    /// The plan's purpose.
    pub purpose: String,
    /// RFC 3339, UTC.
    pub began: String,
    /// Seconds from begin to end.
    pub lasted_s: f64,
    /// What was tested: `strowger 0.1.0`, or an address.
    pub switch: String,
    /// Kernel and processors.
    pub machine: String,
    /// Each step, in order.
    pub steps: Vec<StepResult>,
}

impl Outcome {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.verdict != Verdict::Failed)
    }

    /// Steps of a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }
}

/// Runs a plan and writes its report. Answers what came of it.
///
/// # Errors
/// The plan is wrong, or the switch does not start; a step that fails is no error.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut plan = read(options)?;
    if let Some(address) = options.address {
        plan.switch = plan::SwitchUnderTest { config: None, address: Some(address), domain: plan.switch.domain };
    }
    if let Some(only) = &options.only {
        plan.steps.retain(|step| step.name.contains(only));
        if plan.steps.is_empty() {
            bail!("no step of {} has `{only}` in its name", options.plan.display());
        }
    }
    let here = std::env::current_dir().context("the working folder")?;
    // SIPp runs in folders of its own: what it is given must be whole.
    let out = here.join(&options.out);
    let plan_folder = here.join(options.plan.parent().unwrap_or(Path::new("")));
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let room = tempfile::Builder::new().prefix("strowger-trial").tempdir().context("a folder for the trial")?;

    let began = (jiff::Timestamp::now(), std::time::Instant::now());
    let mut ground = Ground::lay(&plan.switch, &plan_folder, room.path(), plan.needs())?;
    let count = plan.steps.len();
    let mut steps = Vec::with_capacity(count);
    for (number, step) in plan.steps.iter().enumerate() {
        let place = step::Place { plan_folder: &plan_folder, folder: room.path().join(format!("step-{number}")) };
        let tell =
            Teller { on: options.tells, is_terminal: std::io::stderr().is_terminal(), number, count, name: &step.name };
        let result = step::run(step, &mut ground, &place, |doing| tell.doing(doing));
        tell.done(&result);
        steps.push(result);
    }
    let outcome = Outcome {
        name: plan.name,
        purpose: plan.purpose,
        began: began.0.to_string(),
        lasted_s: began.1.elapsed().as_secs_f64(),
        switch: match &ground {
            Ground::Started(_) => format!("strowger {}", env!("CARGO_PKG_VERSION")),
            Ground::Foreign { address, .. } => address.to_string(),
        },
        machine: machine(),
        steps,
    };
    drop(ground);
    report::write(&outcome, &out)?;
    Ok(outcome)
}

/// The plan, with the faults of the command line.
fn read(options: &Options) -> anyhow::Result<Plan> {
    let mut plan = Plan::read(&options.plan)?;
    if let Some(long) = options.long {
        let loads = plan.steps.iter_mut().filter_map(|step| step.load.as_mut());
        loads.filter(|load| load.long).for_each(|load| load.talk = long);
    }
    for text in &options.faults {
        #[derive(serde::Deserialize)]
        struct One {
            fault: fault::Fault,
        }
        let one: One = toml::from_str(&format!("fault = {text}"))
            .map_err(|error| anyhow::anyhow!("--fault {text}: {}", error.message().trim()))?;
        if let Some(mistake) = one.fault.mistake() {
            bail!("--fault {text}: {mistake}");
        }
        for step in &mut plan.steps {
            step.faults.push(one.fault.clone());
        }
    }
    Ok(plan)
}

/// Whether the trial must have a network and mounts of its own, because datagrams are to be lost there, or a disk filled.
///
/// # Errors
/// The plan is wrong.
pub fn wants_own_namespaces(options: &Options) -> anyhow::Result<bool> {
    read(options).map(|plan| plan.needs().own_namespaces())
}

pub use fault::Needs;
pub use ground::Ground;
pub use plan::{SwitchUnderTest, User};
pub use replay::{Replay, plan as replay_plan};
pub use report::summary;

/// What is told while it runs: a line that changes where somebody looks, a line a step where a file does.
struct Teller<'a> {
    on: bool,
    is_terminal: bool,
    number: usize,
    count: usize,
    name: &'a str,
}

impl Teller<'_> {
    fn doing(&self, doing: &str) {
        if self.on && self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{:>3}/{} {}: {doing}", self.number + 1, self.count, self.name);
        }
    }

    fn done(&self, result: &StepResult) {
        if self.on && self.is_terminal {
            // The summary has its line.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        } else if self.on {
            let (number, count, name, verdict) = (self.number + 1, self.count, self.name, result.verdict.word());
            let _ = writeln!(std::io::stderr(), "{number:>3}/{count} {verdict:<14} {name}");
        }
    }
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} {} {}, {processors} processors", std::env::consts::OS, kernel.trim(), std::env::consts::ARCH)
}

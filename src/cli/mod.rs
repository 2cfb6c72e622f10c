//! The command line. What runs, writes or checks does so here; what asks a running switch is in `client`.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; of a switch that ran also 70 when it gave up, and 130
//! or 143 when a second Ctrl-C or SIGTERM cut its stop short.

mod apply;
mod capture;
mod client;
mod conferences;
mod features;
mod gateways;
mod groups;
pub mod humane;
mod limits;
mod load;
mod mailbox;
mod plan;
mod replay;
mod route;
mod table;
mod tree;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::config::{self, Config, ConfigError, InitError, InitOptions};
use crate::trial;

/// The exit code of a wrong configuration, and clap's own for wrong usage.
const EXIT_USAGE: u8 = 2;

/// Starts the program: `run` is called with the configuration of a switch to be run, and returns the exit code when it
/// has stopped.
pub fn main(run: impl FnOnce(Config) -> anyhow::Result<ExitCode>) -> ExitCode {
    let cli = Cli::parse();
    let is_json = cli.json;
    let done = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => start(&args).and_then(|config| run(config).map_err(Failure::Failed)),
        Command::Init(args) => init(&args, is_json).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check(&args, is_json).map(|()| ExitCode::SUCCESS),
        Command::Trial(args) => trial(&args, is_json).map_err(Failure::Failed),
        Command::Replay(args) => args.run(is_json).map_err(Failure::Failed),
        Command::Load(args) => load::load(&args, is_json).map_err(Failure::Failed),
        Command::Capture(args) => args.run(is_json).map(|()| ExitCode::SUCCESS).map_err(Failure::Failed),
        Command::Apply(args) => apply(args, is_json).map(|()| ExitCode::SUCCESS),
        Command::Ask(command) => command.run(is_json).map(|()| ExitCode::SUCCESS).map_err(Failure::Failed),
    };
    match done {
        Ok(code) => code,
        Err(Failure::Failed(error)) => {
            let told = match is_json {
                true => say(&format!("{:#}\n", json!({ "ok": false, "error": format!("{error:#}") }))),
                false => tell(&format!("strowger: {error:#}\n")),
            };
            // Nobody listens any more; the exit code still tells.
            let _ = told;
            ExitCode::FAILURE
        }
        Err(Failure::Config(errors)) => {
            let told = match is_json {
                true => say(&format!("{:#}\n", config::render_json(&errors))),
                false => tell(&config::render_text(&errors)),
            };
            let _ = told;
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// An actor-based telecom switch: registers phones, routes and carries calls, and keeps its promises while its parts
/// are killed.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Without a command the lab runs: four users and four service numbers on loopback, data in ./data.

Examples:
  strowger                                the lab
  strowger init && strowger check strowger.toml && strowger run --config strowger.toml
  strowger tree                           what lives in the switch that runs on ./data

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; 70 the switch gave up, 130 or 143 a second Ctrl-C
or SIGTERM cut its stop short."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    /// Answer as JSON, errors included
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a switch until Ctrl-C; without a configuration the lab
    #[command(after_help = "Example: strowger run --config strowger.toml\n\nCtrl-C drains and stops.")]
    Run(RunArgs),
    /// Write a commented configuration with generated secrets
    #[command(after_help = "Example: strowger init --domain example.org --ip 192.0.2.10 strowger.toml")]
    Init(InitArgs),
    /// Check a configuration: every mistake at once, with its place and remedy
    #[command(after_help = "Example: strowger check strowger.toml\n\n\
        With --json the mistakes, or all settings in effect without secrets. Exit code 2 if there are mistakes.")]
    Check(CheckArgs),
    /// Run a plan of calls, loads and faults against a switch, and write a report
    #[command(after_help = "\
Examples: strowger trial scenarios/acceptance.toml
          strowger trial scenarios/acceptance.toml --step hold --out /tmp/hold
          strowger trial scenarios/acceptance.toml --address 192.0.2.1:5060     any switch of any make

A Strowger is started for the trial unless the plan or --address names one. SIPp must be there. The report has
report.html, report.json and junit.xml. Exit codes: 0 nothing failed, 1 something did, 2 wrong usage.")]
    Trial(TrialArgs),
    /// Write the packets of a running switch into a file that Wireshark opens
    #[command(after_help = capture::EXAMPLES)]
    Capture(capture::CaptureArgs),
    /// Play the calls of a capture against a switch, and tell what differs
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArgs),
    /// Load a switch with calls or registrations, and find the highest rate that it takes without a failure
    #[command(after_help = load::EXAMPLES)]
    Load(Box<load::LoadArgs>),
    /// Check a configuration and put it in force in a running switch; calls that are up are not touched
    #[command(after_help = "Example: strowger apply strowger.toml --dry-run\n\n\
        What a running switch cannot change, such as the addresses that it listens on, is said, and nothing is changed.")]
    Apply(apply::ApplyArgs),
    #[command(flatten)]
    Ask(client::Command),
}

#[derive(Args)]
struct RunArgs {
    /// The configuration; without it the lab
    #[arg(long, value_name = "FILE", env = "STROWGER_CONFIG")]
    config: Option<PathBuf>,
    /// The data folder, instead of the configured one
    #[arg(long, value_name = "DIR", env = "STROWGER_DATA")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct InitArgs {
    /// The file to write
    #[arg(default_value = "strowger.toml")]
    file: PathBuf,
    /// The domain of the users
    #[arg(long, default_value = "example.com")]
    domain: String,
    /// The address for SIP and media
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct CheckArgs {
    /// The configuration
    file: PathBuf,
}

#[derive(Args)]
struct TrialArgs {
    /// The plan
    plan: PathBuf,
    /// The folder of the report
    #[arg(long, value_name = "DIR", default_value = "trial")]
    out: PathBuf,
    /// Only the steps with this in their name
    #[arg(long, value_name = "TEXT")]
    step: Option<String>,
    /// A fault that comes in each step, as in a plan: '{ at = "1s", actor = "call", how = "panic" }'; again for each
    #[arg(long, value_name = "TABLE")]
    fault: Vec<String>,
    /// Long calls stand so long
    #[arg(long, value_name = "TIME", value_parser = time, num_args = 0..=1, default_missing_value = "15m")]
    long: Option<std::time::Duration>,
    /// The SIP address of a switch that runs already, instead of the plan's
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<std::net::SocketAddr>,
}

/// Why a command did not do its work.
enum Failure {
    /// The configuration is wrong: exit code 2.
    Config(Vec<ConfigError>),
    /// Anything else: exit code 1.
    Failed(anyhow::Error),
}

fn start(args: &RunArgs) -> Result<Config, Failure> {
    let loaded = match &args.config {
        Some(file) => config::load(file),
        None => config::lab(),
    };
    let mut config = loaded.map_err(Failure::Config)?;
    if let Some(data) = &args.data {
        config.node.data.clone_from(data);
    }
    Ok(config)
}

fn init(args: &InitArgs, is_json: bool) -> Result<(), Failure> {
    let options = InitOptions { domain: args.domain.clone(), ip: args.ip, force: args.force };
    let file = args.file.display();
    let written = config::init(&args.file, &options).map_err(|error| match error {
        InitError::Invalid(errors) => Failure::Config(errors),
        InitError::Exists => {
            Failure::Failed(anyhow::anyhow!("{file} exists: name another file, or replace it with --force"))
        }
        InitError::Io(error) => Failure::Failed(anyhow::Error::new(error).context(format!("{file} cannot be written"))),
    })?;
    let users = written.users.join(" and ");
    let text = format!(
        "Wrote {file}, readable by its owner only: users {users} with generated passwords, and an admin token.\n\
         Adapt it, then: strowger check {file}\n\
         and run it:     strowger run --config {file}\n"
    );
    answer(is_json, &json!({ "ok": true, "file": written.file, "users": written.users }), &text)
}

fn check(args: &CheckArgs, is_json: bool) -> Result<(), Failure> {
    let config = config::load(&args.file).map_err(Failure::Config)?;
    let file = args.file.display().to_string();
    let text = format!(
        "{file} is right: {}, {}, {}.\n",
        humane::count(config.users.len(), "user"),
        humane::count(config.gateways.len(), "gateway"),
        humane::count(config.services.len(), "service"),
    );
    answer(is_json, &json!({ "ok": true, "file": file, "config": config.effective() }), &text)
}

fn trial(args: &TrialArgs, is_json: bool) -> anyhow::Result<ExitCode> {
    let options = trial::Options {
        faults: args.fault.clone(),
        plan: args.plan.clone(),
        out: args.out.clone(),
        only: args.step.clone(),
        address: args.address,
        long: args.long,
        tells: !is_json,
    };
    tried(&options)
}

/// Runs a trial, and tells what came of it.
fn tried(options: &trial::Options) -> anyhow::Result<ExitCode> {
    if std::env::var_os(OWN_NAMESPACES).is_none() && trial::wants_own_namespaces(options)? {
        return again_in_own_namespaces();
    }
    let outcome = trial::run(options)?;
    if !options.tells {
        say(&format!("{:#}\n", json!(outcome)))?;
    } else {
        say(&format!("\n{}", trial::summary(&outcome, &options.out)))?;
    }
    Ok(if outcome.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Set where the trial has namespaces of its own already.
const OWN_NAMESPACES: &str = "STROWGER_OWN_NAMESPACES";

/// Runs the same command once more with a network and mounts that nobody else has.
fn again_in_own_namespaces() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("this program's own file")?;
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "--mount"]);
    if std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap_or(1) != 0 {
        // Who is not root becomes it there, and there alone.
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(program).args(std::env::args_os().skip(1));
    let status = command.env(OWN_NAMESPACES, "1").status().context("unshare does not start: it is in util-linux")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

fn time(text: &str) -> Result<std::time::Duration, String> {
    config::units::duration(text)
        .ok_or_else(|| format!("`{text}` is no time: write a whole number with its unit, as in 500ms or 15m"))
}

fn apply(args: apply::ApplyArgs, is_json: bool) -> Result<(), Failure> {
    config::load(&args.file).map_err(Failure::Config)?;
    args.run(is_json).map_err(Failure::Failed)
}

fn answer(is_json: bool, json: &serde_json::Value, text: &str) -> Result<(), Failure> {
    let said = if is_json { say(&format!("{json:#}\n")) } else { say(text) };
    said.map_err(Failure::Failed)
}

/// Writes to standard output. A reader that has left, as `head` does, is no error.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// Writes to standard error.
fn tell(text: &str) -> anyhow::Result<()> {
    io::stderr().lock().write_all(text.as_bytes()).context("standard error")
}

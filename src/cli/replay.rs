//! `strowger replay`: the calls of a capture against a switch, as a trial.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::say;
use crate::{config, load, trial};

/// Beside the arguments.
pub const EXAMPLES: &str = "\
Examples: strowger replay calls.pcapng                                        against the lab, which is started
          strowger replay calls.pcap --config strowger.toml --user alice:secret --user bob:secret
          strowger replay calls.pcap --address 192.0.2.1:5060 --user ...      any switch of any make
          strowger replay calls.pcap --plan calls.toml                        writes the plan, and runs nothing

Each end of each call says what it said, when it said it, with its sound, over UDP. What the switch answers otherwise
than then fails the step: messages, lines of descriptions, sound that is not heard. Headers that came or went are in
report.json. Exit codes: 0 nothing differs, 1 something does, 2 wrong usage.";

#[derive(Args)]
pub struct ReplayArgs {
    /// The capture: pcap or pcapng
    file: PathBuf,
    /// Only calls with this in one of their messages: a number, a user, a Call-ID
    #[arg(long, value_name = "TEXT")]
    call: Option<String>,
    /// A password, of who calls or is called; again for each
    #[arg(long = "user", value_name = "NAME:PASSWORD", value_parser = user)]
    users: Vec<trial::User>,
    /// Where the switch was when it was captured, if the file leaves that open
    #[arg(long, value_name = "ADDRESS:PORT")]
    switch: Option<SocketAddr>,
    /// A configuration that is started instead of the lab; its ports should be 0
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    config: Option<PathBuf>,
    /// The SIP address of a switch that runs already
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    /// The domain of its users
    #[arg(long, value_name = "DOMAIN", default_value = "example.com")]
    domain: String,
    /// Write the plan here, and run nothing
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The folder of the report
    #[arg(long, value_name = "DIR", default_value = "trial")]
    out: PathBuf,
}

impl ReplayArgs {
    /// Runs it.
    pub fn run(&self, is_json: bool) -> anyhow::Result<ExitCode> {
        let whole = |file: &PathBuf| file.canonicalize().with_context(|| format!("{} cannot be read", file.display()));
        let mut users = self.users.clone();
        if self.config.is_none() && self.address.is_none() {
            users.extend(config::lab_users().into_iter().map(|(name, password)| trial::User { name, password }));
        }
        let mut switch = format!("[switch]\ndomain = {:?}\n", self.domain);
        if let Some(config) = &self.config {
            switch.push_str(&format!("config = {:?}\n", whole(config)?.display().to_string()));
        }
        if let Some(address) = self.address {
            switch.push_str(&format!("address = \"{address}\"\n"));
        }
        let replay = trial::Replay { capture: whole(&self.file)?, call: None, switch: self.switch, users };
        let text = trial::replay_plan(&self.file, self.call.as_deref(), &replay, &switch)?;
        if let Some(plan) = &self.plan {
            std::fs::write(plan, text).with_context(|| format!("{} cannot be written", plan.display()))?;
            let told = serde_json::json!({ "ok": true, "plan": plan });
            say(&if is_json {
                format!("{told:#}\n")
            } else {
                format!("Wrote {}: strowger trial runs it.\n", plan.display())
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        std::fs::create_dir_all(&self.out).with_context(|| format!("{} cannot be made", self.out.display()))?;
        let plan = self.out.join("replay.toml");
        std::fs::write(&plan, text).with_context(|| format!("{} cannot be written", plan.display()))?;
        super::tried(&trial::Options {
            plan,
            out: self.out.clone(),
            only: None,
            address: None,
            faults: Vec::new(),
            long: None,
            tells: !is_json,
        })
    }
}

fn user(text: &str) -> Result<trial::User, String> {
    match load::User::parse(text, ':') {
        load::User { name, password: Some(password) } => Ok(trial::User { name, password }),
        _ => Err(format!("`{text}` is no user: write NAME:PASSWORD")),
    }
}

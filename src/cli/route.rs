//! `strowger route`: where a number would go, and why.

use std::fmt::Write as _;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Switch, show};
use super::humane::safe;

/// Longest line of a reason.
const LINE_CHARS_MAX: usize = 160;

#[derive(Args)]
pub struct RouteArgs {
    /// What is dialled
    number: String,
    /// The user who dials it: a name, an extension or a number
    #[arg(long, value_name = "USER", required_unless_present = "gateway", conflicts_with = "gateway")]
    from: Option<String>,
    /// The gateway that the call comes by
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// When, in the switch's time zone, such as 2026-12-25T18:05; without it now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The caller's number, of a call by a gateway
    #[arg(long, value_name = "NUMBER", requires = "gateway")]
    caller: Option<String>,
    /// Whom the call was diverted from, of a call by a gateway
    #[arg(long, value_name = "NUMBER", requires = "gateway")]
    diverted: Option<String>,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Answer {
    destination: String,
    status: Option<u16>,
    targets: Vec<Target>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Target {
    gateway: Option<String>,
    number: Option<String>,
    caller: Option<String>,
    international: Option<String>,
    country: Option<String>,
    why: Option<String>,
}

#[derive(Deserialize)]
struct Step {
    topic: String,
    verdict: String,
    name: String,
    text: String,
}

impl RouteArgs {
    /// Asks, and prints the reasoning.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let client = self.switch.client()?;
        let given = [
            ("number", Some(&self.number)),
            ("from", self.from.as_ref()),
            ("gateway", self.gateway.as_ref()),
            ("at", self.at.as_ref()),
            ("caller", self.caller.as_ref()),
            ("diverted", self.diverted.as_ref()),
        ];
        let given: Vec<(&str, &str)> =
            given.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?.as_str()))).collect();
        let answer: Value = client.route(&given)?;
        show(is_json, &answer, |answer: Answer| text(&answer))
    }
}

fn text(answer: &Answer) -> String {
    let mut out = String::new();
    for step in &answer.steps {
        let mark = match step.verdict.as_str() {
            "passed" => "·",
            "refused" => "x",
            _ => ">",
        };
        let topic = step.topic.replace('_', " ");
        let name = if step.name.is_empty() { String::new() } else { format!("{}: ", safe(&step.name, 64)) };
        let _ = writeln!(out, "{mark} {topic:<14} {name}{}", safe(&step.text, LINE_CHARS_MAX));
    }
    let status = answer.status.map_or(String::new(), |status| format!(", the caller gets {status}"));
    let _ = writeln!(out, "\nGoes {}{status}.", safe(&answer.destination, LINE_CHARS_MAX).trim_start_matches("goes "));
    for (at, target) in answer.targets.iter().enumerate() {
        let (Some(gateway), Some(number)) = (&target.gateway, &target.number) else { continue };
        let country = target.country.as_deref().map_or(String::new(), |country| format!(", {country}"));
        let known = target.international.as_deref().map_or(String::new(), |text| format!(" ({text}{country})"));
        let caller = target.caller.as_deref().unwrap_or("no number");
        let why = target.why.as_deref().unwrap_or_default();
        let _ = writeln!(out, "  {}. {gateway}: {number}{known}, shown {caller}; {why}", at + 1);
    }
    out
}

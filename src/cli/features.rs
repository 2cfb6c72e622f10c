//! Call features of users, parked calls, traced calls.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Switch, show};
use super::humane::safe;
use super::table;

#[derive(Args)]
pub struct FeatureArgs {
    /// The user: a name, an extension or a number
    user: String,
    /// What to change, such as forward_all=1003, do_not_disturb=true, team=bob,carol; nothing behind = is the default
    #[arg(value_name = "KEY=VALUE")]
    changes: Vec<String>,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Answer {
    user: String,
    features: Map<String, Value>,
}

impl FeatureArgs {
    /// Shows the features of a user, or changes them and shows them then.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let client = self.switch.client()?;
        let answer = if self.changes.is_empty() {
            client.features(&self.user)?
        } else {
            let before: Answer = Deserialize::deserialize(client.features(&self.user)?)?;
            let wanted =
                self.changes.iter().map(|change| wanted(change, &before.features)).collect::<anyhow::Result<_>>()?;
            client.set_features(&self.user, &Value::Object(wanted))?
        };
        show(is_json, &answer, |answer: Answer| text(&answer))
    }
}

/// One change, in the form that the feature has now.
fn wanted(change: &str, known: &Map<String, Value>) -> anyhow::Result<(String, Value)> {
    let (key, value) = change.split_once('=').with_context(|| format!("{change}: write KEY=VALUE"))?;
    let value = match known.get(key) {
        _ if value.is_empty() => Value::Null,
        Some(Value::Array(_)) => value.split(',').map(Value::from).collect(),
        Some(Value::Bool(_)) => value.parse::<bool>().with_context(|| format!("{key}: write true or false"))?.into(),
        Some(Value::Number(_)) => seconds(key, value)?,
        _ if key.ends_with("_s") => seconds(key, value)?,
        _ => value.into(),
    };
    Ok((key.to_owned(), value))
}

fn seconds(key: &str, value: &str) -> anyhow::Result<Value> {
    Ok(value.parse::<u16>().with_context(|| format!("{key}: write seconds"))?.into())
}

fn text(answer: &Answer) -> String {
    let mut out = format!("{}\n", answer.user);
    for (key, value) in &answer.features {
        let value = match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => safe(text, 80),
            Value::Array(list) if list.is_empty() => "-".to_owned(),
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).map(|text| safe(text, 80)).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {key:<18} {value}");
    }
    out
}

#[derive(Deserialize)]
struct AllParked {
    parked: Vec<Parked>,
}

#[derive(Deserialize)]
struct Parked {
    place: String,
    call: String,
    party: String,
    by: String,
    since: String,
}

/// Shows the calls that are parked.
pub fn parked(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.parked()?, |answer: AllParked| {
        if answer.parked.is_empty() {
            return "No call is parked.\n".to_owned();
        }
        let row = |one: &Parked| {
            [one.place.clone(), safe(&one.party, 60), safe(&one.by, 60), one.since.clone(), one.call.clone()]
        };
        let rows: Vec<_> = answer.parked.iter().map(row).collect();
        table::render(["PLACE", "WAITS", "PARKED BY", "SINCE", "CALL"], &rows)
    })
}

#[derive(Deserialize)]
struct AllTraces {
    traces: Vec<Trace>,
}

#[derive(Deserialize)]
struct Trace {
    user: String,
    traced: String,
    call: TracedCall,
}

#[derive(Deserialize)]
struct TracedCall {
    at: String,
    call: String,
    from: String,
    gateway: Option<String>,
    source: String,
}

/// Shows the calls that users have traced.
pub fn traces(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.traces()?, |answer: AllTraces| {
        if answer.traces.is_empty() {
            return "No call was traced.\n".to_owned();
        }
        let row = |one: &Trace| {
            let gateway = one.call.gateway.clone().unwrap_or_else(|| "-".to_owned());
            [
                one.traced.clone(),
                safe(&one.user, 60),
                safe(&one.call.from, 60),
                one.call.at.clone(),
                gateway,
                safe(&one.call.source, 60),
                one.call.call.clone(),
            ]
        };
        let rows: Vec<_> = answer.traces.iter().map(row).collect();
        table::render(["TRACED", "BY", "CALLER", "CALL CAME", "GATEWAY", "FROM WHERE", "CALL"], &rows)
    })
}

//! Ring groups: who waits, who answers, and signing agents in and out.

use std::fmt::Write as _;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::client::{Switch, show};
use super::humane::safe;
use super::table;
use crate::admin_client::Group;

#[derive(Subcommand)]
pub enum Order {
    /// Let an agent take calls of a group
    #[command(after_help = "Example: strowger groups sign-in sales alice")]
    SignIn(Who),
    /// Let it take none
    #[command(after_help = "Example: strowger groups sign-out sales alice")]
    SignOut(Who),
}

/// An agent of a group.
#[derive(clap::Args)]
pub struct Who {
    /// The group, by name or number
    group: String,
    /// The user
    agent: String,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Done {
    group: Group,
}

/// Shows the ring groups.
pub fn list(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.groups()?, |answer: Groups| match answer.groups.as_slice() {
        [] => "No ring group is configured.\n".to_owned(),
        all => text(all),
    })
}

impl Order {
    /// Has it done, and shows the group afterwards.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let (Who { group, agent, switch }, order) = match self {
            Self::SignIn(who) => (who, "sign-in"),
            Self::SignOut(who) => (who, "sign-out"),
        };
        let answer = switch.client()?.order_group(&group, &json!({ "do": order, "agent": agent }))?;
        show(is_json, &answer, |done: Done| text(&[done.group]))
    }
}

fn text(groups: &[Group]) -> String {
    let rows: Vec<_> = groups
        .iter()
        .map(|one| {
            let agents: Vec<_> = one.agents.iter().map(|agent| format!("{} {}", agent.name, agent.state)).collect();
            [
                one.name.clone(),
                one.number.clone(),
                one.method.replace('-', " "),
                agents.join(", "),
                format!("{} of {}", one.waiting, one.waiting_max),
                format!("{} / {} / {}", one.came, one.answered, one.abandoned),
            ]
        })
        .collect();
    let mut out = table::render(["GROUP", "NUMBER", "METHOD", "AGENTS", "WAIT", "CAME / ANSWERED / GONE"], &rows);
    for group in groups {
        for call in &group.calls {
            let (from, since) = (safe(&call.from, 60), &call.since);
            let how = match (&call.agent, call.ringing.as_slice()) {
                (Some(agent), _) => format!("talks with {agent}"),
                (None, []) => format!("waits at place {}", call.position.unwrap_or(0)),
                (None, ringing) => format!("rings {}", ringing.join(", ")),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{}: {from} {how}, since {since}, call {}", group.name, call.call);
        }
    }
    out
}

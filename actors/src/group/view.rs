//! What others see of a ring group.

use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;

use super::book::Step;
use super::plan::Method;
use super::{Group, Presence, presence};
use crate::call::rfc3339;
use crate::routing::{Step as Reason, Topic, Trail, Verdict};
use crate::shared::{Shared, unix_ms};

/// A line of the list of groups.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    /// Name.
    pub name: String,
    /// Number.
    pub number: String,
    /// What it is called.
    pub text: Option<String>,
    /// In which order agents ring.
    pub method: Method,
    /// Its agents, in order.
    pub agents: Vec<AgentView>,
    /// The calls in it, in the order of their coming.
    pub calls: Vec<CallerView>,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that may wait.
    pub waiting_max: usize,
    /// Calls that came.
    pub came: u64,
    /// Of these, those that an agent took.
    pub answered: u64,
    /// Those that went on to another target.
    pub overflowed: u64,
    /// Those that were refused or ended because nobody took them.
    pub refused: u64,
    /// Those whose caller has gone.
    pub abandoned: u64,
    /// Times that agents have rung and nobody took the call.
    pub missed: u64,
}

/// An agent.
#[derive(Clone, Debug, Serialize)]
pub struct AgentView {
    /// The user.
    pub name: String,
    /// `signed-out`, `away`, `resting`, `ringing`, `busy`, `free`.
    pub state: &'static str,
    /// Times that it was rung.
    pub rung: u64,
    /// Calls that it took.
    pub answered: u64,
}

/// A call.
#[derive(Clone, Debug, Serialize)]
pub struct CallerView {
    /// The call.
    pub call: String,
    /// Who calls.
    pub from: String,
    /// RFC 3339.
    pub since: String,
    /// Its place among those that nobody talks with yet.
    pub position: Option<usize>,
    /// Agents that ring for it.
    pub ringing: Vec<String>,
    /// The agent that it talks with.
    pub agent: Option<String>,
}

impl Group {
    /// What is seen of it.
    pub fn view(&self, shared: &Shared) -> GroupView {
        let plan = self.plan();
        let agents = self.agents(shared);
        let book = self.book.lock();
        let calls = book.calls.iter().map(|call| CallerView {
            call: call.call.to_string(),
            from: call.from.clone(),
            since: rfc3339(call.since_ms),
            position: book.position(call.id),
            ringing: match &call.step {
                Step::Rings(agents) => agents.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
            agent: match &call.step {
                Step::Talks(agent) => Some(agent.to_string()),
                _ => None,
            },
        });
        GroupView {
            name: plan.name.to_string(),
            number: plan.number.clone(),
            text: plan.text.clone(),
            method: plan.method,
            agents,
            calls: calls.collect(),
            waiting: book.waiting(),
            waiting_max: plan.waiting_max,
            came: self.tally.came.load(Relaxed),
            answered: self.tally.answered.load(Relaxed),
            overflowed: self.tally.overflowed.load(Relaxed),
            refused: self.tally.refused.load(Relaxed),
            abandoned: self.tally.abandoned.load(Relaxed),
            missed: self.tally.missed.load(Relaxed),
        }
    }

    fn agents(&self, shared: &Shared) -> Vec<AgentView> {
        let (plan, now_ms) = (self.plan(), unix_ms());
        let book = self.book.lock();
        let each = plan.agents.iter().map(|name| {
            let known = book.agent(name).cloned().unwrap_or_default();
            let state = if plan.sign_in && !known.signed_in {
                "signed-out"
            } else {
                match presence(shared, name) {
                    Presence::Away => "away",
                    _ if book.rings_already(name) => "ringing",
                    Presence::Busy => "busy",
                    Presence::Free if known.rests_until_ms > now_ms => "resting",
                    Presence::Free => "free",
                }
            };
            AgentView { name: name.to_string(), state, rung: known.rung, answered: known.answered }
        });
        each.collect()
    }

    /// What a call to it would meet at this moment, for who asks where a number goes.
    pub fn explain(&self, shared: &Shared) -> Vec<Reason> {
        let (plan, mut trail) = (self.plan(), Trail::full());
        let name = &plan.name;
        let agents = self.agents(shared);
        for agent in &agents {
            let may = agent.state == "free" || agent.state == "busy" && plan.method == Method::Attendant;
            let verdict = if may { Verdict::Chosen } else { Verdict::Passed };
            trail.step(Topic::RingGroup, verdict, &agent.name, || format!("agent of {name}: {}", agent.state));
        }
        let free = agents.iter().any(|agent| agent.state == "free");
        let there = agents.iter().any(|agent| !matches!(agent.state, "away" | "signed-out"));
        let (waiting, goes) = (self.book.lock().waiting(), |to: &Option<String>| match to {
            Some(to) => format!("goes to {to}"),
            None => "is refused".to_owned(),
        });
        let (alert, max) = (plan.alert.as_secs(), plan.waiting_max);
        trail.step(Topic::RingGroup, Verdict::Passed, name, || match (there, free) {
            (false, _) => format!("no agent is there: the call {}", goes(&plan.nobody_to)),
            (true, true) => format!("{}: each rings for {alert} s", plan.method.as_str()),
            (true, false) if waiting >= max => {
                format!("{waiting} calls wait, as many as may: the call {}", goes(&plan.overflow_to))
            }
            (true, false) => format!("nobody is free: the call waits behind {waiting} others, with music"),
        });
        if let Some(longest) = plan.wait_max {
            trail.step(Topic::RingGroup, Verdict::Passed, name, || {
                format!("after {} s without an answer the call {}", longest.as_secs(), goes(&plan.timeout_to))
            });
        }
        trail.into_steps()
    }
}

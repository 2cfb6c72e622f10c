//! What a group knows: its agents, and the calls that are in it. It lies beside the actor, so that it outlives it.

use ahash::AHashMap;
use smol_str::SmolStr;

use super::plan::Plan;
use crate::call::CallKey;

/// An agent, as the group knows it.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    /// It takes calls, where agents sign in.
    pub signed_in: bool,
    /// It is left alone until then, ms since 1970.
    pub rests_until_ms: i64,
    /// When its last call of the group ended, ms since 1970; 0 before the first.
    pub idle_since_ms: i64,
    /// Calls that it was rung for.
    pub rung: u64,
    /// Calls that it answered.
    pub answered: u64,
}

/// Where a call in the group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has just come.
    New,
    /// It waits.
    Waits,
    /// These agents ring for it.
    Rings(Vec<SmolStr>),
    /// It talks with this agent.
    Talks(SmolStr),
    /// It was told to leave.
    Leaves,
}

/// A call in the group.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its number in the group.
    pub id: u64,
    /// The call.
    pub call: CallKey,
    /// Its shard.
    pub shard: usize,
    /// Who calls.
    pub from: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
    /// Where it is.
    pub step: Step,
    /// It was told to wait.
    pub told: bool,
    /// Agents who were rung for it in this round.
    pub tried: Vec<SmolStr>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Book {
    agents: AHashMap<SmolStr, Agent>,
    /// In the order of their coming.
    pub calls: Vec<Caller>,
    /// The agent whose turn it is, by its place in the plan.
    pub turn: usize,
    next: u64,
}

impl Book {
    /// An agent of whom something is known.
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        self.agents.get(name)
    }

    /// An agent, to change it.
    pub fn agent_mut(&mut self, name: &SmolStr) -> &mut Agent {
        self.agents.entry(name.clone()).or_default()
    }

    /// A call comes; its number.
    pub fn enter(&mut self, call: CallKey, shard: usize, from: String, now_ms: i64) -> u64 {
        self.next += 1;
        let (id, step) = (self.next, Step::New);
        self.calls.push(Caller { id, call, shard, from, since_ms: now_ms, step, told: false, tried: Vec::new() });
        id
    }

    /// A call goes; where it was.
    pub fn remove(&mut self, id: u64) -> Option<Caller> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }

    /// A call.
    pub fn call_mut(&mut self, id: u64) -> Option<&mut Caller> {
        self.calls.iter_mut().find(|call| call.id == id)
    }

    /// Calls that were told to wait and have no agent yet, those for which somebody rings at this moment among them.
    pub fn waiting(&self) -> usize {
        let waits = |call: &&Caller| call.told && matches!(call.step, Step::Waits | Step::Rings(_));
        self.calls.iter().filter(waits).count()
    }

    /// The place of a call among those that nobody talks with yet, from 1.
    pub fn position(&self, id: u64) -> Option<usize> {
        let open = |step: &Step| matches!(step, Step::New | Step::Waits | Step::Rings(_));
        self.calls.iter().filter(|call| open(&call.step)).position(|call| call.id == id).map(|at| at + 1)
    }

    /// Whether an agent rings for some call.
    pub fn rings_already(&self, agent: &SmolStr) -> bool {
        self.calls.iter().any(|call| matches!(&call.step, Step::Rings(agents) if agents.contains(agent)))
    }

    pub(super) fn was_tried(&self, id: u64, agent: &SmolStr) -> bool {
        self.calls.iter().any(|call| call.id == id && call.tried.contains(agent))
    }

    pub(super) fn forget_tried(&mut self, id: u64) {
        if let Some(call) = self.call_mut(id) {
            call.tried.clear();
        }
    }

    pub(super) fn ring(&mut self, id: u64, agents: &[SmolStr]) {
        for agent in agents {
            self.agent_mut(agent).rung += 1;
        }
        if let Some(call) = self.call_mut(id) {
            call.step = Step::Rings(agents.to_vec());
            call.tried.extend_from_slice(agents);
        }
    }

    pub(super) fn wait(&mut self, id: u64) {
        if let Some(call) = self.call_mut(id) {
            call.step = Step::Waits;
            call.told = true;
        }
    }

    pub(super) fn leave(&mut self, id: u64) {
        if let Some(call) = self.call_mut(id) {
            call.step = Step::Leaves;
        }
    }

    /// The agents who rang for a call have not taken it: those of `missed` are left alone for a while, and the call is where it
    /// was before.
    pub fn missed(&mut self, id: u64, missed: &[SmolStr], until_ms: i64) {
        for agent in missed {
            let agent = self.agent_mut(agent);
            agent.rests_until_ms = agent.rests_until_ms.max(until_ms);
        }
        if let Some(call) = self.call_mut(id) {
            call.step = if call.told { Step::Waits } else { Step::New };
        }
    }

    /// An agent has a call.
    pub fn talks(&mut self, id: u64, agent: &SmolStr) {
        self.agent_mut(agent).answered += 1;
        if let Some(call) = self.call_mut(id) {
            call.step = Step::Talks(agent.clone());
        }
    }

    /// When the next agent of a plan has rested, ms since 1970.
    pub fn next_rested_ms(&self, plan: &Plan, now_ms: i64) -> Option<i64> {
        let rests = |name: &SmolStr| self.agents.get(name).map(|agent| agent.rests_until_ms);
        plan.agents.iter().filter_map(rests).filter(|until| *until > now_ms).min()
    }
}

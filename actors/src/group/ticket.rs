//! A call's place in a group; it is given back when this is dropped.

use smol_str::SmolStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Group;
use super::book::Step;
use crate::call::CallKey;
use crate::shared::unix_ms;

/// See the module.
pub struct Ticket {
    group: Arc<Group>,
    id: u64,
    /// Whom the call talks with.
    agent: Option<SmolStr>,
    left: bool,
}

impl Ticket {
    /// A call comes into a group; the group tells it what becomes of it.
    pub fn new(group: Arc<Group>, call: CallKey, shard: usize, from: String) -> Self {
        let id = group.book.lock().enter(call, shard, from, unix_ms());
        group.tally.came.fetch_add(1, Relaxed);
        group.look();
        Self { group, id, agent: None, left: false }
    }

    /// The group.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Whether it is the place of this number in the group of this name.
    pub fn is(&self, group: &str, id: u64) -> bool {
        self.id == id && self.group.plan().name == group
    }

    /// How long the call has been in the group.
    pub fn waited(&self) -> Duration {
        let since_ms = self.group.book.lock().call_mut(self.id).map_or(0, |call| call.since_ms);
        Duration::from_millis(u64::try_from(unix_ms().saturating_sub(since_ms)).unwrap_or(0))
    }

    /// Its place among those that nobody talks with yet, from 1.
    pub fn position(&self) -> Option<usize> {
        self.group.book.lock().position(self.id)
    }

    /// Whom it talks with.
    pub fn agent(&self) -> Option<&SmolStr> {
        self.agent.as_ref()
    }

    /// Agents that ring for it at this moment.
    pub fn ringing(&self) -> Vec<SmolStr> {
        match self.group.book.lock().call_mut(self.id).map(|call| call.step.clone()) {
            Some(Step::Rings(agents)) => agents,
            _ => Vec::new(),
        }
    }

    /// An agent has taken the call.
    pub fn answered(&mut self, agent: &SmolStr) {
        if self.agent.replace(agent.clone()).is_none() {
            self.group.tally.answered.fetch_add(1, Relaxed);
        }
        self.group.book.lock().talks(self.id, agent);
        // Those who rang as well are free.
        self.group.look();
    }

    /// Nobody has taken it.
    pub fn missed(&self, agents: &[SmolStr]) {
        let rest_ms = i64::try_from(self.group.plan().rest.as_millis()).unwrap_or(i64::MAX);
        self.group.tally.missed.fetch_add(1, Relaxed);
        self.group.book.lock().missed(self.id, agents, unix_ms().saturating_add(rest_ms));
        self.group.look();
    }

    /// It leaves without an answer of an agent: for another target, or for none.
    pub fn leave(mut self, for_another: bool) {
        self.left = true;
        let tally = &self.group.tally;
        let counter = if for_another { &tally.overflowed } else { &tally.refused };
        counter.fetch_add(1, Relaxed);
    }

    /// The group looks again: an order to the call may have been lost with its actor.
    pub fn again(&self) {
        {
            let mut book = self.group.book.lock();
            if let Some(call) = book.call_mut(self.id).filter(|call| !matches!(call.step, Step::Talks(_))) {
                call.step = if call.told { Step::Waits } else { Step::New };
            }
        }
        self.group.look();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        {
            let mut book = self.group.book.lock();
            book.remove(self.id);
            if let Some(agent) = &self.agent {
                let (now, wrap_up) = (unix_ms(), self.group.plan().wrap_up);
                let agent = book.agent_mut(agent);
                agent.idle_since_ms = now;
                let until = now.saturating_add(i64::try_from(wrap_up.as_millis()).unwrap_or(i64::MAX));
                agent.rests_until_ms = agent.rests_until_ms.max(until);
            }
        }
        if self.agent.is_none() && !self.left {
            self.group.tally.abandoned.fetch_add(1, Relaxed);
        }
        self.group.look();
    }
}

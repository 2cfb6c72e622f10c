//! The actor of a ring group: decides who rings for whom whenever something has changed, and signs agents in and out.

use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;

use super::book::Step;
use super::rules::{self, Order, Why};
use super::{Group, SIGN_INS, presence};
use crate::shard::SignallingMsg;
use crate::shared::{Shared, unix_ms};
use crate::supervision::{Cx, Live, Reply, Task};

/// What a group can be told.
pub enum GroupMsg {
    /// Something has changed: a call, an agent, the plan.
    Look,
    /// An agent takes calls, or not. Answered once it is durable.
    Sign(SmolStr, bool, Reply<Result<(), NotSigned>>),
}

/// Why an agent is not signed in or out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It is none of the group.
    #[error("{0} is no agent of this group")]
    NoAgent(SmolStr),
    /// Agents of this group do not sign in: they always take calls.
    #[error("agents of this group do not sign in")]
    Always,
    /// The store did not take it.
    #[error("it was not kept: {0}")]
    Store(String),
}

/// See the module.
pub struct GroupActor {
    shared: Arc<Shared>,
    group: Arc<Group>,
    /// Looks again when an agent has rested.
    wake: Option<Task>,
}

impl GroupActor {
    /// The actor of a group.
    pub fn new(shared: Arc<Shared>, group: Arc<Group>) -> Self {
        Self { shared, group, wake: None }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        if self.group.is_closed() {
            self.let_all_go();
            return cx.stop();
        }
        let (plan, now_ms) = (self.group.plan(), unix_ms());
        let (orders, next_ms) = {
            let mut book = self.group.book.lock();
            let shared = &self.shared;
            let orders = rules::decide(&plan, &mut book, |user| presence(shared, user), now_ms);
            let waits = book.calls.iter().any(|call| call.step == Step::Waits);
            let next = book.next_rested_ms(&plan, now_ms).filter(|_| waits);
            let to: Vec<_> = orders
                .into_iter()
                .filter_map(|(id, order)| book.call_mut(id).map(|call| (call.shard, call.call, id, order)))
                .collect();
            (to, next)
        };
        for (shard, call, id, order) in orders {
            self.tell(shard, SignallingMsg::Grouped { call, group: plan.name.clone(), id, order });
        }
        if let Some(wake) = self.wake.take() {
            cx.cancel(wake);
        }
        self.wake = next_ms.map(|at| {
            let wait = Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0) + 1);
            cx.later(wait, |this, cx| this.look(cx))
        });
    }

    /// The group is no more: its calls go where its plan sends them when nobody is there.
    fn let_all_go(&self) {
        let name = self.group.plan().name.clone();
        let mut book = self.group.book.lock();
        for call in book.calls.iter_mut().filter(|call| !matches!(call.step, Step::Talks(_) | Step::Leaves)) {
            call.step = Step::Leaves;
            self.tell(
                call.shard,
                SignallingMsg::Grouped {
                    call: call.call,
                    group: name.clone(),
                    id: call.id,
                    order: Order::Leave(Why::Gone),
                },
            );
        }
    }

    fn tell(&self, shard: usize, msg: SignallingMsg) {
        if let Some(seat) = self.shared.signalling(shard) {
            // One for each change of a call, and the calls are bounded.
            seat.send_reply(msg);
        }
    }
}

impl Group {
    /// Has an agent take calls, or none; `done` is called once that is durable.
    pub fn sign(
        self: &Arc<Self>,
        store: &store::Store,
        agent: SmolStr,
        on: bool,
        done: impl FnOnce(Result<(), NotSigned>) + Send + 'static,
    ) {
        let plan = self.plan();
        if !plan.agents.contains(&agent) {
            return done(Err(NotSigned::NoAgent(agent)));
        }
        if !plan.sign_in {
            return done(Err(NotSigned::Always));
        }
        let (group, key) = (Arc::clone(self), format!("{} {agent}", plan.name));
        // Durable, then in force, whatever becomes of whoever asked meanwhile.
        let kept = move |kept: Result<(), store::StoreError>| {
            let signed = kept.map_err(|error| NotSigned::Store(error.to_string()));
            if signed.is_ok() {
                let mut book = group.book.lock();
                let agent = book.agent_mut(&agent);
                (agent.signed_in, agent.rests_until_ms) = (on, 0);
                drop(book);
                group.look();
            }
            done(signed);
        };
        match on {
            true => store.facts().put(SIGN_INS, &key, "in", kept),
            false => store.facts().remove(SIGN_INS, &key, kept),
        }
    }
}

impl Live for GroupActor {
    type Msg = GroupMsg;
    const KIND: &'static str = "group";
    const MAILBOX: usize = 1024;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // What was in a lost mailbox is in the book.
        self.look(cx);
    }

    fn handle(&mut self, msg: GroupMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            GroupMsg::Look => self.look(cx),
            GroupMsg::Sign(agent, on, reply) => {
                self.group.sign(&self.shared.store, agent, on, move |signed| reply.send(signed));
            }
        }
    }

    fn describe(&self) -> String {
        let plan = self.group.plan();
        let book = self.group.book.lock();
        let talk = book.calls.iter().filter(|call| matches!(call.step, Step::Talks(_))).count();
        let (all, waiting) = (book.calls.len(), book.waiting());
        format!(
            "{}, {} agents, {talk} of {all} calls answered, {waiting} wait",
            plan.method.as_str(),
            plan.agents.len()
        )
    }
}

//! Whose phones ring for whom: a pure function of a group's plan, its book, who is there, and the time.

use smol_str::SmolStr;

use super::book::{Book, Step};
use super::plan::{Method, Plan};

/// How an agent is at this moment, beside what the group knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No phone of it is registered, or it takes no calls.
    Away,
    /// It has a call.
    Busy,
    /// It has none.
    Free,
}

/// What becomes of a call in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// These agents ring for it.
    Ring(Vec<SmolStr>),
    /// Nobody is free: it waits.
    Wait,
    /// It leaves the group.
    Leave(Why),
}

/// Why a call leaves a group without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No agent is there.
    Nobody,
    /// As many wait as may.
    Full,
    /// It was there for as long as a call may be.
    TooLong,
    /// The group is no more.
    Gone,
}

impl Why {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "no agent is there",
            Self::Full => "as many calls wait as may",
            Self::TooLong => "the call has waited for as long as it may",
            Self::Gone => "the group is no more",
        }
    }
}

/// Decides for every call for which something is to be decided, in the order of their coming; the book is as after that.
/// The numbers are those of the calls in the book.
pub fn decide(plan: &Plan, book: &mut Book, presence: impl Fn(&str) -> Presence, now_ms: i64) -> Vec<(u64, Order)> {
    let mut orders = Vec::new();
    let there: Vec<(SmolStr, Presence)> = plan.agents.iter().map(|name| (name.clone(), presence(name))).collect();
    let signed_in = |book: &Book, name: &str| !plan.sign_in || book.agent(name).is_some_and(|agent| agent.signed_in);
    let any_signed_in = plan.agents.iter().any(|name| signed_in(book, name));
    let any_there = there.iter().any(|(name, how)| *how != Presence::Away && signed_in(book, name));
    let open: Vec<(u64, bool)> = book
        .calls
        .iter()
        .filter(|call| matches!(call.step, Step::New | Step::Waits))
        .map(|call| (call.id, call.step == Step::New))
        .collect();
    for (id, is_new) in open {
        // Who waits already goes on waiting for a phone that comes back, but not for nobody.
        if !any_signed_in || is_new && !any_there {
            book.leave(id);
            orders.push((id, Order::Leave(Why::Nobody)));
            continue;
        }
        let ring = choose(plan, book, &there, id, now_ms);
        if !ring.is_empty() {
            book.ring(id, &ring);
            orders.push((id, Order::Ring(ring)));
            continue;
        }
        if !is_new {
            continue;
        }
        if book.waiting() >= plan.waiting_max {
            let oldest = book.calls.iter().find(|call| call.step == Step::Waits).map(|call| call.id);
            let goes = oldest.filter(|_| plan.overflow_oldest).unwrap_or(id);
            book.leave(goes);
            orders.push((goes, Order::Leave(Why::Full)));
            if goes == id {
                continue;
            }
        }
        book.wait(id);
        orders.push((id, Order::Wait));
    }
    orders
}

/// The agents who ring next for a call.
fn choose(plan: &Plan, book: &mut Book, there: &[(SmolStr, Presence)], id: u64, now_ms: i64) -> Vec<SmolStr> {
    let may = |book: &Book, name: &SmolStr, how: Presence| {
        let agent = book.agent(name);
        let signed_in = !plan.sign_in || agent.is_some_and(|agent| agent.signed_in);
        let rests = agent.is_some_and(|agent| agent.rests_until_ms > now_ms);
        let fits = how == Presence::Free || how == Presence::Busy && plan.method == Method::Attendant;
        signed_in && !rests && fits && !book.rings_already(name)
    };
    let mut free: Vec<SmolStr> =
        there.iter().filter(|(name, how)| may(book, name, *how)).map(|(name, _)| name.clone()).collect();
    if plan.method.is_all_at_once() || free.is_empty() {
        return free;
    }
    match plan.method {
        Method::RoundRobin => {
            let place = |name: &SmolStr| plan.agents.iter().position(|agent| agent == name).unwrap_or(0);
            let turn = book.turn;
            // Who stands behind the one that was rung last comes first.
            free.sort_by_key(|name| (place(name) < turn, place(name)));
        }
        Method::LongestIdle => {
            let idle = |name: &SmolStr| book.agent(name).map_or(0, |agent| agent.idle_since_ms);
            free.sort_by_key(idle);
        }
        Method::Serial | Method::Parallel | Method::Attendant => {}
    }
    // Each has its turn before anybody has a second one.
    let untried = free.iter().find(|name| !book.was_tried(id, name)).cloned();
    if untried.is_none() {
        book.forget_tried(id);
    }
    let next = untried.or_else(|| free.into_iter().next());
    if let Some(at) = next.as_ref().and_then(|name| plan.agents.iter().position(|agent| agent == name)) {
        book.turn = at + 1;
    }
    next.into_iter().collect()
}

//! Who rings for whom, by the rules alone.

use proptest::prelude::*;
use smol_str::SmolStr;

use super::book::{Book, Step};
use super::plan::{Method, Plan};
use super::rules::{Order, Presence, Why, decide};
use crate::call::CallKey;

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A group of some agents, of whom some are there.
struct World {
    plan: Plan,
    book: Book,
    there: Vec<(&'static str, Presence)>,
    now_ms: i64,
}

impl World {
    fn new(method: Method) -> Self {
        let agents = NAMES.iter().map(SmolStr::new).collect();
        let there = NAMES.iter().map(|name| (*name, Presence::Free)).collect();
        Self { plan: Plan { method, agents, ..Plan::default() }, book: Book::default(), there, now_ms: 1_000 }
    }

    fn is(&mut self, name: &str, how: Presence) -> &mut Self {
        for (other, presence) in &mut self.there {
            if *other == name {
                *presence = how;
            }
        }
        self
    }

    fn comes(&mut self) -> u64 {
        self.book.enter(CallKey(1), 0, "caller".into(), self.now_ms)
    }

    fn orders(&mut self) -> Vec<(u64, Order)> {
        let there = self.there.clone();
        let presence = |name: &str| there.iter().find(|(n, _)| *n == name).map_or(Presence::Away, |(_, how)| *how);
        decide(&self.plan, &mut self.book, presence, self.now_ms)
    }

    /// Who rings for a call that comes now, or misses its last round.
    fn rings(&mut self, id: u64) -> String {
        let orders = self.orders();
        let of = orders.iter().find(|(call, _)| *call == id);
        match of {
            Some((_, Order::Ring(agents))) => agents.join(" "),
            Some((_, Order::Wait)) => "waits".into(),
            Some((_, Order::Leave(why))) => format!("{why:?}"),
            None => "nothing".into(),
        }
    }

    fn misses(&mut self, id: u64) {
        let agents = match &self.book.call_mut(id).unwrap().step {
            Step::Rings(agents) => agents.clone(),
            other => panic!("{other:?}"),
        };
        let until = self.now_ms + 10_000;
        self.book.missed(id, &agents, until);
    }
}

#[test]
fn all_who_are_free_ring_at_once_in_a_parallel_group_and_for_one_call_only() {
    let mut world = World::new(Method::Parallel);
    world.is("bob", Presence::Busy).is("dave", Presence::Away);
    let (first, second) = (world.comes(), world.comes());
    assert_eq!(world.orders(), [(first, Order::Ring(vec!["alice".into(), "carol".into()])), (second, Order::Wait)]);
    world.book.talks(first, &"alice".into());
    world.is("alice", Presence::Busy);
    assert_eq!(world.rings(second), "carol", "who rang as well is free again");
}

#[test]
fn an_attendant_group_rings_who_talks_and_not_who_is_away() {
    let mut world = World::new(Method::Attendant);
    world.is("bob", Presence::Busy).is("dave", Presence::Away);
    let call = world.comes();
    assert_eq!(world.rings(call), "alice bob carol");
}

#[test]
fn a_serial_group_begins_with_the_first_and_gives_everybody_a_turn_before_a_second_one() {
    let mut world = World::new(Method::Serial);
    let call = world.comes();
    for agent in NAMES {
        assert_eq!(world.rings(call), agent);
        world.misses(call);
        // Who was rung first has rested long since.
        world.now_ms += 20_000;
    }
    assert_eq!(world.rings(call), "alice", "a second turn");
    world.misses(call);
    let other = world.comes();
    assert_eq!(world.rings(other), "carol", "alice rests, and bob rings for the call that has been there longer");
    assert_eq!(world.book.call_mut(call).unwrap().step, Step::Rings(vec!["bob".into()]));
}

#[test]
fn each_call_of_a_round_robin_begins_behind_the_agent_who_was_rung_last() {
    let mut world = World::new(Method::RoundRobin);
    world.is("bob", Presence::Busy);
    let mut rung = Vec::new();
    for _ in 0..5 {
        let call = world.comes();
        rung.push(world.rings(call));
        world.book.remove(call);
    }
    assert_eq!(rung, ["alice", "carol", "dave", "alice", "carol"]);
}

#[test]
fn who_has_been_free_the_longest_rings_first() {
    let mut world = World::new(Method::LongestIdle);
    for (name, idle) in [("alice", 900), ("bob", 500), ("carol", 700), ("dave", 600)] {
        world.book.agent_mut(&name.into()).idle_since_ms = idle;
    }
    let call = world.comes();
    for agent in ["bob", "dave", "carol", "alice"] {
        assert_eq!(world.rings(call), agent);
        world.misses(call);
    }
}

#[test]
fn who_did_not_answer_is_left_alone_for_a_while() {
    let mut world = World::new(Method::Parallel);
    for name in ["carol", "dave"] {
        world.is(name, Presence::Away);
    }
    let call = world.comes();
    assert_eq!(world.rings(call), "alice bob");
    world.misses(call);
    assert_eq!(world.rings(call), "waits");
    assert_eq!(world.book.next_rested_ms(&world.plan, world.now_ms), Some(11_000));
    world.now_ms = 10_999;
    assert_eq!(world.rings(call), "nothing");
    world.now_ms = 11_000;
    assert_eq!(world.rings(call), "alice bob");
}

#[test]
fn only_who_has_signed_in_rings_where_agents_sign_in() {
    let mut world = World::new(Method::Parallel);
    world.plan.sign_in = true;
    let call = world.comes();
    assert_eq!(world.rings(call), "Nobody");
    world.book.remove(call);
    world.book.agent_mut(&"carol".into()).signed_in = true;
    let call = world.comes();
    assert_eq!(world.rings(call), "carol");
    world.is("carol", Presence::Busy);
    let waits = world.comes();
    assert_eq!(world.rings(waits), "waits");
    world.book.agent_mut(&"carol".into()).signed_in = false;
    assert_eq!(world.rings(waits), "Nobody", "nobody is left to wait for");
}

#[test]
fn who_waits_goes_on_waiting_for_a_phone_that_is_away_for_a_moment() {
    let mut world = World::new(Method::Parallel);
    for name in NAMES {
        world.is(name, Presence::Busy);
    }
    let waits = world.comes();
    assert_eq!(world.rings(waits), "waits");
    for name in NAMES {
        world.is(name, Presence::Away);
    }
    let comes = world.comes();
    assert_eq!(world.rings(comes), "Nobody", "who comes now has nobody to wait for");
    assert_eq!(world.book.call_mut(waits).unwrap().step, Step::Waits);
    world.is("bob", Presence::Free);
    assert_eq!(world.rings(waits), "bob");
}

#[test]
fn of_more_calls_than_may_wait_the_newest_or_the_oldest_goes() {
    for (oldest, goes) in [(false, 3), (true, 1)] {
        let mut world = World::new(Method::Parallel);
        (world.plan.waiting_max, world.plan.overflow_oldest) = (2, oldest);
        for name in NAMES {
            world.is(name, Presence::Busy);
        }
        let calls = [world.comes(), world.comes(), world.comes()];
        let left: Vec<u64> =
            world.orders().into_iter().filter(|(_, o)| *o == Order::Leave(Why::Full)).map(|(id, _)| id).collect();
        assert_eq!(left, [goes]);
        assert_eq!(world.book.waiting(), 2);
        let last = *calls.iter().rfind(|id| **id != goes).unwrap();
        assert_eq!(world.book.position(last), Some(2), "places are counted without it");
    }
}

#[test]
fn a_group_without_a_queue_rings_or_refuses() {
    let mut world = World::new(Method::Serial);
    world.plan.waiting_max = 0;
    for name in ["bob", "carol", "dave"] {
        world.is(name, Presence::Busy);
    }
    let call = world.comes();
    assert_eq!(world.rings(call), "alice");
    world.misses(call);
    assert_eq!(world.rings(call), "Full", "nobody is left, and nobody may wait");
}

proptest! {
    /// Whatever happens, no agent rings for two calls, nobody rings who may not, and calls are served in the order of their
    /// coming.
    #[test]
    fn an_agent_rings_for_one_call_and_calls_keep_their_order(
        method in 0..5usize,
        steps in proptest::collection::vec((0..7u8, 0..4usize), 1..60),
    ) {
        let mut world = World::new(Method::NAMES[method].1);
        world.plan.waiting_max = 5;
        for (what, which) in steps {
            let open: Vec<u64> = world.book.calls.iter().map(|call| call.id).collect();
            let id = open.get(which % open.len().max(1)).copied();
            match (what, id) {
                (0 | 1, _) => drop(world.comes()),
                (2, Some(id)) => drop(world.book.remove(id)),
                (3, Some(id)) => if let Step::Rings(agents) = world.book.call_mut(id).unwrap().step.clone() {
                    world.book.missed(id, &agents, world.now_ms + 3_000);
                },
                (4, Some(id)) => if let Step::Rings(agents) = world.book.call_mut(id).unwrap().step.clone() {
                    world.book.talks(id, &agents[0]);
                },
                (5, _) => { world.is(NAMES[which], if which % 2 == 0 { Presence::Busy } else { Presence::Free }); },
                _ => world.now_ms += 1_000,
            }
            let rested = |world: &World, name: &SmolStr| world.book.agent(name).is_none_or(|a| a.rests_until_ms <= world.now_ms);
            for (id, order) in world.orders() {
                if let Order::Ring(agents) = order {
                    prop_assert!(!agents.is_empty() && agents.iter().all(|agent| rested(&world, agent)));
                    prop_assert!(world.book.calls.iter().any(|call| call.id == id));
                }
            }
            let mut ringing: Vec<SmolStr> = Vec::new();
            for call in &world.book.calls {
                if let Step::Rings(agents) = &call.step {
                    ringing.extend(agents.iter().cloned());
                }
            }
            let all = ringing.len();
            ringing.sort();
            ringing.dedup();
            prop_assert_eq!(all, ringing.len(), "an agent rings twice");
            prop_assert!(world.book.waiting() <= 5);
        }
    }
}

//! Children born at run time: started at once, adopted, restarted like the declared ones, and forgotten.

mod supervision_common;

use actix::Arbiter;
use actors::supervision::{Ref, Restart, StartError, StopReason, Strategy, Supervisor, SupervisorRef, Tree, child};
use supervision_common::*;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A root with one empty supervisor "calls" of at most `most` children; its seat, and where probes may report.
async fn calls(most: u32) -> (House, SupervisorRef, UnboundedSender<Event>) {
    let seat = SupervisorRef::vacant();
    let (there, mut told) = unbounded_channel();
    let mut sender = None;
    let house = House::build(|events| {
        sender = Some(events.clone());
        root(Strategy::OneForOne)
            .with(child("calls", Restart::Permanent, move || root(Strategy::OneForOne).children_max(most)).seat(&seat))
            .with(child("last", Restart::Permanent, move || Probe::new("last", &there)))
    });
    soon(told.recv()).await;
    (house, seat, sender.unwrap())
}

fn call(under: &SupervisorRef, name: &str, events: &UnboundedSender<Event>) -> Result<Ref<Probe>, StartError> {
    let events = events.clone();
    under.start_child(name, Restart::Transient, move || Probe::new("call", &events))
}

#[actix::test]
async fn a_thousand_children_started_and_stopped_leave_the_tree_empty_and_the_counters_idle() {
    let (mut house, sup, events) = calls(1_000).await;
    let idle = (house.tree.snapshot().len(), house.tree.kinds());
    let calls: Vec<_> = (0..1_000).map(|n| call(&sup, &format!("{n:x}"), &events).unwrap()).collect();
    assert_eq!(call(&sup, "one-more", &events).err(), Some(StartError::Full));
    for call in &calls {
        assert_eq!(count(call).await, 1);
    }
    assert_eq!(calls[255].path(), "/switch/calls/ff");
    assert_eq!(house.tree.snapshot().len(), idle.0 + 1_000);
    assert_eq!(house.tree.kinds()[0].alive, 1_001);
    for call in &calls {
        call.try_send(ProbeMsg::Stop).unwrap();
    }
    let mut dropped = 0;
    while dropped < 1_000 {
        dropped += usize::from(house.next().await == Event::Dropped("call"));
    }
    // The supervisor describes itself after it has heard of every end.
    let views = house.tree.snapshot_described(DEADLINE).await;
    assert!(views[1].description.contains(" 0 children"), "{}", views[1].description);
    assert_eq!((house.tree.snapshot().len(), house.tree.kinds()), idle);
    assert!(call(&sup, "room-again", &events).is_ok());
}

#[actix::test]
async fn a_child_that_panics_is_started_again_by_the_factory_it_was_born_with() {
    let (mut house, sup, events) = calls(10).await;
    let mut born = 0;
    let call = sup
        .start_child("5f3a", Restart::Transient, move || {
            born += 1;
            Probe::new(if born == 1 { "new" } else { "rebuilt" }, &events)
        })
        .unwrap();
    house.starts(&["new"]).await;
    call.try_send(ProbeMsg::Boom("short circuit")).unwrap();
    house.until_started("rebuilt").await;
    assert_eq!(count(&call).await, 1);
    assert_eq!(house.node("/switch/calls/5f3a").restarts, 1);
}

#[actix::test]
async fn a_name_is_taken_as_long_as_its_bearer_lives() {
    let (mut house, sup, events) = calls(10).await;
    let first = call(&sup, "5f3a", &events).unwrap();
    assert_eq!(call(&sup, "5f3a", &events).err(), Some(StartError::Taken));
    first.halt();
    while house.next().await != Event::Dropped("call") {}
    let second = call(&sup, "5f3a", &events).unwrap();
    assert_eq!(count(&second).await, 1);
    house.tree.snapshot_described(DEADLINE).await;
    assert!(house.tree.snapshot().iter().any(|node| &*node.path == "/switch/calls/5f3a"));
}

#[actix::test]
async fn a_supervisor_that_is_not_running_or_lives_elsewhere_takes_no_child() {
    let (events, _told) = unbounded_channel();
    assert_eq!(call(&SupervisorRef::vacant(), "a", &events).err(), Some(StartError::Dead));
    let (house, sup, events) = calls(10).await;
    let arbiter = Arbiter::new();
    let (answer, answered) = tokio::sync::oneshot::channel();
    let there = sup.clone();
    let sender = events.clone();
    arbiter.spawn_fn(move || {
        let _ = answer.send(call(&there, "a", &sender).err());
    });
    assert_eq!(soon(answered).await.unwrap(), Some(StartError::Elsewhere));
    house.root.halt();
    soon(house.ended).await.unwrap();
    assert_eq!(call(&sup, "a", &events).err(), Some(StartError::Dead));
    arbiter.stop();
}

#[actix::test]
async fn children_of_a_killed_supervisor_end_and_its_seat_takes_new_ones() {
    let (mut house, sup, events) = calls(10).await;
    let orphan = call(&sup, "orphan", &events).unwrap();
    house.starts(&["call"]).await;
    house.tree.kill("/switch/calls").unwrap();
    assert_eq!(house.next().await, Event::Dropped("call"));
    let rebuilt = async {
        while house.node("/switch/calls").restarts == 0 || call(&sup, "new", &events).is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(rebuilt).await;
    assert!(!orphan.is_alive());
    house.starts(&["call"]).await;
    let paths: Vec<_> = house.tree.snapshot().iter().map(|node| node.path.to_string()).collect();
    assert_eq!(paths, ["/switch", "/switch/calls", "/switch/calls/new", "/switch/last"]);
}

#[actix::test]
async fn a_child_born_while_its_supervisor_ends_goes_with_it() {
    let (mut house, sup, events) = calls(10).await;
    // Both are queued before the supervisor runs again: the end first, then the birth.
    house.root.halt();
    sup.halt();
    let born = call(&sup, "late", &events).unwrap();
    soon(&mut house.ended).await.unwrap();
    assert!(!born.is_alive());
    assert!(house.tree.snapshot().is_empty());
}

#[actix::test]
async fn shutdown_halts_children_in_reverse_order_and_waits_for_each() {
    let (lines, shard, calls) = (Ref::vacant(), SupervisorRef::vacant(), SupervisorRef::vacant());
    let mut sender = None;
    let mut house = House::build(|events| {
        sender = Some(events.clone());
        let (events, seat) = (events.clone(), calls.clone());
        let top = root(Strategy::OneForOne).with(probe("lines", Restart::Permanent, &lines, &events));
        top.with(
            child("shard", Restart::Permanent, move || {
                let inner = events.clone();
                let empty = child("calls", Restart::Permanent, || root(Strategy::OneForOne)).seat(&seat);
                root(Strategy::RestForOne)
                    .with(child("timers", Restart::Permanent, move || Probe::new("timers", &inner)))
                    .with(empty)
            })
            .seat(&shard),
        )
    });
    house.until_started("timers").await;
    house.tree.snapshot_described(DEADLINE).await;
    for name in ["one", "two"] {
        call(&calls, name, sender.as_ref().unwrap()).unwrap();
    }
    house.starts(&["call", "call"]).await;
    house.root.halt();
    use Event::{Dropped, Stopping};
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(house.next().await);
    }
    let position = |event: Event| seen.iter().rposition(|seen| *seen == event).unwrap();
    assert!(position(Dropped("call")) < position(Stopping("timers", StopReason::Halted)));
    assert!(position(Dropped("timers")) < position(Stopping("lines", StopReason::Halted)));
    assert_eq!(soon(house.ended).await.unwrap().to_string(), "halted");
    assert!(house.tree.snapshot().is_empty());
    assert_eq!(house.tree.kinds().iter().map(|kind| kind.alive).sum::<u64>(), 0);
}

#[actix::test]
async fn a_child_that_does_not_end_in_time_is_killed_and_the_shutdown_goes_on() {
    let mut house = House::build(|events| {
        let (first, second) = (events.clone(), events.clone());
        root(Strategy::OneForOne).with(child("first", Restart::Permanent, move || Probe::new("first", &first))).with(
            child("stubborn", Restart::Permanent, move || {
                let mut probe = Probe::new("stubborn", &second);
                probe.stubborn = true;
                probe
            }),
        )
    });
    house.starts(&["first", "stubborn"]).await;
    tokio::time::pause();
    house.root.halt();
    assert_eq!((&mut house.ended).await.unwrap().to_string(), "halted");
    assert_eq!(house.next().await, Event::Dropped("first"));
    assert_eq!(house.next().await, Event::Dropped("stubborn"));
    assert!(house.tree.snapshot().is_empty());
}

#[test]
fn a_tree_may_be_made_and_read_without_any_runtime() {
    let tree = Tree::default();
    assert!(tree.snapshot().is_empty() && tree.kinds().is_empty());
    let declared = Supervisor::new(Strategy::OneForAll, calm());
    drop(declared);
}

//! A fault stays in its room: who ends, who goes on, who comes back, in which order.

mod supervision_common;

use std::time::Duration;

use actors::supervision::{
    AskError, Backoff, Ended, Intensity, NodeState, Ref, Refused, Restart, StopReason, Strategy, Supervisor, child,
};
use supervision_common::*;

#[actix::test]
async fn a_panic_ends_only_that_actor_and_its_neighbours_answer() {
    let (left, right) = (Ref::vacant(), Ref::vacant());
    let mut house = House::build(|events| {
        root(Strategy::OneForOne).with(probe("left", Restart::Permanent, &left, events)).with(probe(
            "right",
            Restart::Permanent,
            &right,
            events,
        ))
    });
    house.starts(&["left", "right"]).await;
    assert_eq!((count(&left).await, count(&right).await), (1, 1));
    left.try_send(ProbeMsg::Boom("short circuit")).unwrap();
    assert_eq!(count(&right).await, 2, "the neighbour keeps its state");
    assert_eq!(house.next().await, Event::Dropped("left"));
    house.starts(&["left"]).await;
    assert_eq!(count(&left).await, 1, "the same handle reaches a fresh actor");
    assert_eq!(count(&right).await, 3);
}

#[actix::test]
async fn the_tree_knows_message_and_location_of_the_panic() {
    let seat = Ref::vacant();
    let mut house =
        House::build(|events| root(Strategy::OneForOne).with(probe("a", Restart::Permanent, &seat, events)));
    house.starts(&["a"]).await;
    seat.try_send(ProbeMsg::Boom("short circuit")).unwrap();
    house.until_started("a").await;
    let node = house.node("/switch/a");
    let cause = node.last_cause.expect("a cause");
    assert!(cause.starts_with("panicked: short circuit at "), "{cause}");
    assert!(cause.contains("supervision_common/mod.rs:"), "{cause}");
    assert_eq!((node.restarts, node.state, node.kind), (1, NodeState::Running, "probe"));
}

#[actix::test]
async fn a_panic_in_a_future_of_an_actor_is_its_own_panic() {
    let seat = Ref::vacant();
    let mut house =
        House::build(|events| root(Strategy::OneForOne).with(probe("a", Restart::Permanent, &seat, events)));
    house.starts(&["a"]).await;
    seat.try_send(ProbeMsg::BoomInFuture).unwrap();
    house.until_started("a").await;
    assert!(house.node("/switch/a").last_cause.is_some_and(|cause| cause.contains("in a future")));
}

#[actix::test]
async fn a_factory_that_panics_is_a_failure_of_its_child() {
    let mut tries = 0;
    let seat = Ref::vacant();
    let mut house = House::build(|events| {
        let events = events.clone();
        root(Strategy::OneForOne).with(
            child("late", Restart::Permanent, move || {
                tries += 1;
                assert!(tries > 2, "not ready");
                Probe::new("late", &events)
            })
            .seat(&seat),
        )
    });
    house.starts(&["late"]).await;
    let node = house.node("/switch/late");
    assert_eq!(node.restarts, 2);
    assert!(node.last_cause.is_some_and(|cause| cause.contains("not ready")));
    assert_eq!(count(&seat).await, 1);
}

#[actix::test]
async fn permanent_transient_and_temporary_differ_after_a_normal_and_an_abnormal_end() {
    for (restart, after_stop, after_fault) in
        [(Restart::Permanent, true, true), (Restart::Transient, false, true), (Restart::Temporary, false, false)]
    {
        for (how, comes_back) in [(ProbeMsg::Stop, after_stop), (ProbeMsg::Fail("worn out"), after_fault)] {
            let (one, other) = (Ref::vacant(), Ref::vacant());
            let mut house = House::build(|events| {
                root(Strategy::OneForOne).with(probe("one", restart, &one, events)).with(probe(
                    "other",
                    Restart::Permanent,
                    &other,
                    events,
                ))
            });
            house.starts(&["one", "other"]).await;
            one.try_send(how).unwrap();
            while house.next().await != Event::Dropped("one") {}
            // The neighbour's restart comes after the decision about the first: a fence instead of a sleep.
            other.try_send(ProbeMsg::Fail("fence")).unwrap();
            let mut back = false;
            loop {
                match house.next().await {
                    Event::Started("one") => back = true,
                    Event::Started("other") => break,
                    _ => {}
                }
            }
            assert_eq!(back, comes_back, "{restart:?}");
            assert_eq!(one.is_alive(), comes_back, "{restart:?}");
            let in_tree = house.tree.snapshot().iter().any(|node| &*node.path == "/switch/one");
            assert_eq!(in_tree, comes_back, "a child given up leaves the tree");
        }
    }
}

#[actix::test]
async fn rest_for_one_restarts_those_started_later_in_reverse_and_then_in_order() {
    let seats = [Ref::vacant(), Ref::vacant(), Ref::vacant(), Ref::vacant()];
    let names = ["a", "b", "c", "d"];
    let mut house = House::build(|events| {
        names.iter().zip(&seats).fold(root(Strategy::RestForOne), |sup, (name, seat)| {
            sup.with(probe(name, Restart::Permanent, seat, events))
        })
    });
    house.starts(&names).await;
    seats[1].try_send(ProbeMsg::Boom("b breaks")).unwrap();
    use Event::{Dropped, Started, Stopping};
    let again = StopReason::Restarting;
    for expected in [
        Dropped("b"),
        Stopping("d", again),
        Dropped("d"),
        Stopping("c", again),
        Dropped("c"),
        Started("b"),
        Started("c"),
        Started("d"),
    ] {
        assert_eq!(house.next().await, expected);
    }
    assert_eq!(count(&seats[0]).await, 1);
    assert_eq!(house.node("/switch/a").restarts, 0);
    assert_eq!(house.node("/switch/d").restarts, 1);
}

#[actix::test]
async fn one_for_all_restarts_everybody_in_order() {
    let seats = [Ref::vacant(), Ref::vacant(), Ref::vacant()];
    let names = ["a", "b", "c"];
    let mut house = House::build(|events| {
        names.iter().zip(&seats).fold(root(Strategy::OneForAll), |sup, (name, seat)| {
            sup.with(probe(name, Restart::Permanent, seat, events))
        })
    });
    house.starts(&names).await;
    seats[1].try_send(ProbeMsg::Fail("b breaks")).unwrap();
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(house.next().await);
    }
    use Event::{Dropped, Started, Stopping};
    let again = StopReason::Restarting;
    assert_eq!(
        seen,
        [
            Dropped("b"),
            Stopping("c", again),
            Dropped("c"),
            Stopping("a", again),
            Dropped("a"),
            Started("a"),
            Started("b"),
            Started("c")
        ]
    );
}

#[actix::test]
async fn past_its_intensity_a_supervisor_fails_and_its_parent_rebuilds_the_subtree() {
    let (a, b, shard) = (Ref::vacant(), Ref::vacant(), Ref::vacant());
    let mut house = House::build(|events| {
        let (a, b, events) = (a.clone(), b.clone(), events.clone());
        root(Strategy::OneForOne).with(
            child("shard", Restart::Permanent, move || {
                Supervisor::new(Strategy::OneForOne, Intensity { restarts: 2, within: Duration::from_secs(60) })
                    .backoff(Backoff { first: Duration::ZERO, most: Duration::ZERO })
                    .with(probe("a", Restart::Permanent, &a, &events))
                    .with(probe("b", Restart::Permanent, &b, &events))
            })
            .seat(&shard),
        )
    });
    house.starts(&["a", "b"]).await;
    assert_eq!(count(&b).await, 1);
    for _ in 0..2 {
        a.try_send(ProbeMsg::Boom("again")).unwrap();
        house.until_started("a").await;
    }
    assert_eq!(count(&b).await, 2, "b is not touched below the intensity");
    a.try_send(ProbeMsg::Boom("once too often")).unwrap();
    house.until_started("a").await;
    house.until_started("b").await;
    assert_eq!((count(&a).await, count(&b).await), (1, 1), "everybody in the subtree is fresh");
    let node = house.node("/switch/shard");
    assert_eq!(node.restarts, 1);
    let cause = node.last_cause.expect("a cause");
    assert!(
        cause.contains("more than 2 restarts") && cause.contains("/switch/shard/a panicked: once too often"),
        "{cause}"
    );
    assert_eq!(house.tree.snapshot().len(), 4);
}

#[actix::test]
async fn the_root_past_its_intensity_tells_whoever_planted_it() {
    let seat = Ref::vacant();
    let mut house =
        House::build(|events| {
            Supervisor::new(Strategy::OneForOne, Intensity { restarts: 0, within: Duration::from_secs(60) })
                .with(probe("a", Restart::Permanent, &seat, events))
        });
    house.starts(&["a"]).await;
    seat.try_send(ProbeMsg::Fail("worn out")).unwrap();
    let ended = soon(&mut house.ended).await.unwrap();
    assert!(matches!(&ended, Ended::Failed(cause) if cause.ends_with("/switch/a worn out")), "{ended}");
    assert!(house.tree.snapshot().is_empty());
}

#[actix::test]
async fn a_killed_child_comes_back_without_last_words() {
    let (one, keeper) = (Ref::vacant(), Ref::vacant());
    let mut house = House::build(|events| {
        root(Strategy::OneForOne).with(probe("one", Restart::Transient, &one, events)).with(probe(
            "keeper",
            Restart::Permanent,
            &keeper,
            events,
        ))
    });
    house.starts(&["one", "keeper"]).await;
    house.tree.kill("/switch/one").unwrap();
    assert_eq!(house.next().await, Event::Dropped("one"));
    house.starts(&["one"]).await;
    let node = house.node("/switch/one");
    assert_eq!((node.restarts, node.last_cause.as_deref()), (1, Some("killed by operator")));
    assert!(house.tree.kill("/switch/nobody").is_err());
}

#[actix::test]
async fn a_killed_supervisor_comes_back_with_its_children() {
    let (a, shard) = (Ref::vacant(), Ref::vacant());
    let mut house = House::build(|events| {
        let (a, events) = (a.clone(), events.clone());
        root(Strategy::OneForOne).with(
            child("shard", Restart::Permanent, move || {
                root(Strategy::OneForOne).with(probe("a", Restart::Permanent, &a, &events))
            })
            .seat(&shard),
        )
    });
    house.starts(&["a"]).await;
    house.tree.kill("/switch/shard").unwrap();
    assert_eq!(house.next().await, Event::Dropped("a"));
    house.starts(&["a"]).await;
    assert_eq!(house.node("/switch/shard").last_cause.as_deref(), Some("killed by operator"));
    assert_eq!(count(&a).await, 1);
}

#[actix::test]
async fn restarts_wait_longer_each_time_up_to_a_bound_and_one_timer_serves_them() {
    let mut house = House::build(|events| {
        (0..50).fold(
            Supervisor::new(Strategy::OneForOne, Intensity { restarts: 1_000, within: Duration::from_secs(60) })
                .backoff(Backoff { first: Duration::from_millis(100), most: Duration::from_millis(300) }),
            |sup, n| {
                let events = events.clone();
                sup.with(child(n.to_string(), Restart::Permanent, move || Probe::new("p", &events)))
            },
        )
    });
    house.starts(&["p"; 50]).await;
    tokio::time::pause();
    for wait_ms in [0, 100, 200, 300, 300] {
        let before = tokio::time::Instant::now();
        for n in 0..50 {
            house.tree.kill(&format!("/switch/{n}")).unwrap();
        }
        let mut back = 0;
        while back < 50 {
            // The paused clock jumps to the next timer when everybody waits.
            if house.events.recv().await == Some(Event::Started("p")) {
                back += 1;
            }
        }
        let waited = before.elapsed().as_millis();
        assert!((wait_ms..=wait_ms + 2).contains(&waited), "{waited} ms instead of {wait_ms}");
    }
    assert_eq!(house.node("/switch/7").restarts, 5);
}

#[actix::test]
async fn messages_to_a_dead_actor_come_back() {
    let seat = Ref::vacant();
    assert!(matches!(seat.try_send(ProbeMsg::Stop), Err(Refused::Dead(ProbeMsg::Stop))));
    let mut house =
        House::build(|events| root(Strategy::OneForOne).with(probe("a", Restart::Temporary, &seat, events)));
    house.starts(&["a"]).await;
    seat.try_send(ProbeMsg::Stop).unwrap();
    assert_eq!(house.next().await, Event::Stopping("a", StopReason::Done));
    assert_eq!(house.next().await, Event::Dropped("a"));
    assert!(matches!(seat.try_send(ProbeMsg::Stop), Err(Refused::Dead(ProbeMsg::Stop))));
    assert_eq!(seat.ask(ProbeMsg::Count, DEADLINE).await, Err(AskError::Dead));
}

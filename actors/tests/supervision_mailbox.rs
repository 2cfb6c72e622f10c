//! Everything is bounded: mailboxes refuse, asks have a deadline, and whoever looks sees the pressure.

mod supervision_common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use actix::Arbiter;
use actors::supervision::{AskError, NodeState, Ref, Refused, Restart, Strategy, TreeError, child};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use supervision_common::*;

/// A probe on its own arbiter, blocked in its handler until the returned sender is dropped.
async fn blocked() -> (House, Ref<Probe>, mpsc::Sender<()>) {
    let arbiter = Arbiter::new();
    let seat = Ref::<Probe>::vacant();
    let mut house = House::build(|events| {
        let (sender, here) = (events.clone(), events.clone());
        root(Strategy::OneForOne)
            .with(
                child("far", Restart::Permanent, move || Probe::new("far", &sender)).seat(&seat).on(&arbiter.handle()),
            )
            .with(child("near", Restart::Permanent, move || Probe::new("near", &here)))
    });
    house.until_started("far").await;
    let (release, until) = mpsc::channel();
    soon(seat.ask(|reply| ProbeMsg::Block(reply, until), DEADLINE)).await.unwrap();
    (house, seat, release)
}

#[actix::test]
async fn a_full_mailbox_refuses_gives_the_message_back_and_counts_it() {
    let (house, far, release) = blocked().await;
    for _ in 0..4 {
        far.try_send(ProbeMsg::Fail("never handled as the fifth")).unwrap();
    }
    assert!(matches!(far.try_send(ProbeMsg::Boom("the fifth")), Err(Refused::Full(ProbeMsg::Boom("the fifth")))));
    assert_eq!(far.ask(ProbeMsg::Count, DEADLINE).await, Err(AskError::Full));
    let node = house.node("/switch/far");
    assert_eq!((node.mailbox_depth, node.mailbox_capacity), (4, 4));
    let kinds = house.tree.kinds();
    let probes = kinds.iter().find(|kind| kind.kind == "probe").unwrap();
    assert_eq!((probes.refused, probes.mailbox_depth), (2, 4));
    assert!(far.send_reply(ProbeMsg::Stop), "a reply is taken past the bound");
    assert_eq!(house.node("/switch/far").mailbox_depth, 5);
    drop(release);
}

#[actix::test]
async fn the_age_of_the_oldest_message_grows_while_a_handler_hangs_and_ends_with_it() {
    let (house, far, release) = blocked().await;
    let grown = async {
        while house.node("/switch/far").mailbox_age_ms < 2 {
            tokio::task::yield_now().await;
        }
    };
    soon(grown).await;
    assert_eq!(house.node("/switch/near").mailbox_age_ms, 0);
    drop(release);
    // The second answer proves that the handler of the first message after the block has returned.
    count(&far).await;
    count(&far).await;
    let idle = async {
        while house.node("/switch/far").mailbox_age_ms > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(idle).await;
    assert_eq!(house.node("/switch/far").mailbox_depth, 0);
}

#[actix::test]
async fn an_ask_ends_at_its_deadline_or_when_the_reply_is_dropped() {
    let (_house, far, release) = blocked().await;
    tokio::time::pause();
    let deadline = Duration::from_millis(250);
    let before = tokio::time::Instant::now();
    assert_eq!(far.ask(ProbeMsg::Count, deadline).await, Err(AskError::Deadline));
    assert!(before.elapsed() >= deadline);
    tokio::time::resume();
    drop(release);
    assert_eq!(soon(far.ask(ProbeMsg::Forget, DEADLINE)).await, Err(AskError::Dead));
}

#[actix::test]
async fn descriptions_are_asked_with_a_deadline_and_a_hanging_actor_has_none() {
    let (house, _far, release) = blocked().await;
    let views = house.tree.snapshot_described(Duration::from_millis(20)).await;
    let of = |path: &str| views.iter().find(|view| &*view.path == path).unwrap();
    assert_eq!(of("/switch/near").description, "counted 0");
    assert_eq!(of("/switch/far").description, "");
    assert_eq!(of("/switch/far").state, NodeState::Running);
    assert!(of("/switch").description.starts_with("OneForOne, 2 children"));
    drop(release);
}

#[actix::test]
async fn an_arbiter_that_ends_takes_its_actors_and_their_parent_hears_of_it() {
    let arbiter = Arbiter::new();
    let (far, fence) = (Ref::vacant(), Ref::vacant());
    let mut house = House::build(|events| {
        let sender = events.clone();
        let far = child("far", Restart::Temporary, move || Probe::new("far", &sender)).seat(&far);
        root(Strategy::RestForOne)
            .with(probe("fence", Restart::Permanent, &fence, events))
            .with(far.on(&arbiter.handle()))
    });
    house.until_started("far").await;
    arbiter.stop();
    arbiter.join().unwrap();
    while house.next().await != Event::Dropped("far") {}
    assert!(!far.is_alive());
    house.tree.snapshot_described(DEADLINE).await;
    assert!(house.tree.snapshot().iter().all(|node| &*node.path != "/switch/far"));
}

#[actix::test]
async fn a_permanent_child_of_a_dead_arbiter_escalates_because_it_cannot_come_back() {
    let arbiter = Arbiter::new();
    let mut house = House::build(|events| {
        let sender = events.clone();
        root(Strategy::OneForOne)
            .with(child("far", Restart::Permanent, move || Probe::new("far", &sender)).on(&arbiter.handle()))
    });
    house.until_started("far").await;
    arbiter.stop();
    arbiter.join().unwrap();
    let ended = soon(&mut house.ended).await.unwrap().to_string();
    assert!(ended.ends_with("/switch/far its arbiter ended"), "{ended}");
}

#[actix::test]
async fn faults_are_injected_only_where_they_are_allowed() {
    let seat = Ref::vacant();
    let mut house =
        House::build(|events| root(Strategy::OneForOne).with(probe("a", Restart::Permanent, &seat, events)));
    house.starts(&["a"]).await;
    assert!(matches!(house.tree.panic("/switch/a"), Err(TreeError::NoFaults(_))));
    assert!(matches!(house.tree.stall("/switch/a", Duration::ZERO), Err(TreeError::NoFaults(_))));
    assert_eq!(count(&seat).await, 1);
    house.tree.allow_faults(true);
    house.tree.stall("/switch/a", Duration::from_millis(1)).unwrap();
    assert_eq!(count(&seat).await, 2);
    house.tree.panic("/switch/a").unwrap();
    house.until_started("a").await;
    let cause = house.node("/switch/a").last_cause.unwrap();
    assert!(cause.contains("panic asked by operator"), "{cause}");
    assert!(matches!(house.tree.panic("/switch/b"), Err(TreeError::Unknown(_))));
}

#[actix::test]
async fn the_tree_serialises_parents_before_children() {
    let mut house = House::build(|events| {
        let (a, b) = (events.clone(), events.clone());
        root(Strategy::OneForOne).with(child("a-b", Restart::Permanent, move || Probe::new("a-b", &a))).with(child(
            "a",
            Restart::Permanent,
            move || {
                let b = b.clone();
                root(Strategy::OneForOne).with(child("z", Restart::Permanent, move || Probe::new("z", &b)))
            },
        ))
    });
    house.until_started("z").await;
    let snapshot = house.tree.snapshot();
    let paths: Vec<&str> = snapshot.iter().map(|node| &*node.path).collect();
    assert_eq!(paths, ["/switch", "/switch/a", "/switch/a/z", "/switch/a-b"]);
    let json = serde_json::to_value(&snapshot[2]).unwrap();
    assert_eq!((json["path"].as_str(), json["state"].as_str()), (Some("/switch/a/z"), Some("running")));
}

#[actix::test]
async fn the_figures_of_each_kind_reach_the_metrics_recorder() {
    let (house, far, release) = blocked().await;
    for _ in 0..6 {
        let _ = far.try_send(ProbeMsg::Stop);
    }
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || house.tree.publish());
    let counter = |name: &str| kept.0.lock().unwrap()[&format!("{name} probe")].load(Ordering::Relaxed);
    let gauge = |name: &str| f64::from_bits(counter(name));
    assert_eq!(gauge("strowger_actor_alive"), 2.0);
    assert_eq!(gauge("strowger_mailbox_depth"), 4.0);
    assert_eq!(counter("strowger_mailbox_refused_total"), 2);
    assert_eq!(counter("strowger_actor_restarts_total"), 0);
    assert!(gauge("strowger_mailbox_age_ms") >= 0.0);
    drop(release);
}

/// A recorder that keeps the last value under "name kind".
#[derive(Default)]
struct Kept(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Kept {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let kind: String = key.labels().map(|label| label.value().to_owned()).collect();
        Arc::clone(self.0.lock().unwrap().entry(format!("{} {kind}", key.name())).or_default())
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

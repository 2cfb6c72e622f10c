//! What a supervised child costs; the figures are printed, the bounds of memory are asserted, time is not.

mod supervision_common;

use std::time::Instant;

use actors::supervision::{Cx, Live, Restart, Strategy, SupervisorRef, child};
use supervision_common::*;
use tokio::sync::oneshot;

const CHILDREN: usize = 50_000;
/// Twice the goal of design: the resident set counts pages, and the allocator keeps some for itself.
const CHILD_BYTES_MAX: usize = 3_000;

/// The smallest actor: all that it costs is the layer's.
struct Small(Option<oneshot::Sender<()>>);

enum SmallMsg {
    Tell,
    Stop,
}

impl Live for Small {
    type Msg = SmallMsg;
    const KIND: &'static str = "small";
    const MAILBOX: usize = 64;

    fn handle(&mut self, msg: SmallMsg, cx: &mut Cx<'_, Self>) {
        if let SmallMsg::Stop = msg {
            cx.stop();
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            let _ = last.send(());
        }
    }
}

#[actix::test]
async fn a_child_costs_about_a_kilobyte_and_a_few_microseconds() {
    let sup = SupervisorRef::vacant();
    let mut house = House::build(|events| {
        let events = events.clone();
        root(Strategy::OneForOne)
            .with(child("calls", Restart::Permanent, || root(Strategy::OneForOne)).seat(&sup))
            .with(child("last", Restart::Permanent, move || {
                Probe::new("last", &events)
            }))
    });
    house.until_started("last").await;
    let resident = resident_bytes();
    let before = Instant::now();
    let (told, ended) = oneshot::channel();
    let mut told = Some(told);
    let mut children = Vec::with_capacity(CHILDREN);
    for n in 0..CHILDREN {
        let mut told = if n + 1 == CHILDREN { told.take() } else { None };
        let name = format!("{n:08x}");
        children.push(
            sup.start_child(&name, Restart::Transient, move || Small(told.take()))
                .unwrap(),
        );
    }
    house.tree.snapshot_described(DEADLINE).await;
    let started = before.elapsed();
    let child_bytes = resident_bytes().saturating_sub(resident) / CHILDREN;
    let before = Instant::now();
    for child in &children {
        child.try_send(SmallMsg::Tell).unwrap();
    }
    for child in children.drain(..) {
        child.try_send(SmallMsg::Stop).unwrap();
    }
    soon(ended).await.unwrap();
    house.tree.snapshot_described(DEADLINE).await;
    let stopped = before.elapsed();
    assert_eq!(house.tree.snapshot().len(), 3);
    println!(
        "a child: {child_bytes} B; start and adopt {} ns; tell, stop and forget {} ns",
        started.as_nanos() / CHILDREN as u128,
        stopped.as_nanos() / CHILDREN as u128
    );
    assert!(child_bytes < CHILD_BYTES_MAX, "{child_bytes} B a child");
}

/// Pages of this process in memory, in bytes, from the second field of statm.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4_096
}

//! What a supervised child costs; the figures are printed, the bounds of memory are asserted, time is not.

mod supervision_common;

use actors::supervision::{Cx, Live, Ref, Restart, Strategy, SupervisorRef, child};
use supervision_common::*;

const MANY: usize = 50_000;
/// Children alive together, and how often, where time is measured: what a shard has in hand at once.
const FEW: usize = 2_000;
const ROUNDS: usize = 20;
/// Children that start or end in one turn of the arbiter.
const BATCH: usize = 32;
/// The goal is 1,500 B; the resident set counts whole pages, and the allocator keeps some for itself.
const CHILD_BYTES_MAX: usize = 2_000;

/// The smallest actor: all that it costs is the layer's.
struct Small;

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

#[actix::test]
async fn a_child_costs_about_a_kilobyte_and_a_few_microseconds() {
    let sup = SupervisorRef::vacant();
    let mut house = House::build(|events| {
        let events = events.clone();
        root(Strategy::OneForOne)
            .with(child("calls", Restart::Permanent, || root(Strategy::OneForOne)).seat(&sup))
            .with(child("last", Restart::Permanent, move || Probe::new("last", &events)))
    });
    house.until_started("last").await;
    let resident = resident_bytes();
    let children = start(&sup, MANY).await;
    let child_bytes = resident_bytes().saturating_sub(resident) / MANY;
    stop(children).await;
    let (mut starting_ns, mut stopping_ns) = (0, 0);
    for _ in 0..ROUNDS {
        let before = cpu_ns();
        let children = start(&sup, FEW).await;
        starting_ns += cpu_ns() - before;
        let before = cpu_ns();
        stop(children).await;
        stopping_ns += cpu_ns() - before;
    }
    let births = ROUNDS * FEW;
    println!(
        "a child: {child_bytes} B; start and adopt {} ns; tell, stop and forget {} ns",
        starting_ns / births,
        stopping_ns / births
    );
    assert_eq!(house.tree.snapshot().len(), 3, "all are forgotten");
    assert!(child_bytes < CHILD_BYTES_MAX, "{child_bytes} B a child");
}

/// Starts children a batch at a time, as calls come, until all are adopted.
async fn start(sup: &SupervisorRef, how_many: usize) -> Vec<Ref<Small>> {
    let mut children = Vec::with_capacity(how_many);
    for n in 0..how_many {
        let name = format!("{n:08x}");
        children.push(sup.start_child(&name, Restart::Transient, || Small).unwrap());
        if n % BATCH == 0 {
            tokio::task::yield_now().await;
        }
    }
    turns(how_many).await;
    children
}

/// Tells each child something and then to stop, until all are forgotten.
async fn stop(children: Vec<Ref<Small>>) {
    let how_many = children.len();
    for (n, child) in children.into_iter().enumerate() {
        child.try_send(SmallMsg::Tell).unwrap();
        child.try_send(SmallMsg::Stop).unwrap();
        if n % BATCH == 0 {
            tokio::task::yield_now().await;
        }
    }
    turns(how_many).await;
}

/// Lets the arbiter work off what is queued: it runs some sixty tasks a turn.
async fn turns(tasks: usize) {
    for _ in 0..tasks / BATCH + 16 {
        tokio::task::yield_now().await;
    }
}

/// Pages of this process in memory, in bytes, from the second field of statm.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// What this thread has run so far, in ns: other programs on the machine do not count.
fn cpu_ns() -> usize {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split_whitespace().next().unwrap().parse().unwrap()
}

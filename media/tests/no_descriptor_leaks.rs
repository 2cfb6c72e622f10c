//! Alone in its process, because descriptors are counted for the whole process.

mod common;

use common::*;
use media::{FlowSpec, PoolConfig};
use std::time::Duration;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn five_hundred_flows_open_and_close_without_leaving_a_descriptor() {
    let (pool, threads) = running(PoolConfig { workers: 2, warm_pairs: 8, idle_pairs: Duration::ZERO, ..config() });
    let (owner, _events) = owner(1);
    for worker in 0..2 {
        // A worker that has done something has all of its own descriptors.
        let flow = pool.open(owner.clone(), FlowSpec { worker: Some(worker), ..FlowSpec::default() }).unwrap();
        flow.close();
        until(|| pool.adopt(flow.id()).is_none());
    }
    let idle = descriptors();
    for _ in 0..2 {
        let flows: Vec<_> = (0..500).map(|_| pool.open(owner.clone(), FlowSpec::default()).unwrap()).collect();
        assert!(descriptors() >= idle + 500 * 4 - 8 * 2);
        flows.iter().for_each(media::Flow::close);
        until(|| (0..2).all(|n| pool.health(n).flows == 0));
        // Warm pairs stay bound, as many as before; handles of closed flows hold none.
        until(|| descriptors() <= idle);
    }
    for n in 0..2 {
        pool.stop_worker(n);
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
    drop(pool);
    until(|| descriptors() < idle);
}

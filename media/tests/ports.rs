//! Ports are lent, rest and come again; bounds are kept.

mod common;

use common::*;
use media::{FlowSpec, OpenError, Pool, PoolBusy, PoolConfig, Side};

/// A running pool of four ports in a row. Other tests take ports of the kernel's choice at the same time, so it is one that
/// has been seen to have them all.
fn narrow() -> (Pool, Vec<media::WorkerThread>) {
    (0..100)
        .find_map(|_| {
            let base = std::net::UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port() & !1;
            let ports = base..=base.checked_add(3)?;
            let (pool, threads) = running(PoolConfig { workers: 1, ports, warm_pairs: 2, ..PoolConfig::default() });
            let flow = pool.open(owner(0).0, FlowSpec::default()).ok()?;
            flow.close();
            until(|| pool.adopt(flow.id()).is_none());
            Some((pool, threads))
        })
        .expect("four free ports")
}

#[test]
fn ports_come_back_when_a_flow_closes_and_are_refused_while_it_is_open() {
    let (pool, _threads) = narrow();
    let (first, _events) = open(&pool);
    let refused = pool.open(owner(1).0, FlowSpec::default());
    assert!(matches!(refused, Err(OpenError::NoPorts)), "{refused:?}");
    let ports = |flow: &media::Flow| {
        let mut ports = [flow.local(Side::A).port(), flow.local(Side::B).port()];
        ports.sort_unstable();
        ports
    };
    let before = ports(&first);
    first.close();
    first.close();
    until(|| pool.adopt(first.id()).is_none());
    let (second, _events) = open(&pool);
    assert_eq!(ports(&second), before);
    assert_eq!(second.id().slot, first.id().slot);
    assert_ne!(second.id(), first.id());
    // An old handle of the same slot reaches nothing.
    first.close();
    settle_without_ports(&pool, &second);
    assert!(pool.adopt(second.id()).is_some() && pool.adopt(first.id()).is_none());
}

/// [`settle`] for a pool that has no ports for another flow: something that the worker does is waited for.
fn settle_without_ports(pool: &Pool, flow: &media::Flow) {
    let phone = Phone::new(1);
    flow.connect(Side::A, phone.remote(&[PCMU])).unwrap();
    flow.hear(Side::A, media::Source::Silence).unwrap();
    phone.receive();
    assert!(pool.health(0).running);
}

#[test]
fn a_recycled_port_carries_nothing_of_its_last_call() {
    let (pool, mut threads) = narrow();
    let (first, _events) = open(&pool);
    let (mut old, callee) = (Phone::new(1), Phone::new(2));
    first.connect(Side::A, old.remote(&[PCMU])).unwrap();
    first.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    until(|| {
        // A stranger until the commands are done.
        old.send(first.local(Side::A), 0, &[1; 160]);
        first.stats().b.packets_sent > 0
    });
    first.close();
    until(|| pool.adopt(first.id()).is_none());
    for port in [first.local(Side::A), first.local(Side::B)] {
        old.send(port, 0, &[2; 160]); // it did not hear the BYE
    }
    // The new call is quick: all of it is asked before the worker looks.
    pool.stop_worker(0);
    threads.remove(0).join();
    let (second, told) = open(&pool);
    let (mut caller, callee) = (Phone::new(3), Phone::new(4));
    // Behind NAT its port is open to whoever comes first from its address, and the old call came from there too.
    let remote = media::Remote { behind_nat: true, ..caller.remote(&[PCMU]) };
    second.connect(Side::A, remote).unwrap();
    second.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    threads.push(pool.start_worker(0).unwrap());
    until(|| pool.health(0).queue_depth == 0); // a worker looks at its book before its queue
    caller.send(second.local(Side::A), 0, &[3; 160]);
    assert_eq!(callee.receive().payload, [3; 160]);
    assert_eq!(next(&told), media::MediaEvent::FirstPacket(Side::A));
    assert_eq!(second.checkpoint().seen.a, Some(caller.rtp.local_addr().unwrap()));
    assert!(callee.has_nothing());
}

#[test]
fn a_full_command_queue_refuses_and_changes_nothing_but_still_takes_a_close() {
    // No worker is started, so nothing empties the queue.
    let pool = Pool::new(PoolConfig { commands_max: 2, ..config() }).unwrap();
    let (first, _events) = open(&pool);
    let (second, _events) = open(&pool);
    let refused = pool.open(owner(1).0, FlowSpec::default());
    assert!(matches!(refused, Err(OpenError::WorkerBusy)), "{refused:?}");
    assert_eq!((pool.health(0).flows, pool.health(0).queue_depth), (2, 2));
    // Whose change is waiting anyway may change more: one place a flow.
    assert_eq!(first.connect(Side::A, Phone::new(1).remote(&[])), Ok(()));
    assert_eq!(second.hear(Side::A, media::Source::Echo), Ok(()));
    let thread = pool.start_worker(0).unwrap();
    until(|| pool.health(0).queue_depth == 0);
    pool.stop_worker(0);
    thread.join();
    let (_third, _events) = open(&pool);
    let (_fourth, _events) = open(&pool);
    assert_eq!(first.connect(Side::B, Phone::new(2).remote(&[])), Err(PoolBusy.into()));
    assert_eq!(first.checkpoint().remote.b, None);
    first.close();
    let thread = pool.start_worker(0).unwrap();
    until(|| pool.adopt(first.id()).is_none());
    pool.stop_worker(0);
    thread.join();
}

#[test]
fn flows_spread_over_the_workers_and_can_ask_for_one() {
    let (pool, _threads) = running(PoolConfig { workers: 3, ..config() });
    let flows: Vec<_> = (0..9).map(|_| open(&pool).0).collect();
    for n in 0..3 {
        assert_eq!(pool.health(n).flows, 3);
    }
    let (owner, _events) = owner(1);
    let chosen = pool.open(owner.clone(), FlowSpec { worker: Some(2), ..FlowSpec::default() }).unwrap();
    assert_eq!(chosen.id().worker, 2);
    let refused = pool.open(owner, FlowSpec { worker: Some(3), ..FlowSpec::default() });
    assert!(matches!(refused, Err(OpenError::NoSuchWorker(3))));
    drop(flows);
    assert_eq!(pool.health(0).flows, 3, "dropping a handle closes nothing");
}

#[test]
fn a_rebuilt_call_gets_its_flow_back_by_name() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let id = flow.id();
    drop(flow);
    let flow = pool.adopt(id).unwrap();
    caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().payload, [1; 160]);
    let checkpoint = flow.checkpoint();
    assert_eq!(checkpoint.remote.a, Some(caller.remote(&[PCMU])));
    assert_eq!(checkpoint.seen.a, Some(caller.rtp.local_addr().unwrap()));
    flow.close();
    until(|| pool.adopt(id).is_none());
}

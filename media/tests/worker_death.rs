//! A worker dies, hangs or is stopped, and the calls stay.

mod common;

use common::*;
use media::{FlowSpec, MediaEvent, Owner, Side, Source, WorkerEnd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn flows_outlive_a_panic_of_their_worker_with_the_same_ports_and_peers() {
    let (pool, mut threads) = running(config());
    let mut calls: Vec<_> = (0..20).map(|_| call(&pool, &[PCMU, events(101)], &[PCMU, events(96)])).collect();
    for (flow, caller, callee, _) in &mut calls {
        let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
        assert_eq!(callee.receive().bytes, sent);
    }
    pool.ask_panic(0);
    assert_eq!(threads.remove(0).join(), WorkerEnd::Panicked("asked to panic".into()));
    assert!(!pool.health(0).running);

    // Sent into the gap: the sockets are still there, and keep it.
    let sent: Vec<_> =
        calls.iter_mut().map(|(flow, caller, _, _)| caller.send(flow.local(Side::A), 101, &[2; 4])).collect();
    threads.push(pool.start_worker(0).unwrap());
    for ((flow, caller, callee, told), sent) in calls.iter_mut().zip(sent) {
        let received = callee.receive();
        assert_eq!((received.header.payload_type, &received.bytes[2..]), (96, &sent[2..]));
        callee.send(flow.local(Side::B), 0, &[3; 160]);
        assert_eq!(caller.receive().payload, [3; 160]);
        let stats = flow.stats();
        assert_eq!((stats.a.packets_received, stats.a.lost, stats.b.packets_received), (2, 0, 1));
        assert_eq!([next(told), next(told)], [MediaEvent::FirstPacket(Side::A), MediaEvent::FirstPacket(Side::B)]);
    }
    let health = pool.health(0);
    assert_eq!((health.running, health.flows, health.restarts), (true, 20, 1));

    // A stranger that waited for the gap is still a stranger.
    let (flow, _, callee, _) = &calls[0];
    Phone::new(9).send(flow.local(Side::A), 0, &[9; 160]);
    settle(&pool, flow);
    assert!(callee.has_nothing());
}

#[test]
fn generated_media_goes_on_as_the_same_stream_after_a_panic() {
    let (pool, mut threads) = running(config());
    let (flow, _events) = open(&pool);
    let phone = Phone::new(1);
    flow.connect(Side::A, phone.remote(&[PCMU])).unwrap();
    flow.hear(Side::A, Source::MusicOnHold).unwrap();
    let mut last = phone.receive();
    for _ in 0..5 {
        last = phone.receive();
    }
    pool.ask_panic(0);
    threads.remove(0).join();
    while !phone.has_nothing() {
        // what was on its way
    }
    let before = flow.stats().a.packets_sent;
    threads.push(pool.start_worker(0).unwrap());
    let after = phone.receive();
    assert_eq!(after.header.ssrc, last.header.ssrc);
    let sent_between = u16::try_from(before - 6).unwrap();
    assert_eq!(after.header.sequence, last.header.sequence.wrapping_add(sent_between + 1));
    // The music has not begun again: this packet is where the last one ended.
    let at = 160 * (6 + usize::from(sent_between));
    let music = media::prompt::music_on_hold();
    let mut expected = [0; 160];
    media::codec::g711::Law::Mu.encode(&music.samples()[at..at + 160], &mut expected);
    assert_eq!(after.payload, expected);
}

#[test]
fn what_was_asked_while_no_worker_was_there_is_done_by_the_next() {
    let (pool, mut threads) = running(config());
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let (closed, ..) = call(&pool, &[PCMU], &[PCMU]);
    callee.send(flow.local(Side::B), 0, &[4; 160]);
    caller.receive();
    pool.stop_worker(0);
    assert_eq!(threads.remove(0).join(), WorkerEnd::Stopped);
    let mut moved = Phone::new(0xb2);
    flow.connect(Side::B, moved.remote(&[PCMU])).unwrap();
    closed.close();
    threads.push(pool.start_worker(0).unwrap());
    caller.send(flow.local(Side::A), 0, &[5; 160]);
    assert_eq!(moved.receive().payload, [5; 160]);
    moved.send(flow.local(Side::B), 0, &[6; 160]);
    assert_eq!(caller.receive().payload, [6; 160]);
    assert!(callee.has_nothing());
    assert!(pool.adopt(closed.id()).is_none());
}

#[test]
fn a_hung_worker_shows_in_its_heartbeat_and_is_replaced_while_it_hangs() {
    let (pool, mut threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    pool.ask_stall(0, Duration::from_secs(2));
    until(|| pool.health(0).heartbeat_age > Duration::from_millis(500));
    threads.push(pool.start_worker(0).unwrap());
    let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    assert!(!threads[0].is_finished(), "the call went on before the hung thread woke");
    assert_eq!(threads.remove(0).join(), WorkerEnd::Superseded);
    let sent = caller.send(flow.local(Side::A), 0, &[2; 160]);
    assert_eq!(callee.receive().bytes, sent);
}

#[test]
fn an_owner_that_panics_over_an_event_harms_nobody() {
    let (pool, _threads) = running(config());
    let owner = Owner { key: 1, events: Arc::new(|_, _| panic!("the owner's own fault")) };
    let flow = pool.open(owner, FlowSpec::default()).unwrap();
    let (mut caller, callee) = (Phone::new(1), Phone::new(2));
    flow.connect(Side::A, caller.remote(&[PCMU])).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    assert!(pool.health(0).running);
}

#[test]
fn the_end_of_a_worker_is_told_without_waiting_for_it() {
    let pool = media::Pool::new(config()).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let thread = pool.start_worker_watched(0, move |end| send.send(end.clone()).unwrap()).unwrap();
    pool.ask_panic(0);
    assert_eq!(receive.recv_timeout(PATIENCE), Ok(WorkerEnd::Panicked("asked to panic".into())));
    thread.join();
}

#[test]
fn workers_stop_when_the_last_handle_of_the_pool_is_dropped() {
    let (pool, threads) = running(media::PoolConfig { workers: 3, ..config() });
    let (flow, _events) = open(&pool);
    drop(pool);
    for thread in threads {
        assert_eq!(thread.join(), WorkerEnd::Stopped);
    }
    assert_eq!(flow.stats().a.packets_sent, 0);
}

#[test]
fn calls_that_come_and_go_while_workers_die_leave_no_flow_and_no_port_behind() {
    let (pool, threads) = running(media::PoolConfig { workers: 2, ..config() });
    let done = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let (mut caller, callee) = (Phone::new(1), Phone::new(2));
                for n in 0..60u8 {
                    let (flow, _events) = open(&pool);
                    flow.connect(Side::A, caller.remote(&[PCMU])).unwrap();
                    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
                    if n % 3 == 0 {
                        flow.hear(Side::B, Source::MusicOnHold).unwrap();
                        callee.receive();
                        flow.hear(Side::B, Source::Peer).unwrap();
                    }
                    // Until the commands are done the caller is a stranger: it speaks until it is heard.
                    until(|| {
                        caller.send(flow.local(Side::A), 0, &[n; 160]);
                        flow.stats().b.packets_sent > 0 && flow.stats().a.packets_received > 0
                    });
                    flow.close();
                    done.fetch_add(1, SeqCst);
                    while !callee.has_nothing() || !caller.has_nothing() {
                        // what was on its way
                    }
                }
            })
        })
        .collect();
    let mut threads: Vec<_> = threads.into_iter().map(Some).collect();
    // A death for each eight calls, so that music has its twenty milliseconds to begin in between.
    for death in 0..4 * 60 / 8 {
        until(|| done.load(SeqCst) >= 8 * death || callers.iter().any(|caller| caller.is_finished()));
        let n = death % 2;
        pool.ask_panic(n);
        let end = threads[n].take().unwrap().join();
        assert_eq!(end, WorkerEnd::Panicked("asked to panic".into()));
        threads[n] = Some(pool.start_worker(n).unwrap());
    }
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    until(|| (0..2).all(|n| pool.health(n).flows == 0 && pool.health(n).queue_depth == 0));
    assert!((0..2).all(|n| pool.health(n).running && pool.health(n).restarts == 15));
}

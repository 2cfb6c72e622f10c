use super::*;
use crate::codec::{Codec, Payload};
use crate::rtcp::Wanted;
use std::sync::mpsc::channel;

const PATIENCE: Duration = Duration::from_secs(10);

fn pool() -> Pool {
    Pool::new(PoolConfig { workers: 1, ports: 0..=0, warm_pairs: 2, ..PoolConfig::default() }).unwrap()
}

#[test]
fn a_flow_that_killed_three_workers_is_given_up_and_its_owner_is_told() {
    let pool = pool();
    let (send, told) = channel();
    let owner = |key| {
        let send = send.clone();
        Owner { key, events: Arc::new(move |key, event| send.send((key, event)).unwrap()) }
    };
    let (poison, innocent) =
        (pool.open(owner(1), FlowSpec::default()).unwrap(), pool.open(owner(2), FlowSpec::default()).unwrap());
    poison.record.deaths.store(3, Ordering::SeqCst);
    innocent.record.deaths.store(2, Ordering::SeqCst);
    let thread = pool.start_worker(0).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok((1, MediaEvent::Lost)));
    assert!(pool.adopt(poison.id()).is_none() && pool.adopt(innocent.id()).is_some());
    assert!(poison.checkpoint().closed);
    // Whatever its call still asks is without effect, and not told again.
    poison.hear(Side::A, Source::Echo).unwrap();
    innocent.close();
    pool.stop_worker(0);
    assert_eq!(thread.join(), WorkerEnd::Stopped);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_panic_on_command_blames_no_flow() {
    let pool = pool();
    let owner = Owner { key: 1, events: Arc::new(|_, _| ()) };
    let flow = pool.open(owner, FlowSpec::default()).unwrap();
    let thread = pool.start_worker(0).unwrap();
    pool.ask_panic(0);
    assert!(matches!(thread.join(), WorkerEnd::Panicked(_)));
    assert_eq!(flow.record.deaths.load(Ordering::SeqCst), 0);
}

#[test]
fn the_worker_that_dies_over_a_flow_blames_it() {
    let pool = pool();
    let owner = Owner { key: 1, events: Arc::new(|_, _| ()) };
    let flow = pool.open(owner, FlowSpec::default()).unwrap();
    let seat = &pool.inner.seats[0];
    seat.serving.store(flow.id().slot, Ordering::SeqCst);
    worker::blame(seat);
    worker::blame(seat);
    assert_eq!(flow.record.deaths.load(Ordering::SeqCst), 1, "once a death");
}

#[test]
fn payloads_past_the_bound_are_not_looked_at() {
    let payloads = (0..40u8).map(|pt| Payload::new(pt + 50, Codec::Other, 8000)).collect();
    let rtp = SocketAddr::from(([127, 0, 0, 1], 4000));
    let remote = Remote {
        rtp,
        rtcp: None,
        rtcp_mux: false,
        behind_nat: false,
        receive: true,
        send: true,
        payloads,
        ptime_ms: 20,
        max_ptime_ms: 0,
        reports: Wanted::default(),
        opus_dtx: false,
        told_keys: false,
        secure: None,
        dtls: None,
        ice: None,
    };
    let lanes = worker::Lanes::new(&remote, None);
    assert!(lanes.find(50 + 15).is_some() && lanes.find(50 + 16).is_none());
}

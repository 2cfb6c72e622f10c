//! The pool under test: one worker that relays flows between phones that are not behind a NAT, as two calls of PCMU agree.

use media::codec::{Codec, Payload};
use media::rtcp::Wanted;
use media::{Flow, FlowSpec, Owner, Pool, PoolConfig, PortMode, Remote, Side, WorkerThread};
use std::net::SocketAddr;
use std::sync::Arc;

/// A pool and its worker.
pub struct Relay {
    pool: Pool,
    flows: Vec<Flow>,
    _worker: WorkerThread,
}

impl Relay {
    pub fn new(port_mode: PortMode) -> Relay {
        let config = PoolConfig { workers: 1, ports: 0..=0, port_mode, ..PoolConfig::default() };
        let pool = Pool::new(config).expect("a pool");
        let worker = pool.start_worker(0).expect("a worker");
        Relay { pool, flows: Vec::new(), _worker: worker }
    }

    /// Opens a flow for every pair of phones and returns its ports.
    pub fn open(&mut self, phones: &[(u16, u16)]) -> Vec<(u16, u16)> {
        let owner = Owner { key: 0, events: Arc::new(|_, _| ()) };
        self.flows = phones
            .iter()
            .map(|(a, b)| {
                // Thousands of phones have the ports that the kernel picks from.
                let open = |_| self.pool.open(owner.clone(), FlowSpec::default()).ok();
                let flow = (0..100).find_map(open).expect("a flow");
                flow.connect(Side::A, remote(*a)).expect("room");
                flow.connect(Side::B, remote(*b)).expect("room");
                flow.wake();
                flow
            })
            .collect();
        self.flows.iter().map(|flow| (flow.local(Side::A).port(), flow.local(Side::B).port())).collect()
    }
}

fn remote(port: u16) -> Remote {
    Remote {
        rtp: SocketAddr::from(([127, 0, 0, 1], port)),
        rtcp: None,
        rtcp_mux: true,
        behind_nat: false,
        receive: true,
        send: true,
        payloads: [Payload::new(0, Codec::Pcmu, 8000), Payload::new(101, Codec::TelephoneEvent, 8000)]
            .into_iter()
            .collect(),
        ptime_ms: 20,
        max_ptime_ms: 0,
        reports: Wanted::default(),
        opus_dtx: false,
        told_keys: false,
        secure: None,
        dtls: None,
        ice: None,
    }
}

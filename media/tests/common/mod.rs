//! A phone made of two sockets, and a pool to plug it into. Nothing sleeps: sockets and channels are waited on.
#![allow(dead_code)] // every test file uses its own part

use media::rtcp::Wanted;
use media::rtp::Header;
use media::{
    Codec, Flow, FlowSpec, MediaEvent, Owner, Payload, Pool, PoolConfig, PortMode, Remote, Side, WorkerThread,
};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Long enough for a loaded machine; only a failing test ever waits it out.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub const PCMU: Payload = Payload { pt: 0, codec: Codec::Pcmu, clock_hz: 8000, events: false };
pub const PCMA: Payload = Payload { pt: 8, codec: Codec::Pcma, clock_hz: 8000, events: false };

pub fn events(pt: u8) -> Payload {
    Payload::new(pt, Codec::TelephoneEvent, 8000)
}

/// The sentences are said of both modes: `single_port.rs` includes the files of the others.
pub const IS_SINGLE: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"single_port");

/// A test of the file that has this module, as the test harness knows it.
pub fn named(test: &str) -> String {
    let here = module_path!().trim_end_matches("common");
    format!("{}{test}", here.split_once("::").map_or("", |(_, inside)| inside))
}

pub fn config() -> PoolConfig {
    let port_mode = if IS_SINGLE { PortMode::Single } else { PortMode::Range };
    PoolConfig { workers: 1, ports: 0..=0, port_mode, warm_pairs: 4, ..PoolConfig::default() }
}

/// A pool with its threads running; the handles are those of the workers.
pub fn running(config: PoolConfig) -> (Pool, Vec<WorkerThread>) {
    let pool = Pool::new(config).unwrap();
    let threads = (0..pool.worker_count()).map(|n| pool.start_worker(n).unwrap()).collect();
    let _of_its_own = pool.start_handshakes().unwrap();
    (pool, threads)
}

/// An owner that hands its events to a channel.
pub fn owner(key: u64) -> (Owner, Receiver<(u64, MediaEvent)>) {
    let (send, receive) = channel();
    let events = Arc::new(move |key, event| send.send((key, event)).unwrap_or_default());
    (Owner { key, events }, receive)
}

pub fn open(pool: &Pool) -> (Flow, Receiver<(u64, MediaEvent)>) {
    let (owner, events) = owner(7);
    (pool.open(owner, FlowSpec::default()).unwrap(), events)
}

/// A user agent's media: an RTP and an RTCP socket.
pub struct Phone {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

/// A packet as a phone receives it.
pub struct Received {
    pub header: Header,
    pub payload: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Phone {
    pub fn new(ssrc: u32) -> Phone {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Phone { rtp: socket(), rtcp: socket(), ssrc, sequence: 1000, timestamp: 50_000 }
    }

    pub fn remote(&self, payloads: &[Payload]) -> Remote {
        Remote {
            rtp: self.rtp.local_addr().unwrap(),
            rtcp: Some(self.rtcp.local_addr().unwrap()),
            rtcp_mux: false,
            behind_nat: false,
            receive: true,
            send: true,
            payloads: payloads.iter().copied().collect(),
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

    /// The next packet of the phone's stream.
    pub fn packet(&mut self, pt: u8, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            payload_type: pt,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload_start: 12,
            payload_end: 12 + payload.len(),
        };
        let mut head = [0; 12];
        header.write(&mut head);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        [&head[..], payload].concat()
    }

    pub fn send(&mut self, to: SocketAddr, pt: u8, payload: &[u8]) -> Vec<u8> {
        let packet = self.packet(pt, payload);
        self.rtp.send_to(&packet, to).unwrap();
        packet
    }

    pub fn receive(&self) -> Received {
        let mut buffer = [0; 2048];
        let (length, _) = self.rtp.recv_from(&mut buffer).expect("a packet in time");
        let bytes = buffer[..length].to_vec();
        let header = Header::parse(&bytes).unwrap();
        Received { header, payload: header.payload(&bytes).to_vec(), bytes }
    }

    pub fn receive_rtcp(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let (length, _) = self.rtcp.recv_from(&mut buffer).expect("a report in time");
        buffer[..length].to_vec()
    }

    /// Nothing waits in either socket now.
    pub fn has_nothing(&self) -> bool {
        [&self.rtp, &self.rtcp].into_iter().all(|socket| {
            socket.set_nonblocking(true).unwrap();
            let empty = socket.recv(&mut [0; 16]).is_err();
            socket.set_nonblocking(false).unwrap();
            empty
        })
    }
}

/// Two phones with a flow between them, both connected.
pub fn call(pool: &Pool, a: &[Payload], b: &[Payload]) -> (Flow, Phone, Phone, Receiver<(u64, MediaEvent)>) {
    let (flow, events) = open(pool);
    let (caller, callee) = (Phone::new(0xa), Phone::new(0xb));
    flow.connect(Side::A, caller.remote(a)).unwrap();
    flow.connect(Side::B, callee.remote(b)).unwrap();
    settle(pool, &flow);
    (flow, caller, callee, events)
}

/// Returns when the flow's worker has done every command that was given before.
///
/// Opens another flow on the same worker and closes it: commands are done in order, so when its ports are back in the book,
/// ours are done.
pub fn settle(pool: &Pool, flow: &Flow) {
    let worker = flow.id().worker;
    let before = pool.health(usize::from(worker)).flows;
    let (owner, _events) = owner(0);
    let marker = pool.open(owner, FlowSpec { worker: Some(worker), ..FlowSpec::default() }).unwrap();
    marker.close();
    until(|| pool.adopt(marker.id()).is_none());
    assert!(pool.health(usize::from(worker)).flows <= before);
}

/// Packets of strangers to a side. A shared port has no side for them: there they are its worker's.
pub fn strangers(pool: &Pool, flow: &Flow, side: Side) -> u64 {
    let of_side = flow.stats().get(side).strangers;
    if IS_SINGLE { pool.health(usize::from(flow.id().worker)).dropped.strangers } else { of_side }
}

/// Waits for something that another thread does.
pub fn until(mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::yield_now();
    }
}

/// The next event of a flow.
pub fn next(events: &Receiver<(u64, MediaEvent)>) -> MediaEvent {
    let (key, event) = events.recv_timeout(PATIENCE).expect("an event in time");
    assert_eq!(key, 7);
    event
}

//! What SRTP costs beside plain relay: CPU time of the worker's thread for one packet of 172 bytes received and sent, the three
//! ways taken in turn, several rounds, the best of each.
//!
//! Run with `cargo bench -p media --bench secure`. Loopback: of every figure the larger part is the kernel's.

use media::codec::{Codec, Payload};
use media::rtcp::Wanted;
use media::rtp::Header;
use media::srtp::{Key, MasterKey, OVERHEAD_BYTES_MAX, Sealer, Suite};
use media::{Flow, FlowSpec, Owner, Pool, PoolConfig, Remote, Secure, Side};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

/// Packets of one figure.
const PACKETS: usize = 50_000;
/// Packets on their way at a time: as a worker finds them when it is busy but not behind.
const AT_ONCE: usize = 32;
/// Of so many rounds the best counts: others use the machine as well.
const ROUNDS: usize = 5;

fn main() {
    println!("{:<26} {:>5} {:>10} {:>12} {:>12}", "suite", "flows", "RTP>RTP", "SRTP>RTP", "SRTP>SRTP");
    for suite in [Suite::AesCm128Sha1_80, Suite::AesCm256Sha1_80, Suite::AeadAes128Gcm, Suite::AeadAes256Gcm] {
        for flows in [1, 100] {
            let mut best = [f64::MAX; 3];
            for _ in 0..ROUNDS {
                for (way, best) in [(None, None), (Some(suite), None), (Some(suite), Some(suite))].iter().zip(&mut best)
                {
                    *best = best.min(relay(flows, way.0, way.1));
                }
            }
            let [plain, half, whole] = best;
            println!(
                "{:<26} {flows:>5} {plain:>7.2} us {half:>6.2} {:>4.2}x {whole:>6.2} {:>4.2}x",
                suite.name(),
                half / plain,
                whole / plain
            );
        }
    }
}

/// A call: the caller's socket and what seals its packets, the callee's, and the flow between them.
struct Call {
    caller: UdpSocket,
    sealer: Option<Sealer>,
    sequence: u16,
    callee: UdpSocket,
    flow: Flow,
}

impl Call {
    fn send(&mut self) {
        let mut buffer = [0xff; 172 + OVERHEAD_BYTES_MAX];
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: 1,
            payload_start: 12,
            payload_end: 172,
        };
        header.write(buffer.first_chunk_mut().expect("twelve bytes"));
        self.sequence = self.sequence.wrapping_add(1);
        let length = self.sealer.as_mut().map_or(172, |sealer| sealer.rtp(&mut buffer, 172).expect("sealed"));
        self.caller.send_to(&buffer[..length], self.flow.local(Side::A)).expect("sent");
    }
}

fn relay(flows: usize, caller_suite: Option<Suite>, callee_suite: Option<Suite>) -> f64 {
    let pool = Pool::new(PoolConfig { workers: 1, ports: 0..=0, ..PoolConfig::default() }).expect("a pool");
    let _thread = pool.start_worker(0).expect("a worker");
    let owner = Owner { key: 0, events: Arc::new(|_, _| ()) };
    let mut calls: Vec<Call> = (0..flows)
        .map(|_| {
            let flow = pool.open(owner.clone(), FlowSpec::default()).expect("a flow");
            let (caller, callee) = (socket(), socket());
            flow.connect(Side::A, remote(&caller, caller_suite)).expect("room");
            flow.connect(Side::B, remote(&callee, callee_suite)).expect("room");
            let sealer = caller_suite.and_then(|suite| Sealer::new(&key(suite, 1)));
            let mut call = Call { caller, sealer, sequence: 0, callee, flow };
            // Once, so that the socket is connected; commands take their time.
            let mut buffer = [0; 2048];
            call.callee.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
            loop {
                call.send();
                if call.callee.recv(&mut buffer).is_ok() {
                    break;
                }
            }
            while call.callee.recv(&mut buffer).is_ok() {}
            call.callee.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
            call
        })
        .collect();
    // The worker writes its CPU time down ten times a second: the next value is one of after now.
    let busy = || {
        let before = pool.health(0).busy;
        loop {
            let now = pool.health(0).busy;
            if now != before {
                return now;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let before = busy();
    let mut buffer = [0; 2048];
    for bunch in 0..PACKETS / AT_ONCE {
        let at = |n: usize| (bunch * AT_ONCE + n) % flows;
        for n in 0..AT_ONCE {
            calls[at(n)].send();
        }
        for n in 0..AT_ONCE {
            calls[at(n)].callee.recv(&mut buffer).expect("relayed");
        }
    }
    (busy() - before).as_secs_f64() * 1e6 / PACKETS as f64
}

fn key(suite: Suite, seed: u8) -> Arc<Key> {
    let bytes = vec![seed; suite.key_bytes() + suite.salt_bytes()];
    Arc::new(Key::new(MasterKey::new(suite, &bytes, &[]).expect("a key")))
}

fn remote(socket: &UdpSocket, suite: Option<Suite>) -> Remote {
    Remote {
        rtp: socket.local_addr().expect("bound"),
        rtcp: None,
        rtcp_mux: false,
        behind_nat: false,
        receive: true,
        send: true,
        payloads: [Payload::new(0, Codec::Pcmu, 8000)].into_iter().collect(),
        ptime_ms: 20,
        max_ptime_ms: 0,
        reports: Wanted::default(),
        opus_dtx: false,
        told_keys: false,
        secure: suite.map(|suite| Secure { open: key(suite, 1), seal: key(suite, 2) }),
        dtls: None,
        ice: None,
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    socket
}

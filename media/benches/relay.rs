//! What a relayed packet costs: CPU time of the worker's thread for one packet of 172 bytes received and sent, at 1, 100 and
//! 500 flows, beside a bare thread that does nothing but `recv` and `send` on one connected pair of sockets.
//!
//! Run with `cargo bench -p media --bench relay`. Loopback: of every figure the larger part is the kernel's.

use media::codec::{Codec, Payload};
use media::rtp::Header;
use media::{FlowSpec, Owner, Pool, PoolConfig, Remote, Side};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

/// Packets of one figure.
const PACKETS: usize = 50_000;
/// Packets on their way at a time: as a worker finds them when it is busy but not behind.
const AT_ONCE: usize = 32;

fn main() {
    let bare = bare_forwarder();
    println!("bare recv/send, 1 pair:  {bare:6.2} us a packet");
    for flows in [1, 100, 500] {
        let cost = pool_relay(flows);
        println!("pool, {flows:3} flows:         {cost:6.2} us a packet, {:.2} of bare", cost / bare);
    }
}

/// Microseconds of CPU that this thread has used (`/proc/thread-self/schedstat`, first field, nanoseconds).
fn thread_cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("nanoseconds") / 1000.0
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    socket
}

fn packet() -> [u8; 172] {
    let mut packet = [0xff; 172];
    let header = Header {
        payload_type: 0,
        marker: false,
        sequence: 0,
        timestamp: 0,
        ssrc: 1,
        payload_start: 12,
        payload_end: 172,
    };
    header.write(packet.first_chunk_mut().expect("twelve bytes"));
    packet
}

/// Sends to `to` in bunches and receives what comes through.
fn drive(pairs: &[(UdpSocket, UdpSocket, std::net::SocketAddr)]) {
    let mut packet = packet();
    let mut buffer = [0; 2048];
    let mut sent = 0usize;
    while sent < PACKETS {
        let bunch = (0..AT_ONCE).map(|n| &pairs[(sent + n) % pairs.len()]);
        packet[2..4].copy_from_slice(&u16::try_from(sent % 65_536).expect("below").to_be_bytes());
        for (caller, _, to) in bunch.clone() {
            caller.send_to(&packet, to).expect("sent");
        }
        for (_, callee, _) in bunch {
            callee.recv(&mut buffer).expect("relayed");
        }
        sent += AT_ONCE;
    }
}

fn bare_forwarder() -> f64 {
    let (caller, callee, inbound, outbound) = (socket(), socket(), socket(), socket());
    let to = inbound.local_addr().expect("bound");
    inbound.connect(caller.local_addr().expect("bound")).expect("connected");
    outbound.connect(callee.local_addr().expect("bound")).expect("connected");
    let forwarder = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let before = thread_cpu_us();
        for _ in 0..PACKETS.next_multiple_of(AT_ONCE) {
            let length = inbound.recv(&mut buffer).expect("a packet");
            outbound.send(&buffer[..length]).expect("sent");
        }
        thread_cpu_us() - before
    });
    drive(&[(caller, callee, to)]);
    forwarder.join().expect("forwarded") / PACKETS as f64
}

fn pool_relay(flows: usize) -> f64 {
    let pool = Pool::new(PoolConfig { workers: 1, ports: 0..=0, ..PoolConfig::default() }).expect("a pool");
    let _thread = pool.start_worker(0).expect("a worker");
    let owner = Owner { key: 0, events: Arc::new(|_, _| ()) };
    let remote = |socket: &UdpSocket| Remote {
        rtp: socket.local_addr().expect("bound"),
        rtcp: None,
        rtcp_mux: false,
        behind_nat: false,
        receive: true,
        send: true,
        payloads: [Payload::new(0, Codec::Pcmu, 8000)].into_iter().collect(),
        ptime_ms: 20,
    };
    let pairs: Vec<_> = (0..flows)
        .map(|_| {
            let flow = pool.open(owner.clone(), FlowSpec::default()).expect("a flow");
            let (caller, callee) = (socket(), socket());
            flow.connect(Side::A, remote(&caller)).expect("room");
            flow.connect(Side::B, remote(&callee)).expect("room");
            // Both ways once, so that both sockets are connected; spoken until heard, as commands take their time.
            let mut buffer = [0; 2048];
            for (from, to, side) in [(&caller, &callee, Side::A), (&callee, &caller, Side::B)] {
                to.set_nonblocking(true).expect("set");
                while to.recv(&mut buffer).is_err() {
                    from.send_to(&packet(), flow.local(side)).expect("sent");
                    std::thread::yield_now();
                }
                to.set_nonblocking(false).expect("set");
                // The last of them is known by its payload: what was on its way is gone with it.
                let mut last = packet();
                last[12] = 1;
                from.send_to(&last, flow.local(side)).expect("sent");
                while to.recv(&mut buffer).is_ok() && buffer[12] != 1 {}
            }
            (caller, callee, flow.local(Side::A))
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
            std::thread::yield_now();
        }
    };
    let before = busy();
    drive(&pairs);
    (busy() - before).as_secs_f64() * 1e6 / PACKETS as f64
}

//! What the benches of sound share: callers with real sockets, and the kernel's count of what a thread has cost.
#![allow(dead_code)] // every bench uses its own part

use media::rtcp::Wanted;
use media::rtp::Header;
use media::sound::Mouth;
use media::tone::Sine;
use media::{Flow, FlowSpec, Owner, Payload, Pool, PoolConfig, Remote, Side, WorkerThread};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The rate at which the callers' tones are made.
pub const RATE_HZ: u32 = 16_000;

/// Prints what the figures were measured on.
pub fn machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?").trim_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} x {model}, Linux {}, load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim()
    );
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time that a thread of this process has used, by its name; of the calling thread without one.
pub fn cpu(name: Option<&str>) -> Duration {
    let used = |path: String| -> Option<u64> { std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok() };
    let Some(name) = name else {
        // The scheduler's figure stands still while a thread runs; its clock does not.
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a timespec that lives as long as the call.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        assert_eq!(failed, 0, "Linux has this clock");
        return Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let of = |path: std::path::PathBuf| {
        let comm = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        (comm.trim() == name).then(|| used(path.join("schedstat").display().to_string())).flatten()
    };
    Duration::from_nanos(tasks.filter_map(|task| of(task.path())).sum())
}

/// A socket that sends a packet every 20 ms, where it sends to, and in which format.
pub type Caller = (UdpSocket, SocketAddr, Payload);

/// Callers on one thread, who throw away what comes.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Packets that came.
    pub received: Arc<AtomicU64>,
}

impl Crowd {
    /// The first `sending` of the callers send.
    pub fn new(callers: Vec<Caller>, sending: usize) -> Crowd {
        let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&received));
        let thread = std::thread::spawn(move || {
            // A second of sound for each, made before.
            let all = callers.iter().take(sending).enumerate();
            let packets: Vec<Vec<Vec<u8>>> = all.map(|(at, (.., payload))| packets(*payload, at)).collect();
            let began = Instant::now();
            let mut buffer = [0; 2048];
            for beat in 0u32.. {
                if stopped.load(Relaxed) {
                    return;
                }
                for (at, (socket, to, payload)) in callers.iter().enumerate() {
                    while socket.recv(&mut buffer).is_ok() {
                        counted.fetch_add(1, Relaxed);
                    }
                    if let Some(mut packet) = packets.get(at).map(|of| of[beat as usize % of.len()].clone()) {
                        packet[2..4].copy_from_slice(&(beat as u16).to_be_bytes());
                        packet[4..8].copy_from_slice(&(beat * (payload.clock_hz / 50)).to_be_bytes());
                        let _full = socket.send_to(&packet, to);
                    }
                }
                let next = Duration::from_millis(20) * (beat + 1);
                std::thread::sleep(next.saturating_sub(began.elapsed()));
            }
        });
        Crowd { stop, thread: Some(thread), received }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// A second of a tone of its own for the caller in a place.
pub fn packets(payload: Payload, at: usize) -> Vec<Vec<u8>> {
    let mut sine = Sine::new(300.0 + 10.0 * at as f64, -20.0, RATE_HZ);
    let mut mouth = Mouth::new(&payload, RATE_HZ, 20).unwrap();
    let mut all = Vec::new();
    for _ in 0..50 {
        let mut frame = [0; 320];
        sine.fill(&mut frame);
        mouth.speak(&frame, |spoken| {
            let mut head = [0; 12];
            let header = Header {
                payload_type: payload.pt,
                marker: false,
                sequence: 0,
                timestamp: 0,
                ssrc: 1000 + at as u32,
                payload_start: 12,
                payload_end: 12 + spoken.payload.len(),
            };
            header.write(&mut head);
            all.push([&head[..], spoken.payload].concat());
        });
    }
    all
}

/// A pool of one worker that nobody hangs up on.
pub fn pool(warm_pairs: usize) -> (Pool, WorkerThread) {
    let config =
        PoolConfig { workers: 1, ports: 0..=0, warm_pairs, media_timeout: Duration::ZERO, ..PoolConfig::default() };
    let pool = Pool::new(config).unwrap();
    let thread = pool.start_worker(0).unwrap();
    (pool, thread)
}

/// A flow without anybody.
pub fn flow(pool: &Pool) -> Flow {
    pool.open(Owner { key: 0, events: Arc::new(|_, _| ()) }, FlowSpec::default()).unwrap()
}

/// Somebody on a side of a flow.
pub fn caller(flow: &Flow, side: Side, payload: Payload) -> Caller {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let remote = Remote {
        rtp: socket.local_addr().unwrap(),
        rtcp: None,
        rtcp_mux: true,
        behind_nat: false,
        receive: true,
        send: true,
        payloads: [payload].into_iter().collect(),
        ptime_ms: 20,
        max_ptime_ms: 0,
        reports: Wanted::default(),
        opus_dtx: false,
        told_keys: false,
        secure: None,
        dtls: None,
        ice: None,
    };
    flow.connect(side, remote).unwrap();
    (socket, flow.local(side), payload)
}

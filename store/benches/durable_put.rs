//! Prints what a durable binding costs: CPU of all threads of this process and wall time per binding, for groups of
//! 1, 16, 64 and 256 writes behind one flush, over a table of bindings that is refreshed at random.
//!
//! `cargo bench -p store --bench durable_put -- [bindings] [milliseconds a row]`

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::engine::{Engine, MemoryEngine};
use store::{Binding, Store, StoreConfig, StoreError, wait};

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let bindings = numbers.next().unwrap_or(20_000);
    let row = Duration::from_millis(numbers.next().unwrap_or(2000));
    println!("{bindings} bindings; us per durable refresh");
    println!("engine  group  CPU us  wall us  bytes on disk a binding");
    for group in [1, 16, 64, 256] {
        let memory: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        measure("memory", StoreConfig::given(memory), bindings, group, row);
    }
    for group in [1, 16, 64, 256] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let config = StoreConfig::sled(folder.path());
        measure("sled", config, bindings, group, row);
    }
}

type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

fn measure(name: &str, mut config: StoreConfig, bindings: u64, group: usize, row: Duration) {
    config.group_writes_max = group;
    // A full group ends the window, so that each flush carries exactly `group` writes.
    config.group_window = Duration::from_millis(100);
    let (store, _) = Store::open(config).unwrap();
    let writer = store.start_writer().unwrap();
    let locations = store.locations();
    let write = |binding: &Binding, reply: Reply| {
        locations.update(&binding.aor, &[], std::slice::from_ref(binding), reply);
    };
    // Every binding is there before the clock starts.
    for user in 0..bindings {
        let binding = binding(user, 1);
        if user % 1024 == 1023 || user + 1 == bindings {
            wait(|reply| write(&binding, reply)).unwrap();
        } else {
            write(&binding, Box::new(|outcome| outcome.unwrap()));
        }
    }
    let (cpu, begun) = (cpu_ns(), Instant::now());
    let (mut written, mut random) = (0u64, 1u64);
    while begun.elapsed() < row {
        // Each round's last write is waited for; it is the last of its group.
        for place in 0..group {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let binding = binding((random >> 33) % bindings, written);
            if place + 1 == group {
                wait(|reply| write(&binding, reply)).unwrap();
            } else {
                write(&binding, Box::new(|outcome| outcome.unwrap()));
            }
            written += 1;
        }
    }
    let per = |ns: u128| ns as f64 / 1000.0 / written as f64;
    let (cpu, wall) = (per(u128::from(cpu_ns() - cpu)), per(begun.elapsed().as_nanos()));
    let disk = store.health().bytes_on_disk / bindings;
    println!("{name:6}  {group:5}  {cpu:6.1}  {wall:7.1}  {disk}");
    store.shutdown().unwrap();
    let _ = writer.join();
}

fn binding(user: u64, refresh: u64) -> Binding {
    Binding {
        aor: format!("sip:user{user}@example.com"),
        contact: format!("sip:user{user}@192.0.2.7:5060;transport=udp;ob"),
        received: "udp:192.0.2.7:5060".into(),
        q_milli: 1000,
        expires_at_ms: 1_700_000_000_000 + i64::try_from(refresh).unwrap(),
        call_id: format!("{user:08x}-a84b4c76e66710@192.0.2.7"),
        cseq: u32::try_from(refresh % (1 << 31)).unwrap(),
        user_agent: "phone/1.0".into(),
        ..Binding::default()
    }
}

/// CPU time of all threads, live ones from the scheduler, in nanoseconds.
fn cpu_ns() -> u64 {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

//! What the kernel says about a process.

use std::fs;

/// What a process has used so far.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// Nanoseconds on a core, all threads, user and system.
    pub cpu_ns: u64,
    /// Times that a thread of it went to sleep.
    pub sleeps: u64,
}

/// Adds up what all threads of a process have used.
pub fn usage(pid: u32) -> Usage {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that runs");
    let mut sum = Usage::default();
    for thread in threads.flatten() {
        // Not the ticks of `stat`: this is exact (kernel documentation, "Scheduler Statistics").
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        sum.cpu_ns += schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum.sleeps += sleeps.and_then(|field| field.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

/// Memory of a process without what it shares, in bytes.
pub fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process that runs");
    let field = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a sum");
    field.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

//! Workers and cores; alone in its process, so that every thread with a worker's name is one of these.

mod common;

use common::*;
use media::PoolConfig;
use std::collections::BTreeSet;
use std::fs;

/// Where the threads of workers may run, as the kernel lists it.
fn places() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let worker =
        |path: &std::path::PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|it| it.starts_with("rtp-"));
    tasks.filter(worker).filter_map(|path| allowed(&path.join("status"))).collect()
}

fn allowed(status: &std::path::Path) -> Option<String> {
    let text = fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_owned())
}

#[test]
fn with_a_worker_a_core_each_keeps_to_its_own_and_with_fewer_the_scheduler_chooses() {
    let ours = allowed("/proc/self/status".as_ref()).unwrap();
    let (pool, threads) = running(PoolConfig { workers: 0, ..config() });
    let cores = pool.worker_count();
    assert_eq!(cores, std::thread::available_parallelism().unwrap().get());
    let own = || places().into_iter().filter(|place| place.parse::<usize>().is_ok()).collect::<BTreeSet<_>>();
    until(|| places().len() == cores && own().len() == cores);

    drop(pool);
    for thread in threads {
        thread.join();
    }
    if cores > 1 {
        let (pool, _threads) = running(config());
        settle(&pool, &open(&pool).0);
        assert_eq!(places(), [ours]);
    }
}

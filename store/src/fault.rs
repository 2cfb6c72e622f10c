//! A fault on purpose: a disk that has become slow.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The most that a sync may be made longer.
pub const SLOW_DISK_MAX: Duration = Duration::from_secs(60);

static SLOWER_MS: AtomicU64 = AtomicU64::new(0);

/// Makes each sync of this process's stores longer by so much, [`SLOW_DISK_MAX`] at most; zero ends it.
pub fn slow_disk(by: Duration) {
    SLOWER_MS.store(u64::try_from(by.min(SLOW_DISK_MAX).as_millis()).unwrap_or(0), Relaxed);
}

/// What a sync takes longer at present.
pub(crate) fn wait_for_disk() {
    let slower_ms = SLOWER_MS.load(Relaxed);
    if slower_ms > 0 {
        std::thread::sleep(Duration::from_millis(slower_ms));
    }
}

//! The hands of the end-to-end tests: the real program on free ports, real phones, SIPp, and raw sockets for what a
//! proper phone would never send.
//!
//! Everything here waits with a deadline and cleans up when it is dropped; what went wrong is told with the tail of the
//! logs of those who took part. The tests run the built program, so they see what an operator sees.

// Each test file takes from here what it needs.
#![allow(dead_code)]

pub mod agent;
pub mod aiortc;
pub mod baresip;
pub mod browser;
pub mod carrier;
pub mod config;
pub mod disk;
pub mod dns;
pub mod house;
pub mod line;
pub mod party;
pub mod phone;
pub mod ports;
pub mod sipp;
pub mod smtp;
pub mod switch;
pub mod talk;
pub mod tone;
pub mod voices;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything on one machine may take before the test calls it missing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 60;

/// How often a state that nothing announces (a file's appearance, a process's end) is looked at again.
const LOOK_MS: u64 = 10;

/// Looks until `look` finds something, or until the deadline.
///
/// Only for states that nothing announces: a file that another process writes, a process that ends.
pub fn until<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
}

/// The last lines of a log file.
pub fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A path inside the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

//! What the system asks of the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a signal, by the habit of shells: 128 and its number.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// What was asked.
pub enum Asked {
    /// To stop: Ctrl-C or SIGTERM. The exit code is for a process that cannot wait.
    Stop(u8),
    /// To read certificates again: SIGHUP.
    Reload,
}

/// The signals that the program hears.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// The system gives no handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop(INTERRUPTED),
            _ = self.terminate.recv() => Asked::Stop(TERMINATED),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// The next one that asks to stop, with its exit code.
    pub async fn stop(&mut self) -> u8 {
        loop {
            if let Asked::Stop(code) = self.next().await {
                return code;
            }
        }
    }
}

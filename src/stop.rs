//! How a stop is asked for: by an operator's drain.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The button; cheap to clone.
#[derive(Clone)]
pub struct Drain(watch::Sender<Option<Instant>>);

impl Drain {
    /// A button that nobody has pressed.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Asks for a stop: calls have until `within` from now to end by themselves. Asking again moves the deadline.
    pub fn ask(&self, within: Duration) {
        self.0.send_replace(Some(Instant::now() + within));
    }

    /// By when calls are ended; none before a drain.
    pub fn deadline(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        // The sender is `self`, so this cannot fail while it is awaited.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

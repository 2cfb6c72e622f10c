//! Two offers at once (RFC 3261 sections 14.1 and 14.2, RFC 3311 section 5.2).

use std::time::Duration;

/// Steps of the wait after 491, in ms (section 14.1).
const STEP_MS: u32 = 10;

/// The offers that are open in a dialog, by INVITE or UPDATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// We have sent one and have no answer yet.
    pub ours: bool,
    /// The peer has sent one that we have not answered yet.
    pub theirs: bool,
}

/// Why an offer of the peer cannot be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Ours is open: answered 491.
    #[error("our offer is open: 491")]
    Glare,
    /// An earlier one of the peer is open: answered 500 with Retry-After of 0 to 10 s.
    #[error("an earlier offer of the peer is open: 500 with Retry-After")]
    Overlap,
}

impl Offers {
    /// Whether an offer of the peer may be taken.
    ///
    /// # Errors
    /// [`Conflict`]
    pub const fn check_incoming(self) -> Result<(), Conflict> {
        match self {
            Self { theirs: true, .. } => Err(Conflict::Overlap),
            Self { ours: true, .. } => Err(Conflict::Glare),
            _ => Ok(()),
        }
    }

    /// Whether we may send an offer.
    pub const fn may_offer(self) -> bool {
        !self.ours && !self.theirs
    }
}

/// How long to wait after a 491: 2.1 to 4 s for the side that chose the Call-ID, 0 to 2 s for the other, in steps of
/// 10 ms. `random` is any number.
pub fn retry_after(owns_call_id: bool, random: u32) -> Duration {
    let (from_ms, to_ms) = if owns_call_id { (2_100, 4_000) } else { (0, 2_000) };
    let steps = (to_ms - from_ms) / STEP_MS + 1;
    Duration::from_millis(u64::from(from_ms + random % steps * STEP_MS))
}

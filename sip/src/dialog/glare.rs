//! How long to wait when two offers have crossed (RFC 3261 section 14.1). Which of them is refused, and how, says
//! [`crate::sdp::OfferAnswer`].

use std::time::Duration;

/// Steps of the wait after 491, in ms (section 14.1).
const STEP_MS: u32 = 10;

/// How long to wait after a 491: 2.1 to 4 s for the side that chose the Call-ID, 0 to 2 s for the other, in steps of
/// 10 ms. `random` is any number.
pub fn retry_after(owns_call_id: bool, random: u32) -> Duration {
    let (from_ms, to_ms) = if owns_call_id { (2_100, 4_000) } else { (0, 2_000) };
    let steps = (to_ms - from_ms) / STEP_MS + 1;
    Duration::from_millis(u64::from(from_ms + random % steps * STEP_MS))
}

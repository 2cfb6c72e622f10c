//! Every timer of a transaction, with the section that rules it.

use std::time::Duration;

/// T1: estimate of a round trip, in ms (RFC 3261 section 17.1.1.1).
pub const T1_MS: u64 = 500;
/// T2: longest interval between retransmissions of non-INVITE requests and INVITE responses, in ms (section 17.1.2.2).
pub const T2_MS: u64 = 4_000;
/// T4: longest time that a message stays in the network, in ms (section 17.1.2.2).
pub const T4_MS: u64 = 5_000;
/// Timer D: how long an answered INVITE absorbs its final response again over UDP, in ms (section 17.1.1.2: at least).
pub const D_MS: u64 = 32_000;
/// How long the user may be silent about an INVITE before the layer answers 100, in ms (section 17.2.1).
pub const TRYING_MS: u64 = 200;
/// Timers B, F, H, J, L and M in multiples of T1 (sections 17.1.1.2, 17.1.2.2, 17.2.1, 17.2.2; RFC 6026 section 7).
pub const LIFE_IN_T1: u32 = 64;

/// The timers of a layer; only T1 is to be chosen (section 17.1.1.1: larger on links with a long round trip).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    t1: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self::new(Duration::from_millis(T1_MS))
    }
}

impl Timers {
    /// Timers for round trips of about `t1`.
    pub const fn new(t1: Duration) -> Self {
        Self { t1 }
    }

    /// First interval of timers A, E and G, and of a 2xx.
    pub const fn t1(self) -> Duration {
        self.t1
    }

    /// Bound of timers E and G and of the retransmission of a 2xx.
    pub fn t2(self) -> Duration {
        Duration::from_millis(T2_MS).max(self.t1)
    }

    /// The interval after `interval`, doubled up to T2.
    pub fn doubled(self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2())
    }

    /// Timers B, F, H, L and M, and the wait for a final response after CANCEL (section 9.1).
    pub const fn life(self) -> Duration {
        self.t1.saturating_mul(LIFE_IN_T1)
    }

    /// Timer J: how long a non-INVITE server absorbs retransmissions (section 17.2.2).
    pub const fn j(self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.life() }
    }

    /// Timer D: how long an INVITE client absorbs its final response (section 17.1.1.2).
    pub const fn d(self, reliable: bool) -> Duration {
        Duration::from_millis(if reliable { 0 } else { D_MS })
    }

    /// Timers I and K: how long retransmissions of an ACK or of a final response are absorbed (sections 17.2.1, 17.1.2.2).
    pub const fn t4(self, reliable: bool) -> Duration {
        Duration::from_millis(if reliable { 0 } else { T4_MS })
    }
}

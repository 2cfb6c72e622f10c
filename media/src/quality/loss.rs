//! Which packets of a stream were lost, and how their losses lie together (RFC 3611 section 4.7.2).

/// Packets received between two losses that make them losses of two periods (RFC 3611 section 4.7.2).
pub const GMIN: u64 = 16;

/// The losses of a stream so far. Packets are told in the order of their sequence numbers, once it is known what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossPattern {
    /// Packets told of.
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    /// Losses without a received packet between them count as one run.
    pub(crate) runs: u64,
    /// Bursts that are over, with the packets between their first and last loss, and the losses among them.
    pub(crate) bursts: u64,
    pub(crate) burst_packets: u64,
    pub(crate) burst_lost: u64,
    /// The losses that a further one would belong to, and the packets between the first and the last of them.
    pub(crate) open_lost: u64,
    pub(crate) open_packets: u64,
    /// [`Self::expected`] after the last loss.
    pub(crate) clear_from: u64,
}

/// What the losses of a stream come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Packets that were sent, as far as the numbers of those that came tell.
    pub expected: u64,
    /// Packets that never came, or more than 63 places late.
    pub lost: u64,
    /// Runs of losses without a received packet between them.
    pub runs: u64,
    /// Bursts: periods that begin and end with a loss, with fewer than [`GMIN`] packets received in a row. A loss that has
    /// [`GMIN`] received packets on either side is none.
    pub bursts: u64,
    /// Packets of all bursts, received and lost.
    pub burst_packets: u64,
    /// Losses in bursts.
    pub burst_lost: u64,
}

impl LossPattern {
    /// The next `count` packets have come.
    #[inline]
    pub fn received(&mut self, count: u64) {
        self.expected += count;
    }

    /// The next `count` packets have not.
    pub fn lost(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let between = self.expected.saturating_sub(self.clear_from);
        if self.open_lost > 0 && between < GMIN {
            self.open_packets += between;
            self.runs += u64::from(between > 0);
        } else {
            self.close();
            self.runs += 1;
        }
        self.open_packets += count;
        self.open_lost += count;
        self.expected += count;
        self.lost += count;
        self.clear_from = self.expected;
    }

    /// The next `places` packets: bit n of `window` says whether the one before the last n has come.
    pub fn window(&mut self, window: u64, places: u8) {
        for place in (0..places.min(64)).rev() {
            if window >> place & 1 == 1 {
                self.received(1);
            } else {
                self.lost(1);
            }
        }
    }

    /// What it comes to if nothing follows.
    pub fn losses(mut self) -> Losses {
        self.close();
        let LossPattern { expected, lost, runs, bursts, burst_packets, burst_lost, .. } = self;
        Losses { expected, lost, runs, bursts, burst_packets, burst_lost }
    }

    fn close(&mut self) {
        // One alone is a loss of the gap.
        if self.open_lost > 1 {
            self.bursts += 1;
            self.burst_packets += self.open_packets;
            self.burst_lost += self.open_lost;
        }
        (self.open_lost, self.open_packets) = (0, 0);
    }
}

impl Losses {
    /// Lost of expected, 0 to 1.
    pub fn ratio(&self) -> f64 {
        part(self.lost, self.expected)
    }

    /// Lost of the packets in bursts, 0 to 1; 0 without bursts.
    pub fn burst_density(&self) -> f64 {
        part(self.burst_lost, self.burst_packets)
    }

    /// Lost of the packets outside of bursts, 0 to 1.
    pub fn gap_density(&self) -> f64 {
        part(self.lost.saturating_sub(self.burst_lost), self.expected.saturating_sub(self.burst_packets))
    }

    /// Packets of a burst on average; 0 without bursts.
    pub fn burst_length(&self) -> f64 {
        part(self.burst_packets, self.bursts)
    }

    /// Packets of a gap on average: what lies before, between and behind the bursts.
    pub fn gap_length(&self) -> f64 {
        part(self.expected.saturating_sub(self.burst_packets), self.bursts + 1)
    }

    /// The burst ratio of ITU-T G.107 section 3.5: how long the losses run on average, to how long they would run if each packet
    /// was lost by chance, which is 1 / (1 − loss). Losses that lie further apart than by chance are taken as chance: at least 1.
    pub fn burst_ratio(&self) -> f64 {
        if self.runs == 0 {
            return 1.0;
        }
        (part(self.lost, self.runs) * (1.0 - self.ratio())).max(1.0)
    }
}

fn part(of: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { of as f64 / whole as f64 }
}

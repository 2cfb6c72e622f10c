//! A network of two ends in a struct: it delays, loses, duplicates and reorders, and does so again from the same seed.

use super::ms;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug)]
pub struct Network {
    pub now: Duration,
    pub latency_ms: u64,
    /// Added to each packet at random: what reorders.
    pub jitter_ms: u64,
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    pub random: Random,
    pub sent: u64,
    flying: BinaryHeap<Reverse<(Duration, u64, bool, Bytes)>>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            latency_ms: 10,
            jitter_ms: 0,
            loss_percent: 0,
            duplicate_percent: 0,
            random: Random(seed),
            sent: 0,
            flying: BinaryHeap::new(),
        }
    }

    /// A network whose faults are drawn from the seed.
    pub fn bad(seed: u64) -> Self {
        let mut network = Self::new(seed);
        network.latency_ms = network.random.below(300);
        network.jitter_ms = network.random.below(900);
        network.loss_percent = network.random.below(45);
        network.duplicate_percent = network.random.below(30);
        network
    }

    pub fn send(&mut self, to_callee: bool, bytes: Bytes) {
        let copies = 1 + u64::from(self.random.percent(self.duplicate_percent));
        for _ in 0..copies {
            let delay = self.latency_ms + self.random.below(self.jitter_ms + 1);
            if !self.random.percent(self.loss_percent) {
                self.sent += 1;
                let at = self.now + ms(delay);
                self.flying.push(Reverse((at, self.sent, to_callee, bytes.clone())));
            }
        }
    }

    pub fn next_arrival(&self) -> Option<Duration> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    /// What has arrived by now: whether it is for the callee, and the bytes.
    pub fn arrived(&mut self) -> Option<(bool, Bytes)> {
        if self.next_arrival()? > self.now {
            return None;
        }
        self.flying.pop().map(|Reverse((_, _, to_callee, bytes))| (to_callee, bytes))
    }
}

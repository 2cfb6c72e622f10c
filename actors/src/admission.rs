//! Admission: what one source may ask of the switch, so that a flood meets 503 and flat memory (design law 6).
//!
//! The buckets are read on the way of every request, so they are a table of the shard's core; this actor owns it: it
//! sweeps, counts and reports, and a fresh one takes over the same table.

use ahash::AHashMap;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::settings::AdmissionSettings;
use crate::supervision::{Cx, Live};

/// How often idle sources are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// Token buckets by source address.
#[derive(Debug)]
pub struct Buckets {
    rate: u32,
    burst: u32,
    sources_max: usize,
    table: AHashMap<IpAddr, Bucket>,
    refused: u64,
}

#[derive(Debug)]
struct Bucket {
    tokens_milli: u64,
    at_ms: u64,
}

impl Buckets {
    /// Empty buckets by these settings.
    pub fn new(settings: &AdmissionSettings) -> Self {
        Self {
            rate: settings.per_source_rate,
            burst: settings.per_source_burst,
            sources_max: settings.sources_max,
            table: AHashMap::new(),
            refused: 0,
        }
    }

    /// Takes a token of `source`; false when it has none, or when more sources ask than are remembered: then it is the
    /// newcomers that wait, not those who are known.
    pub fn admit(&mut self, source: IpAddr, now: Duration) -> bool {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let full = u64::from(self.burst) * 1000;
        if !self.table.contains_key(&source) && self.table.len() >= self.sources_max {
            self.sweep(now);
            if self.table.len() >= self.sources_max {
                self.refused += 1;
                return false;
            }
        }
        let bucket = self.table.entry(source).or_insert(Bucket { tokens_milli: full, at_ms: now_ms });
        let grown = now_ms.saturating_sub(bucket.at_ms).saturating_mul(u64::from(self.rate));
        bucket.tokens_milli = bucket.tokens_milli.saturating_add(grown).min(full);
        bucket.at_ms = now_ms;
        if bucket.tokens_milli < 1000 {
            self.refused += 1;
            return false;
        }
        bucket.tokens_milli -= 1000;
        true
    }

    /// Forgets sources whose bucket is full again: a new one would be the same.
    pub fn sweep(&mut self, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let (rate, full) = (u64::from(self.rate), u64::from(self.burst) * 1000);
        self.table
            .retain(|_, b| b.tokens_milli.saturating_add(now_ms.saturating_sub(b.at_ms).saturating_mul(rate)) < full);
    }

    /// Sources remembered and requests refused so far.
    pub fn counts(&self) -> (usize, u64) {
        (self.table.len(), self.refused)
    }
}

/// The actor that looks after the buckets of a shard.
pub struct Admission {
    buckets: Rc<RefCell<Buckets>>,
    clock: tokio::time::Instant,
}

impl Admission {
    /// Looks after `buckets`, whose times count from `clock`.
    pub fn new(buckets: Rc<RefCell<Buckets>>, clock: tokio::time::Instant) -> Self {
        Self { buckets, clock }
    }

    fn again(&mut self, cx: &mut Cx<'_, Self>) {
        cx.later(SWEEP, |this, cx| {
            this.buckets.borrow_mut().sweep(this.clock.elapsed());
            this.again(cx);
        });
    }
}

impl Live for Admission {
    type Msg = ();
    const KIND: &'static str = "admission";
    const MAILBOX: usize = 16;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.again(cx);
    }

    fn handle(&mut self, (): (), _: &mut Cx<'_, Self>) {}

    fn describe(&self) -> String {
        let (sources, refused) = self.buckets.borrow().counts();
        format!("{sources} sources, {refused} requests refused")
    }
}

//! The actor that does what is due from time to time: figures for the metrics, and the bound on call records.

use std::sync::Arc;
use std::time::Duration;

use actors::shared::Shared;
use actors::supervision::{Cx, Live};
use metrics_exporter_prometheus::PrometheusHandle;

/// Between two looks at the gauges.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the number of call records.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// The store removes a thousand pages in one go, of one record at least: when that many went there may be more to do.
const PRUNED_AT_ONCE: u64 = 1_024;

/// What housekeeping hears.
pub enum HousekeepingMsg {
    /// This many call records were removed.
    Pruned(u64),
}

/// See the module.
pub struct Housekeeping {
    shared: Arc<Shared>,
    metrics: PrometheusHandle,
    records_max: u64,
    pruned: u64,
}

impl Housekeeping {
    /// Keeps the house of `shared`, with at most `records_max` call records.
    pub fn new(shared: Arc<Shared>, metrics: PrometheusHandle, records_max: u64) -> Self {
        Self { shared, metrics, records_max, pruned: 0 }
    }

    fn publish(&mut self, cx: &mut Cx<'_, Self>) {
        self.shared.publish();
        // Histograms keep every sample until somebody folds them.
        self.metrics.run_upkeep();
        cx.later(PUBLISH_EVERY, Self::publish);
    }

    /// One prune at a time: the next one is planned when the last one is answered.
    fn prune(&mut self, cx: &mut Cx<'_, Self>) {
        let (calls, records_max) = (self.shared.store.calls(), self.records_max);
        if calls.count() <= records_max {
            cx.later(PRUNE_EVERY, Self::prune);
            return;
        }
        let me = cx.me();
        let reply = move |result: Result<u64, _>| {
            let removed = result.unwrap_or_else(|error| {
                tracing::warn!(%error, "old call records could not be removed");
                0
            });
            // One answer for one question.
            me.send_reply(HousekeepingMsg::Pruned(removed));
        };
        // It reads a thousand records first, which is more than an arbiter should wait for.
        let pruning = tokio::task::spawn_blocking(move || calls.prune(records_max, 0, reply));
        cx.spawn(pruning, |_, done, cx| {
            // It answers, unless it panicked.
            if done.is_err() {
                cx.later(PRUNE_EVERY, Self::prune);
            }
        });
    }
}

impl Live for Housekeeping {
    type Msg = HousekeepingMsg;
    const KIND: &'static str = "housekeeping";
    const MAILBOX: usize = 4;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.publish(cx);
        self.prune(cx);
    }

    fn handle(&mut self, HousekeepingMsg::Pruned(removed): HousekeepingMsg, cx: &mut Cx<'_, Self>) {
        self.pruned = self.pruned.saturating_add(removed);
        if removed >= PRUNED_AT_ONCE {
            self.prune(cx);
        } else {
            cx.later(PRUNE_EVERY, Self::prune);
        }
    }

    fn describe(&self) -> String {
        format!("{} old call records removed", self.pruned)
    }
}

//! What a switch says of itself, look after look.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use crate::admin_client::{AdminClient, Call, TreeNode};

/// Looks of which the curves are drawn.
const CURVE: usize = 240;

/// The looks so far.
#[derive(Default)]
pub struct Looks {
    /// What the switch said last.
    pub now: Look,
    before: Option<(Instant, Totals)>,
    /// What happened in a second, between the last two looks.
    pub rates: Totals,
    /// Calls that were up, oldest first.
    pub calls_curve: VecDeque<u64>,
    /// Calls begun in a second, oldest first.
    pub rate_curve: VecDeque<u64>,
    /// Why the last look failed.
    pub trouble: Option<String>,
}

/// One look.
#[derive(Default)]
pub struct Look {
    /// Node, state, loads.
    pub status: Status,
    /// The calls that are up.
    pub calls: Vec<Call>,
    /// Actors that were restarted, or are not running.
    pub marked: Vec<TreeNode>,
    /// All actors.
    pub actors: usize,
}

/// What only grows, and so makes a rate.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    /// Calls begun.
    pub begun: f64,
    /// Calls answered.
    pub answered: f64,
    /// Registrations.
    pub registrations: f64,
    /// SIP messages in and out.
    pub messages: f64,
    /// RTP packets in and out.
    pub packets: f64,
    /// Seconds that the RTP workers were busy.
    pub busy: f64,
}

/// `GET /api/status`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// `ready`, `impaired`, `draining`.
    pub state: String,
    /// Why it is impaired.
    pub reasons: Vec<String>,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Calls that are up.
    pub calls: u64,
    /// Addresses of record with a contact.
    pub registered: u64,
    /// Of each shard.
    pub shards: Vec<Shard>,
    /// Of each RTP worker.
    pub media: Vec<Worker>,
    /// The store.
    pub store: Store,
}

/// A shard.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Shard {
    /// Its number.
    pub shard: usize,
    /// What lives in it; nothing where it did not answer.
    pub load: Option<Load>,
}

/// What lives in a shard.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Calls.
    pub calls: u64,
    /// Dialogs.
    pub dialogs: u64,
    /// Transactions.
    pub transactions: u64,
    /// Timers.
    pub timers: u64,
}

/// An RTP worker.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its number.
    pub worker: usize,
    /// Whether its thread runs.
    pub running: bool,
    /// Flows.
    pub flows: u64,
    /// Packets received since it began.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// How often it was replaced.
    pub restarts: u64,
}

/// The store.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Store {
    /// Writes that wait.
    pub queue_depth: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Bytes on disk.
    pub bytes_on_disk: u64,
    /// Call records.
    pub calls: u64,
}

impl Looks {
    /// Looks once more.
    ///
    /// # Errors
    /// The switch does not answer.
    pub fn look(&mut self, client: &AdminClient) -> anyhow::Result<()> {
        let part = |answer: Value, name: &str| answer.get(name).cloned().unwrap_or_default();
        let status: Status = serde_json::from_value(client.status()?)?;
        let calls: Vec<Call> = serde_json::from_value(part(client.calls()?, "calls"))?;
        let nodes: Vec<TreeNode> = serde_json::from_value(part(client.tree()?, "nodes"))?;
        let totals = Totals::of(&client.metrics()?);
        let now = Instant::now();
        if let Some((then, before)) = self.before {
            self.rates = totals.since(before, now.duration_since(then).as_secs_f64());
        }
        self.before = Some((now, totals));
        for (curve, value) in [(&mut self.calls_curve, status.calls), (&mut self.rate_curve, rounded(self.rates.begun))]
        {
            curve.push_back(value);
            if curve.len() > CURVE {
                curve.pop_front();
            }
        }
        let actors = nodes.len();
        let mut marked: Vec<TreeNode> =
            nodes.into_iter().filter(|node| node.restarts > 0 || node.state != "running").collect();
        marked.sort_by_key(|node| std::cmp::Reverse(node.restarts));
        self.now = Look { status, calls, marked, actors };
        self.trouble = None;
        Ok(())
    }

    /// The switch did not answer; what it said before stays in the picture.
    pub fn lost(&mut self, error: &anyhow::Error) {
        self.trouble = Some(format!("{error:#}"));
        self.before = None;
    }
}

impl Totals {
    /// Sums over labels of what `/metrics` says.
    fn of(metrics: &str) -> Self {
        let sum = |name: &str| -> f64 {
            let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
            let values = lines.filter(|rest| rest.starts_with(['{', ' '])).filter_map(|rest| rest.rsplit(' ').next());
            values.filter_map(|value| value.parse::<f64>().ok()).sum()
        };
        Self {
            begun: sum("strowger_calls_begun_total"),
            answered: sum("strowger_calls_answered_total"),
            registrations: sum("strowger_registrations_total"),
            messages: sum("strowger_wire_messages_total"),
            packets: sum("strowger_media_packets_total"),
            busy: sum("strowger_media_busy_seconds"),
        }
    }

    /// In a second. A switch that began anew has no rate yet.
    fn since(self, before: Self, seconds: f64) -> Self {
        let rate = |now: f64, before: f64| ((now - before) / seconds.max(0.001)).max(0.0);
        Self {
            begun: rate(self.begun, before.begun),
            answered: rate(self.answered, before.answered),
            registrations: rate(self.registrations, before.registrations),
            messages: rate(self.messages, before.messages),
            packets: rate(self.packets, before.packets),
            busy: rate(self.busy, before.busy),
        }
    }
}

/// A rate as a whole number, for a curve.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // never below 0, and no rate comes near 2^53
fn rounded(rate: f64) -> u64 {
    rate.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_their_labels_and_no_longer_name_is_taken_for_them() {
        let metrics = "# HELP strowger_media_packets_total x\nstrowger_media_packets_total{worker=\"0\"} 3\n\
                       strowger_media_packets_total{worker=\"1\"} 4\nstrowger_calls_begun_total 2\n\
                       strowger_calls_begun_total_more 9\n";
        let totals = Totals::of(metrics);
        assert!((totals.packets - 7.0).abs() < 1e-9 && (totals.begun - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_switch_that_began_anew_has_no_negative_rate() {
        let before = Totals { begun: 10.0, ..Totals::default() };
        assert!(Totals::default().since(before, 1.0).begun.abs() < 1e-9);
    }
}

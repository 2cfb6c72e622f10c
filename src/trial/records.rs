//! What the switch itself has written down of a step's calls: how long callers waited, what sound was like, and ladders.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::ground::Started;
use super::verdict::Happened;
use crate::ladder::{Ladder, Record};

/// Ladders of failed calls that are kept.
pub const LADDERS_MAX: usize = 5;
/// How long the call records of a step may be on their way to the store.
const RECORDS_WITHIN: Duration = Duration::from_millis(600);
/// Call records that are read of a step.
const RECORDS_MAX: usize = 1_000;
const POLL: Duration = Duration::from_millis(10);

/// What a stream was like, when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StreamPoint {
    /// Seconds since the step began.
    pub at_s: f64,
    /// Packets lost, percent.
    pub loss_percent: f64,
    /// Interarrival jitter, ms (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Mean opinion score (ITU-T G.107); none where the codec is not rated.
    pub mos: Option<f64>,
}

/// The calls of a step that have ended: those after the record `since`, when it began.
pub fn ended(started: &Started, since: Option<&str>, wanted: u64) -> Vec<Value> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(RECORDS_MAX);
    let began = Instant::now();
    loop {
        let answer = started.client().ended_calls(RECORDS_MAX).unwrap_or(Value::Null);
        let calls = answer.get("calls").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_of_step = |call: &Value| since.is_none() || call.get("id").and_then(Value::as_str) != since;
        let of_step: Vec<Value> = calls.into_iter().take_while(is_of_step).collect();
        if of_step.len() >= wanted || began.elapsed() > RECORDS_WITHIN {
            return of_step;
        }
        thread::sleep(POLL);
    }
}

/// ms from a call's INVITE to its answer.
pub fn delay_ms(call: &Value) -> Option<f64> {
    let at = |key: &str| call.get(key)?.as_str()?.parse::<Timestamp>().ok();
    Some((at("answered")? - at("started")?).total(jiff::Unit::Millisecond).unwrap_or(0.0))
}

/// What came from each end of a call, where it sent sound.
pub fn streams(call: &Value, began: Timestamp) -> Vec<StreamPoint> {
    let ended = call.get("ended").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
    let Some(ended) = ended else { return Vec::new() };
    let at_s = (ended - began).total(jiff::Unit::Second).unwrap_or(0.0).max(0.0);
    let stream = |key: &str| {
        let media = call.get(key)?;
        let number = |key: &str| media.get(key).and_then(Value::as_f64);
        let (packets, lost) = (number("packets")?, number("lost")?);
        (packets > 0.0).then(|| StreamPoint {
            at_s,
            loss_percent: 100.0 * lost / (packets + lost),
            jitter_ms: number("jitter_ms").unwrap_or(0.0),
            mos: number("mos"),
        })
    };
    ["media_a", "media_b"].into_iter().filter_map(stream).collect()
}

/// The ladders of these calls, as pictures, with the faults that came meanwhile.
pub fn ladders(started: &Started, call_ids: &[String], faults: &[Happened]) -> Vec<String> {
    let picture = |id: &String| -> Option<String> {
        let record: Record = serde_json::from_value(started.client().record(id).ok()?).ok()?;
        let mut ladder = Ladder::of(&record)?;
        let began = record.started()?;
        for fault in faults {
            let at_ms = (fault.at - began).total(jiff::Unit::Millisecond).unwrap_or(-1.0);
            ladder.break_at(at_ms, &fault.what);
        }
        Some(crate::ladder::svg::draw(&ladder))
    };
    call_ids.iter().filter_map(picture).take(LADDERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_the_delay_and_what_each_end_sent() {
        let call = serde_json::json!({
            "started": "2026-11-25T12:00:01Z", "answered": "2026-11-25T12:00:01.250Z", "ended": "2026-11-25T12:00:03Z",
            "media_a": { "packets": 90, "lost": 10, "jitter_ms": 2.5, "mos": 3.9 },
            "media_b": { "packets": 0, "lost": 0, "jitter_ms": 0.0, "mos": null },
        });
        let point = StreamPoint { at_s: 3.0, loss_percent: 10.0, jitter_ms: 2.5, mos: Some(3.9) };
        assert_eq!(delay_ms(&call), Some(250.0));
        assert_eq!(streams(&call, "2026-11-25T12:00:00Z".parse().unwrap()), [point]);
    }
}

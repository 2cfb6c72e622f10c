//! What must hold of a step, and whether it did.

use std::time::Duration;

use serde::Serialize;

use super::plan::Step;
use super::records::StreamPoint;
use super::replay::Replayed;
use super::sipp::Figures;
use super::step::{Sample, whole};
use crate::load::Tried;

/// What a step left behind.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Why it could not be run to its end.
    pub broken: Option<String>,
    /// What this machine lacks for it.
    pub unavailable: Option<String>,
    /// What the caller counted.
    pub caller: Figures,
    /// SIPp's exit code: 0 all calls as written, 1 some not, 97 given up.
    pub caller_code: Option<i32>,
    /// What the callee counted.
    pub callee: Option<Figures>,
    /// The callee's exit code.
    pub callee_code: Option<i32>,
    /// The callee still waited when the caller was long done.
    pub callee_left: bool,
    /// What SIPp said of what went wrong.
    pub story: Option<String>,
    /// Ladders of failed calls, as SVG.
    pub ladders: Vec<String>,
    /// ms from INVITE to answer.
    pub answer_delays_ms: Vec<f64>,
    /// The same of a load, which has counted them itself.
    pub delays: Option<Delays>,
    /// What streams were like when they ended.
    pub streams: Vec<StreamPoint>,
    /// What a load came to.
    pub load: Option<Tried>,
    /// What a captured call came to.
    pub replayed: Option<Replayed>,
    /// The switch, from time to time.
    pub samples: Vec<Sample>,
    /// The faults that came.
    pub happened: Vec<Happened>,
}

/// A fault that came.
#[derive(Clone, Debug, Serialize)]
pub struct Happened {
    /// Seconds since the step began.
    pub at_s: f64,
    /// The same moment of the day.
    #[serde(skip)]
    pub at: jiff::Timestamp,
    /// In words.
    pub what: String,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All held.
    Passed,
    /// Something did not.
    Failed,
    /// What it asks cannot be seen from outside of this switch.
    NotApplicable,
}

impl Verdict {
    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::Failed => "FAIL",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A step and what came of it.
#[derive(Debug, Serialize)]
pub struct StepResult {
    /// The step's name.
    pub name: String,
    /// What it shows.
    pub purpose: String,
    /// The clause that asks for it.
    pub clause: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Each thing that did not hold.
    pub reasons: Vec<String>,
    /// Seconds that it took.
    pub lasted_s: f64,
    /// Calls that were asked for.
    pub calls: u32,
    /// What the caller counted.
    pub caller: Figures,
    /// What the callee counted.
    pub callee: Option<Figures>,
    /// What a load of our own generator came to.
    pub load: Option<Tried>,
    /// What a captured call came to.
    pub replayed: Option<Replayed>,
    /// Answer delay, ms: median, of 95 and of 99 of 100 callers, the longest.
    pub answer_delay_ms: Option<Delays>,
    /// Answer delay, ms, that so many of 100 callers did not pass: the percentile first.
    pub answer_delay_curve: Vec<(f64, f64)>,
    /// What streams were like when they ended.
    pub streams: Vec<StreamPoint>,
    /// The faults that came.
    pub faults: Vec<Happened>,
    /// The switch, from time to time.
    pub samples: Vec<Sample>,
    /// What SIPp said of what went wrong.
    pub story: Option<String>,
    /// Ladders of failed calls, as SVG.
    #[serde(skip)]
    pub ladders: Vec<String>,
}

/// Percentiles, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Delays {
    /// Half of all are no longer.
    pub p50: f64,
    /// 95 of 100 are no longer.
    pub p95: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
    /// Of so many.
    pub count: usize,
}

impl Delays {
    /// Those that a load has counted; `None` of nothing.
    pub fn of_load(delays: &crate::load::Delays) -> Option<Self> {
        let of = |percentile| delays.percentile_ms(percentile);
        let count = usize::try_from(delays.count()).ok().filter(|count| *count > 0)?;
        Some(Self { p50: of(50.0), p95: of(95.0), p99: of(99.0), max: delays.max_ms(), count })
    }

    /// By the nearest rank; `None` of nothing.
    pub fn of(delays: &[f64]) -> Option<Self> {
        let mut sorted = delays.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, max: rank(100)?, count: sorted.len() })
    }
}

/// The delays by their percentiles; nothing of nothing.
fn curve(delays: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = delays.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    (1..=100).filter_map(|percent| Some((whole(u64::try_from(percent).ok()?), rank(percent)?))).collect()
}

/// Compares what a step left behind with what must hold.
pub fn judge(step: &Step, evidence: Evidence, lasted: Duration) -> StepResult {
    let delays = evidence.delays.or_else(|| Delays::of(&evidence.answer_delays_ms));
    let curve = match &evidence.load {
        Some(tried) => tried.figures.answer_delay.curve(),
        None => curve(&evidence.answer_delays_ms),
    };
    let mut reasons: Vec<String> = evidence.broken.iter().cloned().collect();
    let Figures { created, successful, failed, retransmissions, .. } = evidence.caller;
    if evidence.broken.is_none() && evidence.unavailable.is_none() {
        let (asked, allowed) = (u64::from(step.calls), u64::from(step.expect.failed_max));
        if failed > allowed {
            reasons.extend(evidence.replayed.iter().flat_map(|replayed| replayed.differences.clone()));
            reasons.push(format!("{failed} of {created} calls failed, at most {allowed} may"));
        }
        if successful + failed.min(allowed) < asked && failed <= allowed {
            reasons.push(format!("{asked} calls were asked for, {successful} went as the scenario says"));
        }
        if evidence.caller_code == Some(97) {
            reasons.push(format!("the caller was given up after {:?}", step.timeout));
        }
        if evidence.callee_left {
            reasons.push("the callee still waited for calls when the caller was done".to_owned());
        } else if let (Some(callee), Some(code)) = (&evidence.callee, evidence.callee_code)
            && code != 0
            && callee.failed > allowed
        {
            reasons.push(format!("{} calls failed at the callee, at most {allowed} may", callee.failed));
        }
        if let Some(max) = step.expect.retransmissions_max
            && retransmissions > max
        {
            reasons.push(format!("the caller repeated {retransmissions} messages, at most {max} may be"));
        }
    }
    let mut verdict = if reasons.is_empty() { Verdict::Passed } else { Verdict::Failed };
    if let Some(unavailable) = &evidence.unavailable {
        reasons.push(unavailable.clone());
        verdict = Verdict::NotApplicable;
    } else if let Some(max) = step.expect.answer_delay_p99_max {
        match &delays {
            Some(delays) if delays.p99 > max.as_secs_f64() * 1_000.0 => {
                reasons.push(format!(
                    "99 of 100 callers waited up to {:.0} ms for their answer, {max:?} is the most",
                    delays.p99
                ));
                verdict = Verdict::Failed;
            }
            Some(_) => {}
            None if verdict == Verdict::Passed => {
                reasons.push("the answer delay cannot be seen from outside of this switch".to_owned());
                verdict = Verdict::NotApplicable;
            }
            None => {}
        }
    }
    StepResult {
        name: step.name.clone(),
        purpose: step.purpose.clone(),
        clause: step.clause.clone(),
        verdict,
        reasons,
        lasted_s: lasted.as_secs_f64(),
        calls: step.calls,
        caller: evidence.caller,
        callee: evidence.callee,
        load: evidence.load,
        replayed: evidence.replayed,
        answer_delay_ms: delays,
        answer_delay_curve: curve,
        streams: evidence.streams,
        faults: evidence.happened,
        samples: evidence.samples,
        story: evidence.story.filter(|_| verdict == Verdict::Failed),
        ladders: evidence.ladders,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(more: &str) -> Step {
        toml::from_str(&format!(
            "name = \"s\"\npurpose = \"p\"\nclause = \"c\"\ncaller = \"sn:uac\"\ncalls = 10\n{more}"
        ))
        .unwrap()
    }

    fn evidence(successful: u64, failed: u64) -> Evidence {
        let caller = Figures { created: successful + failed, successful, failed, ..Figures::default() };
        Evidence { caller, caller_code: Some(i32::from(failed > 0)), ..Evidence::default() }
    }

    fn verdict(more: &str, evidence: Evidence) -> (Verdict, Vec<String>) {
        let result = judge(&step(more), evidence, Duration::from_secs(1));
        (result.verdict, result.reasons)
    }

    #[test]
    fn a_step_passes_when_every_call_went_as_written() {
        assert_eq!(verdict("", evidence(10, 0)), (Verdict::Passed, vec![]));
    }

    #[test]
    fn one_failed_call_is_one_too_many_unless_the_plan_allows_it() {
        let told = vec!["1 of 10 calls failed, at most 0 may".to_owned()];
        assert_eq!(verdict("", evidence(9, 1)), (Verdict::Failed, told));
        assert_eq!(verdict("expect = { failed_max = 1 }", evidence(9, 1)).0, Verdict::Passed);
    }

    #[test]
    fn calls_that_never_came_about_are_missed() {
        assert_eq!(verdict("", evidence(9, 0)).0, Verdict::Failed);
        assert_eq!(verdict("expect = { failed_max = 1 }", evidence(8, 1)).0, Verdict::Failed);
    }

    #[test]
    fn a_slow_answer_fails_where_the_plan_says_how_fast_it_must_be() {
        let slow =
            Evidence { answer_delays_ms: vec![10.0; 98].into_iter().chain([500.0; 2]).collect(), ..evidence(10, 0) };
        let (verdict_of, reasons) = verdict("expect = { answer_delay_p99_max = \"200ms\" }", slow);
        assert_eq!(verdict_of, Verdict::Failed, "{reasons:?}");
        let (verdict_of, _) = verdict("expect = { answer_delay_p99_max = \"200ms\" }", evidence(10, 0));
        assert_eq!(verdict_of, Verdict::NotApplicable);
    }

    #[test]
    fn a_step_that_could_not_be_run_has_failed() {
        let broken = Evidence { broken: Some("no SIPp".into()), ..evidence(10, 0) };
        assert_eq!(verdict("", broken), (Verdict::Failed, vec!["no SIPp".to_owned()]));
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let all: Vec<f64> = (1..=200).map(f64::from).collect();
        let delays = Delays::of(&all).unwrap();
        assert_eq!((delays.p50, delays.p95, delays.p99, delays.max, delays.count), (100.0, 190.0, 198.0, 200.0, 200));
        assert_eq!(Delays::of(&[]), None);
    }
}

//! One step of a trial: the callee is registered and listens, the caller calls, faults come when they are due, and the
//! switch is looked at meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sip::Protocol;

use super::breaking;
use super::fault::{Fault, SwitchFault};
use super::ground::{Ground, Started};
use super::plan::{Scenario, Step, Transport, User};
use super::records;
use super::register::{REGISTERED_S, register};
use super::sipp::{Figures, Running, Sipp};
use super::verdict::{Evidence, Happened, StepResult, judge};
use crate::load::local_ip;

/// Between two looks at the parties.
const POLL: Duration = Duration::from_millis(10);
/// Between two samples of the switch.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// Most samples of a step; past it every second one goes.
const SAMPLES_MAX: usize = 2_400;
/// How long a callee may go on when its caller is done, and both past their own time-out.
const SLACK: Duration = Duration::from_secs(5);

/// Where a step finds its files and leaves its own.
pub struct Place<'a> {
    /// What the plan's paths count from.
    pub plan_folder: &'a Path,
    /// The step's own folder.
    pub folder: PathBuf,
}

/// The switch at a moment of a step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Seconds since the step began.
    pub at_s: f64,
    /// Calls that are up, as the switch says.
    pub calls: Option<u64>,
    /// CPU in percent of one core, since the sample before.
    pub cpu_percent: Option<f64>,
    /// Resident memory, MiB.
    pub memory_mib: Option<f64>,
    /// Calls begun in a second, since the sample before.
    pub rate: f64,
    /// What the caller repeated so far.
    pub retransmissions: u64,
}

/// Runs a step. What keeps it from running is a failure of the step.
pub fn run(step: &Step, ground: &mut Ground, place: &Place<'_>, tell: impl Fn(&str)) -> StepResult {
    let began = Instant::now();
    let mut evidence = Evidence::default();
    let done = Course { step, ground, place, tell: &tell, began, began_at: Timestamp::now() }.run(&mut evidence);
    if let Err(error) = done {
        match error.downcast_ref::<breaking::Unavailable>() {
            Some(unavailable) => evidence.unavailable = Some(unavailable.to_string()),
            None => evidence.broken = Some(format!("{error:#}")),
        }
    }
    judge(step, evidence, began.elapsed())
}

pub(super) struct Course<'a> {
    pub(super) step: &'a Step,
    pub(super) ground: &'a mut Ground,
    pub(super) place: &'a Place<'a>,
    tell: &'a dyn Fn(&str),
    pub(super) began: Instant,
    pub(super) began_at: Timestamp,
}

impl Course<'_> {
    fn run(&mut self, evidence: &mut Evidence) -> anyhow::Result<()> {
        if let Some(why) = &self.step.not_applicable {
            return Err(breaking::Unavailable::new(why.clone()).into());
        }
        if let Some(load) = self.step.load.clone() {
            return self.load(&load, evidence);
        }
        if let Some(replay) = self.step.replay.clone() {
            return self.replay(&replay, evidence);
        }
        let since = self.last_ended();
        let mut callee = match (&self.step.callee, &self.step.callee_user) {
            (Some(scenario), Some(user)) => {
                (self.tell)("registering the callee");
                Some(self.callee(scenario, user)?)
            }
            (Some(scenario), None) => Some(self.carrier(scenario)?),
            _ => None,
        };
        let registered = callee.as_ref().map(Running::port);
        let user = self.step.caller_user.as_ref();
        let scenario = self.step.caller.clone().context("a step has a caller or a load")?;
        let transport = self.step.transport;
        let caller = self.sipp(&scenario, user, &self.step.caller_arguments)?;
        let (target, at) = (self.ground.place(transport.protocol())?, self.step.caller_at);
        let caller = Sipp { target, at, transport, ..caller };
        let mut caller = caller.start(&self.folder("caller"))?;
        let watched = self.watch(&mut caller, callee.as_mut(), evidence);
        if let (Some(port), Some(user)) = (registered, &self.step.callee_user) {
            if let Some(callee) = &mut callee
                && callee.ended().is_none()
            {
                callee.stop();
            }
            self.register(user, port, 0)?;
        }
        evidence.caller = caller.figures();
        evidence.caller_code = caller.ended().and_then(|status| status.code());
        evidence.story = caller.story_of_failure(evidence.caller_code);
        if let Some(callee) = &mut callee {
            evidence.callee = Some(callee.figures());
            evidence.callee_code = callee.ended().and_then(|status| status.code());
            if let Some(story) = callee.story_of_failure(evidence.callee_code) {
                let before = evidence.story.take().map(|before| before + "\n").unwrap_or_default();
                evidence.story = Some(format!("{before}callee: {story}"));
            }
        }
        if let Ground::Started(started) = &mut *self.ground {
            started.alive()?;
            let mut ids = caller.failed_call_ids();
            ids.extend(callee.iter().flat_map(Running::failed_call_ids));
            evidence.ladders = records::ladders(started, &ids, &evidence.happened);
            // Who only registers or asks makes no call.
            let makes_calls = callee.is_some() || self.step.expect.answer_delay_p99_max.is_some();
            let calls = if makes_calls { evidence.caller.successful } else { 0 };
            let calls = records::ended(started, since.as_deref(), calls);
            evidence.answer_delays_ms = calls.iter().filter_map(records::delay_ms).collect();
            evidence.streams = calls.iter().flat_map(|call| records::streams(call, self.began_at)).collect();
        }
        watched
    }

    /// A callee that listens, and is registered.
    fn callee(&self, scenario: &Scenario, user: &User) -> anyhow::Result<Running> {
        let calls = self.step.callee_calls.unwrap_or(self.step.calls);
        let callee = Sipp { calls, ..self.sipp(scenario, Some(user), &self.step.callee_arguments)? };
        let callee = callee.start(&self.folder("callee"))?;
        self.register(user, callee.port(), REGISTERED_S)?;
        Ok(callee)
    }

    /// A callee that listens where the switch knows a carrier to be.
    fn carrier(&self, scenario: &Scenario) -> anyhow::Result<Running> {
        let calls = self.step.callee_calls.unwrap_or(self.step.calls);
        let at = self.step.callee_at;
        let carrier = Sipp { calls, at, ..self.sipp(scenario, None, &self.step.callee_arguments)? };
        carrier.start(&self.folder("callee"))
    }

    /// Says that the callee is at this port, or no more.
    fn register(&self, user: &User, port: u16, expires_s: u32) -> anyhow::Result<()> {
        let target = self.ground.place(Protocol::Udp)?;
        let contact = SocketAddr::new(local_ip(target)?, port);
        register(target, self.ground.domain(), user, contact, expires_s).context("the callee")
    }

    fn sipp<'b>(
        &'b self,
        scenario: &Scenario,
        user: Option<&'b User>,
        arguments: &'b [String],
    ) -> anyhow::Result<Sipp<'b>> {
        Ok(Sipp {
            scenario: match scenario {
                Scenario::File(path) => Scenario::File(self.place.plan_folder.join(path)),
                Scenario::Stock(name) => Scenario::Stock(name.clone()),
            },
            target: self.ground.place(Protocol::Udp)?,
            at: None,
            transport: Transport::Udp,
            user,
            number: &self.step.number,
            domain: self.ground.domain(),
            calls: self.step.calls,
            rate: self.step.rate,
            pause: self.step.pause,
            timeout: self.step.timeout,
            arguments,
        })
    }

    /// Until both parties have ended, or had their time.
    fn watch(
        &mut self,
        caller: &mut Running,
        mut callee: Option<&mut Running>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<()> {
        let calling = Instant::now();
        let mut watch = Watch::of(&self.step.faults);
        let mut caller_ended: Option<Instant> = None;
        loop {
            self.look(&mut watch, caller.figures(), evidence)?;
            if caller_ended.is_none() && caller.ended().is_some() {
                caller_ended = Some(Instant::now());
            }
            let callee_done = callee.as_mut().is_none_or(|callee| callee.ended().is_some());
            match caller_ended {
                Some(_) if callee_done => return self.mend(&watch),
                // A callee whose call never came waits for its own time-out; its caller's failure says all.
                Some(at) if at.elapsed() > SLACK => {
                    if let Some(callee) = &mut callee {
                        evidence.callee_left = true;
                        callee.stop();
                    }
                    return self.mend(&watch);
                }
                None if calling.elapsed() > self.step.timeout + SLACK => {
                    caller.stop();
                    bail!("the caller did not end within {:?}", self.step.timeout + SLACK);
                }
                _ => thread::sleep(POLL),
            }
        }
    }

    /// Breaks and mends what is due, and takes a sample when it is time for one.
    pub(super) fn look(&mut self, watch: &mut Watch, figures: Figures, evidence: &mut Evidence) -> anyhow::Result<()> {
        while let Some(event) = watch.due() {
            let fault = self.step.faults.get(event.fault).context("a fault of this step")?;
            if event.ends {
                breaking::end(fault, self.ground)?;
            } else {
                let what = breaking::begin(fault, self.ground)?;
                let (at_s, at) = (self.began.elapsed().as_secs_f64(), Timestamp::now());
                evidence.happened.push(Happened { at_s, at, what });
            }
            watch.done(event, fault);
        }
        if watch.frozen || watch.last.is_some_and(|(at, ..)| at.elapsed() < SAMPLE_EVERY) {
            return Ok(());
        }
        let (sample, used) = self.sample(figures, watch.last);
        watch.last = Some((Instant::now(), used, figures.created));
        if evidence.samples.len() >= SAMPLES_MAX {
            let mut keep = false;
            evidence.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
        evidence.samples.push(sample);
        (self.tell)(&format!("{} of {} calls done, {} failed", figures.successful, self.step.calls, figures.failed));
        Ok(())
    }

    /// Mends what is still broken when the parties have ended. A fault that had not come yet never comes, which is a mistake of
    /// the plan.
    pub(super) fn mend(&mut self, watch: &Watch) -> anyhow::Result<()> {
        for event in &watch.events {
            let fault = self.step.faults.get(event.fault).context("a fault of this step")?;
            if !event.ends {
                bail!("all was over before the fault at {:?}", fault.at);
            }
            breaking::end(fault, self.ground)?;
        }
        Ok(())
    }

    fn sample(&self, figures: Figures, last: Option<(Instant, Option<Duration>, u64)>) -> (Sample, Option<Duration>) {
        let used = self.ground.started().and_then(Started::used);
        let status = self.ground.started().and_then(|started| started.client().status().ok());
        let since = last.map(|(at, cpu, created)| (at.elapsed().as_secs_f64().max(0.001), cpu, created));
        let cpu_percent = since
            .and_then(|(seconds, before, _)| Some(100.0 * used?.0.saturating_sub(before?).as_secs_f64() / seconds));
        let rate = since.map_or(0.0, |(seconds, _, before)| whole(figures.created.saturating_sub(before)) / seconds);
        let sample = Sample {
            at_s: self.began.elapsed().as_secs_f64(),
            calls: status.and_then(|status| status.get("calls")?.as_u64()),
            cpu_percent,
            memory_mib: used.map(|(_, kib)| whole(kib) / 1_024.0),
            rate,
            retransmissions: figures.retransmissions,
        };
        (sample, used.map(|(cpu, _)| cpu))
    }

    /// The newest call record before the step, so that those of the step are told apart.
    pub(super) fn last_ended(&self) -> Option<String> {
        let answer = self.ground.started()?.client().ended_calls(1).ok()?;
        answer.pointer("/calls/0/id").and_then(Value::as_str).map(str::to_owned)
    }

    fn folder(&self, of: &str) -> PathBuf {
        self.place.folder.join(of)
    }
}

/// What is to come in a step, and what was seen last.
pub(super) struct Watch {
    began: Instant,
    /// In the order of their time; an end comes only after its begin.
    events: VecDeque<Event>,
    frozen: bool,
    last: Option<(Instant, Option<Duration>, u64)>,
}

/// The begin or end of a fault.
#[derive(Clone, Copy)]
struct Event {
    at: Duration,
    fault: usize,
    ends: bool,
}

impl Watch {
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut events = Vec::new();
        for (number, fault) in faults.iter().enumerate() {
            events.push(Event { at: fault.at, fault: number, ends: false });
            events.extend(fault.length().map(|length| Event { at: fault.at + length, fault: number, ends: true }));
        }
        events.sort_by_key(|event| event.at);
        Self { began: Instant::now(), events: events.into(), frozen: false, last: None }
    }

    fn due(&mut self) -> Option<Event> {
        self.events.pop_front_if(|event| self.began.elapsed() >= event.at)
    }

    fn done(&mut self, event: Event, fault: &Fault) {
        if fault.switch == Some(SwitchFault::Freeze) {
            // A frozen switch answers no question.
            self.frozen = !event.ends;
        }
    }
}

impl Running {
    /// What it says, where it did not end as it should.
    fn story_of_failure(&self, code: Option<i32>) -> Option<String> {
        (code != Some(0)).then(|| self.story()).filter(|story| !story.is_empty())
    }
}

/// Exact up to 2^53, which no count here reaches.
#[allow(clippy::cast_precision_loss)]
pub const fn whole(count: u64) -> f64 {
    count as f64
}

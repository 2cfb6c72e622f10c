//! A step that is a load of our own generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::ground::Started;
use super::plan::{Load, User};
use super::records::{self, StreamPoint};
use super::sipp::Figures;
use super::step::{Course, Watch};
use super::verdict::{Delays, Evidence};
use crate::load::{self, Hears, Manner, Options, Rates, Tried};

/// Between two looks at the load.
const POLL: Duration = Duration::from_millis(10);
/// Workers of each side: the switch needs the machine more.
const WORKERS: usize = 1;

impl Course<'_> {
    /// Runs a load, and what is to be broken meanwhile.
    pub(super) fn load(&mut self, load: &Load, evidence: &mut Evidence) -> anyhow::Result<()> {
        let options = self.load_options(load)?;
        let seen = Arc::new(Seen::default());
        let shown = Arc::clone(&seen);
        let running = thread::spawn(move || {
            load::run(&options, &|_, progress| {
                shown.begun.store(progress.begun.load(Relaxed), Relaxed);
                shown.established.store(progress.established.load(Relaxed), Relaxed);
                shown.failed.store(progress.failed.load(Relaxed), Relaxed);
            })
        });
        // Callees register first: a step begins with its first call.
        while seen.begun.load(Relaxed) == 0 && !running.is_finished() {
            thread::sleep(POLL);
        }
        let mut watch = Watch::of(&self.step.faults);
        let mut wrong = None;
        while !running.is_finished() {
            // What cannot be broken does not end the load: it would go on into the next step.
            if wrong.is_none() {
                wrong = self.look(&mut watch, seen.figures(), evidence).err();
            }
            thread::sleep(POLL);
        }
        match wrong {
            Some(wrong) => return Err(wrong),
            None => self.mend(&watch)?,
        }
        let outcome = running.join().map_err(|_| anyhow!("the generator died"))??;
        let tried = outcome.tried.into_iter().next().context("a load tries its rate")?;
        if let super::Ground::Started(started) = &mut *self.ground {
            started.alive()?;
            evidence.ladders = records::ladders(started, &tried.figures.failed_calls, &evidence.happened);
        }
        let point = |(at, loss, jitter_ms, mos): &(Instant, f64, f64, f64)| StreamPoint {
            at_s: at.saturating_duration_since(self.began).as_secs_f64(),
            loss_percent: 100.0 * loss,
            jitter_ms: *jitter_ms,
            mos: Some(*mos),
        };
        evidence.streams = tried.figures.sound.ended().iter().map(point).collect();
        weigh(tried, evidence);
        Ok(())
    }

    fn load_options(&self, load: &Load) -> anyhow::Result<Options> {
        let people = |users: &[User]| -> Vec<load::User> {
            let user = |user: &User| load::User { name: user.name.clone(), password: Some(user.password.clone()) };
            users.iter().map(user).collect()
        };
        let protocol = load.transport.protocol();
        Ok(Options {
            target: self.ground.place(protocol)?,
            protocol,
            authorities: self.ground.started().map(Started::data).map(|data| data.join("tls/dev-cert.pem")),
            path: "/sip".to_owned(),
            measured: load.measure,
            rates: Rates::Fixed { rate: load.rate, length: load.length },
            callers: people(&load.callers),
            callees: people(&load.callees),
            manner: Manner {
                domain: self.ground.domain().to_owned(),
                numbers: match load.numbers.is_empty() {
                    true => load.callees.iter().map(|user| user.name.clone()).collect(),
                    false => load.numbers.clone(),
                },
                sound: load.sound,
                codec: load.codec.codec(),
                callee_codec: load.callee_codec.unwrap_or(load.codec).codec(),
                hears: Hears::Answer,
                talk: load.talk,
                threshold: load.threshold,
                loss_max: load.loss_max / 100.0,
            },
            workers: WORKERS,
            ceiling: false,
        })
    }
}

/// How far the load is.
#[derive(Default)]
struct Seen {
    begun: AtomicU64,
    established: AtomicU64,
    failed: AtomicU64,
}

impl Seen {
    fn figures(&self) -> Figures {
        Figures {
            created: self.begun.load(Relaxed),
            successful: self.established.load(Relaxed),
            failed: self.failed.load(Relaxed),
            ..Figures::default()
        }
    }
}

/// What it came to, as evidence.
fn weigh(tried: Tried, evidence: &mut Evidence) {
    let figures = &tried.figures;
    let (created, successful) = match figures.registrations {
        0 => (figures.attempts, figures.completed),
        registrations => (registrations, figures.registered),
    };
    evidence.caller = Figures {
        created,
        successful,
        failed: created.saturating_sub(successful),
        retransmissions: figures.resent,
        unexpected: 0,
    };
    evidence.caller_code = Some(0);
    let reasons: Vec<String> = figures.failures.iter().map(|(why, count)| format!("{count} times: {why}")).collect();
    evidence.story = Some(reasons.join("\n")).filter(|story| !story.is_empty());
    evidence.delays = Delays::of_load(&figures.answer_delay);
    evidence.load = Some(tried);
}

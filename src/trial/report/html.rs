//! The acceptance sheet: one page that needs nothing beside it.

use minijinja::{Environment, context};
use serde::Serialize;

use super::super::Outcome;
use super::super::records::StreamPoint;
use super::super::step::{Sample, whole};
use super::super::verdict::{StepResult, Verdict};
use super::chart::{self, Chart};

const PAGE: &str = include_str!("page.html");

#[derive(Serialize)]
struct Row<'a> {
    step: &'a StepResult,
    word: &'static str,
    charts: Vec<String>,
    ladders: &'a [String],
}

/// The page.
pub fn page(outcome: &Outcome) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    // By its name minijinja escapes what is put in.
    environment.add_template("page.html", PAGE)?;
    let rows: Vec<Row<'_>> = outcome.steps.iter().map(row).collect();
    let counts = [Verdict::Passed, Verdict::Failed, Verdict::NotApplicable].map(|verdict| outcome.count(verdict));
    Ok(environment.get_template("page.html")?.render(context! {
        name => outcome.name,
        purpose => outcome.purpose,
        began => outcome.began,
        lasted => format!("{:.1}", outcome.lasted_s),
        switch => outcome.switch,
        machine => outcome.machine,
        passed => counts[0],
        failed => counts[1],
        other => counts[2],
        rows,
    })?)
}

fn row(step: &StepResult) -> Row<'_> {
    let faults: Vec<f64> = step.faults.iter().map(|fault| fault.at_s).collect();
    let over_time = |caption, of: fn(&Sample) -> Option<f64>| {
        let points = step.samples.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect();
        chart::draw(&Chart { caption, over: "s", points, joined: true, faults: &faults })
    };
    let of_streams = |caption, of: fn(&StreamPoint) -> Option<f64>| {
        let points = step.streams.iter().filter_map(|stream| Some((stream.at_s, of(stream)?))).collect();
        chart::draw(&Chart { caption, over: "s", points, joined: false, faults: &faults })
    };
    let delays = Chart {
        caption: "Answer delay, ms",
        over: "percent of callers wait no longer",
        points: step.answer_delay_curve.clone(),
        joined: true,
        faults: &[],
    };
    let charts = [
        over_time("Calls begun in a second", |sample| Some(sample.rate)),
        over_time("Calls at a time", |sample| sample.calls.map(whole)),
        chart::draw(&delays),
        over_time("Messages that the caller repeated", |sample| Some(whole(sample.retransmissions))),
        over_time("CPU, percent of a core", |sample| sample.cpu_percent),
        over_time("Resident memory, MiB", |sample| sample.memory_mib),
        of_streams("RTP loss of each stream, percent", |stream| Some(stream.loss_percent)),
        of_streams("Jitter of each stream, ms", |stream| Some(stream.jitter_ms)),
        of_streams("MOS of each stream", |stream| stream.mos),
    ];
    Row { step, word: step.verdict.word(), charts: charts.into_iter().flatten().collect(), ladders: &step.ladders }
}

//! The acceptance sheet: one page that needs nothing beside it.

use minijinja::{Environment, context};
use serde::Serialize;

use super::super::Outcome;
use super::super::step::whole;
use super::super::verdict::{StepResult, Verdict};
use super::chart;

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
    let samples = &step.samples;
    let charts = [
        chart::draw("Calls begun in a second", samples, |sample| Some(sample.rate)),
        chart::draw("Calls at a time", samples, |sample| sample.calls.map(whole)),
        chart::draw("CPU, percent of a core", samples, |sample| sample.cpu_percent),
        chart::draw("Resident memory, MiB", samples, |sample| sample.memory_mib),
        chart::draw("Messages that the caller repeated", samples, |sample| Some(whole(sample.retransmissions))),
    ];
    Row { step, word: step.verdict.word(), charts: charts.into_iter().flatten().collect(), ladders: &step.ladders }
}

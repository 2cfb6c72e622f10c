//! What a trial leaves behind: `report.html`, `report.json` and `junit.xml`, and a summary for the terminal.

mod chart;
mod html;
mod junit;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::Outcome;
use super::verdict::Verdict;
use crate::cli::humane::safe;

/// Writes all three.
///
/// # Errors
/// A file cannot be written.
pub fn write(outcome: &Outcome, folder: &Path) -> anyhow::Result<()> {
    let files = [
        ("report.html", html::page(outcome)?),
        ("report.json", serde_json::to_string_pretty(outcome)? + "\n"),
        ("junit.xml", junit::document(outcome)?),
    ];
    for (name, text) in files {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

/// What a terminal is told at the end: a line a step, then why those failed that did.
pub fn summary(outcome: &Outcome, folder: &Path) -> String {
    let mut out = format!("{} · {} · {}\n\n", outcome.name, outcome.switch, outcome.machine);
    for step in &outcome.steps {
        let delay = step.answer_delay_ms.map(|delay| format!("  answer p99 {:.0} ms", delay.p99)).unwrap_or_default();
        let _ = writeln!(
            out,
            "{:<14} {:<48} {:>5} calls {:>6.1} s{delay}",
            step.verdict.word(),
            safe(&step.name, 48),
            step.caller.successful,
            step.lasted_s
        );
        if step.verdict != Verdict::Passed {
            for reason in &step.reasons {
                let _ = writeln!(out, "{:15}{}", "", safe(reason.lines().next().unwrap_or_default(), 160));
            }
        }
    }
    let (passed, failed, other) =
        (outcome.count(Verdict::Passed), outcome.count(Verdict::Failed), outcome.count(Verdict::NotApplicable));
    let _ = writeln!(
        out,
        "\n{passed} passed, {failed} failed, {other} not applicable, in {:.1} s. The sheet: {}",
        outcome.lasted_s,
        folder.join("report.html").display()
    );
    out
}

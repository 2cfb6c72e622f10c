//! Mistakes of TOML itself. The parser goes on after one, which finds the next, but also many that follow from the first.

use std::collections::BTreeSet;

use super::error::{Finding, Source};

/// The parser's errors without those that follow from others: one a line, and one for all lines that an unclosed list
/// swallowed. Also the lines, from 1, of which no value can be trusted.
pub(super) fn findings(source: &Source<'_>, errors: &[toml::de::Error]) -> (Vec<Finding>, BTreeSet<usize>) {
    let text = source.text;
    let mut findings: Vec<(usize, Finding)> = errors.iter().map(|error| finding(source, error)).collect();
    findings.sort_by_key(|(_, finding)| finding.span.start);
    findings.dedup_by_key(|(line, _)| *line);
    let broken_lines = findings.iter().map(|(line, _)| *line).collect();
    let is_open = |error: &toml::de::Error| ["unclosed array", "unclosed inline table"].contains(&message(error).0);
    if errors.iter().any(is_open) {
        // The list goes on to the end of the text, with an error on each line that says something.
        let is_quiet = |line: &&str| line.trim().is_empty() || line.trim().starts_with('#');
        let lines: Vec<&str> = text.lines().collect();
        while let [.., (before, _), (after, _)] = findings.as_slice()
            && lines.get(*before..after - 1).is_some_and(|between| between.iter().all(is_quiet))
        {
            findings.pop();
        }
        if let Some((_, finding)) = findings.last_mut() {
            let before = text.get(..finding.span.start).unwrap_or_default().trim_end();
            let last = before.char_indices().next_back().map_or(0, |(at, _)| at);
            finding.span = last..before.len();
            "a list or table that is open here is not closed".clone_into(&mut finding.what);
            "add `]` or `}` after this".clone_into(&mut finding.remedy);
        }
    }
    (findings.into_iter().map(|(_, finding)| finding).collect(), broken_lines)
}

/// The line, from 1, and the finding of a parser's error.
fn finding(source: &Source<'_>, error: &toml::de::Error) -> (usize, Finding) {
    let span = error.span().unwrap_or(source.text.len()..source.text.len());
    let (what, expected) = message(error);
    let remedy = match (what, expected) {
        ("duplicate key", _) => "keep one of the two".to_owned(),
        (_, "") => "write it as TOML has it (toml.io)".to_owned(),
        (_, "nothing") => "take it away".to_owned(),
        (_, expected) => format!("expected {expected}"),
    };
    (source.line(span.start), Finding::new(span, "", what, remedy))
}

/// What is wrong and what was expected, which may be empty.
fn message(error: &toml::de::Error) -> (&str, &str) {
    error.message().split_once(", expected ").unwrap_or((error.message(), ""))
}

//! The outcome of a load in words.

use std::fmt::Write as _;

use super::measure::Delays;
use super::{Figures, Limit, Measured, Outcome, SoundOf, Tried};

/// Reasons of failures that are told.
const REASONS_MAX: usize = 6;

/// What is printed at the end.
pub fn summary(outcome: &Outcome) -> String {
    // Writing to a string does not fail.
    let mut out = String::new();
    let what = match outcome.measured {
        Measured::Calls => "calls",
        Measured::Registrations => "registrations",
    };
    let sound = match (outcome.measured, outcome.sound) {
        (Measured::Registrations, _) => String::new(),
        (_, SoundOf::None) => ", without sound".to_owned(),
        (_, SoundOf::Rtp) => format!(", {:.1} s with RTP", outcome.talk_s),
        (_, SoundOf::Srtp) => format!(", {:.1} s with SRTP", outcome.talk_s),
    };
    let _ = writeln!(out, "{what} to {} over {}{sound}", outcome.target, outcome.transport.to_uppercase());
    let _ = writeln!(
        out,
        "\n{:>10} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9}  ",
        "rate/s", "begun", "done", "failed", "p50 ms", "p99 ms", "max ms"
    );
    for one in &outcome.tried {
        let _ = writeln!(out, "{}", row(outcome.measured, one));
    }
    if let Some(last) = outcome.tried.iter().rev().find(|one| one.passed).or(outcome.tried.last()) {
        let _ = writeln!(out, "\nAt {:.1} a second:", last.rate);
        figures(&mut out, outcome.measured, &last.figures);
    }
    if let Some(ceiling) = &outcome.ceiling {
        let rate = ceiling.rate.map_or("none".to_owned(), |rate| format!("{rate:.0} {what} a second"));
        let _ = writeln!(
            out,
            "\nThe generator by itself, against bare callees of its own over {} on this machine: {rate}.",
            ceiling.transport.to_uppercase()
        );
    }
    let _ = match (outcome.rate, outcome.limit) {
        (None, None) => writeln!(out, "\nThe rate did not hold."),
        (None, Some(_)) => writeln!(out, "\nNo rate held without a failure."),
        (Some(rate), None) => writeln!(out, "\n{rate:.1} {what} a second held without a failure."),
        (Some(rate), Some(limit)) => {
            let name = match outcome.measured {
                Measured::Calls => "Session establishment rate (RFC 7501)",
                Measured::Registrations => "Registration rate (RFC 7501)",
            };
            let whose = match limit {
                Limit::Switch => "the switch's own limit",
                Limit::Generator => "perhaps the generator's limit: the switch may do more",
                Limit::Bound => "the bound of the search: nothing failed",
            };
            writeln!(out, "\n{name}: {rate:.1} a second, {whose}.")
        }
    };
    out
}

fn row(measured: Measured, one: &Tried) -> String {
    let figures = &one.figures;
    let (begun, done, delays) = match measured {
        Measured::Calls => (figures.attempts, figures.completed, &figures.request_delay),
        Measured::Registrations => (figures.registrations, figures.registered, &figures.registration_delay),
    };
    let most = figures.failures.iter().max_by_key(|(_, count)| **count);
    let verdict = match (one.passed, one.generator_was_late, most) {
        (true, ..) => "",
        (false, _, Some((why, _))) => why,
        (false, true, None) => "the generator was late",
        (false, false, None) => "not all were begun",
    };
    format!(
        "{:>10.1} {begun:>9} {done:>9} {:>8} {:>9.2} {:>9.2} {:>9.2}  {verdict}",
        one.rate,
        figures.failures(),
        delays.percentile_ms(50.0),
        delays.percentile_ms(99.0),
        delays.max_ms()
    )
    .trim_end()
    .to_owned()
}

fn figures(out: &mut String, measured: Measured, figures: &Figures) {
    let mut delay = |name: &str, delays: &Delays| {
        if delays.count() > 0 {
            let (p50, p95, p99) = (delays.percentile_ms(50.0), delays.percentile_ms(95.0), delays.percentile_ms(99.0));
            let _ =
                writeln!(out, "  {name:<34} p50 {p50:.2}, p95 {p95:.2}, p99 {p99:.2}, max {:.2} ms", delays.max_ms());
        }
    };
    if measured == Measured::Registrations {
        delay("registration request delay (RRD)", &figures.registration_delay);
    } else {
        delay("session request delay (SRD)", &figures.request_delay);
        delay("INVITE to 200", &figures.answer_delay);
        delay("session disconnect delay (SDD)", &figures.disconnect_delay);
    }
    delay("the generator's own lag", &figures.lag);
    let ratios = [
        ("SER", figures.ser()),
        ("SEER", figures.seer()),
        ("ISA", figures.isa()),
        ("SCR", figures.scr()),
        ("IRA", figures.ira()),
    ];
    let told: Vec<String> =
        ratios.iter().filter_map(|(name, ratio)| ratio.map(|ratio| format!("{name} {ratio:.2} %"))).collect();
    let _ = writeln!(out, "  {}; {} messages sent again", told.join(", "), figures.resent);
    let sound = &figures.sound;
    if sound.streams() > 0 {
        let right = sound.of(super::talk::Verdict::Right);
        let mos = sound.mos_min().map_or(String::new(), |mos| format!(", worst MOS {mos:.2}"));
        let _ =
            writeln!(out, "  {right} of {} streams heard right, {} packets lost{mos}", sound.streams(), sound.lost());
    }
    let mut reasons: Vec<(&String, &u64)> = figures.failures.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (why, count) in reasons.iter().take(REASONS_MAX) {
        let _ = writeln!(out, "  failed {count} times: {why}");
    }
}

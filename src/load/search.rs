//! The search for the highest rate without a failure (RFC 7502 section 4.10).
//!
//! The rate grows by half until something fails, and then halves the interval between what went and what did not, until that is
//! no wider than twice the granularity. What was found is then held for longer, and lowered until it holds.

use serde::Serialize;

use super::measure::Figures;

/// What a search is given.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first rate (`s`).
    pub from: f64,
    /// No rate above.
    pub up_to: f64,
    /// How exactly it is to be known (`G`).
    pub granularity: f64,
}

/// By how much a found rate is lowered that does not hold (`C`).
const CALIBRATION: f64 = 0.05;
/// By how much the rate grows while nothing fails.
const GROWTH: f64 = 0.5;
/// How often a found rate is lowered at most.
const LOWERED_MAX: u32 = 20;

/// A rate that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// Requests a second that were planned.
    pub rate: f64,
    /// Seconds from begin to end.
    pub lasted_s: f64,
    /// Whether nothing failed, and the generator kept its pace.
    pub passed: bool,
    /// The generator itself was late: what failed may be its own fault.
    pub generator_was_late: bool,
    /// CPU of the generator, percent of one processor.
    pub generator_cpu_percent: f64,
    /// What was counted.
    pub figures: Figures,
}

/// How long a rate is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// A step of the search.
    Step,
    /// The proof of what it found.
    Proof,
}

/// Searches with `attempt`, which tries a rate. Answers the highest that held, if any did, and all that was tried.
///
/// # Errors
/// Those of `attempt`.
pub fn search(
    bounds: Bounds,
    mut attempt: impl FnMut(f64, Length) -> anyhow::Result<Tried>,
) -> anyhow::Result<(Option<f64>, Vec<Tried>)> {
    let mut tried = Vec::new();
    let mut held: Option<f64> = None;
    let mut broke: Option<f64> = None;
    let mut rate = bounds.from.min(bounds.up_to);
    loop {
        let one = attempt(rate, Length::Step)?;
        if one.passed {
            held = Some(rate);
        } else {
            broke = Some(rate);
        }
        tried.push(one);
        let low = held.unwrap_or(0.0);
        rate = match broke {
            None if rate >= bounds.up_to => break,
            None => (rate * (1.0 + GROWTH)).min(bounds.up_to),
            Some(high) if high - low <= 2.0 * bounds.granularity => break,
            Some(high) => low + (high - low) / 2.0,
        };
    }
    let Some(mut rate) = held else { return Ok((None, tried)) };
    for _ in 0..LOWERED_MAX {
        let proof = attempt(rate, Length::Proof)?;
        let passed = proof.passed;
        tried.push(proof);
        if passed {
            return Ok((Some(rate), tried));
        }
        rate *= 1.0 - CALIBRATION;
    }
    Ok((None, tried))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate: f64, passed: bool) -> Tried {
        Tried {
            rate,
            lasted_s: 1.0,
            passed,
            generator_was_late: false,
            generator_cpu_percent: 0.0,
            figures: Figures::default(),
        }
    }

    const BOUNDS: Bounds = Bounds { from: 100.0, up_to: 10_000.0, granularity: 5.0 };

    #[test]
    fn a_switch_that_takes_so_much_is_found_to_take_it() {
        let (found, all) = search(BOUNDS, |rate, _| Ok(tried(rate, rate <= 777.0))).unwrap();
        let found = found.unwrap();
        assert!((767.0..=777.0).contains(&found), "{found}");
        assert!(all.len() < 20, "{} rates", all.len());
    }

    #[test]
    fn one_that_takes_less_than_the_first_rate_is_found_too() {
        let (found, _) = search(BOUNDS, |rate, _| Ok(tried(rate, rate <= 12.0))).unwrap();
        assert!(found.is_some_and(|found| (2.0..=12.0).contains(&found)), "{found:?}");
    }

    #[test]
    fn one_that_takes_nothing_has_no_rate() {
        let (found, _) = search(BOUNDS, |rate, _| Ok(tried(rate, false))).unwrap();
        assert_eq!(found, None);
    }

    #[test]
    fn no_rate_is_tried_above_the_bound() {
        let (found, all) = search(BOUNDS, |rate, _| Ok(tried(rate, true))).unwrap();
        assert_eq!(found, Some(10_000.0));
        assert!(all.iter().all(|one| one.rate <= 10_000.0));
    }

    #[test]
    fn what_does_not_hold_for_longer_is_lowered() {
        let holds = |rate: f64, length| rate <= if length == Length::Proof { 700.0 } else { 777.0 };
        let (found, all) = search(BOUNDS, |rate, length| Ok(tried(rate, holds(rate, length)))).unwrap();
        assert!(found.is_some_and(|found| (660.0..=700.0).contains(&found)), "{found:?}");
        assert!(all.last().is_some_and(|last| last.passed));
    }
}

//! What is due at about the same time is done at one wake.

use std::time::Duration;

/// How long a probe may be put off to go with others.
const TOGETHER: Duration = Duration::from_millis(200);

/// What is due after such a rest, put off a little so that it is due together with others': a wake of the thread costs more
/// than a probe, and what is due together is done at one wake.
pub fn together(at: Duration, rest: Duration) -> Duration {
    let step = TOGETHER.min(rest / 20).max(Duration::from_millis(1));
    at + step - Duration::from_nanos(u64::try_from(at.as_nanos() % step.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_many_gateways_are_due_at_few_instants_and_none_is_early_or_much_late() {
        let rest = Duration::from_secs(10);
        let due: Vec<(Duration, Duration)> =
            (0..1_000).map(|n| Duration::from_millis(10 * n)).map(|at| (at, together(at, rest))).collect();
        assert!(due.iter().all(|(at, put)| put > at && *put - *at <= TOGETHER));
        let mut instants: Vec<Duration> = due.iter().map(|(_, put)| *put).collect();
        instants.dedup();
        assert_eq!(instants.len(), 50);
        // A short rest is hardly longer for it.
        let at = Duration::from_millis(1_003);
        assert_eq!(together(at, Duration::from_millis(100)), Duration::from_millis(1_005));
    }
}

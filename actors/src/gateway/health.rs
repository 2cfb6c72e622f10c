//! Whether a gateway is there: what its answers to OPTIONS, and its calls, say of it. Rules only; time comes in.
//!
//! A gateway counts as there until it has missed [`Probing::down_after`] in a row. One that is gone is asked ever more seldom, up to
//! [`Probing::rest_max`], and is back after [`Probing::up_after`] answers in a row. A gateway that asks us is there, and is asked
//! half as often for as long as it does.

use std::time::Duration;

use sip::Status;

/// How a gateway is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// From one OPTIONS to the next; `None` asks nothing.
    pub every: Option<Duration>,
    /// How long an answer may take.
    pub patience: Duration,
    /// Misses in a row after which it counts as gone.
    pub down_after: u32,
    /// Answers in a row after which it counts as back.
    pub up_after: u32,
    /// The longest rest between two tries of one that is gone.
    pub rest_max: Duration,
}

/// How long after its last OPTIONS a gateway counts as one that asks by itself.
const ASKS_FOR: Duration = Duration::from_secs(300);

/// What is known of a gateway's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    is_up: bool,
    /// Misses in a row.
    missed: u32,
    /// Answers in a row.
    answered: u32,
    /// When it asked last.
    asked_us: Option<Duration>,
}

/// What an answer or the want of one has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is gone.
    Down,
    /// It is back.
    Up,
}

impl Default for Health {
    fn default() -> Self {
        Self { is_up: true, missed: 0, answered: 0, asked_us: None }
    }
}

/// Whether an answer to OPTIONS says that there is a gateway that takes calls. Any answer does, but two: 408, which a proxy
/// says for somebody that is silent, and 503, by which it says itself that it takes none.
pub const fn is_alive(status: Status) -> bool {
    !matches!(status.code(), 408 | 503)
}

impl Health {
    /// Whether it counts as there.
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// It has answered.
    pub const fn answered(&mut self, rules: &Probing) -> Change {
        self.missed = 0;
        self.answered = self.answered.saturating_add(1);
        if self.is_up || self.answered < rules.up_after {
            return Change::None;
        }
        self.is_up = true;
        Change::Up
    }

    /// It has not answered, or said that it takes no calls.
    pub const fn missed_one(&mut self, rules: &Probing) -> Change {
        self.answered = 0;
        self.missed = self.missed.saturating_add(1);
        if !self.is_up || self.missed < rules.down_after {
            return Change::None;
        }
        self.is_up = false;
        Change::Down
    }

    /// It has asked us by itself.
    pub const fn asks(&mut self, now: Duration, rules: &Probing) -> Change {
        self.asked_us = Some(now);
        self.answered(rules)
    }

    /// How long until it is asked again; `None` is never. `chance` is between 0 and 1: gateways that began together are not
    /// asked together.
    pub fn rest(&self, now: Duration, rules: &Probing, chance: f64) -> Option<Duration> {
        let every = rules.every?;
        let asks = self.asked_us.is_some_and(|at| now.saturating_sub(at) < ASKS_FOR);
        let rest = match self.is_up {
            // Who may be gone, or may be back, is asked at the usual pace until that is known.
            _ if self.is_up && self.missed > 0 || !self.is_up && self.answered > 0 => every,
            true if asks => every * 2,
            true => every,
            false => {
                let doublings = self.missed.saturating_sub(rules.down_after).min(16);
                every.saturating_mul(1 << doublings).min(rules.rest_max.max(every))
            }
        };
        Some(rest.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Probing = Probing {
        every: Some(Duration::from_secs(10)),
        patience: Duration::from_secs(4),
        down_after: 3,
        up_after: 2,
        rest_max: Duration::from_secs(60),
    };

    fn seconds(health: &Health, now_s: u64) -> f64 {
        health.rest(Duration::from_secs(now_s), &RULES, 0.5).unwrap().as_secs_f64()
    }

    #[test]
    fn it_is_gone_after_three_misses_and_back_after_two_answers() {
        let mut health = Health::default();
        assert!(health.is_up());
        assert_eq!(health.missed_one(&RULES), Change::None);
        assert_eq!(health.missed_one(&RULES), Change::None);
        assert_eq!(health.answered(&RULES), Change::None);
        for wanted in [Change::None, Change::None, Change::Down, Change::None] {
            assert_eq!(health.missed_one(&RULES), wanted);
        }
        assert_eq!(health.answered(&RULES), Change::None);
        assert_eq!(health.missed_one(&RULES), Change::None, "one answer is not two in a row");
        assert_eq!(health.answered(&RULES), Change::None);
        assert_eq!(health.answered(&RULES), Change::Up);
        assert!(health.is_up());
    }

    #[test]
    fn one_that_is_gone_is_asked_ever_more_seldom_until_it_answers() {
        let mut health = Health::default();
        let mut rests = Vec::new();
        for _ in 0..8 {
            health.missed_one(&RULES);
            rests.push(seconds(&health, 0).round());
        }
        assert_eq!(rests, [10.0, 10.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]);
        health.answered(&RULES);
        assert_eq!(seconds(&health, 0).round(), 10.0);
    }

    #[test]
    fn one_that_asks_by_itself_is_asked_half_as_often_until_it_stops() {
        let mut health = Health::default();
        health.asks(Duration::from_secs(100), &RULES);
        assert_eq!(seconds(&health, 110).round(), 20.0);
        assert_eq!(seconds(&health, 401).round(), 10.0);
    }

    #[test]
    fn rests_differ_by_a_tenth_at_most_and_none_is_none() {
        let health = Health::default();
        let at = |chance| health.rest(Duration::ZERO, &RULES, chance).unwrap().as_secs_f64();
        assert!((at(0.0) - 9.0).abs() < 1e-9 && (at(1.0) - 11.0).abs() < 1e-9);
        assert_eq!(health.rest(Duration::ZERO, &Probing { every: None, ..RULES }, 0.5), None);
    }

    #[test]
    fn any_answer_but_408_and_503_is_a_sign_of_life() {
        let alive = |code| is_alive(Status::new(code).unwrap());
        for code in [200, 302, 401, 404, 405, 480, 486, 500, 501, 603] {
            assert!(alive(code), "{code}");
        }
        assert!(!alive(408) && !alive(503));
    }
}

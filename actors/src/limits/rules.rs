//! What a limit lets through: rules without clock.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::sync::Arc;

use crate::routing::pattern::Pattern;

/// Seconds of an hour, of a day.
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 86_400;

/// Numbers that cost the same.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: SmolStr,
    /// The numbers, as routes see them.
    pub patterns: Vec<Pattern>,
    /// What a call costs when it is answered.
    pub call: u32,
    /// What each minute costs that it begins.
    pub minute: u32,
}

/// What calls to a number cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// The class of the number; `None` where no class has it: it costs nothing.
    pub class: Option<SmolStr>,
    /// Units a call.
    pub call: u32,
    /// Units a minute that is begun.
    pub minute: u32,
}

/// How much somebody may call outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub name: SmolStr,
    /// Calls at once.
    pub calls_max: Option<u32>,
    /// New calls in a minute of the clock.
    pub calls_per_minute: Option<u32>,
    /// Units in an hour of the clock (UTC).
    pub hour_max: Option<u64>,
    /// Units in a day (UTC).
    pub day_max: Option<u64>,
    /// The classes that may be called; empty: all numbers.
    pub classes: Vec<SmolStr>,
    /// Calls that are up end when the units are spent.
    pub cuts: bool,
}

impl Limit {
    /// Whether it lets calls of a rate out at all.
    pub fn allows(&self, rate: &Rate) -> bool {
        self.classes.is_empty() || rate.class.as_ref().is_some_and(|class| self.classes.contains(class))
    }
}

/// Who pays for a call, within which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// `user:NAME` or `gateway:NAME`.
    pub account: SmolStr,
    /// The limit.
    pub limit: Arc<Limit>,
}

/// Why a limit lets no call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// As many calls as may be.
    #[error("has as many calls outside as it may have at once")]
    Calls,
    /// Too many new ones.
    #[error("has as many new calls this minute as it may have")]
    Pace,
    /// The hour is spent.
    #[error("has spent what it may in an hour")]
    Hour,
    /// The day is spent.
    #[error("has spent what it may in a day")]
    Day,
}

impl Refused {
    /// As metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Pace => "pace",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Whether it is spent, and not only busy.
    pub const fn is_spent(self) -> bool {
        matches!(self, Self::Hour | Self::Day)
    }
}

/// What was spent in windows of the clock. It is what the store keeps of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Number of the hour since 1970, and what was spent in it.
    pub hour: (u64, u64),
    /// Number of the day since 1970, and what was spent in it.
    pub day: (u64, u64),
}

impl Spent {
    /// What was spent in the hour and in the day of `now_s`.
    pub fn at(&self, now_s: u64) -> (u64, u64) {
        let in_window = |(window, spent): (u64, u64), len: u64| if window == now_s / len { spent } else { 0 };
        (in_window(self.hour, HOUR_S), in_window(self.day, DAY_S))
    }

    /// Spends.
    pub fn add(&mut self, units: u64, now_s: u64) {
        let (hour, day) = self.at(now_s);
        self.hour = (now_s / HOUR_S, hour.saturating_add(units));
        self.day = (now_s / DAY_S, day.saturating_add(units));
    }

    /// Why nothing more may be spent. What was begun is paid, so a limit is overrun by a minute of each call at the most.
    pub fn over(&self, limit: &Limit, now_s: u64) -> Option<Refused> {
        let (hour, day) = self.at(now_s);
        let reached = |spent: u64, most: Option<u64>| most.is_some_and(|most| spent >= most);
        if reached(day, limit.day_max) {
            return Some(Refused::Day);
        }
        reached(hour, limit.hour_max).then_some(Refused::Hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit { hour_max: Some(100), day_max: Some(250), ..Limit::default() }
    }

    #[test]
    fn an_hour_that_is_spent_is_over_with_the_hour_and_a_day_with_the_day() {
        let (mut spent, start) = (Spent::default(), 10 * DAY_S);
        spent.add(99, start);
        assert_eq!(spent.over(&limit(), start + 10), None);
        spent.add(60, start + 10);
        assert_eq!(spent.over(&limit(), start + HOUR_S - 1), Some(Refused::Hour));
        assert_eq!(spent.over(&limit(), start + HOUR_S), None);
        spent.add(91, start + HOUR_S);
        assert_eq!(spent.over(&limit(), start + HOUR_S), Some(Refused::Day));
        assert_eq!(spent.over(&limit(), start + DAY_S - 1), Some(Refused::Day));
        assert_eq!(spent.over(&limit(), start + DAY_S), None);
        assert_eq!(spent.at(start + DAY_S), (0, 0));
    }

    #[test]
    fn a_limit_lets_its_classes_out_and_no_other_number() {
        let rate = |class: Option<&str>| Rate { class: class.map(SmolStr::new), ..Rate::default() };
        let some = Limit { classes: vec!["national".into()], ..Limit::default() };
        assert!(
            some.allows(&rate(Some("national"))) && !some.allows(&rate(Some("abroad"))) && !some.allows(&rate(None))
        );
        assert!(limit().allows(&rate(None)));
    }
}

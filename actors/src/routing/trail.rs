//! The reasoning of a decision, rule by rule.

use serde::Serialize;
use smol_str::SmolStr;
use std::fmt;

/// What a step looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Who calls what.
    Question,
    /// Emergency numbers.
    Emergency,
    /// Users, services and conferences of this switch.
    Owner,
    /// Which dial plan holds.
    DialPlan,
    /// A normalisation rule.
    Rule,
    /// A hunt group's pilots.
    HuntGroup,
    /// What a user has switched.
    Feature,
    /// A ring group.
    RingGroup,
    /// Who diverted the call.
    Diversion,
    /// A dialling rule of a group.
    DiallingRule,
    /// Which voice policy holds.
    Policy,
    /// Blocked numbers.
    Block,
    /// A usage.
    Usage,
    /// A route.
    Route,
    /// A gateway.
    Gateway,
    /// A time condition.
    Hours,
    /// What a call costs, and who may spend it.
    Limit,
    /// Where the call goes.
    Result,
}

impl Topic {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Emergency => "emergency",
            Self::Owner => "number here",
            Self::DialPlan => "dial plan",
            Self::Rule => "rule",
            Self::HuntGroup => "hunt group",
            Self::Feature => "feature",
            Self::RingGroup => "ring group",
            Self::Diversion => "diversion",
            Self::DiallingRule => "dialling rule",
            Self::Policy => "voice policy",
            Self::Block => "block list",
            Self::Usage => "usage",
            Self::Route => "route",
            Self::Gateway => "gateway",
            Self::Hours => "hours",
            Self::Limit => "limit",
            Self::Result => "result",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It says nothing about this call.
    Passed,
    /// It holds.
    Matched,
    /// It changed the number.
    Rewrote,
    /// It lets the call through.
    Allowed,
    /// It holds the call back.
    Refused,
    /// The call goes there.
    Chosen,
}

impl Verdict {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "no",
            Self::Matched => "yes",
            Self::Rewrote => "rewrote",
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Chosen => "goes to",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was looked at.
    pub topic: Topic,
    /// What came of it.
    pub verdict: Verdict,
    /// The name of the rule, route, policy …; empty where there is none.
    pub name: SmolStr,
    /// In words.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.topic.as_str())?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// The steps so far. A call keeps those that decided; a question keeps all.
#[derive(Debug, Default)]
pub struct Trail {
    all: bool,
    steps: Vec<Step>,
}

impl Trail {
    /// Keeps what decided.
    pub fn brief() -> Self {
        Self::default()
    }

    /// Keeps everything that was looked at.
    pub fn full() -> Self {
        Self { all: true, steps: Vec::new() }
    }

    /// Something was looked at. The text is made when it is kept.
    pub fn step(&mut self, topic: Topic, verdict: Verdict, name: &str, text: impl FnOnce() -> String) {
        if self.all || verdict != Verdict::Passed {
            self.steps.push(Step { topic, verdict, name: name.into(), text: text() });
        }
    }

    /// The steps.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

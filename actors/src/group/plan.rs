//! What an operator says of a ring group.

use media::prompt::Language;
use smol_str::SmolStr;
use std::time::Duration;

/// In which order agents ring (reference, mobility and voice, 6.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All who are free at once.
    #[default]
    Parallel,
    /// One after the other, each call from the first on.
    Serial,
    /// One after the other, each call from the one behind who was rung last.
    RoundRobin,
    /// One after the other, who has been free the longest first.
    LongestIdle,
    /// All at once, also those who talk already.
    Attendant,
}

impl Method {
    /// The words of the configuration.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("parallel", Self::Parallel),
        ("serial", Self::Serial),
        ("round-robin", Self::RoundRobin),
        ("longest-idle", Self::LongestIdle),
        ("attendant", Self::Attendant),
    ];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Serial => "serial",
            Self::RoundRobin => "round-robin",
            Self::LongestIdle => "longest-idle",
            Self::Attendant => "attendant",
        }
    }

    /// Whether all who may ring do so at once.
    pub const fn is_all_at_once(self) -> bool {
        matches!(self, Self::Parallel | Self::Attendant)
    }
}

/// A ring group.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: SmolStr,
    /// The number that is dialled.
    pub number: String,
    /// What it is called.
    pub text: Option<String>,
    /// In which order agents ring.
    pub method: Method,
    /// Names of the users who answer, in order.
    pub agents: Vec<SmolStr>,
    /// Agents take calls while they have signed in; else always.
    pub sign_in: bool,
    /// How long agents ring before others do.
    pub alert: Duration,
    /// How long who did not answer is left alone.
    pub rest: Duration,
    /// How long who has talked is left alone.
    pub wrap_up: Duration,
    /// Calls that may wait.
    pub waiting_max: usize,
    /// Past that the call that waits the longest goes, instead of the one that comes.
    pub overflow_oldest: bool,
    /// Where calls past that go; `None`: they are refused.
    pub overflow_to: Option<String>,
    /// How long a call may be in the group before somebody answers.
    pub wait_max: Option<Duration>,
    /// Where it goes then; `None`: it ends.
    pub timeout_to: Option<String>,
    /// Where calls go while no agent is there; `None`: they are refused.
    pub nobody_to: Option<String>,
    /// When it takes calls.
    pub hours: Option<SmolStr>,
    /// Where calls go at other times; `None`: they are refused.
    pub closed_to: Option<String>,
    /// How often who waits is told its place; `None`: never.
    pub announce: Option<Duration>,
    /// Language of that.
    pub language: Language,
    /// By whose rules a call leaves the group for a number outside.
    pub voice_policy: Option<SmolStr>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: SmolStr::default(),
            number: String::new(),
            text: None,
            method: Method::Parallel,
            agents: Vec::new(),
            sign_in: false,
            alert: Duration::from_secs(20),
            rest: Duration::from_secs(10),
            wrap_up: Duration::ZERO,
            waiting_max: 100,
            overflow_oldest: false,
            overflow_to: None,
            wait_max: None,
            timeout_to: None,
            nobody_to: None,
            hours: None,
            closed_to: None,
            announce: None,
            language: Language::English,
            voice_policy: None,
        }
    }
}

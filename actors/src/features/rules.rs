//! What a user's features do with a call that comes for it: a function of them, of what its voice policy allows, and of how
//! it is at this moment.

use sip::Status;
use std::time::Duration;

use super::Features;
use crate::call::Why;
use crate::routing::number::bare;
use crate::routing::spec::Switches;
use crate::routing::{Topic, Trail, Verdict};

/// How things are when a call comes.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The name of the user.
    pub user: &'a str,
    /// Who calls: numbers and names that it is known by.
    pub callers: &'a [&'a str],
    /// The caller is not to be shown.
    pub hidden: bool,
    /// Calls that the user has.
    pub lines: usize,
    /// Calls that it may have.
    pub lines_max: usize,
    /// How long phones ring where the user does not say.
    pub ring: Duration,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user's phones ring.
    Ring,
    /// It goes on.
    SendOn(String, Why),
    /// It is refused.
    Refuse(Refused),
}

/// A refusal in the name of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the caller is told.
    pub code: u16,
    /// In words.
    pub reason: &'static str,
    /// By Q.850.
    pub q850: u8,
}

impl Refused {
    /// The status.
    pub fn status(self) -> Status {
        Status::new(self.code).unwrap_or(Status::TEMPORARILY_UNAVAILABLE)
    }
}

/// The user has as many calls as it may have.
pub const BUSY: Refused = Refused { code: 486, reason: "Too Many Calls Of This User", q850: 17 };
/// It takes one call at a time.
const NO_WAITING: Refused = Refused { code: 486, reason: "In Another Call", q850: 17 };
/// It does not want to be disturbed.
const NOT_DISTURBED: Refused = Refused { code: 480, reason: "Do Not Disturb", q850: 31 };
/// RFC 5079.
const ANONYMITY: Refused = Refused { code: 433, reason: "Anonymity Disallowed", q850: 21 };
/// The caller is on its list.
const REJECTED: Refused = Refused { code: 603, reason: "Rejected By User", q850: 21 };

/// What becomes of a call that comes for a user.
pub fn incoming(features: &Features, switches: &Switches, now: &Now<'_>, trail: &mut Trail) -> Outcome {
    let mut say = |verdict, text: &dyn Fn() -> String| trail.step(Topic::Feature, verdict, now.user, text);
    if features.reject_anonymous && now.hidden {
        say(Verdict::Refused, &|| "refuses anonymous calls".into());
        return Outcome::Refuse(ANONYMITY);
    }
    if features.reject.iter().any(|number| now.callers.iter().any(|caller| bare(caller) == bare(number))) {
        say(Verdict::Refused, &|| "refuses calls of this caller".into());
        return Outcome::Refuse(REJECTED);
    }
    let forward = |to: &Option<String>| to.clone().filter(|_| switches.forwarding);
    if let Some(to) = forward(&features.forward_all) {
        say(Verdict::Rewrote, &|| format!("sends all calls to {to}"));
        return Outcome::SendOn(to, Why::Unconditional);
    }
    if features.forward_all.is_some() {
        say(Verdict::Refused, &|| "sends calls on, which the voice policy does not allow".into());
    }
    let busy = |refused, why| match forward(&features.forward_busy) {
        Some(to) => Outcome::SendOn(to, why),
        None => Outcome::Refuse(refused),
    };
    if features.do_not_disturb {
        say(Verdict::Refused, &|| "is not to be disturbed".into());
        return busy(NOT_DISTURBED, Why::DoNotDisturb);
    }
    if now.lines >= now.lines_max {
        say(Verdict::Refused, &|| format!("has {} calls, as many as it may have", now.lines));
        return busy(BUSY, Why::Busy);
    }
    if now.lines > 0 && !features.call_waiting {
        say(Verdict::Refused, &|| "has a call and lets none wait".into());
        return busy(NO_WAITING, Why::Busy);
    }
    for (what, who, after_s) in also(features, switches) {
        say(Verdict::Matched, &|| format!("{what} ring as well after {after_s} s: {}", who.join(", ")));
    }
    if let Some(to) = forward(&features.forward_busy) {
        say(Verdict::Matched, &|| format!("when it is busy or refuses, the call goes to {to}"));
    }
    if let Some(to) = forward(&features.forward_no_answer) {
        let ring_s = ring(features, now.ring).as_secs();
        say(Verdict::Matched, &|| {
            format!("after {ring_s} s without an answer, or without a phone, the call goes to {to}")
        });
    }
    Outcome::Ring
}

/// Where a call goes that has come to nothing at the user's phones.
pub fn unanswered(features: &Features, switches: &Switches, why: Why) -> Option<String> {
    let to = match why {
        Why::Busy | Why::DoNotDisturb => &features.forward_busy,
        Why::NoAnswer | Why::Unavailable => &features.forward_no_answer,
        Why::Unconditional | Why::Deflection => &None,
    };
    to.clone().filter(|_| switches.forwarding)
}

/// How long all that ring for the user do so, where calls go on that nobody answers.
pub fn ring(features: &Features, otherwise: Duration) -> Duration {
    features.ring_s.map_or(otherwise, |seconds| Duration::from_secs(seconds.into()))
}

/// Who rings beside the user's phones: what they are called, who, after how many seconds.
pub fn also<'f>(features: &'f Features, switches: &Switches) -> Vec<(&'static str, &'f [String], u16)> {
    let each = [
        ("numbers", &features.also_ring, features.also_ring_after_s, switches.simultaneous),
        ("delegates", &features.delegates, features.delegates_after_s, switches.delegation && features.delegates_ring),
        ("the team", &features.team, features.team_after_s, switches.team_call),
    ];
    each.into_iter()
        .filter(|(_, who, _, may)| *may && !who.is_empty())
        .map(|(what, who, after_s, _)| (what, who.as_slice(), after_s))
        .collect()
}

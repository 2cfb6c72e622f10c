//! What users have switched for their calls: forwardings, who rings as well, do-not-disturb and the rest. Durable, then in
//! force; set by feature codes, the admin API and the command line.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `book` | the features of all users, kept and changed |
//! | `codes` | what is dialled to change them |
//! | `rules` | what they do with a call |

mod book;
mod codes;
pub mod rules;
#[cfg(test)]
mod tests;

pub use book::{FeatureBook, LastCall, NotSet, TRACES};
pub use codes::{Action, Codes, Wish};

use serde::{Deserialize, Serialize};

/// Numbers, delegates or team members of one user.
const LIST_MAX: usize = 20;
/// Longest target or number, bytes.
const TARGET_BYTES_MAX: usize = 64;
/// The target that stands for the user's delegates.
pub const DELEGATES: &str = "delegates";
/// The target that stands for the user's mailbox.
pub const VOICEMAIL: &str = "voicemail";

/// The features of a user (reference, mobility and voice, 5.4 and 5.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Features {
    /// All calls go there; the own phones do not ring. `delegates` are the delegates, `voicemail` is the mailbox.
    pub forward_all: Option<String>,
    /// Calls go there while the user is busy, or when it refuses them.
    pub forward_busy: Option<String>,
    /// Calls go there that nobody answers, or while no phone is registered.
    pub forward_no_answer: Option<String>,
    /// How long all that ring for the user together do so before that; none is that of the configuration.
    pub ring_s: Option<u16>,
    /// Numbers that ring as well.
    pub also_ring: Vec<String>,
    /// So long after the own phones.
    pub also_ring_after_s: u16,
    /// Users who answer for this one.
    pub delegates: Vec<String>,
    /// They ring as well.
    pub delegates_ring: bool,
    /// So long after the own phones.
    pub delegates_after_s: u16,
    /// Users who ring as well.
    pub team: Vec<String>,
    /// So long after the own phones.
    pub team_after_s: u16,
    /// The time condition under which `forward_all` holds and others ring as well; none is always.
    pub during: Option<String>,
    /// No call rings.
    pub do_not_disturb: bool,
    /// Another call rings while there is one.
    pub call_waiting: bool,
    /// The number is not shown to whom is called.
    pub hide_number: bool,
    /// Calls of who hides its number are refused.
    pub reject_anonymous: bool,
    /// Calls of these are refused.
    pub reject: Vec<String>,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            forward_all: None,
            forward_busy: None,
            forward_no_answer: None,
            ring_s: None,
            also_ring: Vec::new(),
            also_ring_after_s: 0,
            delegates: Vec::new(),
            delegates_ring: false,
            delegates_after_s: 0,
            team: Vec::new(),
            team_after_s: 0,
            during: None,
            do_not_disturb: false,
            call_waiting: true,
            hide_number: false,
            reject_anonymous: false,
            reject: Vec::new(),
        }
    }
}

impl Features {
    /// Numbers that calls are sent to.
    pub fn targets(&self) -> impl Iterator<Item = &String> {
        let forward = [&self.forward_all, &self.forward_busy, &self.forward_no_answer].into_iter().flatten();
        forward.filter(|to| *to != DELEGATES && *to != VOICEMAIL).chain(&self.also_ring)
    }

    /// Where calls go that are sent on.
    pub(super) fn forwards(&self) -> [&Option<String>; 3] {
        [&self.forward_all, &self.forward_busy, &self.forward_no_answer]
    }

    /// What of them holds at a time outside of `during`.
    fn outside_hours(&self) -> Self {
        let none = (None, Vec::new(), Vec::new());
        let (forward_all, also_ring, team) = none;
        Self { forward_all, also_ring, team, delegates_ring: false, ..self.clone() }
    }

    /// Names of users in it.
    pub fn users(&self) -> impl Iterator<Item = &String> {
        self.delegates.iter().chain(&self.team)
    }

    /// What is out of bounds, in words.
    pub fn wrong(&self) -> Option<String> {
        let called = |text: &String| {
            (1..=TARGET_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+*#-_.".contains(&c))
        };
        let lists = [
            ("also_ring", &self.also_ring),
            ("delegates", &self.delegates),
            ("team", &self.team),
            ("reject", &self.reject),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, list)| list.len() > LIST_MAX) {
            return Some(format!("{name} has more than {LIST_MAX} entries"));
        }
        if let Some(text) = self.targets().chain(self.users()).chain(&self.reject).find(|text| !called(text)) {
            return Some(format!("{text:?} is no number or name"));
        }
        if self.ring_s.is_some_and(|s| !(5..=180).contains(&s)) {
            return Some("ring_s is 5 to 180".to_owned());
        }
        let late = [self.also_ring_after_s, self.delegates_after_s, self.team_after_s].into_iter().any(|s| s > 60);
        if late {
            return Some("what rings as well begins after 60 s at most".to_owned());
        }
        let to_delegates = self.forwards().into_iter().flatten().any(|to| to == DELEGATES);
        (to_delegates && self.delegates.is_empty()).then(|| "there are no delegates to send calls to".to_owned())
    }
}

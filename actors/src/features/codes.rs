//! Feature codes: what a user dials to switch something.
//!
//! A code begins with `*`; with `#` in its place it switches off. What follows is a number: `*211002` or `*21*1002#` sends all
//! calls to 1002, `#21` takes it back, `*61*1002*30#` those that nobody answers for 30 s.

use smol_str::SmolStr;

/// What a code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends all calls on.
    ForwardAll,
    /// Sends calls on while busy.
    ForwardBusy,
    /// Sends calls on that nobody answers.
    ForwardNoAnswer,
    /// Takes all forwardings back.
    ForwardNone,
    /// Another number rings as well.
    AlsoRing,
    /// No call rings.
    DoNotDisturb,
    /// Another call rings while there is one.
    CallWaiting,
    /// The number is not shown: in this call where a number follows, else in all.
    HideNumber,
    /// Calls of who hides its number are refused.
    RejectAnonymous,
    /// Takes calls of ring groups: of the one whose number follows, else of all.
    SignIn,
    /// Takes a call that rings for another: for the one whose number follows, else for anybody of the pickup group.
    Pickup,
    /// Marks the last call that came as malicious.
    Trace,
}

impl Action {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForwardAll => "forwarding of all calls",
            Self::ForwardBusy => "forwarding while busy",
            Self::ForwardNoAnswer => "forwarding of calls that nobody answers",
            Self::ForwardNone => "no forwarding",
            Self::AlsoRing => "another number rings as well",
            Self::DoNotDisturb => "do not disturb",
            Self::CallWaiting => "call waiting",
            Self::HideNumber => "the number is hidden",
            Self::RejectAnonymous => "anonymous calls are refused",
            Self::SignIn => "sign-in to ring groups",
            Self::Pickup => "pickup",
            Self::Trace => "trace of a malicious call",
        }
    }
}

/// What somebody wants who has dialled a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What.
    pub action: Action,
    /// To have it, or to have it no more.
    pub on: bool,
    /// The number behind the code; empty for none.
    pub number: String,
    /// The seconds behind that.
    pub seconds: Option<u16>,
}

/// The codes of a switch.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    /// Without their `*`; the longest first.
    list: Vec<(SmolStr, Action)>,
}

impl Codes {
    /// These codes, with their `*`.
    pub fn new(codes: impl IntoIterator<Item = (String, Action)>) -> Self {
        let bare = |(code, action): (String, Action)| Some((SmolStr::new(code.strip_prefix('*')?), action));
        let mut list: Vec<_> = codes.into_iter().filter_map(bare).collect();
        list.sort_by_key(|(code, _)| std::cmp::Reverse(code.len()));
        Self { list }
    }

    /// What is wanted by what was dialled; `None` where it begins with no code.
    pub fn wish(&self, dialled: &str) -> Option<Wish> {
        let (on, rest) = match dialled.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, dialled.strip_prefix('#')?),
        };
        let (code, action) = self.list.iter().find(|(code, _)| rest.starts_with(code.as_str()))?;
        let behind = rest.get(code.len()..)?.trim_end_matches('#').trim_start_matches('*');
        let (number, seconds) = behind.split_once('*').unwrap_or((behind, ""));
        let plain = number.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-_.".contains(&c));
        let seconds = if seconds.is_empty() { None } else { Some(seconds.parse().ok()?) };
        plain.then(|| Wish { action: *action, on, number: number.to_owned(), seconds })
    }
}

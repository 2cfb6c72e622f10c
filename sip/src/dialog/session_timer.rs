//! Session timers (RFC 4028): a session that nobody refreshes ends.

use crate::text;
use crate::value::{number, trim};
use crate::{Message, Name};
use std::time::Duration;

/// Smallest interval that anybody may ask for, in seconds (section 4).
pub const MIN_SE_S: u32 = 90;
/// Usual interval, in seconds (section 4: recommended).
pub const INTERVAL_S: u32 = 1_800;
/// Longest time before the end at which the other side gives up, in seconds (section 10).
const GUARD_S: u32 = 32;

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refresher {
    /// We do.
    Us,
    /// The peer does.
    Them,
}

/// What we want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Interval that we propose and accept at most, in seconds.
    pub interval_s: u32,
    /// Shortest interval that we accept, in seconds; at least [`MIN_SE_S`].
    pub min_s: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { interval_s: INTERVAL_S, min_s: MIN_SE_S }
    }
}

/// The peer's interval is too short: answered 422 with this Min-SE, in seconds (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("session interval too small, at least {min_s} s")]
pub struct TooSmall {
    /// Value of Min-SE.
    pub min_s: u32,
}

/// An agreed session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// Interval, in seconds.
    pub interval_s: u32,
    /// Who refreshes.
    pub refresher: Refresher,
    /// When it was agreed or refreshed last.
    pub since: Duration,
}

/// The headers with which we answer (sections 7.2 and 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The timer from now on.
    pub timer: SessionTimer,
    /// Value of Session-Expires in the 2xx.
    pub session_expires: String,
    /// Whether the 2xx has `Require: timer`.
    pub require: bool,
}

impl Policy {
    /// Values of Session-Expires and Min-SE of a request of ours that sets up a session (section 7.1).
    pub fn offer(self) -> (String, String) {
        let min_s = self.min_s.max(MIN_SE_S);
        (text![self.interval_s.max(min_s)], text![min_s])
    }

    /// Answers the peer's INVITE or UPDATE (section 9). `current` is who refreshes already, in a refresh.
    ///
    /// # Errors
    /// [`TooSmall`], only for a peer that knows session timers (section 9).
    pub fn answer(self, request: &Message, current: Option<Refresher>, now: Duration) -> Result<Answer, TooSmall> {
        let min_s = self.min_s.max(MIN_SE_S);
        let supported = request.lists(Name::Supported, "timer");
        let asked = seconds(request, Name::SessionExpires);
        if let Some(asked) = asked
            && asked < min_s
            && supported
        {
            return Err(TooSmall { min_s });
        }
        // Never above what was asked, never below what any hop on the way wants (sections 8.1, 9).
        let floor = min_s.max(seconds(request, Name::MinSe).unwrap_or(0));
        let interval_s = asked.unwrap_or(u32::MAX).min(self.interval_s).max(floor);
        let wanted = request.params(Name::SessionExpires).value(b"refresher");
        let refresher = match wanted {
            _ if !supported => Refresher::Us,
            Some(r) if r.eq_ignore_ascii_case(b"uac") => Refresher::Them,
            Some(r) if r.eq_ignore_ascii_case(b"uas") => Refresher::Us,
            _ => current.unwrap_or(Refresher::Us),
        };
        let (role, require) = match refresher {
            Refresher::Us => ("uas", false),
            Refresher::Them => ("uac", true),
        };
        let timer = SessionTimer { interval_s, refresher, since: now };
        Ok(Answer { timer, session_expires: text![interval_s, ";refresher=", role], require })
    }

    /// Reads the 2xx to a request of ours with [`Policy::offer`] (section 7.2). `None`: the session has no timer.
    pub fn settle(self, response: &Message, now: Duration) -> Option<SessionTimer> {
        let interval_s = seconds(response, Name::SessionExpires)?.max(MIN_SE_S);
        let refresher = match response.params(Name::SessionExpires).value(b"refresher") {
            Some(r) if r.eq_ignore_ascii_case(b"uas") => Refresher::Them,
            _ => Refresher::Us,
        };
        Some(SessionTimer { interval_s, refresher, since: now })
    }

    /// What to ask for after a 422 (section 7.3); `None` when its Min-SE is missing or nothing that we did not respect.
    pub fn raised(self, response: &Message) -> Option<Self> {
        let min_s = seconds(response, Name::MinSe)?;
        (min_s > self.interval_s.min(self.min_s))
            .then(|| Self { interval_s: self.interval_s.max(min_s), min_s: self.min_s.max(min_s) })
    }
}

impl SessionTimer {
    /// When we refresh: after half of the interval (section 10). `None` when the peer does.
    pub fn refresh_at(&self) -> Option<Duration> {
        let half = Duration::from_secs(u64::from(self.interval_s / 2));
        (self.refresher == Refresher::Us).then(|| self.since + half)
    }

    /// When the session is given up with BYE: 32 s or a third of the interval before its end, whichever is less
    /// (section 10).
    pub fn expires_at(&self) -> Duration {
        let guard = GUARD_S.min(self.interval_s / 3);
        self.since + Duration::from_secs(u64::from(self.interval_s - guard))
    }

    /// Value of Session-Expires in a refresh of ours: roles are those of the refresh (section 7.4).
    pub fn refresh_value(&self) -> String {
        let role = match self.refresher {
            Refresher::Us => "uac",
            Refresher::Them => "uas",
        };
        text![self.interval_s, ";refresher=", role]
    }
}

fn seconds(message: &Message, name: Name) -> Option<u32> {
    let value = message.value(name)?;
    let end = value.iter().position(|c| *c == b';').unwrap_or(value.len());
    let digits = trim(value.get(..end)?);
    number(digits, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok())
}

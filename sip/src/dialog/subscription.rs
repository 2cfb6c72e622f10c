//! Subscriptions (RFC 6665): how long one lives and how it ends, on either side.

use crate::value::{Params, number, trim};
use crate::{Message, Name};
use std::time::Duration;

/// Part of an interval, in percent, after which a subscriber refreshes.
const REFRESH_PERCENT: u32 = 85;
/// Subscriptions that end sooner than this many seconds ahead are refreshed at half of their time.
const SHORT_S: u32 = 60;

/// Why a subscription ended (section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Subscribe again at once.
    Deactivated,
    /// Subscribe again later.
    Probation,
    /// Do not subscribe again.
    Rejected,
    /// It was not refreshed; subscribe again at once.
    Timeout,
    /// Subscribe again later.
    GiveUp,
    /// The resource is gone: do not subscribe again.
    NoResource,
    /// Nothing will change any more: do not subscribe again.
    Invariant,
}

impl Reason {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Deactivated, "deactivated"),
        (Self::Probation, "probation"),
        (Self::Rejected, "rejected"),
        (Self::Timeout, "timeout"),
        (Self::GiveUp, "giveup"),
        (Self::NoResource, "noresource"),
        (Self::Invariant, "invariant"),
    ];

    /// The token of Subscription-State.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(r, _)| *r == self).map_or("", |(_, s)| s)
    }

    fn parse(token: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, s)| s.as_bytes().eq_ignore_ascii_case(token)).map(|(r, _)| *r)
    }

    /// Whether the subscriber may try again by itself.
    pub const fn may_retry(self) -> bool {
        matches!(self, Self::Deactivated | Self::Probation | Self::Timeout | Self::GiveUp)
    }
}

/// What a notifier grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Shorter ones are refused with 423, in seconds (section 4.2.1.1).
    pub min_s: u32,
    /// Longer ones are cut, in seconds.
    pub max_s: u32,
    /// Without Expires, in seconds.
    pub usual_s: u32,
}

/// Answered 423 with this Min-Expires, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subscription too brief, at least {min_s} s")]
pub struct TooBrief {
    /// Value of Min-Expires.
    pub min_s: u32,
}

impl Bounds {
    /// The interval for a SUBSCRIBE in seconds; 0 ends the subscription after one NOTIFY (section 4.2.1.4).
    ///
    /// # Errors
    /// [`TooBrief`]
    pub fn grant(self, subscribe: &Message) -> Result<u32, TooBrief> {
        let asked = subscribe
            .value(Name::Expires)
            .and_then(|v| number(trim(v), u64::from(u32::MAX)))
            .and_then(|n| u32::try_from(n).ok());
        match asked {
            Some(0) => Ok(0),
            Some(asked) if asked < self.min_s => Err(TooBrief { min_s: self.min_s }),
            Some(asked) => Ok(asked.min(self.max_s)),
            None => Ok(self.usual_s.min(self.max_s)),
        }
    }
}

/// The notifier's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notifier {
    expires_at: Duration,
    ended: Option<Reason>,
}

impl Notifier {
    /// Granted for `expires_s` seconds from `now`.
    pub fn new(expires_s: u32, now: Duration) -> Self {
        let mut this = Self { expires_at: now, ended: None };
        this.renew(expires_s, now);
        this
    }

    /// A SUBSCRIBE inside the dialog was granted; 0 ends it.
    pub fn renew(&mut self, expires_s: u32, now: Duration) {
        self.expires_at = now + Duration::from_secs(u64::from(expires_s));
        if expires_s == 0 {
            self.end(Reason::Timeout);
        }
    }

    /// Ends it; the first reason stays.
    pub fn end(&mut self, reason: Reason) {
        self.ended.get_or_insert(reason);
    }

    /// When it ends by itself.
    pub const fn expires_at(&self) -> Duration {
        self.expires_at
    }

    /// Whether the next NOTIFY is the last.
    pub fn is_ended(&self, now: Duration) -> bool {
        self.ended.is_some() || now >= self.expires_at
    }

    /// Value of Subscription-State in a NOTIFY of `now` (section 4.1.3).
    pub fn state(&self, now: Duration) -> String {
        match self.ended {
            Some(reason) => format!("terminated;reason={}", reason.as_str()),
            None if now >= self.expires_at => {
                format!("terminated;reason={}", Reason::Timeout.as_str())
            }
            None => {
                let left = self.expires_at.saturating_sub(now);
                format!("active;expires={}", left.as_millis().div_ceil(1_000))
            }
        }
    }
}

/// What a NOTIFY says about its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// Lives on (`active` or `pending`).
    Lives,
    /// Over; `retry_after_s` as the notifier asks.
    Ended {
        /// Why; `None` for an unknown or missing reason: retry at once.
        reason: Option<Reason>,
        /// Seconds to wait before another try.
        retry_after_s: Option<u32>,
    },
}

/// The subscriber's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    since: Duration,
    expires_s: u32,
}

impl Subscriber {
    /// From the 2xx to our SUBSCRIBE; `None` when it grants nothing (section 4.1.2.1).
    pub fn of(response: &Message, asked_s: u32, now: Duration) -> Option<Self> {
        let granted = response
            .value(Name::Expires)
            .and_then(|v| number(trim(v), u64::from(u32::MAX)))
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(asked_s)
            .min(asked_s);
        (granted > 0).then_some(Self { since: now, expires_s: granted })
    }

    /// When to send the next SUBSCRIBE.
    pub fn refresh_at(&self) -> Duration {
        let percent = if self.expires_s < SHORT_S { 50 } else { REFRESH_PERCENT };
        let after_ms = u64::from(self.expires_s) * u64::from(percent) * 10;
        self.since + Duration::from_millis(after_ms)
    }

    /// When it is over without refresh.
    pub fn expires_at(&self) -> Duration {
        self.since + Duration::from_secs(u64::from(self.expires_s))
    }

    /// Reads a NOTIFY; its `expires` may shorten the subscription, never lengthen it (section 4.1.2.4). `None` when
    /// Subscription-State is missing: answered 400.
    pub fn notified(&mut self, notify: &Message, now: Duration) -> Option<Notified> {
        let value = notify.value(Name::SubscriptionState)?;
        let end = value.iter().position(|c| *c == b';').unwrap_or(value.len());
        let (state, params) = value.split_at(end);
        let params = Params(params);
        let seconds = |name: &[u8]| {
            let value = params.value(name)?;
            u32::try_from(number(value, u64::from(u32::MAX))?).ok()
        };
        if trim(state).eq_ignore_ascii_case(b"terminated") {
            return Some(Notified::Ended {
                reason: params.value(b"reason").and_then(Reason::parse),
                retry_after_s: seconds(b"retry-after"),
            });
        }
        if let Some(left) = seconds(b"expires")
            && now + Duration::from_secs(u64::from(left)) < self.expires_at()
        {
            self.since = now;
            self.expires_s = left;
        }
        Some(Notified::Lives)
    }
}

/// Event package and id of a message (section 8.2.1); `None` when Event is missing: answered 489.
pub fn event(message: &Message) -> Option<(&[u8], Option<&[u8]>)> {
    let value = message.value(Name::Event)?;
    let end = value.iter().position(|c| *c == b';').unwrap_or(value.len());
    let (package, params) = value.split_at(end);
    Some((trim(package), Params(params).value(b"id")))
}

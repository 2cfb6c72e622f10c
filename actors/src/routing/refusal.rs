//! Why a call goes nowhere: a few kinds with a name each, and the status that says so on the wire.

use serde::Serialize;
use sip::Status;
use std::borrow::Cow;
use std::fmt;

/// A kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The address names nobody.
    NoUser,
    /// No user, number or service has this address, and no rule makes a number to call of it.
    Unknown,
    /// The voice policy, the dial plan or the lack of one forbids it.
    NotAllowed,
    /// The number is on the block list.
    Blocked,
    /// No route leads to the number.
    NoRoute,
    /// The routes that lead there are closed at this time.
    Closed,
    /// No hunt group of the gateway has this pilot.
    NoPilot,
    /// Whom the call was diverted from has no mailbox.
    NoMailbox,
    /// The call is not protected as the dial plan asks for.
    Unprotected,
    /// The caller's address has not the form of the dial plan.
    WrongForm,
}

impl Kind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoUser => "no_user",
            Self::Unknown => "unknown",
            Self::NotAllowed => "not_allowed",
            Self::Blocked => "blocked",
            Self::NoRoute => "no_route",
            Self::Closed => "closed",
            Self::NoPilot => "no_pilot",
            Self::NoMailbox => "no_mailbox",
            Self::Unprotected => "unprotected",
            Self::WrongForm => "wrong_form",
        }
    }

    /// The status that tells the caller. The reference has 403 for a call that is not allowed or has no route (mobility and
    /// voice, 6.1).
    pub const fn status(self) -> Status {
        match self {
            // Cause 3, no route to destination, is 404 as well (RFC 3398 section 7.2.4.1).
            Self::NoUser | Self::Unknown | Self::NoRoute | Self::NoPilot | Self::NoMailbox => Status::NOT_FOUND,
            Self::NotAllowed | Self::Blocked | Self::WrongForm => Status::FORBIDDEN,
            Self::Closed => Status::TEMPORARILY_UNAVAILABLE,
            Self::Unprotected => Status::NOT_ACCEPTABLE_HERE,
        }
    }

    /// The cause by Q.850.
    pub const fn q850(self) -> u8 {
        match self {
            Self::NoUser | Self::Unknown | Self::NoPilot | Self::NoMailbox => 1,
            Self::NoRoute => 3,
            Self::Closed => 20,
            Self::NotAllowed | Self::Blocked | Self::WrongForm => 21,
            Self::Unprotected => 88,
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub kind: Kind,
    /// In words.
    pub why: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with its reason.
    pub fn new(kind: Kind, why: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, why: why.into() }
    }

    /// As the value of a Reason header (RFC 3326): what strangers wrote does not get out of its quotation marks.
    pub fn reason(&self) -> String {
        let plain = |c: char| if c.is_control() || c == '"' || c == '\\' { '\'' } else { c };
        let text: String = self.why.chars().map(plain).collect();
        format!("SIP;cause={};text=\"{text}\"", self.kind.status().code())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_dialled_does_not_leave_the_quotation_marks_of_reason() {
        let refusal = Refusal::new(Kind::NoPilot, "nobody has a\"b\\c\r\nX: y");
        assert_eq!(refusal.reason(), "SIP;cause=404;text=\"nobody has a'b'c''X: y\"");
    }
}

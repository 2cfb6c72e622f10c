//! Who has sent a call on, as the next one is told: Diversion (RFC 5806), History-Info (RFC 7044), Referred-By (RFC 3892).
//!
//! Whoever sends a call on says so by [`Work::sent_on`]; the INVITEs that follow have the header fields. Phones get them, and of
//! gateways those with `call_history`. What an INVITE had of the kind when it came here stands before what is ours.

use sip::Name;
use sip::value::escape_user;
use std::sync::Arc;

use super::Work;
use crate::directory::User;
use crate::gateway::Exit;

/// How often one call is sent on; no chain goes on for ever.
pub const SENT_ON_MAX: usize = 5;

/// A user whose call was sent on.
#[derive(Clone, Debug)]
pub struct SentOn {
    /// Who was called.
    pub by: Arc<User>,
    /// Why it was not for him.
    pub why: Why,
}

/// Why a call was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// All calls are.
    Unconditional,
    /// The user is in a call.
    Busy,
    /// Nobody has picked up.
    NoAnswer,
    /// No phone is registered.
    Unavailable,
    /// The user does not want to be disturbed.
    DoNotDisturb,
    /// The phone has said where to (3xx), or who was in the call has (REFER).
    Deflection,
}

impl Why {
    /// The reason of a Diversion (RFC 5806 section 4).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unconditional => "unconditional",
            Self::Busy => "user-busy",
            Self::NoAnswer => "no-answer",
            Self::Unavailable => "unavailable",
            Self::DoNotDisturb => "do-not-disturb",
            Self::Deflection => "deflection",
        }
    }

    /// The cause in the URI of the next target (RFC 4458 section 2).
    const fn cause(self) -> &'static str {
        match self {
            Self::Unconditional => "302",
            Self::Busy => "486",
            Self::NoAnswer => "408",
            Self::Unavailable => "404",
            Self::DoNotDisturb | Self::Deflection => "480",
        }
    }

    /// The response by which the target before was left (RFC 7044 section 10.2); none where nobody was asked.
    const fn response(self) -> Option<&'static str> {
        match self {
            Self::Unconditional => None,
            Self::Busy => Some("486"),
            Self::NoAnswer => Some("408"),
            Self::Unavailable | Self::DoNotDisturb => Some("480"),
            Self::Deflection => Some("302"),
        }
    }
}

impl Work<'_> {
    /// A user's call is sent on; false where it was before, or too often: then it may not be.
    pub fn sent_on(&mut self, by: &Arc<User>, why: Why) -> bool {
        let before = &mut self.state.sent_on;
        if before.len() >= SENT_ON_MAX || before.iter().any(|one| one.by.name == by.name) {
            return false;
        }
        before.push(SentOn { by: Arc::clone(by), why });
        true
    }

    /// Who has sent on what is called now, the first one first: whoever transfers it, else whose calls were forwarded.
    pub fn sent_on_by(&self) -> Vec<SentOn> {
        match &self.state.transfer {
            Some(transfer) => {
                let by = self.state.leg(transfer.by()).and_then(|leg| leg.user.clone());
                by.map(|by| SentOn { by, why: Why::Deflection }).into_iter().collect()
            }
            None => self.state.sent_on.clone(),
        }
    }

    /// The header fields for an INVITE to `target` (a URI in angle brackets), outside by an exit or to a phone.
    pub fn history(&self, target: &str, exit: Option<&Exit>) -> Vec<(&'static str, String)> {
        if exit.is_some_and(|exit| !exit.gateway.call_history) {
            return Vec::new();
        }
        let claims = self.calling().and_then(|leg| leg.claims.as_deref());
        // RFC 7044 section 10.1: to who is not trusted, not who was before.
        let hides = claims.is_some_and(|claims| claims.history_hidden);
        if hides && exit.is_none_or(|exit| !exit.gateway.trusted) {
            return Vec::new();
        }
        let transfers = self.state.transfer.is_some();
        let came = claims.filter(|_| !transfers).map_or(&[][..], |claims| &claims.history);
        let directory = self.core.shared.directory();
        let own = self.sent_on_by();
        let hops: Vec<Hop> = own
            .iter()
            .map(|one| {
                let number = match exit {
                    Some(exit) => {
                        let shown = directory.routing().shown(&one.by);
                        exit.gateway.caller_as_sent(&shown).unwrap_or(shown)
                    }
                    None => one.by.extension.clone().unwrap_or_else(|| one.by.name.clone()),
                };
                Hop { uri: sip::text!["sip:", escape_user(&number), "@", directory.domain()], why: one.why }
            })
            .collect();
        let mut fields = fields(came, &hops, target);
        if let Some(hop) = hops.last().filter(|_| transfers) {
            fields.push((Name::ReferredBy.as_str(), sip::text!["<", &hop.uri, ">"]));
        }
        fields
    }
}

/// Somebody that a call has left.
struct Hop {
    uri: String,
    why: Why,
}

/// Diversion and History-Info: those that came, and ours behind them (of Diversion, before: RFC 5806 section 3.4).
fn fields(came: &[(Name, String)], hops: &[Hop], target: &str) -> Vec<(&'static str, String)> {
    if came.is_empty() && hops.is_empty() {
        return Vec::new();
    }
    let of = |wanted: Name| came.iter().filter(move |(name, _)| *name == wanted);
    let mut out = Vec::new();
    for hop in hops.iter().rev() {
        let value = sip::text!["<", &hop.uri, ">;reason=", hop.why.reason(), ";counter=1"];
        out.push((Name::Diversion.as_str(), value));
    }
    out.extend(of(Name::Diversion).map(|(name, value)| (name.as_str(), value.clone())));
    // Each entry is a branch of the one before it (RFC 7044 section 10.3).
    let mut index = of(Name::HistoryInfo).next_back().and_then(|(_, value)| index_of(value));
    let mut next = || {
        let before = index.take();
        let now = before.as_ref().map_or_else(|| "1".to_owned(), |before| sip::text![before, ".1"]);
        index = Some(now.clone());
        (before, now)
    };
    out.extend(of(Name::HistoryInfo).map(|(name, value)| (name.as_str(), value.clone())));
    let mut cause: Option<Why> = None;
    for hop in hops {
        let (before, now) = next();
        out.push((Name::HistoryInfo.as_str(), entry(&hop.uri, cause, hop.why.response(), before.as_deref(), &now)));
        cause = Some(hop.why);
    }
    let (before, now) = next();
    let target = target.trim_matches(['<', '>']);
    out.push((Name::HistoryInfo.as_str(), entry(target, cause, None, before.as_deref(), &now)));
    out
}

/// An entry of a history: a target, why it was tried, by which response it was left, its place.
fn entry(uri: &str, cause: Option<Why>, left: Option<&str>, before: Option<&str>, index: &str) -> String {
    let mut out = sip::text!["<", uri];
    if let Some(cause) = cause {
        out += &sip::text![";cause=", cause.cause()];
    }
    if let Some(left) = left {
        out += &sip::text!["?Reason=SIP%3Bcause%3D", left];
    }
    out += &sip::text![">;index=", index];
    // Mapped to another user than the one before (RFC 7044 section 5).
    if let Some(before) = before.filter(|_| cause.is_some()) {
        out += &sip::text![";mp=", before];
    }
    out
}

/// The index of an entry that came; none where it is not numbers and dots.
fn index_of(value: &str) -> Option<String> {
    let address = sip::value::NameAddr::parse(value.as_bytes()).ok()?;
    let index = std::str::from_utf8(address.params.value(b"index")?).ok()?;
    let is_one = index.len() <= 64 && index.split('.').all(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
    is_one.then(|| index.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(user: &str, why: Why) -> Hop {
        Hop { uri: format!("sip:{user}@example.com"), why }
    }

    fn lines(came: &[(Name, &str)], hops: &[Hop]) -> Vec<String> {
        let came: Vec<_> = came.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let fields = fields(&came, hops, "<sip:0391@carrier>");
        fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn a_call_that_goes_where_it_was_meant_has_no_history() {
        assert_eq!(lines(&[], &[]), Vec::<String>::new());
    }

    #[test]
    fn who_forwarded_last_stands_first_in_diversion_and_last_in_the_history() {
        let hops = [hop("1001", Why::NoAnswer), hop("1002", Why::Unconditional)];
        assert_eq!(
            lines(&[], &hops),
            [
                "Diversion: <sip:1002@example.com>;reason=unconditional;counter=1",
                "Diversion: <sip:1001@example.com>;reason=no-answer;counter=1",
                "History-Info: <sip:1001@example.com?Reason=SIP%3Bcause%3D408>;index=1",
                "History-Info: <sip:1002@example.com;cause=408>;index=1.1;mp=1",
                "History-Info: <sip:0391@carrier;cause=302>;index=1.1.1;mp=1.1",
            ]
        );
    }

    #[test]
    fn what_came_stands_before_what_is_ours_and_is_counted_on_from() {
        let came = [
            (Name::Diversion, "<sip:9@x>;reason=user-busy"),
            (Name::HistoryInfo, "<sip:9@x>;index=1"),
            (Name::HistoryInfo, "<sip:1001@example.com>;index=1.2"),
        ];
        assert_eq!(
            lines(&came, &[hop("1001", Why::Busy)]),
            [
                "Diversion: <sip:1001@example.com>;reason=user-busy;counter=1",
                "Diversion: <sip:9@x>;reason=user-busy",
                "History-Info: <sip:9@x>;index=1",
                "History-Info: <sip:1001@example.com>;index=1.2",
                "History-Info: <sip:1001@example.com?Reason=SIP%3Bcause%3D486>;index=1.2.1",
                "History-Info: <sip:0391@carrier;cause=486>;index=1.2.1.1;mp=1.2.1",
            ]
        );
    }

    #[test]
    fn an_index_of_another_kind_is_not_counted_on_from() {
        assert_eq!(index_of("<sip:a@b>;index=1.2.3").as_deref(), Some("1.2.3"));
        for wrong in ["<sip:a@b>", "<sip:a@b>;index=", "<sip:a@b>;index=1..2", "<sip:a@b>;index=x", "nonsense"] {
            assert_eq!(index_of(wrong), None, "{wrong}");
        }
    }
}

//! Who calls, as the called side is told: number, name, privacy, and what a gateway that is trusted has asserted of it.
//!
//! | the INVITE has | what becomes of it |
//! | --- | --- |
//! | `Privacy` with `id`, `user` or `header` (RFC 3323), or an anonymous From | From is anonymous everywhere; a trusted gateway gets the number in P-Asserted-Identity, and every gateway `Privacy: id` |
//! | `Privacy: none` | the caller is shown, also one that is hidden by its settings |
//! | P-Asserted-Identity (RFC 3325) | believed of a gateway with `trusted`: the caller's number and name; else not read |
//! | P-Preferred-Identity | a number of the user's own is the one that is shown outside; any other is not |
//! | `verstat` of a trusted gateway (RFC 8224, 3GPP TS 24.229) | told to phones in From, to trusted gateways in P-Asserted-Identity |
//! | Identity (RFC 8224) of a call that came by a gateway | goes on to gateways as it is, with its Date |
//!
//! Where a call was sent on before: `history`.

use sip::value::{NameAddr, Params, Uri, escape_user, is_token, trim, unquote};
use sip::{Message, Name};

use super::Work;
use super::leg::{Leg, LegId};
use crate::gateway::{Exit, Gateway};
use crate::shard::{Core, Identity};

/// Values of one header that are read and passed on.
pub const VALUES_MAX: usize = 16;
/// From where nobody is to be named (RFC 3323 section 4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// What an INVITE says of its caller besides From.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Whether the caller wants to be named.
    pub wish: Wish,
    /// Who sent it on before is not to be named (RFC 7044 section 10.1).
    pub history_hidden: bool,
    /// The number that a gateway's caller has, or that a user of ours prefers to show.
    pub number: Option<String>,
    /// The name that a gateway's caller has.
    pub name: String,
    /// The result of a verification of the number, by a trusted gateway.
    verstat: Option<String>,
    /// Header fields that go on to gateways as they are.
    passed: Vec<(&'static str, String)>,
    /// Diversion and History-Info as they came.
    pub(super) history: Vec<(Name, String)>,
}

/// What a caller wants of its name and number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// It says nothing.
    #[default]
    Unsaid,
    /// To be shown.
    Shown,
    /// To be hidden.
    Hidden,
}

/// What an INVITE of ours says of who calls whom.
pub struct Heads {
    /// From, without tag.
    pub from: String,
    /// To.
    pub to: String,
    /// Further headers.
    pub more: Vec<(&'static str, String)>,
}

impl Claims {
    /// Read off an INVITE of `identity`; `None` where it says nothing of the kind.
    pub fn of(invite: &Message, identity: &Identity) -> Option<Box<Self>> {
        let mut this = Self::default();
        this.read_privacy(invite);
        match identity {
            Identity::User(user) => {
                let first = invite.values(Name::PPreferredIdentity).find_map(|value| Said::of(value.ok()?));
                let own = |number: &String| user.numbers.contains(number) || user.extension.as_ref() == Some(number);
                this.number = first.map(|said| said.number).filter(own);
            }
            Identity::Gateway(gateway) => this.read_gateway(invite, gateway),
            Identity::Anybody => {}
        }
        let values = |name: Name| invite.values(name).take(VALUES_MAX).filter_map(Result::ok).map(move |v| (name, v));
        let history = values(Name::Diversion).chain(values(Name::HistoryInfo));
        this.history = history.map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned())).collect();
        (this != Self::default()).then(|| Box::new(this))
    }

    fn read_privacy(&mut self, invite: &Message) {
        let from = invite.from().ok().and_then(|from| Uri::parse(from.uri).ok());
        if from.is_some_and(|from| from.host.eq_ignore_ascii_case(b"anonymous.invalid")) {
            self.wish = Wish::Hidden;
        }
        for word in invite.all(Name::Privacy).flat_map(|header| words(&header.unfolded())) {
            match word.as_str() {
                "none" => self.wish = Wish::Shown,
                "id" | "user" => self.wish = Wish::Hidden,
                "header" => (self.wish, self.history_hidden) = (Wish::Hidden, true),
                // Session privacy is what a back-to-back user agent gives in any case: but not that of the history.
                "session" | "history" => self.history_hidden = true,
                _ => {}
            }
        }
    }

    fn read_gateway(&mut self, invite: &Message, gateway: &Gateway) {
        let asserted = || invite.values(Name::PAssertedIdentity).take(2).filter_map(|value| Said::of(value.ok()?));
        // RFC 3325 section 9.1: one by a sip URI and one by a tel URI at the most. The name stands with either.
        let mut trusted: Vec<Said> = if gateway.trusted { asserted().collect() } else { Vec::new() };
        let from = invite.from().ok().and_then(|from| Said::of_address(&from));
        if gateway.trusted {
            self.verstat = trusted.iter().chain(&from).find_map(|said| said.verstat.clone());
        }
        trusted.extend(from);
        if gateway.names.inward() {
            self.name = trusted.iter().map(|said| said.name.clone()).find(|name| !name.is_empty()).unwrap_or_default();
        }
        let number = trusted.into_iter().map(|said| said.number).find(|number| !number.is_empty());
        self.number = number.map(|number| gateway.trunk.caller_as_seen(&number));
        let named = |name: &'static str| {
            let fields = invite.headers().filter(move |h| h.name_bytes.eq_ignore_ascii_case(name.as_bytes()));
            fields.take(VALUES_MAX).map(move |h| (name, String::from_utf8_lossy(&h.unfolded()).into_owned()))
        };
        self.passed.extend(named("Identity"));
        // The short form of a signature is of this date (RFC 8224 section 4.1).
        if !self.passed.is_empty() {
            self.passed.extend(named("Date").take(1));
        }
    }
}

/// Who the record and the callee see: a user by its address of record, a gateway's caller by its number, others as they call
/// themselves.
pub fn party(core: &Core, invite: &Message, identity: &Identity, claims: Option<&Claims>) -> String {
    let from = || invite.from().ok().and_then(|from| Uri::parse(from.uri).ok());
    match identity {
        Identity::User(user) => core.shared.directory().aor(user),
        Identity::Gateway(gateway) => {
            let number = claims.and_then(|claims| claims.number.as_deref()).unwrap_or("anonymous");
            let host = from().map(|from| from.host_text().to_owned());
            // Who is hidden from everybody has an address that means nothing; who is known to us has its gateway's.
            let host = host.filter(|host| number == "anonymous" || host != "anonymous.invalid");
            sip::text![number, "@", host.unwrap_or_else(|| gateway.host.to_string())]
        }
        Identity::Anybody => from().map_or_else(
            || "anonymous@anonymous.invalid".to_owned(),
            |from| sip::text![from.user_text().unwrap_or_else(|| "anonymous".into()), "@", from.host_text()],
        ),
    }
}

/// What an address says.
struct Said {
    number: String,
    name: String,
    verstat: Option<String>,
}

impl Said {
    fn of(value: &[u8]) -> Option<Self> {
        Self::of_address(&NameAddr::parse(value).ok()?)
    }

    fn of_address(address: &NameAddr<'_>) -> Option<Self> {
        let uri = Uri::parse(address.uri).ok()?;
        let user = uri.user_text().unwrap_or_default();
        let number = user.split(';').next().unwrap_or_default().to_owned();
        // In the user part of a sip URI as in a tel URI (RFC 3261 section 19.1.6), or as a parameter of the URI.
        let behind = user.find(';').and_then(|at| user.get(at..)).unwrap_or_default();
        let verstat = Params(behind.as_bytes()).value(b"verstat").or_else(|| uri.params.value(b"verstat"));
        let verstat = verstat.and_then(|value| std::str::from_utf8(value).ok()).filter(|value| is_word(value));
        let name = String::from_utf8_lossy(&unquote(address.display)).into_owned();
        let name = name.chars().filter(|c| !c.is_control()).collect();
        Some(Self { number, name, verstat: verstat.map(str::to_owned) })
    }
}

/// The words of a Privacy value, in lower case (RFC 3323 section 4.2: separated by semicolons; some write commas).
fn words(value: &[u8]) -> Vec<String> {
    let each = value.split(|c| *c == b';' || *c == b',');
    each.map(|word| String::from_utf8_lossy(trim(word)).to_ascii_lowercase()).collect()
}

/// What may stand in a URI parameter without escaping: nothing of a stranger's leaves its place.
fn is_word(text: &str) -> bool {
    text.len() <= 64 && is_token(text.as_bytes())
}

impl Leg {
    /// Whether its party is not to be named to others.
    pub fn is_hidden(&self) -> bool {
        self.claims.as_ref().is_some_and(|claims| claims.wish == Wish::Hidden)
    }

    /// Its party is named to others, whatever else was said.
    pub fn show(&mut self) {
        self.claims.get_or_insert_default().wish = Wish::Shown;
    }

    /// Its party is not named to others, unless its INVITE says that it wants to be: the block of a user's caller-id.
    pub fn hide(&mut self) {
        let claims = self.claims.get_or_insert_default();
        if claims.wish == Wish::Unsaid {
            claims.wish = Wish::Hidden;
        }
    }
}

impl Work<'_> {
    /// Who calls whom, for the first INVITE of an outgoing leg.
    pub fn heads(&self, id: LegId) -> Heads {
        let leg = self.state.leg(id);
        match leg.and_then(|leg| leg.outward.as_ref()) {
            Some(outward) => self.heads_outside(&outward.exit),
            None => {
                let to = leg.map_or(String::new(), |leg| sip::text!["<sip:", &leg.party, ">"]);
                let calling = self.calling();
                let hidden = calling.is_some_and(Leg::is_hidden);
                let from = if hidden { ANONYMOUS.to_owned() } else { self.shown_inside(calling) };
                let more = self.history(&to, None);
                Heads { from, to, more }
            }
        }
    }

    fn heads_outside(&self, exit: &Exit) -> Heads {
        let (gateway, calling) = (&*exit.gateway, self.calling());
        let claims = calling.and_then(|leg| leg.claims.as_deref());
        let hidden = !exit.emergency && (gateway.anonymous || calling.is_some_and(Leg::is_hidden));
        let number = self.number_outside(exit, calling);
        let own = self.core.shared.directory();
        let domain = gateway.domain.as_deref().unwrap_or(own.domain());
        let user = escape_user(&number);
        let name = if gateway.names.outward() && !exit.by_route { self.name_of(calling) } else { String::new() };
        let shown = sip::text![quoted(&name), "<sip:", &user, "@", domain, ">"];
        let to = sip::text!["<", exit.gateway.uri(&exit.number), ">"];
        let mut more = self.history(&to, Some(exit));
        more.extend(claims.map(|claims| claims.passed.clone()).unwrap_or_default());
        if gateway.trusted {
            let verstat = claims.and_then(|claims| claims.verstat.as_deref()).filter(|_| !exit.by_route);
            let verstat = verstat.map_or_else(String::new, |value| sip::text![";verstat=", value]);
            let asserted = sip::text![quoted(&name), "<sip:", &user, &verstat, "@", domain, ">"];
            more.push((Name::PAssertedIdentity.as_str(), asserted));
        }
        if hidden {
            // Also to who is given no number: it may know one by our account, and is not to show it.
            more.push((Name::Privacy.as_str(), "id".to_owned()));
        }
        Heads { from: if hidden { ANONYMOUS.to_owned() } else { shown }, to, more }
    }

    /// The party on whose behalf others are called: the caller, or in a transfer who stays.
    pub fn calling(&self) -> Option<&Leg> {
        let stays = self.state.transfer.as_ref().map_or(LegId::CALLER, super::transfer::Transfer::stays);
        self.state.leg(stays)
    }

    /// The number that is shown outside. Of a call that was sent on it is the caller's where the gateway is told who has sent it on,
    /// else that of whoever did: a carrier takes no number that it cannot tell the payer of.
    fn number_outside(&self, exit: &Exit, calling: Option<&Leg>) -> String {
        let anonymous = || "anonymous".to_owned();
        let sent_on = !self.sent_on_by().is_empty();
        if exit.by_route || sent_on && !exit.gateway.call_history {
            return exit.caller.clone().unwrap_or_else(anonymous);
        }
        let claimed = calling.and_then(|leg| leg.claims.as_ref()?.number.clone());
        let claimed = claimed.or_else(|| {
            let leg = calling.filter(|_| sent_on)?;
            match &leg.user {
                Some(user) => Some(self.core.shared.directory().routing().shown(user)),
                None => leg.party.rsplit_once('@').map(|(user, _)| user.to_owned()),
            }
        });
        match claimed {
            Some(number) => exit.gateway.caller_as_sent(&number).unwrap_or_else(anonymous),
            None => exit.caller.clone().unwrap_or_else(anonymous),
        }
    }

    fn name_of(&self, calling: Option<&Leg>) -> String {
        let Some(leg) = calling else { return String::new() };
        let claimed = || leg.claims.as_ref().map(|claims| claims.name.clone());
        leg.user.as_ref().map(|user| user.display.clone()).or_else(claimed).unwrap_or_default()
    }

    /// From towards our own phones.
    fn shown_inside(&self, calling: Option<&Leg>) -> String {
        let directory = self.core.shared.directory();
        // Who says the name of a user from outside is not shown as that user.
        if let Some(user) = calling.and_then(|leg| leg.user.as_ref()) {
            let number = user.extension.as_deref().unwrap_or(&user.name);
            return sip::text![quoted(&user.display), "<sip:", number, "@", directory.domain(), ">"];
        }
        let party = match calling {
            Some(leg) if self.state.transfer.is_some() => leg.party.clone(),
            _ => self.file.facts.borrow().from.clone(),
        };
        let claims = calling.and_then(|leg| leg.claims.as_deref());
        let verstat = claims.and_then(|claims| claims.verstat.as_deref());
        let verstat = verstat.map_or_else(String::new, |value| sip::text![";verstat=", value]);
        let name = quoted(claims.map_or("", |claims| claims.name.as_str()));
        // A stranger's name is its own: nothing in it may leave the user part.
        match party.rsplit_once('@') {
            Some((user, host)) => sip::text![name, "<sip:", escape_user(user), verstat, "@", host, ">"],
            None => sip::text![name, "<sip:", party, ">"],
        }
    }
}

/// A display name in quotation marks and a space, or nothing.
pub fn quoted(name: &str) -> String {
    let name = name.replace(['"', '\\'], "");
    if name.is_empty() { name } else { sip::text!["\"", name, "\" "] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Host, Names};
    use std::sync::Arc;

    fn invite(from: &str, headers: &str) -> Message {
        let text = format!(
            "INVITE sip:1001@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: {from};tag=1\r\n\
             To: <sip:1001@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes()).unwrap()
    }

    fn gateway(trusted: bool) -> Identity {
        let plain = Gateway::new("carrier", Host::Name("carrier.example".to_owned()));
        Identity::Gateway(Arc::new(Gateway { trusted, names: Names::Both, ..plain }))
    }

    fn of(trusted: bool, from: &str, headers: &str) -> Claims {
        Claims::of(&invite(from, headers), &gateway(trusted)).map(|claims| *claims).unwrap_or_default()
    }

    #[test]
    fn an_asserted_identity_is_believed_of_a_trusted_gateway_only() {
        let headers = "P-Asserted-Identity: \"Carla\" <sip:+390612@c.example>, <tel:+390612>\r\n";
        let (trusted, other) = (of(true, "<sip:1@c>", headers), of(false, "<sip:1@c>", headers));
        assert_eq!((trusted.number.as_deref(), trusted.name.as_str()), (Some("+390612"), "Carla"));
        assert_eq!((other.number.as_deref(), other.name.as_str()), (Some("1"), ""));
    }

    #[test]
    fn privacy_is_read_in_all_its_forms() {
        let wish = |from: &str, headers: &str| of(false, from, headers).wish;
        assert_eq!(wish("<sip:1@c>", ""), Wish::Unsaid);
        for hidden in ["id", "user", "Header;session", "id;critical", "none, id"] {
            assert_eq!(wish("<sip:1@c>", &format!("Privacy: {hidden}\r\n")), Wish::Hidden, "{hidden}");
        }
        assert_eq!(wish("<sip:1@c>", "Privacy: none\r\n"), Wish::Shown);
        assert_eq!(wish("<sip:1@c>", "Privacy: session\r\n"), Wish::Unsaid);
        assert_eq!(wish("\"Anonymous\" <sip:anonymous@anonymous.invalid>", ""), Wish::Hidden);
        assert!(of(false, "<sip:1@c>", "Privacy: history\r\n").history_hidden);
    }

    #[test]
    fn the_result_of_a_verification_is_taken_of_a_trusted_gateway_and_only_as_a_word() {
        let verstat = |trusted, uri: &str| of(trusted, &format!("<{uri}>"), "").verstat;
        let passed = Some("TN-Validation-Passed".to_owned());
        assert_eq!(verstat(true, "sip:+1215;verstat=TN-Validation-Passed@c.example"), passed);
        assert_eq!(verstat(true, "sip:+1215@c.example;verstat=TN-Validation-Passed"), passed);
        assert_eq!(verstat(false, "sip:+1215;verstat=TN-Validation-Passed@c.example"), None);
        assert_eq!(verstat(true, "sip:+1215;verstat=\"x%40y\"@c.example"), None);
    }

    #[test]
    fn a_signature_is_kept_with_its_date() {
        let claims = of(false, "<sip:1@c>", "Identity: abc..sig;info=<https://c/x>;alg=ES256\r\nDate: Wed\r\n");
        assert_eq!(
            claims.passed,
            [("Identity", "abc..sig;info=<https://c/x>;alg=ES256".to_owned()), ("Date", "Wed".to_owned())]
        );
        assert!(of(false, "<sip:1@c>", "Date: Wed\r\n").passed.is_empty());
    }
}

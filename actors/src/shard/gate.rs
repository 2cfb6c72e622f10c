//! The one policy that every request outside of a dialog passes before anything is remembered of it (design law 7).
//!
//! What it answers, it answers statelessly: a flood of unauthenticated requests leaves nothing behind (RFC 3261 section
//! 26.3.2.4). What no rule lets in is refused.

use bytes::Bytes;
use sip::auth::{self, Challenger};
use sip::value::Scheme;
use sip::{Hop, Message, Method, Name, Protocol, Status, Writer};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

use super::core::{Core, random_token};
use crate::directory::User;
use crate::gateway::{Gateway, Standing};
use crate::outside;
use crate::routing::{By, Inbound};
use crate::settings::Settings;

/// Who a request is from.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user who proved the password.
    User(Arc<User>),
    /// A neighbour known by its address.
    Gateway(Arc<Gateway>),
    /// Nobody in particular: may ask what the switch can do, nothing else.
    Anybody,
}

impl Identity {
    /// Who asks where an address leads.
    pub fn asks(&self) -> By<'_> {
        match self {
            Self::User(user) => By::User(user),
            Self::Gateway(gateway) => By::Gateway(gateway, Inbound::default()),
            Self::Anybody => By::Nobody,
        }
    }
}

/// The methods that the switch takes (RFC 3261 section 20.5).
pub const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, MESSAGE, SUBSCRIBE, NOTIFY, REFER, UPDATE, PRACK";
/// Extensions of dialogs that work.
pub const SUPPORTED: &str = "100rel, replaces, timer, norefersub";
/// Extensions that a REGISTER or a dialog may require of us.
const UNDERSTOOD: [&str; 7] = ["100rel", "replaces", "timer", "norefersub", "path", "outbound", "gruu"];

/// Used nonces that a shard remembers.
const REPLAYS_MAX: usize = 65_536;

fn octets(ip: IpAddr) -> SmallVec<[u8; 16]> {
    match ip {
        IpAddr::V4(ip) => SmallVec::from_slice(&ip.octets()),
        IpAddr::V6(ip) => SmallVec::from_slice(&ip.octets()),
    }
}

/// Extensions that a request requires and that we do not know (RFC 3261 section 8.2.2.3).
pub fn not_understood(message: &Message) -> Vec<String> {
    message
        .values(Name::Require)
        .chain(message.values(Name::ProxyRequire))
        .filter_map(Result::ok)
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .filter(|tag| !UNDERSTOOD.iter().any(|u| u.eq_ignore_ascii_case(tag)))
        .collect()
}

/// Authentication state of a shard.
pub struct Gate {
    challenger: Challenger,
    guard: auth::Guard,
}

impl Gate {
    /// Fresh nonces and an empty table of tries.
    pub fn new(settings: &Settings) -> Self {
        let auth = &settings.auth;
        Self {
            challenger: Challenger::new(
                auth::Realm {
                    name: auth.realm.clone(),
                    algorithms: auth.algorithms.clone(),
                    nonce_lifetime_ms: u64::try_from(auth.nonce_lifetime.as_millis()).unwrap_or(u64::MAX),
                    replay_entries_max: REPLAYS_MAX,
                    userhash: false,
                },
                &outside::random(),
                outside::random(),
            ),
            guard: auth::Guard::new(auth::Limits {
                free_tries: auth.tries_max,
                // A source that guesses waits longer and longer, up to the longest delay; a user who mistyped is not
                // locked out for good by it.
                tries_max: u32::MAX,
                delay_first_ms: u64::try_from(auth.delay_first.as_millis()).unwrap_or(u64::MAX),
                delay_max_ms: u64::try_from(auth.delay_max.as_millis()).unwrap_or(u64::MAX),
                ..auth::Limits::default()
            }),
        }
    }
}

impl Core {
    /// Judges a request outside of a dialog: who sent it, or the answer after which nothing is remembered of it.
    pub(super) fn judge(&self, message: &Message, hop: &Hop) -> Result<Identity, Bytes> {
        if let Err(error) = message.check() {
            self.shared.counters.malformed.increment(1);
            let answer = sip::message::refuse(message.raw(), error);
            return Err(answer.map_or_else(|| self.plain_response(message, error.status(), None), Bytes::from));
        }
        match self.form(message) {
            Some(refusal) => Err(refusal),
            None => self.identify(message, hop),
        }
    }

    /// What a server checks before it asks who is there (RFC 3261 section 8.2).
    fn form(&self, message: &Message) -> Option<Bytes> {
        let refuse = |status, reason| Some(self.plain_response(message, status, reason));
        match message.method() {
            Method::Other(_) => return refuse(Status::NOT_IMPLEMENTED, None),
            Method::Publish => {
                let mut writer = self.response(message, Status::METHOD_NOT_ALLOWED, None);
                writer.header(Name::Allow, ALLOW);
                return Some(writer.finish());
            }
            Method::Bye | Method::Prack | Method::Update | Method::Info | Method::Notify | Method::Refer => {
                return refuse(Status::CALL_DOES_NOT_EXIST, None);
            }
            _ => {}
        }
        let Ok(uri) = message.uri() else { return refuse(Status::BAD_REQUEST, Some("Request-URI malformed")) };
        if matches!(uri.scheme, Scheme::Other(_)) {
            return refuse(Status::UNSUPPORTED_URI_SCHEME, None);
        }
        let unknown = not_understood(message);
        if !unknown.is_empty() {
            let mut writer = self.response(message, Status::BAD_EXTENSION, None);
            writer.header(Name::Unsupported, unknown.join(", "));
            return Some(writer.finish());
        }
        let forwards = message.number(Name::MaxForwards, 255).ok().flatten().unwrap_or(70);
        if forwards == 0 && !matches!(message.method(), Method::Register | Method::Options) {
            return refuse(Status::TOO_MANY_HOPS, None);
        }
        if uri.scheme != Scheme::Tel && !self.is_ours(uri.host_text()) {
            return refuse(Status::NOT_FOUND, Some("Domain Not Served Here"));
        }
        if let Some(encoding) = message.value(Name::ContentEncoding)
            && !encoding.eq_ignore_ascii_case(b"identity")
        {
            let mut writer = self.response(message, Status::UNSUPPORTED_MEDIA_TYPE, None);
            writer.named("Accept-Encoding", "identity");
            return Some(writer.finish());
        }
        if *message.method() == Method::Invite
            && !message.body().is_empty()
            && !matches!(
                message.content_type().as_str(),
                "application/sdp" | "multipart/mixed" | "multipart/alternative"
            )
        {
            let mut writer = self.response(message, Status::UNSUPPORTED_MEDIA_TYPE, None);
            writer.header(Name::Accept, "application/sdp");
            return Some(writer.finish());
        }
        None
    }

    /// Whether a host is one of our domains or addresses.
    pub(crate) fn is_ours(&self, host: &str) -> bool {
        self.shared.directory().is_ours(host, |host| self.shared.is_own_host(host))
    }

    /// The gateway that a request which came this way belongs to: by transport, and address or the name that its TLS
    /// certificate has proved.
    pub(crate) fn gateway_of(&self, hop: &Hop) -> Option<Arc<Standing>> {
        let facts = hop.connection.filter(|_| hop.protocol == Protocol::Tls);
        let facts = facts.and_then(|connection| self.shared.network.facts(connection));
        let names: &[String] = facts.as_ref().map_or(&[], |facts| &facts.certificate_names);
        self.shared.gateways.of(hop, names)
    }

    /// Who sent it, or the answer that asks for proof.
    fn identify(&self, message: &Message, hop: &Hop) -> Result<Identity, Bytes> {
        let method = message.method();
        if *method == Method::Options {
            return Ok(Identity::Anybody);
        }
        if *method != Method::Register
            && let Some(standing) = self.gateway_of(hop)
            // As it is configured now.
            && let Some(gateway) = self.shared.directory().gateway(&standing.gateway.name)
        {
            return Ok(Identity::Gateway(Arc::clone(gateway)));
        }
        let now_ms = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        let directory = self.shared.directory();
        let mut gate = self.gate.borrow_mut();
        let source = hop.remote.ip();
        let scope = octets(source);
        let realm = &self.shared.settings().auth.realm;
        let secret = |user: &str, asked: &str| {
            (asked == realm).then(|| directory.user(user).map(|u| u.secret.clone())).flatten()
        };
        let request = auth::Request { method: method.as_str(), uri: message.request_uri(), scope: &scope };
        // Credentials for another realm say nothing to us; the first that are for ours decide.
        let mut verdict = auth::Verdict::NoCredentials;
        for header in message.all(Name::Authorization).chain(message.all(Name::ProxyAuthorization)) {
            verdict = gate.challenger.verify(now_ms, &request, &header.unfolded(), &secret);
            if verdict != auth::Verdict::NoCredentials {
                break;
            }
        }
        match verdict {
            auth::Verdict::Ok { user } => {
                // The guard also holds back a right password while it delays a source that guesses.
                if let Some(refusal) = self.held_back(&gate, message, now_ms, source, &user) {
                    return Err(refusal);
                }
                gate.guard.succeeded(source, &user);
                drop(gate);
                let user = directory.user(&user).cloned();
                user.map(Identity::User).ok_or_else(|| self.plain_response(message, Status::FORBIDDEN, None))
            }
            auth::Verdict::Stale | auth::Verdict::Replayed => {
                Err(self.challenge(&mut gate, message, now_ms, hop, true))
            }
            auth::Verdict::NoCredentials => Err(self.challenge(&mut gate, message, now_ms, hop, false)),
            auth::Verdict::UnknownUser { user } | auth::Verdict::WrongPassword { user } => {
                self.shared.counters.wrong_passwords.increment(1);
                gate.guard.failed(now_ms, source, &user);
                if let Some(refusal) = self.held_back(&gate, message, now_ms, source, &user) {
                    return Err(refusal);
                }
                Err(self.challenge(&mut gate, message, now_ms, hop, false))
            }
            auth::Verdict::Malformed(what) => {
                let reason = format!("Authorization malformed: {what}");
                Err(self.plain_response(message, Status::BAD_REQUEST, Some(&reason)))
            }
        }
    }

    /// 403 for a source that has guessed too often, with the time after which it may try again.
    fn held_back(&self, gate: &Gate, message: &Message, now_ms: u64, source: IpAddr, user: &str) -> Option<Bytes> {
        let wait_ms = match gate.guard.check(now_ms, source, user) {
            auth::Pass::Allow => return None,
            auth::Pass::DelayUntil(until_ms) => Some(until_ms.saturating_sub(now_ms)),
            auth::Pass::Refuse => None,
        };
        self.shared.counters.refused_credentials.increment(1);
        let mut writer = self.response(message, Status::FORBIDDEN, Some("Too Many Wrong Passwords"));
        if let Some(wait_ms) = wait_ms {
            writer.header(Name::RetryAfter, wait_ms.div_ceil(1000).max(1).to_string());
        }
        Some(writer.finish())
    }

    fn challenge(&self, gate: &mut Gate, message: &Message, now_ms: u64, hop: &Hop, stale: bool) -> Bytes {
        self.shared.counters.challenges.increment(1);
        let mut writer = self.response(message, Status::UNAUTHORIZED, None);
        for value in gate.challenger.challenge_values(now_ms, &octets(hop.remote.ip()), stale) {
            writer.header(Name::WwwAuthenticate, value);
        }
        writer.finish()
    }

    /// Begins a response of ours outside of a dialog.
    pub(crate) fn response(&self, message: &Message, status: Status, reason: Option<&str>) -> Writer {
        let tag = random_token(8);
        let mut writer = Writer::response(message, status, reason, Some(&tag));
        writer.header(Name::Server, &self.shared.settings().sip.user_agent);
        writer
    }
}

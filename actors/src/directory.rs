//! Who is who: users, their numbers, gateways and service numbers, found by what people dial.

use ahash::AHashMap;
use serde::Serialize;
use sip::Hop;
use sip::value::{Scheme, Uri};
use std::sync::Arc;

use crate::conference::Plan;
use crate::gateway::{Exit, Gateway, Host};

/// A person with a phone.
#[derive(Clone, Debug)]
pub struct User {
    /// Name, the user part of the address of record.
    pub name: String,
    /// Shown name.
    pub display: String,
    /// Extension.
    pub extension: Option<String>,
    /// Numbers in E.164 form with `+`.
    pub numbers: Vec<String>,
    /// Digest secret.
    pub secret: sip::auth::Secret,
    /// Contacts at once, where it differs from the registrar's bound.
    pub contacts_max: Option<usize>,
    /// Calls at once; `None` is no bound of its own.
    pub max_calls: Option<usize>,
    /// Whether its media is encrypted, where it differs from the default.
    pub srtp: Option<sip::sdp::Srtp>,
}

/// A number that the switch answers itself.
#[derive(Clone, Debug)]
pub struct Service {
    /// The number.
    pub number: String,
    /// What it does.
    pub kind: ServiceKind,
}

/// What a service number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// Sends back what it hears.
    Echo,
    /// 1 kHz at -10 dBm0.
    Tone,
    /// A spoken text, then the end of the call.
    Announcement,
    /// Music on hold.
    Music,
    /// A conference; its number says which.
    Conference,
}

impl ServiceKind {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Tone => "tone",
            Self::Announcement => "announcement",
            Self::Music => "music",
            Self::Conference => "conference",
        }
    }
}

/// Where a dialled address leads.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To a user's registered contacts.
    User(Arc<User>),
    /// To a service of the switch.
    Service(ServiceKind),
    /// Into a conference.
    Conference {
        /// What it has in common with others.
        plan: Arc<Plan>,
        /// Its number.
        number: String,
    },
    /// Out of the switch: by the first of these that takes the call. Never empty.
    Outside(Vec<Exit>),
    /// Nowhere; the text goes into Reason and says why.
    Nowhere(&'static str),
}

/// The directory; built whole, replaced whole.
#[derive(Debug, Default)]
pub struct Directory {
    domains: Vec<String>,
    by_key: AHashMap<String, Arc<User>>,
    services: AHashMap<String, ServiceKind>,
    conferences: Vec<Arc<Plan>>,
    gateways: Vec<Arc<Gateway>>,
    users: Vec<Arc<User>>,
}

impl Directory {
    /// Builds the look-ups. A key with two owners belongs to the first; the configuration check refuses such files.
    pub fn new(
        domains: &[String],
        users: &[User],
        gateways: &[Gateway],
        services: &[Service],
        conferences: &[Arc<Plan>],
    ) -> Self {
        let conferences = conferences.to_vec();
        let mut this = Self { domains: domains.to_vec(), conferences, ..Self::default() };
        for user in users {
            let user = Arc::new(user.clone());
            let keys = std::iter::once(user.name.to_ascii_lowercase())
                .chain(user.extension.clone())
                .chain(user.numbers.iter().map(|n| bare(n)));
            for key in keys {
                this.by_key.entry(key).or_insert_with(|| Arc::clone(&user));
            }
            this.users.push(user);
        }
        for service in services {
            this.services.insert(service.number.clone(), service.kind);
        }
        this.gateways = gateways.iter().cloned().map(Arc::new).collect();
        this
    }

    /// Whether we are responsible for `host`, or it is one of our own addresses.
    pub fn is_ours(&self, host: &str, own: impl Fn(&str) -> bool) -> bool {
        self.domains.iter().any(|d| d.eq_ignore_ascii_case(host)) || own(host)
    }

    /// The default domain.
    pub fn domain(&self) -> &str {
        self.domains.first().map_or("localhost", String::as_str)
    }

    /// All users.
    pub fn users(&self) -> &[Arc<User>] {
        &self.users
    }

    /// The user by name.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.find(name).filter(|u| u.name.eq_ignore_ascii_case(name))
    }

    /// The user by name, extension or number.
    pub fn find(&self, key: &str) -> Option<&Arc<User>> {
        if let Some(user) = self.by_key.get(key) {
            return Some(user);
        }
        let lower = key.to_ascii_lowercase();
        self.by_key.get(&lower).or_else(|| self.by_key.get(&bare(key)))
    }

    /// The canonical address of record of a user.
    pub fn aor(&self, user: &User) -> String {
        sip::text![&user.name, "@", self.domain()]
    }

    /// The gateway that a request which came this way belongs to: by address and transport, from any port.
    pub fn gateway_of(&self, hop: &Hop) -> Option<&Arc<Gateway>> {
        let here = hop.remote.ip();
        self.gateways.iter().find(|g| g.protocol == hop.protocol && matches!(g.host, Host::Ip(ip) if ip == here))
    }

    /// The gateways by which a dialled number leaves: those whose prefix it has, in the order of the configuration.
    fn exits(&self, dialled: &str) -> Vec<Exit> {
        let exit = |gateway: &Arc<Gateway>| {
            let prefix = gateway.prefix.as_deref()?;
            let number = dialled.strip_prefix(prefix).filter(|number| !number.is_empty())?;
            let why = format!("{} is the prefix of gateway {}", prefix, gateway.name);
            Some(Exit { gateway: Arc::clone(gateway), number: number.to_owned(), caller: None, why })
        };
        self.gateways.iter().filter_map(exit).collect()
    }

    /// Where a Request-URI leads.
    pub fn route(&self, uri: &Uri<'_>) -> Destination {
        let Some(dialled) = uri.user_text() else { return Destination::Nowhere("no user in the address") };
        let dialled = match uri.scheme {
            Scheme::Tel => bare(&dialled),
            _ => dialled.split(';').next().unwrap_or_default().to_owned(),
        };
        if let Some(kind) = self.services.get(&dialled) {
            return Destination::Service(*kind);
        }
        if let Some(user) = self.find(&dialled) {
            return Destination::User(Arc::clone(user));
        }
        if let Some(plan) = self.conferences.iter().find(|plan| plan.has(&dialled)) {
            return Destination::Conference { plan: Arc::clone(plan), number: dialled };
        }
        let exits = self.exits(&dialled);
        if !exits.is_empty() {
            return Destination::Outside(exits);
        }
        // Numbers of the lab that later work fills: say so rather than plain "not found".
        match dialled.as_bytes() {
            b"5000" => Destination::Nowhere("voice access is not configured"),
            b"5100" => Destination::Nowhere("no attendant is configured"),
            [b'5', b'2', _, _] => Destination::Nowhere("no conference has this number"),
            [b'9', ..] => Destination::Nowhere("no outside line is configured"),
            _ => Destination::Nowhere("no user, number or service has this address"),
        }
    }
}

/// A number without visual separators (RFC 3966 section 5.1.1).
fn bare(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect()
}

//! Who is who: users, their numbers, gateways and service numbers, found by what people dial.

use ahash::AHashMap;
use serde::Serialize;
use sip::value::{Scheme, Uri};
use std::sync::Arc;

use crate::conference::Plan;
use crate::features::Wish;
use crate::gateway::{Exit, Gateway};
use crate::group;
use crate::outside;
use crate::routing::number::bare;
use crate::routing::{Assigned, By, Decision, Kind, Question, Refusal, Routing, Spec};
use crate::settings::Settings;
use crate::talk::Attendant;

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
    /// Its site, and what it has been given of its own.
    pub routing: Assigned,
    /// Its mailbox, where it has one.
    pub mailbox: Option<crate::mail::Assigned>,
    /// Whether it is told keys by SIP INFO, whatever its phones agree to.
    pub keys_by_info: bool,
    /// Those who may take each other's ringing calls.
    pub pickup_group: Option<String>,
}

impl User {
    /// Somebody who has no phone and calls by the rules of a voice policy: a ring group that sends its calls on.
    pub fn stand_in(name: &str, number: &str, policy: Option<smol_str::SmolStr>) -> Self {
        let scope = crate::routing::spec::Scope { policy, ..Default::default() };
        Self {
            name: name.to_owned(),
            display: String::new(),
            extension: Some(number.to_owned()),
            numbers: Vec::new(),
            secret: sip::auth::Secret::Password(String::new()),
            contacts_max: None,
            max_calls: None,
            srtp: None,
            routing: Assigned { scope, ..Assigned::default() },
            mailbox: None,
            keys_by_info: false,
            pickup_group: None,
        }
    }
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
    /// A tone that says that it is done.
    Confirmation,
    /// Users hear their messages.
    Voicemail,
    /// Callers leave a message.
    Mailbox,
    /// An attendant; its number says which.
    Attendant,
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
            Self::Confirmation => "confirmation",
            Self::Voicemail => "voicemail",
            Self::Mailbox => "mailbox",
            Self::Attendant => "attendant",
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
    /// To what a feature code asks for.
    Feature(Wish),
    /// To the call that is parked there.
    Park(String),
    /// To a ring group.
    Group(Arc<group::Plan>),
    /// To a user's mailbox: a message is left.
    Mailbox(Arc<User>),
    /// To an attendant.
    Attendant(Arc<Attendant>),
    /// Out of the switch: by the first of these that takes the call. Never empty.
    Outside(Vec<Exit>),
    /// Nowhere; the reason goes into Reason.
    Nowhere(Refusal),
}

/// The directory; built whole, replaced whole.
#[derive(Debug, Default)]
pub struct Directory {
    domains: Vec<String>,
    by_key: AHashMap<String, Arc<User>>,
    services: AHashMap<String, ServiceKind>,
    conferences: Vec<Arc<Plan>>,
    groups: AHashMap<String, Arc<group::Plan>>,
    attendants: Vec<Arc<Attendant>>,
    gateways: Vec<Arc<Gateway>>,
    users: Vec<Arc<User>>,
    routing: Routing,
}

impl Directory {
    /// The directory of these settings.
    pub fn of(settings: &Settings) -> Self {
        let Settings { domains, users, gateways, services, conferences, routing, .. } = settings;
        Self::new(domains, users, gateways, services, conferences, routing.clone())
            .with_groups(&settings.groups)
            .with_attendants(&settings.attendants)
    }

    /// With these ring groups besides.
    #[must_use]
    pub fn with_groups(mut self, groups: &[Arc<group::Plan>]) -> Self {
        self.groups = groups.iter().map(|plan| (plan.number.clone(), Arc::clone(plan))).collect();
        self
    }

    /// With these attendants besides.
    #[must_use]
    fn with_attendants(mut self, attendants: &[Arc<Attendant>]) -> Self {
        self.attendants = attendants.to_vec();
        self
    }

    /// Builds the look-ups. A key with two owners belongs to the first; the configuration check refuses such files.
    pub fn new(
        domains: &[String],
        users: &[User],
        gateways: &[Gateway],
        services: &[Service],
        conferences: &[Arc<Plan>],
        routing: Spec,
    ) -> Self {
        let (conferences, routing) = (conferences.to_vec(), Routing::new(routing));
        let mut this = Self { domains: domains.to_vec(), conferences, routing, ..Self::default() };
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

    /// A gateway by its name.
    pub fn gateway(&self, name: &str) -> Option<&Arc<Gateway>> {
        self.gateways.iter().find(|gateway| gateway.name == name)
    }

    /// The plan of where calls go.
    pub const fn routing(&self) -> &Routing {
        &self.routing
    }

    /// Whose a number or name is here: a user's, a service's, a conference's.
    pub fn owner(&self, dialled: &str) -> Option<Destination> {
        if let Some(kind) = self.services.get(dialled) {
            return Some(Destination::Service(*kind));
        }
        if let Some(user) = self.find(dialled) {
            return Some(Destination::User(Arc::clone(user)));
        }
        if let Some(plan) = self.groups.get(dialled) {
            return Some(Destination::Group(Arc::clone(plan)));
        }
        if let Some(attendant) = self.attendants.iter().find(|attendant| attendant.numbers.iter().any(|n| n == dialled))
        {
            return Some(Destination::Attendant(Arc::clone(attendant)));
        }
        let plan = self.conferences.iter().find(|plan| plan.has(dialled))?;
        Some(Destination::Conference { plan: Arc::clone(plan), number: dialled.to_owned() })
    }

    /// Where a Request-URI leads.
    pub fn route(&self, uri: &Uri<'_>, by: By<'_>) -> Decision {
        let Some(dialled) = uri.user_text() else {
            let nowhere = Destination::Nowhere(Refusal::new(Kind::NoUser, "no user in the address"));
            return Decision { destination: nowhere, steps: Vec::new(), under: crate::plan::Under::default() };
        };
        let dialled = match uri.scheme {
            Scheme::Tel => bare(&dialled),
            _ => dialled.split(';').next().unwrap_or_default().to_owned(),
        };
        let at = outside::now();
        self.routing.decide(self, &Question { dialled: &dialled, by, at, sent_on: false }, false)
    }
}

//! What is configured of a gateway, and the ways out of the switch that lead over them.

use sip::Protocol;
use sip::auth::Secret;
use sip::sdp::{CodecPattern, Srtp};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::health::Probing;
use crate::limits::{Charge, Rate};
use crate::routing::{TrunkRules, rewrite};

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// At an address.
    Ip(IpAddr),
    /// Where the DNS says (RFC 3263).
    Name(String),
}

impl fmt::Display for Host {
    /// As a URI has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Whether an address is of it.
    pub const fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// Which way names of callers pass by a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None.
    None,
    /// Those of its callers are shown to our phones.
    In,
    /// Those of our users are told to it.
    Out,
    /// Both.
    Both,
}

impl Names {
    /// Those of its callers pass.
    pub const fn inward(self) -> bool {
        matches!(self, Self::In | Self::Both)
    }

    /// Those of our users pass.
    pub const fn outward(self) -> bool {
        matches!(self, Self::Out | Self::Both)
    }
}

/// Who we are to a carrier.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// User name.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
    /// The realm that must be asked for; `None` takes whatever the carrier calls itself.
    pub realm: Option<String>,
    /// Whether we register with the carrier.
    pub registers: bool,
    /// How long a registration of ours is to last.
    pub expires: Duration,
}

/// A neighbour that calls leave by and come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// Name.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Its port; `None` is the one of its transport, or what the DNS says.
    pub port: Option<u16>,
    /// Of a name, the addresses that are taken; `None` takes all.
    pub family: Option<Family>,
    /// Transport.
    pub protocol: Protocol,
    /// What the certificate of a TLS peer must be of, where that is not its host.
    pub certificate: Option<String>,
    /// The domain of its addresses and of the account; `None` is its host.
    pub domain: Option<String>,
    /// Whether it takes calls when the switch starts.
    pub enabled: bool,
    /// Whether calls leave by it.
    pub outbound: bool,
    /// How long it may say nothing at all of an INVITE before the next gateway is tried.
    pub silence: Duration,
    /// How long it may neither ring nor answer before the next gateway is tried.
    pub failover: Duration,
    /// Calls at once, both ways.
    pub channels_max: usize,
    /// New calls a second, both ways; `None` is as many as come.
    pub calls_per_second: Option<u32>,
    /// The codecs that it is named; `None` is all.
    pub codecs: Option<Arc<[CodecPattern]>>,
    /// Whether its media is encrypted; `None` is the default of all.
    pub srtp: Option<Srtp>,
    /// It is of our domain of trust (RFC 3325): identities are believed from it and asserted to it.
    pub trusted: bool,
    /// Which way names of callers pass.
    pub names: Names,
    /// All callers are anonymous to it.
    pub anonymous: bool,
    /// It is told who has sent a call on, and of such a call the caller's own number.
    pub call_history: bool,
    /// Whether we ask it for a session timer (RFC 4028); one that it asks for is kept to in any case.
    pub session_timer: bool,
    /// How it is asked whether it is there.
    pub probing: Probing,
    /// Who we are to it, where it asks.
    pub account: Option<Account>,
    /// How routing uses it.
    pub trunk: TrunkRules,
}

impl Gateway {
    /// A gateway over UDP of which nothing is said but where it is.
    pub fn new(name: &str, host: Host) -> Self {
        Self {
            name: name.to_owned(),
            host,
            port: None,
            protocol: Protocol::Udp,
            certificate: None,
            domain: None,
            enabled: true,
            outbound: true,
            silence: Duration::from_secs(4),
            failover: Duration::from_secs(10),
            channels_max: 1_000,
            calls_per_second: None,
            codecs: None,
            family: None,
            srtp: None,
            trusted: false,
            names: Names::In,
            anonymous: false,
            call_history: false,
            session_timer: false,
            probing: Probing {
                every: Some(Duration::from_secs(10)),
                patience: Duration::from_secs(4),
                down_after: 3,
                up_after: 2,
                rest_max: Duration::from_secs(60),
            },
            account: None,
            trunk: TrunkRules::default(),
        }
    }

    /// Whether it is where another one is, with the same account: what is known of the one holds for the other.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place =
            |of: &Self| (of.host.clone(), of.port, of.protocol, of.family, of.certificate.clone(), of.domain.clone());
        place(self) == place(other) && self.account == other.account
    }

    /// `host` or `host:port`, as URIs of its have it.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// The URI of a number at the gateway. The transport is that of the way to it, and not said again.
    pub fn uri(&self, number: &str) -> String {
        sip::text!["sip:", sip::value::escape_user(number), "@", self.authority()]
    }

    /// Its own URI.
    pub fn own_uri(&self) -> String {
        sip::text!["sip:", self.authority()]
    }

    /// Whom a REGISTER is for (RFC 3261 section 10.2: the domain, without a user).
    pub fn registrar_uri(&self) -> String {
        match &self.domain {
            Some(domain) => sip::text!["sip:", domain],
            None => self.own_uri(),
        }
    }

    /// Our address towards it: the account's, else the switch itself.
    pub fn own_address(&self, domain: &str) -> String {
        match &self.account {
            Some(account) => {
                let host = self.domain.clone().unwrap_or_else(|| self.host.to_string());
                sip::text!["sip:", sip::value::escape_user(&account.username), "@", host]
            }
            None => sip::text!["sip:", domain],
        }
    }

    /// The user part of our Contact towards it.
    pub fn contact_user(&self) -> String {
        let user = self.account.as_ref().map_or("strowger", |account| account.username.as_str());
        sip::value::escape_user(user)
    }

    /// A caller's number as its rules send it; `None` sends none.
    pub fn caller_as_sent(&self, number: &str) -> Option<String> {
        let sent = rewrite::first(&self.trunk.caller_out, number).map_or_else(|| number.to_owned(), |(_, sent)| sent);
        (!sent.is_empty()).then_some(sent)
    }

    /// What is looked up to find it.
    pub fn place(&self) -> String {
        sip::text!["sip:", self.authority(), ";transport=", self.protocol.uri()]
    }
}

/// A way out of the switch: a gateway, and what it is told. Whoever decides where a call goes makes a list of them; the call
/// tries them in order.
#[derive(Clone, Debug)]
pub struct Exit {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The called number, as it is sent: the user part of the Request-URI and of To, not escaped.
    pub number: String,
    /// The calling number, as it is shown; `None` shows none.
    pub caller: Option<String>,
    /// The route names the calling number: no other is shown.
    pub by_route: bool,
    /// It is an emergency call: nothing holds it back, and its caller is shown.
    pub emergency: bool,
    /// What it costs.
    pub rate: Rate,
    /// Who pays.
    pub charges: Vec<Charge>,
    /// Which rule leads here, for the record of the call.
    pub why: String,
}

//! What is configured of a gateway, and the ways out of the switch that lead over them.

use sip::Protocol;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::routing::TrunkRules;

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

/// A neighbour that calls leave by and come from.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Its port; `None` is the one of its transport, or what the DNS says.
    pub port: Option<u16>,
    /// Transport.
    pub protocol: Protocol,
    /// What the certificate of a TLS peer must be of, where that is not its host.
    pub certificate: Option<String>,
    /// How long it may say nothing at all of an INVITE before the next gateway is tried.
    pub silence: Duration,
    /// How long it may neither ring nor answer before the next gateway is tried.
    pub failover: Duration,
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
            silence: Duration::from_secs(4),
            failover: Duration::from_secs(10),
            trunk: TrunkRules::default(),
        }
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
    /// The calling number, as it is shown; `None` is the caller's own.
    pub caller: Option<String>,
    /// Which rule leads here, for the record of the call.
    pub why: String,
}

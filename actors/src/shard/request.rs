//! A request of ours, as the actors know it: which way it goes, what it is called, how it may end without an answer.

use bytes::Bytes;
use sip::net::resolve::ResolveError;
use sip::transaction::{ClientEnd, ClientId};
use sip::value::{Scheme, Uri};
use sip::{Hop, Method, Status};
use std::fmt::{self, Write as _};

use super::core::{Core, Owner};
use super::errands::Load;
use crate::gateway::Family;

/// A request of ours, as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// One transaction.
    Direct(ClientId),
    /// An errand, which may need several.
    Errand(u64),
}

/// Why a request of ours got no final answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody has said anything in time.
    Timeout,
    /// The transport could not deliver.
    TransportFailed,
    /// Its name leads nowhere, or the DNS does not say where.
    NoPlace(ResolveError),
    /// It was cancelled before it was sent.
    Withdrawn,
}

impl Unanswered {
    /// What it counts as (RFC 3261 section 8.1.3.1).
    pub fn status(self) -> Status {
        match self {
            Self::Timeout | Self::NoPlace(ResolveError::TimedOut) => Status::REQUEST_TIMEOUT,
            Self::TransportFailed | Self::NoPlace(_) => Status::SERVICE_UNAVAILABLE,
            Self::Withdrawn => Status::REQUEST_TERMINATED,
        }
    }

    /// The reason phrase of the answer that follows from it; empty for the usual one.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::NoPlace(ResolveError::TimedOut) => "DNS Timed Out",
            Self::NoPlace(ResolveError::NotFound) => "Name Has No SIP Service",
            Self::NoPlace(ResolveError::Busy) => "Too Many DNS Questions",
            Self::NoPlace(_) => "DNS Failed",
            Self::Timeout | Self::TransportFailed | Self::Withdrawn => "",
        }
    }
}

impl From<ClientEnd> for Unanswered {
    fn from(why: ClientEnd) -> Self {
        match why {
            ClientEnd::Timeout => Self::Timeout,
            ClientEnd::TransportFailed => Self::TransportFailed,
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("nothing came in time"),
            Self::TransportFailed => f.write_str("it could not be delivered"),
            Self::NoPlace(why) => write!(f, "{why}"),
            Self::Withdrawn => f.write_str("it was cancelled before it was sent"),
        }
    }
}

/// Which way a request of ours goes.
#[derive(Clone, Debug)]
pub enum Way {
    /// Along this hop.
    Hop(Hop),
    /// To where a name leads.
    Named(Named),
}

impl Way {
    /// The hop that the request is first written for.
    pub const fn hop(&self) -> &Hop {
        match self {
            Self::Hop(hop) => hop,
            Self::Named(named) => &named.back,
        }
    }
}

/// A name, and what is known of the way to it.
#[derive(Clone, Debug)]
pub struct Named {
    /// What is looked up: [`place_of`] the URI.
    pub place: Box<str>,
    /// What the certificate of a TLS peer must be of, where that is not the name itself.
    pub certificate: Option<Box<str>>,
    /// Of the addresses that it has, those that are tried; `None` tries all.
    pub family: Option<Family>,
    /// Who has answered there before: tried first (RFC 3263 section 4: a dialog stays with its server).
    pub known: Option<Hop>,
    /// The way that the peer's signalling comes.
    pub back: Hop,
    /// Inside a dialog that way is the last resort whatever fails; outside of one only where there is no such name, which
    /// then is one that the phone alone knows.
    pub inside: bool,
}

/// What of a URI says where it leads, as a URI of its own: one look-up serves all who want the same.
pub fn place_of(uri: &Uri<'_>) -> Box<str> {
    let mut out = String::from(if uri.scheme == Scheme::Sips { "sips:" } else { "sip:" });
    out.push_str(&uri.host_text().to_ascii_lowercase());
    if let Some(port) = uri.port {
        let _ = write!(out, ":{port}");
    }
    for name in ["transport", "maddr"] {
        if let Some(value) = uri.params.value(name.as_bytes()) {
            let _ = write!(out, ";{name}={}", String::from_utf8_lossy(value).to_ascii_lowercase());
        }
    }
    out.into()
}

impl Core {
    /// Sends a request its way. `None` when there are too many transactions.
    pub fn request(&self, owner: Owner, method: &Method, branch: &str, way: &Way, bytes: Bytes) -> Option<RequestId> {
        match way {
            Way::Hop(hop) => self.transact(owner, method, branch, *hop, bytes).map(RequestId::Direct),
            Way::Named(named) => self.errand(owner, Load::Request, named, bytes).map(RequestId::Errand),
        }
    }

    /// Sends the ACK of a 2xx and keeps it for repetitions.
    pub fn ack_success(&self, owner: Owner, client: RequestId, to_tag: &[u8], ack: Bytes, way: &Way) {
        match (way, client) {
            (Way::Hop(hop), RequestId::Direct(client)) => {
                self.with_layer(|layer, _, out| layer.ack(client, to_tag, ack, *hop, out));
            }
            // An answer comes with its own transaction: only after a fault is it not there any more.
            (Way::Hop(hop), RequestId::Errand(_)) => self.send(hop, ack),
            (Way::Named(named), client) => {
                self.errand(owner, Load::Ack { client, to_tag: to_tag.into() }, named, ack);
            }
        }
    }

    /// Cancels an INVITE of ours (RFC 3261 section 9.1). False where it had not been sent: then there is nothing to
    /// cancel, and its owner hears that it was withdrawn.
    pub fn cancel(&self, request: RequestId, reason: Option<&str>) -> bool {
        let client = match request {
            RequestId::Direct(client) => Some(client),
            RequestId::Errand(number) => self.withdraw(number),
        };
        if let Some(client) = client {
            self.with_layer(|layer, now, out| layer.cancel(now, client, reason, out));
        }
        client.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_says_where_a_uri_leads() {
        let table = [
            ("sip:bob@Example.COM", "sip:example.com"),
            ("sip:alice@example.com;user=phone?subject=x", "sip:example.com"),
            ("sips:bob@example.com:5061", "sips:example.com:5061"),
            ("sip:edge@example.com;lr;transport=TCP", "sip:example.com;transport=tcp"),
            ("sip:example.com;maddr=other.example", "sip:example.com;maddr=other.example"),
        ];
        for (uri, wanted) in table {
            assert_eq!(&*place_of(&Uri::parse(uri.as_bytes()).unwrap()), wanted, "{uri}");
        }
    }
}

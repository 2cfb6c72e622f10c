//! From a URI to addresses, best first (RFC 3263).
//!
//! [`literal`] answers for addresses at once. For names, `plan` is the procedure of RFC 3263 section 4 over any
//! source of records, `order` is its arithmetic, `dns` is the source that asks real servers.

mod dns;
mod order;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use dns::Resolver;

use crate::Protocol;
use crate::value::{Host, Scheme, Uri};
use std::net::SocketAddr;

/// Places that one answer names at most; further ones would not be tried before the transaction times out.
pub const TARGETS_MAX: usize = 32;

/// A place to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Transport.
    pub protocol: Protocol,
    /// Address and port.
    pub address: SocketAddr,
}

/// Why a URI leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Neither `sip` nor `sips`: there is nothing to look up.
    #[error("scheme has no location: only sip and sips have")]
    Scheme,
    /// A transport that is unknown, not ours, or not secure where the URI demands it.
    #[error("transport not supported")]
    Transport,
    /// The name has no addresses, or says that it offers no such service (RFC 2782: target `.`).
    #[error("name has no SIP service")]
    NotFound,
    /// The DNS did not answer, or with a failure.
    #[error("DNS failed")]
    Dns,
    /// The DNS took too long.
    #[error("DNS timed out")]
    TimedOut,
    /// Too many questions are under way.
    #[error("too many look-ups under way")]
    Busy,
}

/// What RFC 3263 wants to know of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question<'a> {
    pub host: Host<'a>,
    pub port: Option<u16>,
    /// As the URI says, made secure for `sips`.
    pub transport: Option<Protocol>,
    pub secure: bool,
}

impl<'a> Question<'a> {
    /// Reads a URI (RFC 3263 section 4: `maddr` stands before the host).
    pub(crate) fn of(uri: &Uri<'a>) -> Result<Self, ResolveError> {
        let secure = match uri.scheme {
            Scheme::Sip => false,
            Scheme::Sips => true,
            Scheme::Tel | Scheme::Other(_) => return Err(ResolveError::Scheme),
        };
        let host = uri.params.value(b"maddr").unwrap_or(uri.host);
        let host = Host::parse(host).map_err(|_| ResolveError::NotFound)?;
        let transport = match uri.params.value(b"transport") {
            None => None,
            Some(token) => Some(transport(token, secure)?),
        };
        Ok(Self { host, port: uri.port, transport, secure })
    }

    /// The transport where nothing else decides (RFC 3263 section 4.1).
    pub(crate) const fn fallback(&self) -> Protocol {
        match self.transport {
            Some(transport) => transport,
            None if self.secure => Protocol::Tls,
            None => Protocol::Udp,
        }
    }
}

/// `sips` with `transport=tcp` means TLS over TCP (RFC 3261 section 26.2.2); over datagrams it has no meaning.
fn transport(token: &[u8], secure: bool) -> Result<Protocol, ResolveError> {
    match (Protocol::parse(token), secure) {
        (Some(Protocol::Tcp), true) => Ok(Protocol::Tls),
        (Some(Protocol::Ws), true) => Ok(Protocol::Wss),
        (Some(Protocol::Udp), true) | (None, _) => Err(ResolveError::Transport),
        (Some(protocol), _) => Ok(protocol),
    }
}

/// The place of a URI with a literal address, without asking anybody; none when its host is a name.
///
/// # Errors
/// A scheme or transport that has no place.
pub fn literal(uri: &Uri<'_>) -> Result<Option<Target>, ResolveError> {
    let question = Question::of(uri)?;
    let Host::Ip(ip) = question.host else {
        return Ok(None);
    };
    let protocol = question.fallback();
    let port = question.port.unwrap_or(protocol.default_port());
    Ok(Some(Target { protocol, address: SocketAddr::new(ip, port) }))
}

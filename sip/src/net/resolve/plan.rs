//! The procedure of RFC 3263 section 4 over any source of records.

use super::order::{self, Naptr, Srv};
use super::{Question, ResolveError, TARGETS_MAX, Target};
use crate::Protocol;
use crate::value::Host;
use std::net::{IpAddr, SocketAddr};

/// Services, and servers of one service, that are asked for.
const SERVICES_MAX: usize = 8;
const SERVERS_MAX: usize = 16;

/// Where records come from. A name without records of the type is an empty answer, not an error.
pub(crate) trait Lookup {
    async fn naptr(&self, name: &str) -> Result<Vec<Naptr>, ResolveError>;
    async fn srv(&self, name: &str) -> Result<Vec<Srv>, ResolveError>;
    /// Only of families that we can send to.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// The places of a URI, in the order in which to try them (RFC 3263 section 4.3). `random` is that of
/// [`order::srv`].
pub(crate) async fn locate(
    lookup: &impl Lookup,
    question: &Question<'_>,
    offered: &[Protocol],
    mut random: impl FnMut(u32) -> u32,
) -> Result<Vec<Target>, ResolveError> {
    let name = match question.host {
        Host::Ip(ip) => {
            let protocol = question.fallback();
            let port = question.port.unwrap_or(protocol.default_port());
            let address = SocketAddr::new(ip, port);
            return Ok(vec![Target { protocol, address }]);
        }
        Host::Name(name) => std::str::from_utf8(name).map_err(|_| ResolveError::NotFound)?,
    };
    if let Some(transport) = question.transport
        && !offered.contains(&transport)
    {
        return Err(ResolveError::Transport);
    }
    if let Some(port) = question.port {
        // Section 4.2: with a port there is no SRV, and section 4.1: no NAPTR.
        return hosts(lookup, name, question.fallback(), port).await;
    }
    let services = services(lookup, name, question, offered).await?;
    let mut targets = Vec::new();
    let mut refused = false;
    for (protocol, service) in services.into_iter().take(SERVICES_MAX) {
        // A server that fails on SRV must not keep us from the address records.
        let servers = lookup.srv(&service).await.unwrap_or_default();
        refused |= matches!(servers.as_slice(), [only] if only.target.is_empty());
        for server in order::srv(servers, &mut random).iter().take(SERVERS_MAX) {
            if server.target.is_empty() || targets.len() >= TARGETS_MAX {
                continue;
            }
            let found = lookup.addresses(&server.target).await.unwrap_or_default();
            targets.extend(found.into_iter().map(|ip| Target { protocol, address: SocketAddr::new(ip, server.port) }));
        }
    }
    targets.truncate(TARGETS_MAX);
    if !targets.is_empty() {
        return Ok(targets);
    }
    if refused {
        return Err(ResolveError::NotFound);
    }
    let protocol = question.fallback();
    hosts(lookup, name, protocol, protocol.default_port()).await
}

/// The SRV names to ask for, best first.
async fn services(
    lookup: &impl Lookup,
    name: &str,
    question: &Question<'_>,
    offered: &[Protocol],
) -> Result<Vec<(Protocol, String)>, ResolveError> {
    if let Some(transport) = question.transport {
        return Ok(srv_name(transport, name).into_iter().collect());
    }
    // Some servers fail on NAPTR instead of saying that there is none.
    let naptr = lookup.naptr(name).await.unwrap_or_default();
    let named = order::naptr(naptr, question.secure, offered);
    if !named.is_empty() {
        return Ok(named);
    }
    let ours = [Protocol::Udp, Protocol::Tcp, Protocol::Tls];
    let ours = ours.into_iter().filter(|p| {
        let allowed = p.is_secure() || !question.secure;
        allowed && offered.contains(p)
    });
    Ok(ours.filter_map(|p| srv_name(p, name)).collect())
}

/// RFC 3263 section 4.1; WebSocket has no SRV (RFC 7118 section 7).
fn srv_name(protocol: Protocol, name: &str) -> Option<(Protocol, String)> {
    let prefix = match protocol {
        Protocol::Udp => "_sip._udp",
        Protocol::Tcp => "_sip._tcp",
        Protocol::Tls => "_sips._tcp",
        Protocol::Ws | Protocol::Wss => return None,
    };
    Some((protocol, format!("{prefix}.{name}")))
}

async fn hosts(lookup: &impl Lookup, name: &str, protocol: Protocol, port: u16) -> Result<Vec<Target>, ResolveError> {
    let found = lookup.addresses(name).await?;
    if found.is_empty() {
        return Err(ResolveError::NotFound);
    }
    let place = |ip| Target { protocol, address: SocketAddr::new(ip, port) };
    Ok(found.into_iter().map(place).take(TARGETS_MAX).collect())
}

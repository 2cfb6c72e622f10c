//! Where a response goes (RFC 3261 section 18.2.2, RFC 3581 section 4).

use crate::value::Host;
use crate::{Hop, Message, Protocol};
use std::net::SocketAddr;

/// The way of the responses to `request`, which came over `hop`: back over the connection; over UDP to `maddr`, or to the
/// source address and to the source port when the client asked for it with `rport`, else to the port of sent-by.
pub fn response_hop(request: &Message, hop: &Hop) -> Hop {
    let via = request.via();
    if hop.protocol.is_reliable() {
        return *hop;
    }
    let sent_by_port = via.port.unwrap_or(Protocol::Udp.default_port());
    // The parameters of a parsed message are well-formed.
    let [maddr, rport] = via.params.check_for([b"maddr", b"rport"]).unwrap_or_default();
    let remote = match maddr.and_then(|maddr| maddr.value).map(Host::parse) {
        Some(Ok(Host::Ip(ip))) => SocketAddr::new(ip, sent_by_port),
        _ if rport.is_some() => hop.remote,
        _ => SocketAddr::new(hop.remote.ip(), sent_by_port),
    };
    Hop { remote, ..*hop }
}

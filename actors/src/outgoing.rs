//! What every request of ours needs: the next hop, our Via, our Contact.

use sip::dialog::Dialog;
use sip::net::resolve::Target;
use sip::value::{Host as UriHost, NameAddr, Uri};
use sip::{Hop, Message, Protocol};
use std::net::{Ipv4Addr, SocketAddr};

use crate::gateway::{Gateway, Host};
use crate::location::{Contact, Source};
use crate::shard::request::place_of;
use crate::shard::{Core, Identity, Named, Way};
use crate::way::{self, Step};

/// The way to a registered contact: by its Path to the first proxy of that (RFC 3327 section 5.1), else to its own address
/// where it can be reached as it says, else the way that its REGISTER came (a NAT between us, a connection that only the
/// phone can open, a name that only the phone knows; RFC 5626 section 5.3).
pub fn to_contact(core: &Core, contact: &Contact) -> Way {
    let Source { protocol, remote, connection, ref web } = contact.received;
    // Port 0 where we listen for nothing of the kind any more: the wires say that nobody is reached.
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let local = core.local_for(protocol, remote).or(web.as_deref().copied()).unwrap_or(nowhere);
    let flow = &Hop { protocol, local, remote, connection };
    if let Some(first) = contact.path.first() {
        let next = NameAddr::parse(first.as_bytes()).map_or(b"".as_slice(), |address| address.uri);
        return way(core, way::step(next, true, flow, false), flow, None, false);
    }
    let uri = Uri::parse(contact.uri.as_bytes()).ok();
    if let Some(UriHost::Name(_)) = uri.and_then(|uri| uri.host_kind()) {
        // What came over a connection is reached over it.
        let bound = contact.reg_id.is_some() || flow.protocol != Protocol::Udp;
        return way(core, way::step(contact.uri.as_bytes(), false, flow, bound), flow, None, false);
    }
    Way::Hop(uri.and_then(|uri| own_address(core, &uri, flow)).unwrap_or(*flow))
}

/// The way to a gateway: to its address, or to where its name leads.
pub fn to_gateway(core: &Core, gateway: &Gateway) -> Way {
    let Gateway { protocol, .. } = *gateway;
    // Port 0 where we speak nothing of the kind: the wires say that nobody is reached.
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    match &gateway.host {
        Host::Ip(ip) => {
            let remote = SocketAddr::new(*ip, gateway.port.unwrap_or(protocol.default_port()));
            let local = core.local_for(protocol, remote).unwrap_or(nowhere);
            if protocol == Protocol::Tls
                && let Some(name) = &gateway.certificate
            {
                core.expect_certificate(remote, name);
            }
            Way::Hop(Hop { protocol, local, remote, connection: None })
        }
        Host::Name(_) => {
            let place = gateway.place().into();
            let back = Hop { protocol, local: nowhere, remote: nowhere, connection: None };
            let certificate = gateway.certificate.as_deref().map(Box::from);
            Way::Named(Named { place, certificate, family: gateway.family, known: None, back, inside: false })
        }
    }
}

/// The hop to a contact without Path at its own address; none where it is reached by the flow of its REGISTER.
fn own_address(core: &Core, uri: &Uri<'_>, flow: &Hop) -> Option<Hop> {
    let UriHost::Ip(ip) = uri.host_kind()? else { return None };
    let protocol = uri.params.value(b"transport").and_then(Protocol::parse).unwrap_or(match flow.protocol {
        Protocol::Tcp | Protocol::Udp => Protocol::Udp,
        secure_or_web => secure_or_web,
    });
    let taken = flow.protocol != Protocol::Udp && protocol == flow.protocol;
    if taken || ip != flow.remote.ip() || matches!(protocol, Protocol::Ws | Protocol::Wss) {
        return None;
    }
    let target = Target { protocol, address: SocketAddr::new(ip, uri.port.unwrap_or(protocol.default_port())) };
    towards(core, target, flow)
}

/// The way of our next request in a dialog whose peer's signalling comes by `flow`; `bound` is of [`is_bound`]. `found` is
/// who has answered at a name before.
pub fn inside(core: &Core, dialog: &Dialog, flow: &Hop, bound: bool, found: Option<&Found>) -> Way {
    way(core, way::step(dialog.next_hop(), dialog.is_routed(), flow, bound), flow, found, true)
}

/// Who has answered at a name: what was looked up, and the hop.
pub type Found = (Box<str>, Hop);

fn way(core: &Core, step: Step<'_>, flow: &Hop, found: Option<&Found>, inside: bool) -> Way {
    match step {
        Step::Back => Way::Hop(*flow),
        Step::Straight(target) => Way::Hop(towards(core, target, flow).unwrap_or(*flow)),
        Step::Name(uri) => {
            let place = place_of(&uri);
            let known = found.filter(|(name, _)| *name == place).map(|(_, hop)| *hop);
            Way::Named(Named { place, certificate: None, family: None, known, back: *flow, inside })
        }
    }
}

/// The hop to an address; none where no socket of ours leads there.
fn towards(core: &Core, target: Target, flow: &Hop) -> Option<Hop> {
    let Target { protocol, address: remote } = target;
    if flow.protocol == protocol && flow.remote == remote {
        return Some(*flow);
    }
    Some(Hop { protocol, local: core.local_for(protocol, remote)?, remote, connection: None })
}

/// Whether the sender of a request is reached by the way that it came alone: through a NAT, or because it is a phone of
/// ours that has registered over this very flow from elsewhere than its Contact says (RFC 5626 section 5.3).
pub fn is_bound(core: &Core, request: &Message, flow: &Hop, sender: Option<&Identity>) -> bool {
    if way::is_at_home(request, flow) {
        return false;
    }
    let registered_here = || {
        let Some(Identity::User(user)) = sender else { return false };
        let contacts = core.shared.location.get(&core.shared.directory().aor(user));
        contacts.iter().any(|c| c.received.protocol == flow.protocol && c.received.remote == flow.remote)
    };
    way::is_behind_nat(request, flow) || registered_here()
}

/// Whether a registered contact is reached by the flow of its REGISTER alone: it wants that (RFC 5626 section 5.3), or has
/// come from elsewhere than it says it is, through a NAT and not through a proxy.
pub fn is_found_by_flow(contact: &Contact) -> bool {
    let host = Uri::parse(contact.uri.as_bytes()).ok().and_then(|uri| uri.host_kind());
    let elsewhere = matches!(host, Some(UriHost::Ip(ip)) if ip != contact.received.remote.ip());
    contact.reg_id.is_some() || (contact.path.is_empty() && elsewhere)
}

/// Whether a contact can be spoken to in another way than the one its REGISTER came by: not through a NAT, not where it
/// wants its own flow (RFC 5626 section 5.3), not behind a proxy.
pub fn takes_connections(contact: &Contact, hop: &Hop) -> bool {
    let own = Uri::parse(contact.uri.as_bytes()).is_ok_and(|uri| {
        uri.host_kind() == Some(UriHost::Ip(hop.remote.ip()))
            && uri.port.unwrap_or(hop.protocol.default_port()) == hop.remote.port()
    });
    own && contact.reg_id.is_none() && contact.path.is_empty()
}

/// The way of a request of `len` bytes by TCP, where it is too long for the datagram that it was meant for (RFC 3261
/// section 18.1.1). `None` where it is not, and where we speak no TCP.
pub fn by_stream(core: &Core, hop: &Hop, len: usize) -> Option<Hop> {
    if hop.protocol != Protocol::Udp || !sip::net::needs_stream(len, None) {
        return None;
    }
    let local = core.local_for(Protocol::Tcp, hop.remote)?;
    Some(Hop { protocol: Protocol::Tcp, local, remote: hop.remote, connection: None })
}

/// Our Via towards `hop` (RFC 3261 section 18.1.1, RFC 3581).
pub fn via(core: &Core, hop: &Hop, branch: &str) -> String {
    let parts = ["SIP/2.0/", hop.protocol.via(), " ", &core.own_name(hop), ";branch=", branch, ";rport"];
    parts.concat()
}

/// Our Contact towards `hop`, without the name of the far party (topology hidden). `user` leads back to the call; `secure`
/// where the dialog is one of `sips` addresses.
pub fn contact(core: &Core, hop: &Hop, secure: bool, user: &str) -> String {
    let scheme = if secure { "<sips:" } else { "<sip:" };
    // TLS is what `sips` means over streams; for a `sip` address it must be said, or the party would take UDP.
    let said = hop.protocol == Protocol::Udp || secure && hop.protocol == Protocol::Tls;
    let (transport, protocol) = if said { ("", "") } else { (";transport=", hop.protocol.uri()) };
    sip::text![scheme, user, "@", &*core.own_name(hop), transport, protocol, ">"]
}

//! Which way a request of ours goes (RFC 3261 sections 8.1.2, 12.2.1.1): to the first Route, else to the target; and back
//! the way that the peer's signalling came where the address in it cannot be reached.
//!
//! [`step`] is the whole rule. It knows nothing but what stands in the URI and where the signalling came from.

use sip::net::resolve::{Target, literal};
use sip::value::{Host, Scheme, Uri};
use sip::{Hop, Message, Name, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the next request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Back the way that the signalling came.
    Back,
    /// To this address.
    Straight(Target),
    /// To where this name leads (RFC 3263).
    Name(Uri<'a>),
}

/// The rule. `next` is the URI of the first Route where there is a route set (`routed`), else of the target. The peer's
/// signalling came by `flow`; `bound` says that the peer is known to be reached by it alone ([`is_behind_nat`], a phone
/// that has registered over it).
pub fn step<'a>(next: &'a [u8], routed: bool, flow: &Hop, bound: bool) -> Step<'a> {
    let Ok(uri) = Uri::parse(next) else { return Step::Back };
    // RFC 5626 section 5.3, and section 4.3 for `ob`: a request for the phone goes over the phone's flow. What comes from a
    // proxy in between goes to that proxy.
    if !routed && (bound || uri.params.has(b"ob")) {
        return Step::Back;
    }
    // Nobody opens a WebSocket connection but the browser (RFC 7118 section 5).
    if is_web(flow.protocol) || uri.params.value(b"transport").and_then(Protocol::parse).is_some_and(is_web) {
        return Step::Back;
    }
    match literal(&uri) {
        Ok(Some(target)) => to_address(&uri, target, flow),
        Ok(None) if is_invalid(&uri) => Step::Back,
        Ok(None) => Step::Name(uri),
        // A scheme or transport that has no place: the peer has one all the same, it has spoken to us.
        Err(_) => Step::Back,
    }
}

fn to_address<'a>(uri: &Uri<'_>, target: Target, flow: &Hop) -> Step<'a> {
    let (there, here) = (target.address.ip().to_canonical(), flow.remote.ip().to_canonical());
    if there != here {
        return if reaches(there, here) { Step::Straight(target) } else { Step::Back };
    }
    if flow.protocol == Protocol::Udp {
        return Step::Straight(target);
    }
    let names_transport = uri.scheme == Scheme::Sips || uri.params.has(b"transport");
    if names_transport && target.protocol != flow.protocol {
        return Step::Straight(target);
    }
    // A connection of the peer's, or ours to this very port, is taken again (RFC 3261 section 18.1.1).
    let port = uri.port.unwrap_or(flow.protocol.default_port());
    if flow.connection.is_some() || port == flow.remote.port() {
        return Step::Back;
    }
    let mut target = target;
    target.protocol = flow.protocol;
    target.address.set_port(port);
    Step::Straight(target)
}

const fn is_web(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Ws | Protocol::Wss)
}

/// RFC 2606 section 2: a name that is meant to lead nowhere; browsers have no other (RFC 7118 section 5).
fn is_invalid(uri: &Uri<'_>) -> bool {
    let host = uri.params.value(b"maddr").unwrap_or(uri.host);
    let host = host.strip_suffix(b".").unwrap_or(host);
    host.len().checked_sub(b"invalid".len()).and_then(|at| host.split_at_checked(at)).is_some_and(|(before, last)| {
        last.eq_ignore_ascii_case(b"invalid") && (before.is_empty() || before.ends_with(b"."))
    })
}

/// Whether an address that a peer names can be its own, seen from where its signalling comes from: a private address is
/// one within its own network alone (RFC 1918 section 3, RFC 4193, RFC 6598).
fn reaches(there: IpAddr, here: IpAddr) -> bool {
    match (realm(there), realm(here)) {
        (None, _) => false,
        (Some(Realm::Global), _) => true,
        (there, here) => there == here,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Realm {
    Loopback,
    Link,
    /// By the first byte of its block.
    Private(u8),
    Global,
}

/// None for what is nobody's address.
fn realm(ip: IpAddr) -> Option<Realm> {
    match ip {
        IpAddr::V4(ip) => realm_v4(ip),
        IpAddr::V6(ip) => realm_v6(ip),
    }
}

fn realm_v4(ip: Ipv4Addr) -> Option<Realm> {
    match ip.octets() {
        [0 | 224..=255, ..] => None,
        [127, ..] => Some(Realm::Loopback),
        [169, 254, ..] => Some(Realm::Link),
        [first @ 10, ..] | [first @ 172, 16..=31, ..] | [first @ 192, 168, ..] | [first @ 100, 64..=127, ..] => {
            Some(Realm::Private(first))
        }
        _ => Some(Realm::Global),
    }
}

fn realm_v6(ip: Ipv6Addr) -> Option<Realm> {
    if ip.is_unspecified() || ip.is_multicast() {
        None
    } else if ip.is_loopback() {
        Some(Realm::Loopback)
    } else if ip.is_unicast_link_local() {
        Some(Realm::Link)
    } else if ip.is_unique_local() {
        Some(Realm::Private(0xfd))
    } else {
        Some(Realm::Global)
    }
}

/// Whether a request shows that its sender is behind a NAT: it is from the sender itself (one Via), who is by its own
/// account elsewhere than where it came from (RFC 3261 section 18.2.1), and names that place in its Contact too.
pub fn is_behind_nat(request: &Message, flow: &Hop) -> bool {
    let mut vias = request.values(Name::Via);
    let (Some(Ok(_)), None) = (vias.next(), vias.next()) else { return false };
    let Ok(sent_by @ Host::Ip(ip)) = Host::parse(request.via().host) else { return false };
    ip.to_canonical() != flow.remote.ip().to_canonical() && contact_host(request) == Some(sent_by)
}

/// Whether a request's Contact is at the address that it came from: the usual case, in which nothing else matters.
pub fn is_at_home(request: &Message, flow: &Hop) -> bool {
    contact_host(request) == Some(Host::Ip(flow.remote.ip()))
}

fn contact_host(message: &Message) -> Option<Host<'_>> {
    Uri::parse(message.contact()?.uri).ok()?.host_kind()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::ConnectionId;

    fn flow(text: &str) -> Hop {
        let mut words = text.split(' ');
        let protocol = Protocol::parse(words.next().unwrap().as_bytes()).unwrap();
        let remote = words.next().unwrap().parse().unwrap();
        let connection = words.next().map(|n| ConnectionId(n.parse().unwrap()));
        Hop { protocol, local: "192.0.2.1:5060".parse().unwrap(), remote, connection }
    }

    fn said(step: Step<'_>) -> String {
        match step {
            Step::Back => "back".into(),
            Step::Straight(target) => format!("{} {}", target.protocol.uri(), target.address),
            Step::Name(uri) => format!("name {}", String::from_utf8_lossy(uri.host)),
        }
    }

    #[test]
    fn a_target_is_gone_to_where_it_can_be_reached() {
        let udp = "udp 198.51.100.7:40000";
        let table = [
            // RFC 3261 section 12.2.1.1: the Contact, not the source.
            ("sip:a@198.51.100.7:5070", udp, "udp 198.51.100.7:5070"),
            ("sip:a@198.51.100.7", udp, "udp 198.51.100.7:5060"),
            ("sip:a@203.0.113.9:5070", udp, "udp 203.0.113.9:5070"),
            ("sip:a@203.0.113.9;transport=tcp", udp, "tcp 203.0.113.9:5060"),
            ("sips:a@203.0.113.9", udp, "tls 203.0.113.9:5061"),
            ("sip:a@host.example;maddr=203.0.113.9", udp, "udp 203.0.113.9:5060"),
            ("sip:a@[2001:db8::9]:5070", udp, "udp [2001:db8::9]:5070"),
            ("sip:a@host.example:5070", udp, "name host.example"),
            // A NAT between us: an address that means nothing here.
            ("sip:a@192.168.1.5:5060", udp, "back"),
            ("sip:a@10.0.0.5", udp, "back"),
            ("sip:a@100.64.0.5", udp, "back"),
            ("sip:a@172.20.0.5", udp, "back"),
            ("sip:a@169.254.0.5", udp, "back"),
            ("sip:a@127.0.0.1:5070", udp, "back"),
            ("sip:a@0.0.0.0", udp, "back"),
            ("sip:a@224.0.1.75", udp, "back"),
            ("sip:a@[fd00::5]", udp, "back"),
            ("sip:a@[fe80::5]", udp, "back"),
            // Two in one private network; two in different ones.
            ("sip:a@10.9.9.9:5070", "udp 10.1.1.1:5060", "udp 10.9.9.9:5070"),
            ("sip:a@192.168.1.5", "udp 10.1.1.1:5060", "back"),
            ("sip:a@127.0.0.2:5070", "udp 127.0.0.1:40000", "udp 127.0.0.2:5070"),
            ("sip:a@203.0.113.9", "udp 10.1.1.1:5060", "udp 203.0.113.9:5060"),
            // Names that only the peer knows, and what nobody can open (RFC 7118 section 5).
            ("sip:a@x7k.invalid", udp, "back"),
            ("sip:a@x7k.INVALID.;transport=tcp", udp, "back"),
            ("sip:a@notinvalid", udp, "name notinvalid"),
            ("sip:a@203.0.113.9;transport=ws", udp, "back"),
            ("sip:a@203.0.113.9", "wss 198.51.100.7:40000 7", "back"),
            // RFC 5626 section 4.3.
            ("sip:a@203.0.113.9;ob", udp, "back"),
            // What has no place.
            ("tel:+390612345", udp, "back"),
            ("sip:a@203.0.113.9;transport=sctp", udp, "back"),
            ("gibberish", udp, "back"),
        ];
        for (target, source, wanted) in table {
            let got = step(target.as_bytes(), false, &flow(source), false);
            assert_eq!(said(got), wanted, "{target} from {source}");
        }
    }

    #[test]
    fn a_connection_is_taken_again_where_it_leads_to_the_target() {
        let (theirs, ours) = ("tcp 198.51.100.7:40000 7", "tcp 198.51.100.7:5070");
        let table = [
            ("sip:a@198.51.100.7:5060;transport=tcp", theirs, "back"),
            ("sip:a@198.51.100.7:5060", theirs, "back"),
            ("sip:a@198.51.100.7;transport=udp", theirs, "udp 198.51.100.7:5060"),
            ("sips:a@198.51.100.7", theirs, "tls 198.51.100.7:5061"),
            ("sip:a@203.0.113.9;transport=tcp", theirs, "tcp 203.0.113.9:5060"),
            ("sip:a@10.0.0.5;transport=tcp", theirs, "back"),
            ("sip:a@198.51.100.7:5070", ours, "back"),
            ("sip:a@198.51.100.7:5070;transport=tcp", ours, "back"),
            ("sip:a@198.51.100.7:5080", ours, "tcp 198.51.100.7:5080"),
            ("sip:a@198.51.100.7", "tls 198.51.100.7:5061", "back"),
            ("sips:a@198.51.100.7", "tls 198.51.100.7:40000 9", "back"),
        ];
        for (target, source, wanted) in table {
            let got = step(target.as_bytes(), false, &flow(source), false);
            assert_eq!(said(got), wanted, "{target} from {source}");
        }
    }

    #[test]
    fn a_route_is_gone_to_even_where_the_target_is_bound_to_its_flow() {
        let source = flow("udp 198.51.100.7:40000");
        let table = [
            ("sip:203.0.113.9;lr", "udp 203.0.113.9:5060"),
            ("sip:203.0.113.9;lr;ob", "udp 203.0.113.9:5060"),
            ("sip:edge@proxy.example;lr", "name proxy.example"),
            ("sip:10.0.0.5;lr", "back"),
        ];
        for (route, wanted) in table {
            assert_eq!(said(step(route.as_bytes(), true, &source, true)), wanted, "{route}");
        }
        assert_eq!(said(step(b"sip:a@203.0.113.9", false, &source, true)), "back");
    }

    #[test]
    fn who_says_that_it_is_elsewhere_than_where_it_comes_from_is_behind_a_nat() {
        let request = |vias: &str, contact: &str| {
            let text = format!(
                "INVITE sip:b@example.com SIP/2.0\r\nVia: {vias}\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\n\
                 To: <sip:b@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
            );
            Message::parse(text.into_bytes()).unwrap()
        };
        let source = flow("udp 10.1.1.1:40000");
        let own = "SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bK1";
        let table = [
            (own.to_owned(), "sip:a@10.9.9.9:5060", true),
            // Another Contact than itself: it means it.
            (own.to_owned(), "sip:a@10.7.7.7:5060", false),
            ("SIP/2.0/UDP 10.1.1.1:40000;branch=z9hG4bK1".to_owned(), "sip:a@10.9.9.9", false),
            // A proxy between: what is behind it is not seen from here.
            (format!("SIP/2.0/UDP 10.1.1.1;branch=z9hG4bK2, {own}"), "sip:a@10.9.9.9", false),
            ("SIP/2.0/UDP pc.example;branch=z9hG4bK1".to_owned(), "sip:a@pc.example", false),
        ];
        for (vias, contact, wanted) in table {
            assert_eq!(is_behind_nat(&request(&vias, contact), &source), wanted, "{vias} {contact}");
        }
        assert!(is_at_home(&request(own, "sip:a@10.1.1.1:5060"), &source));
        assert!(!is_at_home(&request(own, "sip:a@pc.example"), &source));
    }
}

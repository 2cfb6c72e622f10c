//! How a message is written: "HEP3", the length of all, then chunks of vendor, type, length and value (the HEP3 network
//! protocol specification, revision 36, sections 3 and 4).

use sip::Protocol;
use std::net::{IpAddr, SocketAddr};

use super::{Collector, Seen};

/// The vendor of the chunks that everybody knows.
const GENERIC: u16 = 0;
/// What a chunk has before its value.
const CHUNK_HEAD_BYTES: usize = 6;
/// The payload is SIP.
const PAYLOAD_SIP: u8 = 1;

/// The types of chunks (section 4.1).
mod chunk {
    pub const FAMILY: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const SOURCE_IPV4: u16 = 3;
    pub const TARGET_IPV4: u16 = 4;
    pub const SOURCE_IPV6: u16 = 5;
    pub const TARGET_IPV6: u16 = 6;
    pub const SOURCE_PORT: u16 = 7;
    pub const TARGET_PORT: u16 = 8;
    pub const SECONDS: u16 = 9;
    pub const MICROSECONDS: u16 = 10;
    pub const PAYLOAD_KIND: u16 = 11;
    pub const AGENT: u16 = 12;
    pub const KEY: u16 = 14;
    pub const PAYLOAD: u16 = 15;
}

/// Writes a message into `packet`, in place of what was there. False where it does not fit into one.
pub fn write(packet: &mut Vec<u8>, seen: &Seen, collector: &Collector) -> bool {
    packet.clear();
    packet.extend_from_slice(b"HEP3\0\0");
    let (from, to) = (canonical(seen.from), canonical(seen.to));
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            put(packet, chunk::FAMILY, &[2]);
            put(packet, chunk::SOURCE_IPV4, &source.octets());
            put(packet, chunk::TARGET_IPV4, &target.octets());
        }
        (source, target) => {
            let octets = |ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            put(packet, chunk::FAMILY, &[10]);
            put(packet, chunk::SOURCE_IPV6, &octets(source));
            put(packet, chunk::TARGET_IPV6, &octets(target));
        }
    }
    // The numbers of IANA: what runs over TLS or WebSocket runs over TCP.
    let protocol = if seen.protocol == Protocol::Udp { 17 } else { 6 };
    put(packet, chunk::PROTOCOL, &[protocol]);
    put(packet, chunk::SOURCE_PORT, &from.port().to_be_bytes());
    put(packet, chunk::TARGET_PORT, &to.port().to_be_bytes());
    let seconds = u32::try_from(seen.at_us / 1_000_000).unwrap_or(u32::MAX);
    put(packet, chunk::SECONDS, &seconds.to_be_bytes());
    let rest = u32::try_from(seen.at_us % 1_000_000).unwrap_or(0);
    put(packet, chunk::MICROSECONDS, &rest.to_be_bytes());
    put(packet, chunk::PAYLOAD_KIND, &[PAYLOAD_SIP]);
    put(packet, chunk::AGENT, &collector.agent.to_be_bytes());
    if let Some(key) = &collector.key {
        put(packet, chunk::KEY, key);
    }
    put(packet, chunk::PAYLOAD, &seen.bytes);
    let length = u16::try_from(packet.len()).ok().filter(|_| packet.len() <= sip::net::DATAGRAM_BYTES_MAX);
    match (length, packet.get_mut(4..6)) {
        (Some(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            true
        }
        _ => false,
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A value that is too long for a chunk makes the packet too long as well, which is found at its end.
fn put(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + CHUNK_HEAD_BYTES).unwrap_or(u16::MAX);
    packet.extend_from_slice(&GENERIC.to_be_bytes());
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn seen(from: &str, to: &str, bytes: usize) -> Seen {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        Seen { bytes: Bytes::from(vec![b'x'; bytes]), from, to, protocol: Protocol::Tls, at_us: 1_700_000_000_000_009 }
    }

    fn collector() -> Collector {
        Collector { host: "c".into(), port: 9060, agent: 2001, key: None }
    }

    #[test]
    fn a_packet_is_as_long_as_it_says() {
        let mut packet = Vec::new();
        assert!(write(&mut packet, &seen("192.0.2.1:5061", "192.0.2.2:9", 100), &collector()));
        assert_eq!(&packet[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
        // Family, then addresses of four octets, in the order of the document.
        assert_eq!(packet[6..13], [0, 0, 0, 1, 0, 7, 2]);
        assert_eq!(packet[13..23], [0, 0, 0, 3, 0, 10, 192, 0, 2, 1]);
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_one_is_an_ipv4_address() {
        let mut packet = Vec::new();
        assert!(write(&mut packet, &seen("[::ffff:192.0.2.1]:5061", "192.0.2.2:9", 1), &collector()));
        assert_eq!(packet[12], 2);
        assert!(write(&mut packet, &seen("[2001:db8::1]:5061", "192.0.2.2:9", 1), &collector()));
        assert_eq!(packet[12], 10);
    }

    #[test]
    fn what_does_not_fit_into_a_datagram_is_not_written() {
        let mut packet = Vec::new();
        assert!(write(&mut packet, &seen("192.0.2.1:1", "192.0.2.2:9", 65_000), &collector()));
        for length in [65_450, 65_535, 70_000] {
            assert!(!write(&mut packet, &seen("192.0.2.1:1", "192.0.2.2:9", length), &collector()), "{length}");
        }
    }
}

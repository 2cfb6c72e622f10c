//! The STUN server that a SIP port must be (RFC 5626 section 4.4.2): binding requests answered, nothing else.

use std::net::{IpAddr, SocketAddr};

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_A442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Attributes from here on may be ignored (RFC 5389 section 15).
const COMPREHENSION_OPTIONAL: u16 = 0x8000;
/// Unknown attributes that an error names.
const UNKNOWN_MAX: usize = 8;

/// Whether a datagram is STUN and no SIP: SIP begins with a printable character (RFC 5389 section 8, RFC 5626
/// section 8).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    matches!(datagram, [0..=3, _, _, _, 0x21, 0x12, 0xA4, 0x42, ..])
}

/// The answer to a binding request from `source`; none for anything else.
pub(crate) fn answer(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (head, attributes) = request.split_at_checked(HEADER_BYTES)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = head else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    if u16::from_be_bytes([*t0, *t1]) != BINDING_REQUEST
        || u32::from_be_bytes([*c0, *c1, *c2, *c3]) != MAGIC_COOKIE
        || length != attributes.len()
        || !length.is_multiple_of(4)
    {
        return None;
    }
    let unknown = unknown_attributes(attributes)?;
    let (kind, body) = if unknown.is_empty() {
        (BINDING_SUCCESS, xor_mapped_address(source, transaction))
    } else {
        (BINDING_ERROR, unknown_error(&unknown))
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&u16::try_from(body.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    out.extend_from_slice(transaction);
    out.extend_from_slice(&body);
    Some(out)
}

/// Attributes that must be understood and are not (RFC 5389 section 7.3.1); none when the list is malformed.
fn unknown_attributes(mut attributes: &[u8]) -> Option<Vec<u16>> {
    /// USERNAME, MESSAGE-INTEGRITY, REALM, NONCE: understood, and of no weight here (RFC 5626 section 8).
    const KNOWN: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];
    let mut unknown = Vec::new();
    while let [t0, t1, l0, l1, rest @ ..] = attributes {
        let kind = u16::from_be_bytes([*t0, *t1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        attributes = rest.get(length.next_multiple_of(4)..)?;
        if kind < COMPREHENSION_OPTIONAL && !KNOWN.contains(&kind) && unknown.len() < UNKNOWN_MAX {
            unknown.push(kind);
        }
    }
    attributes.is_empty().then_some(unknown)
}

/// RFC 5389 section 15.2.
fn xor_mapped_address(source: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let key = cookie.iter().chain(transaction);
    let [c0, c1, ..] = cookie;
    let port = source.port() ^ u16::from_be_bytes([c0, c1]);
    let (family, address): (u8, Vec<u8>) = match source.ip() {
        IpAddr::V4(ip) => (1, ip.octets().iter().zip(key).map(|(a, k)| a ^ k).collect()),
        IpAddr::V6(ip) => (2, ip.octets().iter().zip(key).map(|(a, k)| a ^ k).collect()),
    };
    let mut value = vec![0, family];
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&address);
    attribute(XOR_MAPPED_ADDRESS, &value)
}

/// 420 Unknown Attribute (RFC 5389 sections 15.6 and 15.9).
fn unknown_error(unknown: &[u16]) -> Vec<u8> {
    let mut out = attribute(ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
    let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    out.extend(attribute(UNKNOWN_ATTRIBUTES, &list));
    out
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction id of RFC 5769 section 2.
    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(attributes.len()).unwrap();
        let head = [0, 1, 0, length, 0x21, 0x12, 0xa4, 0x42];
        [&head[..], &TRANSACTION, attributes].concat()
    }

    #[test]
    fn an_ipv4_binding_is_answered_with_the_mapped_address_of_rfc_5769_section_2_2() {
        let answer = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        let head = [0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42];
        let mapped = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(answer, [&head[..], &TRANSACTION, &mapped].concat());
    }

    #[test]
    fn an_ipv6_binding_is_answered_with_the_mapped_address_of_rfc_5769_section_2_3() {
        let source = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        let answer = answer(&request(&[]), source.parse().unwrap()).unwrap();
        let mapped = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(answer[20..], mapped);
    }

    #[test]
    fn an_unknown_attribute_that_must_be_understood_is_answered_420_and_named() {
        let source = "192.0.2.1:32853".parse().unwrap();
        let change_request = [0, 3, 0, 4, 0, 0, 0, 6];
        let answer = answer(&request(&change_request), source).unwrap();
        assert_eq!(answer[..4], [0x01, 0x11, 0x00, 0x24]);
        assert_eq!(answer[20..28], [0, 9, 0, 21, 0, 0, 4, 20]);
        assert_eq!(answer[48..], [0, 0x0a, 0, 2, 0, 3, 0, 0]);
    }

    #[test]
    fn software_and_other_optional_attributes_are_passed_over() {
        let source = "192.0.2.1:32853".parse().unwrap();
        let software = [0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        let answer = answer(&request(&software), source).unwrap();
        assert_eq!(answer[..2], [0x01, 0x01]);
    }

    #[test]
    fn what_is_no_well_formed_binding_request_gets_no_answer() {
        let source = "192.0.2.1:32853".parse().unwrap();
        let good = request(&[0x80, 0x22, 0, 4, 1, 2, 3, 4]);
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut], source), None, "{cut} bytes");
        }
        for (at, value) in [(1, 0x11), (4, 0), (3, 9), (23, 5)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(answer(&bad, source), None, "byte {at} set to {value}");
        }
    }
}

//! The vectors of RFC 5769, and what must not be read.

use super::*;

/// RFC 5769 section 2.1: the request, its fields, and the password of all of them.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// Section 2.2: the answer with an IPv4 address.
const ANSWER_4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// Section 2.3: the answer with an IPv6 address.
const ANSWER_6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: Transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_request_of_rfc_5769_is_read_and_authentic() {
    let datagram = bytes(REQUEST);
    let request = Message::parse(&datagram).unwrap();
    assert_eq!((request.class, request.transaction), (Class::Request, TRANSACTION));
    assert_eq!(request.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(request.priority, Some(0x6e00_01ff));
    assert!(request.controlled && !request.controlling && !request.use_candidate && request.fingerprinted);
    assert!(request.unknown().is_empty());
    assert!(request.is_authentic(&Password::new(PASSWORD).unwrap()));
    assert!(!request.is_authentic(&Password::new("VOkJxbRl1RmTxUk/WvJxBu").unwrap()));
}

#[test]
fn the_answers_of_rfc_5769_are_read_and_authentic() {
    let wanted = ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"];
    for (hex, address) in [ANSWER_4, ANSWER_6].into_iter().zip(wanted) {
        let datagram = bytes(hex);
        let answer = Message::parse(&datagram).unwrap();
        assert_eq!((answer.class, answer.transaction), (Class::Answer, TRANSACTION));
        assert_eq!(answer.mapped, Some(address.parse().unwrap()));
        assert!(answer.is_authentic(&Password::new(PASSWORD).unwrap()));
    }
}

#[test]
fn what_is_written_is_read_again() {
    let password = Password::new(PASSWORD).unwrap();
    for address in ["192.0.2.1:32853", "[2001:db8::1]:1"] {
        let address = address.parse().unwrap();
        let mut out = [0; ANSWER_BYTES_MAX];
        let answer = Writer::new(&mut out, Class::Answer, &TRANSACTION).mapped(address, &TRANSACTION);
        let length = answer.integrity(&password).finish().unwrap();
        let answer = Message::parse(&out[..length]).unwrap();
        assert_eq!((answer.class, answer.mapped), (Class::Answer, Some(address)));
        assert!(answer.fingerprinted && answer.is_authentic(&password));
    }
    let mut out = [0; 256];
    let refusal = Writer::new(&mut out, Class::Refusal, &TRANSACTION).error(420, "Unknown Attribute");
    let length = refusal.unknown(&[0x7777, 0x0055]).integrity(&password).finish().unwrap();
    assert!(Message::parse(&out[..length]).unwrap().is_authentic(&password));
    assert_eq!(Writer::new(&mut [0; 40], Class::Answer, &TRANSACTION).integrity(&password).finish(), None);
}

#[test]
fn attributes_that_must_be_understood_are_named_and_those_behind_the_integrity_do_not_count() {
    let password = Password::new(PASSWORD).unwrap();
    let mut out = [0; 256];
    let mut writer = Writer::new(&mut out, Class::Request, &TRANSACTION);
    writer.attribute(0x7777, &[1, 2, 3]);
    writer.attribute(0xc057, &[]);
    let mut writer = writer.integrity(&password);
    writer.attribute(kind::USE_CANDIDATE, &[]);
    let length = writer.finish().unwrap();
    let request = Message::parse(&out[..length]).unwrap();
    assert_eq!(request.unknown(), [0x7777]);
    assert!(request.is_authentic(&password) && !request.use_candidate);
}

#[test]
fn no_bent_or_cut_message_is_taken_for_authentic_and_none_is_a_fault() {
    let password = Password::new(PASSWORD).unwrap();
    let whole = bytes(REQUEST);
    for length in 0..whole.len() {
        assert!(Message::parse(&whole[..length]).is_err(), "{length}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            let taken =
                Message::parse(&bent).is_ok_and(|message| message.is_authentic(&password) && message.fingerprinted);
            assert!(!taken, "byte {at} bit {bit}");
        }
    }
    assert!(Message::parse(&[0; 20]).is_err() && Message::parse(&[0xff; 2048]).is_err());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_fault(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), head: bool) {
        if head && bytes.len() >= HEADER_BYTES {
            let length = (bytes.len() - HEADER_BYTES) as u16;
            bytes[..8].copy_from_slice(&[0, 1, (length >> 8) as u8, length as u8, 0x21, 0x12, 0xa4, 0x42]);
        }
        if let Ok(message) = Message::parse(&bytes) {
            message.is_authentic(&Password::new(PASSWORD).unwrap());
        }
    }
}

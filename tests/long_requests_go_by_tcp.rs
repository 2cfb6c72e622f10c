//! RFC 3261 section 18.1.1: a request that is too long for a datagram goes by TCP, and by UDP where nobody takes the
//! connection.

mod support;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use support::config::Config;
use support::party::{Party, SDP};
use support::switch::Switch;
use support::wire::{Wire, header, status};
use support::{PATIENCE, until};

/// Requests longer than this leave by TCP.
const DATAGRAM_REQUEST_BYTES_MAX: usize = 1_300;

/// Bob, registered over UDP, who takes TCP connections at the same port.
fn bob_with_both(switch: &Switch) -> (Party, TcpListener) {
    let (udp, tcp) = (0..100)
        .find_map(|_| {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
            let udp = UdpSocket::bind(tcp.local_addr().expect("bound")).ok()?;
            Some((udp, tcp))
        })
        .expect("a port that is free for UDP and TCP");
    let mut bob = Party::at(Wire::udp_from(udp, switch.sip("udp")), "bob");
    bob.register("");
    (bob, tcp)
}

/// The connection that the switch opens.
fn taken(listener: &TcpListener) -> Wire {
    listener.set_nonblocking(true).expect("a socket option");
    let stream = until(PATIENCE, || listener.accept().ok()).expect("the switch opens a connection").0;
    stream.set_nonblocking(false).expect("a socket option");
    Wire::tcp_taken(stream)
}

/// An offer with so many codecs that no INVITE with it fits a datagram.
fn long_offer() -> String {
    let types = 96..=127;
    let list: String = types.clone().map(|number| format!(" {number}")).collect();
    let lines: String =
        types.map(|n| format!("a=rtpmap:{n} opus/48000/2\r\na=fmtp:{n} useinbandfec=1;usedtx=1\r\n")).collect();
    SDP.replace("RTP/AVP 0\r\n", &format!("RTP/AVP 0{list}\r\n")) + &lines
}

fn via_says(request: &str, transport: &str) -> bool {
    header(request, "Via").is_some_and(|via| via.starts_with(&format!("SIP/2.0/{transport} ")))
}

#[test]
fn a_long_invite_reaches_by_tcp_a_phone_that_is_registered_over_udp() {
    let switch = Switch::start(Config::lab());
    let (mut bob, listener) = bob_with_both(&switch);
    let mut alice = Party::new(&switch, "alice");

    alice.begin("INVITE", "sip:bob@example.com", "", &long_offer());

    let mut bob_by_tcp = Party::at(taken(&listener), "bob");
    let invite = bob_by_tcp.wire.receive("INVITE");
    assert!(invite.len() > DATAGRAM_REQUEST_BYTES_MAX, "{} bytes are no long INVITE", invite.len());
    assert!(via_says(&invite, "TCP"), "{invite}");
    assert!(header(&invite, "Contact").is_some_and(|c| c.contains("transport=tcp")), "{invite}");
    bob_by_tcp.reply(&invite, "200 OK", "", SDP);
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
    bob_by_tcp.wire.receive("ACK");
    // What had gone by UDP as well would lie before this.
    alice.call("bob", "");
    let next = bob.wire.receive("INVITE");
    assert!(next.len() <= DATAGRAM_REQUEST_BYTES_MAX, "the long INVITE went by UDP as well: {next}");
}

#[test]
fn a_short_invite_goes_by_udp_to_a_phone_that_takes_both() {
    let switch = Switch::start(Config::lab());
    let (mut bob, _listener) = bob_with_both(&switch);
    let mut alice = Party::new(&switch, "alice");

    alice.call("bob", "");

    let invite = bob.wire.receive("INVITE");
    assert!(invite.len() <= DATAGRAM_REQUEST_BYTES_MAX && via_says(&invite, "UDP"), "{invite}");
}

#[test]
fn a_phone_without_tcp_gets_a_long_invite_by_udp() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));

    alice.begin("INVITE", "sip:bob@example.com", "", &long_offer());

    let invite = bob.wire.receive("INVITE");
    assert!(invite.len() > DATAGRAM_REQUEST_BYTES_MAX, "{} bytes are no long INVITE", invite.len());
    assert!(via_says(&invite, "UDP"), "{invite}");
    bob.reply(&invite, "200 OK", "", SDP);
    bob.wire.receive("ACK");
    assert_eq!(status(&alice.answer_to("INVITE", 200)), Some(200));
}

#[test]
fn a_long_text_goes_by_tcp_and_to_a_phone_without_it_by_udp() {
    let switch = Switch::start(Config::lab());
    let text = "long ".repeat(DATAGRAM_REQUEST_BYTES_MAX / 5);
    let (_bob, listener) = bob_with_both(&switch);
    let (mut alice, mut carol) = (Party::new(&switch, "alice"), Party::registered(&switch, "carol"));

    alice.begin("MESSAGE", "sip:bob@example.com", "", &text);
    let mut bob_by_tcp = Party::at(taken(&listener), "bob");
    let message = bob_by_tcp.wire.receive("MESSAGE");
    assert!(via_says(&message, "TCP") && message.ends_with(&text), "{message}");
    bob_by_tcp.reply(&message, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(200));

    alice.begin("MESSAGE", "sip:carol@example.com", "", &text);
    let message = carol.wire.receive("MESSAGE");
    assert!(via_says(&message, "UDP") && message.ends_with(&text), "{message}");
    carol.reply(&message, "200 OK", "", "");
    assert_eq!(status(&alice.answer_to("MESSAGE", 200)), Some(200));
}

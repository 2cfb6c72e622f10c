use crate::support::*;
use sip::net::{SendError, needs_stream};
use sip::{Hop, Protocol};
use tokio::net::UdpSocket;

async fn phone(side: &Side) -> UdpSocket {
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    phone.connect(side.address(Protocol::Udp)).await.unwrap();
    phone
}

#[test]
fn datagrams_go_both_ways_over_ipv4_and_ipv6() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut alice = Side::listening(&[(Protocol::Udp, address)]);
            let mut bob = Side::listening(&[(Protocol::Udp, address)]);
            let to_bob = alice.to(&bob, Protocol::Udp);
            alice.net.send(&to_bob, message("there", 10)).unwrap();
            let (bytes, hop) = bob.message().await;
            assert_eq!(bytes, message("there", 10));
            let wanted = Hop {
                protocol: Protocol::Udp,
                local: bob.address(Protocol::Udp),
                remote: alice.address(Protocol::Udp),
                connection: None,
            };
            assert_eq!(hop, wanted);
            bob.net.send(&hop, message("back", 10)).unwrap();
            assert_eq!(alice.message().await.0, message("back", 10));
        }
    });
}

#[test]
fn a_datagram_leaves_from_the_socket_that_the_hop_names() {
    run(async {
        let binds = [(Protocol::Udp, "127.0.0.1:0"), (Protocol::Udp, "127.0.0.1:0")];
        let alice = Side::listening(&binds);
        let mut bob = Side::listening(&binds[..1]);
        for bind in alice.network.listening() {
            let mut to_bob = alice.to(&bob, Protocol::Udp);
            to_bob.local = bind.address;
            alice.net.send(&to_bob, message("m", 0)).unwrap();
            assert_eq!(bob.message().await.1.remote, bind.address);
        }
        let mut stranger = alice.to(&bob, Protocol::Udp);
        stranger.local = "127.0.0.1:1".parse().unwrap();
        let refused = alice.net.send(&stranger, message("m", 0));
        assert_eq!(refused, Err(SendError::NoLocal));
    });
}

#[test]
fn behind_a_wildcard_the_route_names_our_address() {
    run(async {
        let mut alice = Side::listening(&[(Protocol::Udp, "0.0.0.0:0")]);
        let mut bob = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let remote = bob.address(Protocol::Udp);
        let local = alice.net.local_for(Protocol::Udp, remote).unwrap();
        assert_eq!(local.ip().to_string(), "127.0.0.1");
        assert_eq!(local.port(), alice.address(Protocol::Udp).port());
        let to_bob = Hop { local, ..alice.to(&bob, Protocol::Udp) };
        alice.net.send(&to_bob, message("m", 0)).unwrap();
        let (_, hop) = bob.message().await;
        assert_eq!(hop.remote, local);
        bob.net.send(&hop, message("m", 0)).unwrap();
        let (_, back) = alice.message().await;
        alice.net.send(&back, message("n", 0)).unwrap();
        assert_eq!(bob.message().await.0, message("n", 0));
    });
}

#[test]
fn a_datagram_that_nobody_takes_is_told_with_its_beginning_and_costs_no_other_its_way() {
    run(async {
        let mut alice = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let mut bob = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let to_bob = alice.to(&bob, Protocol::Udp);
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for turn in 0..20 {
            let lost = message("lost", turn);
            alice.net.send(&Hop { remote: nobody, ..to_bob }, lost.clone()).unwrap();
            // The error waits in the socket, and is none of this one's.
            alice.net.send(&to_bob, message("m", turn)).unwrap();
            assert_eq!(bob.message().await.0, message("m", turn));
            let Event::Refused(quoted, hop) = alice.next().await else { panic!("it was not told") };
            assert_eq!(hop.remote, nobody);
            assert!(!quoted.is_empty() && lost.starts_with(&quoted), "{quoted:?}");
        }
        assert_eq!(alice.network.counters().refused.get(), 20);
        assert_eq!(alice.network.counters().send_failed.get(), 0);
    });
}

#[test]
fn more_than_a_datagram_carries_is_refused_and_the_most_arrives() {
    run(async {
        let alice = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let mut bob = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let to_bob = alice.to(&bob, Protocol::Udp);
        let most = vec![b'a'; 65_507];
        alice.net.send(&to_bob, most.clone().into()).unwrap();
        assert_eq!(bob.message().await.0, most);
        let refused = alice.net.send(&to_bob, vec![b'a'; 65_508].into());
        assert_eq!(refused, Err(SendError::TooLarge));
        assert_eq!(alice.network.counters().send_failed.get(), 1);
    });
}

#[test]
fn keep_alives_are_answered_and_noise_is_not_shown_to_the_shard() {
    run(async {
        let mut switch = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let phone = phone(&switch).await;
        let mut buffer = [0; 100];
        phone.send(b"\r\n\r\n").await.unwrap();
        let len = phone.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"\r\n");
        let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        stun.extend([7; 12]);
        phone.send(&stun).await.unwrap();
        let len = phone.recv(&mut buffer).await.unwrap();
        let ours = phone.local_addr().unwrap();
        assert_eq!(buffer[..2], [1, 1]);
        assert_eq!(buffer[8..20], [7; 12]);
        assert_eq!(buffer[26..28], (ours.port() ^ 0x2112).to_be_bytes());
        assert_eq!(buffer[28..len], [127 ^ 0x21, 0x12, 0xa4, 1 ^ 0x42]);
        for noise in [&b""[..], b"\r\n", b"\0", b"\r\n\r\n\0\0"] {
            phone.send(noise).await.unwrap();
        }
        phone.send(&message("last", 0)).await.unwrap();
        assert_eq!(switch.message().await.0, message("last", 0));
        assert_eq!(switch.network.counters().keepalives.get(), 2);
    });
}

#[test]
fn a_closed_port_at_the_peer_does_not_end_our_socket() {
    run(async {
        let mut alice = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let gone = {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.local_addr().unwrap()
        };
        for _ in 0..3 {
            alice.net.send(&hop(Protocol::Udp, gone), message("m", 0)).unwrap();
        }
        for _ in 0..3 {
            assert!(matches!(alice.next().await, Event::Refused(_, hop) if hop.remote == gone));
        }
        let phone = phone(&alice).await;
        phone.send(&message("still here", 0)).await.unwrap();
        assert_eq!(alice.message().await.0, message("still here", 0));
    });
}

#[test]
fn a_panic_of_the_shard_costs_the_message_and_not_the_socket() {
    run(async {
        let mut alice = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let phone = phone(&alice).await;
        phone.send(PANIC).await.unwrap();
        phone.send(&message("next", 0)).await.unwrap();
        assert_eq!(alice.message().await.0, message("next", 0));
        assert_eq!(alice.network.counters().inbound_panics.get(), 1);
    });
}

#[test]
fn many_datagrams_at_once_all_leave_and_all_arrive() {
    run(async {
        let alice = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let mut bob = Side::listening(&[(Protocol::Udp, "127.0.0.1:0")]);
        let to_bob = alice.to(&bob, Protocol::Udp);
        for n in 0..200 {
            let bytes = message(&n.to_string(), 100);
            alice.net.send(&to_bob, bytes).unwrap();
        }
        for n in 0..200 {
            assert_eq!(bob.message().await.0, message(&n.to_string(), 100));
        }
        let traffic = bob.network.counters().traffic(Protocol::Udp);
        assert_eq!(traffic.messages_in.get(), 200);
    });
}

#[test]
fn the_mtu_rule_of_rfc_3261_section_18_1_1_holds() {
    let cases = [
        (1_300, None, false),
        (1_301, None, true),
        (1_300, Some(1_500), false),
        (1_301, Some(1_500), true),
        (8_800, Some(9_000), false),
    ];
    for (len, mtu, stream) in cases {
        assert_eq!(needs_stream(len, mtu), stream, "{len} bytes, mtu {mtu:?}");
    }
}

use crate::support::*;
use sip::net::{CloseReason, Limits, NetConfig, SendError};
use sip::{Hop, ParseError, Protocol};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const TCP: &[(Protocol, &str)] = &[(Protocol::Tcp, "127.0.0.1:0")];

async fn phone(side: &Side) -> TcpStream {
    let phone = TcpStream::connect(side.address(Protocol::Tcp)).await.unwrap();
    phone.set_nodelay(true).unwrap();
    phone
}

fn limited(change: impl FnOnce(&mut Limits)) -> NetConfig {
    let mut config = config(TCP);
    change(&mut config.limits);
    config
}

/// What comes until the peer ends.
async fn rest(phone: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, phone.read_to_end(&mut rest)).await;
    read.expect("no end").unwrap();
    rest
}

#[test]
fn messages_go_both_ways_over_one_connection_over_ipv4_and_ipv6() {
    run(async {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut alice = Side::listening(&[(Protocol::Tcp, address)]);
            let mut bob = Side::listening(&[(Protocol::Tcp, address)]);
            let to_bob = alice.to(&bob, Protocol::Tcp);
            alice.net.send(&to_bob, message("there", 70)).unwrap();
            let id = alice.connected().await;
            bob.connected().await;
            let (bytes, hop) = bob.message().await;
            assert_eq!(bytes, message("there", 70));
            assert_eq!(hop.local, bob.address(Protocol::Tcp));
            bob.net.send(&hop, message("back", 70)).unwrap();
            let (bytes, back) = alice.message().await;
            assert_eq!(bytes, message("back", 70));
            // The connection speaks for the address that we listen on, not for its own short-lived port.
            let wanted = Hop {
                protocol: Protocol::Tcp,
                local: alice.address(Protocol::Tcp),
                remote: bob.address(Protocol::Tcp),
                connection: Some(id),
            };
            assert_eq!(back, wanted);
        }
    });
}

#[test]
fn messages_queued_while_connecting_arrive_in_order_over_one_connection() {
    run(async {
        let mut alice = Side::listening(TCP);
        let mut bob = Side::listening(TCP);
        let to_bob = alice.to(&bob, Protocol::Tcp);
        for n in 0..100 {
            alice.net.send(&to_bob, message(&n.to_string(), n)).unwrap();
        }
        alice.connected().await;
        bob.connected().await;
        for n in 0..100 {
            assert_eq!(bob.message().await.0, message(&n.to_string(), n));
        }
        assert_eq!(alice.network.counters().opened.get(), 1);
        assert_eq!(bob.network.counters().accepted.get(), 1);
    });
}

#[test]
fn a_request_to_the_source_of_an_accepted_connection_takes_it() {
    run(async {
        let mut switch = Side::listening(TCP);
        let mut phone = phone(&switch).await;
        switch.connected().await;
        let to_phone = hop(Protocol::Tcp, phone.local_addr().unwrap());
        switch.net.send(&to_phone, message("reuse", 3)).unwrap();
        let mut buffer = vec![0; message("reuse", 3).len()];
        phone.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, message("reuse", 3));
    });
}

#[test]
fn a_message_split_at_every_byte_boundary_arrives_whole() {
    run(async {
        let mut switch = Side::listening(TCP);
        let mut phone = phone(&switch).await;
        switch.connected().await;
        let bytes = message("split", 5);
        for at in 0..bytes.len() {
            phone.write_all(&bytes[..at]).await.unwrap();
            tokio::task::yield_now().await;
            phone.write_all(&bytes[at..]).await.unwrap();
            assert_eq!(switch.message().await.0, bytes);
        }
        let three = [&bytes[..], &bytes[..], &bytes[..]].concat();
        phone.write_all(&three).await.unwrap();
        for _ in 0..3 {
            assert_eq!(switch.message().await.0, bytes);
        }
    });
}

#[test]
fn a_double_crlf_is_answered_with_a_single_one() {
    run(async {
        let mut switch = Side::listening(TCP);
        let mut phone = phone(&switch).await;
        let mut pong = [0; 2];
        for _ in 0..3 {
            phone.write_all(b"\r\n\r\n").await.unwrap();
            phone.read_exact(&mut pong).await.unwrap();
            assert_eq!(&pong, b"\r\n");
        }
        phone.write_all(&message("after", 0)).await.unwrap();
        switch.connected().await;
        assert_eq!(switch.message().await.0, message("after", 0));
        assert_eq!(switch.network.counters().keepalives.get(), 3);
    });
}

#[test]
fn garbage_is_shown_with_its_head_answered_once_and_the_connection_closed() {
    run(async {
        let mut switch = Side::listening(TCP);
        let mut phone = phone(&switch).await;
        let garbage = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nand more";
        phone.write_all(garbage).await.unwrap();
        switch.connected().await;
        let Event::Unframed(error, head, hop) = switch.next().await else {
            panic!("garbage was not noticed");
        };
        assert_eq!(error, ParseError::Length);
        assert_eq!(head.as_ref(), garbage);
        // Bytes that nobody reads must not turn the end into a reset that takes the answer along.
        phone.write_all(&[b'x'; 10_000]).await.unwrap();
        switch.net.send(&hop, message("answer", 0)).unwrap();
        assert_eq!(rest(&mut phone).await, message("answer", 0));
        drop(phone);
        assert_eq!(switch.closed().await, CloseReason::Unframed);
        assert_eq!(switch.network.counters().unframed.get(), 1);
        assert_eq!(switch.network.counters().open.get(), 0);
    });
}

#[test]
fn a_message_announced_too_long_closes_the_connection_before_it_is_read() {
    run(async {
        let mut switch = Side::new(limited(|l| l.linger = Duration::from_millis(50)));
        let mut phone = phone(&switch).await;
        let head = b"MESSAGE sip:a SIP/2.0\r\nContent-Length: 100000\r\n\r\n";
        phone.write_all(head).await.unwrap();
        switch.connected().await;
        let Event::Unframed(error, ..) = switch.next().await else {
            panic!("length was not noticed");
        };
        assert_eq!(error, ParseError::TooLarge);
        assert_eq!(rest(&mut phone).await, b"");
        assert_eq!(switch.closed().await, CloseReason::Unframed);
    });
}

#[test]
fn a_refused_connection_tells_the_sender_of_each_message() {
    run(async {
        let mut alice = Side::listening(TCP);
        let gone = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let to = hop(Protocol::Tcp, gone);
        alice.net.send(&to, message("1", 0)).unwrap();
        alice.net.send(&to, message("2", 0)).unwrap();
        for _ in 0..2 {
            assert_eq!(alice.undeliverable().await, (to, SendError::Unreachable));
        }
        assert_eq!(alice.network.counters().connect_failed.get(), 1);
        assert_eq!(alice.network.counters().open.get(), 0);
    });
}

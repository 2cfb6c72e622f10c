use crate::support::*;
use sip::net::{CloseReason, NetConfig, Network, SendError, SetupError};
use sip::{Hop, Protocol};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

const BOTH: &[(Protocol, &str)] = &[(Protocol::Udp, "127.0.0.1:0"), (Protocol::Tcp, "127.0.0.1:0")];

fn two() -> (Side, Side) {
    let network = Network::new(config(BOTH)).unwrap();
    (Side::shard_of(&network), Side::shard_of(&network))
}

/// The next event of either shard, and whether it was the first's.
async fn either(a: &mut Side, b: &mut Side) -> (bool, Event) {
    tokio::select! {
        event = a.next() => (true, event),
        event = b.next() => (false, event),
    }
}

#[test]
fn two_shards_share_a_port_and_each_gets_its_part() {
    run(async {
        let (mut a, mut b) = two();
        assert_eq!(a.address(Protocol::Udp), b.address(Protocol::Udp));
        let mut phones = Vec::new();
        let mut of_first = 0;
        for _ in 0..64 {
            let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = a.address(Protocol::Udp);
            phone.send_to(&message("m", 0), to).await.unwrap();
            of_first += usize::from(either(&mut a, &mut b).await.0);
        }
        assert!((1..64).contains(&of_first), "{of_first} of 64 datagrams");
        let mut of_first = 0;
        for _ in 0..64 {
            let to = a.address(Protocol::Tcp);
            phones.push(TcpStream::connect(to).await.unwrap());
            of_first += usize::from(either(&mut a, &mut b).await.0);
        }
        assert!((1..64).contains(&of_first), "{of_first} of 64 connections");
    });
}

#[test]
fn any_shard_sends_over_any_connection() {
    run(async {
        let (mut a, mut b) = two();
        let mut phone = TcpStream::connect(a.address(Protocol::Tcp)).await.unwrap();
        let (of_first, event) = either(&mut a, &mut b).await;
        let Event::Connected(to_phone) = event else {
            panic!("not connected");
        };
        let other = if of_first { &b } else { &a };
        other.net.send(&to_phone, message("m", 0)).unwrap();
        let mut got = vec![0; message("m", 0).len()];
        phone.read_exact(&mut got).await.unwrap();
        assert_eq!(got, message("m", 0));
    });
}

#[test]
fn two_shards_open_one_connection_to_one_peer() {
    run(async {
        let (a, b) = two();
        let mut peer = Side::listening(BOTH);
        let to_peer = a.to(&peer, Protocol::Tcp);
        a.net.send(&to_peer, message("a", 0)).unwrap();
        b.net.send(&to_peer, message("b", 0)).unwrap();
        peer.connected().await;
        assert_eq!(peer.message().await.0, message("a", 0));
        assert_eq!(peer.message().await.0, message("b", 0));
        assert_eq!(peer.network.counters().accepted.get(), 1);
    });
}

#[test]
fn a_connection_that_ends_is_not_taken_for_new_messages() {
    run(async {
        let mut a = Side::listening(BOTH);
        let mut peer = Side::listening(BOTH);
        let to_peer = a.to(&peer, Protocol::Tcp);
        a.net.send(&to_peer, message("1", 0)).unwrap();
        let first = a.connected().await;
        peer.connected().await;
        peer.message().await;
        a.network.close(first);
        a.net.send(&to_peer, message("2", 0)).unwrap();
        loop {
            match peer.next().await {
                Event::Message(bytes, _) => break assert_eq!(bytes, message("2", 0)),
                Event::Connected(_) | Event::Closed(..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(a.network.counters().opened.get(), 2);
    });
}

#[test]
fn a_shard_on_another_thread_sends_over_the_connection_of_this_one() {
    run(async {
        let mut a = Side::listening(BOTH);
        let mut peer = Side::listening(BOTH);
        let to_peer = a.to(&peer, Protocol::Tcp);
        a.net.send(&to_peer, message("a", 0)).unwrap();
        a.connected().await;
        peer.connected().await;
        peer.message().await;
        let network = a.network.clone();
        let other = std::thread::spawn(move || {
            run(async {
                let b = Side::shard_of(&network);
                b.net.send(&to_peer, message("b", 0)).unwrap();
            });
        });
        assert_eq!(peer.message().await.0, message("b", 0));
        other.join().unwrap();
        assert_eq!(peer.network.counters().accepted.get(), 1);
    });
}

#[test]
fn a_second_switch_on_the_same_port_is_refused_at_start() {
    run(async {
        let first = Side::listening(BOTH);
        for bind in first.network.listening() {
            let config = NetConfig { binds: vec![*bind], ..NetConfig::default() };
            let refused = Network::new(config);
            assert!(matches!(refused, Err(SetupError::Bind { .. })), "{bind:?}");
        }
    });
}

#[test]
fn the_shard_that_sent_is_told_of_a_failure_on_another_shards_connection() {
    run(async {
        let (mut a, mut b) = two();
        let gone = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let to = hop(Protocol::Tcp, gone);
        a.net.send(&to, message("a", 0)).unwrap();
        b.net.send(&to, message("b", 0)).unwrap();
        assert_eq!(a.undeliverable().await, (to, SendError::Unreachable));
        assert_eq!(b.undeliverable().await, (to, SendError::Unreachable));
    });
}

#[test]
fn a_shard_that_ends_closes_its_connections_and_its_successor_takes_the_port() {
    run(async {
        let mut first = Side::listening(BOTH);
        let mut phone = TcpStream::connect(first.address(Protocol::Tcp)).await.unwrap();
        first.connected().await;
        let Side { network, net, mut events } = first;
        drop(net);
        let closed = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
        assert!(matches!(closed, Some(Event::Closed(_, CloseReason::Shutdown))));
        assert_eq!(phone.read(&mut [0; 8]).await.unwrap(), 0);
        let mut second = Side::shard_of(&network);
        let to_second = second.address(Protocol::Udp);
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        phone.send_to(&message("m", 0), to_second).await.unwrap();
        assert_eq!(second.message().await.0, message("m", 0));
        let _phone = TcpStream::connect(second.address(Protocol::Tcp)).await.unwrap();
        second.connected().await;
    });
}

#[test]
fn a_websocket_connection_is_sent_to_like_any_other_until_it_is_released() {
    run(async {
        let side = Side::listening(BOTH);
        let (sender, mut frames) = mpsc::channel(1);
        let local = "127.0.0.1:8080".parse().unwrap();
        let remote = "192.0.2.1:40000".parse().unwrap();
        let id = side.network.adopt_connection(Protocol::Ws, local, remote, sender);
        let by_peer = hop(Protocol::Ws, remote);
        side.net.send(&by_peer, message("m", 0)).unwrap();
        assert_eq!(frames.recv().await, Some(message("m", 0)));
        let by_id = Hop { connection: Some(id), ..by_peer };
        side.net.send(&by_id, message("1", 0)).unwrap();
        let busy = side.net.send(&by_id, message("2", 0));
        assert_eq!(busy, Err(SendError::Busy));
        side.network.release_connection(id);
        assert_eq!(side.net.send(&by_id, message("3", 0)), Err(SendError::Closed));
        assert_eq!(side.net.send(&by_peer, message("4", 0)), Err(SendError::Closed));
    });
}

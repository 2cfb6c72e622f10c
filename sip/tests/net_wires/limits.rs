use crate::support::*;
use sip::net::{CloseReason, Limits, SendError};
use sip::{Hop, Protocol};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const TCP: &[(Protocol, &str)] = &[(Protocol::Tcp, "127.0.0.1:0")];

fn limited(change: impl FnOnce(&mut Limits)) -> Side {
    let mut config = config(TCP);
    change(&mut config.limits);
    Side::new(config)
}

async fn phone(side: &Side) -> TcpStream {
    TcpStream::connect(side.address(Protocol::Tcp)).await.unwrap()
}

/// Waits until the peer has ended or reset the connection.
async fn ended(phone: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, phone.read_to_end(&mut rest)).await;
    // Both an end and a reset are ends.
    let _ = read.expect("connection lives");
}

#[test]
fn a_connection_without_a_byte_is_closed_after_the_idle_time() {
    run(async {
        let mut switch = limited(|l| l.idle = Duration::from_millis(50));
        let mut phone = phone(&switch).await;
        switch.connected().await;
        assert_eq!(switch.closed().await, CloseReason::Idle);
        ended(&mut phone).await;
    });
}

#[test]
fn a_message_that_does_not_end_in_time_closes_the_connection() {
    run(async {
        let mut switch = limited(|l| l.message_time = Duration::from_millis(50));
        let mut phone = phone(&switch).await;
        phone.write_all(b"OPTIONS sip:a SIP/2.0\r\n").await.unwrap();
        switch.connected().await;
        assert_eq!(switch.closed().await, CloseReason::SlowMessage);
    });
}

#[test]
fn keep_alives_between_messages_are_no_message_that_does_not_end() {
    run(async {
        let mut switch = limited(|l| {
            l.message_time = Duration::from_millis(1);
            l.idle = Duration::from_millis(200);
        });
        let mut phone = phone(&switch).await;
        phone.write_all(b"\r\n").await.unwrap();
        switch.connected().await;
        assert_eq!(switch.closed().await, CloseReason::Idle);
    });
}

#[test]
fn a_peer_that_does_not_read_is_closed_when_its_queue_is_full() {
    run(async {
        let mut switch = limited(|l| {
            l.queue_bytes_max = 1 << 17;
            l.write_stall = Duration::from_secs(3_600);
        });
        let phone = phone(&switch).await;
        let id = switch.connected().await;
        let to_phone = Hop { connection: Some(id), ..hop(Protocol::Tcp, phone.local_addr().unwrap()) };
        let bytes = message("m", 60_000);
        let mut sent = 0;
        loop {
            match switch.net.send(&to_phone, bytes.clone()) {
                Ok(()) => sent += 1,
                Err(error) => break assert_eq!(error, SendError::Busy),
            }
            assert!(sent < 10_000, "nothing bounds the queue");
            tokio::task::yield_now().await;
        }
        let mut lost = 0;
        let mut closed = None;
        while closed.is_none() || lost == 0 {
            match switch.next().await {
                Event::Undeliverable(hop, why) => {
                    assert_eq!((hop, why), (to_phone, SendError::Lost));
                    lost += 1;
                }
                Event::Closed(_, why) => closed = Some(why),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(closed, Some(CloseReason::SlowReader));
        assert_eq!(switch.net.send(&to_phone, bytes), Err(SendError::Closed));
    });
}

#[test]
fn a_peer_that_takes_nothing_for_the_stall_time_is_closed() {
    run(async {
        let mut switch = limited(|l| {
            l.queue_bytes_max = 1 << 26;
            l.write_stall = Duration::from_millis(50);
        });
        let phone = phone(&switch).await;
        switch.connected().await;
        let to_phone = hop(Protocol::Tcp, phone.local_addr().unwrap());
        for _ in 0..500 {
            switch.net.send(&to_phone, message("m", 60_000)).unwrap();
        }
        loop {
            match switch.next().await {
                Event::Undeliverable(_, why) => assert_eq!(why, SendError::Lost),
                Event::Closed(_, why) => break assert_eq!(why, CloseReason::SlowReader),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn connections_past_the_limit_of_their_source_are_turned_away_until_one_ends() {
    run(async {
        let mut switch = limited(|l| l.connections_per_source_max = 2);
        let first = phone(&switch).await;
        let _second = phone(&switch).await;
        switch.connected().await;
        switch.connected().await;
        ended(&mut phone(&switch).await).await;
        assert_eq!(switch.network.counters().refused_source.get(), 1);
        drop(first);
        assert_eq!(switch.closed().await, CloseReason::Peer);
        let _third = phone(&switch).await;
        switch.connected().await;
        assert_eq!(switch.network.counters().open.get(), 2);
    });
}

#[test]
fn connections_past_the_limit_of_all_are_neither_accepted_nor_opened() {
    run(async {
        let mut switch = limited(|l| l.connections_max = 1);
        let first = phone(&switch).await;
        switch.connected().await;
        ended(&mut phone(&switch).await).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = hop(Protocol::Tcp, listener.local_addr().unwrap());
        let refused = switch.net.send(&to, message("m", 0));
        assert_eq!(refused, Err(SendError::TooManyConnections));
        assert_eq!(switch.network.counters().refused_total.get(), 2);
        drop(first);
        assert_eq!(switch.closed().await, CloseReason::Peer);
        switch.net.send(&to, message("m", 0)).unwrap();
        switch.connected().await;
    });
}

#[test]
fn an_answer_still_leaves_after_the_peer_has_ended_its_side() {
    run(async {
        let mut switch = limited(|_| {});
        let mut phone = phone(&switch).await;
        phone.write_all(&message("last", 0)).await.unwrap();
        phone.shutdown().await.unwrap();
        switch.connected().await;
        let (_, back) = switch.message().await;
        // Time for the end to be noticed before the answer is there.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        switch.net.send(&back, message("answer", 0)).unwrap();
        let mut answer = vec![0; message("answer", 0).len()];
        phone.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, message("answer", 0));
        drop(phone);
        assert_eq!(switch.closed().await, CloseReason::Peer);
    });
}

#[test]
fn what_was_sent_before_the_end_was_asked_for_still_leaves() {
    run(async {
        let mut switch = limited(|_| {});
        let mut phone = phone(&switch).await;
        let id = switch.connected().await;
        let to_phone = hop(Protocol::Tcp, phone.local_addr().unwrap());
        switch.net.send(&to_phone, message("last", 0)).unwrap();
        switch.network.close(id);
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, phone.read_to_end(&mut rest)).await;
        read.expect("no end").unwrap();
        assert_eq!(rest, message("last", 0));
        assert_eq!(switch.closed().await, CloseReason::Requested);
    });
}

#[test]
fn a_connection_closes_on_demand_and_is_then_unknown() {
    run(async {
        let mut switch = limited(|_| {});
        let mut phone = phone(&switch).await;
        let id = switch.connected().await;
        switch.network.close(id);
        assert_eq!(switch.closed().await, CloseReason::Requested);
        ended(&mut phone).await;
        assert_eq!(switch.network.facts(id), None);
    });
}

use crate::authority::Authority;
use crate::support::*;
use sip::Protocol;
use sip::net::{CloseReason, NetConfig, SendError, SetupError, TlsConfig, VerifyClient};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const TLS: &[(Protocol, &str)] = &[(Protocol::Tls, "127.0.0.1:0")];

fn secured(tls: TlsConfig) -> NetConfig {
    NetConfig { tls: Some(tls), ..config(TLS) }
}

fn side(tls: TlsConfig) -> Side {
    Side::new(secured(tls))
}

#[test]
fn both_peers_prove_their_names_and_messages_go_both_ways() {
    run(async {
        let authority = Authority::new();
        let names = ["sip:alice.example.com", "host7.alice.example.com"];
        let mut alice = side(authority.config(&names, VerifyClient::Required));
        let mut bob = side(authority.config(&["bob.example.com"], VerifyClient::Required));
        let to_bob = alice.to(&bob, Protocol::Tls);
        let name = Some("bob.example.com");
        alice.net.send_as(&to_bob, name, message("m", 2_000)).unwrap();
        let ours = alice.connected().await;
        let theirs = bob.connected().await;
        let (bytes, back) = bob.message().await;
        assert_eq!(bytes, message("m", 2_000));
        // RFC 5922 section 7.1: a sip URI stands before DNS names.
        let facts = bob.network.facts(theirs).unwrap();
        assert_eq!(facts.certificate_names, ["alice.example.com"]);
        let facts = alice.network.facts(ours).unwrap();
        assert_eq!(facts.certificate_names, ["bob.example.com"]);
        bob.net.send(&back, message("n", 2_000)).unwrap();
        assert_eq!(alice.message().await.0, message("n", 2_000));
    });
}

#[test]
fn a_connection_is_used_only_for_the_name_that_its_peer_proved() {
    run(async {
        let authority = Authority::new();
        let mut alice = side(authority.config(&["alice.example.com"], VerifyClient::Off));
        let names = ["bob.example.com", "bert.example.com"];
        let mut bob = side(authority.config(&names, VerifyClient::Off));
        let to_bob = alice.to(&bob, Protocol::Tls);
        let send = |alice: &Side, name| {
            let sent = alice.net.send_as(&to_bob, Some(name), message(name, 0));
            sent.unwrap();
        };
        send(&alice, "bob.example.com");
        let first = alice.connected().await;
        bob.connected().await;
        bob.message().await;
        send(&alice, "BERT.example.com");
        bob.message().await;
        assert_eq!(alice.network.counters().opened.get(), 1);
        send(&alice, "mallory.example.com");
        assert_eq!(alice.undeliverable().await, (to_bob, SendError::Handshake));
        assert!(alice.network.facts(first).is_some());
    });
}

#[test]
fn a_server_of_another_authority_is_refused_and_the_sender_told() {
    run(async {
        let mut alice = side(Authority::new().config(&["alice"], VerifyClient::Off));
        let bob = side(Authority::new().config(&["bob"], VerifyClient::Off));
        let to_bob = alice.to(&bob, Protocol::Tls);
        let name = Some("bob");
        alice.net.send_as(&to_bob, name, message("m", 0)).unwrap();
        assert_eq!(alice.undeliverable().await, (to_bob, SendError::Handshake));
        assert_eq!(alice.network.counters().open.get(), 0);
    });
}

#[test]
fn a_client_of_another_authority_is_refused_where_a_certificate_is_required() {
    run(async {
        let authority = Authority::new();
        let mut mallory = Authority::new().config(&["mallory"], VerifyClient::Off);
        mallory.server_ca = authority.pem();
        let mut mallory = side(mallory);
        let bob = side(authority.config(&["bob"], VerifyClient::Required));
        let to_bob = mallory.to(&bob, Protocol::Tls);
        let name = Some("bob");
        mallory.net.send_as(&to_bob, name, message("m", 0)).unwrap();
        // TLS 1.3: the client believes in the connection until the server has looked at its certificate.
        mallory.connected().await;
        assert_eq!(mallory.closed().await, CloseReason::Reset);
        let counters = bob.network.counters();
        let mut closed = counters.closed().filter(|c| c.1 > 0);
        assert_eq!(closed.next(), Some((CloseReason::Handshake, 1)));
        assert_eq!(counters.traffic(Protocol::Tls).messages_in.get(), 0);
    });
}

#[test]
fn a_new_certificate_serves_new_connections_while_the_old_ones_live() {
    run(async {
        let authority = Authority::new();
        let mut bob = side(authority.config(&["bob", "old"], VerifyClient::Off));
        let mut early = side(authority.config(&["early"], VerifyClient::Off));
        let mut late = side(authority.config(&["late"], VerifyClient::Off));
        let to_bob = early.to(&bob, Protocol::Tls);
        early.net.send_as(&to_bob, Some("bob"), message("1", 0)).unwrap();
        let first = early.connected().await;
        bob.connected().await;
        let (_, to_early) = bob.message().await;

        let (chain, key) = authority.issue(&["bob", "new"]);
        bob.network.reload_certificates(&chain, &key).unwrap();
        late.net.send_as(&to_bob, Some("bob"), message("2", 0)).unwrap();
        let second = late.connected().await;
        bob.connected().await;
        bob.message().await;
        let names = |side: &Side, id| side.network.facts(id).unwrap().certificate_names.clone();
        assert_eq!(names(&early, first), ["bob", "old"]);
        assert_eq!(names(&late, second), ["bob", "new"]);

        early.net.send_as(&to_bob, Some("bob"), message("3", 0)).unwrap();
        assert_eq!(bob.message().await.0, message("3", 0));
        bob.net.send(&to_early, message("4", 0)).unwrap();
        assert_eq!(early.message().await.0, message("4", 0));
        assert_eq!(early.network.counters().opened.get(), 1);
    });
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_and_the_old_pair_stays() {
    run(async {
        let authority = Authority::new();
        let mut bob = side(authority.config(&["bob"], VerifyClient::Off));
        let (chain, _) = authority.issue(&["bob"]);
        let (_, key) = authority.issue(&["bob"]);
        let refused = bob.network.reload_certificates(&chain, &key);
        assert!(matches!(refused, Err(SetupError::Certificate(_))));
        let refused = bob.network.reload_certificates(b"", b"");
        assert!(matches!(refused, Err(SetupError::Certificate(_))));
        let alice = side(authority.config(&["alice"], VerifyClient::Off));
        let to_bob = alice.to(&bob, Protocol::Tls);
        alice.net.send_as(&to_bob, Some("bob"), message("m", 0)).unwrap();
        bob.connected().await;
        assert_eq!(bob.message().await.0, message("m", 0));
    });
}

#[test]
fn a_proved_peer_is_called_back_over_its_own_connection_by_its_alias() {
    run(async {
        let authority = Authority::new();
        let mut alice = side(authority.config(&["alice"], VerifyClient::Off));
        let mut bob = side(authority.config(&["bob"], VerifyClient::Optional));
        let to_bob = alice.to(&bob, Protocol::Tls);
        alice.net.send_as(&to_bob, Some("bob"), message("1", 0)).unwrap();
        alice.connected().await;
        let accepted = bob.connected().await;
        bob.message().await;
        let port = alice.address(Protocol::Tls).port();
        assert!(bob.network.alias(accepted, port));
        assert!(!bob.network.alias(accepted, port + 1), "a second alias");
        let to_alice = bob.to(&alice, Protocol::Tls);
        bob.net.send_as(&to_alice, Some("alice"), message("2", 0)).unwrap();
        assert_eq!(alice.message().await.0, message("2", 0));
        assert_eq!(bob.network.counters().opened.get(), 0);
        bob.network.close(accepted);
        assert_eq!(bob.closed().await, CloseReason::Requested);
        assert_eq!(alice.closed().await, CloseReason::Peer);
        bob.net.send_as(&to_alice, Some("alice"), message("3", 0)).unwrap();
        alice.connected().await;
        assert_eq!(alice.message().await.0, message("3", 0));
        assert_eq!(bob.network.counters().opened.get(), 1);
    });
}

#[test]
fn a_peer_that_proved_nothing_gets_no_alias() {
    run(async {
        let authority = Authority::new();
        let alice = side(authority.config(&["alice"], VerifyClient::Off));
        let mut bob = side(authority.config(&["bob"], VerifyClient::Off));
        let to_bob = alice.to(&bob, Protocol::Tls);
        alice.net.send_as(&to_bob, Some("bob"), message("1", 0)).unwrap();
        let accepted = bob.connected().await;
        assert!(!bob.network.alias(accepted, 5061));
    });
}

#[test]
fn a_silent_handshake_ends_in_time() {
    run(async {
        let tls = Authority::new().config(&["bob"], VerifyClient::Off);
        let mut config = secured(tls);
        config.limits.handshake_time = Duration::from_millis(50);
        let bob = Side::new(config);
        let mut phone = TcpStream::connect(bob.address(Protocol::Tls)).await.unwrap();
        let mut buffer = [0; 10];
        let end = timeout(PATIENCE, phone.read(&mut buffer)).await;
        assert_eq!(end.expect("not closed").unwrap(), 0);
        let counters = bob.network.counters();
        assert!(counters.closed().any(|c| c == (CloseReason::Handshake, 1)));
        assert_eq!(counters.open.get(), 0);
    });
}

#[test]
fn a_tls_address_without_certificate_is_refused_at_start() {
    let refused = sip::net::Network::new(config(TLS));
    assert!(matches!(refused, Err(SetupError::NoCertificate)));
}

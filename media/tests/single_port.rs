//! All media of a worker on one port: who shares it and who does not. And the sentences of the other files once more, said of this
//! mode.
#![allow(clippy::duplicate_mod)] // each of the files has the module that all of them share

#[path = "browser.rs"]
mod browser;
#[path = "play.rs"]
mod play;
#[path = "quality.rs"]
mod quality;
#[path = "recorder_killed.rs"]
mod recorder_killed;
#[path = "relay.rs"]
mod relay;
#[path = "rooms.rs"]
mod rooms;
#[path = "secure.rs"]
mod secure;
#[path = "spray.rs"]
mod spray;
#[path = "transcode.rs"]
mod transcode;
#[path = "worker_death.rs"]
mod worker_death;

mod common;

use common::*;
use media::ice::{Credentials, Ice};
use media::stun::{Class, Password, Writer};
use media::{ConnectError, FlowSpec, NoPort, Pool, PoolConfig, Remote, Side, WorkerEnd};
use std::net::{SocketAddr, UdpSocket};

#[test]
fn all_flows_of_a_worker_are_told_one_port_and_each_hears_its_own_party() {
    let (pool, _threads) = running(PoolConfig { workers: 2, ..config() });
    let mut calls: Vec<_> = (0..20).map(|_| call(&pool, &[PCMU], &[PCMU])).collect();
    let mut ports: Vec<_> =
        calls.iter().flat_map(|(flow, ..)| [Side::A, Side::B].map(|side| flow.local(side))).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 2, "one a worker");
    assert!(ports.iter().all(|port| port.port() % 2 == 0));
    for round in 0..20u8 {
        for (n, (flow, caller, callee, _)) in calls.iter_mut().enumerate() {
            let sent = caller.send(flow.local(Side::A), 0, &[round ^ n as u8; 160]);
            assert_eq!(callee.receive().bytes, sent);
            let sent = callee.send(flow.local(Side::B), 0, &[!(round ^ n as u8); 160]);
            assert_eq!(caller.receive().bytes, sent);
        }
    }
    assert_eq!(pool.health(0).dropped.strangers + pool.health(1).dropped.strangers, 0);
}

#[test]
fn a_party_that_has_another_ones_address_gets_a_port_of_its_own_and_both_are_heard() {
    let (pool, _threads) = running(config());
    let (first, mut phone, one, _events) = call(&pool, &[PCMU], &[PCMU]);
    let (second, _told) = open(&pool);
    let two = Phone::new(2);
    let shared = second.local(Side::A);
    assert_eq!(shared, first.local(Side::A));
    second.connect(Side::A, phone.remote(&[PCMU])).unwrap();
    second.connect(Side::B, two.remote(&[PCMU])).unwrap();
    assert_ne!(second.local(Side::A), shared);
    assert_eq!(second.local_rtcp(Side::A).port(), second.local(Side::A).port() + 1);
    assert_eq!(second.local(Side::B), shared);
    settle(&pool, &second);
    let sent = phone.send(first.local(Side::A), 0, &[1; 160]);
    assert_eq!(one.receive().bytes, sent);
    let sent = phone.send(second.local(Side::A), 0, &[2; 160]);
    assert_eq!(two.receive().bytes, sent);
    assert!(one.has_nothing() && two.has_nothing());
    // The address is free again when its call is over.
    first.close();
    until(|| pool.adopt(first.id()).is_none());
    let (third, three, ..) = call(&pool, &[PCMU], &[PCMU]);
    third.connect(Side::B, phone.remote(&[PCMU])).unwrap();
    assert_eq!(third.local(Side::B), shared);
    settle(&pool, &third);
    let sent = phone.send(shared, 0, &[3; 160]);
    assert_eq!(three.receive().bytes, sent);
}

#[test]
fn an_address_that_was_negotiated_away_is_anybodys() {
    let (pool, _threads) = running(config());
    let (first, phone, ..) = call(&pool, &[PCMU], &[PCMU]);
    let moved = Phone::new(3);
    first.connect(Side::A, moved.remote(&[PCMU])).unwrap();
    let (second, mut two, ..) = call(&pool, &[PCMU], &[PCMU]);
    second.connect(Side::B, phone.remote(&[PCMU])).unwrap();
    assert_eq!(second.local(Side::B), first.local(Side::A));
    settle(&pool, &second);
    let sent = two.send(second.local(Side::A), 0, &[4; 160]);
    assert_eq!(phone.receive().bytes, sent);
}

#[test]
fn a_party_behind_a_nat_without_ice_has_a_pair_of_its_own() {
    let (pool, mut threads) = running(config());
    let (flow, _told) = open(&pool);
    let (mut inside, callee) = (Phone::new(1), Phone::new(2));
    let elsewhere = SocketAddr::new(inside.rtp.local_addr().unwrap().ip(), 9);
    let remote = Remote { rtp: elsewhere, rtcp: None, behind_nat: true, ..inside.remote(&[PCMU]) };
    let shared = flow.local(Side::A);
    flow.connect(Side::A, remote).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    let own = flow.local(Side::A);
    assert!(own != shared && flow.local(Side::B) == shared);
    settle(&pool, &flow);
    let sent = inside.send(own, 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    assert_eq!(flow.checkpoint().seen.a, inside.rtp.local_addr().ok());
    // Another worker finds it there.
    pool.ask_panic(0);
    assert!(matches!(threads.remove(0).join(), WorkerEnd::Panicked(_)));
    threads.push(pool.start_worker(0).unwrap());
    let sent = inside.send(own, 0, &[2; 160]);
    assert_eq!(callee.receive().bytes, sent);
    flow.close();
    until(|| pool.adopt(flow.id()).is_none());
    assert_eq!(pool.health(0).flows, 0);
}

#[test]
fn with_one_port_and_no_pair_who_needs_a_pair_is_refused_and_the_others_are_not() {
    let (pool, _threads) = (0..100)
        .find_map(|_| {
            let base = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port() & !1;
            let pool = Pool::new(PoolConfig { ports: base..=base, ..config() }).ok()?;
            let threads = vec![pool.start_worker(0).unwrap()];
            Some((pool, threads))
        })
        .expect("a free port");
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let before = flow.checkpoint();
    let nat = Remote { behind_nat: true, ..caller.remote(&[PCMU]) };
    assert_eq!(flow.connect(Side::A, nat), Err(ConnectError::NoPort(NoPort)));
    assert_eq!(flow.checkpoint().remote, before.remote);
    let (owner, _told) = owner(1);
    let second = pool.open(owner, FlowSpec::default()).unwrap();
    assert_eq!(second.connect(Side::A, caller.remote(&[PCMU])), Err(ConnectError::NoPort(NoPort)));
    second.close();
    let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
}

#[test]
fn reports_of_parties_without_mux_come_to_the_one_port_and_go_to_their_own() {
    let (pool, _threads) = running(config());
    let (flow, caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let (other, _one, two, _told) = call(&pool, &[PCMU], &[PCMU]);
    assert_eq!(flow.local_rtcp(Side::A), flow.local(Side::A));
    let report = [0x80, 201, 0, 1, 0, 0, 0, 0xa];
    caller.rtcp.send_to(&report, flow.local_rtcp(Side::A)).unwrap();
    assert_eq!(callee.receive_rtcp(), report);
    callee.rtcp.send_to(&report, flow.local_rtcp(Side::B)).unwrap();
    assert_eq!(caller.receive_rtcp(), report);
    settle(&pool, &other);
    assert!(two.has_nothing() && caller.has_nothing() && callee.has_nothing());
}

#[test]
fn a_burst_of_packets_of_several_lengths_arrives_whole_and_in_order() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[], &[]);
    // A frame of video: many packets of one length and a shorter one, faster than a worker turns.
    for frame in 0..20u8 {
        let lengths = (0..12).map(|_| 1200).chain([300 + usize::from(frame)]);
        let sent: Vec<_> = lengths.map(|length| caller.send(flow.local(Side::A), 96, &vec![frame; length])).collect();
        for sent in sent {
            assert_eq!(callee.receive().bytes, sent);
        }
    }
    let stats = flow.stats();
    assert_eq!((stats.a.packets_received, stats.b.packets_sent, stats.b.send_failed), (260, 260, 0));
}

#[test]
fn packets_that_the_kernel_does_not_take_are_counted_as_not_sent() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, ..) = call(&pool, &[PCMU], &[PCMU]);
    // A socket of IPv4 has no way there.
    let nowhere = Remote { rtp: "[::1]:4000".parse().unwrap(), rtcp: None, ..caller.remote(&[PCMU]) };
    flow.connect(Side::B, nowhere).unwrap();
    settle(&pool, &flow);
    for _ in 0..5 {
        caller.send(flow.local(Side::A), 0, &[1; 160]);
    }
    until(|| flow.stats().b.send_failed == 5);
    assert_eq!((flow.stats().b.packets_sent, flow.stats().b.bytes_sent), (0, 0));
    assert_eq!((flow.stats().a.packets_received, pool.health(0).packets_out), (5, 0));
}

/// A check of whoever knows these credentials.
fn check(socket: &UdpSocket, to: SocketAddr, ice: &Ice) {
    let mut out = [0; 256];
    let name = format!("{}:{}", ice.local.ufrag, ice.remote.ufrag);
    let check = Writer::new(&mut out, Class::Request, &[7; 12]).username(name.as_bytes()).priority(1).role(true, 9);
    let check = check.use_candidate().integrity(&Password::new(&ice.local.password).unwrap());
    let length = check.finish().unwrap();
    socket.send_to(&out[..length], to).unwrap();
}

#[test]
fn whoever_can_check_in_one_call_takes_no_other_calls_party_away() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let (evil, _told) = open(&pool);
    let mut chance = rand::rng();
    let ice = Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) };
    let remote = Remote { ice: Some(Box::new(ice.clone())), rtcp_mux: true, ..Phone::new(9).remote(&[PCMU]) };
    evil.connect(Side::A, remote).unwrap();
    settle(&pool, &evil);
    // As if it could send in the caller's name: its check is authentic.
    check(&caller.rtp, evil.local(Side::A), &ice);
    let before = pool.health(0).dropped.strangers;
    until(|| pool.health(0).dropped.strangers > before || pool.health(0).dropped.strangers > 0);
    assert_eq!(evil.checkpoint().seen.a, None);
    let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    assert!(caller.has_nothing(), "no answer");
    // From a place of its own it is known, and keeps that from others.
    let own = UdpSocket::bind("127.0.0.1:0").unwrap();
    check(&own, evil.local(Side::A), &ice);
    until(|| evil.checkpoint().seen.a == own.local_addr().ok());
    let (late, _told) = open(&pool);
    let claimed = Remote { rtp: own.local_addr().unwrap(), rtcp: None, rtcp_mux: true, ..callee.remote(&[PCMU]) };
    late.connect(Side::A, claimed).unwrap();
    assert_ne!(late.local(Side::A), evil.local(Side::A));
}

#[test]
fn checks_that_name_nobody_and_packets_of_nobody_get_not_one_byte() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let mut chance = rand::rng();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = flow.local(Side::A);
    for _ in 0..50 {
        let ice = Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) };
        check(&stranger, to, &ice);
        stranger.send_to(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], to).unwrap();
        stranger.send_to(&[22, 0xfe, 0xfd, 0], to).unwrap();
        stranger.send_to(&[], to).unwrap();
        stranger.send_to(&[0x80; 60_000], to).unwrap();
    }
    until(|| pool.health(0).dropped.strangers == 250);
    let sent = caller.send(to, 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 16]).is_err());
}

#[test]
fn a_side_finds_its_media_again_on_the_same_port_when_its_worker_died() {
    let (pool, mut threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let port = flow.local(Side::A);
    let (later, _told) = open(&pool);
    for death in 1..=3u8 {
        pool.ask_panic(0);
        assert!(matches!(threads.remove(0).join(), WorkerEnd::Panicked(_)));
        // The socket stays, and keeps what comes meanwhile.
        let sent = caller.send(port, 0, &[death; 160]);
        threads.push(pool.start_worker(0).unwrap());
        assert_eq!(callee.receive().bytes, sent);
        assert_eq!((flow.local(Side::A), later.local(Side::A)), (port, port));
    }
    assert_eq!(flow.stats().a.packets_received, 3);
}

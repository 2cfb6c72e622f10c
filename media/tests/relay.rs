//! What passes between two sides, and what does not.

mod common;

use common::*;
use media::{Codec, MediaEvent, Payload, PoolConfig, Side, Source};
use std::time::Duration;

#[test]
fn every_packet_passes_both_ways_with_equal_bytes() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut callee, events) = call(&pool, &[PCMU], &[PCMU]);
    for n in 0..50u8 {
        let sent = caller.send(flow.local(Side::A), 0, &[n; 160]);
        assert_eq!(callee.receive().bytes, sent);
        let sent = callee.send(flow.local(Side::B), 0, &[!n; 160]);
        assert_eq!(caller.receive().bytes, sent);
    }
    assert_eq!([next(&events), next(&events)], [MediaEvent::FirstPacket(Side::A), MediaEvent::FirstPacket(Side::B)]);
    until(|| flow.stats().a.packets_sent == 50);
    let stats = flow.stats();
    for side in [stats.a, stats.b] {
        assert_eq!((side.packets_received, side.packets_sent, side.lost, side.duplicate), (50, 50, 0, 0));
        assert_eq!(side.bytes_received, 50 * 172);
    }
}

#[test]
fn rtp_ports_are_even_and_rtcp_ports_follow() {
    let (pool, _threads) = running(config());
    let (flow, _events) = open(&pool);
    for side in [Side::A, Side::B] {
        assert_eq!(flow.local(side).port() % 2, 0);
        let after = if IS_SINGLE { 0 } else { 1 };
        assert_eq!(flow.local_rtcp(side).port(), flow.local(side).port() + after);
    }
}

#[test]
fn the_advertised_address_stands_in_for_the_bound_one() {
    let (pool, _threads) = running(PoolConfig { advertised_ip: Some([192, 0, 2, 1].into()), ..config() });
    let (flow, _events) = open(&pool);
    assert_eq!(flow.local(Side::A).ip().to_string(), "192.0.2.1");
}

const G729: Payload = Payload { pt: 18, codec: Codec::Other, clock_hz: 8000, events: false };

#[test]
fn payload_types_are_renumbered_for_the_other_side_and_unknown_ones_are_dropped() {
    let (pool, _threads) = running(config());
    let opus = |pt| Payload::new(pt, Codec::Opus, 48_000);
    let (flow, mut caller, mut callee, _events) = call(&pool, &[opus(96), G729, events(101)], &[opus(111), events(97)]);
    for (sent, received) in [(96, 111), (101, 97)] {
        let before = caller.send(flow.local(Side::A), sent, &[1, 2, 3, 4]);
        let after = callee.receive();
        assert_eq!(after.header.payload_type, received);
        assert_eq!((&before[2..], before[1] & 0x80), (&after.bytes[2..], after.bytes[1] & 0x80));
    }
    let before = callee.send(flow.local(Side::B), 111, &[9; 30]);
    assert_eq!(caller.receive().bytes[2..], before[2..]);
    caller.send(flow.local(Side::A), 18, &[0; 20]); // the callee has no G.729, and nobody decodes it
    caller.send(flow.local(Side::A), 77, &[0; 160]); // nobody negotiated it
    until(|| flow.stats().a.unmapped == 2);
    assert!(callee.has_nothing());
}

#[test]
fn strangers_get_nothing_and_change_nothing_before_and_after_the_first_packet() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let mut stranger = Phone::new(0xbad);
    for _ in 0..20 {
        stranger.send(flow.local(Side::A), 0, &[0x55; 160]);
        stranger.rtcp.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], flow.local_rtcp(Side::A)).unwrap();
    }
    until(|| strangers(&pool, &flow, Side::A) == 40);
    assert_eq!(flow.checkpoint().seen.a, None);
    let sent = caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().bytes, sent);
    callee.send(flow.local(Side::B), 0, &[2; 160]);
    caller.receive();
    // From here the kernel drops them on a port of its own: what they send does not even reach the counter.
    for _ in 0..20 {
        stranger.send(flow.local(Side::A), 0, &[0x55; 160]);
        stranger.send(flow.local(Side::B), 0, &[0x55; 160]);
    }
    let sent = caller.send(flow.local(Side::A), 0, &[3; 160]);
    assert_eq!(callee.receive().bytes, sent);
    callee.send(flow.local(Side::B), 0, &[4; 160]);
    assert_eq!(caller.receive().payload, [4; 160]);
    let stats = flow.stats();
    assert_eq!((stats.a.packets_received, stats.b.packets_received), (2, 2));
    assert_eq!((stats.a.strangers, stats.b.strangers), if IS_SINGLE { (0, 0) } else { (40, 0) });
    assert_eq!(pool.health(0).dropped.strangers, if IS_SINGLE { 80 } else { 40 });
    assert!(stranger.has_nothing() && caller.has_nothing() && callee.has_nothing());
}

#[test]
fn a_side_behind_nat_is_learned_once_and_only_from_its_signalled_address() {
    let (pool, _threads) = running(config());
    let (flow, _events) = open(&pool);
    let (mut inside, callee, mut late) = (Phone::new(1), Phone::new(2), Phone::new(3));
    let mut remote = inside.remote(&[PCMU]);
    remote.behind_nat = true;
    remote.rtp.set_port(9); // what the phone believes of itself
    flow.connect(Side::A, remote.clone()).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    let elsewhere = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    elsewhere.send_to(&late.packet(0, &[6; 160]), flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.strangers == 1);
    inside.send(flow.local(Side::A), 0, &[7; 160]);
    assert_eq!(callee.receive().payload, [7; 160]);
    assert_eq!(flow.checkpoint().seen.a, Some(inside.rtp.local_addr().unwrap()));
    late.send(flow.local(Side::A), 0, &[8; 160]); // the same address, another port: too late
    remote.receive = false;
    flow.connect(Side::A, remote).unwrap(); // a re-INVITE for the same place learns nothing anew
    settle(&pool, &flow);
    late.send(flow.local(Side::A), 0, &[8; 160]);
    inside.send(flow.local(Side::A), 0, &[9; 160]);
    assert_eq!(callee.receive().payload, [9; 160]);
    assert_eq!(flow.stats().a.packets_received, 2);
}

#[test]
fn a_new_negotiation_moves_a_side_and_the_old_peer_becomes_a_stranger() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    caller.send(flow.local(Side::A), 0, &[1; 160]);
    callee.receive();
    let mut moved = Phone::new(0xa2);
    flow.connect(Side::A, moved.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    caller.send(flow.local(Side::A), 0, &[2; 160]);
    until(|| strangers(&pool, &flow, Side::A) == 1);
    moved.send(flow.local(Side::A), 0, &[3; 160]);
    assert_eq!(callee.receive().payload, [3; 160]);
}

#[test]
fn a_side_that_has_talked_for_long_lets_nobody_else_in_and_can_still_be_moved() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let mut talk = |caller: &mut Phone, n| {
        let sent = caller.send(flow.local(Side::A), 0, &[n; 160]);
        assert_eq!(callee.receive().bytes, sent);
        let sent = callee.send(flow.local(Side::B), 0, &[!n; 160]);
        assert_eq!(caller.receive().bytes, sent);
    };
    talk(&mut caller, 1);
    // Housekeeping writes its CPU time down: after three rounds the sockets are known to hold nothing of anybody else.
    for _ in 0..3 {
        let before = pool.health(0).busy;
        until(|| pool.health(0).busy != before);
    }
    talk(&mut caller, 2);
    Phone::new(0xbad).send(flow.local(Side::A), 0, &[3; 160]);
    talk(&mut caller, 4);
    assert_eq!((flow.stats().a.packets_received, flow.stats().a.strangers), (3, 0));
    let mut moved = Phone::new(0xa2);
    flow.connect(Side::A, moved.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    let before = strangers(&pool, &flow, Side::A);
    caller.send(flow.local(Side::A), 0, &[5; 160]);
    until(|| strangers(&pool, &flow, Side::A) == before + 1);
    talk(&mut moved, 6);
}

#[test]
fn a_side_on_hold_is_neither_heard_nor_sent_to() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let mut held = callee.remote(&[PCMU]);
    (held.send, held.receive) = (false, false);
    flow.connect(Side::B, held).unwrap();
    settle(&pool, &flow);
    callee.send(flow.local(Side::B), 0, &[1; 160]);
    caller.send(flow.local(Side::A), 0, &[2; 160]);
    until(|| flow.stats().b.held == 1 && flow.stats().a.unheard == 1);
    assert_eq!((flow.stats().a.packets_received, pool.health(0).dropped.unheard), (1, 1));
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    caller.send(flow.local(Side::A), 0, &[3; 160]);
    assert_eq!(callee.receive().payload, [3; 160]);
    assert!(caller.has_nothing());
    assert_eq!((flow.stats().a.unheard, flow.stats().b.unheard), (1, 0));
}

#[test]
fn what_is_said_to_who_is_not_there_yet_is_counted_and_what_is_said_to_the_switch_is_not() {
    let (pool, _threads) = running(config());
    let (flow, mut caller) = (open(&pool).0, Phone::new(0xa));
    flow.connect(Side::A, caller.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    caller.send(flow.local(Side::A), 0, &[1; 160]);
    until(|| flow.stats().a.unheard == 1);
    flow.hear(Side::A, Source::Silence).unwrap();
    flow.wake();
    caller.receive();
    caller.send(flow.local(Side::A), 0, &[2; 160]);
    until(|| flow.stats().a.packets_received == 2);
    assert_eq!(flow.stats().a.unheard, 1);
}

#[test]
fn a_peer_that_is_not_there_yet_ends_nothing() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let address = callee.rtp.local_addr().unwrap();
    let mut remote = callee.remote(&[PCMU]);
    drop(callee);
    remote.rtcp = None;
    flow.connect(Side::B, remote).unwrap();
    settle(&pool, &flow);
    for n in 0..10 {
        caller.send(flow.local(Side::A), 0, &[n; 160]); // answered by ICMP port unreachable
        until(|| flow.stats().a.packets_received == u64::from(n) + 1);
    }
    let back = std::net::UdpSocket::bind(address).unwrap();
    back.set_read_timeout(Some(PATIENCE)).unwrap();
    back.send_to(&Phone::new(5).packet(0, &[0; 160]), flow.local(Side::B)).unwrap();
    assert_eq!(caller.receive().payload, [0; 160]);
    let sent = caller.send(flow.local(Side::A), 0, &[42; 160]);
    let mut buffer = [0; 2048];
    let length = back.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], sent);
}

#[test]
fn malformed_datagrams_are_dropped_and_counted() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    for junk in [&[][..], &[0x80; 11], &[0x40; 40], &[0x80; 2048], &[0xbf; 40]] {
        caller.rtp.send_to(junk, flow.local(Side::A)).unwrap();
    }
    until(|| flow.stats().a.malformed == 5);
    assert_eq!(flow.stats().a.packets_received, 0);
    caller.send(flow.local(Side::A), 0, &[1; 160]);
    assert_eq!(callee.receive().payload, [1; 160]);
}

#[test]
fn loss_is_counted_and_shown_to_nobody_else() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    for n in 0..10 {
        let packet = caller.packet(0, &[n; 160]);
        if n % 3 != 1 {
            caller.rtp.send_to(&packet, flow.local(Side::A)).unwrap();
            assert_eq!(callee.receive().bytes, packet);
        }
    }
    let stats = flow.stats();
    assert_eq!((stats.a.lost, stats.b.lost), (3, 0));
    assert!(stats.a.last_packet_age.is_some_and(|age| age < PATIENCE));
}

#[test]
fn reports_are_relayed_and_tell_loss_and_round_trip() {
    use media::rtcp::{Block, Report, SenderInfo, middle};
    use media::rtp::ReportInterval;
    let (pool, _threads) = running(config());
    let (flow, caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let info = SenderInfo { ntp: 0x1111_2222_3333_4444, timestamp: 1, packets: 2, octets: 3 };
    let mut wire = [0; 128];
    let length =
        Report { ssrc: 0xa, sender: Some(info), block: None, cname: "a", bye: false }.write(&mut wire).unwrap();
    caller.rtcp.send_to(&wire[..length], flow.local_rtcp(Side::A)).unwrap();
    assert_eq!(callee.receive_rtcp(), &wire[..length]);
    let interval = ReportInterval { fraction_lost: 64, cumulative_lost: 5, highest_sequence: 9, jitter: 1 };
    let block = Block { ssrc: 0xa, interval, last_sr: middle(info.ntp), delay_since_last_sr: 0 };
    let length =
        Report { ssrc: 0xb, sender: None, block: Some(block), cname: "b", bye: false }.write(&mut wire).unwrap();
    callee.rtcp.send_to(&wire[..length], flow.local_rtcp(Side::B)).unwrap();
    assert_eq!(caller.receive_rtcp(), &wire[..length]);
    let stats = flow.stats();
    assert_eq!((stats.b.remote_fraction_lost, stats.b.remote_lost), (0.25, 5));
    assert!(stats.b.round_trip.is_some_and(|trip| trip < PATIENCE));
}

#[test]
fn rtcp_on_the_rtp_port_passes_to_a_side_with_two_ports() {
    let (pool, _threads) = running(config());
    let (flow, caller, callee, _events) = call(&pool, &[PCMU], &[PCMU]);
    let mut remote = caller.remote(&[PCMU]);
    (remote.rtcp_mux, remote.rtcp) = (true, None);
    flow.connect(Side::A, remote).unwrap();
    settle(&pool, &flow);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    caller.rtp.send_to(&report, flow.local(Side::A)).unwrap();
    assert_eq!(callee.receive_rtcp(), report);
    callee.rtcp.send_to(&report, flow.local_rtcp(Side::B)).unwrap();
    let mut buffer = [0; 64];
    let length = caller.rtp.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], report);
}

#[test]
fn keys_pass_and_are_told_once() {
    use media::dtmf::Event;
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, told) = call(&pool, &[PCMU, events(101)], &[PCMU, events(96)]);
    let start = caller.timestamp;
    for (end, duration) in [(false, 160), (false, 320), (true, 800), (true, 800), (true, 800)] {
        caller.timestamp = start;
        let payload = Event { code: 11, end, volume: 10, duration }.to_bytes();
        caller.send(flow.local(Side::A), 101, &payload);
        let received = callee.receive();
        assert_eq!((received.header.payload_type, &received.payload[..]), (96, &payload[..]));
    }
    caller.timestamp = start + 1000;
    caller.send(flow.local(Side::A), 101, &Event { code: 5, end: false, volume: 10, duration: 400 }.to_bytes());
    assert_eq!(next(&told), MediaEvent::FirstPacket(Side::A));
    assert_eq!(next(&told), MediaEvent::Dtmf { side: Side::A, digit: '#', duration_ms: 100 });
    assert_eq!(next(&told), MediaEvent::Dtmf { side: Side::A, digit: '5', duration_ms: 50 }); // by time-out
}

#[test]
fn silence_of_a_side_that_should_send_is_told_once_a_silence() {
    let (pool, _threads) = running(PoolConfig { media_timeout: Duration::from_millis(200), ..config() });
    let (flow, mut caller, callee, told) = call(&pool, &[PCMU], &[PCMU]);
    assert_eq!(next(&told), MediaEvent::TimedOut);
    caller.send(flow.local(Side::A), 0, &[0; 160]);
    assert_eq!(next(&told), MediaEvent::FirstPacket(Side::A));
    assert_eq!(next(&told), MediaEvent::TimedOut);
    // Nobody should send any more, so nobody is late.
    for (side, phone) in [(Side::A, &caller), (Side::B, &callee)] {
        let mut held = phone.remote(&[PCMU]);
        held.send = false;
        flow.connect(side, held).unwrap();
    }
    settle(&pool, &flow);
    while told.try_recv().is_ok() {}
    assert!(told.recv_timeout(Duration::from_millis(500)).is_err());
}

#[test]
fn ipv6_peers_are_served_like_others() {
    let Ok(caller) = std::net::UdpSocket::bind("[::1]:0") else {
        return; // a machine without IPv6 has nothing to prove
    };
    let (pool, _threads) = running(PoolConfig { ip: [0, 0, 0, 0, 0, 0, 0, 1].into(), ..config() });
    let (flow, _events) = open(&pool);
    let callee = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let mut phone = Phone::new(1);
    for (side, socket) in [(Side::A, &caller), (Side::B, &callee)] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let remote = media::Remote { rtp: socket.local_addr().unwrap(), rtcp: None, ..phone.remote(&[PCMU]) };
        flow.connect(side, remote).unwrap();
    }
    settle(&pool, &flow);
    let mut buffer = [0; 2048];
    for n in 0..3 {
        let packet = phone.packet(0, &[n; 160]);
        caller.send_to(&packet, flow.local(Side::A)).unwrap();
        let length = callee.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], packet);
    }
    assert_eq!(flow.stats().a.packets_received, 3);
}

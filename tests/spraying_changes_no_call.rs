//! Somebody sends RTP, RTCP, STUN and garbage to every media port of the program while a hundred calls are up: no call changes,
//! and not one byte comes back.

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;
use support::PATIENCE;
use support::config::{Config, IS_SINGLE};
use support::party::{End, Party, end_of, idle, sdp};
use support::switch::Switch;
use support::wire::media_address;

const CALLS: usize = 100;
/// Pairs of ports that are looked at before the test gives up.
const PORTS_TRIED_MAX: usize = 1_000;
/// Packets that each party says.
const ROUNDS: u16 = 20;
/// Times that every port is hit by everything.
const SPRAYS_MIN: usize = 10;

struct Call {
    end: End,
    /// Socket of the caller and of the callee, and where each sends.
    sides: [(UdpSocket, SocketAddr); 2],
    /// Their RTCP, which nobody reads: the ports are held.
    _rtcp: [UdpSocket; 2],
}

/// A socket for RTP on an even port, and the one for RTCP above it (RFC 3550 section 11): a port that is the RTCP of one party
/// and the RTP of another would be an address that two share, and a re-INVITE would give the second a port of its own.
fn sockets() -> (UdpSocket, UdpSocket) {
    for _ in 0..PORTS_TRIED_MAX {
        let found = UdpSocket::bind("127.0.0.1:0").and_then(|any| any.local_addr()).expect("loopback has a free port");
        let even = found.port() & !1;
        if let (Ok(rtp), Ok(rtcp)) = (UdpSocket::bind((found.ip(), even)), UdpSocket::bind((found.ip(), even + 1))) {
            rtp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            return (rtp, rtcp);
        }
    }
    panic!("loopback has no two free ports beside each other")
}

fn call(alice: &mut Party, bob: &mut Party) -> Call {
    let ((caller, caller_rtcp), (callee, callee_rtcp)) = (sockets(), sockets());
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    alice.begin("INVITE", "sip:bob@example.com", "", &sdp(1, port(&caller), &[0], "sendrecv"));
    let invite = bob.wire.receive("INVITE");
    bob.reply(&invite, "200 OK", "", &sdp(1, port(&callee), &[0], "sendrecv"));
    bob.wire.receive("ACK");
    let answer = alice.answer_to("INVITE", 200);
    let mut end = end_of(&answer);
    alice.say(&mut end, "ACK", "", "");
    let at = |message: &str| media_address(message).expect("a media address");
    Call { end, sides: [(caller, at(&answer)), (callee, at(&invite))], _rtcp: [caller_rtcp, callee_rtcp] }
}

fn rtp(sequence: u16, ssrc: u32, payload: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([payload; 160]);
    packet
}

/// What a sprayer sends: what a call's own packets look like, and what none looks like.
fn poison() -> Vec<Vec<u8>> {
    // STUN: a binding request (RFC 8489 section 5).
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    // DTLS: the record of a ClientHello (RFC 6347 section 4.1).
    let mut dtls = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    dtls.extend([1; 32]);
    vec![
        rtp(500, 1, 0xee),
        // RR with a block that tells of terrible loss, BYE (RFC 3550 section 6).
        vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 255, 0, 255, 255, 0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x81, 203, 0, 1, 0, 0, 0, 1],
        stun,
        dtls,
        vec![0xff; 700],
        vec![0],
        Vec::new(),
    ]
}

fn strangers_of_workers(switch: &Switch) -> u64 {
    let metrics = switch.get_as_stranger("/metrics").1;
    let lines = metrics.as_str().expect("text").lines();
    let of_worker = |line: &str| {
        let counts = line.starts_with("strowger_media_dropped_total") && line.contains("why=\"strangers\"");
        line.rsplit(' ').next().filter(|_| counts)?.parse::<u64>().ok()
    };
    lines.filter_map(of_worker).sum()
}

#[test]
fn spraying_every_media_port_during_a_hundred_calls_changes_none_and_gets_not_one_byte_back() {
    let switch = Switch::start(Config::lab());
    let (mut alice, mut bob) = (Party::new(&switch, "alice"), Party::registered(&switch, "bob"));
    let mut calls: Vec<Call> = (0..CALLS).map(|_| call(&mut alice, &mut bob)).collect();
    let ports: Vec<SocketAddr> = calls
        .iter()
        .flat_map(|call| call.sides.each_ref().map(|(_, at)| *at))
        .flat_map(|rtp| [rtp, SocketAddr::new(rtp.ip(), rtp.port() + 1)])
        .collect();
    assert_eq!(ports.len(), 4 * CALLS);
    let (over, sprays) = (Arc::new(AtomicBool::new(false)), poison());
    let sprayer = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
            let (mut rounds, mut sent) = (0, 0u64);
            while !over.load(SeqCst) || rounds < SPRAYS_MIN {
                for port in &ports {
                    // A full buffer of our own is no reason to stop.
                    sent += sprays.iter().filter(|packet| socket.send_to(packet, port).is_ok()).count() as u64;
                }
                rounds += 1;
            }
            (socket, sent)
        }
    });
    // The first packets of the calls come while it is raining already.
    for round in 0..ROUNDS {
        for (number, call) in (1u32..).zip(&calls) {
            let [(caller, to_switch), (callee, also_to_switch)] = &call.sides;
            for (from, at, to, ssrc) in
                [(caller, to_switch, callee, number), (callee, also_to_switch, caller, number + 1_000)]
            {
                let packet = rtp(round, ssrc, 0x55);
                from.send_to(&packet, at).expect("sent");
                let mut heard = [0; 2_048];
                let length = to.recv(&mut heard).expect("what was said is heard");
                assert_eq!(heard[..length], packet[..], "call {number}, round {round}");
            }
        }
    }
    over.store(true, SeqCst);
    let (socket, sent) = sprayer.join().expect("the sprayer ends");

    let listed = switch.get("/api/calls").1;
    let listed = listed["calls"].as_array().expect("a list");
    assert_eq!(listed.len(), CALLS);
    let untouched = |media: &Value| {
        assert_eq!((&media["packets"], &media["lost"]), (&ROUNDS.into(), &0.into()), "{media}");
        assert_eq!(
            (&media["late"], &media["duplicate"], &media["hears"]),
            (&0.into(), &0.into(), &Value::Null),
            "{media}"
        );
    };
    for call in listed {
        assert_eq!(call["state"], "up");
        untouched(&call["media_a"]);
        untouched(&call["media_b"]);
    }
    let of_calls = listed.iter().map(|call| call["media_a"]["strangers"].as_u64().unwrap_or(0)).sum::<u64>();
    // A port that all share has no call for a stranger.
    let strangers = if IS_SINGLE { strangers_of_workers(&switch) } else { of_calls };
    assert!(strangers > 0 && sent > 0, "{strangers} of {sent}");
    for call in &mut calls {
        for (socket, _) in &call.sides {
            socket.set_nonblocking(true).expect("a socket option");
            assert!(socket.recv(&mut [0; 16]).is_err(), "a phone hears what nobody has said");
        }
        alice.say(&mut call.end, "BYE", "", "");
        let bye = bob.wire.receive("BYE");
        bob.reply(&bye, "200 OK", "", "");
    }
    idle(&switch);
    socket.set_nonblocking(true).expect("a socket option");
    let answer = socket.recv(&mut [0; 2_048]).ok();
    assert_eq!(answer, None, "the sprayer got an answer");
}

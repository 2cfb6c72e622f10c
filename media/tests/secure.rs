//! Sides with keys: what is heard of them, what they hear, what a forger and a dying worker change of it.

mod common;

use common::*;
use media::rtp::Header;
use media::srtp::{Key, MasterKey, OVERHEAD_BYTES_MAX, Opener, Sealer, Suite};
use media::{Flow, MediaEvent, Remote, Secure, Side, Source, WorkerEnd};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The keys of a phone, at both ends.
struct Keys {
    pool: Secure,
    sealer: Sealer,
    opener: Opener,
}

fn keys(suite: Suite, seed: u8) -> Keys {
    let key = |seed: u8| {
        let bytes = vec![seed; suite.key_bytes() + suite.salt_bytes()];
        Arc::new(Key::new(MasterKey::new(suite, &bytes, &[]).unwrap()))
    };
    Keys {
        pool: Secure { open: key(seed), seal: key(seed + 1) },
        sealer: Sealer::new(&key(seed)).unwrap(),
        opener: Opener::new(&key(seed + 1)).unwrap(),
    }
}

impl Keys {
    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
        let length = self.sealer.rtp(&mut buffer, packet.len()).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn seal_report(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0);
        let length = self.sealer.rtcp(&mut buffer, packet.len()).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn open(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let length = self.opener.rtp(&mut packet).unwrap();
        packet.truncate(length);
        packet
    }

    fn open_report(&mut self, mut packet: Vec<u8>) -> Vec<u8> {
        let length = self.opener.rtcp(&mut packet).unwrap();
        packet.truncate(length);
        packet
    }
}

fn secure(phone: &Phone, keys: &Keys) -> Remote {
    Remote { secure: Some(keys.pool.clone()), ..phone.remote(&[PCMU]) }
}

/// What comes to a phone next.
fn raw(phone: &Phone) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = phone.rtp.recv(&mut buffer).expect("a packet in time");
    buffer[..length].to_vec()
}

const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0xa];

/// A caller with keys and a callee without.
fn half_secure(
    pool: &media::Pool,
    suite: Suite,
) -> (Flow, Phone, Keys, Phone, std::sync::mpsc::Receiver<(u64, MediaEvent)>) {
    let (flow, events) = open(pool);
    let (caller, callee, keys) = (Phone::new(0xa), Phone::new(0xb), keys(suite, 1));
    flow.connect(Side::A, secure(&caller, &keys)).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    settle(pool, &flow);
    (flow, caller, keys, callee, events)
}

#[test]
fn a_side_with_keys_and_a_side_without_hear_each_other_under_every_suite() {
    let (pool, _threads) = running(config());
    for suite in Suite::ALL {
        let (flow, mut caller, mut keys, mut callee, _events) = half_secure(&pool, suite);
        for n in 0..20u8 {
            let plain = caller.packet(0, &[n; 160]);
            caller.rtp.send_to(&keys.seal(&plain), flow.local(Side::A)).unwrap();
            assert_eq!(callee.receive().bytes, plain, "{suite:?}");
            let plain = callee.send(flow.local(Side::B), 0, &[!n; 160]);
            let secret = raw(&caller);
            assert!(secret.len() == plain.len() + suite.tag_bytes() && secret[12..172] != plain[12..]);
            assert_eq!(keys.open(secret), plain, "{suite:?}");
        }
        caller.rtcp.send_to(&keys.seal_report(&REPORT), flow.local_rtcp(Side::A)).unwrap();
        assert_eq!(callee.receive_rtcp(), REPORT);
        callee.rtcp.send_to(&REPORT, flow.local_rtcp(Side::B)).unwrap();
        assert_eq!(keys.open_report(caller.receive_rtcp()), REPORT);
        let stats = flow.stats();
        assert_eq!((stats.a.packets_received, stats.b.packets_sent, stats.a.bytes_received), (20, 20, 20 * 172));
        assert_eq!((stats.a.forged, stats.a.replayed, stats.b.packets_received), (0, 0, 20));
    }
}

#[test]
fn two_sides_with_other_keys_and_suites_hear_each_other() {
    let (pool, _threads) = running(config());
    let (flow, _events) = open(&pool);
    let (mut caller, mut callee) = (Phone::new(0xa), Phone::new(0xb));
    let (mut a, mut b) = (keys(Suite::AesCm128Sha1_32, 1), keys(Suite::AeadAes256Gcm, 9));
    flow.connect(Side::A, Remote { rtcp_mux: true, ..secure(&caller, &a) }).unwrap();
    flow.connect(Side::B, secure(&callee, &b)).unwrap();
    settle(&pool, &flow);
    for n in 0..20u8 {
        let plain = caller.packet(0, &[n; 160]);
        caller.rtp.send_to(&a.seal(&plain), flow.local(Side::A)).unwrap();
        assert_eq!(b.open(raw(&callee)), plain);
        let plain = callee.packet(0, &[n; 80]);
        callee.rtp.send_to(&b.seal(&plain), flow.local(Side::B)).unwrap();
        assert_eq!(a.open(raw(&caller)), plain);
    }
    // On the shared port as well.
    caller.rtp.send_to(&a.seal_report(&REPORT), flow.local(Side::A)).unwrap();
    assert_eq!(b.open_report(callee.receive_rtcp()), REPORT);
    callee.rtcp.send_to(&b.seal_report(&REPORT), flow.local_rtcp(Side::B)).unwrap();
    assert_eq!(a.open_report(raw(&caller)), REPORT);
}

#[test]
fn a_side_with_keys_hears_music_and_its_own_echo_and_the_reports_about_them() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut keys, callee, _events) = half_secure(&pool, Suite::AeadAes128Gcm);
    flow.hear(Side::A, Source::MusicOnHold).unwrap();
    flow.wake();
    for _ in 0..10 {
        assert_eq!(Header::parse(&keys.open(raw(&caller))).unwrap().payload_type, 0);
    }
    keys.open_report(caller.receive_rtcp());
    flow.hear(Side::A, Source::Echo).unwrap();
    settle(&pool, &flow);
    while !caller.has_nothing() {
        // music that was on its way
    }
    let plain = caller.packet(0, &[5; 160]);
    caller.rtp.send_to(&keys.seal(&plain), flow.local(Side::A)).unwrap();
    // Echo and relay of one packet: neither spoils the other.
    assert_eq!(callee.receive().bytes, plain);
    assert_eq!(keys.open(raw(&caller))[12..], plain[12..]);
}

#[test]
fn what_the_key_did_not_make_is_dropped_and_counted_and_nothing_is_learned_from_it() {
    let (pool, _threads) = running(config());
    let (flow, events) = open(&pool);
    let (mut caller, callee, mut keys) = (Phone::new(0xa), Phone::new(0xb), keys(Suite::AesCm128Sha1_80, 1));
    // Behind a NAT: whoever comes first from that address would be the phone.
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let remote = Remote { rtp: elsewhere, behind_nat: true, ..secure(&caller, &keys) };
    flow.connect(Side::A, remote).unwrap();
    flow.connect(Side::B, callee.remote(&[PCMU])).unwrap();
    settle(&pool, &flow);
    let mut forger = Phone::new(0xa);
    for n in 0..50 {
        forger.send(flow.local(Side::A), 0, &[n; 170]);
        forger.rtcp.send_to(&REPORT, flow.local_rtcp(Side::A)).unwrap();
    }
    until(|| flow.stats().a.forged == 100);
    assert!(callee.has_nothing() && events.try_recv().is_err());
    let plain = caller.packet(0, &[1; 160]);
    let secret = keys.seal(&plain);
    caller.rtp.send_to(&secret, flow.local(Side::A)).unwrap();
    assert_eq!(callee.receive().bytes, plain);
    assert_eq!(next(&events), MediaEvent::FirstPacket(Side::A));
    // The phone is known now; who repeats its packet from its own address is not heard twice.
    caller.rtp.send_to(&secret, flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.replayed == 1);
    let stats = flow.stats().a;
    assert_eq!((stats.packets_received, stats.duplicate, stats.malformed), (1, 0, 0));
    let dropped = pool.health(0).dropped;
    assert_eq!((dropped.forged, dropped.replayed), (100, 1));
    assert!(callee.has_nothing());
}

/// Forgeries that are sent at most.
const FORGERIES_MAX: u32 = 20_000_000;

#[test]
fn a_million_forged_packets_change_nothing_that_is_heard() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut keys, callee, _events) = half_secure(&pool, Suite::AeadAes128Gcm);
    let over = Arc::new(AtomicBool::new(false));
    // From the phone's own address, with its SSRC and numbers that could be its next: all but the key.
    let forger = std::thread::spawn({
        let (socket, flow, over) = (caller.rtp.try_clone().unwrap(), flow.clone(), Arc::clone(&over));
        move || {
            let (mut fake, to) = (Phone::new(0xa), flow.local(Side::A));
            // A million at least, and until enough of them were judged: what the worker takes of one socket at a wake is
            // bounded, so most of a flood dies in the socket's buffer.
            for n in 0..FORGERIES_MAX {
                if n >= 1_000_000 && n % 1024 == 0 && flow.stats().a.forged > 100_000 {
                    break;
                }
                fake.sequence = (n % 65_536) as u16;
                let _full = socket.send_to(&fake.packet(0, &[0x55; 176]), to);
            }
            over.store(true, SeqCst);
        }
    });
    let mut sent = 0;
    while !over.load(SeqCst) || sent < 200 {
        let plain = caller.packet(0, &[sent as u8; 160]);
        // The socket's buffer may be full of forgeries, which is the network's loss, not a packet's end: it is sent again,
        // which the window tells from the first.
        let secret = keys.seal(&plain);
        let heard = until_heard(&callee, || {
            let _full = caller.rtp.send_to(&secret, flow.local(Side::A));
        });
        assert_eq!(heard, plain);
        sent += 1;
    }
    forger.join().unwrap();
    let stats = flow.stats().a;
    println!("{sent} packets heard among {} forged ones", stats.forged);
    assert_eq!(stats.packets_received, sent);
    assert!(stats.forged > 100_000, "{}", stats.forged);
    assert!(callee.has_nothing());
}

/// Sends until something is heard.
fn until_heard(phone: &Phone, mut send: impl FnMut()) -> Vec<u8> {
    phone.rtp.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut buffer = [0; 2048];
    loop {
        send();
        match phone.rtp.recv(&mut buffer) {
            Ok(length) => return buffer[..length].to_vec(),
            Err(_) => assert!(std::time::Instant::now() < deadline, "nothing was heard"),
        }
    }
}

#[test]
fn a_call_with_keys_goes_on_past_the_roll_over_when_its_worker_dies() {
    let (pool, mut threads) = running(config());
    for suite in [Suite::AesCm128Sha1_80, Suite::AeadAes256Gcm] {
        let (flow, mut caller, mut keys, mut callee, _events) = half_secure(&pool, suite);
        (caller.sequence, callee.sequence) = (65_500, 65_520);
        let mut replay = Vec::new();
        let mut talk = |caller: &mut Phone, callee: &mut Phone, keys: &mut Keys| {
            for n in 0..30u8 {
                let plain = caller.packet(0, &[n; 160]);
                replay = keys.seal(&plain);
                caller.rtp.send_to(&replay, flow.local(Side::A)).unwrap();
                assert_eq!(callee.receive().bytes, plain);
                let plain = callee.send(flow.local(Side::B), 0, &[n; 160]);
                assert_eq!(keys.open(raw(caller)), plain);
                callee.rtcp.send_to(&REPORT, flow.local_rtcp(Side::B)).unwrap();
                assert_eq!(keys.open_report(caller.receive_rtcp()), REPORT);
            }
            replay.clone()
        };
        for _ in 0..4 {
            let last = talk(&mut caller, &mut callee, &mut keys);
            pool.ask_panic(0);
            assert_eq!(threads.remove(0).join(), WorkerEnd::Panicked("asked to panic".into()));
            threads.push(pool.start_worker(0).unwrap());
            // What was heard before is not heard again by the successor.
            let before = flow.stats().a.replayed;
            caller.rtp.send_to(&last, flow.local(Side::A)).unwrap();
            until(|| flow.stats().a.replayed == before + 1);
        }
        talk(&mut caller, &mut callee, &mut keys);
        assert!(caller.sequence < 1000, "the numbers came round");
        assert_eq!((flow.stats().a.forged, flow.stats().a.packets_received), (0, 150));
        flow.close();
    }
}

#[test]
fn a_side_that_is_negotiated_anew_with_the_same_keys_goes_on_and_with_other_keys_begins() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut old, callee, _events) = half_secure(&pool, Suite::AesCm256Sha1_80);
    let heard = |caller: &mut Phone, keys: &mut Keys| {
        let plain = caller.packet(0, &[1; 160]);
        caller.rtp.send_to(&keys.seal(&plain), flow.local(Side::A)).unwrap();
        assert_eq!(callee.receive().bytes, plain);
    };
    caller.sequence = 65_530;
    (0..10).for_each(|_| heard(&mut caller, &mut old));
    flow.connect(Side::A, secure(&caller, &old)).unwrap();
    flow.wake();
    settle(&pool, &flow);
    heard(&mut caller, &mut old);
    let mut fresh = keys(Suite::AesCm256Sha1_80, 50);
    flow.connect(Side::A, secure(&caller, &fresh)).unwrap();
    flow.wake();
    settle(&pool, &flow);
    heard(&mut caller, &mut fresh);
    let forged = old.seal(&caller.packet(0, &[2; 160]));
    caller.rtp.send_to(&forged, flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.forged == 1);
    // And back: the old key is where it was.
    flow.connect(Side::A, secure(&caller, &old)).unwrap();
    flow.wake();
    settle(&pool, &flow);
    heard(&mut caller, &mut old);
}

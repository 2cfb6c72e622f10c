//! What is no sound passes as it came: pictures with all of their sources and the feedback about them, and datagrams of any kind.

mod common;

use common::*;
use media::rtp::Header;
use media::srtp::{Key, MasterKey, Opener, Sealer, Suite};
use media::{Carries, Codec, Flow, FlowSpec, Payload, Pool, Remote, Secure, Side};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

const VP8: Codec = Codec::Passing(1);
const RTX: Codec = Codec::Passing(2);
/// Picture and retransmission of one sender.
const PICTURE: u32 = 0x5151_0001;
const AGAIN: u32 = 0x5151_0002;

fn line(pool: &Pool, carries: Carries) -> Flow {
    let (owner, _events) = owner(7);
    let spec = FlowSpec { carries, media_timeout: Some(Duration::ZERO), ..FlowSpec::default() };
    pool.open(owner, spec).unwrap()
}

fn payload(pt: u8, codec: Codec) -> Payload {
    Payload::new(pt, codec, 90_000)
}

/// A packet with a header extension, as browsers send them.
fn picture(ssrc: u32, sequence: u16, pt: u8) -> Vec<u8> {
    let mut packet = vec![0x90, 0x80 | pt];
    packet.extend(sequence.to_be_bytes());
    packet.extend(90_000_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x22, 0xaa, 0xbb, 0xcc]);
    packet.extend((0..900_u16).map(|n| (n ^ sequence) as u8));
    packet
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Generic NACK, PLI, FIR, REMB and transport-wide feedback about a picture, each as it stands alone (RFC 5506) and behind an RR.
fn feedback(about: u32) -> Vec<Vec<u8>> {
    let kinds = [
        words(&[0x81cd_0003, 7, about, 0x0064_8001]),
        words(&[0x81ce_0002, 7, about]),
        words(&[0x84ce_0004, 7, 0, about, 0x0500_0000]),
        words(&[0x8fce_0005, 7, 0, 0x5245_4d42, 0x0107_a120, about]),
        words(&[0x8fcd_0005, 7, about, 0x0001_0002, 0x0000_0100, 0x2002_0400]),
    ];
    let report = words(&[0x81c9_0007, 7, about, 0, 9, 8, 7, 6]);
    kinds.iter().flat_map(|alone| [alone.clone(), [report.clone(), alone.clone()].concat()]).collect()
}

#[test]
fn a_picture_passes_with_all_its_sources_and_its_feedback_goes_back() {
    let (pool, _threads) = running(config());
    let flow = line(&pool, Carries::Rtp);
    let (sender, viewer) = (Phone::new(1), Phone::new(2));
    flow.connect(Side::A, sender.remote(&[payload(96, VP8), payload(97, RTX)])).unwrap();
    // The viewer has numbers of its own.
    flow.connect(Side::B, viewer.remote(&[payload(100, VP8), payload(101, RTX)])).unwrap();
    settle(&pool, &flow);
    for n in 0..30_u16 {
        for (ssrc, sequence, pt, there) in [(PICTURE, 65_520_u16.wrapping_add(n), 96, 100), (AGAIN, 7 + n, 97, 101)] {
            let sent = picture(ssrc, sequence, pt);
            sender.rtp.send_to(&sent, flow.local(Side::A)).unwrap();
            let came = viewer.receive();
            assert_eq!(came.header.payload_type, there);
            assert_eq!((&came.bytes[2..], came.bytes[0], came.bytes[1] & 0x80), (&sent[2..], sent[0], 0x80));
        }
    }
    for sent in feedback(PICTURE) {
        viewer.rtcp.send_to(&sent, flow.local_rtcp(Side::B)).unwrap();
        let mut came = [0; 256];
        let length = sender.rtcp.recv(&mut came).unwrap();
        assert_eq!(came[..length], sent);
    }
    // What nobody has agreed to goes nowhere.
    sender.rtp.send_to(&picture(PICTURE, 100, 120), flow.local(Side::A)).unwrap();
    sender.rtp.send_to(b"no RTP at all", flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.unmapped == 1 && flow.stats().a.malformed == 1);
    assert_eq!((flow.stats().a.packets_received, flow.stats().b.packets_sent), (60, 60));
    assert!(viewer.has_nothing());
}

fn key(seed: u8) -> Arc<Key> {
    let suite = Suite::from_name("AES_CM_128_HMAC_SHA1_80").unwrap();
    Arc::new(Key::new(MasterKey::new(suite, &[seed; 30], &[]).unwrap()))
}

#[test]
fn a_picture_is_opened_for_a_plain_viewer_and_its_feedback_is_sealed_for_the_sender_that_has_keys() {
    let (pool, _threads) = running(config());
    let flow = line(&pool, Carries::Rtp);
    let (sender, viewer) = (Phone::new(1), Phone::new(2));
    // The same keys twice: what a key has protected is of the one that holds it.
    let (mut sealer, mut opener) = (Sealer::new(&key(1)).unwrap(), Opener::new(&key(2)).unwrap());
    let secure = Some(Secure { open: key(1), seal: key(2) });
    flow.connect(Side::A, Remote { secure, ..sender.remote(&[payload(96, VP8), payload(97, RTX)]) }).unwrap();
    flow.connect(Side::B, viewer.remote(&[payload(96, VP8), payload(97, RTX)])).unwrap();
    settle(&pool, &flow);
    for n in 0..10_u16 {
        for (ssrc, pt) in [(PICTURE, 96), (AGAIN, 97)] {
            let plain = picture(ssrc, 500 + n, pt);
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + 64, 0);
            let length = sealer.rtp(&mut buffer, plain.len()).unwrap();
            sender.rtp.send_to(&buffer[..length], flow.local(Side::A)).unwrap();
            assert_eq!(viewer.receive().bytes, plain);
        }
    }
    for sent in feedback(PICTURE) {
        viewer.rtcp.send_to(&sent, flow.local_rtcp(Side::B)).unwrap();
        let mut came = [0; 512];
        let length = sender.rtcp.recv(&mut came).unwrap();
        assert_ne!(came[..length], sent);
        let opened = opener.rtcp(&mut came[..length]).unwrap();
        assert_eq!(came[..opened], sent);
    }
    // Plain packets of the sender's address are nobody's.
    sender.rtp.send_to(&picture(PICTURE, 900, 96), flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.forged == 1);
    assert!(viewer.has_nothing());
}

#[test]
fn a_picture_that_is_held_stops_and_one_whose_worker_dies_goes_on() {
    let (pool, _threads) = running(config());
    let flow = line(&pool, Carries::Rtp);
    let (sender, viewer) = (Phone::new(1), Phone::new(2));
    let of = |phone: &Phone| phone.remote(&[payload(96, VP8)]);
    flow.connect(Side::A, of(&sender)).unwrap();
    flow.connect(Side::B, Remote { receive: false, ..of(&viewer) }).unwrap();
    settle(&pool, &flow);
    sender.rtp.send_to(&picture(PICTURE, 1, 96), flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.packets_received == 1);
    flow.connect(Side::B, of(&viewer)).unwrap();
    settle(&pool, &flow);
    sender.rtp.send_to(&picture(PICTURE, 2, 96), flow.local(Side::A)).unwrap();
    assert_eq!(viewer.receive().header.sequence, 2);
    pool.ask_panic(0);
    until(|| !pool.health(0).running);
    let _again = pool.start_worker(0).unwrap();
    sender.rtp.send_to(&picture(PICTURE, 3, 96), flow.local(Side::A)).unwrap();
    assert_eq!(viewer.receive().header.sequence, 3);
    viewer.rtcp.send_to(&feedback(PICTURE)[2], flow.local_rtcp(Side::B)).unwrap();
    assert_eq!(sender.rtcp.recv(&mut [0; 64]).unwrap(), 12);
}

#[test]
fn datagrams_pass_whatever_they_are_and_only_between_the_negotiated_peers() {
    let (pool, _threads) = running(config());
    let flow = line(&pool, Carries::Datagrams);
    let (one, two) = (Phone::new(1), Phone::new(2));
    flow.connect(Side::A, Remote { rtcp: None, ..one.remote(&[]) }).unwrap();
    flow.connect(Side::B, Remote { rtcp: None, ..two.remote(&[]) }).unwrap();
    settle(&pool, &flow);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"let me in", flow.local(Side::A)).unwrap();
    until(|| flow.stats().a.strangers == 1);
    let mut came = [0; 2048];
    // UDPTL begins with a sequence number, and so looks like no RTP; some of it looks like RTCP.
    for sent in [&b"\x00\x01\x06\xc0\x01\x80"[..], b"\x80\xc8", b"", &[0xff; 1400]] {
        one.rtp.send_to(sent, flow.local(Side::A)).unwrap();
        let length = two.rtp.recv(&mut came).unwrap();
        assert_eq!(came[..length], *sent);
        two.rtp.send_to(sent, flow.local(Side::B)).unwrap();
        let length = one.rtp.recv(&mut came).unwrap();
        assert_eq!(came[..length], *sent);
    }
    stranger.send_to(b"let me in", flow.local(Side::B)).unwrap();
    two.rtp.send_to(b"last", flow.local(Side::B)).unwrap();
    let length = one.rtp.recv(&mut came).unwrap();
    assert_eq!(came[..length], *b"last");
}

/// A header as it is read, so that what is sent here is a packet.
#[test]
fn what_is_sent_here_is_rtp() {
    assert_eq!(Header::parse(&picture(PICTURE, 9, 96)).map(|header| header.ssrc), Ok(PICTURE));
}

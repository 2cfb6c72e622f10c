//! Silence that the pool makes goes as comfort noise where a side has agreed to it, and as sound where it has not. What is
//! relayed goes as it came.

mod common;

use common::*;
use media::codec::g711::Law;
use media::mixer::RoomSpec;
use media::rtcp::{self, Part};
use media::tone::Sine;
use media::{Audio, Codec, FlowSpec, Payload, Remote, Repeat, Room, RoomSounds, Side, Source};
use std::sync::Arc;

const NOISE: Payload = Payload { pt: 13, codec: Codec::ComfortNoise, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };
/// What follows is a packet of 20 ms.
const FRAME: usize = 160;

/// 200 ms of a tone, a second of silence, 200 ms of a tone.
fn words() -> Arc<Audio> {
    let mut samples = vec![0; 70 * FRAME];
    let mut sine = Sine::new(400.0, -10.0, 8000);
    sine.fill(&mut samples[..10 * FRAME]);
    sine.fill(&mut samples[60 * FRAME..]);
    Arc::new(Audio::from_samples(samples))
}

#[test]
fn the_pause_of_a_prompt_is_noise_and_the_word_behind_it_comes_in_its_time() {
    let (pool, _threads) = running(config());
    let (flow, phone) = (open(&pool).0, Phone::new(0xa));
    flow.connect(Side::A, phone.remote(&[PCMU, NOISE])).unwrap();
    flow.hear(Side::A, Source::Prompt(words(), Repeat::Once)).unwrap();
    flow.wake();
    let first = phone.receive();
    assert!(first.header.marker && first.header.payload_type == 0);
    let mut heard = vec![first];
    while heard.last().is_none_or(|last| last.header.timestamp.wrapping_sub(heard[0].header.timestamp) < 69 * 160) {
        heard.push(phone.receive());
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
    let noises: Vec<_> = heard.iter().filter(|packet| packet.header.payload_type == 13).collect();
    assert!(noises.iter().all(|noise| noise.payload == [127] && !noise.header.marker), "silence has no level");
    // From 200 ms behind the first word, and each 400 ms.
    let place = |packet: &Received| packet.header.timestamp.wrapping_sub(heard[0].header.timestamp) / 160;
    assert_eq!(noises.iter().map(|noise| place(noise)).collect::<Vec<_>>(), [20, 40]);
    let back = heard.iter().skip(1).find(|packet| packet.header.marker).unwrap();
    assert_eq!((place(back), back.header.payload_type), (60, 0));
    assert_eq!(heard.len(), 20 + 2 + 10);
}

#[test]
fn who_has_not_agreed_to_noise_hears_every_packet_of_silence() {
    let (pool, _threads) = running(config());
    let (flow, phone) = (open(&pool).0, Phone::new(0xa));
    flow.connect(Side::A, phone.remote(&[PCMU])).unwrap();
    flow.hear(Side::A, Source::Silence).unwrap();
    flow.wake();
    let first = phone.receive().header;
    for number in 1..40 {
        let next = phone.receive().header;
        assert_eq!((next.payload_type, next.timestamp), (0, first.timestamp.wrapping_add(160 * number)));
    }
}

#[test]
fn opus_leaves_silence_unsaid_for_who_likes_that() {
    let (pool, _threads) = running(config());
    let (flow, phone) = (open(&pool).0, Phone::new(0xa));
    flow.connect(Side::A, Remote { opus_dtx: true, ..phone.remote(&[OPUS]) }).unwrap();
    flow.hear(Side::A, Source::Silence).unwrap();
    flow.wake();
    let first = phone.receive().header;
    let mut last = first;
    // Two seconds, in which there are a hundred packets.
    while last.timestamp.wrapping_sub(first.timestamp) < 96_000 {
        let next = phone.receive().header;
        assert_eq!(next.sequence, last.sequence.wrapping_add(1));
        last = next;
    }
    assert!(last.sequence.wrapping_sub(first.sequence) < 50, "{} packets", last.sequence.wrapping_sub(first.sequence));
}

/// The caller says a hundred packets of hum of -52 dBm0 in A-law: what the callee gets of them, and the caller's source.
fn said(to: &[Payload], from: &[Payload]) -> (Vec<Received>, u32) {
    let (pool, _threads) = running(config());
    let (flow, mut caller, callee, _events) = call(&pool, from, to);
    // The pool's beat is the clock.
    let (beat, clock) = (open(&pool).0, Phone::new(0xe));
    beat.connect(Side::A, clock.remote(&[PCMU])).unwrap();
    beat.hear(Side::A, Source::Silence).unwrap();
    beat.wake();
    let mut hum = Sine::new(200.0, -52.0, 8000);
    for _ in 0..100 {
        clock.receive();
        let (mut samples, mut payload) = ([0; FRAME], [0; FRAME]);
        hum.fill(&mut samples);
        Law::A.encode(&samples, &mut payload);
        caller.send(flow.local(Side::A), 8, &payload);
    }
    // What was said lies behind some beats of the same worker.
    for _ in 0..10 {
        clock.receive();
    }
    callee.rtp.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(length) = callee.rtp.recv(&mut buffer) {
        let bytes = buffer[..length].to_vec();
        let header = media::rtp::Header::parse(&bytes).unwrap();
        heard.push(Received { header, payload: header.payload(&bytes).to_vec(), bytes });
    }
    (heard, caller.ssrc)
}

#[test]
fn soft_hum_that_is_made_anew_is_noise_of_its_level_and_what_is_relayed_stays_as_it_is() {
    let (heard, _) = said(&[PCMU, NOISE], &[PCMA]);
    let noises: Vec<_> = heard.iter().filter(|packet| packet.header.payload_type == 13).collect();
    assert!(noises.len() >= 2 && heard.len() < 60, "{} of {}", noises.len(), heard.len());
    // -52 dBm0 is -58.15 dBov.
    assert!(noises.iter().all(|noise| noise.payload.len() == 1 && noise.payload[0].abs_diff(58) <= 1));

    let (heard, ssrc) = said(&[PCMA, NOISE], &[PCMA, NOISE]);
    assert_eq!(heard.len(), 100);
    assert!(heard.iter().all(|packet| packet.header.payload_type == 8 && packet.header.ssrc == ssrc));
}

#[test]
fn a_room_in_which_nobody_talks_sends_noise_to_who_has_it_and_sound_to_the_others() {
    let (pool, _threads) = running(config());
    let room = Room::new(0, RoomSpec { rate_hz: 8000, participants_max: 4, talkers_max: 2 }, RoomSounds::default());
    let guest = |ssrc: u32, payloads: &[Payload]| {
        let (owner, _events) = owner(7);
        let flow = pool.open(owner, FlowSpec { worker: Some(0), ..FlowSpec::default() }).unwrap();
        let phone = Phone::new(ssrc);
        flow.connect(Side::A, phone.remote(payloads)).unwrap();
        flow.hear(Side::A, Source::Room(room.member())).unwrap();
        flow.wake();
        (flow, phone)
    };
    let (flow, sparing) = guest(1, &[PCMU, NOISE]);
    let (_flow, plain) = guest(2, &[PCMU]);
    let noise = |phone: &Phone| std::iter::repeat_with(|| phone.receive().header).find(|head| head.payload_type == 13);
    let first = noise(&sparing).unwrap();
    let before = plain.receive().header;
    let second = sparing.receive().header;
    assert_eq!((second.payload_type, second.timestamp), (13, first.timestamp.wrapping_add(20 * 160)));
    assert_eq!(plain.receive().header.timestamp, before.timestamp.wrapping_add(160));

    // Its reports go on, and count what was sent.
    let report = sparing.receive_rtcp();
    let Some(Part::Sender(_, info, _)) = rtcp::parse(&report).unwrap().next() else { panic!("no SR") };
    assert!((10..60).contains(&info.packets) && u64::from(info.packets) <= flow.stats().a.packets_sent, "{info:?}");
}

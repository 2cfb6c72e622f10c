//! What the pool itself lets a side hear.

mod common;

use common::*;
use media::codec::{Decoder, g711::Law, l16};
use media::rtcp::{self, Part};
use media::tone::measure;
use media::{Audio, Codec, MediaEvent, Payload, Pool, Repeat, Side, Source};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TONE: Source = Source::Tone { hz: 1000.0, dbm0: -10.0 };
const L16: Payload = Payload { pt: 97, codec: Codec::L16, clock_hz: 8000, events: false };

/// A flow with only its caller connected.
fn single(
    pool: &Pool,
    payloads: &[Payload],
    ptime_ms: u8,
) -> (media::Flow, Phone, std::sync::mpsc::Receiver<(u64, MediaEvent)>) {
    let (flow, events) = open(pool);
    let phone = Phone::new(0xa);
    let mut remote = phone.remote(payloads);
    remote.ptime_ms = ptime_ms;
    flow.connect(Side::A, remote).unwrap();
    (flow, phone, events)
}

fn decode(payload: Payload, bytes: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; bytes.len()];
    let count = match payload.codec {
        Codec::Pcmu => Law::Mu.decode(bytes, &mut samples),
        Codec::Pcma => Law::A.decode(bytes, &mut samples),
        _ => l16::decode(bytes, &mut samples),
    };
    samples.truncate(count);
    samples
}

#[test]
fn a_tone_has_its_frequency_and_level_in_every_codec() {
    let (pool, _threads) = running(config());
    for payload in [PCMU, PCMA, L16] {
        let (flow, phone, _events) = single(&pool, &[payload], 20);
        flow.hear(Side::A, TONE).unwrap();
        let samples: Vec<i16> = (0..25).flat_map(|_| decode(payload, &phone.receive().payload)).collect();
        let found = measure(&samples, 8000).unwrap();
        assert!((found.hz - 1000.0).abs() < 1.0 && (found.dbm0 + 10.0).abs() < 0.5, "{payload:?} {found:?}");
        assert!(found.purity > 0.99, "{payload:?} {found:?}");
        flow.close();
    }
}

#[test]
fn what_the_pool_plays_is_heard_in_wide_band_codecs_at_their_clock() {
    let (pool, _threads) = running(config());
    let g722 = Payload::new(9, Codec::G722, 8000);
    let opus = Payload::new(111, Codec::Opus, 48_000);
    let l16 = Payload::new(97, Codec::L16, 48_000);
    for (payload, ptime_ms, packet_ms) in
        [(g722, 20, 20), (g722, 30, 30), (opus, 20, 20), (opus, 60, 60), (l16, 20, 10)]
    {
        let (flow, phone, _events) = single(&pool, &[payload], ptime_ms);
        flow.hear(Side::A, TONE).unwrap();
        let mut decoder = Decoder::new(&payload, 16_000).unwrap();
        let mut samples = Vec::new();
        let (mut last, mut gaps, mut packets) = (None::<u32>, 0, 0);
        while samples.len() < decoder.rate_hz() as usize / 2 {
            let packet = phone.receive();
            let mut room = vec![0; decoder.samples_max()];
            let count = decoder.decode(&packet.payload, &mut room).unwrap();
            samples.extend_from_slice(&room[..count]);
            let units = payload.clock_hz / 1000 * packet_ms;
            // After a wake that is later than is made up for the clock has gone on by whole beats.
            let skipped = last.map(|last| packet.header.timestamp.wrapping_sub(last).wrapping_sub(units));
            assert!(skipped.is_none_or(|skipped| skipped % (payload.clock_hz / 50) == 0), "{payload:?} {skipped:?}");
            gaps += u32::from(skipped.is_some_and(|skipped| skipped != 0));
            packets += 1;
            last = Some(packet.header.timestamp);
        }
        // A clock that ran at a multiple would skip at every packet.
        assert!(gaps * 4 < packets, "{payload:?}: {gaps} of {packets} skipped");
        let found = measure(&samples[samples.len() / 2..], decoder.rate_hz()).unwrap();
        assert!((found.hz - 1000.0).abs() < 1.5 && (found.dbm0 + 10.0).abs() < 1.0, "{payload:?} {found:?}");
        flow.close();
    }
}

#[test]
fn generated_packets_are_paced_and_counted_without_a_gap() {
    let (pool, _threads) = running(config());
    for (ptime_ms, units) in [(20u8, 160), (30, 240), (60, 480)] {
        let (flow, phone, _events) = single(&pool, &[PCMU], ptime_ms);
        flow.hear(Side::A, Source::Silence).unwrap();
        let start = Instant::now();
        let first = phone.receive().header;
        assert!(first.marker);
        for n in 1..=10u16 {
            let packet = phone.receive();
            assert_eq!(packet.payload, vec![0xff; units as usize]);
            assert_eq!(packet.header.sequence, first.sequence.wrapping_add(n));
            assert_eq!(packet.header.timestamp, first.timestamp.wrapping_add(units * u32::from(n)));
            assert_eq!((packet.header.ssrc, packet.header.marker), (first.ssrc, false));
        }
        // Ten packets after the first; a late wake may have made up for up to five beats at once.
        assert!(start.elapsed() >= Duration::from_millis(u64::from(ptime_ms) * 10 - 100), "{:?}", start.elapsed());
        flow.close();
    }
}

#[test]
fn a_prompt_is_heard_sample_by_sample_and_its_end_is_told() {
    let (pool, _threads) = running(config());
    let (flow, phone, events) = single(&pool, &[PCMU], 20);
    let bytes: Vec<u8> = (0..400).map(|n| 0x80 | (n % 100) as u8).collect();
    flow.hear(Side::A, Source::Prompt(Arc::new(Audio::from_mu_law(&bytes)), Repeat::Times(2))).unwrap();
    assert_eq!(next(&events), MediaEvent::SourceEnded(Side::A));
    let heard: Vec<u8> = (0..5).flat_map(|_| phone.receive().payload).collect();
    assert_eq!(heard, [&bytes[..], &bytes[..]].concat());
    assert!(phone.has_nothing());
    // And again from the start, on request.
    flow.hear(Side::A, Source::Prompt(Arc::new(Audio::from_mu_law(&bytes)), Repeat::Once)).unwrap();
    let again = phone.receive();
    assert!(again.header.marker);
    assert_eq!(again.payload, bytes[..160]);
    assert_eq!(next(&events), MediaEvent::SourceEnded(Side::A));
}

#[test]
fn an_echo_returns_each_packet_under_a_source_of_its_own() {
    let (pool, _threads) = running(config());
    let (flow, mut phone, _events) = single(&pool, &[PCMU, events(101)], 20);
    flow.hear(Side::A, Source::Echo).unwrap();
    settle(&pool, &flow);
    for n in 0..20u8 {
        let sent = phone.send(flow.local(Side::A), if n == 7 { 101 } else { 0 }, &[n; 160]);
        let back = phone.receive();
        assert_eq!((&back.bytes[2..8], &back.bytes[12..]), (&sent[2..8], &sent[12..]));
        assert_eq!(back.header.payload_type, sent[1] & 0x7f);
        assert_ne!(back.header.ssrc, phone.ssrc);
    }
}

#[test]
fn a_side_goes_to_music_and_back_while_the_other_is_still_heard() {
    let (pool, _threads) = running(config());
    let (flow, mut caller, mut callee, _events) = call(&pool, &[PCMA], &[PCMA]);
    let sent = callee.send(flow.local(Side::B), 8, &[1; 160]);
    assert_eq!(caller.receive().bytes, sent);

    flow.hear(Side::A, Source::MusicOnHold).unwrap();
    let music = caller.receive();
    assert!(music.header.marker && music.header.ssrc != callee.ssrc);
    let samples: Vec<i16> = (0..25).flat_map(|_| decode(PCMA, &caller.receive().payload)).collect();
    assert!(measure(&samples, 8000).is_some_and(|found| found.dbm0 > -40.0));
    callee.send(flow.local(Side::B), 8, &[2; 160]);
    let sent = caller.send(flow.local(Side::A), 8, &[3; 160]);
    assert_eq!(callee.receive().bytes, sent);

    flow.hear(Side::A, Source::Peer).unwrap();
    settle(&pool, &flow);
    while !caller.has_nothing() {
        // the last of the music
    }
    let sent = callee.send(flow.local(Side::B), 8, &[4; 160]);
    let back = caller.receive();
    assert!(back.header.marker && back.header.ssrc == callee.ssrc);
    assert_eq!(back.bytes[2..], sent[2..]);

    // The same stream of ours later goes on in time: a new talkspurt, not a new source.
    flow.hear(Side::A, TONE).unwrap();
    let tone = caller.receive();
    assert!(tone.header.marker && tone.header.ssrc == music.header.ssrc);
    assert!(tone.header.timestamp.wrapping_sub(music.header.timestamp) > 25 * 160);
}

#[test]
fn a_side_without_a_codec_of_ours_gets_nothing_and_it_is_counted() {
    let (pool, _threads) = running(config());
    let (flow, phone, _events) = single(&pool, &[Payload::new(18, Codec::Other, 8000), events(101)], 20);
    flow.hear(Side::A, TONE).unwrap();
    until(|| flow.stats().a.ungenerated > 3);
    assert!(phone.has_nothing());
    assert_eq!(flow.stats().a.packets_sent, 0);
}

#[test]
fn a_side_that_does_not_receive_is_not_played_to_until_it_does() {
    let (pool, _threads) = running(config());
    let (flow, phone, _events) = single(&pool, &[PCMU], 20);
    let mut deaf = phone.remote(&[PCMU]);
    deaf.receive = false;
    flow.connect(Side::A, deaf).unwrap();
    flow.hear(Side::A, TONE).unwrap();
    settle(&pool, &flow);
    assert!(phone.has_nothing());
    flow.connect(Side::A, phone.remote(&[PCMU])).unwrap();
    assert!(phone.receive().header.marker);
}

#[test]
fn the_pool_reports_what_it_generates_and_says_goodbye_at_the_end() {
    let (pool, _threads) = running(config());
    let (flow, mut phone, _events) = single(&pool, &[PCMU], 20);
    flow.hear(Side::A, TONE).unwrap();
    let first = phone.receive().header;
    phone.send(flow.local(Side::A), 0, &[0; 160]);
    let report = phone.receive_rtcp();
    let parts: Vec<_> = rtcp::parse(&report).unwrap().collect();
    let [Part::Sender(ssrc, info, mut blocks), Part::Other(202)] = parts[..] else { panic!("{parts:?}") };
    assert_eq!(ssrc, first.ssrc);
    assert_eq!(info.octets, 160 * info.packets);
    let elapsed = info.timestamp.wrapping_sub(first.timestamp);
    assert!((8 * 1500..8 * 10_000).contains(&elapsed), "{elapsed}");
    assert_eq!(blocks.next().unwrap().ssrc, phone.ssrc);

    flow.close();
    let goodbye = phone.receive_rtcp();
    assert!(rtcp::parse(&goodbye).unwrap().any(|part| part == Part::Goodbye));
}

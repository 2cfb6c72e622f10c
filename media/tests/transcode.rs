//! Two sides that share no codec hear each other: the pool makes sound anew, at its own beat and in a stream of its own.

mod common;

use common::*;
use media::codec::{Decoder, Encoder};
use media::rtcp::{self, Part};
use media::tone::{Measured, measure};
use media::{Codec, Flow, MediaEvent, Payload, Pool, Side, Source};
use std::sync::mpsc::Receiver;

const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };
const L16: Payload = Payload { pt: 97, codec: Codec::L16, clock_hz: 16_000, events: false };

/// A flow between two codecs, and a tone that comes in real time for its first side to send.
struct Bed {
    pool: Pool,
    flow: Flow,
    caller: Phone,
    callee: Phone,
    events: Receiver<(u64, MediaEvent)>,
    from: Payload,
    to: Payload,
    /// What hears the tone from the pool.
    ear: Phone,
    tone: Flow,
    _workers: Vec<media::WorkerThread>,
}

impl Bed {
    fn new(from: &[Payload], to: &[Payload]) -> Bed {
        let (pool, workers) = running(config());
        let (flow, caller, callee, events) = call(&pool, from, to);
        let (tone, _none) = open(&pool);
        let ear = Phone::new(0xe);
        tone.connect(Side::A, ear.remote(&from[..1])).unwrap();
        tone.hear(Side::A, Source::Tone { hz: 1000.0, dbm0: -10.0 }).unwrap();
        tone.wake();
        Bed { pool, flow, caller, callee, events, from: from[0], to: to[0], ear, tone, _workers: workers }
    }

    /// The caller says as much of the tone as is due: the beat of the pool is the beat of the test.
    fn say(&mut self) {
        let payload = self.ear.receive().payload;
        self.caller.send(self.flow.local(Side::A), self.from.pt, &payload);
        // A phone counts by 160; its clock may be another.
        let units = self.from.clock_hz / 50;
        self.caller.timestamp = self.caller.timestamp.wrapping_add(units).wrapping_sub(160);
    }

    /// Says packets, and hears as many after the first.
    fn exchange(&mut self, packets: usize) -> Vec<Received> {
        let mut heard = Vec::new();
        while heard.len() < packets {
            self.say();
            self.callee.rtp.set_nonblocking(true).unwrap();
            let mut buffer = [0; 2048];
            while let Ok(length) = self.callee.rtp.recv(&mut buffer) {
                let bytes = buffer[..length].to_vec();
                let header = media::rtp::Header::parse(&bytes).unwrap();
                heard.push(Received { header, payload: header.payload(&bytes).to_vec(), bytes });
            }
            self.callee.rtp.set_nonblocking(false).unwrap();
        }
        heard
    }

    /// What was heard when the tone was, at its frequency and level; a machine that is too busy to send in time has more tries.
    fn hears_the_tone(&mut self) -> Vec<Received> {
        let mut last = None;
        for _ in 0..20 {
            let heard = self.exchange(50);
            let found = self.measured(&heard);
            if (found.hz - 1000.0).abs() < 1.5 && (found.dbm0 + 10.0).abs() < 1.0 && found.purity > 0.9 {
                return heard;
            }
            last = Some(found);
        }
        panic!("{:?} to {:?}: {last:?}", self.from.codec, self.to.codec);
    }

    fn measured(&self, heard: &[Received]) -> Measured {
        let mut decoder = Decoder::new(&self.to, 16_000).unwrap();
        let mut samples = Vec::new();
        for packet in heard {
            let mut room = vec![0; decoder.samples_max()];
            let count = decoder.decode(&packet.payload, &mut room).unwrap();
            samples.extend_from_slice(&room[..count]);
        }
        measure(&samples[samples.len() / 2..], decoder.rate_hz()).unwrap()
    }
}

#[test]
fn a_tone_keeps_frequency_and_level_between_any_two_codecs() {
    let pairs =
        [(PCMU, G722), (G722, PCMU), (PCMU, OPUS), (OPUS, PCMU), (G722, OPUS), (OPUS, G722), (L16, PCMA), (PCMA, PCMU)];
    for (from, to) in pairs {
        let mut bed = Bed::new(&[from], &[to]);
        let heard = bed.hears_the_tone();
        let what = format!("{:?} to {:?}", from.codec, to.codec);
        let units = to.clock_hz / 50;
        for pair in heard.windows(2) {
            let (before, after) = (&pair[0].header, &pair[1].header);
            assert_eq!((after.ssrc, after.payload_type), (before.ssrc, to.pt), "{what}");
            assert_eq!(after.sequence, before.sequence.wrapping_add(1), "{what}");
            // On a machine that is too busy to send in time the stream pauses, and says so.
            assert!(after.marker || after.timestamp == before.timestamp.wrapping_add(units), "{what}");
        }
        assert_ne!(heard[0].header.ssrc, bed.caller.ssrc, "{what}");
        assert_eq!(bed.flow.stats().a.unmapped, 0, "{what}");
    }
}

#[test]
fn a_codec_that_both_sides_have_passes_untouched_and_another_is_made_anew() {
    let mut bed = Bed::new(&[PCMU, PCMA], &[PCMA]);
    assert!(bed.exchange(5).iter().all(|packet| packet.header.ssrc != bed.caller.ssrc));
    let packet = bed.caller.send(bed.flow.local(Side::A), PCMA.pt, &[0x55; 160]);
    let passed = loop {
        let packet = bed.callee.receive();
        if packet.header.ssrc == bed.caller.ssrc {
            break packet;
        }
    };
    assert_eq!((&passed.payload[..], passed.header.sequence), (&packet[12..], bed.caller.sequence.wrapping_sub(1)));
    assert!(passed.header.marker);
}

#[test]
fn what_is_made_anew_comes_in_packets_of_the_length_that_a_side_wants() {
    let mut bed = Bed::new(&[PCMA], &[PCMU]);
    for to in [PCMU, G722, OPUS, L16] {
        for ptime_ms in [10u8, 20, 30, 40, 60] {
            let remote = media::Remote { ptime_ms, ..bed.callee.remote(&[to]) };
            bed.flow.connect(Side::B, remote).unwrap();
            settle(&bed.pool, &bed.flow);
            let want = 1000 * Encoder::new(&to, 16_000).unwrap().packet_ms(ptime_ms.into());
            let mut heard = bed.exchange(12);
            // What was under way is of the negotiation before.
            heard.retain(|packet| packet.header.payload_type == to.pt);
            let first = heard.iter().position(|packet| to.length_us(&packet.payload) == Some(want)).unwrap();
            let told = format!("{:?} of {ptime_ms} ms", to.codec);
            for pair in heard[first..].windows(2) {
                let units = to.clock_hz / 1000 * want / 1000;
                let (before, after) = (&pair[0].header, &pair[1].header);
                assert_eq!(to.length_us(&pair[1].payload), Some(want), "{told}");
                assert_eq!(after.sequence, before.sequence.wrapping_add(1), "{told}");
                assert!(after.marker || after.timestamp == before.timestamp.wrapping_add(units), "{told}");
            }
            assert!(heard.len() - first > 4, "{told}");
        }
    }
}

#[test]
fn packets_that_are_longer_than_a_side_can_take_are_made_anew_in_its_length_and_others_pass() {
    let mut bed = Bed::new(&[PCMU], &[PCMU]);
    let remote = media::Remote { ptime_ms: 20, max_ptime_ms: 30, ..bed.callee.remote(&[PCMU]) };
    bed.flow.connect(Side::B, remote).unwrap();
    settle(&bed.pool, &bed.flow);
    let short = bed.exchange(5);
    assert!(short.iter().all(|packet| packet.header.ssrc == bed.caller.ssrc));
    for _ in 0..20 {
        let mut heard = Vec::new();
        for _ in 0..40 {
            let payload = [bed.ear.receive().payload, bed.ear.receive().payload].concat();
            bed.caller.send(bed.flow.local(Side::A), PCMU.pt, &payload);
            bed.caller.timestamp = bed.caller.timestamp.wrapping_add(160);
            bed.callee.rtp.set_nonblocking(true).unwrap();
            let mut buffer = [0; 2048];
            while let Ok(length) = bed.callee.rtp.recv(&mut buffer) {
                let bytes = buffer[..length].to_vec();
                let header = media::rtp::Header::parse(&bytes).unwrap();
                heard.push(Received { header, payload: header.payload(&bytes).to_vec(), bytes });
            }
            bed.callee.rtp.set_nonblocking(false).unwrap();
        }
        let made = heard.split_off(heard.len() / 2);
        assert!(made.iter().all(|packet| packet.payload.len() == 160 && packet.header.ssrc != bed.caller.ssrc));
        let found = bed.measured(&made);
        if (found.hz - 1000.0).abs() < 1.5 && (found.dbm0 + 10.0).abs() < 1.0 && found.purity > 0.9 {
            // Towards the side that says nothing of lengths any pass as they are.
            let sent = bed.callee.send(bed.flow.local(Side::B), PCMU.pt, &[0x77; 480]);
            assert_eq!(bed.caller.receive().bytes[12..], sent[12..]);
            return;
        }
    }
    panic!("the tone is not heard in shorter packets");
}

#[test]
fn keys_have_their_place_in_the_stream_that_is_made_anew_at_its_clock() {
    let mut bed = Bed::new(&[PCMU, events(101)], &[OPUS, Payload::new(96, Codec::TelephoneEvent, 48_000)]);
    let before = bed.exchange(10).pop().unwrap();
    let start = bed.caller.timestamp;
    for (duration, end) in [(160u16, 0u8), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)] {
        bed.caller.timestamp = start;
        let [high, low] = duration.to_be_bytes();
        bed.caller.send(bed.flow.local(Side::A), 101, &[5, end | 10, high, low]);
    }
    let mut keys = Vec::new();
    let mut last = before.header.sequence;
    while keys.len() < 5 {
        let packet = bed.callee.receive();
        assert_eq!((packet.header.ssrc, packet.header.sequence), (before.header.ssrc, last.wrapping_add(1)));
        last = packet.header.sequence;
        if packet.header.payload_type == 96 {
            keys.push(packet);
        }
    }
    assert!(keys.iter().all(|key| key.header.timestamp == keys[0].header.timestamp));
    assert!(keys[0].header.timestamp.wrapping_sub(before.header.timestamp) < 48_000);
    let durations: Vec<u16> = keys.iter().map(|key| u16::from_be_bytes([key.payload[2], key.payload[3]])).collect();
    assert_eq!(durations, [960, 1920, 2880, 2880, 2880]);
    assert_eq!(keys.iter().map(|key| key.header.marker).collect::<Vec<_>>(), [true, false, false, false, false]);
    let told = loop {
        if let told @ MediaEvent::Dtmf { .. } = next(&bed.events) {
            break told;
        }
    };
    assert_eq!(told, MediaEvent::Dtmf { side: Side::A, digit: '5', duration_ms: 60 });
}

#[test]
fn each_side_has_the_pool_as_its_peer_in_rtcp() {
    let mut bed = Bed::new(&[PCMU], &[G722]);
    let ssrc = bed.exchange(10)[0].header.ssrc;
    let report = rtcp::Report { ssrc: bed.caller.ssrc, sender: None, block: None, cname: "caller", bye: false };
    let mut bytes = [0; 200];
    let length = report.write(&mut bytes).unwrap();
    bed.caller.rtcp.send_to(&bytes[..length], bed.flow.local_rtcp(Side::A)).unwrap();
    // What comes to the callee first is ours, and not what the caller has sent.
    let from_pool = loop {
        bed.exchange(5);
        bed.callee.rtcp.set_nonblocking(true).unwrap();
        let mut buffer = [0; 500];
        if let Ok(length) = bed.callee.rtcp.recv(&mut buffer) {
            break buffer[..length].to_vec();
        }
    };
    let parts: Vec<Part> = rtcp::parse(&from_pool).unwrap().into_iter().collect();
    assert!(matches!(&parts[0], Part::Sender(from, _, _) if *from == ssrc), "{parts:?}");
}

#[test]
fn the_stream_goes_on_where_it_was_when_its_worker_dies() {
    let mut bed = Bed::new(&[PCMU], &[G722]);
    let before = bed.exchange(20).pop().unwrap().header;
    bed.pool.ask_panic(0);
    let ended = bed._workers.pop().unwrap().join();
    assert!(matches!(ended, media::WorkerEnd::Panicked(_)));
    bed._workers.push(bed.pool.start_worker(0).unwrap());
    let after = bed.exchange(1)[0].header;
    assert_eq!(after.ssrc, before.ssrc);
    let missed = after.sequence.wrapping_sub(before.sequence);
    assert!((1..50).contains(&missed), "{missed}");
    bed.hears_the_tone();
}

#[test]
fn a_side_whose_codec_nobody_decodes_is_not_heard_by_one_that_has_another() {
    let other = Payload { pt: 18, codec: Codec::Other, clock_hz: 8000, events: false };
    let mut bed = Bed::new(&[PCMU], &[other]);
    bed.say();
    let from_caller = || bed.flow.stats().a.unmapped;
    until(|| from_caller() == 1);
    assert!(bed.callee.has_nothing());
    bed.tone.close();
}

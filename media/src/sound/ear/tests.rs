use super::super::Mouth;
use super::*;
use crate::codec::Codec;
use crate::tone::{Measured, Sine, measure};

const PCMU: Payload = Payload { pt: 0, codec: Codec::Pcmu, clock_hz: 8000, events: false };
const PCMA: Payload = Payload { pt: 8, codec: Codec::Pcma, clock_hz: 8000, events: false };
const G722: Payload = Payload { pt: 9, codec: Codec::G722, clock_hz: 8000, events: false };
const OPUS: Payload = Payload { pt: 111, codec: Codec::Opus, clock_hz: 48_000, events: false };
const L16: Payload = Payload { pt: 97, codec: Codec::L16, clock_hz: 44_100, events: false };
const NOISE: Payload = Payload { pt: 13, codec: Codec::ComfortNoise, clock_hz: 8000, events: false };
const EVENTS: Payload = Payload { pt: 101, codec: Codec::TelephoneEvent, clock_hz: 8000, events: true };

const MS: Duration = Duration::from_millis(1);

/// What the network does to a packet.
#[derive(Clone, Copy, Default)]
struct Network {
    jitter_ms: u32,
    lost_in_thousand: u32,
    doubled_in_thousand: u32,
    /// A packet in so many is held back by three packet times.
    overtaken_in_thousand: u32,
    /// The sender's clock is this much faster, in parts of a million.
    fast_ppm: i64,
}

/// A sender of a tone, a network, and an ear.
struct Bed {
    network: Network,
    ear: Ear,
    mouth: Mouth,
    sine: Sine,
    mouth_hz: u32,
    ear_hz: u32,
    header: Header,
    /// Packets under way: when they arrive.
    under_way: Vec<(Duration, Header, Vec<u8>)>,
    sent: Duration,
    now: Duration,
    seed: u32,
}

impl Bed {
    fn new(payload: Payload, mouth_hz: u32, ear_hz: u32, network: Network) -> Bed {
        let payloads = [PCMU, PCMA, G722, OPUS, L16, NOISE, EVENTS];
        Bed {
            network,
            ear: Ear::new(&payloads, ear_hz).unwrap(),
            mouth: Mouth::new(&payload, mouth_hz, 20).unwrap(),
            sine: Sine::new(400.0, -10.0, mouth_hz),
            mouth_hz,
            ear_hz,
            header: header(payload.pt, 65_500, u32::MAX - 5000, 0xa),
            under_way: Vec::new(),
            sent: Duration::ZERO,
            now: Duration::ZERO,
            seed: 0x9e37_79b9,
        }
    }

    fn random(&mut self, below: u32) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed % below.max(1)
    }

    /// The sender says twenty milliseconds.
    fn say(&mut self) {
        let mut frame = vec![0; self.mouth_hz as usize / 50];
        self.sine.fill(&mut frame);
        let mut packets = Vec::new();
        self.mouth.speak(&frame, |spoken| packets.push((spoken.payload.to_vec(), spoken.units)));
        for (payload, units) in packets {
            let header = self.header;
            self.header.sequence = header.sequence.wrapping_add(1);
            self.header.timestamp = header.timestamp.wrapping_add(units);
            if self.random(1000) < self.network.lost_in_thousand {
                continue;
            }
            let late = self.random(self.network.jitter_ms * 1000);
            let held = if self.random(1000) < self.network.overtaken_in_thousand { 55_000 } else { 0 };
            let arrival = self.sent + Duration::from_micros(u64::from(late + held));
            self.under_way.push((arrival, header, payload.clone()));
            if self.random(1000) < self.network.doubled_in_thousand {
                self.under_way.push((arrival + 15 * MS, header, payload));
            }
        }
    }

    /// Lets time pass; returns what the ear heard. The sender says something where `speaking`.
    fn run(&mut self, time: Duration, speaking: bool) -> Vec<i16> {
        let end = self.now + time;
        let mut heard = Vec::new();
        while self.now < end {
            while self.sent <= self.now {
                if speaking {
                    self.say();
                }
                self.sent += Duration::from_nanos(20_000_000 - u64::try_from(self.network.fast_ppm * 20).unwrap());
            }
            let now = self.now;
            let mut here: Vec<_> = self.under_way.extract_if(.., |(arrival, _, _)| *arrival <= now).collect();
            here.sort_by_key(|(arrival, _, _)| *arrival);
            for (arrival, header, payload) in here {
                self.ear.packet(&header, &payload, arrival);
            }
            let mut frame = vec![0; self.ear_hz as usize / 50];
            self.ear.pull(now, &mut frame);
            heard.extend_from_slice(&frame);
            self.now += 20 * MS;
        }
        heard
    }
}

fn header(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Header {
    Header { payload_type, marker: false, sequence, timestamp, ssrc, payload_start: 12, payload_end: 12 }
}

/// The tone in the second half of what was heard.
fn tone(heard: &[i16], rate_hz: u32) -> Measured {
    let half = &heard[heard.len() / 2..];
    measure(&half[..half.len().min(rate_hz as usize / 4)], rate_hz).unwrap()
}

#[track_caller]
fn assert_tone(found: Measured, purity: f64) {
    assert!((found.hz - 400.0).abs() < 1.0 && (found.dbm0 + 10.0).abs() < 0.7, "{found:?}");
    assert!(found.purity > purity, "{found:?}");
}

#[test]
fn a_tone_keeps_frequency_and_level_through_every_codec_and_between_all_rates() {
    for payload in [PCMU, PCMA, G722, OPUS, L16] {
        for mouth_hz in [8000, 16_000, 48_000] {
            for ear_hz in [8000, 16_000, 48_000] {
                let mut bed = Bed::new(payload, mouth_hz, ear_hz, Network::default());
                let heard = bed.run(Duration::from_secs(2), true);
                let found = tone(&heard, ear_hz);
                assert_tone(found, 0.99);
                assert!(bed.ear.delay() <= 20 * MS, "{:?}", bed.ear.delay());
            }
        }
    }
}

#[test]
fn jitter_reordering_and_doubling_are_not_heard() {
    let network = Network { jitter_ms: 45, doubled_in_thousand: 50, overtaken_in_thousand: 5, ..Network::default() };
    for payload in [PCMU, G722, OPUS] {
        let mut bed = Bed::new(payload, 16_000, 16_000, network);
        bed.run(Duration::from_secs(10), true);
        for _ in 0..10 {
            let found = tone(&bed.run(Duration::from_secs(1), true), 16_000);
            assert_tone(found, 0.95);
        }
        let delay = bed.ear.delay();
        assert!(delay >= 40 * MS && delay <= 70 * MS, "{delay:?}");
    }
}

#[test]
fn a_twentieth_of_the_packets_may_get_lost_and_the_tone_goes_on() {
    let network = Network { lost_in_thousand: 50, jitter_ms: 10, ..Network::default() };
    // Opus conceals by itself; what it makes of a steady tone needs a tenth of a second to swell again.
    for (payload, tolerance_db, purity) in [(PCMU, 1.5, 0.8), (PCMA, 1.5, 0.8), (G722, 1.5, 0.8), (OPUS, 6.0, 0.5)] {
        let mut bed = Bed::new(payload, 8000, 8000, network);
        bed.run(Duration::from_secs(2), true);
        for _ in 0..10 {
            let found = measure(&bed.run(Duration::from_secs(1), true), 8000).unwrap();
            assert!(
                (found.hz - 400.0).abs() < 2.0 && (found.dbm0 + 10.0).abs() < tolerance_db,
                "{payload:?} {found:?}"
            );
            assert!(found.purity > purity, "{payload:?} {found:?}");
        }
    }
}

#[test]
fn clocks_that_drift_apart_are_followed_for_minutes() {
    for fast_ppm in [200, 0] {
        let mut bed = Bed::new(PCMU, 8000, 8000, Network { fast_ppm, jitter_ms: 5, ..Network::default() });
        for _ in 0..30 {
            let found = tone(&bed.run(Duration::from_secs(4), true), 8000);
            assert_tone(found, 0.95);
            assert!(bed.ear.queue.len() <= 3, "{}", bed.ear.queue.len());
        }
    }
}

#[test]
fn who_stops_is_heard_to_fade_and_who_begins_again_is_heard_at_once() {
    let mut bed = Bed::new(PCMU, 8000, 8000, Network::default());
    bed.run(Duration::from_secs(1), true);
    // The clock of the sender goes on while it says nothing.
    let heard = bed.run(Duration::from_secs(1), false);
    assert!(heard[8 * 200..].iter().all(|sample| *sample == 0));
    assert_eq!(bed.ear.pull(bed.now, &mut [0; 160]), Heard::Nothing);
    bed.header.timestamp = bed.header.timestamp.wrapping_add(8000);
    let heard = bed.run(Duration::from_secs(1), true);
    assert_tone(tone(&heard, 8000), 0.99);
    let onset = heard.iter().position(|sample| sample.unsigned_abs() > 1000).unwrap();
    assert!(onset < 8 * 80, "after {} ms", onset / 8);
}

#[test]
fn comfort_noise_is_heard_at_its_level_until_there_is_speech_again() {
    let mut bed = Bed::new(PCMU, 8000, 16_000, Network::default());
    bed.run(Duration::from_secs(1), true);
    let (header, now) = (Header { payload_type: 13, ..bed.header }, bed.now);
    bed.header.sequence = bed.header.sequence.wrapping_add(1);
    bed.ear.packet(&header, &[50, 100, 140], now);
    let heard = bed.run(Duration::from_secs(2), false);
    let power = |samples: &[i16]| {
        samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64 / 32_768f64.powi(2)
    };
    let level = 10.0 * power(&heard[16_000..]).log10();
    assert!((level + 50.0).abs() < 1.0, "{level} dBov");
    bed.header.timestamp = bed.header.timestamp.wrapping_add(16_000);
    assert_tone(tone(&bed.run(Duration::from_secs(1), true), 16_000), 0.99);
}

#[test]
fn a_stream_that_is_replaced_by_another_goes_on_with_that() {
    let mut bed = Bed::new(PCMU, 8000, 8000, Network::default());
    bed.run(Duration::from_secs(1), true);
    bed.header = Header { ssrc: 0xb, sequence: 7, timestamp: 99, ..bed.header };
    assert_tone(tone(&bed.run(Duration::from_secs(1), true), 8000), 0.99);
    // The same source with another codec, and a clock that jumps.
    bed.mouth = Mouth::new(&G722, 8000, 20).unwrap();
    bed.header = Header { payload_type: 9, timestamp: 0x8000_0000, ..bed.header };
    assert_tone(tone(&bed.run(Duration::from_secs(1), true), 8000), 0.99);
}

#[test]
fn telephone_events_leave_silence_and_no_trace_of_loss() {
    let mut bed = Bed::new(PCMU, 8000, 8000, Network::default());
    bed.run(Duration::from_secs(1), true);
    for _ in 0..10 {
        let (header, now) = (Header { payload_type: 101, ..bed.header }, bed.now);
        bed.header.sequence = bed.header.sequence.wrapping_add(1);
        bed.ear.packet(&header, &[1, 10, 0, 160], now);
        bed.run(20 * MS, false);
    }
    bed.header.timestamp = bed.header.timestamp.wrapping_add(1600);
    assert_tone(tone(&bed.run(Duration::from_secs(1), true), 8000), 0.99);
}

#[test]
fn every_ptime_is_spoken_and_heard() {
    for payload in [PCMU, G722, OPUS, L16] {
        for ptime_ms in [10, 20, 30, 40, 50, 60] {
            let mut bed = Bed::new(payload, 8000, 8000, Network::default());
            bed.mouth = Mouth::new(&payload, 8000, ptime_ms).unwrap();
            assert_tone(tone(&bed.run(Duration::from_secs(2), true), 8000), 0.98);
        }
    }
}

#[test]
fn whatever_comes_the_ear_holds_no_more_than_its_bounds() {
    let mut bed = Bed::new(PCMU, 8000, 8000, Network::default());
    for _ in 0..20_000 {
        let (pt, sequence) = (bed.random(128), bed.random(65_536));
        let header = Header {
            payload_type: u8::try_from(pt).unwrap(),
            marker: false,
            sequence: u16::try_from(sequence).unwrap(),
            timestamp: bed.random(u32::MAX),
            ssrc: bed.random(2),
            payload_start: 12,
            payload_end: 12,
        };
        let length = bed.random(1500) as usize;
        let byte = bed.random(256).to_le_bytes()[0];
        bed.ear.packet(&header, &vec![byte; length], bed.now);
        if bed.random(3) == 0 {
            let mut frame = [0; 160];
            bed.ear.pull(bed.now, &mut frame);
            bed.now += 20 * MS;
        }
        assert!(bed.ear.queue.len() <= 64);
        assert!(bed.ear.output.as_ref().is_none_or(|output| output.line.waiting() <= 48 * 400));
    }
}

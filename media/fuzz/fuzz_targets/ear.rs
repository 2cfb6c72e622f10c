//! Packets of any order, number, time and content at the ear of a stream, pulled all the while: no pull fails to fill its frame,
//! nothing is played later than is allowed, and nothing grows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtp::Header;
use media::sound::{Ear, RATES_HZ};
use media::{Codec, Payload};
use std::time::Duration;

const PAYLOADS: [(u8, Codec, u32); 6] = [
    (0, Codec::Pcmu, 8000),
    (9, Codec::G722, 8000),
    (13, Codec::ComfortNoise, 8000),
    (96, Codec::L16, 16_000),
    (101, Codec::TelephoneEvent, 8000),
    (111, Codec::Opus, 48_000),
];

/// Payload type, sequence number, timestamp, source, how much later it comes in ms, and its bytes.
type Packet = (u8, u16, u32, bool, u8, Vec<u8>);

fuzz_target!(|input: (u8, Vec<Packet>)| {
    let (rate, packets) = input;
    let payloads = PAYLOADS.map(|(pt, codec, clock_hz)| Payload::new(pt, codec, clock_hz));
    let rate_hz = RATES_HZ[usize::from(rate) % RATES_HZ.len()];
    let mut ear = Ear::new(&payloads, rate_hz).expect("an ear");
    let mut now = Duration::ZERO;
    let mut frame = vec![0; (rate_hz / 50) as usize];
    for (kind, sequence, timestamp, other, later_ms, bytes) in packets.iter().take(200) {
        now += Duration::from_millis(u64::from(*later_ms) / 4);
        let payload_type = if kind & 0x80 == 0 { PAYLOADS[usize::from(*kind) % PAYLOADS.len()].0 } else { kind & 0x7f };
        let header = Header {
            payload_type,
            marker: kind & 0x40 != 0,
            sequence: *sequence,
            timestamp: *timestamp,
            ssrc: u32::from(*other),
            payload_start: 12,
            payload_end: 12 + bytes.len(),
        };
        ear.packet(&header, bytes, now);
        frame.fill(0x7f);
        ear.pull(now, &mut frame);
        assert!(ear.delay() <= Duration::from_secs(1), "{:?}", ear.delay());
    }
    // Once nothing comes any more, but for noise that goes on, nothing is left.
    for _ in 0..100 {
        now += Duration::from_millis(20);
        ear.pull(now, &mut frame);
    }
    ear.reset();
});

//! Packets of telephone-events, in any order and of any source: each key that goes down comes up before the next one, and when
//! all is over none is down. What is told is said again, and heard as it was told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::dtmf::{Due, EventReceiver, Keying, Turn};
use std::time::Duration;

const CLOCKS_HZ: [u32; 4] = [8000, 16_000, 48_000, 0];

fuzz_target!(|packets: Vec<(u8, u32, u8, Vec<u8>)>| {
    let mut receiver = EventReceiver::default();
    let (mut down, mut now, mut turns) = (None, Duration::ZERO, Vec::new());
    let mut follow = |turn: Turn| {
        match turn {
            Turn::Down(key) => assert_eq!(down.replace(key), None),
            Turn::Up { key, .. } => assert_eq!(down.take(), Some(key)),
        }
        turns.push(turn);
    };
    for (clock, timestamp, later_ms, payload) in packets.iter().take(64) {
        now += Duration::from_millis(u64::from(*later_ms));
        let clock_hz = CLOCKS_HZ[usize::from(*clock) % CLOCKS_HZ.len()];
        let ssrc = u32::from(clock >> 7);
        receiver.packet((ssrc, *timestamp), &payload[..payload.len().min(256)], clock_hz, now, &mut follow);
    }
    receiver.timeout(now + Duration::from_secs(1), &mut follow);
    assert!(!receiver.is_pressed() && down.is_none());

    let mut keying = Keying::default();
    let mut again = EventReceiver::default();
    let (mut begins, mut heard, mut told) = (0, 0, 0);
    for turn in turns.iter().take(16) {
        keying.turn(match *turn {
            // Nobody waits for longer ones here.
            Turn::Up { key, duration_ms } => Turn::Up { key, duration_ms: duration_ms.min(3000) },
            down => down,
        });
        told += usize::from(matches!(turn, Turn::Down(_)));
    }
    for beat in 0..100_000u32 {
        if keying.is_idle() {
            break;
        }
        if let Due::Event(report) | Due::Again(report) = keying.beat(Some(8000), &mut [0; 160]) {
            if report.first {
                begins = beat * 160;
            }
            let now = Duration::from_millis(20 * u64::from(beat));
            let of = (1, begins + report.ahead);
            again.packet(of, &report.event.to_bytes(), 8000, now, |turn| {
                heard += usize::from(matches!(turn, Turn::Down(_)));
            });
        }
    }
    assert_eq!(heard, told);
});

use super::*;

const CLOCK_HZ: u32 = 8000;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The packets of one key: three growing ones and three ends (RFC 4733 section 2.5.1.4).
fn press(code: u8) -> [Event; 6] {
    let event = |end, duration| Event { code, end, volume: 10, duration };
    [event(false, 160), event(false, 320), event(false, 480), event(true, 640), event(true, 640), event(true, 640)]
}

fn hear(receiver: &mut EventReceiver, timestamp: u32, event: Event, now: Duration) -> Vec<Heard> {
    receiver.packet(timestamp, &event.to_bytes(), CLOCK_HZ, now).into_iter().flatten().collect()
}

#[test]
fn every_key_reads_back_from_its_bytes() {
    for digit in "0123456789*#ABCD!".chars() {
        let event = Event { code: Event::code_of(digit).unwrap(), end: true, volume: 63, duration: 800 };
        assert_eq!(Event::parse(&event.to_bytes()), Some(event));
        assert_eq!(event.digit(), Some(digit));
    }
    assert_eq!(Event::parse(&[1, 2, 3]), None);
    assert_eq!(Event { code: 17, end: true, volume: 0, duration: 0 }.digit(), None);
}

#[test]
fn a_key_is_told_once_whatever_single_packet_is_lost() {
    for lost in 0..6 {
        let mut receiver = EventReceiver::default();
        let mut heard = Vec::new();
        for (n, event) in press(5).into_iter().enumerate().filter(|(n, _)| *n != lost) {
            heard.extend(hear(&mut receiver, 1000, event, at(20 * n as u64)));
        }
        assert_eq!(heard, [Heard { digit: '5', duration_ms: 80 }], "lost {lost}");
        assert_eq!(receiver.timeout(at(10_000)), None);
    }
}

#[test]
fn a_key_without_end_is_told_by_the_next_key_or_by_the_time_out() {
    let mut receiver = EventReceiver::default();
    let [first, second, ..] = press(1);
    assert_eq!(hear(&mut receiver, 1000, first, at(0)), []);
    assert_eq!(hear(&mut receiver, 1000, second, at(20)), []);
    assert_eq!(hear(&mut receiver, 5000, press(2)[0], at(500)), [Heard { digit: '1', duration_ms: 40 }]);
    assert_eq!(receiver.timeout(at(600)), None);
    assert_eq!(receiver.timeout(at(700)), Some(Heard { digit: '2', duration_ms: 20 }));
    assert!(!receiver.is_pressed());
}

#[test]
fn reordered_and_repeated_packets_of_an_old_key_do_not_press_it_again() {
    let mut receiver = EventReceiver::default();
    let [start, .., end] = press(7);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, end, at(0)).len(), 1);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, start, at(5)), []);
    assert_eq!(hear(&mut receiver, 10, start, at(10)), []);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, end, at(15)), []);
    assert_eq!(hear(&mut receiver, 10, end, at(20)).len(), 1);
}

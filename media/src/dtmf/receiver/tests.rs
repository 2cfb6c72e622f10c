use super::*;

const CLOCK_HZ: u32 = 8000;
const SSRC: u32 = 9;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The packets of one key: three growing ones and three ends (RFC 4733 section 2.5.1.4).
fn press(code: u8) -> [Event; 6] {
    let event = |end, duration| Event { code, end, volume: 10, duration };
    [event(false, 160), event(false, 320), event(false, 480), event(true, 640), event(true, 640), event(true, 640)]
}

fn hear(receiver: &mut EventReceiver, timestamp: u32, event: Event, now: Duration) -> Vec<Turn> {
    hear_at(receiver, CLOCK_HZ, timestamp, &event.to_bytes(), now)
}

fn hear_at(receiver: &mut EventReceiver, clock_hz: u32, timestamp: u32, payload: &[u8], now: Duration) -> Vec<Turn> {
    let mut turns = Vec::new();
    receiver.packet((SSRC, timestamp), payload, clock_hz, now, |turn| turns.push(turn));
    turns
}

fn timeout(receiver: &mut EventReceiver, now: Duration) -> Vec<Turn> {
    let mut turns = Vec::new();
    receiver.timeout(now, |turn| turns.push(turn));
    turns
}

fn down(digit: char) -> Turn {
    Turn::Down(Key::of_digit(digit).unwrap())
}

fn up(digit: char, duration_ms: u32) -> Turn {
    Turn::Up { key: Key::of_digit(digit).unwrap(), duration_ms }
}

#[test]
fn every_event_reads_back_from_its_bytes() {
    for code in 0..=255 {
        let event = Event { code, end: code % 2 == 0, volume: 63, duration: 800 };
        assert_eq!(Event::parse(&event.to_bytes()), Some(event));
    }
    assert_eq!(Event::parse(&[1, 2, 3]), None);
}

#[test]
fn a_key_is_told_once_whatever_single_packet_is_lost() {
    for lost in 0..6 {
        let mut receiver = EventReceiver::default();
        let mut heard = Vec::new();
        for (n, event) in press(5).into_iter().enumerate().filter(|(n, _)| *n != lost) {
            heard.extend(hear(&mut receiver, 1000, event, at(20 * n as u64)));
        }
        assert_eq!(heard, [down('5'), up('5', 80)], "lost {lost}");
        assert_eq!(timeout(&mut receiver, at(10_000)), []);
    }
}

#[test]
fn keys_are_told_once_each_whatever_half_of_their_packets_is_lost_reordered_and_doubled() {
    // Every pattern of losses in which something of each key comes, with each packet doubled and neighbours swapped.
    for kept in 1u32..64 {
        let mut receiver = EventReceiver::default();
        let mut heard = Vec::new();
        for (n, code) in [3, 3, 11].into_iter().enumerate() {
            let begins = 1000 * (n as u32 + 1);
            let mut packets: Vec<Event> = press(code)
                .into_iter()
                .enumerate()
                .filter(|(n, _)| kept & 1 << n != 0)
                .map(|(_, event)| event)
                .collect();
            packets.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
            for (at_packet, event) in packets.iter().flat_map(|event| [event, event]).enumerate() {
                heard.extend(hear(&mut receiver, begins, *event, at(500 * n as u64 + 10 * at_packet as u64)));
            }
        }
        heard.extend(timeout(&mut receiver, at(5000)));
        let keys: Vec<Turn> = heard.iter().copied().filter(|turn| matches!(turn, Turn::Down(_))).collect();
        assert_eq!(keys, [down('3'), down('3'), down('#')], "kept {kept:b}");
        assert_eq!(heard.len(), 6, "kept {kept:b}");
    }
}

#[test]
fn a_key_without_end_is_told_by_the_next_key_or_by_the_time_out() {
    let mut receiver = EventReceiver::default();
    let [first, second, ..] = press(1);
    assert_eq!(hear(&mut receiver, 1000, first, at(0)), [down('1')]);
    assert_eq!(hear(&mut receiver, 1000, second, at(20)), []);
    assert_eq!(hear(&mut receiver, 5000, press(2)[0], at(500)), [up('1', 40), down('2')]);
    assert_eq!(timeout(&mut receiver, at(600)), []);
    assert_eq!(timeout(&mut receiver, at(700)), [up('2', 20)]);
    assert!(!receiver.is_pressed());
}

#[test]
fn reordered_and_repeated_packets_of_an_old_key_do_not_press_it_again() {
    let mut receiver = EventReceiver::default();
    let [start, .., end] = press(7);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, end, at(0)).len(), 2);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, start, at(5)), []);
    assert_eq!(hear(&mut receiver, 10, start, at(10)), [down('7')]);
    assert_eq!(hear(&mut receiver, u32::MAX - 5, end, at(15)), []);
    assert_eq!(hear(&mut receiver, 10, end, at(20)).len(), 1);
}

#[test]
fn a_key_that_is_longer_than_its_field_is_one_key_at_any_clock() {
    for (clock_hz, step) in [(8000u32, 160u32), (16_000, 320), (48_000, 960)] {
        for lost_every in [0, 3, 7] {
            let mut receiver = EventReceiver::default();
            let mut heard = Vec::new();
            let (mut begins, mut duration) = (u32::MAX - 40_000, 0);
            for n in 1..=1000u32 {
                duration += step;
                let mut packets = Vec::new();
                if duration > 0xffff {
                    // The segment that is full, three times, so that its end gets through.
                    packets.extend([(begins, 0xffff, false); 3]);
                    begins = begins.wrapping_add(0xffff);
                    duration -= 0xffff;
                }
                packets.push((begins, duration, false));
                if n == 1000 {
                    packets.extend([(begins, duration, true); 3]);
                }
                for (at_packet, (timestamp, duration, end)) in packets.into_iter().enumerate() {
                    let event = Event { code: 8, end, volume: 7, duration: u16::try_from(duration).unwrap() };
                    if lost_every == 0 || !(n as usize + at_packet).is_multiple_of(lost_every) {
                        let bytes = event.to_bytes();
                        heard.extend(hear_at(&mut receiver, clock_hz, timestamp, &bytes, at(20 * u64::from(n))));
                    }
                }
            }
            assert_eq!(heard, [down('8'), up('8', 20_000)], "{clock_hz} Hz, lost every {lost_every}");
        }
    }
}

#[test]
fn several_events_of_a_packet_are_told_each_once_however_often_it_comes() {
    let mut receiver = EventReceiver::default();
    let events = [(4, 400), (2, 800)].map(|(code, duration)| Event { code, end: true, volume: 7, duration }.to_bytes());
    let mut payload = events.concat();
    payload.extend(Event { code: 0, end: false, volume: 7, duration: 160 }.to_bytes());
    payload.push(9); // half an event is none
    let first = hear_at(&mut receiver, 8000, 100, &payload, at(0));
    assert_eq!(first, [down('4'), up('4', 50), down('2'), up('2', 100), down('0')]);
    assert_eq!(hear_at(&mut receiver, 8000, 100, &payload, at(10)), []);
    let last = Event { code: 0, end: true, volume: 7, duration: 320 };
    assert_eq!(hear(&mut receiver, 100 + 1200, last, at(20)), [up('0', 40)]);
}

#[test]
fn the_clock_of_the_events_tells_how_long_a_key_was() {
    for (clock_hz, duration) in [(8000, 800), (16_000, 1600), (48_000, 4800)] {
        let mut receiver = EventReceiver::default();
        let event = Event { code: 13, end: true, volume: 7, duration };
        assert_eq!(hear_at(&mut receiver, clock_hz, 5, &event.to_bytes(), at(0)), [down('B'), up('B', 100)]);
    }
}

#[test]
fn keys_of_another_source_are_heard_whatever_its_clock_says() {
    let mut receiver = EventReceiver::default();
    let [first, .., end] = press(1);
    assert_eq!(hear(&mut receiver, 4_000_000_000, end, at(0)).len(), 2);
    assert_eq!(hear(&mut receiver, 4_000_009_000, first, at(100)), [down('1')]);
    let mut turns = Vec::new();
    receiver.packet((SSRC + 1, 3_000_000_000), &end.to_bytes(), CLOCK_HZ, at(200), |turn| turns.push(turn));
    assert_eq!(turns, [up('1', 20), down('1'), up('1', 80)]);
}

#[test]
fn events_that_are_no_keys_are_not_told() {
    let mut receiver = EventReceiver::default();
    // The answer tone of a fax machine (RFC 4734).
    let answer_tone = Event { code: 32, end: true, volume: 7, duration: 800 };
    assert_eq!(hear(&mut receiver, 100, answer_tone, at(0)), []);
    assert_eq!(hear(&mut receiver, 2000, press(9)[5], at(10)).len(), 2);
}

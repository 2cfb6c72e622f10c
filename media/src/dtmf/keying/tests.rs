use super::super::{Detector, EventReceiver};
use super::*;
use std::time::Duration;

fn key(digit: char) -> Key {
    Key::of_digit(digit).unwrap()
}

fn press(keying: &mut Keying, digit: char, duration_ms: u32) {
    keying.turn(Turn::Down(key(digit)));
    keying.turn(Turn::Up { key: key(digit), duration_ms });
}

/// The reports of all beats until nothing is due, with the beat of each.
fn reports(keying: &mut Keying, clock_hz: u32) -> Vec<(u32, bool, Report)> {
    let mut all = Vec::new();
    for beat in 0.. {
        match keying.beat(Some(clock_hz), &mut [0; 160]) {
            Due::Event(report) => all.push((beat, false, report)),
            Due::Again(report) => all.push((beat, true, report)),
            Due::Tone => panic!("a tone for a side that has events"),
            Due::Sound if keying.is_idle() => break,
            Due::Sound => {}
        }
    }
    all
}

#[test]
fn a_key_grows_by_the_beat_and_its_end_is_sent_three_times() {
    for (clock_hz, step) in [(8000, 160), (16_000, 320), (48_000, 960)] {
        let mut keying = Keying::default();
        press(&mut keying, '5', 70);
        let reports = reports(&mut keying, clock_hz);
        let durations: Vec<u16> = reports.iter().map(|(_, _, report)| report.event.duration).collect();
        let whole = step * 7 / 2;
        assert_eq!(durations, [step, 2 * step, 3 * step, whole, whole, whole]);
        let ends: Vec<bool> = reports.iter().map(|(_, _, report)| report.event.end).collect();
        assert_eq!(ends, [false, false, false, true, true, true]);
        assert_eq!(reports.iter().filter(|(_, _, report)| report.first).count(), 1);
        assert!(reports.iter().all(|(_, _, report)| report.event.code == 5 && report.ahead == 0));
        assert_eq!(reports.iter().filter(|(_, again, _)| *again).count(), 2);
    }
}

#[test]
fn what_is_said_is_heard_again_also_when_a_key_is_held_for_longer_than_its_field_holds() {
    for clock_hz in [8000, 16_000, 48_000] {
        let mut keying = Keying::default();
        press(&mut keying, '1', 20);
        press(&mut keying, '1', 20_000);
        press(&mut keying, '#', 100);
        let mut receiver = EventReceiver::default();
        let (mut heard, mut begins) = (Vec::new(), 0);
        for (beat, again, report) in reports(&mut keying, clock_hz) {
            if report.first && !again {
                begins = beat * clock_hz / 50;
            }
            let timestamp = begins + report.ahead;
            let now = Duration::from_millis(20 * u64::from(beat));
            receiver.packet((1, timestamp), &report.event.to_bytes(), clock_hz, now, |turn| heard.push(turn));
        }
        let pressed = |digit, duration_ms| [Turn::Down(key(digit)), Turn::Up { key: key(digit), duration_ms }];
        assert_eq!(heard, [pressed('1', 60), pressed('1', 20_000), pressed('#', 100)].concat(), "{clock_hz}");
    }
}

#[test]
fn a_key_that_is_held_goes_on_until_it_comes_up() {
    let mut keying = Keying::default();
    keying.turn(Turn::Down(key('9')));
    for _ in 0..50 {
        assert!(matches!(keying.beat(Some(8000), &mut [0; 160]), Due::Event(report) if !report.event.end));
    }
    keying.turn(Turn::Up { key: key('9'), duration_ms: 1010 });
    let Due::Event(last) = keying.beat(Some(8000), &mut [0; 160]) else { panic!("no end") };
    assert_eq!((last.event.end, last.event.duration), (true, 8080));
}

#[test]
fn a_key_that_was_shorter_than_what_was_said_of_it_already_does_not_shrink() {
    let mut keying = Keying::default();
    keying.turn(Turn::Down(key('9')));
    let mut last = 0;
    for _ in 0..7 {
        let Due::Event(report) = keying.beat(Some(8000), &mut [0; 160]) else { panic!("no event") };
        last = report.event.duration;
    }
    keying.turn(Turn::Up { key: key('9'), duration_ms: 100 });
    let Due::Event(end) = keying.beat(Some(8000), &mut [0; 160]) else { panic!("no end") };
    assert_eq!((end.event.end, end.event.duration), (true, last));
}

#[test]
fn tones_are_heard_as_the_keys_that_they_are_with_a_pause_between() {
    let digits = "0123456789*#ABCD!11";
    let mut keying = Keying::default();
    digits.chars().for_each(|digit| press(&mut keying, digit, 60));
    let mut detector = Detector::default();
    let mut heard = String::new();
    while !keying.is_idle() {
        let mut frame = [0; 160];
        assert!(matches!(keying.beat(None, &mut frame), Due::Tone | Due::Sound));
        detector.listen(&frame, |turn| {
            if let Turn::Down(key) = turn {
                heard.push(key.digit());
            }
        });
    }
    // Hook flash has no tone.
    assert_eq!(heard, digits.replace('!', ""));
}

#[test]
fn more_keys_than_anybody_presses_are_not_kept() {
    let mut keying = Keying::default();
    (0..1000).for_each(|_| press(&mut keying, '1', 20));
    let ends = reports(&mut keying, 8000).iter().filter(|(_, again, report)| !again && report.event.end).count();
    assert_eq!(ends, KEYS_MAX);
}

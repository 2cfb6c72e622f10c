use super::super::DualTone;
use super::*;
use crate::codec::g711::Law;
use crate::prompt;
use rand::{Rng, SeedableRng, rngs::StdRng};

const KEYS: &str = "0123456789*#ABCD";

/// A key as somebody sends it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    low_dbm0: f64,
    high_dbm0: f64,
    low_off: f64,
    high_off: f64,
    ms: usize,
}

const GOOD: Sent = Sent { low_dbm0: -10.0, high_dbm0: -8.0, low_off: 0.0, high_off: 0.0, ms: 40 };

fn samples(key: char, sent: Sent) -> Vec<i16> {
    let (low_hz, high_hz) = Key::of_digit(key).unwrap().tone_hz().unwrap();
    let (low, high) = (low_hz * (1.0 + sent.low_off), high_hz * (1.0 + sent.high_off));
    let mut tone = DualTone::of((low, sent.low_dbm0), (high, sent.high_dbm0), RATE_HZ);
    let mut samples = vec![0; sent.ms * 8];
    tone.fill(&mut samples);
    samples
}

fn add_noise(samples: &mut [i16], dbm0: f64, dice: &mut StdRng) {
    // Of numbers spread evenly between -1 and 1 the power is a third, of a sine's a half.
    let peak = PEAK_0_DBM0 * 10f64.powf(dbm0 / 20.0) * 1.5f64.sqrt();
    for sample in samples {
        *sample = crate::tone::to_sample(f64::from(*sample) + peak * dice.random_range(-1.0..1.0));
    }
}

fn turns(samples: &[i16]) -> Vec<Turn> {
    let mut detector = Detector::default();
    let mut turns = Vec::new();
    detector.listen(samples, |turn| turns.push(turn));
    detector.end(|turn| turns.push(turn));
    turns
}

fn keys(samples: &[i16]) -> String {
    let down = |turn: &Turn| if let Turn::Down(key) = turn { Some(key.digit()) } else { None };
    turns(samples).iter().filter_map(down).collect()
}

/// All keys, each after `pause_ms`, beginning at every place of a hop in turn.
fn dialled(sent: Sent, pause_ms: usize) -> Vec<i16> {
    let mut all = vec![0; 800];
    for (n, key) in KEYS.chars().enumerate() {
        all.extend(samples(key, sent));
        all.extend(vec![0; pause_ms * 8 + n * HOP / KEYS.len()]);
    }
    all.extend(vec![0; 800]);
    all
}

#[test]
fn all_keys_of_forty_milliseconds_are_heard_wherever_they_begin() {
    for shift in 0..HOP {
        let mut all = vec![0; shift];
        all.extend(dialled(GOOD, 40));
        assert_eq!(keys(&all), KEYS, "{shift}");
    }
}

#[test]
fn the_same_key_twice_is_two_keys_and_an_interruption_of_ten_milliseconds_is_none() {
    for shift in 0..HOP {
        let tone = samples('5', Sent { ms: 50, ..GOOD });
        let twice = [vec![0; 800 + shift], tone.clone(), vec![0; 320], tone.clone(), vec![0; 800]].concat();
        assert_eq!(keys(&twice), "55", "{shift}");
        let long = samples('5', Sent { ms: 120, ..GOOD });
        let mut interrupted = [vec![0; 800 + shift], long, vec![0; 800]].concat();
        interrupted[800 + shift + 400..800 + shift + 480].fill(0);
        assert_eq!(keys(&interrupted), "5", "{shift}");
    }
}

#[test]
fn a_tone_that_is_too_short_is_no_key() {
    for ms in [5, 10, 20, 23, 24] {
        for shift in 0..HOP {
            let mut all = vec![0; shift];
            all.extend(dialled(Sent { ms, ..GOOD }, 50));
            assert_eq!(keys(&all), "", "{ms} ms at {shift}");
        }
    }
}

#[test]
fn its_length_is_told_to_the_hop() {
    for ms in [40, 60, 100, 250, 1000] {
        let all = [vec![0; 400], samples('7', Sent { ms, ..GOOD }), vec![0; 800]].concat();
        let [_, Turn::Up { key, duration_ms }] = turns(&all)[..] else { panic!("{:?}", turns(&all)) };
        assert_eq!(key.digit(), '7');
        assert!(duration_ms.abs_diff(ms as u32) <= 2 * HOP_MS, "{duration_ms} of {ms}");
    }
}

#[test]
fn frequencies_may_be_off_by_as_much_as_q24_says_and_no_more() {
    for low_off in [-0.015, 0.0, 0.015] {
        for high_off in [-0.015, 0.0, 0.015] {
            assert_eq!(keys(&dialled(Sent { low_off, high_off, ..GOOD }, 40)), KEYS, "{low_off} {high_off}");
        }
    }
    for off in [0.035, 0.045] {
        for (low_off, high_off) in [(off, 0.0), (-off, 0.0), (0.0, off), (0.0, -off), (off, off), (-off, off)] {
            let sent = Sent { low_off, high_off, ms: 100, ..GOOD };
            assert_eq!(keys(&dialled(sent, 60)), "", "{low_off} {high_off}");
        }
    }
}

#[test]
fn one_frequency_may_be_louder_than_the_other_by_as_much_as_q24_says() {
    // The low one by 8 dB, the high one by 4 dB.
    for (low_dbm0, high_dbm0) in [(-6.0, -14.0), (-14.0, -10.0), (-20.0, -28.0), (-28.0, -24.0)] {
        assert_eq!(keys(&dialled(Sent { low_dbm0, high_dbm0, ..GOOD }, 40)), KEYS, "{low_dbm0} {high_dbm0}");
    }
    for (low_dbm0, high_dbm0) in [(-6.0, -18.0), (-18.0, -10.0), (-8.0, -90.0), (-90.0, -8.0)] {
        let sent = Sent { low_dbm0, high_dbm0, ms: 100, ..GOOD };
        assert_eq!(keys(&dialled(sent, 60)), "", "{low_dbm0} {high_dbm0}");
    }
}

#[test]
fn keys_are_heard_from_loud_to_soft_through_either_law_and_not_below() {
    for dbm0 in [0.0, -3.0, -10.0, -20.0, -30.0, -34.0] {
        let all = dialled(Sent { low_dbm0: dbm0, high_dbm0: dbm0, ..GOOD }, 40);
        for law in [Law::Mu, Law::A] {
            let (mut bytes, mut coded) = (vec![0; all.len()], vec![0; all.len()]);
            law.encode(&all, &mut bytes);
            law.decode(&bytes, &mut coded);
            assert_eq!(keys(&coded), KEYS, "{dbm0} {law:?}");
        }
    }
    let faint = Sent { low_dbm0: -42.0, high_dbm0: -42.0, ms: 100, ..GOOD };
    assert_eq!(keys(&dialled(faint, 60)), "");
}

#[test]
fn keys_in_noise_fifteen_decibels_below_them_are_heard_and_noise_alone_is_no_key() {
    let mut dice = StdRng::seed_from_u64(24);
    let (mut right, mut all) = (0, 0);
    for _ in 0..20 {
        let mut said = dialled(Sent { ms: 50, ..GOOD }, 50);
        // Of -10 and -8 dBm0 the sum is -5.9.
        add_noise(&mut said, -5.9 - 15.0, &mut dice);
        let heard = keys(&said);
        right += heard.chars().zip(KEYS.chars()).take_while(|(heard, said)| heard == said).count();
        all += KEYS.len();
    }
    assert_eq!(right, all);
    let mut noise = vec![0; 8000 * 120];
    add_noise(&mut noise, -15.0, &mut dice);
    assert_eq!(keys(&noise), "");
}

#[test]
fn a_key_is_suspected_before_it_leaks_and_silence_is_not() {
    let mut detector = Detector::default();
    detector.listen(&[0; 800], |_| panic!("a key in silence"));
    assert!(!detector.suspects());
    let mut leaked = 0;
    for frame in samples('3', Sent { ms: 100, ..GOOD }).chunks(8) {
        detector.listen(frame, |_| ());
        leaked += usize::from(!detector.suspects());
    }
    // In milliseconds; Q.24 lets no receiver take a tone of 24 ms for a key.
    assert!(leaked < 24, "{leaked}");
    for _ in 0..40 {
        detector.listen(&[0; 8], |_| ());
    }
    assert!(!detector.suspects());
}

#[test]
fn a_lost_packet_inside_of_a_long_key_makes_no_second_one() {
    let tone = samples('8', Sent { ms: 400, ..GOOD });
    let mut detector = Detector::default();
    let mut heard = Vec::new();
    for (n, packet) in tone.chunks(160).enumerate() {
        if n % 5 == 3 {
            detector.gap();
        } else {
            detector.listen(packet, |turn| heard.push(turn));
        }
    }
    detector.listen(&[0; 800], |turn| heard.push(turn));
    assert_eq!(heard.len(), 2, "{heard:?}");
}

/// Sound at another speed and pitch.
fn sped(samples: &[i16], speed: f64) -> Vec<i16> {
    let count = (samples.len() as f64 / speed) as usize - 2;
    let at = |n: usize| f64::from(samples[n]);
    (0..count)
        .map(|n| {
            let place = n as f64 * speed;
            let (whole, part) = (place as usize, place.fract());
            (at(whole) * (1.0 - part) + at(whole + 1) * part) as i16
        })
        .collect()
}

/// All that the switch says: the words of both languages, numbers and dates read out, and the announcement.
fn speech() -> Vec<i16> {
    let mut all: Vec<i16> = prompt::announcement().samples().to_vec();
    for bytes in [&include_bytes!("../../prompt/shipped/en.ulaw")[..], include_bytes!("../../prompt/shipped/it.ulaw")] {
        all.extend(bytes.iter().map(|byte| Law::Mu.decode_byte(*byte)));
    }
    all
}

#[test]
fn no_key_is_heard_in_hours_of_speech_and_music_at_any_speed_and_level() {
    let music = prompt::music_on_hold();
    let said = speech();
    let (mut seconds, mut hits, mut muted) = (0.0, String::new(), 0);
    for source in [&said[..], music.samples()] {
        for speed in [0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5] {
            for gain in [1.0, 0.25, 2.0] {
                let played: Vec<i16> =
                    sped(source, speed).iter().map(|s| crate::tone::to_sample(f64::from(*s) * gain)).collect();
                let mut detector = Detector::default();
                for frame in played.chunks(160) {
                    detector.listen(frame, |turn| {
                        if let Turn::Down(key) = turn {
                            hits.push(key.digit());
                        }
                    });
                    muted += usize::from(detector.suspects());
                }
                seconds += played.len() as f64 / f64::from(RATE_HZ);
            }
        }
    }
    // Voices over voices, and voices over music.
    for shift in [3_000, 77_777, 200_000] {
        let over = said.iter().zip(said[shift..].iter().chain(music.samples().iter().cycle()));
        let mixed: Vec<i16> = over.map(|(one, other)| one.saturating_add(*other)).collect();
        hits += &keys(&mixed);
        seconds += mixed.len() as f64 / f64::from(RATE_HZ);
    }
    println!("{:.1} minutes: {} hits ({hits}), {muted} frames of 20 ms muted", seconds / 60.0, hits.len());
    assert!(seconds > 5400.0, "{seconds}");
    assert_eq!(hits, "");
    // A frame that is muted for nothing in ten minutes is not heard.
    assert!((muted as f64) < seconds / 600.0, "{muted}");
}

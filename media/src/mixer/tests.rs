use super::*;
use crate::tone::{Sine, measure};
use proptest::prelude::*;

struct Party {
    seat: Seat,
    sine: Sine,
    hz: f64,
    heard: Vec<i16>,
}

/// A room of people, each of whom whistles its own tone.
struct Gathering {
    room: Room,
    rate_hz: u32,
    parties: Vec<Party>,
}

impl Gathering {
    fn new(rate_hz: u32, talkers_max: usize) -> Gathering {
        let room = Room::new(RoomSpec { rate_hz, participants_max: 64, talkers_max });
        Gathering { room, rate_hz, parties: Vec::new() }
    }

    fn join(&mut self, hz: f64, dbm0: f64) -> Seat {
        let seat = self.room.join().unwrap();
        self.parties.push(Party { seat, sine: Sine::new(hz, dbm0, self.rate_hz), hz, heard: Vec::new() });
        seat
    }

    /// So many turns; what was heard before is forgotten.
    fn turns(&mut self, turns: usize) -> Vec<i16> {
        let mut mix = Vec::new();
        self.parties.iter_mut().for_each(|party| party.heard.clear());
        for _ in 0..turns {
            for party in &mut self.parties {
                party.sine.fill(self.room.frame(party.seat).unwrap());
            }
            self.room.turn();
            for party in &mut self.parties {
                let heard = self.room.heard(party.seat);
                party.heard.extend_from_slice(self.room.listen(heard));
            }
            mix.extend_from_slice(self.room.mix());
        }
        mix
    }

    fn level(&self, listener: usize, talker: usize) -> f64 {
        let hz = self.parties[talker].hz;
        level_at(&self.parties[listener].heard, hz, self.rate_hz)
    }
}

/// Level of one frequency in a sound, dBm0, over its last 8000 samples at most.
fn level_at(samples: &[i16], hz: f64, rate_hz: u32) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    let samples = &samples[samples.len().saturating_sub(8000)..];
    for (n, sample) in samples.iter().enumerate() {
        let window = 1.0 - (std::f64::consts::TAU * (n as f64 + 0.5) / samples.len() as f64).cos();
        let phase = std::f64::consts::TAU * hz * n as f64 / f64::from(rate_hz);
        re += f64::from(*sample) * window * phase.cos();
        im += f64::from(*sample) * window * phase.sin();
    }
    let peak = 2.0 * (re * re + im * im).sqrt() / samples.len() as f64;
    20.0 * (peak.max(1e-3) / crate::tone::PEAK_0_DBM0).log10()
}

#[test]
fn each_hears_all_others_at_their_level_and_never_itself() {
    for rate_hz in [8000, 16_000, 48_000] {
        let mut gathering = Gathering::new(rate_hz, 8);
        for n in 0..6 {
            gathering.join(400.0 + 300.0 * f64::from(n), -25.0);
        }
        gathering.turns(10);
        gathering.turns(50);
        for listener in 0..6 {
            for talker in 0..6 {
                let level = gathering.level(listener, talker);
                if listener == talker {
                    assert!(level < -75.0, "{rate_hz}: {listener} hears itself at {level}");
                } else {
                    assert!((level + 25.0).abs() < 0.2, "{rate_hz}: {listener} hears {talker} at {level}");
                }
            }
        }
    }
}

#[test]
fn two_alone_hear_each_other_bit_by_bit() {
    let mut gathering = Gathering::new(16_000, 3);
    gathering.join(500.0, -12.0);
    gathering.join(900.0, -12.0);
    gathering.turns(5);
    let mut ahead = gathering.parties[1].sine;
    gathering.turns(10);
    let mut said = vec![0; 3200];
    ahead.fill(&mut said);
    assert_eq!(gathering.parties[0].heard, said);
}

#[test]
fn gain_is_what_it_says_in_db_and_moves_nobody_else() {
    let mut gathering = Gathering::new(16_000, 8);
    let seats: Vec<Seat> = (0..3).map(|n| gathering.join(500.0 + 400.0 * f64::from(n), -30.0)).collect();
    for db in [-12.0f32, -3.0, 6.0, 12.0] {
        gathering.room.set_gain(seats[1], db);
        gathering.turns(10);
        gathering.turns(50);
        assert!((gathering.level(0, 1) - (-30.0 + f64::from(db))).abs() < 0.2, "{db}: {}", gathering.level(0, 1));
        assert!((gathering.level(0, 2) + 30.0).abs() < 0.2);
    }
    gathering.room.set_gain(seats[1], f32::NAN);
    gathering.turns(60);
    assert!((gathering.level(0, 1) + 30.0).abs() < 0.2);
}

#[test]
fn a_muted_participant_hears_and_is_not_heard() {
    let mut gathering = Gathering::new(16_000, 8);
    let seats: Vec<Seat> = (0..3).map(|n| gathering.join(500.0 + 400.0 * f64::from(n), -20.0)).collect();
    gathering.room.set_mute(seats[0], true);
    gathering.turns(10);
    gathering.turns(50);
    assert!(gathering.level(1, 0) < -80.0 && (gathering.level(0, 1) + 20.0).abs() < 0.2);
    assert_eq!(gathering.room.heard(seats[0]), Heard::All);
    gathering.room.set_mute(seats[0], false);
    gathering.turns(60);
    assert!((gathering.level(1, 0) + 20.0).abs() < 0.2);
}

#[test]
fn of_many_the_loudest_are_heard_and_all_others_hear_the_same() {
    let mut gathering = Gathering::new(16_000, 3);
    for n in 0..20 {
        gathering.join(300.0 + 150.0 * f64::from(n), if n < 17 { -40.0 } else { -25.0 });
    }
    gathering.turns(200);
    gathering.turns(50);
    for talker in 0..20 {
        let level = gathering.level(0, talker);
        assert_eq!(level > -60.0, talker >= 17, "{talker} at {level}");
    }
    let heard: Vec<Heard> = gathering.parties.iter().map(|party| gathering.room.heard(party.seat)).collect();
    assert_eq!(heard.iter().filter(|heard| **heard == Heard::All).count(), 17);
}

#[test]
fn one_who_is_hardly_louder_takes_nobodys_place_and_one_who_is_does() {
    let mut gathering = Gathering::new(16_000, 1);
    gathering.join(500.0, -20.0);
    gathering.turns(50);
    gathering.join(900.0, -18.5);
    gathering.turns(100);
    let listener = gathering.join(1300.0, -70.0);
    gathering.turns(50);
    assert!(gathering.level(2, 0) > -21.0 && gathering.level(2, 1) < -70.0);
    gathering.parties[1].sine = Sine::new(900.0, -15.0, 16_000);
    gathering.turns(20);
    gathering.turns(50);
    assert!(gathering.level(2, 0) < -70.0 && gathering.level(2, 1) > -16.0);
    assert!(!gathering.room.figures(listener).talking);
}

#[test]
fn two_who_are_equally_loud_do_not_take_turns() {
    let mut gathering = Gathering::new(8000, 1);
    gathering.join(500.0, -20.0);
    gathering.join(500.0, -20.0);
    gathering.turns(20);
    let mut changes = 0;
    let mut before = gathering.room.figures(gathering.parties[0].seat).talking;
    for turn in 0..500 {
        // Both swell and fade, one when the other does not.
        for (at, party) in gathering.parties.iter_mut().enumerate() {
            let swell = if (turn / 7 + at) % 2 == 0 { 1.0 } else { -1.0 };
            party.sine = Sine::new(500.0, -20.0 + swell, 8000);
        }
        gathering.turns(1);
        let now = gathering.room.figures(gathering.parties[0].seat).talking;
        changes += usize::from(now != before);
        before = now;
    }
    assert_eq!(changes, 0);
}

#[test]
fn many_loud_ones_are_made_softer_and_not_cut_off() {
    let mut gathering = Gathering::new(16_000, 8);
    for n in 0..6 {
        gathering.join(437.0 + 311.0 * f64::from(n), -6.0);
    }
    gathering.turns(50);
    let mix = gathering.turns(60);
    assert!(mix.iter().all(|sample| sample.unsigned_abs() < 32_767));
    let levels: Vec<f64> = (0..6).map(|n| level_at(&mix, gathering.parties[n].hz, 16_000)).collect();
    let total: f64 = levels.iter().map(|level| 10f64.powf(level / 10.0)).sum();
    let all = mean_square(&mix[mix.len() - 8000..]);
    let distortion = f64::from(dbm0(all)) - 10.0 * total.log10();
    assert!(distortion < 0.3, "{distortion} dB beside the tones, {levels:?}");
    assert!(levels.iter().all(|level| (level - levels[0]).abs() < 0.5), "{levels:?}");
}

#[test]
fn who_comes_and_goes_does_so_without_a_click() {
    let mut gathering = Gathering::new(16_000, 2);
    gathering.join(300.0, -10.0);
    gathering.join(310.0, -70.0);
    let mut mix = gathering.turns(40);
    gathering.room.set_mute(gathering.parties[0].seat, true);
    mix.extend(gathering.turns(40));
    gathering.room.set_mute(gathering.parties[0].seat, false);
    mix.extend(gathering.turns(40));
    let steepest = std::f64::consts::TAU * 300.0 / 16_000.0 * crate::tone::PEAK_0_DBM0 * 10f64.powf(-0.5);
    let step = mix.windows(2).map(|pair| (f64::from(pair[0]) - f64::from(pair[1])).abs()).fold(0.0, f64::max);
    assert!(step < steepest * 1.1, "{step} for {steepest}");
}

#[test]
fn a_talker_without_a_packet_is_silent_for_that_turn_and_then_goes_on() {
    let mut room = Room::new(RoomSpec { rate_hz: 8000, participants_max: 2, talkers_max: 2 });
    let (one, other) = (room.join().unwrap(), room.join().unwrap());
    let mut sine = Sine::new(1000.0, -10.0, 8000);
    for turn in 0..20 {
        if turn != 10 {
            sine.fill(room.frame(one).unwrap());
        }
        room.turn();
        let quiet = room.listen(Heard::All).iter().all(|sample| *sample == 0);
        assert_eq!(quiet, turn == 10, "{turn}");
        assert_eq!(room.heard(other), Heard::All);
    }
}

#[test]
fn a_full_room_has_no_seat_and_a_seat_that_was_left_begins_anew() {
    let mut room = Room::new(RoomSpec { rate_hz: 8000, participants_max: 2, talkers_max: 2 });
    let (one, _) = (room.join().unwrap(), room.join().unwrap());
    assert_eq!(room.join(), None);
    room.set_mute(one, true);
    room.leave(one);
    room.leave(one);
    assert_eq!(room.participants(), 1);
    let again = room.join().unwrap();
    Sine::new(1000.0, -10.0, 8000).fill(room.frame(again).unwrap());
    room.turn();
    assert!(measure(room.mix(), 8000).is_some());
}

proptest! {
    #[test]
    fn whatever_comes_nobody_hears_itself_and_nothing_overflows(
        frames in proptest::collection::vec(proptest::collection::vec(any::<i16>(), 160), 1..6), gain in -30f32..30.0,
    ) {
        let mut room = Room::new(RoomSpec { rate_hz: 8000, participants_max: 8, talkers_max: 8 });
        let seats: Vec<Seat> = frames.iter().map(|_| room.join().unwrap()).collect();
        seats.iter().for_each(|seat| room.set_gain(*seat, gain));
        for turn in 0..3 {
            for (seat, frame) in seats.iter().zip(&frames) {
                // Only one of them speaks in the end: it must hear nothing.
                if turn < 2 || *seat == seats[0] {
                    room.frame(*seat).unwrap().copy_from_slice(frame);
                }
            }
            room.turn();
            for seat in &seats {
                let heard = room.heard(*seat);
                let _ = room.listen(heard);
            }
        }
        if room.heard(seats[0]) == Heard::AllBut(seats[0]) {
            prop_assert!(room.listen(Heard::AllBut(seats[0])).iter().all(|sample| *sample == 0));
        }
    }
}

#[test]
fn the_room_itself_is_heard_by_all_beside_the_loudest_and_takes_nobodys_seat() {
    let mut gathering = Gathering::new(16_000, 1);
    gathering.join(500.0, -10.0);
    gathering.join(900.0, -70.0);
    let house = gathering.room.house();
    let mut beep = Sine::new(1500.0, -30.0, 16_000);
    let mut heard = vec![Vec::new(); 2];
    for _ in 0..50 {
        beep.fill(gathering.room.frame(house).unwrap());
        gathering.turns(1);
        for (party, heard) in gathering.parties.iter().zip(&mut heard) {
            heard.extend_from_slice(&party.heard);
        }
    }
    for heard in &heard {
        assert!((level_at(heard, 1500.0, 16_000) + 30.0).abs() < 0.2);
    }
    assert!(level_at(&heard[1], 500.0, 16_000) > -11.0);
    assert_eq!(gathering.room.participants(), 2);
    gathering.room.leave(house);
    assert!(gathering.room.frame(house).is_some());
}

use super::*;
use crate::codec::{Codec, Payload};
use proptest::prelude::*;

fn pcmu() -> Impairment {
    Impairment::of(&Payload::new(0, Codec::Pcmu, 8000)).unwrap()
}

fn conditions(loss: f64, burst_ratio: f64, delay_ms: f64) -> Conditions {
    Conditions { loss, burst_ratio, delay_ms }
}

/// A pattern as it is drawn: `.` has come, `x` has not.
fn drawn(drawing: &str) -> Losses {
    let mut pattern = LossPattern::default();
    for packet in drawing.chars() {
        if packet == '.' { pattern.received(1) } else { pattern.lost(1) }
    }
    pattern.losses()
}

fn near(one: f64, other: f64, within: f64) -> bool {
    (one - other).abs() <= within
}

#[test]
fn a_clean_call_in_g711_is_rated_93_2_and_4_41() {
    let clean = pcmu().rate(&conditions(0.0, 1.0, 60.0));
    assert!(near(clean.r, 93.2, 1e-9) && near(clean.mos, 4.409, 0.001), "{clean:?}");
}

#[test]
fn mos_of_r_is_what_annex_b_of_g107_tells() {
    // Table B.1: R at the lower limits of user satisfaction.
    for (r, mos) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (0.0, 1.0), (100.0, 4.5)] {
        assert!(near(mos_of(r), mos, 0.01), "{r}: {}", mos_of(r));
    }
    assert_eq!((mos_of(-5.0), mos_of(3.0), mos_of(120.0)), (1.0, 1.0, 4.5));
}

#[test]
fn losses_cost_what_bpl_says() {
    // 25.1 % by chance is half of the worst, by the very meaning of Bpl.
    let half = pcmu().rate(&conditions(0.251, 1.0, 0.0));
    assert!(near(half.r, 93.2 - 95.0 / 2.0, 1e-9), "{half:?}");
    let five = pcmu().rate(&conditions(0.05, 1.0, 0.0));
    assert!(near(five.r, 93.2 - 95.0 * 5.0 / 30.1, 1e-9), "{five:?}");
    // In runs of twice the length: 95 · 5 / (2.5 + 25.1).
    let runs = pcmu().rate(&conditions(0.05, 2.0, 0.0));
    assert!(near(runs.r, 93.2 - 95.0 * 5.0 / 27.6, 1e-9), "{runs:?}");
}

#[test]
fn delay_costs_nothing_up_to_a_tenth_of_a_second_and_25_where_it_is_eight_times_that() {
    assert_eq!(pcmu().rate(&conditions(0.0, 1.0, 100.0)).r, 93.2);
    // X = 3: (1 + 729)^(1/6) − 3 · 2^(1/6) + 2.
    let late = pcmu().rate(&conditions(0.0, 1.0, 800.0)).r;
    let x = 25.0 * (730f64.powf(1.0 / 6.0) - 3.0 * 2f64.powf(1.0 / 6.0) + 2.0);
    assert!(near(late, 93.2 - x, 1e-9), "{late}");
}

#[test]
fn what_is_not_speech_or_not_known_is_not_rated() {
    for codec in [Codec::TelephoneEvent, Codec::ComfortNoise, Codec::Other] {
        assert_eq!(Impairment::of(&Payload::new(101, codec, 8000)), None);
    }
    assert_eq!(Impairment::of(&Payload::from_static(18).unwrap()).map(|g729| g729.ie), Some(11.0));
}

#[test]
fn a_loss_alone_is_of_the_gap_and_two_that_are_near_are_a_burst() {
    let alone = drawn(&format!("{0}x{0}x{0}", ".".repeat(16)));
    assert_eq!((alone.lost, alone.runs, alone.bursts), (2, 2, 0));
    assert!(near(alone.gap_density(), 2.0 / 50.0, 1e-9) && alone.burst_density() == 0.0);

    let near_by = drawn(&format!("{0}x{1}x{0}", ".".repeat(16), ".".repeat(15)));
    assert_eq!((near_by.lost, near_by.runs, near_by.bursts), (2, 2, 1));
    assert_eq!((near_by.burst_packets, near_by.burst_lost), (17, 2));
    assert!(near(near_by.burst_density(), 2.0 / 17.0, 1e-9) && near_by.gap_density() == 0.0);
    assert!(near(near_by.burst_length(), 17.0, 1e-9) && near(near_by.gap_length(), 16.0, 1e-9));
}

#[test]
fn the_burst_ratio_is_one_for_losses_one_by_one_and_grows_with_their_runs() {
    let single = drawn(&format!("{}x", ".".repeat(19)).repeat(50));
    assert_eq!((single.lost, single.runs, single.burst_ratio()), (50, 50, 1.0));
    let fours = drawn(&format!("{}xxxx", ".".repeat(76)).repeat(50));
    assert_eq!((fours.lost, fours.runs, fours.bursts), (200, 50, 50));
    assert!(near(fours.burst_ratio(), 4.0 * 0.95, 1e-9));
    assert_eq!(Losses::default().burst_ratio(), 1.0);
}

/// The same, found by looking at the whole drawing.
fn looked_at(packets: &[bool]) -> Losses {
    let at: Vec<usize> = (0..packets.len()).filter(|n| !packets[*n]).collect();
    let mut found = Losses { expected: packets.len() as u64, lost: at.len() as u64, ..Losses::default() };
    for (n, place) in at.iter().enumerate() {
        found.runs += u64::from(n == 0 || at[n - 1] + 1 != *place);
    }
    let gmin = usize::try_from(GMIN).unwrap();
    for cluster in at.chunk_by(|one, other| other - one <= gmin) {
        if let [first, .., last] = cluster {
            found.bursts += 1;
            found.burst_packets += (last - first + 1) as u64;
            found.burst_lost += cluster.len() as u64;
        }
    }
    found
}

proptest! {
    #[test]
    fn the_pattern_is_what_a_look_at_all_packets_finds(
        stretches in prop::collection::vec((0usize..40, 0usize..4), 0..40),
        window in any::<u64>(),
        places in 0u8..=64,
    ) {
        let mut packets = Vec::new();
        let mut pattern = LossPattern::default();
        for (come, gone) in stretches {
            packets.extend([vec![true; come], vec![false; gone]].concat());
            pattern.received(come as u64);
            pattern.lost(gone as u64);
        }
        packets.extend((0..places).rev().map(|place| window >> place & 1 == 1));
        pattern.window(window, places);
        prop_assert_eq!(pattern.losses(), looked_at(&packets));
    }

    #[test]
    fn a_rating_stays_in_its_bounds_and_never_grows_with_loss_bursts_or_delay(
        (loss, more_loss) in (0.0..1.0f64, 0.0..1.0f64),
        (bursts, more_bursts) in (1.0..50.0f64, 0.0..50.0f64),
        (delay, more_delay) in (0.0..3000.0f64, 0.0..3000.0f64),
        ie in 0.0..40.0f64,
        bpl in 4.0..40.0f64,
    ) {
        let codec = Impairment { ie, bpl, lookahead_ms: 0.0 };
        let base = codec.rate(&conditions(loss, bursts, delay));
        for worse in [
            conditions(loss + more_loss, bursts, delay),
            conditions(loss, bursts + more_bursts, delay),
            conditions(loss, bursts, delay + more_delay),
        ] {
            let worse = codec.rate(&worse);
            prop_assert!(worse.r <= base.r + 1e-9 && worse.mos <= base.mos + 1e-9, "{base:?} {worse:?}");
        }
        prop_assert!((0.0..=93.2).contains(&base.r) && (1.0..=4.41).contains(&base.mos), "{base:?}");
    }

    #[test]
    fn the_ratios_stay_in_their_bounds(packets in prop::collection::vec(any::<bool>(), 0..400)) {
        let mut pattern = LossPattern::default();
        for come in &packets {
            if *come { pattern.received(1) } else { pattern.lost(1) }
        }
        let losses = pattern.losses();
        for ratio in [losses.ratio(), losses.burst_density(), losses.gap_density()] {
            prop_assert!((0.0..=1.0).contains(&ratio));
        }
        prop_assert!(losses.burst_ratio() >= 1.0 && losses.burst_density() + 1e-9 >= losses.gap_density() * f64::from(u8::from(losses.bursts > 0)));
    }
}

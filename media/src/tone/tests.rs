use super::*;
use crate::codec::g711::Law;

#[test]
fn a_generated_sine_measures_what_was_asked_for() {
    for (hz, dbm0) in [(1000.0, -10.0), (425.0, -20.0), (2130.7, 0.0), (60.0, -3.0), (3800.0, -35.0)] {
        let mut samples = [0; 4000];
        Sine::new(hz, dbm0, 8000).fill(&mut samples);
        let found = measure(&samples, 8000).unwrap();
        assert!((found.hz - hz).abs() < 0.1, "{found:?} for {hz}");
        assert!((found.dbm0 - dbm0).abs() < 0.05, "{found:?} for {dbm0}");
        assert!(found.purity > 0.99, "{found:?}");
    }
}

#[test]
fn the_digital_milliwatt_of_g711_measures_0_dbm0() {
    // ITU-T G.711 tables 5 and 6: the periodic sequence that defines 1 kHz at 0 dBm0.
    let mu = [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e];
    let a = [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4];
    for (law, sequence) in [(Law::Mu, mu), (Law::A, a)] {
        let samples: Vec<i16> = sequence.iter().cycle().take(4000).map(|byte| law.decode_byte(*byte)).collect();
        let found = measure(&samples, 8000).unwrap();
        assert!((found.hz - 1000.0).abs() < 0.01 && found.dbm0.abs() < 0.1, "{law:?} {found:?}");
    }
}

#[test]
fn blocks_join_without_a_jump_and_skipping_keeps_the_phase() {
    let mut whole = [0; 480];
    Sine::new(777.0, -6.0, 8000).fill(&mut whole);
    let mut parts = [0; 480];
    let mut sine = Sine::new(777.0, -6.0, 8000);
    parts.chunks_mut(160).for_each(|block| sine.fill(block));
    assert_eq!(whole, parts);
    let mut skipping = Sine::new(777.0, -6.0, 8000);
    skipping.skip(320);
    let mut tail = [0; 160];
    skipping.fill(&mut tail);
    assert!(tail.iter().zip(&whole[320..]).all(|(left, right)| (left - right).abs() <= 1));
}

#[test]
fn silence_and_too_little_measure_as_nothing() {
    assert_eq!(measure(&[0; 800], 8000), None);
    assert_eq!(measure(&[100; 10], 8000), None);
}

use super::*;
use crate::tone::{Sine, measure};

/// What the codec makes of the largest alternation that there is, from a reset on: beginnings of the digital test sequences of
/// ITU-T G.722 appendix II, configurations 1 and 2 with the short sequences (T2R2.COD, T3L2.RC1, T3H2.RC0). They lie between
/// the mirror filters, whose place a plain wire takes.
const CODES: &str = "04A004A004A004A004A005A106A308A408A409A509A60BA80BA90DA90DA90EAA0FAC0FAC10AB11AC10AC10AD11ED12AF\
14AE14EE13F012B114B052B054EF16B217F216F355B216F317F415F357B455B259B358F118F117F517F658F219F118F118F455F5\
16F556B61A735AB35AF35BB7187259B3D8F31CB3DAF556B5D6B956B6DAF35AF31EF31BF7D8B1D8B558F11C72";
const LOW: &str = "FFCE0084FE88040EF4D01E78ACAC6C408A9A7DD084E47FFE80007FFE81207F26\
80007FFE82287EF680007F2280E07EFA80007F6480927FAE804C7FCA80DC7F5E80F27EBC80C47FFE81187FFE80F27FC6\
80007FBE80007FFE80207FFE80007FB281007F8A80FC7F1280007F7C80007FFE80767F0880007FFE80487F5280007FFE";
const HIGH: &str = "FFFC0002FFF60006FFEC000CFFE00016FFD0002AFFB8004EFF8C008AFF3A00F4\
FEAE01A4FDC602CEFC4804C6F9CA07FAF5B20D42EEF615B8E4442344D3163904B8D4527EA320666090DE76BE83067FFE\
80007FFE80007FFE80007616823A7FFE80007FFE8000760C800078AA812A7FFE80007FFE830C7FFE808E76DE86867FBE";

fn hex(text: &str, digits: usize) -> Vec<i32> {
    let text: Vec<char> = text.chars().collect();
    text.chunks(digits).map(|word| i32::from_str_radix(&word.iter().collect::<String>(), 16).unwrap()).collect()
}

#[test]
fn the_bands_are_coded_as_the_test_sequences_of_the_recommendation_say() {
    let (mut low, mut high) = (Band::low(), Band::high());
    let codes: Vec<i32> = (0..hex(CODES, 2).len())
        .map(|n| if n % 2 == 0 { -32_768 } else { 32_766 } >> 1)
        .map(|input| high.quantise_high(input) << 6 | low.quantise_low(input))
        .collect();
    assert_eq!(codes, hex(CODES, 2));
}

#[test]
fn the_bands_are_decoded_as_the_test_sequences_of_the_recommendation_say() {
    let (mut low, mut high) = (Band::low(), Band::high());
    let word = |value: i32| (value << 1) & 0xffff;
    let decoded: Vec<(i32, i32)> = hex(CODES, 2)
        .into_iter()
        .map(|code| (word(low.reconstruct_low(code & 0x3f)), word(high.reconstruct_high(code >> 6))))
        .take(hex(LOW, 4).len())
        .collect();
    let expected: Vec<(i32, i32)> = hex(LOW, 4).into_iter().zip(hex(HIGH, 4)).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn tones_of_both_bands_come_back_at_their_level() {
    for (hz, tolerance_db) in [(300.0, 0.1), (1000.0, 0.1), (3000.0, 0.2), (6000.0, 1.0)] {
        let mut samples = [0; 8000];
        Sine::new(hz, -10.0, RATE_HZ).fill(&mut samples);
        let mut bytes = [0; 4000];
        assert_eq!(Encoder::default().encode(&samples, &mut bytes), 4000);
        let mut heard = [0; 8000];
        assert_eq!(Decoder::default().decode(&bytes, &mut heard), 8000);
        let found = measure(&heard[800..], RATE_HZ).unwrap();
        assert!((found.hz - hz).abs() < 0.5 && (found.dbm0 + 10.0).abs() < tolerance_db, "{hz}: {found:?}");
        assert!(found.purity > 0.98, "{hz}: {found:?}");
    }
}

#[test]
fn blocks_of_any_length_code_as_one() {
    let mut samples = [0; 640];
    Sine::new(700.0, -6.0, RATE_HZ).fill(&mut samples);
    let mut whole = [0; 320];
    Encoder::default().encode(&samples, &mut whole);
    let mut encoder = Encoder::default();
    let parts: Vec<u8> = samples
        .chunks(46)
        .flat_map(|block| {
            let mut bytes = [0; 23];
            let count = encoder.encode(block, &mut bytes);
            bytes[..count].to_vec()
        })
        .collect();
    assert_eq!(whole[..], parts[..]);
}

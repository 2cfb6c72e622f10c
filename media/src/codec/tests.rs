use super::g711::{A_SILENCE, Law, MU_SILENCE};
use super::*;

/// Magnitude of the quantisation step around `magnitude`, in 16-bit units (G.711 tables 1a and 2a).
fn step(law: Law, magnitude: i32) -> i32 {
    match law {
        Law::Mu => {
            let mut segment = 0;
            while segment < 7 && magnitude + 132 >= 256 << segment {
                segment += 1;
            }
            8 << segment
        }
        Law::A => {
            let mut segment = 1;
            while segment < 7 && magnitude >= 256 << segment {
                segment += 1;
            }
            16 << (segment - 1)
        }
    }
}

fn encode_one(law: Law, sample: i16) -> u8 {
    let mut out = [0];
    assert_eq!(law.encode(&[sample], &mut out), 1);
    out[0]
}

#[test]
fn a_packet_tells_how_long_it_is() {
    for (payload, ms) in [
        (Payload::new(0, Codec::Pcmu, 8000), 30),
        (Payload::new(9, Codec::G722, 8000), 40),
        (Payload::new(97, Codec::L16, 16_000), 20),
        (Payload::new(111, Codec::Opus, 48_000), 10),
        (Payload::new(111, Codec::Opus, 48_000), 60),
    ] {
        for rate_hz in [8000, 48_000] {
            let mut encoder = Encoder::new(&payload, rate_hz).unwrap();
            let samples = vec![0; (encoder.rate_hz() * ms / 1000) as usize];
            let mut bytes = [0; 1440];
            let length = encoder.encode(&samples, &mut bytes).unwrap();
            assert_eq!(payload.length_us(&bytes[..length]), Some(1000 * ms), "{payload:?}");
        }
    }
    // Two frames of 2.5 ms, and three of 20 ms.
    let opus = Payload::new(111, Codec::Opus, 48_000);
    assert_eq!(opus.length_us(&[16 << 3 | 1, 0, 0]), Some(5_000));
    assert_eq!(opus.length_us(&[1 << 3 | 3, 3]), Some(60_000));
    assert_eq!((opus.length_us(&[]), opus.length_us(&[3])), (None, None));
    assert_eq!(Payload::new(101, Codec::TelephoneEvent, 8000).length_us(&[0; 4]), None);
}

#[test]
fn every_g711_byte_survives_decoding_and_encoding() {
    for byte in 0..=255u8 {
        assert_eq!(encode_one(Law::A, Law::A.decode_byte(byte)), byte);
        // µ-law has two zeros; the negative one comes back as the positive one.
        let expected = if byte == 0x7f { MU_SILENCE } else { byte };
        assert_eq!(encode_one(Law::Mu, Law::Mu.decode_byte(byte)), expected);
    }
}

#[test]
fn every_16_bit_sample_is_quantised_within_half_a_step_by_both_laws() {
    for (law, top) in [(Law::Mu, 32124), (Law::A, 32256)] {
        let mut last = i32::MIN;
        for sample in i16::MIN..=i16::MAX {
            let heard = i32::from(law.decode_byte(encode_one(law, sample)));
            let wanted = i32::from(sample);
            assert!(heard >= last, "{law:?} is not monotonic at {sample}");
            last = heard;
            let error = (heard - wanted.clamp(-top, top)).abs();
            let allowed = step(law, wanted.abs()) / 2;
            assert!(error <= allowed, "{law:?} {sample}: heard {heard}, error {error} > {allowed}");
        }
    }
}

#[test]
fn silence_bytes_are_what_zero_encodes_to() {
    assert_eq!(encode_one(Law::Mu, 0), MU_SILENCE);
    assert_eq!(encode_one(Law::A, 0), A_SILENCE);
}

#[test]
fn the_extreme_bytes_decode_to_the_values_of_the_recommendation() {
    // 8031 of 14 bits and 4032 of 13 bits (G.711 tables 1a and 2a), scaled to 16 bits.
    assert_eq!((Law::Mu.decode_byte(0x80), Law::Mu.decode_byte(0x00)), (8031 * 4, -8031 * 4));
    assert_eq!((Law::A.decode_byte(0xaa), Law::A.decode_byte(0x2a)), (4032 * 8, -4032 * 8));
}

#[test]
fn l16_is_big_endian_and_ignores_an_odd_byte() {
    let mut bytes = [0; 5];
    assert_eq!(l16::encode(&[0x0102, -2, 3], &mut bytes), 4);
    assert_eq!(bytes, [1, 2, 0xff, 0xfe, 0]);
    let mut samples = [0; 3];
    assert_eq!(l16::decode(&bytes, &mut samples), 2);
    assert_eq!(samples, [0x0102, -2, 0]);
}

#[test]
fn static_payload_types_are_those_of_rfc_3551() {
    assert_eq!(Payload::from_static(0), Some(Payload::new(0, Codec::Pcmu, 8000)));
    assert_eq!(Payload::from_static(8), Some(Payload::new(8, Codec::Pcma, 8000)));
    assert_eq!(static_payload(9).map(|row| (row.name, row.clock_hz)), Some(("G722", 8000)));
    assert_eq!(static_payload(34).map(|row| row.clock_hz), Some(90000));
    for unassigned in [1, 2, 19, 24, 35, 72, 76, 96, 127] {
        assert_eq!(static_payload(unassigned), None);
    }
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::ComfortNoise] {
        assert_eq!(codec.static_type().and_then(static_payload).map(|row| row.codec), Some(codec));
    }
}

#[test]
fn codec_names_ignore_case_and_unknown_names_are_other() {
    assert_eq!(Codec::from_name("pcmu"), Codec::Pcmu);
    assert_eq!(Codec::from_name("OPUS"), Codec::Opus);
    assert_eq!(Codec::from_name("Telephone-Event"), Codec::TelephoneEvent);
    assert_eq!(Codec::from_name("AMR"), Codec::Other);
}

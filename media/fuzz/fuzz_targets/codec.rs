//! Payloads in a row for a decoder of every codec, with losses between them: none panics, and each writes no more samples than
//! there is room for, nor than its longest packet has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::codec::Decoder;
use media::{Codec, Payload};

const PAYLOADS: [(Codec, u32); 7] = [
    (Codec::Pcmu, 8000),
    (Codec::Pcma, 8000),
    (Codec::G722, 8000),
    (Codec::Opus, 48_000),
    (Codec::L16, 8000),
    (Codec::L16, 44_100),
    (Codec::L16, 48_000),
];
const RATES_HZ: [u32; 3] = [8000, 16_000, 48_000];

fuzz_target!(|input: (u8, u8, Vec<Vec<u8>>)| {
    let (codec, rate, payloads) = input;
    let (codec, clock_hz) = PAYLOADS[usize::from(codec) % PAYLOADS.len()];
    let rate_hz = RATES_HZ[usize::from(rate) % RATES_HZ.len()];
    let mut decoder = Decoder::new(&Payload::new(96, codec, clock_hz), rate_hz).expect("a decoder");
    let room = decoder.samples_max();
    let mut samples = vec![0; room];
    for (n, payload) in payloads.iter().take(16).enumerate() {
        if let Ok(count) = decoder.decode(payload, &mut samples) {
            assert!(count <= room);
        }
        // A lost packet of 20 ms, with what comes after it and without.
        let lost = &mut samples[..(decoder.rate_hz() / 50) as usize];
        let next = payloads.get(n + 1).map(Vec::as_slice);
        if n % 3 == 0 {
            let _ = decoder.conceal(next.filter(|_| n % 2 == 0), lost);
        }
        let _ = decoder.decode(payload, &mut samples[..room / 7]);
    }
});

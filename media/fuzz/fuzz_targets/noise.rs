//! Payloads of comfort noise in a row: whatever spectrum they describe, the noise stays noise and does not ring for ever.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::codec::noise::Noise;

fuzz_target!(|payloads: Vec<Vec<u8>>| {
    let mut noise = Noise::from_payload(&[]);
    let mut samples = [0i16; 160];
    for payload in payloads.iter().take(16) {
        noise.update(payload);
        noise.fill(&mut samples);
    }
    // Silence has no spectrum that it could keep up.
    noise.update(&[127]);
    for _ in 0..50 {
        noise.fill(&mut samples);
    }
    assert!(samples.iter().all(|sample| sample.abs() <= 1), "{samples:?}");
});

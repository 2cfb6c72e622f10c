//! Audio for raw RTP: mu-law, a tone to send, and a detector for the tone that comes back.

use std::f64::consts::TAU;

/// Samples in a second of PCMU.
pub const CLOCK_RATE_HZ: u32 = 8_000;

/// Samples, and with PCMU bytes, in a packet of 20 ms.
pub const FRAME_SAMPLES: usize = 160;

/// Added before the segments are cut, so that they begin at powers of two (ITU-T G.711).
const BIAS: i32 = 132;

/// The largest amplitude that mu-law can say.
const CLIP: i32 = 32_635;

/// One sample as mu-law (ITU-T G.711 section 3.2).
pub fn to_mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let segment = magnitude.ilog2() - 7;
    let step = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | (u8::try_from(segment).expect("0 to 7") << 4) | u8::try_from(step).expect("0 to 15"))
}

/// One sample from mu-law.
pub fn from_mu_law(byte: u8) -> i16 {
    let plain = !byte;
    let magnitude = ((i32::from(plain & 0x0f) << 3) + BIAS) << ((plain >> 4) & 7);
    let magnitude = i16::try_from(magnitude - BIAS).expect("at most 32,124");
    if plain & 0x80 == 0 { magnitude } else { -magnitude }
}

/// A steady tone in packets of 20 ms of mu-law.
pub struct Tone {
    hz: f64,
    amplitude: f64,
    sample: u64,
}

impl Tone {
    /// A tone at about -10 dBm0.
    pub fn new(hz: f64) -> Self {
        Self { hz, amplitude: 7_000.0, sample: 0 }
    }

    /// The next 20 ms.
    pub fn frame(&mut self) -> [u8; FRAME_SAMPLES] {
        let mut frame = [0; FRAME_SAMPLES];
        for byte in &mut frame {
            let angle = TAU * self.hz * self.sample as f64 / f64::from(CLOCK_RATE_HZ);
            *byte = to_mu_law((self.amplitude * angle.sin()) as i16);
            self.sample += 1;
        }
        frame
    }
}

/// The share of all power that is at one frequency, from 0 to 1, by Goertzel's method; 0 for silence.
pub fn share_of_tone(samples: &[i16], hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / f64::from(CLOCK_RATE_HZ)).cos();
    let (mut last, mut before, mut power) = (0.0, 0.0, 0.0);
    for &sample in samples {
        let sample = f64::from(sample);
        (last, before) = (sample + turn * last - before, last);
        power += sample * sample;
    }
    if power < samples.len() as f64 {
        return 0.0;
    }
    let found = last * last + before * before - turn * last * before;
    2.0 * found / (power * samples.len() as f64)
}

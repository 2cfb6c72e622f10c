//! G.722 at 64 kbit/s: sub-band ADPCM on sound at 16 kHz (ITU-T G.722), one byte for two samples.
//!
//! A quadrature mirror filter halves the band; each half is predicted, and the error is quantised in 6 and 2 bits. Names in
//! comments are those of the recommendation's blocks (sections 3 and 4). Written here and not taken from a library because
//! those at hand begin in another state than the recommendation's reset; the digital test sequences of its appendix II were
//! run against `Band`.

#[cfg(test)]
mod tests;

/// Samples a second of what goes in and comes out; the RTP clock says 8000 for history's sake (RFC 3551 section 4.5.2).
pub const RATE_HZ: u32 = 16_000;

/// G.722 is overloaded at 9 dBm0 (ITU-T G.722 section 2), where 16-bit samples of this switch are at 3.2 dBm0 as G.711 has it:
/// with the same level in both, G.722 has a bit of headroom.
const HEADROOM_BITS: u32 = 1;

/// Turns samples into bytes. Its state goes on from call to call.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The last 24 samples, oldest first.
    line: [i32; 24],
    low: Band,
    high: Band,
}

/// Turns bytes into samples. Its state goes on from call to call.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The last 12 sums and differences of the bands, oldest first.
    line: [i32; 24],
    low: Band,
    high: Band,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { line: [0; 24], low: Band::low(), high: Band::high() }
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { line: [0; 24], low: Band::low(), high: Band::high() }
    }
}

impl Encoder {
    /// Encodes pairs of samples while both slices hold; returns the bytes written. An odd last sample is ignored.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let mut written = 0;
        for (pair, byte) in samples.chunks_exact(2).zip(out.iter_mut()) {
            let [first, second] = *pair else { break };
            let (even, odd) = push(&mut self.line, i32::from(first), i32::from(second));
            let (low, high) = ((odd + even) >> (14 + HEADROOM_BITS), (odd - even) >> (14 + HEADROOM_BITS));
            *byte = low_byte(self.high.quantise_high(high) << 6 | self.low.quantise_low(low));
            written += 1;
        }
        written
    }
}

impl Decoder {
    /// Decodes as many bytes as `out` has room for, two samples each; returns the samples written.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [i16]) -> usize {
        let mut written = 0;
        for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
            let code = i32::from(*byte);
            let low = self.low.reconstruct_low(code & 0x3f);
            let high = self.high.reconstruct_high(code >> 6);
            let (even, odd) = push(&mut self.line, low + high, low - high);
            pair.copy_from_slice(&[sample(odd >> (11 - HEADROOM_BITS)), sample(even >> (11 - HEADROOM_BITS))]);
            written += 2;
        }
        written
    }
}

/// Moves two values into a filter's line and gives the sums over its even and its odd places (section 3.1, 4.4).
fn push(line: &mut [i32; 24], first: i32, second: i32) -> (i32, i32) {
    line.copy_within(2.., 0);
    let [.., last_but_one, last] = line;
    (*last_but_one, *last) = (first, second);
    let (mut even, mut odd) = (0, 0);
    for ((pair, forward), backward) in line.chunks_exact(2).zip(FILTER).zip(FILTER.iter().rev()) {
        if let [left, right] = *pair {
            even += left * forward;
            odd += right * backward;
        }
    }
    (even, odd)
}

/// One half of the band: an adaptive predictor with two poles and six zeros, and an adaptive step.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// What is predicted (S), and the part of it that comes from the zeros (SZ).
    predicted: i32,
    predicted_by_zeros: i32,
    /// The last two reconstructed signals (RLT), partly reconstructed ones (PLT) and six differences (DLT), newest first.
    reconstructed: [i32; 2],
    partial: [i32; 2],
    differences: [i32; 6],
    /// Coefficients of the poles (A) and zeros (B).
    poles: [i32; 2],
    zeros: [i32; 6],
    /// Logarithmic and linear scale of the quantiser (NB, DET).
    log_scale: i32,
    scale: i32,
}

impl Band {
    /// The lower band after a reset.
    pub(crate) fn low() -> Band {
        Band::with_scale(32)
    }

    /// The higher band after a reset.
    pub(crate) fn high() -> Band {
        Band::with_scale(8)
    }

    fn with_scale(scale: i32) -> Band {
        Band {
            predicted: 0,
            predicted_by_zeros: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            differences: [0; 6],
            poles: [0; 2],
            zeros: [0; 6],
            log_scale: 0,
            scale,
        }
    }

    /// SUBTRA, QUANTL and the adaptation: 6 bits for a sample of the lower band.
    pub(crate) fn quantise_low(&mut self, input: i32) -> i32 {
        let error = clip(input - self.predicted);
        let magnitude = if error >= 0 { error } else { !error };
        let level = LOW_LEVELS.iter().take_while(|level| magnitude >= (**level * self.scale) >> 12).count();
        let level = i32::try_from(level).unwrap_or(0);
        let code = match (error < 0, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        };
        self.adapt_low(code);
        code
    }

    /// SUBTRA, QUANTH and the adaptation: 2 bits for a sample of the higher band.
    pub(crate) fn quantise_high(&mut self, input: i32) -> i32 {
        let error = clip(input - self.predicted);
        let magnitude = if error >= 0 { error } else { !error };
        let outer = magnitude >= (564 * self.scale) >> 12;
        let code = match (error < 0, outer) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt_high(code);
        code
    }

    /// INVQBL, RECONS, LIMIT and the adaptation: a sample of the lower band for 6 bits.
    pub(crate) fn reconstruct_low(&mut self, code: i32) -> i32 {
        let sound = limit(self.predicted + ((self.scale * at(&SIX_BITS, code)) >> 15));
        self.adapt_low(code);
        sound
    }

    /// INVQAH, RECONS, LIMIT and the adaptation: a sample of the higher band for 2 bits.
    pub(crate) fn reconstruct_high(&mut self, code: i32) -> i32 {
        let sound = limit(self.predicted + ((self.scale * at(&TWO_BITS, code)) >> 15));
        self.adapt_high(code);
        sound
    }

    /// INVQAL, LOGSCL, SCALEL and the predictor: both ends follow the four high bits alone.
    fn adapt_low(&mut self, code: i32) {
        let code = code >> 2;
        let difference = (self.scale * at(&FOUR_BITS, code)) >> 15;
        self.rescale(at(&LOW_STEPS, code), 18_432, 8);
        self.predict(difference);
    }

    /// INVQAH, LOGSCH, SCALEH and the predictor.
    fn adapt_high(&mut self, code: i32) {
        let difference = (self.scale * at(&TWO_BITS, code)) >> 15;
        self.rescale(at(&HIGH_STEPS, code), 22_528, 10);
        self.predict(difference);
    }

    fn rescale(&mut self, step: i32, most: i32, octaves: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, most);
        let mantissa = at(&MANTISSAS, (self.log_scale >> 6) & 31);
        let shift = octaves - (self.log_scale >> 11);
        self.scale = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
    }

    /// Block 4 of either band: the predictor takes a difference over and predicts the next sample.
    fn predict(&mut self, difference: i32) {
        let reconstructed = clip(self.predicted + difference);
        let partial = clip(self.predicted_by_zeros + difference);
        let [pole_1, pole_2] = self.poles;
        let [partial_1, partial_2] = self.partial;
        let same_1 = (partial < 0) == (partial_1 < 0);
        let same_2 = (partial < 0) == (partial_2 < 0);
        // UPPOL2
        let turned = clip(pole_1 << 2);
        let turned = if same_1 { (-turned).min(32_767) } else { turned };
        let pole_2 = (if same_2 { 128 } else { -128 }) + (turned >> 7) + ((pole_2 * 32_512) >> 15);
        let pole_2 = pole_2.clamp(-12_288, 12_288);
        // UPPOL1
        let bound = clip(15_360 - pole_2);
        let pole_1 = clip((if same_1 { 192 } else { -192 }) + ((pole_1 * 32_640) >> 15)).clamp(-bound, bound);
        // UPZERO
        let push = if difference == 0 { 0 } else { 128 };
        for (zero, old) in self.zeros.iter_mut().zip(&self.differences) {
            let push = if (*old < 0) == (difference < 0) { push } else { -push };
            *zero = clip(push + ((*zero * 32_640) >> 15));
        }
        // DELAYA
        self.differences.copy_within(..5, 1);
        let [newest, ..] = &mut self.differences;
        *newest = difference;
        let [reconstructed_1, _] = self.reconstructed;
        self.reconstructed = [reconstructed, reconstructed_1];
        self.partial = [partial, partial_1];
        self.poles = [pole_1, pole_2];
        // FILTEP, FILTEZ, PREDIC
        let by_poles = ((pole_1 * clip(reconstructed * 2)) >> 15) + ((pole_2 * clip(reconstructed_1 * 2)) >> 15);
        let by_zeros =
            self.zeros.iter().zip(&self.differences).map(|(zero, old)| (zero * clip(old * 2)) >> 15).sum::<i32>();
        self.predicted_by_zeros = clip(by_zeros);
        self.predicted = clip(clip(by_poles) + self.predicted_by_zeros);
    }
}

/// To 16 bits.
fn clip(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// To 15 bits (LIMIT).
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

fn sample(value: i32) -> i16 {
    i16::try_from(clip(value)).unwrap_or(0)
}

fn low_byte(value: i32) -> u8 {
    let [_, _, _, low] = value.to_be_bytes();
    low
}

fn at<const N: usize>(table: &[i32; N], index: i32) -> i32 {
    usize::try_from(index).ok().and_then(|index| table.get(index)).copied().unwrap_or(0)
}

/// Half of the mirror filter's coefficients (table 11); the other half is the same backwards.
const FILTER: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the lower band, upper ends (table 14).
const LOW_LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// Output levels of the quantisers (tables 15 to 18).
const SIX_BITS: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const FOUR_BITS: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const TWO_BITS: [i32; 4] = [-7408, -1616, 7408, 1616];

/// How the scale moves with a code (tables 19 and 20: W by way of the magnitude's rank).
const LOW_STEPS: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const HIGH_STEPS: [i32; 4] = [798, -214, 798, -214];

/// 2048 times the powers of two by 32nds (table 21).
const MANTISSAS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

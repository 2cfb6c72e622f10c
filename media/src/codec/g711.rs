//! G.711: both laws by table (ITU-T G.711, tables 1a to 2b), on 16-bit linear samples.
//!
//! The 14-bit µ-law and 13-bit A-law values of the recommendation are scaled to 16 bits (times 4 and times 8), so that
//! both laws and L16 share one sample type.

use std::sync::LazyLock;

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law: North America and Japan.
    Mu,
    /// A-law: everywhere else.
    A,
}

/// The µ-law byte of silence.
pub const MU_SILENCE: u8 = 0xff;
/// The A-law byte of silence.
pub const A_SILENCE: u8 = 0xd5;

impl Law {
    /// Encodes as many samples as both slices hold, one byte a sample; returns how many.
    pub fn encode(self, samples: &[i16], out: &mut [u8]) -> usize {
        let table: &[u8] = match self {
            Law::Mu => &MU_ENCODE,
            Law::A => &A_ENCODE,
        };
        for (sample, byte) in samples.iter().zip(out.iter_mut()) {
            let index = usize::from(u16::from_ne_bytes(sample.to_ne_bytes()));
            *byte = table.get(index).copied().unwrap_or(MU_SILENCE);
        }
        samples.len().min(out.len())
    }

    /// Decodes as many bytes as both slices hold, one sample a byte; returns how many.
    pub fn decode(self, bytes: &[u8], out: &mut [i16]) -> usize {
        for (byte, sample) in bytes.iter().zip(out.iter_mut()) {
            *sample = self.decode_byte(*byte);
        }
        bytes.len().min(out.len())
    }

    /// The sample that one byte stands for.
    pub fn decode_byte(self, byte: u8) -> i16 {
        let table = match self {
            Law::Mu => &MU_DECODE,
            Law::A => &A_DECODE,
        };
        table.get(usize::from(byte)).copied().unwrap_or(0)
    }
}

type EncodeTable = Box<[u8]>;

static MU_ENCODE: LazyLock<EncodeTable> = LazyLock::new(|| encode_table(mu_encode));
static A_ENCODE: LazyLock<EncodeTable> = LazyLock::new(|| encode_table(a_encode));
static MU_DECODE: [i16; 256] = decode_table(Law::Mu);
static A_DECODE: [i16; 256] = decode_table(Law::A);

/// One entry for each 16-bit pattern, negative samples in the upper half.
fn encode_table(rule: fn(i16) -> u8) -> EncodeTable {
    (0..=u16::MAX).map(|bits| rule(i16::from_ne_bytes(bits.to_ne_bytes()))).collect()
}

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: an index out of bounds would not build
const fn decode_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = match law {
            Law::Mu => mu_decode(byte),
            Law::A => a_decode(byte),
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// The µ-law bias, 33 in 14 bits: it makes each segment start at a power of two.
const MU_BIAS: i16 = 33 << 2;
/// The largest magnitude that µ-law tells apart, 8158 in 14 bits.
const MU_CLIP: u16 = 8158 << 2;

const fn mu_decode(byte: u8) -> i16 {
    let code = !byte;
    let segment = (code >> 4) & 7;
    let step = (code & 0x0f) as i16;
    let magnitude = (((step << 3) + MU_BIAS) << segment) - MU_BIAS;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

fn mu_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let biased = sample.unsigned_abs().min(MU_CLIP) + MU_BIAS.unsigned_abs();
    // The highest set bit is between 7 and 14: segment 0 to 7.
    let segment = 8 - biased.leading_zeros().min(8);
    !(sign | byte_of(segment << 4) | byte_of(u32::from(biased >> (segment + 3)) & 0x0f))
}

const fn a_decode(byte: u8) -> i16 {
    let code = byte ^ 0x55; // every second bit is inverted on the line
    let segment = (code >> 4) & 7;
    let step = (code & 0x0f) as i16;
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 { magnitude } else { -magnitude }
}

fn a_encode(sample: i16) -> u8 {
    // One's complement for negative samples: zero belongs to the positive side only (G.711 table 1b).
    let (sign, magnitude) = if sample < 0 { (0, !sample) } else { (0x80, sample) };
    let linear = u32::from(magnitude.unsigned_abs() >> 3); // 12 bits
    let segment = 27 - linear.leading_zeros().min(27); // bits 11 to 5 give segments 7 to 1
    let step = (linear >> segment.max(1)) & 0x0f;
    (sign | byte_of(segment << 4) | byte_of(step)) ^ 0x55
}

/// The low byte; the callers' values are below 256.
fn byte_of(value: u32) -> u8 {
    let [_, _, _, low] = value.to_be_bytes();
    low
}

//! Comfort noise: what is heard while the other end says nothing (RFC 3389).

/// Coefficients of a spectrum that are used; a payload may carry more.
const ORDER_MAX: usize = 12;
/// A filter closer to the edge would ring for ever.
const REFLECTION_MAX: f32 = 0.97;

/// A generator of noise with a level and a spectrum.
#[derive(Clone, Debug)]
pub struct Noise {
    gain: f32,
    reflections: [f32; ORDER_MAX],
    order: usize,
    memory: [f32; ORDER_MAX],
    seed: u32,
}

impl Noise {
    /// Noise as a payload describes it: a level in -dBov, then reflection coefficients (RFC 3389 section 3). An empty payload
    /// is silence.
    pub fn from_payload(payload: &[u8]) -> Noise {
        let mut noise =
            Noise { gain: 0.0, reflections: [0.0; ORDER_MAX], order: 0, memory: [0.0; ORDER_MAX], seed: 0x2545_f491 };
        let Some((level, spectrum)) = payload.split_first() else { return noise };
        // 0 dBov is the power of a full square wave; the excitation is weaker than what the filter makes of it.
        let mut power = 10f32.powf(-f32::from(level & 0x7f) / 10.0);
        for (reflection, byte) in noise.reflections.iter_mut().zip(spectrum) {
            *reflection = ((f32::from(*byte) - 127.0) / 128.0).clamp(-REFLECTION_MAX, REFLECTION_MAX);
            power *= 1.0 - *reflection * *reflection;
        }
        noise.order = spectrum.len().min(ORDER_MAX);
        // Of numbers spread evenly between -1 and 1 the power is a third.
        noise.gain = 32_768.0 * (3.0 * power).sqrt();
        noise
    }

    /// Takes over level and spectrum of another description; the noise goes on without a click.
    pub fn update(&mut self, payload: &[u8]) {
        let fresh = Noise::from_payload(payload);
        *self = Noise { memory: self.memory, seed: self.seed, ..fresh };
    }

    /// Writes the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 17;
            self.seed ^= self.seed << 5;
            let [high, low, ..] = self.seed.to_be_bytes();
            let mut forward = self.gain * f32::from(i16::from_be_bytes([high, low])) / 32_768.0;
            // The lattice of an all-pole filter, from its last section to its first; each section's output is what the one
            // after it will remember.
            let mut after: Option<&mut f32> = None;
            for (reflection, memory) in self.reflections.iter().zip(self.memory.iter_mut()).take(self.order).rev() {
                forward -= reflection * *memory;
                let backward = *memory + reflection * forward;
                if let Some(after) = after.replace(memory) {
                    *after = backward;
                }
            }
            if let Some(first) = after {
                *first = forward;
            }
            *sample = crate::tone::to_sample(f64::from(forward));
        }
    }
}

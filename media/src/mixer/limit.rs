//! The limiter: a sum of many is made softer before it would be cut off.

/// What a sum is brought below: 1 dB under full scale.
const CEILING: f32 = 29_204.0;
/// Share of a frame in which the gain goes down to what a peak needs: 2.5 ms.
const ATTACK_SHARE: usize = 8;
/// How much of its way back to one the gain goes in a frame: about 0.4 s for nine tenths of it.
const RELEASE: f32 = 0.11;

/// The gain of one sum.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter { gain: 1.0 }
    }
}

impl Limiter {
    /// Writes a frame of the sum, below full scale. While the sum stays below the ceiling it passes bit by bit.
    #[allow(clippy::cast_possible_truncation)] // clamped to 16 bits before
    pub fn turn(&mut self, sum: &[i32], out: &mut [i16]) {
        let peak = sum.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0) as f32;
        let wanted = if peak > CEILING { CEILING / peak } else { 1.0 };
        if self.gain >= 1.0 && wanted >= 1.0 {
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = (*sum).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            }
            return;
        }
        let from = self.gain;
        let back = 1.0 - (1.0 - from) * (1.0 - RELEASE);
        let to = if back > 0.999 { wanted } else { back.min(wanted) };
        let ramp = if to < from { (out.len() / ATTACK_SHARE).max(1) } else { out.len().max(1) };
        let step = (to - from) / ramp as f32;
        for (n, (out, sum)) in out.iter_mut().zip(sum).enumerate() {
            let gain = if n < ramp { from + step * n as f32 } else { to };
            *out = soft(*sum as f32 * gain) as i16;
        }
        self.gain = to;
    }
}

/// What is still above the ceiling while the gain comes down is bent below full scale instead of cut.
fn soft(value: f32) -> f32 {
    let over = value.abs() - CEILING;
    if over <= 0.0 {
        return value;
    }
    let room = f32::from(i16::MAX) - CEILING;
    (CEILING + room * (over / (over + room))).copysign(value)
}

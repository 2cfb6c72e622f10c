//! Recordings: what the pool can play to a side.
//!
//! Those that ship inside the program lie beside this file as raw µ-law at 8 kHz; `README.md` there says how they were
//! made. They are decoded once, on first use. [`Prompts`] are the spoken words of every language, [`say`] the rules that join
//! them to numbers, dates and sentences.

pub mod say;
mod set;

pub use say::{Language, Say};
pub use set::{BadPrompt, BadPromptWhy, Prompts, read_sound};

use crate::codec::g711::Law;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Sample rate of every recording, in Hz.
pub const RATE_HZ: u32 = 8000;

/// A recording in memory: mono, 16 bits, 8 kHz.
#[derive(Debug, PartialEq, Eq)]
pub struct Audio {
    samples: Box<[i16]>,
}

impl Audio {
    /// Takes samples at 8 kHz.
    pub fn from_samples(samples: Vec<i16>) -> Audio {
        Audio { samples: samples.into() }
    }

    /// Decodes raw µ-law at 8 kHz, one byte a sample.
    pub fn from_mu_law(bytes: &[u8]) -> Audio {
        Audio { samples: bytes.iter().map(|byte| Law::Mu.decode_byte(*byte)).collect() }
    }

    /// The samples, at [`RATE_HZ`].
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// How long it plays.
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.samples.len() as u64 * 1_000_000 / u64::from(RATE_HZ))
    }
}

/// The spoken announcement of the lab.
pub fn announcement() -> Arc<Audio> {
    static AUDIO: LazyLock<Arc<Audio>> =
        LazyLock::new(|| Arc::new(Audio::from_mu_law(include_bytes!("announcement.ulaw"))));
    Arc::clone(&AUDIO)
}

/// Music for those who wait; its end joins its beginning.
pub fn music_on_hold() -> Arc<Audio> {
    static AUDIO: LazyLock<Arc<Audio>> =
        LazyLock::new(|| Arc::new(Audio::from_mu_law(include_bytes!("music-on-hold.ulaw"))));
    Arc::clone(&AUDIO)
}

#[cfg(test)]
mod tests;

//! Conferences: rooms that callers dial into and hear each other in.
//!
//! A number of a [`Plan`] is a conference from its first guest to its last. What it *is* lies in its [`Hall`], which the
//! calls in it, the table of [`Conferences`] and its actor share: a killed actor costs nobody a word. The mixing is the
//! pool's (`media::Room`), on the one worker on which all calls of the conference have their flows.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `hall` | who is in, and how they come and go |
//! | `actor` | what an operator asks for, recordings, the end |
//! | `view` | what others see of it |

mod actor;
mod hall;
mod view;

pub use actor::{Conference, ConferenceMsg, Refusal};
pub(crate) use hall::adopt;
pub use hall::{Conferences, Hall, NoEntry, Seated};
pub use view::{ConferenceView, GuestView};

use media::prompt::Language;
use std::sync::Arc;

/// What all conferences of a range of numbers have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// First number.
    pub first: String,
    /// Last number, of the same length.
    pub last: String,
    /// What it is called.
    pub text: Option<String>,
    /// Sample rate of the mix.
    pub rate_hz: u32,
    /// Guests at once.
    pub participants_max: usize,
    /// Guests that are heard at once.
    pub talkers_max: usize,
    /// Whether it is recorded from its first guest to its last.
    pub record: bool,
    /// Whether its recordings become Ogg Opus when they are over.
    pub packed: bool,
    /// Whether a tone tells who comes and goes.
    pub tones: bool,
    /// Language of its announcements.
    pub language: Language,
}

impl Plan {
    /// Whether a dialled number is one of the plan's.
    pub fn has(&self, number: &str) -> bool {
        number.len() == self.first.len()
            && number.bytes().all(|digit| digit.is_ascii_digit())
            && (self.first.as_str()..=self.last.as_str()).contains(&number)
    }

    fn sounds(&self, prompts: &media::prompt::Prompts) -> media::RoomSounds {
        use media::prompt::Say;
        let tone = |notes: &[f64]| self.tones.then(|| Arc::new(chime(notes)));
        media::RoomSounds {
            alone: Some(prompts.speak(self.language, &[Say::Prompt("conference-alone")])),
            music: Some(media::prompt::music_on_hold()),
            entry: tone(&[523.25, 783.99]),
            exit: tone(&[783.99, 523.25]),
        }
    }
}

/// Short notes behind each other, each fading out.
fn chime(notes: &[f64]) -> media::Audio {
    /// Samples of a note: 140 ms.
    const NOTE: usize = 1120;
    const LEVEL_DBM0: f64 = -22.0;
    let mut samples = Vec::with_capacity(NOTE * notes.len());
    for hz in notes {
        let mut note = vec![0; NOTE];
        media::tone::Sine::new(*hz, LEVEL_DBM0, media::prompt::RATE_HZ).fill(&mut note);
        #[allow(clippy::cast_possible_truncation)] // softer than it was
        let faded = note.iter().zip(0u16..).map(|(sample, at)| {
            let left = 1.0 - f32::from(at) / NOTE as f32;
            (f32::from(*sample) * left) as i16
        });
        samples.extend(faded);
    }
    media::Audio::from_samples(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(first: &str, last: &str) -> Plan {
        Plan {
            first: first.into(),
            last: last.into(),
            text: None,
            rate_hz: 16_000,
            participants_max: 10,
            talkers_max: 4,
            record: false,
            packed: false,
            tones: true,
            language: Language::English,
        }
    }

    #[test]
    fn a_plan_has_the_numbers_of_its_range_and_no_others() {
        let plan = plan("5200", "5299");
        for (number, is) in [("5200", true), ("5250", true), ("5299", true), ("5199", false), ("5300", false)] {
            assert_eq!(plan.has(number), is, "{number}");
        }
        for number in ["525", "52500", "", "52a0", "52#0"] {
            assert!(!plan.has(number), "{number}");
        }
    }

    #[test]
    fn who_comes_and_who_goes_sounds_different_and_silent_without_tones() {
        let prompts = media::prompt::Prompts::shipped();
        let sounds = plan("1", "2").sounds(&prompts);
        let (entry, exit) = (sounds.entry.unwrap(), sounds.exit.unwrap());
        assert!(entry != exit && entry.length() == exit.length());
        let silent = Plan { tones: false, ..plan("1", "2") }.sounds(&prompts);
        assert!(silent.entry.is_none() && silent.exit.is_none() && silent.alone.is_some());
    }
}

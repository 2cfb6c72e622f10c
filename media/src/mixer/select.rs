//! Who is heard: the loudest few of those who make a sound, chosen so that nobody flickers in and out.

use super::{Seat, TALKERS_MAX};
use smallvec::SmallVec;

/// Below this mean square (about -55 dBm0) there is no sound, only the noise of a line.
const SOUND: f32 = 40.0 * 40.0;
/// A sound holds for this many frames after its last one: the pause between two words is not the end of a turn.
const HOLD_FRAMES: u8 = 25;
/// Frames that a new talker keeps its place at least, once it has one.
const KEEP_FRAMES: u8 = 10;
/// How much louder (as power: 3 dB) one must be to take a talker's place.
const LOUDER: f32 = 2.0;
/// How much of the level's distance to a softer frame is gone after it: half of it in a quarter of a second.
const DECAY: f32 = 0.055;

/// The sound of one participant over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talk {
    level: f32,
    hold: u8,
}

impl Talk {
    /// Takes the mean square of a frame.
    pub fn notice(&mut self, mean_square: f32) {
        // Up at once, down slowly: a word is heard from its first frame on.
        self.level =
            if mean_square > self.level { mean_square } else { self.level + (mean_square - self.level) * DECAY };
        self.hold = if mean_square >= SOUND { HOLD_FRAMES } else { self.hold.saturating_sub(1) };
    }

    /// Mean square, smoothed.
    pub fn level(&self) -> f32 {
        self.level
    }

    /// It makes a sound, or did a moment ago.
    pub fn is_sounding(&self) -> bool {
        self.hold > 0
    }
}

/// Who has a place in the mix.
pub struct Selector {
    most: usize,
    places: SmallVec<[(Seat, u8); TALKERS_MAX]>,
}

impl Selector {
    pub fn new(most: usize) -> Selector {
        Selector { most: most.min(TALKERS_MAX), places: SmallVec::new() }
    }

    /// Whether a participant is heard.
    pub fn has(&self, seat: Seat) -> bool {
        self.places.iter().any(|(has, _)| *has == seat)
    }

    /// Gives a place back that its owner has left.
    pub fn forget(&mut self, seat: Seat) {
        self.places.retain(|(has, _)| *has != seat);
    }

    /// Gives the places to the loudest of the `sounding`, in favour of those who have one.
    pub fn turn(&mut self, level: impl Fn(Seat) -> f32, sounding: impl Iterator<Item = Seat> + Clone) {
        self.places.retain(|(has, _)| sounding.clone().any(|seat| seat == *has));
        for (_, kept) in &mut self.places {
            *kept = kept.saturating_add(1);
        }
        for seat in sounding {
            if self.has(seat) {
                continue;
            }
            if self.places.len() < self.most {
                self.places.push((seat, 0));
                continue;
            }
            let softest = self
                .places
                .iter_mut()
                .filter(|(_, kept)| *kept >= KEEP_FRAMES)
                .min_by(|one, other| level(one.0).total_cmp(&level(other.0)));
            if let Some(softest) = softest.filter(|(has, _)| level(seat) > level(*has) * LOUDER) {
                *softest = (seat, 0);
            }
        }
    }
}

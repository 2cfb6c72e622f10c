//! The mixer: what each participant of a room hears of the others. Pure: frames of 20 ms in, frames out.
//!
//! In each turn the pool fills the frames of those who have sound ([`Room::frame`]), turns the room ([`Room::turn`]) and asks
//! what each participant hears ([`Room::heard`], [`Room::listen`]). Of all who make a sound the loudest few are mixed
//! (`select`); a participant hears their sum without itself. So most of a large room hears the very same samples, which
//! [`Heard`] tells: its encoding can be shared. The sum is kept below full scale by a limiter, not by cutting it off.
//!
//! All memory is taken when the room is made; a turn allocates nothing.

mod limit;
mod select;

#[cfg(test)]
mod tests;

use limit::Limiter;
use select::{Selector, Talk};

/// Length of a frame.
pub const FRAME_MS: u32 = 20;
/// Loudest gain of a participant, dB; the softest is its negative.
pub const GAIN_DB_MAX: f32 = 24.0;
/// Participants of a room at most.
pub const PARTICIPANTS_MAX: usize = 1000;
/// Participants that are heard at once at most.
pub const TALKERS_MAX: usize = 32;

/// How a room is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomSpec {
    /// Sample rate of the mix: 8, 16 or 48 kHz.
    pub rate_hz: u32,
    /// Participants that find a seat, up to [`PARTICIPANTS_MAX`].
    pub participants_max: usize,
    /// How many of the loudest are heard, up to [`TALKERS_MAX`].
    pub talkers_max: usize,
}

/// A participant's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seat(u16);

/// Whose sum a participant hears; who has the same, hears the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// All talkers: the participant is none of them.
    All,
    /// All talkers but this one.
    AllBut(Seat),
}

/// What is known of a participant after a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Level of its sound, smoothed, in dBm0; -127 for none.
    pub level_dbm0: f32,
    /// Its sound is in the mix.
    pub talking: bool,
}

/// A room. See the module.
pub struct Room {
    frame_samples: usize,
    chairs: Box<[Chair]>,
    /// Frames of all chairs behind each other.
    frames: Box<[i16]>,
    /// Sum of the talkers.
    sum: Box<[i32]>,
    /// The sum without one talker, and the same below full scale.
    rest: Box<[i32]>,
    out: Box<[i16]>,
    all: Box<[i16]>,
    all_limiter: Limiter,
    selector: Selector,
    taken: usize,
}

#[derive(Clone, Copy, Default)]
struct Chair {
    taken: bool,
    muted: bool,
    /// It takes part in no contest: whatever it says is heard.
    house: bool,
    /// Its frame was filled for this turn.
    fresh: bool,
    /// Factor of its own gain.
    gain: f32,
    /// Factor with which its last frame ended in the sum, and with which this one ends: it is faded in and out.
    faded_from: f32,
    faded_to: f32,
    /// Its frame is in the sum of this turn.
    mixed: bool,
    talk: Talk,
    limiter: Limiter,
}

impl Room {
    /// An empty room.
    pub fn new(spec: RoomSpec) -> Room {
        let participants = spec.participants_max.clamp(1, PARTICIPANTS_MAX);
        let chairs = participants + 1;
        let frame_samples = (spec.rate_hz.clamp(8000, 48_000) / (1000 / FRAME_MS)) as usize;
        let house = Chair { taken: true, house: true, gain: 1.0, ..Chair::default() };
        let empty = vec![Chair::default(); participants];
        Room {
            frame_samples,
            chairs: empty.into_iter().chain([house]).collect(),
            frames: vec![0; chairs * frame_samples].into(),
            sum: vec![0; frame_samples].into(),
            rest: vec![0; frame_samples].into(),
            out: vec![0; frame_samples].into(),
            all: vec![0; frame_samples].into(),
            all_limiter: Limiter::default(),
            selector: Selector::new(spec.talkers_max.clamp(1, TALKERS_MAX)),
            taken: 0,
        }
    }

    /// Samples of a frame.
    pub fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    /// How many are in the room.
    pub fn participants(&self) -> usize {
        self.taken
    }

    /// Takes a seat; `None` when all are taken.
    pub fn join(&mut self) -> Option<Seat> {
        let at = self.chairs.iter().position(|chair| !chair.taken)?;
        *self.chairs.get_mut(at)? = Chair { taken: true, gain: 1.0, ..Chair::default() };
        self.taken += 1;
        u16::try_from(at).ok().map(Seat)
    }

    /// The seat of the room itself, whose tones and announcements all hear beside the loudest. It is no participant.
    pub fn house(&self) -> Seat {
        Seat(u16::try_from(self.chairs.len().saturating_sub(1)).unwrap_or(u16::MAX))
    }

    /// Gives a seat back.
    pub fn leave(&mut self, seat: Seat) {
        if let Some(chair) = self.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.taken && !chair.house) {
            *chair = Chair::default();
            self.selector.forget(seat);
            self.taken -= 1;
        }
    }

    /// Makes a participant louder or softer for all others, within [`GAIN_DB_MAX`] up and down.
    pub fn set_gain(&mut self, seat: Seat, db: f32) {
        if let Some(chair) = self.chair(seat) {
            let db = if db.is_finite() { db.clamp(-GAIN_DB_MAX, GAIN_DB_MAX) } else { 0.0 };
            chair.gain = 10f32.powf(db / 20.0);
        }
    }

    /// A muted participant hears and is not heard.
    pub fn set_mute(&mut self, seat: Seat, muted: bool) {
        if let Some(chair) = self.chair(seat) {
            chair.muted = muted;
        }
    }

    /// The frame of a participant for the coming turn, to be filled whole. Who has no frame in a turn is silent.
    pub fn frame(&mut self, seat: Seat) -> Option<&mut [i16]> {
        let at = usize::from(seat.0);
        let chair = self.chairs.get_mut(at).filter(|chair| chair.taken)?;
        chair.fresh = true;
        self.frames.get_mut(at * self.frame_samples..(at + 1) * self.frame_samples)
    }

    /// Chooses the talkers and mixes them.
    pub fn turn(&mut self) {
        for (chair, frame) in self.chairs.iter_mut().zip(self.frames.chunks_exact(self.frame_samples)) {
            if chair.taken {
                let heard = chair.fresh && !chair.muted;
                chair.talk.notice(if heard { mean_square(frame) * chair.gain * chair.gain } else { 0.0 });
            }
        }
        let level = |seat: Seat| self.chairs.get(usize::from(seat.0)).map_or(0.0, |chair| chair.talk.level());
        self.selector.turn(
            level,
            self.chairs.iter().enumerate().filter_map(|(at, chair)| {
                u16::try_from(at).ok().filter(|_| chair.taken && !chair.house && chair.talk.is_sounding()).map(Seat)
            }),
        );
        self.sum.fill(0);
        let frames = self.frames.chunks_exact(self.frame_samples);
        for ((at, chair), frame) in (0u16..).zip(self.chairs.iter_mut()).zip(frames) {
            let chosen = chair.house || chair.taken && !chair.muted && self.selector.has(Seat(at));
            chair.faded_from = chair.faded_to;
            chair.faded_to = if chosen { chair.gain } else { 0.0 };
            chair.mixed = std::mem::take(&mut chair.fresh) && (chair.faded_from > 0.0 || chair.faded_to > 0.0);
            if chair.mixed {
                add_faded(frame, chair.faded_from, chair.faded_to, &mut self.sum);
            }
        }
        self.all_limiter.turn(&self.sum, &mut self.all);
    }

    /// Whose sum a participant hears after this turn.
    pub fn heard(&self, seat: Seat) -> Heard {
        match self.chairs.get(usize::from(seat.0)) {
            Some(chair) if chair.mixed => Heard::AllBut(seat),
            _ => Heard::All,
        }
    }

    /// The samples of a sum; each [`Heard::AllBut`] is to be asked for once a turn, because its limiter moves on.
    pub fn listen(&mut self, heard: Heard) -> &[i16] {
        let Heard::AllBut(seat) = heard else { return &self.all };
        let at = usize::from(seat.0);
        let frame = self.frames.get(at * self.frame_samples..(at + 1) * self.frame_samples);
        let (Some(chair), Some(frame)) = (self.chairs.get_mut(at).filter(|chair| chair.mixed), frame) else {
            return &self.all;
        };
        let own = Faded::new(chair.faded_from, chair.faded_to, self.frame_samples);
        let rest = self.rest.iter_mut().zip(self.sum.iter());
        rest.zip(own.over(frame)).for_each(|((rest, sum), own)| *rest = sum - own);
        chair.limiter.turn(&self.rest, &mut self.out);
        &self.out
    }

    /// The mix of all talkers, as a recording of the room hears it.
    pub fn mix(&self) -> &[i16] {
        &self.all
    }

    /// What is known of a participant.
    pub fn figures(&self, seat: Seat) -> Figures {
        self.chairs.get(usize::from(seat.0)).map_or_else(Figures::default, |chair| Figures {
            level_dbm0: dbm0(chair.talk.level()),
            talking: chair.faded_to > 0.0,
        })
    }

    fn chair(&mut self, seat: Seat) -> Option<&mut Chair> {
        self.chairs.get_mut(usize::from(seat.0)).filter(|chair| chair.taken)
    }
}

/// A gain that moves from one factor to another over a frame, so that nobody appears or goes with a click.
#[derive(Clone, Copy)]
struct Faded {
    from: f32,
    step: f32,
}

impl Faded {
    fn new(from: f32, to: f32, samples: usize) -> Faded {
        Faded { from, step: (to - from) / samples.max(1) as f32 }
    }

    #[allow(clippy::cast_possible_truncation)] // 16 bits by at most GAIN_DB_MAX: 20 bits
    fn over(self, frame: &[i16]) -> impl Iterator<Item = i32> + '_ {
        frame
            .iter()
            .enumerate()
            .map(move |(n, sample)| (f32::from(*sample) * (self.from + self.step * n as f32)) as i32)
    }
}

/// Adds a frame to the sum. The same rounding as [`Room::listen`] takes away: a talker is cancelled to the last bit.
fn add_faded(frame: &[i16], from: f32, to: f32, sum: &mut [i32]) {
    let faded = Faded::new(from, to, sum.len());
    sum.iter_mut().zip(faded.over(frame)).for_each(|(sum, part)| *sum += part);
}

/// Mean of the squared samples.
fn mean_square(frame: &[i16]) -> f32 {
    let power: f32 = frame.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
    power / frame.len().max(1) as f32
}

/// A mean square as a level; a sine of peak [`crate::tone::PEAK_0_DBM0`] is 0 dBm0.
#[allow(clippy::cast_possible_truncation)] // a level in dB
fn dbm0(mean_square: f32) -> f32 {
    let full = crate::tone::PEAK_0_DBM0 * crate::tone::PEAK_0_DBM0 / 2.0;
    let level = 10.0 * (f64::from(mean_square) / full).log10();
    level.max(-127.0) as f32
}

//! Keys on their way to somebody who has agreed to another form of them than they came in.

use super::{DualTone, Event, Key, Turn};
use smallvec::SmallVec;

/// Keys that wait at most; a further one is not passed on.
pub const KEYS_MAX: usize = 32;
/// A beat, in milliseconds.
const BEAT_MS: u32 = 20;
/// A key is at least so long (ITU-T Q.24 wants 40 ms), and the pause before the next one.
const KEY_MS_MIN: u32 = 60;
const PAUSE_MS_MIN: u32 = 60;
/// Level that events are said to have, in -dBm0.
const VOLUME: u8 = 7;
/// How often an end is sent: three times in all (RFC 4733 section 2.5.1.4).
const END_REPEATS: u32 = 2;

/// The keys that one side is told.
#[derive(Clone, Debug, Default)]
pub struct Keying {
    waiting: SmallVec<[Waiting; 2]>,
    saying: Option<Saying>,
    /// Milliseconds of pause until the next key may begin.
    pause_ms: u32,
    /// The event that has ended last, and how often that is still to be repeated.
    ended: Option<(Report, u32)>,
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: Key,
    /// How long, once it is let go.
    length_ms: Option<u32>,
}

/// The key that is being said.
#[derive(Clone, Copy, Debug)]
struct Saying {
    key: Key,
    length_ms: Option<u32>,
    /// How long it has been said, and how much of that the event's segments before this one have told, in timestamp units.
    said_ms: u32,
    told_units: u32,
    tone: Option<DualTone>,
}

/// What a beat is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Sound as ever.
    Sound,
    /// The tone that the frame holds now, in place of sound.
    Tone,
    /// This event, in place of sound.
    Event(Report),
    /// This end of an event once more, and sound.
    Again(Report),
}

/// An event for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The event.
    pub event: Event,
    /// It begins: its packet is marked.
    pub first: bool,
    /// How far its timestamp lies behind that of the beginning of the key: a long key has segments (RFC 4733 section 2.5.1.3).
    pub ahead: u32,
}

impl Keying {
    /// A key goes down or comes up. One that comes up without having gone down is pressed for as long as it says.
    pub fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Down(key) => self.press(key, None),
            Turn::Up { key, duration_ms } => {
                let saying = self.saying.iter_mut().map(|saying| (saying.key, &mut saying.length_ms));
                let waiting = self.waiting.iter_mut().map(|waiting| (waiting.key, &mut waiting.length_ms));
                match saying.chain(waiting).find(|(held, length)| *held == key && length.is_none()) {
                    Some((_, length)) => *length = Some(duration_ms),
                    None => self.press(key, Some(duration_ms)),
                }
            }
        }
    }

    fn press(&mut self, key: Key, length_ms: Option<u32>) {
        if self.waiting.len() < KEYS_MAX {
            self.waiting.push(Waiting { key, length_ms });
        }
    }

    /// Whether nothing is to be said but sound.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.saying.is_none() && self.ended.is_none() && self.pause_ms == 0
    }

    /// What the next beat of 20 ms is for. `events_hz` is the clock of the side's telephone-events, if it has agreed to any; else
    /// the frame of that beat gets the tone.
    pub fn beat(&mut self, events_hz: Option<u32>, frame: &mut [i16]) -> Due {
        if self.saying.is_none() && self.pause_ms == 0 && !self.waiting.is_empty() {
            let Waiting { key, length_ms } = self.waiting.remove(0);
            let rate_hz = u32::try_from(frame.len()).unwrap_or(0) * 1000 / BEAT_MS;
            let tone = if events_hz.is_none() { DualTone::new(key, rate_hz) } else { None };
            self.ended = None;
            if events_hz.is_some() || tone.is_some() {
                self.saying = Some(Saying { key, length_ms, said_ms: 0, told_units: 0, tone });
            }
        }
        if let Some(saying) = self.saying.take() {
            return self.say(saying, events_hz, frame);
        }
        let pauses = self.pause_ms > 0;
        self.pause_ms = self.pause_ms.saturating_sub(BEAT_MS);
        match self.ended.take() {
            Some((report, left)) => {
                self.ended = (left > 1).then_some((report, left - 1));
                Due::Again(report)
            }
            None if pauses && events_hz.is_none() => {
                frame.fill(0);
                Due::Tone
            }
            None => Due::Sound,
        }
    }

    /// One beat of a key.
    fn say(&mut self, mut saying: Saying, events_hz: Option<u32>, frame: &mut [i16]) -> Due {
        saying.said_ms = saying.said_ms.saturating_add(BEAT_MS);
        let length_ms = saying.length_ms.map(|ms| ms.max(KEY_MS_MIN));
        let mut over = length_ms.is_some_and(|length| saying.said_ms >= length);
        let due = match (events_hz, &mut saying.tone) {
            (None, Some(tone)) => {
                tone.fill(frame);
                Due::Tone
            }
            // The side has agreed to something else meanwhile: this key is over for it.
            (None, None) => {
                over = true;
                Due::Sound
            }
            (Some(clock_hz), _) => {
                let first = saying.said_ms == BEAT_MS;
                // Never less than what was said: some phones take that for another key.
                let before_ms = saying.said_ms.saturating_sub(BEAT_MS);
                let said_ms = length_ms.map_or(saying.said_ms, |length| saying.said_ms.min(length.max(before_ms)));
                let units = u64::from(said_ms) * u64::from(clock_hz) / 1000;
                let ahead = saying.told_units;
                let left = u32::try_from(units).unwrap_or(u32::MAX).saturating_sub(ahead);
                // A segment that is full is told whole, without end; what is past it begins the next one.
                let duration = u16::try_from(left).unwrap_or(u16::MAX);
                if u32::from(duration) < left {
                    saying.told_units += u32::from(duration);
                    over = false;
                }
                let event = Event { code: saying.key.code(), end: over, volume: VOLUME, duration };
                let report = Report { event, first, ahead };
                if over {
                    self.ended = Some((Report { first: false, ..report }, END_REPEATS));
                }
                Due::Event(report)
            }
        };
        if over {
            self.pause_ms = PAUSE_MS_MIN;
        } else {
            self.saying = Some(saying);
        }
        due
    }
}

#[cfg(test)]
mod tests;

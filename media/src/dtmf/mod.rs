//! DTMF as packets: telephone-events, read, written, and told once each (RFC 4733).

use std::time::Duration;

#[cfg(test)]
mod tests;

/// Bytes of one event in a payload (RFC 4733 section 2.3).
pub const EVENT_BYTES: usize = 4;
/// An event whose end never comes is over this long after its last packet (three packets of 50 ms may get lost).
pub const END_TIMEOUT: Duration = Duration::from_millis(200);

/// The payload of a telephone-event packet (RFC 4733 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0 to 15 are the DTMF digits, 16 is hook flash.
    pub code: u8,
    /// The event is over; `duration` is its whole length.
    pub end: bool,
    /// Level in -dBm0, 0 to 63.
    pub volume: u8,
    /// How long so far, in timestamp units.
    pub duration: u16,
}

/// A digit that somebody pressed, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// `0`–`9`, `*`, `#`, `A`–`D`, or `!` for hook flash.
    pub digit: char,
    /// How long, in milliseconds.
    pub duration_ms: u32,
}

/// Follows the telephone-events of one stream and tells each once: at its first packet with the end bit, when the next
/// event begins, or [`END_TIMEOUT`] after its last packet.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    pressed: Option<Pressed>,
    /// Timestamp of the last event that was told: its repeated ends are not new events.
    told: Option<u32>,
}

#[derive(Clone, Debug)]
struct Pressed {
    timestamp: u32,
    event: Event,
    clock_hz: u32,
    last_packet: Duration,
}

impl Event {
    /// Reads the first event of a payload; `None` if it is too short.
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let [code, flags, high, low] = *payload.first_chunk::<EVENT_BYTES>()?;
        Some(Event { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([high, low]) })
    }

    /// The payload bytes of this event.
    pub fn to_bytes(self) -> [u8; EVENT_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, (self.volume & 0x3f) | if self.end { 0x80 } else { 0 }, high, low]
    }

    /// The key that the code stands for (RFC 4733 section 3.2, table 3); `None` for other events.
    pub fn digit(self) -> Option<char> {
        KEYS.iter().find(|(code, _)| *code == self.code).map(|(_, digit)| *digit)
    }

    /// The code of a key; letters ignore case.
    pub fn code_of(digit: char) -> Option<u8> {
        KEYS.iter().find(|(_, key)| key.eq_ignore_ascii_case(&digit)).map(|(code, _)| *code)
    }
}

const KEYS: [(u8, char); 17] = [
    (0, '0'),
    (1, '1'),
    (2, '2'),
    (3, '3'),
    (4, '4'),
    (5, '5'),
    (6, '6'),
    (7, '7'),
    (8, '8'),
    (9, '9'),
    (10, '*'),
    (11, '#'),
    (12, 'A'),
    (13, 'B'),
    (14, 'C'),
    (15, 'D'),
    (16, '!'),
];

impl EventReceiver {
    /// Takes a packet; returns what is over now: the event before (its end was lost) and this one (it carries the end).
    pub fn packet(&mut self, timestamp: u32, payload: &[u8], clock_hz: u32, now: Duration) -> [Option<Heard>; 2] {
        let Some(event) = Event::parse(payload) else {
            return [None, None];
        };
        // An event is named by its timestamp (RFC 4733 section 2.2): one that was told, or an older one, is a repetition.
        if self.told.is_some_and(|told| told.wrapping_sub(timestamp) < 1 << 31) {
            return [None, None];
        }
        let mut before = None;
        match &mut self.pressed {
            Some(pressed) if pressed.timestamp == timestamp => {
                // Reordered packets must not shorten it.
                pressed.event.duration = pressed.event.duration.max(event.duration);
                pressed.last_packet = now;
            }
            Some(pressed) if pressed.timestamp.wrapping_sub(timestamp) < 1 << 31 => {
                return [None, None];
            }
            _ => {
                before = self.release();
                self.pressed = Some(Pressed { timestamp, event, clock_hz, last_packet: now });
            }
        }
        let this = if event.end { self.release() } else { None };
        [before, this]
    }

    /// Whether a key is down, so that [`EventReceiver::timeout`] must be asked.
    pub fn is_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// The event whose packets stopped without an end.
    pub fn timeout(&mut self, now: Duration) -> Option<Heard> {
        let pressed = self.pressed.as_ref()?;
        if now.saturating_sub(pressed.last_packet) < END_TIMEOUT {
            return None;
        }
        self.release()
    }

    fn release(&mut self) -> Option<Heard> {
        let pressed = self.pressed.take()?;
        self.told = Some(pressed.timestamp);
        Some(Heard {
            digit: pressed.event.digit()?,
            duration_ms: u32::from(pressed.event.duration).saturating_mul(1000) / pressed.clock_hz.max(1),
        })
    }
}

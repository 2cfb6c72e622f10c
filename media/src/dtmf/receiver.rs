//! The telephone-events of one stream, each told once.

use super::{Event, Key, Turn};
use std::time::Duration;

/// An event whose end never comes is over this long after its last packet (three packets of 50 ms may get lost).
pub const END_TIMEOUT: Duration = Duration::from_millis(200);

/// Follows the telephone-events of a side and tells each key once: down at its first packet, up at its first packet with the
/// end bit, when the next event begins, or [`END_TIMEOUT`] after its last packet.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    ssrc: Option<u32>,
    pressed: Option<Pressed>,
    /// Timestamp of the last event that was told: its repeated ends are not new events.
    told: Option<u32>,
}

#[derive(Clone, Debug)]
struct Pressed {
    /// Where its present segment begins, and how long that is so far.
    timestamp: u32,
    duration: u16,
    /// How long the segments before it were, in timestamp units (RFC 4733 section 2.5.1.3).
    before: u64,
    code: u8,
    clock_hz: u32,
    last_packet: Duration,
}

impl EventReceiver {
    /// Takes a packet of the source `ssrc` and tells what follows from it.
    pub fn packet(
        &mut self,
        (ssrc, timestamp): (u32, u32),
        payload: &[u8],
        clock_hz: u32,
        now: Duration,
        mut tell: impl FnMut(Turn),
    ) {
        if self.ssrc != Some(ssrc) {
            // Another source counts its time from anywhere.
            self.release(&mut tell);
            (self.ssrc, self.told) = (Some(ssrc), None);
        }
        for (timestamp, event) in Event::all(payload, timestamp) {
            self.event(timestamp, event, clock_hz, now, &mut tell);
        }
    }

    fn event(&mut self, timestamp: u32, event: Event, clock_hz: u32, now: Duration, tell: &mut impl FnMut(Turn)) {
        // An event is named by its timestamp (RFC 4733 section 2.2): one that was told, or an older one, is a repetition.
        if self.told.is_some_and(|told| told.wrapping_sub(timestamp) < 1 << 31) {
            return;
        }
        match &mut self.pressed {
            Some(pressed) if pressed.timestamp == timestamp => {
                // Reordered packets must not shorten it.
                pressed.duration = pressed.duration.max(event.duration);
                pressed.last_packet = now;
            }
            Some(pressed) if pressed.timestamp.wrapping_sub(timestamp) < 1 << 31 => return,
            Some(pressed) if pressed.goes_on_in(timestamp, event) => {
                pressed.before += u64::from(timestamp.wrapping_sub(pressed.timestamp));
                (pressed.timestamp, pressed.duration, pressed.last_packet) = (timestamp, event.duration, now);
            }
            _ => {
                self.release(tell);
                if let Some(key) = Key::of_code(event.code) {
                    tell(Turn::Down(key));
                }
                let (duration, code) = (event.duration, event.code);
                self.pressed = Some(Pressed { timestamp, duration, before: 0, code, clock_hz, last_packet: now });
            }
        }
        if event.end {
            self.release(tell);
        }
    }

    /// Whether a key is down, so that [`EventReceiver::timeout`] must be asked.
    pub fn is_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// The event whose packets stopped without an end.
    pub fn timeout(&mut self, now: Duration, mut tell: impl FnMut(Turn)) {
        let overdue = |pressed: &Pressed| now.saturating_sub(pressed.last_packet) >= END_TIMEOUT;
        if self.pressed.as_ref().is_some_and(overdue) {
            self.release(&mut tell);
        }
    }

    fn release(&mut self, tell: &mut impl FnMut(Turn)) {
        let Some(pressed) = self.pressed.take() else { return };
        self.told = Some(pressed.timestamp);
        if let Some(key) = Key::of_code(pressed.code) {
            let units = pressed.before + u64::from(pressed.duration);
            let ms = units.saturating_mul(1000) / u64::from(pressed.clock_hz.max(1));
            tell(Turn::Up { key, duration_ms: u32::try_from(ms).unwrap_or(u32::MAX) });
        }
    }
}

impl Pressed {
    /// Whether an event is this one's next segment: the same key, without a gap, where the length of one segment ends (RFC 4733
    /// section 2.5.1.3) or this one's last packet has ended.
    fn goes_on_in(&self, timestamp: u32, event: Event) -> bool {
        let gone = timestamp.wrapping_sub(self.timestamp);
        self.code == event.code && (gone == u32::from(u16::MAX) || gone == u32::from(self.duration))
    }
}

#[cfg(test)]
mod tests;

//! The payload of a telephone-event packet (RFC 4733 section 2.3).

/// Bytes of one event in a payload.
pub const EVENT_BYTES: usize = 4;

/// One event of a payload.
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

impl Event {
    /// Reads the first event of a payload; `None` if it is too short.
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let [code, flags, high, low] = *payload.first_chunk::<EVENT_BYTES>()?;
        Some(Event { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([high, low]) })
    }

    /// The events of a payload with their timestamps, given the packet's: each begins where the one before it ends (RFC 4733
    /// section 2.2). A rest that is too short for one is left out.
    pub fn all(payload: &[u8], timestamp: u32) -> impl Iterator<Item = (u32, Event)> {
        let (events, _rest) = payload.as_chunks::<EVENT_BYTES>();
        let read = events.iter().filter_map(|event| Event::parse(event));
        read.scan(timestamp, |next, event| {
            let starts = *next;
            *next = next.wrapping_add(event.duration.into());
            Some((starts, event))
        })
    }

    /// The payload bytes of this event.
    pub fn to_bytes(self) -> [u8; EVENT_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, (self.volume & 0x3f) | if self.end { 0x80 } else { 0 }, high, low]
    }
}

//! What one frame of a room has become in one voice.

use crate::sound::{As, Mouth, PAYLOAD_BYTES_MAX};
use smallvec::SmallVec;

/// Packets that a frame can complete: 20 ms hold two of 10.
const PACKETS_MAX: usize = 4;

/// Payloads that one frame has completed, behind each other.
#[derive(Default)]
pub struct Packets {
    bytes: Vec<u8>,
    packets: SmallVec<[Packet; PACKETS_MAX]>,
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Packet {
    pub as_what: As,
    length: usize,
    /// Its duration in RTP units.
    pub units: u32,
}

impl Packets {
    /// With the memory for any frame.
    pub fn new() -> Packets {
        Packets { bytes: Vec::with_capacity(2 * PAYLOAD_BYTES_MAX), ..Packets::default() }
    }

    /// Puts what the frame completes in the place of what is there.
    pub fn fill(&mut self, mouth: &mut Mouth, frame: &[i16]) {
        self.bytes.clear();
        self.packets.clear();
        mouth.speak(frame, |spoken| {
            // A mouth says no more at once.
            debug_assert!(spoken.payload.len() <= PAYLOAD_BYTES_MAX);
            self.bytes.extend_from_slice(spoken.payload);
            let (as_what, length, units) = (spoken.as_what, spoken.payload.len(), spoken.units);
            self.packets.push(Packet { as_what, length, units });
        });
    }

    /// How many of them had to be encoded.
    pub fn encoded(&self) -> usize {
        self.packets.iter().filter(|packet| packet.as_what == As::Sound).count()
    }

    /// How long they are together, in RTP units.
    pub fn units(&self) -> u32 {
        self.packets.iter().map(|packet| packet.units).sum()
    }

    /// Each with its payload.
    pub fn iter(&self) -> impl Iterator<Item = (Packet, &[u8])> {
        let mut at = 0;
        self.packets.iter().map(move |packet| {
            let payload = self.bytes.get(at..at + packet.length).unwrap_or_default();
            at += packet.length;
            (*packet, payload)
        })
    }
}

//! The packets of a stream that wait for their turn, by sequence number.

use super::super::codec::Codec;

/// Packets that may wait: over a second of 20 ms each.
pub const PACKETS_MAX: usize = 64;
/// Payload bytes beyond these are cut: the longest datagram that the pool reads.
const PAYLOAD_BYTES_MAX: usize = 2048;

/// A packet that waits.
#[derive(Debug, Default)]
pub struct Packet {
    pub sequence: u16,
    pub timestamp: u32,
    /// Which of the stream's payload types.
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Sound, for the decoder of that place in the table of payloads.
    Sound(usize),
    /// Comfort noise.
    Noise,
    /// Nothing to be heard: telephone-events, and types that nobody agreed to. It has a place in the sequence all the same.
    #[default]
    Other,
}

impl Kind {
    /// Of the payload in a place of the table.
    pub fn of(codec: Codec, place: usize) -> Kind {
        match codec {
            Codec::ComfortNoise => Kind::Noise,
            Codec::TelephoneEvent | Codec::Other | Codec::Passing(_) => Kind::Other,
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus | Codec::L16 => Kind::Sound(place),
        }
    }
}

/// The queue. The memory of a packet that was played serves a later one.
#[derive(Debug, Default)]
pub struct Queue {
    /// Ascending by sequence number.
    packets: Vec<Packet>,
    spare: Vec<Packet>,
}

impl Queue {
    /// Takes a packet in; false if one with its number is there already. When there is no room the oldest goes.
    pub fn insert(&mut self, sequence: u16, timestamp: u32, kind: Kind, payload: &[u8]) -> bool {
        let after = self.packets.iter().rposition(|packet| !is_before(sequence, packet.sequence));
        let place = after.map_or(0, |place| place + 1);
        if after.and_then(|after| self.packets.get(after)).is_some_and(|packet| packet.sequence == sequence) {
            return false;
        }
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.payload.clear();
        packet.payload.extend_from_slice(payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(payload));
        (packet.sequence, packet.timestamp, packet.kind) = (sequence, timestamp, kind);
        self.packets.insert(place, packet);
        if self.packets.len() > PACKETS_MAX {
            self.drop_first();
        }
        true
    }

    /// The packet that comes next.
    pub fn first(&self) -> Option<&Packet> {
        self.packets.first()
    }

    /// Whether the next packet pushes the oldest out.
    pub fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS_MAX
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Forgets the packet that comes next.
    pub fn drop_first(&mut self) {
        if !self.packets.is_empty() {
            let packet = self.packets.remove(0);
            self.spare.push(packet);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.spare.append(&mut self.packets);
    }
}

/// Whether one number comes before another, modulo 2^16.
pub fn is_before(one: u16, other: u16) -> bool {
    one != other && other.wrapping_sub(one) < 1 << 15
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(queue: &mut Queue) -> Vec<u16> {
        std::iter::from_fn(|| {
            let number = queue.first().map(|packet| packet.sequence);
            queue.drop_first();
            number
        })
        .collect()
    }

    #[test]
    fn packets_come_out_in_the_order_of_their_numbers_and_once() {
        let mut queue = Queue::default();
        for (sequence, new) in
            [(65_534, true), (1, true), (0, true), (65_535, true), (1, false), (65_534, false), (2, true)]
        {
            assert_eq!(queue.insert(sequence, 0, Kind::Other, &[1, 2]), new, "{sequence}");
        }
        assert_eq!(numbers(&mut queue), [65_534, 65_535, 0, 1, 2]);
    }

    #[test]
    fn more_than_a_second_of_packets_pushes_the_oldest_out() {
        let mut queue = Queue::default();
        for sequence in 0..1000 {
            queue.insert(sequence, 0, Kind::Other, &[0; 4000]);
        }
        assert_eq!(queue.len(), PACKETS_MAX);
        assert!(queue.spare.len() <= 1 && queue.first().unwrap().payload.len() == PAYLOAD_BYTES_MAX);
        assert_eq!(numbers(&mut queue), (936..1000).collect::<Vec<u16>>());
    }
}

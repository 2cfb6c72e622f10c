//! RTP: headers read and rewritten in place, and what RFC 3550 counts about a received stream.
//!
//! Nothing here copies or allocates: [`Header::parse`] borrows the datagram only while it looks, and the `set_*`
//! functions change single fields of a packet that has been parsed before.

pub(crate) mod reception;
mod summary;

pub use reception::{Arrival, Reception, ReportInterval};
pub use summary::{Spread, Summary};

#[cfg(test)]
mod tests;

/// Bytes of the fixed part of the header (RFC 3550 section 5.1).
pub const HEADER_BYTES: usize = 12;

/// What stands in an RTP header (RFC 3550 section 5.1), and where the payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Offset of the first payload byte.
    pub payload_start: usize,
    /// Offset after the last payload byte: padding is cut.
    pub payload_end: usize,
}

/// The datagram is not an RTP packet: too short, a version other than 2, or lengths that pass its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RTP packet (RFC 3550 section 5.1)")]
pub struct Malformed;

impl Header {
    /// Reads a datagram's header, skipping contributing sources and extension, cutting padding.
    ///
    /// # Errors
    /// [`Malformed`], and then nothing of the datagram may be used.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<Header, Malformed> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if flags >> 6 != 2 {
            return Err(Malformed);
        }
        let sources_bytes = 4 * usize::from(flags & 0x0f);
        let mut payload_start = HEADER_BYTES + sources_bytes;
        if flags & 0x10 != 0 {
            let extension = rest.get(sources_bytes..).and_then(|tail| tail.first_chunk::<4>()).ok_or(Malformed)?;
            let [_, _, words_high, words_low] = *extension;
            payload_start += 4 + 4 * usize::from(u16::from_be_bytes([words_high, words_low]));
        }
        let mut payload_end = datagram.len();
        if flags & 0x20 != 0 {
            let padding = usize::from(*datagram.last().ok_or(Malformed)?);
            if padding == 0 {
                return Err(Malformed);
            }
            payload_end = payload_end.checked_sub(padding).ok_or(Malformed)?;
        }
        if payload_start > payload_end {
            return Err(Malformed);
        }
        Ok(Header {
            payload_type: kind & 0x7f,
            marker: kind & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload_start,
            payload_end,
        })
    }

    /// The payload inside the datagram that this header was parsed from.
    #[inline]
    pub fn payload<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        datagram.get(self.payload_start..self.payload_end).unwrap_or_default()
    }

    /// Writes a plain header (no contributing sources, extension or padding) in front of a payload that the caller puts
    /// at [`HEADER_BYTES`]; `payload_start` and `payload_end` are not looked at.
    pub fn write(&self, out: &mut [u8; HEADER_BYTES]) {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let kind = (self.payload_type & 0x7f) | if self.marker { 0x80 } else { 0 };
        *out = [0x80, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
    }
}

/// Replaces the payload type and keeps the marker.
#[inline]
pub fn set_payload_type(packet: &mut [u8], payload_type: u8) {
    if let Some(kind) = packet.get_mut(1) {
        *kind = (*kind & 0x80) | (payload_type & 0x7f);
    }
}

/// Sets the marker bit: a talkspurt, or a new stream, starts here.
#[inline]
pub fn set_marker(packet: &mut [u8]) {
    if let Some(kind) = packet.get_mut(1) {
        *kind |= 0x80;
    }
}

/// Replaces the sequence number.
#[inline]
pub fn set_sequence(packet: &mut [u8], sequence: u16) {
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&sequence.to_be_bytes());
    }
}

/// Replaces the timestamp.
#[inline]
pub fn set_timestamp(packet: &mut [u8], timestamp: u32) {
    if let Some(field) = packet.get_mut(4..8) {
        field.copy_from_slice(&timestamp.to_be_bytes());
    }
}

/// Replaces the synchronisation source.
#[inline]
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&ssrc.to_be_bytes());
    }
}

/// Whether a datagram on a port that carries both is RTCP (RFC 5761 section 4: packet types 192 to 223).
#[inline]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

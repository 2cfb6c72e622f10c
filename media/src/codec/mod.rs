//! Codecs: their names on the wire, the static payload types of RFC 3551, and what turns samples into bytes and back.
//!
//! [`Codec`] is the vocabulary that signalling and media share: signalling turns `a=rtpmap` lines into [`Payload`]s, the
//! pool matches the payloads of two sides with it. [`Encoder`] and [`Decoder`] speak any of them that the switch speaks, each
//! a value with the state of one stream; a codec is a file.

mod decoder;
mod encoder;
pub mod g711;
pub mod g722;
pub mod l16;
pub mod noise;
pub mod opus;

pub use decoder::{Decoder, PACKET_MS_MAX, Undecodable};
pub use encoder::Encoder;

#[cfg(test)]
mod tests;

/// A media format, as far as the switch tells formats apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 section 4.5.14).
    Pcma,
    /// G.722; its RTP clock is 8000 Hz although it samples at 16 kHz (RFC 3551 section 4.5.2).
    G722,
    /// Opus (RFC 7587), always with a 48 kHz clock.
    Opus,
    /// Linear 16-bit samples in network order (RFC 3551 section 4.5.11).
    L16,
    /// Telephone-event: DTMF and hook flash as packets (RFC 4733).
    TelephoneEvent,
    /// Comfort noise (RFC 3389).
    ComfortNoise,
    /// A format that is passed through untouched and matched by payload type number and clock only.
    Other,
    /// A format that is passed through untouched whatever numbers it has; who names it says which are the same.
    Passing(u32),
}

/// One payload type of one side, as negotiated: a row of the side's `a=rtpmap` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The number in the RTP header, 0 to 127.
    pub pt: u8,
    /// What the number stands for.
    pub codec: Codec,
    /// RTP clock in Hz.
    pub clock_hz: u32,
    /// True for telephone-event, whose packets are watched for digits.
    pub events: bool,
}

/// A row of the table of static payload types (RFC 3551 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticPayload {
    /// Payload type number.
    pub pt: u8,
    /// Encoding name as in `a=rtpmap`.
    pub name: &'static str,
    /// RTP clock in Hz.
    pub clock_hz: u32,
    /// What the switch knows it as.
    pub codec: Codec,
}

impl Codec {
    /// The codec that an `a=rtpmap` encoding name stands for (RFC 8866 section 6.6: names ignore case).
    pub fn from_name(name: &str) -> Codec {
        const NAMES: [(&str, Codec); 7] = [
            ("PCMU", Codec::Pcmu),
            ("PCMA", Codec::Pcma),
            ("G722", Codec::G722),
            ("opus", Codec::Opus),
            ("L16", Codec::L16),
            ("telephone-event", Codec::TelephoneEvent),
            ("CN", Codec::ComfortNoise),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(Codec::Other, |(_, codec)| *codec)
    }

    /// The encoding name for `a=rtpmap`; `None` where only its peer knows it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Codec::Pcmu => Some("PCMU"),
            Codec::Pcma => Some("PCMA"),
            Codec::G722 => Some("G722"),
            Codec::Opus => Some("opus"),
            Codec::L16 => Some("L16"),
            Codec::TelephoneEvent => Some("telephone-event"),
            Codec::ComfortNoise => Some("CN"),
            Codec::Other | Codec::Passing(_) => None,
        }
    }

    /// The static payload type at the codec's telephone clock, where RFC 3551 gives it one.
    pub fn static_type(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            Codec::ComfortNoise => Some(13),
            Codec::Opus | Codec::L16 | Codec::TelephoneEvent | Codec::Other | Codec::Passing(_) => None,
        }
    }
}

impl Payload {
    /// A payload; `events` follows from the codec.
    pub fn new(pt: u8, codec: Codec, clock_hz: u32) -> Payload {
        Payload { pt, codec, clock_hz, events: codec == Codec::TelephoneEvent }
    }

    /// The payload that a static number stands for without any `a=rtpmap` (RFC 3551 section 6).
    pub fn from_static(pt: u8) -> Option<Payload> {
        static_payload(pt).map(|row| Payload::new(pt, row.codec, row.clock_hz))
    }

    /// The rate of the sound in Hz, at its widest; `None` if the switch does not code it.
    pub fn sound_hz(&self) -> Option<u32> {
        match self.codec {
            Codec::Pcmu | Codec::Pcma => Some(8000),
            Codec::G722 => Some(g722::RATE_HZ),
            Codec::Opus => Some(opus::CLOCK_HZ),
            Codec::L16 => Some(self.clock_hz).filter(|clock| crate::sound::RATES_HZ.contains(clock)),
            Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other | Codec::Passing(_) => None,
        }
    }

    /// How long the sound of a packet is, in microseconds; `None` for what the switch does not code.
    pub fn length_us(&self, payload: &[u8]) -> Option<u32> {
        let bytes = u32::try_from(payload.len()).ok()?;
        match self.codec {
            // A byte is an eighth of a millisecond in each of them.
            Codec::Pcmu | Codec::Pcma | Codec::G722 => Some(bytes.saturating_mul(125)),
            Codec::L16 => Some(bytes.saturating_mul(500_000) / self.clock_hz.max(1)),
            Codec::Opus => opus::length_us(payload),
            Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other | Codec::Passing(_) => None,
        }
    }

    /// Whether two sides mean the same format, whatever numbers they gave it.
    pub fn same_format(&self, other: &Payload) -> bool {
        self.codec == other.codec
            && self.clock_hz == other.clock_hz
            && (self.codec != Codec::Other || self.pt == other.pt)
    }
}

/// Looks a static payload type up (RFC 3551 section 6); `None` for numbers that are reserved, unassigned or dynamic.
pub fn static_payload(pt: u8) -> Option<StaticPayload> {
    const fn row(pt: u8, name: &'static str, clock_hz: u32, codec: Codec) -> StaticPayload {
        StaticPayload { pt, name, clock_hz, codec }
    }
    const TABLE: [StaticPayload; 24] = [
        row(0, "PCMU", 8000, Codec::Pcmu),
        row(3, "GSM", 8000, Codec::Other),
        row(4, "G723", 8000, Codec::Other),
        row(5, "DVI4", 8000, Codec::Other),
        row(6, "DVI4", 16000, Codec::Other),
        row(7, "LPC", 8000, Codec::Other),
        row(8, "PCMA", 8000, Codec::Pcma),
        row(9, "G722", 8000, Codec::G722),
        // 10 is two channels: nothing of ours speaks it, so it passes as an unknown format.
        row(10, "L16", 44100, Codec::Other),
        row(11, "L16", 44100, Codec::L16),
        row(12, "QCELP", 8000, Codec::Other),
        row(13, "CN", 8000, Codec::ComfortNoise),
        row(14, "MPA", 90000, Codec::Other),
        row(15, "G728", 8000, Codec::Other),
        row(16, "DVI4", 11025, Codec::Other),
        row(17, "DVI4", 22050, Codec::Other),
        row(18, "G729", 8000, Codec::Other),
        row(25, "CelB", 90000, Codec::Other),
        row(26, "JPEG", 90000, Codec::Other),
        row(28, "nv", 90000, Codec::Other),
        row(31, "H261", 90000, Codec::Other),
        row(32, "MPV", 90000, Codec::Other),
        row(33, "MP2T", 90000, Codec::Other),
        row(34, "H263", 90000, Codec::Other),
    ];
    TABLE.iter().find(|row| row.pt == pt).copied()
}

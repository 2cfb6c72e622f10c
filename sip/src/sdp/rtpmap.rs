//! What a payload type means: `a=rtpmap`, or what its number is assigned to.

use smol_str::SmolStr;

use super::attribute::digits;
use super::parse::{number, split_once};
use crate::text::Piece;

/// `a=rtpmap` (RFC 8866 section 6.6), or what RFC 3551 section 6 assigns to a static payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    /// Payload type, 0 to 127.
    pub payload: u8,
    /// Encoding name as written; it compares without case.
    pub encoding: SmolStr,
    /// RTP clock rate, Hz.
    pub clock_hz: u32,
    /// Audio channels, 1 when not given.
    pub channels: u8,
}

/// As it is written, encoding, clock, channels.
type Usual = (&'static str, &'static str, u32, u8);

/// The maps of nearly all descriptions, as they are written there; they need not be taken apart.
const USUAL: &[Usual] = &[
    ("PCMU/8000", "PCMU", 8000, 1),
    ("PCMA/8000", "PCMA", 8000, 1),
    ("telephone-event/8000", "telephone-event", 8000, 1),
    ("G722/8000", "G722", 8000, 1),
    ("opus/48000/2", "opus", 48_000, 2),
    ("telephone-event/48000", "telephone-event", 48_000, 1),
];

impl RtpMap {
    /// Reads `<encoding>/<clock>[/<channels>]`.
    pub(super) fn parse(payload: u8, text: &str) -> Option<RtpMap> {
        if let Some((_, encoding, clock_hz, channels)) = USUAL.iter().find(|(usual, ..)| *usual == text) {
            let encoding = SmolStr::new_static(encoding);
            return Some(RtpMap { payload, encoding, clock_hz: *clock_hz, channels: *channels });
        }
        let (encoding, rest) = split_once(text.trim_ascii(), b'/')?;
        let (clock, rest) = split_once(rest, b'/').map_or((rest, None), |(clock, rest)| (clock, Some(rest)));
        let clock_hz = number(clock.trim_ascii()).filter(|clock| *clock > 0)?;
        let channels = match rest {
            Some(rest) => {
                let count = split_once(rest, b'/').map_or(rest, |(count, _)| count);
                number(count.trim_ascii()).filter(|count| *count > 0)?
            }
            None => 1,
        };
        (!encoding.is_empty()).then(|| RtpMap { payload, encoding: encoding.into(), clock_hz, channels })
    }

    /// Whether `text`, which was read as this, is what [`RtpMap::write`] writes behind payload type and space.
    pub(super) fn is_written_as(&self, text: &str) -> bool {
        if let Some((usual, ..)) = self.usual() {
            return text.len() == digits(self.payload) + 1 + usual.len();
        }
        let mut written = Vec::with_capacity(text.len());
        self.payload.put(&mut written);
        written.push(b' ');
        self.write(&mut written);
        written == text.as_bytes()
    }

    fn usual(&self) -> Option<&'static Usual> {
        let same = |(_, encoding, clock_hz, channels): &&Usual| {
            *clock_hz == self.clock_hz && *channels == self.channels && self.encoding == *encoding
        };
        USUAL.iter().find(same)
    }

    /// Writes `<encoding>/<clock>[/<channels>]`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some((usual, ..)) = self.usual() {
            return usual.put(out);
        }
        self.encoding.put(out);
        out.push(b'/');
        self.clock_hz.put(out);
        if self.channels > 1 {
            out.push(b'/');
            self.channels.put(out);
        }
    }

    /// The static assignments of RFC 3551 section 6.
    pub(super) fn of_static(payload: u8) -> Option<&'static RtpMap> {
        STATIC.iter().find(|map| map.payload == payload)
    }

    /// Whether both name the same encoding: name without case, clock and channels; the number may differ.
    pub fn same_encoding(&self, other: &RtpMap) -> bool {
        self.clock_hz == other.clock_hz
            && self.channels == other.channels
            && self.encoding.eq_ignore_ascii_case(&other.encoding)
    }

    /// Whether this is `telephone-event` (RFC 4733).
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }

    /// Whether this carries sound or picture by itself: not events, comfort noise, redundancy or retransmission.
    pub fn is_codec(&self) -> bool {
        is_codec(&self.encoding)
    }
}

/// As [`RtpMap::is_codec`], of an encoding's name.
pub(super) fn is_codec(encoding: &str) -> bool {
    let helpers = ["telephone-event", "CN", "red", "rtx", "ulpfec", "flexfec", "tone"];
    !helpers.iter().any(|helper| encoding.eq_ignore_ascii_case(helper))
}

const fn assigned(payload: u8, encoding: &'static str, clock_hz: u32, channels: u8) -> RtpMap {
    RtpMap { payload, encoding: SmolStr::new_static(encoding), clock_hz, channels }
}

/// RFC 3551 section 6, what phones speak first.
static STATIC: [RtpMap; 24] = [
    assigned(0, "PCMU", 8000, 1),
    assigned(8, "PCMA", 8000, 1),
    assigned(9, "G722", 8000, 1), // the clock is historic: it samples at 16 kHz
    assigned(18, "G729", 8000, 1),
    assigned(13, "CN", 8000, 1),
    assigned(3, "GSM", 8000, 1),
    assigned(4, "G723", 8000, 1),
    assigned(5, "DVI4", 8000, 1),
    assigned(6, "DVI4", 16_000, 1),
    assigned(7, "LPC", 8000, 1),
    assigned(10, "L16", 44_100, 2),
    assigned(11, "L16", 44_100, 1),
    assigned(12, "QCELP", 8000, 1),
    assigned(14, "MPA", 90_000, 1),
    assigned(15, "G728", 8000, 1),
    assigned(16, "DVI4", 11_025, 1),
    assigned(17, "DVI4", 22_050, 1),
    assigned(25, "CelB", 90_000, 1),
    assigned(26, "JPEG", 90_000, 1),
    assigned(28, "nv", 90_000, 1),
    assigned(31, "H261", 90_000, 1),
    assigned(32, "MPV", 90_000, 1),
    assigned(33, "MP2T", 90_000, 1),
    assigned(34, "H263", 90_000, 1),
];

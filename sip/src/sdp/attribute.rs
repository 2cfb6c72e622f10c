//! `a=` lines: kept as text, read as types on request.

use smol_str::{SmolStr, SmolStrBuilder};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::parse::{number, split_once};
use super::session::{Media, Session};
use crate::text::Digits;

/// An `a=` line (RFC 8866 section 5.13). Its debug form shows no keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What stands before the first colon; never empty. Case matters (RFC 8866 section 6).
    pub name: SmolStr,
    /// What stands after it; `None` for a property such as `sendrecv`.
    pub value: Option<SmolStr>,
}

/// Which way a stream flows, seen from who wrote the description (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// `sendrecv`, also when nothing is said.
    #[default]
    SendRecv,
    /// `sendonly`
    SendOnly,
    /// `recvonly`
    RecvOnly,
    /// `inactive`
    Inactive,
}

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

/// Packet time when nothing is said, ms (RFC 3551 section 4.2).
pub const PTIME_DEFAULT_MS: u16 = 20;
/// Shortest packet time that is honoured, ms.
pub const PTIME_MIN_MS: u16 = 10;
/// Longest packet time that is honoured, ms.
pub const PTIME_MAX_MS: u16 = 60;

impl Attribute {
    /// A property attribute.
    pub fn flag(name: &str) -> Attribute {
        Attribute { name: name.into(), value: None }
    }

    /// A value attribute.
    pub fn value(name: &str, value: impl Into<SmolStr>) -> Attribute {
        Attribute { name: name.into(), value: Some(value.into()) }
    }

    /// Reads what stands after `a=`; `None` when there is no name.
    pub(super) fn parse(text: &str) -> Option<Attribute> {
        let (name, value) = match split_once(text, b':') {
            Some((name, value)) => (name, Some(SmolStr::new(value))),
            None => (text.trim_end(), None),
        };
        (!name.is_empty()).then(|| Attribute { name: name.into(), value })
    }

    /// The payload type with which `rtpmap`, `fmtp` and `rtcp-fb` start, and the rest.
    pub fn payload_and_rest(&self) -> Option<(&str, &str)> {
        let value = self.value.as_deref()?.trim_ascii_start();
        let Some(end) = value.bytes().position(|byte| byte == b' ' || byte == b'\t') else { return Some((value, "")) };
        Some((value.get(..end)?, value.get(end..)?.trim_ascii_start()))
    }
}

impl Direction {
    /// The direction that sends and receives as told.
    pub fn new(send: bool, receive: bool) -> Direction {
        match (send, receive) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The direction that an attribute name says.
    pub fn from_name(name: &str) -> Option<Direction> {
        match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// The attribute name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other end.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// What both directions, seen from the same end, permit.
    pub fn and(self, other: Direction) -> Direction {
        Direction::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The answer to an offer in this direction from an answerer that would like `wanted`: it sends only what the
    /// offerer receives and receives only what the offerer sends (RFC 3264 section 6.1).
    pub fn answered_with(self, wanted: Direction) -> Direction {
        self.reversed().and(wanted)
    }
}

impl Session {
    /// The direction of `media` (one of this session's sections): its own, else the session's, else `sendrecv`. An
    /// unspecified address is the hold of RFC 2543, whose writer receives nothing (RFC 3264 section 8.4).
    pub fn direction_of(&self, media: &Media) -> Direction {
        let said = |attributes: &[Attribute]| attributes.iter().rev().find_map(|a| Direction::from_name(&a.name));
        let direction = said(&media.attributes).or_else(|| said(&self.attributes)).unwrap_or_default();
        // A browser that hides its address until it is checked writes none, and holds nobody.
        match self.connection_of(media) {
            Some(connection) if connection.is_unspecified() && !self.is_found_by_ice(media) => {
                direction.and(Direction::SendOnly)
            }
            _ => direction,
        }
    }

    /// Where RTP for `media` is to be sent; `None` without a literal address.
    pub fn rtp_target(&self, media: &Media) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.connection_of(media)?.ip()?, media.port))
    }

    /// Where RTCP for `media` is to be sent when it has a port of its own: `a=rtcp` (RFC 3605), else the port after
    /// RTP's (RFC 3550 section 11).
    pub fn rtcp_target(&self, media: &Media) -> Option<SocketAddr> {
        let rtp = self.rtp_target(media)?;
        match media.attribute("rtcp").and_then(|attribute| attribute.value.as_deref()) {
            Some(value) => {
                let mut words = value.split_ascii_whitespace();
                let port = number(words.next()?)?;
                let ip = words.nth(2).map_or(Some(rtp.ip()), |text| text.parse::<IpAddr>().ok())?;
                (port != 0).then(|| SocketAddr::new(ip, port))
            }
            None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
        }
    }
}

impl Media {
    /// The first attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// `a=rtcp-mux` (RFC 5761 section 5.1.1).
    pub fn rtcp_mux(&self) -> bool {
        self.attribute("rtcp-mux").is_some()
    }

    /// `a=mid` (RFC 5888 section 4).
    pub fn mid(&self) -> Option<&str> {
        self.attribute("mid")?.value.as_deref()
    }

    /// The packet time that the writer wants to receive, ms: `a=ptime` within what we honour, not above `a=maxptime`,
    /// 20 when nothing is said (RFC 8866 section 6.4).
    pub fn ptime_ms(&self) -> u16 {
        let milliseconds = |name| {
            let value = self.attribute(name)?.value.as_deref()?.trim();
            // Some write 20.0; what is after the point is below our resolution.
            number::<u16>(value.split_once('.').map_or(value, |(whole, _)| whole)).filter(|ms| *ms > 0)
        };
        let wanted = milliseconds("ptime").unwrap_or(PTIME_DEFAULT_MS);
        let most = milliseconds("maxptime").unwrap_or(PTIME_MAX_MS);
        wanted.min(most).clamp(PTIME_MIN_MS, PTIME_MAX_MS)
    }
}

/// The maps of nearly all descriptions, as they are written there; they need not be taken apart.
const USUAL: &[(&str, &str, u32, u8)] = &[
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

    /// Writes `<encoding>/<clock>[/<channels>]`.
    pub(super) fn write(&self, out: &mut SmolStrBuilder) {
        out.push_str(&self.encoding);
        out.push('/');
        out.push_str(Digits::of(self.clock_hz.into()).as_str());
        if self.channels > 1 {
            out.push('/');
            out.push_str(Digits::of(self.channels.into()).as_str());
        }
    }

    /// The static assignments of RFC 3551 section 6.
    pub(super) fn of_static(payload: u8) -> Option<RtpMap> {
        let (encoding, clock_hz, channels) = match payload {
            0 => ("PCMU", 8000, 1),
            3 => ("GSM", 8000, 1),
            4 => ("G723", 8000, 1),
            5 => ("DVI4", 8000, 1),
            6 => ("DVI4", 16_000, 1),
            7 => ("LPC", 8000, 1),
            8 => ("PCMA", 8000, 1),
            9 => ("G722", 8000, 1), // the clock is historic: it samples at 16 kHz
            10 => ("L16", 44_100, 2),
            11 => ("L16", 44_100, 1),
            12 => ("QCELP", 8000, 1),
            13 => ("CN", 8000, 1),
            14 => ("MPA", 90_000, 1),
            15 => ("G728", 8000, 1),
            16 => ("DVI4", 11_025, 1),
            17 => ("DVI4", 22_050, 1),
            18 => ("G729", 8000, 1),
            25 => ("CelB", 90_000, 1),
            26 => ("JPEG", 90_000, 1),
            28 => ("nv", 90_000, 1),
            31 => ("H261", 90_000, 1),
            32 => ("MPV", 90_000, 1),
            33 => ("MP2T", 90_000, 1),
            34 => ("H263", 90_000, 1),
            _ => return None,
        };
        Some(RtpMap { payload, encoding: SmolStr::new_static(encoding), clock_hz, channels })
    }

    /// Whether both name the same encoding: name without case, clock and channels; the number may differ.
    pub fn same_encoding(&self, other: &RtpMap) -> bool {
        self.encoding.eq_ignore_ascii_case(&other.encoding)
            && self.clock_hz == other.clock_hz
            && self.channels == other.channels
    }

    /// Whether this is `telephone-event` (RFC 4733).
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }

    /// Whether this carries sound or picture by itself: not events, comfort noise, redundancy or retransmission.
    pub fn is_codec(&self) -> bool {
        let helpers = ["telephone-event", "CN", "red", "rtx", "ulpfec", "flexfec", "tone"];
        !helpers.iter().any(|helper| self.encoding.eq_ignore_ascii_case(helper))
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.name.as_str() {
            "crypto" | "key-mgmt" | "ice-pwd" => Some("(secret)"),
            _ => self.value.as_deref(),
        };
        f.debug_struct("Attribute").field("name", &self.name).field("value", &value).finish()
    }
}

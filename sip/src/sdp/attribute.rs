//! `a=` lines: kept as text, read as types on request.

use smol_str::SmolStr;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::parse::{number, split_once};
use super::rtpmap::RtpMap;
use super::rules::{Known, Rule, rule_for};
use super::session::{Media, Session};
use crate::text::Piece as _;
use names::{
    CRYPTO, FMTP, ICE_PWD, INACTIVE, KEY_MGMT, MAXPTIME, MID, PTIME, RECVONLY, RTCP, RTCP_MUX, RTPMAP, SENDONLY,
    SENDRECV,
};

/// An `a=` line (RFC 8866 section 5.13). Its debug form shows no keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    name: AttributeName,
    value: Value,
}

#[derive(Clone, PartialEq, Eq)]
enum AttributeName {
    Known(Known),
    Other(Box<str>),
}

/// What stands after the colon. What every call reads several times is kept as what it says.
#[derive(Clone, PartialEq, Eq)]
enum Value {
    /// Not even a colon.
    None,
    Text(SmolStr),
    /// Of `rtpmap`, written as we do.
    Map(RtpMap),
    /// Of `rtpmap`, written otherwise.
    OddMap(Box<(RtpMap, SmolStr)>),
    /// Of `fmtp`, with one space behind the payload type.
    Parameters(u8, SmolStr),
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

/// Packet time when nothing is said, ms (RFC 3551 section 4.2).
pub const PTIME_DEFAULT_MS: u16 = 20;
/// Shortest packet time that is honoured, ms.
pub const PTIME_MIN_MS: u16 = 10;
/// Longest packet time that is honoured, ms.
pub const PTIME_MAX_MS: u16 = 60;

impl Attribute {
    /// A property attribute, such as `sendrecv`.
    pub fn flag(name: &str) -> Attribute {
        Attribute { name: AttributeName::of(name), value: Value::None }
    }

    /// A value attribute.
    pub fn new(name: &str, value: impl Into<SmolStr>) -> Attribute {
        Attribute { name: AttributeName::of(name), value: Value::Text(value.into()) }
    }

    /// A property attribute of the table.
    pub(super) const fn known_flag(name: Known) -> Attribute {
        Attribute { name: AttributeName::Known(name), value: Value::None }
    }

    /// A value attribute of the table.
    pub(super) const fn known(name: Known, value: SmolStr) -> Attribute {
        Attribute { name: AttributeName::Known(name), value: Value::Text(value) }
    }

    /// `a=rtpmap`
    pub(super) const fn map(map: RtpMap) -> Attribute {
        Attribute { name: AttributeName::Known(RTPMAP), value: Value::Map(map) }
    }

    /// `a=fmtp`
    pub(super) const fn parameters(payload: u8, parameters: SmolStr) -> Attribute {
        Attribute { name: AttributeName::Known(FMTP), value: Value::Parameters(payload, parameters) }
    }

    /// What stands before the first colon; never empty. Case matters (RFC 8866 section 6).
    pub fn name(&self) -> &str {
        match &self.name {
            AttributeName::Known(known) => known.name(),
            AttributeName::Other(text) => text,
        }
    }

    /// What stands after it; `None` for a property such as `sendrecv`.
    pub fn value(&self) -> Option<Cow<'_, str>> {
        if let Some(text) = self.text() {
            return Some(Cow::Borrowed(text));
        }
        let mut out = Vec::new();
        self.value.write(&mut out);
        matches!(self.value, Value::Map(_) | Value::Parameters(..))
            .then(|| Cow::Owned(String::from_utf8(out).unwrap_or_default()))
    }

    /// The value where it is kept as it was written: of all but `rtpmap` and `fmtp`.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::OddMap(odd) => Some(&odd.1),
            Value::None | Value::Map(_) | Value::Parameters(..) => None,
        }
    }

    /// Another value for the same name.
    pub(super) fn set_text(&mut self, value: SmolStr) {
        self.value = Value::Text(value);
    }

    /// Whether this is the attribute of that name.
    pub(super) fn is(&self, name: Known) -> bool {
        matches!(&self.name, AttributeName::Known(known) if *known == name)
    }

    /// What becomes of it, as [`rule_for`] its name.
    pub(super) fn rule(&self, also_pass: &[String]) -> Rule {
        match &self.name {
            AttributeName::Known(known) => known.rule(),
            AttributeName::Other(name) => rule_for(name, also_pass),
        }
    }

    /// What an `a=rtpmap` says; `None` if it is none or says nothing.
    pub(super) fn as_map(&self) -> Option<&RtpMap> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::OddMap(odd) => Some(&odd.0),
            _ => None,
        }
    }

    /// Payload type and parameters of an `a=fmtp`.
    pub(super) fn as_parameters(&self) -> Option<(u8, &str)> {
        match &self.value {
            Value::Parameters(payload, parameters) => Some((*payload, parameters)),
            Value::Text(_) if self.is(FMTP) => {
                let (payload, rest) = self.payload_and_rest()?;
                Some((number(payload)?, rest))
            }
            _ => None,
        }
    }

    /// The direction, if it says one.
    pub(super) fn direction(&self) -> Option<Direction> {
        [
            (SENDRECV, Direction::SendRecv),
            (SENDONLY, Direction::SendOnly),
            (RECVONLY, Direction::RecvOnly),
            (INACTIVE, Direction::Inactive),
        ]
        .into_iter()
        .find(|(name, _)| self.is(*name))
        .map(|(_, direction)| direction)
    }

    /// Reads what stands after `a=`; `None` when there is no name.
    pub(super) fn parse(text: &str) -> Option<Attribute> {
        let Some((name, value)) = split_once(text, b':') else {
            let name = text.trim_end();
            return (!name.is_empty()).then(|| Attribute::flag(name));
        };
        let name = AttributeName::of(if name.is_empty() { return None } else { name });
        let value = match &name {
            AttributeName::Known(RTPMAP) => Value::of_map(value),
            AttributeName::Known(FMTP) => Value::of_parameters(value),
            _ => Value::Text(value.into()),
        };
        Some(Attribute { name, value })
    }

    /// Writes what stands after `a=`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.name().put(out);
        if !matches!(self.value, Value::None) {
            out.push(b':');
            self.value.write(out);
        }
    }

    /// The payload type with which `rtcp-fb` and `imageattr` start, and the rest.
    pub(super) fn payload_and_rest(&self) -> Option<(&str, &str)> {
        let value = self.text()?.trim_ascii_start();
        let Some(end) = value.bytes().position(|byte| byte == b' ' || byte == b'\t') else { return Some((value, "")) };
        Some((value.get(..end)?, value.get(end..)?.trim_ascii_start()))
    }
}

impl AttributeName {
    fn of(name: &str) -> AttributeName {
        Known::of(name).map_or_else(|| AttributeName::Other(name.into()), AttributeName::Known)
    }
}

impl Value {
    fn of_map(text: &str) -> Value {
        let (payload, rest) = split_payload(text);
        match payload.and_then(|payload| RtpMap::parse(payload, rest)) {
            Some(map) if map.is_written_as(text) => Value::Map(map),
            Some(map) => Value::OddMap(Box::new((map, text.into()))),
            None => Value::Text(text.into()),
        }
    }

    fn of_parameters(text: &str) -> Value {
        let (payload, rest) = split_payload(text);
        // One number has one form, and one space is behind it.
        match payload {
            Some(payload) if text.len() == digits(payload) + 1 + rest.len() => Value::Parameters(payload, rest.into()),
            _ => Value::Text(text.into()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::None => {}
            Value::Text(text) => text.put(out),
            Value::OddMap(odd) => odd.1.put(out),
            Value::Map(map) => {
                map.payload.put(out);
                out.push(b' ');
                map.write(out);
            }
            Value::Parameters(payload, parameters) => {
                payload.put(out);
                out.push(b' ');
                parameters.put(out);
            }
        }
    }
}

/// The payload type in front, if it is one, and what stands behind it.
fn split_payload(text: &str) -> (Option<u8>, &str) {
    let text = text.trim_ascii_start();
    let end = text.bytes().position(|byte| byte == b' ' || byte == b'\t').unwrap_or(text.len());
    let (payload, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (number(payload), rest.trim_ascii_start())
}

/// How many digits a payload type has.
pub(super) const fn digits(payload: u8) -> usize {
    match payload {
        0..=9 => 1,
        10..=99 => 2,
        100.. => 3,
    }
}

/// The attributes that the code of this folder knows by name.
pub(super) mod names {
    use super::super::rules::Known;

    macro_rules! names {
        ($($constant:ident = $name:literal),+ $(,)?) => {$(
            pub const $constant: Known = Known::named($name);
        )+};
    }

    names! {
        BUNDLE_ONLY = "bundle-only",
        CANDIDATE = "candidate",
        CRYPTO = "crypto",
        END_OF_CANDIDATES = "end-of-candidates",
        EXTMAP = "extmap",
        FINGERPRINT = "fingerprint",
        FMTP = "fmtp",
        GROUP = "group",
        ICE_LITE = "ice-lite",
        ICE_PWD = "ice-pwd",
        ICE_UFRAG = "ice-ufrag",
        INACTIVE = "inactive",
        KEY_MGMT = "key-mgmt",
        MAXPTIME = "maxptime",
        MID = "mid",
        PTIME = "ptime",
        RECVONLY = "recvonly",
        RTCP = "rtcp",
        RTCP_FB = "rtcp-fb",
        RTCP_MUX = "rtcp-mux",
        RTCP_XR = "rtcp-xr",
        RTPMAP = "rtpmap",
        SENDONLY = "sendonly",
        SENDRECV = "sendrecv",
        SETUP = "setup",
        SSRC = "ssrc",
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

    /// The attribute name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The attribute.
    pub(super) const fn attribute(self) -> Attribute {
        Attribute::known_flag(match self {
            Direction::SendRecv => SENDRECV,
            Direction::SendOnly => SENDONLY,
            Direction::RecvOnly => RECVONLY,
            Direction::Inactive => INACTIVE,
        })
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
        let said = |attributes: &[Attribute]| attributes.iter().rev().find_map(Attribute::direction);
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
        match media.value_of(RTCP) {
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
        self.attributes.iter().find(|attribute| attribute.name() == name)
    }

    /// Whether there is an attribute of that name.
    pub(super) fn has(&self, name: Known) -> bool {
        self.attributes.iter().any(|attribute| attribute.is(name))
    }

    /// The value of the first attribute of that name.
    pub(super) fn value_of(&self, name: Known) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.is(name))?.text()
    }

    /// `a=rtcp-mux` (RFC 5761 section 5.1.1).
    pub fn rtcp_mux(&self) -> bool {
        self.has(RTCP_MUX)
    }

    /// `a=mid` (RFC 5888 section 4).
    pub fn mid(&self) -> Option<&str> {
        self.value_of(MID)
    }

    /// The packet time that the writer wants to receive, ms: `a=ptime` within what we honour, not above `a=maxptime`,
    /// 20 when nothing is said (RFC 8866 section 6.4).
    pub fn ptime_ms(&self) -> u16 {
        let wanted = self.milliseconds(PTIME).unwrap_or(PTIME_DEFAULT_MS);
        let most = self.milliseconds(MAXPTIME).unwrap_or(PTIME_MAX_MS);
        wanted.min(most).clamp(PTIME_MIN_MS, PTIME_MAX_MS)
    }

    /// The longest packets that the writer can take, ms (`a=maxptime`, RFC 8866 section 6.5), no less than we honour; 0 when
    /// nothing is said.
    pub fn max_ptime_ms(&self) -> u16 {
        self.milliseconds(MAXPTIME).map_or(0, |most| most.max(PTIME_MIN_MS))
    }

    fn milliseconds(&self, name: Known) -> Option<u16> {
        let value = self.value_of(name)?.trim();
        // Some write 20.0; what is after the point is below our resolution.
        number::<u16>(value.split_once('.').map_or(value, |(whole, _)| whole)).filter(|ms| *ms > 0)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = [CRYPTO, KEY_MGMT, ICE_PWD].into_iter().any(|name| self.is(name));
        let value = if secret { Some(Cow::Borrowed("(secret)")) } else { self.value() };
        f.debug_struct("Attribute").field("name", &self.name()).field("value", &value).finish()
    }
}

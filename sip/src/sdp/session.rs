//! A session description as data: what `o=`, `c=`, `m=` and `a=` say, in the order in which they stood.

use smol_str::SmolStr;
use std::fmt;
use std::net::IpAddr;

use super::attribute::Attribute;
use crate::text::Piece as _;

/// A whole session description (RFC 8866 section 5).
///
/// Printing ([`Session::print`]) writes the lines in the order of the grammar; parsing what was printed gives the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `o=`: who made the description, and which version of it this is.
    pub origin: Origin,
    /// `s=`: never empty; `-` when there is nothing to say (RFC 8866 section 5.3).
    pub name: SmolStr,
    /// `c=` at session level: where media goes unless a media section says otherwise.
    pub connection: Option<Connection>,
    /// `i= u= e= p= b= t= r= z= k=` and letters that RFC 8866 does not know, in grammar order.
    pub lines: Vec<Line>,
    /// `a=` lines at session level, as they stood.
    pub attributes: Vec<Attribute>,
    /// Media sections; their position is their identity in offer/answer (RFC 3264 section 6).
    pub media: Vec<Media>,
}

/// One media section: an `m=` line and everything under it (RFC 8866 section 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The media type.
    pub kind: MediaKind,
    /// Transport port; 0 rejects or ends the stream (RFC 3264 section 6).
    pub port: u16,
    /// The number of consecutive ports after a slash, when given.
    pub port_count: Option<u16>,
    /// The transport, for example `RTP/AVP`.
    pub protocol: SmolStr,
    /// Formats in order of preference; payload type numbers when the transport is RTP.
    pub formats: Vec<SmolStr>,
    /// `c=` of this section. Of several (layered multicast) the first is kept.
    pub connection: Option<Connection>,
    /// `i= b= k=` and unknown letters of this section.
    pub lines: Vec<Line>,
    /// `a=` lines of this section, as they stood.
    pub attributes: Vec<Attribute>,
}

/// `o=` (RFC 8866 section 5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User name on the originating host, `-` when there is none.
    pub username: SmolStr,
    /// Numeric session id. Values past 64 bits are read as the largest: they are never sent on.
    pub session_id: u64,
    /// Version of this description; one more for every change (RFC 3264 section 8).
    pub version: u64,
    /// The originator's address.
    pub address: Connection,
}

/// An address with its family, as in `c=` and `o=` (RFC 8866 section 5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A unicast address literal.
    Ip(IpAddr),
    /// What is no plain literal: a host name, or a multicast address with its TTL. Kept to be printed; media to it is
    /// not carried, because a media path that waits for DNS would let a description choose its target later.
    Other {
        /// The family that stood before it.
        family: Family,
        /// The text as received.
        text: SmolStr,
    },
}

/// Address family of a [`Connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `IP4`
    Ip4,
    /// `IP6`
    Ip6,
}

/// A line kept as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The type letter, ASCII.
    pub letter: char,
    /// Everything after the equals sign.
    pub value: SmolStr,
}

/// The media types of RFC 8866 section 5.14, and any other word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `text`
    Text,
    /// `application`
    Application,
    /// `message`
    Message,
    /// `image`
    Image,
    /// Any other token.
    Other(SmolStr),
}

/// Transports of which the pool passes each datagram as it came.
const DATAGRAMS: [&str; 3] = ["udptl", "UDP/BFCP", "UDP/UDPTL"];

/// Bytes that a description usually takes.
const USUAL_BYTES: usize = 768;

impl Session {
    /// The description as it goes on the wire, in one allocation where it is of usual length.
    pub fn print(&self) -> String {
        let mut out = Vec::with_capacity(USUAL_BYTES);
        self.origin.write(&mut out);
        out.extend_from_slice(b"s=");
        self.name.put(&mut out);
        out.extend_from_slice(b"\r\n");
        write_lines(&mut out, &self.lines, |line| rank(line.letter) == 0);
        write_connection(&mut out, self.connection.as_ref());
        write_lines(&mut out, &self.lines, |line| rank(line.letter) != 0);
        write_attributes(&mut out, &self.attributes);
        for media in &self.media {
            media.write(&mut out);
        }
        // It is made of texts.
        String::from_utf8(out).unwrap_or_default()
    }

    /// Whether any stream is wanted: at least one media section has a port other than 0.
    pub fn has_active_media(&self) -> bool {
        self.media.iter().any(|media| media.port != 0)
    }

    /// Where the media of `media` (one of this session's sections) is to be sent: its own `c=`, else the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }
}

impl Media {
    /// Whether the transport is RTP without keys (`RTP/AVP`, `RTP/AVPF`).
    pub fn is_plain_rtp(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("RTP/AVP") || self.protocol.eq_ignore_ascii_case("RTP/AVPF")
    }

    /// Whether the transport is datagrams that nobody looks into, keyed by nothing: fax (ITU-T T.38), floor control (RFC 8856).
    pub fn is_datagrams(&self) -> bool {
        matches!(self.kind, MediaKind::Image | MediaKind::Application)
            && DATAGRAMS.iter().any(|known| self.protocol.eq_ignore_ascii_case(known))
    }

    /// This section refused: same kind, transport and formats, port 0, nothing else (RFC 3264 section 6).
    pub fn rejected(&self) -> Media {
        let mut formats = self.formats.clone();
        if formats.is_empty() {
            // The grammar wants a format even where it means nothing.
            formats.push(SmolStr::new_static("0"));
        }
        Media {
            kind: self.kind.clone(),
            port: 0,
            port_count: None,
            protocol: self.protocol.clone(),
            formats,
            connection: None,
            lines: Vec::new(),
            attributes: Vec::new(),
        }
    }
}

impl Connection {
    /// The literal address, when there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Connection::Ip(ip) => Some(*ip),
            Connection::Other { .. } => None,
        }
    }

    /// Whether this is the hold of RFC 2543: the unspecified address, to which nothing may be sent
    /// (RFC 3264 section 8.4).
    pub fn is_unspecified(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl MediaKind {
    /// The token on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Text => "text",
            MediaKind::Application => "application",
            MediaKind::Message => "message",
            MediaKind::Image => "image",
            MediaKind::Other(token) => token,
        }
    }

    /// The kind that a token names.
    pub fn from_token(token: &str) -> MediaKind {
        match token {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "text" => MediaKind::Text,
            "application" => MediaKind::Application,
            "message" => MediaKind::Message,
            "image" => MediaKind::Image,
            other => MediaKind::Other(other.into()),
        }
    }
}

/// Place of a session-level letter in the grammar (RFC 8866 section 9); `c=` stands between 0 and 1.
/// `t=`, `r=` and `z=` share a place, because each `r=` belongs to the `t=` before it.
pub(super) fn rank(letter: char) -> u8 {
    match letter {
        'i' | 'u' | 'e' | 'p' => 0,
        'b' => 1,
        't' | 'r' | 'z' => 2,
        'k' => 3,
        _ => 4,
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8(out).unwrap_or_default())
    }
}

impl Origin {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"v=0\r\no=");
        self.username.put(out);
        out.push(b' ');
        self.session_id.put(out);
        out.push(b' ');
        self.version.put(out);
        out.push(b' ');
        self.address.write(out);
        out.extend_from_slice(b"\r\n");
    }
}

impl Media {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"m=");
        self.kind.as_str().put(out);
        out.push(b' ');
        self.port.put(out);
        if let Some(count) = self.port_count {
            out.push(b'/');
            count.put(out);
        }
        out.push(b' ');
        self.protocol.put(out);
        for format in &self.formats {
            out.push(b' ');
            format.put(out);
        }
        out.extend_from_slice(b"\r\n");
        write_lines(out, &self.lines, |line| line.letter == 'i');
        write_connection(out, self.connection.as_ref());
        write_lines(out, &self.lines, |line| line.letter != 'i');
        write_attributes(out, &self.attributes);
    }
}

impl Connection {
    /// Family and address, as they stand in `c=` and `o=`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Connection::Ip(IpAddr::V4(_)) | Connection::Other { family: Family::Ip4, .. } => b"IN IP4 ",
            Connection::Ip(IpAddr::V6(_)) | Connection::Other { family: Family::Ip6, .. } => b"IN IP6 ",
        });
        match self {
            Connection::Ip(ip) => ip.put(out),
            Connection::Other { text, .. } => text.put(out),
        }
    }
}

fn write_connection(out: &mut Vec<u8>, connection: Option<&Connection>) {
    if let Some(connection) = connection {
        out.extend_from_slice(b"c=");
        connection.write(out);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_attributes(out: &mut Vec<u8>, attributes: &[Attribute]) {
    for attribute in attributes {
        out.extend_from_slice(b"a=");
        attribute.write(out);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_lines(out: &mut Vec<u8>, lines: &[Line], wanted: impl Fn(&Line) -> bool) {
    for line in lines.iter().filter(|line| wanted(line)) {
        // A letter is one byte.
        out.extend(u8::try_from(line.letter));
        out.push(b'=');
        line.value.put(out);
        out.extend_from_slice(b"\r\n");
    }
}

//! What the switch writes about itself: who it is, where its media ports are, and which version of a description it is.

use smol_str::{SmolStr, format_smolstr};
use std::net::SocketAddr;
use std::sync::Arc;

use super::attribute::names::{RTCP, RTCP_MUX, SETUP};
use super::attribute::{Attribute, Direction};
use super::codec::CodecPattern;
use super::crypto::OurKeys;
use super::rtpmap::RtpMap;
use super::session::{Connection, Line, Media, MediaKind, Origin, Session};
use super::web::session_attributes;

/// Our side of a description: everything in it that is not about codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurMedia {
    /// `o=` user name.
    pub username: SmolStr,
    /// `o=` session id, one for the life of a leg.
    pub session_id: u64,
    /// `o=` version of the first description. Later ones get theirs from [`revise`].
    pub version: u64,
    /// `o=` address.
    pub address: std::net::IpAddr,
    /// For each media section, in order, our port; `None` (or past the end) for a section that we do not carry.
    pub ports: Vec<Option<LocalPort>>,
    /// What we do about SRTP towards the party that gets the description.
    pub keys: OurKeys,
    /// The codecs of sound that the party is named, where it is not to have all.
    pub only: Option<Arc<[CodecPattern]>>,
}

/// Where we take the media of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// Our RTP address and port.
    pub rtp: SocketAddr,
    /// Our RTCP address and port when RTCP is not multiplexed.
    pub rtcp: SocketAddr,
    /// Whether we can take RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// What we do about SRTP in this section, where it has keys of its own: each is another stream (RFC 4568 section 6.1).
    pub keys: Option<Box<OurKeys>>,
}

impl LocalPort {
    /// RTP at `rtp`, RTCP at the next port (RFC 3550 section 11), no multiplexing.
    pub fn pair(rtp: SocketAddr) -> LocalPort {
        LocalPort { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1)), rtcp_mux: false, keys: None }
    }
}

impl OurMedia {
    /// Whether the party is named a format of a section of `kind`. Telephone-events and comfort noise go with whatever codec.
    pub(super) fn names(&self, kind: &MediaKind, map: &RtpMap) -> bool {
        let only = self.only.as_ref().filter(|_| *kind == MediaKind::Audio && map.is_codec());
        only.is_none_or(|only| only.iter().any(|codec| codec.matches(map)))
    }

    /// Our port for the section at `index`; a port of 0 is none.
    pub(super) fn port(&self, index: usize) -> Option<&LocalPort> {
        self.ports.get(index)?.as_ref().filter(|port| port.rtp.port() != 0)
    }

    /// What we do about SRTP in the section at `index`.
    pub(super) fn keys_at(&self, index: usize) -> &OurKeys {
        self.ports.get(index).and_then(Option::as_ref).and_then(|port| port.keys.as_deref()).unwrap_or(&self.keys)
    }

    /// A description of ours around `media`. `c=` stands in each active section, so that sections may differ; a session
    /// level `c=` is there as well, for readers that look nowhere else.
    /// `offer` is what it answers, if it is an answer.
    pub(super) fn session(
        &self,
        media: Vec<Media>,
        offer: Option<&Session>,
        mut attributes: Vec<Attribute>,
    ) -> Session {
        attributes.extend(session_attributes(&media, offer));
        let first = media.iter().find(|media| media.port != 0).and_then(|media| media.connection.clone());
        Session {
            origin: Origin {
                username: if self.username.is_empty() { SmolStr::new_static("-") } else { self.username.clone() },
                session_id: self.session_id,
                version: self.version,
                address: Connection::Ip(self.address),
            },
            name: SmolStr::new_static("-"),
            connection: Some(first.unwrap_or(Connection::Ip(self.address))),
            lines: vec![Line { letter: 't', value: SmolStr::new_static("0 0") }],
            attributes,
            media,
        }
    }
}

impl LocalPort {
    /// Puts this port, its RTCP lines and `direction` into `media`. `mux` says whether to write `a=rtcp-mux`: in an
    /// offer when we can, in an answer when the offer has it too (RFC 5761 section 5.1.1).
    pub(super) fn write(&self, media: &mut Media, direction: Direction, mux: bool) {
        media.port = self.rtp.port();
        media.port_count = None;
        media.connection = Some(Connection::Ip(self.rtp.ip()));
        if Some(self.rtcp.port()) != self.rtp.port().checked_add(1) || self.rtcp.ip() != self.rtp.ip() {
            let port = self.rtcp.port();
            let value = match self.rtcp.ip() {
                ip if ip == self.rtp.ip() => format_smolstr!("{port}"),
                ip => format_smolstr!("{port} {}", Connection::Ip(ip)),
            };
            media.attributes.push(Attribute::known(RTCP, value));
        }
        if mux && self.rtcp_mux {
            media.attributes.push(Attribute::known_flag(RTCP_MUX));
        }
        media.attributes.push(direction.attribute());
    }
}

/// `next` as the description that follows `previous` in the same dialog (RFC 3264 section 8): the same session id; the
/// very same description when nothing changed, else its version plus one; and no fewer media sections, those that
/// `next` lacks being there with port 0.
pub fn revise(previous: &Session, mut next: Session) -> Session {
    for media in previous.media.iter().skip(next.media.len()) {
        next.media.push(media.rejected());
    }
    next.origin = previous.origin.clone();
    if next != *previous {
        next.origin.version = previous.origin.version.wrapping_add(1);
    }
    next
}

/// Our last description as an offer: in an answer we had to choose who begins a handshake, in an offer either end may, and the
/// answer keeps what there is (RFC 8842 section 5.5).
pub fn reoffer(previous: &Session) -> Session {
    let mut next = previous.clone();
    let sections = next.media.iter_mut().filter(|media| media.port != 0 && media.is_dtls());
    for setup in sections.flat_map(|media| &mut media.attributes).filter(|attribute| attribute.is(SETUP)) {
        setup.set_text(SmolStr::new_static("actpass"));
    }
    revise(previous, next)
}

/// Our last description with every active stream put on hold: `sendrecv` becomes `sendonly`, `recvonly` becomes
/// `inactive` (RFC 3264 section 8.4). A description that is already on hold comes back unchanged.
pub fn hold(previous: &Session) -> Session {
    redirect(previous, |direction| direction.and(Direction::SendOnly))
}

/// Our last description with every active stream taken off hold: we receive again.
pub fn resume(previous: &Session) -> Session {
    redirect(previous, |direction| Direction::new(direction.sends(), true))
}

/// Our last description with the direction of every active stream changed, its version counted up if that is a change.
pub fn redirect(previous: &Session, change: impl Fn(Direction) -> Direction) -> Session {
    let mut next = previous.clone();
    next.attributes.retain(|attribute| attribute.direction().is_none());
    for (media, before) in next.media.iter_mut().zip(&previous.media).filter(|(media, _)| media.port != 0) {
        let now = change(previous.direction_of(before)).attribute();
        let mut said = false;
        media.attributes.retain_mut(|attribute| {
            if attribute.direction().is_none() {
                return true;
            }
            // In its old place, so that an unchanged direction leaves the description equal.
            attribute.clone_from(&now);
            !std::mem::replace(&mut said, true)
        });
        if !said {
            media.attributes.push(now);
        }
    }
    revise(previous, next)
}

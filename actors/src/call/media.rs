//! From what two descriptions agree on to what the pool is told.

use media::codec::{Codec, Payload};
use media::ice::{Credentials, Ice};
use media::rtcp::Wanted;
use media::{ConnectError, Flow, Handshake, Remote, Secure, Side, Source, Whereabouts};
use sip::sdp::{
    AgreedDtls, AgreedKeys, AgreedMedia, AgreedPayload, CodecSpec, IceCredentials, LocalPort, Media, MediaKind,
    OurKeys, OurMedia, Profile, RelayPolicy, Session, State,
};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Work;
use super::keys::Keyring;
use super::leg::Leg;
use super::lines::{Paths, sound_at};

impl Work<'_> {
    /// The policy of a relayed call.
    pub fn relay_policy(&self) -> Arc<RelayPolicy> {
        Arc::clone(&self.core.shared.settings().relay)
    }
}

/// Our side of a description for the party of a leg: its ports for the lines of `shape`, and its keys.
pub fn ours(paths: Paths<'_>, leg: &Leg, shape: Option<&Session>) -> OurMedia {
    // Its offer that waits for this, else what it has said last.
    let theirs = leg.exchange.pending_offer().or_else(|| leg.their_description());
    // An offer of the party with new ICE credentials wants new ones of ours (RFC 8839 section 4.4.1.1.1).
    let asks = leg.exchange.pending_offer().filter(|_| leg.exchange.state() == State::OfferReceived);
    let asks_at = |at: usize| asks.and_then(|offer| offer.ice_of(offer.media.get(at)?));
    let keys = |keyring: &Keyring, flow: &Flow, at: usize| {
        let keys = keyring.ours(theirs, leg.profile);
        let web = (keys.profile == Profile::Dtls).then(|| keyring.web((flow.id(), leg.side), asks_at(at)));
        OurKeys { web, ..keys }
    };
    // A party that cannot be told from others on a shared port is told one of its own, while there is one.
    let placed = |flow: &Flow, whereabouts| flow.choose_port(leg.side, whereabouts).is_ok();
    let sound_placed = placed(paths.sound, whereabouts(leg));
    let first = shape.map_or(Some(0), sound_at);
    let of_sound = keys(&leg.keys, paths.sound, first.unwrap_or(0));
    let mut our = ours_at(paths.sound, leg.side, leg.session_id, of_sound, shape);
    if !sound_placed {
        our.ports.clear();
    }
    our.only.clone_from(&leg.codecs);
    let active = |at: usize| shape.and_then(|shape| shape.media.get(at)).is_some_and(|section| section.port != 0);
    for line in paths.lines.iter().filter(|line| Some(line.at) != first && active(line.at)) {
        let section = theirs.and_then(|theirs| theirs.media.get(line.at)).filter(|section| section.port != 0);
        // Datagrams say nothing of what they are, so they have no place among others.
        let found = if line.datagrams { Whereabouts::BehindNat } else { whereabouts_of(leg, section) };
        if !placed(&line.flow, found) {
            continue;
        }
        let keys = leg.line_keys.with(&leg.keys, line.at, |keyring| keys(keyring, &line.flow, line.at));
        if our.ports.len() <= line.at {
            our.ports.resize(line.at + 1, None);
        }
        if let Some(place) = our.ports.get_mut(line.at) {
            *place = Some(LocalPort { keys: Some(Box::new(keys)), ..port(&line.flow, leg.side) });
        }
    }
    our
}

/// What is known of where the sound of a leg's party is.
pub fn whereabouts(leg: &Leg) -> Whereabouts {
    let theirs = leg.exchange.pending_offer().or_else(|| leg.their_description());
    whereabouts_of(leg, theirs.and_then(|theirs| theirs.media.get(sound_at(theirs)?)))
}

/// What is known of where the media of a section of a leg's party is, if it has said one.
fn whereabouts_of(leg: &Leg, section: Option<&Media>) -> Whereabouts {
    let theirs = leg.exchange.pending_offer().or_else(|| leg.their_description());
    let keys = leg.keys.ours(theirs, leg.profile);
    let Some((theirs, section)) = theirs.zip(section) else {
        return match (theirs, keys.profile, leg.bound) {
            (Some(_), ..) => Whereabouts::Unknown,
            (None, Profile::Dtls, _) => Whereabouts::Checked,
            (None, _, true) => Whereabouts::BehindNat,
            (None, _, false) => Whereabouts::Unknown,
        };
    };
    if keys.profile == Profile::Dtls && theirs.is_found_by_ice(section) {
        return Whereabouts::Checked;
    }
    match theirs.rtp_target(section) {
        None => Whereabouts::Unknown,
        Some(rtp) if is_behind_nat(rtp, leg.hop.remote) => Whereabouts::BehindNat,
        Some(rtp) => Whereabouts::At { rtp, rtcp: theirs.rtcp_target(section).filter(|_| !section.rtcp_mux()) },
    }
}

/// As [`ours`], for the sound of a party that has no leg yet.
pub fn ours_at(flow: &Flow, side: Side, session_id: u64, keys: OurKeys, shape: Option<&Session>) -> OurMedia {
    let at = shape.map_or(Some(0), sound_at);
    let ports = at.map_or_else(Vec::new, |at| (0..=at).map(|line| (line == at).then(|| port(flow, side))).collect());
    let address = flow.local(side).ip();
    OurMedia { username: "strowger".into(), session_id, version: 1, address, ports, keys, only: None }
}

fn port(flow: &Flow, side: Side) -> LocalPort {
    LocalPort { rtp: flow.local(side), rtcp: flow.local_rtcp(side), rtcp_mux: true, keys: None }
}

/// What a stream of a leg came to.
pub struct Agreement {
    /// For the pool.
    pub remote: Remote,
    /// The keys, where the party's media is SRTP.
    pub keys: Option<AgreedKeys>,
    /// The handshake that comes to them, where one does.
    pub dtls: Option<AgreedDtls>,
    /// Name of the codec.
    pub codec: String,
    /// Whether the party wants to hear us; false while it holds.
    pub party_hears: bool,
    /// Whether the party sends to us.
    pub party_sends: bool,
}

/// The stream among those of a leg that is its sound.
pub fn sound(streams: &[AgreedMedia]) -> Option<&AgreedMedia> {
    streams.iter().find(|stream| stream.kind == MediaKind::Audio)
}

/// What a stream comes to. `seen` is where the leg's signalling comes from: a media address that differs from it tells of a
/// NAT between us.
pub fn agreement(stream: &AgreedMedia, seen: SocketAddr) -> Option<Agreement> {
    let codec = match stream.codec() {
        Some(codec) => codec.encoding.to_string(),
        None if stream.datagrams => "datagrams".to_owned(),
        None => return None,
    };
    let credentials =
        |ours: &IceCredentials| Credentials { ufrag: ours.ufrag.to_string(), password: ours.password.to_string() };
    let ice = stream.ice.as_ref();
    let ice = ice.map(|ice| Box::new(Ice { local: credentials(&ice.local), remote: credentials(&ice.remote) }));
    let behind_nat = is_behind_nat(stream.remote_rtp, seen);
    let rtp = if behind_nat {
        // A private address that is not where the phone is: its packets come from its NAT, whose address is the
        // signalled one that counts.
        SocketAddr::new(seen.ip(), stream.remote_rtp.port())
    } else {
        stream.remote_rtp
    };
    Some(Agreement {
        remote: Remote {
            rtp,
            rtcp: stream.remote_rtcp,
            rtcp_mux: stream.rtcp_mux,
            behind_nat,
            receive: stream.send,
            send: stream.receive,
            payloads: payloads(stream),
            ptime_ms: u8::try_from(stream.ptime_ms).unwrap_or(20),
            max_ptime_ms: u8::try_from(stream.max_ptime_ms).unwrap_or(u8::MAX),
            reports: Wanted {
                metrics: stream.reports.metrics,
                loss: stream.reports.loss,
                duplicates: stream.reports.duplicates,
                jitter: stream.reports.jitter,
            },
            opus_dtx: stream.payloads.iter().any(AgreedPayload::wants_dtx),
            told_keys: false,
            secure: None,
            dtls: None,
            ice,
        },
        keys: stream.keys.as_deref().cloned(),
        dtls: stream.dtls.as_deref().cloned(),
        codec,
        party_hears: stream.send,
        party_sends: stream.receive,
    })
}

/// Whether some codec of the one is a codec of the other, or can be made of it by who codes `coded`.
pub fn passes(one: &Agreement, other: &Agreement, coded: &[CodecSpec]) -> bool {
    let (mine, theirs) = (&one.remote.payloads, &other.remote.payloads);
    let known = |payload: &Payload| {
        let same = |spec: &CodecSpec| {
            spec.map.clock_hz == payload.clock_hz && Codec::from_name(&spec.map.encoding) == payload.codec
        };
        payload.sound_hz().is_some() && coded.iter().any(same)
    };
    let shared = mine.iter().any(|mine| !mine.events && theirs.iter().any(|theirs| mine.same_format(theirs)));
    shared || mine.iter().any(known) && theirs.iter().any(known)
}

/// Whether a media address is one in a network of its own, seen from where the signalling comes from.
fn is_behind_nat(rtp: SocketAddr, seen: SocketAddr) -> bool {
    rtp.ip() != seen.ip() && !rtp.ip().is_unspecified() && is_private(rtp)
}

fn is_private(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V4(v4) => v4.ip().is_private() || v4.ip().is_link_local(),
        SocketAddr::V6(v6) => v6.ip().is_unique_local() || v6.ip().is_unicast_link_local(),
    }
}

fn payloads(stream: &AgreedMedia) -> SmallVec<[Payload; 4]> {
    let of = |p: &AgreedPayload, events: bool| Payload {
        pt: p.remote_pt,
        codec: match (events, Codec::from_name(&p.encoding)) {
            (true, _) => Codec::TelephoneEvent,
            _ if stream.kind != MediaKind::Audio => passing(stream, p),
            // Of two channels, which nobody here takes apart.
            (false, Codec::L16) if p.channels != 1 => Codec::Other,
            (false, codec) => codec,
        },
        clock_hz: p.clock_hz,
        events,
    };
    stream.payloads.iter().map(|p| of(p, false)).chain(stream.telephone_event.iter().map(|p| of(p, true))).collect()
}

/// A format that passes: the same on both sides where it is called the same and its bits are. A retransmission is that of what it
/// repairs.
fn passing(stream: &AgreedMedia, payload: &AgreedPayload) -> Codec {
    let repairs = payload.repairs().and_then(|of| stream.payloads.iter().find(|other| other.remote_pt == of));
    Codec::Passing(payload.likeness().rotate_left(1) ^ repairs.map_or(0, AgreedPayload::likeness))
}

/// Tells the pool where the party on `side` is.
///
/// # Errors
/// The worker's queue is full, or there is no port for a party that cannot share one; the next change repeats it.
pub fn connect(
    flow: &Flow,
    side: Side,
    agreement: &Agreement,
    secure: Option<Secure>,
    dtls: Option<Handshake>,
) -> Result<(), ConnectError> {
    flow.connect(side, Remote { secure, dtls, ..agreement.remote.clone() })
        .inspect_err(|error| tracing::warn!(flow = ?flow.id(), ?side, %error, "a side is not connected"))
}

/// Tells the pool that the party on `side` has no sound any more.
pub fn silence(flow: &Flow, side: Side) {
    let before = flow.checkpoint().remote.get(side).clone();
    let Some(before) = before.filter(|remote| remote.send || remote.receive) else { return };
    if flow.connect(side, Remote { send: false, receive: false, ..before }).is_err() {
        tracing::warn!(flow = ?flow.id(), "the media worker is too busy to silence a side");
    }
}

/// Tells the pool what the party on `side` hears.
pub fn hear(flow: &Flow, side: Side, source: Source) {
    if flow.hear(side, source).is_err() {
        tracing::warn!(flow = ?flow.id(), "the media worker is too busy to change what a side hears");
    }
}

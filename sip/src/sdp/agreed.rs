//! What two descriptions of one leg agree on, in the form in which the media pool wants it.

use smol_str::SmolStr;
use std::net::SocketAddr;

use super::codec::{formats, pairs, selected};
use super::crypto::{AgreedKeys, agreed_keys};
use super::reports::WantedReports;
use super::rtpmap::is_codec;
use super::session::{Media, MediaKind, Session};
use super::web::{AgreedDtls, AgreedIce, agreed_dtls, agreed_ice};

/// A stream that both sides want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedMedia {
    /// Position of its section in both descriptions.
    pub line: usize,
    /// Its kind.
    pub kind: MediaKind,
    /// It is no RTP: any datagram passes.
    pub datagrams: bool,
    /// Where the remote takes RTP. Unspecified under the hold of RFC 2543; then `send` is false.
    pub remote_rtp: SocketAddr,
    /// Where the remote takes RTCP when it has a port of its own; `None` when it shares RTP's or has none.
    pub remote_rtcp: Option<SocketAddr>,
    /// Whether RTCP shares the RTP port in both directions (RFC 5761).
    pub rtcp_mux: bool,
    /// What protects it, if anything does (RFC 4568).
    pub keys: Option<Box<AgreedKeys>>,
    /// The handshake that comes to its keys, if one does (RFC 5763).
    pub dtls: Option<Box<AgreedDtls>>,
    /// How its party is found, if not by the addresses here (RFC 8445).
    pub ice: Option<Box<AgreedIce>>,
    /// Whether we send.
    pub send: bool,
    /// Whether we receive.
    pub receive: bool,
    /// Payload types that both know except telephone events, in the remote's order of preference.
    pub payloads: Vec<AgreedPayload>,
    /// Telephone events that both know (RFC 4733), one a clock.
    pub telephone_event: Vec<AgreedPayload>,
    /// Packet time in which the remote wants to receive, ms, 10 to 60.
    pub ptime_ms: u16,
    /// The longest packets that the remote says it can take, ms; 0 where it says nothing.
    pub max_ptime_ms: u16,
    /// The extended reports that the remote wants to get.
    pub reports: WantedReports,
}

/// A payload type as both sides number it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedPayload {
    /// The number that we send with: the remote's (RFC 3264 section 5.1).
    pub remote_pt: u8,
    /// The number that we receive: ours.
    pub local_pt: u8,
    /// Encoding name as the remote writes it.
    pub encoding: SmolStr,
    /// RTP clock, Hz.
    pub clock_hz: u32,
    /// Audio channels.
    pub channels: u8,
    /// The remote's parameters: what it wants to receive.
    pub fmtp: Option<SmolStr>,
}

impl AgreedMedia {
    /// The codec to send with: the remote's first that carries sound or picture by itself.
    pub fn codec(&self) -> Option<&AgreedPayload> {
        self.payloads.iter().find(|payload| payload.is_codec())
    }
}

impl AgreedPayload {
    /// The same for payloads of the same encoding with the same bit stream, whatever their numbers; for others hardly ever.
    pub fn likeness(&self) -> u32 {
        // FNV-1a, of texts that are apart.
        let add = |hash: u32, byte: u8| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
        let clock = self.clock_hz.to_be_bytes();
        let named = self.encoding.bytes().chain(clock).chain([self.channels]).fold(0x811c_9dc5, add);
        selected(&self.encoding, self.fmtp.as_deref()).flat_map(|value| value.bytes().chain([b';'])).fold(named, add)
    }

    /// The payload type that this one repairs (RFC 4588 section 8.1).
    pub fn repairs(&self) -> Option<u8> {
        let fmtp = self.fmtp.as_deref().filter(|_| self.encoding.eq_ignore_ascii_case("rtx"))?;
        fmtp.split(';').find_map(|pair| pair.trim().strip_prefix("apt=")?.parse().ok())
    }

    /// Whether the remote prefers that silence in this codec is not sent: Opus with `usedtx` (RFC 7587 section 6.1).
    pub fn wants_dtx(&self) -> bool {
        let parameters = self.fmtp.as_deref().filter(|_| self.encoding.eq_ignore_ascii_case("opus"));
        parameters.is_some_and(|text| text.split(';').any(|pair| pair.trim() == "usedtx=1"))
    }

    fn is_codec(&self) -> bool {
        is_codec(&self.encoding)
    }
}

/// The streams of a leg, given the two descriptions in force; it does not matter which was the offer. Sections that
/// either side refused, whose kinds differ, that are no RTP, that demand keys and have none in common, or that share no codec are left out.
pub fn agreed(local: &Session, remote: &Session) -> Vec<AgreedMedia> {
    // Kept as long as the call: no more room than there are sections.
    let mut streams = Vec::with_capacity(local.media.len().min(remote.media.len()));
    let pairs = local.media.iter().zip(&remote.media).enumerate();
    streams.extend(pairs.filter_map(|(line, (ours, theirs))| agreed_section(line, local, ours, remote, theirs)));
    streams
}

/// Whether a peer that has said `remote` agrees to the same with our description `one` as with `two`: the same formats in
/// the same sections, with the same parameters asked of it and the same packet time. Their order, addresses and
/// directions do not count.
pub fn same_agreement(one: &Session, two: &Session, remote: &Session) -> bool {
    let (first, second) = (agreed(one, remote), agreed(two, remote));
    first.len() == second.len()
        && first.iter().zip(&second).all(|(a, b)| a.line == b.line && wants(one, a) == wants(two, b))
}

/// What `local` asks of the peer in a stream: its packet time, and per format the peer's number and our parameters.
fn wants<'a>(local: &'a Session, stream: &AgreedMedia) -> (Option<u16>, Vec<(u8, Option<&'a str>)>) {
    let section = local.media.get(stream.line);
    let asked = |payload: &AgreedPayload| {
        let text = payload.local_pt.to_string();
        // Which events somebody knows is a list that each end writes in its own way.
        let parameters = section.filter(|_| payload.is_codec()).and_then(|section| section.fmtp(&text));
        (payload.remote_pt, parameters)
    };
    let mut formats: Vec<_> = stream.payloads.iter().chain(&stream.telephone_event).map(asked).collect();
    formats.sort_unstable();
    (section.map(Media::ptime_ms), formats)
}

fn agreed_section(line: usize, local: &Session, ours: &Media, remote: &Session, theirs: &Media) -> Option<AgreedMedia> {
    let wanted = ours.port != 0 && theirs.port != 0 && ours.kind == theirs.kind;
    if wanted && ours.is_datagrams() && ours.protocol.eq_ignore_ascii_case(&theirs.protocol) {
        return datagrams(line, local, ours, remote, theirs);
    }
    if !wanted || !local.is_rtp(ours) || !remote.is_rtp(theirs) || ours.is_dtls() != theirs.is_dtls() {
        return None;
    }
    let dtls = match ours.is_dtls() {
        true => Some(Box::new(agreed_dtls(local, ours, remote, theirs)?)),
        false => None,
    };
    let ice = agreed_ice(local, ours, remote, theirs).map(Box::new);
    let keys = agreed_keys(ours, theirs).ok()?.map(Box::new);
    let (known, their) = (formats(ours), formats(theirs));
    let paired = pairs(&their, &known);
    if !paired.iter().any(|(_, map, _)| map.is_codec()) {
        return None;
    }
    let events = paired.iter().filter(|(_, map, _)| map.is_telephone_event()).count();
    let mut payloads = Vec::with_capacity(paired.len() - events);
    let mut telephone_event = Vec::with_capacity(events);
    for (format, map, mine) in paired {
        let payload = AgreedPayload {
            remote_pt: map.payload,
            local_pt: mine.payload,
            encoding: map.encoding.clone(),
            clock_hz: map.clock_hz,
            channels: map.channels,
            fmtp: format.fmtp.map(SmolStr::new),
        };
        if map.is_telephone_event() { &mut telephone_event } else { &mut payloads }.push(payload);
    }
    let (mine, their) = (local.direction_of(ours), remote.direction_of(theirs));
    let rtcp_mux = ours.rtcp_mux() && theirs.rtcp_mux();
    // Where ICE is to find the party, what its description says may be no address at all.
    let nowhere = ice.is_some().then(|| SocketAddr::from(([0, 0, 0, 0], theirs.port)));
    Some(AgreedMedia {
        line,
        kind: theirs.kind.clone(),
        datagrams: false,
        remote_rtp: remote.rtp_target(theirs).or(nowhere)?,
        remote_rtcp: if rtcp_mux { None } else { remote.rtcp_target(theirs) },
        rtcp_mux,
        keys,
        dtls,
        ice,
        send: mine.sends() && their.receives(),
        receive: mine.receives() && their.sends(),
        payloads,
        telephone_event,
        ptime_ms: theirs.ptime_ms(),
        max_ptime_ms: theirs.max_ptime_ms(),
        reports: WantedReports::of(remote, theirs),
    })
}

fn datagrams(line: usize, local: &Session, ours: &Media, remote: &Session, theirs: &Media) -> Option<AgreedMedia> {
    let (mine, their) = (local.direction_of(ours), remote.direction_of(theirs));
    Some(AgreedMedia {
        line,
        kind: theirs.kind.clone(),
        datagrams: true,
        remote_rtp: remote.rtp_target(theirs)?,
        remote_rtcp: None,
        rtcp_mux: false,
        keys: None,
        dtls: None,
        ice: None,
        send: mine.sends() && their.receives(),
        receive: mine.receives() && their.sends(),
        payloads: Vec::new(),
        telephone_event: Vec::new(),
        ptime_ms: theirs.ptime_ms(),
        max_ptime_ms: 0,
        reports: WantedReports::default(),
    })
}

//! Offer and answer of a back-to-back user agent that stands in the media path: each leg hears of our ports only.
//!
//! An offer from one leg becomes our offer to the other ([`relay_offer`]); the answer to that becomes our answer to the
//! first ([`relay_answer`]). Media sections keep number and order, because position is identity (RFC 3264 section 6).
//! Payload type numbers cross unchanged in the offer; in the answer they are mapped back to the offerer's.
//!
//! What the switch codes itself ([`RelayPolicy::coded`]) is offered behind what the offerer has, and where the answer has nothing
//! of the offerer's, the offerer is answered in a codec of its own: the media plane then makes one of the other.

use smallvec::SmallVec;
use smol_str::format_smolstr;

use super::attribute::names::{EXTMAP, FMTP, RTCP_FB, RTPMAP, SSRC};
use super::attribute::{Attribute, Direction};
use super::codec::{CodecPattern, CodecSpec, Format, Formats, describe, format_of, formats, pairs};
use super::ours::OurMedia;
use super::rtpmap::RtpMap;
use super::rules::Rule;
use super::session::{Line, Media, MediaKind, Session};

/// What may cross from leg to leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayPolicy {
    /// Codecs that may cross, the preferred first; empty: all, in the order offered. `telephone-event` is named here
    /// like any other, or it does not cross.
    pub codecs: Vec<CodecPattern>,
    /// Kinds of media that are carried.
    pub kinds: Vec<MediaKind>,
    /// Attributes that cross although [`super::rules::RULES`] does not know them.
    pub pass_attributes: Vec<String>,
    /// What the switch can put in the place of another of them, the preferred first, with the telephone-events that go
    /// with it; empty: nothing, and two legs have to agree.
    pub coded: Vec<CodecSpec>,
    /// A direction to write instead of the one received; what the other side permits still limits it.
    pub direction: Option<Direction>,
}

impl Default for RelayPolicy {
    /// Audio in any codec, in the offered order, directions as received.
    fn default() -> RelayPolicy {
        RelayPolicy {
            codecs: Vec::new(),
            kinds: vec![MediaKind::Audio],
            pass_attributes: Vec::new(),
            coded: Vec::new(),
            direction: None,
        }
    }
}

impl RelayPolicy {
    /// Whether a section can be carried at all: a kind that we carry, RTP, SRTP with keys in the description or datagrams
    /// that need none, an address literal to send to.
    pub fn carries(&self, session: &Session, media: &Media) -> bool {
        !media.is_bundle_only()
            && media.port != 0
            && self.kinds.contains(&media.kind)
            && (session.is_rtp(media) || media.is_datagrams())
            && has_place(session, media)
    }

    /// The formats of `media` that may cross, the preferred first; nothing when no codec is left.
    fn filter<'a>(&self, media: &'a Media) -> Formats<'a> {
        let mut kept = formats(media);
        if !self.codecs.is_empty() {
            let place = |map: &RtpMap| self.codecs.iter().position(|pattern| pattern.matches(map));
            kept.retain(|(_, map)| place(map).is_some());
            kept.sort_by_key(|(_, map)| place(map));
        }
        if !kept.iter().any(|(_, map)| map.is_codec()) {
            kept.clear();
        }
        kept.truncate(PASSED_MAX);
        kept
    }

    /// Whether the switch codes a format itself.
    fn codes(&self, format: &Format<'_>, map: &RtpMap) -> bool {
        map.is_codec() && self.coded.iter().any(|spec| spec.is(format, map))
    }

    /// What the switch asks of whoever sends it a format that it codes.
    fn parameters(&self, map: &RtpMap) -> Option<&str> {
        self.coded.iter().find(|spec| spec.map.same_encoding(map))?.fmtp.as_deref()
    }

    /// What the switch offers behind `kept`, under numbers that are free. Telephone-events are among it also where the offerer
    /// has none: the media plane makes tones of them.
    fn additions(&self, kept: &[(Format<'_>, &RtpMap)]) -> SmallVec<[(u8, &CodecSpec); 8]> {
        let mut added = SmallVec::new();
        if !kept.iter().any(|(format, map)| self.codes(format, map)) {
            return added;
        }
        for spec in self.coded.iter().filter(|spec| !kept.iter().any(|(format, map)| spec.is(format, map))) {
            let taken = |payload: &u8| {
                kept.iter().any(|(_, map)| map.payload == *payload) || added.iter().any(|(known, _)| known == payload)
            };
            let mut wanted = std::iter::once(spec.map.payload).chain(DYNAMIC);
            if let Some(payload) = wanted.find(|payload| !taken(payload)) {
                added.push((payload, spec));
            }
        }
        added
    }

    /// The answer to an offerer with whom the answerer shares nothing: its first codec that the switch codes.
    fn instead<'a>(
        &self,
        offered: &'a [(Format<'a>, &'a RtpMap)],
        answered: &[(Format<'_>, &RtpMap)],
    ) -> Option<&'a RtpMap> {
        let answerable = answered.iter().any(|(format, map)| self.codes(format, map));
        offered.iter().find(|(format, map)| answerable && self.codes(format, map)).map(|(_, map)| *map)
    }

    /// The offerer's telephone-events at the clock of a codec that the switch codes: what the answerer does not take as such, it
    /// hears as tones (RFC 4733 section 2.4.2 wants one clock).
    fn keys<'a>(&self, offered: &'a [(Format<'a>, &'a RtpMap)], codec: &RtpMap) -> Option<&'a RtpMap> {
        let coded = |map: &RtpMap| self.coded.iter().any(|spec| spec.map.same_encoding(map));
        let fits =
            |map: &RtpMap| map.is_telephone_event() && map.clock_hz == codec.clock_hz && coded(map) && coded(codec);
        offered.iter().map(|(_, map)| *map).find(|map| fits(map))
    }
}

/// The comfort noise among `offered` that goes with a codec (RFC 3389 section 4): at its clock, and not where the codec has its own.
pub(super) fn comfort_noise<'a>(offered: &[(Format<'_>, &'a RtpMap)], codec: &RtpMap) -> Option<&'a RtpMap> {
    let fits = |map: &RtpMap| map.encoding.eq_ignore_ascii_case("CN") && map.clock_hz == codec.clock_hz;
    let goes = !codec.encoding.eq_ignore_ascii_case("opus");
    offered.iter().map(|(_, map)| *map).find(|map| goes && fits(map))
}

/// Whether we know, or shall know, where the party of a section is.
pub(super) fn has_place(session: &Session, media: &Media) -> bool {
    session.rtp_target(media).is_some() || session.is_found_by_ice(media)
}

/// Formats of a section that cross; the preferred ones are those.
const PASSED_MAX: usize = 16;

/// Payload types for whatever has none of its own (RFC 3551 section 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// The offer that goes to the other leg for the offer `received` from the first.
///
/// `our` has our ports towards the other leg. Sections that we cannot carry (see [`RelayPolicy::carries`]), for which
/// `our` has no port, or of which no codec may cross, keep their place with port 0. When nothing is left
/// ([`Session::has_active_media`] is false) the right answer to the first leg is 488.
///
/// `a=` lines cross by [`super::rules::RULES`]; of the other lines only `b=` of a stream does. `o=`, `s=`, `c=` and `t=`
/// are ours.
pub fn relay_offer<'a>(received: &'a Session, our: &OurMedia, policy: &'a RelayPolicy) -> Session {
    let media = received.media.iter().enumerate().map(|(index, theirs)| {
        let port = our.port(index).filter(|_| policy.carries(received, theirs));
        if let Some(port) = port.filter(|_| theirs.is_datagrams()) {
            let mut ours = crossing(theirs, &[], policy);
            ours.formats.clone_from(&theirs.formats);
            port.write(&mut ours, policy.direction.unwrap_or(received.direction_of(theirs)), false);
            return ours;
        }
        let kept = policy.filter(theirs);
        let Some(port) = port.filter(|_| !kept.is_empty()) else {
            return theirs.rejected();
        };
        let added = if theirs.kind == MediaKind::Audio { policy.additions(&kept) } else { SmallVec::new() };
        let crosses = |(format, map): &(Format<'a>, &'a RtpMap)| Kept {
            theirs: Some(*format),
            map,
            payload: map.payload,
            fmtp: format.fmtp,
        };
        let ours = |(payload, spec): &(u8, &'a CodecSpec)| Kept {
            theirs: None,
            map: &spec.map,
            payload: *payload,
            fmtp: spec.fmtp.as_deref(),
        };
        let named = |kept: &Kept<'_>| our.names(&theirs.kind, kept.map);
        let theirs_and_ours: SmallVec<[Kept<'_>; 8]> =
            kept.iter().map(crosses).chain(added.iter().map(ours)).filter(named).collect();
        if !theirs_and_ours.iter().any(|kept| kept.map.is_codec()) {
            return theirs.rejected();
        }
        let mut ours = crossing(theirs, &theirs_and_ours, policy);
        our.keys_at(index).write_offer(&mut ours, port, index);
        let direction = received.direction_of(theirs);
        port.write(&mut ours, policy.direction.unwrap_or(direction), true);
        ours
    });
    our.session(media.collect(), None, crossing_session_attributes(received, policy))
}

/// The answer to `offer`, the description that the first leg offered to us, for the `answer` of the other leg to what
/// [`relay_offer`] made of it.
///
/// It has the sections of `offer` in number and order; its formats are those of the other leg's answer, in that order,
/// under the offerer's payload type numbers; a section that either side, `our` (ports towards the offerer) or `policy`
/// does not want has port 0. The direction is what the other leg answered, within what `offer` permits
/// (RFC 3264 section 6.1).
pub fn relay_answer(offer: &Session, answer: &Session, our: &OurMedia, policy: &RelayPolicy) -> Session {
    let media = offer.media.iter().enumerate().map(|(index, offered)| {
        answered_section(offer, offered, answer, index, our, policy).unwrap_or_else(|| offered.rejected())
    });
    our.session(media.collect(), Some(offer), crossing_session_attributes(answer, policy))
}

fn answered_section(
    offer: &Session,
    offered: &Media,
    answer: &Session,
    index: usize,
    our: &OurMedia,
    policy: &RelayPolicy,
) -> Option<Media> {
    let answered = answer.media.get(index).filter(|answered| answered.kind == offered.kind)?;
    if !policy.carries(offer, offered) || !policy.carries(answer, answered) {
        return None;
    }
    let port = our.port(index)?;
    let wanted = answer.direction_of(answered).and(policy.direction.unwrap_or_default());
    let direction = offer.direction_of(offered).answered_with(wanted);
    if offered.is_datagrams() || answered.is_datagrams() {
        let mut ours = crossing(answered, &[], policy);
        ours.protocol.clone_from(&offered.protocol);
        ours.formats.clone_from(&answered.formats);
        port.write(&mut ours, direction, false);
        return offered.protocol.eq_ignore_ascii_case(&answered.protocol).then_some(ours);
    }
    let mut allowed = policy.filter(offered);
    allowed.retain(|(_, map)| our.names(&offered.kind, map));
    let chosen = formats(answered);
    let mut kept: SmallVec<[Kept<'_>; 8]> = pairs(&chosen, &allowed)
        .into_iter()
        .map(|(theirs, _, map)| Kept { theirs: Some(theirs), map, payload: map.payload, fmtp: theirs.fmtp })
        .collect();
    if !kept.iter().any(|kept| kept.map.is_codec()) {
        let instead = policy.instead(&allowed, &chosen).filter(|_| offered.kind == MediaKind::Audio);
        kept.clear();
        kept.extend(instead.map(|map| Kept::ours(map, policy)));
        // What it hears is made for it, and so is its silence.
        let noise = instead.and_then(|codec| comfort_noise(&allowed, codec));
        kept.extend(noise.map(|map| Kept::ours(map, policy)));
    }
    let has_keys = kept.iter().any(|kept| kept.map.is_telephone_event());
    let codec = kept.iter().find(|kept| kept.map.is_codec()).filter(|_| !has_keys).map(|kept| kept.map);
    kept.extend(codec.and_then(|codec| policy.keys(&allowed, codec)).map(|map| Kept::ours(map, policy)));
    if kept.is_empty() {
        return None;
    }
    let mut ours = crossing(answered, &kept, policy);
    if !our.keys_at(index).write_answer(offer, offered, &mut ours, port) {
        return None;
    }
    port.write(&mut ours, direction, offered.rtcp_mux());
    Some(ours)
}

/// A format that crosses.
struct Kept<'a> {
    /// As the description that is being relayed writes it; `None` if it is not from there.
    theirs: Option<Format<'a>>,
    /// Its meaning.
    map: &'a RtpMap,
    /// The number that we write.
    payload: u8,
    /// Its parameters.
    fmtp: Option<&'a str>,
}

impl<'a> Kept<'a> {
    /// A format that the switch codes, by the offerer's number.
    fn ours(map: &'a RtpMap, policy: &'a RelayPolicy) -> Kept<'a> {
        Kept { theirs: None, map, payload: map.payload, fmtp: policy.parameters(map) }
    }
}

/// `source` reduced to what may cross, without port, address and direction.
fn crossing(source: &Media, kept: &[Kept<'_>], policy: &RelayPolicy) -> Media {
    let mut attributes = Vec::with_capacity(2 * kept.len() + source.attributes.len() + OURS);
    for format in kept {
        let repaired = repaired(format, kept);
        describe(format.map, format.payload, repaired.as_deref().or(format.fmtp), &mut attributes);
    }
    let is_sound = source.kind == MediaKind::Audio;
    for attribute in &source.attributes {
        match attribute.rule(&policy.pass_attributes) {
            Rule::Pass => attributes.push(attribute.clone()),
            Rule::Beside if !is_sound => attributes.extend(beside(attribute)),
            Rule::PerFormat if !attribute.is(RTPMAP) && !attribute.is(FMTP) => {
                attributes.extend(renumbered(attribute, kept));
            }
            Rule::PerFormat | Rule::Beside | Rule::Own | Rule::Drop => {}
        }
    }
    if is_sound {
        // It counts packets by a header extension, and none crosses.
        attributes.retain(|attribute| !attribute.is(RTCP_FB) || !is_transport_cc(attribute));
    }
    Media {
        kind: source.kind.clone(),
        port: 0,
        port_count: None,
        protocol: source.protocol.clone(),
        formats: kept.iter().map(|format| format_of(format.payload)).collect(),
        connection: None,
        lines: source.lines.iter().filter(|line| line.letter == 'b' && is_stream_bandwidth(line)).cloned().collect(),
        attributes,
    }
}

/// Attributes that we usually write ourselves.
const OURS: usize = 4;

/// `attribute`, which starts with a payload type or `*`, under the numbers that we write.
fn renumbered(attribute: &Attribute, kept: &[Kept<'_>]) -> Option<Attribute> {
    let (payload, rest) = attribute.payload_and_rest()?;
    if payload == "*" {
        return Some(attribute.clone());
    }
    let format = kept.iter().find(|format| format.theirs.is_some_and(|theirs| theirs.text == payload))?;
    Some(Attribute::new(attribute.name(), format_smolstr!("{} {rest}", format.payload)))
}

fn is_transport_cc(feedback: &Attribute) -> bool {
    feedback.payload_and_rest().is_some_and(|(_, rest)| rest.split_ascii_whitespace().next() == Some("transport-cc"))
}

/// The parameters of a retransmission format, which name what it repairs by its number (RFC 4588 section 8.1): by the number
/// that we write. `None` where they stay as they are.
fn repaired(format: &Kept<'_>, kept: &[Kept<'_>]) -> Option<String> {
    let (fmtp, _) = format.fmtp.zip(format.theirs)?;
    if !format.map.encoding.eq_ignore_ascii_case("rtx") {
        return None;
    }
    let parameters = fmtp.split(';').map(|pair| {
        let number = pair.trim().strip_prefix("apt=")?;
        let of = kept.iter().find(|kept| kept.theirs.is_some_and(|theirs| theirs.text == number))?;
        Some(format!("apt={}", of.payload))
    });
    Some(
        parameters
            .zip(fmtp.split(';'))
            .map(|(ours, theirs)| ours.unwrap_or_else(|| theirs.to_owned()))
            .collect::<Vec<_>>()
            .join(";"),
    )
}

/// What crosses of an attribute of a section whose packets pass as they came.
fn beside(attribute: &Attribute) -> Option<Attribute> {
    let Some(value) = attribute.text() else { return Some(attribute.clone()) };
    let mut words = value.split_ascii_whitespace();
    if attribute.is(EXTMAP) {
        // Of each leg are the names of its streams and layers, and what only its own keys open (RFC 6904).
        let of_a_leg = |uri: &str| OF_A_LEG.iter().any(|known| uri.starts_with(known));
        return words.nth(1).is_some_and(|uri| !of_a_leg(uri)).then(|| attribute.clone());
    }
    if attribute.is(SSRC) {
        // A source has a name (RFC 5576 section 6.1), which may tell of its host; its other attributes name streams of the leg.
        let (source, says) = (words.next()?, words.next()?);
        return says
            .starts_with("cname:")
            .then(|| Attribute::known(SSRC, format_smolstr!("{source} cname:{OUR_CNAME}")));
    }
    Some(attribute.clone())
}

/// Header extensions that are agreed on with each leg by itself (RFC 9143 section 15, RFC 8852 section 3, RFC 6904 section 4).
const OF_A_LEG: [&str; 3] = [
    "urn:ietf:params:rtp-hdrext:sdes:",
    "urn:ietf:params:rtp-hdrext:encrypt",
    "urn:ietf:params:rtp-hdrext:csrc-audio-level",
];

const OUR_CNAME: &str = "strowger";

/// Bandwidth that a receiver asks for: of the stream (RFC 8866 section 5.8, RFC 3890) and of its RTCP (RFC 3556).
fn is_stream_bandwidth(line: &Line) -> bool {
    let kind = line.value.split_once(':').map_or("", |(kind, _)| kind);
    matches!(kind, "AS" | "TIAS" | "RS" | "RR")
}

fn crossing_session_attributes(session: &Session, policy: &RelayPolicy) -> Vec<Attribute> {
    let passes = |attribute: &&Attribute| attribute.rule(&policy.pass_attributes) == Rule::Pass;
    session.attributes.iter().filter(passes).cloned().collect()
}

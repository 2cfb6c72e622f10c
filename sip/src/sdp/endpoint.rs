//! Offer and answer when the switch itself is the end point: service numbers, attendants, conferences, and calls in
//! which the other side leaves the offer to us.

use smol_str::ToSmolStr;

use super::attribute::names::PTIME;
use super::attribute::{Attribute, Direction, PTIME_MAX_MS, PTIME_MIN_MS};
use super::codec::{CodecSpec, Format, describe, format_of, formats};
use super::ours::OurMedia;
use super::relay::{comfort_noise, has_place};
use super::reports::wanted_of;
use super::rtpmap::RtpMap;
use super::session::{Media, MediaKind, Session};

/// An answer, and where in it the one stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The description to send.
    pub session: Session,
    /// Position of the answered media section.
    pub line: usize,
    /// The codec chosen, under the offerer's payload type number.
    pub codec: CodecSpec,
    /// Payload type of telephone events at the codec's clock, when the offer has them.
    pub telephone_event: Option<u8>,
    /// Packet time in which the offerer wants to receive, ms.
    pub ptime_ms: u16,
}

/// No audio section of the offer can be carried in a codec that we know: answer 488 (RFC 3261 section 21.4.26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no audio stream over RTP or SRTP in a codec that is known here")]
pub struct NoCommonCodec;

/// Answers `offer` as an end point with one audio stream: the first section that can be carried, the offerer's
/// most preferred codec among `capabilities`, telephone events at the same clock when both have them, and comfort noise that
/// the offer has for it. All other
/// sections are refused in their place. `our` has our port for that section; sections without one are not considered.
/// The direction is `wanted` within what the offer permits.
pub fn answer(
    offer: &Session,
    capabilities: &[CodecSpec],
    our: &OurMedia,
    wanted: Direction,
) -> Result<Answered, NoCommonCodec> {
    let found = offer.media.iter().enumerate().find_map(|(line, offered)| {
        let port = our.port(line)?;
        let carried = offered.port != 0
            && offered.kind == MediaKind::Audio
            && our.keys_at(line).takes(offer, offered)
            && !offered.is_bundle_only()
            && has_place(offer, offered);
        if !carried {
            return None;
        }
        let known = formats(offered);
        let ours = known.iter().find_map(|(format, map)| {
            let spec = capabilities.iter().find(|spec| map.is_codec() && spec.is(format, map))?;
            Some((map, spec))
        });
        ours.map(|(map, spec)| {
            let noise = comfort_noise(&known, map).map(|map| CodecSpec { map: map.clone(), fmtp: None });
            let beside = (telephone_event(&known, capabilities, map.clock_hz), noise);
            (line, offered, port, beside, *map, spec)
        })
    });
    let (line, offered, port, (events, noise), map, spec) = found.ok_or(NoCommonCodec)?;
    let codec = CodecSpec { map: map.clone(), fmtp: spec.fmtp.clone() };
    let ptime_ms = offered.ptime_ms();
    let mut ours = stream(&offered.protocol, std::iter::once(&codec).chain(&events).chain(&noise), ptime_ms);
    ours.attributes.extend(wanted_of(offer, offered));
    let _taken = our.keys_at(line).write_answer(offer, offered, &mut ours, port);
    let direction = offer.direction_of(offered).answered_with(wanted);
    port.write(&mut ours, direction, offered.rtcp_mux());
    let mut media: Vec<Media> = offer.media.iter().map(Media::rejected).collect();
    if let Some(place) = media.get_mut(line) {
        *place = ours;
    }
    Ok(Answered {
        session: our.session(media, Some(offer), Vec::new()),
        line,
        codec,
        telephone_event: events.map(|events| events.map.payload),
        ptime_ms,
    })
}

/// Our offer of one audio stream, for an INVITE that came without one (RFC 3261 section 13.2.1) or a call that we
/// place: all `capabilities` in their order, towards `our` first port. `ptime_ms` is kept within 10 to 60.
///
/// A later offer in the same dialog goes through [`super::revise`].
pub fn offer(capabilities: &[CodecSpec], our: &OurMedia, direction: Direction, ptime_ms: u16) -> Session {
    let mut media = stream("RTP/AVP", capabilities.iter(), ptime_ms.clamp(PTIME_MIN_MS, PTIME_MAX_MS));
    match our.port(0) {
        Some(port) => {
            our.keys_at(0).write_offer(&mut media, port, 0);
            port.write(&mut media, direction, true);
        }
        None => media = media.rejected(),
    }
    our.session(vec![media], None, Vec::new())
}

/// Telephone events at `clock_hz` under the offerer's number (RFC 4733 section 2.5.1.1), when both sides have them.
/// Without one at the codec's clock, events at another clock cannot share its time stamps and are not taken.
fn telephone_event(known: &[(Format<'_>, &RtpMap)], capabilities: &[CodecSpec], clock_hz: u32) -> Option<CodecSpec> {
    let spec = capabilities.iter().find(|spec| spec.map.is_telephone_event() && spec.map.clock_hz == clock_hz)?;
    let (_, map) = known.iter().find(|(_, map)| map.same_encoding(&spec.map))?;
    Some(CodecSpec { map: (*map).clone(), fmtp: spec.fmtp.clone() })
}

fn stream<'a>(protocol: &str, codecs: impl Iterator<Item = &'a CodecSpec>, ptime_ms: u16) -> Media {
    let mut media = Media {
        kind: MediaKind::Audio,
        port: 0,
        port_count: None,
        protocol: protocol.into(),
        formats: Vec::new(),
        connection: None,
        lines: Vec::new(),
        attributes: Vec::new(),
    };
    for codec in codecs {
        media.formats.push(format_of(codec.map.payload));
        describe(&codec.map, codec.map.payload, codec.fmtp.as_deref(), &mut media.attributes);
    }
    media.attributes.push(Attribute::known(PTIME, ptime_ms.to_smolstr()));
    media
}

//! What we can code ourselves, and which codecs a policy lets pass.

use smallvec::SmallVec;
use smol_str::SmolStr;
use std::fmt;
use std::str::FromStr;

use super::attribute::Attribute;
use super::parse::number;
use super::rtpmap::RtpMap;
use super::session::Media;
use crate::text::Digits;

/// A codec that this switch can send and receive as an end point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Encoding, clock, channels, and the payload type that we use when we offer.
    pub map: RtpMap,
    /// `a=fmtp` parameters that we write when we offer.
    pub fmtp: Option<SmolStr>,
}

impl CodecSpec {
    /// A codec by its parts; `payload` is the type that we use when we offer.
    pub fn new(payload: u8, encoding: &str, clock_hz: u32, channels: u8, fmtp: Option<&str>) -> CodecSpec {
        CodecSpec {
            map: RtpMap { payload, encoding: encoding.into(), clock_hz, channels },
            fmtp: fmtp.map(SmolStr::new),
        }
    }

    /// G.711 A-law.
    pub fn pcma() -> CodecSpec {
        CodecSpec::new(8, "PCMA", 8000, 1, None)
    }

    /// G.711 mu-law.
    pub fn pcmu() -> CodecSpec {
        CodecSpec::new(0, "PCMU", 8000, 1, None)
    }

    /// G.722; its RTP clock says 8000 for historic reasons (RFC 3551 section 4.5.2).
    pub fn g722() -> CodecSpec {
        CodecSpec::new(9, "G722", 8000, 1, None)
    }

    /// Opus with the decoder's own recovery of lost packets (RFC 7587 section 7: two channels and 48 kHz whatever is sent).
    pub fn opus() -> CodecSpec {
        CodecSpec::new(107, "opus", 48_000, 2, Some("useinbandfec=1"))
    }

    /// Linear samples at `clock_hz` (RFC 3551 section 4.5.11), of one channel.
    pub fn l16(payload: u8, clock_hz: u32) -> CodecSpec {
        CodecSpec::new(payload, "L16", clock_hz, 1, None)
    }

    /// Telephone events 0 to 15 at `clock_hz` (RFC 4733 section 2.4.1).
    pub fn telephone_event(payload: u8, clock_hz: u32) -> CodecSpec {
        CodecSpec::new(payload, "telephone-event", clock_hz, 1, Some("0-15"))
    }
}

/// A codec named by a policy: `PCMA`, `opus/48000`. Names compare without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecPattern {
    /// Encoding name.
    pub encoding: String,
    /// RTP clock, Hz; any when `None`.
    pub clock_hz: Option<u32>,
}

/// The text is no codec pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no codec: write its RTP encoding name, with its clock if it matters, as in `PCMA` or `opus/48000`")]
pub struct BadPattern(pub String);

impl CodecPattern {
    /// Whether `map` is this codec.
    pub fn matches(&self, map: &RtpMap) -> bool {
        self.encoding.eq_ignore_ascii_case(&map.encoding) && self.clock_hz.is_none_or(|clock| clock == map.clock_hz)
    }
}

impl FromStr for CodecPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<CodecPattern, BadPattern> {
        let bad = || BadPattern(text.to_owned());
        let (encoding, clock) = text.split_once('/').map_or((text, None), |(name, clock)| (name, Some(clock)));
        let token = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if encoding.is_empty() || !encoding.chars().all(token) {
            return Err(bad());
        }
        let clock_hz = match clock {
            Some(digits) => Some(number(digits).filter(|hz| *hz > 0).ok_or_else(bad)?),
            None => None,
        };
        Ok(CodecPattern { encoding: encoding.to_owned(), clock_hz })
    }
}

impl fmt::Display for CodecPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clock_hz {
            Some(clock) => write!(f, "{}/{clock}", self.encoding),
            None => f.write_str(&self.encoding),
        }
    }
}

/// A format of a media section together with what it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format<'a> {
    /// As in the `m=` line.
    pub text: &'a str,
    /// `a=fmtp` parameters.
    pub fmtp: Option<&'a str>,
}

impl Media {
    /// What one of the section's formats means: its `a=rtpmap`, else its static assignment; `None` when it means nothing.
    pub fn rtpmap(&self, format: &str) -> Option<&RtpMap> {
        formats(self).iter().find(|(known, _)| known.text == format).map(|(_, map)| *map)
    }

    /// The `a=fmtp` parameters of one of the section's formats.
    pub fn fmtp(&self, format: &str) -> Option<&str> {
        formats(self).iter().find(|(known, _)| known.text == format)?.0.fmtp
    }
}

/// The formats of a section that mean something, with their meaning.
pub(super) type Formats<'a> = SmallVec<[(Format<'a>, &'a RtpMap); 8]>;

/// The formats of `media` that mean something, with their meaning, each payload type once, in order.
pub(super) fn formats(media: &Media) -> Formats<'_> {
    let mut known = Formats::new();
    for text in &media.formats {
        let Some(payload) = number::<u8>(text).filter(|payload| *payload < 128) else { continue };
        if known.iter().any(|(_, seen)| seen.payload == payload) {
            continue;
        }
        let (mut map, mut fmtp) = (None, None);
        for attribute in &media.attributes {
            match attribute.as_map() {
                Some(of) if of.payload == payload => map = map.or(Some(of)),
                Some(_) => {}
                None => {
                    let parameters = attribute.as_parameters().filter(|(of, _)| *of == payload);
                    fmtp = fmtp.or(parameters.map(|(_, rest)| rest));
                }
            }
        }
        if let Some(map) = map.or_else(|| RtpMap::of_static(payload)) {
            known.push((Format { text, fmtp }, map));
        }
    }
    known
}

/// Which of `theirs` is which of `ours`: the same codec, by preference under the same number, since the number may differ
/// between offer and answer (RFC 3264 section 6.1). In the order of `theirs`; each is in one pair at most.
pub(super) fn pairs<'a, 'b>(
    theirs: &'b [(Format<'a>, &'b RtpMap)],
    ours: &'b [(Format<'a>, &'b RtpMap)],
) -> SmallVec<[(Format<'a>, &'b RtpMap, &'b RtpMap); 8]> {
    // At most FORMATS_MAX of each, so the squares stay small.
    let mut partner: SmallVec<[Option<usize>; 16]> = theirs
        .iter()
        .map(|their| ours.iter().position(|our| our.1.payload == their.1.payload && same_codec(their, our)))
        .collect();
    for (index, their) in theirs.iter().enumerate() {
        if partner.get(index).is_some_and(Option::is_some) {
            continue;
        }
        let free =
            |(at, our): &(usize, &(Format<'_>, &RtpMap))| !partner.contains(&Some(*at)) && same_codec(their, our);
        let found = ours.iter().enumerate().find(free).map(|(at, _)| at);
        if let Some(place) = partner.get_mut(index) {
            *place = found;
        }
    }
    let paired = theirs.iter().zip(partner);
    paired.filter_map(|((format, map), at)| Some((*format, *map, ours.get(at?)?.1))).collect()
}

/// Whether both are the same encoding with the same bit stream.
fn same_codec(one: &(Format<'_>, &RtpMap), two: &(Format<'_>, &RtpMap)) -> bool {
    one.1.same_encoding(two.1) && parameters_agree(&one.1.encoding, one.0.fmtp, two.0.fmtp)
}

impl CodecSpec {
    /// Whether `map` with the parameters of `format` is this codec.
    pub(super) fn is(&self, format: &Format<'_>, map: &RtpMap) -> bool {
        self.map.same_encoding(map) && parameters_agree(&map.encoding, self.fmtp.as_deref(), format.fmtp)
    }
}

/// Whether the parameters that select a different bit stream are equal. All others are preferences of the receiver,
/// which the two ends may state differently.
fn parameters_agree(encoding: &str, one: Option<&str>, two: Option<&str>) -> bool {
    let (one, two) = (selected(encoding, one), selected(encoding, two));
    one.zip(two).all(|(one, two)| one.eq_ignore_ascii_case(two))
}

/// The values of the parameters that select a bit stream.
pub(super) fn selected<'a>(encoding: &str, fmtp: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let known = SELECTORS.iter().filter(move |(name, _, _)| name.eq_ignore_ascii_case(encoding));
    known.map(move |(_, key, default)| selecting(key, selector(fmtp, key, default)))
}

fn selector<'a>(fmtp: Option<&'a str>, key: &str, default: &'a str) -> &'a str {
    fmtp.unwrap_or_default()
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(key))
        .map_or(default, |(_, value)| value.trim())
}

/// The part of a parameter's value that selects: of `profile-level-id` the profile, since levels may differ (RFC 6184 section
/// 8.2.2).
fn selecting<'a>(key: &str, value: &'a str) -> &'a str {
    if key == "profile-level-id" { value.get(..2).unwrap_or(value) } else { value }
}

/// Encoding, `fmtp` key, value when absent.
const SELECTORS: &[(&str, &str, &str)] = &[
    ("AMR", "octet-align", "0"),         // RFC 4867 section 8.1
    ("AMR-WB", "octet-align", "0"),      // RFC 4867 section 8.2
    ("G7221", "bitrate", ""),            // RFC 5577 section 6.2
    ("H264", "packetization-mode", "0"), // RFC 6184 section 8.2.2
    ("H264", "profile-level-id", "42"),  // RFC 6184 section 8.1: Baseline
    ("VP9", "profile-id", "0"),          // RFC 9628 section 7.2
];

/// The `a=rtpmap` line, and the `a=fmtp` line when there are parameters.
pub(super) fn describe(map: &RtpMap, payload: u8, fmtp: Option<&str>, into: &mut Vec<Attribute>) {
    into.push(Attribute::map(RtpMap { payload, ..map.clone() }));
    into.extend(fmtp.filter(|text| !text.is_empty()).map(|text| Attribute::parameters(payload, text.into())));
}

/// A payload type as a format of an `m=` line.
pub(super) fn format_of(payload: u8) -> SmolStr {
    Digits::of(payload.into()).as_str().into()
}

//! Which `a=` lines cross from one leg to the other when the switch stands between the two and carries the media.
//!
//! The rule of thumb: what describes the sound or picture crosses, what describes a transport is of one leg only and is
//! made anew, and what nobody has thought about does not cross unless a policy lists it.

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Crosses as it stands.
    Pass,
    /// Crosses as it stands in sections that are no sound: their packets pass as they came. Sound is made anew at times, and
    /// by others than who wrote this.
    Beside,
    /// Starts with a payload type: crosses if that type does, with its number mapped.
    PerFormat,
    /// Does not cross; where we have our own value, that is written instead.
    Own,
    /// Does not cross.
    Drop,
}

/// The rule for the attribute `name`; `also_pass` is the policy's list of further names that cross.
pub fn rule_for(name: &str, also_pass: &[String]) -> Rule {
    match Known::of(name) {
        Some(known) => known.rule(),
        None if also_pass.iter().any(|listed| listed == name) => Rule::Pass,
        None => Rule::Drop,
    }
}

/// A name of [`RULES`], by its place there: names are compared often, and read once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Known(u8);

impl Known {
    /// The name, if it is one of the table's.
    pub fn of(name: &str) -> Option<Known> {
        let mut at = place_of(name.as_bytes());
        loop {
            let known = Known(*PLACES.get(at)?);
            match RULES.get(usize::from(known.0)) {
                Some((found, _, _)) if *found == name => return Some(known),
                Some(_) => at = (at + 1) % PLACES.len(),
                None => return None,
            }
        }
    }

    /// Its text.
    pub fn name(self) -> &'static str {
        RULES.get(usize::from(self.0)).map_or("", |(name, _, _)| name)
    }

    /// What becomes of it.
    pub fn rule(self) -> Rule {
        RULES.get(usize::from(self.0)).map_or(Rule::Drop, |(_, rule, _)| *rule)
    }

    /// A name of the table; one that is not there does not build.
    #[allow(clippy::panic, clippy::indexing_slicing)] // at compile time
    pub const fn named(name: &str) -> Known {
        let mut at = 0;
        while at < RULES.len() {
            if same(RULES[at].0.as_bytes(), name.as_bytes()) {
                return Known(at as u8);
            }
            at += 1;
        }
        panic!("no such attribute in RULES")
    }
}

/// Where [`PLACES`] has a name, or the first of the places behind that are looked at.
const fn place_of(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    (name.len() + 5 * *first as usize + 9 * *last as usize) % PLACES_MAX
}

const PLACES_MAX: usize = 256;

/// Place in [`RULES`] of each name, by what its text comes to; more than there are where no name is.
#[allow(clippy::indexing_slicing)] // at compile time
static PLACES: [u8; PLACES_MAX] = {
    let mut places = [u8::MAX; PLACES_MAX];
    let mut rule = 0;
    while rule < RULES.len() {
        let mut at = place_of(RULES[rule].0.as_bytes());
        while places[at] != u8::MAX {
            at = (at + 1) % PLACES_MAX;
        }
        places[at] = rule as u8;
        rule += 1;
    }
    places
};

#[allow(clippy::indexing_slicing)] // at compile time
const fn same(one: &[u8], two: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < two.len() && one[at] == two[at] {
        at += 1;
    }
    at == one.len() && at == two.len()
}

/// Attribute, rule, reason. What is listed here cannot be overruled by a policy.
pub const RULES: &[(&str, Rule, &str)] = &[
    ("T38FaxFillBitRemoval", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxMaxBuffer", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxMaxDatagram", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxRateManagement", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxTranscodingJBIG", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxTranscodingMMR", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxUdpEC", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38FaxVersion", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38MaxBitRate", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("T38VendorInfo", Rule::Pass, "what a fax can do (ITU-T T.38 annex D)"),
    ("bfcpver", Rule::Pass, "floor control (RFC 8856)"),
    ("bundle-only", Rule::Drop, "bundles transports of one leg (RFC 9143)"),
    ("candidate", Rule::Drop, "addresses of the other leg; media goes to us (RFC 8839)"),
    ("confid", Rule::Pass, "floor control (RFC 8856)"),
    ("content", Rule::Pass, "what the stream shows (RFC 4796)"),
    ("crypto", Rule::Drop, "keys of the other leg (RFC 4568)"),
    ("end-of-candidates", Rule::Drop, "ICE of the other leg (RFC 8840)"),
    ("extmap", Rule::Beside, "header extensions pass with their packets; of sound none is known here (RFC 8285)"),
    (
        "extmap-allow-mixed",
        Rule::Beside,
        "header extensions pass with their packets; of sound none is known here (RFC 8285)",
    ),
    ("fingerprint", Rule::Drop, "certificate of the other leg (RFC 8122)"),
    ("floorctrl", Rule::Pass, "floor control (RFC 8856)"),
    ("floorid", Rule::Pass, "floor control (RFC 8856)"),
    ("fmtp", Rule::PerFormat, "parameters of a codec (RFC 8866)"),
    ("framerate", Rule::Pass, "what the receiver wants (RFC 8866)"),
    ("group", Rule::Drop, "groups identification tags, which do not cross (RFC 5888)"),
    ("hlang-recv", Rule::Pass, "human language wanted (RFC 8373)"),
    ("hlang-send", Rule::Pass, "human language wanted (RFC 8373)"),
    ("ice-lite", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("ice-mismatch", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("ice-options", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("ice-pacing", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("ice-pwd", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("ice-ufrag", Rule::Drop, "ICE of the other leg (RFC 8839)"),
    ("identity", Rule::Drop, "vouches for a fingerprint that does not cross (RFC 8827)"),
    ("imageattr", Rule::PerFormat, "picture sizes of a codec (RFC 6236)"),
    ("inactive", Rule::Own, "written from the direction of each stream (RFC 3264)"),
    ("key-mgmt", Rule::Drop, "keys of the other leg (RFC 4567)"),
    ("label", Rule::Pass, "names the stream for the application (RFC 4574)"),
    ("lang", Rule::Pass, "language of the stream (RFC 8866)"),
    ("maxptime", Rule::Pass, "what the receiver can take (RFC 8866)"),
    ("mid", Rule::Drop, "identification tag for groups, which do not cross (RFC 5888)"),
    ("msid", Rule::Drop, "names sources of the other leg (RFC 8830)"),
    ("msid-semantic", Rule::Drop, "names sources of the other leg (RFC 8830)"),
    ("ptime", Rule::Pass, "what the receiver wants (RFC 8866)"),
    ("recvonly", Rule::Own, "written from the direction of each stream (RFC 3264)"),
    ("remote-candidates", Rule::Drop, "addresses of the other leg (RFC 8839)"),
    ("rid", Rule::Drop, "layers are tied to header extensions, which do not cross (RFC 8851)"),
    ("rtcp", Rule::Own, "a port of the other leg (RFC 3605)"),
    ("rtcp-fb", Rule::PerFormat, "feedback for a codec (RFC 4585)"),
    ("rtcp-mux", Rule::Own, "agreed on each leg by itself (RFC 5761)"),
    ("rtcp-mux-only", Rule::Drop, "agreed on each leg by itself (RFC 8858)"),
    ("rtcp-rsize", Rule::Pass, "form of the RTCP that we carry through (RFC 5506)"),
    ("rtcp-xr", Rule::Pass, "reports that the writer wants, which we carry through (RFC 3611)"),
    ("rtpmap", Rule::PerFormat, "meaning of a payload type (RFC 8866)"),
    ("sdplang", Rule::Pass, "language of the description (RFC 8866)"),
    ("sendonly", Rule::Own, "written from the direction of each stream (RFC 3264)"),
    ("sendrecv", Rule::Own, "written from the direction of each stream (RFC 3264)"),
    ("setup", Rule::Drop, "connection set-up of the other leg (RFC 4145)"),
    ("simulcast", Rule::Drop, "layers are tied to header extensions, which do not cross (RFC 8853)"),
    ("ssrc", Rule::Beside, "names sources, which pass as they came; those of sound are ours at times (RFC 5576)"),
    ("ssrc-group", Rule::Beside, "names sources, which pass as they came; those of sound are ours at times (RFC 5576)"),
    ("tls-id", Rule::Drop, "connection of the other leg (RFC 8842)"),
    ("tool", Rule::Drop, "tells the other party's software (topology hiding)"),
    ("userid", Rule::Pass, "floor control (RFC 8856)"),
    ("zrtp-hash", Rule::Drop, "keys of the other leg (RFC 6189)"),
];

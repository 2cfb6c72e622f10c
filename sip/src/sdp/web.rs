//! What browsers negotiate in a description: DTLS-SRTP (RFC 5763, RFC 8842) and ICE (RFC 8839), and our end of both.
//!
//! Each may stand in a section or, for all sections, above them. Our end is an ICE-lite agent with one candidate, its port, and
//! one certificate.

use smallvec::SmallVec;
use smol_str::{SmolStr, ToSmolStr, format_smolstr};
use std::fmt::Write as _;

use super::attribute::Attribute;
use super::attribute::names::{
    BUNDLE_ONLY, CANDIDATE, END_OF_CANDIDATES, FINGERPRINT, GROUP, ICE_LITE, ICE_PWD, ICE_UFRAG, MID, SETUP,
};
use super::ours::LocalPort;
use super::rules::Known;
use super::session::{Media, Session};

/// Fingerprints of a section beyond this many are not looked at.
pub const FINGERPRINTS_MAX: usize = 8;
/// The longest value of a hash, in bytes.
const HASH_BYTES_MAX: usize = 64;
/// What we write in offers; every end that speaks DTLS-SRTP reads it (RFC 8842 section 5.2, JSEP).
pub(super) const DTLS_PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";
/// Priority of a host candidate of the one component (RFC 8445 section 5.1.2.1).
const CANDIDATE_PRIORITY: u32 = 126 << 24 | 65_535 << 8 | 255;

/// A certificate's hash (RFC 8122 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function, in lower case: `sha-256`.
    pub hash: SmolStr,
    /// Its value.
    pub value: SmallVec<[u8; 32]>,
}

impl Fingerprint {
    /// Reads `<hash> <value in colon-separated hexadecimal>`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let (hash, value) = text.trim().split_once([' ', '\t'])?;
        let mut bytes = SmallVec::new();
        for byte in value.trim().split(':') {
            let two = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !two || bytes.len() >= HASH_BYTES_MAX {
                return None;
            }
            bytes.push(u8::from_str_radix(byte, 16).ok()?);
        }
        Some(Fingerprint { hash: hash.to_ascii_lowercase().into(), value: bytes })
    }

    /// Whether the hash is one that we trust to name a certificate (RFC 8122 section 5 retires MD5 and SHA-1 for this).
    pub fn is_strong(&self) -> bool {
        matches!((self.hash.as_str(), self.value.len()), ("sha-256", 32) | ("sha-384", 48) | ("sha-512", 64))
    }

    fn to_attribute(&self) -> Attribute {
        let mut text = self.hash.to_string();
        for (at, byte) in self.value.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = write!(text, "{}{byte:02X}", if at == 0 { ' ' } else { ':' });
        }
        Attribute::known(FINGERPRINT, text.into())
    }
}

/// Who sends the ClientHello (RFC 4145 section 4, RFC 5763 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The writer does.
    Active,
    /// The writer waits for it.
    Passive,
    /// Either: the answerer chooses.
    ActPass,
}

impl Setup {
    fn from_name(name: &str) -> Option<Setup> {
        match name.trim() {
            "active" => Some(Setup::Active),
            "passive" => Some(Setup::Passive),
            "actpass" => Some(Setup::ActPass),
            // holdconn: no association is wanted.
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        }
    }
}

/// User fragment and password of ICE (RFC 8839 section 5.4). The debug form shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`
    pub ufrag: SmolStr,
    /// `a=ice-pwd`
    pub password: SmolStr,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}

/// Our end of DTLS and ICE towards one party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurWeb {
    /// Our certificate's.
    pub fingerprint: Fingerprint,
    /// What we are in the association that there is: an answer to `actpass` keeps it (RFC 8842 section 5.5).
    pub setup: Option<Setup>,
    /// Our credentials.
    pub ice: IceCredentials,
}

/// What a DTLS section of two descriptions came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedDtls {
    /// Of the party's certificate; any of them will do.
    pub fingerprints: SmallVec<[Fingerprint; 1]>,
    /// We begin the handshake.
    pub active: bool,
}

/// What ICE between two descriptions came to: our end checks nothing, so the party does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedIce {
    /// Ours.
    pub local: IceCredentials,
    /// The party's.
    pub remote: IceCredentials,
}

impl Session {
    /// An attribute's value of a section, or of the session where the section says nothing.
    fn value_for<'a>(&'a self, media: &'a Media, name: Known) -> Option<&'a str> {
        let all = media.attributes.iter().chain(&self.attributes);
        all.filter(|attribute| attribute.is(name)).find_map(Attribute::text)
    }

    /// The fingerprints of a section's party that name a certificate well enough.
    pub fn fingerprints_of(&self, media: &Media) -> SmallVec<[Fingerprint; 1]> {
        let read = |attributes: &[Attribute]| {
            let lines = attributes.iter().filter(|attribute| attribute.is(FINGERPRINT)).take(FINGERPRINTS_MAX);
            let read = lines.filter_map(|attribute| Fingerprint::parse(attribute.text()?));
            read.filter(Fingerprint::is_strong).collect::<SmallVec<[Fingerprint; 1]>>()
        };
        let own = read(&media.attributes);
        if own.is_empty() { read(&self.attributes) } else { own }
    }

    /// `a=setup` of a section; where nothing is said, `None`.
    pub fn setup_of(&self, media: &Media) -> Option<Setup> {
        self.value_for(media, SETUP).and_then(Setup::from_name)
    }

    /// The party's ICE credentials for a section, in the lengths of RFC 8839 section 5.4.
    pub fn ice_of(&self, media: &Media) -> Option<IceCredentials> {
        let (ufrag, password) = (self.value_for(media, ICE_UFRAG)?.trim(), self.value_for(media, ICE_PWD)?.trim());
        let fits = (4..=256).contains(&ufrag.len()) && (22..=256).contains(&password.len());
        fits.then(|| IceCredentials { ufrag: ufrag.into(), password: password.into() })
    }

    /// Whether the party is a lite agent as well: then nobody checks, and addresses are what the descriptions say.
    pub fn is_ice_lite(&self) -> bool {
        self.attributes.iter().any(|attribute| attribute.is(ICE_LITE))
    }

    /// Whether the media of a section comes from where ICE finds its party, whatever address the section has.
    pub fn is_found_by_ice(&self, media: &Media) -> bool {
        self.ice_of(media).is_some() && !self.is_ice_lite()
    }

    /// Whether we could carry a section as RTP or SRTP, as far as its transport goes.
    pub(super) fn is_rtp(&self, media: &Media) -> bool {
        media.is_plain_rtp()
            || media.is_secure_rtp() && media.cryptos().next().is_some()
            || media.is_dtls() && !self.fingerprints_of(media).is_empty()
    }
}

impl Media {
    /// Whether the transport is RTP keyed by DTLS (`UDP/TLS/RTP/SAVP`, `UDP/TLS/RTP/SAVPF`, RFC 5764 section 8).
    pub fn is_dtls(&self) -> bool {
        let names = ["UDP/TLS/RTP/SAVP", DTLS_PROTOCOL];
        names.iter().any(|name| self.protocol.eq_ignore_ascii_case(name))
    }

    /// Whether the section is to share another one's port, which we never do (RFC 9143 section 6).
    pub fn is_bundle_only(&self) -> bool {
        self.has(BUNDLE_ONLY)
    }
}

impl OurWeb {
    /// What we are towards a party that has offered `theirs`; `None` where no association is wanted.
    pub(super) fn answer_to(&self, theirs: Option<Setup>) -> Option<Setup> {
        match theirs? {
            Setup::Active => Some(Setup::Passive),
            Setup::Passive => Some(Setup::Active),
            // A lite agent does not know where the peer is before it has checked; the peer knows where we are.
            Setup::ActPass => Some(self.setup.filter(|setup| *setup != Setup::ActPass).unwrap_or(Setup::Passive)),
        }
    }

    /// Writes certificate and role into a section.
    pub(super) fn write_dtls(&self, ours: &mut Media, setup: Setup) {
        ours.attributes.push(self.fingerprint.to_attribute());
        ours.attributes.push(Attribute::known(SETUP, SmolStr::new_static(setup.name())));
    }

    /// Writes credentials and our one candidate into a section (RFC 8839 sections 5.1 and 5.4).
    pub(super) fn write_ice(&self, ours: &mut Media, port: &LocalPort) {
        ours.attributes.push(Attribute::known(ICE_UFRAG, self.ice.ufrag.clone()));
        ours.attributes.push(Attribute::known(ICE_PWD, self.ice.password.clone()));
        let (ip, port) = (port.rtp.ip(), port.rtp.port());
        let candidate = format_smolstr!("1 1 UDP {CANDIDATE_PRIORITY} {ip} {port} typ host");
        ours.attributes.push(Attribute::known(CANDIDATE, candidate));
        ours.attributes.push(Attribute::known_flag(END_OF_CANDIDATES));
    }
}

/// Names the section at `index` for groups: as the party does, else by its place.
pub(super) fn write_mid(ours: &mut Media, theirs: Option<&str>, index: usize) {
    let mid = theirs.map_or_else(|| index.to_smolstr(), SmolStr::new);
    ours.attributes.push(Attribute::known(MID, mid));
}

/// What stands above the sections for those that have ICE: that we are lite, and a bundle of one where there is one that could be
/// bundled and the party would have it so (RFC 9143): two sections never share a port of ours.
pub(super) fn session_attributes(media: &[Media], offer: Option<&Session>) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    if media.iter().any(|media| media.has(ICE_UFRAG)) {
        attributes.push(Attribute::known_flag(ICE_LITE));
    }
    let mut active = media.iter().filter(|media| media.port != 0);
    if let (Some(mid), None) = (active.next().and_then(Media::mid), active.next())
        && offer.is_none_or(|offer| bundles(offer, mid))
    {
        attributes.push(Attribute::known(GROUP, format_smolstr!("BUNDLE {mid}")));
    }
    attributes
}

fn bundles(offer: &Session, mid: &str) -> bool {
    let groups = offer.attributes.iter().filter(|attribute| attribute.is(GROUP));
    groups.filter_map(Attribute::text).any(|group| {
        let mut words = group.split_ascii_whitespace();
        words.next() == Some("BUNDLE") && words.any(|word| word == mid)
    })
}

/// What two DTLS sections came to; `None` where they do not fit.
pub(super) fn agreed_dtls(local: &Session, ours: &Media, remote: &Session, theirs: &Media) -> Option<AgreedDtls> {
    let fingerprints = remote.fingerprints_of(theirs);
    let active = match (local.setup_of(ours)?, remote.setup_of(theirs)) {
        (Setup::ActPass, Some(Setup::Passive)) => true,
        // RFC 4145 section 4.1: an answer that says nothing is active.
        (Setup::ActPass, _) => false,
        (Setup::Active, Some(Setup::Active)) | (Setup::Passive, Some(Setup::Passive)) => return None,
        (setup, _) => setup == Setup::Active,
    };
    (!fingerprints.is_empty()).then_some(AgreedDtls { fingerprints, active })
}

/// What ICE between two sections came to.
pub(super) fn agreed_ice(local: &Session, ours: &Media, remote: &Session, theirs: &Media) -> Option<AgreedIce> {
    let remote_ice = remote.ice_of(theirs).filter(|_| !remote.is_ice_lite())?;
    Some(AgreedIce { local: local.ice_of(ours)?, remote: remote_ice })
}

//! `a=crypto`: keys of SRTP inside a description (RFC 4568), and what we do about them towards a party.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use smallvec::SmallVec;
use smol_str::SmolStr;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::attribute::Attribute;
use super::attribute::names::{CRYPTO, MID, RTCP_FB};
use super::ours::{LocalPort, revise};
use super::parse::number;
use super::session::{Media, MediaKind, Session};
use super::web::{DTLS_PROTOCOL, OurWeb, Setup, write_mid};

/// Lines of a section beyond this many are not looked at.
pub const CRYPTOS_MAX: usize = 16;
/// Longest master key identifier that is taken; RFC 4568 section 6.1 has up to 128 bytes.
pub const MKI_BYTES_MAX: u8 = 8;
/// Most packets that a master key may protect, as a power of two (RFC 3711 section 9.2).
const LIFETIME_BITS_MAX: u32 = 48;

/// Keys for one direction: what who writes it will send with (RFC 4568 section 5.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Names the line; the answer has the tag of the line that it takes.
    pub tag: u32,
    /// How packets are protected.
    pub suite: CryptoSuite,
    /// Master key and salt.
    pub key: KeyAndSalt,
    /// How many packets the writer sends with the key at most; not said, as many as the suite allows.
    pub lifetime: Option<u64>,
    /// The identifier that each packet carries.
    pub mki: Option<Mki>,
}

/// The suites that are known (RFC 4568 section 6.2, RFC 6188 section 4, RFC 7714 section 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is its name on the wire
pub enum CryptoSuite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
    Aes256CmHmacSha1_80,
    Aes256CmHmacSha1_32,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

/// A master key with its salt. Its debug form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAndSalt(SmallVec<[u8; 46]>);

/// A master key identifier (RFC 4568 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mki {
    /// Its value.
    pub value: u64,
    /// How many bytes of each packet it takes, 1 to [`MKI_BYTES_MAX`].
    pub bytes: u8,
}

/// Why a line is not taken. The line itself, which has a key in it, is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCrypto {
    /// Not `<tag> <suite> inline:<key> [<parameters>]`.
    #[error("a=crypto is not of the form <tag> <suite> inline:<key>")]
    Form,
    /// A suite that is not known.
    #[error("`{0}` is no crypto suite that is known here")]
    Suite(SmolStr),
    /// Not base64, or not of the suite's length.
    #[error("key and salt are not the {0} bytes of their suite in base64")]
    Key(usize),
    /// Several keys in one line, of which packets would have to say which.
    #[error("a=crypto with several keys")]
    SeveralKeys,
    /// No packets, or more than a key may protect.
    #[error("the lifetime of a key is 1 to 2^48 packets")]
    Lifetime,
    /// An identifier that is too long, or too large for its length.
    #[error("a master key identifier is a number of 1 to {MKI_BYTES_MAX} bytes")]
    Mki,
    /// A session parameter that changes how packets look.
    #[error("the session parameter `{0}` is not known here")]
    Parameter(SmolStr),
}

impl CryptoSuite {
    /// All, in the order in which we offer them: the strongest first, and short tags last.
    pub const ALL: [CryptoSuite; 6] = [
        CryptoSuite::AeadAes256Gcm,
        CryptoSuite::AeadAes128Gcm,
        CryptoSuite::Aes256CmHmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_80,
        CryptoSuite::Aes256CmHmacSha1_32,
        CryptoSuite::AesCm128HmacSha1_32,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            CryptoSuite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            CryptoSuite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            CryptoSuite::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            CryptoSuite::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            CryptoSuite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            CryptoSuite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of master key and salt together.
    pub fn key_and_salt_bytes(self) -> usize {
        match self {
            CryptoSuite::AesCm128HmacSha1_80 | CryptoSuite::AesCm128HmacSha1_32 => 16 + 14,
            CryptoSuite::Aes256CmHmacSha1_80 | CryptoSuite::Aes256CmHmacSha1_32 => 32 + 14,
            CryptoSuite::AeadAes128Gcm => 16 + 12,
            CryptoSuite::AeadAes256Gcm => 32 + 12,
        }
    }
}

impl KeyAndSalt {
    /// Wraps key and salt.
    pub fn new(bytes: &[u8]) -> KeyAndSalt {
        KeyAndSalt(bytes.into())
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyAndSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Mki {
    /// As it stands in packets.
    pub fn in_packets(self) -> SmallVec<[u8; 8]> {
        let value = self.value.to_be_bytes();
        value.iter().skip(value.len().saturating_sub(self.bytes.into())).copied().collect()
    }
}

impl Crypto {
    /// Reads what stands after `a=crypto:` (RFC 4568 section 9.1).
    ///
    /// # Errors
    /// [`BadCrypto`]: the line cannot be taken; others beside it may.
    pub fn parse(value: &str) -> Result<Crypto, BadCrypto> {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, keys) = match (words.next(), words.next(), words.next()) {
            (Some(tag), Some(suite), Some(keys)) if tag.len() <= 9 => (tag, suite, keys),
            _ => return Err(BadCrypto::Form),
        };
        let tag = number(tag).ok_or(BadCrypto::Form)?;
        let known = CryptoSuite::ALL.into_iter().find(|known| known.name() == suite);
        let suite = known.ok_or_else(|| BadCrypto::Suite(suite.chars().take(40).collect()))?;
        if keys.contains(';') {
            return Err(BadCrypto::SeveralKeys);
        }
        let info = keys.get(..7).filter(|method| method.eq_ignore_ascii_case("inline:")).ok_or(BadCrypto::Form)?;
        let mut parts = keys.get(info.len()..).unwrap_or_default().split('|');
        let wrong = BadCrypto::Key(suite.key_and_salt_bytes());
        let key = BASE64.decode(parts.next().unwrap_or_default()).map_err(|_| wrong.clone())?;
        if key.len() != suite.key_and_salt_bytes() {
            return Err(wrong);
        }
        let (mut lifetime, mut mki) = (None, None);
        for part in parts {
            match part.split_once(':') {
                Some((value, bytes)) if mki.is_none() => mki = Some(read_mki(value, bytes).ok_or(BadCrypto::Mki)?),
                None if lifetime.is_none() && mki.is_none() => {
                    lifetime = Some(read_lifetime(part).ok_or(BadCrypto::Lifetime)?);
                }
                _ => return Err(BadCrypto::Form),
            }
        }
        for parameter in words {
            // Section 6.3.7: what begins with a minus may be passed over. A hint for the size of the replay window is one
            // (section 6.3.6); all others that are known change packets, and so are not taken.
            if !(parameter.starts_with('-') || parameter.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("WSH="))) {
                let name = parameter.split('=').next().unwrap_or_default();
                return Err(BadCrypto::Parameter(name.chars().take(40).collect()));
            }
        }
        Ok(Crypto { tag, suite, key: KeyAndSalt::new(&key), lifetime, mki })
    }

    /// The attribute. It is what the one who may read the key is sent.
    pub fn to_attribute(&self) -> Attribute {
        let mut value = format!("{} {} inline:{}", self.tag, self.suite.name(), BASE64.encode(self.key.expose()));
        // Writing to a string does not fail.
        if let Some(lifetime) = self.lifetime {
            let _ = match lifetime.is_power_of_two() {
                true => write!(value, "|2^{}", lifetime.ilog2()),
                false => write!(value, "|{lifetime}"),
            };
        }
        if let Some(mki) = self.mki {
            let _ = write!(value, "|{}:{}", mki.value, mki.bytes);
        }
        Attribute::known(CRYPTO, value.into())
    }
}

impl Media {
    /// Whether the transport is RTP whose keys stand in the description, if anywhere (`RTP/SAVP`, `RTP/SAVPF`).
    pub fn is_secure_rtp(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("RTP/SAVP") || self.protocol.eq_ignore_ascii_case("RTP/SAVPF")
    }

    /// The `a=crypto` lines that can be taken, in the writer's order of preference.
    pub fn cryptos(&self) -> impl Iterator<Item = Crypto> {
        let lines = self.attributes.iter().filter(|attribute| attribute.is(CRYPTO)).take(CRYPTOS_MAX);
        lines.filter_map(|attribute| Crypto::parse(attribute.text()?).ok())
    }
}

/// Whether the media of a party is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// It is not, and who wants it is refused.
    #[default]
    Never,
    /// It is where the party can.
    Prefer,
    /// It is, or there is no call.
    Require,
}

/// The transport that an offer of ours names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// `RTP/AVP`, with keys where the policy has them (RFC 8643).
    #[default]
    Avp,
    /// `RTP/SAVP`
    Savp,
    /// `RTP/SAVPF`
    Savpf,
    /// `UDP/TLS/RTP/SAVPF`
    Dtls,
}

/// What we do about SRTP towards one party, our keys for it, and our end of DTLS and ICE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurKeys {
    /// The policy.
    pub srtp: Srtp,
    /// Whether we offer keys in descriptions by ourselves: they are shown to whoever reads the signalling.
    pub offers: bool,
    /// What an offer says, where the policy leaves it open: one that requires SRTP never says `RTP/AVP`.
    pub profile: Profile,
    /// Our keys, one a suite, the most wanted first; their tags are for offers.
    pub keys: Arc<[Crypto]>,
    /// Our end of DTLS and ICE; without it neither is spoken.
    pub web: Option<OurWeb>,
}

impl OurKeys {
    /// Whether a section that the party has offered fits the policy.
    pub fn takes(&self, offer: &Session, offered: &Media) -> bool {
        match (self.pick(offered), offered.is_plain_rtp()) {
            (Some(_), _) => true,
            (None, plain) => plain && self.srtp != Srtp::Require || self.setup_for(offer, offered).is_some(),
        }
    }

    /// What we are in the DTLS association of an offered section.
    fn setup_for(&self, offer: &Session, offered: &Media) -> Option<(&OurWeb, Setup)> {
        let spoken = self.srtp != Srtp::Never && offered.is_dtls() && offer.is_rtp(offered);
        let web = self.web.as_ref().filter(|_| spoken)?;
        Some((web, web.answer_to(offer.setup_of(offered))?))
    }

    /// Our line for an answer: our key for the first of the offer's suites that we have, with the offer's tag
    /// (RFC 4568 section 5.1.2).
    fn pick(&self, offered: &Media) -> Option<Crypto> {
        if self.srtp == Srtp::Never || !offered.is_plain_rtp() && !offered.is_secure_rtp() {
            return None;
        }
        offered.cryptos().find_map(|theirs| {
            let ours = self.keys.iter().find(|ours| ours.suite == theirs.suite)?;
            Some(Crypto { tag: theirs.tag, ..ours.clone() })
        })
    }

    /// Writes transport, keys, certificate and candidate into the answer to a section; false where the policy does not take it.
    pub(super) fn write_answer(&self, offer: &Session, offered: &Media, ours: &mut Media, port: &LocalPort) -> bool {
        // The transport of the answer is the offer's (RFC 3264 section 6.1).
        ours.protocol.clone_from(&offered.protocol);
        let picked = self.pick(offered);
        ours.attributes.extend(picked.iter().map(Crypto::to_attribute));
        if let Some((web, setup)) = self.setup_for(offer, offered) {
            web.write_dtls(ours, setup);
        }
        if let Some(web) = self.web.as_ref().filter(|_| offered.is_dtls() && offer.ice_of(offered).is_some()) {
            web.write_ice(ours, port);
        }
        if let Some(mid) = offered.mid().filter(|_| offered.is_dtls()) {
            // An answer has the tag of its offer (RFC 5888 section 9.1).
            ours.attributes.push(Attribute::known(MID, mid.into()));
        }
        picked.is_some() || self.takes(offer, offered)
    }

    /// Writes the transport and all that belongs to it into the offer of the section at `index`.
    pub(super) fn write_offer(&self, ours: &mut Media, port: &LocalPort, index: usize) {
        if let Some(web) = self.web.as_ref().filter(|_| self.profile == Profile::Dtls && self.srtp != Srtp::Never) {
            ours.protocol = SmolStr::new_static(DTLS_PROTOCOL);
            // Either, also within an association: the answer keeps what there is (RFC 8842 section 5.5).
            web.write_dtls(ours, Setup::ActPass);
            web.write_ice(ours, port);
            return write_mid(ours, None, index);
        }
        // A browser has no other name for any stream; phones that know no feedback refuse a stream for it.
        let only_named = ours.is_dtls();
        let named = ours.protocol.to_ascii_uppercase().ends_with("AVPF") && !only_named;
        let feedback = named || self.profile == Profile::Savpf;
        if only_named && ours.kind == MediaKind::Audio {
            ours.attributes.retain(|attribute| !attribute.is(RTCP_FB));
        }
        let demanded = matches!(self.profile, Profile::Savp | Profile::Savpf);
        let keyed = self.srtp == Srtp::Require || self.srtp == Srtp::Prefer && (self.offers || demanded);
        let secure = keyed && (self.srtp == Srtp::Require || demanded);
        ours.protocol = SmolStr::new_static(match (secure, feedback) {
            (true, true) => "RTP/SAVPF",
            (true, false) => "RTP/SAVP",
            (false, true) => "RTP/AVPF",
            (false, false) => "RTP/AVP",
        });
        if keyed {
            ours.attributes.extend(self.keys.iter().map(Crypto::to_attribute));
        }
    }
}

/// Our last description with other keys: those that `keys` has for a line, each in the place of ours of that suite. The suites
/// and their tags stay (RFC 4568 section 7.1.4).
pub fn rekeyed(previous: &Session, keys: impl Fn(usize) -> Arc<[Crypto]>) -> Session {
    let mut next = previous.clone();
    for (at, section) in next.media.iter_mut().enumerate().filter(|(_, section)| section.port != 0) {
        for attribute in section.attributes.iter_mut().filter(|attribute| attribute.is(CRYPTO)) {
            let Some(told) = attribute.text().and_then(|text| Crypto::parse(text).ok()) else { continue };
            if let Some(ours) = keys(at).iter().find(|ours| ours.suite == told.suite) {
                *attribute = Crypto { tag: told.tag, ..ours.clone() }.to_attribute();
            }
        }
    }
    revise(previous, next)
}

/// The keys of a stream: which of the lines of two sections in force belong together. `Err` where one of them demands keys
/// and there is no pair.
pub(super) fn agreed_keys(ours: &Media, theirs: &Media) -> Result<Option<AgreedKeys>, NoKeys> {
    if !ours.has(CRYPTO) && !theirs.has(CRYPTO) {
        return if ours.is_secure_rtp() || theirs.is_secure_rtp() { Err(NoKeys) } else { Ok(None) };
    }
    let remote: SmallVec<[Crypto; 4]> = theirs.cryptos().collect();
    let pair = ours.cryptos().find_map(|local| {
        let remote = remote.iter().find(|remote| (remote.tag, remote.suite) == (local.tag, local.suite))?;
        Some(AgreedKeys { local, remote: remote.clone() })
    });
    // Keys on one side only are an offer that was not taken (RFC 8643 section 3.2). On both and of no pair they are a mistake.
    let demanded = ours.is_secure_rtp() || theirs.is_secure_rtp() || ours.has(CRYPTO) && theirs.has(CRYPTO);
    if pair.is_none() && demanded { Err(NoKeys) } else { Ok(pair) }
}

/// What protects a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedKeys {
    /// What we send with.
    pub local: Crypto,
    /// What the party sends with.
    pub remote: Crypto,
}

pub(super) struct NoKeys;

/// As RFC 4568 has it, and as phones write it that leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn read_lifetime(text: &str) -> Option<u64> {
    let packets = match text.strip_prefix("2^") {
        Some(bits) => number::<u32>(bits).filter(|bits| *bits <= LIFETIME_BITS_MAX).map(|bits| 1 << bits),
        None => number(text),
    };
    packets.filter(|packets| (1..=1 << LIFETIME_BITS_MAX).contains(packets))
}

fn read_mki(value: &str, bytes: &str) -> Option<Mki> {
    let mki = Mki { value: number(value)?, bytes: number(bytes)? };
    let fits = mki.bytes == MKI_BYTES_MAX || mki.bytes < MKI_BYTES_MAX && mki.value >> (8 * u32::from(mki.bytes)) == 0;
    (mki.bytes > 0 && fits).then_some(mki)
}

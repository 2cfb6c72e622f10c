//! Suites, master keys, and the session keys that follow from them.

use super::window::Sources;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use smallvec::SmallVec;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Longest master key identifier that is read.
pub const MKI_BYTES_MAX: usize = 8;

/// SRTP packets that any key may protect (RFC 3711 section 9.2).
const PACKETS_MAX: u64 = 1 << 48;
/// SRTCP packets that any key may protect.
const REPORTS_MAX: u32 = 1 << 31;

/// Bytes of a session salt; shorter ones are filled up with zeros.
pub(super) const SALT_BYTES: usize = 14;
/// Bytes of an HMAC-SHA1 session key (RFC 3711 section 5.2).
pub(super) const AUTH_KEY_BYTES: usize = 20;
const BLOCK_BYTES: usize = 16;

/// How packets are protected; named as in SDP (RFC 4568 section 6.2, RFC 6188 section 4, RFC 7714 section 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128Sha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128Sha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`
    AesCm256Sha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`
    AesCm256Sha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

impl Suite {
    /// All of them, the strongest first.
    pub const ALL: [Suite; 6] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::AesCm256Sha1_80,
        Suite::AesCm128Sha1_80,
        Suite::AesCm256Sha1_32,
        Suite::AesCm128Sha1_32,
    ];

    /// The name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::AesCm256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of that name in SDP.
    pub fn from_name(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Bytes of its master key, and of its session keys.
    pub fn key_bytes(self) -> usize {
        match self {
            Suite::AesCm128Sha1_80 | Suite::AesCm128Sha1_32 | Suite::AeadAes128Gcm => 16,
            Suite::AesCm256Sha1_80 | Suite::AesCm256Sha1_32 | Suite::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of its master salt.
    pub fn salt_bytes(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Whether encryption and authentication are one (RFC 7714).
    pub fn is_aead(self) -> bool {
        matches!(self, Suite::AeadAes128Gcm | Suite::AeadAes256Gcm)
    }

    /// Bytes of an RTP packet's tag.
    pub fn tag_bytes(self) -> usize {
        match self {
            Suite::AesCm128Sha1_32 | Suite::AesCm256Sha1_32 => 4,
            _ => self.rtcp_tag_bytes(),
        }
    }

    /// Bytes of an RTCP packet's tag, which the suites of 32 bits do not shorten (RFC 4568 section 6.2.2).
    pub fn rtcp_tag_bytes(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }
}

/// The bytes are no master key of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongKey {
    /// Another length than key and salt together.
    #[error("{suite:?} has a key and salt of {} bytes, these are {bytes}", suite.key_bytes() + suite.salt_bytes())]
    Length {
        /// The suite.
        suite: Suite,
        /// What was given.
        bytes: usize,
    },
    /// An identifier past [`MKI_BYTES_MAX`].
    #[error("a master key identifier has at most {MKI_BYTES_MAX} bytes, this one has {0}")]
    Identifier(usize),
}

/// Key and salt from which the session keys of one direction follow (RFC 3711 section 3.2.1). Its debug form shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// Key, then salt.
    bytes: SmallVec<[u8; 46]>,
    mki: SmallVec<[u8; MKI_BYTES_MAX]>,
}

impl MasterKey {
    /// A master key from the key and the salt after it, as SDP gives them (RFC 4568 section 6.1). `mki` is the identifier
    /// that each packet carries, empty where none was agreed.
    ///
    /// # Errors
    /// [`WrongKey`].
    pub fn new(suite: Suite, key_and_salt: &[u8], mki: &[u8]) -> Result<MasterKey, WrongKey> {
        if key_and_salt.len() != suite.key_bytes() + suite.salt_bytes() {
            return Err(WrongKey::Length { suite, bytes: key_and_salt.len() });
        }
        if mki.len() > MKI_BYTES_MAX {
            return Err(WrongKey::Identifier(mki.len()));
        }
        Ok(MasterKey { suite, bytes: key_and_salt.into(), mki: mki.into() })
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn mki(&self) -> &[u8] {
        &self.mki
    }

    /// Fills `out` with the session key of a label (RFC 3711 section 4.3.1, the key derivation rate being zero).
    pub(super) fn derive(&self, label: u8, out: &mut [u8]) {
        let (key, salt) = self.bytes.split_at_checked(self.suite.key_bytes()).unwrap_or_default();
        let mut input = [0; BLOCK_BYTES];
        // A salt of 96 bits stands where one of 112 begins (RFC 7714 section 11).
        for (into, from) in input.iter_mut().zip(salt) {
            *into = *from;
        }
        if let Some(place) = input.get_mut(7) {
            *place ^= label;
        }
        match key.len() {
            16 => keystream(&aes::Aes128Enc::new(GenericArray::from_slice(key)), input, out),
            _ => keystream(&aes::Aes256Enc::new(GenericArray::from_slice(key)), input, out),
        }
    }
}

/// AES in counter mode over zeros: the pseudo-random function of RFC 3711 section 4.3.3.
fn keystream(aes: &impl BlockEncrypt<BlockSize = aes::cipher::consts::U16>, input: [u8; BLOCK_BYTES], out: &mut [u8]) {
    for (count, chunk) in (0u16..).zip(out.chunks_mut(BLOCK_BYTES)) {
        let mut block = input;
        if let Some(counter) = block.last_chunk_mut() {
            *counter = count.to_be_bytes();
        }
        let mut block = GenericArray::from(block);
        aes.encrypt_block(&mut block);
        chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

/// A master key in use: it, and how far every source under it has come. Shared by whoever keeps the key for a party, so that
/// a key that is used again goes on where it was, and by the one worker that uses it.
pub struct Key {
    pub(super) master: MasterKey,
    pub(super) sources: Sources,
    /// SRTP packets that it may protect.
    pub(super) packets_max: u64,
    /// SRTCP packets that it may protect.
    pub(super) reports_max: u32,
    /// The [`Wear`] that was asked last.
    asked: AtomicU8,
}

/// How much of what a key may protect it has protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wear {
    /// Less than three quarters.
    #[default]
    Good,
    /// Three quarters: it is time for another one.
    Worn,
    /// All.
    Spent,
}

impl Key {
    /// A master key that has protected nothing yet, and may protect as much as any (RFC 3711 section 9.2).
    pub fn new(master: MasterKey) -> Key {
        Key {
            master,
            sources: Sources::default(),
            packets_max: PACKETS_MAX,
            reports_max: REPORTS_MAX,
            asked: AtomicU8::new(0),
        }
    }

    /// A master key that may protect so many SRTP packets, and so many SRTCP packets, at most (RFC 4568 section 6.1).
    pub fn with_lifetime(master: MasterKey, packets: u64) -> Key {
        let reports_max = u32::try_from(packets).unwrap_or(REPORTS_MAX).min(REPORTS_MAX);
        Key { packets_max: packets.min(PACKETS_MAX), reports_max, ..Key::new(master) }
    }

    /// How much it has protected.
    pub fn wear(&self) -> Wear {
        let of = |done: u64, most: u64| match done {
            _ if done >= most => Wear::Spent,
            _ if done >= most - most / 4 => Wear::Worn,
            _ => Wear::Good,
        };
        let packets = of(self.sources.packets(), self.packets_max);
        packets.max(of(self.sources.reports().into(), self.reports_max.into()))
    }

    /// The same, where it is another than at the last time that somebody asked here: whoever tells of it tells once, and so does who
    /// takes the key over.
    pub fn worn_since_asked(&self) -> Option<Wear> {
        let wear = self.wear();
        (self.asked.swap(wear as u8, Relaxed) != wear as u8).then_some(wear)
    }

    /// The master key.
    pub fn master(&self) -> &MasterKey {
        &self.master
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.master.fmt(f)
    }
}

#[cfg(test)]
impl Key {
    /// The key as after so many packets.
    pub(super) fn after(self, sources: Sources) -> Key {
        Key { sources, ..self }
    }
}

#[cfg(test)]
impl MasterKey {
    /// Key and salt.
    pub(super) fn bytes_for_tests(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }
}

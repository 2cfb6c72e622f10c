//! The ciphers, keyed once for each direction, and the nonces of each packet.

use super::key::{AUTH_KEY_BYTES, MasterKey, SALT_BYTES, Suite};
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;

/// Longest tag.
pub const TAG_BYTES_MAX: usize = 16;

/// RTP or RTCP: each has session keys of its own (RFC 3711 section 4.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
}

/// Session keys at work.
// Two of them live in a boxed opener or sealer: that one variant is larger costs nothing.
#[allow(clippy::large_enum_variant)]
pub enum Cipher {
    Counter { aes: Aes, salt: [u8; SALT_BYTES], mac: Hmac<Sha1>, tag_bytes: usize },
    Gcm { key: LessSafeKey, salt: [u8; SALT_BYTES] },
}

/// AES, keyed.
#[allow(clippy::large_enum_variant)] // as above
pub enum Aes {
    Short(aes::Aes128Enc),
    Long(aes::Aes256Enc),
}

/// The packet does not carry the tag that its key would have given it.
pub struct WrongTag;

impl Cipher {
    /// Derives the session keys of a master key; `None` if the libraries refuse the key, which they do not.
    pub fn new(master: &MasterKey, kind: Kind) -> Option<Cipher> {
        let suite = master.suite();
        let first = match kind {
            Kind::Rtp => 0,
            Kind::Rtcp => 3,
        };
        let mut key = [0; 32];
        let key = key.get_mut(..suite.key_bytes())?;
        master.derive(first, key);
        let mut salt = [0; SALT_BYTES];
        master.derive(first + 2, salt.get_mut(..suite.salt_bytes())?);
        if suite.is_aead() {
            let algorithm = if suite == Suite::AeadAes128Gcm { &AES_128_GCM } else { &AES_256_GCM };
            return Some(Cipher::Gcm { key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?), salt });
        }
        let mut auth = [0; AUTH_KEY_BYTES];
        master.derive(first + 1, &mut auth);
        let aes = match key.len() {
            16 => Aes::Short(aes::Aes128Enc::new(GenericArray::from_slice(key))),
            _ => Aes::Long(aes::Aes256Enc::new(GenericArray::from_slice(key))),
        };
        let tag_bytes = if kind == Kind::Rtp { suite.tag_bytes() } else { suite.rtcp_tag_bytes() };
        Some(Cipher::Counter { aes, salt, mac: <Hmac<Sha1> as Mac>::new_from_slice(&auth).ok()?, tag_bytes })
    }

    /// Bytes that it adds to a packet.
    pub fn tag_bytes(&self) -> usize {
        match self {
            Cipher::Counter { tag_bytes, .. } => *tag_bytes,
            Cipher::Gcm { .. } => TAG_BYTES_MAX,
        }
    }

    /// Whether the tag belongs to the encrypted part, so that what follows it (an index, an identifier) comes behind it
    /// (RFC 7714 section 9), and not before it (RFC 3711 section 3.1).
    pub fn is_aead(&self) -> bool {
        matches!(self, Cipher::Gcm { .. })
    }

    /// Encrypts `packet` from `clear` on and returns its tag, of which the first [`Cipher::tag_bytes`] count. `trailer` is
    /// what is authenticated beside the packet: the roll-over counter (RFC 3711 section 4.2), or the SRTCP index.
    #[inline]
    pub fn seal(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
        trailer: Trailer,
    ) -> Option<[u8; TAG_BYTES_MAX]> {
        let mut out = [0; TAG_BYTES_MAX];
        match self {
            Cipher::Counter { aes, salt, mac, .. } => {
                aes.apply(counter_iv(salt, ssrc, index), packet.get_mut(clear..)?);
                let tag = mac.clone().chain_update(&*packet).chain_update(trailer.bytes()).finalize().into_bytes();
                out.copy_from_slice(tag.get(..TAG_BYTES_MAX)?);
            }
            Cipher::Gcm { key, salt } => {
                let (head, body) = packet.split_at_mut_checked(clear)?;
                let mut aad = AadBuffer::default();
                let aad = Aad::from(trailer.aad(head, &mut aad));
                let tag = key.seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index, trailer), aad, body).ok()?;
                out.copy_from_slice(tag.as_ref());
            }
        }
        Some(out)
    }

    /// Checks the tag of `packet` and decrypts it from `clear` on; of a wrong one nothing may be used.
    #[inline]
    pub fn open(
        &self,
        packet: &mut [u8],
        clear: usize,
        tag: &[u8],
        ssrc: u32,
        index: u64,
        trailer: Trailer,
    ) -> Result<(), WrongTag> {
        match self {
            Cipher::Counter { aes, salt, mac, .. } => {
                let mac = mac.clone().chain_update(&*packet).chain_update(trailer.bytes());
                mac.verify_truncated_left(tag).map_err(|_| WrongTag)?;
                aes.apply(counter_iv(salt, ssrc, index), packet.get_mut(clear..).ok_or(WrongTag)?);
            }
            Cipher::Gcm { key, salt } => {
                let (head, body) = packet.split_at_mut_checked(clear).ok_or(WrongTag)?;
                let mut aad = AadBuffer::default();
                let aad = Aad::from(trailer.aad(head, &mut aad));
                let tag = Tag::try_from(tag).map_err(|_| WrongTag)?;
                let nonce = gcm_nonce(salt, ssrc, index, trailer);
                key.open_in_place_separate_tag(nonce, aad, tag, body, 0..).map_err(|_| WrongTag)?;
            }
        }
        Ok(())
    }
}

/// What is authenticated behind a packet.
#[derive(Clone, Copy)]
pub enum Trailer {
    /// The roll-over counter, which is not sent.
    Cycles(u32),
    /// The SRTCP index with the flag that says "encrypted".
    Report(u32),
}

/// Header and index of an SRTCP packet.
type AadBuffer = [u8; 12];

impl Trailer {
    fn bytes(self) -> [u8; 4] {
        match self {
            Trailer::Cycles(word) | Trailer::Report(word) => word.to_be_bytes(),
        }
    }

    /// RFC 7714 section 8.2: of RTP the header; section 9.2: of RTCP the first eight bytes and the index.
    fn aad<'a>(self, head: &'a [u8], buffer: &'a mut AadBuffer) -> &'a [u8] {
        match self {
            Trailer::Cycles(_) => head,
            Trailer::Report(word) => {
                for (into, from) in buffer.iter_mut().zip(head.iter().take(8).chain(&word.to_be_bytes())) {
                    *into = *from;
                }
                buffer
            }
        }
    }
}

impl Aes {
    #[inline]
    fn apply(&self, iv: [u8; 16], data: &mut [u8]) {
        let iv = GenericArray::from(iv);
        match self {
            Aes::Short(aes) => {
                ctr::CtrCore::<_, ctr::flavors::Ctr128BE>::inner_iv_init(aes, &iv).apply_keystream_partial(data.into())
            }
            Aes::Long(aes) => {
                ctr::CtrCore::<_, ctr::flavors::Ctr128BE>::inner_iv_init(aes, &iv).apply_keystream_partial(data.into())
            }
        }
    }
}

/// RFC 3711 section 4.1.1: (salt · 2^16) ⊕ (SSRC · 2^64) ⊕ (index · 2^16).
pub fn counter_iv(salt: &[u8; SALT_BYTES], ssrc: u32, index: u64) -> [u8; 16] {
    let mixed = u128::from(ssrc) << 64 ^ u128::from(index) << 16;
    let mut iv = mixed.to_be_bytes();
    for (into, salt) in iv.iter_mut().zip(salt) {
        *into ^= salt;
    }
    iv
}

/// RFC 7714 sections 8.1 and 9.1: two zeros, SSRC, and the index in 48 bits, ⊕ salt. An SRTCP index has but 31 bits.
fn gcm_nonce(salt: &[u8; SALT_BYTES], ssrc: u32, index: u64, trailer: Trailer) -> Nonce {
    let index = match trailer {
        Trailer::Cycles(_) => index,
        Trailer::Report(word) => u64::from(word & !(1 << 31)),
    };
    let mixed = (u128::from(ssrc) << 48 | u128::from(index)).to_be_bytes();
    let mut nonce = [0; 12];
    for (into, (mixed, salt)) in nonce.iter_mut().zip(mixed.iter().skip(4).zip(salt)) {
        *into = mixed ^ salt;
    }
    Nonce::assume_unique_for_key(nonce)
}

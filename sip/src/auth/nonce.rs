//! Nonces that need no memory: each proves that we made it, when, and for which source.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of the tag: HMAC-SHA-256 cut to 128 bits, which nobody guesses in the life of a nonce.
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 8 + 8 + TAG_BYTES;
/// How far a clock may have been set back, ms, before its nonces from before count as made in the future.
const CLOCK_STEP_MS_MAX: u64 = 5_000;

/// Makes and checks the nonces of one realm.
pub(super) struct Nonces {
    /// Keyed once; cloned a nonce.
    keyed: Hmac<Sha256>,
    next: u64,
    lifetime_ms: u64,
}

/// The name of a nonce of ours, in order of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NonceId {
    /// When it was made, ms.
    pub made_ms: u64,
    /// Tells nonces of one millisecond apart.
    pub unique: u64,
}

impl Nonces {
    /// `key` is secret and random. `seed` is random: two challengers with one key make different nonces.
    pub(super) fn new(key: &[u8; 32], realm: &str, seed: u64, lifetime_ms: u64) -> Nonces {
        // A derived key for each realm, so that a nonce says nothing in another realm.
        let mut derive = keyed(key);
        derive.update(realm.as_bytes());
        let derived: [u8; 32] = derive.finalize().into_bytes().into();
        Nonces { keyed: keyed(&derived), next: seed, lifetime_ms }
    }

    pub(super) fn make(&mut self, now_ms: u64, scope: &[u8]) -> String {
        let id = NonceId { made_ms: now_ms, unique: self.next };
        self.next = self.next.wrapping_add(1);
        let mut bytes = [0_u8; NONCE_BYTES];
        let made = id.made_ms.to_be_bytes();
        let unique = id.unique.to_be_bytes();
        let tag = self.tag(id, scope);
        bytes.iter_mut().zip(made.iter().chain(&unique).chain(&tag)).for_each(|(to, from)| *to = *from);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The name of `nonce` when we made it for `scope` and it still lives.
    pub(super) fn check(&self, now_ms: u64, scope: &[u8], nonce: &str) -> Option<NonceId> {
        let mut bytes = [0_u8; NONCE_BYTES];
        if nonce.len() != NONCE_BYTES.div_ceil(3) * 4 - 1 {
            return None;
        }
        URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok().filter(|length| *length == NONCE_BYTES)?;
        let (made, rest) = bytes.split_first_chunk::<8>()?;
        let (unique, tag) = rest.split_first_chunk::<8>()?;
        let id = NonceId { made_ms: u64::from_be_bytes(*made), unique: u64::from_be_bytes(*unique) };
        let ours = bool::from(subtle::ConstantTimeEq::ct_eq(self.tag(id, scope).as_slice(), tag));
        let alive = now_ms < id.made_ms.saturating_add(self.lifetime_ms)
            && id.made_ms <= now_ms.saturating_add(CLOCK_STEP_MS_MAX);
        (ours && alive).then_some(id)
    }

    fn tag(&self, id: NonceId, scope: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(&id.made_ms.to_be_bytes());
        mac.update(&id.unique.to_be_bytes());
        mac.update(scope);
        let whole = mac.finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        tag
    }
}

/// HMAC-SHA-256 under a key as long as its output. Padded to the block here, because that form cannot fail.
pub(super) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = hmac::digest::generic_array::GenericArray::default();
    block.iter_mut().zip(key).for_each(|(to, from): (&mut u8, &u8)| *to = *from);
    <Hmac<Sha256> as Mac>::new(&block)
}

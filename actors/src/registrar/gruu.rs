//! Globally routable names of one phone (RFC 5627): the public one says whose it is, a temporary one says it to us alone.
//!
//! Nothing is kept for a temporary GRUU: its user part is what it stands for, encrypted and authenticated with a key of
//! this node that outlives the process. Two of them of one phone have nothing in common, not even a length that tells.
//! It holds while the instance is registered with the Call-ID that it was given out for (section 3.1.2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sip::value::Uri;

use crate::directory::Destination;
use crate::plan::Under;
use crate::routing::{By, Decision, Kind, Refusal, Step};
use crate::shared::{Shared, unix_ms};

/// How the user part of a temporary GRUU begins.
const PREFIX: &str = "tgruu.";
/// Random bytes that make each one different.
const NONCE_BYTES: usize = 12;
/// Bytes of its authentication: a guess in 2^96.
const TAG_BYTES: usize = 12;
/// Bytes of a [`Mark`].
const MARK_BYTES: usize = 8;
/// What is encrypted is filled up to a multiple of this, so that the length does not tell whose name it is.
const FILL_BYTES: usize = 24;
/// Longest encrypted part that is looked at.
const SEALED_BYTES_MAX: usize = 240;

/// A registration of an instance, as a keyed hash.
type Mark = [u8; MARK_BYTES];

/// Gives out temporary GRUUs and reads them.
pub struct TemporaryGruus {
    cipher: Hmac<Sha256>,
    tag: Hmac<Sha256>,
    mark: Hmac<Sha256>,
}

/// What a temporary GRUU says.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the user.
    pub user: String,
    mark: Mark,
}

/// Where a Request-URI leads.
pub struct Route {
    /// To whom.
    pub destination: Destination,
    /// To this instance of the user's phones alone (without angle brackets), where the URI is a GRUU.
    pub instance: Option<String>,
    /// Why.
    pub steps: Vec<Step>,
    /// By which objects of the plan.
    pub under: Under,
}

impl From<Decision> for Route {
    /// To all phones of whom it leads to.
    fn from(Decision { destination, steps, under }: Decision) -> Self {
        Self { destination, instance: None, steps, under }
    }
}

/// Where a Request-URI leads, GRUUs of both kinds among them (RFC 5627 section 3.3). A temporary one whose registration is
/// over leads nowhere.
pub fn route(shared: &Shared, uri: &Uri<'_>, by: By<'_>) -> Route {
    let directory = shared.directory();
    let name = uri.user_text().filter(|user| user.starts_with(PREFIX) && uri.params.has(b"gr"));
    let Some(name) = name else {
        let instance = uri.params.value(b"gr").map(|gr| String::from_utf8_lossy(gr).into_owned());
        return Route { instance, ..Route::from(directory.route(uri, by)) };
    };
    let found = shared.gruus.read(&name).and_then(|claim| {
        let user = directory.user(&claim.user)?;
        let now = unix_ms();
        let contacts = shared.location.get(&directory.aor(user));
        let mut alive = contacts.iter().filter(|contact| contact.expires_at_ms > now);
        let instance = alive.find_map(|contact| {
            let instance = contact.instance.as_deref()?;
            shared.gruus.is_of(&claim, instance, &contact.call_id).then(|| bare(instance).to_owned())
        })?;
        let destination = Destination::User(std::sync::Arc::clone(user));
        Some(Route { destination, instance: Some(instance), steps: Vec::new(), under: Under::default() })
    });
    let why = "this temporary address is not valid, or not any more";
    let nowhere = || Destination::Nowhere(Refusal::new(Kind::Unknown, why));
    found.unwrap_or_else(|| Route {
        destination: nowhere(),
        instance: None,
        steps: Vec::new(),
        under: Under::default(),
    })
}

/// An instance id without its angle brackets, as `gr` has it (RFC 5627 section 3.1.1).
pub fn bare(instance: &str) -> &str {
    instance.trim_matches(['<', '>'])
}

impl TemporaryGruus {
    /// Works with the node's secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let key = |purpose: &[u8]| keyed(&hash(&keyed(secret), &[b"temporary gruu", purpose]));
        Self { cipher: key(b"cipher"), tag: key(b"tag"), mark: key(b"mark") }
    }

    /// The user part of a new temporary GRUU of a user's instance that is registered with this Call-ID. A nonce is used
    /// once. `None` for a name that is too long.
    pub fn give(&self, nonce: [u8; NONCE_BYTES], user: &str, instance: &str, call_id: &str) -> Option<String> {
        let mut sealed = self.mark(user, instance, call_id).to_vec();
        sealed.extend_from_slice(user.as_bytes());
        sealed.resize(sealed.len().next_multiple_of(FILL_BYTES), 0);
        if sealed.len() > SEALED_BYTES_MAX {
            return None;
        }
        self.encrypt(&nonce, &mut sealed);
        let tag = hash(&self.tag, &[&nonce, &sealed]);
        let mut out = nonce.to_vec();
        out.extend(tag.iter().take(TAG_BYTES));
        out.append(&mut sealed);
        Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(out)))
    }

    /// What a user part says; `None` when this node did not write it.
    pub fn read(&self, user_part: &str) -> Option<Claim> {
        let text = user_part.strip_prefix(PREFIX)?;
        if text.len() > (NONCE_BYTES + TAG_BYTES + SEALED_BYTES_MAX).div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let (tag, sealed) = rest.split_first_chunk::<TAG_BYTES>()?;
        absorb(&self.tag, &[nonce, sealed]).verify_truncated_left(tag).ok()?;
        let mut open = sealed.to_vec();
        self.encrypt(nonce, &mut open);
        let (mark, name) = open.split_first_chunk::<MARK_BYTES>()?;
        let user = std::str::from_utf8(name).ok()?.trim_end_matches('\0').to_owned();
        Some(Claim { user, mark: *mark })
    }

    /// Whether a claim is of the registration of this instance with this Call-ID.
    pub fn is_of(&self, claim: &Claim, instance: &str, call_id: &str) -> bool {
        self.mark(&claim.user, instance, call_id) == claim.mark
    }

    fn mark(&self, user: &str, instance: &str, call_id: &str) -> Mark {
        let full = hash(&self.mark, &[user.as_bytes(), instance.as_bytes(), call_id.as_bytes()]);
        full.first_chunk().copied().unwrap_or_default()
    }

    /// Adds the key stream of a nonce: HMAC in counter mode. Once more undoes it.
    fn encrypt(&self, nonce: &[u8; NONCE_BYTES], bytes: &mut [u8]) {
        for (counter, block) in (0_u8..).zip(bytes.chunks_mut(32)) {
            let stream = hash(&self.cipher, &[nonce, &[counter]]);
            block.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
        }
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC takes keys of any length; one of exactly a block is taken as it is, and shorter ones are filled with zeros.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new(&block.into())
}

/// Each part with its length before it, so that no two lists of parts look the same.
fn absorb(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in parts {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac
}

fn hash(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    absorb(key, parts).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const INSTANCE: &str = "<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";

    fn given(nonce: u8, user: &str) -> String {
        TemporaryGruus::new(&SECRET).give([nonce; NONCE_BYTES], user, INSTANCE, "call-1").unwrap()
    }

    #[test]
    fn a_temporary_gruu_is_read_by_a_later_process_with_the_same_secret_and_by_no_other_node() {
        let gruu = given(1, "alice");
        let later = TemporaryGruus::new(&SECRET);
        let claim = later.read(&gruu).unwrap();
        assert_eq!(claim.user, "alice");
        assert!(later.is_of(&claim, INSTANCE, "call-1"));
        assert_eq!(TemporaryGruus::new(&[8; 32]).read(&gruu), None);
    }

    #[test]
    fn it_is_not_of_another_instance_nor_of_a_registration_with_another_call_id() {
        let gruus = TemporaryGruus::new(&SECRET);
        let claim = gruus.read(&given(1, "alice")).unwrap();
        assert!(!gruus.is_of(&claim, "<urn:uuid:other>", "call-1"));
        assert!(!gruus.is_of(&claim, INSTANCE, "call-2"));
    }

    #[test]
    fn two_of_one_phone_share_no_more_than_two_of_different_users() {
        let (first, second, other) = (given(1, "alice"), given(2, "alice"), given(3, "bob"));
        assert_eq!(first.len(), other.len(), "the length tells the user");
        let same = |a: &str, b: &str| a.bytes().zip(b.bytes()).skip(PREFIX.len()).filter(|(x, y)| x == y).count();
        // 64 letters of 64 kinds: one alike is what chance gives, a block alike would be eight or more.
        assert!(same(&first, &second) < 8 && same(&first, &other) < 8, "{first} {second} {other}");
        assert!(!first.contains("alice"));
    }

    #[test]
    fn no_changed_character_passes_and_no_length_breaks_it() {
        let gruus = TemporaryGruus::new(&SECRET);
        let gruu = given(1, "alice");
        for at in PREFIX.len()..gruu.len() {
            let mut changed = gruu.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(gruus.read(std::str::from_utf8(&changed).unwrap()), None, "at {at}");
            assert_eq!(gruus.read(&gruu[..at]), None, "cut at {at}");
        }
        assert_eq!(gruus.read(&format!("{PREFIX}{}", "A".repeat(10_000))), None);
        assert_eq!(gruus.give([1; NONCE_BYTES], &"a".repeat(SEALED_BYTES_MAX), INSTANCE, "call-1"), None);
    }
}

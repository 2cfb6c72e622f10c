//! The client's half of digest, for trunks and gateways that ask who we are.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::algorithm::Algorithm;
use super::nonce::keyed;
use super::params::{HEADER_BYTES_MAX, digest, each, quoted};
use super::secret::Secret;

/// Most answers to the challenges of one request: the first, and some when the server says that its nonce was stale.
pub const ANSWERS_MAX: u8 = 3;

/// Credentials, and to whom they belong.
#[derive(Clone, Debug)]
pub struct Account {
    /// The peer's name in our configuration; only its challenges are answered.
    pub peer: String,
    /// The realm that it must ask for, compared exactly; `None` takes whatever this peer calls itself.
    pub realm: Option<String>,
    /// User name.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
}

/// Who asked, which decides the header of the answer (RFC 3261 sections 22.2 and 22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengedBy {
    /// 401: the answer goes into `Authorization`.
    Server,
    /// 407: the answer goes into `Proxy-Authorization`.
    Proxy,
}

/// What was tried for one request. One a request, kept over its repetitions.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    answers: u8,
    nonce: Option<String>,
}

/// Why a challenge is not answered. The failure is then final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// It came from a peer that the credentials do not belong to.
    #[error("the challenge is from another peer than the credentials are for")]
    OtherPeer,
    /// It is for a realm that the credentials do not belong to.
    #[error("the challenge is for another realm than the credentials are for")]
    OtherRealm,
    /// No challenge with an algorithm and a quality of protection that are known here.
    #[error("no challenge in an algorithm that is known here")]
    Unsupported,
    /// Our answer was refused, and the nonce was not stale: the password is wrong.
    #[error("the credentials were refused")]
    Refused,
    /// The server called too many nonces stale.
    #[error("challenged again and again")]
    Endless,
}

/// Answers the challenges of one peer, and counts its nonces.
pub struct Answerer {
    account: Account,
    cnonces: Hmac<Sha256>,
    cnonce_count: u64,
    held: Option<Held>,
}

/// The nonce in use.
#[derive(Clone, Debug)]
struct Held {
    by: ChallengedBy,
    /// As received, escapes included.
    realm: String,
    /// With escapes resolved.
    realm_text: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the peer knows `qop=auth`.
    qop: bool,
    /// The highest nonce count used.
    count: u32,
}

impl Answerer {
    /// `cnonce_key` is random: client nonces are made from it.
    pub fn new(account: Account, cnonce_key: &[u8; 32]) -> Answerer {
        Answerer { account, cnonces: keyed(cnonce_key), cnonce_count: 0, held: None }
    }

    /// Credentials for a request that was not challenged yet, with the nonce that the peer gave before
    /// (RFC 3261 section 22.1); `None` when there is none.
    pub fn anticipate(&mut self, attempt: &mut Attempt, method: &str, uri: &str) -> Option<(ChallengedBy, String)> {
        let by = self.held.as_ref()?.by;
        let value = self.credentials(method, uri)?;
        attempt.nonce = self.held.as_ref().map(|held| held.nonce.clone());
        Some((by, value))
    }

    /// The value of the header that answers a 401 or 407 from `peer`, whose challenge lines are `challenges`, when
    /// `method` is sent to `uri` again. Takes the strongest algorithm (RFC 8760 section 2.4).
    pub fn answer(
        &mut self,
        attempt: &mut Attempt,
        peer: &str,
        by: ChallengedBy,
        challenges: &[&[u8]],
        method: &str,
        uri: &str,
    ) -> Result<String, GiveUp> {
        if peer != self.account.peer {
            return Err(GiveUp::OtherPeer);
        }
        let known = challenges.iter().filter_map(|value| Challenge::parse(value));
        let mut of_realm =
            known.filter(|one| self.account.realm.as_ref().is_none_or(|realm| *realm == one.realm_text)).peekable();
        if of_realm.peek().is_none() {
            return Err(if challenges.is_empty() { GiveUp::Unsupported } else { GiveUp::OtherRealm });
        }
        let usable = of_realm.filter_map(|one| Some((one.algorithm?, one))).filter(|(_, one)| one.qop.is_some());
        // Of equals the first: the peer put what it prefers first.
        let strongest = usable.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let (algorithm, chosen) = strongest.ok_or(GiveUp::Unsupported)?;
        let same_nonce = attempt.nonce.as_deref() == Some(chosen.nonce.as_str());
        if !chosen.stale && (attempt.answers > 0 || same_nonce) {
            self.held = None;
            return Err(GiveUp::Refused);
        }
        if attempt.answers >= ANSWERS_MAX {
            self.held = None;
            return Err(GiveUp::Endless);
        }
        attempt.answers = attempt.answers.saturating_add(1);
        attempt.nonce = Some(chosen.nonce.clone());
        // Another request may have used this nonce already: its count goes on.
        let count = self.held.as_ref().filter(|held| held.nonce == chosen.nonce).map_or(0, |held| held.count);
        self.held = Some(Held {
            by,
            realm: chosen.realm,
            realm_text: chosen.realm_text,
            nonce: chosen.nonce,
            opaque: chosen.opaque,
            algorithm,
            qop: chosen.qop.unwrap_or_default(),
            count,
        });
        self.credentials(method, uri).ok_or(GiveUp::Unsupported)
    }

    /// Takes the next nonce from the value of an `Authentication-Info` header (RFC 7616 section 3.5) of a response of
    /// `peer`.
    pub fn authentication_info(&mut self, peer: &str, value: &[u8]) {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= HEADER_BYTES_MAX);
        let (Some(text), Some(held), true) = (text, self.held.as_mut(), peer == self.account.peer) else {
            return;
        };
        let mut next = None;
        let sound = each(text, |name, value| {
            if name.eq_ignore_ascii_case("nextnonce") && !value.raw.is_empty() {
                next = Some(value.raw);
            }
            true
        });
        if let Some(nonce) = next.filter(|nonce| sound && *nonce != held.nonce) {
            held.nonce = nonce.to_owned();
            held.count = 0;
        }
    }

    fn credentials(&mut self, method: &str, uri: &str) -> Option<String> {
        let cnonce = self.cnonce();
        let held = self.held.as_mut()?;
        let algorithm = held.algorithm;
        let Some(count) = held.count.checked_add(1) else {
            self.held = None;
            return None;
        };
        held.count = count;
        let account = &self.account;
        let ha1 = account.secret.ha1(algorithm, &account.username, &held.realm_text)?;
        let ha2 = algorithm.hash(&[method.as_bytes(), uri.as_bytes()]);
        let count = format!("{count:08x}");
        let (nonce, ha1, ha2) = (held.nonce.as_bytes(), ha1.as_bytes(), ha2.as_bytes());
        let response = match held.qop {
            true => algorithm.hash(&[ha1, nonce, count.as_bytes(), cnonce.as_bytes(), b"auth", ha2]),
            false => algorithm.hash(&[ha1, nonce, ha2]), // RFC 2069, for peers without qop
        };
        let mut value = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{}\", algorithm={}",
            quoted(&account.username),
            held.realm,
            held.nonce,
            response.as_str(),
            algorithm.token()
        );
        if held.qop {
            value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &held.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        Some(value)
    }

    fn cnonce(&mut self) -> String {
        self.cnonce_count = self.cnonce_count.wrapping_add(1);
        let mut mac = self.cnonces.clone();
        mac.update(&self.cnonce_count.to_be_bytes());
        Algorithm::Md5.hash(&[&mac.finalize().into_bytes()]).as_str().to_owned()
    }
}

/// A challenge (RFC 7616 section 3.3).
struct Challenge {
    realm: String,
    realm_text: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<Algorithm>,
    /// Whether `auth` is on offer; false without any qop; `None` when only others are.
    qop: Option<bool>,
    stale: bool,
}

impl Challenge {
    fn parse(value: &[u8]) -> Option<Challenge> {
        let (mut realm, mut nonce, mut opaque, mut algorithm, mut qop, mut stale) =
            (None, None, None, None, None, None);
        let sound = each(digest(value)?, |name, value| {
            let slot = match name {
                _ if name.eq_ignore_ascii_case("realm") => &mut realm,
                _ if name.eq_ignore_ascii_case("nonce") => &mut nonce,
                _ if name.eq_ignore_ascii_case("opaque") => &mut opaque,
                _ if name.eq_ignore_ascii_case("algorithm") => &mut algorithm,
                _ if name.eq_ignore_ascii_case("qop") => &mut qop,
                _ if name.eq_ignore_ascii_case("stale") => &mut stale,
                _ => return true,
            };
            slot.replace(value).is_none()
        });
        let realm = realm.filter(|_| sound)?;
        Some(Challenge {
            realm: realm.raw.to_owned(),
            realm_text: realm.text().into_owned(),
            nonce: nonce?.raw.to_owned(),
            opaque: opaque.map(|opaque| opaque.raw.to_owned()),
            algorithm: algorithm.map_or(Some(Algorithm::Md5), |token| Algorithm::from_token(token.raw)),
            qop: match qop {
                None => Some(false),
                Some(list) => list.raw.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")).then_some(true),
            },
            stale: stale.is_some_and(|stale| stale.raw.eq_ignore_ascii_case("true")),
        })
    }
}

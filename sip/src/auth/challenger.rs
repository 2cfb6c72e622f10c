//! The server's half of digest.

use std::borrow::Cow;

use hmac::Mac as _;
use subtle::ConstantTimeEq as _;

use super::algorithm::Algorithm;
use super::nonce::{Nonces, keyed};
use super::params::{Value, digest, each, quoted};
use super::replay::{Count, Replays};
use super::secret::Secret;
use super::target;

/// What a [`Challenger`] guards, and with what.
#[derive(Clone, Debug)]
pub struct Realm {
    /// The realm as users know it; compared exactly.
    pub name: String,
    /// Algorithms to offer; offered strongest first whatever their order here.
    pub algorithms: Vec<Algorithm>,
    /// Life of a nonce, ms.
    pub nonce_lifetime_ms: u64,
    /// Used nonces that are remembered at most, about 100 bytes each.
    pub replay_entries_max: usize,
    /// Whether clients may send a hash for the user name (RFC 7616 section 3.4.4); needs
    /// [`Directory::user_of_hash`].
    pub userhash: bool,
}

/// Where users and their secrets are found. Any `Fn(user, realm) -> Option<Secret>` is one.
pub trait Directory {
    /// The secret of `user` in `realm`.
    fn secret(&self, user: &str, realm: &str) -> Option<Secret>;

    /// The user whose `H(user:realm)` is `hash`, in lower-case hex.
    fn user_of_hash(&self, _algorithm: Algorithm, _hash: &str, _realm: &str) -> Option<String> {
        None
    }
}

impl<F: Fn(&str, &str) -> Option<Secret>> Directory for F {
    fn secret(&self, user: &str, realm: &str) -> Option<Secret> {
        self(user, realm)
    }
}

/// What of a request the digest covers.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method as received.
    pub method: &'a str,
    /// The Request-URI as received.
    pub uri: &'a [u8],
    /// What a nonce is bound to: the octets of the source address, without the port, which changes with every NAT
    /// rebinding. Empty binds to nothing.
    pub scope: &'a [u8],
}

/// What credentials prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This user sent this request now.
    Ok {
        /// The user name, as the directory knows it.
        user: String,
    },
    /// The nonce is not ours, not for this source, or too old; challenge again with `stale` (RFC 7616 section 3.3).
    Stale,
    /// No digest credentials for this realm; look at the next header, and challenge if there is none.
    NoCredentials,
    /// There is no such user. Answer as for a wrong password.
    UnknownUser {
        /// The name that was tried.
        user: String,
    },
    /// The digest is wrong.
    WrongPassword {
        /// The name that was tried.
        user: String,
    },
    /// Credentials that nobody can judge: answer 400 with this reason (RFC 7616 section 3.4).
    Malformed(&'static str),
    /// Right once, but used before. Challenge again with `stale`: some phones never count.
    Replayed,
}

/// The digest of one realm: makes challenges, judges credentials. One a shard; with the same key a nonce of one shard is
/// good on another, but its counts are remembered where they were used.
pub struct Challenger {
    realm: Realm,
    nonces: Nonces,
    replays: Replays,
    opaque: String,
}

impl Challenger {
    /// `key` is secret and random, and may be shared by nodes; `seed` is random and not shared. An empty list of
    /// algorithms counts as all.
    pub fn new(mut realm: Realm, key: &[u8; 32], seed: u64) -> Challenger {
        if realm.algorithms.is_empty() {
            realm.algorithms = Algorithm::ALL.to_vec();
        }
        realm.algorithms.sort_by(|one, two| two.cmp(one));
        realm.algorithms.dedup();
        let mut mac = keyed(key);
        mac.update(b"opaque");
        mac.update(realm.name.as_bytes());
        let opaque = Algorithm::Md5.hash(&[&mac.finalize().into_bytes()]).as_str().to_owned();
        Challenger {
            nonces: Nonces::new(key, &realm.name, seed, realm.nonce_lifetime_ms),
            replays: Replays::new(realm.replay_entries_max, realm.nonce_lifetime_ms),
            opaque,
            realm,
        }
    }

    /// The values of the `WWW-Authenticate` or `Proxy-Authenticate` lines of a challenge to `scope` (see [`Request`]),
    /// strongest first (RFC 8760 section 2.4). `stale` tells the client that its password was not the problem.
    pub fn challenge_values(&mut self, now_ms: u64, scope: &[u8], stale: bool) -> Vec<String> {
        let nonce = self.nonces.make(now_ms, scope);
        let realm = quoted(&self.realm.name);
        let stale = if stale { ", stale=true" } else { "" };
        let userhash = if self.realm.userhash { ", userhash=true" } else { "" };
        let line = |algorithm: &Algorithm| {
            format!(
                "Digest realm=\"{realm}\", nonce=\"{nonce}\", opaque=\"{}\", algorithm={}, qop=\"auth\"{stale}{userhash}",
                self.opaque,
                algorithm.token()
            )
        };
        self.realm.algorithms.iter().map(line).collect()
    }

    /// Judges the value of one `Authorization` or `Proxy-Authorization` header of `request`.
    ///
    /// `qop=auth` is required: without it there is no count, and with no count no defence against replay.
    pub fn verify(
        &mut self,
        now_ms: u64,
        request: &Request<'_>,
        header_value: &[u8],
        directory: &impl Directory,
    ) -> Verdict {
        let Some(text) = digest(header_value) else {
            return Verdict::NoCredentials;
        };
        let claim = match Claim::parse(text) {
            Ok(claim) => claim,
            Err(reason) => return Verdict::Malformed(reason),
        };
        if claim.realm.text() != self.realm.name {
            return Verdict::NoCredentials;
        }
        if !self.realm.algorithms.contains(&claim.algorithm) {
            return Verdict::Malformed("algorithm was not offered");
        }
        let Ok(uri) = std::str::from_utf8(request.uri) else {
            return Verdict::Malformed("Request-URI is not UTF-8");
        };
        if !target::same(&claim.uri.text(), uri) {
            return Verdict::Malformed("uri is not the Request-URI");
        }
        if claim.opaque.is_some_and(|opaque| opaque.raw != self.opaque) {
            return Verdict::Stale;
        }
        let Some(nonce) = self.nonces.check(now_ms, request.scope, claim.nonce.raw) else {
            return Verdict::Stale;
        };
        let (user, secret) = self.find(&claim, directory);
        let user = match (secret, user) {
            (Some(secret), user) if claim.is_proved_by(&secret, &user, request.method) => user,
            (Some(_), user) => {
                return Verdict::WrongPassword { user: user.into_owned() };
            }
            (None, user) => {
                // The same work as for a user that exists.
                let _ = claim.is_proved_by(&Secret::Password(String::new()), &user, request.method);
                return Verdict::UnknownUser { user: user.into_owned() };
            }
        };
        match self.replays.note(now_ms, nonce, claim.count) {
            Count::Fresh => Verdict::Ok { user: user.into_owned() },
            Count::Used => Verdict::Replayed,
            Count::Unknown => Verdict::Stale,
        }
    }

    /// Used nonces that are remembered now.
    pub fn remembered(&self) -> usize {
        self.replays.len()
    }

    fn find<'a>(&self, claim: &Claim<'a>, directory: &impl Directory) -> (Cow<'a, str>, Option<Secret>) {
        let name = claim.username.text();
        if !claim.userhash {
            let secret = directory.secret(&name, &self.realm.name);
            return (name, secret);
        }
        let hash = name.to_ascii_lowercase();
        let user = Some(hash.as_str())
            .filter(|hash| self.realm.userhash && hash.len() == claim.algorithm.hex_digits())
            .and_then(|hash| directory.user_of_hash(claim.algorithm, hash, &self.realm.name));
        match user {
            Some(user) => {
                let secret = directory.secret(&user, &self.realm.name);
                (Cow::Owned(user), secret)
            }
            None => (name, None),
        }
    }
}

/// The parameters of digest credentials (RFC 7616 section 3.4), as received.
struct Claim<'a> {
    username: Value<'a>,
    realm: Value<'a>,
    nonce: Value<'a>,
    uri: Value<'a>,
    response: Value<'a>,
    algorithm: Algorithm,
    opaque: Option<Value<'a>>,
    cnonce: Value<'a>,
    /// `nc` as written: its text is hashed.
    count_text: Value<'a>,
    count: u32,
    userhash: bool,
}

impl<'a> Claim<'a> {
    fn parse(text: &'a str) -> Result<Claim<'a>, &'static str> {
        const NAMES: [&str; 11] =
            ["username", "realm", "nonce", "uri", "response", "algorithm", "opaque", "cnonce", "nc", "qop", "userhash"];
        let mut found: [Option<Value<'a>>; 11] = [None; 11];
        let mut doubled = false;
        let sound = each(text, |name, value| {
            let slot = found.iter_mut().zip(NAMES).find(|(_, known)| known.eq_ignore_ascii_case(name));
            if let Some((slot, _)) = slot {
                doubled |= slot.replace(value).is_some();
            }
            true
        });
        if !sound {
            return Err("credentials are no list of parameters");
        }
        if doubled {
            return Err("a parameter is there twice");
        }
        let [username, realm, nonce, uri, response, algorithm, opaque, cnonce, nc, qop, userhash] = found;
        let algorithm = match algorithm {
            None => Algorithm::Md5, // RFC 7616 section 3.3
            Some(token) => Algorithm::from_token(token.raw).ok_or("algorithm is unknown")?,
        };
        if !qop.ok_or("qop is missing; auth is required")?.raw.eq_ignore_ascii_case("auth") {
            return Err("qop is not auth");
        }
        let count_text = nc.ok_or("nc is missing")?;
        let digits = !count_text.raw.is_empty() && count_text.raw.bytes().all(|byte| byte.is_ascii_hexdigit());
        let count = u32::from_str_radix(count_text.raw, 16).ok().filter(|count| digits && *count > 0);
        let response = response.ok_or("response is missing")?;
        if response.raw.len() != algorithm.hex_digits() {
            return Err("response has not the length of its algorithm");
        }
        Ok(Claim {
            username: username.ok_or("username is missing")?,
            realm: realm.ok_or("realm is missing")?,
            nonce: nonce.ok_or("nonce is missing")?,
            uri: uri.ok_or("uri is missing")?,
            response,
            algorithm,
            opaque,
            cnonce: cnonce.ok_or("cnonce is missing")?,
            count_text,
            count: count.ok_or("nc is no hexadecimal count from 1")?,
            userhash: userhash.is_some_and(|value| value.raw.eq_ignore_ascii_case("true")),
        })
    }

    /// Whether `response` is what `secret` gives (RFC 7616 section 3.4.1).
    fn is_proved_by(&self, secret: &Secret, user: &str, method: &str) -> bool {
        let ha1 = secret.ha1(self.algorithm, user, &self.realm.text());
        let ha2 = self.algorithm.hash(&[method.as_bytes(), self.uri.raw.as_bytes()]);
        let expected = self.algorithm.hash(&[
            ha1.as_ref().map_or(b"".as_slice(), |ha1| ha1.as_bytes()),
            self.nonce.raw.as_bytes(),
            self.count_text.raw.as_bytes(),
            self.cnonce.raw.as_bytes(),
            b"auth",
            ha2.as_bytes(),
        ]);
        let mut written = [0_u8; 64];
        let response = self.response.raw.as_bytes();
        written.iter_mut().zip(response).for_each(|(to, from)| *to = from.to_ascii_lowercase());
        let equal = written.get(..response.len()).is_some_and(|written| bool::from(expected.as_bytes().ct_eq(written)));
        ha1.is_some() && equal
    }
}

#[cfg(test)]
mod tests;

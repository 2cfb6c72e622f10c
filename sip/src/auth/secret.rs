//! What proves a user: a password, or digests made from it.

use std::fmt;

use super::algorithm::{Algorithm, Hex};

/// A user's secret. Printing it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password in clear.
    Password(String),
    /// `H(user:realm:password)` for each algorithm that is to work.
    Ha1(Ha1),
}

/// Digests in lower-case hex; an algorithm without one does not authenticate its user, so a realm whose users have only
/// some should offer only those.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ha1 {
    /// MD5.
    pub md5: Option<String>,
    /// SHA-256.
    pub sha256: Option<String>,
    /// SHA-512/256.
    pub sha512_256: Option<String>,
}

impl Secret {
    /// `H(A1)` (RFC 7616 section 3.4.2); `None` when there is no digest for this algorithm. Always costs one hash, so that
    /// time does not tell how a secret is kept.
    pub(super) fn ha1(&self, algorithm: Algorithm, user: &str, realm: &str) -> Option<HashedSecret<'_>> {
        let password = match self {
            Secret::Password(password) => password.as_str(),
            Secret::Ha1(_) => "",
        };
        let computed = algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        match self {
            Secret::Password(_) => Some(HashedSecret::Computed(computed)),
            Secret::Ha1(kept) => kept.of(algorithm).map(HashedSecret::Kept),
        }
    }
}

impl Ha1 {
    /// Digests for all algorithms.
    pub fn new(user: &str, realm: &str, password: &str) -> Ha1 {
        let digest = |algorithm: Algorithm| {
            let parts = [user.as_bytes(), realm.as_bytes(), password.as_bytes()];
            Some(algorithm.hash(&parts).as_str().to_owned())
        };
        Ha1 {
            md5: digest(Algorithm::Md5),
            sha256: digest(Algorithm::Sha256),
            sha512_256: digest(Algorithm::Sha512_256),
        }
    }

    fn of(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_deref(),
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Sha512_256 => self.sha512_256.as_deref(),
        }
    }
}

/// `H(A1)` in hex.
pub(super) enum HashedSecret<'a> {
    Computed(Hex),
    Kept(&'a str),
}

impl HashedSecret<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            HashedSecret::Computed(hex) => hex.as_bytes(),
            HashedSecret::Kept(hex) => hex.as_bytes(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(..)")
    }
}

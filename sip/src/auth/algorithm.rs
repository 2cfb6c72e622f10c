//! The hash algorithms of RFC 8760 section 2.1, and their digests as hex on the stack.

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A digest algorithm; the stronger compares as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5`: what old phones know.
    Md5,
    /// `SHA-256`
    Sha256,
    /// `SHA-512-256`
    Sha512_256,
}

/// A digest in lower-case hex.
#[derive(Clone, Copy)]
pub(super) struct Hex {
    bytes: [u8; 64],
    length: usize,
}

impl Algorithm {
    /// All algorithms, the strongest first: the order in which they are offered (RFC 8760 section 2.4).
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];

    /// The token on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }

    /// The algorithm that a token names; `None` also for the `-sess` variants, which bind a session that SIP has not.
    pub fn from_token(token: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.token().eq_ignore_ascii_case(token))
    }

    /// Hex digits of a digest.
    pub fn hex_digits(self) -> usize {
        match self {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 | Algorithm::Sha512_256 => 64,
        }
    }

    /// The digest of `parts` with a colon between each two (`H(a:b:...)`, RFC 7616 section 3.4).
    pub(super) fn hash(self, parts: &[&[u8]]) -> Hex {
        match self {
            Algorithm::Md5 => hash_with::<Md5>(parts),
            Algorithm::Sha256 => hash_with::<Sha256>(parts),
            Algorithm::Sha512_256 => hash_with::<Sha512_256>(parts),
        }
    }
}

impl Hex {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn hash_with<D: Digest>(parts: &[&[u8]]) -> Hex {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(digest: &[u8]) -> Hex {
    let digit = |nibble: u8| {
        if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
    };
    let mut hex = Hex { bytes: [0; 64], length: 0 };
    for (pair, byte) in hex.bytes.chunks_exact_mut(2).zip(digest) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
            hex.length += 2;
        }
    }
    hex
}

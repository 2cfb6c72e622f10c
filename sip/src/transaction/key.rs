//! What identifies a transaction (RFC 3261 sections 17.1.3, 17.2.3, 8.2.2.2), as 128 bits.
//!
//! The bytes that identify it are hashed with SipHash to 128 bits under a secret random key. Who does not know the key can
//! not choose messages whose hashes collide, nor see from outside that two did; by accident a collision among a million
//! live transactions has a chance of about 2^-88. So the hash stands for the bytes, and no bytes are kept.

use super::INVITE;
use crate::value::Via;
use crate::{Message, Method};
use siphasher::sip128::SipHasher13;
use smallvec::SmallVec;
use std::fmt;
use std::hash::Hasher;

/// Bytes that usually identify a transaction; more go to the heap.
const PARTS_BYTES: usize = 256;

/// Which name space a key is of; the first byte that is hashed.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Space {
    Client,
    Server,
    Old,
    Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub u64, pub u64);

pub(super) struct Keys {
    /// Under the secret key; a copy of it hashes.
    hasher: SipHasher13,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys { hasher: SipHasher13::new_with_key(&rand::random()) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(secret)")
    }
}

impl Keys {
    /// Section 17.1.3: branch and CSeq method.
    pub fn client(&self, branch: &[u8], method: &Method) -> Key {
        self.hash(Space::Client, |h| {
            h.part(branch);
            h.part(method.as_str().as_bytes());
        })
    }

    /// Section 17.2.3, for `method` (an ACK or CANCEL asks for its INVITE).
    pub fn server(&self, request: &Message, method: &Method) -> Key {
        let via = request.via();
        if via.has_modern_branch() {
            self.hash(Space::Server, |h| {
                h.part(via.branch().unwrap_or_default());
                sent_by(h, &via);
                h.part(method.as_str().as_bytes());
            })
        } else {
            // RFC 2543: no cookie. The To tag of an ACK is that of our response, so it can be compared only where the
            // method can not have one.
            self.hash(Space::Old, |h| {
                h.part(request.request_uri());
                h.part(request.call_id());
                h.part(request.from_tag());
                h.part(&request.cseq().to_be_bytes());
                h.part(via.branch().unwrap_or_default());
                sent_by(h, &via);
                h.part(method.as_str().as_bytes());
                if method != INVITE && *method != Method::Cancel {
                    h.part(request.to_tag().unwrap_or_default());
                }
            })
        }
    }

    /// Section 8.2.2.2: From tag, Call-ID, CSeq; and the To tag of a request inside a dialog. It finds merged requests,
    /// and the INVITE of an ACK that acknowledges a 2xx.
    pub fn call(&self, request: &Message, method: &Method, to_tag: Option<&[u8]>) -> Key {
        self.hash(Space::Call, |h| {
            h.part(request.call_id());
            h.part(request.from_tag());
            h.part(&request.cseq().to_be_bytes());
            h.part(method.as_str().as_bytes());
            h.part(to_tag.unwrap_or_default());
        })
    }

    fn hash(&self, space: Space, write: impl FnOnce(&mut Parts)) -> Key {
        let mut parts = Parts(SmallVec::new());
        parts.0.push(space as u8);
        write(&mut parts);
        let hash = self.hasher.hash(&parts.0);
        Key(hash.h1, hash.h2)
    }
}

/// The bytes that identify a transaction, together: the hash takes one long stretch much faster than many short ones.
struct Parts(SmallVec<[u8; PARTS_BYTES]>);

impl Parts {
    /// The length goes before the bytes, so that parts can not run into each other.
    fn part(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes.len().to_ne_bytes());
        self.0.extend_from_slice(bytes);
    }
}

/// Section 17.2.3: clients choose branches by themselves, so sent-by is compared as well. Host names have no case.
fn sent_by(parts: &mut Parts, via: &Via<'_>) {
    parts.part(via.host);
    let from = parts.0.len() - via.host.len();
    parts.0.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
    parts.part(&via.port.unwrap_or(0).to_ne_bytes());
}

/// Keys are hashes already: the map takes one half as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for c in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*c);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(32) ^ value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

//! SRTP and SRTCP: packets protected and opened in place (RFC 3711; RFC 6188 for AES-256, RFC 7714 for AES-GCM).
//!
//! A [`Key`] is one direction of one party: its master key, and how far each source under it has come. A [`Sealer`] and an
//! [`Opener`] are that key at work: session keys derived, ciphers keyed once. What must never be forgotten, because a
//! packet index that is used twice gives away what it protects, lies in the [`Key`] as atomics: who works with it may die and
//! a successor goes on from there.
//!
//! The laws, and the attacks that they exclude:
//!
//! - An index is sealed once and opened once: behind each source is a window of [`WINDOW_PACKETS`], and what is older is
//!   refused. No keystream is used twice, whatever a peer repeats; no packet is heard twice, whoever repeats it.
//! - Nothing of a packet counts before its tag has been checked: a forger moves no window and takes no room of a source.
//! - A key seals as many packets as it may live for, 2^48 and 2^31 at most (RFC 3711 section 9.2), and none after: who asks in
//!   time ([`Key::wear`]) has another one by then.
//! - What is not encrypted, or has another key's identifier, is refused.
//! - [`SOURCES_MAX`] sources have room under a key and none is forgotten for another: a flood of sources cannot make a window
//!   disappear.

mod cipher;
mod key;
mod protect;
mod window;

pub use key::{Key, MKI_BYTES_MAX, MasterKey, Suite, Wear, WrongKey};
pub use protect::{OVERHEAD_BYTES_MAX, Opener, Refused, Sealer};
pub use window::{SOURCES_MAX, WINDOW_PACKETS};

#[cfg(test)]
mod tests;

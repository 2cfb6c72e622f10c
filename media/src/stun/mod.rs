//! STUN messages (RFC 8489), as far as ICE needs them: read in place, written into the caller's buffer.
//!
//! Reading checks the whole message first: lengths, the magic cookie, and the fingerprint where there is one. Whether it is
//! *authentic* is asked with a [`Password`], over the bytes as they came.

use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use std::net::{IpAddr, SocketAddr};

#[cfg(test)]
mod tests;

/// The fixed part (RFC 8489 section 5).
pub const HEADER_BYTES: usize = 20;
/// Enough for every answer that is written here.
pub const ANSWER_BYTES_MAX: usize = 128;
/// Identifies a request and its answer.
pub type Transaction = [u8; 12];

const MAGIC_COOKIE: u32 = 0x2112_a442;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const BINDING: u16 = 0x001;
const INTEGRITY_BYTES: usize = 20;
/// Attributes of one message that are looked at.
const ATTRIBUTES_MAX: usize = 32;
/// Unknown attributes that an answer names.
const UNKNOWN_MAX: usize = 8;

/// The attributes that are known (RFC 8489 section 18.3, RFC 8445 section 16.1).
mod kind {
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A binding request.
    Request,
    /// A binding indication: a keep-alive.
    Indication,
    /// An answer to a request.
    Answer,
    /// A refusal of one.
    Refusal,
}

/// Not a STUN message of the binding method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a STUN binding message")]
pub struct Malformed;

/// A message whose form has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub class: Class,
    /// Which exchange it belongs to.
    pub transaction: Transaction,
    /// `USERNAME`.
    pub username: Option<&'a [u8]>,
    /// `USE-CANDIDATE`: the pair is nominated.
    pub use_candidate: bool,
    /// `PRIORITY` of the candidate that a check would make.
    pub priority: Option<u32>,
    /// The sender takes itself for the controlling agent.
    pub controlling: bool,
    /// The sender takes itself for the controlled agent.
    pub controlled: bool,
    /// `XOR-MAPPED-ADDRESS`.
    pub mapped: Option<SocketAddr>,
    /// It ends in a `FINGERPRINT`, which is right.
    pub fingerprinted: bool,
    unknown: [u16; UNKNOWN_MAX],
    unknown_count: usize,
    whole: &'a [u8],
    /// Where the `MESSAGE-INTEGRITY` attribute begins, and its value.
    integrity: Option<(usize, &'a [u8])>,
}

/// A short-term credential's password, keyed once (RFC 8489 section 9.1).
#[derive(Clone)]
pub struct Password(Hmac<Sha1>);

impl Password {
    /// The key of a password; ICE's are ASCII, which OpaqueString leaves as it is.
    pub fn new(text: &str) -> Option<Password> {
        Hmac::new_from_slice(text.as_bytes()).ok().map(Password)
    }

    /// HMAC-SHA1 over a message up to its integrity attribute, its length counted to the end of that attribute
    /// (RFC 8489 section 14.5).
    fn over(&self, before: &[u8]) -> Option<Hmac<Sha1>> {
        let (head, rest) = before.split_first_chunk::<HEADER_BYTES>()?;
        let [t0, t1, _, _, tail @ ..] = head;
        let length = u16::try_from(rest.len() + 4 + INTEGRITY_BYTES).ok()?;
        let mut mac = self.0.clone();
        mac.update(&[*t0, *t1]);
        mac.update(&length.to_be_bytes());
        mac.update(tail);
        mac.update(rest);
        Some(mac)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(secret)")
    }
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`Malformed`]: it is none, it is cut or padded, its fingerprint is wrong, or something follows its fingerprint.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let (head, attributes) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *head;
        let kind = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let cookie = u32::from_be_bytes([c0, c1, c2, c3]);
        if kind & 0xc000 != 0 || cookie != MAGIC_COOKIE || length != attributes.len() || length % 4 != 0 {
            return Err(Malformed);
        }
        // Section 5: two bits of class among the twelve of the method.
        let class = match kind & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Answer,
            _ => Class::Refusal,
        };
        if kind & !0x0110 != BINDING {
            return Err(Malformed);
        }
        let mut message = Message {
            class,
            transaction,
            username: None,
            use_candidate: false,
            priority: None,
            controlling: false,
            controlled: false,
            mapped: None,
            fingerprinted: false,
            unknown: [0; UNKNOWN_MAX],
            unknown_count: 0,
            whole: datagram,
            integrity: None,
        };
        message.read_attributes(attributes)?;
        Ok(message)
    }

    fn read_attributes(&mut self, mut rest: &'a [u8]) -> Result<(), Malformed> {
        let mut count = 0;
        while !rest.is_empty() {
            let at = self.whole.len() - rest.len();
            let (head, tail) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
            let [k0, k1, l0, l1] = *head;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = tail.get(..length).ok_or(Malformed)?;
            rest = tail.get(length.next_multiple_of(4)..).ok_or(Malformed)?;
            count += 1;
            if self.fingerprinted || count > ATTRIBUTES_MAX {
                return Err(Malformed);
            }
            let kind = u16::from_be_bytes([k0, k1]);
            // Section 14.5: what follows the integrity attribute is not covered by it, so only the fingerprint counts.
            if self.integrity.is_some() && kind != kind::FINGERPRINT {
                continue;
            }
            self.take(kind, value, at)?;
        }
        Ok(())
    }

    fn take(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), Malformed> {
        match kind {
            kind::USERNAME => self.username = self.username.or(Some(value)),
            kind::MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => self.integrity = Some((at, value)),
            kind::MESSAGE_INTEGRITY => return Err(Malformed),
            kind::FINGERPRINT => {
                let claimed = value.first_chunk().map(|crc| u32::from_be_bytes(*crc)).ok_or(Malformed)?;
                let covered = self.whole.get(..at).ok_or(Malformed)?;
                if value.len() != 4 || claimed != crc32(covered) ^ FINGERPRINT_XOR {
                    return Err(Malformed);
                }
                self.fingerprinted = true;
            }
            kind::USE_CANDIDATE => self.use_candidate = true,
            kind::PRIORITY => self.priority = value.first_chunk().map(|p| u32::from_be_bytes(*p)),
            kind::ICE_CONTROLLING => self.controlling = true,
            kind::ICE_CONTROLLED => self.controlled = true,
            kind::XOR_MAPPED_ADDRESS => self.mapped = Some(unmask(value, &self.transaction).ok_or(Malformed)?),
            kind::ERROR_CODE | kind::UNKNOWN_ATTRIBUTES => {}
            // Section 14: what must be understood is below 0x8000.
            unknown if unknown < 0x8000 => {
                if let Some(place) = self.unknown.get_mut(self.unknown_count) {
                    *place = unknown;
                    self.unknown_count += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether who knows the password wrote it (RFC 8489 section 9.1.3).
    pub fn is_authentic(&self, password: &Password) -> bool {
        let covered = self.integrity.and_then(|(at, tag)| Some((self.whole.get(..at)?, tag)));
        covered.is_some_and(|(before, tag)| password.over(before).is_some_and(|mac| mac.verify_slice(tag).is_ok()))
    }

    /// Attributes that had to be understood and are not.
    pub fn unknown(&self) -> &[u16] {
        self.unknown.get(..self.unknown_count).unwrap_or_default()
    }
}

/// Writes a message; every method leaves it whole. Past the end of the buffer nothing more is written and
/// [`Writer::finish`] gives `None`.
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    whole: bool,
}

impl<'a> Writer<'a> {
    /// Begins a binding message.
    pub fn new(out: &'a mut [u8], class: Class, transaction: &Transaction) -> Writer<'a> {
        let bits = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Answer => 0x0100,
            Class::Refusal => 0x0110,
        };
        let mut writer = Writer { out, at: 0, whole: true };
        writer.bytes(&(BINDING | bits).to_be_bytes());
        writer.bytes(&[0, 0]);
        writer.bytes(&MAGIC_COOKIE.to_be_bytes());
        writer.bytes(transaction);
        writer
    }

    /// `USERNAME`.
    pub fn username(mut self, name: &[u8]) -> Writer<'a> {
        self.attribute(kind::USERNAME, name);
        self
    }

    /// `PRIORITY`.
    pub fn priority(mut self, priority: u32) -> Writer<'a> {
        self.attribute(kind::PRIORITY, &priority.to_be_bytes());
        self
    }

    /// `ICE-CONTROLLING` or `ICE-CONTROLLED`, with a tie-breaker.
    pub fn role(mut self, controlling: bool, tie_breaker: u64) -> Writer<'a> {
        let kind = if controlling { kind::ICE_CONTROLLING } else { kind::ICE_CONTROLLED };
        self.attribute(kind, &tie_breaker.to_be_bytes());
        self
    }

    /// `USE-CANDIDATE`.
    pub fn use_candidate(mut self) -> Writer<'a> {
        self.attribute(kind::USE_CANDIDATE, &[]);
        self
    }

    /// `XOR-MAPPED-ADDRESS` (RFC 8489 section 14.2).
    pub fn mapped(mut self, address: SocketAddr, transaction: &Transaction) -> Writer<'a> {
        let port = address.port() ^ high(MAGIC_COOKIE);
        let [p0, p1] = port.to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = (u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes();
                self.attribute(kind::XOR_MAPPED_ADDRESS, &[0, 1, p0, p1, a, b, c, d]);
            }
            IpAddr::V6(ip) => {
                let mut value = [0; 20];
                let masked = (u128::from(ip) ^ mask(transaction)).to_be_bytes();
                let all = [0, 2, p0, p1].into_iter().chain(masked);
                value.iter_mut().zip(all).for_each(|(into, from)| *into = from);
                self.attribute(kind::XOR_MAPPED_ADDRESS, &value);
            }
        }
        self
    }

    /// `ERROR-CODE` (RFC 8489 section 14.8), 300 to 699.
    pub fn error(mut self, code: u16, reason: &str) -> Writer<'a> {
        let (class, number) = (u8::try_from(code / 100).unwrap_or(5), u8::try_from(code % 100).unwrap_or(0));
        let mut value = [0; 64];
        let all = [0, 0, class, number].into_iter().chain(reason.bytes());
        let length = value.iter_mut().zip(all).map(|(into, from)| *into = from).count();
        self.attribute(kind::ERROR_CODE, value.get(..length).unwrap_or_default());
        self
    }

    /// `UNKNOWN-ATTRIBUTES`.
    pub fn unknown(mut self, kinds: &[u16]) -> Writer<'a> {
        let mut value = [0; 2 * UNKNOWN_MAX];
        let all = kinds.iter().flat_map(|kind| kind.to_be_bytes());
        let length = value.iter_mut().zip(all).map(|(into, from)| *into = from).count();
        self.attribute(kind::UNKNOWN_ATTRIBUTES, value.get(..length).unwrap_or_default());
        self
    }

    /// `MESSAGE-INTEGRITY` over what stands before it.
    pub fn integrity(mut self, password: &Password) -> Writer<'a> {
        let mac = self.out.get(..self.at).and_then(|before| password.over(before));
        match mac {
            Some(mac) => self.attribute(kind::MESSAGE_INTEGRITY, &mac.finalize().into_bytes()),
            None => self.whole = false,
        }
        self
    }

    /// `FINGERPRINT`, and the end. The message's length; `None` if the buffer was too short.
    pub fn finish(mut self) -> Option<usize> {
        // It covers a header whose length counts itself (RFC 8489 section 14.7).
        self.set_length(self.at + 8);
        let crc = crc32(self.out.get(..self.at)?) ^ FINGERPRINT_XOR;
        self.attribute(kind::FINGERPRINT, &crc.to_be_bytes());
        self.whole.then_some(self.at)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let Ok(length) = u16::try_from(value.len()) else {
            self.whole = false;
            return;
        };
        self.bytes(&kind.to_be_bytes());
        self.bytes(&length.to_be_bytes());
        self.bytes(value);
        let padding = value.len().next_multiple_of(4) - value.len();
        self.bytes([0; 3].get(..padding).unwrap_or_default());
        self.set_length(self.at);
    }

    /// Writes the length of a message that ends at `end`.
    fn set_length(&mut self, end: usize) {
        let length = u16::try_from(end.saturating_sub(HEADER_BYTES)).unwrap_or(0);
        if let Some(place) = self.out.get_mut(2..4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(place) if self.whole => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            _ => self.whole = false,
        }
    }
}

fn unmask(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let ([_, family, p0, p1], rest) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([*p0, *p1]) ^ high(MAGIC_COOKIE);
    let ip = match (family, rest.len()) {
        (1, 4) => IpAddr::from((u32::from_be_bytes(*rest.first_chunk()?) ^ MAGIC_COOKIE).to_be_bytes()),
        (2, 16) => IpAddr::from((u128::from_be_bytes(*rest.first_chunk()?) ^ mask(transaction)).to_be_bytes()),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The cookie and the transaction, with which an IPv6 address is masked.
fn mask(transaction: &Transaction) -> u128 {
    let all = MAGIC_COOKIE.to_be_bytes().into_iter().chain(*transaction);
    all.fold(0, |mask, byte| mask << 8 | u128::from(byte))
}

fn high(word: u32) -> u16 {
    u16::try_from(word >> 16).unwrap_or(0)
}

/// CRC-32 of ITU-T V.42 (RFC 8489 section 14.7).
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut crc, mut bit) = (at as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
                bit += 1;
            }
            #[allow(clippy::indexing_slicing)] // evaluated by the compiler
            {
                table[at] = crc;
            }
            at += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = (crc ^ u32::from(*byte)).to_le_bytes();
        crc >> 8 ^ TABLE.get(usize::from(low)).copied().unwrap_or(0)
    };
    !bytes.iter().fold(!0, step)
}

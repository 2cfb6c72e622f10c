//! ICE as a lite agent (RFC 8445 section 2.5): we have one candidate, our public port, and never check anything; the peer checks,
//! and nominates. What it has nominated is its address, and nothing else is.
//!
//! A check counts only when it is authentic. What is not gets no answer at all, where RFC 8489 section 9.1.3 would have an error:
//! a stranger gets not one byte from a media port.

use crate::stun::{ANSWER_BYTES_MAX, Class, Message, Password, Writer};
use rand::Rng as _;
use std::net::SocketAddr;
use std::time::Duration;

/// Without an authentic check or packet of the peer for this long nothing more is sent to it (RFC 7675 section 5.1).
pub const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of the peer that are remembered to have been checked; beyond it the oldest is forgotten.
const CHECKED_MAX: usize = 8;
/// Characters of our fragment and password: 48 and 144 bits (RFC 8839 section 5.4 wants 24 and 128).
const UFRAG_CHARS: usize = 8;
const PASSWORD_CHARS: usize = 24;

/// The user fragment and password of one end (RFC 8839 section 5.4). The debug form shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the end; 4 to 256 characters.
    pub ufrag: String,
    /// Keys its checks; 22 to 256 characters.
    pub password: String,
}

/// Both ends' credentials: what a side with ICE is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ice {
    /// Ours.
    pub local: Credentials,
    /// The peer's.
    pub remote: Credentials,
}

impl Credentials {
    /// Fresh ones of ours, from a source of chance that nobody can guess.
    pub fn fresh(chance: &mut impl rand::RngCore) -> Credentials {
        let mut text = |chars: usize| {
            let ice_char =
                |_| char::from(ICE_CHARS.get(chance.random_range(0..ICE_CHARS.len())).copied().unwrap_or(b'0'));
            (0..chars).map(ice_char).collect()
        };
        Credentials { ufrag: text(UFRAG_CHARS), password: text(PASSWORD_CHARS) }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.ufrag)
    }
}

/// The lite agent of one side.
#[derive(Debug)]
pub struct Lite {
    ice: Ice,
    /// What an authentic check's USERNAME is: our fragment, a colon, the peer's (RFC 8445 section 7.2.2).
    username: String,
    password: Password,
    checked: [Option<SocketAddr>; CHECKED_MAX],
    oldest: usize,
}

/// What a STUN message came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Bytes of the answer to send back where it came from.
    pub answer: Option<usize>,
    /// An authentic check: the peer is there, and consents.
    pub authentic: bool,
    /// It nominates the address that it came from.
    pub nominated: bool,
}

impl Lite {
    /// An agent; `None` for a password that cannot be one.
    pub fn new(ice: &Ice) -> Option<Lite> {
        Some(Lite {
            username: format!("{}:{}", ice.local.ufrag, ice.remote.ufrag),
            password: Password::new(&ice.local.password)?,
            ice: ice.clone(),
            checked: [None; CHECKED_MAX],
            oldest: 0,
        })
    }

    /// What it was made of.
    pub fn ice(&self) -> &Ice {
        &self.ice
    }

    /// Takes a STUN message from an address, and writes the answer where one is due.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr, out: &mut [u8; ANSWER_BYTES_MAX]) -> Heard {
        // Keep-alives and what answers to no request of ours.
        let Some(check) = Message::parse(datagram).ok().filter(|message| message.class == Class::Request) else {
            return Heard::default();
        };
        let known = check.fingerprinted && check.username == Some(self.username.as_bytes());
        if !known || !check.is_authentic(&self.password) {
            return Heard::default();
        }
        let transaction = &check.transaction;
        if !check.unknown().is_empty() {
            // RFC 8489 section 6.3.1.
            let refusal = Writer::new(out, Class::Refusal, transaction).error(420, "Unknown Attribute");
            let answer = refusal.unknown(check.unknown()).integrity(&self.password).finish();
            return Heard { answer, ..Heard::default() };
        }
        if check.controlled {
            // A lite agent is never the controlling one: the peer has to be (RFC 8445 sections 6.1.1 and 7.3.1.1).
            let refusal = Writer::new(out, Class::Refusal, transaction).error(487, "Role Conflict");
            return Heard { answer: refusal.integrity(&self.password).finish(), ..Heard::default() };
        }
        self.remember(from);
        let answer = Writer::new(out, Class::Answer, transaction).mapped(from, transaction);
        let answer = answer.integrity(&self.password).finish();
        Heard { answer, authentic: true, nominated: check.use_candidate }
    }

    /// Whether an authentic check came from there: a handshake may come from there, too.
    pub fn has_checked(&self, from: SocketAddr) -> bool {
        self.checked.contains(&Some(from))
    }

    fn remember(&mut self, from: SocketAddr) {
        if !self.has_checked(from) {
            if let Some(place) = self.checked.get_mut(self.oldest) {
                *place = Some(from);
            }
            self.oldest = (self.oldest + 1) % CHECKED_MAX;
        }
    }
}

/// `ice-char` (RFC 8839 section 5.4).
const ICE_CHARS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> Ice {
        let mut chance = rand::rng();
        Ice { local: Credentials::fresh(&mut chance), remote: Credentials::fresh(&mut chance) }
    }

    struct Peer {
        ice: Ice,
        lite: Lite,
        at: SocketAddr,
    }

    impl Peer {
        fn new() -> Peer {
            let ice = both();
            Peer { lite: Lite::new(&ice).unwrap(), ice, at: "192.0.2.7:4000".parse().unwrap() }
        }

        /// A check, as changed by the test.
        fn check<'a>(&self, out: &'a mut [u8], edit: impl FnOnce(Writer<'a>) -> Writer<'a>) -> usize {
            let name = format!("{}:{}", self.ice.local.ufrag, self.ice.remote.ufrag);
            let password = Password::new(&self.ice.local.password).unwrap();
            let check = Writer::new(out, Class::Request, &[7; 12]).username(name.as_bytes()).priority(1 << 24);
            edit(check).integrity(&password).finish().unwrap()
        }
    }

    fn answer(heard: Heard, out: &[u8]) -> Message<'_> {
        Message::parse(&out[..heard.answer.expect("an answer")]).unwrap()
    }

    #[test]
    fn an_authentic_check_is_answered_with_where_it_came_from_and_nominates_when_it_says_so() {
        let mut peer = Peer::new();
        for nominates in [false, true] {
            let (mut check, mut out) = ([0; 256], [0; ANSWER_BYTES_MAX]);
            let length = peer.check(&mut check, |w| {
                let w = w.role(true, 1);
                if nominates { w.use_candidate() } else { w }
            });
            let heard = peer.lite.receive(&check[..length], peer.at, &mut out);
            assert_eq!((heard.authentic, heard.nominated), (true, nominates));
            let said = answer(heard, &out);
            assert_eq!((said.class, said.transaction, said.mapped), (Class::Answer, [7; 12], Some(peer.at)));
            assert!(said.fingerprinted && said.is_authentic(&Password::new(&peer.ice.local.password).unwrap()));
            assert!(peer.lite.has_checked(peer.at));
        }
    }

    #[test]
    fn a_peer_that_takes_itself_for_the_controlled_one_is_told_of_the_conflict() {
        let mut peer = Peer::new();
        let (mut check, mut out) = ([0; 256], [0; ANSWER_BYTES_MAX]);
        let length = peer.check(&mut check, |w| w.role(false, 1).use_candidate());
        let heard = peer.lite.receive(&check[..length], peer.at, &mut out);
        assert_eq!((heard.authentic, heard.nominated), (false, false));
        assert_eq!(answer(heard, &out).class, Class::Refusal);
        assert!(out.windows(4).any(|code| code == [0, 0, 4, 87]) && !peer.lite.has_checked(peer.at));
    }

    #[test]
    fn who_does_not_know_the_password_or_the_names_gets_no_answer() {
        let mut peer = Peer::new();
        let (mut check, mut out) = ([0; 256], [0; ANSWER_BYTES_MAX]);
        let length = peer.check(&mut check, |w| w.role(true, 1).use_candidate());
        for at in 0..length {
            let mut bent = check;
            bent[at] ^= 1;
            assert_eq!(peer.lite.receive(&bent[..length], peer.at, &mut out), Heard::default(), "byte {at}");
        }
        let mut elsewhere = Lite::new(&both()).unwrap();
        assert_eq!(elsewhere.receive(&check[..length], peer.at, &mut out), Heard::default());
        assert_eq!(peer.lite.receive(b"\0\x01\0\0!\x12\xa4Babcdefghijkl", peer.at, &mut out), Heard::default());
        assert!(!peer.lite.has_checked(peer.at));
    }

    #[test]
    fn addresses_that_were_checked_are_bounded() {
        let mut peer = Peer::new();
        let (mut check, mut out) = ([0; 256], [0; ANSWER_BYTES_MAX]);
        let length = peer.check(&mut check, |w| w.role(true, 1));
        let at = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
        (1..=20).for_each(|port| assert!(peer.lite.receive(&check[..length], at(port), &mut out).authentic));
        assert!((1..=12).all(|port| !peer.lite.has_checked(at(port))));
        assert!((13..=20).all(|port| peer.lite.has_checked(at(port))));
    }
}

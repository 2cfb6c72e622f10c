//! The SRTP keys of a leg: ours, which it keeps for its life, and those that its party has sent with.
//!
//! They leave the leg in two ways: in the descriptions that its party gets, and to the media pool. A leg that goes to another
//! call takes them with it, because both ends count packets under them.

use media::Secure;
use media::srtp::{Key, MasterKey, Suite};
use rand::RngCore as _;
use sip::sdp::{AgreedKeys, Crypto, CryptoSuite, KeyAndSalt, OurKeys, Session, Srtp};
use sip::{Hop, Protocol};
use std::cell::OnceCell;
use std::sync::Arc;

use crate::directory::User;
use crate::outside::Chance;
use crate::settings::SrtpSettings;

/// Keys of the party that are remembered: a phone behind a forking proxy may come back to one of them.
const OPENING_MAX: usize = 4;

/// See the module.
pub struct Keyring {
    srtp: Srtp,
    /// Who reads the party's signalling may read keys: it is encrypted, or the operator has said so.
    private: bool,
    ours: OnceCell<Arc<[Crypto]>>,
    sealing: Vec<Arc<Key>>,
    opening: Vec<Arc<Key>>,
}

impl Keyring {
    /// The keys of a leg to a party: a user by its policy, others by the default. `private_way` is whether its signalling is
    /// encrypted.
    pub fn new(settings: &SrtpSettings, user: Option<&User>, private_way: bool) -> Self {
        Self {
            srtp: user.and_then(|user| user.srtp).unwrap_or(settings.default),
            private: settings.over_plain_sip || private_way,
            ours: OnceCell::new(),
            sealing: Vec::new(),
            opening: Vec::new(),
        }
    }

    /// The policy.
    pub fn srtp(&self) -> Srtp {
        self.srtp
    }

    /// The party must be spoken to in SRTP and its keys would be read by whoever reads its signalling: it cannot be had.
    pub fn exposed(&self) -> bool {
        self.srtp == Srtp::Require && !self.private
    }

    /// What goes into a description for the party. `theirs` is what the party has in force or offers, if anything: what it
    /// does is done to it as well.
    pub fn ours(&self, theirs: Option<&Session>, savp: bool) -> OurKeys {
        let sections = || theirs.into_iter().flat_map(|theirs| &theirs.media).filter(|section| section.port != 0);
        let keyed = sections().any(|section| section.attribute("crypto").is_some());
        let savp = savp || sections().any(sip::sdp::Media::is_secure_rtp);
        let offers = self.private || keyed;
        let keys = match self.srtp {
            Srtp::Prefer | Srtp::Require if offers && !self.exposed() => Arc::clone(self.ours.get_or_init(fresh)),
            _ => Arc::default(),
        };
        OurKeys { srtp: self.srtp, offers, savp, keys }
    }

    /// What the pool is told about what two descriptions have agreed on; `None` where a key is none, which their types exclude.
    pub fn secure(&mut self, agreed: &AgreedKeys) -> Option<Secure> {
        let open = kept(&mut self.opening, OPENING_MAX, &agreed.remote)?;
        let seal = kept(&mut self.sealing, CryptoSuite::ALL.len(), &agreed.local)?;
        Some(Secure { open, seal })
    }
}

/// Whether nobody on the way reads what goes by it.
pub const fn is_private(hop: &Hop) -> bool {
    matches!(hop.protocol, Protocol::Tls | Protocol::Wss)
}

/// A key for each suite, so that none is ever used by two ciphers.
fn fresh() -> Arc<[Crypto]> {
    let key = |(suite, tag): (CryptoSuite, u32)| {
        let mut bytes = vec![0; suite.key_and_salt_bytes()];
        Chance.fill_bytes(&mut bytes);
        Crypto { tag, suite, key: KeyAndSalt::new(&bytes), lifetime: None, mki: None }
    };
    CryptoSuite::ALL.into_iter().zip(1..).map(key).collect()
}

/// The key of a line: the one that is known already, which knows what it has protected, or a new one.
fn kept(known: &mut Vec<Arc<Key>>, most: usize, line: &Crypto) -> Option<Arc<Key>> {
    let mki = line.mki.map(sip::sdp::Mki::in_packets).unwrap_or_default();
    let master = MasterKey::new(Suite::from_name(line.suite.name())?, line.key.expose(), &mki).ok()?;
    if let Some(key) = known.iter().find(|key| *key.master() == master) {
        return Some(Arc::clone(key));
    }
    if known.len() >= most {
        known.remove(0);
    }
    let key = Arc::new(Key::new(master));
    known.push(Arc::clone(&key));
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn keyring(default: Srtp, protocol: Protocol) -> Keyring {
        let here = SocketAddr::from(([127, 0, 0, 1], 5060));
        let hop = Hop { protocol, local: here, remote: here, connection: None };
        Keyring::new(&SrtpSettings { default, over_plain_sip: false }, None, is_private(&hop))
    }

    #[test]
    fn keys_are_made_once_a_leg_and_differ_by_suite_and_leg() {
        let (one, two) = (keyring(Srtp::Prefer, Protocol::Tls), keyring(Srtp::Prefer, Protocol::Tls));
        let (first, again, other) = (one.ours(None, false), one.ours(None, false), two.ours(None, false));
        assert_eq!(first, again);
        let all: Vec<_> =
            first.keys.iter().chain(other.keys.iter()).map(|line| line.key.expose()[..16].to_vec()).collect();
        assert!((0..all.len()).all(|at| !all[at + 1..].contains(&all[at])));
    }

    #[test]
    fn keys_are_not_offered_in_signalling_that_anybody_reads() {
        assert!(keyring(Srtp::Prefer, Protocol::Udp).ours(None, false).keys.is_empty());
        assert!(keyring(Srtp::Never, Protocol::Tls).ours(None, false).keys.is_empty());
        assert!(keyring(Srtp::Require, Protocol::Tcp).exposed() && !keyring(Srtp::Require, Protocol::Wss).exposed());
        assert!(!keyring(Srtp::Prefer, Protocol::Udp).exposed());
    }

    #[test]
    fn a_line_that_comes_again_is_the_same_key_at_work() {
        let mut leg = keyring(Srtp::Prefer, Protocol::Tls);
        let line = |seed: u8| {
            let suite = CryptoSuite::AesCm128HmacSha1_80;
            Crypto { tag: 1, suite, key: KeyAndSalt::new(&[seed; 30]), lifetime: None, mki: None }
        };
        let first = leg.secure(&AgreedKeys { local: line(1), remote: line(2) }).unwrap();
        let moved = leg.secure(&AgreedKeys { local: line(1), remote: line(3) }).unwrap();
        let back = leg.secure(&AgreedKeys { local: line(1), remote: line(2) }).unwrap();
        assert!(Arc::ptr_eq(&first.seal, &moved.seal) && !Arc::ptr_eq(&first.open, &moved.open));
        assert_eq!(first, back);
    }
}

//! The SRTP keys of a leg: ours, which it keeps for its life, and those that its party has sent with; or the DTLS association that
//! has come to keys with its party, and our ICE credentials towards it.
//!
//! They leave the leg in two ways: in the descriptions that its party gets, and to the media pool. A leg that goes to another
//! call takes keys and association with it, because both ends count packets under them; ICE credentials belong to the place.

use media::dtls::{Association, Identity, Role};
use media::ice::Credentials;
use media::srtp::{Key, MasterKey, Suite};
use media::{FlowId, Handshake, Secure, Side};
use rand::RngCore as _;
use sip::sdp::{
    AgreedDtls, AgreedKeys, Crypto, CryptoSuite, Fingerprint, IceCredentials, KeyAndSalt, Media, OurKeys, OurWeb,
    Profile, Session, Setup, Srtp,
};
use sip::{Hop, Protocol};
use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use super::media::Agreement;
use crate::outside::Chance;
use crate::settings::SrtpSettings;
use crate::shared::Shared;

/// Keys of the party that are remembered: a phone behind a forking proxy may come back to one of them.
const OPENING_MAX: usize = 4;

/// See the module.
pub struct Keyring {
    srtp: Srtp,
    /// Who reads the party's signalling may read keys: it is encrypted, or the operator has said so.
    private: bool,
    /// How many packets a key of ours is said to live for, where that is said.
    lifetime: Option<u64>,
    ours: OnceCell<Arc<[Crypto]>>,
    sealing: Vec<Arc<Key>>,
    opening: Vec<Arc<Key>>,
    identity: Arc<Identity>,
    association: Option<Arc<Association>>,
    ice: RefCell<Option<Place>>,
}

/// Our ICE credentials at one of our ports.
struct Place {
    at: (FlowId, Side),
    ours: IceCredentials,
    /// What the party had when it offered last.
    theirs: Option<IceCredentials>,
}

impl Keyring {
    /// The keys of a leg to a party with this policy, or with the default one. `private_way` is whether its signalling is
    /// encrypted.
    pub fn new(shared: &Shared, srtp: Option<Srtp>, private_way: bool) -> Self {
        Self::with(&shared.settings().srtp, Arc::clone(shared.pool.identity()), srtp, private_way)
    }

    fn with(settings: &SrtpSettings, identity: Arc<Identity>, srtp: Option<Srtp>, private_way: bool) -> Self {
        Self {
            srtp: srtp.unwrap_or(settings.default),
            private: settings.over_plain_sip || private_way,
            lifetime: settings.lifetime,
            ours: OnceCell::new(),
            sealing: Vec::new(),
            opening: Vec::new(),
            identity,
            association: None,
            ice: RefCell::new(None),
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

    /// What goes into a description for the party, but for [`Keyring::web`]. `theirs` is what the party has in force or offers,
    /// if anything: what it does is done to it as well. Else it is offered `profile`.
    pub fn ours(&self, theirs: Option<&Session>, profile: Profile) -> OurKeys {
        let sections = || theirs.into_iter().flat_map(|theirs| &theirs.media).filter(|section| section.port != 0);
        let keyed = sections().any(|section| section.attribute("crypto").is_some());
        let does = |test: fn(&Media) -> bool| sections().any(test);
        let profile = match profile {
            _ if does(Media::is_dtls) => Profile::Dtls,
            _ if does(Media::is_plain_rtp) && profile == Profile::Dtls => Profile::Avp,
            Profile::Avp | Profile::Dtls if does(Media::is_secure_rtp) => Profile::Savp,
            profile => profile,
        };
        let offers = self.private || keyed;
        let keys = match self.srtp {
            Srtp::Prefer | Srtp::Require if offers && !self.exposed() => Arc::clone(self.made_or_fresh()),
            _ => Arc::default(),
        };
        OurKeys { srtp: self.srtp, offers, profile, keys, web: None }
    }

    fn made_or_fresh(&self) -> &Arc<[Crypto]> {
        self.ours.get_or_init(|| fresh(self.lifetime))
    }

    /// Our keys, where there are some.
    pub fn made(&self) -> Option<Arc<[Crypto]>> {
        self.ours.get().cloned()
    }

    /// Makes new keys of ours in the place of those that there are; false where there are none.
    pub fn renew(&mut self) -> bool {
        let had = self.ours.take().is_some();
        if had {
            self.made_or_fresh();
        }
        had
    }

    /// Our end of DTLS and ICE at one of our ports. `theirs` is what the party has in an offer that is to be answered: credentials
    /// that are new are an ICE restart, which wants new ones of ours.
    pub fn web(&self, at: (FlowId, Side), theirs: Option<IceCredentials>) -> OurWeb {
        let mut place = self.ice.borrow_mut();
        let stays = place
            .as_ref()
            .filter(|place| place.at == at && (theirs.is_none() || place.theirs.is_none() || place.theirs == theirs));
        let ours = stays.map_or_else(fresh_ice, |place| place.ours.clone());
        let theirs = theirs.or_else(|| stays.and_then(|place| place.theirs.clone()));
        *place = Some(Place { at, ours: ours.clone(), theirs });
        self.our_web(ours)
    }

    /// Our end of DTLS and ICE, to see whether an offer would do.
    pub fn any_web(&self) -> OurWeb {
        self.our_web(fresh_ice())
    }

    fn our_web(&self, ice: IceCredentials) -> OurWeb {
        let value = self.identity.fingerprint().iter().copied().collect();
        let setup = self.association.as_ref().map(|association| match association.role() {
            Role::Client => Setup::Active,
            Role::Server => Setup::Passive,
        });
        OurWeb { fingerprint: Fingerprint { hash: "sha-256".into(), value }, setup, ice }
    }

    /// What ICE has come to with the party: credentials of its that differ from these in a later offer are a restart.
    pub fn met(&self, theirs: &Credentials) {
        if let Some(place) = &mut *self.ice.borrow_mut() {
            let (ufrag, password) = (theirs.ufrag.as_str().into(), theirs.password.as_str().into());
            place.theirs = Some(IceCredentials { ufrag, password });
        }
    }

    /// The association with a party: the one that there is, unless its certificate or its role is another now (RFC 8842
    /// section 5).
    pub fn handshake(&mut self, agreed: &AgreedDtls) -> Handshake {
        let role = if agreed.active { Role::Client } else { Role::Server };
        let read = |print: &Fingerprint| media::dtls::Fingerprint::new(&print.hash, &print.value);
        let expected: Vec<_> = agreed.fingerprints.iter().filter_map(read).collect();
        let stays = self.association.as_ref().filter(|now| now.role() == role && now.is_with(&expected));
        let association = match stays {
            Some(stays) => Arc::clone(stays),
            None => Arc::new(Association::new(&self.identity, role, &expected, Instant::now())),
        };
        self.association = Some(Arc::clone(&association));
        Handshake(association)
    }

    /// What the pool is told of the keys of a stream, and of the handshake that comes to them; `None` where it was to be SRTP and
    /// its keys are of no use.
    pub fn join(&mut self, agreement: &Agreement) -> Option<(Option<Secure>, Option<Handshake>)> {
        let secure = match &agreement.keys {
            Some(keys) => Some(self.secure(keys)?),
            None => None,
        };
        if let Some(ice) = &agreement.remote.ice {
            self.met(&ice.remote);
        }
        Some((secure, agreement.dtls.as_ref().map(|dtls| self.handshake(dtls))))
    }

    /// Keys for another stream of the same party.
    fn sibling(&self) -> Self {
        Self {
            srtp: self.srtp,
            private: self.private,
            lifetime: self.lifetime,
            ours: OnceCell::new(),
            sealing: Vec::new(),
            opening: Vec::new(),
            identity: Arc::clone(&self.identity),
            association: None,
            ice: RefCell::new(None),
        }
    }

    /// What the pool is told about what two descriptions have agreed on; `None` where a key is none, which their types exclude.
    pub fn secure(&mut self, agreed: &AgreedKeys) -> Option<Secure> {
        let open = kept(&mut self.opening, OPENING_MAX, &agreed.remote)?;
        let seal = kept(&mut self.sealing, CryptoSuite::ALL.len(), &agreed.local)?;
        Some(Secure { open, seal })
    }
}

/// The keys of the lines of a leg beside its sound, by their places: no key protects two streams.
#[derive(Default)]
pub struct LineKeys(RefCell<Vec<(usize, Keyring)>>);

impl LineKeys {
    /// Does something with the keys of a line, which are made when it first has some; `of` are those of the sound.
    pub fn with<T>(&self, of: &Keyring, at: usize, work: impl FnOnce(&mut Keyring) -> T) -> T {
        let mut lines = self.0.borrow_mut();
        if let Some((_, known)) = lines.iter_mut().find(|(known, _)| *known == at) {
            return work(known);
        }
        let mut fresh = of.sibling();
        let done = work(&mut fresh);
        lines.push((at, fresh));
        done
    }

    /// Makes new keys of ours for all of them.
    pub fn renew(&self) {
        for (_, keys) in self.0.borrow_mut().iter_mut() {
            keys.renew();
        }
    }
}

/// Whether nobody on the way reads what goes by it.
pub const fn is_private(hop: &Hop) -> bool {
    matches!(hop.protocol, Protocol::Tls | Protocol::Wss)
}

fn fresh_ice() -> IceCredentials {
    let Credentials { ufrag, password } = Credentials::fresh(&mut Chance);
    IceCredentials { ufrag: ufrag.into(), password: password.into() }
}

/// A key for each suite, so that none is ever used by two ciphers.
fn fresh(lifetime: Option<u64>) -> Arc<[Crypto]> {
    let key = |(suite, tag): (CryptoSuite, u32)| {
        let mut bytes = vec![0; suite.key_and_salt_bytes()];
        Chance.fill_bytes(&mut bytes);
        Crypto { tag, suite, key: KeyAndSalt::new(&bytes), lifetime, mki: None }
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
    let key = Arc::new(match line.lifetime {
        Some(packets) => Key::with_lifetime(master, packets),
        None => Key::new(master),
    });
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
        let identity = Arc::new(Identity::fresh().unwrap());
        Keyring::with(
            &SrtpSettings { default, over_plain_sip: false, lifetime: None },
            identity,
            None,
            is_private(&hop),
        )
    }

    #[test]
    fn keys_are_made_once_a_leg_and_differ_by_suite_and_leg() {
        let (one, two) = (keyring(Srtp::Prefer, Protocol::Tls), keyring(Srtp::Prefer, Protocol::Tls));
        let (first, again, other) =
            (one.ours(None, Profile::Avp), one.ours(None, Profile::Avp), two.ours(None, Profile::Avp));
        assert_eq!(first, again);
        let all: Vec<_> =
            first.keys.iter().chain(other.keys.iter()).map(|line| line.key.expose()[..16].to_vec()).collect();
        assert!((0..all.len()).all(|at| !all[at + 1..].contains(&all[at])));
    }

    #[test]
    fn renewed_keys_are_others_and_where_there_were_none_there_are_none() {
        let mut leg = keyring(Srtp::Prefer, Protocol::Tls);
        assert!(!leg.renew() && leg.made().is_none());
        let before = leg.ours(None, Profile::Avp).keys;
        assert!(leg.renew());
        let after = leg.ours(None, Profile::Avp).keys;
        assert_eq!(leg.made(), Some(Arc::clone(&after)));
        assert!(before.iter().zip(after.iter()).all(|(old, new)| old.suite == new.suite && old.key != new.key));
    }

    #[test]
    fn keys_are_not_offered_in_signalling_that_anybody_reads() {
        assert!(keyring(Srtp::Prefer, Protocol::Udp).ours(None, Profile::Avp).keys.is_empty());
        assert!(keyring(Srtp::Never, Protocol::Tls).ours(None, Profile::Avp).keys.is_empty());
        assert!(keyring(Srtp::Require, Protocol::Tcp).exposed() && !keyring(Srtp::Require, Protocol::Wss).exposed());
        assert!(!keyring(Srtp::Prefer, Protocol::Udp).exposed());
    }

    #[test]
    fn ice_credentials_stay_until_the_place_changes_or_the_party_restarts() {
        let leg = keyring(Srtp::Prefer, Protocol::Wss);
        let at = |slot| (FlowId { worker: 0, slot, generation: 1 }, Side::A);
        let offer = |ufrag: &str| {
            let text = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
                 a=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789012345678901\r\n"
            );
            let offer = Session::parse(text.as_bytes()).unwrap();
            offer.ice_of(&offer.media[0]).unwrap()
        };
        let first = leg.web(at(1), Some(offer("one1"))).ice;
        assert_eq!(leg.web(at(1), None).ice, first);
        assert_eq!(leg.web(at(1), Some(offer("one1"))).ice, first);
        let restarted = leg.web(at(1), Some(offer("two2"))).ice;
        assert!(restarted.ufrag != first.ufrag && restarted.password != first.password);
        let moved = leg.web(at(2), None).ice;
        assert_ne!(moved, restarted);
        // Where we offered first, what the party has is known from its answer.
        leg.met(&Credentials { ufrag: "six6".into(), password: "0123456789012345678901".into() });
        assert_eq!(leg.web(at(2), Some(offer("six6"))).ice, moved);
        assert_ne!(leg.web(at(2), Some(offer("ten0"))).ice, moved);
    }

    #[test]
    fn an_association_stays_until_certificate_or_role_change() {
        let mut leg = keyring(Srtp::Prefer, Protocol::Wss);
        let agreed = |value: u8, active| AgreedDtls {
            fingerprints: std::iter::once(Fingerprint {
                hash: "sha-256".into(),
                value: [value; 32].into_iter().collect(),
            })
            .collect(),
            active,
        };
        let first = leg.handshake(&agreed(1, false));
        assert_eq!(leg.handshake(&agreed(1, false)), first);
        assert_eq!(leg.any_web().setup, Some(Setup::Passive));
        let other = leg.handshake(&agreed(2, false));
        assert!(other != first && leg.handshake(&agreed(2, true)) != other);
        assert_eq!(leg.any_web().setup, Some(Setup::Active));
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

//! DTLS-SRTP (RFC 5763, RFC 5764): a handshake on the media path, whose outcome is the keys of SRTP.
//!
//! The protocol is the library's (`dimpl`); what is ours is who may be at the other end and what follows. An [`Association`] is
//! one handshake with one party: it takes datagrams and `now`, and hands datagrams to whoever sends them. The party is who its
//! description says it is: its certificate must have the fingerprint that stood there, or there are no keys (RFC 5763 section
//! 5). The association belongs to the leg of a call, not to the worker that carries its media: a worker may die, and a party
//! may go to another call, and both ends go on under the keys that they have.

use crate::srtp::{Key, MasterKey, Suite};
use parking_lot::Mutex;
use ring::digest::{SHA256, SHA384, SHA512, digest};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Time until the first repetition of a flight; it doubles (RFC 6347 section 4.2.4.1 lets WebRTC begin below a second).
const FLIGHT: Duration = Duration::from_millis(250);
/// Repetitions of a flight before it is given up.
const FLIGHT_TRIES: usize = 7;
/// A handshake that takes longer than this from its first datagram has failed.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// Largest datagram of ours, for every path that carries IPv6.
const DATAGRAM_BYTES: usize = 1200;
/// A server that junk has broken before the party's certificate came begins anew, so often.
const BEGINNINGS_MAX: u32 = 64;
/// Fingerprints of one party that are looked at.
pub const FINGERPRINTS_MAX: usize = 8;

/// The hash of a certificate (RFC 8122 section 5). SHA-1 and weaker are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// `sha-256`
    Sha256([u8; 32]),
    /// `sha-384`
    Sha384([u8; 48]),
    /// `sha-512`
    Sha512([u8; 64]),
}

impl Fingerprint {
    /// The fingerprint of that hash name and value; `None` for a hash that is not taken, or a wrong length.
    pub fn new(hash: &str, value: &[u8]) -> Option<Fingerprint> {
        match hash {
            "sha-256" => Some(Fingerprint::Sha256(value.try_into().ok()?)),
            "sha-384" => Some(Fingerprint::Sha384(value.try_into().ok()?)),
            "sha-512" => Some(Fingerprint::Sha512(value.try_into().ok()?)),
            _ => None,
        }
    }

    fn is_of(&self, certificate: &[u8]) -> bool {
        match self {
            Fingerprint::Sha256(value) => digest(&SHA256, certificate).as_ref() == value,
            Fingerprint::Sha384(value) => digest(&SHA384, certificate).as_ref() == value,
            Fingerprint::Sha512(value) => digest(&SHA512, certificate).as_ref() == value,
        }
    }
}

/// Which end begins (RFC 5763 section 5, `a=setup`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We send the ClientHello: `active`.
    Client,
    /// We wait for it: `passive`.
    Server,
}

/// Our certificate, one for the life of the process, and how we speak. Its debug form shows no key.
pub struct Identity {
    certificate: dimpl::DtlsCertificate,
    config: Arc<dimpl::Config>,
    fingerprint: [u8; 32],
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("a certificate for DTLS cannot be made: {0}")]
pub struct NoIdentity(String);

impl Identity {
    /// A fresh self-signed certificate (ECDSA on P-256), whose name says nothing.
    ///
    /// # Errors
    /// [`NoIdentity`].
    pub fn fresh() -> Result<Identity, NoIdentity> {
        let failed = |error: &dyn std::fmt::Display| NoIdentity(error.to_string());
        let key = rcgen::KeyPair::generate().map_err(|error| failed(&error))?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "switch");
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?.der().to_vec();
        let config = dimpl::Config::builder()
            .mtu(DATAGRAM_BYTES)
            .flight_start_rto(FLIGHT)
            .flight_retries(FLIGHT_TRIES)
            .handshake_timeout(HANDSHAKE)
            // Only who has proved its address, or has signalled it, gets here: nobody is to be flooded through us.
            .use_server_cookie(false)
            .build()
            .map_err(|error| failed(&error))?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, &certificate).as_ref());
        let certificate = dimpl::DtlsCertificate { certificate, private_key: key.serialize_der() };
        Ok(Identity { certificate, config: Arc::new(config), fingerprint })
    }

    fn speaker(&self, role: Role, now: Instant) -> dimpl::Dtls {
        let mut dtls = dimpl::Dtls::new_auto(Arc::clone(&self.config), self.certificate.clone(), now);
        if role == Role::Client {
            dtls.set_active(true);
        }
        dtls
    }

    /// Its SHA-256 fingerprint, for descriptions.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// The SRTP keys that a handshake has come to.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Opens what the party sends.
    pub open: Arc<Key>,
    /// Seals what it is sent.
    pub seal: Arc<Key>,
}

/// Why there will be no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The certificate is not the one whose fingerprint the party's description has.
    #[error("the certificate of the party is not the one that it has announced")]
    Stranger,
    /// The party takes no way of protecting media that we know.
    #[error("the party takes no SRTP profile that is known here")]
    NoProfile,
    /// The handshake itself.
    #[error("the handshake failed: {0}")]
    Protocol(String),
}

/// Where a handshake is after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Under way, or long over: nothing new.
    Same,
    /// It has just succeeded: there are keys.
    Secured,
    /// It has just failed, for good.
    Failed(Failure),
}

/// One handshake with one party. Shared by the leg, and by whoever feeds it: a step at a time.
pub struct Association {
    identity: Arc<Identity>,
    role: Role,
    expected: SmallVec<[Fingerprint; 1]>,
    machine: Mutex<Machine>,
    keys: OnceLock<Keys>,
    failed: AtomicBool,
    /// Datagrams that wait for their step; the wire's own count.
    pub(crate) waiting: AtomicU32,
}

struct Machine {
    dtls: Option<dimpl::Dtls>,
    known: bool,
    material: Option<Keys>,
    timeout: Option<Instant>,
    begun: bool,
    beginnings: u32,
    /// When it has failed if there are no keys, and why its last beginning has.
    deadline: Option<Instant>,
    last: Option<Failure>,
}

impl Association {
    /// An association with the party that has announced these fingerprints; any of them will do, and of none nothing ever
    /// comes.
    pub fn new(identity: &Arc<Identity>, role: Role, expected: &[Fingerprint], now: Instant) -> Association {
        let dtls = Some(identity.speaker(role, now));
        let machine = Machine {
            dtls,
            known: false,
            material: None,
            timeout: None,
            begun: false,
            beginnings: 0,
            deadline: None,
            last: None,
        };
        Association {
            identity: Arc::clone(identity),
            role,
            expected: expected.iter().take(FINGERPRINTS_MAX).copied().collect(),
            machine: Mutex::new(machine),
            keys: OnceLock::new(),
            failed: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
        }
    }

    /// Which end we are.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it is with a party of exactly these fingerprints.
    pub fn is_with(&self, expected: &[Fingerprint]) -> bool {
        self.expected.as_slice() == expected.get(..FINGERPRINTS_MAX).unwrap_or(expected)
    }

    /// The keys, once there are some.
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.get()
    }

    /// Ends it, because a step of it has panicked.
    pub(crate) fn give_up(&self) {
        self.failed.store(true, Ordering::Relaxed);
        if let Some(mut machine) = self.machine.try_lock() {
            machine.dtls = None;
            machine.timeout = None;
        }
    }

    /// Whether it has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// As the client: begins, unless it has. As the server: nothing.
    pub fn begin(&self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Step {
        self.step(now, send, |machine, _| {
            let first = !std::mem::replace(&mut machine.begun, true);
            if first { machine.dtls.as_mut().map_or(Ok(()), |dtls| dtls.handle_timeout(now)) } else { Ok(()) }
        })
    }

    /// Takes a datagram of the party.
    pub fn receive(&self, now: Instant, datagram: &[u8], send: &mut dyn FnMut(&[u8])) -> Step {
        self.step(now, send, |machine, _| {
            // Junk that a server keeps for later breaks the handshake when that is done.
            if !machine.begun && self.role == Role::Server && !is_client_hello(datagram) {
                return Ok(());
            }
            machine.begun = true;
            let Some(dtls) = &mut machine.dtls else { return Ok(()) };
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        })
    }

    /// The time of [`Association::next_timeout`] has come.
    pub fn time_out(&self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Step {
        self.step(now, send, |machine, _| machine.dtls.as_mut().map_or(Ok(()), |dtls| dtls.handle_timeout(now)))
    }

    /// When something is due although nothing comes; never, once the handshake is over.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.keys.get().is_some() {
            return None;
        }
        let machine = self.machine.lock();
        machine.timeout.into_iter().chain(machine.deadline).min()
    }

    fn step(
        &self,
        now: Instant,
        send: &mut dyn FnMut(&[u8]),
        input: impl FnOnce(&mut Machine, Instant) -> Result<(), dimpl::Error>,
    ) -> Step {
        let mut machine = self.machine.lock();
        if machine.dtls.is_none() {
            return Step::Same;
        }
        let had = self.keys.get().is_some();
        if !had && machine.deadline.is_some_and(|deadline| now >= deadline) {
            let late = || Failure::Protocol("it took too long".to_owned());
            let failure = machine.last.take().unwrap_or_else(late);
            return self.fail(&mut machine, failure);
        }
        let fed = input(&mut machine, now).map_err(|error| Failure::Protocol(error.to_string()));
        if machine.begun && machine.deadline.is_none() {
            machine.deadline = Some(now + HANDSHAKE);
        }
        let polled = self.poll(&mut machine, send);
        match fed.and(polled) {
            Ok(()) => {}
            // What is wrong after the handshake ends the association, not the keys: media goes on without it.
            Err(_) if had => {
                machine.dtls = None;
                return Step::Same;
            }
            Err(failure @ Failure::Protocol(_)) if self.may_begin_anew(&machine) => {
                machine.last = Some(failure);
                machine.dtls = Some(self.identity.speaker(self.role, now));
                machine.timeout = None;
                machine.begun = false;
                machine.beginnings += 1;
                return Step::Same;
            }
            Err(failure) => return self.fail(&mut machine, failure),
        }
        match machine.material.take() {
            Some(keys) if machine.known => match self.keys.set(keys) {
                Ok(()) => Step::Secured,
                Err(_) => Step::Same,
            },
            later => {
                machine.material = later;
                Step::Same
            }
        }
    }

    fn fail(&self, machine: &mut Machine, failure: Failure) -> Step {
        (machine.dtls, machine.timeout, machine.deadline) = (None, None, None);
        self.failed.store(true, Ordering::Relaxed);
        Step::Failed(failure)
    }

    /// Whoever knows where the party is can send in its name before it has shown who it is; that shall not keep it out.
    fn may_begin_anew(&self, machine: &Machine) -> bool {
        self.role == Role::Server && !machine.known && machine.beginnings < BEGINNINGS_MAX
    }

    /// Drains what the library has to say.
    fn poll(&self, machine: &mut Machine, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let mut room = vec![0; 2048];
        let mut connected = false;
        let Machine { dtls: Some(dtls), known, material, timeout, .. } = machine else { return Ok(()) };
        loop {
            match dtls.poll_output(&mut room) {
                dimpl::Output::Packet(packet) => send(packet),
                dimpl::Output::BufferTooSmall { needed } => room.resize(needed, 0),
                dimpl::Output::Timeout(at) => {
                    *timeout = Some(at);
                    let keyed = material.is_some() || self.keys.get().is_some();
                    return if connected && !keyed { Err(Failure::NoProfile) } else { Ok(()) };
                }
                dimpl::Output::PeerCert(certificate) => {
                    if !self.expected.iter().any(|expected| expected.is_of(certificate)) {
                        return Err(Failure::Stranger);
                    }
                    *known = true;
                }
                dimpl::Output::KeyingMaterial(bytes, profile) => {
                    *material = Some(keys(self.role, &bytes, profile).ok_or(Failure::NoProfile)?);
                }
                // The party says goodbye to the association; the call ends by signalling.
                dimpl::Output::CloseNotify | dimpl::Output::ApplicationData(_) => {}
                dimpl::Output::Connected => connected = true,
                _ => {}
            }
        }
    }
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match (self.keys.get().is_some(), self.has_failed()) {
            (true, _) => "secured",
            (false, true) => "failed",
            (false, false) => "under way",
        };
        write!(f, "Association({:?}, {state})", self.role)
    }
}

/// A plaintext handshake record with (a piece of) a ClientHello (RFC 6347 sections 4.1 and 4.2.2).
fn is_client_hello(datagram: &[u8]) -> bool {
    let head = datagram.first_chunk::<14>();
    head.is_some_and(|[kind, major, _, e0, e1, .., message]| (*kind, *major, *e0, *e1, *message) == (22, 0xfe, 0, 0, 1))
}

/// The keys of both directions out of the exported material: client key, server key, client salt, server salt (RFC 5764
/// section 4.2).
fn keys(role: Role, material: &[u8], profile: dimpl::SrtpProfile) -> Option<Keys> {
    let suite = match profile {
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128Sha1_80,
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        _ => return None,
    };
    let (client_key, rest) = material.split_at_checked(suite.key_bytes())?;
    let (server_key, rest) = rest.split_at_checked(suite.key_bytes())?;
    let (client_salt, server_salt) = rest.split_at_checked(suite.salt_bytes())?;
    let key = |key: &[u8], salt: &[u8]| {
        let master = MasterKey::new(suite, &[key, salt].concat(), &[]).ok()?;
        Some(Arc::new(Key::new(master)))
    };
    let (client, server) = (key(client_key, client_salt)?, key(server_key, server_salt)?);
    Some(match role {
        Role::Client => Keys { open: server, seal: client },
        Role::Server => Keys { open: client, seal: server },
    })
}

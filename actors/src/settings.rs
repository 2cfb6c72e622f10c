//! What the program tells the actors: plain typed values. No actor reads a file (design law 9).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::conference::Plan;
use crate::directory::{Service, User};
use crate::gateway::Gateway;
use crate::routing::Spec;
use sip::sdp::{CodecSpec, MediaKind, RelayPolicy};

/// Payload types of telephone-events where we offer them, by clock in Hz.
const EVENTS: [(u8, u32); 3] = [(101, 8000), (102, 48_000), (103, 16_000)];

/// What crosses between two parties: pictures, text, fax and floor control as they come, and sound in whatever both speak, else in what the switch makes one of the other. `codecs` is
/// what it codes itself, the preferred first: its services speak that, with telephone-events at each clock of it.
pub fn relay_policy(mut codecs: Vec<CodecSpec>) -> Arc<RelayPolicy> {
    for (payload, clock_hz) in EVENTS {
        if codecs.iter().any(|spec| spec.map.clock_hz == clock_hz) {
            codecs.push(CodecSpec::telephone_event(payload, clock_hz));
        }
    }
    let kinds = [MediaKind::Audio, MediaKind::Video, MediaKind::Text, MediaKind::Image, MediaKind::Application];
    Arc::new(RelayPolicy { coded: codecs, kinds: kinds.into(), ..RelayPolicy::default() })
}

/// Everything that the switch needs to know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this node, in logs and call records.
    pub node: String,
    /// Domains that the switch is responsible for; the first one is the default.
    pub domains: Vec<String>,
    /// Signalling shards, at least 1.
    pub shards: usize,
    /// Where call detail records are appended, a JSON line each; `None` keeps them in the store only.
    pub cdr_file: Option<PathBuf>,
    /// SIP.
    pub sip: SipSettings,
    /// Registrar.
    pub registrar: RegistrarSettings,
    /// Authentication.
    pub auth: AuthSettings,
    /// Admission.
    pub admission: AdmissionSettings,
    /// Instant messages.
    pub messages: MessageSettings,
    /// Media pool.
    pub media: media::PoolConfig,
    /// What crosses between two parties, and what the switch codes itself; see [`relay_policy`].
    pub relay: Arc<RelayPolicy>,
    /// Encryption of media.
    pub srtp: SrtpSettings,
    /// Users.
    pub users: Vec<User>,
    /// Gateways.
    pub gateways: Vec<Gateway>,
    /// Service numbers.
    pub services: Vec<Service>,
    /// Conferences.
    pub conferences: Vec<Arc<Plan>>,
    /// Ring groups.
    pub groups: Vec<Arc<crate::group::Plan>>,
    /// Call features.
    pub features: FeatureSettings,
    /// Where calls go.
    pub routing: Spec,
    /// Voice mail.
    pub mail: crate::mail::MailSettings,
    /// Attendants.
    pub attendants: Vec<Arc<crate::talk::Attendant>>,
    /// The folder of recordings; `None`: nothing is recorded.
    pub recordings: Option<PathBuf>,
    /// The collector that is shown every SIP message; `None`: nobody is.
    pub hep: Option<Arc<crate::hep::Collector>>,
}

/// Call features, where users do not say otherwise.
#[derive(Clone, Debug)]
pub struct FeatureSettings {
    /// How long phones ring before a call goes on that nobody answers.
    pub ring: Duration,
    /// How long a call is parked before whoever parked it is rung.
    pub park_time: Duration,
    /// How often it is rung.
    pub park_tries: u32,
    /// Where the call goes after that; `None`: it ends.
    pub park_to: Option<String>,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        Self { ring: Duration::from_secs(20), park_time: Duration::from_secs(90), park_tries: 1, park_to: None }
    }
}

/// How the switch speaks SIP.
#[derive(Clone, Debug)]
pub struct SipSettings {
    /// Host name or address to put into Via and Contact instead of the socket's own.
    pub advertised: Option<String>,
    /// Addresses to listen on.
    pub listen: Vec<(sip::Protocol, SocketAddr)>,
    /// Value of Server and User-Agent.
    pub user_agent: String,
    /// RFC 3261 T1.
    pub t1: Duration,
    /// Session interval that we ask for (RFC 4028).
    pub session_expires: Duration,
    /// Smallest session interval that we accept (RFC 4028: not under 90 s).
    pub min_se: Duration,
    /// Longest call.
    pub max_call_duration: Duration,
    /// Longest ringing before 408/CANCEL.
    pub max_ringing: Duration,
    /// How long contacts of one q ring before those of the next have their turn.
    pub ring_step: Duration,
    /// Most contacts that one INVITE is forked to.
    pub max_forks: usize,
}

/// Encryption of media (RFC 3711, keys by RFC 4568).
#[derive(Clone, Copy, Debug, Default)]
pub struct SrtpSettings {
    /// The policy for parties that have none of their own.
    pub default: sip::sdp::Srtp,
    /// Keys may travel in SIP that is not encrypted itself.
    pub over_plain_sip: bool,
    /// Packets after which a key of ours is to be another one (RFC 4568 section 6.1); none says nothing of it.
    pub lifetime: Option<u64>,
}

/// Bounds of registrations (RFC 3261 section 10.3).
#[derive(Clone, Debug)]
pub struct RegistrarSettings {
    /// When the phone names none.
    pub expires_default: Duration,
    /// Below: 423.
    pub expires_min: Duration,
    /// Above: shortened.
    pub expires_max: Duration,
    /// Contacts an address of record may have.
    pub contacts_max: usize,
}

/// Digest authentication.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Realm of the challenges.
    pub realm: String,
    /// Algorithms offered, strongest first.
    pub algorithms: Vec<sip::auth::Algorithm>,
    /// How long a nonce is good.
    pub nonce_lifetime: Duration,
    /// Wrong passwords before 403 and delays.
    pub tries_max: u32,
    /// First delay after that.
    pub delay_first: Duration,
    /// Largest delay.
    pub delay_max: Duration,
}

/// What one source and all together may ask for.
#[derive(Clone, Debug)]
pub struct AdmissionSettings {
    /// Requests a second of one source address.
    pub per_source_rate: u32,
    /// Requests that may come at once.
    pub per_source_burst: u32,
    /// Sources that are remembered a shard.
    pub sources_max: usize,
    /// Retry-After of the refusals.
    pub retry_after: Duration,
    /// Calls at once on this node.
    pub calls_max: usize,
}

/// Instant messages for absent users.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// How long one is kept.
    pub expires: Duration,
}

/// The address that peers should use for us when we listen on `local`.
pub fn advertised_host(settings: &SipSettings, local: SocketAddr) -> String {
    match (&settings.advertised, local.ip()) {
        (Some(host), _) => host.clone(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, IpAddr::V4(ip)) => ip.to_string(),
    }
}

//! The words that a call and the pool speak with each other.

use super::room::Member;
use crate::codec::Payload;
use crate::dtls::Association;
use crate::dtmf::Key;
use crate::ice::{CONSENT, Ice};
use crate::prompt::Audio;
use crate::recorder::Tape;
use crate::rtcp::Wanted;
use crate::srtp;
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Payloads of one side beyond this many are not looked at.
pub const PAYLOADS_MAX: usize = 16;

/// How a pool is laid out.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Worker threads; 0 means one for each core that the process may use.
    pub workers: usize,
    /// The address that media sockets are bound to.
    pub ip: IpAddr,
    /// The address that peers are told instead, behind a NAT or in a container.
    pub advertised_ip: Option<IpAddr>,
    /// Ports for media; an RTP port is even and its RTCP port the odd one after it (RFC 3550 section 11).
    /// `0..=0` lets the kernel find free pairs, for tests.
    pub ports: RangeInclusive<u16>,
    /// How flows share them.
    pub port_mode: PortMode,
    /// A side that should send and is silent this long ends its flow's peace; zero means never.
    pub media_timeout: Duration,
    /// A side with ICE that neither checks nor is heard this long is sent nothing more (RFC 7675).
    pub consent: Duration,
    /// Port pairs that are bound at the start and kept bound while idle.
    pub warm_pairs: usize,
    /// A pair beyond the warm ones that nobody wanted for this long is closed.
    pub idle_pairs: Duration,
    /// Bound of each worker's command queue, in flows with unseen changes.
    pub commands_max: usize,
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            workers: 0,
            ip: IpAddr::from([127, 0, 0, 1]),
            advertised_ip: None,
            ports: 20_000..=29_999,
            port_mode: PortMode::Range,
            media_timeout: Duration::from_secs(30),
            consent: CONSENT,
            warm_pairs: 128,
            idle_pairs: Duration::from_secs(60),
            commands_max: 4096,
        }
    }
}

/// How flows share the ports for media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortMode {
    /// A pair a side.
    #[default]
    Range,
    /// All sides of a worker on one port, the first even ones of the range. A side that cannot share has a pair of its own from the
    /// rest of the range: one behind a NAT without ICE, and one whose party is at an address that another side's party has.
    Single,
}

/// What is known of where a party is, when the port that it is told is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Nothing yet.
    Unknown,
    /// Where its checks say (ICE).
    Checked,
    /// Behind a NAT, which shows with its first packet.
    BehindNat,
    /// There.
    At {
        /// Where its RTP comes from.
        rtp: SocketAddr,
        /// Where its RTCP comes from, if from elsewhere.
        rtcp: Option<SocketAddr>,
    },
}

impl Whereabouts {
    /// As negotiated.
    pub fn of(remote: &Remote) -> Whereabouts {
        let after = || SocketAddr::new(remote.rtp.ip(), remote.rtp.port().saturating_add(1));
        match (remote.ice.is_some(), remote.behind_nat, remote.rtcp_mux) {
            (true, ..) => Whereabouts::Checked,
            (false, true, _) => Whereabouts::BehindNat,
            (false, false, true) => Whereabouts::At { rtp: remote.rtp, rtcp: None },
            (false, false, false) => Whereabouts::At { rtp: remote.rtp, rtcp: Some(remote.rtcp.unwrap_or_else(after)) },
        }
    }
}

/// One of the two ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The caller.
    A,
    /// The callee.
    B,
}

impl Side {
    /// The one across.
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// The caller's.
    pub a: T,
    /// The callee's.
    pub b: T,
}

impl<T> Sides<T> {
    /// The value of one side.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// The value of one side, to change it.
    pub fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// The value of one side and of the other.
    pub(super) fn split_mut(&mut self, side: Side) -> (&mut T, &mut T) {
        match side {
            Side::A => (&mut self.a, &mut self.b),
            Side::B => (&mut self.b, &mut self.a),
        }
    }
}

/// Names a flow for as long as the pool lives; a slot that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// The worker that owns it.
    pub worker: u16,
    /// Its place in the worker's book.
    pub slot: u32,
    /// Which of the flows that had this place.
    pub generation: u32,
}

/// Who is told about a flow. `events` is called from a thread of the pool, a few times a call, and must not block.
#[derive(Clone)]
pub struct Owner {
    /// Handed back with every event; the call's own key.
    pub key: u64,
    /// Takes the events.
    pub events: Arc<dyn Fn(u64, MediaEvent) + Send + Sync>,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a flow tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first packet of a side was accepted.
    FirstPacket(Side),
    /// A side that should send was silent for the media time-out. Told once a silence.
    TimedOut,
    /// A prompt came to its end; that side now hears nothing.
    SourceEnded(Side),
    /// A key was pressed, told once: by a telephone-event (RFC 4733), or by a tone of a side that has agreed to none.
    Dtmf {
        /// Who pressed it.
        side: Side,
        /// `0`–`9`, `*`, `#`, `A`–`D`, or `!` for hook flash.
        digit: char,
        /// How long, in milliseconds.
        duration_ms: u32,
    },
    /// The handshake with a side has come to keys: its media passes from now on.
    Secured(Side),
    /// The handshake with a side has failed, for good.
    NotSecured(Side, Insecure),
    /// A side has not shown for long that it still wants what it is sent (RFC 7675): it is sent nothing until it does.
    ConsentLost(Side),
    /// A key has protected most of what it may (RFC 3711 section 9.2, RFC 4568 section 6.1): it is time for another one.
    KeyWorn {
        /// Of which side.
        side: Side,
        /// What the side is sent is sealed with it; otherwise what it sends.
        ours: bool,
    },
    /// A key has protected all that it may. With ours nothing more is sent; a party that goes on with its own is heard.
    KeySpent {
        /// Of which side.
        side: Side,
        /// What the side is sent is sealed with it; otherwise what it sends.
        ours: bool,
    },
    /// The flow is gone: it could not be opened again after its worker died, or it was what killed the worker.
    Lost,
}

/// Why a side's media cannot be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Insecure {
    /// Another certificate than announced.
    #[error("its certificate is not the one that its description announced")]
    Stranger,
    /// No SRTP profile in common.
    #[error("it takes no SRTP profile that is known here")]
    NoProfile,
    /// The handshake itself, or its time.
    #[error("its DTLS handshake failed")]
    Protocol,
}

/// What a new flow wants besides two port pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowSpec {
    /// A certain worker; otherwise the one with the fewest flows.
    pub worker: Option<u16>,
    /// Another media time-out than the pool's; zero means never.
    pub media_timeout: Option<Duration>,
    /// What goes through it.
    pub carries: Carries,
}

/// What a flow carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carries {
    /// Sound, which the pool understands: it plays some of its own, makes one codec of another and watches for keys.
    #[default]
    Sound,
    /// RTP that crosses as it came, with the numbers of its payloads mapped: all of its sources, and RTCP with feedback for
    /// them. Pictures and text.
    Rtp,
    /// Datagrams of any kind, between the negotiated peers: fax (T.38), floor control (BFCP).
    Datagrams,
}

/// The far end of one side, as negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it receives RTP, and where its own RTP must come from.
    pub rtp: SocketAddr,
    /// Where it receives RTCP; `None` means the port after `rtp`, or `rtp` itself with `rtcp_mux`.
    pub rtcp: Option<SocketAddr>,
    /// RTP and RTCP share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// Its port is learned from its first packet, once, and only from the address in `rtp`.
    pub behind_nat: bool,
    /// We send to it.
    pub receive: bool,
    /// We accept from it.
    pub send: bool,
    /// What the numbers mean, most wanted first; empty means that any passes.
    pub payloads: SmallVec<[Payload; 4]>,
    /// Packet length of what the pool generates, 10 to 60 ms.
    pub ptime_ms: u8,
    /// The longest packets that it can take, in ms; 0 says nothing. Longer ones of the other side are made anew.
    pub max_ptime_ms: u8,
    /// What it wants to be told of its sound where the pool is its end point (RFC 3611).
    pub reports: Wanted,
    /// It likes silence in Opus not to be sent (`usedtx`, RFC 7587 section 6.1).
    pub opus_dtx: bool,
    /// The call tells it keys by another way than its media (SIP INFO): none are sent to it there, whatever its payloads.
    pub told_keys: bool,
    /// Its keys: all of its media is SRTP then, and nothing else passes.
    pub secure: Option<Secure>,
    /// The handshake that comes to its keys: until then nothing passes either way. `secure` does not count beside it.
    pub dtls: Option<Handshake>,
    /// Where the side is, its checks say; `rtp` does not count beside it, and RTCP shares the port.
    pub ice: Option<Box<Ice>>,
}

/// The DTLS association of a side; a side that keeps it must be given the same again.
#[derive(Clone, Debug)]
pub struct Handshake(pub Arc<Association>);

impl PartialEq for Handshake {
    fn eq(&self, other: &Handshake) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Handshake {}

/// The keys of one side. A key that a side keeps, or comes back to, must be the same [`srtp::Key`] again: it knows which packets
/// were protected with it.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Opens what the side sends.
    pub open: Arc<srtp::Key>,
    /// Seals what the side is sent.
    pub seal: Arc<srtp::Key>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Secure) -> bool {
        Arc::ptr_eq(&self.open, &other.open) && Arc::ptr_eq(&self.seal, &other.seal)
    }
}

impl Eq for Secure {}

/// A key that a side has pressed by another way than its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// Who.
    pub by: Side,
    /// Which.
    pub key: Key,
    /// For how long, in milliseconds.
    pub duration_ms: u32,
}

/// What a side hears.
#[derive(Clone, Debug)]
pub enum Source {
    /// The other side.
    Peer,
    /// Encoded silence.
    Silence,
    /// A sine.
    Tone {
        /// Frequency.
        hz: f64,
        /// Level (0 dBm0 as in ITU-T G.711).
        dbm0: f64,
    },
    /// A recording.
    Prompt(Arc<Audio>, Repeat),
    /// The pool's music.
    MusicOnHold,
    /// Itself.
    Echo,
    /// The others of a room, who hear it.
    Room(Member),
}

/// What of a flow is recorded: what its sides say, not what the pool plays to them. A side that is in a room is not heard; the
/// room is recorded instead ([`super::Room::record`]).
#[derive(Clone, Debug)]
pub struct Recording {
    /// Whom the recording hears.
    pub of: Recorded,
    /// Where it goes; a key that ends it is told to it.
    pub tape: Arc<Tape>,
}

/// Whom a recording of a flow hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// One side.
    One(Side),
    /// Both, mixed.
    Both,
}

impl Recorded {
    /// Whether a side is heard.
    pub fn hears(self, side: Side) -> bool {
        match self {
            Recorded::One(one) => one == side,
            Recorded::Both => true,
        }
    }
}

/// How often a prompt is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    Once,
    /// That many times; 0 counts as 1.
    Times(u32),
    /// Until the side hears something else.
    Forever,
}

/// Why a flow was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Every port of the range is in use.
    #[error("every media port pair of the range is in use")]
    NoPorts,
    /// The worker's book is full.
    #[error("the worker has {0} flows, its limit")]
    TooManyFlows(usize),
    /// The worker's command queue is full.
    #[error("the worker's command queue is full")]
    WorkerBusy,
    /// No worker has this number.
    #[error("there is no worker {0}")]
    NoSuchWorker(u16),
    /// A socket could not be made.
    #[error("media socket")]
    Io(#[from] std::io::Error),
}

/// Why a side was not connected; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The worker's command queue is full.
    #[error(transparent)]
    Busy(#[from] PoolBusy),
    /// Its party cannot share a port.
    #[error(transparent)]
    NoPort(#[from] NoPort),
}

/// A party that cannot share a port with others has none: every pair of the range is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the party needs a media port of its own, and every pair of the range is in use")]
pub struct NoPort;

/// The worker's command queue is full; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's command queue is full")]
pub struct PoolBusy;

/// What a restarted worker opens a flow from: everything negotiated, and what was learned since.
#[derive(Clone, Debug)]
pub struct FlowCheckpoint {
    /// The flow.
    pub id: FlowId,
    /// Our RTP addresses.
    pub local: Sides<SocketAddr>,
    /// The far ends, once connected.
    pub remote: Sides<Option<Remote>>,
    /// What the sides hear.
    pub source: Sides<Source>,
    /// Where the sides' packets really come from, once one was accepted.
    pub seen: Sides<Option<SocketAddr>>,
    /// The flow was closed.
    pub closed: bool,
}

//! The wires of SIP, and the only sockets of this crate (RFC 3261 section 18).
//!
//! A shard is a thread. Each has its own UDP sockets and its own TCP and TLS listeners on the same addresses, which the
//! kernel spreads over them (SO_REUSEPORT). A connection lives on the shard that accepted or opened it; the table of
//! connections is shared, so that any shard sends over any of them through a bounded queue.
//!
//! In: [`Inbound`], called with whole messages and with what becomes of connections. Out: [`ShardNet::send`], which
//! never blocks and never calls back. Between them lies [`Network`], shared by all shards: addresses, table,
//! certificates, counters.
//!
//! Instead of the kernel's, the datagrams may be those of a simulation ([`sim`]): then all of it, time included, is one
//! deterministic run.
//!
//! What a stranger may not do, and what stops it:
//!
//! | attack | stopped by |
//! | --- | --- |
//! | hold connections | [`Limits::connections_max`], `connections_per_source_max`, `idle`, `handshake_time` |
//! | send a message for ever | [`Limits::message_time`], [`crate::message::MESSAGE_BYTES_MAX`] |
//! | never read | [`Limits::queue_bytes_max`], `write_stall` |
//! | use us to flood others | answers to keep-alives are no longer than a STUN header and one address |
//! | make a shard fail by a message | panics of [`Inbound`] end at the message |
//! | take a TLS peer's place | names are proved before a connection is used for them (RFC 5922) |

mod config;
mod core;
mod counters;
mod event;
mod framer;
mod open;
mod refused;
pub mod resolve;
mod shard;
pub mod sim;
mod socket;
mod stream;
mod stun;
mod table;
mod tls;
mod udp;

pub use config::{Bind, Limits, NetConfig, TlsConfig, VerifyClient};
pub use counters::{Counter, Counters, Traffic};
pub use event::{CloseReason, Inbound, SendError};
pub use shard::ShardNet;
pub use tls::PeerFacts;

use crate::{ConnectionId, Hop, Protocol};
use bytes::Bytes;
use dashmap::DashMap;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// What a datagram carries over IPv4: 65,535 less the IP and UDP headers.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// How much of a faulty stream is shown to [`Inbound::unframed`].
pub const HEAD_BYTES_MAX: usize = 4_096;
/// Requests up to this size go by UDP when the path's MTU is not known (RFC 3261 section 18.1.1).
pub const REQUEST_BYTES_MAX: usize = 1_300;
/// Kept free below a known path MTU (RFC 3261 section 18.1.1).
const MTU_MARGIN_BYTES: usize = 200;
/// Notices that wait for one shard.
const NOTICES_MAX: usize = 8_192;

/// Whether a request of `len` bytes must leave over a congestion-controlled transport (RFC 3261 section 18.1.1);
/// `mtu` where the path's is known.
pub const fn needs_stream(len: usize, mtu: Option<usize>) -> bool {
    match mtu {
        Some(mtu) => len + MTU_MARGIN_BYTES > mtu,
        None => len > REQUEST_BYTES_MAX,
    }
}

/// Why the wires cannot be laid.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An address cannot be listened on.
    #[error("cannot listen on {} {}: {source}", .bind.protocol.uri(), .bind.address)]
    Bind {
        /// Which.
        bind: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// A listener of a protocol that is not ours: WebSocket connections come from the HTTP server.
    #[error("cannot listen for {}: only udp, tcp and tls", .0.uri())]
    Protocol(Protocol),
    /// A TLS address, and no certificate.
    #[error("a tls address needs a certificate and a key")]
    NoCertificate,
    /// A certificate, key or list of authorities that does not work.
    #[error("certificate: {0}")]
    Certificate(String),
}

/// What all shards share. Cheap to clone.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

pub(crate) struct Shared {
    limits: Limits,
    /// With the real ports.
    listening: Vec<Bind>,
    /// The sockets that made the ports ours; the first shard takes them.
    reserved: Mutex<Option<Vec<(Bind, Socket)>>>,
    table: Arc<table::Table>,
    tls: Option<tls::Tls>,
    counters: Arc<Counters>,
    shards: DashMap<usize, mpsc::Sender<Notice>>,
    attached: AtomicUsize,
    nameservers: Vec<SocketAddr>,
    /// Where the datagrams go, when not to the kernel.
    simulator: Option<sim::Simulator>,
}

/// A message did not arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice {
    hop: Hop,
    why: SendError,
}

impl Network {
    /// Takes the addresses (nothing is received before a shard is attached) and reads the certificates.
    ///
    /// # Errors
    /// An address that is taken or not ours, a certificate that does not work.
    pub fn new(config: NetConfig) -> Result<Self, SetupError> {
        let tls = config.tls.as_ref().map(tls::Tls::new).transpose()?;
        let mut reserved = Vec::with_capacity(config.binds.len());
        for bind in config.binds {
            match bind.protocol {
                Protocol::Udp | Protocol::Tcp => {}
                Protocol::Tls if tls.is_some() => {}
                Protocol::Tls => return Err(SetupError::NoCertificate),
                other => return Err(SetupError::Protocol(other)),
            }
            if bind.address.port() != 0 {
                // A second switch on the same port would take half of the messages of the first.
                drop(socket::bind(&bind, false).map_err(|source| SetupError::Bind { bind, source })?);
            }
            reserved.push(reserve(bind)?);
        }
        Ok(Self(Arc::new(Shared {
            limits: config.limits,
            listening: reserved.iter().map(|(bind, _)| *bind).collect(),
            reserved: Mutex::new(Some(reserved)),
            table: Arc::default(),
            tls,
            counters: Arc::default(),
            shards: DashMap::new(),
            attached: AtomicUsize::new(0),
            nameservers: config.nameservers,
            simulator: None,
        })))
    }

    /// A network of simulated datagrams at these addresses. It has no streams, no names and no kernel.
    pub fn simulated(simulator: &sim::Simulator, addresses: &[SocketAddr]) -> Self {
        let bind = |&address| Bind { protocol: Protocol::Udp, address };
        Self(Arc::new(Shared {
            limits: Limits::default(),
            listening: addresses.iter().map(bind).collect(),
            reserved: Mutex::new(None),
            table: Arc::default(),
            tls: None,
            counters: Arc::default(),
            shards: DashMap::new(),
            attached: AtomicUsize::new(0),
            nameservers: Vec::new(),
            simulator: Some(simulator.clone()),
        }))
    }

    /// The addresses that we listen on, with the ports that the system chose.
    pub fn listening(&self) -> &[Bind] {
        &self.0.listening
    }

    /// Starts a shard's wires on the calling thread, which must run a tokio `LocalSet` (an actix arbiter does).
    ///
    /// # Errors
    /// An address that can no longer be bound.
    pub fn attach_shard(&self, inbound: Rc<dyn Inbound>) -> Result<ShardNet, SetupError> {
        if let Some(simulator) = &self.0.simulator {
            let ends = self.0.listening.iter().map(|bind| simulator.bind(bind.address)).collect();
            return Ok(ShardNet::simulated(&self.0, ends, inbound));
        }
        let reserved = self.0.reserved.lock();
        let first = reserved.unwrap_or_else(PoisonError::into_inner).take();
        let sockets = match first {
            Some(sockets) => sockets,
            None => {
                let listening = self.0.listening.iter();
                listening.map(|b| reserve(*b)).collect::<Result<_, _>>()?
            }
        };
        ShardNet::start(&self.0, sockets, inbound)
    }

    /// Enters a WebSocket connection that the HTTP server upgraded (RFC 7118): what is sent to it arrives in
    /// `outgoing`, one SIP message a frame. Its owner reads it, and must release it.
    pub fn adopt_connection(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        outgoing: mpsc::Sender<Bytes>,
    ) -> ConnectionId {
        let hop = Hop { protocol, local, remote, connection: None };
        self.0.table.adopted(hop, outgoing)
    }

    /// Takes an adopted connection out again.
    pub fn release_connection(&self, connection: ConnectionId) {
        self.0.table.remove(connection);
    }

    /// Ends a connection; its shard is told [`CloseReason::Requested`]. An adopted one is its owner's to end.
    pub fn close(&self, connection: ConnectionId) {
        if let Some(connection) = self.0.table.get(connection) {
            connection.close(CloseReason::Requested);
        }
    }

    /// Lets requests to `port` at the peer's address take this connection too, as its Via with `alias` and that sent-by
    /// port asks (RFC 5923 section 5). Only over TLS whose peer has proved a name (section 6); says whether it did.
    pub fn alias(&self, connection: ConnectionId, port: u16) -> bool {
        let connection = self.0.table.get(connection);
        connection.is_some_and(|c| self.0.table.alias(&c, port))
    }

    /// What is known of a connection's peer; none when the connection is gone.
    pub fn facts(&self, connection: ConnectionId) -> Option<Arc<PeerFacts>> {
        let connection = self.0.table.get(connection)?;
        Some(connection.facts.get().cloned().unwrap_or_default())
    }

    /// Replaces our certificate (PEM) for all handshakes from now on. Connections that stand are not touched.
    ///
    /// # Errors
    /// PEM that cannot be read, or a key that is not the chain's: then the old one stays.
    pub fn reload_certificates(&self, chain: &[u8], key: &[u8]) -> Result<(), SetupError> {
        let tls = self.0.tls.as_ref().ok_or(SetupError::NoCertificate)?;
        tls.reload(chain, key)
    }

    /// The counters of all shards.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

/// Binds, and learns the port.
fn reserve(mut bind: Bind) -> Result<(Bind, Socket), SetupError> {
    let failed = |source| SetupError::Bind { bind, source };
    let socket = socket::bind(&bind, true).map_err(failed)?;
    bind.address = socket::local(&socket).map_err(failed)?;
    Ok((bind, socket))
}

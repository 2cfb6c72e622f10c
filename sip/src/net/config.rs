//! What the wires are told at start: addresses, limits, certificates.

use crate::Protocol;
use std::net::SocketAddr;
use std::time::Duration;

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// [`Protocol::Udp`], [`Protocol::Tcp`] or [`Protocol::Tls`]; WebSocket belongs to the HTTP server.
    pub protocol: Protocol,
    /// Where; port 0 lets the system choose, see [`super::Network::listening`].
    pub address: SocketAddr,
}

/// Everything that [`super::Network::new`] needs.
#[derive(Clone, Debug, Default)]
pub struct NetConfig {
    /// Addresses to listen on.
    pub binds: Vec<Bind>,
    /// Certificates; needed when a bind is [`Protocol::Tls`].
    pub tls: Option<TlsConfig>,
    /// Bounds of the stream transports.
    pub limits: Limits,
    /// DNS servers to ask; empty takes the system's.
    pub nameservers: Vec<SocketAddr>,
}

/// Certificates as PEM text.
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// Our chain, leaf first.
    pub chain: Vec<u8>,
    /// The private key of the leaf: PKCS #8, PKCS #1 or SEC1.
    pub key: Vec<u8>,
    /// Authorities whose certificates clients may show; needed unless `verify_client` is off.
    pub client_ca: Vec<u8>,
    /// Whether clients must show a certificate.
    pub verify_client: VerifyClient,
    /// Authorities that we trust when we connect to others; empty trusts nobody.
    pub server_ca: Vec<u8>,
}

impl std::fmt::Debug for TlsConfig {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").field("verify_client", &self.verify_client).finish_non_exhaustive()
    }
}

/// Whether a TLS client must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyClient {
    /// Not asked for.
    #[default]
    Off,
    /// Asked for; whoever has none comes in without names.
    Optional,
    /// Without a valid one the handshake fails.
    Required,
}

/// Bounds of connections; each has a refusal and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all shards, opened and accepted and in handshake.
    pub connections_max: usize,
    /// Accepted connections from one source: an IPv4 address or an IPv6 /64.
    pub connections_per_source_max: usize,
    /// A connection without a byte in either direction for so long is closed.
    pub idle: Duration,
    /// The first byte of a message to its last: slower ones are closed.
    pub message_time: Duration,
    /// TCP connection set-up.
    pub connect_time: Duration,
    /// TLS handshake.
    pub handshake_time: Duration,
    /// A write in which the peer takes nothing for so long closes the connection.
    pub write_stall: Duration,
    /// How long the way back stays open after the peer ended its side, or after a stream broke, so that answers
    /// under way still leave.
    pub linger: Duration,
    /// Bytes that wait for a peer that does not read; more closes the connection.
    pub queue_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_source_max: 1_000,
            idle: Duration::from_secs(600),
            message_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(5),
            handshake_time: Duration::from_secs(10),
            write_stall: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            queue_bytes_max: 1 << 20,
        }
    }
}

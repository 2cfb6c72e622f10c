//! What the wires tell a shard.

use crate::{Hop, ParseError};
use bytes::Bytes;

/// The shard's side of its wires. Called on the shard's thread, never from inside [`super::ShardNet::send`]; must not
/// block. A panic in it is caught and counted: it costs the message, not the socket.
pub trait Inbound: 'static {
    /// One datagram, or one whole message of a stream.
    fn message(&self, bytes: Bytes, hop: Hop);
    /// A stream that cannot be read on: `head` is how it began (at most [`super::HEAD_BYTES_MAX`]). An answer sent to
    /// `hop` within the linger time still leaves, then the connection closes.
    fn unframed(&self, error: ParseError, head: Bytes, hop: Hop);
    /// A connection of this shard stands, handshake included.
    fn connected(&self, hop: Hop);
    /// A connection of this shard that stood is gone.
    fn closed(&self, hop: Hop, why: CloseReason);
    /// A datagram to `hop.remote` came back, because nobody took it: `quoted` is how it began, as far as the network quoted it
    /// (RFC 3261 section 18.4).
    fn refused(&self, quoted: Bytes, hop: Hop);
    /// A message that this shard sent to `hop` (as it was given to `send`) was not delivered: RFC 3261 section 17.1.4.
    fn undeliverable(&self, hop: Hop, why: SendError);
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer ended it in order.
    Peer,
    /// The peer or the network reset it.
    Reset,
    /// Nothing came or went for the idle time.
    Idle,
    /// A message began and did not end in time.
    SlowMessage,
    /// The stream could not be cut into messages.
    Unframed,
    /// The peer does not read what we send.
    SlowReader,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// Asked for by [`super::Network::close`].
    Requested,
    /// The shard that held it ended.
    Shutdown,
}

impl CloseReason {
    /// All of them, in the order of [`super::Counters::closed`].
    pub const ALL: [Self; 9] = [
        Self::Peer,
        Self::Reset,
        Self::Idle,
        Self::SlowMessage,
        Self::Unframed,
        Self::SlowReader,
        Self::Handshake,
        Self::Requested,
        Self::Shutdown,
    ];

    /// Its word in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::SlowMessage => "slow_message",
            Self::Unframed => "unframed",
            Self::SlowReader => "slow_reader",
            Self::Handshake => "handshake",
            Self::Requested => "requested",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a message did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// More than a datagram carries ([`super::DATAGRAM_BYTES_MAX`]).
    #[error("message exceeds a datagram: send it over a stream")]
    TooLarge,
    /// The queue to the socket or the connection is full.
    #[error("queue to the peer is full")]
    Busy,
    /// We listen on no address from which the peer is reached by this transport.
    #[error("no local address for this peer and transport")]
    NoLocal,
    /// The connection is gone, or the transport (WebSocket) cannot be opened from our side.
    #[error("connection is closed")]
    Closed,
    /// No further connection may be opened.
    #[error("connection limit reached")]
    TooManyConnections,
    /// The peer refused the connection, or the network the datagram.
    #[error("peer refused or not reachable")]
    Unreachable,
    /// The connection was not made in time.
    #[error("connection timed out")]
    TimedOut,
    /// The TLS handshake failed: certificate, name or protocol.
    #[error("TLS handshake failed")]
    Handshake,
    /// The connection broke with the message still queued.
    #[error("connection lost")]
    Lost,
}

//! Where a message came from and where one goes: plain data, shared by the rules and the wires.

use std::fmt;
use std::net::SocketAddr;

/// A SIP transport (RFC 3261 section 18, RFC 7118).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Datagrams; requests are retransmitted by the transaction layer.
    Udp,
    /// RFC 3261 section 18.2
    Tcp,
    /// RFC 3261 section 26.2.1
    Tls,
    /// RFC 7118 over plain HTTP
    Ws,
    /// RFC 7118 over HTTPS
    Wss,
}

impl Protocol {
    /// The token of the Via header.
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of the `transport` URI parameter.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Reads either form, without case.
    pub fn parse(token: &[u8]) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|p| p.via().as_bytes().eq_ignore_ascii_case(token))
    }

    /// Whether the transport delivers by itself: no retransmission timers (RFC 3261 section 17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether the transport is encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The default port (RFC 3261 section 19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// Number of a connection of this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One way between us and a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Transport.
    pub protocol: Protocol,
    /// Our address: what the message came to, or goes out from.
    pub local: SocketAddr,
    /// The neighbour's address.
    pub remote: SocketAddr,
    /// The connection, where the transport has one and it is known.
    pub connection: Option<ConnectionId>,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol.uri(), self.remote)
    }
}

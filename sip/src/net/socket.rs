//! Sockets as the shards want them: non-blocking, port shared (SO_REUSEPORT), buffers asked for.

use super::Bind;
use crate::Protocol;
use socket2::{Domain, Protocol as Wire, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Asked for each UDP socket and direction; the system may give less.
const UDP_BUFFER_BYTES: usize = 4 << 20;
/// Connections that wait to be accepted, a listener.
const BACKLOG: i32 = 1_024;

/// A bound socket of the bind's kind, not yet listening. `shared` lets other shards bind the same port, and would let
/// another process of the same user: who starts must look first whether the port is free by binding it unshared.
pub(crate) fn bind(bind: &Bind, shared: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(bind.address);
    let socket = if bind.protocol == Protocol::Udp {
        let socket = Socket::new(domain, Type::DGRAM, Some(Wire::UDP))?;
        // A smaller buffer than wished for is no error.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
        socket
    } else {
        let socket = Socket::new(domain, Type::STREAM, Some(Wire::TCP))?;
        socket.set_reuse_address(true)?;
        socket
    };
    if bind.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&bind.address.into())?;
    Ok(socket)
}

/// The address that `socket` has really got.
pub(crate) fn local(socket: &Socket) -> io::Result<SocketAddr> {
    let other = || io::Error::other("socket address is neither IPv4 nor IPv6");
    socket.local_addr()?.as_socket().ok_or_else(other)
}

/// Starts to listen. Must run inside the runtime of the shard.
pub(crate) fn listen(socket: Socket) -> io::Result<tokio::net::TcpListener> {
    socket.listen(BACKLOG)?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// Asks the kernel's routes which of our addresses reaches a peer; sends nothing.
#[derive(Debug)]
pub(crate) struct Routes {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Routes {
    /// Without a family in the kernel nothing of that family has a route.
    pub(crate) fn new() -> Self {
        Self {
            v4: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok(),
            v6: UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok(),
        }
    }

    pub(crate) fn source(&self, remote: SocketAddr) -> Option<IpAddr> {
        let probe = if remote.is_ipv4() { &self.v4 } else { &self.v6 };
        let probe = probe.as_ref()?;
        probe.connect(remote).ok()?;
        Some(probe.local_addr().ok()?.ip())
    }
}

//! What comes back of datagrams that nobody took: ICMP errors, with the beginning of what was sent (RFC 3261 section 18.4).
//!
//! Linux keeps them in a queue beside the socket (`IP_RECVERR`), each with the error and the datagram as the ICMP message
//! quoted it. The quotation is what makes an error believable: it holds the branch of a transaction of ours, which nobody can
//! guess who has not seen the request.

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

/// Bytes of the quotation that are looked at: the first lines of a message and the top Via.
const QUOTED_BYTES_MAX: usize = 1024;

/// A datagram that came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where it was sent.
    pub to: SocketAddr,
    /// How it began.
    pub quoted: Bytes,
}

/// Has the kernel keep what comes back to the socket.
pub(crate) fn watch(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(())
}

/// The next datagram that came back for good; `None` for one whose error says nothing about its peer (the path is narrower, a
/// time to live ran out: section 18.4 has them ignored).
///
/// # Errors
/// `WouldBlock` when there is no other.
pub(crate) fn next(socket: &UdpSocket) -> io::Result<Option<Refused>> {
    let mut quoted = [0; QUOTED_BYTES_MAX];
    let mut parts = [IoSliceMut::new(&mut quoted)];
    let mut control = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let gone = received.cmsgs()?.any(|message| {
        let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = message else {
            return false;
        };
        let by_network =
            error.ee_origin == nix::libc::SO_EE_ORIGIN_ICMP || error.ee_origin == nix::libc::SO_EE_ORIGIN_ICMP6;
        let errno = Errno::from_raw(i32::try_from(error.ee_errno).unwrap_or(0));
        let unreachable = [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::ENOPROTOOPT];
        by_network && unreachable.contains(&errno)
    });
    let (to, bytes) = (received.address.as_ref().and_then(address), received.bytes);
    Ok(to
        .filter(|_| gone)
        .map(|to| Refused { to, quoted: Bytes::copy_from_slice(quoted.get(..bytes).unwrap_or_default()) }))
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || storage.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    let v6 = || storage.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)));
    v4().or_else(v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next thing in the queue, waited for: an ICMP error on loopback is there when `send_to` returns.
    fn refused(from: &str) -> (io::Result<Option<Refused>>, SocketAddr) {
        let socket = UdpSocket::bind(from).unwrap();
        watch(&socket).unwrap();
        // Bound and closed: nobody listens there.
        let nobody = UdpSocket::bind(from).unwrap().local_addr().unwrap();
        socket.send_to(b"OPTIONS sip:a@b SIP/2.0\r\n", nobody).unwrap();
        let first = next(&socket);
        assert_eq!(next(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock, "there was one");
        (first, nobody)
    }

    #[test]
    fn a_datagram_to_a_port_where_nobody_listens_comes_back_with_its_address_and_its_beginning() {
        for from in ["127.0.0.1:0", "[::1]:0"] {
            let (refused, nobody) = refused(from);
            let quoted = Bytes::from_static(b"OPTIONS sip:a@b SIP/2.0\r\n");
            assert_eq!(refused.unwrap(), Some(Refused { to: nobody, quoted }));
        }
    }
}

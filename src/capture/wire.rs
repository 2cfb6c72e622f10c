//! The socket by which the kernel shows a copy of each packet of an interface (packet(7)).

use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBuf, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recvfrom, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// How long a look lasts when nothing comes.
const LOOK_MS: i64 = 100;
/// Room for a burst.
const BUFFER_BYTES: usize = 16 << 20;
/// What leaves this machine (packet(7), `PACKET_OUTGOING`): on loopback each packet is shown twice, as leaving and as come.
const OUTGOING: u8 = 4;

/// One interface that is listened on.
pub struct Wire {
    socket: OwnedFd,
    name: String,
    is_loopback: bool,
}

impl Wire {
    /// Listens on the interface of this name, or on that which has this address.
    ///
    /// # Errors
    /// There is none, or this process may not.
    pub fn open(name: Option<&str>, ip: IpAddr) -> anyhow::Result<Self> {
        let all: Vec<_> = getifaddrs().context("the interfaces")?.collect();
        let has = |address: &SockaddrStorage| match ip {
            IpAddr::V4(ip) => address.as_sockaddr_in().is_some_and(|found| found.ip() == ip),
            IpAddr::V6(ip) => address.as_sockaddr_in6().is_some_and(|found| found.ip() == ip),
        };
        let by_address = || {
            // All of 127/8 is loopback's, whatever it is told to have.
            let found =
                all.iter().find(|one| one.address.as_ref().is_some_and(has)).map(|one| one.interface_name.clone());
            found.or_else(|| ip.is_loopback().then(|| "lo".to_owned()))
        };
        let name = name.map(str::to_owned).or_else(by_address);
        let name = name.with_context(|| format!("no interface has {ip}: name one with --interface"))?;
        let link = all
            .iter()
            .filter(|one| one.interface_name == name)
            .find_map(|one| one.address.as_ref().and_then(|address| address.as_link_addr().copied()));
        let link: LinkAddr = link.with_context(|| format!("there is no interface `{name}`"))?;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll);
        let socket = match socket {
            Ok(socket) => socket,
            Err(Errno::EPERM | Errno::EACCES) => {
                bail!("this process may not see packets: run it as root, or with CAP_NET_RAW")
            }
            Err(error) => return Err(error).context("a socket that shows packets"),
        };
        // With less room packets are lost in a burst; where the system gives less, so be it.
        let _ = setsockopt(&socket, RcvBuf, &BUFFER_BYTES);
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(LOOK_MS)).context("the socket's time-out")?;
        bind(socket.as_raw_fd(), &link).with_context(|| format!("interface `{name}`"))?;
        Ok(Self { socket, is_loopback: name == "lo", name })
    }

    /// The interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next packet; `None` after a while without one.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn next(&self, packet: &mut [u8]) -> anyhow::Result<Option<usize>> {
        match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), packet) {
            Ok((_, Some(from))) if self.is_loopback && from.pkttype() == OUTGOING => Ok(None),
            Ok((length, _)) => Ok(Some(length)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("interface `{}`", self.name)),
        }
    }
}

//! Many datagrams a call: `recvmmsg` and `sendmmsg`, and a run of packets from or to one address as one datagram of the kernel's
//! (`UDP_GRO`, `UDP_SEGMENT`; udp(7)). An [`Inbox`] and an [`Outbox`] own all the memory that the kernel is handed.

use super::{check, length_of};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams read in one call.
pub const INBOX_MAX: usize = 64;
/// Room for a datagram that the kernel has joined of many: nothing of it may be cut. Pages that nothing was written to cost
/// no memory.
const JOINED_BYTES_MAX: usize = 1 << 16;
/// Packets sent in one call.
pub const OUTBOX_MAX: usize = 64;
/// Packets that the kernel is handed as one; it takes 64 at least.
const RUN_MAX: usize = 32;
/// Bytes of such a run, below what a datagram may have.
const RUN_BYTES_MAX: usize = 60_000;
/// Wished for the buffers of a socket that many flows share; the system grants less to whom it does not trust.
const BUFFER_BYTES: libc::c_int = 16 << 20;

/// Room for one control message, aligned as the kernel reads it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Readies a socket for batches: large buffers, and runs joined where the kernel can.
pub fn ready_for_batches(socket: &UdpSocket) {
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if set(socket, libc::SOL_SOCKET, forced, BUFFER_BYTES).is_err() {
            let _as_large_as_it_gets = set(socket, libc::SOL_SOCKET, plain, BUFFER_BYTES);
        }
    }
    let _comes_one_by_one = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
}

fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: `value` lives through the call, which reads `length` bytes of it.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) }).map(drop)
}

/// What one call read.
pub struct Inbox {
    bytes: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    parts: Vec<libc::iovec>,
    heads: Vec<libc::mmsghdr>,
    /// Heads that the kernel has written to since they were readied.
    used: usize,
}

/// A datagram, or several of one length (the last may be shorter) that came from one address and were joined.
pub struct Datagram<'a> {
    pub from: SocketAddr,
    /// Its bytes, and the room behind them.
    pub buffer: &'a mut [u8],
    pub length: usize,
    /// Bytes of each, where it is several.
    pub each: usize,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox {
            bytes: vec![0; INBOX_MAX * JOINED_BYTES_MAX],
            names: vec![no_name(); INBOX_MAX],
            controls: vec![Control([0; 64]); INBOX_MAX],
            parts: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; INBOX_MAX],
            heads: vec![no_head(); INBOX_MAX],
            used: INBOX_MAX,
        }
    }

    /// Reads what there is, without waiting; how many datagrams.
    pub fn fill(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let rooms = self.bytes.chunks_exact_mut(JOINED_BYTES_MAX);
        let notes = self.names.iter_mut().zip(&mut self.controls);
        let heads = self.heads.iter_mut().take(self.used);
        for (((head, part), room), (name, control)) in heads.zip(&mut self.parts).zip(rooms).zip(notes) {
            *part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            let message = &mut head.msg_hdr;
            message.msg_name = (&raw mut *name).cast();
            message.msg_namelen = NAME_BYTES;
            message.msg_iov = &raw mut *part;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len();
        }
        let nobody = std::ptr::null::<libc::timespec>();
        // SAFETY: every head points into vectors of ours, which are as long as it says and are not moved meanwhile.
        let filled = length_of(unsafe {
            let (fd, at) = (socket.as_raw_fd(), self.heads.as_mut_ptr());
            libc::syscall(libc::SYS_recvmmsg, fd, at, INBOX_MAX, libc::MSG_DONTWAIT, nobody)
        });
        self.used = *filled.as_ref().unwrap_or(&0);
        filled
    }

    /// A datagram of the last [`Inbox::fill`], by its place.
    pub fn get(&mut self, at: usize) -> Option<Datagram<'_>> {
        let head = self.heads.get(at)?;
        let from = address(self.names.get(at)?)?;
        let length = usize::try_from(head.msg_len).ok()?.min(JOINED_BYTES_MAX);
        let each = joined_of(&head.msg_hdr).filter(|each| *each > 0).unwrap_or(length);
        let start = at * JOINED_BYTES_MAX;
        let buffer = self.bytes.get_mut(start..start + JOINED_BYTES_MAX)?;
        Some(Datagram { from, buffer, length, each })
    }
}

/// The length of each of the packets that a datagram was joined of.
fn joined_of(message: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel has filled the control buffer that `message` points to, and says how far; the macros stay within it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(note) = at.as_ref() {
            if (note.cmsg_level, note.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) {
                let each = libc::CMSG_DATA(at).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(each).ok();
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
    None
}

/// Packets that leave together.
pub struct Outbox<const BYTES: usize> {
    packets: Vec<Packet<BYTES>>,
    filled: usize,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    parts: Vec<libc::iovec>,
    heads: Vec<libc::mmsghdr>,
    /// Place and number of the packets of each head.
    runs: Vec<(usize, usize)>,
    /// The kernel takes runs.
    joins: bool,
}

struct Packet<const BYTES: usize> {
    to: SocketAddr,
    /// Whose it is, for whoever hears that it was not taken.
    tag: u64,
    length: usize,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> Outbox<BYTES> {
    pub fn new() -> Outbox<BYTES> {
        let nowhere = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        Outbox {
            packets: (0..OUTBOX_MAX).map(|_| Packet { to: nowhere, tag: 0, length: 0, bytes: [0; BYTES] }).collect(),
            filled: 0,
            names: vec![no_name(); OUTBOX_MAX],
            controls: vec![Control([0; 64]); OUTBOX_MAX],
            parts: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; OUTBOX_MAX],
            heads: vec![no_head(); OUTBOX_MAX],
            runs: Vec::with_capacity(OUTBOX_MAX),
            joins: true,
        }
    }

    pub fn is_full(&self) -> bool {
        self.filled == OUTBOX_MAX
    }

    /// Puts a packet in; false where it is too long or there is no room.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], to: SocketAddr, tag: u64) -> bool {
        let Some(packet) = self.packets.get_mut(self.filled) else { return false };
        let Some(room) = packet.bytes.get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        (packet.to, packet.tag, packet.length) = (to, tag, bytes.len());
        self.filled += 1;
        true
    }

    /// Sends all of it, in order and without waiting. What the kernel does not take is lost, and `lost` hears its tag.
    pub fn flush(&mut self, socket: &UdpSocket, mut lost: impl FnMut(u64)) {
        let mut at = 0;
        while at < self.filled {
            self.join(at);
            at = self.send(socket, at, &mut lost);
        }
        self.filled = 0;
    }

    /// Writes heads for all packets from one on.
    fn join(&mut self, mut at: usize) {
        self.runs.clear();
        let packets = self.packets.get_mut(..self.filled).unwrap_or_default();
        for (part, packet) in self.parts.iter_mut().zip(packets.iter_mut()) {
            *part = libc::iovec { iov_base: packet.bytes.as_mut_ptr().cast(), iov_len: packet.length };
        }
        let heads = self.heads.iter_mut().zip(&mut self.names).zip(&mut self.controls);
        for ((head, name), control) in heads {
            let Some(first) = packets.get(at) else { return };
            let count = if self.joins { run(packets.get(at..).unwrap_or_default()) } else { 1 };
            let message = &mut head.msg_hdr;
            message.msg_namelen = write_address(first.to, name);
            message.msg_name = (&raw mut *name).cast();
            message.msg_iov = self.parts.get_mut(at..).unwrap_or_default().as_mut_ptr();
            message.msg_iovlen = count;
            (message.msg_control, message.msg_controllen) = match count {
                1 => (std::ptr::null_mut(), 0),
                _ => (control.0.as_mut_ptr().cast(), write_segment(control, first.length)),
            };
            self.runs.push((at, count));
            at += count;
        }
    }

    /// Sends the heads; the place of the first packet that is still to be sent.
    fn send(&mut self, socket: &UdpSocket, first: usize, lost: &mut impl FnMut(u64)) -> usize {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the heads point into vectors of ours, which are as long as they say and are not moved meanwhile; the kernel
        // writes only how much of each was sent.
        let sent = length_of(unsafe {
            let (fd, at) = (socket.as_raw_fd(), self.heads.as_mut_ptr());
            libc::syscall(libc::SYS_sendmmsg, fd, at, self.runs.len(), flags)
        });
        match sent {
            Ok(sent) if sent > 0 => self.runs.get(sent).map_or(self.filled, |(at, _)| *at),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => first,
            // A device without checksums of its own takes no runs (udp(7)).
            Err(error)
                if error.kind() != io::ErrorKind::WouldBlock && self.runs.first().is_some_and(|(_, n)| *n > 1) =>
            {
                self.joins = false;
                first
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.tell(first..first + 1, lost);
                first + 1
            }
            _ => {
                self.tell(first..self.filled, lost);
                self.filled
            }
        }
    }

    fn tell(&self, which: std::ops::Range<usize>, lost: &mut impl FnMut(u64)) {
        for packet in self.packets.get(which).unwrap_or_default() {
            lost(packet.tag);
        }
    }
}

/// How many of the packets go to one address and have one length, but for the last.
fn run<const BYTES: usize>(packets: &[Packet<BYTES>]) -> usize {
    let Some((first, rest)) = packets.split_first() else { return 0 };
    let (mut count, mut bytes) = (1, first.length);
    for packet in rest {
        bytes += packet.length;
        let fits = packet.to == first.to && packet.length <= first.length && packet.length > 0;
        if !fits || count == RUN_MAX || bytes > RUN_BYTES_MAX {
            break;
        }
        count += 1;
        if packet.length < first.length {
            break;
        }
    }
    count
}

/// Says how long each packet of a run is; how long that note is.
fn write_segment(control: &mut Control, each: usize) -> usize {
    let each = u16::try_from(each).unwrap_or(u16::MAX);
    // SAFETY: sizes of a note of two bytes, which the buffer has room for; it is aligned as `cmsghdr` wants.
    unsafe {
        let size = libc::c_uint::try_from(size_of::<u16>()).unwrap_or(2);
        let note = control.0.as_mut_ptr().cast::<libc::cmsghdr>();
        (*note).cmsg_level = libc::SOL_UDP;
        (*note).cmsg_type = libc::UDP_SEGMENT;
        (*note).cmsg_len = libc::CMSG_LEN(size) as usize;
        libc::CMSG_DATA(note).cast::<u16>().write_unaligned(each);
        libc::CMSG_SPACE(size) as usize
    }
}

#[allow(clippy::cast_possible_truncation)] // 128
const NAME_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

fn no_name() -> libc::sockaddr_storage {
    // SAFETY: integers; all zeros is the address of no family.
    unsafe { std::mem::zeroed() }
}

fn no_head() -> libc::mmsghdr {
    // SAFETY: integers and null pointers.
    unsafe { std::mem::zeroed() }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which form it has, and the storage has room for every form.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn write_address(address: SocketAddr, name: &mut libc::sockaddr_storage) -> libc::socklen_t {
    let (bytes, family) = match address {
        SocketAddr::V4(_) => (size_of::<libc::sockaddr_in>(), libc::AF_INET),
        SocketAddr::V6(_) => (size_of::<libc::sockaddr_in6>(), libc::AF_INET6),
    };
    let family = libc::sa_family_t::try_from(family).unwrap_or(0);
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: the storage has room for every form, and is ours.
            let name = unsafe { &mut *(&raw mut *name).cast::<libc::sockaddr_in>() };
            name.sin_family = family;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let name = unsafe { &mut *(&raw mut *name).cast::<libc::sockaddr_in6>() };
            name.sin6_family = family;
            name.sin6_port = address.port().to_be();
            name.sin6_flowinfo = address.flowinfo();
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_scope_id = address.scope_id();
        }
    }
    libc::socklen_t::try_from(bytes).unwrap_or(NAME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(ip: &str) -> UdpSocket {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        socket
    }

    /// Reads until so many bytes are there; the datagrams, taken apart.
    fn read(inbox: &mut Inbox, socket: &UdpSocket, wanted: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut packets = Vec::new();
        let mut bytes = 0;
        while bytes < wanted {
            let count = inbox.fill(socket).unwrap_or(0);
            for at in 0..count {
                let datagram = inbox.get(at).unwrap();
                let all = &datagram.buffer[..datagram.length];
                bytes += all.len();
                packets.extend(all.chunks(datagram.each).map(|packet| (datagram.from, packet.to_vec())));
            }
            std::thread::yield_now();
        }
        packets
    }

    #[test]
    fn what_goes_out_together_comes_in_as_it_was_in_order_whatever_the_kernel_joined() {
        for ip in ["127.0.0.1", "::1"] {
            for joins in [true, false] {
                let (here, there, elsewhere) = (socket(ip), socket(ip), socket(ip));
                ready_for_batches(&there);
                let to = there.local_addr().unwrap();
                let mut outbox = Outbox::<2048>::new();
                outbox.joins = joins;
                let mut sent = Vec::new();
                // Runs of one length, their shorter ends, a longer one, and a stranger's in between.
                for (n, length) in [172, 172, 172, 60, 172, 172, 1400, 1400, 12].into_iter().enumerate() {
                    let packet = vec![n as u8; length];
                    assert!(outbox.push(&packet, to, n as u64));
                    sent.push((here.local_addr().unwrap(), packet));
                    if n == 4 {
                        assert!(outbox.push(&[99; 172], elsewhere.local_addr().unwrap(), 0));
                    }
                }
                outbox.flush(&here, |tag| panic!("{tag} was lost"));
                assert_eq!(outbox.filled, 0);
                assert_eq!(read(&mut Inbox::new(), &there, sent.iter().map(|(_, p)| p.len()).sum()), sent);
                assert_eq!(elsewhere.recv(&mut [0; 2048]).unwrap(), 172);
                assert_eq!(outbox.joins, joins, "the loopback takes runs");
            }
        }
    }

    #[test]
    fn a_run_is_of_one_address_and_one_length_but_for_its_last() {
        let to = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let packet = |port, length| Packet::<64> { to: to(port), tag: 0, length, bytes: [0; 64] };
        let runs = |packets: &[Packet<64>]| run(packets);
        assert_eq!(runs(&[packet(1, 10), packet(1, 10), packet(1, 5), packet(1, 10)]), 3);
        assert_eq!(runs(&[packet(1, 10), packet(2, 10)]), 1);
        assert_eq!(runs(&[packet(1, 10), packet(1, 11)]), 1);
        assert_eq!(runs(&(0..40).map(|_| packet(1, 10)).collect::<Vec<_>>()), RUN_MAX);
    }

    #[test]
    fn what_the_kernel_does_not_take_is_told_and_the_rest_goes_on() {
        let (here, there) = (socket("127.0.0.1"), socket("127.0.0.1"));
        let mut outbox = Outbox::<2048>::new();
        // A socket of IPv4 has no way to an address of IPv6.
        for (tag, to) in
            [(1, there.local_addr().unwrap()), (2, "[::1]:9".parse().unwrap()), (3, there.local_addr().unwrap())]
        {
            assert!(outbox.push(&[tag; 20], to, tag.into()));
        }
        let mut lost = Vec::new();
        outbox.flush(&here, |tag| lost.push(tag));
        assert_eq!(lost, [2]);
        let mut buffer = [0; 64];
        for expected in [1, 3] {
            assert_eq!((there.recv(&mut buffer).unwrap(), buffer[0]), (20, expected));
        }
        assert!(!outbox.push(&[0; 2049], there.local_addr().unwrap(), 0));
        while outbox.push(&[0; 1], there.local_addr().unwrap(), 0) {}
        assert!(outbox.is_full());
    }
}

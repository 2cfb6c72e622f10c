//! Forwarders that do nothing but forward: the limit that the kernel sets. They look at no byte of a packet, count nothing
//! and know their peers from the start.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Packets of one `recvmmsg`, and sockets of one `epoll_wait`.
const BATCH: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 2048;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("bound").port()
}

/// Two connected sockets a flow and one epoll: what a relay with a port a side cannot do without. With `gather` it begins no
/// turn sooner than that after the last one, as our pool does when it is busy. Returns its ports, and what to run.
pub fn connected(phones: &[(u16, u16)], gather: Duration) -> (Vec<(u16, u16)>, impl FnOnce() + Send + use<>) {
    let socket = |phone: u16| {
        let socket = UdpSocket::bind(loopback(0)).expect("a socket");
        socket.connect(loopback(phone)).expect("connected");
        socket.set_nonblocking(true).expect("set");
        socket
    };
    let sockets: Vec<_> = phones.iter().flat_map(|(a, b)| [socket(*a), socket(*b)]).collect();
    let ports = sockets.chunks(2).map(|flow| (port_of(&flow[0]), port_of(&flow[1]))).collect();
    let forward = move || {
        // SAFETY: takes no memory.
        let epoll = unsafe { libc::epoll_create1(0) };
        assert!(epoll >= 0, "an epoll");
        for (number, socket) in sockets.iter().enumerate() {
            let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: number as u64 };
            // SAFETY: `event` lives through the call, which only reads it.
            assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) }, 0);
        }
        let mut ready = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut began = Instant::now();
        loop {
            if let Some(early) = gather.checked_sub(began.elapsed()) {
                std::thread::sleep(early);
            }
            // SAFETY: `ready` is ours and holds BATCH events.
            let count = unsafe { libc::epoll_wait(epoll, ready.as_mut_ptr(), BATCH as libc::c_int, -1) };
            began = Instant::now();
            for event in &ready[..usize::try_from(count).unwrap_or(0)] {
                let from = usize::try_from(event.u64).expect("a number of ours");
                if let Ok(length) = sockets[from].recv(&mut buffer) {
                    let _lost = sockets[from ^ 1].send(&buffer[..length]);
                }
            }
        }
    };
    (ports, forward)
}

/// One socket for all, told apart by the sender's port, read and written in batches: the physical limit.
pub fn batched(phones: &[(u16, u16)]) -> (Vec<(u16, u16)>, impl FnOnce() + Send + use<>) {
    let socket = UdpSocket::bind(loopback(0)).expect("a socket");
    // Room for what comes while the machine does something else; each of the other relays has room a socket.
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        let bytes: libc::c_int = 8 << 20;
        let (at, length) = ((&raw const bytes).cast(), size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: `bytes` lives through the call, which reads one integer.
        let _refused_without_the_right =
            unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, at, length) };
    }
    let ports = vec![(port_of(&socket), port_of(&socket)); phones.len()];
    let mut across = vec![0u16; 1 << 16];
    for (a, b) in phones {
        (across[usize::from(*a)], across[usize::from(*b)]) = (*b, *a);
    }
    let forward = move || {
        let mut buffers = vec![[0u8; DATAGRAM_BYTES_MAX]; BATCH];
        // SAFETY: plain integers and pointers, for which zero is a value; all that is used is filled in below.
        let mut peers: [libc::sockaddr_in; BATCH] = unsafe { std::mem::zeroed() };
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: as above.
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for n in 0..BATCH {
            parts[n].iov_base = buffers[n].as_mut_ptr().cast();
            heads[n].msg_hdr.msg_iov = &raw mut parts[n];
            heads[n].msg_hdr.msg_iovlen = 1;
            heads[n].msg_hdr.msg_name = (&raw mut peers[n]).cast();
            heads[n].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        loop {
            parts.iter_mut().for_each(|part| part.iov_len = DATAGRAM_BYTES_MAX);
            // SAFETY: `heads` names BATCH buffers and addresses of the lengths given, all of which live here.
            let count = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    heads.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_WAITFORONE,
                    std::ptr::null_mut(),
                )
            };
            let count = usize::try_from(count).unwrap_or(0);
            for n in 0..count {
                let from = u16::from_be(peers[n].sin_port);
                peers[n].sin_port = across[usize::from(from)].to_be();
                parts[n].iov_len = heads[n].msg_len as usize;
            }
            let mut sent = 0;
            while sent < count {
                // SAFETY: as above; only the first `count` are named.
                let now = unsafe {
                    libc::sendmmsg(socket.as_raw_fd(), heads[sent..].as_mut_ptr(), (count - sent) as libc::c_uint, 0)
                };
                // What the kernel does not take is lost.
                sent += usize::try_from(now).unwrap_or(1);
            }
        }
    };
    (ports, forward)
}

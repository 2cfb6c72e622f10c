//! The system calls that the standard library does not have: epoll, eventfd, timerfd, disconnecting a socket, pinning a
//! thread, its CPU clock, and datagrams in batches. The only `unsafe` of the crate; every call passes memory that the call site owns.
#![allow(unsafe_code)]

mod batch;

pub use batch::{INBOX_MAX, Inbox, Outbox, ready_for_batches};

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Turns the -1 convention into a result.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes a descriptor that a call just made.
fn own(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel returned a new descriptor, and nobody else has seen its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What epoll reports: only readability is asked for, so the token says it all.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Ready(libc::epoll_event);

impl Ready {
    /// An empty slot for [`Epoll::wait`] to fill.
    pub const EMPTY: Ready = Ready(libc::epoll_event { events: 0, u64: 0 });

    /// The number given to [`Epoll::add`].
    pub fn token(&self) -> u64 {
        self.0.u64
    }
}

/// A level-triggered epoll instance for readability.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no memory.
        own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Epoll)
    }

    pub fn add(&self, fd: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), token)
    }

    pub fn remove(&self, fd: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_raw_fd(), 0)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token };
        // SAFETY: `event` lives through the call, which only reads it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }

    /// Waits until something is ready; a signal counts as nothing ready.
    pub fn wait<'a>(&self, ready: &'a mut [Ready]) -> io::Result<&'a [Ready]> {
        let room = libc::c_int::try_from(ready.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `Ready` is transparent over `epoll_event`, and `room` slots are ours.
        let count = unsafe {
            let ready = ready.as_mut_ptr().cast::<libc::epoll_event>();
            let no_mask = std::ptr::null::<libc::sigset_t>();
            libc::syscall(libc::SYS_epoll_pwait, self.0.as_raw_fd(), ready, room, -1, no_mask, 0usize)
        };
        match length_of(count) {
            Ok(count) => Ok(ready.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(&[]),
            Err(error) => Err(error),
        }
    }
}

/// A bell that wakes a worker from another thread.
pub struct Bell(File);

impl Bell {
    pub fn new() -> io::Result<Bell> {
        // SAFETY: takes no memory.
        own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(|fd| Bell(fd.into()))
    }

    /// Never blocks; a bell that is full has rung already.
    pub fn ring(&self) {
        let _already_ringing = (&self.0).write(&1u64.to_ne_bytes());
    }

    pub fn quiet(&self) {
        let _was_quiet = (&self.0).read(&mut [0; 8]);
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A periodic timer of the kernel: it keeps its rhythm however late it is read.
pub struct Metronome(File);

impl Metronome {
    pub fn new() -> io::Result<Metronome> {
        // SAFETY: takes no memory.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
        own(fd).map(|fd| Metronome(fd.into()))
    }

    /// Starts beating every `period` (under a second), or stops with zero.
    pub fn set(&self, period: Duration) -> io::Result<()> {
        let every = libc::timespec { tv_sec: 0, tv_nsec: period.subsec_nanos().into() };
        let spec = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: `spec` lives through the call, which only reads it; the old value is not asked for.
        check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) }).map(drop)
    }

    /// Beats since the last call.
    pub fn beats(&self) -> u64 {
        let mut count = [0; 8];
        (&self.0).read(&mut count).map_or(0, |_| u64::from_ne_bytes(count))
    }
}

impl AsRawFd for Metronome {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Receives a datagram from whomever: `recv` by its number. glibc's is a point where a thread may be cancelled, which costs
/// two locked instructions a call in a program with threads; nobody cancels ours.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    let nobody = std::ptr::null::<libc::sockaddr>();
    // SAFETY: the kernel writes at most the buffer's length into it, and no address.
    length_of(unsafe {
        let (at, length) = (buffer.as_mut_ptr(), buffer.len());
        libc::syscall(libc::SYS_recvfrom, socket.as_raw_fd(), at, length, 0, nobody, nobody)
    })
}

/// Sends a datagram to the peer that the socket is connected to: `send` by its number, as [`receive`].
pub fn send(socket: &UdpSocket, packet: &[u8]) -> io::Result<usize> {
    let nobody = std::ptr::null::<libc::sockaddr>();
    // SAFETY: the kernel only reads the packet, within its length.
    length_of(unsafe {
        let (at, length) = (packet.as_ptr(), packet.len());
        libc::syscall(libc::SYS_sendto, socket.as_raw_fd(), at, length, libc::MSG_NOSIGNAL, nobody, 0usize)
    })
}

/// What a call by number returns: a length, or -1 and errno.
fn length_of(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Dissolves a UDP socket's association with its peer. The port stays only if it was bound by number.
pub fn disconnect(socket: &UdpSocket) -> io::Result<()> {
    let unspecified =
        libc::sockaddr { sa_family: libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0), sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).unwrap_or(16);
    // SAFETY: `unspecified` lives through the call, which reads `length` bytes of it.
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const unspecified, length) }).map(drop)
}

/// The cores that this process may run on; empty if the kernel does not say.
pub fn cores() -> Vec<usize> {
    let mut set = no_cores();
    // SAFETY: `set` is ours, and its size is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result < 0 {
        return Vec::new();
    }
    let highest = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: the index stays below CPU_SETSIZE.
    (0..highest).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect()
}

/// Pins the calling thread to one core; containers may refuse.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = no_cores();
    // SAFETY: `cores` never names a core past CPU_SETSIZE, and CPU_SET checks the bound of the array itself.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` lives through the call, which only reads it.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) }).map(drop)
}

fn no_cores() -> libc::cpu_set_t {
    // SAFETY: a bit set of integers; all zeros is the empty set.
    unsafe { std::mem::zeroed() }
}

/// Raises the soft limit of open descriptors to the hard limit. What the system refuses stays as it was.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours, and the call writes one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 && limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` lives through the call, which only reads it.
        let _refused = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// CPU time that the calling thread has used.
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours, and the call writes one `timespec`.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } < 0 {
        return Duration::ZERO;
    }
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

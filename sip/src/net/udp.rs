//! Datagrams: one socket of one shard, the kernel's or a simulated one.

use super::core::Core;
use super::refused::{self, Refused};
use super::sim::SimulatedSocket;
use super::table::Outgoing;
use super::{DATAGRAM_BYTES_MAX, SendError, stun};
use crate::{Hop, Protocol};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// Datagrams taken from a socket before others of the thread get their turn.
const BURST: usize = 64;
/// Datagrams that wait for a full socket.
const WAITING_MAX: usize = 256;

pub(crate) struct Lane {
    pub local: SocketAddr,
    wire: Wire,
    waiting: RefCell<VecDeque<Outgoing>>,
    wake: Notify,
}

enum Wire {
    Kernel {
        socket: UdpSocket,
        /// The same socket past the runtime: a send needs no readiness.
        direct: std::net::UdpSocket,
    },
    Simulated(SimulatedSocket),
}

impl Wire {
    /// Sends now or says why not.
    fn send(&self, bytes: &Bytes, to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Kernel { direct, .. } => {
                let once = || direct.send_to(bytes, to).map(drop);
                // What came back of an earlier datagram is told instead of sending this one, once.
                once().or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Err(error) } else { once() })
            }
            Self::Simulated(socket) => {
                socket.send_to(bytes.clone(), to);
                Ok(())
            }
        }
    }
}

impl Lane {
    /// Must run inside the runtime of the shard.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        refused::watch(&socket)?;
        Ok(Self {
            local: socket.local_addr()?,
            wire: Wire::Kernel { direct: socket.try_clone()?, socket: UdpSocket::from_std(socket)? },
            waiting: RefCell::default(),
            wake: Notify::new(),
        })
    }

    /// In a simulation.
    pub(crate) fn simulated(socket: SimulatedSocket) -> Self {
        let local = socket.address();
        Self { local, wire: Wire::Simulated(socket), waiting: RefCell::default(), wake: Notify::new() }
    }

    /// Sends now, or queues when the socket is full.
    pub(crate) fn send(&self, core: &Core, bytes: Bytes, hop: Hop) -> Result<(), SendError> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            match self.wire.send(&bytes, hop.remote) {
                Ok(()) => {
                    core.shared.counters.sent(Protocol::Udp, bytes.len());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(send_error(&error)),
            }
        }
        if waiting.len() >= WAITING_MAX {
            return Err(SendError::Busy);
        }
        waiting.push_back(Outgoing { bytes, hop, shard: core.serial });
        self.wake.notify_one();
        Ok(())
    }

    /// Sends what waits, whenever the socket has room again. A simulated one always has.
    pub(crate) async fn flush(self: Rc<Self>, core: Rc<Core>) {
        let Wire::Kernel { socket, .. } = &self.wire else { return };
        loop {
            self.wake.notified().await;
            while let Some((bytes, hop)) = self.first_waiting() {
                let sent = match socket.try_send_to(&bytes, hop.remote) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if socket.writable().await.is_err() {
                            core.shared.counters.socket_errors.add(1);
                        }
                        continue;
                    }
                    sent => sent,
                };
                self.waiting.borrow_mut().pop_front();
                match sent {
                    Ok(_) => core.shared.counters.sent(Protocol::Udp, bytes.len()),
                    Err(error) => core.lost(core.serial, hop, send_error(&error)),
                }
            }
        }
    }

    fn first_waiting(&self) -> Option<(Bytes, Hop)> {
        let waiting = self.waiting.borrow();
        waiting.front().map(|o| (o.bytes.clone(), o.hop))
    }

    /// Receives for ever.
    pub(crate) async fn receive(self: Rc<Self>, core: Rc<Core>) {
        match &self.wire {
            Wire::Kernel { socket, direct } => self.receive_bursts(&core, socket, direct).await,
            Wire::Simulated(socket) => loop {
                let (bytes, remote) = socket.receive().await;
                self.datagram(&core, &bytes, remote);
                // Actors get their turn between two messages.
                tokio::task::yield_now().await;
            },
        }
    }

    async fn receive_bursts(&self, core: &Core, socket: &UdpSocket, direct: &std::net::UdpSocket) {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            match socket.ready(Interest::READABLE | Interest::ERROR).await {
                Ok(ready) if ready.is_error() => self.refused(core, socket, direct),
                Ok(_) => {}
                Err(_) => core.shared.counters.socket_errors.add(1),
            }
            for _ in 0..BURST {
                match socket.try_recv_from(&mut buffer) {
                    Ok((len, remote)) => {
                        self.datagram(core, buffer.get(..len).unwrap_or_default(), remote);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // What came back is in its queue; the socket goes on.
                    Err(_) => core.shared.counters.socket_errors.add(1),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Tells of the datagrams that came back.
    fn refused(&self, core: &Core, socket: &UdpSocket, direct: &std::net::UdpSocket) {
        for _ in 0..BURST {
            match socket.try_io(Interest::ERROR, || refused::next(direct)) {
                Ok(Some(Refused { to, quoted })) => {
                    let hop = Hop { protocol: Protocol::Udp, local: self.local, remote: to, connection: None };
                    core.refused(quoted, hop);
                }
                Ok(None) => {}
                // WouldBlock, or a queue that cannot be read: the next error wakes again.
                Err(_) => return,
            }
        }
    }

    fn datagram(&self, core: &Core, datagram: &[u8], remote: SocketAddr) {
        if stun::is_stun(datagram) {
            if let Some(answer) = stun::answer(datagram, remote) {
                self.keep_alive(core, answer.into(), remote);
            }
        } else if datagram == b"\r\n\r\n" {
            self.keep_alive(core, Bytes::from_static(b"\r\n"), remote);
        } else if datagram.iter().any(|c| !matches!(c, b'\r' | b'\n' | 0)) {
            let hop = Hop { protocol: Protocol::Udp, local: self.local, remote, connection: None };
            // An allocation of its own size: a message may live as long as its call.
            core.message(Bytes::copy_from_slice(datagram), hop);
        }
    }

    /// Answers a keep-alive; one that finds the socket full is lost like any datagram.
    fn keep_alive(&self, core: &Core, answer: Bytes, remote: SocketAddr) {
        if self.wire.send(&answer, remote).is_ok() {
            core.shared.counters.keepalives.add(1);
        }
    }
}

fn send_error(error: &io::Error) -> SendError {
    match error.kind() {
        io::ErrorKind::OutOfMemory => SendError::Busy,
        // EMSGSIZE has no kind of its own that is stable.
        _ if error.raw_os_error() == Some(EMSGSIZE) => SendError::TooLarge,
        _ if error.raw_os_error() == Some(ENOBUFS) => SendError::Busy,
        _ => SendError::Unreachable,
    }
}

/// Linux: the datagram is longer than the path takes.
const EMSGSIZE: i32 = 90;
/// Linux: the interface's queue is full.
const ENOBUFS: i32 = 105;

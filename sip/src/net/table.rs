//! The connections of all shards: who may send to which, and the bounds on how many there are.

use super::{CloseReason, Counters, Limits, PeerFacts, SendError};
use crate::{ConnectionId, Hop, Protocol};
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, mpsc};

/// Messages that wait in one connection's queue.
pub(crate) const QUEUE_MESSAGES_MAX: usize = 1_024;

/// A message on its way to a connection's task.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub bytes: Bytes,
    /// The hop as the sender gave it: returned when delivery fails.
    pub hop: Hop,
    /// The sender.
    pub shard: usize,
}

/// Where a connection's messages go.
#[derive(Debug)]
enum Queue {
    Ours(mpsc::Sender<Outgoing>),
    Adopted(mpsc::Sender<Bytes>),
}

/// One connection as all shards see it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `connection` is always set.
    pub hop: Hop,
    pub id: ConnectionId,
    pub shard: usize,
    /// The name that the peer's certificate was checked against, when we opened it.
    pub server_name: Option<Box<str>>,
    pub facts: OnceLock<Arc<PeerFacts>>,
    queue: Queue,
    /// A further address of the peer (RFC 5923): one is enough, a peer has one sent-by.
    alias: OnceLock<SocketAddr>,
    queued_bytes: AtomicUsize,
    ending: AtomicBool,
    close: OnceLock<CloseReason>,
    wake: Notify,
}

impl Connection {
    /// Queues a message.
    pub(crate) fn push(&self, message: Outgoing, limits: &Limits) -> Result<(), SendError> {
        let len = message.bytes.len();
        let pushed = match &self.queue {
            Queue::Adopted(queue) => queue.try_send(message.bytes).map_err(|e| match e {
                mpsc::error::TrySendError::Full(_) => SendError::Busy,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            }),
            Queue::Ours(queue) => {
                if self.queued_bytes.fetch_add(len, Ordering::Relaxed) > limits.queue_bytes_max {
                    self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
                    Err(SendError::Busy)
                } else {
                    queue.try_send(message).map_err(|e| {
                        self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
                        match e {
                            mpsc::error::TrySendError::Full(_) => SendError::Busy,
                            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
                        }
                    })
                }
            }
        };
        if pushed == Err(SendError::Busy) {
            self.close(CloseReason::SlowReader);
        }
        pushed
    }

    /// Messages have left the queue for the kernel.
    pub(crate) fn drained(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) > 0
    }

    /// Asks the connection's task to end; the first reason stands.
    pub(crate) fn close(&self, why: CloseReason) {
        self.ending.store(true, Ordering::Relaxed);
        let _ = self.close.set(why);
        self.wake.notify_one();
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn asked_to_close(&self) -> CloseReason {
        loop {
            if let Some(why) = self.close.get() {
                return *why;
            }
            self.wake.notified().await;
        }
    }

    /// From now on only who names this connection sends over it: its peer has ended its side.
    pub(crate) fn retire(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether a new message for `name` may take this connection (RFC 5923 section 4; RFC 5922 section 7.3): over TLS
    /// the peer must have proved the name.
    fn serves(&self, name: Option<&str>) -> bool {
        if self.ending.load(Ordering::Relaxed) {
            return false;
        }
        let (Some(name), true) = (name, self.hop.protocol.is_secure()) else {
            return true;
        };
        let proved = |facts: &Arc<PeerFacts>| {
            let names = &facts.certificate_names;
            names.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        self.server_name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name))
            || self.facts.get().is_some_and(proved)
    }
}

type Peers = SmallVec<[Arc<Connection>; 1]>;

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_id: DashMap<ConnectionId, Arc<Connection>>,
    by_peer: DashMap<(Protocol, SocketAddr), Peers>,
    by_source: DashMap<IpAddr, usize>,
    open: AtomicUsize,
    last_id: AtomicU64,
}

/// The right to hold one connection; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    table: Arc<Table>,
    counters: Arc<Counters>,
    source: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.table.open.fetch_sub(1, Ordering::Relaxed);
        self.counters.open.sub_one();
        if let Some(source) = self.source
            && let Slot::Occupied(mut slot) = self.table.by_source.entry(source)
        {
            if *slot.get() <= 1 {
                slot.remove();
            } else {
                *slot.get_mut() -= 1;
            }
        }
    }
}

/// What a look-up for a peer gives.
pub(crate) enum Found {
    /// Take this one.
    Existing(Arc<Connection>),
    /// This one is new and must be opened; the queue is its task's end.
    New(Arc<Connection>, mpsc::Receiver<Outgoing>),
}

impl Table {
    /// Takes one place among the connections; `source` for accepted ones.
    pub(crate) fn permit(
        self: &Arc<Self>,
        source: Option<IpAddr>,
        limits: &Limits,
        counters: &Arc<Counters>,
    ) -> Option<Permit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= limits.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            counters.refused_total.add(1);
            return None;
        }
        let source = source.map(source_key);
        if let Some(source) = source {
            let mut count = self.by_source.entry(source).or_insert(0);
            if *count >= limits.connections_per_source_max {
                drop(count);
                self.open.fetch_sub(1, Ordering::Relaxed);
                counters.refused_source.add(1);
                return None;
            }
            *count += 1;
        }
        counters.open.add(1);
        Some(Permit { table: Arc::clone(self), counters: Arc::clone(counters), source })
    }

    /// Enters an accepted connection.
    pub(crate) fn accepted(&self, hop: Hop, shard: usize) -> (Arc<Connection>, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let connection = self.enter(hop, shard, None, Queue::Ours(queue));
        let mut peers = self.by_peer.entry((hop.protocol, hop.remote)).or_default();
        peers.push(Arc::clone(&connection));
        drop(peers);
        (connection, receiver)
    }

    /// Enters a connection that somebody else reads and writes.
    pub(crate) fn adopted(&self, hop: Hop, queue: mpsc::Sender<Bytes>) -> ConnectionId {
        let connection = self.enter(hop, usize::MAX, None, Queue::Adopted(queue));
        let mut peers = self.by_peer.entry((hop.protocol, hop.remote)).or_default();
        peers.push(Arc::clone(&connection));
        connection.id
    }

    /// The connection to take for a peer, or a new one: atomically, so two shards never open two.
    pub(crate) fn find_or_enter(&self, hop: Hop, name: Option<&str>, shard: usize) -> Found {
        let mut peers = self.by_peer.entry((hop.protocol, hop.remote)).or_default();
        if let Some(connection) = peers.iter().find(|c| c.serves(name)) {
            return Found::Existing(Arc::clone(connection));
        }
        let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let connection = self.enter(hop, shard, name, Queue::Ours(queue));
        peers.push(Arc::clone(&connection));
        Found::New(connection, receiver)
    }

    /// The connection to take for a peer, if there is one.
    pub(crate) fn find(&self, hop: &Hop, name: Option<&str>) -> Option<Arc<Connection>> {
        let peers = self.by_peer.get(&(hop.protocol, hop.remote))?;
        peers.iter().find(|c| c.serves(name)).map(Arc::clone)
    }

    /// The connection of this number.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.by_id.get(&id).map(|c| Arc::clone(&c))
    }

    /// Takes a connection out.
    pub(crate) fn remove(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let (_, connection) = self.by_id.remove(&id)?;
        let hop = connection.hop;
        self.forget((hop.protocol, hop.remote), id);
        if let Some(alias) = connection.alias.get() {
            self.forget((hop.protocol, *alias), id);
        }
        Some(connection)
    }

    fn forget(&self, peer: (Protocol, SocketAddr), id: ConnectionId) {
        if let Slot::Occupied(mut slot) = self.by_peer.entry(peer) {
            slot.get_mut().retain(|c| c.id != id);
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }

    /// Makes a connection findable by another port of its peer.
    pub(crate) fn alias(&self, connection: &Arc<Connection>, port: u16) -> bool {
        let hop = connection.hop;
        let proved = |facts: &Arc<PeerFacts>| !facts.certificate_names.is_empty();
        if hop.protocol != Protocol::Tls || !connection.facts.get().is_some_and(proved) {
            return false;
        }
        let alias = SocketAddr::new(hop.remote.ip(), port);
        if alias == hop.remote {
            return true;
        }
        let mut peers = self.by_peer.entry((hop.protocol, alias)).or_default();
        if connection.alias.set(alias).is_ok() {
            peers.push(Arc::clone(connection));
        }
        drop(peers);
        if !self.by_id.contains_key(&connection.id) || connection.alias.get() != Some(&alias) {
            // It ended meanwhile, or has another alias already.
            self.forget((hop.protocol, alias), connection.id);
            return false;
        }
        true
    }

    /// Ends every connection of a shard.
    pub(crate) fn close_shard(&self, shard: usize) {
        for connection in &self.by_id {
            if connection.shard == shard {
                connection.close(CloseReason::Shutdown);
            }
        }
    }

    fn enter(&self, hop: Hop, shard: usize, server_name: Option<&str>, queue: Queue) -> Arc<Connection> {
        let id = ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let connection = Arc::new(Connection {
            hop: Hop { connection: Some(id), ..hop },
            id,
            shard,
            server_name: server_name.map(Box::from),
            facts: OnceLock::new(),
            queue,
            alias: OnceLock::new(),
            queued_bytes: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            close: OnceLock::new(),
            wake: Notify::new(),
        });
        self.by_id.insert(id, Arc::clone(&connection));
        connection
    }
}

/// What counts as one source: whoever has an IPv6 address has a /64 of them.
fn source_key(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(remote: &str) -> Hop {
        Hop {
            protocol: Protocol::Tls,
            local: "127.0.0.1:5061".parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: None,
        }
    }

    #[test]
    fn nothing_is_left_of_connections_that_ended() {
        let table = Arc::new(Table::default());
        let counters = Arc::default();
        let limits = Limits::default();
        for n in 0..3 {
            let hop = hop("192.0.2.1:4000");
            let permit = table.permit(Some(hop.remote.ip()), &limits, &counters);
            let (connection, _queue) = table.accepted(hop, n);
            let certificate_names = vec!["a".to_owned()];
            let facts = Arc::new(PeerFacts { certificate_names });
            connection.facts.set(facts).unwrap();
            assert!(table.alias(&connection, 5061));
            table.remove(connection.id);
            assert!(!table.alias(&connection, 5062));
            drop(permit);
        }
        assert!(table.by_id.is_empty());
        assert!(table.by_peer.is_empty());
        assert!(table.by_source.is_empty());
        assert_eq!(table.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_ipv6_source_is_its_64_bits_of_network() {
        let key = |ip: &str| source_key(ip.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}

//! The wires of one shard: its sockets, and the way out.

use super::core::Core;
use super::resolve::{self, ResolveError, Resolver, Target};
use super::sim::SimulatedSocket;
use super::socket::{self, Routes};
use super::table::{Found, Outgoing};
use super::udp::Lane;
use super::{Bind, Inbound, NOTICES_MAX, SendError, SetupError, Shared, open};
use crate::value::{Host, Uri};
use crate::{Hop, Protocol};
use bytes::Bytes;
use socket2::Socket;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};

/// The wires of one shard. Lives on the shard's thread; when the last clone is dropped its sockets and connections
/// close.
#[derive(Clone)]
pub struct ShardNet(Rc<Inner>);

struct Inner {
    core: Rc<Core>,
    lanes: Vec<Rc<Lane>>,
    routes: Routes,
    /// None in a simulation, and where the system has no usable DNS configuration: literal addresses still work.
    resolver: Option<Rc<Resolver>>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let shared = &self.core.shared;
        shared.shards.remove(&self.core.serial);
        shared.table.close_shard(self.core.serial);
    }
}

impl ShardNet {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        sockets: Vec<(Bind, Socket)>,
        inbound: Rc<dyn Inbound>,
    ) -> Result<Self, SetupError> {
        let mut inner = Inner::new(shared, inbound);
        inner.resolver = Resolver::new(&shared.nameservers, &shared.listening)
            .inspect_err(|error| tracing::warn!(%error, "no DNS: names will not resolve"))
            .ok()
            .map(Rc::new);
        let core = Rc::clone(&inner.core);
        for (bind, socket) in sockets {
            let failed = |source| SetupError::Bind { bind, source };
            if bind.protocol == Protocol::Udp {
                let lane = Rc::new(Lane::new(socket.into()).map_err(failed)?);
                inner.run(Rc::clone(&lane).receive(Rc::clone(&core)));
                inner.run(Rc::clone(&lane).flush(Rc::clone(&core)));
                inner.lanes.push(lane);
            } else {
                let listener = socket::listen(socket).map_err(failed)?;
                inner.run(open::accept(Rc::clone(&core), listener, bind.protocol));
            }
        }
        Ok(Self(Rc::new(inner)))
    }

    /// The wires of a simulation.
    pub(crate) fn simulated(shared: &Arc<Shared>, ends: Vec<SimulatedSocket>, inbound: Rc<dyn Inbound>) -> Self {
        let mut inner = Inner::new(shared, inbound);
        for end in ends {
            let lane = Rc::new(Lane::simulated(end));
            inner.run(Rc::clone(&lane).receive(Rc::clone(&inner.core)));
            inner.lanes.push(lane);
        }
        Self(Rc::new(inner))
    }

    /// Sends a message; never blocks and never calls back. See [`ShardNet::send_as`], here without a name.
    ///
    /// # Errors
    /// What is known at once; what is known later comes as [`Inbound::undeliverable`].
    pub fn send(&self, hop: &Hop, bytes: Bytes) -> Result<(), SendError> {
        self.send_as(hop, None, bytes)
    }

    /// Sends a message to a peer that was looked up by `name`.
    ///
    /// UDP leaves from the socket bound to `hop.local`. A stream takes `hop.connection`; without one it takes a
    /// connection that exists (RFC 3261 section 18.1.1, RFC 5923), over TLS only one whose peer proved `name`; without
    /// that it opens one and queues. A `hop.local` with port 0 lets the wires choose.
    ///
    /// # Errors
    /// What is known at once; what is known later comes as [`Inbound::undeliverable`].
    pub fn send_as(&self, hop: &Hop, name: Option<&str>, bytes: Bytes) -> Result<(), SendError> {
        let sent = match hop.protocol {
            Protocol::Udp => self.send_datagram(hop, bytes),
            _ => self.send_stream(hop, name, bytes),
        };
        if sent.is_err() {
            self.0.core.shared.counters.send_failed.add(1);
        }
        sent
    }

    fn send_datagram(&self, hop: &Hop, bytes: Bytes) -> Result<(), SendError> {
        let local = self.local_of(hop).ok_or(SendError::NoLocal)?;
        let same = |lane: &&Rc<Lane>| lane.local == local;
        let wild = |lane: &&Rc<Lane>| {
            let at = lane.local;
            at.ip().is_unspecified() && at.port() == local.port() && same_family(at, hop.remote)
        };
        let lanes = &self.0.lanes;
        let lane = lanes.iter().find(same).or(lanes.iter().find(wild));
        let lane = lane.ok_or(SendError::NoLocal)?;
        lane.send(&self.0.core, bytes, *hop)
    }

    fn send_stream(&self, hop: &Hop, name: Option<&str>, bytes: Bytes) -> Result<(), SendError> {
        let core = &self.0.core;
        let shared = &core.shared;
        let message = Outgoing { bytes, hop: *hop, shard: core.serial };
        if let Some(id) = hop.connection {
            let connection = shared.table.get(id).ok_or(SendError::Closed)?;
            return connection.push(message, &shared.limits);
        }
        if let Some(connection) = shared.table.find(hop, name) {
            // One that ends at this moment is passed over.
            match connection.push(message.clone(), &shared.limits) {
                Err(SendError::Closed) => {}
                pushed => return pushed,
            }
        }
        if !matches!(hop.protocol, Protocol::Tcp | Protocol::Tls) {
            return Err(SendError::Closed);
        }
        let local = self.local_of(hop).ok_or(SendError::NoLocal)?;
        let permit = shared.table.permit(None, &shared.limits, &shared.counters);
        let permit = permit.ok_or(SendError::TooManyConnections)?;
        let from = Hop { local, ..*hop };
        match shared.table.find_or_enter(from, name, core.serial) {
            Found::Existing(connection) => connection.push(message, &shared.limits),
            Found::New(connection, queue) => {
                let pushed = connection.push(message, &shared.limits);
                spawn_local(open::open(Rc::clone(core), connection, queue, permit));
                pushed
            }
        }
    }

    fn local_of(&self, hop: &Hop) -> Option<SocketAddr> {
        match hop.local.port() {
            0 => self.local_for(hop.protocol, hop.remote),
            _ => Some(hop.local),
        }
    }

    /// Where a URI leads, best first (RFC 3263): try the next when one fails. Literal addresses are answered without
    /// waiting; [`resolve::literal`] does so without a future. Over TLS send to them as the URI's host (RFC 5922).
    ///
    /// # Errors
    /// A URI that leads nowhere, a DNS that does not answer, or too many look-ups under way.
    pub async fn resolve(&self, uri: &Uri<'_>) -> Result<Vec<Target>, ResolveError> {
        locate(self.0.resolver.as_deref(), uri).await
    }

    /// As [`ShardNet::resolve`], for a task that may outlive these wires: it keeps no socket of theirs open.
    pub fn resolving(&self, uri: Box<str>) -> impl Future<Output = Result<Vec<Target>, ResolveError>> + use<> {
        let resolver = self.0.resolver.clone();
        async move {
            let uri = Uri::parse(uri.as_bytes()).map_err(|_| ResolveError::Scheme)?;
            locate(resolver.as_deref(), &uri).await
        }
    }

    /// Which of our listening addresses a peer is reached from: what to write into Via and Contact. Behind a wildcard
    /// it is the address that the kernel's routes choose.
    pub fn local_for(&self, protocol: Protocol, remote: SocketAddr) -> Option<SocketAddr> {
        let ours = self.0.core.shared.listening.iter().filter(|bind| {
            bind.protocol == protocol
                && same_family(bind.address, remote)
                && (bind.address.ip().is_unspecified() || bind.address.ip().is_loopback() == remote.ip().is_loopback())
        });
        // With one listener of its own address there is nothing to choose: the usual case asks the kernel nothing.
        let mut some = ours.clone();
        if let (Some(only), None) = (some.next(), some.next())
            && !only.address.ip().is_unspecified()
        {
            return Some(only.address);
        }
        let source = self.0.routes.source(remote);
        let exact = |bind: &&Bind| Some(bind.address.ip()) == source;
        let wild = |bind: &&Bind| bind.address.ip().is_unspecified();
        if let Some(bind) = ours.clone().find(exact) {
            return Some(bind.address);
        }
        if let (Some(bind), Some(source)) = (ours.clone().find(wild), source) {
            return Some(SocketAddr::new(source, bind.address.port()));
        }
        ours.map(|bind| bind.address).next()
    }
}

impl Inner {
    /// Without a wire yet; tells the shard of what did not leave.
    fn new(shared: &Arc<Shared>, inbound: Rc<dyn Inbound>) -> Self {
        let serial = shared.attached.fetch_add(1, Ordering::Relaxed);
        let core = Rc::new(Core::new(Arc::clone(shared), serial, inbound));
        let (notices, mut receiver) = mpsc::channel(NOTICES_MAX);
        shared.shards.insert(serial, notices);
        let mut inner = Self {
            core: Rc::clone(&core),
            lanes: Vec::new(),
            routes: Routes::new(),
            resolver: None,
            tasks: Vec::new(),
        };
        let telling = Rc::clone(&core);
        inner.run(async move {
            while let Some(notice) = receiver.recv().await {
                telling.undeliverable(notice);
            }
        });
        inner
    }

    fn run(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.push(spawn_local(task).abort_handle());
    }
}

async fn locate(resolver: Option<&Resolver>, uri: &Uri<'_>) -> Result<Vec<Target>, ResolveError> {
    let question = resolve::Question::of(uri)?;
    match question.host {
        Host::Ip(_) => Ok(resolve::literal(uri)?.into_iter().collect()),
        Host::Name(_) => resolver.ok_or(ResolveError::Dns)?.locate(&question).await,
    }
}

const fn same_family(a: SocketAddr, b: SocketAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

//! Two switches in one thread, each with a shard whose events are kept.

use bytes::Bytes;
use sip::net::{Bind, CloseReason, Inbound, NetConfig, Network, SendError, ShardNet};
use sip::{ConnectionId, Hop, ParseError, Protocol};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// Longest wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Message(Bytes, Hop),
    Unframed(ParseError, Bytes, Hop),
    Connected(Hop),
    Closed(Hop, CloseReason),
    Refused(Bytes, Hop),
    Undeliverable(Hop, SendError),
}

struct Recorder(mpsc::UnboundedSender<Event>);

impl Recorder {
    fn note(&self, event: Event) {
        // The test may have ended.
        let _ = self.0.send(event);
    }
}

impl Inbound for Recorder {
    fn message(&self, bytes: Bytes, hop: Hop) {
        assert_ne!(bytes.as_ref(), PANIC, "asked for");
        self.note(Event::Message(bytes, hop));
    }
    fn unframed(&self, error: ParseError, head: Bytes, hop: Hop) {
        self.note(Event::Unframed(error, head, hop));
    }
    fn connected(&self, hop: Hop) {
        self.note(Event::Connected(hop));
    }
    fn closed(&self, hop: Hop, why: CloseReason) {
        self.note(Event::Closed(hop, why));
    }
    fn refused(&self, quoted: Bytes, hop: Hop) {
        self.note(Event::Refused(quoted, hop));
    }
    fn undeliverable(&self, hop: Hop, why: SendError) {
        self.note(Event::Undeliverable(hop, why));
    }
}

/// The message that makes a shard panic.
pub const PANIC: &[u8] = b"PANIC sip:a SIP/2.0\r\nl: 0\r\n\r\n";

/// One shard of one switch.
pub struct Side {
    pub network: Network,
    pub net: ShardNet,
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Side {
    pub fn new(config: NetConfig) -> Self {
        Self::shard_of(&Network::new(config).unwrap())
    }

    pub fn listening(binds: &[(Protocol, &str)]) -> Self {
        Self::new(config(binds))
    }

    pub fn shard_of(network: &Network) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self { network: network.clone(), net: network.attach_shard(Rc::new(Recorder(sender))).unwrap(), events }
    }

    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        let mut ours = self.network.listening().iter();
        ours.find(|b| b.protocol == protocol).unwrap().address
    }

    pub async fn next(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("nothing happened").unwrap()
    }

    pub async fn message(&mut self) -> (Bytes, Hop) {
        match self.next().await {
            Event::Message(bytes, hop) => (bytes, hop),
            other => panic!("no message: {other:?}"),
        }
    }

    pub async fn connected(&mut self) -> ConnectionId {
        match self.next().await {
            Event::Connected(hop) => hop.connection.unwrap(),
            other => panic!("not connected: {other:?}"),
        }
    }

    pub async fn closed(&mut self) -> CloseReason {
        match self.next().await {
            Event::Closed(_, why) => why,
            other => panic!("not closed: {other:?}"),
        }
    }

    pub async fn undeliverable(&mut self) -> (Hop, SendError) {
        match self.next().await {
            Event::Undeliverable(hop, why) => (hop, why),
            other => panic!("not undeliverable: {other:?}"),
        }
    }

    /// A hop to `peer`'s listener; our side chooses its address.
    pub fn to(&self, peer: &Side, protocol: Protocol) -> Hop {
        hop(protocol, peer.address(protocol))
    }
}

pub fn hop(protocol: Protocol, remote: SocketAddr) -> Hop {
    Hop { protocol, local: any(), remote, connection: None }
}

pub fn any() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

pub fn config(binds: &[(Protocol, &str)]) -> NetConfig {
    let bind = |(protocol, address): &(Protocol, &str)| Bind { protocol: *protocol, address: address.parse().unwrap() };
    NetConfig { binds: binds.iter().map(bind).collect(), ..NetConfig::default() }
}

/// A whole message with a body of `len` bytes.
pub fn message(mark: &str, len: usize) -> Bytes {
    let body = "x".repeat(len);
    format!("MESSAGE sip:{mark} SIP/2.0\r\nContent-Length: {len}\r\n\r\n{body}").into()
}

/// Runs a test as a shard runs.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

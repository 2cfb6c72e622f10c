//! The actor that sends what the shards have seen. It never waits for the collector: a datagram that the socket does not take
//! is counted and gone.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use super::{Collector, Seen, packet};
use crate::shared::Shared;
use crate::supervision::{Cx, Live};

/// The least time between two looks for the collector's address, and how long an address is believed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// See the module.
pub struct Exporter {
    shared: Arc<Shared>,
    /// Whom the socket is for.
    collector: Option<Arc<Collector>>,
    socket: Option<UdpSocket>,
    /// A look for the address is under way, or has just been.
    looked: bool,
    /// One packet after the other.
    packet: Vec<u8>,
    shown: u64,
    dropped: u64,
}

impl Exporter {
    /// Shows what `shared` is told.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, collector: None, socket: None, looked: false, packet: Vec::new(), shown: 0, dropped: 0 }
    }

    /// Follows the configuration, which may have named another collector since the last message.
    fn follow(&mut self, cx: &mut Cx<'_, Self>) {
        let wanted = self.shared.settings().hep.clone();
        if self.collector != wanted {
            self.collector = wanted;
            self.socket = None;
            self.look(cx);
        } else if self.socket.is_none() && !self.looked {
            self.look(cx);
        }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(collector) = self.collector.clone() else { return };
        self.looked = true;
        let looking = {
            let collector = Arc::clone(&collector);
            async move {
                let mut found = tokio::net::lookup_host((collector.host.as_str(), collector.port)).await?;
                let to = found.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                socket.connect(to)?;
                Ok::<_, std::io::Error>(socket)
            }
        };
        cx.spawn(looking, move |this, found, cx| {
            if this.collector.as_ref() != Some(&collector) {
                return;
            }
            match found {
                Ok(socket) => this.socket = Some(socket),
                Err(error) => tracing::warn!(host = collector.host, %error, "the collector of HEP is not found"),
            }
            cx.later(LOOK_AGAIN, |this, _| this.looked = false);
        });
    }

    fn show(&mut self, seen: &Seen, cx: &mut Cx<'_, Self>) {
        if self.try_show(seen, cx) {
            self.shown += 1;
            self.shared.hep.shown.increment(1);
        } else {
            self.lost();
        }
    }

    fn try_show(&mut self, seen: &Seen, cx: &mut Cx<'_, Self>) -> bool {
        let (Some(collector), Some(socket)) = (&self.collector, &self.socket) else { return false };
        if !packet::write(&mut self.packet, seen, collector) {
            return false;
        }
        let sent = match socket.send(&self.packet) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                // An earlier one has come back, which is told instead of sending this one, once.
                let sent = socket.send(&self.packet);
                self.lost();
                // The name may lead elsewhere by now.
                if !self.looked {
                    self.look(cx);
                }
                sent
            }
            sent => sent,
        };
        sent.is_ok()
    }

    fn lost(&mut self) {
        self.dropped += 1;
        self.shared.hep.dropped.increment(1);
    }
}

impl Live for Exporter {
    type Msg = Seen;
    const KIND: &'static str = "hep";
    const MAILBOX: usize = 8_192;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.follow(cx);
    }

    fn handle(&mut self, seen: Seen, cx: &mut Cx<'_, Self>) {
        self.follow(cx);
        self.show(&seen, cx);
    }

    fn describe(&self) -> String {
        match &self.collector {
            None => "no collector".into(),
            Some(to) => format!("{}:{}, {} shown, {} dropped", to.host, to.port, self.shown, self.dropped),
        }
    }
}

//! What the tasks of one shard share: its inbound side and its buffers.

use super::{CloseReason, Inbound, Notice, SendError, Shared};
use crate::{Hop, ParseError};
use bytes::Bytes;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// One read of a stream takes at most so much.
pub(crate) const READ_BYTES: usize = 65_536;

pub(crate) struct Core {
    pub shared: Arc<Shared>,
    /// Number of this attachment; never used twice.
    pub serial: usize,
    inbound: Rc<dyn Inbound>,
    scratch: RefCell<Vec<u8>>,
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, serial: usize, inbound: Rc<dyn Inbound>) -> Self {
        Self { shared, serial, inbound, scratch: RefCell::default() }
    }

    /// Lends the shard's read buffer: connections that wait hold none.
    pub(crate) fn with_scratch<T>(&self, read: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.take();
        scratch.resize(READ_BYTES, 0);
        let result = read(&mut scratch);
        self.scratch.replace(scratch);
        result
    }

    pub(crate) fn message(&self, bytes: Bytes, hop: Hop) {
        self.shared.counters.received(hop.protocol, bytes.len());
        self.guard(|inbound| inbound.message(bytes, hop));
    }

    pub(crate) fn unframed(&self, error: ParseError, head: Bytes, hop: Hop) {
        self.shared.counters.unframed.add(1);
        self.guard(|inbound| inbound.unframed(error, head, hop));
    }

    pub(crate) fn connected(&self, hop: Hop) {
        self.guard(|inbound| inbound.connected(hop));
    }

    pub(crate) fn closed(&self, hop: Hop, why: CloseReason) {
        self.guard(|inbound| inbound.closed(hop, why));
    }

    pub(crate) fn undeliverable(&self, notice: Notice) {
        self.guard(|inbound| inbound.undeliverable(notice.hop, notice.why));
    }

    /// Tells the shard that sent a message that it will not arrive.
    pub(crate) fn lost(&self, shard: usize, hop: Hop, why: SendError) {
        let counters = &self.shared.counters;
        counters.send_failed.add(1);
        let told = match self.shared.shards.get(&shard) {
            Some(notices) => notices.try_send(Notice { hop, why }).is_ok(),
            None => false,
        };
        if !told {
            counters.notices_dropped.add(1);
        }
    }

    /// Tells the shard of a datagram that came back.
    pub(crate) fn refused(&self, quoted: Bytes, hop: Hop) {
        self.shared.counters.refused.add(1);
        self.guard(|inbound| inbound.refused(quoted, hop));
    }

    /// A fault of the shard stays there: the sockets go on.
    fn guard(&self, call: impl FnOnce(&dyn Inbound)) {
        let inbound = &*self.inbound;
        if catch_unwind(AssertUnwindSafe(|| call(inbound))).is_err() {
            self.shared.counters.inbound_panics.add(1);
            tracing::error!("a shard panicked over a message; the message is lost");
        }
    }
}

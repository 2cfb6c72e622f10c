//! The shard's door: bytes come in, and either belong to another shard, are refused, or go to the transaction layer.

use bytes::Bytes;
use sip::net::{CloseReason, Inbound, SendError};
use sip::{Hop, Message, Method, ParseError, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use super::core::Core;
use super::signalling::SignallingMsg;
use crate::hep::Direction;

/// What the network calls. The core holds the network, so the network does not hold the core.
pub struct Door(Weak<Core>);

impl Door {
    /// The door of a shard.
    pub fn new(core: &Rc<Core>) -> Self {
        Self(Rc::downgrade(core))
    }

    /// A fault in reading one message costs that message and nothing else (design law 3).
    fn guarded(&self, what: &'static str, f: impl FnOnce(&Core)) {
        let Some(core) = self.0.upgrade() else { return };
        if catch_unwind(AssertUnwindSafe(|| f(&core))).is_err() {
            core.shared.counters.faults.increment(1);
            tracing::error!(shard = core.shard, what, "a fault while reading a message; the message is dropped");
        }
    }
}

impl Inbound for Door {
    fn message(&self, bytes: Bytes, hop: Hop) {
        self.guarded("message", |core| core.received(bytes, hop));
    }

    fn unframed(&self, error: ParseError, head: Bytes, hop: Hop) {
        self.guarded("framing", |core| {
            core.shared.counters.malformed.increment(1);
            if let Some(answer) = sip::message::refuse(&head, error) {
                core.send(&hop, answer.into());
            }
        });
    }

    fn connected(&self, _: Hop) {}

    fn closed(&self, hop: Hop, _: CloseReason) {
        self.guarded("close", |core| core.unreachable(&hop));
    }

    fn refused(&self, quoted: Bytes, hop: Hop) {
        self.guarded("refusal", |core| {
            if core.refused(&quoted, &hop) {
                return;
            }
            // Of the sockets that share a port the kernel tells any one.
            for other in (0..core.shared.shards()).filter(|other| *other != core.shard) {
                if let Some(neighbour) = core.shared.signalling(other) {
                    // One that is too busy hears it by its timer F or B.
                    let _ = neighbour.try_send(SignallingMsg::Refused { quoted: quoted.clone(), hop });
                }
            }
        });
    }

    fn undeliverable(&self, hop: Hop, _: SendError) {
        self.guarded("failure", |core| core.unreachable(&hop));
    }
}

impl Core {
    /// One whole message from the network.
    pub(super) fn received(&self, bytes: Bytes, hop: Hop) {
        self.show(Direction::In, &bytes, &hop);
        let message = match Message::parse(bytes.clone()) {
            Ok(message) => message,
            Err(error) => {
                self.shared.counters.malformed.increment(1);
                if let Some(answer) = sip::message::refuse(&bytes, error)
                    && self.buckets.borrow_mut().admit(hop.remote.ip(), self.now())
                {
                    self.send(&hop, answer.into());
                }
                return;
            }
        };
        let home = self.home(&message);
        if home == self.shard {
            self.local(message, hop);
            return;
        }
        let Some(neighbour) = self.shared.signalling(home) else { return };
        if let Err(refused) = neighbour.try_send(SignallingMsg::Received { message, hop })
            && let SignallingMsg::Received { message, hop } = refused.into_inner()
        {
            self.refuse_overload(&message, &hop);
        }
    }

    /// Whose message it is: by the address of record for a REGISTER, so that one registrar alone writes an entry;
    /// otherwise by Call-ID, so that both legs and all requests of a call meet on one thread.
    fn home(&self, message: &Message) -> usize {
        let shards = self.shared.shards();
        if shards < 2 {
            return 0;
        }
        if *message.method() == Method::Register
            && message.is_request()
            && let Ok(to) = message.to()
            && let Ok(uri) = sip::value::Uri::parse(to.uri)
        {
            let user = uri.user_text().unwrap_or_default();
            let directory = self.shared.directory();
            let name = directory.find(&user).map_or(user.as_str(), |u| u.name.as_str());
            return super::home_of(name.as_bytes(), shards);
        }
        // An INVITE that replaces a dialog joins the call that the dialog belongs to (RFC 3891).
        if *message.method() == Method::Invite
            && message.is_request()
            && message.to_tag().is_none()
            && let Some(value) = message.value(sip::Name::Replaces)
            && let Ok(replaces) = sip::dialog::replaces::Replaces::parse(value)
        {
            // Its own Call-ID is known to live there once it is accepted: a stranger's INVITE leaves nothing behind.
            let home = super::home_of(&replaces.call_id, shards);
            return self.shared.moved(&replaces.call_id).unwrap_or(home);
        }
        let home = super::home_of(message.call_id(), shards);
        self.shared.moved(message.call_id()).unwrap_or(home)
    }

    /// A message of this shard.
    pub(super) fn local(&self, message: Message, hop: Hop) {
        if !message.is_request() {
            self.with_layer(|layer, now, out| layer.receive(now, message, hop, out));
            return;
        }
        // A neighbour that is trusted by its address has bounds of its own (calls at once); strangers have tokens.
        if self.gateway_of(&hop).is_none() && !self.buckets.borrow_mut().admit(hop.remote.ip(), self.now()) {
            self.refuse_overload(&message, &hop);
            return;
        }
        self.with_layer(|layer, now, out| layer.receive(now, message, hop, out));
    }

    fn refuse_overload(&self, message: &Message, hop: &Hop) {
        self.shared.counters.refused_overload.increment(1);
        if message.is_request() && *message.method() != Method::Ack {
            let bytes = self.plain_response(message, Status::SERVICE_UNAVAILABLE, None);
            self.send(&sip::transaction::response_hop(message, hop), bytes);
        }
    }
}

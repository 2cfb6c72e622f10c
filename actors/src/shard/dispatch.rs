//! Who takes a new request: the call of its dialog, a new call, the registrar, the message relay, the notifier.

use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Name, Status};
use std::sync::atomic::Ordering::Relaxed;

use super::core::{Core, Owner};
use super::gate::{ALLOW, Identity, SUPPORTED};
use crate::call::{CallMsg, LegId};
use crate::gateway::KeeperMsg;
use crate::messages::RelayMsg;
use crate::registrar::RegistrarMsg;
use crate::subscriptions::SubscriptionMsg;

impl Core {
    /// A request that begins a transaction: a dialog's goes to its dialog, any other first past the gate.
    pub(super) fn dispatch(&self, server: ServerId, message: Message, hop: Hop) {
        if let Some(local_tag) = message.to_tag() {
            self.in_dialog(server, &message, local_tag, hop);
            return;
        }
        let identity = match self.judge(&message, &hop) {
            Ok(identity) => identity,
            Err(answer) => return self.refuse(server, answer),
        };
        match message.method() {
            Method::Invite => self.new_call(server, message, hop, identity),
            Method::Register => {
                let msg = RegistrarMsg::Register { server, message, hop, identity };
                if let Err(refused) = self.registrar.try_send(msg)
                    && let RegistrarMsg::Register { message, .. } = refused.into_inner()
                {
                    self.overloaded(server, &message);
                }
            }
            Method::Message => {
                let msg = RelayMsg::Request { server, message, identity };
                if let Err(refused) = self.relay.try_send(msg)
                    && let RelayMsg::Request { message, .. } = refused.into_inner()
                {
                    self.overloaded(server, &message);
                }
            }
            Method::Subscribe => self.subscribe(server, message, hop, identity),
            Method::Options => {
                self.asked_by(&hop);
                let mut writer = self.response(&message, Status::OK, None);
                writer
                    .header(Name::Allow, ALLOW)
                    .header(Name::Supported, SUPPORTED)
                    .header(Name::Accept, "application/sdp")
                    .header(Name::AllowEvents, crate::subscriptions::ALLOW_EVENTS);
                self.respond(server, Status::OK, writer.finish());
            }
            _ => self.answer(server, &message, Status::METHOD_NOT_ALLOWED, None),
        }
    }

    /// Somebody asks whether we are there. A gateway that does is there itself.
    fn asked_by(&self, hop: &Hop) {
        if let Some(standing) = self.gateway_of(hop) {
            // One that asks too much is heard again with its next.
            let _ = standing.seat().try_send(KeeperMsg::Asks);
        }
    }

    fn in_dialog(&self, server: ServerId, message: &Message, local_tag: &[u8], hop: Hop) {
        if let Some((key, leg)) = self.dialog(message.call_id(), local_tag) {
            self.claim(server, Owner::Call(key, leg));
            if !self.calls.borrow().contains_key(&key) {
                self.answer(server, message, Status::CALL_DOES_NOT_EXIST, None);
                return;
            }
            let msg = CallMsg::Request { server, leg, message: message.clone(), hop };
            if !self.ask_call(key, msg) {
                // A peer floods its dialog: it asks again (RFC 3261 section 21.5.4).
                self.overloaded(server, message);
            }
            return;
        }
        if *message.method() == Method::Subscribe {
            self.subscribe(server, message.clone(), hop, Identity::Anybody);
            return;
        }
        self.answer(server, message, Status::CALL_DOES_NOT_EXIST, None);
    }

    fn subscribe(&self, server: ServerId, message: Message, hop: Hop, identity: Identity) {
        let msg = SubscriptionMsg::Subscribe { server, message, hop, identity };
        if let Err(refused) = self.subscriptions.try_send(msg)
            && let SubscriptionMsg::Subscribe { message, .. } = refused.into_inner()
        {
            self.overloaded(server, &message);
        }
    }

    /// An ACK that the layer could not tie to a transaction: that of a 2xx whose transaction is gone. Its dialog, if
    /// any, has nothing more to learn from it.
    pub(super) fn ack(&self, message: Message, _: Hop) {
        if let Some(tag) = message.to_tag()
            && let Some((key, leg)) = self.dialog(message.call_id(), tag)
        {
            self.tell_call(key, CallMsg::Ack { leg, message });
        }
    }

    fn new_call(&self, server: ServerId, message: Message, hop: Hop, identity: Identity) {
        if let Some(value) = message.value(Name::Replaces) {
            self.replace(server, &message, hop, identity, value);
            return;
        }
        let settings = self.shared.settings();
        if self.shared.draining.load(Relaxed) {
            self.overloaded(server, &message);
            return;
        }
        if self.shared.calls_alive.fetch_add(1, Relaxed) >= settings.admission.calls_max {
            self.shared.calls_alive.fetch_sub(1, Relaxed);
            self.overloaded(server, &message);
            return;
        }
        let key = self.new_call_key();
        if let Err(error) = crate::call::start(self, key, server, message.clone(), hop, identity) {
            tracing::warn!(shard = self.shard, %error, "a call was not started");
            self.shared.calls_alive.fetch_sub(1, Relaxed);
            self.overloaded(server, &message);
        }
    }

    /// A call that the switch makes itself.
    pub(super) fn play(&self, play: std::sync::Arc<crate::mail::Play>) {
        let most = self.shared.settings().admission.calls_max;
        let full = self.shared.calls_alive.fetch_add(1, Relaxed) >= most;
        if full || self.shared.draining.load(Relaxed) {
            self.shared.calls_alive.fetch_sub(1, Relaxed);
            return play.over(Status::SERVICE_UNAVAILABLE.code(), "the switch takes no more calls");
        }
        let key = self.new_call_key();
        if let Err(error) = crate::call::start_play(self, key, std::sync::Arc::clone(&play)) {
            tracing::warn!(shard = self.shard, %error, "a call was not started");
            self.shared.calls_alive.fetch_sub(1, Relaxed);
            play.over(Status::SERVICE_UNAVAILABLE.code(), "the switch takes no more calls");
        }
    }

    /// An INVITE that takes the place of a leg (RFC 3891 section 3).
    fn replace(&self, server: ServerId, message: &Message, hop: Hop, identity: Identity, value: &[u8]) {
        let Ok(replaces) = sip::dialog::replaces::Replaces::parse(value) else {
            self.answer(server, message, Status::BAD_REQUEST, Some("Replaces malformed"));
            return;
        };
        // The to-tag of Replaces is ours: it names the dialog as its other end sees it.
        let Some((key, leg)) = self.dialog(&replaces.call_id, &replaces.to_tag) else {
            self.answer(server, message, Status::CALL_DOES_NOT_EXIST, None);
            return;
        };
        self.claim(server, Owner::Call(key, LegId::NEWCOMER));
        let msg = CallMsg::Replace { server, leg, replaces, message: message.clone(), hop, identity };
        if !self.ask_call(key, msg) {
            self.overloaded(server, message);
        }
    }

    /// The mailbox of whoever should take the request is full: 503 with Retry-After (design law 6).
    fn overloaded(&self, server: ServerId, message: &Message) {
        self.shared.counters.refused_overload.increment(1);
        self.answer(server, message, Status::SERVICE_UNAVAILABLE, None);
    }
}

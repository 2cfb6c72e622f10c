//! A gateway is told how many messages somebody behind it has (RFC 3842), without having asked: the NOTIFY of a PBX.

use sip::{Message, Method, Name};

use super::actor::Keeper;
use crate::lamps::SUMMARY;
use crate::mail::LamplighterMsg;
use crate::shard::RequestId;
use crate::shard::core::random_token;
use crate::supervision::Reply;

/// Lamps whose answer has not come, at most.
const WAITING_MAX: usize = 64;

/// A NOTIFY that waits for its answer.
pub struct Lamp {
    request: Option<RequestId>,
    call_id: String,
    reply: Reply<u16>,
}

impl Keeper {
    /// Sends what a phone behind the gateway is to show; the reply is the final status.
    pub(super) fn light(&self, number: &str, body: &str, reply: Reply<u16>) {
        if self.standing().life.notes.lock().lamps.len() >= WAITING_MAX {
            return reply.send(503);
        }
        let (call_id, tag) = (self.core().new_call_id(), random_token(8));
        // It stands there before it goes: a refusal may come at once.
        self.standing().life.notes.lock().lamps.push(Lamp { request: None, call_id: call_id.clone(), reply });
        let uri = self.standing().gateway.uri(number);
        let request = self.send(&Method::Notify, &uri, (&call_id, &tag, 1), |mut writer, _| {
            writer
                .header(Name::Event, "message-summary")
                .header(Name::SubscriptionState, "terminated;reason=noresource");
            writer.body(SUMMARY, body.as_bytes())
        });
        let mut notes = self.standing().life.notes.lock();
        let Some(at) = notes.lamps.iter().position(|lamp| lamp.call_id == call_id) else { return };
        match notes.lamps.get_mut(at).filter(|_| request.is_some()) {
            Some(lamp) => lamp.request = request,
            None => notes.lamps.swap_remove(at).reply.send(503),
        }
    }

    /// The gateway has answered.
    pub(super) fn lit(&self, message: &Message) {
        let mut notes = self.standing().life.notes.lock();
        let at = notes.lamps.iter().position(|lamp| lamp.call_id.as_bytes() == message.call_id());
        if let Some((at, status)) = at.zip(message.status()) {
            notes.lamps.swap_remove(at).reply.send(status.code());
        }
    }

    /// The gateway has not answered; true when it was a lamp.
    pub(super) fn not_lit(&self, request: RequestId) -> bool {
        let mut notes = self.standing().life.notes.lock();
        let Some(at) = notes.lamps.iter().position(|lamp| lamp.request == Some(request)) else { return false };
        notes.lamps.swap_remove(at).reply.send(408);
        true
    }

    /// The gateway was gone.
    pub(super) fn is_back(&self, name: &str) {
        tracing::info!(gateway = name, "the gateway is back");
        // Its lamps may show anything. A lamplighter that has that much to do tells them all soon enough.
        let _refreshed = self.core().shared.mailroom.lamplighter.try_send(LamplighterMsg::Back(name.to_owned()));
    }
}

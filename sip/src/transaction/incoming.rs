//! Messages that arrive: matched to their transaction (RFC 3261 sections 17.1.3, 17.2.3), or new, merged, cancelled,
//! acknowledged, stray.

use super::key::Key;
use super::table::{Machine, Owner, Place};
use super::{ClientId, INVITE, Layer, Output, Outputs, ServerId, response_hop};
use crate::message::respond;
use crate::{Hop, Message, Method, Status};
use std::time::Duration;

impl<O: Copy + PartialEq> Layer<O> {
    /// Takes a message from the wires.
    pub fn receive(&mut self, now: Duration, message: Message, hop: Hop, out: &mut Outputs<O>) {
        if !message.is_request() {
            return self.response(now, message, hop, out);
        }
        if *message.method() == Method::Ack {
            return self.acknowledged(now, message, hop, out);
        }
        let key = self.keys.server(&message, message.method());
        if let Some(place) = self.table.find(key) {
            let effects = match self.table.get(place).map(|t| &t.machine) {
                Some(Machine::ServerInvite(m)) => m.repeated(),
                Some(Machine::ServerOther(m)) => m.repeated(),
                _ => return,
            };
            return self.carry_out(now, place, effects, None, out);
        }
        let message = message.stamp_received(&hop);
        if *message.method() == Method::Cancel {
            return self.cancelled(now, key, message, hop, out);
        }
        let outside = message.to_tag().is_none();
        let call = (outside || message.method() == INVITE)
            .then(|| self.keys.call(&message, message.method(), message.to_tag()));
        if outside && call.is_some_and(|c| self.table.find_call(c).is_some()) {
            // Section 8.2.2.2: the same request came over two ways.
            return self.answer(now, key, &message, hop, Status::LOOP_DETECTED, out);
        }
        let room = self.table.room() > if outside { self.reserve } else { 0 };
        let way = response_hop(&message, &hop);
        let place = room.then(|| self.serve(now, key, call, &message, way, Owner::Nobody, out)).flatten();
        out.push(match place.map(ServerId) {
            Some(server) => Output::Request { server, message, hop },
            None => Output::Overload { message, hop: way },
        });
    }

    fn response(&mut self, now: Duration, message: Message, hop: Hop, out: &mut Outputs<O>) {
        let timers = self.timers;
        let key = self.keys.client(message.branch(), message.method());
        let place = self.table.find(key);
        let transaction = place.and_then(|p| self.table.get(p));
        let (Some(place), Some(transaction), Some(status)) = (place, transaction, message.status()) else {
            return out.push(Output::Stray { message, hop });
        };
        let reliable = transaction.hop.protocol.is_reliable();
        let mut way = None;
        let effects = match &mut transaction.machine {
            Machine::ClientInvite(m) => {
                let effects = m.response(timers, reliable, &message);
                way = m.ack_hop(message.to_tag()).filter(|_| status.is_success());
                effects
            }
            Machine::ClientOther(m) => m.response(timers, reliable, status),
            Machine::ServerInvite(_) | Machine::ServerOther(_) => return,
        };
        let news = match transaction.owner {
            Owner::User(owner) if effects.pass => {
                Some(Output::Response { client: ClientId(place), owner, message, hop })
            }
            Owner::Gone if effects.pass && status.is_success() => Some(Output::Stray { message, hop }),
            _ => None,
        };
        self.carry_out(now, place, effects, way, out);
        out.extend(news);
    }

    /// An ACK: of a refusal on the INVITE's own branch, of a 2xx on another.
    fn acknowledged(&mut self, now: Duration, message: Message, hop: Hop, out: &mut Outputs<O>) {
        let timers = self.timers;
        let own = self.keys.server(&message, INVITE);
        let place = self.table.find(own).or_else(|| {
            let call = |to_tag| self.table.find_call(self.keys.call(&message, INVITE, to_tag));
            call(message.to_tag()).or_else(|| call(None))
        });
        let Some((place, transaction)) = place.and_then(|p| Some((p, self.table.get(p)?))) else {
            return out.push(Output::Ack { message, hop });
        };
        let reliable = transaction.hop.protocol.is_reliable();
        let owner = transaction.owner.user();
        let key = transaction.key;
        let Machine::ServerInvite(invite) = &mut transaction.machine else {
            return;
        };
        let effects = match invite.ack_success() {
            Some(effects) => effects,
            None if own == key => invite.ack(timers, reliable),
            None => return out.push(Output::Ack { message, hop }),
        };
        let news = effects.pass;
        self.carry_out(now, place, effects, None, out);
        if news {
            let server = ServerId(place);
            out.push(Output::Acked { server, owner, message });
        }
    }

    /// Section 9.2.
    fn cancelled(&mut self, now: Duration, key: Key, message: Message, hop: Hop, out: &mut Outputs<O>) {
        let place = self.table.find(self.keys.server(&message, INVITE));
        let Some((place, transaction)) = place.and_then(|p| Some((p, self.table.get(p)?))) else {
            return self.answer(now, key, &message, hop, Status::CALL_DOES_NOT_EXIST, out);
        };
        let owner = transaction.owner.user();
        let Machine::ServerInvite(invite) = &transaction.machine else {
            return;
        };
        // Section 9.2: the tag of the answers to the INVITE and to its CANCEL should be the same.
        let open = invite.is_open();
        let tag = invite
            .known()
            .and_then(|m| m.to_tag().map(|t| String::from_utf8_lossy(t).into_owned()))
            .unwrap_or_else(|| tag(transaction.key));
        let way = response_hop(&message, &hop);
        let bytes = respond(&message, Status::OK, None, Some(&tag));
        match self.serve(now, key, None, &message, way, Owner::Layer, out) {
            Some(cancel) => self.respond(now, ServerId(cancel), Status::OK, bytes, out),
            None => out.push(Output::Send { bytes, hop: way }),
        }
        if open {
            let server = ServerId(place);
            out.push(Output::Cancel { server, owner, message });
        }
    }

    /// Answers a request without the user, in a transaction when there is room for one.
    fn answer(&mut self, now: Duration, key: Key, message: &Message, hop: Hop, status: Status, out: &mut Outputs<O>) {
        let hop = response_hop(message, &hop);
        match self.serve(now, key, None, message, hop, Owner::Layer, out) {
            Some(place) => self.refuse(now, place, message, status, out),
            None => {
                let bytes = respond(message, status, None, Some(&tag(key)));
                out.push(Output::Send { bytes, hop });
            }
        }
    }

    pub(super) fn refuse(
        &mut self,
        now: Duration,
        place: Place,
        known: &Message,
        status: Status,
        out: &mut Outputs<O>,
    ) {
        if let Some(key) = self.table.get(place).map(|t| t.key) {
            let bytes = respond(known, status, None, Some(&tag(key)));
            self.respond(now, ServerId(place), status, bytes, out);
        }
    }
}

/// A To tag for the layer's own answers: the same for the same request, and not to be guessed.
fn tag(key: Key) -> String {
    format!("{:016x}", key.0)
}

//! Keys of a call: those that come by SIP INFO, and those that go to a party by it.
//!
//! A party is told keys as telephone-events where it has agreed to them, else as tones: the pool sees to both. By INFO it is told
//! them where its user says so (`dtmf = "info"`), or where it has no telephone-events and shows that it knows keys in INFO: it has
//! sent one so, or its Accept names them.

use media::dtmf::Key;
use media::{Press, Side};
use sip::transaction::ServerId;
use sip::{KeyForm, KeyPress, Message, Method, Name, Status};

use super::Work;
use super::leg::{Leg, LegId, LegState};
use super::media::Agreement;
use crate::shard::RequestId;

/// Keys that wait to be told in INFO at once; a further one is not told.
const KEYS_MAX: usize = 32;
/// What we know in INFO (RFC 6086 section 4.2.2: what a 415 names).
const ACCEPTED: &str = "application/dtmf-relay, application/dtmf";

/// A key on its way to a party. One is under way at a time, so that they come in their order.
pub struct Told {
    to: LegId,
    press: KeyPress,
    client: Option<RequestId>,
}

impl Told {
    /// The request is called otherwise from now on.
    pub fn renamed(&mut self, before: RequestId, now: RequestId) {
        if self.client == Some(before) {
            self.client = Some(now);
        }
    }
}

impl Leg {
    /// The form in which the party is told keys by INFO, if it is.
    pub fn told_keys(&self, agreement: &Agreement) -> Option<KeyForm> {
        let shown = self.pressed_by_info.or(self.abilities.keys);
        let has_events = agreement.remote.payloads.iter().any(|payload| payload.events);
        match self.user.as_ref().is_some_and(|user| user.keys_by_info) {
            true => Some(shown.unwrap_or(KeyForm::Relay)),
            false => shown.filter(|_| !has_events),
        }
    }
}

impl Work<'_> {
    /// An INFO on a leg (RFC 6086).
    pub fn info(&mut self, server: ServerId, id: LegId, request: Message) {
        let form = request.value(Name::ContentType).and_then(KeyForm::of_content_type);
        // What belongs to an Info Package is not ours, whatever its body.
        let form = form.filter(|_| request.value_of("Info-Package").is_none());
        if let Some(form) = form {
            return self.key_by_info(server, id, form, request);
        }
        let other = self.state.other(id).and_then(|other| self.state.leg(other));
        if other.is_some_and(|other| other.state == LegState::Confirmed) {
            return self.pass(server, id, request);
        }
        let (status, header) = if request.value_of("Info-Package").is_some() {
            // Section 5.2: what we are willing to receive is nothing.
            (Status::BAD_INFO_PACKAGE, Some(("Recv-Info", "")))
        } else if request.body().is_empty() {
            (Status::OK, None)
        } else {
            (Status::UNSUPPORTED_MEDIA_TYPE, Some(("Accept", ACCEPTED)))
        };
        let mut writer = self.reply_inside(id, &request, status, None);
        if let Some((name, value)) = header {
            writer.named(name, value.as_bytes());
        }
        self.respond(id, server, request.method(), status, writer.finish());
    }

    /// A key of a party.
    fn key_by_info(&mut self, server: ServerId, id: LegId, form: KeyForm, request: Message) {
        let Ok(press) = KeyPress::read(form, request.body()) else {
            return self.answer_plain(id, server, &request, Status::BAD_REQUEST, Some("No Key In The Body"));
        };
        let Some(leg) = self.state.leg_mut(id) else { return };
        let (side, confirmed) = (leg.side, leg.state == LegState::Confirmed);
        if leg.pressed_by_info.replace(form).is_none() && confirmed {
            // It knows keys in INFO: it may be told them so from now on.
            self.connect_side(id);
        }
        let other = self.state.other(id).and_then(|other| self.state.leg(other));
        let Some(other) = other.filter(|other| other.state == LegState::Confirmed) else {
            if self.state.service.is_none() {
                // Nobody is there yet who could be told.
                return self.answer_plain(id, server, &request, Status::TEMPORARILY_UNAVAILABLE, None);
            }
            self.answer_plain(id, server, &request, Status::OK, None);
            self.pressed(side, press, "by INFO");
            return self.give_to_pool(side, press);
        };
        let agreement = other.agreement();
        let by_info = agreement.as_ref().and_then(|agreement| other.told_keys(agreement));
        let coded = agreement
            .is_some_and(|agreement| agreement.remote.payloads.iter().any(|payload| payload.sound_hz().is_some()));
        if by_info.is_none() && !coded {
            // Neither of the two is spoken to by the switch itself: it may know the body.
            return self.pass(server, id, request);
        }
        self.answer_plain(id, server, &request, Status::OK, None);
        self.pressed(side, press, "by INFO");
        if by_info.is_none() {
            self.give_to_pool(side, press);
        }
    }

    /// A party has pressed a key, in its media or `by INFO`.
    pub fn pressed(&mut self, side: Side, press: KeyPress, how: &str) {
        let KeyPress { digit, duration_ms } = press;
        let what = format!("key {digit} on side {side:?}, {duration_ms} ms {how}");
        if self.state.talk.is_some() && side == Side::A {
            // Which key it was may be part of a PIN: it is in no record.
            return self.talk_key(digit);
        }
        if self.asked_key(side, digit) {
            return;
        }
        self.note(None, super::What::Media { what: what.trim_end().to_owned().into() });
        let of_side = |leg: &&Leg| leg.side == side && leg.state == LegState::Confirmed;
        let from = self.state.legs.iter().find(of_side).map(|leg| leg.id);
        let Some(to) = from.and_then(|from| self.state.other(from)) else { return };
        let told = self.state.leg(to).is_some_and(|leg| {
            leg.state == LegState::Confirmed && leg.agreement().is_some_and(|with| leg.told_keys(&with).is_some())
        });
        if told && self.state.told.len() < KEYS_MAX {
            self.state.told.push(Told { to, press, client: None });
            self.tell_next(to);
        }
    }

    /// The pool takes the key to the other party and to a recording.
    fn give_to_pool(&self, by: Side, press: KeyPress) {
        let (Some(flow), Some(key)) = (&self.state.flow, Key::of_digit(press.digit)) else { return };
        if flow.press(Press { by, key, duration_ms: press.duration_ms }).is_err() {
            tracing::warn!(flow = ?flow.id(), "the media worker is too busy for a key");
        }
        flow.wake();
    }

    /// Tells a party its next key, unless one is under way.
    fn tell_next(&mut self, to: LegId) {
        let mut mine = self.state.told.iter_mut().filter(|told| told.to == to);
        let Some(press) = mine.next().filter(|told| told.client.is_none()).map(|told| told.press) else { return };
        let form = self.state.leg(to).and_then(|leg| leg.told_keys(&leg.agreement()?)).unwrap_or(KeyForm::Relay);
        let body = press.body(form);
        let client = self.send_inside(to, &Method::Info, |writer| writer.body(form.content_type(), body.as_bytes()));
        match self.state.told.iter_mut().find(|told| told.to == to) {
            Some(told) if client.is_some() => told.client = client,
            _ => self.state.told.retain(|told| told.to != to),
        }
    }

    /// The answer to a key that was told; true when it was one. A refused key is told to nobody.
    pub fn told_back(&mut self, client: RequestId, status: Status) -> bool {
        let Some(at) = self.state.told.iter().position(|told| told.client == Some(client)) else { return false };
        if !status.is_final() {
            return true;
        }
        let told = self.state.told.remove(at);
        self.tell_next(told.to);
        // A dialog that the party no longer knows is over (RFC 3261 section 12.2.1.2): who looks after that is to see it.
        !matches!(status.code(), 481 | 408)
    }
}

//! Provisional answers: early dialogs, early media, and what the caller hears of them (RFC 3262).

use media::{Side, Source};
use sip::dialog::Dialog;
use sip::dialog::reliable::{Sent, Verdict};
use sip::sdp::{Carrier, Meaning};
use sip::{Message, Method, Name, Status};

use super::begin::description;
use super::leg::{Abilities, LegId, Unpracked};
use super::record::{Said, What};
use super::{Work, media as audio};

impl Work<'_> {
    /// 18x: an early dialog, perhaps early media, perhaps to be acknowledged (RFC 3262).
    pub fn progress(&mut self, id: LegId, response: &Message, status: Status) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        leg.abilities = Abilities::of(response);
        leg.turn_to(response);
        let rack = match leg.reliable_received.judge(response) {
            Verdict::Drop => return,
            Verdict::Plain => None,
            Verdict::Prack(rack) => Some(rack),
        };
        let reliable = rack.is_some();
        let carrier = if reliable { Carrier::ReliableProvisional } else { Carrier::UnreliableProvisional };
        let body = description(response).ok().flatten();
        let has_media = body.is_some();
        let meaning = leg.exchange.received(carrier, body).unwrap_or(Meaning::Ignored);
        if let Some(rack) = rack {
            self.send_inside(id, &Method::Prack, |mut writer| {
                writer.header(Name::RAck, rack);
                writer.finish()
            });
        }
        if super::begin::is_answer(meaning) {
            self.connect_side(id);
        }
        self.play_rings();
        if self.transfer_progress(id, status) {
            return;
        }
        if super::begin::is_answer(meaning) {
            self.state.heard = Some(id);
        }
        self.tell_caller(id, status, has_media && super::begin::is_answer(meaning));
    }

    /// Passes a provisional answer on to the caller, with the early media's description when there is some.
    fn tell_caller(&mut self, from: LegId, status: Status, with_media: bool) {
        let answer = with_media.then(|| self.answer_for_caller(from)).flatten();
        let has_media = answer.is_some();
        let Some(caller) = self.state.caller() else { return };
        let Some((server, invite)) = caller.server.clone() else { return };
        if caller.told == Some((status, has_media)) && !has_media {
            return;
        }
        if caller.dialog.is_none() {
            caller.dialog = Dialog::of_server(&invite, &caller.tag).ok();
        }
        let reliable = caller.abilities.reliable_required || (caller.abilities.reliable && has_media);
        if reliable && caller.unpracked != Unpracked::Nothing {
            // RFC 3262 section 3: one at a time. What this one would have said, the answer says.
            return;
        }
        caller.told = Some((status, has_media));
        let carrier = if reliable { Carrier::ReliableProvisional } else { Carrier::UnreliableProvisional };
        // An answer that went out reliably is the answer; it is not said again.
        let body = answer.filter(|a| {
            matches!(caller.exchange.sent(carrier, Some(a.clone())), Ok(Meaning::Answer | Meaning::Preview))
        });
        let rseq = if reliable { caller.reliable_sent.as_mut().map_or(1, Sent::next_rseq) } else { 0 };
        let mut writer = self.reply_inside(LegId::CALLER, &invite, status, None);
        if reliable {
            writer.header(Name::Require, "100rel").header(Name::RSeq, rseq.to_string());
        }
        let bytes = match &body {
            Some(body) => writer.body("application/sdp", body.print().as_bytes()),
            None => writer.finish(),
        };
        if reliable {
            if self.core.respond_reliably(server, rseq, bytes) {
                if let Some(caller) = self.state.caller() {
                    caller.unpracked = if body.is_some() { Unpracked::Description } else { Unpracked::Plain };
                }
                let to = self.state.leg(LegId::CALLER).map(|l| l.hop);
                self.note(
                    Some(LegId::CALLER),
                    What::Sent { message: Said::response(status, &Method::Invite), to: to.map(Into::into) },
                );
            }
        } else {
            self.respond(LegId::CALLER, server, invite.method(), status, bytes);
        }
        if body.is_some() {
            self.connect_side(LegId::CALLER);
            if let Some(flow) = &self.state.flow {
                audio::hear(flow, Side::A, Source::Peer);
            }
        }
    }
}

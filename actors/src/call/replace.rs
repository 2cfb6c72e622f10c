//! A phone takes a call over: INVITE with Replaces (RFC 3891).

use media::Side;
use sip::dialog::Dialog;
use sip::dialog::replaces::Replaces;
use sip::sdp::{Carrier, Direction, Session, redirect, relay_answer};
use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Status};

use super::begin::description;
use super::leg::{Leg, LegId, LegState};
use super::record::{Said, What};
use super::{Work, media as audio};
use crate::shard::{Identity, home_of};
use crate::user_lines::UserLine;

impl Work<'_> {
    /// An INVITE that replaces a leg: a phone takes a call over (RFC 3891 section 3).
    pub fn replace(
        &mut self,
        server: ServerId,
        old: LegId,
        replaces: &Replaces,
        invite: Message,
        hop: Hop,
        identity: Identity,
    ) {
        let refuse = |work: &Self, status| work.core.answer(server, &invite, status, None);
        let Some(leg) = self.state.leg(old) else { return refuse(self, Status::CALL_DOES_NOT_EXIST) };
        let Some(dialog) = &leg.dialog else { return refuse(self, Status::CALL_DOES_NOT_EXIST) };
        if !replaces.names(dialog) {
            return refuse(self, Status::CALL_DOES_NOT_EXIST);
        }
        if let Err(status) = replaces.judge(dialog) {
            return refuse(self, status);
        }
        let (side, other) = (leg.side, self.state.other(old));
        if other.is_none() || self.state.transfer.is_some() {
            // Its place is being given away already, or it has none.
            return refuse(self, Status::REQUEST_PENDING);
        }
        let Some(id) = self.state.new_leg() else { return refuse(self, Status::SERVER_INTERNAL_ERROR) };
        self.core.claim(server, self.owner(id));
        let mut newcomer = Leg::incoming(self.core, id, side, server, invite.clone(), hop, &identity);
        let (party, hidden) = (newcomer.party.clone(), newcomer.is_hidden());
        let body = description(&invite).ok().flatten();
        let mut stands = newcomer.exchange.received(Carrier::Invite, body.clone()).is_ok();
        let theirs = other.and_then(|o| self.state.leg(o)).and_then(|l| l.their_description().cloned());
        let answer = body.as_ref().zip(theirs).zip(self.state.paths()).map(|((offer, theirs), paths)| {
            let theirs = redirect(&theirs, |_| Direction::SendRecv);
            relay_answer(offer, &theirs, &audio::ours(paths, &newcomer, Some(offer)), &self.relay_policy())
        });
        let Some(answer) = answer.filter(Session::has_active_media) else {
            return refuse(self, Status::NOT_ACCEPTABLE_HERE);
        };
        stands = stands && newcomer.exchange.sent(Carrier::InviteOk, Some(answer.clone())).is_ok();
        let Some(dialog) = Dialog::of_server(&invite, &newcomer.tag).ok().filter(|_| stands) else {
            return refuse(self, Status::BAD_REQUEST);
        };
        newcomer.dialog = Some(dialog);
        newcomer.state = LegState::Confirmed;
        newcomer.ack_due = true;
        newcomer.server = None;
        let aor = newcomer.user.as_ref().map(|user| self.core.shared.directory().aor(user));
        newcomer.line = aor.and_then(|aor| UserLine::take(&self.core.shared, &aor, usize::MAX));
        self.note(Some(id), What::Received { message: Said::request(Method::Invite), from: Some(hop.into()) });
        let home = home_of(invite.call_id(), self.core.shared.shards());
        if home != self.core.shard {
            self.core.shared.move_dialog(invite.call_id(), self.core.shard);
        }
        // First in the list is first on its side.
        self.state.legs.insert(0, newcomer);
        self.tie(id);
        let writer = self.reply_inside(id, &invite, Status::OK, None);
        self.respond(
            id,
            server,
            &Method::Invite,
            Status::OK,
            writer.body("application/sdp", answer.print().as_bytes()),
        );
        self.connect_side(id);
        if self.state.partner == Some(old) {
            self.state.partner = Some(id);
        }
        {
            let mut facts = self.file.facts.borrow_mut();
            if side == Side::A { (facts.from, facts.from_hidden) = (party, hidden) } else { facts.to = party }
        }
        if let Some(other) = other {
            self.hear_each_other(id, other);
        }
        self.decided(Some(id), "has taken the place of another leg");
        self.hang_up(old, Some("SIP;cause=200;text=\"Replaced\""));
        self.settle_lines();
    }
}

//! A party adds a line to a call that is up: a picture to a conversation, a fax.
//!
//! What it may speak there only the other party knows, so the other is asked first: its re-INVITE has the new line, and the answer
//! to it makes ours. A party that does not take the line, or cannot be asked now, leaves the call as it is.

use sip::Status;
use sip::sdp::{MediaKind, Session, relay_offer, revise};
use sip::transaction::ServerId;
use sip::{Message, Method};

use super::Work;
use super::begin::description;
use super::leg::{LegId, LegState};
use super::lines::has;

/// A line that waits for the other party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adding {
    /// Who adds it, and waits for our answer.
    from: LegId,
    /// Who is asked.
    to: LegId,
}

impl Work<'_> {
    /// Asks the other party about the lines that a re-INVITE adds. True when it does: then the re-INVITE is answered later.
    pub fn ask_about_lines(&mut self, server: ServerId, from: LegId, request: &Message) -> bool {
        if *request.method() != Method::Invite || self.state.adding.is_some() || self.state.transfer.is_some() {
            return false;
        }
        let Some(to) = self.state.other(from) else { return false };
        let Ok(Some(offer)) = description(request) else { return false };
        if !self.adds_lines(&offer, to) {
            return false;
        }
        let free = self.state.leg(to).is_some_and(|leg| {
            leg.state == LegState::Confirmed
                && leg.client.is_none()
                && leg.server.is_none()
                && !leg.ack_due
                && !leg.retell
        });
        let before = self.state.leg(to).and_then(|leg| leg.exchange.local().cloned());
        let Some(before) = before.filter(|_| free) else { return false };
        self.open_lines(&offer);
        let Some((paths, leg)) = self.state.paths().zip(self.state.leg(to)) else { return false };
        let ours = relay_offer(&offer, &super::media::ours(paths, leg, Some(&offer)), &self.relay_policy());
        if !ours.has_active_media() {
            return false;
        }
        if let Some(leg) = self.state.leg_mut(from) {
            leg.server = Some((server, request.clone()));
        }
        self.state.adding = Some(Adding { from, to });
        self.decided(Some(from), "adds a line: the other party is asked");
        self.reinvite(to, revise(&before, ours));
        if self.state.leg(to).is_none_or(|leg| leg.client.is_none()) {
            self.added(to);
        }
        true
    }

    /// Whether an offer has a line that can be carried and that the other party does not have.
    fn adds_lines(&self, offer: &Session, other: LegId) -> bool {
        let policy = self.relay_policy();
        let Some(leg) = self.state.leg(other) else { return false };
        // Sound may come back where a fax was.
        let has = |at: usize, kind: &MediaKind| match kind {
            MediaKind::Audio => leg.agrees(),
            kind => has(leg, at, kind),
        };
        let mut sections = offer.media.iter().enumerate();
        sections.any(|(at, section)| policy.carries(offer, section) && !has(at, &section.kind))
    }

    /// The party that was asked has answered, or will not any more: whoever added the line is answered from what there is.
    pub fn added(&mut self, to: LegId) {
        let Some(adding) = self.state.adding.filter(|adding| adding.to == to) else { return };
        self.state.adding = None;
        self.connect_lines(to);
        if let Some((server, request)) = self.state.leg_mut(adding.from).and_then(|leg| leg.server.take()) {
            self.answer_change(server, adding.from, &request);
        }
        self.settle_lines();
        self.retell(to);
    }

    /// Who added a line does not want it any more, or is gone.
    pub fn not_added(&mut self, from: LegId) {
        if let Some(adding) = self.state.adding.filter(|adding| adding.from == from) {
            self.state.adding = None;
            if let Some(leg) = self.state.leg_mut(adding.to) {
                leg.retell = true;
            }
        }
    }

    /// The call ends while a line is being added: its re-INVITE is answered.
    pub fn drop_adding(&mut self) {
        let Some(adding) = self.state.adding.take() else { return };
        if let Some((server, request)) = self.state.leg_mut(adding.from).and_then(|leg| leg.server.take()) {
            self.answer_plain(adding.from, server, &request, Status::REQUEST_TERMINATED, None);
        }
    }
}

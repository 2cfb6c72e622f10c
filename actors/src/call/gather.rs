//! A transfer into a conference: whoever stays of a call is moved to the room that the REFER names (RFC 4579 section 5.7).
//!
//! The conference may be mixed on another worker than the call's media, and speaks other codecs than the transferor. So the
//! party gets a media path of its own there and a re-INVITE that names it; until that is answered the old path stands, and
//! comes back if it is refused.

use media::{Flow, FlowSpec, Side};
use sip::Status;
use sip::sdp::revise;
use std::sync::Arc;

use super::leg::LegId;
use super::record::What;
use super::transfer::Step;
use super::{CallTimer, Work};
use crate::conference::{NoEntry, Plan};
use crate::directory::ServiceKind;

impl Work<'_> {
    /// The caller, who has been answered and waited in a ring group, goes on to a conference: as a party that somebody transfers
    /// who has left.
    pub fn move_into_conference(&mut self, plan: &Arc<Plan>, number: &str) {
        self.state.transfer = Some(super::transfer::Transfer::of_nobody(LegId::CALLER));
        self.gather(plan, number);
    }

    /// The target of a transfer is a conference.
    pub fn gather(&mut self, plan: &Arc<Plan>, number: &str) {
        let Some(stays) = self.state.transfer.as_ref().map(super::transfer::Transfer::stays) else { return };
        let name = self.state.leg(stays).map(|leg| leg.party.clone()).unwrap_or_default();
        let seated = match self.core.shared.conferences.enter(self.core, plan, number, (name, self.key)) {
            Ok(seated) => seated,
            Err(why) => {
                self.decided(None, why.to_string());
                let status = if why == NoEntry::Full { Status::BUSY_HERE } else { Status::SERVICE_UNAVAILABLE };
                return self.transfer_failed(status);
            }
        };
        let owner = self.media_owner();
        let spec = FlowSpec { worker: Some(seated.worker()), ..FlowSpec::default() };
        let Ok(flow) = self.core.shared.pool.open(owner, spec) else {
            return self.transfer_failed(Status::SERVICE_UNAVAILABLE);
        };
        let before = self.state.flow.replace(flow);
        self.decided(Some(stays), format!("moves into conference {number}"));
        (self.state.seated, self.state.service) = (Some(seated), Some(ServiceKind::Conference));
        self.turn_sides(stays);
        if let Some(leg) = self.state.leg_mut(stays) {
            leg.focus = true;
        }
        if let Some(transfer) = &mut self.state.transfer {
            transfer.step = Step::Gathering(stays);
            transfer.before = before;
        }
        self.arm(CallTimer::TransferDone, self.core.shared.settings().sip.max_ringing);
        self.offer_room(stays);
    }

    /// Offers the party that is to come into the conference its place there.
    pub fn offer_room(&mut self, id: LegId) {
        let offer = self.own_description(id);
        let before = self.state.leg(id).and_then(|leg| leg.exchange.local().cloned());
        match (offer, before) {
            (Some(offer), Some(before)) => self.reinvite(id, revise(&before, offer)),
            _ => self.transfer_failed(Status::NOT_ACCEPTABLE_HERE),
        }
    }

    /// The party has answered: it is in, and the transferor may go.
    pub fn gathered(&mut self, id: LegId) {
        let Some(transfer) = &mut self.state.transfer else { return };
        transfer.step = Step::Done;
        if let Some(before) = transfer.before.take() {
            before.close();
        }
        (self.state.partner, self.state.turned) = (None, false);
        self.close_lines();
        self.play();
        {
            let party = self.state.leg(id).map(|leg| leg.party.clone()).unwrap_or_default();
            let number = self.state.seated.as_ref().map(|seated| seated.number().to_owned()).unwrap_or_default();
            let mut facts = self.file.facts.borrow_mut();
            (facts.from, facts.to) = (party, number);
        }
        self.note(Some(id), What::Decided { why: "is in the conference".into() });
        self.report(Status::OK);
        self.arm(CallTimer::TransferDone, super::transfer::LEAVE);
    }

    /// The party did not come: all is as it was.
    pub fn scatter(&mut self, stays: LegId, before: Flow) {
        if let Some(flow) = self.state.flow.replace(before) {
            flow.close();
        }
        (self.state.seated, self.state.service) = (None, None);
        self.turn_sides(stays);
        if let Some(leg) = self.state.leg_mut(stays) {
            leg.focus = false;
        }
    }

    /// On its own path the party is on side A, as whoever talks with the switch itself; the transferor has what is left.
    fn turn_sides(&mut self, stays: LegId) {
        let is_b = self.state.leg(stays).is_some_and(|leg| leg.side == Side::B);
        if is_b || self.state.turned {
            for leg in &mut self.state.legs {
                leg.side = leg.side.other();
            }
            self.state.turned = !self.state.turned;
        }
    }
}

//! A call whose actor has died goes on: what was lost with the actor's mailbox is put right against what the transaction
//! layer knows.

use sip::Status;

use super::leg::{LegId, LegState};
use super::{CallTimer, Work};

impl Work<'_> {
    /// Ends what nothing would end any more: answers that were in the mailbox are not told again.
    pub fn reconcile(&mut self) {
        let legs: Vec<LegId> = self.state.legs.iter().map(|leg| leg.id).collect();
        for id in legs {
            self.reconcile_leg(id);
        }
        if self.state.finished {
            return self.hang_up_rest(None);
        }
        let waits = self.plays_to_nobody_yet()
            || self.state.partner.is_none() && self.state.caller().is_some_and(|leg| leg.state == LegState::Early);
        let has_errand = self.state.group.is_some() || self.state.fetches || self.state.wishes;
        if waits && !has_errand && !self.state.ringing() && !self.ring_next() {
            return self.hang_up_all("switch", "a fault ended the call before it was answered");
        }
        self.rearm(waits);
        self.group_rebuilt();
        self.park_rebuilt();
        self.promise_kept();
    }

    fn reconcile_leg(&mut self, id: LegId) {
        let open = self.core.open_requests(self.owner(id));
        let Some(leg) = self.state.leg_mut(id) else { return };
        let waits = leg.client.is_some_and(|invite| open.contains(&invite));
        let any = !open.is_empty();
        match leg.state {
            LegState::Early if leg.outgoing && !waits => self.fork_over(id, Status::SERVER_INTERNAL_ERROR, "".into()),
            LegState::Late if !waits => self.untie(id),
            LegState::Ending if !any => self.untie(id),
            LegState::Confirmed if leg.client.is_some() && !waits && leg.ack_held.is_none() => {
                leg.client = None;
                leg.exchange.failed();
                self.transfer_reinvited(id, false);
                self.added(id);
            }
            _ => {}
        }
    }

    /// Timers that fired into the lost mailbox have gone with it.
    fn rearm(&mut self, rings: bool) {
        let settings = self.core.shared.settings();
        let lasts = self.core.now().saturating_sub(self.file.began());
        if rings {
            let longest = settings.sip.max_ringing;
            self.arm(CallTimer::Ringing, self.patience().map_or(longest, |patience| patience.min(longest)));
        } else {
            self.arm(CallTimer::MaxDuration, settings.sip.max_call_duration.saturating_sub(lasts));
        }
        if !self.state.legs.iter().any(|leg| leg.state == LegState::Early && leg.outward.is_some()) {
            self.time_group();
        }
        let legs: Vec<LegId> = self.state.legs.iter().map(|leg| leg.id).collect();
        for id in legs {
            self.time_gateway(id);
        }
        if let Some(wait) = self.state.transfer.as_ref().map(|t| t.patience(settings.sip.max_ringing)) {
            self.arm(CallTimer::TransferDone, wait);
        }
        let up: Vec<LegId> =
            self.state.legs.iter().filter(|leg| leg.state == LegState::Confirmed).map(|leg| leg.id).collect();
        for id in up {
            self.arm_session(id);
            self.time_minute(id);
            if self.state.leg(id).is_some_and(|leg| leg.retell && leg.client.is_none()) {
                self.retry_later(id);
            }
        }
    }
}

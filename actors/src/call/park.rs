//! Call park: a party is transferred to a place, waits there with music, and is taken from any phone that dials the place. Nobody
//! comes: whoever has parked it is rung again (reference, mobility and voice, 6.9).

use sip::Status;
use std::sync::Arc;

use super::transfer::{LEAVE, Step};
use super::{CallTimer, Work};
use crate::directory::User;
use crate::parking::{Place, Waiting};
use crate::shared::unix_ms;

/// A call that is parked.
pub struct Parked {
    place: Place,
    by: Arc<User>,
    /// How often whoever parked it was rung.
    tries: u32,
}

impl Work<'_> {
    /// The target of a transfer is a place to park at.
    pub fn park(&mut self, place: &str) {
        let Some(transfer) = &self.state.transfer else { return };
        let (by, stays) = (transfer.by(), transfer.stays());
        let Some(user) = self.state.leg(by).and_then(|leg| leg.user.clone()) else {
            return self.transfer_failed(Status::FORBIDDEN);
        };
        let directory = self.core.shared.directory();
        if !directory.routing().switches(&user.routing).park {
            self.decided(None, format!("the voice policy lets {} park nothing", user.name));
            return self.transfer_failed(Status::FORBIDDEN);
        }
        let party = self.state.leg(stays).map(|leg| leg.party.clone()).unwrap_or_default();
        let waiting =
            Waiting { call: self.key, shard: self.core.shard, party, by: directory.aor(&user), since_ms: unix_ms() };
        let Some(place) = self.core.shared.parked.take(place, waiting) else {
            self.decided(None, format!("place {place} is taken"));
            return self.transfer_failed(Status::BUSY_HERE);
        };
        self.decided(Some(stays), format!("is parked at {}", place.number()));
        self.state.parked = Some(Parked { place, by: user, tries: 0 });
        self.step_to(Step::Parked);
        self.report(Status::OK);
        self.arm(CallTimer::TransferDone, LEAVE);
        self.arm(CallTimer::Parked, self.core.shared.settings().features.park_time);
    }

    /// Nobody has come for the parked call: whoever parked it is rung, or it goes on.
    pub fn park_over(&mut self) {
        let settings = self.core.shared.settings();
        let Some(parked) = self.state.parked.as_mut().filter(|_| self.state.partner.is_some()) else { return };
        if !self.state.transfer.as_ref().is_some_and(|transfer| transfer.step == Step::Parked) {
            return;
        }
        parked.tries += 1;
        let (tries, user) = (parked.tries, Arc::clone(&parked.by));
        if tries <= settings.features.park_tries {
            let aor = self.core.shared.directory().aor(&user);
            let place = self.state.parked.as_ref().map_or("", |parked| parked.place.number()).to_owned();
            self.decided(None, format!("nobody has come to {place} for the call: {} is rung", user.name));
            self.step_to(Step::Ringing);
            self.state.forks = 0;
            let turns = self.groups_of(&aor, None);
            if self.ring_turns(turns) {
                return self.arm(CallTimer::TransferDone, settings.features.ring);
            }
            return self.transfer_failed(Status::TEMPORARILY_UNAVAILABLE);
        }
        match &settings.features.park_to {
            Some(to) if tries == settings.features.park_tries + 1 => {
                self.decided(None, format!("nobody has come for the parked call: it goes to {to}"));
                self.step_to(Step::Ringing);
                let domain = self.core.shared.directory().domain().to_owned();
                self.ring_target(sip::text!["sip:", to, "@", &domain].as_bytes());
            }
            _ => self.hang_up_all("switch", "nobody has come for the parked call"),
        }
    }

    /// Whoever was rung for a parked call has not taken it: it waits on.
    pub fn park_again(&mut self) {
        self.cancel_forks(None, None);
        self.disarm(CallTimer::TransferDone);
        self.step_to(Step::Parked);
        let settings = self.core.shared.settings();
        let tries = self.state.parked.as_ref().map_or(0, |parked| parked.tries);
        if tries > settings.features.park_tries {
            return self.hang_up_all("switch", "nobody has come for the parked call");
        }
        self.arm(CallTimer::Parked, settings.features.park_time);
    }

    /// After the death of the call's actor: the time at the place begins anew.
    pub fn park_rebuilt(&mut self) {
        let parked = self.state.transfer.as_ref().is_some_and(|transfer| transfer.step == Step::Parked);
        if parked && self.state.parked.is_some() {
            self.arm(CallTimer::Parked, self.core.shared.settings().features.park_time);
        }
    }

    fn step_to(&mut self, step: Step) {
        if let Some(transfer) = &mut self.state.transfer {
            transfer.step = step;
        }
    }
}

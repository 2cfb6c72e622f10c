//! A party is offered anew what the other one speaks: what it was told before is not what the other has come to say. Or it is told
//! another port of ours: its answer has shown that it cannot be told from others on the one that they share.
//!
//! An answer that the caller has from one phone, in a reliable 18x, stands (RFC 6337 section 3.1.1), and then another
//! phone picks up with another codec; or one narrows its codecs before the answer. Until the re-INVITE is answered the
//! media workers drop what the receiving party has not agreed to.

use sip::Status;
use sip::sdp::{Session, relay_answer, relay_offer, revise, same_agreement};

use super::leg::{LegId, LegState};
use super::modify::resumed;
use super::{Work, media as audio};

/// Re-INVITEs of this kind in a call after which an answer brings no further one: two parties that each change something
/// whenever the other has would go on for ever.
const RETOLD_MAX: u8 = 4;

impl Work<'_> {
    /// The call is answered, and the caller had its description before: whoever was told otherwise than the other speaks is
    /// offered that, once it can be.
    pub fn retell_both(&mut self, callee: LegId) {
        for id in [LegId::CALLER, callee] {
            let told_wrong = self.told_wrong(id);
            if let Some(leg) = self.state.leg_mut(id) {
                leg.retell |= told_wrong;
            }
            self.retell(id);
        }
    }

    /// The caller saw an answer in an unreliable 18x, which is all that it looks at where it goes by RFC 3261 section
    /// 13.2.1: that must be what the 2xx has said.
    pub fn retell_previewed(&mut self, previewed: Option<&Session>) {
        let Some((caller, previewed)) = self.state.caller().zip(previewed) else { return };
        if let Some((local, remote)) = caller.exchange.local().zip(caller.exchange.remote()) {
            caller.retell = !same_agreement(previewed, local, remote);
        }
    }

    /// A party has a new agreement in a call that is up: where nothing of what the other was told can pass any more, it is
    /// offered what can.
    pub fn retell_deaf(&mut self, id: LegId) {
        let Some(other) = self.state.other(id) else { return };
        let deaf = self
            .agreed(id)
            .zip(self.agreed(other))
            .is_some_and(|(one, two)| !audio::passes(&one, &two, &self.relay_policy().coded));
        if let Some(leg) = self.state.leg_mut(other).filter(|_| deaf) {
            leg.retell = true;
            self.retell(other);
        }
    }

    /// Sends the re-INVITE that is due to a party, unless something else of it is open; then it follows later.
    pub fn retell(&mut self, id: LegId) {
        let idle = self.state.leg(id).is_some_and(|leg| {
            leg.retell
                && leg.state == LegState::Confirmed
                && leg.client.is_none()
                && leg.server.is_none()
                && !leg.ack_due
        });
        // Not before the other one has a description in force.
        let other = self.state.other(id).and_then(|other| self.state.leg(other));
        let settled = other.is_none_or(|other| other.exchange.remote().is_some());
        if !idle || !settled {
            // What it is told anyway has the keys of today in it.
            self.rekey(id);
            return;
        }
        match self.retelling(id) {
            Some(offer) => {
                self.decided(Some(id), "is offered what the other party speaks");
                self.state.retold = self.state.retold.saturating_add(1);
                self.reinvite(id, offer);
            }
            // The other has closed its audio meanwhile.
            None => {
                if let Some(leg) = self.state.leg_mut(id) {
                    leg.retell = false;
                }
            }
        }
    }

    /// The re-INVITE was answered, well or not. A party that does not take it keeps what it has; with nothing that both
    /// have the call is over.
    pub fn retold(&mut self, id: LegId, well: bool) {
        let Some(leg) = self.state.leg_mut(id) else { return };
        if !std::mem::take(&mut leg.retell) {
            return;
        }
        let Some(other) = self.state.other(id) else { return };
        let passes = match (self.agreed(id), self.agreed(other)) {
            (Some(one), Some(two)) => audio::passes(&one, &two, &self.relay_policy().coded),
            (mine, _) => mine.is_some(),
        };
        if !passes {
            self.decided(Some(id), "the parties have no codec in common");
            self.hang_up_rest(Some("SIP;cause=488;text=\"no common codec\""));
            return self.finish("switch", "no common codec", Status::OK, 88);
        }
        if !well {
            return self.decided(Some(id), "keeps what it has: some of it passes");
        }
        // What it has taken of the offer may be less than the other goes by.
        if self.state.retold < RETOLD_MAX && self.told_wrong(other) {
            if let Some(leg) = self.state.leg_mut(other) {
                leg.retell = true;
            }
            self.retell(other);
        }
    }

    /// Whether a party was told otherwise than it would be now.
    fn told_wrong(&self, id: LegId) -> bool {
        let exchange = self.state.leg(id).map(|leg| &leg.exchange);
        let in_force = exchange.and_then(|e| e.local().zip(e.remote()));
        let now = self.retelling(id);
        in_force.zip(now).is_some_and(|((local, remote), now)| !same_agreement(local, &now, remote))
    }

    /// What the other party speaks as a description for this one: in the numbers of what it has said itself, or, where that
    /// has none of it, in the other's.
    fn retelling(&self, id: LegId) -> Option<Session> {
        let leg = self.state.leg(id)?;
        let (local, remote) = (leg.exchange.local()?, leg.exchange.remote()?);
        let theirs = resumed(self.state.leg(self.state.other(id)?)?.exchange.remote()?);
        let paths = self.state.paths()?;
        let our = |shape| audio::ours(paths, leg, Some(shape));
        let mut now = relay_answer(remote, &theirs, &our(remote), &self.relay_policy());
        if !now.has_active_media() {
            now = relay_offer(&theirs, &our(&theirs), &self.relay_policy());
        }
        now.has_active_media().then(|| revise(local, now))
    }

    fn agreed(&self, id: LegId) -> Option<audio::Agreement> {
        let leg = self.state.leg(id)?;
        leg.exchange.remote()?;
        leg.agreement()
    }
}

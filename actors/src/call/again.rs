//! The INVITE of a leg goes once more: with a longer session, another media transport, or by another way.

use sip::dialog::session_timer::Policy;
use sip::sdp::{Profile, Session};
use sip::{Message, Name};

use super::Work;
use super::leg::{LegId, LegState, TooLong};

impl Work<'_> {
    /// 422: once more with the interval that is asked for (RFC 4028 section 7.3).
    pub fn retry_with_longer_session(&mut self, id: LegId, response: &Message) -> bool {
        let Some(raised) = self.session_policy().raised(response) else { return false };
        let Some(leg) = self.state.leg_mut(id) else { return false };
        let Some(invite) = leg.invite.take() else { return false };
        // A raised wish that is refused again is given up: two tries.
        if std::mem::replace(&mut leg.session_raised, true) {
            return false;
        }
        let offer = leg.exchange.pending_offer().cloned();
        leg.exchange.failed();
        let call_id = self.core.new_call_id();
        self.core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
        leg.call_id = call_id;
        self.invite_again(id, &invite, offer, Some(raised));
        true
    }

    /// A phone that refuses a transport may be one that takes another: once more with the next that our policy has for it.
    pub fn retry_with_another_profile(&mut self, id: LegId) -> bool {
        let (_, theirs) = self.place();
        let Some((leg, theirs)) = self.state.leg_mut(id).zip(theirs) else { return false };
        let Some(refused) = leg.exchange.pending_offer().cloned() else { return false };
        let now = leg.profile;
        let rest: Vec<Profile> = leg.profiles().into_iter().skip_while(|profile| *profile != now).skip(1).collect();
        leg.exchange.failed();
        let transports = |offer: &Session| offer.media.iter().map(|media| media.protocol.clone()).collect::<Vec<_>>();
        for profile in rest {
            let Some(leg) = self.state.leg_mut(id) else { return false };
            leg.profile = profile;
            let Some(leg) = self.state.leg(id) else { return false };
            let offer = self.first_offer(leg, &theirs).filter(|offer| transports(offer) != transports(&refused));
            let Some(offer) = offer else { continue };
            let named = offer.media.iter().find(|media| media.port != 0).map(|media| media.protocol.clone());
            let call_id = self.core.new_call_id();
            let Some(leg) = self.state.leg_mut(id) else { return false };
            let Some(invite) = leg.invite.take() else { return false };
            self.core.remove_dialog(leg.call_id.as_bytes(), leg.tag.as_bytes());
            leg.call_id = call_id;
            let named = named.unwrap_or_default();
            self.decided(Some(id), format!("refuses what was offered: the INVITE goes once more, with {named}"));
            self.invite_again(id, &invite, Some(offer), None);
            return self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early);
        }
        false
    }

    /// There is no connection to a party whose INVITE is too long for a datagram: it goes by UDP all the same (the
    /// exception of RFC 3261 section 18.1.1), so that a phone without TCP rings.
    pub fn retry_by_datagram(&mut self, id: LegId) -> bool {
        let Some(leg) = self.state.leg_mut(id) else { return false };
        let TooLong::Tried(hop) = leg.too_long else { return false };
        let Some(invite) = leg.invite.take() else { return false };
        leg.too_long = TooLong::ByDatagram;
        leg.hop = hop;
        let offer = leg.exchange.pending_offer().cloned();
        leg.exchange.failed();
        self.decided(Some(id), "no TCP there: the INVITE goes by UDP, long as it is");
        self.invite_again(id, &invite, offer, None);
        self.state.leg(id).is_some_and(|leg| leg.state == LegState::Early)
    }

    /// Sends the INVITE of a leg once more, with what the leg says now.
    pub fn invite_again(&mut self, id: LegId, invite: &Message, offer: Option<Session>, session: Option<Policy>) {
        let path: Vec<Box<str>> =
            invite.values(Name::Route).filter_map(Result::ok).map(|r| String::from_utf8_lossy(r).into()).collect();
        self.send_invite(id, invite.request_uri(), &path, offer, session);
    }
}

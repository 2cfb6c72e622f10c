//! SRTP keys do not last for ever (RFC 3711 section 9.2, RFC 4568 section 6.1): before one of ours has protected all that it may, its
//! party is offered another one in a re-INVITE. So is a party whose own key comes to its end, for it to answer with a new one.
//!
//! Whether a party has been told its new key is read off the description in force, so nothing has to be remembered for it.

use media::Side;
use sip::sdp::{Crypto, Media, Session, rekeyed};
use std::sync::Arc;

use super::Work;
use super::leg::{Leg, LegId, LegState};
use super::lines::sound_at;
use super::record::What;

impl Work<'_> {
    /// A key of the party on a side is nearly used up.
    pub fn key_worn(&mut self, side: Side, ours: bool) {
        let what = if ours { "the key for a party nears its end" } else { "the key of a party nears its end" };
        let Some(leg) = self.state.legs.iter_mut().find(|leg| leg.side == side && leg.agrees()) else {
            return self.note(None, What::Media { what: what.into() });
        };
        let id = leg.id;
        // Keys that a handshake has come to are renewed by nobody: browsers begin no second one (RFC 8842 section 5.5).
        let keyed = leg.keys.renew();
        leg.line_keys.renew();
        self.note(Some(id), What::Media { what: what.into() });
        if keyed {
            self.rekey(id);
        }
    }

    /// A key is used up. With ours the call is over (RFC 3711 section 9.2); the party's is the party's.
    pub fn key_spent(&mut self, side: Side, ours: bool) {
        let id = self.state.legs.iter().find(|leg| leg.side == side).map(|leg| leg.id);
        if ours {
            self.note(id, What::Media { what: "the key for a party is used up".into() });
            return self.hang_up_all("switch", "an SRTP key is used up, and the party has taken no other");
        }
        self.note(id, What::Media { what: "a party goes on with a key past its lifetime".into() });
    }

    /// Offers a party our new keys, unless it has them or something else of it is open; then it follows later. True where the offer
    /// is on its way.
    pub fn rekey(&mut self, id: LegId) -> bool {
        let idle = |leg: &&Leg| {
            leg.state == LegState::Confirmed && leg.client.is_none() && leg.server.is_none() && !leg.ack_due
        };
        let Some(offer) = self.state.leg(id).filter(idle).and_then(renewed) else { return false };
        self.decided(Some(id), "is offered new SRTP keys");
        self.reinvite(id, offer);
        true
    }
}

/// What a party was told, with our keys of today; `None` where it has those.
fn renewed(leg: &Leg) -> Option<Session> {
    let local = leg.exchange.local()?;
    let sound = sound_at(local);
    let keys = |at: usize| -> Option<Arc<[Crypto]>> {
        if Some(at) == sound {
            return leg.keys.made();
        }
        leg.line_keys.with(&leg.keys, at, |keys| keys.made())
    };
    let old = |(at, section): (usize, &Media)| {
        let Some(now) = keys(at).filter(|_| section.port != 0) else { return false };
        section.cryptos().any(|told| now.iter().all(|ours| ours.key != told.key))
    };
    local.media.iter().enumerate().any(old).then(|| rekeyed(local, |at| keys(at).unwrap_or_default()))
}

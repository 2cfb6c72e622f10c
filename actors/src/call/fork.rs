//! Ringing a user: one INVITE to every contact, and the best of their refusals (RFC 3261 sections 13, 16.7).

use media::Side;
use sip::auth::ChallengedBy;
use sip::dialog::session_timer::Policy;
use sip::sdp::{Carrier, Session, relay_offer};
use sip::{Message, Method, Name, Status, Writer};
use std::time::Duration;

use super::cancel::{q850_of, rank};
use super::history::Why;
use super::identity::Heads;
use super::leg::{Leg, LegId, LegState, TooLong};
use super::modify::resumed;
use super::record::{Said, What};
use super::{CallTimer, Work, media as audio};
use crate::location::Contact;
use crate::outgoing;
use crate::shard::core::new_branch;
use crate::shard::{ALLOW, SUPPORTED, Way};

/// As [`SUPPORTED`] in an INVITE without offer: a reliable provisional response would have to carry the offer, whose
/// answer only the caller can give (RFC 3262 section 5), and in its ACK.
const SUPPORTED_WITHOUT_OFFER: &str = "replaces, timer, norefersub";

/// Why a phone whose media must be encrypted is not called over SIP that is not.
pub const NEEDS_TLS: &str = "SRTP Needs SIP Over TLS";

impl Work<'_> {
    /// Rings every contact of an address of record, or the one instance that a GRUU names (RFC 5627 section 3.3).
    pub fn ring(&mut self, aor: &str, instance: Option<&str>) {
        self.state.forks = 0;
        let groups = self.groups_of(aor, instance);
        self.state.tried.push(aor.to_owned());
        if groups.is_empty() {
            self.decided(None, sip::text![aor, " is not registered"]);
            if self.has_others() {
                if !self.ready_media() {
                    return;
                }
                if self.ring_others(true) {
                    return self.time_ringing();
                }
            }
            if self.callee_left(Why::Unavailable) {
                return;
            }
            return self.refuse_with(Status::TEMPORARILY_UNAVAILABLE, None, 20, |writer| {
                writer.header(Name::Reason, "Q.850;cause=20;text=\"not registered\"");
            });
        }
        if !self.ready_media() {
            return;
        }
        self.decided(
            None,
            sip::text![aor, " has ", self.state.forks as u64, " contacts of ", groups.len() as u64, " q"],
        );
        let rings = self.ring_turns(groups);
        if !self.ring_others(!rings) && !rings {
            if let Some((status, _)) = self.state.best {
                return self.all_refused(status);
            }
            return self.refuse(Status::SERVICE_UNAVAILABLE, None, 41);
        }
        self.time_ringing();
    }

    /// How long the caller's INVITE is good (RFC 3261 section 13.3.1), where it says so.
    pub fn expires(&mut self) -> Option<Duration> {
        let (_, invite) = self.state.caller()?.server.as_ref()?;
        invite.number(Name::Expires, u64::from(u32::MAX)).ok().flatten().map(Duration::from_secs)
    }

    /// Somebody rings: for as long as the caller's INVITE says (RFC 3261 section 13.3.1), or as long as may be.
    pub fn time_ringing(&mut self) {
        let longest = self.core.shared.settings().sip.max_ringing;
        let longest = self.patience().map_or(longest, |patience| patience.min(longest));
        let expires = self.expires().filter(|expires| *expires < longest);
        self.state.expires = expires.is_some();
        self.arm(CallTimer::Ringing, expires.unwrap_or(longest));
        self.lamps();
    }

    /// Sends an INVITE to a contact, as a new leg: for the caller on side B, or on the side of whoever transfers the call.
    pub fn invite(&mut self, contact: &Contact, aor: &str) {
        let (side, theirs) = self.place();
        let Some(id) = self.state.new_leg() else { return };
        let leg = Leg::outgoing(self.core, id, side, contact, aor.to_owned());
        if leg.keys.exposed() {
            self.decided(None, format!("{aor} at {} is not rung: its SRTP keys would travel in plain SIP", leg.hop));
            return self.weigh(Status::NOT_ACCEPTABLE_HERE, NEEDS_TLS.into());
        }
        let ours = theirs.and_then(|theirs| self.first_offer(&leg, &theirs));
        self.state.legs.push(leg);
        let waits = self.state.partner.is_none() && self.state.transfer.is_none() && self.state.plays.is_none();
        if waits && !self.state.rings.iter().any(|rings| rings.aor() == aor) {
            self.state.rings.push(self.core.shared.ringing.add(aor, self.key, self.core.shard));
        }
        self.send_invite(id, contact.uri.as_bytes(), &contact.path, ours, None);
    }

    /// What a contact is offered of what the party that waits for it has said.
    pub fn first_offer(&self, leg: &Leg, theirs: &Session) -> Option<Session> {
        let our = audio::ours(self.state.paths()?, leg, Some(theirs));
        Some(relay_offer(theirs, &our, &self.relay_policy()))
    }

    /// The side of the media path on which contacts are rung, and what the party that waits for them has said.
    pub fn place(&self) -> (Side, Option<Session>) {
        if let Some(place) = self.transfer_place().or_else(|| self.place_of_play()) {
            return place;
        }
        let exchange = self.state.leg(LegId::CALLER).map(|caller| &caller.exchange);
        let offer = exchange.and_then(|e| e.pending_offer().cloned().or_else(|| e.remote().map(resumed)));
        (Side::B, offer)
    }

    /// Sends the first INVITE of an outgoing leg. `session` is what a 422 made of our wish.
    pub fn send_invite(
        &mut self,
        id: LegId,
        target: &[u8],
        path: &[Box<str>],
        offer: Option<Session>,
        session: Option<Policy>,
    ) {
        let (core, key) = (self.core, self.key);
        let settings = core.shared.settings();
        let forwards = self.hops_left();
        let Heads { from, to, more } = self.heads(id);
        let policy = self.session_policy();
        let (credentials, asks_for_timer) = (self.credentials(id), self.asks_for_timer(id) || session.is_some());
        let Some(leg) = self.state.leg_mut(id) else { return };
        let branch = new_branch();
        // An INVITE that is sent once more in the same would-be dialog counts on (RFC 3261 section 22.2).
        let cseq = leg.invite.as_ref().map_or(1, |before| before.cseq() + 1);
        let from = sip::text![&from, ";tag=", &leg.tag];
        let (interval, min_se) = session.unwrap_or(policy).offer();
        let body = offer.as_ref().map(Session::print);
        // Via and Contact are of the way that it goes; all else is the same on every way.
        let compose = |leg: &Leg| {
            let mut writer = Writer::request(sip::message::RequestHead {
                method: &Method::Invite,
                uri: target,
                via: &outgoing::via(core, &leg.hop, &branch),
                from: from.as_bytes(),
                to: to.as_bytes(),
                call_id: leg.call_id.as_bytes(),
                cseq,
                max_forwards: forwards,
            });
            for hop in path {
                writer.header(Name::Route, hop.as_bytes());
            }
            writer
                .header(Name::Contact, leg.contact(core, key, &leg.hop))
                .header(Name::Allow, ALLOW)
                .header(Name::Supported, if body.is_some() { SUPPORTED } else { SUPPORTED_WITHOUT_OFFER })
                .header(Name::UserAgent, &settings.sip.user_agent);
            if asks_for_timer {
                writer.header(Name::SessionExpires, &interval).header(Name::MinSe, &min_se);
            }
            for (name, value) in &more {
                writer.named(name, value);
            }
            match &credentials {
                Some((ChallengedBy::Server, value)) => drop(writer.header(Name::Authorization, value)),
                Some((ChallengedBy::Proxy, value)) => drop(writer.header(Name::ProxyAuthorization, value)),
                None => {}
            }
            match &body {
                Some(body) => writer.body("application/sdp", body.as_bytes()),
                None => writer.finish(),
            }
        };
        if leg.exchange.sent(Carrier::Invite, offer).is_err() {
            leg.state = LegState::Ended;
            return;
        }
        let mut bytes = compose(leg);
        if leg.too_long == TooLong::ByStream
            && let Some(stream) = outgoing::by_stream(core, &leg.hop, bytes.len())
        {
            leg.too_long = TooLong::Tried(std::mem::replace(&mut leg.hop, stream));
            bytes = compose(leg);
        }
        leg.invite = Message::parse(bytes.clone()).ok();
        let way = match leg.named.clone() {
            Some(named) => Way::Named(*named),
            None => Way::Hop(leg.hop),
        };
        let client = core.request(self.owner(id), &Method::Invite, &branch, &way, bytes);
        if let Some(leg) = self.state.leg_mut(id) {
            leg.client = client;
        }
        if client.is_none() {
            return self.untie(id);
        }
        self.tie(id);
        if let Way::Hop(hop) = way {
            self.note(Some(id), What::Sent { message: Said::request(Method::Invite), to: Some(hop.into()) });
        }
    }

    /// Hops that are left of the caller's.
    fn hops_left(&mut self) -> u8 {
        let invite = self.state.caller().and_then(|leg| leg.server.as_ref()).map(|(_, invite)| invite);
        let forwards = invite
            .and_then(|i| i.number(Name::MaxForwards, 255).ok().flatten())
            .and_then(|n| u8::try_from(n).ok())
            .unwrap_or(70);
        forwards.saturating_sub(1)
    }

    /// A leg that rang is over; when no other rings the next group has its turn, and after the last the caller hears of it.
    pub fn fork_over(&mut self, id: LegId, status: Status, reason: std::sync::Arc<str>) {
        self.untie(id);
        if matches!(status.code(), 500..=599) && self.next_outside(id) {
            return self.weigh(status, reason);
        }
        let answered = self.state.partner.is_some() && self.transfer_place().is_none();
        if answered || self.state.ringing() {
            return self.weigh(status, reason);
        }
        self.weigh(status, reason);
        if !self.ring_next() {
            self.all_refused(status);
        }
    }

    /// A refusal, of which the caller hears if it is the best of all (RFC 3261 section 16.7 step 6).
    pub fn weigh(&mut self, status: Status, reason: std::sync::Arc<str>) {
        let better = self.state.best.as_ref().is_none_or(|(best, _)| rank(status) < rank(*best));
        if better {
            self.state.best = Some((status, reason));
        }
    }

    /// Nobody rings and nobody is left whose turn could come; `last` is the last refusal.
    pub fn all_refused(&mut self, last: Status) {
        let open = self.state.partner.is_none() && self.state.transfer.is_none();
        if open && last.code() < 600 && self.ring_those_left() {
            return;
        }
        self.cancel_forks(None, None);
        if self.transfer_place().is_some() {
            return self.transfer_failed(last);
        }
        if self.group_refused() || self.state.talk.is_some() {
            return;
        }
        // Who declines is taken for busy: it is there, and does not want the call.
        let why = match self.state.best.as_ref().map_or(last, |(best, _)| *best).code() {
            486 | 600..=699 => Why::Busy,
            404 | 410 | 480 => Why::Unavailable,
            _ => Why::NoAnswer,
        };
        if self.callee_left(why) {
            return;
        }
        let (status, reason) = self.state.best.clone().unwrap_or((Status::TEMPORARILY_UNAVAILABLE, "".into()));
        // What a callee says about credentials or routes is between it and us.
        let status = match status.code() {
            401 | 407 | 300..=399 | 482 | 483 => Status::TEMPORARILY_UNAVAILABLE,
            // That a gateway has no channel left we say ourselves.
            503 if self.state.limited => status,
            503 => Status::SERVER_INTERNAL_ERROR,
            _ => status,
        };
        let reason = if reason.is_empty() { None } else { Some(&*reason) };
        let q850 = if status == Status::SERVICE_UNAVAILABLE { 34 } else { q850_of(status) };
        let why = match self.state.why.take() {
            // One of each protocol (RFC 3326 section 2).
            Some(why) if why.contains("Q.850") => why,
            Some(why) => format!("{why}, Q.850;cause={q850}"),
            None => format!("Q.850;cause={q850}"),
        };
        self.refuse_by("callee", status, reason, q850, |writer| {
            writer.header(Name::Reason, why);
        });
    }
}

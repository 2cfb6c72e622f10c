//! One party gives its place to another: REFER (RFC 3515, RFC 5589).
//!
//! *Blind*: the transferor's REFER names an address; it is routed and rung like a call, and whoever answers takes the
//! transferor's side of the media path. *Attended*: the REFER names another call of the transferor; the far leg of that
//! call comes over, from whatever shard it lives on, and gets a re-INVITE with our port. The party that stays hears music
//! meanwhile and need not be asked: its media is anchored here.

use media::{Side, Source};
use sip::dialog::refer::{Refer, Report, SIPFRAG};
use sip::dialog::replaces::Replaces;
use sip::sdp::{Carrier, OurKeys, Session, relay_offer, revise};
use sip::transaction::ServerId;
use sip::value::Scheme;
use sip::{Message, Method, Name, Status};
use std::time::Duration;

use super::begin::description;
use super::leg::{Leg, LegId, LegState};
use super::modify::resumed;
use super::record::What;
use super::{CallKey, CallTimer, Work, media as audio};
use crate::directory::Destination;
use crate::registrar::gruu;
use crate::routing::{self, By};
use crate::shard::{RequestId, SignallingMsg, home_of};

/// How long the transferor may take to hang up after a transfer that succeeded.
pub const LEAVE: Duration = Duration::from_secs(5);

/// How long the other call may take to give its leg.
const FETCH: Duration = Duration::from_secs(5);

/// A transfer under way.
pub struct Transfer {
    /// Who asked.
    by: LegId,
    /// Who stays.
    stays: LegId,
    /// The implicit subscription, where reports are wanted.
    report: Option<Report>,
    /// Where it is.
    pub(super) step: Step,
    /// Whether who answers is asked first.
    pub(super) asks: bool,
    /// The media path of before, while a party is on its way into a conference.
    pub(super) before: Option<media::Flow>,
}

impl Transfer {
    /// Who asked.
    pub const fn by(&self) -> LegId {
        self.by
    }

    /// One that nobody asked for.
    pub const fn of_nobody(stays: LegId) -> Self {
        Self { by: LegId::NEWCOMER, stays, report: None, step: Step::Ringing, asks: false, before: None }
    }

    /// Who stays.
    pub const fn stays(&self) -> LegId {
        self.stays
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The target rings.
    Ringing,
    /// The other call was asked for its leg.
    Fetching,
    /// The leg has come; it is being re-INVITEd.
    Joining(LegId),
    /// The party that stays is being re-INVITEd into a conference.
    Gathering(LegId),
    /// The party that stays is parked.
    Parked,
    /// The target has answered, and is asked whether it wants the call.
    Asking(LegId),
    /// Done; the transferor is to leave.
    Done,
}

impl Transfer {
    /// How long the step that it is in may take, where a target may ring for `ringing`.
    pub const fn patience(&self, ringing: Duration) -> Duration {
        match self.step {
            Step::Ringing | Step::Joining(_) | Step::Gathering(_) => ringing,
            Step::Fetching => FETCH,
            Step::Asking(_) => super::connecting::ASKED_MAX,
            Step::Done | Step::Parked => LEAVE,
        }
    }
}

impl Work<'_> {
    /// A REFER of a party.
    pub fn refer(&mut self, server: ServerId, id: LegId, request: &Message) {
        let refer = match Refer::of(request) {
            Ok(refer) => refer,
            Err(status) => return self.answer_plain(id, server, request, status, None),
        };
        let other = self.state.other(id).filter(|o| self.state.leg(*o).is_some_and(|l| l.state == LegState::Confirmed));
        let Some(stays) = other else {
            return self.answer_plain(id, server, request, Status::DECLINE, Some("Nobody To Transfer"));
        };
        if self.state.transfer.is_some() {
            return self.answer_plain(id, server, request, Status::REQUEST_PENDING, None);
        }
        if let Some(user) = self.state.leg(id).and_then(|leg| leg.user.clone()) {
            let directory = self.core.shared.directory();
            let policy = directory.routing().policy_of(&user.routing).map(|(policy, _)| policy);
            if let Some(policy) = policy.filter(|policy| !policy.transfer) {
                self.decided(Some(id), format!("voice policy {} lets {} transfer nothing", policy.name, user.name));
                return self.answer_plain(id, server, request, Status::FORBIDDEN, Some("No Transfer By Policy"));
            }
        }
        self.decided(Some(id), format!("transfer to {}", String::from_utf8_lossy(&refer.target)));
        let mut writer = self.reply_inside(id, request, Status::ACCEPTED, None);
        if !refer.reports {
            writer.header(Name::ReferSub, "false");
        }
        self.respond(id, server, request.method(), Status::ACCEPTED, writer.finish());
        let report = refer.reports.then(|| Report::new(request, self.core.now()));
        self.state.transfer = Some(Transfer { by: id, stays, report, step: Step::Ringing, asks: false, before: None });
        self.report(Status::TRYING);
        if let Some((flow, leg)) = self.state.flow.as_ref().zip(self.state.leg(stays)) {
            audio::hear(flow, leg.side, Source::MusicOnHold);
        }
        match &refer.replaces {
            Some(replaces) => self.fetch(replaces),
            None => self.ring_target(&refer.target),
        }
    }

    /// Blind: rings the target on the transferor's side of the media path.
    pub fn ring_target(&mut self, target: &[u8]) {
        let directory = self.core.shared.directory();
        let ours = |uri: &sip::value::Uri<'_>| uri.scheme == Scheme::Tel || self.core.is_ours(uri.host_text());
        // Its target is reached as the transferor may reach it: who came in by a gateway sends nobody out.
        let by = self.state.transfer.as_ref().and_then(|transfer| self.state.leg(transfer.by)?.user.clone());
        let by = by.as_ref().map_or(By::Nobody, |user| By::User(user));
        let uri = sip::value::Uri::parse(target).ok().filter(ours);
        let route = uri.map(|uri| gruu::route(&self.core.shared, &uri, by));
        let route = route.map(|route| self.followed(route));
        if let Some(route) = &route {
            self.decided(None, routing::brief(&route.steps));
        }
        self.state.forks = 0;
        let turns = match route {
            Some(gruu::Route { destination: Destination::User(user), instance, .. }) => {
                let aor = directory.aor(&user);
                if !self.take_line(&user, &aor) {
                    self.decided(None, format!("{} has as many calls as it may have", user.name));
                    return self.transfer_failed(Status::BUSY_HERE);
                }
                self.groups_of(&aor, instance.as_deref())
            }
            Some(gruu::Route { destination: Destination::Park(place), .. }) => return self.park(&place),
            Some(gruu::Route { destination: Destination::Conference { plan, number }, .. }) => {
                return self.gather(&plan, &number);
            }
            Some(gruu::Route { destination: Destination::Outside(exits), .. }) => self.in_order(exits),
            Some(gruu::Route { destination: Destination::Nowhere(refusal), .. }) => {
                return self.transfer_failed(refusal.kind.status());
            }
            _ => return self.transfer_failed(Status::NOT_FOUND),
        };
        self.ring_in_place(turns, self.core.shared.settings().sip.max_ringing);
    }

    pub(super) fn ring_in_place(&mut self, turns: std::collections::VecDeque<super::groups::Turn>, longest: Duration) {
        if self.transferor_side().and_then(|side| self.offer_for(side, None)).is_none() {
            return self.transfer_failed(Status::NOT_ACCEPTABLE_HERE);
        }
        if !self.ring_turns(turns) {
            return self.transfer_failed(Status::TEMPORARILY_UNAVAILABLE);
        }
        self.arm(CallTimer::TransferDone, longest);
    }

    /// Where the target of a transfer is rung, and what the party that stays has said; `None` when no target rings.
    pub fn transfer_place(&self) -> Option<(Side, Option<Session>)> {
        let transfer = self.state.transfer.as_ref().filter(|t| t.step == Step::Ringing)?;
        let stays = self.state.leg(transfer.stays)?.their_description()?;
        Some((self.transferor_side()?, Some(resumed(stays))))
    }

    fn transferor_side(&self) -> Option<Side> {
        let stays = self.state.transfer.as_ref()?.stays;
        self.state.leg(stays).map(|leg| leg.side.other())
    }

    /// An offer for whoever comes to `side`: what the party that stays has agreed to, at our port.
    fn offer_for(&self, side: Side, leg: Option<&Leg>) -> Option<Session> {
        let stays = self.state.leg(self.state.transfer.as_ref()?.stays)?;
        let theirs = resumed(stays.their_description()?);
        let paths = self.state.paths()?;
        let our = match leg {
            Some(leg) => audio::ours(paths, leg, Some(&theirs)),
            None => audio::ours_at(paths.sound, side, 0, OurKeys::default(), Some(&theirs)),
        };
        let offer = relay_offer(&theirs, &our, &self.relay_policy());
        offer.has_active_media().then_some(offer)
    }

    /// Attended: asks the call that the REFER names for its far leg.
    fn fetch(&mut self, replaces: &Replaces) {
        if let Some(transfer) = &mut self.state.transfer {
            transfer.step = Step::Fetching;
        }
        let shards = self.core.shared.shards();
        let home = self.core.shared.moved(&replaces.call_id).unwrap_or_else(|| home_of(&replaces.call_id, shards));
        let msg = SignallingMsg::FetchLeg {
            // The transferor names the dialog as it sees it from its end: our tag is its remote tag, the to-tag.
            replaces: replaces.clone(),
            for_call: self.key,
            for_shard: self.core.shard,
        };
        let asked = self.core.shared.signalling(home).is_some_and(|seat| seat.try_send(msg).is_ok());
        if !asked {
            return self.transfer_failed(Status::SERVICE_UNAVAILABLE);
        }
        self.arm(CallTimer::TransferDone, FETCH);
    }

    /// Another call wants the far leg of this one; `leg` is the transferor's here.
    pub fn give_leg(&mut self, leg: LegId, replaces: &Replaces, to: CallKey, shard: usize) {
        // Both tags must be right: who knows but one is not the transferor (RFC 3891 section 3).
        let named = self.state.leg(leg).and_then(|l| l.dialog.as_ref()).is_some_and(|d| replaces.names(d));
        let far = self
            .state
            .other(leg)
            .filter(|far| named && self.state.transfer.is_none() && self.state.leg(*far).is_some_and(Leg::is_idle));
        match far {
            Some(far) => self.hand_over(far, to, shard, "transferred"),
            None => {
                if let Some(seat) = self.core.shared.signalling(shard) {
                    seat.send_reply(SignallingMsg::Leg { call: to, leg: None });
                }
            }
        }
    }

    /// The leg that was asked for.
    pub fn take_leg(&mut self, leg: Option<Box<Leg>>) {
        if self.state.fetches || self.state.transfer.is_none() {
            return self.fetched(leg);
        }
        let waits = self.state.transfer.as_ref().is_some_and(|t| t.step == Step::Fetching);
        let Some(mut leg) = leg else {
            if waits {
                self.transfer_failed(Status::CALL_DOES_NOT_EXIST);
            }
            return;
        };
        let place = self.transferor_side().filter(|_| waits).and_then(|side| Some((side, self.state.new_leg()?)));
        let Some((side, id)) = place else {
            // The transfer was given up meanwhile: nobody is left for this party to talk to.
            leg.say_goodbye(self.core);
            return if waits {
                self.transfer_failed(Status::SERVER_INTERNAL_ERROR)
            };
        };
        self.disarm(CallTimer::TransferDone);
        leg.id = id;
        leg.side = side;
        let before = leg.exchange.local().cloned();
        let offer = self.offer_for(side, Some(&leg)).map(|offer| match &before {
            Some(before) => revise(before, offer),
            None => offer,
        });
        self.decided(Some(id), format!("{} joins: attended transfer", leg.party));
        self.state.legs.push(*leg);
        self.tie(id);
        self.time_minute(id);
        if let Some(transfer) = &mut self.state.transfer {
            transfer.step = Step::Joining(id);
        }
        match offer {
            Some(offer) => self.reinvite(id, offer),
            None => self.joined(id, false),
        }
    }

    /// The answer to our re-INVITE of a leg that came over.
    pub fn transfer_reinvited(&mut self, id: LegId, well: bool) {
        if self.state.transfer.as_ref().is_some_and(|t| t.step == Step::Joining(id)) {
            self.joined(id, well);
        } else if self.state.transfer.as_ref().is_some_and(|t| t.step == Step::Gathering(id)) {
            if well { self.gathered(id) } else { self.transfer_failed(Status::NOT_ACCEPTABLE_HERE) }
        }
    }

    /// After glare: the same offer again.
    pub fn transfer_retry(&mut self, id: LegId) -> bool {
        if self.state.transfer.as_ref().is_some_and(|t| t.step == Step::Gathering(id)) {
            self.offer_room(id);
            return true;
        }
        if self.state.transfer.as_ref().is_none_or(|t| t.step != Step::Joining(id)) {
            return false;
        }
        let offer = self.state.leg(id).and_then(|leg| self.offer_for(leg.side, Some(leg)));
        let before = self.state.leg(id).and_then(|leg| leg.exchange.local().cloned());
        match (offer, before) {
            (Some(offer), Some(before)) => self.reinvite(id, revise(&before, offer)),
            _ => self.joined(id, false),
        }
        true
    }

    fn joined(&mut self, id: LegId, well: bool) {
        if !well {
            self.hang_up(id, Some("SIP;cause=488"));
            return self.transfer_failed(Status::NOT_ACCEPTABLE_HERE);
        }
        self.transfer_succeeded(id);
    }

    /// A provisional answer on a leg of a transfer; true when it was one.
    pub fn transfer_progress(&mut self, id: LegId, status: Status) -> bool {
        if !self.is_target(id) {
            return false;
        }
        self.report(status);
        true
    }

    fn is_target(&self, id: LegId) -> bool {
        self.state.transfer.as_ref().is_some_and(|t| t.step == Step::Ringing && id != t.by && id != t.stays)
            && self.state.leg(id).is_some_and(|leg| leg.outgoing)
    }

    /// The target has answered; true when it was one.
    pub fn transfer_answered(&mut self, client: RequestId, id: LegId, response: &Message) -> bool {
        if !self.is_target(id) {
            return false;
        }
        let body = description(response).ok().flatten();
        let met = self.state.leg_mut(id).map(|leg| leg.exchange.received(Carrier::InviteOk, body));
        self.send_ack(client, id, response, None);
        self.cancel_losers(id);
        let agreed = self.state.leg(id).is_some_and(|leg| leg.agrees());
        if agreed && matches!(met, Some(Ok(_))) {
            let asks = self.state.transfer.as_ref().is_some_and(|transfer| transfer.asks);
            if asks { self.ask_target(id) } else { self.transfer_succeeded(id) }
        } else {
            self.hang_up(id, Some("SIP;cause=488"));
            self.transfer_failed(Status::NOT_ACCEPTABLE_HERE);
        }
        true
    }

    /// The newcomer has the transferor's place: media first, then the report, then the transferor may go.
    pub(super) fn transfer_succeeded(&mut self, id: LegId) {
        self.state.parked = None;
        self.disarm(CallTimer::Parked);
        if self.state.leg(id).is_some_and(|leg| leg.line.is_none()) {
            self.settle_line(id);
        }
        let Some(transfer) = &mut self.state.transfer else { return };
        transfer.step = Step::Done;
        let (by, stays) = (transfer.by, transfer.stays);
        self.connect_side(id);
        self.hear_each_other(id, stays);
        // The transferor has its own leg but no side any more: its place in the pair is the newcomer's.
        let by_switch = by == LegId::NEWCOMER;
        if by_switch || self.state.partner == Some(by) {
            self.state.partner = Some(id);
        } else {
            self.state.partner = Some(stays);
            if let Some(at) = self.state.legs.iter().position(|l| l.id == id) {
                // The newcomer comes before the transferor, so that it counts as the first on its side.
                let leg = self.state.legs.remove(at);
                self.state.legs.insert(0, leg);
            }
        }
        {
            let party = self.state.leg(id).map(|leg| leg.party.clone()).unwrap_or_default();
            let mut facts = self.file.facts.borrow_mut();
            if by == LegId::CALLER { facts.from = party } else { facts.to = party }
        }
        self.note(Some(id), What::Decided { why: "has taken the transferor's place".into() });
        if by_switch {
            if let Some(mail) = self.state.mail.as_mut().filter(|_| self.state.talk.is_some()) {
                mail.taken();
            }
            self.state.transfer = None;
            self.disarm(CallTimer::TransferDone);
            self.talk_handed_over();
        } else {
            self.report(Status::OK);
            self.arm(CallTimer::TransferDone, LEAVE);
        }
        self.retell_deaf(id);
        self.settle_lines();
    }

    /// Nobody came: the transferor is back with the party that stayed.
    pub fn transfer_failed(&mut self, status: Status) {
        self.state.lines.clear();
        if self.state.parked.is_some() {
            return self.park_again();
        }
        self.disarm(CallTimer::TransferDone);
        self.report(status);
        let Some(mut transfer) = self.state.transfer.take() else { return };
        if let Some(before) = transfer.before.take() {
            self.scatter(transfer.stays, before);
        }
        if let Step::Asking(id) = transfer.step {
            self.hang_up(id, Some("SIP;cause=480"));
        }
        self.decided(Some(transfer.by), format!("the transfer failed: {}", status.code()));
        if transfer.by == LegId::NEWCOMER {
            // The caller is back with the dialogue.
            return self.talk(crate::talk::Input::Answer(crate::talk::Answer::Failed));
        }
        let by_lives = self.state.leg(transfer.by).is_some_and(|leg| leg.state == LegState::Confirmed);
        if !by_lives {
            return self.hang_up_all("switch", "the transfer failed after the transferor had left");
        }
        let holds = self.state.leg(transfer.by).is_some_and(|leg| leg.holds);
        if let Some((flow, leg)) = self.state.flow.as_ref().zip(self.state.leg(transfer.stays)) {
            audio::hear(flow, leg.side, if holds { Source::MusicOnHold } else { Source::Peer });
        }
    }

    /// A party of a transfer has hung up; true when the call goes on.
    pub fn transfer_left(&mut self, id: LegId) -> bool {
        let Some(transfer) = &self.state.transfer else { return false };
        if matches!(transfer.step, Step::Joining(of) | Step::Asking(of) if of == id) {
            // The newcomer has gone before it was there: the others are as they were.
            self.transfer_failed(Status::TEMPORARILY_UNAVAILABLE);
            return true;
        }
        if id != transfer.by {
            if transfer.step == Step::Done {
                self.end_transferor();
            } else {
                self.cancel_forks(None, None);
            }
            return false;
        }
        if transfer.step == Step::Done {
            self.disarm(CallTimer::TransferDone);
            self.state.transfer = None;
        }
        // Before the end of the transfer the transferor may leave as well (RFC 5589 section 6.1): the target goes on ringing.
        true
    }

    /// The transferor did not leave, or the target rang too long.
    pub fn transfer_timeout(&mut self) {
        self.disarm(CallTimer::TransferDone);
        match self.state.transfer.as_ref().map(|t| t.step) {
            Some(Step::Done) => self.end_transferor(),
            Some(Step::Parked) => {
                if let Some(by) = self.state.transfer.as_ref().map(Transfer::by) {
                    self.hang_up(by, Some("SIP;cause=200;text=\"Call parked\""));
                }
            }
            Some(_) => {
                self.cancel_forks(None, None);
                self.transfer_failed(Status::TEMPORARILY_UNAVAILABLE);
            }
            None => {}
        }
    }

    fn end_transferor(&mut self) {
        if let Some(transfer) = self.state.transfer.take() {
            self.disarm(CallTimer::TransferDone);
            self.hang_up(transfer.by, Some("SIP;cause=200;text=\"Call transferred\""));
        }
    }

    /// NOTIFY with where the transfer is (RFC 3515 section 2.4.4).
    pub fn report(&mut self, status: Status) {
        let now = self.core.now();
        let Some(transfer) = &mut self.state.transfer else { return };
        let by = transfer.by;
        let Some(report) = transfer.report.as_mut().filter(|r| !r.is_ended(now)) else { return };
        let notify = report.notify(status, now);
        if self.state.leg(by).is_none_or(|leg| leg.state != LegState::Confirmed) {
            return;
        }
        self.send_inside(by, &Method::Notify, |mut writer| {
            writer.header(Name::Event, notify.event).header(Name::SubscriptionState, notify.state);
            writer.body(SIPFRAG, notify.body.as_bytes())
        });
    }
}

//! What a call is between two messages.

use sip::Status;
use sip::timer::Handle;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::sync::Arc;

use super::adding::Adding;
use super::callee::{Callee, RingsOutside};
use super::groups::Turn;
use super::history::SentOn;
use super::leg::{Leg, LegId, LegState};
use super::lines::{Line, Paths};
use super::park::Parked;
use super::transfer::Transfer;
use super::{CallKey, CallTimer};
use crate::directory::ServiceKind;
use crate::group::Ticket;
use crate::parking::Rings;
use crate::user_lines::UserLine;

/// The call, whole. It lies in the call's file, so that it outlives the actor.
#[derive(Default)]
pub struct State {
    /// An actor has had it.
    pub born: bool,
    /// The INVITE has been taken.
    pub begun: bool,
    /// Caller first; then every leg that was tried, until it ends.
    pub legs: Vec<Leg>,
    /// The leg that talks with the caller.
    pub partner: Option<LegId>,
    /// The leg whose early media the caller hears.
    pub heard: Option<LegId>,
    /// The media path of its sound.
    pub flow: Option<::media::Flow>,
    /// The media paths of what is beside it.
    pub lines_beside: Vec<Line>,
    /// What has passed lines beside it that are closed.
    pub lines_past: Vec<crate::records::LineDetail>,
    /// A line that a party wants to add, and that the other one is asked about.
    pub adding: Option<Adding>,
    /// The service that answers, if one does.
    pub service: Option<ServiceKind>,
    /// The dialogue that answers, if one does.
    pub talk: Option<Box<crate::talk::Talk>>,
    /// What its record says of voice mail.
    pub mail: Option<Box<crate::mail::MailDetail>>,
    /// What it plays on a phone that the switch has called, if it does.
    pub plays: Option<Arc<crate::mail::Play>>,
    /// Its place in a conference; given back when it is dropped.
    pub seated: Option<crate::conference::Seated>,
    /// The user that it rings for, and what that one has switched.
    pub callee: Option<Callee>,
    /// Numbers outside that ring beside the callee's phones.
    pub outside: Vec<RingsOutside>,
    /// For whom its phones ring; others may take it.
    pub rings: Vec<Rings>,
    /// What a feature code asked for is on its way to the disk.
    pub wishes: bool,
    /// Another call was asked for its party.
    pub fetches: bool,
    /// The caller goes to this call of this shard as soon as it has acknowledged our answer.
    pub promised: Option<(CallKey, usize)>,
    /// A party of it is parked.
    pub parked: Option<Parked>,
    /// Its place in a ring group; given back when it is dropped.
    pub group: Option<Ticket>,
    /// Agents whose phones ring, until one has the call: each has one call more.
    pub rung: Vec<UserLine>,
    /// Agents who ring as soon as the caller has acknowledged our answer.
    pub round: Option<Vec<SmolStr>>,
    /// The best refusal of the legs tried so far (RFC 3261 section 16.7 step 6).
    pub best: Option<(Status, Arc<str>)>,
    /// The Reason that came with it.
    pub why: Option<String>,
    /// Whose turn to ring has not come, the next first.
    pub turns: VecDeque<Turn>,
    /// Contacts that this ringing has had or will have.
    pub forks: usize,
    /// Users that have sent the call on.
    pub sent_on: Vec<SentOn>,
    /// Addresses of record that were rung.
    pub tried: Vec<String>,
    /// Users that are called, until one has the call: each has one call more.
    pub lines: Vec<UserLine>,
    /// The caller has set its INVITE a time that is shorter than ours (Expires).
    pub expires: bool,
    /// A gateway was passed over because of its limits or its operator.
    pub limited: bool,
    /// Its places under objects of the plan.
    pub under: Vec<crate::plan::Place>,
    /// Its places among the calls outside of who pays.
    pub places: Vec<crate::limits::Held>,
    /// How often a party was offered anew what the other speaks.
    pub retold: u8,
    /// The legs have each other's sides, while one of them is on its way into a conference.
    pub turned: bool,
    /// A transfer under way.
    pub transfer: Option<Transfer>,
    /// Requests inside the dialogs that were passed on and wait for the far party's answer.
    pub passed: Vec<super::inside::Passed>,
    /// Keys on their way to parties by INFO.
    pub told: Vec<super::dtmf::Told>,
    /// Timers that run.
    pub timers: Vec<(CallTimer, Handle)>,
    /// Next leg's number.
    pub next_leg: u8,
    /// The end has been recorded.
    pub finished: bool,
}

impl State {
    /// The leg called `id`.
    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    /// The leg called `id`, to change it.
    pub fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    /// The media paths, once there are any.
    pub fn paths(&self) -> Option<Paths<'_>> {
        Some(Paths { sound: self.flow.as_ref()?, lines: &self.lines_beside })
    }

    /// The number of a leg to come; `None` when a call has had all that there are.
    pub fn new_leg(&mut self) -> Option<LegId> {
        let id = LegId(self.next_leg);
        if id != LegId::NEWCOMER {
            self.next_leg += 1;
            return Some(id);
        }
        // A call that waits in a ring group for long: numbers of legs that are no more come round.
        self.legs.retain(|leg| leg.id == LegId::CALLER || leg.state != LegState::Ended);
        (1..id.0).map(LegId).find(|id| self.leg(*id).is_none())
    }

    /// The caller.
    pub fn caller(&mut self) -> Option<&mut Leg> {
        self.leg_mut(LegId::CALLER)
    }

    /// The party that hears `id`: the caller's partner, or a callee's caller.
    pub fn other(&self, id: LegId) -> Option<LegId> {
        let partner = self.partner?;
        let first = self.first()?;
        match id {
            id if id == first => Some(partner),
            id if id == partner => Some(first),
            _ => None,
        }
    }

    /// The party on side A: the caller, or whoever has taken its place.
    pub fn first(&self) -> Option<LegId> {
        self.legs.iter().find(|leg| leg.side == ::media::Side::A && leg.state != LegState::Ended).map(|leg| leg.id)
    }

    /// Whether any leg is still being tried.
    pub fn ringing(&self) -> bool {
        self.legs.iter().any(|leg| leg.outgoing && leg.state == LegState::Early)
    }

    /// Nothing is left to do: the end is recorded and no leg waits for anything.
    pub fn over(&self) -> bool {
        self.finished && self.legs.iter().all(|leg| leg.state == LegState::Ended)
    }
}

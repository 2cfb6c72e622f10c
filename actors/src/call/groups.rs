//! Whose turn it is to ring: contacts of equal q together, groups from the highest q to the lowest (RFC 3261 section 16.6);
//! gateways one after the other.
//!
//! A group that has failed, or has rung for `sip.ring_step`, gives way to the next one. Its phones are then cancelled: q
//! says who rings *instead* of whom. A phone that picks up all the same, because its answer crossed the CANCEL, has the
//! call. A gateway gives way by the rules of `outward`.

use std::cmp::Reverse;
use std::collections::VecDeque;

use sip::Status;

use super::leg::{Leg, LegId, LegState};
use super::{CallTimer, Work};
use crate::gateway::Exit;
use crate::location::Contact;
use crate::shared::unix_ms;

/// Who rings together.
pub enum Turn {
    /// Contacts of one q.
    Contacts(Group),
    /// A gateway.
    Exit(Exit),
}

/// Contacts that ring together.
pub struct Group {
    aor: String,
    contacts: Vec<Contact>,
}

impl Work<'_> {
    /// The contacts of an address of record that are alive, or of the one instance that a GRUU names (RFC 5627 section
    /// 3.3), as groups in the order of their turns. They count among `sip.max_forks`; what is past it is left out.
    pub fn groups_of(&mut self, aor: &str, instance: Option<&str>) -> VecDeque<Turn> {
        let now = unix_ms();
        let room = self.core.shared.settings().sip.max_forks.saturating_sub(self.state.forks);
        let alive = self.core.shared.location.get(aor);
        let mut contacts: Vec<&Contact> = alive
            .iter()
            .filter(|c| c.expires_at_ms > now)
            .filter(|c| instance.is_none_or(|of| c.is_instance(of)))
            .collect();
        contacts.sort_by_key(|c| Reverse(c.q_milli));
        contacts.truncate(room);
        self.state.forks += contacts.len();
        contacts
            .chunk_by(|one, next| one.q_milli == next.q_milli)
            .map(|group| {
                Turn::Contacts(Group { aor: aor.to_owned(), contacts: group.iter().copied().cloned().collect() })
            })
            .collect()
    }

    /// Gives these their turns, before those that wait already. False when nobody can be reached.
    pub fn ring_turns(&mut self, mut turns: VecDeque<Turn>) -> bool {
        turns.append(&mut self.state.turns);
        self.state.turns = turns;
        self.ring_next()
    }

    /// Rings the next of whom somebody can be reached; false when there is none.
    pub fn ring_next(&mut self) -> bool {
        self.disarm(CallTimer::Group);
        while let Some(turn) = self.state.turns.pop_front() {
            let by_q = matches!(turn, Turn::Contacts(_));
            self.ring_turn(turn);
            if self.state.ringing() {
                if by_q {
                    self.time_group();
                }
                return true;
            }
        }
        false
    }

    /// Rings whose turn it is.
    pub fn ring_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Contacts(group) => group.contacts.iter().for_each(|contact| self.invite(contact, &group.aor)),
            Turn::Exit(exit) => self.leave_by(exit),
        }
    }

    /// The group that rings has its time, unless it is the last.
    pub fn time_group(&mut self) {
        self.disarm(CallTimer::Group);
        if !self.state.turns.is_empty() {
            self.arm(CallTimer::Group, self.core.shared.settings().sip.ring_step);
        }
    }

    /// The group that rings has had its time.
    pub fn group_over(&mut self) {
        self.disarm(CallTimer::Group);
        if self.state.turns.is_empty() {
            return;
        }
        self.decided(None, "nobody of this q answers: the next has its turn");
        self.pass_over(false);
        self.weigh(Status::TEMPORARILY_UNAVAILABLE, "Nobody Answered".into());
        if !self.ring_next() && !self.state.ringing() {
            self.all_refused(Status::TEMPORARILY_UNAVAILABLE);
        }
    }

    /// Cancels who rings, without letting go of an answer that crosses the CANCEL; `all`: also who rings beside the others.
    pub fn pass_over(&mut self, all: bool) {
        let rings = |leg: &&Leg| leg.outgoing && leg.state == LegState::Early && (all || !leg.beside);
        let ringing = self.state.legs.iter().filter(rings);
        let ringing: Vec<LegId> = ringing.map(|leg| leg.id).collect();
        for id in ringing {
            self.cancel_leg(id, LegState::Late, Some("SIP;cause=480;text=\"nobody answered\""));
        }
    }
}

//! A call in a ring group: its agents' phones ring, it waits with music, or it leaves for somewhere else.
//!
//! Who rings for whom the group decides (`group/rules.rs`); here it is done, and what came of it told back. While an agent can
//! be rung the caller hears it ring; when it has to wait for one it is answered and hears music.

use media::prompt::Say;
use media::prompt::say::Counting;
use media::{Repeat, Side, Source};
use sip::{Name, Status};
use smol_str::SmolStr;
use std::sync::Arc;
use std::time::Duration;

use super::history::Why as Sent;
use super::leg::{LegId, LegState};
use super::{CallTimer, Work, media as audio};
use crate::directory::{ServiceKind, User};
use crate::group::{Method, Order, Plan, Ticket, Why};
use crate::user_lines::UserLine;

/// How long a caller may hear it ring before it is answered and hears music: gateways give up after three minutes.
const RINGS_MAX: Duration = Duration::from_secs(60);
/// After how long in the queue a caller is first told its place.
const FIRST_ANNOUNCEMENT: Duration = Duration::from_secs(2);

impl Work<'_> {
    /// The number is a ring group's.
    pub fn enter_group(&mut self, plan: &Arc<Plan>) {
        let Some(group) = self.core.shared.groups.get(&plan.name) else {
            return self.refuse(Status::TEMPORARILY_UNAVAILABLE, None, 20);
        };
        if !self.ready_media() {
            return;
        }
        self.decided(None, sip::text!["the number is ring group ", &plan.name]);
        let from = self.file.facts.borrow().from.clone();
        self.state.group = Some(Ticket::new(group, self.key, self.core.shard, from));
        if let Some(longest) = plan.wait_max {
            self.arm(CallTimer::Waited, longest);
        }
        if let Some(expires) = self.expires() {
            self.state.expires = true;
            self.arm(CallTimer::Ringing, expires);
        }
    }

    /// The group says what becomes of the call.
    pub fn grouped(&mut self, group: &str, id: u64, order: Order) {
        let stands = self.state.group.as_ref().is_some_and(|ticket| ticket.is(group, id));
        if self.state.finished || self.state.partner.is_some() || !stands {
            return;
        }
        match order {
            Order::Ring(agents) => self.ring_agents(agents),
            Order::Wait => self.wait_in_group(),
            Order::Leave(why) => self.leave_group(why),
        }
    }

    fn ring_agents(&mut self, agents: Vec<SmolStr>) {
        let Some(plan) = self.state.group.as_ref().map(|ticket| ticket.group().plan()) else { return };
        let late = self.core.now().saturating_sub(self.file.began()) > RINGS_MAX;
        if late && self.is_unanswered() {
            self.hold_the_line();
        }
        // Phones are offered what the caller has said, which may come with its ACK only.
        if self.state.caller().is_some_and(|caller| caller.ack_due) {
            self.state.round = Some(agents);
            return;
        }
        let directory = self.core.shared.directory();
        self.decided(None, format!("group {}: {} ring", plan.name, agents.join(", ")));
        (self.state.best, self.state.why) = (None, None);
        for name in &agents {
            let Some(user) = directory.user(name).cloned() else { continue };
            let aor = directory.aor(&user);
            let most = if plan.method == Method::Attendant { user.max_calls.unwrap_or(usize::MAX) } else { 1 };
            let Some(line) = UserLine::take(&self.core.shared, &aor, most) else {
                self.decided(None, format!("{name} has a call meanwhile"));
                continue;
            };
            self.state.rung.push(line);
            self.state.forks = 0;
            for turn in self.groups_of(&aor, None) {
                self.ring_turn(turn);
            }
        }
        if self.state.ringing() {
            self.arm(CallTimer::Alert, plan.alert);
            self.lamps();
        } else {
            self.round_over();
        }
    }

    /// The agents who rang have had their time.
    pub fn alert_over(&mut self) {
        self.decided(None, "the agents who rang do not answer");
        self.pass_over(true);
        self.round_over();
    }

    /// All who rang have refused; true where the call is in a group, which goes on.
    pub fn group_refused(&mut self) -> bool {
        let is_open = self.state.group.is_some() && self.state.partner.is_none();
        if is_open {
            self.round_over();
        }
        is_open
    }

    fn round_over(&mut self) {
        self.disarm(CallTimer::Alert);
        self.leave_rung(None);
        self.state.rings.clear();
        if let Some(ticket) = &self.state.group {
            ticket.missed(&ticket.ringing());
        }
    }

    /// A phone of an agent has answered; the caller talks with it.
    pub fn taken_by_agent(&mut self, id: LegId) {
        let Some(user) = self.state.leg(id).and_then(|leg| leg.user.clone()) else { return };
        let Some(ticket) = &mut self.state.group else { return };
        ticket.answered(&SmolStr::new(&user.name));
        let aor = self.core.shared.directory().aor(&user);
        self.leave_rung(Some(&aor));
        self.state.service = None;
        self.state.round = None;
        for timer in [CallTimer::Alert, CallTimer::Waited, CallTimer::Announce] {
            self.disarm(timer);
        }
        self.decided(Some(id), format!("agent {} takes the call", user.name));
        self.file.facts.borrow_mut().to = aor;
    }

    fn is_unanswered(&mut self) -> bool {
        self.state.caller().is_some_and(|caller| caller.server.is_some() && caller.state == LegState::Early)
    }

    fn wait_in_group(&mut self) {
        let place = self.state.group.as_ref().and_then(Ticket::position).unwrap_or(1);
        self.decided(None, format!("waits in the group, at place {place}"));
        if self.is_unanswered() {
            self.hold_the_line();
        }
    }

    /// Answers the caller, who hears music from now on.
    fn hold_the_line(&mut self) {
        // An INVITE that has been answered expires no more.
        self.disarm(CallTimer::Ringing);
        self.serve(ServiceKind::Music);
        let announces = self.state.group.as_ref().is_some_and(|ticket| ticket.group().plan().announce.is_some());
        if announces && !self.state.finished {
            self.arm(CallTimer::Announce, FIRST_ANNOUNCEMENT);
        }
    }

    /// The caller's answer to our offer has come with its ACK, or it has said all before: phones can ring.
    pub fn group_acked(&mut self) {
        if let Some(agents) = self.state.round.take() {
            self.ring_agents(agents);
        }
    }

    /// Who waits is told its place.
    pub fn announce_place(&mut self) {
        let Some(ticket) = &self.state.group else { return };
        let plan = ticket.group().plan();
        let place = ticket.position().and_then(|place| u32::try_from(place).ok());
        if let (Some(flow), Some(place)) = (&self.state.flow, place) {
            let words = [Say::Prompt("queue-position"), Say::Number(place, Counting::Nothing)];
            let audio = self.core.shared.prompts.speak(plan.language, &words);
            audio::hear(flow, Side::A, Source::Prompt(audio, Repeat::Once));
        }
        if let Some(every) = plan.announce {
            self.arm(CallTimer::Announce, every);
        }
    }

    /// The announcement is over: music again. True where the call waits in a group.
    pub fn announced(&mut self) -> bool {
        let waits = self.state.group.is_some() && self.state.partner.is_none();
        if waits {
            self.play();
        }
        waits
    }

    /// The call has been in the group for as long as it may.
    pub fn waited_too_long(&mut self) {
        if self.state.partner.is_none() {
            self.leave_group(Why::TooLong);
        }
    }

    fn leave_group(&mut self, why: Why) {
        let Some(ticket) = self.state.group.take() else { return };
        let plan = ticket.group().plan();
        self.decided(None, format!("leaves ring group {}: {}", plan.name, why.as_str()));
        for timer in [CallTimer::Alert, CallTimer::Waited, CallTimer::Announce] {
            self.disarm(timer);
        }
        self.pass_over(true);
        self.leave_rung(None);
        self.state.round = None;
        let (to, reason, status, q850) = match why {
            Why::Nobody | Why::Gone => (&plan.nobody_to, Sent::Unavailable, Status::TEMPORARILY_UNAVAILABLE, 20),
            Why::Full => (&plan.overflow_to, Sent::Busy, Status::BUSY_HERE, 17),
            Why::TooLong => (&plan.timeout_to, Sent::NoAnswer, Status::TEMPORARILY_UNAVAILABLE, 19),
        };
        ticket.leave(to.is_some());
        let Some(to) = to else {
            return self.refuse_with(status, None, q850, |writer| {
                writer.header(Name::Reason, format!("Q.850;cause={q850};text=\"{}\"", why.as_str()));
            });
        };
        let stand_in = Arc::new(User::stand_in(&plan.name, &plan.number, plan.voice_policy.clone()));
        self.divert(to, &stand_in, reason);
    }

    /// After the death of the call's actor: an order may have been lost, and timers that fired.
    pub fn group_rebuilt(&mut self) {
        let Some(ticket) = self.state.group.as_ref().filter(|_| self.state.partner.is_none()) else { return };
        let (plan, waited) = (ticket.group().plan(), ticket.waited());
        if self.state.ringing() {
            self.arm(CallTimer::Alert, plan.alert);
        } else if self.state.round.is_none() {
            ticket.again();
            self.leave_rung(None);
        }
        if let Some(longest) = plan.wait_max {
            self.arm(CallTimer::Waited, longest.saturating_sub(waited));
        }
        if plan.announce.is_some() && self.state.service.is_some() {
            self.arm(CallTimer::Announce, FIRST_ANNOUNCEMENT);
        }
    }
}

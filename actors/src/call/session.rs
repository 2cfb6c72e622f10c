//! Session timers of the legs (RFC 4028) and the timers of a call.

use sip::dialog::session_timer::{Answer, Policy, TooSmall};
use sip::transaction::ServerId;
use sip::{Message, Method, Name, Status};
use std::time::Duration;

use super::leg::LegId;
use super::{CallTimer, Work};
use crate::shard::TimerKind;

/// A refresh that was not answered is tried again after this long, until the session expires.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// What we want of session timers.
    pub fn session_policy(&self) -> Policy {
        let settings = self.core.shared.settings();
        let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        Policy { interval_s: seconds(settings.sip.session_expires), min_s: seconds(settings.sip.min_se) }
    }

    /// What we answer to a request's session timer (section 9).
    pub fn session_answer(&self, id: LegId, request: &Message) -> Result<Answer, TooSmall> {
        let current = self.state.leg(id).and_then(|leg| leg.session).map(|timer| timer.refresher);
        self.session_policy().answer(request, current, self.core.now())
    }

    /// The 2xx with this answer goes out: the leg's timer runs by it. Says what the 2xx must carry.
    pub fn session_agreed(&mut self, id: LegId, answer: &Answer, writer: &mut sip::Writer, request: &Message) {
        if let Some(leg) = self.state.leg_mut(id) {
            leg.session = Some(answer.timer);
        }
        // A client that does not know session timers gets no header of theirs; we refresh all the same.
        if request.lists(Name::Supported, "timer") {
            writer.header(Name::SessionExpires, &answer.session_expires);
            if answer.require {
                writer.header(Name::Require, "timer");
            }
        }
        self.arm_session(id);
    }

    /// A 2xx to an INVITE or UPDATE of ours (section 7.2).
    pub fn session_settled(&mut self, id: LegId, response: &Message) {
        let timer = self.session_policy().settle(response, self.core.now());
        if let Some(leg) = self.state.leg_mut(id) {
            leg.session = timer;
        }
        self.arm_session(id);
    }

    /// Arms the timers of a leg's session.
    pub fn arm_session(&mut self, id: LegId) {
        self.disarm(CallTimer::Refresh(id));
        self.disarm(CallTimer::SessionExpired(id));
        let Some(timer) = self.state.leg(id).and_then(|leg| leg.session) else { return };
        let now = self.core.now();
        if let Some(at) = timer.refresh_at() {
            self.arm(CallTimer::Refresh(id), at.saturating_sub(now));
        }
        self.arm(CallTimer::SessionExpired(id), timer.expires_at().saturating_sub(now));
    }

    /// It is our turn: UPDATE where the party takes it, else a re-INVITE with the description in force.
    pub fn refresh(&mut self, id: LegId) {
        let Some(leg) = self.state.leg(id) else { return };
        let Some(timer) = leg.session else { return };
        let (update, busy) = (leg.abilities.update, leg.client.is_some() || leg.server.is_some());
        self.arm(CallTimer::Refresh(id), REFRESH_AGAIN);
        if busy {
            return;
        }
        if !update {
            return self.reinvite_same(id);
        }
        let min_se = self.session_policy().offer().1;
        self.send_inside(id, &Method::Update, |mut writer| {
            writer.header(Name::SessionExpires, timer.refresh_value()).header(Name::MinSe, min_se);
            writer.header(Name::Supported, crate::shard::SUPPORTED);
            writer.finish()
        });
    }

    /// Nobody refreshed in time (section 10).
    pub fn session_expired(&mut self, id: LegId) {
        self.decided(Some(id), "the session was not refreshed (RFC 4028 section 10)");
        self.hang_up_all("switch", "a session timer expired");
    }

    /// Answers 422 with what we accept (section 9).
    pub fn too_brief(&self, id: LegId, server: ServerId, request: &Message, refusal: TooSmall) {
        let mut writer = self.reply_inside(id, request, Status::SESSION_INTERVAL_TOO_SMALL, None);
        writer.header(Name::MinSe, refusal.min_s.to_string());
        self.respond(id, server, request.method(), Status::SESSION_INTERVAL_TOO_SMALL, writer.finish());
    }

    /// Arms a timer of the call.
    pub fn arm(&mut self, timer: CallTimer, wait: Duration) {
        self.disarm(timer);
        if let Some(handle) = self.core.arm(self.core.now() + wait, TimerKind::Call(self.key, timer)) {
            self.state.timers.push((timer, handle));
        }
    }

    /// Stops a timer of the call.
    pub fn disarm(&mut self, timer: CallTimer) {
        let core = self.core;
        self.state.timers.retain(|(armed, handle)| {
            if *armed == timer {
                core.disarm(*handle);
            }
            *armed != timer
        });
    }

    /// Stops the timers of a leg.
    pub fn disarm_leg(&mut self, id: LegId) {
        use CallTimer::{Failover, Minute, Refresh, Retry, SessionExpired, Silence};
        for timer in [Refresh(id), SessionExpired(id), Retry(id), Silence(id), Failover(id), Minute(id)] {
            self.disarm(timer);
        }
    }
}

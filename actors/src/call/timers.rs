//! What a call waits for.

use super::Work;
use super::leg::LegId;

/// What a call's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallTimer {
    /// Nobody has answered for too long.
    Ringing,
    /// It is the turn of those who ring beside the callee's phones.
    Beside(u8),
    /// The call that was asked for its party does not give it.
    Fetched,
    /// The call has been parked for long enough.
    Parked,
    /// The agents of a ring group who ring have had their time.
    Alert,
    /// The call has been in a ring group for as long as it may.
    Waited,
    /// Who waits in a ring group is to be told its place.
    Announce,
    /// The contacts that ring have had their time, and others wait for their turn.
    Group,
    /// A gateway has said nothing of its INVITE.
    Silence(LegId),
    /// A gateway has neither rung nor answered.
    Failover(LegId),
    /// The call has lasted as long as a call may.
    MaxDuration,
    /// A minute of a leg that leads outside is over: the next one is paid for.
    Minute(LegId),
    /// It is our turn to refresh the session of a leg (RFC 4028 section 10).
    Refresh(LegId),
    /// The session of a leg was not refreshed (RFC 4028 section 10).
    SessionExpired(LegId),
    /// A re-INVITE that met another may be tried again (RFC 3261 section 14.1).
    Retry(LegId),
    /// A dialogue is to go on.
    Talk,
    /// A transfer's subscription has had its time, or the transferor did not hang up.
    TransferDone,
}

impl Work<'_> {
    /// A timer is due.
    pub fn timer(&mut self, timer: CallTimer) {
        match timer {
            CallTimer::Ringing => self.nobody_answered(),
            CallTimer::Group => self.group_over(),
            CallTimer::Beside(at) => self.beside_due(at),
            CallTimer::Fetched => self.fetched(None),
            CallTimer::Parked => self.park_over(),
            CallTimer::Alert => self.alert_over(),
            CallTimer::Waited => self.waited_too_long(),
            CallTimer::Announce => self.announce_place(),
            CallTimer::Silence(leg) => self.gateway_late(leg, "the gateway says nothing: the next one is tried"),
            CallTimer::Failover(leg) => self.gateway_late(leg, "the gateway does not ring: the next one is tried"),
            CallTimer::MaxDuration => self.hang_up_all("switch", "the longest time of a call has passed"),
            CallTimer::Minute(leg) => self.charge_minute(leg),
            CallTimer::Refresh(leg) => self.refresh(leg),
            CallTimer::SessionExpired(leg) => self.session_expired(leg),
            CallTimer::Retry(leg) => self.retry(leg),
            CallTimer::TransferDone => self.transfer_timeout(),
            CallTimer::Talk => self.talk(crate::talk::Input::Due),
        }
    }
}

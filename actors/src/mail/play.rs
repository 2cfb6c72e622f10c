//! Messages that the switch plays on a phone (reference, unified messaging, 7.7): one at a time a user.

use ahash::RandomState;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;

use crate::call::CallKey;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Played {
    /// A message, by its number.
    Message(u64),
    /// The menu in which greetings are heard and recorded.
    Greetings,
}

/// Where such a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayState {
    /// The phone is being called.
    Connecting,
    /// It rings.
    Alerted,
    /// It has answered.
    Connected,
    /// The call is over.
    Disconnected,
}

/// Why a phone was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayFailure {
    /// It was.
    None,
    /// It is busy.
    UserBusy,
    /// Nobody has answered.
    NoAnswer,
    /// It cannot be reached, or may not be called.
    Unavailable,
    /// Something else.
    Other,
}

impl PlayFailure {
    /// What a final SIP status means.
    const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::None,
            486 | 600 | 603 => Self::UserBusy,
            408 | 480 | 487 => Self::NoAnswer,
            403 | 404 | 410 | 500..=599 | 604 => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// A call that plays something to its user.
#[derive(Debug)]
pub struct Play {
    /// Whose mailbox.
    pub user: String,
    /// What is dialled.
    pub number: String,
    /// What is played.
    pub what: Played,
    /// The shard that the call is on.
    pub shard: usize,
    progress: Mutex<Progress>,
}

#[derive(Clone, Debug)]
struct Progress {
    call: Option<CallKey>,
    state: PlayState,
    failure: PlayFailure,
    status: u16,
    cause: String,
}

/// A [`Play`] as it is told.
#[derive(Clone, Debug, Serialize)]
pub struct PlayView {
    /// The call, once there is one.
    pub call: Option<String>,
    /// What is dialled.
    pub number: String,
    /// What is played.
    pub what: Played,
    /// Where it is.
    pub state: PlayState,
    /// Why nobody was reached.
    pub failure: PlayFailure,
    /// The final SIP status; 0 before there is one.
    pub sip_status: u16,
    /// Why it ended, in words.
    pub cause: String,
}

impl Play {
    /// One that nobody has dialled for yet.
    pub fn new(user: String, number: String, what: Played, shard: usize) -> Self {
        let progress = Progress {
            call: None,
            state: PlayState::Connecting,
            failure: PlayFailure::None,
            status: 0,
            cause: String::new(),
        };
        Self { user, number, what, shard, progress: Mutex::new(progress) }
    }

    /// Its call has begun.
    pub fn begun(&self, call: CallKey) {
        self.progress.lock().call = Some(call);
    }

    /// The call, once there is one.
    pub fn call(&self) -> Option<CallKey> {
        self.progress.lock().call
    }

    /// The phone rings, or has answered. What is over stays over.
    pub fn reached(&self, state: PlayState) {
        let mut progress = self.progress.lock();
        if progress.state != PlayState::Disconnected {
            progress.state = state;
            progress.status = if state == PlayState::Connected { 200 } else { 0 };
        }
    }

    /// The call is over.
    pub fn over(&self, status: u16, cause: &str) {
        let mut progress = self.progress.lock();
        if progress.state == PlayState::Disconnected {
            return;
        }
        let answered = progress.state == PlayState::Connected;
        progress.state = PlayState::Disconnected;
        progress.status = if answered { 200 } else { status };
        // An end without an answer that is none of the phone's is a failure all the same.
        progress.failure = match (answered, PlayFailure::of(status)) {
            (true, _) => PlayFailure::None,
            (false, PlayFailure::None) => PlayFailure::Other,
            (false, failure) => failure,
        };
        cause.clone_into(&mut progress.cause);
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.progress.lock().state == PlayState::Disconnected
    }

    /// As it is told.
    pub fn view(&self) -> PlayView {
        let Progress { call, state, failure, status, cause } = self.progress.lock().clone();
        PlayView {
            call: call.map(|call| call.to_string()),
            number: self.number.clone(),
            what: self.what,
            state,
            failure,
            sip_status: status,
            cause,
        }
    }
}

/// The last play of each user, for as long as the switch runs: at most one a mailbox.
#[derive(Debug, Default)]
pub struct Plays(DashMap<String, Arc<Play>, RandomState>);

impl Plays {
    /// Takes the user's place; `None` while something is played to that user.
    pub fn begin(&self, play: Play) -> Option<Arc<Play>> {
        let play = Arc::new(play);
        match self.0.entry(play.user.clone()) {
            Entry::Occupied(before) if !before.get().is_over() => None,
            Entry::Occupied(mut before) => {
                before.insert(Arc::clone(&play));
                Some(play)
            }
            Entry::Vacant(place) => {
                place.insert(Arc::clone(&play));
                Some(play)
            }
        }
    }

    /// The last play of a user.
    pub fn of(&self, user: &str) -> Option<Arc<Play>> {
        self.0.get(user).map(|play| Arc::clone(&play))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(number: u64) -> Play {
        Play::new("alice".into(), "1001".into(), Played::Message(number), 0)
    }

    #[test]
    fn something_is_played_to_a_user_once_at_a_time() {
        let plays = Plays::default();
        let first = plays.begin(play(1)).unwrap();
        assert!(plays.begin(play(2)).is_none());
        first.over(486, "Busy Here");
        let view = plays.of("alice").unwrap().view();
        assert_eq!((view.state, view.failure, view.sip_status), (PlayState::Disconnected, PlayFailure::UserBusy, 486));
        assert!(plays.begin(play(2)).is_some());
    }

    #[test]
    fn what_was_answered_has_not_failed_and_what_is_over_stays_over() {
        let one = play(1);
        one.reached(PlayState::Alerted);
        one.reached(PlayState::Connected);
        one.over(200, "the callee has hung up");
        one.reached(PlayState::Alerted);
        let view = one.view();
        assert_eq!((view.state, view.failure, view.sip_status), (PlayState::Disconnected, PlayFailure::None, 200));
        let other = play(1);
        other.over(200, "ended by the operator");
        assert_eq!(other.view().failure, PlayFailure::Other);
    }
}

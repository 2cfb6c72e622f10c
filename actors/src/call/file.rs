//! What outlives a call's actor: its state, its record, and what is known of its parties.

use media::Side;
use serde::Serialize;
use sip::Message;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use super::leg::{LegId, LegState};
use super::record::{Event, Record, What};
use super::state::State;
use super::{CallKey, CallMsg};
use crate::figures::MediaFigures;
use crate::shard::Core;
use crate::shared::unix_ms;

/// See the module.
pub struct CallFile {
    /// The call.
    pub state: RefCell<State>,
    record: RefCell<Record>,
    /// What is known of the parties.
    pub facts: RefCell<Facts>,
    /// What came for the call and waits for its turn. It lies here and not in the actor, so that what waits behind a fault is
    /// for the successor.
    mail: RefCell<VecDeque<CallMsg>>,
    began: Duration,
    shard: usize,
}

/// Messages that wait for a call at the most: what others ask of it ends at the bound of its mailbox, and what is bounded by
/// construction (answers, timers, ends of transactions) has room beyond it.
const MAIL_MAX: usize = 256;

/// Who talks with whom, since when.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Caller's address of record, or what it says it is.
    pub from: String,
    /// The caller is not to be named to other parties.
    pub from_hidden: bool,
    /// Where the call leads.
    pub to: String,
    /// What was dialled.
    pub dialled: String,
    /// The caller's Call-ID.
    pub call_id: String,
    /// ms since 1970.
    pub started_ms: i64,
    /// ms since 1970.
    pub answered_ms: Option<i64>,
    /// Codec of the caller's side.
    pub codec_a: Option<String>,
    /// Codec of the callee's side.
    pub codec_b: Option<String>,
}

/// A line of the list of calls.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    /// Key.
    pub id: String,
    /// `ringing`, `up`, `held`, `ending`.
    pub state: &'static str,
    /// Caller.
    pub from: String,
    /// The caller is not to be named to other parties.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_hidden: bool,
    /// Callee.
    pub to: String,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339.
    pub answered: Option<String>,
    /// ms since it began.
    pub duration_ms: i64,
    /// Codec towards the caller.
    pub codec_a: Option<String>,
    /// Codec towards the callee.
    pub codec_b: Option<String>,
    /// The caller's media; `None` before there is any.
    pub media_a: Option<MediaFigures>,
    /// The callee's media.
    pub media_b: Option<MediaFigures>,
    /// Shard.
    pub shard: usize,
    /// The caller's Call-ID.
    pub sip_call_id: String,
}

/// A call's whole record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordView {
    /// The switch's name of the call.
    pub id: String,
    /// The call; `None` when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallView>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Events that were dropped from the middle.
    pub dropped: u64,
}

/// What is kept of a call that has ended, for who asks what happened.
#[derive(Debug)]
pub struct EndedRecord {
    key: CallKey,
    call_ids: Vec<String>,
    record: Record,
}

impl EndedRecord {
    /// Whether this is the call of that name, or had a dialog of that Call-ID.
    pub fn is(&self, id: &str) -> bool {
        self.call_ids.iter().any(|call_id| call_id == id) || self.key.name() == id
    }

    /// The record.
    pub fn view(&self) -> RecordView {
        let (events, dropped) = (self.record.events().to_vec(), self.record.dropped());
        RecordView { id: self.key.to_string(), call: None, events, dropped }
    }
}

impl CallFile {
    /// The file of a call that begins with `invite`.
    pub fn new(core: &Core, invite: &Message) -> Self {
        Self::named(core, String::from_utf8_lossy(invite.call_id()).into_owned())
    }

    /// The file of a call that the switch makes itself; it has this Call-ID until somebody has answered.
    pub fn of_switch(core: &Core) -> Self {
        Self::named(core, core.new_call_id())
    }

    fn named(core: &Core, call_id: String) -> Self {
        let facts = Facts { call_id, started_ms: unix_ms(), ..Facts::default() };
        Self {
            state: RefCell::default(),
            record: RefCell::default(),
            facts: RefCell::new(facts),
            mail: RefCell::new(VecDeque::with_capacity(1)),
            began: core.now(),
            shard: core.shard,
        }
    }

    /// Appends to the record.
    pub fn note(&self, now: Duration, leg: Option<LegId>, what: What) {
        let at_ms = u32::try_from(now.saturating_sub(self.began).as_millis()).unwrap_or(u32::MAX);
        self.record.borrow_mut().push(at_ms, leg.map(|l| l.0), what);
    }

    /// Puts a message behind the others for the call's actor, whichever it is when their turn comes; false past the bound.
    pub fn post(&self, msg: CallMsg) -> bool {
        let mut mail = self.mail.borrow_mut();
        let room = mail.len() < MAIL_MAX;
        if room {
            mail.push_back(msg);
        }
        room
    }

    /// The oldest message.
    pub fn next_mail(&self) -> Option<CallMsg> {
        self.mail.borrow_mut().pop_front()
    }

    /// When the call began, on the shard's clock.
    pub const fn began(&self) -> Duration {
        self.began
    }

    /// Whether one of the call's dialogs has this Call-ID.
    pub fn has_call_id(&self, call_id: &str) -> bool {
        self.facts.borrow().call_id == call_id
            || self.state.try_borrow().is_ok_and(|s| s.legs.iter().any(|l| l.call_id == call_id))
    }

    /// A line for the list.
    pub fn view(&self, key: CallKey) -> CallView {
        let facts = self.facts.borrow();
        let stats = self.state.try_borrow().ok().and_then(|state| state.flow.as_ref().map(media::Flow::stats));
        let figures = |side| stats.as_ref().map(|stats| MediaFigures::of(stats, side));
        let state = self.state.try_borrow().map_or("busy", |state| {
            let held = state.legs.iter().any(|l| l.state == LegState::Confirmed && l.holds);
            match (state.finished, facts.answered_ms, held) {
                (true, _, _) => "ending",
                (false, None, _) => "ringing",
                (false, Some(_), true) => "held",
                (false, Some(_), false) => "up",
            }
        });
        CallView {
            id: key.to_string(),
            state,
            from: facts.from.clone(),
            from_hidden: facts.from_hidden,
            to: facts.to.clone(),
            started: rfc3339(facts.started_ms),
            answered: facts.answered_ms.map(rfc3339),
            duration_ms: unix_ms() - facts.started_ms,
            codec_a: facts.codec_a.clone(),
            codec_b: facts.codec_b.clone(),
            media_a: figures(Side::A),
            media_b: figures(Side::B),
            shard: self.shard,
            sip_call_id: facts.call_id.clone(),
        }
    }

    /// The call with its record.
    pub fn record_view(&self, key: CallKey) -> RecordView {
        let record = self.record.borrow();
        let (events, dropped) = (record.events().to_vec(), record.dropped());
        RecordView { id: key.to_string(), call: Some(self.view(key)), events, dropped }
    }

    /// Takes out what is kept of a call that has ended.
    pub fn end(&self, key: CallKey) -> EndedRecord {
        let mut call_ids = vec![self.facts.borrow().call_id.clone()];
        // A call that ends with the switch has its state in hand: its other Call-IDs go with it.
        if let Ok(state) = self.state.try_borrow() {
            call_ids.extend(state.legs.iter().filter(|leg| leg.outgoing).map(|leg| leg.call_id.clone()));
        }
        EndedRecord { key, call_ids, record: self.record.take() }
    }
}

impl CallView {
    /// One line for the tree.
    pub fn line(&self) -> String {
        format!("{} → {}, {} {} s", self.from, self.to, self.state, self.duration_ms / 1000)
    }
}

/// RFC 3339 in UTC.
pub fn rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map(|t| format!("{t:.3}")).unwrap_or_default()
}

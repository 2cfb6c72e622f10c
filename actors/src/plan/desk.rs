//! What an object of the plan has counted, and places under it. It lies beside its clerk and outlives it.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Kind;
/// `calls_max` of an object that has none.
const NO_BOUND: u32 = u32::MAX;

/// What an object has carried since it was first configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Calls that went by it.
    pub calls: u64,
    /// Calls that led nowhere by it, or found it full.
    pub refused: u64,
    /// Times that it has opened or closed.
    pub turns: u64,
}

/// As many calls are under an object as may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {name} has as many calls as it may have", .kind.as_str().replace('-', " "))]
pub struct Full {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: SmolStr,
}

/// How a time condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub is_open: bool,
    /// When that changes; `None` where it does not within a year.
    pub until: Option<jiff::Timestamp>,
}

type Look = Arc<dyn Fn() + Send + Sync>;

/// See the module.
pub struct Desk {
    /// Which kind of object.
    pub kind: Kind,
    /// Its name.
    pub name: SmolStr,
    calls: AtomicU64,
    refused: AtomicU64,
    turns: AtomicU64,
    up: AtomicU32,
    calls_max: AtomicU32,
    /// The configuration has it no more.
    closed: AtomicBool,
    /// Something was counted that is not written.
    pub(super) unwritten: AtomicBool,
    /// Has its clerk look, once there is one.
    clerk: Mutex<Option<Look>>,
    standing: Mutex<Option<Standing>>,
}

/// An object as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct DeskView {
    /// `dial-plan`, `hunt-group`, `voice-policy`, `usage` or `hours`.
    pub kind: &'static str,
    /// Its name.
    pub name: SmolStr,
    /// Calls that are up under it.
    pub up: u32,
    /// As many as may be.
    pub calls_max: Option<u32>,
    /// What it has carried.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether it is open; `None` for what has no hours.
    pub open: Option<bool>,
    /// Until when that holds.
    pub until: Option<String>,
}

/// A place among the calls under an object, given back on drop.
pub struct Place(Arc<Desk>);

impl Place {
    /// The call has all its places, and goes by the object.
    pub(super) fn passed(&self) {
        self.0.calls.fetch_add(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.up.fetch_sub(1, Relaxed);
    }
}

impl Desk {
    pub(super) fn new(kind: Kind, name: SmolStr, counts: Counts) -> Self {
        Self {
            kind,
            name,
            calls: AtomicU64::new(counts.calls),
            refused: AtomicU64::new(counts.refused),
            turns: AtomicU64::new(counts.turns),
            up: AtomicU32::new(0),
            calls_max: AtomicU32::new(NO_BOUND),
            closed: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
            clerk: Mutex::default(),
            standing: Mutex::default(),
        }
    }

    pub(super) fn bound(&self, calls_max: Option<u32>) {
        self.calls_max.store(calls_max.unwrap_or(NO_BOUND), Relaxed);
    }

    /// The configuration has it no more: its clerk goes.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.look();
    }

    /// Something has changed: its clerk looks.
    pub(super) fn look(&self) {
        let clerk = self.clerk.lock().clone();
        if let Some(look) = clerk {
            look();
        }
    }

    pub(super) fn has_clerk(&self) -> bool {
        self.clerk.lock().is_some()
    }

    pub(super) fn served_by(&self, look: impl Fn() + Send + Sync + 'static) {
        *self.clerk.lock() = Some(Arc::new(look));
    }

    /// Whether the configuration has it no more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Calls that are up under it.
    pub fn up(&self) -> u32 {
        self.up.load(Relaxed)
    }

    /// As many as may be.
    pub fn calls_max(&self) -> Option<u32> {
        Some(self.calls_max.load(Relaxed)).filter(|most| *most != NO_BOUND)
    }

    /// What it has carried.
    pub fn counts(&self) -> Counts {
        Counts { calls: self.calls.load(Relaxed), refused: self.refused.load(Relaxed), turns: self.turns.load(Relaxed) }
    }

    /// A place for a call, which goes by it once it has all its places ([`Place::passed`]). `unbounded` calls have one whatever the
    /// bound.
    pub(super) fn take(self: &Arc<Self>, unbounded: bool) -> Result<Place, Full> {
        let most = if unbounded { NO_BOUND } else { self.calls_max.load(Relaxed) };
        let taken = self.up.fetch_update(Relaxed, Relaxed, |up| (up < most).then(|| up.saturating_add(1)));
        self.unwritten.store(true, Relaxed);
        match taken {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(_) => {
                self.refused.fetch_add(1, Relaxed);
                Err(Full { kind: self.kind, name: self.name.clone() })
            }
        }
    }

    /// Whether another call would find a place.
    pub(super) fn would_take(&self) -> Result<(), Full> {
        match self.up() < self.calls_max.load(Relaxed) {
            true => Ok(()),
            false => Err(Full { kind: self.kind, name: self.name.clone() }),
        }
    }

    /// A call led nowhere by it.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.unwritten.store(true, Relaxed);
    }

    /// How a time condition stands, as it was looked at last.
    pub(super) fn standing(&self) -> Option<Standing> {
        *self.standing.lock()
    }

    /// How a time condition stands from now on; true where it stood otherwise before.
    pub(super) fn stand(&self, now: Standing) -> bool {
        let before = self.standing.lock().replace(now);
        let turns = before.is_some_and(|before| before.is_open != now.is_open);
        if turns {
            self.turns.fetch_add(1, Relaxed);
            self.unwritten.store(true, Relaxed);
        }
        turns
    }

    /// One line for the tree.
    pub(super) fn describe(&self) -> String {
        let (counts, standing) = (self.counts(), self.standing());
        if let Some(Standing { is_open, until }) = standing {
            let word = if is_open { "open" } else { "closed" };
            return until.map_or_else(|| word.to_owned(), |until| format!("{word} until {until}"));
        }
        let of = self.calls_max().map_or_else(String::new, |most| format!(" of {most}"));
        format!("{}{of} calls are up, {} went by it, {} refused", self.up(), counts.calls, counts.refused)
    }

    /// As operators see it.
    pub fn view(&self) -> DeskView {
        let standing = self.standing();
        DeskView {
            kind: self.kind.as_str(),
            name: self.name.clone(),
            up: self.up(),
            calls_max: self.calls_max(),
            counts: self.counts(),
            open: standing.map(|standing| standing.is_open),
            until: standing.and_then(|standing| standing.until).map(|at| at.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(calls_max: Option<u32>) -> Arc<Desk> {
        let desk = Desk::new(Kind::HuntGroup, "reception".into(), Counts::default());
        desk.bound(calls_max);
        Arc::new(desk)
    }

    #[test]
    fn places_are_counted_bounded_and_given_back() {
        let desk = desk(Some(2));
        let first = desk.take(false).unwrap();
        let second = desk.take(false).unwrap();
        first.passed();
        second.passed();
        assert_eq!(
            desk.take(false).err().unwrap().to_string(),
            "hunt group reception has as many calls as it may have"
        );
        assert!(desk.would_take().is_err());
        drop(first);
        assert_eq!((desk.up(), desk.would_take()), (1, Ok(())));
        // One that finds another object full does not go by this one.
        assert!(desk.take(false).is_ok());
        assert_eq!(desk.counts(), Counts { calls: 2, refused: 1, turns: 0 });
    }

    #[test]
    fn an_emergency_call_finds_a_place_where_no_other_does() {
        let desk = desk(Some(1));
        let _first = desk.take(false).unwrap();
        let emergency = desk.take(true).unwrap();
        assert_eq!(desk.up(), 2);
        drop(emergency);
        assert_eq!(desk.up(), 1);
    }

    #[test]
    fn hours_turn_when_they_open_or_close_and_not_when_their_clerk_looks_again() {
        let desk = Desk::new(Kind::Hours, "office".into(), Counts::default());
        let (open, closed) = (Standing { is_open: true, until: None }, Standing { is_open: false, until: None });
        assert!(!desk.stand(open) && !desk.stand(open) && desk.stand(closed));
        assert_eq!(desk.counts().turns, 1);
    }
}

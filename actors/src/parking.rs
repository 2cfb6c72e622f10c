//! Places where calls are parked, and calls that ring: what others than their own shard must find of a call that waits.

use ahash::RandomState;
use dashmap::{DashMap, Entry};
use serde::Serialize;
use std::sync::Arc;

use crate::call::CallKey;
use crate::call::rfc3339;

/// A call that waits at a place.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The call.
    pub call: CallKey,
    /// Its shard.
    pub shard: usize,
    /// Who waits.
    pub party: String,
    /// Who has parked it.
    pub by: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
}

/// As others see it.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    /// The place.
    pub place: String,
    /// The call.
    pub call: String,
    /// Who waits.
    pub party: String,
    /// Who has parked it.
    pub by: String,
    /// RFC 3339.
    pub since: String,
}

/// The places that are taken.
#[derive(Clone, Debug, Default)]
pub struct Parking(Arc<DashMap<String, Waiting, RandomState>>);

/// A place that is taken; it is given back on drop.
#[derive(Debug)]
pub struct Place {
    of: Parking,
    number: String,
}

impl Place {
    /// Its number.
    pub fn number(&self) -> &str {
        &self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.0.remove(&self.number);
    }
}

impl Parking {
    /// Takes a place; `None` where it is taken.
    pub fn take(&self, number: &str, waiting: Waiting) -> Option<Place> {
        match self.0.entry(number.to_owned()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert(waiting);
                Some(Place { of: self.clone(), number: number.to_owned() })
            }
        }
    }

    /// Who waits at a place.
    pub fn at(&self, number: &str) -> Option<Waiting> {
        self.0.get(number).map(|waiting| waiting.clone())
    }

    /// All places that are taken, by number.
    pub fn all(&self) -> Vec<WaitingView> {
        let view = |place: &String, waiting: &Waiting| WaitingView {
            place: place.clone(),
            call: waiting.call.to_string(),
            party: waiting.party.clone(),
            by: waiting.by.clone(),
            since: rfc3339(waiting.since_ms),
        };
        let mut all: Vec<_> = self.0.iter().map(|entry| view(entry.key(), entry.value())).collect();
        all.sort_by(|one, other| one.place.cmp(&other.place));
        all
    }

    /// How many are taken.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are free.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Calls with their shards, by the address of record that rings for them.
type Ringers = DashMap<Box<str>, Vec<(CallKey, usize)>, RandomState>;

/// Calls whose phones ring, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ringing(Arc<Ringers>);

/// A call rings for somebody; it does no more when this is dropped.
#[derive(Debug)]
pub struct Rings {
    of: Ringing,
    aor: Box<str>,
    call: CallKey,
}

impl Rings {
    /// For whom.
    pub fn aor(&self) -> &str {
        &self.aor
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        if let Entry::Occupied(mut calls) = self.of.0.entry(self.aor.clone()) {
            calls.get_mut().retain(|(call, _)| *call != self.call);
            if calls.get().is_empty() {
                calls.remove();
            }
        }
    }
}

impl Ringing {
    /// A call of a shard rings for somebody.
    pub fn add(&self, aor: &str, call: CallKey, shard: usize) -> Rings {
        self.0.entry(aor.into()).or_default().push((call, shard));
        Rings { of: self.clone(), aor: aor.into(), call }
    }

    /// The call that has rung the longest for one of these, with its shard; never `but`.
    pub fn oldest<'a>(&self, aors: impl Iterator<Item = &'a str>, but: CallKey) -> Option<(CallKey, usize)> {
        let first = |aor: &str| self.0.get(aor)?.iter().copied().find(|(call, _)| *call != but);
        aors.filter_map(first).min_by_key(|(call, _)| *call)
    }

    /// Users for whom something rings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing rings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

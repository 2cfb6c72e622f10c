//! The engine for simulations: a sorted map with power cuts and faults on demand.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

use super::{Batch, Engine, Op, Record, SCAN_RECORDS_MAX, Scan, Tree};
use crate::StoreError;

/// A fault that every write of a [`MemoryEngine`] meets until it is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Flushes and probes find no room.
    DiskFull,
    /// Flushes find damage.
    Damage,
    /// Flushes panic.
    Panic,
}

/// A map that forgets what was not flushed when it is reopened, as a drive does at a power cut.
#[derive(Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

/// Tag of the tree and key.
type Place = (u8, Vec<u8>);

#[derive(Default)]
struct State {
    map: BTreeMap<Place, Vec<u8>>,
    /// What each unflushed change replaced, in order, to be undone by a power cut.
    undo: Vec<(Place, Option<Vec<u8>>)>,
    fault: Option<Fault>,
}

impl MemoryEngine {
    /// Sets or clears the fault that the next writes meet.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }
}

impl Engine for MemoryEngine {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = (tree.tag(), key.to_vec());
        Ok(self.state.lock().map.get(&place).cloned())
    }

    fn contains(&self, tree: Tree, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(tree, key)?.is_some())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Record>, StoreError> {
        let tag = scan.tree.tag();
        let from = (tag, scan.from.clone());
        let until = match &scan.until {
            Some(key) => (tag, key.clone()),
            None => (tag.saturating_add(1), Vec::new()),
        };
        if from >= until {
            return Ok(Vec::new());
        }
        let state = self.state.lock();
        let range = state.map.range((Bound::Included(from), Bound::Excluded(until)));
        let limit = scan.limit.min(SCAN_RECORDS_MAX);
        let record = |((_, key), value): (&Place, &Vec<u8>)| (key.clone(), value.clone());
        Ok(if scan.backwards {
            range.rev().take(limit).map(record).collect()
        } else {
            range.take(limit).map(record).collect()
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for Op { tree, key, value } in batch.into_ops() {
            let place = (tree.tag(), key);
            let before = match value {
                Some(value) => state.map.insert(place.clone(), value),
                None => state.map.remove(&place),
            };
            state.undo.push((place, before));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let fault = {
            let mut state = self.state.lock();
            if state.fault.is_none() {
                state.undo.clear();
            }
            state.fault
        };
        match fault {
            None => Ok(()),
            Some(Fault::DiskFull) => Err(StoreError::DiskFull),
            Some(Fault::Damage) => Err(StoreError::damaged("a simulated fault")),
            // resume_unwind raises without the panic hook's noise on stderr.
            Some(Fault::Panic) => std::panic::resume_unwind(Box::new("a simulated panic")),
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while let Some((place, before)) = state.undo.pop() {
            match before {
                Some(value) => state.map.insert(place, value),
                None => state.map.remove(&place),
            };
        }
        Ok(())
    }

    fn probe_room(&self) -> Result<(), StoreError> {
        if self.state.lock().fault == Some(Fault::DiskFull) {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }

    fn bytes_on_disk(&self) -> u64 {
        let state = self.state.lock();
        state.map.iter().map(|((_, key), value)| (key.len() + value.len() + 1) as u64).sum()
    }
}

//! A fault stays in its room: a panic inside an engine becomes a typed error at this door.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Batch, Engine, Record, Scan, Tree};
use crate::StoreError;

/// Any engine, behind a door that no panic passes. sled 0.34 panics on some damaged files.
pub(crate) struct Guarded {
    inner: Arc<dyn Engine>,
}

impl Guarded {
    pub(crate) fn new(inner: Arc<dyn Engine>) -> Self {
        Self { inner }
    }

    fn call<T>(&self, act: impl FnOnce(&dyn Engine) -> Result<T, StoreError>) -> Result<T, StoreError> {
        caught(|| act(&*self.inner))
    }
}

/// Runs `act`; a panic in it is [`StoreError::Damaged`] with the panic's text.
pub(crate) fn caught<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // Unwind safety: the caller turns read-only or reopens after any error, so no broken invariant is used again.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a text".to_owned());
        Err(StoreError::damaged(format!("the engine panicked: {text}")))
    })
}

impl Engine for Guarded {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.call(|inner| inner.get(tree, key))
    }
    fn contains(&self, tree: Tree, key: &[u8]) -> Result<bool, StoreError> {
        self.call(|inner| inner.contains(tree, key))
    }
    fn scan(&self, scan: &Scan) -> Result<Vec<Record>, StoreError> {
        self.call(|inner| inner.scan(scan))
    }
    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.call(|inner| inner.apply(batch))
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.call(|inner| inner.flush())
    }
    fn reopen(&self) -> Result<(), StoreError> {
        self.call(|inner| inner.reopen())
    }
    fn probe_room(&self) -> Result<(), StoreError> {
        self.call(|inner| inner.probe_room())
    }
    fn bytes_on_disk(&self) -> u64 {
        self.call(|inner| Ok(inner.bytes_on_disk())).unwrap_or(0)
    }
}

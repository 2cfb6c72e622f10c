//! Facts: what people and operators have switched, a small text each, by space and key.
//!
//! The store knows nothing of what they say. A space is one kind of them (`features`, `sign-in`, …), and is read whole when
//! the switch starts.

use std::sync::Arc;

use crate::StoreError;
use crate::codec::{Decoder, Encoder, to_text};
use crate::engine::{Batch, SCAN_RECORDS_MAX, Scan, Tree};
use crate::store::Shared;
use crate::value;

/// Longest text of a fact, in bytes.
pub const FACT_BYTES_MAX: usize = 16 * 1024;
/// Longest key of a fact, in bytes.
const KEY_BYTES_MAX: usize = 512;
/// Facts that are kept; past it a new one is refused with [`StoreError::Full`].
const FACTS_MAX: u64 = 1_000_000;

/// The view of facts.
#[derive(Clone)]
pub struct Facts {
    shared: Arc<Shared>,
}

impl Facts {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Keeps a fact in the place of what was there; `reply` is called once it is durable, or with the refusal.
    pub fn put(&self, space: &str, key: &str, text: &str, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        if text.len() > FACT_BYTES_MAX {
            return reply(Err(StoreError::TooLarge { what: "a fact", bytes: text.len(), max: FACT_BYTES_MAX }));
        }
        if self.shared.counts.lock().of(Tree::Facts) >= FACTS_MAX {
            let max = usize::try_from(FACTS_MAX).unwrap_or(usize::MAX);
            return reply(Err(StoreError::Full { what: "the store of facts", max }));
        }
        let batch = key_of(space, key).and_then(|key| {
            let sealed = value::seal(Tree::Facts, &key, &Encoder::default().text(text).finish())?;
            let mut batch = Batch::default();
            batch.put(Tree::Facts, key, sealed);
            Ok(batch)
        });
        match batch {
            Ok(batch) => self.shared.submit(batch, reply),
            Err(error) => reply(Err(error)),
        }
    }

    /// Removes a fact; one that is not there is no error.
    pub fn remove(&self, space: &str, key: &str, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        match key_of(space, key) {
            Ok(key) => {
                let mut batch = Batch::default();
                batch.remove(Tree::Facts, key);
                self.shared.submit(batch, reply);
            }
            Err(error) => reply(Err(error)),
        }
    }

    /// All facts of a space with their keys, in the order of the keys. What cannot be read is left out and counted: the
    /// second part of the answer.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`] when the engine cannot read on, [`StoreError::BadKey`].
    pub fn all(&self, space: &str) -> Result<(Vec<(String, String)>, usize), StoreError> {
        let prefix = key_of(space, "")?;
        let mut scan = Scan::prefix(Tree::Facts, &prefix, SCAN_RECORDS_MAX);
        let (mut all, mut unread) = (Vec::new(), 0);
        loop {
            let page = self.shared.engine.scan(&scan)?;
            let Some((last, _)) = page.last() else { return Ok((all, unread)) };
            // The next key after it, in the order of bytes.
            scan.from = [last.as_slice(), &[0]].concat();
            for (key, sealed) in &page {
                match read(&prefix, key, sealed) {
                    Ok(fact) => all.push(fact),
                    Err(_) => unread += 1,
                }
            }
        }
    }

    /// How many facts there are, of all spaces.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.counts.lock().of(Tree::Facts)
    }
}

fn read(prefix: &[u8], key: &[u8], sealed: &[u8]) -> Result<(String, String), StoreError> {
    let name = key.strip_prefix(prefix).ok_or_else(|| StoreError::damaged("a key of no fact"))?;
    let mut input = Decoder::new(value::open(Tree::Facts, key, sealed)?);
    let text = input.text()?;
    input.end()?;
    Ok((to_text(name)?, text))
}

fn key_of(space: &str, key: &str) -> Result<Vec<u8>, StoreError> {
    let bytes = space.len() + key.len();
    if bytes > KEY_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "the key of a fact", bytes, max: KEY_BYTES_MAX });
    }
    if space.is_empty() || space.contains('\0') || key.contains('\0') {
        return Err(StoreError::BadKey { what: "the key of a fact" });
    }
    Ok([space.as_bytes(), &[0], key.as_bytes()].concat())
}

//! Call detail records: written once when a call has ended, found by time, Call-ID or party, kept by count and age.

use std::sync::Arc;

use crate::codec::{Decoder, Encoder};
use crate::engine::{Batch, SCAN_RECORDS_MAX, Scan, Tree, after_prefix};
use crate::locations::check_text;
use crate::store::Shared;
use crate::{StoreError, value};

/// Most parties by which a call can be found.
pub const PARTIES_MAX: usize = 16;
/// Longest line of a call detail record.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A call detail record: what it is found by, and the line that its actor wrote (one source for the file and for
/// queries, design law 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// The caller's Call-ID.
    pub call_id: String,
    /// Addresses of record of the parties.
    pub parties: Vec<String>,
    /// When the INVITE came, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When the call ended, in milliseconds since 1970.
    pub ended_at_ms: i64,
    /// The record as a line of JSON; opaque here.
    pub line: String,
}

/// Which records to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallSelect {
    /// Started in `[from_ms, until_ms)`, milliseconds since 1970.
    Started {
        /// First millisecond.
        from_ms: i64,
        /// First millisecond past the range.
        until_ms: i64,
    },
    /// Of one Call-ID.
    CallId(String),
    /// With a party, started in `[from_ms, until_ms)`.
    Party {
        /// The address of record.
        party: String,
        /// First millisecond.
        from_ms: i64,
        /// First millisecond past the range.
        until_ms: i64,
    },
}

/// The view of call detail records.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
}

impl Calls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Keeps a record; `reply` comes once it is durable. The same call written twice is kept once.
    pub fn append(&self, record: &CallRecord, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        match put(record) {
            Ok(batch) => self.shared.submit(batch, reply),
            Err(error) => reply(Err(error)),
        }
    }

    /// Keeps several records, all or none; `reply` comes once they are durable.
    pub fn append_all(&self, records: &[CallRecord], reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let mut batch = Batch::default();
        for record in records {
            match put(record) {
                Ok(one) => batch.extend(one),
                Err(error) => return reply(Err(error)),
            }
        }
        self.shared.submit(batch, reply);
    }

    /// The newest records that are selected, newest first, at most `limit` (and at most 1,024).
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`], [`StoreError::BadKey`].
    pub fn find(&self, select: &CallSelect, limit: usize) -> Result<Vec<CallRecord>, StoreError> {
        let (tree, prefix, from, until) = match select {
            CallSelect::Started { from_ms, until_ms } => {
                (Tree::Calls, Vec::new(), time_key(*from_ms).to_vec(), Some(time_key(*until_ms).to_vec()))
            }
            CallSelect::CallId(call_id) => {
                let prefix = index_prefix("the call-id", call_id)?;
                let until = after_prefix(&prefix);
                (Tree::CallIds, prefix.clone(), prefix, until)
            }
            CallSelect::Party { party, from_ms, until_ms } => {
                let prefix = index_prefix("the party", party)?;
                let from = [&prefix[..], &time_key(*from_ms)].concat();
                let until = [&prefix[..], &time_key(*until_ms)].concat();
                (Tree::CallParties, prefix, from, Some(until))
            }
        };
        let page = self.shared.engine.scan(&Scan { tree, from, until, backwards: true, limit })?;
        let mut found = Vec::with_capacity(page.len());
        for (key, sealed) in &page {
            if tree == Tree::Calls {
                found.push(decode(key, sealed)?);
                continue;
            }
            // What follows the prefix is the record's own key.
            let key = key.get(prefix.len()..).unwrap_or_default();
            // A record that was pruned between the two reads is gone.
            if let Some(sealed) = self.shared.engine.get(Tree::Calls, key)? {
                found.push(decode(key, &sealed)?);
            }
        }
        Ok(found)
    }

    /// How many records are kept.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.counts.lock().of(Tree::Calls)
    }

    /// Removes the oldest records past `keep_max`, and those started before `oldest_ms`; at most 1,024 a call, so call
    /// again while the number that `reply` gets is that many. One prune at a time, or it removes too much.
    pub fn prune(&self, keep_max: u64, oldest_ms: i64, reply: impl FnOnce(Result<usize, StoreError>) + Send + 'static) {
        let surplus = usize::try_from(self.count().saturating_sub(keep_max)).unwrap_or(usize::MAX);
        let oldest_first = Scan::prefix(Tree::Calls, b"", SCAN_RECORDS_MAX);
        let page = match self.shared.engine.scan(&oldest_first) {
            Ok(page) => page,
            Err(error) => return reply(Err(error)),
        };
        let mut batch = Batch::default();
        let mut removed = 0;
        for (place, (key, sealed)) in page.iter().enumerate() {
            let too_old = key[..] < time_key(oldest_ms)[..];
            if place >= surplus && !too_old {
                break;
            }
            removed += 1;
            batch.remove(Tree::Calls, key.clone());
            // A damaged record leaves its index entries behind, which find nothing.
            if let Ok(keys) = decode(key, sealed).and_then(|record| index_keys(&record, key)) {
                for (tree, key) in keys {
                    batch.remove(tree, key);
                }
            }
        }
        self.shared.submit(batch, move |outcome| reply(outcome.map(|()| removed)));
    }
}

fn put(record: &CallRecord) -> Result<Batch, StoreError> {
    check_text("the call-id", &record.call_id)?;
    if record.parties.len() > PARTIES_MAX {
        return Err(StoreError::Full { what: "the parties of a call", max: PARTIES_MAX });
    }
    if record.line.len() > LINE_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "the line of a call detail record",
            bytes: record.line.len(),
            max: LINE_BYTES_MAX,
        });
    }
    let mut key = time_key(record.started_at_ms).to_vec();
    key.extend_from_slice(record.call_id.as_bytes());
    let mut out = Encoder::default();
    out.signed(record.started_at_ms)
        .signed(record.ended_at_ms)
        .text(&record.call_id)
        .text(&record.line)
        .number(record.parties.len() as u64);
    for party in &record.parties {
        out.text(party);
    }
    let mut batch = Batch::default();
    for (tree, key) in index_keys(record, &key)? {
        let sealed = value::seal(tree, &key, b"")?;
        batch.put(tree, key, sealed);
    }
    let sealed = value::seal(Tree::Calls, &key, &out.finish())?;
    batch.put(Tree::Calls, key, sealed);
    Ok(batch)
}

fn decode(key: &[u8], sealed: &[u8]) -> Result<CallRecord, StoreError> {
    let mut input = Decoder::new(value::open(Tree::Calls, key, sealed)?);
    let mut record = CallRecord {
        started_at_ms: input.signed()?,
        ended_at_ms: input.signed()?,
        call_id: input.text()?,
        line: input.text()?,
        parties: Vec::new(),
    };
    for _ in 0..input.small::<usize>()?.min(PARTIES_MAX) {
        record.parties.push(input.text()?);
    }
    input.end()?;
    Ok(record)
}

/// The keys that lead to a record: prefix, then the record's own key.
fn index_keys(record: &CallRecord, key: &[u8]) -> Result<Vec<(Tree, Vec<u8>)>, StoreError> {
    let mut call_id = index_prefix("the call-id", &record.call_id)?;
    call_id.extend_from_slice(key);
    let mut keys = vec![(Tree::CallIds, call_id)];
    for party in &record.parties {
        let mut entry = index_prefix("a party", party)?;
        entry.extend_from_slice(key);
        keys.push((Tree::CallParties, entry));
    }
    Ok(keys)
}

fn index_prefix(what: &'static str, text: &str) -> Result<Vec<u8>, StoreError> {
    check_text(what, text)?;
    if text.is_empty() || text.contains('\0') {
        return Err(StoreError::BadKey { what });
    }
    let mut prefix = text.as_bytes().to_vec();
    prefix.push(0);
    Ok(prefix)
}

/// Milliseconds since 1970 so that bytes sort as times do, those before 1970 included.
fn time_key(ms: i64) -> [u8; 8] {
    (ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

//! Call detail records: written once when a call has ended, found by time, Call-ID or party, kept by count and age.
//!
//! Calls end in crowds, and a tree pays for each key: records that are written together lie in one page under one key, in
//! order of their end. A second tree has, under the same key, what leads to the page: how many records it has, when the
//! first and the last of them began, and a hash for each Call-ID and party. A search reads that tree, which is small, and
//! only the pages that it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::codec::{Decoder, Encoder};
use crate::engine::{Batch, Engine, SCAN_RECORDS_MAX, Scan, Tree};
use crate::locations::check_text;
use crate::store::Shared;
use crate::{StoreError, value};

/// Most parties by which a call can be found.
pub const PARTIES_MAX: usize = 16;
/// Longest line of a call detail record.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most records of a page, and the bytes of their lines past which a page is full: a search reads whole pages.
const PAGE_RECORDS_MAX: usize = 64;
const PAGE_BYTES_MAX: usize = 128 * 1024;

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

/// What the view knows beside the trees.
#[derive(Debug)]
pub(crate) struct CallBook {
    /// Records in all pages.
    records: AtomicU64,
    /// Tells pages of one millisecond apart.
    next: AtomicU32,
}

impl CallBook {
    pub(crate) fn load(engine: &dyn Engine) -> Result<Self, StoreError> {
        let book = Self { records: AtomicU64::new(0), next: AtomicU32::new(rand_start()) };
        book.recount(engine)?;
        Ok(book)
    }

    /// Counts anew, when the trees have changed past the view.
    pub(crate) fn recount(&self, engine: &dyn Engine) -> Result<(), StoreError> {
        let mut records = 0;
        walk(engine, &Scan::prefix(Tree::CallIndex, b"", SCAN_RECORDS_MAX), |_, entry| {
            records += entry.records;
            true
        })?;
        self.records.store(records, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

impl Calls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Keeps records that have ended together, all or none; `reply` comes once they are durable.
    pub fn append(&self, records: &[CallRecord], reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let mut batch = Batch::default();
        for page in pages(records) {
            let number = self.shared.calls.next.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = put(page, page_key(page, number), &mut batch) {
                return reply(Err(error));
            }
        }
        let (shared, count) = (Arc::clone(&self.shared), records.len() as u64);
        self.shared.submit(batch, move |outcome| {
            if outcome.is_ok() {
                shared.calls.records.fetch_add(count, Ordering::Relaxed);
            }
            reply(outcome);
        });
    }

    /// The newest records that are selected, at most `limit` (and at most 1,024): taken in the order of their end, and
    /// given newest start first. A damaged page is passed over: [`crate::Store::verify`] tells of it.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::BadKey`].
    pub fn find(&self, select: &CallSelect, limit: usize) -> Result<Vec<CallRecord>, StoreError> {
        let limit = limit.min(SCAN_RECORDS_MAX);
        let (wanted, from_ms, until_ms) = match select {
            CallSelect::Started { from_ms, until_ms } => (None, *from_ms, *until_ms),
            CallSelect::CallId(call_id) => (Some(hash("the call-id", call_id)?), i64::MIN, i64::MAX),
            CallSelect::Party { party, from_ms, until_ms } => (Some(hash("the party", party)?), *from_ms, *until_ms),
        };
        let selects = |record: &CallRecord| {
            let at = record.started_at_ms;
            let in_time = at >= from_ms && (at < until_ms || until_ms == i64::MAX);
            in_time
                && match select {
                    CallSelect::Started { .. } => true,
                    CallSelect::CallId(call_id) => record.call_id == *call_id,
                    CallSelect::Party { party, .. } => record.parties.contains(party),
                }
        };
        let mut found = Vec::new();
        let mut failure = None;
        // No call has ended before it began: pages that end before the range have nothing in it.
        let newest_first = Scan {
            tree: Tree::CallIndex,
            from: time_key(from_ms).to_vec(),
            until: None,
            backwards: true,
            limit: SCAN_RECORDS_MAX,
        };
        walk(&*self.shared.engine, &newest_first, |key, entry| {
            let in_time = entry.last_start_ms >= from_ms && (entry.first_start_ms < until_ms || until_ms == i64::MAX);
            if !in_time || !wanted.is_none_or(|hash| entry.leads_to(hash)) {
                return true;
            }
            match self.page(key) {
                Ok(records) => found.extend(records.into_iter().rev().filter(selects)),
                Err(StoreError::Damaged { .. }) => tracing::warn!("a page of call records is damaged"),
                Err(error) => failure = Some(error),
            }
            failure.is_none() && found.len() < limit
        })?;
        found.truncate(limit);
        found.sort_by_key(|record| std::cmp::Reverse(record.started_at_ms));
        failure.map_or(Ok(found), Err)
    }

    /// Shows every record that began in `[from_ms, until_ms)`, in the order of their end, until `visit` has enough. A damaged page
    /// is passed over: [`crate::Store::verify`] tells of it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn each(
        &self,
        from_ms: i64,
        until_ms: i64,
        mut visit: impl FnMut(&CallRecord) -> bool,
    ) -> Result<(), StoreError> {
        let oldest_first = Scan {
            tree: Tree::CallIndex,
            from: time_key(from_ms).to_vec(),
            until: None,
            backwards: false,
            limit: SCAN_RECORDS_MAX,
        };
        let mut failure = None;
        walk(&*self.shared.engine, &oldest_first, |key, entry| {
            if entry.last_start_ms < from_ms || entry.first_start_ms >= until_ms {
                return true;
            }
            match self.page(key) {
                Ok(records) => {
                    records.iter().filter(|record| (from_ms..until_ms).contains(&record.started_at_ms)).all(&mut visit)
                }
                Err(StoreError::Damaged { .. }) => {
                    tracing::warn!("a page of call records is damaged");
                    true
                }
                Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// The records of a page; none when it was pruned meanwhile.
    fn page(&self, key: &[u8]) -> Result<Vec<CallRecord>, StoreError> {
        match self.shared.engine.get(Tree::Calls, key)? {
            Some(sealed) => decode(key, &sealed),
            None => Ok(Vec::new()),
        }
    }

    /// How many records are kept.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shared.calls.records()
    }

    /// Removes the oldest records past `keep_max`, in the order of their end, and the pages whose calls all began before
    /// `oldest_ms`; `reply` gets how many records went. At most 1,024 pages a call, so call again until none goes. One
    /// prune at a time, or it removes too much.
    pub fn prune(&self, keep_max: u64, oldest_ms: i64, reply: impl FnOnce(Result<u64, StoreError>) + Send + 'static) {
        let mut surplus = self.count().saturating_sub(keep_max);
        let mut batch = Batch::default();
        let (mut pages, mut removed, mut cut) = (0, 0, None);
        let oldest_first = Scan::prefix(Tree::CallIndex, b"", SCAN_RECORDS_MAX);
        let walked = walk(&*self.shared.engine, &oldest_first, |key, entry| {
            if entry.records > surplus && entry.last_start_ms >= oldest_ms {
                cut = (surplus > 0).then(|| key.to_vec());
                return false;
            }
            surplus = surplus.saturating_sub(entry.records);
            removed += entry.records;
            pages += 1;
            batch.remove(Tree::Calls, key.to_vec());
            batch.remove(Tree::CallIndex, key.to_vec());
            pages < SCAN_RECORDS_MAX
        });
        let cut = walked.and_then(|()| match cut {
            Some(key) => self.cut(&key, surplus, &mut batch),
            None => Ok(0),
        });
        match cut {
            Ok(cut) => removed += cut,
            Err(error) => return reply(Err(error)),
        }
        let shared = Arc::clone(&self.shared);
        self.shared.submit(batch, move |outcome| {
            if outcome.is_ok() {
                shared.calls.records.fetch_sub(removed, Ordering::Relaxed);
            }
            reply(outcome.map(|()| removed));
        });
    }
}

impl Calls {
    /// Writes a page anew without its first records; says how many went.
    fn cut(&self, key: &[u8], surplus: u64, batch: &mut Batch) -> Result<u64, StoreError> {
        let records = self.page(key)?;
        let surplus = usize::try_from(surplus).unwrap_or(usize::MAX).min(records.len());
        put(records.get(surplus..).unwrap_or_default(), key.to_vec(), batch)?;
        Ok(surplus as u64)
    }
}

/// An entry of the index.
struct Entry<'a> {
    records: u64,
    first_start_ms: i64,
    last_start_ms: i64,
    /// Eight bytes each.
    hashes: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(key: &[u8], sealed: &'a [u8]) -> Result<Self, StoreError> {
        let mut input = Decoder::new(value::open(Tree::CallIndex, key, sealed)?);
        let entry = Self {
            records: input.number()?,
            first_start_ms: input.signed()?,
            last_start_ms: input.signed()?,
            hashes: input.bytes()?,
        };
        input.end()?;
        Ok(entry)
    }

    fn leads_to(&self, hash: u64) -> bool {
        self.hashes.as_chunks::<8>().0.contains(&hash.to_le_bytes())
    }
}

/// Shows the entries of a scan of the index to `visit`, a thousand at a time, until it says that it has enough. A damaged
/// entry is passed over: [`crate::Store::verify`] tells of it.
fn walk(engine: &dyn Engine, scan: &Scan, mut visit: impl FnMut(&[u8], &Entry<'_>) -> bool) -> Result<(), StoreError> {
    let mut scan = scan.clone();
    loop {
        let page = engine.scan(&scan)?;
        for (key, sealed) in &page {
            if Entry::read(key, sealed).is_ok_and(|entry| !visit(key, &entry)) {
                return Ok(());
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == scan.limit => {
                if scan.backwards {
                    scan.until = Some(last.clone());
                } else {
                    scan.from = [last, &[0][..]].concat();
                }
            }
            _ => return Ok(()),
        }
    }
}

/// Cuts what has ended together into pages.
fn pages(records: &[CallRecord]) -> impl Iterator<Item = &[CallRecord]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |record: &&CallRecord| {
            bytes += record.line.len();
            bytes <= PAGE_BYTES_MAX
        };
        let count = rest.iter().take(PAGE_RECORDS_MAX).take_while(fits).count().max(1);
        let (page, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(page)
    })
}

fn put(page: &[CallRecord], key: Vec<u8>, batch: &mut Batch) -> Result<(), StoreError> {
    let mut out = Encoder::default();
    out.number(page.len() as u64);
    let mut hashes = Vec::with_capacity(page.len() * 24);
    for record in page {
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
        out.signed(record.started_at_ms)
            .signed(record.ended_at_ms)
            .text(&record.call_id)
            .text(&record.line)
            .number(record.parties.len() as u64);
        hashes.extend_from_slice(&hash("the call-id", &record.call_id)?.to_le_bytes());
        for party in &record.parties {
            out.text(party);
            hashes.extend_from_slice(&hash("a party", party)?.to_le_bytes());
        }
    }
    let starts = || page.iter().map(|record| record.started_at_ms);
    let (first, last) = (starts().min().unwrap_or(0), starts().max().unwrap_or(0));
    let mut entry = Encoder::default();
    entry.number(page.len() as u64).signed(first).signed(last).bytes(&hashes);
    batch.put(Tree::CallIndex, key.clone(), value::seal(Tree::CallIndex, &key, &entry.finish())?);
    let sealed = value::seal(Tree::Calls, &key, &out.finish())?;
    batch.put(Tree::Calls, key, sealed);
    Ok(())
}

/// Pages lie in the order of their last end.
fn page_key(page: &[CallRecord], number: u32) -> Vec<u8> {
    let end = page.iter().map(|record| record.ended_at_ms.max(record.started_at_ms)).max().unwrap_or(0);
    [&time_key(end)[..], &number.to_be_bytes()].concat()
}

fn decode(key: &[u8], sealed: &[u8]) -> Result<Vec<CallRecord>, StoreError> {
    let mut input = Decoder::new(value::open(Tree::Calls, key, sealed)?);
    let count = input.small::<usize>()?.min(PAGE_RECORDS_MAX);
    let mut page = Vec::with_capacity(count);
    for _ in 0..count {
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
        page.push(record);
    }
    input.end()?;
    Ok(page)
}

/// FNV-1a: the same in every process and version, because it lies on disk. It only leads to pages: what it finds is
/// compared with what was asked.
fn hash(what: &'static str, text: &str) -> Result<u64, StoreError> {
    check_text(what, text)?;
    if text.is_empty() {
        return Err(StoreError::BadKey { what });
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Ok(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Where this process begins to number its pages, so that it does not meet those of the last one within a millisecond.
fn rand_start() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    let [a, b, c, d, ..] = RandomState::new().hash_one(0).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Milliseconds since 1970 so that bytes sort as times do, those before 1970 included.
fn time_key(ms: i64) -> [u8; 8] {
    (ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

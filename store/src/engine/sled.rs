//! sled 0.34 as an engine: all trees in one sled tree under a tag byte, because sled's batches are atomic in one tree
//! only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::RwLock;

use super::guarded::caught;
use super::{Batch, Engine, Op, Record, SCAN_RECORDS_MAX, Scan, Tree};
use crate::StoreError;

/// Bytes that a probe for room writes; more than one segment of sled's log, so that a reopened database can go on.
const PROBE_BYTES: usize = 1024 * 1024;
/// sled's own threads let go of its file lock a moment after the handle is dropped.
const LOCK_TRIES_MAX: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// The log that sled writes inside its folder.
const LOG_FILE: &str = "db";

/// How sled is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The database's own folder; made when it is missing.
    pub folder: PathBuf,
    /// Bytes of pages that sled keeps in memory.
    pub cache_bytes: u64,
}

/// A sled database. Reopening replaces the handle under the lock, so a reader holds it for one call only.
pub struct SledEngine {
    options: SledOptions,
    open: RwLock<Option<Open>>,
}

struct Open {
    db: ::sled::Db,
    log: File,
}

impl SledEngine {
    /// Opens or makes the database; sled recovers from a crash by itself.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when sled refuses or panics, [`StoreError::DiskFull`], [`StoreError::Io`].
    pub fn open(options: SledOptions) -> Result<Self, StoreError> {
        let open = Open::new(&options)?;
        Ok(Self { options, open: RwLock::new(Some(open)) })
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.open.read().as_ref() {
            Some(open) => act(open),
            // A reopening failed; the writer tries again.
            None => Err(StoreError::Io { what: "sled", text: "the database is not open".to_owned() }),
        }
    }
}

impl Open {
    fn new(options: &SledOptions) -> Result<Self, StoreError> {
        caught(|| {
            let db = ::sled::Config::new()
                .path(&options.folder)
                .cache_capacity(options.cache_bytes)
                // The writer alone decides when to flush.
                .flush_every_ms(None)
                .open()
                .map_err(from_sled)?;
            let log = File::open(options.folder.join(LOG_FILE))
                .map_err(|error| StoreError::io("opening sled's log", &error))?;
            sync_folder(&options.folder)?;
            Ok(Self { db, log })
        })
    }
}

/// Makes new names in a folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(|error| StoreError::io("syncing a folder", &error))
}

fn tagged(tree: Tree, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.push(tree.tag());
    out.extend_from_slice(key);
    out
}

fn from_sled(error: ::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(error)
            if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
        {
            StoreError::io("sled", &error)
        }
        other => StoreError::damaged(format!("sled: {other}")),
    }
}

impl Engine for SledEngine {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|open| {
            let value = open.db.get(tagged(tree, key)).map_err(from_sled)?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn contains(&self, tree: Tree, key: &[u8]) -> Result<bool, StoreError> {
        self.with(|open| open.db.contains_key(tagged(tree, key)).map_err(from_sled))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Record>, StoreError> {
        let from = tagged(scan.tree, &scan.from);
        let until = match &scan.until {
            Some(key) => tagged(scan.tree, key),
            None => vec![scan.tree.tag().saturating_add(1)],
        };
        if from >= until {
            return Ok(Vec::new());
        }
        let record = |entry: ::sled::Result<(::sled::IVec, ::sled::IVec)>| {
            let (key, value) = entry.map_err(from_sled)?;
            let key = key.get(1..).unwrap_or_default().to_vec();
            Ok((key, value.to_vec()))
        };
        let limit = scan.limit.min(SCAN_RECORDS_MAX);
        self.with(|open| {
            let range = open.db.range((Bound::Included(from), Bound::Excluded(until)));
            if scan.backwards {
                range.rev().take(limit).map(record).collect()
            } else {
                range.take(limit).map(record).collect()
            }
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut native = ::sled::Batch::default();
        for Op { tree, key, value } in batch.into_ops() {
            match value {
                Some(value) => native.insert(tagged(tree, &key), value),
                None => native.remove(tagged(tree, &key)),
            }
        }
        self.with(|open| open.db.apply_batch(native).map_err(from_sled))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.with(|open| {
            open.db.flush().map_err(from_sled)?;
            crate::fault::wait_for_disk();
            // sled's flush does not empty the drive's own cache; this does.
            open.log.sync_data().map_err(|error| StoreError::io("syncing sled's log", &error))
        })
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut slot = self.open.write();
        // The old handle must be gone first: sled locks its file.
        let old = slot.take();
        caught(|| {
            drop(old);
            Ok(())
        })?;
        let mut tries = 0;
        *slot = Some(loop {
            match Open::new(&self.options) {
                Err(StoreError::Io { .. }) if tries < LOCK_TRIES_MAX => {
                    tries += 1;
                    std::thread::sleep(LOCK_WAIT);
                }
                other => break other?,
            }
        });
        Ok(())
    }

    fn probe_room(&self) -> Result<(), StoreError> {
        let path = self.options.folder.join("probe.tmp");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0u8; PROBE_BYTES])?;
            file.sync_data()
        });
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(|error| StoreError::io("probing for room", &error))
    }

    fn bytes_on_disk(&self) -> u64 {
        self.with(|open| open.db.size_on_disk().map_err(from_sled)).unwrap_or(0)
    }
}

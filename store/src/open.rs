//! Opening: after a crash nothing has to be done; after damage the database is renamed aside and what can be read of
//! it is carried over, so that the switch starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StoreError;
use crate::counts::{self, Counts, Missing};
use crate::engine::{
    Batch, Engine, Guarded, SCAN_RECORDS_MAX, Scan, SledEngine, SledOptions, Tree, guarded_call, sync_folder,
};
use crate::store::EngineChoice;
use crate::witness::Witness;
use crate::{meta, value};

/// The database inside the data folder.
const DATABASE: &str = "sled";
/// Folders of damaged databases: `damaged-1`, `damaged-2`, ...
const DAMAGED: &str = "damaged-";
/// Most damaged databases kept; past it the operator has to look.
const DAMAGED_MAX: usize = 100;
/// The copy that is read for what can be carried over.
const SALVAGE: &str = "salvage.tmp";
/// Records carried over in one batch.
const SALVAGE_BATCH_RECORDS: usize = 1000;

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The database is new.
    pub created: bool,
    /// The last process shut the database down; false after a crash.
    pub clean: bool,
    /// Records that were promised and not found, or found damaged and removed, by tree.
    pub missing: Vec<Missing>,
    /// The database works, but went back to an earlier state: its log is damaged in the middle.
    pub rolled_back: Option<RolledBack>,
    /// The database could not be used and was replaced.
    pub quarantine: Option<Quarantine>,
}

/// How far a database went back; a backup has what lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack {
    /// Groups that had been written and acknowledged.
    pub promised: u64,
    /// Groups that the database knows of.
    pub found: u64,
}

/// A database that was renamed aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// Where it lies now.
    pub folder: PathBuf,
    /// What made it unusable.
    pub reason: String,
    /// Records that were read from it and are in the new database.
    pub carried_over: u64,
    /// Records that were read and did not pass their checksum.
    pub damaged: u64,
}

pub(crate) fn open(choice: &EngineChoice) -> Result<(Box<dyn Engine>, Witness, OpenReport), StoreError> {
    match choice {
        EngineChoice::Given(engine) => {
            let (engine, report) = begin(Arc::clone(engine))?;
            Ok((engine, Witness::default(), report))
        }
        EngineChoice::Sled { folder, cache_bytes } => {
            fs::create_dir_all(folder).map_err(|error| StoreError::io("making the data folder", &error))?;
            let options = SledOptions { folder: folder.join(DATABASE), cache_bytes: *cache_bytes };
            let (engine, mut report) = match open_sled(&options) {
                Err(StoreError::Damaged { what }) => {
                    tracing::error!(what, "the database is damaged and is replaced");
                    let quarantine = quarantine(folder, &options, what)?;
                    let (engine, mut report) = open_sled(&options)?;
                    report.quarantine = Some(quarantine);
                    (engine, report)
                }
                other => other?,
            };
            let witness = Witness::open(folder)?;
            let found = Counts::load(&*engine)?.group();
            if let Some(promised) = witness.last().filter(|promised| *promised > found) {
                tracing::error!(promised, found, "the database went back; restore a backup");
                report.rolled_back = Some(RolledBack { promised, found });
            }
            witness.note(found);
            Ok((engine, witness, report))
        }
    }
}

fn open_sled(options: &SledOptions) -> Result<(Box<dyn Engine>, OpenReport), StoreError> {
    begin(Arc::new(SledEngine::open(options.clone())?))
}

/// Goes through every record, each time: sled takes some damage for the torn tail of a crash, so even a database that
/// was closed cleanly may have lost keys (0.2 s for 100,000 bindings).
fn begin(engine: Arc<dyn Engine>) -> Result<(Box<dyn Engine>, OpenReport), StoreError> {
    let engine = Box::new(Guarded::new(engine));
    let marks = meta::begin(&*engine)?;
    let mut report = OpenReport { created: marks.created, clean: marks.clean, ..OpenReport::default() };
    if !marks.created {
        report.missing = counts::verify(&*engine)?;
        if !report.missing.is_empty() {
            tracing::error!(missing = ?report.missing, "records are missing or damaged");
            engine.apply(counts::repair(&*engine)?)?;
            engine.flush()?;
        }
    }
    Ok((engine, report))
}

fn quarantine(folder: &Path, options: &SledOptions, reason: String) -> Result<Quarantine, StoreError> {
    let aside = (1..=DAMAGED_MAX)
        .map(|number| folder.join(format!("{DAMAGED}{number}")))
        .find(|path| !path.exists())
        .ok_or(StoreError::Full { what: "the data folder's damaged databases", max: DAMAGED_MAX })?;
    fs::rename(&options.folder, &aside).map_err(|error| StoreError::io("renaming the damaged database", &error))?;
    sync_folder(folder)?;
    let mut quarantine = Quarantine { folder: aside, reason, carried_over: 0, damaged: 0 };
    let copy = folder.join(SALVAGE);
    let salvaged = salvage(&mut quarantine, &copy, options);
    let text = format!(
        "reason: {}\ncarried over: {} records\ndamaged: {} records\nended: {}\n",
        quarantine.reason,
        quarantine.carried_over,
        quarantine.damaged,
        match &salvaged {
            Ok(()) => "all of it was read".to_owned(),
            Err(error) => error.to_string(),
        },
    );
    tracing::error!(folder = %quarantine.folder.display(), text, "a damaged database was set aside");
    // The report beside the database is for people; without it the log line above remains.
    let _ = fs::write(quarantine.folder.join("report.txt"), text);
    let _ = fs::remove_dir_all(&copy);
    Ok(quarantine)
}

/// Reads a copy of the damaged database, without sled's snapshot, which its log can stand in for.
fn salvage(quarantine: &mut Quarantine, copy: &Path, options: &SledOptions) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::io("copying the damaged database", &error);
    if copy.exists() {
        fs::remove_dir_all(copy).map_err(io)?;
    }
    fs::create_dir(copy).map_err(io)?;
    for name in ["db", "conf"] {
        fs::copy(quarantine.folder.join(name), copy.join(name)).map_err(io)?;
    }
    let old = Guarded::new(Arc::new(SledEngine::open(SledOptions {
        folder: copy.to_path_buf(),
        cache_bytes: options.cache_bytes,
    })?));
    let new = SledEngine::open(options.clone())?;
    let mut first_error = None;
    for tree in Tree::ALL {
        let mut carrier = Carrier { tree, new: &new, batch: Batch::default(), quarantine };
        if let Err(error) = carrier.carry(&old) {
            first_error.get_or_insert(error);
        }
    }
    new.apply(counts::repair(&new)?)?;
    new.flush()?;
    // A damaged sled may panic in its drop as well.
    guarded_call(|| {
        drop(old);
        Ok(())
    })?;
    first_error.map_or(Ok(()), Err)
}

struct Carrier<'a> {
    tree: Tree,
    new: &'a SledEngine,
    batch: Batch,
    quarantine: &'a mut Quarantine,
}

impl Carrier<'_> {
    /// From the front until a page cannot be read, then from the back down to where the front ended.
    fn carry(&mut self, old: &dyn Engine) -> Result<(), StoreError> {
        let mut last = Vec::new();
        let forward = counts::for_each(old, self.tree, |key, sealed| {
            last = key.to_vec();
            self.record(key, sealed)
        });
        if forward.is_err() {
            last.push(0);
            self.carry_backwards(old, last)?;
        }
        self.write()?;
        forward
    }

    fn carry_backwards(&mut self, old: &dyn Engine, from: Vec<u8>) -> Result<(), StoreError> {
        let mut scan = Scan { tree: self.tree, from, until: None, backwards: true, limit: SCAN_RECORDS_MAX };
        // The same unreadable page ends this walk too.
        while let Ok(page) = old.scan(&scan) {
            for (key, sealed) in &page {
                self.record(key, sealed)?;
            }
            match page.into_iter().last() {
                Some((key, _)) => scan.until = Some(key),
                None => break,
            }
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        if counts::is_count(self.tree, key) {
            return Ok(());
        }
        if value::open(self.tree, key, sealed).is_err() {
            self.quarantine.damaged += 1;
            return Ok(());
        }
        self.batch.put(self.tree, key.to_vec(), sealed.to_vec());
        if self.batch.ops().len() >= SALVAGE_BATCH_RECORDS {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        let records = batch.ops().len() as u64;
        self.new.apply(batch)?;
        self.quarantine.carried_over += records;
        Ok(())
    }
}

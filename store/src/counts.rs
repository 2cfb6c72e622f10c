//! How many records each tree holds, written in the batch that changes it, so that a key that went missing without a
//! word is noticed.

use std::collections::BTreeMap;

use crate::StoreError;
use crate::codec::{Decoder, Encoder};
use crate::engine::{Batch, Engine, Op, SCAN_RECORDS_MAX, Scan, Tree};
use crate::value;

const COUNT_PREFIX: &[u8] = b"count/";
const GROUP_KEY: &[u8] = b"count/groups";

/// A tree whose records are not as many as its count says, or do not pass their checksums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which tree.
    pub tree: Tree,
    /// Records that the count promises.
    pub promised: u64,
    /// Records that are there and whole.
    pub whole: u64,
    /// Records that are there and damaged.
    pub damaged: u64,
}

/// The counts as the writer knows them; the writer alone changes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    by_tree: BTreeMap<Tree, u64>,
    /// Groups written in the life of the database; goes with each batch.
    group: u64,
}

impl Counts {
    pub(crate) fn load(engine: &dyn Engine) -> Result<Self, StoreError> {
        let mut by_tree = BTreeMap::new();
        for tree in counted() {
            let key = count_key(tree);
            if let Some(sealed) = engine.get(Tree::Meta, &key)? {
                let mut decoder = Decoder::new(value::open(Tree::Meta, &key, &sealed)?);
                by_tree.insert(tree, decoder.number()?);
                decoder.end()?;
            }
        }
        let group = match engine.get(Tree::Meta, GROUP_KEY)? {
            Some(sealed) => Decoder::new(value::open(Tree::Meta, GROUP_KEY, &sealed)?).number()?,
            None => 0,
        };
        Ok(Self { by_tree, group })
    }

    pub(crate) fn of(&self, tree: Tree) -> u64 {
        self.by_tree.get(&tree).copied().unwrap_or(0)
    }

    pub(crate) fn group(&self) -> u64 {
        self.group
    }

    /// Merges the batches of a group into one (the last change of a key wins, keys in order, which is also the
    /// cheapest order for a tree), adds the changed counts, and returns the counts as they will be.
    pub(crate) fn merge(
        &self,
        engine: &dyn Engine,
        batches: impl Iterator<Item = Batch>,
    ) -> Result<(Batch, Self), StoreError> {
        let mut changes: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
        for Op { tree, key, value } in batches.flat_map(Batch::into_ops) {
            changes.insert((tree, key), value);
        }
        let mut next = self.clone();
        let mut merged = Batch::default();
        for ((tree, key), value) in changes {
            if tree != Tree::Meta {
                let there = engine.contains(tree, &key)?;
                let count = next.by_tree.entry(tree).or_insert(0);
                match (&value, there) {
                    (Some(_), false) => *count += 1,
                    (None, true) => *count = count.saturating_sub(1),
                    (None, false) => continue,
                    (Some(_), true) => {}
                }
            }
            match value {
                Some(value) => merged.put(tree, key, value),
                None => merged.remove(tree, key),
            }
        }
        for (tree, count) in &next.by_tree {
            if *count != self.of(*tree) {
                let key = count_key(*tree);
                let sealed = value::seal(Tree::Meta, &key, &Encoder::default().number(*count).finish())?;
                merged.put(Tree::Meta, key, sealed);
            }
        }
        if !merged.is_empty() {
            next.group += 1;
            let payload = Encoder::default().number(next.group).finish();
            let sealed = value::seal(Tree::Meta, GROUP_KEY, &payload)?;
            merged.put(Tree::Meta, GROUP_KEY.to_vec(), sealed);
        }
        Ok((merged, next))
    }
}

/// Reads every record and compares with the counts.
pub(crate) fn verify(engine: &dyn Engine) -> Result<Vec<Missing>, StoreError> {
    let counts = Counts::load(engine).unwrap_or_default();
    let mut missing = Vec::new();
    for tree in counted() {
        let (mut whole, mut damaged) = (0, 0);
        for_each(engine, tree, |key, sealed| {
            match value::open(tree, key, sealed) {
                Ok(_) => whole += 1,
                Err(_) => damaged += 1,
            }
            Ok(())
        })?;
        let promised = counts.of(tree);
        if promised != whole || damaged != 0 {
            missing.push(Missing { tree, promised, whole, damaged });
        }
    }
    Ok(missing)
}

/// A batch that sets the counts to what is there and removes damaged records.
pub(crate) fn repair(engine: &dyn Engine) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for tree in counted() {
        let mut whole = 0u64;
        for_each(engine, tree, |key, sealed| {
            match value::open(tree, key, sealed) {
                Ok(_) => whole += 1,
                Err(_) => batch.remove(tree, key.to_vec()),
            }
            Ok(())
        })?;
        let key = count_key(tree);
        let sealed = value::seal(Tree::Meta, &key, &Encoder::default().number(whole).finish())?;
        batch.put(Tree::Meta, key, sealed);
    }
    Ok(batch)
}

/// Whether a [`Tree::Meta`] key is a count, which a dump leaves out because loading counts anew.
pub(crate) fn is_count(tree: Tree, key: &[u8]) -> bool {
    tree == Tree::Meta && key.starts_with(COUNT_PREFIX)
}

/// Walks a tree in pages, so that no lock is held for long.
pub(crate) fn for_each(
    engine: &dyn Engine,
    tree: Tree,
    mut act: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut scan = Scan::prefix(tree, b"", SCAN_RECORDS_MAX);
    loop {
        let page = engine.scan(&scan)?;
        for (key, sealed) in &page {
            act(key, sealed)?;
        }
        match page.into_iter().last() {
            // The least key past the last one.
            Some((mut last, _)) => {
                last.push(0);
                scan.from = last;
            }
            None => return Ok(()),
        }
    }
}

fn counted() -> impl Iterator<Item = Tree> {
    Tree::ALL.into_iter().filter(|tree| *tree != Tree::Meta)
}

fn count_key(tree: Tree) -> Vec<u8> {
    let mut key = COUNT_PREFIX.to_vec();
    key.push(tree.tag());
    key
}

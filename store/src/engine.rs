//! What the store asks of a key-value engine. Two pass the same conformance suite: [`SledEngine`] on disk and
//! [`MemoryEngine`] for simulations; leaving sled is a matter of one more file here.

mod guarded;
mod memory;
mod sled;

pub(crate) use guarded::{Guarded, caught as guarded_call};
pub use memory::{Fault, MemoryEngine};
pub(crate) use sled::sync_folder;
pub use sled::{SledEngine, SledOptions};

use crate::StoreError;

/// Most records that one [`Engine::scan`] returns.
pub const SCAN_RECORDS_MAX: usize = 1024;

/// The groups of keys. Each is a sorted map of its own; one batch may write several of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Schema, marks, counts. Not counted itself.
    Meta,
    /// Registrar bindings.
    Locations,
    /// Instant messages for absent users.
    Messages,
    /// Pages of call detail records, in order of their end.
    Calls,
    /// For each page what leads to its records.
    CallIndex,
    /// What people and operators have switched.
    Facts,
    /// Mailboxes: their state and the index of their messages.
    Mail,
    /// Letters that have not been delivered yet.
    Outbox,
}

impl Tree {
    /// Every tree, [`Tree::Meta`] first.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Locations,
        Self::Messages,
        Self::Calls,
        Self::CallIndex,
        Self::Facts,
        Self::Mail,
        Self::Outbox,
    ];

    /// The byte that stands for this tree on disk and in dumps; never reused (`C`, `c` and `p` are of an earlier form).
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Meta => b'M',
            Self::Locations => b'L',
            Self::Messages => b'I',
            Self::Calls => b'R',
            Self::CallIndex => b'r',
            Self::Facts => b'F',
            Self::Mail => b'V',
            Self::Outbox => b'O',
        }
    }

    /// The tree of a tag.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.tag() == tag)
    }
}

/// One change: a value to put, or `None` to remove the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Where.
    pub tree: Tree,
    /// Which key.
    pub key: Vec<u8>,
    /// The sealed value (see [`crate::value::seal`]), or `None` to remove.
    pub value: Option<Vec<u8>>,
}

/// Changes that become visible and durable together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
}

impl Batch {
    /// Adds a put of a sealed value.
    pub fn put(&mut self, tree: Tree, key: Vec<u8>, value: Vec<u8>) {
        self.ops.push(Op { tree, key, value: Some(value) });
    }

    /// Adds a removal; removing what is not there is no error.
    pub fn remove(&mut self, tree: Tree, key: Vec<u8>) {
        self.ops.push(Op { tree, key, value: None });
    }

    /// Adds all changes of another batch after this one's.
    pub fn extend(&mut self, other: Batch) {
        self.ops.extend(other.ops);
    }

    /// The changes in order; of two to one key the later wins.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of keys and values, for the queue's bound.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ops.iter().map(|op| op.key.len() + op.value.as_ref().map_or(0, Vec::len)).sum()
    }

    pub(crate) fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}

/// A key with its sealed value.
pub type Record = (Vec<u8>, Vec<u8>);

/// What to read in key order.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Where.
    pub tree: Tree,
    /// First key, inclusive.
    pub from: Vec<u8>,
    /// Last key, exclusive; `None` to the end of the tree.
    pub until: Option<Vec<u8>>,
    /// Highest key first.
    pub backwards: bool,
    /// Most records; capped at [`SCAN_RECORDS_MAX`].
    pub limit: usize,
}

impl Scan {
    /// Everything under a prefix, lowest key first.
    #[must_use]
    pub fn prefix(tree: Tree, prefix: &[u8], limit: usize) -> Self {
        Self { tree, from: prefix.to_vec(), until: after_prefix(prefix), backwards: false, limit }
    }
}

/// The first key past every key that starts with `prefix`; `None` when there is none (all bytes 0xff).
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// A sorted key-value store with atomic batches. One writer, many readers. A batch is visible once applied, and
/// survives a crash or power cut only once flushed.
pub trait Engine: Send + Sync {
    /// Reads one value.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Io`].
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether a key is there.
    ///
    /// # Errors
    /// As [`Engine::get`].
    fn contains(&self, tree: Tree, key: &[u8]) -> Result<bool, StoreError>;

    /// Reads records in key order.
    ///
    /// # Errors
    /// As [`Engine::get`].
    fn scan(&self, scan: &Scan) -> Result<Vec<Record>, StoreError>;

    /// Applies a batch: all of it or nothing, over all trees.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Damaged`] or [`StoreError::Io`]; then the engine must be reopened.
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;

    /// Returns once everything applied is on the drive.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    fn flush(&self) -> Result<(), StoreError>;

    /// Forgets the state in memory and recovers from what is on the drive: all that was flushed, and of the rest
    /// whatever whole batches got there.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    fn reopen(&self) -> Result<(), StoreError>;

    /// Writes and removes a little, to learn whether the drive has room again.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] while it has none.
    fn probe_room(&self) -> Result<(), StoreError>;

    /// Bytes used on the drive.
    fn bytes_on_disk(&self) -> u64;
}

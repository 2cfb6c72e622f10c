//! Schema version, clean-shutdown mark, node identity and secret.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::StoreError;
use crate::codec::{Decoder, Encoder};
use crate::engine::{Batch, Engine, Tree};
use crate::store::Shared;
use crate::value;

/// Schema of this release; a database with a higher one is refused.
pub(crate) const SCHEMA: u32 = 1;

const SCHEMA_KEY: &[u8] = b"schema";
const CLEAN_KEY: &[u8] = b"clean";
const NODE_KEY: &[u8] = b"node";
const SECRET_KEY: &[u8] = b"secret";

/// Bytes of the node's secret.
pub(crate) const SECRET_BYTES: usize = 32;

/// Facts about the database itself.
#[derive(Clone)]
pub struct Meta {
    shared: Arc<Shared>,
}

impl Meta {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The identity that this node's database was born with: 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn node_id(&self) -> Result<String, StoreError> {
        let payload = read(&*self.shared.engine, NODE_KEY)?
            .ok_or_else(|| StoreError::damaged("the node's identity is missing"))?;
        crate::codec::to_text(&payload)
    }

    /// The random bytes that this node's database was born with, for keys that must outlive the process. Take a key from
    /// them for each purpose; never show them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn secret(&self) -> Result<[u8; SECRET_BYTES], StoreError> {
        let payload = read(&*self.shared.engine, SECRET_KEY)?
            .ok_or_else(|| StoreError::damaged("the node's secret is missing"))?;
        payload.try_into().map_err(|_| StoreError::damaged("the node's secret has another length"))
    }
}

/// What the marks said when a database was opened.
pub(crate) struct Marks {
    pub(crate) created: bool,
    pub(crate) clean: bool,
}

/// Checks the schema, then marks the database as in use, so that the next opening can tell a crash.
pub(crate) fn begin(engine: &dyn Engine) -> Result<Marks, StoreError> {
    let schema = read_number(engine, SCHEMA_KEY)?;
    if let Some(found) = schema.filter(|found| *found > u64::from(SCHEMA)) {
        return Err(StoreError::Newer { found: u32::try_from(found).unwrap_or(u32::MAX), known: SCHEMA });
    }
    let clean = read_number(engine, CLEAN_KEY)? == Some(1);
    let mut batch = Batch::default();
    put(&mut batch, SCHEMA_KEY, &number(u64::from(SCHEMA)))?;
    put(&mut batch, CLEAN_KEY, &number(0))?;
    if read(engine, NODE_KEY)?.is_none() {
        put(&mut batch, NODE_KEY, new_node_id().as_bytes())?;
    }
    if read(engine, SECRET_KEY)?.is_none() {
        put(&mut batch, SECRET_KEY, &rand::random::<[u8; SECRET_BYTES]>())?;
    }
    engine.apply(batch)?;
    engine.flush()?;
    Ok(Marks { created: schema.is_none(), clean })
}

/// Marks the database as cleanly closed.
pub(crate) fn end(engine: &dyn Engine) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    put(&mut batch, CLEAN_KEY, &number(1))?;
    engine.apply(batch)?;
    engine.flush()
}

fn new_node_id() -> String {
    // The standard library seeds each of these from the system's random source.
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

fn number(value: u64) -> Vec<u8> {
    Encoder::default().number(value).finish()
}

fn read(engine: &dyn Engine, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    match engine.get(Tree::Meta, key)? {
        Some(sealed) => Ok(Some(value::open(Tree::Meta, key, &sealed)?.to_vec())),
        None => Ok(None),
    }
}

fn read_number(engine: &dyn Engine, key: &[u8]) -> Result<Option<u64>, StoreError> {
    read(engine, key)?.map(|payload| Decoder::new(&payload).number()).transpose()
}

fn put(batch: &mut Batch, key: &[u8], payload: &[u8]) -> Result<(), StoreError> {
    let sealed = value::seal(Tree::Meta, key, payload)?;
    batch.put(Tree::Meta, key.to_vec(), sealed);
    Ok(())
}

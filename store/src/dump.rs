//! The framed form of a whole store: backup, restore, and the way to another engine.
//!
//! File: the magic, then frames. Frame: length of the body (u32 LE), CRC32C of the body (u32 LE), body. Body of a
//! record: tag of the tree, length of the key (u32 LE), key, sealed value. The last frame's body is `E` and the number
//! of records (u64 LE), so that a cut file is noticed.

use std::io::{Read, Write};

use crate::StoreError;
use crate::counts;
use crate::engine::{Batch, Engine, Tree};
use crate::value::{self, ENVELOPE_BYTES, PAYLOAD_BYTES_MAX};

const MAGIC: &[u8; 8] = b"STRWDMP1";
const END_TAG: u8 = b'E';
/// Longest key in a dump.
const KEY_BYTES_MAX: usize = 64 * 1024;
const FRAME_BYTES_MAX: usize = 5 + KEY_BYTES_MAX + PAYLOAD_BYTES_MAX + ENVELOPE_BYTES;
/// Records loaded in one batch.
const LOAD_BATCH_RECORDS: usize = 512;

/// What a dump or load did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpReport {
    /// Records written or loaded.
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Records left out because they did not pass their checksum.
    pub damaged: u64,
}

pub(crate) fn dump(engine: &dyn Engine, out: &mut dyn Write) -> Result<DumpReport, StoreError> {
    let mut report = DumpReport::default();
    write(out, MAGIC)?;
    for tree in Tree::ALL {
        counts::for_each(engine, tree, |key, sealed| {
            if counts::is_count(tree, key) {
                return Ok(());
            }
            if value::open(tree, key, sealed).is_err() {
                report.damaged += 1;
                return Ok(());
            }
            let key_bytes = u32::try_from(key.len())
                .ok()
                .filter(|_| key.len() <= KEY_BYTES_MAX)
                .ok_or(StoreError::TooLarge { what: "a key", bytes: key.len(), max: KEY_BYTES_MAX })?;
            let mut body = Vec::with_capacity(5 + key.len() + sealed.len());
            body.push(tree.tag());
            body.extend_from_slice(&key_bytes.to_le_bytes());
            body.extend_from_slice(key);
            body.extend_from_slice(sealed);
            report.records += 1;
            report.bytes += frame(out, &body)?;
            Ok(())
        })?;
    }
    let mut end = vec![END_TAG];
    end.extend_from_slice(&report.records.to_le_bytes());
    report.bytes += frame(out, &end)?;
    out.flush().map_err(|error| StoreError::io("writing a dump", &error))?;
    Ok(report)
}

pub(crate) fn load(
    from: &mut dyn Read,
    mut write_batch: impl FnMut(Batch) -> Result<(), StoreError>,
) -> Result<DumpReport, StoreError> {
    let mut magic = [0; 8];
    read(from, &mut magic)?;
    if &magic != MAGIC {
        return Err(StoreError::damaged("this is no dump of a store"));
    }
    let mut report = DumpReport::default();
    let mut batch = Batch::default();
    loop {
        let body = read_frame(from)?;
        report.bytes += body.len() as u64 + 8;
        let (tag, rest) = body.split_first().ok_or_else(bad_frame)?;
        if *tag == END_TAG {
            let promised = rest.first_chunk::<8>().ok_or_else(bad_frame)?;
            if u64::from_le_bytes(*promised) != report.records {
                return Err(StoreError::damaged("the dump lost records"));
            }
            write_batch(batch)?;
            return Ok(report);
        }
        let tree = Tree::from_tag(*tag).ok_or_else(bad_frame)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(bad_frame)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| bad_frame())?;
        let (key, sealed) = rest.split_at_checked(length).ok_or_else(bad_frame)?;
        value::open(tree, key, sealed)?;
        batch.put(tree, key.to_vec(), sealed.to_vec());
        report.records += 1;
        if batch.ops().len() >= LOAD_BATCH_RECORDS {
            write_batch(std::mem::take(&mut batch))?;
        }
    }
}

fn frame(out: &mut dyn Write, body: &[u8]) -> Result<u64, StoreError> {
    let length = u32::try_from(body.len()).map_err(|_| bad_frame())?;
    write(out, &length.to_le_bytes())?;
    write(out, &crc32c::crc32c(body).to_le_bytes())?;
    write(out, body)?;
    Ok(u64::from(length) + 8)
}

fn read_frame(from: &mut dyn Read) -> Result<Vec<u8>, StoreError> {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    read(from, &mut length)?;
    read(from, &mut checksum)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| bad_frame())?;
    if length > FRAME_BYTES_MAX {
        return Err(bad_frame());
    }
    let mut body = vec![0; length];
    read(from, &mut body)?;
    if crc32c::crc32c(&body) != u32::from_le_bytes(checksum) {
        return Err(StoreError::damaged("a frame of the dump does not match its checksum"));
    }
    Ok(body)
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<(), StoreError> {
    out.write_all(bytes).map_err(|error| StoreError::io("writing a dump", &error))
}

fn read(from: &mut dyn Read, bytes: &mut [u8]) -> Result<(), StoreError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => StoreError::damaged("the dump ends too early"),
        _ => StoreError::io("reading a dump", &error),
    })
}

fn bad_frame() -> StoreError {
    StoreError::damaged("a frame of the dump has no known shape")
}

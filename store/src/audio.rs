//! Files of sound beside the database: WAV files that say themselves what they are.
//!
//! A file that is finished has a chunk `strw` behind its sound (players pass over chunks that they do not know). It holds
//! what the index says of the message, sealed with a checksum, so that an index can be made anew from files alone. The
//! index in turn holds size and CRC32C of the whole file. The order is: sound written and synced, chunk appended and
//! synced, renamed, folder synced, index written. So a record never names a file that is not whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::StoreError;
use crate::engine::sync_folder;

/// The name of the chunk.
const CHUNK: &[u8; 4] = b"strw";
/// Longest head that is kept.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A RIFF file's own head: `RIFF`, length, `WAVE`.
const RIFF_BYTES: u64 = 12;
/// The head of a chunk: name and length.
const CHUNK_HEAD_BYTES: u64 = 8;

/// A file as it is on the drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Its bytes.
    pub bytes: u64,
    /// CRC32C over all of them.
    pub checksum: u32,
}

impl Sealed {
    /// What these bytes are as a file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, checksum: crc32c::crc32c(bytes) }
    }
}

/// The file of a message on its way from draft to whole: its sound is complete, and its header says how much that is.
const ON_ITS_WAY: &str = "sealing";

/// Appends `head` to the WAV file at `draft`, whose header counts all of its sound, and makes it durable as `path`. The draft is
/// gone then. Goes on where a crash has cut it short: then the draft need not be there any more.
///
/// # Errors
/// [`StoreError::DiskFull`], [`StoreError::Io`]; [`StoreError::Damaged`] when it is no WAV file.
pub fn seal(draft: &Path, path: &Path, head: &[u8]) -> Result<Sealed, StoreError> {
    if head.len() > HEAD_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "the head of a message", bytes: head.len(), max: HEAD_BYTES_MAX });
    }
    let io = |error: std::io::Error| StoreError::io("writing a voice message", &error);
    let on_its_way = path.with_extension(ON_ITS_WAY);
    if !on_its_way.exists() {
        std::fs::rename(draft, &on_its_way).map_err(io)?;
        sync_folder_of(path)?;
    }
    let mut file = OpenOptions::new().read(true).write(true).open(&on_its_way).map_err(io)?;
    let end = find(&mut file, b"data")?.ok_or_else(|| StoreError::damaged("this is no WAV file"))?;
    // What a crash has left of a chunk.
    file.set_len(end.end).map_err(io)?;
    append(&mut file, head).map_err(io)?;
    file.sync_all().map_err(io)?;
    let sealed = measure(&mut file)?;
    std::fs::rename(&on_its_way, path).map_err(io)?;
    sync_folder_of(path)?;
    Ok(sealed)
}

/// Whether [`seal`] has begun with a message and was cut short.
#[must_use]
pub fn is_on_its_way(path: &Path) -> bool {
    path.with_extension(ON_ITS_WAY).exists()
}

/// Writes `bytes` as a new file that is there whole or not at all.
///
/// # Errors
/// [`StoreError::DiskFull`], [`StoreError::Io`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<Sealed, StoreError> {
    let io = |error: std::io::Error| StoreError::io("writing a file of a mailbox", &error);
    let beside = path.with_extension("part");
    let mut file = File::create(&beside).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&beside, path).map_err(io)?;
    sync_folder_of(path)?;
    Ok(Sealed::of(bytes))
}

/// The head of a sealed file; `None` of one that is not sealed, or whose head is not what was written.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read_head(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let mut file = File::open(path).map_err(|error| StoreError::io("reading a voice message", &error))?;
    read_head_of(&mut file)
}

/// Reads a file and checks it against what the index says.
///
/// # Errors
/// [`StoreError::Damaged`] when it is another, [`StoreError::Io`] when it cannot be read.
pub fn read(path: &Path, sealed: Sealed) -> Result<Vec<u8>, StoreError> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::damaged(format!("{} is missing", path.display())),
        _ => StoreError::io("reading a voice message", &error),
    })?;
    match Sealed::of(&bytes) == sealed {
        true => Ok(bytes),
        false => Err(StoreError::damaged(format!("{} is not what was written", path.display()))),
    }
}

/// Bytes that the drive of a folder has left for us.
///
/// # Errors
/// [`StoreError::Io`].
#[allow(clippy::useless_conversion)] // the kernel's words are narrower on some systems
pub fn room(folder: &Path) -> Result<u64, StoreError> {
    let figures = nix::sys::statvfs::statvfs(folder)
        .map_err(|error| StoreError::io("asking a drive for its room", &std::io::Error::from(error)))?;
    Ok(u64::from(figures.blocks_available()).saturating_mul(u64::from(figures.fragment_size())))
}

/// Syncs the folder of a path, so that names in it are durable.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn append(file: &mut File, head: &[u8]) -> std::io::Result<()> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    // Chunks begin at even places.
    if end % 2 == 1 {
        chunk.push(0);
        end += 1;
    }
    let payload = [head, &crc32c::crc32c(head).to_le_bytes()].concat();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    chunk.extend_from_slice(CHUNK);
    chunk.extend_from_slice(&length.to_le_bytes());
    chunk.extend_from_slice(&payload);
    if payload.len() % 2 == 1 {
        chunk.push(0);
    }
    file.write_all(&chunk)?;
    let whole = end + CHUNK_HEAD_BYTES + payload.len().next_multiple_of(2) as u64;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&u32::try_from(whole - CHUNK_HEAD_BYTES).unwrap_or(u32::MAX).to_le_bytes())
}

fn read_head_of(file: &mut File) -> Result<Option<Vec<u8>>, StoreError> {
    let io = |error: std::io::Error| StoreError::io("reading a voice message", &error);
    let Some(place) = find(file, CHUNK)? else { return Ok(None) };
    let bytes = usize::try_from(place.end - place.start).unwrap_or(0).min(HEAD_BYTES_MAX + 4);
    let mut payload = vec![0; bytes];
    file.seek(SeekFrom::Start(place.start)).map_err(io)?;
    file.read_exact(&mut payload).map_err(io)?;
    let Some((head, checksum)) = payload.split_last_chunk::<4>() else { return Ok(None) };
    Ok((crc32c::crc32c(head) == u32::from_le_bytes(*checksum)).then(|| head.to_vec()))
}

/// Where the content of a chunk is; `None` of a file that has none of that name. One that is longer than the file ends with it.
fn find(file: &mut File, wanted: &[u8; 4]) -> Result<Option<std::ops::Range<u64>>, StoreError> {
    let io = |error: std::io::Error| StoreError::io("reading a voice message", &error);
    let length = file.metadata().map_err(io)?.len();
    let mut riff = [0; RIFF_BYTES as usize];
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let is_riff = length >= RIFF_BYTES && file.read_exact(&mut riff).is_ok();
    if !is_riff || !riff.starts_with(b"RIFF") || !riff.ends_with(b"WAVE") {
        return Err(StoreError::damaged("this is no WAV file"));
    }
    let mut at = RIFF_BYTES;
    while at + CHUNK_HEAD_BYTES <= length {
        let (mut name, mut bytes) = ([0; 4], [0; 4]);
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        file.read_exact(&mut name).map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        let bytes = u64::from(u32::from_le_bytes(bytes));
        let start = at + CHUNK_HEAD_BYTES;
        if &name == wanted {
            return Ok(Some(start..(start + bytes).min(length)));
        }
        at = start + bytes.next_multiple_of(2);
    }
    Ok(None)
}

fn measure(file: &mut File) -> Result<Sealed, StoreError> {
    let io = |error: std::io::Error| StoreError::io("reading a voice message", &error);
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let (mut buffer, mut sealed) = (vec![0; 64 * 1024], Sealed { bytes: 0, checksum: 0 });
    loop {
        let count = file.read(&mut buffer).map_err(io)?;
        if count == 0 {
            return Ok(sealed);
        }
        sealed.checksum = crc32c::crc32c_append(sealed.checksum, buffer.get(..count).unwrap_or_default());
        sealed.bytes += count as u64;
    }
}

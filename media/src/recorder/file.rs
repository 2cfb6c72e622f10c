//! A recording's file: written in chunks, valid at any instant.
//!
//! A chunk is written behind the header, synced, and only then counted by the header. So the header never says more than
//! there is; what lies behind it uncounted belongs to a chunk that a crash has cut.

use crate::wav::{self, Encoding, Format, HEADER_BYTES, WavError};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A WAV file counts with 32 bits; this much is left for the header.
const DATA_BYTES_MAX: u64 = u32::MAX as u64 - 1024;

/// A file being written.
pub struct WavFile {
    file: File,
    format: Format,
    /// Bytes of sound written, and of those the synced ones.
    written: u64,
    synced: u64,
    buffer: Vec<u8>,
}

impl WavFile {
    /// Makes the file, and its name durable; a file that is there already is gone on with if it is of the same format.
    pub fn create(path: &Path, format: Format) -> io::Result<WavFile> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        let mut this = WavFile { file, format, written: 0, synced: 0, buffer: Vec::new() };
        if length >= HEADER_BYTES as u64 {
            let mut header = [0; HEADER_BYTES];
            this.file.read_exact(&mut header)?;
            if wav::parse(&header).map(|(found, _)| found) != Ok(format) {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file has this name"));
            }
            this.written = length - HEADER_BYTES as u64;
            this.file.seek(SeekFrom::End(0))?;
        } else {
            file = this.file;
            file.set_len(0)?;
            file.write_all(&format.header(Some(0)))?;
            file.sync_data()?;
            sync_folder(path)?;
            this.file = file;
        }
        Ok(this)
    }

    /// Samples in the file.
    pub fn samples(&self) -> u64 {
        self.written / u64::from(self.format.encoding.sample_bytes())
    }

    /// Writes samples behind the others.
    pub fn push(&mut self, samples: &[i16]) -> io::Result<()> {
        self.buffer.clear();
        match self.format.encoding {
            Encoding::Linear => self.buffer.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Encoding::G711(law) => {
                self.buffer.resize(samples.len(), 0);
                law.encode(samples, &mut self.buffer);
            }
        }
        if self.written + self.buffer.len() as u64 > DATA_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a WAV file holds no more than 4 GiB"));
        }
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        Ok(())
    }

    /// Syncs when a second of sound waits for it.
    pub fn sync_if_due(&mut self) -> io::Result<()> {
        if self.written - self.synced >= u64::from(self.format.second_bytes()) { self.sync() } else { Ok(()) }
    }

    /// Makes durable what was written, and then has the header count it.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.written > self.synced {
            self.file.sync_data()?;
            self.count()?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Takes samples off the end again.
    pub fn cut(&mut self, samples: u64) -> io::Result<()> {
        let bytes = samples * u64::from(self.format.encoding.sample_bytes());
        self.written = self.written.saturating_sub(bytes);
        self.count()?;
        self.file.set_len(HEADER_BYTES as u64 + self.written)?;
        self.synced = 0;
        Ok(())
    }

    /// Makes all of it durable, the header too.
    pub fn finish(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.count()?;
        self.synced = self.written;
        self.file.sync_all()
    }

    fn count(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.format.header(u32::try_from(self.written).ok()))?;
        self.file.seek(SeekFrom::Start(HEADER_BYTES as u64 + self.written)).map(|_| ())
    }
}

/// Makes the names in the folder of a file durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Makes the header of a recording that was cut off by a crash count all that is there. True if it did not.
///
/// # Errors
/// The file is none of ours, or cannot be written.
pub fn repair(path: &Path) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let foreign = |error: WavError| io::Error::new(io::ErrorKind::InvalidData, error);
    let (format, _) = wav::parse(&header).map_err(foreign)?;
    let bytes = file.metadata()?.len().saturating_sub(HEADER_BYTES as u64).min(DATA_BYTES_MAX);
    let whole = bytes - bytes % u64::from(format.encoding.sample_bytes());
    let right = format.header(u32::try_from(whole).ok());
    if right == header {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&right)?;
    file.sync_data()?;
    Ok(true)
}

//! A few bytes beside the database that tell how far it got. sled takes a bad checksum early in its log for the torn
//! tail of a crash and rolls everything after it back, counts and all; nothing inside the database can notice that.
//!
//! After each flush the number of the group is written here, without a sync: then the witness is never ahead of the
//! database, unless the database went back.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::StoreError;

const NAME: &str = "witness";

/// The open file; without one (an engine given for a simulation) it witnesses nothing.
#[derive(Default)]
pub(crate) struct Witness {
    file: Option<File>,
}

impl Witness {
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(NAME))
            .map_err(|error| StoreError::io("opening the witness", &error))?;
        Ok(Self { file: Some(file) })
    }

    /// The last group that was noted; `None` when there is none or it is damaged.
    pub(crate) fn last(&self) -> Option<u64> {
        let mut bytes = [0; 12];
        self.file.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        let (group, checksum) = bytes.split_first_chunk::<8>()?;
        (crc32c::crc32c(group).to_le_bytes() == checksum).then(|| u64::from_le_bytes(*group))
    }

    pub(crate) fn note(&self, group: u64) {
        let Some(file) = &self.file else {
            return;
        };
        let group = group.to_le_bytes();
        let mut bytes = group.to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&group).to_le_bytes());
        // A witness that lags is still true.
        if let Err(error) = file.write_all_at(&bytes, 0) {
            tracing::warn!(%error, "the store's witness was not written");
        }
    }
}

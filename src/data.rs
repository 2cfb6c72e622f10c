//! The data folder: one switch at a time owns it, and tells there where it can be reached.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde_json::Value;

use crate::admin_client::{SWITCH_FILE, TOKEN_FILE};
use crate::config::Secret;
use crate::settings::RECORDINGS_FOLDER;

/// Held locked by the switch that owns the folder; the kernel lets go of it however the process ends.
const LOCK_FILE: &str = "switch.lock";
/// Letters and digits of a generated token: 32 of 62 kinds are 190 bits.
const TOKEN_CHARS: usize = 32;
const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

/// A data folder that this process owns until it is dropped.
pub struct DataFolder {
    path: PathBuf,
    /// Kept open for its lock.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if there is none, and takes it.
    ///
    /// # Errors
    /// The folder cannot be made or written, or another switch runs on it.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(OWNER_ONLY_FOLDER).create(path);
        made.with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("the data folder {} is gone", path.display()))?;
        let file = path.join(LOCK_FILE);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(OWNER_ONLY).open(&file);
        let lock = lock.with_context(|| format!("{} cannot be written", file.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another switch runs on {}: stop it, or give this one a data folder of its own with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", file.display()));
            }
        }
        let folder = Self { path, _lock: lock };
        // What a killed switch left behind names ports that are no longer its own.
        folder.withdraw()?;
        Ok(folder)
    }

    /// Makes the folder of recordings, and has the recordings that a killed switch left behind count all that is in them.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn recordings(&self) -> anyhow::Result<()> {
        let folder = self.path.join(RECORDINGS_FOLDER);
        let made = fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY_FOLDER).create(&folder);
        made.with_context(|| format!("the folder of recordings {} cannot be made", folder.display()))?;
        let files = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for path in files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "wav"))
        {
            match media::recorder::repair(&path) {
                Ok(cut) => {
                    if cut {
                        tracing::warn!(file = %path.display(), "a recording was cut off; what was recorded is there")
                    }
                    let queued = actors::packer::queue(&path);
                    queued.with_context(|| format!("{} cannot be renamed", path.display()))?;
                }
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "no recording of ours, or one without sound")
                }
            }
        }
        Ok(())
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the admin token.
    pub fn token_file(&self) -> PathBuf {
        self.path.join(TOKEN_FILE)
    }

    /// The admin token: the configured one, else the one of an earlier start, else a fresh one. It is in
    /// [`Self::token_file`] afterwards, so that the client commands find it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn token(&self, configured: Option<&Secret>) -> anyhow::Result<Secret> {
        let file = self.token_file();
        let kept = match fs::read_to_string(&file) {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let wanted = match (configured, &kept) {
            (Some(configured), _) => configured.expose().to_owned(),
            (None, Some(kept)) => kept.clone(),
            (None, None) => rand::rng().sample_iter(Alphanumeric).take(TOKEN_CHARS).map(char::from).collect(),
        };
        if kept.as_ref() != Some(&wanted) {
            write_whole(&file, format!("{wanted}\n").as_bytes())?;
        }
        Ok(Secret::new(wanted))
    }

    /// Tells where this switch can be reached, for the client commands and tests.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(&self, switch: &Value) -> anyhow::Result<()> {
        write_whole(&self.path.join(SWITCH_FILE), format!("{switch:#}\n").as_bytes())
    }

    /// Takes the announcement back.
    ///
    /// # Errors
    /// The file is there and cannot be removed.
    pub fn withdraw(&self) -> anyhow::Result<()> {
        let file = self.path.join(SWITCH_FILE);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", file.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file for its owner only; it is complete or absent, never half of it.
///
/// # Errors
/// The system refuses.
pub fn write_whole(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let aside = file.with_extension("new");
    // Remains of a start that was killed here.
    let _ = fs::remove_file(&aside);
    let write = || {
        let mut handle = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&aside)?;
        handle.write_all(bytes)?;
        handle.sync_all()?;
        fs::rename(&aside, file)
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("deep/data");
        let owner = DataFolder::take(&path).unwrap();
        let refused = DataFolder::take(&path).err().unwrap().to_string();
        assert!(refused.contains("another switch runs on"), "{refused}");
        drop(owner);
        DataFolder::take(&path).unwrap();
    }

    #[test]
    fn a_generated_token_is_kept_and_a_configured_one_replaces_it() {
        let room = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(room.path()).unwrap();
        let first = folder.token(None).unwrap();
        assert_eq!(first.expose().len(), TOKEN_CHARS);
        assert_eq!(folder.token(None).unwrap(), first);
        let configured = Secret::new("a-token-of-the-operator".to_owned());
        assert_eq!(folder.token(Some(&configured)).unwrap(), configured);
        let file = folder.token_file();
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), configured.expose());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
    }

    #[test]
    fn an_announcement_of_a_killed_switch_is_gone_at_the_next_start() {
        let room = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(room.path()).unwrap();
        folder.announce(&serde_json::json!({ "pid": 1 })).unwrap();
        drop(folder);
        assert!(room.path().join(SWITCH_FILE).exists());
        let _folder = DataFolder::take(room.path()).unwrap();
        assert!(!room.path().join(SWITCH_FILE).exists());
    }
}

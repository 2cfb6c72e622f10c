//! The configurations that were in force, as files in the data folder: the text, and beside it who, when and what changed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Candidate, Change};

/// The folder in the data folder.
const FOLDER: &str = "versions";
/// Versions that are kept; the oldest leave.
const KEPT_MAX: usize = 100;

/// A configuration that was in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// When it came in force, by RFC 3339.
    pub at: String,
    /// Who brought it.
    pub by: String,
    /// The file that it was read from.
    pub file: String,
    /// The folder that its relative paths count from.
    pub base: PathBuf,
    /// The version that it is again, of one that a rollback made.
    pub of: Option<u64>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// The versions of a data folder.
pub struct Versions {
    folder: PathBuf,
}

impl Versions {
    /// The versions in a data folder, which is made when there is none.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        // Configurations hold passwords.
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// Keeps a configuration as the next version.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, candidate: &Candidate, changes: &[Change]) -> io::Result<Version> {
        let numbers = self.numbers()?;
        let version = Version {
            number: numbers.last().map_or(1, |last| last + 1),
            at: jiff::Timestamp::now().to_string(),
            by: candidate.by.clone(),
            file: candidate.file.clone(),
            base: candidate.base.clone(),
            of: None,
            changes: changes.to_vec(),
        };
        self.write(&self.text_of(version.number), candidate.text.as_bytes())?;
        // A version is there when its second file is.
        self.describe(&version)?;
        for old in numbers.iter().rev().skip(KEPT_MAX - 1) {
            let _ = fs::remove_file(self.about(*old));
            let _ = fs::remove_file(self.text_of(*old));
        }
        Ok(version)
    }

    /// Notes that a version is an earlier one again.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn is_again(&self, number: u64, of: u64) -> io::Result<()> {
        let Some((mut version, _)) = self.read(number)? else { return Ok(()) };
        version.of = Some(of);
        self.describe(&version)
    }

    /// All versions, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn list(&self) -> io::Result<Vec<Version>> {
        let mut all = Vec::new();
        for number in self.numbers()? {
            let text = fs::read_to_string(self.about(number))?;
            all.push(serde_json::from_str(&text).map_err(io::Error::from)?);
        }
        Ok(all)
    }

    /// The newest version with its text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn newest(&self) -> io::Result<Option<(Version, String)>> {
        self.numbers()?.last().map_or(Ok(None), |number| self.read(*number))
    }

    /// A version with its text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, number: u64) -> io::Result<Option<(Version, String)>> {
        if !self.about(number).exists() {
            return Ok(None);
        }
        let version = serde_json::from_str(&fs::read_to_string(self.about(number))?).map_err(io::Error::from)?;
        Ok(Some((version, fs::read_to_string(self.text_of(number))?)))
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let names = fs::read_dir(&self.folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut numbers: Vec<u64> = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn about(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    fn text_of(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.toml"))
    }

    fn describe(&self, version: &Version) -> io::Result<()> {
        self.write(&self.about(version.number), &serde_json::to_vec_pretty(version)?)
    }

    /// Writes a file so that it is there whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let aside = path.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

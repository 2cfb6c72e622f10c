//! The configuration that is in force, and how another takes its place while calls go on.
//!
//! A candidate is checked whole. What differs is a list of changes: when each of them is of a kind that a running switch can
//! make, all are made in one swap; when one is not, none is. Calls that are up keep what they began with, because they hold
//! it. Each configuration that was in force is kept as a version in the data folder, with who brought it, when, and what
//! it changed.

mod diff;
mod versions;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use actors::shared::Shared;

pub use diff::Change;
pub use versions::{Version, Versions};
pub use watch::Watch;

use crate::config::{self, Config, ConfigError, Origin};
use crate::settings;

/// The configuration in force.
pub struct Applied {
    shared: Arc<Shared>,
    /// One change at a time; what is in force.
    config: Mutex<Config>,
    versions: Versions,
    data: PathBuf,
}

/// A configuration that somebody wants in force.
pub struct Candidate {
    /// What messages call its file.
    pub file: String,
    /// The folder that its relative paths count from.
    pub base: PathBuf,
    /// Its text.
    pub text: String,
    /// Who brings it.
    pub by: String,
}

/// Why a candidate is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It has mistakes.
    #[error("the configuration has {} mistakes", .0.len())]
    Mistakes(Vec<ConfigError>),
    /// It changes what a running switch cannot change.
    #[error("a running switch cannot change {}", .0.join(", "))]
    Restart(Vec<String>),
    /// There is no version of this number.
    #[error("there is no version {0}")]
    Unknown(u64),
    /// There is no version before the one in force.
    #[error("there is no version before this one")]
    First,
    /// The versions cannot be read or written.
    #[error("the versions in the data folder: {0}")]
    Io(#[from] std::io::Error),
}

/// What came of a candidate.
pub enum Outcome {
    /// It says what is in force already.
    Same,
    /// It is in force, or would be, with these changes.
    Changed(Vec<Change>, Option<Version>),
}

impl Applied {
    /// Keeps what a switch began with as a version, unless the newest is the same.
    ///
    /// # Errors
    /// The data folder cannot be read or written.
    pub fn new(shared: Arc<Shared>, config: Config, data: &Path) -> std::io::Result<Self> {
        let versions = Versions::open(data)?;
        let text = config.source.expose();
        if versions.newest()?.is_none_or(|(_, newest)| newest != text) {
            let (file, base) = origin(&config.origin);
            versions.keep(&Candidate { file, base, text: text.to_owned(), by: "start".into() }, &[])?;
        }
        Ok(Self { shared, config: Mutex::new(config), versions, data: data.to_owned() })
    }

    /// Puts a candidate in force; with `dry` only says what would change.
    ///
    /// # Errors
    /// See [`ApplyError`]; then nothing has changed.
    pub fn apply(&self, candidate: &Candidate, dry: bool) -> Result<Outcome, ApplyError> {
        let path = candidate.base.join(Path::new(&candidate.file).file_name().unwrap_or_default());
        let parsed = config::parse(&candidate.file, &candidate.base, &candidate.text, Origin::File(path));
        let mut next = parsed.map_err(ApplyError::Mistakes)?;
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        // The folder of this process may have been named on its command line.
        next.node.data.clone_from(&config.node.data);
        let changes = diff::changes(&config, &next);
        let fixed: Vec<String> =
            changes.iter().filter(|change| !change.live).map(|change| change.what.clone()).collect();
        if !fixed.is_empty() {
            return Err(ApplyError::Restart(fixed));
        }
        if changes.is_empty() {
            if !dry {
                *config = next;
            }
            return Ok(Outcome::Same);
        }
        if dry {
            return Ok(Outcome::Changed(changes, None));
        }
        // Kept before it is in force: what was in force can always be shown.
        let version = self.versions.keep(candidate, &changes)?;
        self.shared.replace(settings::settings(&next, &self.data));
        *config = next;
        tracing::warn!(
            version = version.number,
            by = version.by,
            changes = changes.len(),
            "a configuration was applied"
        );
        Ok(Outcome::Changed(changes, Some(version)))
    }

    /// Puts a version in force again: that of a number, or the one before the version in force.
    ///
    /// # Errors
    /// See [`ApplyError`]; then nothing has changed.
    pub fn roll_back(&self, to: Option<u64>, by: &str) -> Result<Outcome, ApplyError> {
        let all = self.versions.list()?;
        let number = match to {
            Some(number) => number,
            None => {
                let newest = all.last().ok_or(ApplyError::First)?;
                // Rolling back twice goes back twice, not forth.
                let from = newest.of.unwrap_or(newest.number);
                all.iter().rev().find(|v| v.number < from && v.of.is_none()).ok_or(ApplyError::First)?.number
            }
        };
        let (version, text) = self.versions.read(number)?.ok_or(ApplyError::Unknown(number))?;
        let by = format!("{by}, rollback to version {number}");
        let candidate = Candidate { file: version.file, base: version.base, text, by };
        let outcome = self.apply(&candidate, false)?;
        if let Outcome::Changed(_, Some(made)) = &outcome {
            self.versions.is_again(made.number, version.of.unwrap_or(number))?;
        }
        Ok(outcome)
    }

    /// All versions that are kept, the oldest first.
    ///
    /// # Errors
    /// The data folder cannot be read.
    pub fn versions(&self) -> std::io::Result<Vec<Version>> {
        self.versions.list()
    }

    /// The file that the configuration came from.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.config.lock().unwrap_or_else(PoisonError::into_inner).origin {
            Origin::File(path) => Some(path.clone()),
            Origin::Lab => None,
        }
    }
}

fn origin(origin: &Origin) -> (String, PathBuf) {
    match origin {
        Origin::Lab => ("the lab".into(), PathBuf::new()),
        Origin::File(path) => {
            let base = path.parent().unwrap_or(Path::new("")).to_owned();
            (path.display().to_string(), base)
        }
    }
}

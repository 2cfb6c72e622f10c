//! `strowger apply`, `versions` and `rollback`: another configuration for a switch that runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Switch, show};
use super::humane::{count, safe};

/// Longest value of a change that is shown.
const VALUE_CHARS_MAX: usize = 100;

#[derive(Args)]
pub struct ApplyArgs {
    /// The configuration
    pub file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Args)]
pub struct VersionsArgs {
    /// The version whose changes are shown; without it all versions in a line each
    version: Option<u64>,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Args)]
pub struct RollbackArgs {
    /// The version that is to be in force again; without it the one before
    version: Option<u64>,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Applied {
    changes: Vec<Change>,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Change {
    what: String,
    before: Value,
    after: Value,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    number: u64,
    at: String,
    by: String,
    file: String,
    changes: Vec<Change>,
}

impl ApplyArgs {
    /// Puts the file in force.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?;
        let file = self.file.canonicalize().with_context(|| format!("{} is gone", self.file.display()))?;
        let base = file.parent().unwrap_or(Path::new("/")).to_owned();
        let wanted = json!({ "file": file, "base": base, "text": text, "by": who(), "dry": self.dry_run });
        let answer = self.switch.client()?.apply(&wanted)?;
        let dry = self.dry_run;
        show(is_json, &answer, |applied: Applied| match (applied.version, applied.changes.is_empty()) {
            (_, true) => "Nothing changes: this is in force already.\n".to_owned(),
            (Some(version), _) => {
                let count = count(applied.changes.len(), "change");
                format!(
                    "{}Version {version} is in force: {count}. Back again: strowger rollback\n",
                    listed(&applied.changes)
                )
            }
            (None, _) if dry => format!("{}Nothing was changed: this was a dry run.\n", listed(&applied.changes)),
            (None, _) => listed(&applied.changes),
        })
    }
}

impl VersionsArgs {
    /// Lists what was in force.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let answer = self.switch.client()?.versions()?;
        let Some(wanted) = self.version else {
            return show(is_json, &answer, |all: Versions| {
                let line = |version: &Version| {
                    let count = count(version.changes.len(), "change");
                    let (by, file) = (safe(&version.by, 80), safe(&version.file, 120));
                    format!("{:>4}  {}  {by}  {count}  {file}\n", version.number, version.at)
                };
                all.versions.iter().map(line).collect()
            });
        };
        let all: Versions = serde_json::from_value(answer.clone())?;
        let version = all.versions.iter().find(|version| version.number == wanted);
        let version = version.with_context(|| format!("there is no version {wanted}"))?;
        let one = answer.get("versions").and_then(Value::as_array).into_iter().flatten();
        let one =
            one.into_iter().find(|value| value.get("number") == Some(&json!(wanted))).cloned().unwrap_or_default();
        show(is_json, &one, |_: Value| listed(&version.changes))
    }
}

impl RollbackArgs {
    /// Puts a version in force again.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let answer = self.switch.client()?.roll_back(&json!({ "version": self.version, "by": who() }))?;
        show(is_json, &answer, |applied: Applied| match applied.version {
            None => "Nothing changes: this is in force already.\n".to_owned(),
            Some(version) => format!(
                "{}Version {version} is in force. The file was not touched: the next start reads it as it is.\n",
                listed(&applied.changes)
            ),
        })
    }
}

fn listed(changes: &[Change]) -> String {
    let mut out = String::new();
    for change in changes {
        let what = safe(&change.what, VALUE_CHARS_MAX);
        let shown = |value: &Value| safe(&value.to_string(), VALUE_CHARS_MAX);
        let _ = match (&change.before, &change.after) {
            (Value::Null, Value::Object(_)) => writeln!(out, "+ {what}"),
            (Value::Object(_), Value::Null) => writeln!(out, "- {what}"),
            (before, after) => writeln!(out, "~ {what}: {} becomes {}", shown(before), shown(after)),
        };
    }
    out
}

/// Who asks, as far as the system says.
fn who() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned())
}

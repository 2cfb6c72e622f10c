//! The actor that looks whether the file of the configuration has changed, where `node.watch` says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actors::supervision::{Cx, Live};

use super::{Applied, ApplyError, Candidate, Outcome};

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a file was written, and its length.
type Mark = Option<(SystemTime, u64)>;

/// See the module.
pub struct Watch {
    applied: Arc<Applied>,
    file: Option<PathBuf>,
    seen: Mark,
    /// What was seen at the last look, if that was something new: an editor that still writes is given a second.
    settling: Mark,
    last: String,
}

impl Watch {
    /// Looks at the file of the configuration, or at nothing.
    pub fn new(applied: Arc<Applied>, watch: bool) -> Self {
        let file = watch.then(|| applied.file()).flatten();
        let seen = file.as_deref().and_then(mark);
        Self { applied, file, seen, settling: None, last: String::new() }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        cx.later(LOOK_EVERY, Self::look);
        let Some(file) = &self.file else { return };
        let now = mark(file);
        if now.is_none() || now == self.seen {
            return;
        }
        if now != self.settling {
            self.settling = now;
            return;
        }
        (self.seen, self.settling) = (now, None);
        let (applied, file) = (Arc::clone(&self.applied), file.clone());
        let applying = tokio::task::spawn_blocking(move || read_and_apply(&applied, &file));
        cx.spawn(applying, |this, done, _| {
            this.last = done.unwrap_or_else(|error| error.to_string());
        });
    }
}

fn mark(file: &Path) -> Mark {
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read_and_apply(applied: &Applied, file: &Path) -> String {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return format!("{} cannot be read: {error}", file.display()),
    };
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let candidate = Candidate { file: file.display().to_string(), base, text, by: "watch".into() };
    match applied.apply(&candidate, false) {
        Ok(Outcome::Same) => "the file says what is in force".into(),
        Ok(Outcome::Changed(changes, _)) => format!("{} changes were applied", changes.len()),
        Err(error) => {
            let first = match &error {
                ApplyError::Mistakes(all) => all.first().map(ToString::to_string),
                _ => None,
            };
            tracing::error!(%error, first, "the changed configuration is not in force");
            format!("not applied: {error}")
        }
    }
}

impl Live for Watch {
    type Msg = ();
    const KIND: &'static str = "configuration";
    const MAILBOX: usize = 4;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        if self.file.is_some() {
            self.look(cx);
        }
    }

    fn handle(&mut self, (): (), _: &mut Cx<'_, Self>) {}

    fn describe(&self) -> String {
        let file =
            self.file.as_ref().map_or("watches nothing".to_owned(), |file| format!("watches {}", file.display()));
        if self.last.is_empty() { file } else { format!("{file}: {}", self.last) }
    }
}

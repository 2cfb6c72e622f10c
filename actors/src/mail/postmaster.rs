//! Starts the actors of mailboxes, and looks after those that nobody asks for: after a start those in which a recording was cut short, and each hour all of them,
//! for what has been deleted for long enough.

use std::sync::Arc;
use std::time::Duration;

use super::MailboxMsg;
use crate::shared::Shared;
use crate::supervision::{Cx, Live};

/// How often all mailboxes are looked after.
const EVERY: Duration = Duration::from_secs(3600);

/// See the module.
pub struct Postmaster {
    shared: Arc<Shared>,
}

/// What it can be told.
pub enum PostmasterMsg {
    /// Something waits for this mailbox, which has no actor.
    Open(String),
}

impl Postmaster {
    /// That of the node.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Opens mailboxes: all that have a folder, or those with recordings that were cut short.
    fn round(&self, all: bool, cx: &mut Cx<'_, Self>) {
        let folder = self.shared.settings().mail.folder.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let wanted = entries.filter(|entry| all || has_draft(&entry.path()));
            wanted.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        });
        cx.spawn(reading, move |this, names, _| {
            let names = names.unwrap_or_default();
            if !all && !names.is_empty() {
                tracing::warn!(mailboxes = names.len(), "recordings were cut short: they are delivered now");
            }
            for name in names {
                let msg = if all { MailboxMsg::Sweep } else { MailboxMsg::Count };
                // A folder of a user that is no more stays as it is.
                let _no_user = this.shared.mailroom.send(&this.shared, &name, msg);
            }
        });
    }

    fn hourly(&self, cx: &mut Cx<'_, Self>) {
        cx.later(EVERY, |this, cx| {
            this.round(true, cx);
            this.hourly(cx);
        });
    }
}

fn has_draft(folder: &std::path::Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|end| end == "head" || end == "sealing"))
}

impl Live for Postmaster {
    type Msg = PostmasterMsg;
    const KIND: &'static str = "postmaster";
    const MAILBOX: usize = 1024;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.shared.mailroom.open_waiting(&self.shared);
        self.round(false, cx);
        self.hourly(cx);
    }

    fn handle(&mut self, PostmasterMsg::Open(name): PostmasterMsg, _: &mut Cx<'_, Self>) {
        self.shared.mailroom.open(&self.shared, &name);
    }
}

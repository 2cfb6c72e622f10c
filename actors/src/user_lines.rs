//! Lines of users: how many calls each has at this moment, on all shards.

use ahash::RandomState;
use dashmap::DashMap;
use std::sync::Arc;

use crate::shared::Shared;

/// See the module.
#[derive(Default)]
pub struct UserLines(DashMap<Box<str>, usize, RandomState>);

/// One call of a user, given back on drop. It goes with whoever rings or talks, also from call to call.
pub struct UserLine {
    shared: Arc<Shared>,
    aor: Box<str>,
}

impl UserLine {
    /// One more call of a user, of at most `most`; `None` when there are as many already.
    pub fn take(shared: &Arc<Shared>, aor: &str, most: usize) -> Option<Self> {
        let mut lines = shared.lines.0.entry(aor.into()).or_insert(0);
        if *lines >= most {
            return None;
        }
        *lines += 1;
        drop(lines);
        Some(Self { shared: Arc::clone(shared), aor: aor.into() })
    }

    /// Whose it is.
    pub fn aor(&self) -> &str {
        &self.aor
    }
}

impl Drop for UserLine {
    fn drop(&mut self) {
        if let dashmap::Entry::Occupied(mut lines) = self.shared.lines.0.entry(self.aor.clone()) {
            *lines.get_mut() = lines.get().saturating_sub(1);
            if *lines.get() == 0 {
                lines.remove();
            }
        }
        self.shared.groups.agent_changed(&self.aor);
    }
}

impl UserLines {
    /// Calls that a user has at this moment.
    pub fn of(&self, aor: &str) -> usize {
        self.0.get(aor).map_or(0, |lines| *lines)
    }

    /// Calls that users have at this moment, each counted for each of its users.
    pub fn taken(&self) -> usize {
        self.0.iter().map(|entry| *entry.value()).sum()
    }
}

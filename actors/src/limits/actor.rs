//! Writes what was spent into the store, a second after it was at the latest.

use std::sync::Arc;
use std::time::Duration;

use crate::shared::{Shared, unix_now};
use crate::supervision::{Cx, Live, StopReason};

/// How long charges are gathered: what a process that is killed may forget.
const GATHER: Duration = Duration::from_secs(1);

/// What the writer can be told.
pub enum LimitsMsg {
    /// Somebody has spent something.
    Spent,
}

/// The writer.
pub struct Limits {
    shared: Arc<Shared>,
}

impl Limits {
    /// Writes for `shared`.
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn write(&self) {
        self.shared.limits.write(&self.shared.store, unix_now());
    }
}

impl Live for Limits {
    type Msg = LimitsMsg;
    const KIND: &'static str = "limits";
    const MAILBOX: usize = 16;

    fn started(&mut self, _: &mut Cx<'_, Self>) {
        // What a predecessor was told and did not come to.
        self.write();
    }

    fn handle(&mut self, LimitsMsg::Spent: LimitsMsg, cx: &mut Cx<'_, Self>) {
        cx.later(GATHER, |this, _| this.write());
    }

    fn stopping(&mut self, _: &StopReason, _: &mut Cx<'_, Self>) {
        self.write();
    }

    fn describe(&self) -> String {
        let now = unix_now();
        let all = self.shared.limits.all(now);
        let spent = all.iter().filter(|one| one.refuses.is_some_and(super::Refused::is_spent)).count();
        format!("{} accounts, {spent} of them spent", all.len())
    }
}

//! Starts clerks for the objects that a configuration has brought.

use std::sync::Arc;
use std::time::Duration;

use crate::shared::Shared;
use crate::supervision::{Cx, Live};

/// When it tries again: the clerk of before is still on its way out, or a branch is being rebuilt.
const AGAIN: Duration = Duration::from_millis(100);

/// What it can be told.
pub enum PlannerMsg {
    /// The configuration is another.
    Changed,
}

/// See the module.
pub struct Planner {
    shared: Arc<Shared>,
}

impl Planner {
    /// The planner of `shared`.
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn look(&mut self, cx: &mut Cx<'_, Self>) {
        let mut is_short = false;
        for desk in self.shared.plans.all().iter().filter(|desk| !desk.has_clerk()) {
            if let Err(error) = self.shared.plans.begin(&self.shared, desk) {
                tracing::debug!(kind = desk.kind.as_str(), name = %desk.name, %error, "no clerk yet");
                is_short = true;
            }
        }
        if is_short {
            cx.later(AGAIN, |this, cx| this.look(cx));
        }
    }
}

impl Live for Planner {
    type Msg = PlannerMsg;
    const KIND: &'static str = "planner";
    const MAILBOX: usize = 16;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }

    fn handle(&mut self, PlannerMsg::Changed: PlannerMsg, cx: &mut Cx<'_, Self>) {
        self.look(cx);
    }

    fn describe(&self) -> String {
        format!("{} objects", self.shared.plans.all().len())
    }
}

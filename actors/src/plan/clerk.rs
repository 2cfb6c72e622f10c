//! The actor of one object of the plan: writes down what was counted, and wakes when its hours open or close.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Kind;
use super::desk::{Desk, Standing};
use super::table::{forget, write};
use crate::outside;
use crate::routing::hours::State;
use crate::shared::Shared;
use crate::supervision::{Cx, Live, StopReason, Task};

/// How long counts are gathered: what a process that is killed may forget.
const GATHER: Duration = Duration::from_secs(10);

/// Which kind of object a clerk has: each has its own name in the tree and in figures.
pub trait Sort: Unpin + 'static {
    /// The kind.
    const KIND: Kind;
}

/// Of dial plans.
pub struct DialPlans;
/// Of hunt groups.
pub struct HuntGroups;
/// Of voice policies.
pub struct Policies;
/// Of usages.
pub struct Usages;
/// Of time conditions.
pub struct OfHours;

impl Sort for DialPlans {
    const KIND: Kind = Kind::DialPlan;
}
impl Sort for HuntGroups {
    const KIND: Kind = Kind::HuntGroup;
}
impl Sort for Policies {
    const KIND: Kind = Kind::Policy;
}
impl Sort for Usages {
    const KIND: Kind = Kind::Usage;
}
impl Sort for OfHours {
    const KIND: Kind = Kind::Hours;
}

/// What a clerk can be told.
pub enum ClerkMsg {
    /// The configuration has changed.
    Look,
}

/// See the module.
pub struct Clerk<S> {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    wake: Option<Task>,
    sort: PhantomData<S>,
}

impl<S: Sort> Clerk<S> {
    /// The clerk of a desk.
    pub const fn new(shared: Arc<Shared>, desk: Arc<Desk>) -> Self {
        Self { shared, desk, wake: None, sort: PhantomData }
    }

    /// `anew`: the configuration may be another.
    fn look(&mut self, anew: bool, cx: &mut Cx<'_, Self>) {
        if self.desk.is_closed() {
            forget(&self.shared.store, &self.desk);
            return cx.stop();
        }
        let rest = self.look_at_hours(anew).unwrap_or(GATHER);
        write(&self.shared.store, &self.desk);
        if let Some(wake) = self.wake.take() {
            cx.cancel(wake);
        }
        self.wake = Some(cx.later(rest.min(GATHER), |this, cx| this.look(false, cx)));
    }

    /// Where the object is a time condition: how it stands, and how long that holds.
    fn look_at_hours(&self, anew: bool) -> Option<Duration> {
        if S::KIND != Kind::Hours {
            return None;
        }
        let directory = self.shared.directory();
        let hours = directory.routing().hours_named(&self.desk.name)?;
        let now = outside::now();
        let is_open = hours.at(now) == State::Open;
        // To look for the next turn is to look through a year, where there is none; so it is not looked for while the last one holds.
        let holds = |known: &Standing| !anew && known.is_open == is_open && known.until.is_none_or(|until| until > now);
        let until = match self.desk.standing().filter(holds) {
            Some(known) => known.until,
            None => hours.next_turn(now),
        };
        if self.desk.stand(Standing { is_open, until }) {
            let (name, until) = (&self.desk.name, until.map_or_else(|| "for good".to_owned(), |at| at.to_string()));
            let word = if is_open { "open" } else { "closed" };
            tracing::info!(hours = %name, until, "{word} from now on");
        }
        // A clock that is set back or forward is noticed at the next look.
        let left = until.map(|until| until.duration_since(now).unsigned_abs());
        left.map(|left| left.max(Duration::from_millis(1)))
    }
}

impl<S: Sort> Live for Clerk<S> {
    type Msg = ClerkMsg;
    const KIND: &'static str = S::KIND.as_str();
    const MAILBOX: usize = 4;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        // What a predecessor was told and did not come to.
        self.look(true, cx);
    }

    fn handle(&mut self, ClerkMsg::Look: ClerkMsg, cx: &mut Cx<'_, Self>) {
        self.look(true, cx);
    }

    fn stopping(&mut self, _: &StopReason, _: &mut Cx<'_, Self>) {
        if !self.desk.is_closed() {
            write(&self.shared.store, &self.desk);
        }
    }

    fn describe(&self) -> String {
        self.desk.describe()
    }
}

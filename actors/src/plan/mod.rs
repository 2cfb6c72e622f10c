//! The objects of the plan that calls go by: dial plans, hunt groups, voice policies, usages, time conditions.
//!
//! Where a call goes is decided by [`crate::routing`], from a snapshot that asks nobody. What of an object changes while calls pass
//! (how many are up under it and how many may be, what it has carried and refused, whether its hours are open and until when) lies on
//! its [`Desk`]. Each desk has a clerk, an actor `switch/plan/BRANCH/NAME`, who writes down what was counted and wakes when hours
//! open or close. A clerk that dies costs no call: calls meet the desk, a count and an instant, and never the clerk.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `desk` | what an object has counted, and places under it |
//! | `table` | all desks, by kind and name |
//! | `clerk` | the actor of one |
//! | `planner` | the actor that starts clerks for what `apply` has brought |

mod clerk;
mod desk;
mod planner;
mod table;

pub use clerk::{Clerk, ClerkMsg};
pub use desk::{Counts, Desk, DeskView, Full, Place};
pub use planner::{Planner, PlannerMsg};
pub use table::{Plans, known};

use smol_str::SmolStr;

use crate::routing::Routing;

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A dial plan.
    DialPlan,
    /// A hunt group.
    HuntGroup,
    /// A voice policy.
    Policy,
    /// A usage, with its routes.
    Usage,
    /// A time condition.
    Hours,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::DialPlan, Self::HuntGroup, Self::Policy, Self::Usage, Self::Hours];

    /// The word for one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DialPlan => "dial-plan",
            Self::HuntGroup => "hunt-group",
            Self::Policy => "voice-policy",
            Self::Usage => "usage",
            Self::Hours => "hours",
        }
    }

    /// Their branch of the tree.
    pub const fn branch(self) -> &'static str {
        match self {
            Self::DialPlan => "dial-plans",
            Self::HuntGroup => "hunt-groups",
            Self::Policy => "voice-policies",
            Self::Usage => "usages",
            Self::Hours => "hours",
        }
    }
}

/// The objects of the plan that a decision went by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Under {
    /// The dial plan that made a number of what was dialled.
    pub dial_plan: Option<SmolStr>,
    /// The hunt group whose pilot was called.
    pub hunt_group: Option<SmolStr>,
    /// The voice policy that lets it out, or does not.
    pub policy: Option<SmolStr>,
    /// The usage of the first way out.
    pub usage: Option<SmolStr>,
    /// It is an emergency call, which nothing holds back.
    pub emergency: bool,
}

impl Under {
    fn objects(&self) -> impl Iterator<Item = (Kind, &SmolStr)> {
        let all = [
            (Kind::DialPlan, &self.dial_plan),
            (Kind::HuntGroup, &self.hunt_group),
            (Kind::Policy, &self.policy),
            (Kind::Usage, &self.usage),
        ];
        all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
    }
}

/// What the configuration has of a kind: names, and how many calls may be under each.
fn configured(routing: &Routing, kind: Kind) -> Vec<(SmolStr, Option<u32>)> {
    let spec = routing.spec();
    match kind {
        Kind::DialPlan => spec.dial_plans.iter().map(|plan| (plan.name.clone(), plan.calls_max)).collect(),
        Kind::HuntGroup => spec.hunt_groups.iter().map(|group| (group.name.clone(), group.calls_max)).collect(),
        Kind::Policy => spec.policies.iter().map(|policy| (policy.name.clone(), None)).collect(),
        Kind::Usage => routing.usages().map(|usage| (usage.clone(), None)).collect(),
        Kind::Hours => spec.hours.iter().map(|hours| (hours.name.clone(), None)).collect(),
    }
}

//! Where a call goes: rules that an operator can read, check and question.
//!
//! A decision is a pure function of the plan, the question and the time that is in the question: no socket, clock, lock or
//! message. Calls ask it, `strowger route` asks it, and both walk the same steps; a question only keeps more of them.
//!
//! The way of a number that a user dials (reference, mobility and voice, 6.1):
//!
//! ```text
//! dialled ─ emergency? ─ somebody's here? ─ rules of the dial plan ─ emergency? ─ somebody's here?
//!    └ outside: blocked? ─ voice policy ─ usages in order ─ routes in order ─ gateways in order
//! ```
//!
//! | file | what it knows |
//! | --- | --- |
//! | `spec` | what an operator may say |
//! | `pattern`, `rewrite`, `mask`, `number`, `hours` | the words of it |
//! | `index` | routes by how a number begins |
//! | `decide` | calls of users |
//! | `inbound` | calls of gateways |
//! | `dialling` | what callers from outside may reach outside |
//! | `trail`, `refusal` | why |
//! | `inspect` | what is wrong with rules that are right one by one |

mod decide;
mod dialling;
pub mod hours;
mod inbound;
mod index;
pub mod inspect;
pub mod mask;
pub mod number;
pub mod pattern;
mod refusal;
pub mod rewrite;
pub mod spec;
#[cfg(test)]
mod tests;
mod trail;

pub use decide::{By, Decision, Inbound, Question, brief, describe};
pub use refusal::{Kind, Refusal};
pub use spec::{Assigned, Spec, TrunkRules};
pub use trail::{Step, Topic, Trail, Verdict};

use ahash::AHashMap;
use smol_str::SmolStr;
use std::sync::Arc;

use crate::directory::User;
use crate::limits::{Charge, Rate};
use index::Index;
use spec::{DialPlan, Emergency, HuntGroup, Scope, Site, VoicePolicy};

/// The plan, ready to decide; built whole, replaced whole.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    spec: Spec,
    sites: AHashMap<SmolStr, usize>,
    dial_plans: AHashMap<SmolStr, usize>,
    policies: AHashMap<SmolStr, usize>,
    hours: AHashMap<SmolStr, usize>,
    by_usage: AHashMap<SmolStr, Index>,
    all_routes: Index,
    /// By gateway and called party.
    pilots: AHashMap<(SmolStr, SmolStr), usize>,
    /// By what is dialled.
    emergencies: AHashMap<SmolStr, usize>,
}

impl Routing {
    /// Builds the look-ups. What names something that does not exist is left aside: the check refuses such files.
    pub fn new(spec: Spec) -> Self {
        fn names<'s>(all: impl Iterator<Item = &'s SmolStr>) -> AHashMap<SmolStr, usize> {
            all.cloned().enumerate().map(|(at, name)| (name, at)).collect()
        }
        let mut this = Self {
            sites: names(spec.sites.iter().map(|s| &s.name)),
            dial_plans: names(spec.dial_plans.iter().map(|p| &p.name)),
            policies: names(spec.policies.iter().map(|p| &p.name)),
            hours: names(spec.hours.iter().map(|h| &h.name)),
            ..Self::default()
        };
        for (number, route) in (0_u32..).zip(&spec.routes) {
            this.all_routes.add(number, route);
            for usage in &route.usages {
                this.by_usage.entry(usage.clone()).or_default().add(number, route);
            }
        }
        for (at, group) in spec.hunt_groups.iter().enumerate() {
            for pilot in &group.pilots {
                this.pilots.entry((group.gateway.clone(), pilot.clone())).or_insert(at);
            }
        }
        for (at, emergency) in spec.emergencies.iter().enumerate() {
            for dialled in std::iter::once(&emergency.number).chain(&emergency.masks) {
                this.emergencies.entry(dialled.clone()).or_insert(at);
            }
        }
        this.spec = spec;
        this
    }

    /// What the operator said.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    fn site(&self, name: Option<&SmolStr>) -> Option<&Site> {
        self.spec.sites.get(*self.sites.get(name?)?)
    }

    fn dial_plan(&self, name: &str) -> Option<&DialPlan> {
        self.spec.dial_plans.get(*self.dial_plans.get(name)?)
    }

    fn policy(&self, name: &str) -> Option<&VoicePolicy> {
        self.spec.policies.get(*self.policies.get(name)?)
    }

    /// A time condition.
    pub fn hours_named(&self, name: &str) -> Option<&hours::Hours> {
        self.spec.hours.get(*self.hours.get(name)?)
    }

    /// The usages that routes are of.
    pub fn usages(&self) -> impl Iterator<Item = &SmolStr> {
        self.by_usage.keys()
    }

    /// How a time condition stands.
    pub fn hours_at(&self, name: &str, at: jiff::Timestamp) -> Option<hours::State> {
        Some(self.hours_named(name)?.at(at))
    }

    /// The hunt group of a gateway that a called party is a pilot of.
    fn hunt_group(&self, gateway: &str, pilot: &str) -> Option<&HuntGroup> {
        // A user part is compared as it is written, but for numbers with and without their `+`.
        let at = |pilot: &str| self.pilots.get(&(gateway.into(), pilot.into()));
        let found = at(pilot).or_else(|| at(pilot.strip_prefix('+')?)).or_else(|| at(&format!("+{pilot}")));
        self.spec.hunt_groups.get(*found?)
    }

    /// The emergency number that is meant by what is dialled, with the access code of a plan or without.
    fn emergency(&self, dialled: &str, plan: Option<&DialPlan>) -> Option<&Emergency> {
        if self.emergencies.is_empty() {
            return None;
        }
        let access = plan.and_then(|p| p.access_code.as_deref());
        let country = plan.and_then(|p| p.country_code.as_deref());
        let inside = access.and_then(|code| dialled.strip_prefix(code));
        let national = country.and_then(|code| dialled.strip_prefix('+')?.strip_prefix(code));
        let found = [Some(dialled), inside, national].into_iter().flatten().find_map(|d| self.emergencies.get(d));
        self.spec.emergencies.get(*found?)
    }

    /// What a call to a number costs.
    pub fn rate(&self, number: &str) -> Rate {
        let class = self.spec.classes.iter().find(|class| class.patterns.iter().any(|pattern| pattern.matches(number)));
        class.map_or_else(Rate::default, |class| Rate {
            class: Some(class.name.clone()),
            call: class.call,
            minute: class.minute,
        })
    }

    /// Who pays, within the limit of this name.
    fn charge(&self, account: &str, limit: Option<&SmolStr>) -> Option<Charge> {
        let limit = self.spec.limits.iter().find(|known| Some(&known.name) == limit)?;
        Some(Charge { account: account.into(), limit: Arc::clone(limit) })
    }

    /// Whether any route leads to a number.
    fn leads_outside(&self, number: &str) -> bool {
        let candidates = self.all_routes.candidates(number);
        let mut routes = candidates.iter().filter_map(|at| self.spec.routes.get(usize::try_from(*at).ok()?));
        routes.any(|route| route.pattern.matches(number))
    }

    /// The narrowest of the scopes of a user that says something, and its name.
    fn narrowest<'s>(
        &'s self,
        assigned: &'s Assigned,
        of: impl Fn(&'s Scope) -> Option<&'s SmolStr>,
    ) -> Option<(&'s SmolStr, &'static str)> {
        let site = self.site(assigned.site.as_ref()).map(|site| &site.scope);
        let own = of(&assigned.scope).map(|found| (found, "the user's own"));
        let site = || site.and_then(&of).map(|found| (found, "that of the user's site"));
        own.or_else(site).or_else(|| of(&self.spec.global).map(|found| (found, "the global one")))
    }

    /// The dial plan of a user, and why it is that.
    pub fn plan_of(&self, assigned: &Assigned) -> Option<(&DialPlan, &'static str)> {
        let (name, scope) = self.narrowest(assigned, |scope| scope.dial_plan.as_ref())?;
        Some((self.dial_plan(name)?, scope))
    }

    /// The number that a user is known by outside: the first public one, else what its plan makes of its extension.
    pub fn shown(&self, user: &User) -> String {
        decide::number_of(user, self.plan_of(&user.routing).map(|(plan, _)| plan))
    }

    /// What a user may switch.
    pub fn switches(&self, assigned: &Assigned) -> spec::Switches {
        self.policy_of(assigned).map_or_else(spec::Switches::default, |(policy, _)| policy.switches)
    }

    /// Whether calls are parked at a number.
    fn is_parking(&self, number: &str) -> bool {
        let Some((first, last)) = &self.spec.parking else { return false };
        number.len() == first.len() && (first.as_str()..=last.as_str()).contains(&number)
    }

    /// The voice policy of a user, and why it is that.
    pub fn policy_of(&self, assigned: &Assigned) -> Option<(&VoicePolicy, &'static str)> {
        let (name, scope) = self.narrowest(assigned, |scope| scope.policy.as_ref())?;
        Some((self.policy(name)?, scope))
    }
}

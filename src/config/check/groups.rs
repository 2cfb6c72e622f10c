//! What ring groups must hold together: agents who can be rung, and ways out that lead somewhere.

use std::collections::BTreeSet;

use super::Checker;
use super::plan::owner;
use crate::config::error::quoted;
use crate::config::model::Config;
use crate::config::plan::RingGroup;

impl Checker<'_> {
    /// Names and references are looked at with those of the plan.
    pub(super) fn ring_groups(&mut self, config: &Config) {
        for (at, group) in config.ring_groups.iter().enumerate() {
            self.agents(at, group);
            self.ways_on(config, at, group);
            self.goes_round(config, at, group);
        }
    }

    fn agents(&mut self, at: usize, group: &RingGroup) {
        let agents = group.agents.iter().enumerate();
        let agents = agents.map(|(n, agent)| (agent.clone(), format!("ring_group[{at}].agents[{n}]")));
        self.unique("an agent of this group", "name each agent once", agents);
    }

    /// Where calls go on to is somewhere, and there are calls that go there.
    fn ways_on(&mut self, config: &Config, at: usize, group: &RingGroup) {
        let plan = config.routing.dial_plan.as_ref();
        let plan = plan.and_then(|name| config.dial_plans.iter().find(|plan| plan.name == *name));
        let rules = plan.map_or(&[][..], |plan| &plan.normalise);
        let policy = group.voice_policy.is_some() || config.routing.voice_policy.is_some();
        for (key, to) in ways(group) {
            let path = format!("ring_group[{at}].{key}");
            let Some(to) = to.filter(|_| self.is_sound(&[&path])) else { continue };
            let known = owner(config, rules, to).is_some();
            // A number outside needs somebody's leave, and a number; at closed hours nobody goes outside.
            let outside = policy && key != "closed_to" && to.bytes().all(|c| c.is_ascii_digit() || b"+*#".contains(&c));
            if !known && !outside {
                let what = format!("ring group {} leads nowhere: nobody here has {}", quoted(&group.name), quoted(to));
                self.wrong(&path, what, "name a user, an extension, a service, a ring group or a conference");
            }
        }
        let name = quoted(&group.name);
        if group.closed_to.is_some() && group.hours.is_none() {
            let what = format!("ring group {name} is never closed");
            self.wrong(&format!("ring_group[{at}].closed_to"), what, "add `hours`, or take `closed_to` away");
        }
        if group.timeout_to.is_some() && group.wait_max.is_none() {
            let what = format!("ring group {name} lets calls wait for as long as they like");
            self.wrong(&format!("ring_group[{at}].timeout_to"), what, "add `wait_max`, or take `timeout_to` away");
        }
    }

    /// A group that sends its calls to another that sends them back has nobody answer them.
    fn goes_round(&mut self, config: &Config, at: usize, group: &RingGroup) {
        for (key, first) in ways(group) {
            let (mut seen, mut next) = (BTreeSet::from([group.name.as_str()]), first);
            while let Some(number) = next {
                let Some(other) = config.ring_groups.iter().find(|other| other.number == *number) else { break };
                if !seen.insert(other.name.as_str()) {
                    let what = format!("calls of ring group {} go round by `{key}`", quoted(&group.name));
                    self.wrong(&format!("ring_group[{at}].{key}"), what, "let one of the groups send them elsewhere");
                    break;
                }
                next = ways(other).into_iter().find(|(same, _)| *same == key).and_then(|(_, to)| to);
            }
        }
    }
}

/// Where a group sends its calls, by the setting that says so.
fn ways(group: &RingGroup) -> [(&'static str, Option<&String>); 4] {
    [
        ("overflow_to", group.overflow_to.as_ref()),
        ("timeout_to", group.timeout_to.as_ref()),
        ("nobody_to", group.nobody_to.as_ref()),
        ("closed_to", group.closed_to.as_ref()),
    ]
}

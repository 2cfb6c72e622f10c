//! What features and ring groups must hold together: codes that are told apart, agents who can be rung, and ways out that lead somewhere.

use std::collections::BTreeSet;

use super::Checker;
use super::plan::owner;
use super::single_numbers;
use crate::config::error::quoted;
use crate::config::model::Config;
use crate::config::plan::RingGroup;
use crate::config::values::ForwardingUsages;

impl Checker<'_> {
    /// Codes are told apart, and places to park at are nobody's numbers.
    pub(super) fn features(&mut self, config: &Config) {
        let features = &config.features;
        let codes = [
            ("forward_all", &features.forward_all),
            ("forward_busy", &features.forward_busy),
            ("forward_no_answer", &features.forward_no_answer),
            ("forward_none", &features.forward_none),
            ("also_ring", &features.also_ring),
            ("do_not_disturb", &features.do_not_disturb),
            ("call_waiting", &features.call_waiting),
            ("hide_number", &features.hide_number),
            ("reject_anonymous", &features.reject_anonymous),
            ("sign_in", &features.sign_in),
            ("pickup", &features.pickup),
            ("trace", &features.trace),
        ];
        let given = codes.iter().filter(|(_, code)| !code.is_empty());
        let given: Vec<_> = given.map(|(key, code)| ((*code).clone(), format!("features.{key}"))).collect();
        self.unique("a feature code", "give each feature its own code, or none with \"\"", given.clone().into_iter());
        for (number, path) in single_numbers(config) {
            let hides =
                |code: &String| number.starts_with(code.as_str()) || number.starts_with(&code.replacen('*', "#", 1));
            if let Some((code, other)) = given.iter().find(|(code, _)| hides(code)) {
                let what =
                    format!("nobody could call {}: it begins with feature code {}", quoted(&number), quoted(code));
                self.wrong(&path, what, format!("give it another number, or change {other}"));
            }
            if features.park_numbers.as_ref().is_some_and(|places| places.has(&number)) {
                let what = format!("nobody could call {}: calls are parked there", quoted(&number));
                self.wrong(&path, what, "give it another number, or change features.park_numbers");
            }
        }
        if let Some(places) = &features.park_numbers {
            let taken = config
                .conferences
                .iter()
                .any(|other| other.numbers.has(&places.first) || places.has(&other.numbers.first));
            if taken {
                let what = "these are numbers of a conference already".to_owned();
                self.wrong("features.park_numbers", what, "give each number one meaning");
            }
        }
        if let Some(to) = features.park_to.as_ref().filter(|to| owner(config, &[], to).is_none()) {
            let what = format!("parked calls lead nowhere: nobody here has {}", quoted(to));
            self.wrong("features.park_to", what, "name a user, an extension, a service, a ring group or a conference");
        }
        for (at, policy) in config.voice_policies.iter().enumerate() {
            let with_usages = policy.forwarding == ForwardingUsages::Usages;
            let path = format!("voice_policy[{at}].forwarding_usages");
            if with_usages && policy.forwarding_usages.is_empty() && self.is_sound(&[&path]) {
                let what = format!("voice policy {} has no usages for calls that are sent on", quoted(&policy.name));
                self.wrong(&path, what, "name some, or write `forwarding = \"internal\"`");
            }
            if !with_usages && !policy.forwarding_usages.is_empty() {
                let what = format!("voice policy {} does not use these", quoted(&policy.name));
                self.wrong(&path, what, "write `forwarding = \"usages\"`, or take them away");
            }
        }
    }

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

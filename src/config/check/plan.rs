//! What the sections that say where calls go must hold together.

use std::collections::{BTreeMap, BTreeSet};

use actors::routing::inspect::{Left, can_match, going_round, left};
use actors::routing::number::E164;
use actors::routing::rewrite::{Rewrite, first};
use actors::routing::spec::UriForm;

use super::Checker;
use crate::config::error::quoted;
use crate::config::model::Config;
use crate::config::plan::{DialPlan, HuntGroup, Route};

/// Rules of one plan that are compared with each other.
const COMPARED_MAX: usize = 200;

impl Checker<'_> {
    /// Names, references, and rules that cannot work.
    pub(super) fn plan(&mut self, config: &Config) {
        self.plan_names(config);
        self.plan_references(config);
        self.usages(config);
        for (at, plan) in config.dial_plans.iter().enumerate() {
            self.normalisation(at, plan);
            self.dialling_groups(config, at, plan);
        }
        for (at, rule) in config.dialling_rules.iter().enumerate() {
            let path = format!("dialling_rule[{at}].dialled");
            if self.is_sound(&[&path, &format!("dialling_rule[{at}].mask")])
                && let Err(error) = rule.mask.fits(&rule.dialled)
            {
                self.wrong(&path, error.to_string(), "write as many `x` as the mask has, and `*` where it has one");
            }
        }
        for (at, route) in config.routes.iter().enumerate() {
            self.route(at, route);
            self.ways_out(config, at, route);
        }
        for (at, group) in config.hunt_groups.iter().enumerate() {
            self.hunt_group(config, at, group);
        }
        self.numbers(config);
    }

    fn plan_names(&mut self, config: &Config) {
        fn names<'c, T>(
            list: &'c [T],
            section: &'static str,
            name: fn(&'c T) -> &'c String,
        ) -> impl Iterator<Item = (String, String)> {
            list.iter().enumerate().map(move |(at, entry)| (name(entry).clone(), format!("{section}[{at}].name")))
        }
        let remedy = "give each its own name";
        self.unique("a site", remedy, names(&config.sites, "site", |s| &s.name));
        self.unique("a dial plan", remedy, names(&config.dial_plans, "dial_plan", |p| &p.name));
        self.unique("a voice policy", remedy, names(&config.voice_policies, "voice_policy", |p| &p.name));
        self.unique("a route", remedy, names(&config.routes, "route", |r| &r.name));
        self.unique("a destination", remedy, names(&config.destinations, "destination", |d| &d.name));
        self.unique("a limit", remedy, names(&config.limits, "limit", |l| &l.name));
        self.unique("a hunt group", remedy, names(&config.hunt_groups, "hunt_group", |g| &g.name));
        self.unique("a ring group", remedy, names(&config.ring_groups, "ring_group", |g| &g.name));
        self.unique("a time condition", remedy, names(&config.hours, "hours", |h| &h.name));
        let pilots = config.hunt_groups.iter().enumerate().flat_map(|(at, group)| {
            let of =
                move |(n, pilot)| (format!("{} on {}", pilot, group.gateway), format!("hunt_group[{at}].pilots[{n}]"));
            group.pilots.iter().enumerate().map(of)
        });
        self.unique("a pilot", "a pilot leads to one hunt group of its gateway: keep one", pilots);
    }

    fn plan_references(&mut self, config: &Config) {
        let names = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<_>>();
        let plans = names(config.dial_plans.iter().map(|p| &p.name).collect());
        let policies = names(config.voice_policies.iter().map(|p| &p.name).collect());
        let sites = names(config.sites.iter().map(|s| &s.name).collect());
        let gateways = names(config.gateways.iter().map(|g| &g.name).collect());
        let hours = names(config.hours.iter().map(|h| &h.name).collect());
        let limits = names(config.limits.iter().map(|l| &l.name).collect());
        let classes = names(config.destinations.iter().map(|d| &d.name).collect());
        let mut all: Vec<(String, Option<&String>, &str, &BTreeSet<String>)> = vec![
            ("routing.dial_plan".into(), config.routing.dial_plan.as_ref(), "dial plan", &plans),
            ("routing.voice_policy".into(), config.routing.voice_policy.as_ref(), "voice policy", &policies),
        ];
        for (at, site) in config.sites.iter().enumerate() {
            all.push((format!("site[{at}].dial_plan"), site.dial_plan.as_ref(), "dial plan", &plans));
            all.push((format!("site[{at}].voice_policy"), site.voice_policy.as_ref(), "voice policy", &policies));
        }
        for (at, user) in config.users.iter().enumerate() {
            all.push((format!("user[{at}].site"), user.site.as_ref(), "site", &sites));
            all.push((format!("user[{at}].dial_plan"), user.dial_plan.as_ref(), "dial plan", &plans));
            all.push((format!("user[{at}].voice_policy"), user.voice_policy.as_ref(), "voice policy", &policies));
        }
        for (at, gateway) in config.gateways.iter().enumerate() {
            all.push((format!("gateway[{at}].dial_plan"), gateway.dial_plan.as_ref(), "dial plan", &plans));
            all.push((format!("gateway[{at}].limit"), gateway.limit.as_ref(), "limit", &limits));
        }
        for (at, policy) in config.voice_policies.iter().enumerate() {
            all.push((format!("voice_policy[{at}].limit"), policy.limit.as_ref(), "limit", &limits));
        }
        for (at, limit) in config.limits.iter().enumerate() {
            for (n, class) in limit.destinations.iter().enumerate() {
                all.push((format!("limit[{at}].destinations[{n}]"), Some(class), "destination", &classes));
            }
        }
        for (at, rule) in config.dialling_rules.iter().enumerate() {
            all.push((format!("dialling_rule[{at}].dial_plan"), Some(&rule.dial_plan), "dial plan", &plans));
        }
        for (at, route) in config.routes.iter().enumerate() {
            all.push((format!("route[{at}].hours"), route.hours.as_ref(), "time condition", &hours));
            for (n, gateway) in route.gateways.iter().enumerate() {
                all.push((format!("route[{at}].gateways[{n}]"), Some(gateway), "gateway", &gateways));
            }
        }
        for (at, group) in config.hunt_groups.iter().enumerate() {
            all.push((format!("hunt_group[{at}].gateway"), Some(&group.gateway), "gateway", &gateways));
            all.push((format!("hunt_group[{at}].dial_plan"), Some(&group.dial_plan), "dial plan", &plans));
            all.push((format!("hunt_group[{at}].hours"), group.hours.as_ref(), "time condition", &hours));
        }
        let users = names(config.users.iter().map(|u| &u.name).collect());
        for (at, group) in config.ring_groups.iter().enumerate() {
            all.push((format!("ring_group[{at}].hours"), group.hours.as_ref(), "time condition", &hours));
            let policy = group.voice_policy.as_ref();
            all.push((format!("ring_group[{at}].voice_policy"), policy, "voice policy", &policies));
            for (n, agent) in group.agents.iter().enumerate() {
                all.push((format!("ring_group[{at}].agents[{n}]"), Some(agent), "user", &users));
            }
        }
        for (path, name, noun, known) in all {
            let Some(name) = name.filter(|name| !known.contains(*name)) else { continue };
            if !self.is_sound(&[&path]) {
                continue;
            }
            let names: Vec<_> = known.iter().take(8).map(|name| quoted(name)).collect();
            let remedy = match names.is_empty() {
                true => format!("there is no {noun} at all: add one"),
                false => format!("name a {noun} that exists: {}", names.join(", ")),
            };
            self.wrong(&path, format!("there is no {noun} {}", quoted(name)), remedy);
        }
    }

    /// Every usage has a route, and every route a usage that somebody has.
    fn usages(&mut self, config: &Config) {
        let mut used: BTreeMap<&String, Vec<String>> = BTreeMap::new();
        for (at, policy) in config.voice_policies.iter().enumerate() {
            for (n, usage) in policy.usages.iter().enumerate() {
                used.entry(usage).or_default().push(format!("voice_policy[{at}].usages[{n}]"));
            }
            for (n, usage) in policy.forwarding_usages.iter().enumerate() {
                used.entry(usage).or_default().push(format!("voice_policy[{at}].forwarding_usages[{n}]"));
            }
        }
        for (at, gateway) in config.gateways.iter().enumerate() {
            for (n, usage) in gateway.usages.iter().enumerate() {
                used.entry(usage).or_default().push(format!("gateway[{at}].usages[{n}]"));
            }
        }
        for (at, emergency) in config.emergencies.iter().enumerate() {
            used.entry(&emergency.usage).or_default().push(format!("emergency[{at}].usage"));
        }
        let routed: BTreeSet<&String> = config.routes.iter().flat_map(|route| &route.usages).collect();
        for (usage, paths) in used.iter().filter(|(usage, _)| !routed.contains(*usage)) {
            for path in paths {
                let what = format!("usage {} has no route", quoted(usage));
                self.wrong(path, what, "add the usage to a `[[route]]`, or take it out here");
            }
        }
        for (at, route) in config.routes.iter().enumerate() {
            if !route.usages.is_empty() && !route.usages.iter().any(|usage| used.contains_key(usage)) {
                let what = format!(
                    "nobody can take route {}: no policy, gateway or emergency has its usages",
                    quoted(&route.name)
                );
                self.wrong(&format!("route[{at}].usages"), what, "add one of them to a `[[voice_policy]]`");
            }
        }
    }

    fn normalisation(&mut self, at: usize, plan: &DialPlan) {
        let rules = &plan.normalise;
        let patterns: Vec<&str> = rules.iter().take(COMPARED_MAX).map(|rule| rule.pattern()).collect();
        for (n, found) in left(&patterns).into_iter().enumerate() {
            let path = format!("dial_plan[{at}].normalise[{n}]");
            let name = rules.get(n).map_or(String::new(), |rule| quoted(&rule.name));
            match found {
                Left::Nothing => {
                    let what = format!("rule {name} can never match: nothing that can be dialled is like this");
                    self.wrong(&path, what, "correct its pattern, or take it away");
                }
                Left::Shadowed => {
                    let what = format!("rule {name} can never match: the rules before it take all of its numbers");
                    self.wrong(&path, what, "move it before them, or take it away");
                }
                Left::Some(number) => {
                    if let Some(way) = going_round(rules, &number) {
                        let what = format!("numbers go round: {}", way.join(" becomes "));
                        self.wrong(&path, what, "let one of these rules make a number that no rule matches");
                    }
                }
                Left::Unknown => {}
            }
        }
    }

    fn dialling_groups(&mut self, config: &Config, at: usize, plan: &DialPlan) {
        use actors::routing::spec::DiallingList::{InCountry, International};
        for (key, list, groups) in [
            ("allowed_in_country", InCountry, &plan.allowed_in_country),
            ("allowed_international", International, &plan.allowed_international),
        ] {
            for (n, group) in groups.iter().enumerate() {
                let of = |rule: &&crate::config::plan::DiallingRule| rule.dial_plan == plan.name && rule.list == list;
                if !config.dialling_rules.iter().filter(of).any(|rule| rule.group == *group) {
                    let what =
                        format!("dial plan {} has no {} group {}", quoted(&plan.name), list.as_str(), quoted(group));
                    let remedy = "add a `[[dialling_rule]]` of this group and list, or take it out here";
                    self.wrong(&format!("dial_plan[{at}].{key}[{n}]"), what, remedy);
                }
            }
        }
    }

    fn route(&mut self, at: usize, route: &Route) {
        let path = format!("route[{at}].pattern");
        if self.is_sound(&[&path]) && !can_match(&route.pattern) {
            let what =
                format!("route {} can never match: nothing that can be dialled is like this", quoted(&route.name));
            self.wrong(&path, what, "correct the pattern, or take the route away");
        }
    }

    /// A gateway that takes no calls is no way out.
    fn ways_out(&mut self, config: &Config, at: usize, route: &Route) {
        for (n, name) in route.gateways.iter().enumerate() {
            let Some(gateway) = config.gateways.iter().find(|gateway| gateway.name == *name) else { continue };
            let why = match (gateway.enabled, gateway.outbound) {
                (false, _) => "is disabled",
                (true, false) => "takes no calls out",
                (true, true) => continue,
            };
            let what = format!("route {} leads to gateway {}, which {why}", quoted(&route.name), quoted(name));
            self.wrong(&format!("route[{at}].gateways[{n}]"), what, "name another gateway, or let this one take calls");
        }
    }

    /// Where a hunt group leads must be somewhere, and its plan must let its calls there.
    fn hunt_group(&mut self, config: &Config, at: usize, group: &HuntGroup) {
        let Some(plan) = config.dial_plans.iter().find(|plan| plan.name == group.dial_plan) else { return };
        if config.gateways.iter().any(|gateway| gateway.name == group.gateway && !gateway.enabled) {
            let name = quoted(&group.name);
            let what = format!("hunt group {name} cannot be reached: gateway {} is disabled", quoted(&group.gateway));
            self.wrong(&format!("hunt_group[{at}].gateway"), what, "enable the gateway, or take the group away");
        }
        for (key, to) in [("to", &group.to), ("closed_to", &group.closed_to)] {
            let Some(to) = to else { continue };
            let path = format!("hunt_group[{at}].{key}");
            if self.is_sound(&[&path]) && owner(config, &plan.normalise, to).is_none() {
                let what = format!("hunt group {} leads nowhere: nobody here has {}", quoted(&group.name), quoted(to));
                self.wrong(&path, what, "name a user, an extension, a service or a conference");
            }
        }
        if group.closed_to.is_some() && group.hours.is_none() {
            let what = format!("hunt group {} is never closed", quoted(&group.name));
            self.wrong(&format!("hunt_group[{at}].closed_to"), what, "add `hours`, or take `closed_to` away");
        }
        if group.to.is_some() {
            return;
        }
        for (n, pilot) in group.pilots.iter().enumerate() {
            let path = format!("hunt_group[{at}].pilots[{n}]");
            let what = match owner(config, &plan.normalise, pilot) {
                None => {
                    format!("hunt group {} cannot be reached: nobody here has {}", quoted(&group.name), quoted(pilot))
                }
                Some(false) if !plan.allow_extensions => {
                    format!("dial plan {} lets no call from outside reach {}", quoted(&plan.name), quoted(pilot))
                }
                Some(true) if !plan.allow_users => {
                    format!("dial plan {} lets no call from outside reach users", quoted(&plan.name))
                }
                Some(_) => continue,
            };
            self.wrong(&path, what, "say with `to` where its calls go");
        }
    }

    /// Numbers have one meaning and the length of their plan.
    fn numbers(&mut self, config: &Config) {
        let emergencies = config.emergencies.iter().enumerate().flat_map(|(at, emergency)| {
            let masks = emergency.masks.iter().enumerate();
            let masks = masks.map(move |(n, mask)| (mask.clone(), format!("emergency[{at}].masks[{n}]")));
            std::iter::once((emergency.number.clone(), format!("emergency[{at}].number"))).chain(masks)
        });
        let emergencies: Vec<_> = emergencies.collect();
        self.unique("an emergency number", "name each number once", emergencies.clone().into_iter());
        for (number, path) in &emergencies {
            let taken = config.users.iter().any(|user| user.extension.as_ref() == Some(number))
                || config.services.iter().any(|service| service.number == *number)
                || config.ring_groups.iter().any(|group| group.number == *number)
                || config.conferences.iter().any(|conference| conference.numbers.has(number));
            if taken && self.is_sound(&[path]) {
                let what = format!("{} is a number here, which nobody could call any more", quoted(number));
                self.wrong(path, what, "give that user, service, group or conference another number");
            }
        }
        for (at, user) in config.users.iter().enumerate() {
            for (n, tel) in user.tel.iter().enumerate() {
                let path = format!("user[{at}].tel[{n}]");
                let known = E164::parse(tel).is_some_and(|number| number.facts().is_some());
                if self.is_sound(&[&path]) && !known {
                    let what = format!("{} is no number of any country", quoted(tel));
                    self.wrong(&path, what, "write `+`, a country code and a number of that country");
                }
            }
            let site = config.sites.iter().find(|site| Some(&site.name) == user.site.as_ref());
            let plan =
                user.dial_plan.as_ref().or_else(|| site?.dial_plan.as_ref()).or(config.routing.dial_plan.as_ref());
            let plan = plan.and_then(|name| config.dial_plans.iter().find(|plan| plan.name == *name));
            let (Some(plan), Some(extension)) = (plan, &user.extension) else { continue };
            if plan.uri_type == UriForm::Extension && extension.len() != plan.extension_digits {
                let what = format!(
                    "extension {} has not the {} digits of dial plan {}",
                    quoted(extension),
                    plan.extension_digits,
                    quoted(&plan.name)
                );
                self.wrong(&format!("user[{at}].extension"), what, "give the user another extension or dial plan");
            }
        }
    }
}

/// Whether somebody here has a number, as it is or as rules make it: `Some(true)` for a user, `Some(false)` for a service,
/// ring group or conference.
pub(super) fn owner(config: &Config, rules: &[Rewrite], number: &str) -> Option<bool> {
    let has = |number: &str| {
        let user = config.users.iter().any(|user| {
            user.name == number || user.extension.as_deref() == Some(number) || user.tel.iter().any(|tel| tel == number)
        });
        let other = config.services.iter().any(|service| service.number == number)
            || config.ring_groups.iter().any(|group| group.number == number)
            || config.conferences.iter().any(|conference| conference.numbers.has(number));
        if user { Some(true) } else { other.then_some(false) }
    };
    has(number).or_else(|| has(&first(rules, number)?.1))
}

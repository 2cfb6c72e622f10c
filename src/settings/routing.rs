//! Where calls go, from the configuration to the actors.

use actors::features::{Action, Codes};
use actors::group::Plan;
use actors::limits::{Class, Limit};
use actors::routing::hours::Hours;
use actors::routing::spec::{
    Assigned, DialPlan, DiallingRule, Emergency, Forwarding, HuntGroup, Route, Scope, Site, Spec, Switches, TrunkRules,
    VoicePolicy,
};
use actors::settings::FeatureSettings;
use smol_str::SmolStr;
use std::sync::Arc;

use crate::config::{self as from, Config};

/// The plan of the configuration.
pub fn spec(config: &Config) -> Spec {
    Spec {
        global: scope(&config.routing.dial_plan, &config.routing.voice_policy),
        sites: config.sites.iter().map(site).collect(),
        dial_plans: config.dial_plans.iter().map(|plan| dial_plan(plan, &config.dialling_rules)).collect(),
        policies: config.voice_policies.iter().map(voice_policy).collect(),
        routes: config.routes.iter().map(route).collect(),
        classes: config.destinations.iter().map(class).collect(),
        limits: config.limits.iter().map(|one| Arc::new(limit(one))).collect(),
        hunt_groups: config.hunt_groups.iter().map(hunt_group).collect(),
        emergencies: config.emergencies.iter().map(emergency).collect(),
        hours: config.hours.iter().map(hours).collect(),
        blocked: config.routing.blocked.clone(),
        codes: codes(&config.features),
        parking: config.features.park_numbers.as_ref().map(|n| (n.first.clone(), n.last.clone())),
    }
}

/// What a user has been given of its own.
pub fn assigned(user: &from::User) -> Assigned {
    Assigned { site: name(&user.site), scope: scope(&user.dial_plan, &user.voice_policy) }
}

/// Whether the media of a user is encrypted by the dial plan that it has: its own, its site's, else that of `[routing]`.
pub fn srtp_of_user(config: &Config, user: &from::User) -> Option<from::Srtp> {
    let site = user.site.as_ref().and_then(|name| config.sites.iter().find(|site| site.name == *name));
    let of_site = site.and_then(|site| site.dial_plan.as_ref());
    srtp_of_plan(config, user.dial_plan.as_ref().or(of_site).or(config.routing.dial_plan.as_ref()))
}

/// Whether the media of those who have a dial plan is encrypted, where it says so.
pub fn srtp_of_plan(config: &Config, plan: Option<&String>) -> Option<from::Srtp> {
    config.dial_plans.iter().find(|known| Some(&known.name) == plan)?.srtp
}

/// How routing uses a gateway.
pub fn trunk(gateway: &from::Gateway) -> TrunkRules {
    TrunkRules {
        dial_plan: name(&gateway.dial_plan),
        usages: names(&gateway.usages),
        limit: name(&gateway.limit),
        called_in: gateway.called_in.clone(),
        caller_in: gateway.caller_in.clone(),
        called_out: gateway.called_out.clone(),
        caller_out: gateway.caller_out.clone(),
    }
}

/// Call features.
pub fn features(features: &from::Features) -> FeatureSettings {
    FeatureSettings {
        ring: features.ring_time,
        park_time: features.park_time,
        park_tries: features.park_tries,
        park_to: features.park_to.clone(),
    }
}

fn codes(features: &from::Features) -> Codes {
    let all = [
        (&features.forward_all, Action::ForwardAll),
        (&features.forward_busy, Action::ForwardBusy),
        (&features.forward_no_answer, Action::ForwardNoAnswer),
        (&features.forward_none, Action::ForwardNone),
        (&features.also_ring, Action::AlsoRing),
        (&features.do_not_disturb, Action::DoNotDisturb),
        (&features.call_waiting, Action::CallWaiting),
        (&features.hide_number, Action::HideNumber),
        (&features.reject_anonymous, Action::RejectAnonymous),
        (&features.sign_in, Action::SignIn),
        (&features.pickup, Action::Pickup),
        (&features.trace, Action::Trace),
    ];
    Codes::new(all.into_iter().map(|(code, action)| (code.clone(), action)))
}

/// A ring group.
pub fn ring_group(group: &from::RingGroup) -> Plan {
    Plan {
        name: (&group.name).into(),
        number: group.number.clone(),
        text: group.text.clone(),
        method: group.method,
        agents: names(&group.agents),
        sign_in: group.sign_in,
        alert: group.alert,
        rest: group.rest,
        wrap_up: group.wrap_up,
        waiting_max: group.waiting_max,
        overflow_oldest: group.overflow,
        overflow_to: group.overflow_to.clone(),
        wait_max: group.wait_max,
        timeout_to: group.timeout_to.clone(),
        nobody_to: group.nobody_to.clone(),
        hours: name(&group.hours),
        closed_to: group.closed_to.clone(),
        announce: group.announce,
        language: group.language,
        voice_policy: name(&group.voice_policy),
    }
}

fn name(text: &Option<String>) -> Option<SmolStr> {
    text.as_deref().map(SmolStr::new)
}

fn names(texts: &[String]) -> Vec<SmolStr> {
    texts.iter().map(SmolStr::new).collect()
}

fn scope(dial_plan: &Option<String>, policy: &Option<String>) -> Scope {
    Scope { dial_plan: name(dial_plan), policy: name(policy) }
}

fn site(site: &from::Site) -> Site {
    Site { name: (&site.name).into(), scope: scope(&site.dial_plan, &site.voice_policy) }
}

fn dial_plan(plan: &from::DialPlan, rules: &[from::DiallingRule]) -> DialPlan {
    let of_plan = rules.iter().filter(|rule| rule.dial_plan == plan.name);
    let dialling = of_plan.map(|rule| DiallingRule {
        group: (&rule.group).into(),
        list: rule.list,
        mask: rule.mask.clone(),
        dialled: rule.dialled.clone(),
    });
    DialPlan {
        name: (&plan.name).into(),
        uri: plan.uri_type,
        extension_digits: plan.extension_digits,
        country_code: name(&plan.country_code),
        national_prefix: name(&plan.national_prefix),
        international_prefix: name(&plan.international_prefix),
        access_code: name(&plan.access_code),
        in_country_format: plan.in_country_format.clone(),
        international_format: plan.international_format.clone(),
        number_formats: plan.number_formats.clone(),
        security: plan.security,
        rules: plan.normalise.clone(),
        dialling: dialling.collect(),
        allowed_in_country: names(&plan.allowed_in_country),
        allowed_international: names(&plan.allowed_international),
        allow_users: plan.allow_users,
        allow_extensions: plan.allow_extensions,
        calls_max: plan.calls_max,
    }
}

fn voice_policy(policy: &from::VoicePolicy) -> VoicePolicy {
    VoicePolicy {
        name: (&policy.name).into(),
        usages: names(&policy.usages),
        transfer: policy.call_transfer,
        limit: name(&policy.limit),
        switches: Switches {
            forwarding: policy.call_forwarding,
            simultaneous: policy.simultaneous_ring,
            delegation: policy.delegation,
            team_call: policy.team_call,
            park: policy.call_park,
            trace: policy.malicious_call_trace,
            escape: policy.voicemail_escape.filter(|escape| !escape.is_zero()),
        },
        forwarding: match policy.forwarding {
            from::ForwardingUsages::Policy => Forwarding::Policy,
            from::ForwardingUsages::Internal => Forwarding::Internal,
            from::ForwardingUsages::Usages => Forwarding::Usages(names(&policy.forwarding_usages)),
        },
    }
}

fn class(class: &from::Destination) -> Class {
    Class { name: (&class.name).into(), patterns: class.patterns.clone(), call: class.call, minute: class.minute }
}

fn limit(limit: &from::Limit) -> Limit {
    Limit {
        name: (&limit.name).into(),
        calls_max: limit.calls_max,
        calls_per_minute: limit.calls_per_minute,
        hour_max: limit.hour_max,
        day_max: limit.day_max,
        classes: names(&limit.destinations),
        cuts: limit.cut,
    }
}

fn route(route: &from::Route) -> Route {
    Route {
        name: (&route.name).into(),
        pattern: route.pattern.clone(),
        exclude: route.exclude.clone(),
        usages: names(&route.usages),
        gateways: names(&route.gateways),
        caller: name(&route.caller),
        hours: name(&route.hours),
    }
}

fn hunt_group(group: &from::HuntGroup) -> HuntGroup {
    HuntGroup {
        name: (&group.name).into(),
        gateway: (&group.gateway).into(),
        dial_plan: (&group.dial_plan).into(),
        pilots: names(&group.pilots),
        to: name(&group.to),
        hours: name(&group.hours),
        closed_to: name(&group.closed_to),
        calls_max: group.calls_max,
    }
}

fn emergency(emergency: &from::Emergency) -> Emergency {
    Emergency { number: (&emergency.number).into(), masks: names(&emergency.masks), usage: (&emergency.usage).into() }
}

fn hours(hours: &from::Hours) -> Hours {
    Hours {
        name: (&hours.name).into(),
        zone: hours.time_zone.clone(),
        open: hours.open.clone(),
        holidays: hours.holidays.clone(),
    }
}

//! Decisions, taken from the reference's own examples.

use proptest::prelude::*;
use std::sync::Arc;

use super::hours::{Holiday, Hours, Opening};
use super::mask::{Format, Mask};
use super::pattern::Pattern;
use super::rewrite::Rewrite;
use super::spec::*;
use super::*;
use crate::directory::{Destination, Directory, Service, ServiceKind, User};
use crate::gateway::{Gateway, Host};

fn user(name: &str, extension: &str, tel: &[&str]) -> User {
    User {
        name: name.into(),
        display: String::new(),
        extension: Some(extension.into()),
        numbers: tel.iter().map(|n| (*n).to_owned()).collect(),
        secret: sip::auth::Secret::Password("a password".into()),
        contacts_max: None,
        max_calls: None,
        srtp: None,
        routing: Assigned::default(),
        mailbox: None,
        keys_by_info: false,
        pickup_group: None,
    }
}

fn gateway(name: &str) -> Gateway {
    Gateway::new(name, Host::Ip([127, 0, 0, 2].into()))
}

fn rule(name: &str, pattern: &str, to: &str) -> Rewrite {
    Rewrite::new(name, pattern, to).unwrap()
}

fn route(name: &str, pattern: &str, usages: &[&str], gateways: &[&str]) -> Route {
    let all = |list: &[&str]| list.iter().map(|text| (*text).into()).collect();
    Route {
        name: name.into(),
        pattern: Pattern::new(pattern).unwrap(),
        exclude: Vec::new(),
        usages: all(usages),
        gateways: all(gateways),
        caller: None,
        hours: None,
    }
}

fn policy(name: &str, usages: &[&str]) -> VoicePolicy {
    let usages = usages.iter().map(|text| (*text).into()).collect();
    VoicePolicy { name: name.into(), usages, transfer: true, ..VoicePolicy::default() }
}

/// The plan of the Seattle office of the reference, with its sample rules.
fn seattle() -> DialPlan {
    DialPlan {
        name: "seattle".into(),
        extension_digits: 4,
        country_code: Some("1".into()),
        national_prefix: Some("1".into()),
        international_prefix: Some("011".into()),
        rules: vec![
            rule("four digits", r"^(\d{4})$", "+1425555$1"),
            rule("five digits", r"^5(\d{4})$", "+1425555$1"),
            rule("local", r"^(\d{7})$", "+1425$1"),
            rule("national", r"^(\d{10})$", "+1$1"),
            rule("operator", "^0$", "+14255550100"),
        ],
        allow_users: true,
        ..DialPlan::default()
    }
}

struct World {
    users: Vec<User>,
    gateways: Vec<Gateway>,
    spec: Spec,
}

impl World {
    fn new() -> Self {
        Self {
            users: vec![user("alice", "1001", &["+14255550101"]), user("bob", "1002", &["+14255550100"])],
            gateways: ["dallas-1", "red-1", "red-2"].map(gateway).into(),
            spec: Spec {
                global: Scope { dial_plan: Some("seattle".into()), policy: Some("dallas".into()) },
                dial_plans: vec![seattle()],
                // The worked failover example (mobility and voice, 6.5).
                policies: vec![policy("dallas", &["dallas-users", "global-hopoff"])],
                routes: vec![
                    route("dallas", r"^\+?(\d*)$", &["dallas-users"], &["dallas-1"]),
                    route("hopoff", r"^\+?(\d*)$", &["global-hopoff"], &["red-1", "red-2", "dallas-1"]),
                ],
                ..Spec::default()
            },
        }
    }

    fn directory(&self) -> Directory {
        let services = [Service { number: "5500".into(), kind: ServiceKind::Echo }];
        Directory::new(&["example.com".into()], &self.users, &self.gateways, &services, &[], self.spec.clone())
    }

    fn ask(&self, by: &str, dialled: &str, at: &str) -> Decision {
        let directory = self.directory();
        let user = directory.user(by).unwrap();
        let question = Question { dialled, by: By::User(user), at: at.parse().unwrap(), sent_on: false };
        let decision = directory.routing().decide(&directory, &question, true);
        // A call keeps fewer steps, and goes the same way.
        let brief = directory.routing().decide(&directory, &question, false);
        assert_eq!(told(&decision.destination), told(&brief.destination));
        decision
    }

    fn dial(&self, dialled: &str) -> String {
        told(&self.ask("alice", dialled, NOON).destination)
    }

    fn come_in(&self, gateway: &str, dialled: &str, inbound: Inbound<'_>) -> String {
        let directory = self.directory();
        let gateway = Arc::clone(directory.gateway(gateway).unwrap());
        let question =
            Question { dialled, by: By::Gateway(&gateway, inbound), at: NOON.parse().unwrap(), sent_on: false };
        told(&directory.routing().decide(&directory, &question, true).destination)
    }
}

const NOON: &str = "2026-11-24T12:00:00Z";

/// A destination in one line: who, or gateway and number of each way out, or the kind of the refusal.
fn told(destination: &Destination) -> String {
    match destination {
        Destination::User(user) => user.name.clone(),
        Destination::Service(kind) => kind.as_str().into(),
        Destination::Conference { number, .. } => number.clone(),
        Destination::Feature(wish) => format!("{:?} {}", wish.action, wish.number),
        Destination::Park(place) => format!("parking {place}"),
        Destination::Group(plan) => plan.name.to_string(),
        Destination::Mailbox(user) => format!("mailbox of {}", user.name),
        Destination::Attendant(attendant) => attendant.name.clone(),
        Destination::Outside(exits) => {
            let each = exits.iter().map(|exit| format!("{} {}", exit.gateway.name, exit.number));
            each.collect::<Vec<_>>().join(", ")
        }
        Destination::Nowhere(refusal) => refusal.kind.as_str().into(),
    }
}

#[test]
fn usages_are_tried_in_the_order_of_the_policy_and_each_gateway_once() {
    let world = World::new();
    assert_eq!(world.dial("2065550100"), "dallas-1 +12065550100, red-1 +12065550100, red-2 +12065550100");
    let mut other = World::new();
    other.spec.policies[0].usages.reverse();
    assert_eq!(other.dial("2065550100"), "red-1 +12065550100, red-2 +12065550100, dallas-1 +12065550100");
}

#[test]
fn what_belongs_to_somebody_here_does_not_leave() {
    let world = World::new();
    assert_eq!(world.dial("1002"), "bob", "an extension");
    assert_eq!(world.dial("bob"), "bob", "a name");
    assert_eq!(world.dial("5500"), "echo", "a service before the rule of four digits");
    assert_eq!(world.dial("0"), "bob", "the operator, by a rule");
    assert_eq!(world.dial("0100"), "bob", "the last digits of a public number");
    assert_eq!(world.dial("+1 (425) 555-0100"), "bob");
    assert_eq!(world.dial("nobody"), "unknown");
}

#[test]
fn the_codes_of_a_plan_make_public_numbers_behind_its_access_code() {
    let mut world = World::new();
    let plan = &mut world.spec.dial_plans[0];
    plan.access_code = Some("9".into());
    plan.rules.clear();
    assert!(world.dial("901144205550100").starts_with("dallas-1 +44205550100"));
    assert!(world.dial("912065550100").starts_with("dallas-1 +12065550100"));
    world.spec.routes[0] = route("dallas", r"^\+\d+$", &["dallas-users"], &["dallas-1"]);
    world.spec.routes[1] = route("hopoff", r"^\+\d+$", &["global-hopoff"], &["red-1"]);
    let decision = world.ask("alice", "12065550100", NOON);
    assert_eq!(told(&decision.destination), "no_route");
    let Destination::Nowhere(refusal) = decision.destination else { panic!() };
    assert!(refusal.why.ends_with("outside numbers begin with 9"), "{refusal}");
    let plan = &mut world.spec.dial_plans[0];
    (plan.country_code, plan.national_prefix) = (Some("39".into()), None);
    assert!(world.dial("90391234567").starts_with("dallas-1 +390391234567"));
}

#[test]
fn the_narrowest_scope_wins_whole() {
    let mut world = World::new();
    world.spec.sites =
        vec![Site { name: "lab".into(), scope: Scope { dial_plan: None, policy: Some("nothing".into()) } }];
    world.spec.policies.push(policy("nothing", &[]));
    world.spec.policies.push(policy("red", &["global-hopoff"]));
    assert!(world.dial("2065550100").starts_with("dallas-1"), "the global one");
    world.users[0].routing.site = Some("lab".into());
    assert_eq!(world.dial("2065550100"), "not_allowed", "that of the site, though the global one has usages");
    world.users[0].routing.scope.policy = Some("red".into());
    assert!(world.dial("2065550100").starts_with("red-1"), "its own");
}

#[test]
fn without_a_policy_or_with_one_that_lacks_the_usage_nobody_calls_outside() {
    let mut world = World::new();
    world.spec.global.policy = None;
    assert_eq!(world.dial("2065550100"), "not_allowed");
    world.spec.global.policy = Some("dallas".into());
    world.spec.policies[0].usages = vec!["elsewhere".into()];
    let decision = world.ask("alice", "2065550100", NOON);
    let Destination::Nowhere(refusal) = &decision.destination else { panic!() };
    assert_eq!(refusal.why, "voice policy dallas has no usage of route dallas, which leads to +12065550100");
    world.spec.routes.clear();
    assert_eq!(world.dial("2065550100"), "no_route");
}

#[test]
fn an_emergency_call_passes_policy_block_list_and_hours() {
    let mut world = World::new();
    world.spec.blocked = vec![Pattern::new("^112").unwrap()];
    world.spec.hours = vec![never()];
    world.spec.emergencies =
        vec![Emergency { number: "112".into(), masks: vec!["911".into()], usage: "emergency".into() }];
    let mut out = route("rescue", "^112$", &["emergency"], &["red-2"]);
    out.hours = Some("never".into());
    world.spec.routes.push(out);
    world.spec.global.policy = None;
    world.spec.dial_plans[0].access_code = Some("9".into());
    for dialled in ["112", "911", "9112", "9911", "+1112"] {
        assert_eq!(world.dial(dialled), "red-2 112", "{dialled}");
    }
    world.spec.routes.pop();
    assert_eq!(world.dial("112"), "no_route");
}

fn never() -> Hours {
    Hours {
        name: "never".into(),
        zone: jiff::tz::TimeZone::UTC,
        open: vec![Opening::parse("Mon-Sun 00:00-24:00").unwrap()],
        holidays: vec![Holiday::parse("2000-01-01..2100-01-01").unwrap()],
    }
}

#[test]
fn a_route_is_open_at_its_hours() {
    let mut world = World::new();
    world.spec.hours = vec![Hours {
        name: "office".into(),
        zone: jiff::tz::TimeZone::get("Europe/Rome").unwrap(),
        open: vec![Opening::parse("Mon-Fri 08:00-18:00").unwrap()],
        holidays: vec![Holiday::parse("12-25").unwrap()],
    }];
    world.spec.routes[0].hours = Some("office".into());
    world.spec.policies[0].usages = vec!["dallas-users".into()];
    let at = |at: &str| told(&world.ask("alice", "2065550100", at).destination);
    assert_eq!(at("2026-12-24T12:00:00Z"), "dallas-1 +12065550100");
    assert_eq!(at("2026-12-24T18:00:00Z"), "closed");
    assert_eq!(at("2026-12-25T12:00:00Z"), "closed");
}

#[test]
fn excluded_and_blocked_numbers_are_held_back() {
    let mut world = World::new();
    world.spec.routes[0].exclude = vec![Pattern::new(r"^\+1900").unwrap()];
    assert!(world.dial("9005550100").starts_with("red-1"), "the route is passed over");
    world.spec.blocked = vec![Pattern::new(r"^\+1900").unwrap()];
    assert_eq!(world.dial("9005550100"), "blocked");
}

#[test]
fn a_gateway_gets_the_numbers_as_it_wants_them() {
    let mut world = World::new();
    world.gateways[0].trunk.called_out = vec![rule("", r"^\+(1\d{10})$", "$1"), rule("", r"^\+(\d{9}\d+)$", "011$1")];
    world.gateways[0].trunk.caller_out = vec![rule("", r"^\+1(\d{10})$", "$1")];
    world.spec.policies[0].usages = vec!["dallas-users".into()];
    assert_eq!(world.dial("4255551111"), "dallas-1 14255551111");
    assert_eq!(world.dial("+91445550100"), "dallas-1 01191445550100");
    let shown = |world: &World| {
        let Destination::Outside(exits) = world.ask("alice", "4255551111", NOON).destination else { panic!() };
        exits[0].caller.clone()
    };
    assert_eq!(shown(&world).as_deref(), Some("4255550101"));
    world.spec.routes[0].caller = Some("+14255550000".into());
    assert_eq!(shown(&world).as_deref(), Some("4255550000"), "the route's, as the gateway wants it");
    world.spec.routes[0].caller = None;
    world.users[0].numbers.clear();
    assert_eq!(shown(&world).as_deref(), Some("1001"));
    world.spec.dial_plans[0].number_formats = vec![Format::new("142555xxxxx").unwrap()];
    assert_eq!(shown(&world).as_deref(), None.or(Some("1001")), "an extension of other length has no public number");
    world.spec.dial_plans[0].number_formats = vec![Format::new("1425555xxxx").unwrap()];
    assert_eq!(shown(&world).as_deref(), Some("14255551001"));
}

#[test]
fn a_call_of_a_gateway_reaches_what_its_plan_allows_and_leaves_by_no_other_gateway() {
    let mut world = World::new();
    let plain = Inbound { caller: "+12125550100", ..Inbound::default() };
    assert_eq!(world.come_in("red-1", "1001", plain), "alice");
    assert_eq!(world.come_in("red-1", "+14255550100", plain), "bob");
    assert_eq!(world.come_in("red-1", "0", plain), "bob", "the plan's rules hold for it");
    assert_eq!(world.come_in("red-1", "5500", plain), "not_allowed", "allow_extensions is false");
    assert_eq!(world.come_in("red-1", "+12065550100", plain), "not_allowed", "toll fraud");
    assert_eq!(world.come_in("red-1", "nobody", plain), "unknown");
    world.spec.dial_plans[0].allow_extensions = true;
    assert_eq!(world.come_in("red-1", "5500", plain), "echo");
    world.spec.dial_plans[0].allow_users = false;
    assert_eq!(world.come_in("red-1", "1001", plain), "not_allowed");
    world.gateways[1].trunk.usages = vec!["global-hopoff".into()];
    assert_eq!(
        world.come_in("red-1", "+12065550100", plain),
        "red-2 +12065550100, dallas-1 +12065550100",
        "its usages let it out, but not where it came from"
    );
}

#[test]
fn a_dialling_rule_of_an_allowed_group_lets_a_call_from_outside_out() {
    let mut world = World::new();
    let (mask, dialled) = (Mask::new("91206xxxxxxx").unwrap(), Mask::new("9xxxxxxx").unwrap());
    let plan = &mut world.spec.dial_plans[0];
    plan.access_code = Some("9".into());
    plan.dialling = vec![DiallingRule { group: "local".into(), list: DiallingList::InCountry, mask, dialled }];
    let group = |name: &str, gateway: &str, pilot: &str| HuntGroup {
        name: name.into(),
        gateway: gateway.into(),
        dial_plan: "seattle".into(),
        pilots: vec![pilot.into()],
        to: None,
        hours: None,
        closed_to: None,
        calls_max: None,
    };
    world.spec.hunt_groups = vec![group("a", "red-1", "8000"), group("b", "dallas-1", "8001")];
    world.gateways[1].trunk.dial_plan = Some("seattle".into());
    let plain = Inbound { caller: "+12125550100", ..Inbound::default() };
    assert_eq!(world.come_in("red-1", "+12065550100", plain), "not_allowed");
    world.spec.dial_plans[0].allowed_in_country = vec!["local".into()];
    assert_eq!(world.come_in("red-1", "+12065550100", plain), "dallas-1 95550100");
}

#[test]
fn a_pilot_leads_to_its_hunt_group_and_what_has_none_is_not_answered() {
    let mut world = World::new();
    world.spec.hunt_groups = vec![HuntGroup {
        name: "reception".into(),
        gateway: "red-1".into(),
        dial_plan: "seattle".into(),
        pilots: vec!["+14255559000".into(), "help".into()],
        to: Some("1002".into()),
        hours: None,
        closed_to: Some("5500".into()),
        calls_max: None,
    }];
    let plain = Inbound { caller: "+12125550100", ..Inbound::default() };
    assert_eq!(world.come_in("red-1", "+14255559000", plain), "bob");
    assert_eq!(world.come_in("red-1", "14255559000", plain), "bob", "with its plus or without");
    assert_eq!(world.come_in("red-1", "help", plain), "bob");
    assert_eq!(world.come_in("red-1", "1001", plain), "no_pilot");
    assert_eq!(world.come_in("red-2", "1001", plain), "alice", "a gateway without hunt groups");
    world.gateways[1].trunk.dial_plan = Some("seattle".into());
    assert_eq!(world.come_in("red-1", "1001", plain), "alice", "a gateway with a dial plan of its own");
    world.spec.hours = vec![never()];
    world.spec.hunt_groups[0].hours = Some("never".into());
    assert_eq!(world.come_in("red-1", "help", plain), "echo", "closed: its other target");
    world.spec.hunt_groups[0].closed_to = None;
    assert_eq!(world.come_in("red-1", "help", plain), "closed");
}

#[test]
fn a_hunt_group_asks_for_the_protection_and_the_form_of_its_plan() {
    let mut world = World::new();
    world.spec.hunt_groups = vec![HuntGroup {
        name: "reception".into(),
        gateway: "red-1".into(),
        dial_plan: "seattle".into(),
        pilots: vec!["1001".into()],
        to: None,
        hours: None,
        closed_to: None,
        calls_max: None,
    }];
    let plain = Inbound { caller: "+12125550100", ..Inbound::default() };
    let named = Inbound { caller: "joe", ..plain };
    assert_eq!(world.come_in("red-1", "1001", plain), "alice");
    assert_eq!(world.come_in("red-1", "1001", named), "wrong_form");
    assert_eq!(world.come_in("red-1", "1001", Inbound { caller: "anonymous", ..plain }), "alice");
    world.spec.dial_plans[0].uri = UriForm::Sip;
    assert_eq!(world.come_in("red-1", "1001", named), "alice");
    world.spec.dial_plans[0].security = Security::SipSecured;
    assert_eq!(world.come_in("red-1", "1001", plain), "unprotected");
    assert_eq!(world.come_in("red-1", "1001", Inbound { tls: true, ..plain }), "alice");
    world.spec.dial_plans[0].security = Security::Secured;
    assert_eq!(world.come_in("red-1", "1001", Inbound { tls: true, ..plain }), "unprotected");
    assert_eq!(world.come_in("red-1", "1001", Inbound { tls: true, srtp: true, ..plain }), "alice");
}

#[test]
fn a_diverted_call_is_for_the_mailbox_of_the_first_who_is_ours() {
    let mut world = World::new();
    world.spec.hunt_groups = vec![HuntGroup {
        name: "mail".into(),
        gateway: "red-1".into(),
        dial_plan: "seattle".into(),
        pilots: vec!["9000".into()],
        to: Some("1002".into()),
        hours: None,
        closed_to: None,
        calls_max: None,
    }];
    let diverted = ["+4912345".to_owned(), "0101".to_owned()];
    let inbound = Inbound { caller: "+12125550100", diverted: &diverted, ..Inbound::default() };
    assert_eq!(world.come_in("red-1", "9000", inbound), "no_mailbox");
    assert_eq!(world.come_in("red-1", "9000", Inbound { diverted: &[], ..inbound }), "bob");
    let strangers = ["+4912345".to_owned()];
    assert_eq!(world.come_in("red-1", "9000", Inbound { diverted: &strangers, ..inbound }), "bob");
}

#[test]
fn the_reasoning_names_each_rule_that_was_looked_at() {
    let decision = World::new().ask("alice", "5550199", NOON);
    let lines: Vec<String> = decision.steps.iter().map(ToString::to_string).collect();
    for expected in [
        "dial plan seattle: the global one",
        "rule four digits: ^(\\d{4})$ does not match",
        "rule local: 5550199 becomes +14255550199",
        "number here +14255550199: nobody's here",
        "voice policy dallas: the global one",
        "route dallas: usage dallas-users: ^\\+?(\\d*)$ matches +14255550199",
        "gateway dallas-1: is sent +14255550199, and shown +14255550101",
        "result dallas-1: silent, unreachable, full or 5xx: red-1 is next; another refusal ends the call",
        "result red-2: the last: its refusal is the caller's",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}\n{lines:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Routing is total: whatever is dialled ends at somebody's or in a refusal with a reason, and never leaves by no gateway.
    #[test]
    fn whatever_is_dialled_ends_somewhere(dialled in "\\PC{0,40}|[0-9+*#]{0,24}", by_gateway in any::<bool>(), policy in any::<bool>()) {
        let mut world = World::new();
        if !policy {
            world.spec.global.policy = None;
        }
        let directory = world.directory();
        let (user, gateway) = (directory.user("alice").unwrap(), Arc::clone(directory.gateway("red-1").unwrap()));
        let by = match by_gateway {
            true => By::Gateway(&gateway, Inbound::default()),
            false => By::User(user),
        };
        let question = Question { dialled: &dialled, by, at: NOON.parse().unwrap(), sent_on: false };
        match directory.routing().decide(&directory, &question, true).destination {
            Destination::Outside(exits) => prop_assert!(!exits.is_empty() && !by_gateway && policy),
            Destination::Nowhere(refusal) => prop_assert!(!refusal.why.is_empty()),
            _ => {}
        }
    }
}

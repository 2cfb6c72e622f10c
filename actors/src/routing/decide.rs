//! A decision, and the way of a number that a user dials.

use jiff::Timestamp;
use std::sync::Arc;

use super::Routing;
use super::hours::State;
use super::number::{E164, bare, is_number};
use super::refusal::{Kind, Refusal};
use super::rewrite;
use super::spec::{DialPlan, Forwarding, Route};
use super::trail::{Step, Topic, Trail, Verdict};
use crate::directory::{Destination, Directory, User};
use crate::gateway::{Exit, Gateway};
use crate::group::Plan;
use crate::limits::{Charge, Rate};
use crate::plan::Under;

/// Who asks where a number goes.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// One of our users.
    User(&'a User),
    /// A gateway, for somebody behind it.
    Gateway(&'a Gateway, Inbound<'a>),
    /// Nobody that is known.
    Nobody,
}

/// What a gateway's INVITE says besides whom it calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbound<'a> {
    /// The caller: the user part of From.
    pub caller: &'a str,
    /// Whom the call was diverted from, the first one dialled first (Diversion, RFC 5806; History-Info, RFC 7044).
    pub diverted: &'a [String],
    /// It came over TLS.
    pub tls: bool,
    /// It offers SRTP.
    pub srtp: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The user part of the address that is called.
    pub dialled: &'a str,
    /// By whom.
    pub by: By<'a>,
    /// When.
    pub at: Timestamp,
    /// It was for the user, who sends it on: the usages of such calls hold.
    pub sent_on: bool,
}

/// Where a call goes, and why.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Where.
    pub destination: Destination,
    /// Why.
    pub steps: Vec<Step>,
    /// By which objects of the plan.
    pub under: Under,
}

/// The steps that decided, in one line for the record of the call.
pub fn brief(steps: &[Step]) -> String {
    let each: Vec<_> = steps.iter().map(ToString::to_string).collect();
    each.join("; ")
}

/// One decision on its way.
pub(super) struct Decider<'a> {
    pub(super) routing: &'a Routing,
    pub(super) directory: &'a Directory,
    pub(super) at: Timestamp,
    pub(super) trail: Trail,
    /// Ring groups on the way that are closed.
    pub(super) closed: usize,
    /// Who pays for calls outside.
    pub(super) payer: Option<Charge>,
    /// Why a limit has let no way out.
    pub(super) held_back: Option<String>,
    /// The call was sent on by the user by whose rules it goes.
    pub(super) sent_on: bool,
    /// By which objects of the plan it goes.
    pub(super) under: Under,
}

impl Routing {
    /// Where a call goes: always somewhere, or nowhere with a named reason. `full` keeps every step that was looked at.
    pub fn decide(&self, directory: &Directory, question: &Question<'_>, full: bool) -> Decision {
        let trail = if full { Trail::full() } else { Trail::brief() };
        let mut decider = Decider {
            routing: self,
            directory,
            at: question.at,
            trail,
            closed: 0,
            sent_on: question.sent_on,
            payer: None,
            held_back: None,
            under: Under::default(),
        };
        let dialled = question.dialled;
        let destination = match question.by {
            By::User(user) => decider.by_user(user, dialled),
            By::Gateway(gateway, inbound) => decider.by_gateway(gateway, &inbound, dialled),
            By::Nobody => decider.owner(dialled).unwrap_or_else(|| decider.refuse(Kind::Unknown, NOBODY)),
        };
        decider.say_end(&destination);
        Decision { destination, steps: decider.trail.into_steps(), under: decider.under }
    }
}

/// Closed ring groups that a call is sent on by, one to the next.
const CLOSED_MAX: usize = 4;

/// Why a number leads nowhere that is neither somebody's here nor a number to call.
pub(super) const NOBODY: &str = "no user, number or service has this address";

impl Decider<'_> {
    fn by_user(&mut self, user: &User, dialled: &str) -> Destination {
        let routing = self.routing;
        let at = self.at;
        self.trail.step(Topic::Question, Verdict::Passed, "", || format!("{} calls {dialled} at {at}", user.name));
        let plan = routing.plan_of(&user.routing);
        match plan {
            Some((plan, scope)) => self.trail.step(Topic::DialPlan, Verdict::Passed, &plan.name, || scope.to_owned()),
            None => self.trail.step(Topic::DialPlan, Verdict::Passed, "", || "none: numbers stay as dialled".into()),
        }
        let plan = plan.map(|(plan, _)| plan);
        self.under.dial_plan = plan.map(|plan| plan.name.clone());
        if let Some(out) = self.emergency(user, dialled, plan) {
            return out;
        }
        if let Some(wish) = routing.spec.codes.wish(dialled) {
            let name = wish.action.as_str();
            self.trail.step(Topic::Feature, Verdict::Matched, "", || format!("{dialled} is a feature code: {name}"));
            return Destination::Feature(wish);
        }
        if routing.is_parking(dialled) {
            self.trail
                .step(Topic::Feature, Verdict::Matched, "", || format!("{dialled} is a place where calls are parked"));
            return Destination::Park(dialled.to_owned());
        }
        if let Some(owner) = self.owner(dialled) {
            return owner;
        }
        let number = self.normalise(plan, dialled);
        if number != dialled {
            if let Some(out) = self.emergency(user, &number, plan) {
                return out;
            }
            if let Some(owner) = self.owner(&number) {
                return owner;
            }
        }
        if !is_number(&number) {
            return self.refuse(Kind::Unknown, NOBODY);
        }
        self.outside(user, plan, &number)
    }

    /// An emergency number leaves by its own usage: no policy, block list or time holds it back.
    fn emergency(&mut self, user: &User, dialled: &str, plan: Option<&DialPlan>) -> Option<Destination> {
        let emergency = self.routing.emergency(dialled, plan);
        let Some(emergency) = emergency else {
            self.trail.step(Topic::Emergency, Verdict::Passed, "", || format!("{dialled} is none"));
            return None;
        };
        let (number, usage) = (&emergency.number, &emergency.usage);
        self.trail.step(Topic::Emergency, Verdict::Matched, number, || {
            format!("{dialled} is an emergency call: by usage {usage}, whatever the policy says")
        });
        self.under.emergency = true;
        let exits = self.exits(usage, number, &number_of(user, plan), None, true);
        Some(match exits.is_empty() {
            true => self.refuse(Kind::NoRoute, format!("no route of usage {usage} leads to {number}")),
            false => Destination::Outside(exits),
        })
    }

    /// Whose a number is here.
    pub(super) fn owner(&mut self, number: &str) -> Option<Destination> {
        let owner = self.directory.owner(number);
        match &owner {
            Some(owner) => self.trail.step(Topic::Owner, Verdict::Matched, number, || describe(owner)),
            None => self.trail.step(Topic::Owner, Verdict::Passed, number, || "nobody's here".into()),
        }
        match owner {
            Some(Destination::Group(plan)) => Some(self.opened(plan)),
            owner => owner,
        }
    }

    /// A ring group in its hours; at other times where it sends its calls.
    fn opened(&mut self, plan: Arc<Plan>) -> Destination {
        if self.is_open(plan.hours.as_deref(), &plan.name) {
            return Destination::Group(plan);
        }
        self.closed += 1;
        let (name, to) = (&plan.name, plan.closed_to.as_deref().filter(|_| self.closed <= CLOSED_MAX));
        let Some(to) = to else {
            return self.refuse(Kind::Closed, format!("ring group {name} is closed at this time"));
        };
        self.trail.step(Topic::RingGroup, Verdict::Rewrote, name, || format!("its calls go to {to}"));
        let refusal = format!("ring group {name} is closed at this time, and {to} is nobody's here");
        self.owner(to).unwrap_or_else(|| self.refuse(Kind::Closed, refusal))
    }

    /// What the first rule of a plan that matches makes of a number; what matches none stays as it is.
    pub(super) fn normalise(&mut self, plan: Option<&DialPlan>, dialled: &str) -> String {
        let dialled = bare(dialled);
        let Some(plan) = plan else { return dialled };
        if E164::parse(&dialled).is_some() {
            self.trail.step(Topic::Rule, Verdict::Passed, "", || format!("{dialled} has its country code already"));
            return dialled;
        }
        for rule in &plan.rules {
            if let Some(number) = rule.apply(&dialled) {
                self.trail.step(Topic::Rule, Verdict::Rewrote, &rule.name, || format!("{dialled} becomes {number}"));
                return number;
            }
            self.trail.step(Topic::Rule, Verdict::Passed, &rule.name, || format!("{} does not match", rule.pattern()));
        }
        if let Some((name, number)) = by_prefixes(plan, &dialled) {
            self.trail.step(Topic::Rule, Verdict::Rewrote, name, || format!("{dialled} becomes {number}"));
            return number;
        }
        self.trail.step(Topic::Rule, Verdict::Passed, "", || format!("no rule of plan {} matches", plan.name));
        dialled
    }

    /// The voice policy's usages in order, each with its routes in order, each with its gateways in order.
    fn outside(&mut self, user: &User, plan: Option<&DialPlan>, number: &str) -> Destination {
        if let Some(refusal) = self.blocked(number) {
            return refusal;
        }
        let Some((policy, scope)) = self.routing.policy_of(&user.routing) else {
            let why = format!("{number} is outside, and no voice policy holds for {}", user.name);
            self.trail.step(Topic::Policy, Verdict::Refused, "", || "none".into());
            // Where nothing leads for anybody it is no matter of permission: nobody has the number.
            let kind = if self.routing.leads_outside(number) { Kind::NotAllowed } else { Kind::Unknown };
            return self.refuse(kind, why);
        };
        self.under.policy = Some(policy.name.clone());
        self.trail.step(Topic::Policy, Verdict::Matched, &policy.name, || scope.to_owned());
        self.payer = self.routing.charge(&format!("user:{}", user.name), policy.limit.as_ref());
        let caller = number_of(user, plan);
        let mut exits = Vec::new();
        let usages = match &policy.forwarding {
            Forwarding::Usages(usages) if self.sent_on => usages,
            Forwarding::Internal if self.sent_on => {
                let why = format!("voice policy {} lets calls be sent on inside only", policy.name);
                self.trail
                    .step(Topic::Policy, Verdict::Refused, &policy.name, || "calls are sent on inside only".into());
                return self.refuse(Kind::NotAllowed, why);
            }
            _ => &policy.usages,
        };
        for usage in usages {
            exits.append(&mut self.exits(usage, number, &caller, None, false));
        }
        if exits.is_empty() {
            if let Some(kept) = self.kept_inside() {
                return kept;
            }
            return self.no_way(number, &format!("voice policy {}", policy.name), usages, plan);
        }
        Destination::Outside(unique(exits))
    }

    /// The refusal of a number on the block list.
    pub(super) fn blocked(&mut self, number: &str) -> Option<Destination> {
        let block = self.routing.spec().blocked.iter().find(|pattern| pattern.matches(number));
        let Some(block) = block else {
            self.trail.step(Topic::Block, Verdict::Passed, "", || format!("{number} is not on it"));
            return None;
        };
        self.trail.step(Topic::Block, Verdict::Refused, block.text(), || format!("{number} matches"));
        Some(self.refuse(Kind::Blocked, format!("{number} is on the block list")))
    }

    /// The gateways that the routes of a usage lead to, in order; `not` is the gateway that the call came by.
    pub(super) fn exits(
        &mut self,
        usage: &str,
        number: &str,
        caller: &str,
        not: Option<&str>,
        emergency: bool,
    ) -> Vec<Exit> {
        let routing = self.routing;
        let Some(index) = routing.by_usage.get(usage) else {
            self.trail.step(Topic::Usage, Verdict::Passed, usage, || "has no route".into());
            return Vec::new();
        };
        let candidates = index.candidates(number);
        if candidates.is_empty() {
            self.trail.step(Topic::Usage, Verdict::Passed, usage, || format!("no route begins like {number}"));
        }
        let mut exits = Vec::new();
        for route in candidates.iter().filter_map(|at| routing.spec.routes.get(usize::try_from(*at).ok()?)) {
            if !self.fits(route, number) || !emergency && !self.is_open(route.hours.as_deref(), &route.name) {
                continue;
            }
            let (caller, by_route) = route.caller.as_deref().map_or((caller, false), |own| (own, true));
            self.trail.step(Topic::Route, Verdict::Matched, &route.name, || {
                format!("usage {usage}: {} matches {number}", route.pattern.text())
            });
            for name in &route.gateways {
                let why = || format!("route {} of usage {usage}", route.name);
                let exit = self.exit(name, number, caller, not, why);
                let exit = exit.map(|exit| Exit { by_route, emergency, ..exit });
                exits.extend(exit.and_then(|exit| if emergency { Some(exit) } else { self.priced(exit, number) }));
            }
        }
        if !exits.is_empty() && self.under.usage.is_none() {
            self.under.usage = Some(usage.into());
        }
        exits
    }

    /// A gateway as a way out, with the numbers as it wants them.
    pub(super) fn exit(
        &mut self,
        name: &str,
        number: &str,
        caller: &str,
        not: Option<&str>,
        why: impl Fn() -> String,
    ) -> Option<Exit> {
        let Some(gateway) = self.directory.gateway(name) else {
            self.trail.step(Topic::Gateway, Verdict::Passed, name, || "does not exist".into());
            return None;
        };
        if not == Some(name) {
            self.trail.step(Topic::Gateway, Verdict::Passed, name, || "the call came from there".into());
            return None;
        }
        let (called, by) = translated(&gateway.trunk.called_out, number);
        let shown = gateway.caller_as_sent(caller);
        self.trail.step(Topic::Gateway, Verdict::Chosen, name, || {
            let by = by.map_or(String::new(), |by| format!(" (its rule {by})"));
            let from = shown.as_deref().unwrap_or("no number");
            format!("is sent {called}{by}, and shown {from}")
        });
        let gateway = Arc::clone(gateway);
        Some(Exit {
            gateway,
            number: called,
            caller: shown,
            by_route: false,
            emergency: false,
            rate: Rate::default(),
            charges: Vec::new(),
            why: why(),
        })
    }

    /// A way out with what it costs, and who pays; none where a limit does not let such a call out.
    pub(super) fn priced(&mut self, exit: Exit, number: &str) -> Option<Exit> {
        let rate = self.routing.rate(number);
        let gateway = &exit.gateway;
        let of_gateway = self.routing.charge(&format!("gateway:{}", gateway.name), gateway.trunk.limit.as_ref());
        let charges: Vec<Charge> = self.payer.iter().cloned().chain(of_gateway).collect();
        let class = rate.class.as_deref().unwrap_or("none");
        for charge in &charges {
            let (limit, account) = (&charge.limit, &charge.account);
            if !limit.allows(&rate) {
                let why = format!("limit {} of {account} lets no call to numbers of class {class} out", limit.name);
                self.trail.step(Topic::Limit, Verdict::Refused, &limit.name, || why.clone());
                self.held_back.get_or_insert(why);
                return None;
            }
            self.trail.step(Topic::Limit, Verdict::Allowed, &limit.name, || {
                format!("{account} pays {} units and {} a minute (class {class})", rate.call, rate.minute)
            });
        }
        Some(Exit { rate, charges, ..exit })
    }

    /// The refusal of a number that a limit keeps inside.
    pub(super) fn kept_inside(&mut self) -> Option<Destination> {
        let why = self.held_back.take()?;
        Some(self.refuse(Kind::NotAllowed, why))
    }

    fn fits(&mut self, route: &Route, number: &str) -> bool {
        if !route.pattern.matches(number) {
            self.trail.step(Topic::Route, Verdict::Passed, &route.name, || {
                format!("{} does not match {number}", route.pattern.text())
            });
            return false;
        }
        let excluded = route.exclude.iter().find(|pattern| pattern.matches(number));
        if let Some(pattern) = excluded {
            self.trail.step(Topic::Route, Verdict::Passed, &route.name, || {
                format!("{number} is excluded by {}", pattern.text())
            });
        }
        excluded.is_none()
    }

    /// Whether a time condition holds; no condition always does.
    pub(super) fn is_open(&mut self, hours: Option<&str>, of: &str) -> bool {
        let Some(hours) = hours.and_then(|name| self.routing.hours_named(name)) else { return true };
        let state = hours.at(self.at);
        let verdict = if state == State::Open { Verdict::Allowed } else { Verdict::Refused };
        let local = hours.local(self.at);
        self.trail.step(Topic::Hours, verdict, &hours.name, || {
            let is = match state {
                State::Open => "open",
                State::Closed => "closed",
                State::Holiday => "closed for a holiday",
            };
            format!("{of} is {is} at {}", local.strftime("%a %Y-%m-%d %H:%M %Z"))
        });
        state == State::Open
    }

    /// Why no route was taken: because none leads there, none is open, or none of those that do is of the policy.
    pub(super) fn no_way(
        &mut self,
        number: &str,
        of: &str,
        usages: &[smol_str::SmolStr],
        plan: Option<&DialPlan>,
    ) -> Destination {
        let routing = self.routing;
        let candidates = routing.all_routes.candidates(number);
        let routes = candidates.iter().filter_map(|at| routing.spec.routes.get(usize::try_from(*at).ok()?));
        let leads = |route: &&Route| {
            route.pattern.matches(number) && !route.exclude.iter().any(|pattern| pattern.matches(number))
        };
        let mut forbidden = None;
        for route in routes.filter(leads) {
            if route.usages.iter().any(|usage| usages.contains(usage)) {
                if route.hours.is_some() {
                    return self
                        .refuse(Kind::Closed, format!("route {} to {number} is closed at this time", route.name));
                }
            } else {
                forbidden = forbidden.or(Some(route));
            }
        }
        if let Some(route) = forbidden {
            let why = format!("{of} has no usage of route {}, which leads to {number}", route.name);
            return self.refuse(Kind::NotAllowed, why);
        }
        let hint = plan.and_then(|plan| plan.access_code.as_deref()).filter(|_| !number.starts_with('+'));
        let hint = hint.map_or(String::new(), |code| format!("; outside numbers begin with {code}"));
        self.refuse(Kind::NoRoute, format!("no route leads to {number}{hint}"))
    }

    pub(super) fn refuse(&mut self, kind: Kind, why: impl Into<std::borrow::Cow<'static, str>>) -> Destination {
        Destination::Nowhere(Refusal::new(kind, why))
    }

    fn say_end(&mut self, destination: &Destination) {
        let Destination::Outside(exits) = destination else {
            let verdict = match destination {
                Destination::Nowhere(_) => Verdict::Refused,
                _ => Verdict::Passed,
            };
            return self.trail.step(Topic::Result, verdict, "", || describe(destination));
        };
        let mut rest = exits.iter().peekable();
        while let Some(exit) = rest.next() {
            let next = rest.peek().map(|next| next.gateway.name.as_str());
            self.trail.step(Topic::Result, Verdict::Passed, &exit.gateway.name, || match next {
                Some(next) => {
                    format!("silent, unreachable, full or 5xx: {next} is next; another refusal ends the call")
                }
                None => "the last: its refusal is the caller's".into(),
            });
        }
    }
}

/// What the codes of a plan make of a number that no rule of it matches: the international prefix, then the national one,
/// behind the access code where there is one.
fn by_prefixes(plan: &DialPlan, dialled: &str) -> Option<(&'static str, String)> {
    let country = plan.country_code.as_deref()?;
    let inside = dialled.strip_prefix(plan.access_code.as_deref().unwrap_or_default())?;
    let public = |digits: String| E164::parse(&digits).map(|number| number.as_str().to_owned());
    let abroad = plan.international_prefix.as_deref().and_then(|prefix| inside.strip_prefix(prefix));
    if let Some(number) = abroad.and_then(|rest| public(format!("+{rest}"))) {
        return Some(("of the international prefix", number));
    }
    if inside.len() <= plan.extension_digits && plan.access_code.is_none() {
        return None;
    }
    let (name, rest) = match plan.national_prefix.as_deref() {
        Some(prefix) => ("of the national prefix", inside.strip_prefix(prefix)?),
        // Countries without one dial the whole national number.
        None => ("of the country code", inside),
    };
    Some((name, public(format!("+{country}{rest}"))?))
}

/// The public number of a user, or what comes nearest.
pub(super) fn number_of(user: &User, plan: Option<&DialPlan>) -> String {
    if let Some(number) = user.numbers.first() {
        return number.clone();
    }
    let extension = user.extension.as_deref().unwrap_or(&user.name);
    let format = plan.and_then(|plan| plan.number_formats.first());
    format.and_then(|format| format.fill(extension)).unwrap_or_else(|| extension.to_owned())
}

/// A number as the first rule that matches makes it, and the rule's name; as it is without one.
pub(super) fn translated<'r>(rules: &'r [rewrite::Rewrite], number: &str) -> (String, Option<&'r str>) {
    match rewrite::first(rules, number) {
        Some((rule, becomes)) => (becomes, Some(rule.name.as_str())),
        None => (number.to_owned(), None),
    }
}

/// Each way once: a gateway that two routes name is tried where it came first.
pub(super) fn unique(exits: Vec<Exit>) -> Vec<Exit> {
    let mut kept: Vec<Exit> = Vec::with_capacity(exits.len());
    for exit in exits {
        let same = |other: &Exit| other.gateway.name == exit.gateway.name && other.number == exit.number;
        if !kept.iter().any(same) {
            kept.push(exit);
        }
    }
    kept
}

/// Where a call goes, in words.
pub fn describe(destination: &Destination) -> String {
    match destination {
        Destination::User(user) => format!("user {}", user.name),
        Destination::Service(kind) => format!("the {} service", kind.as_str()),
        Destination::Conference { number, .. } => format!("conference {number}"),
        Destination::Feature(wish) => format!("the feature code of {}", wish.action.as_str()),
        Destination::Park(place) => format!("parking place {place}"),
        Destination::Group(plan) => format!("ring group {}", plan.name),
        Destination::Mailbox(user) => format!("the mailbox of {}", user.name),
        Destination::Attendant(attendant) => format!("attendant {}", attendant.name),
        Destination::Outside(exits) => {
            let names: Vec<_> = exits.iter().map(|exit| exit.gateway.name.as_str()).collect();
            format!("outside by {}", names.join(", then "))
        }
        Destination::Nowhere(refusal) => format!("nowhere ({}): {refusal}", refusal.kind.as_str()),
    }
}

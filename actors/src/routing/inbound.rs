//! The way of a call that comes by a gateway: it reaches what its dial plan allows, and leaves again only by rules that say
//! so in words (reference, unified messaging, 3.1; mobility and voice, 6.11).

use super::decide::{Decider, Inbound, describe, translated, unique};
use super::number::is_number;
use super::refusal::Kind;
use super::spec::{DialPlan, HuntGroup, Security, UriForm};
use super::trail::{Topic, Verdict};
use crate::directory::{Destination, ServiceKind};
use crate::gateway::Gateway;

impl Decider<'_> {
    pub(super) fn by_gateway(&mut self, gateway: &Gateway, inbound: &Inbound<'_>, dialled: &str) -> Destination {
        let (routing, at, name) = (self.routing, self.at, gateway.name.as_str());
        self.trail.step(Topic::Question, Verdict::Passed, "", || {
            format!("{} calls {dialled} by gateway {name} at {at}", inbound.caller)
        });
        let (called, by) = translated(&gateway.trunk.called_in, dialled);
        if let Some(by) = by {
            self.trail
                .step(Topic::Gateway, Verdict::Rewrote, name, || format!("{dialled} becomes {called} (its rule {by})"));
        }
        let dialled = called.as_str();
        if let Some(group) = routing.hunt_group(name, dialled) {
            let plan = routing.dial_plan(&group.dial_plan);
            self.trail.step(Topic::HuntGroup, Verdict::Matched, &group.name, || {
                format!("{dialled} is its pilot on {name}: dial plan {}", group.dial_plan)
            });
            self.under.hunt_group = Some(group.name.clone());
            self.under.dial_plan = plan.map(|plan| plan.name.clone());
            return self.by_pilot(gateway, group, plan, inbound, dialled);
        }
        let groups = routing.spec().hunt_groups.iter().filter(|group| group.gateway == name).count();
        if groups > 0 {
            self.trail.step(Topic::HuntGroup, Verdict::Passed, "", || format!("none of {groups} has pilot {dialled}"));
        }
        let plan = match &gateway.trunk.dial_plan {
            Some(plan) => routing.dial_plan(plan),
            // Calls whose pilot no hunt group has are not answered (reference, unified messaging, 2.3).
            None if groups > 0 => {
                return self.refuse(Kind::NoPilot, format!("no hunt group of gateway {name} has pilot {dialled}"));
            }
            None => routing.spec().global.dial_plan.as_deref().and_then(|plan| routing.dial_plan(plan)),
        };
        if let Some(plan) = plan {
            self.under.dial_plan = Some(plan.name.clone());
            self.trail.step(Topic::DialPlan, Verdict::Passed, &plan.name, || format!("that of gateway {name}"));
        }
        self.within(gateway, plan, inbound, dialled)
    }

    /// A call to a pilot of a hunt group.
    fn by_pilot(
        &mut self,
        gateway: &Gateway,
        group: &HuntGroup,
        plan: Option<&DialPlan>,
        inbound: &Inbound<'_>,
        dialled: &str,
    ) -> Destination {
        if let Some(plan) = plan {
            if let Some(why) = unprotected(plan, inbound) {
                self.trail.step(Topic::DialPlan, Verdict::Refused, &plan.name, || why.to_owned());
                return self.refuse(Kind::Unprotected, why);
            }
            if let Some(why) = wrong_form(plan, inbound.caller) {
                self.trail.step(Topic::DialPlan, Verdict::Refused, &plan.name, || why.to_owned());
                return self.refuse(Kind::WrongForm, why);
            }
        }
        if let Some(refusal) = self.diverted(plan, inbound) {
            return refusal;
        }
        let open = self.is_open(group.hours.as_deref(), &group.name);
        let to = match (open, &group.to, &group.closed_to) {
            (true, Some(to), _) | (false, _, Some(to)) => to.as_str(),
            (true, None, _) => dialled,
            (false, _, None) => {
                return self.refuse(Kind::Closed, format!("hunt group {} is closed at this time", group.name));
            }
        };
        if to != dialled {
            self.trail.step(Topic::HuntGroup, Verdict::Rewrote, &group.name, || format!("its calls go to {to}"));
            // What an operator wrote as the target of a group is allowed by that.
            if let Some(owner) = self.owner(to) {
                return owner;
            }
        }
        self.within(gateway, plan, inbound, to)
    }

    /// A diverted call is for the mailbox of whom it was diverted from: the earliest that is one of ours.
    fn diverted(&mut self, plan: Option<&DialPlan>, inbound: &Inbound<'_>) -> Option<Destination> {
        if inbound.diverted.is_empty() {
            self.trail.step(Topic::Diversion, Verdict::Passed, "", || "none".into());
            return None;
        }
        for from in inbound.diverted {
            let number = self.normalise(plan, from);
            let found = self.directory.find(from).or_else(|| self.directory.find(&number)).cloned();
            let Some(user) = found else {
                self.trail.step(Topic::Diversion, Verdict::Passed, from, || "is nobody's here".into());
                continue;
            };
            self.trail.step(Topic::Diversion, Verdict::Matched, from, || format!("was called first: {}", user.name));
            return Some(match user.mailbox {
                Some(_) => Destination::Mailbox(user),
                None => self.refuse(Kind::NoMailbox, format!("{} has no mailbox here", user.name)),
            });
        }
        None
    }

    /// A number that a call from outside is for, under a plan or under none.
    fn within(
        &mut self,
        gateway: &Gateway,
        plan: Option<&DialPlan>,
        inbound: &Inbound<'_>,
        dialled: &str,
    ) -> Destination {
        let number = self.normalise(plan, dialled);
        let owner = self.owner(dialled).or_else(|| if number == dialled { None } else { self.owner(&number) });
        if let Some(owner) = owner {
            // A call that was diverted to voice access is for the mailbox of whom it was diverted from.
            if matches!(owner, Destination::Service(ServiceKind::Voicemail))
                && let Some(mailbox) = self.diverted(plan, inbound)
            {
                return mailbox;
            }
            let Some(plan) = plan else { return owner };
            let (allowed, switch) = match &owner {
                Destination::User(_) | Destination::Mailbox(_) => (plan.allow_users, "allow_users"),
                _ => (plan.allow_extensions, "allow_extensions"),
            };
            let verdict = if allowed { Verdict::Allowed } else { Verdict::Refused };
            self.trail.step(Topic::DialPlan, verdict, &plan.name, || format!("{switch} is {allowed}"));
            return match allowed {
                true => owner,
                false => {
                    let why = format!("dial plan {} lets no call from outside reach {}", plan.name, describe(&owner));
                    self.refuse(Kind::NotAllowed, why)
                }
            };
        }
        if !is_number(&number) {
            return self.refuse(Kind::Unknown, super::decide::NOBODY);
        }
        self.through(gateway, plan, inbound, &number)
    }

    /// A call that comes by a gateway and would leave by another: by the usages of the first, or by a dialling rule of a group
    /// that its plan allows.
    fn through(
        &mut self,
        gateway: &Gateway,
        plan: Option<&DialPlan>,
        inbound: &Inbound<'_>,
        number: &str,
    ) -> Destination {
        let routing = self.routing;
        let name = gateway.name.as_str();
        let permit = plan.and_then(|plan| Some((plan, plan.permit(number)?)));
        if gateway.trunk.usages.is_empty() && permit.is_none() {
            self.trail.step(Topic::Usage, Verdict::Refused, "", || {
                format!("gateway {name} has no usages, and no dialling rule that is allowed lets {number} out")
            });
            let why = format!("{number} is nobody's here, and no rule lets a call of gateway {name} out again");
            let kind = if routing.leads_outside(number) { Kind::NotAllowed } else { Kind::Unknown };
            return self.refuse(kind, why);
        }
        if let Some(refusal) = self.blocked(number) {
            return refusal;
        }
        self.payer = routing.charge(&format!("gateway:{name}"), gateway.trunk.limit.as_ref());
        let mut exits = Vec::new();
        for usage in &gateway.trunk.usages {
            exits.append(&mut self.exits(usage, number, inbound.caller, Some(name), false));
        }
        if let Some((plan, permit)) = permit {
            let (rule, sent) = (permit.rule, permit.sent);
            self.trail.step(Topic::DiallingRule, Verdict::Allowed, &rule.group, || {
                format!("{} rule {} of dial plan {} sends {sent}", rule.list.as_str(), rule.mask.text(), plan.name)
            });
            for group in routing.spec().hunt_groups.iter().filter(|group| group.dial_plan == plan.name) {
                let why = || format!("dialling rule {} of dial plan {}", rule.group, plan.name);
                let exit = self.exit(&group.gateway, &sent, inbound.caller, Some(name), why);
                exits.extend(exit.and_then(|exit| self.priced(exit, number)));
            }
        }
        if exits.is_empty() {
            if let Some(kept) = self.kept_inside() {
                return kept;
            }
            return self.no_way(number, &format!("gateway {name}"), &gateway.trunk.usages, plan);
        }
        Destination::Outside(unique(exits))
    }
}

/// Why a call is not protected as a plan asks for (reference, unified messaging, 1.3). Better protection than is asked for
/// is none the worse.
fn unprotected(plan: &DialPlan, inbound: &Inbound<'_>) -> Option<&'static str> {
    match plan.security {
        Security::SipSecured | Security::Secured if !inbound.tls => Some("the dial plan asks for SIP over TLS"),
        Security::Secured if !inbound.srtp => Some("the dial plan asks for SRTP"),
        _ => None,
    }
}

/// Why a caller's address has not the form of a plan (reference, unified messaging, 1.2). Who is not shown has any form.
fn wrong_form(plan: &DialPlan, caller: &str) -> Option<&'static str> {
    let anonymous = caller.is_empty() || caller.eq_ignore_ascii_case("anonymous");
    match plan.uri {
        UriForm::Extension | UriForm::E164 if !anonymous && !is_number(caller) => {
            Some("the caller's address is no number, as the dial plan asks for")
        }
        _ => None,
    }
}

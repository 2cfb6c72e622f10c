//! What the record of a call says of its voice mail.

use std::sync::Arc;

use super::Work;
use super::diverted::why_diverted;
use crate::directory::User;
use crate::mail::{MailCall, MailDetail, OfferResult, ReasonForCall};
use crate::talk::Talk;

impl Work<'_> {
    /// A dialogue answers; `reason` is why the call came to it, where the switch itself knows.
    pub(super) fn mail_begins(&mut self, talk: &Talk, reason: Option<ReasonForCall>) {
        let directory = self.core.shared.directory();
        let caller = self.state.caller();
        let invite = caller.as_ref().and_then(|leg| leg.server.as_ref()).map(|(_, invite)| why_diverted(invite));
        let user = caller.as_ref().and_then(|leg| leg.user.clone());
        let gateway = caller.as_ref().and_then(|leg| leg.channel.as_ref()).map(|c| Arc::clone(&c.standing().gateway));
        let report = talk.report();
        let callee = report.mailbox.as_deref().and_then(|name| directory.user(name)).or(user.as_ref());
        let of_gateway =
            || gateway.as_ref().and_then(|gateway| gateway.trunk.dial_plan.as_ref().map(ToString::to_string));
        self.state.mail = Some(Box::new(MailDetail {
            kind: report.kind,
            reason: reason.or(invite).unwrap_or_default(),
            plan: callee.and_then(|user| self.plan_of(user)).or_else(of_gateway),
            attendant: report.attendant,
            gateway: gateway.as_ref().map(|gateway| gateway.name.clone()),
            caller_mailbox: user.filter(|user| user.mailbox.is_some()).map(|user| user.name.clone()),
            callee_mailbox: report.mailbox,
            ..MailDetail::default()
        }));
    }

    /// The switch calls a phone for this user.
    pub(super) fn mail_plays(&mut self, user: &User, number: &str) {
        let plan = self.plan_of(user);
        let mut detail = MailDetail {
            kind: MailCall::PlayOnPhone,
            reason: ReasonForCall::Outbound,
            plan,
            callee_mailbox: Some(user.name.clone()),
            ..MailDetail::default()
        };
        detail.calls(number, false);
        self.state.mail = Some(Box::new(detail));
    }

    /// A dialogue ends, and has come to something.
    pub(super) fn mail_ends(&mut self, talk: &Talk) {
        let Some(detail) = &mut self.state.mail else { return };
        let report = talk.report();
        detail.kind = report.kind;
        detail.attendant = detail.attendant.take().or(report.attendant);
        detail.callee_mailbox = report.mailbox.or(detail.callee_mailbox.take());
    }

    /// For the record of a call that was answered, or was not.
    pub(super) fn mail_detail(&self, answered: bool) -> Option<MailDetail> {
        let mut detail = self.state.mail.as_deref().cloned()?;
        detail.result = match (detail.result, answered) {
            (OfferResult::Redirected, _) => OfferResult::Redirected,
            (_, true) => OfferResult::Answer,
            (_, false) if detail.reason == ReasonForCall::Outbound => OfferResult::Failed,
            (_, false) => OfferResult::Rejected,
        };
        Some(detail)
    }

    fn plan_of(&self, user: &User) -> Option<String> {
        let directory = self.core.shared.directory();
        directory.routing().plan_of(&user.routing).map(|(plan, _)| plan.name.to_string())
    }
}

//! A call for a mailbox that another node keeps (reference, unified messaging, 1.4, 1.5, 2.7): the caller is sent there, or the call
//! goes there through the switch.

use sip::value::escape_user;
use sip::{Name, Protocol, Status};
use std::sync::Arc;

use super::Work;
use super::history::Why;
use crate::directory::User;
use crate::gateway::Exit;
use crate::limits::Rate;
use crate::mail::{Front, ReasonForCall};

impl Work<'_> {
    /// Has the node of a user's mailbox take the call. False where that is this one.
    pub(super) fn at_another_node(&mut self, user: &Arc<User>, reason: Option<ReasonForCall>) -> bool {
        let Some(home) = user.mailbox.as_ref().and_then(|mailbox| mailbox.policy.home.clone()) else { return false };
        let Some(standing) = self.core.shared.gateways.get(&home.gateway) else {
            self.decided(None, format!("the mailbox of {} is at {}, which is not there", user.name, home.gateway));
            self.refuse(Status::SERVICE_UNAVAILABLE, Some("No Mailbox Server"), 34);
            return true;
        };
        let own = user.extension.clone().unwrap_or_else(|| user.name.clone());
        let number = home.pilot.clone().unwrap_or_else(|| own.clone());
        let gateway = Arc::clone(&standing.gateway);
        let waiting =
            self.state.caller().and_then(|leg| leg.server.as_ref()).map(|(_, invite)| {
                invite.value(Name::Diversion).is_some() || invite.value(Name::HistoryInfo).is_some()
            });
        let why = match reason {
            Some(ReasonForCall::DivertBusy) => Why::Busy,
            Some(ReasonForCall::DivertNoAnswer) => Why::NoAnswer,
            _ => Why::Unconditional,
        };
        match (home.front, waiting) {
            (Front::Redirect, Some(diverted)) => {
                self.decided(
                    None,
                    format!("the mailbox of {} is at {}: the caller is sent there", user.name, home.gateway),
                );
                let transport = match gateway.protocol {
                    Protocol::Udp => "",
                    Protocol::Tls => ";transport=tls",
                    _ => ";transport=tcp",
                };
                let contact = format!("<{}{transport}>", gateway.uri(&number));
                let domain = self.core.shared.directory().domain().to_owned();
                self.cancel_forks(None, Some("SIP;cause=302"));
                let moved = Status::new(302).unwrap_or(Status::TEMPORARILY_UNAVAILABLE);
                self.refuse_with(moved, None, 25, |writer| {
                    writer.header(Name::Contact, contact);
                    if !diverted {
                        // Who follows takes it along (RFC 5806 section 3.2), and the other node knows whose mailbox is meant.
                        let value = format!("<sip:{}@{domain}>;reason={};counter=1", escape_user(&own), why.reason());
                        writer.header(Name::Diversion, value);
                    }
                });
            }
            (Front::Proxy | Front::Redirect, _) => {
                self.decided(None, format!("the mailbox of {} is at {}: the call goes there", user.name, home.gateway));
                self.cancel_forks(None, Some("SIP;cause=302"));
                self.sent_on(user, why);
                let exit = Exit {
                    gateway,
                    number,
                    caller: None,
                    by_route: false,
                    emergency: false,
                    rate: Rate::default(),
                    charges: Vec::new(),
                    why: "the node of the mailbox".to_owned(),
                };
                self.leave(vec![exit]);
            }
        }
        true
    }
}

//! Message waiting (RFC 3842): phones are told how many messages their user has, whether they have asked or not.

use sip::{Method, Name, Writer};
use std::sync::Arc;

use crate::mail::Counts;
use crate::outgoing;
use crate::shard::core::{new_branch, random_token};
use crate::shard::{Core, Owner, SignallingMsg, home_of};
use crate::shared::{Shared, unix_ms};

/// The content type of what is told.
pub const SUMMARY: &str = "application/simple-message-summary";

/// What a phone is told of an account (RFC 3842 section 5.2).
pub fn summary(account: &str, counts: Counts) -> String {
    let Counts { new, old, new_urgent, old_urgent } = counts;
    let waiting = if new > 0 { "yes" } else { "no" };
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: sip:{account}\r\n\
         Voice-Message: {new}/{old} ({new_urgent}/{old_urgent})\r\n"
    )
}

/// The messages of a user's mailbox have changed: whoever shows them is told.
pub fn changed(shared: &Shared, mailbox: &str) {
    let directory = shared.directory();
    let Some(user) = directory.user(mailbox) else { return };
    let aor: Arc<str> = directory.aor(user).into();
    for shard in 0..shared.shards() {
        if let Some(seat) = shared.signalling(shard) {
            // Bounded by the changes that mailboxes make, each of which waits for the disk.
            seat.send_reply(SignallingMsg::MessagesChanged(Arc::clone(&aor)));
        }
    }
}

impl Core {
    /// How many messages the user of an address of record has; `None` without a mailbox that shows them, and while they are being
    /// counted: then a change is told soon.
    pub fn messages_of(&self, aor: &str) -> Option<Counts> {
        let directory = self.shared.directory();
        let user = directory.user(aor.split('@').next()?)?;
        let lamp = user.mailbox.as_ref().is_some_and(|mailbox| mailbox.policy.lamp);
        lamp.then(|| self.shared.mailroom.counts(&self.shared, &user.name)).flatten()
    }

    /// Tells the phones of an address of record that have not asked, if this shard looks after it. `asked` says of an address
    /// whether a subscription tells it.
    pub fn tell_lamps(&self, aor: &str, counts: Counts, asked: impl Fn(std::net::SocketAddr) -> bool) {
        if home_of(aor.as_bytes(), self.shared.shards()) != self.shard {
            return;
        }
        if !self.shared.mailroom.is_news(aor, counts) {
            return;
        }
        let now = unix_ms();
        let body = summary(aor, counts);
        for contact in self.shared.location.get(aor).iter().filter(|contact| contact.expires_at_ms > now) {
            if asked(contact.received.remote) {
                continue;
            }
            let way = outgoing::to_contact(self, contact);
            let (branch, call_id, tag) = (new_branch(), self.new_call_id(), random_token(10));
            let mut writer = Writer::request(sip::message::RequestHead {
                method: &Method::Notify,
                uri: contact.uri.as_bytes(),
                via: &outgoing::via(self, way.hop(), &branch),
                from: format!("<sip:{aor}>;tag={tag}").as_bytes(),
                to: format!("<sip:{aor}>").as_bytes(),
                call_id: call_id.as_bytes(),
                cseq: 1,
                max_forwards: 70,
            });
            for path in &contact.path {
                writer.header(Name::Route, path.as_bytes());
            }
            writer
                .header(Name::Contact, outgoing::contact(self, way.hop(), false, "notifier"))
                .header(Name::Event, "message-summary")
                .header(Name::SubscriptionState, "terminated;reason=noresource");
            let bytes = writer.body(SUMMARY, body.as_bytes());
            // A phone that does not know this refuses it, and nothing else changes.
            self.request(Owner::Nobody, &Method::Notify, &branch, &way, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lamp_is_lit_by_what_was_not_heard() {
        let counts = Counts { new: 2, old: 8, new_urgent: 0, old_urgent: 2 };
        let text = "Messages-Waiting: yes\r\nMessage-Account: sip:alice@example.com\r\nVoice-Message: 2/8 (0/2)\r\n";
        assert_eq!(summary("alice@example.com", counts), text);
        assert!(summary("a@b", Counts { new: 0, ..counts }).starts_with("Messages-Waiting: no\r\n"));
    }
}

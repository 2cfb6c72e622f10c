//! What an end does where the switch is otherwise than then: it answers, and ends the call in order.

use std::time::Instant;

use sip::message::{RequestHead, Writer, respond};
use sip::{Message, Method, Name, Status};

use super::expected::title;
use super::party::{Again, Party, T1, ack_of, transaction};

impl Party {
    /// The switch asks who calls, and did not then: the request goes out once more, and the later ones count from there.
    pub(super) fn challenged(&mut self, now: &Message) -> anyhow::Result<()> {
        self.acknowledge(now)?;
        let Some((then, _)) = self.last_sent.get(now.method()).cloned() else { return Ok(()) };
        let uri = self.names.uri(&then);
        let credentials = self.answer(now, now.method(), &uri);
        if credentials.is_none() {
            self.differs(format!("{} came, and the password is not known: give it with --user", title(now)));
            self.ended = true;
            return Ok(());
        }
        let note = format!("{}: {} was asked who it is, which it was not then", self.end(), now.method());
        self.done.notes.push(note);
        self.names.forget_branch(then.branch());
        self.cseq_ahead += 1;
        let cseq = then.cseq() + self.cseq_ahead;
        let bytes = self.names.request(&then, cseq, credentials.as_ref());
        let until = (now.method().clone(), cseq);
        self.again.push(Again { bytes: bytes.clone(), every: T1, at: Instant::now() + T1, until });
        self.send(&bytes)?;
        self.last_sent.insert(now.method().clone(), (then, bytes));
        Ok(())
    }

    /// Something that did not come then: a request is answered, so that the switch goes on.
    pub(super) fn news(&mut self, now: &Message) -> anyhow::Result<()> {
        // What comes of a call that is being ended is no difference.
        if !self.ended {
            self.differs(format!("{} came, and did not then", title(now)));
        }
        if now.is_request() && *now.method() != Method::Ack {
            let bytes = respond(now, Status::OK, None, Some("replay")).to_vec();
            self.answers.insert(transaction(now), bytes.clone());
            self.send(&bytes)?;
            if matches!(now.method(), Method::Bye | Method::Cancel) {
                self.dialog = None;
                self.ended = true;
            }
        }
        Ok(())
    }

    /// The ACK of a final answer to our INVITE that ends otherwise than then.
    pub(super) fn acknowledge(&mut self, now: &Message) -> anyhow::Result<()> {
        let Some((_, invite)) = self.last_sent.get(&Method::Invite) else { return Ok(()) };
        if *now.method() != Method::Invite {
            return Ok(());
        }
        let invite = Message::parse(invite.clone())?;
        let own = String::from_utf8_lossy(invite.value(Name::Via).unwrap_or_default()).into_owned();
        let ack = match &self.dialog {
            Some(dialog) if now.status().is_some_and(Status::is_success) => {
                let via =
                    format!("SIP/2.0/UDP {};branch=z9hG4bKreplay{:016x};rport", self.local, rand::random::<u64>());
                dialog.ack(now.cseq(), &via).finish()
            }
            // RFC 3261 section 17.1.1.3
            _ => Writer::request(RequestHead {
                method: &Method::Ack,
                uri: invite.request_uri(),
                via: &own,
                from: invite.value(Name::From).unwrap_or_default(),
                to: now.value(Name::To).unwrap_or_default(),
                call_id: invite.call_id(),
                cseq: now.cseq(),
                max_forwards: 70,
            })
            .finish(),
        };
        self.answers.insert(ack_of(now.cseq()), ack.to_vec());
        self.send(&ack)
    }

    /// What was waited for has not come: without a provisional answer a call goes on, without anything else it does not.
    pub(super) fn missed(&mut self) {
        let Some(event) = self.expected.skip() else { return };
        self.anchor = (event.at, Instant::now());
        self.differs(format!("{} did not come", title(&event.message)));
        self.ended = !event.message.status().is_some_and(Status::is_provisional);
    }

    /// Ends a call that is otherwise than then, so that nothing of it is left in the switch.
    pub(super) fn wind_up(&mut self) -> anyhow::Result<()> {
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bKreplay{:016x};rport", self.local, rand::random::<u64>());
        self.again.clear();
        if let Some(mut dialog) = self.dialog.take() {
            let bye = dialog.request(&Method::Bye, &via).finish();
            return self.send(&bye);
        }
        let Some((_, bytes)) = self.last_sent.get(&Method::Invite) else { return Ok(()) };
        let invite = Message::parse(bytes.clone())?;
        let own = String::from_utf8_lossy(invite.value(Name::Via).unwrap_or_default()).into_owned();
        // RFC 3261 section 9.1. One that has ended meanwhile answers 481.
        let cancel = Writer::request(RequestHead {
            method: &Method::Cancel,
            uri: invite.request_uri(),
            via: &own,
            from: invite.value(Name::From).unwrap_or_default(),
            to: invite.value(Name::To).unwrap_or_default(),
            call_id: invite.call_id(),
            cseq: invite.cseq(),
            max_forwards: 70,
        });
        self.send(&cancel.finish())
    }
}

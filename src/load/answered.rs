//! Calls that are answered, and whatever else is asked of a worker.

use bytes::Bytes;
use sip::dialog::Dialog;
use sip::message::{Writer, respond};
use sip::transaction::ServerId;
use sip::{Hop, Message, Method, Name, Status};

use super::describe;
use super::placed::{Line, SDP};
use super::talk::Part;
use super::worker::{Owner, SoundOf, Worker};

/// A call that was answered.
pub struct Answered {
    call_id: Bytes,
    dialog: Dialog,
    line: Line,
    /// The INVITE had no offer: the ACK has the answer to ours.
    awaits_answer: bool,
}

impl Worker {
    /// A request that is new.
    pub(super) fn request(&mut self, server: ServerId, message: &Message, _: Hop) {
        if message.to_tag().is_some() {
            return self.inside(server, message);
        }
        match message.method() {
            Method::Invite => self.pick_up(server, message),
            Method::Register => self.bare_registrar(server, message),
            Method::Options | Method::Notify | Method::Message | Method::Info => self.say(server, message, Status::OK),
            _ => self.say(server, message, Status::NOT_IMPLEMENTED),
        }
    }

    fn say(&mut self, server: ServerId, message: &Message, status: Status) {
        let tag = self.tag();
        self.respond(server, status, respond(message, status, None, Some(&tag)));
    }

    fn respond(&mut self, server: ServerId, status: Status, bytes: Bytes) {
        let now = self.now();
        self.layer.respond(now, server, status, bytes, &mut self.out);
    }

    fn tag(&mut self) -> String {
        format!("{:x}.{:x}", self.fresh(), rand::random::<u32>())
    }

    /// What the bare end of a ceiling says to whoever registers (RFC 3261 section 10.3).
    fn bare_registrar(&mut self, server: ServerId, message: &Message) {
        let tag = self.tag();
        let mut writer = Writer::response(message, Status::OK, None, Some(&tag));
        writer.copy(message, Name::Contact).copy(message, Name::Expires);
        self.respond(server, Status::OK, writer.finish());
    }

    /// A call comes: it rings, and is picked up.
    fn pick_up(&mut self, server: ServerId, message: &Message) {
        let tag = self.tag();
        let number = self.fresh();
        let mut line = match self.line(Part::Answers) {
            Ok(line) => line,
            Err(_) => return self.say(server, message, Status::SERVER_INTERNAL_ERROR),
        };
        let offered = !message.body().is_empty();
        // Keys are taken where they are offered, whatever our own calls have.
        let theirs =
            describe::read(message.body(), line.codec, true).ok().and_then(|theirs| theirs.cryptos.first().cloned());
        line.key = match (&theirs, offered) {
            (Some(theirs), _) => Some(describe::answering_key(theirs)),
            (None, false) if self.manner.sound == SoundOf::Srtp => Some(describe::fresh_key()),
            _ => None,
        };
        if offered && self.connect(&mut line, message.body()).is_err() {
            // The other end may have another offer; where it has none, the caller counts the failure.
            return self.say(server, message, Status::NOT_ACCEPTABLE_HERE);
        }
        let Ok(dialog) = Dialog::of_server(message, &tag) else {
            return self.say(server, message, Status::BAD_REQUEST);
        };
        self.layer.claim(server, Owner::Answered(number));
        let user = self.users.first().map_or("load", |user| &user.name);
        let contact = self.wires.contact(user);
        let mut ringing = Writer::response(message, Status::RINGING, None, Some(&tag));
        ringing.copy(message, Name::RecordRoute).header(Name::Contact, &contact);
        let mut writer = Writer::response(message, Status::OK, None, Some(&tag));
        writer.copy(message, Name::RecordRoute).header(Name::Contact, &contact);
        let answer = writer.body(SDP, self.describe(&line).as_bytes());
        let call_id = Bytes::copy_from_slice(message.call_id());
        self.by_call_id.insert(call_id.clone(), Owner::Answered(number));
        self.answered.insert(number, Answered { call_id, dialog, line, awaits_answer: !offered });
        self.figures.answered += 1;
        self.respond(server, Status::RINGING, ringing.finish());
        self.respond(server, Status::OK, answer);
    }

    /// The ACK of our 200: with the answer to our offer, where that was in the 200.
    pub(super) fn acknowledged(&mut self, call: u64, message: &Message) {
        let Some(mut answered) = self.answered.remove(&call) else { return };
        if std::mem::take(&mut answered.awaits_answer) && self.connect(&mut answered.line, message.body()).is_err() {
            self.figures.failed("callee: an answer that does not fit");
        }
        self.answered.insert(call, answered);
    }

    /// The caller gave up before we picked up, or at the same moment.
    pub(super) fn cancelled(&mut self, call: u64, _: ServerId) {
        self.forget_answered(call);
    }

    /// Our 200 was never acknowledged.
    pub(super) fn never_acknowledged(&mut self, call: u64) {
        self.figures.failed("callee: no ACK");
        self.forget_answered(call);
    }

    fn forget_answered(&mut self, call: u64) -> Option<Answered> {
        let answered = self.answered.remove(&call)?;
        self.by_call_id.remove(&answered.call_id);
        Some(answered)
    }

    /// A request inside a dialog.
    fn inside(&mut self, server: ServerId, message: &Message) {
        let owner = self.by_call_id.get(message.call_id()).copied();
        match (owner, message.method()) {
            (Some(Owner::Answered(call)), Method::Bye) => {
                self.say(server, message, Status::OK);
                if let Some(mut answered) = self.forget_answered(call) {
                    let heard = answered.line.talk.take().map(|talk| talk.hearing(self.manner.loss_max));
                    if let Some(heard) = heard {
                        self.figures.sound.add(&heard);
                        if let Some(failure) = heard.verdict.failure() {
                            self.figures.failed(format!("callee: {failure}"));
                        }
                    }
                }
            }
            (Some(Owner::Placed(call)), Method::Bye) => {
                self.say(server, message, Status::OK);
                self.placed_hung_up(call);
            }
            (Some(owner), Method::Invite | Method::Update) => self.changed(server, message, owner),
            (Some(_), _) => self.say(server, message, Status::OK),
            (None, _) => self.say(server, message, Status::CALL_DOES_NOT_EXIST),
        }
    }

    /// The other end changes the session (RFC 3261 section 14.2, RFC 3311): we go along, and say what we said before.
    fn changed(&mut self, server: ServerId, message: &Message, owner: Owner) {
        self.layer.claim(server, Owner::Nobody);
        let mut line = match owner {
            Owner::Placed(call) => self.placed.get_mut(&call).map(|placed| std::mem::take(&mut placed.line)),
            Owner::Answered(call) => self.answered.get_mut(&call).map(|answered| {
                answered.dialog.refresh(message);
                std::mem::take(&mut answered.line)
            }),
            Owner::Registration(_) | Owner::Nobody => None,
        };
        let Some(line) = &mut line else { return self.say(server, message, Status::CALL_DOES_NOT_EXIST) };
        let offers = !message.body().is_empty();
        let fits = !offers || self.connect(line, message.body()).is_ok();
        if fits {
            let user = self.users.first().map_or("load", |user| &user.name);
            let mut writer = Writer::response(message, Status::OK, None, None);
            writer.header(Name::Contact, self.wires.contact(user));
            let answer = match offers || *message.method() == Method::Invite {
                true => writer.body(SDP, self.describe(line).as_bytes()),
                false => writer.finish(),
            };
            self.respond(server, Status::OK, answer);
        } else {
            self.say(server, message, Status::NOT_ACCEPTABLE_HERE);
        }
        let line = std::mem::take(line);
        match owner {
            Owner::Placed(call) => {
                if let Some(placed) = self.placed.get_mut(&call) {
                    placed.line = line;
                }
            }
            Owner::Answered(call) => {
                if let Some(answered) = self.answered.get_mut(&call) {
                    answered.line = line;
                }
            }
            Owner::Registration(_) | Owner::Nobody => {}
        }
    }
}

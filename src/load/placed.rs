//! Calls that are placed: from the moment for which they were planned to the 200 of their BYE.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use media::codec::Codec;
use sip::auth::{Attempt, ChallengedBy};
use sip::dialog::Dialog;
use sip::message::{RequestHead, Writer};
use sip::sdp::Crypto;
use sip::transaction::{ClientEnd, ClientId};
use sip::{Message, Method, Name, Status};

use super::describe::{self, NO_PORT, Ours, Unfit};
use super::talk::{Hearing, Part, Talk, question};
use super::worker::{Hears, Owner, SoundOf, Worker, closed, story};

/// Hops that a request may take (RFC 3261 section 8.1.1.6).
pub const MAX_FORWARDS: u8 = 70;
/// What a description is.
pub const SDP: &str = "application/sdp";

/// A call that was placed.
pub struct Placed {
    planned: Instant,
    member: usize,
    uri: String,
    from: String,
    call_id: String,
    cseq: u32,
    attempt: Attempt,
    invite: Bytes,
    client: Option<ClientId>,
    /// The callee has given a sign.
    signed: bool,
    pub(super) line: Line,
    dialog: Option<Dialog>,
    answered: Option<Instant>,
    bye: Option<Instant>,
    /// What was heard, when the call was hung up.
    hearing: Option<Hearing>,
    /// It has failed already, and only ends.
    failed: bool,
}

/// The sound of a call's end, and how it is described.
pub struct Line {
    pub(super) codec: Codec,
    pub(super) talk: Option<Talk>,
    pub(super) key: Option<Crypto>,
    pub(super) theirs: Option<Crypto>,
}

impl Default for Line {
    fn default() -> Self {
        Self { codec: Codec::Pcmu, talk: None, key: None, theirs: None }
    }
}

impl Worker {
    /// Places the next call, which was planned for this moment.
    pub(super) fn place(&mut self, planned: Instant) {
        self.figures.lag.add(planned.elapsed());
        self.figures.attempts += 1;
        self.progress.begun.fetch_add(1, Relaxed);
        let call = self.fresh();
        let Some((member, user)) = self.member_for(call) else { return self.figures.failed("nobody to call as") };
        let part = match self.manner.hears {
            Hears::Answer => Part::Asks(question(call)),
            Hears::Tone(hears_hz) => Part::Tone { says_hz: question(call), hears_hz },
            Hears::Anything => Part::Listens(question(call)),
        };
        let line = match self.line(part) {
            Ok(line) => line,
            Err(error) => return self.failed_at_once(format!("no port for sound: {error}")),
        };
        let (number, domain) = (self.number_for(call), &self.manner.domain);
        let placed = Placed {
            planned,
            member,
            uri: format!("sip:{number}@{domain}"),
            from: format!("<sip:{user}@{domain}>;tag={:x}{call:x}", rand::random::<u32>()),
            call_id: format!("{call:x}.{}.{:08x}@{}", self.number, rand::random::<u32>(), self.wires.ip()),
            cseq: 0,
            attempt: Attempt::default(),
            invite: Bytes::new(),
            client: None,
            signed: false,
            line,
            dialog: None,
            answered: None,
            bye: None,
            hearing: None,
            failed: false,
        };
        self.progress.open.fetch_add(1, Relaxed);
        self.by_call_id.insert(Bytes::copy_from_slice(placed.call_id.as_bytes()), Owner::Placed(call));
        self.placed.insert(call, placed);
        self.invite(call, None);
    }

    fn failed_at_once(&mut self, why: String) {
        self.progress.failed.fetch_add(1, Relaxed);
        self.figures.failed(why);
    }

    fn member_for(&self, call: u64) -> Option<(usize, String)> {
        let count = u64::try_from(self.users.len()).ok()?;
        let member = usize::try_from(call.checked_rem(count)?).ok()?;
        Some((member, self.users.get(member)?.name.clone()))
    }

    fn number_for(&self, call: u64) -> String {
        let count = u64::try_from(self.manner.numbers.len()).unwrap_or(1).max(1);
        let at = usize::try_from(call % count).unwrap_or(0);
        self.manner.numbers.get(at).cloned().unwrap_or_default()
    }

    /// An end for sound, where there is to be some.
    pub(super) fn line(&self, part: Part) -> std::io::Result<Line> {
        let wanted = self.manner.sound != SoundOf::None;
        let codec = if part == Part::Answers { self.manner.callee_codec } else { self.manner.codec };
        let talk = wanted.then(|| Talk::open(self.wires.ip(), part, codec)).transpose()?;
        Ok(Line { codec, talk, key: None, theirs: None })
    }

    /// How a line is described.
    pub(super) fn describe(&self, line: &Line) -> String {
        describe::description(&Ours {
            ip: self.wires.ip(),
            port: line.talk.as_ref().map_or(NO_PORT, Talk::port),
            codec: line.codec,
            crypto: line.key.as_ref(),
        })
    }

    /// Takes what the other end has said of its sound, and speaks to it.
    pub(super) fn connect(&self, line: &mut Line, body: &[u8]) -> Result<(), Unfit> {
        let theirs = describe::read(body, line.codec, line.key.is_some())?;
        let chosen = theirs.cryptos.into_iter().find(|theirs| match &line.key {
            Some(ours) => ours.tag == theirs.tag && ours.suite == theirs.suite,
            None => false,
        });
        let keys = match (&line.key, chosen) {
            (Some(_), None) => return Err(Unfit::Keys),
            (Some(ours), Some(chosen)) if line.theirs.as_ref() != Some(&chosen) => {
                let keys = describe::keys(ours, &chosen);
                line.theirs = Some(chosen);
                keys
            }
            _ => None,
        };
        if let Some(talk) = &mut line.talk {
            talk.begin(theirs.remote, theirs.pt, keys);
        }
        Ok(())
    }

    /// Sends the INVITE, or sends it again with credentials.
    fn invite(&mut self, call: u64, credentials: Option<(ChallengedBy, String)>) {
        let branch = self.branch();
        let Some(mut placed) = self.placed.remove(&call) else { return };
        placed.cseq += 1;
        if self.manner.sound == SoundOf::Srtp && placed.line.key.is_none() {
            placed.line.key = Some(describe::fresh_key());
        }
        let user = self.users.get_mut(placed.member);
        let contact = self.wires.contact(user.as_ref().map_or("load", |user| &user.name));
        let credentials = credentials.or_else(|| {
            let answerer = user?.answerer.as_mut()?;
            answerer.anticipate(&mut placed.attempt, "INVITE", &placed.uri)
        });
        let to = format!("<{}>", placed.uri);
        let mut writer = Writer::request(RequestHead {
            method: &Method::Invite,
            uri: placed.uri.as_bytes(),
            via: &self.wires.via(&branch),
            from: placed.from.as_bytes(),
            to: to.as_bytes(),
            call_id: placed.call_id.as_bytes(),
            cseq: placed.cseq,
            max_forwards: MAX_FORWARDS,
        });
        writer.header(Name::Contact, contact);
        authorize(&mut writer, credentials);
        let invite = writer.body(SDP, self.describe(&placed.line).as_bytes());
        placed.invite = invite.clone();
        let (now, hop) = (self.now(), self.wires.hop());
        let owner = Owner::Placed(call);
        let sent = self.layer.request(now, invite, &Method::Invite, &branch, hop, owner, &mut self.out);
        match sent {
            Ok(client) => {
                placed.client = Some(client);
                self.placed.insert(call, placed);
            }
            Err(error) => {
                self.placed.insert(call, placed);
                self.end_failed(call, error.to_string());
            }
        }
    }

    /// A response to a request of a placed call.
    pub(super) fn placed_answered(&mut self, call: u64, client: ClientId, message: &Message) {
        let Some(status) = message.status() else { return };
        if *message.method() == Method::Bye {
            return self.bye_answered(call, status);
        }
        if *message.method() != Method::Invite {
            return;
        }
        let Some(placed) = self.placed.get_mut(&call) else {
            // Given up meanwhile: who answers all the same is let go.
            if status.is_success() {
                self.let_go(client, message);
            }
            return;
        };
        if status.is_provisional() {
            if status != Status::TRYING && !std::mem::replace(&mut placed.signed, true) {
                self.figures.request_delay.add(placed.planned.elapsed());
            }
            return;
        }
        if status.is_success() {
            return self.established(call, client, message);
        }
        let by = match status {
            Status::UNAUTHORIZED => Some(ChallengedBy::Server),
            Status::PROXY_AUTHENTICATION_REQUIRED => Some(ChallengedBy::Proxy),
            _ => None,
        };
        if let Some(by) = by {
            let answerer = self.users.get_mut(placed.member).and_then(|user| user.answerer.as_mut());
            let challenges = challenges(message, by);
            let asked: Vec<&[u8]> = challenges.iter().map(Vec::as_slice).collect();
            let answer = answerer
                .map(|answerer| answerer.answer(&mut placed.attempt, "switch", by, &asked, "INVITE", &placed.uri));
            if let Some(Ok(value)) = answer {
                return self.invite(call, Some((by, value)));
            }
        }
        if let Some(placed) = self.placed.get(&call).filter(|placed| !placed.failed) {
            self.figures.failed_delay.add(placed.planned.elapsed());
            self.figures.refused(status.code());
        }
        self.end_failed(call, format!("{} {}", status.code(), message.reason()));
    }

    fn established(&mut self, call: u64, client: ClientId, message: &Message) {
        let Some(mut placed) = self.placed.remove(&call) else { return };
        if placed.dialog.is_some() {
            // A second callee of a fork (RFC 3261 section 13.2.2.4).
            self.placed.insert(call, placed);
            return self.let_go(client, message);
        }
        let delay = placed.planned.elapsed();
        if !std::mem::replace(&mut placed.signed, true) {
            self.figures.request_delay.add(delay);
        }
        if !placed.failed {
            self.figures.answer_delay.add(delay);
        }
        let dialog = Message::parse(placed.invite.clone())
            .map_err(|error| error.to_string())
            .and_then(|invite| Dialog::of_client(&invite, message).map_err(|error| error.to_string()));
        let dialog = match dialog {
            Ok(dialog) => dialog,
            Err(error) => {
                self.placed.insert(call, placed);
                return self.end_failed(call, format!("a 200 that sets up no dialog: {error}"));
            }
        };
        self.ack(client, message, &dialog, placed.cseq);
        placed.dialog = Some(dialog);
        let fits = self.connect(&mut placed.line, message.body());
        placed.invite = Bytes::new();
        placed.answered = Some(Instant::now());
        self.placed.insert(call, placed);
        if delay > self.manner.threshold {
            self.fail(call, "answered past the threshold time");
        }
        if self.placed.get(&call).is_some_and(|placed| placed.failed) {
            return self.hang_up(call);
        }
        self.figures.established += 1;
        self.progress.established.fetch_add(1, Relaxed);
        match fits {
            Err(error) => {
                self.fail(call, error.to_string());
                self.hang_up(call);
            }
            Ok(()) => self.hang_ups.push_back((Instant::now() + self.manner.talk, call)),
        }
    }

    fn ack(&mut self, client: ClientId, message: &Message, dialog: &Dialog, cseq: u32) {
        let branch = self.branch();
        let ack = dialog.ack(cseq, &self.wires.via(&branch)).finish();
        let hop = self.wires.hop_to(dialog.next_hop());
        self.layer.ack(client, message.to_tag().unwrap_or_default(), ack, hop, &mut self.out);
    }

    /// Ends a dialog that nobody wants: ACK and BYE.
    fn let_go(&mut self, client: ClientId, message: &Message) {
        let request = Message::parse(
            Writer::request(RequestHead {
                method: &Method::Invite,
                uri: b"sip:none.invalid",
                via: &self.wires.via("z9hG4bKnone"),
                from: message.value(Name::From).unwrap_or_default(),
                to: message.value(Name::To).unwrap_or_default(),
                call_id: message.call_id(),
                cseq: message.cseq(),
                max_forwards: MAX_FORWARDS,
            })
            .finish(),
        );
        let dialog = request.ok().and_then(|request| Dialog::of_client(&request, message).ok());
        if let Some(mut dialog) = dialog {
            self.ack(client, message, &dialog, message.cseq());
            let _ = self.bye(&mut dialog, Owner::Nobody);
        }
    }

    fn bye(&mut self, dialog: &mut Dialog, owner: Owner) -> Result<(), String> {
        let branch = self.branch();
        let bye = dialog.request(&Method::Bye, &self.wires.via(&branch)).finish();
        let (now, hop) = (self.now(), self.wires.hop_to(dialog.next_hop()));
        let sent = self.layer.request(now, bye, &Method::Bye, &branch, hop, owner, &mut self.out);
        sent.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Hangs up what has stood long enough.
    pub(super) fn hang_up_due(&mut self) {
        let now = Instant::now();
        while let Some((due, call)) = self.hang_ups.front().copied()
            && due <= now
        {
            self.hang_ups.pop_front();
            self.hang_up(call);
        }
    }

    fn hang_up(&mut self, call: u64) {
        let Some(mut placed) = self.placed.remove(&call) else { return };
        let Some(mut dialog) = placed.dialog.take() else {
            self.placed.insert(call, placed);
            return;
        };
        self.hear(&mut placed);
        if let Some(answered) = placed.answered.filter(|_| !placed.failed) {
            self.figures.duration.add(answered.elapsed());
        }
        placed.bye = Some(Instant::now());
        let sent = self.bye(&mut dialog, Owner::Placed(call));
        placed.dialog = Some(dialog);
        self.placed.insert(call, placed);
        if let Err(error) = sent {
            self.end_failed(call, error);
        }
    }

    /// Takes down what was heard.
    fn hear(&mut self, placed: &mut Placed) {
        let heard = placed.line.talk.take().map(|talk| talk.hearing(self.manner.loss_max));
        // A call that failed otherwise has told why already.
        if let Some(heard) = heard.filter(|_| placed.answered.is_some() && !placed.failed) {
            self.figures.sound.add(&heard);
            placed.hearing = Some(heard);
        }
    }

    fn bye_answered(&mut self, call: u64, status: Status) {
        let Some(placed) = self.placed.get(&call) else { return };
        if status.is_provisional() {
            return;
        }
        let (failed, sound) = (placed.failed, placed.hearing.and_then(|heard| heard.verdict.failure()));
        let bye = placed.bye;
        if !status.is_success() {
            return self.end_failed(call, format!("BYE: {} {}", status.code(), status.reason()));
        }
        if let Some(bye) = bye {
            self.figures.disconnect_delay.add(bye.elapsed());
        }
        if let Some(sound) = sound.filter(|_| !failed) {
            return self.end_failed(call, sound.to_owned());
        }
        if !failed {
            self.figures.completed += 1;
        }
        self.forget_placed(call);
    }

    /// A request of a placed call was never answered.
    pub(super) fn placed_ended(&mut self, call: u64, why: ClientEnd) {
        let Some(placed) = self.placed.get(&call) else { return };
        let method = if placed.bye.is_some() { "BYE" } else { "INVITE" };
        if placed.bye.is_none() && !placed.failed {
            // RFC 3261 section 8.1.3.1: a time-out counts as 408, a way that is gone as 503.
            self.figures.refused(if why == ClientEnd::Timeout { 408 } else { 503 });
            self.figures.failed_delay.add(placed.planned.elapsed());
        }
        self.end_failed(call, format!("{method}: {}", story(why)));
    }

    /// The other end hung up a call that was to stand longer.
    pub(super) fn placed_hung_up(&mut self, call: u64) {
        if self.placed.get(&call).is_some_and(|placed| placed.bye.is_none()) {
            self.end_failed(call, "hung up by the other end".to_owned());
        }
    }

    /// Counts a call as failed; it goes on until it has ended.
    fn fail(&mut self, call: u64, why: impl Into<String>) {
        if let Some(placed) = self.placed.get_mut(&call)
            && !std::mem::replace(&mut placed.failed, true)
        {
            self.progress.failed.fetch_add(1, Relaxed);
            self.figures.failed(why);
            self.figures.failed_call(&placed.call_id);
        }
    }

    fn end_failed(&mut self, call: u64, why: String) {
        self.fail(call, why);
        self.forget_placed(call);
    }

    fn forget_placed(&mut self, call: u64) {
        if let Some(placed) = self.placed.remove(&call) {
            self.by_call_id.remove(placed.call_id.as_bytes());
            closed(&self.progress);
        }
    }

    /// Gives up all calls: those that stand are hung up, the others cancelled. None of them counts as failed, and each is open
    /// until it has ended.
    pub(super) fn give_up(&mut self) {
        self.hang_ups.clear();
        let calls: Vec<u64> = self.placed.keys().copied().collect();
        for call in calls {
            let Some(placed) = self.placed.get_mut(&call) else { continue };
            placed.failed = true;
            match (&placed.dialog, placed.client) {
                (Some(_), _) if placed.bye.is_none() => self.hang_up(call),
                (None, Some(client)) => {
                    let now = self.now();
                    self.layer.cancel(now, client, None, &mut self.out);
                }
                _ => {}
            }
        }
    }
}

/// The lines of a challenge.
pub fn challenges(message: &Message, by: ChallengedBy) -> Vec<Vec<u8>> {
    let name = match by {
        ChallengedBy::Server => Name::WwwAuthenticate,
        ChallengedBy::Proxy => Name::ProxyAuthenticate,
    };
    message.all(name).map(|header| header.unfolded().into_owned()).collect()
}

/// Writes credentials where who asked looks for them (RFC 3261 sections 22.2, 22.3).
pub fn authorize(writer: &mut Writer, credentials: Option<(ChallengedBy, String)>) {
    match credentials {
        Some((ChallengedBy::Server, value)) => writer.header(Name::Authorization, value),
        Some((ChallengedBy::Proxy, value)) => writer.header(Name::ProxyAuthorization, value),
        None => return,
    };
}

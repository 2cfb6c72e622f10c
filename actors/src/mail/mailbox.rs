//! The actor of a mailbox.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use store::{StoreError, Voice, VoiceKind};

use super::ledger::Ledger;
use super::room::House;
use super::transcriber::TranscriberMsg;
use super::transcript::Transcript;
use super::{Counts, Draft, NoDraft, Owner};
use crate::call::CallKey;
use crate::shard::SignallingMsg;
use crate::shared::Shared;
use crate::supervision::{Cx, Live, Reply};
use crate::talk::{Answer, Ask, CallerBook, Purpose, Step, Which};

/// A mailbox that nobody asks for so long is let go of.
const REST: Duration = Duration::from_secs(300);
/// After so long the folder of a mailbox is looked at again, when the disk has not taken something.
const AGAIN: Duration = Duration::from_secs(5);
/// Work that waits in the actor; its mailbox holds as much again.
const WAITING_MAX: usize = 256;

/// The call that asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The call.
    pub call: CallKey,
    /// Its shard.
    pub shard: usize,
}

impl Asker {
    /// Answers it. A call that is gone needs no answer.
    pub fn answer(self, shared: &Shared, answer: Answer) {
        if let Some(seat) = shared.signalling(self.shard) {
            seat.send_reply(SignallingMsg::Talk { call: self.call, input: crate::talk::Input::Answer(answer) });
        }
    }
}

/// What a mailbox can be told.
pub enum MailboxMsg {
    /// A dialogue asks.
    Ask(Ask, Asker),
    /// The call of this recording is gone.
    Settle(Arc<Draft>),
    /// Somebody has called and left nothing.
    Missed(Voice),
    /// Another mailbox sends a message: the file, and what it is.
    Take(std::path::PathBuf, Box<Voice>, Reply<bool>),
    /// How many messages are there is wanted.
    Count,
    /// How it is.
    View(Reply<Option<MailboxView>>),
    /// The file of a message, checked.
    Audio(u64, Reply<Result<(Voice, Vec<u8>), StoreError>>),
    /// The words of a message, if there are any.
    Transcript(u64, Reply<Option<Transcript>>),
    /// A recogniser has read a message.
    Transcribed(u64, Transcript, Reply<Result<(), StoreError>>),
    /// The sound of a clip.
    Clip(Which, Reply<Result<Option<Vec<u8>>, StoreError>>),
    /// A clip is set, or taken away.
    SetClip(Which, Option<Vec<u8>>, Reply<Result<(), StoreError>>),
    /// What the owner has written about callers.
    Callers(Reply<CallerBook>),
    /// Other words about callers.
    SetCallers(Box<CallerBook>, Reply<Result<(), StoreError>>),
    /// Changes a message.
    Mark(u64, Step, Reply<Result<bool, StoreError>>),
    /// A message from outside.
    Import(Vec<u8>, Box<Voice>, Reply<Result<u64, StoreError>>),
    /// Another PIN is made up, or set; the mailbox is unlocked.
    ResetPin(Option<String>, Reply<Result<String, super::PinFault>>),
    /// It is unlocked.
    Unlock(Reply<bool>),
    /// Every file is read and compared.
    Verify(Reply<Result<(usize, Vec<u64>), StoreError>>),
    /// What has been deleted for long enough goes.
    Sweep,
    /// It goes, if nothing has come since.
    Retire(u64),
}

/// A mailbox for an operator.
#[derive(Clone, Debug, Serialize)]
pub struct MailboxView {
    /// The user.
    pub mailbox: String,
    /// How many messages.
    pub counts: Counts,
    /// Bytes of their files.
    pub bytes: u64,
    /// The policy.
    pub policy: String,
    /// Whether it has a PIN of its owner's.
    pub has_pin: bool,
    /// Whether the PIN must be changed.
    pub must_change: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Wrong PINs in a row.
    pub failures: u32,
    /// Whether the away greeting is on.
    pub away: bool,
    /// The clips that it has.
    pub greetings: Vec<&'static str>,
    /// Its messages, deleted ones among them.
    pub messages: Vec<VoiceView>,
}

/// A message for an operator.
#[derive(Clone, Debug, Serialize)]
pub struct VoiceView {
    /// Its number.
    pub number: u64,
    /// `answered` or `sent`.
    pub kind: &'static str,
    /// The caller.
    pub from: String,
    /// The caller's name.
    pub name: String,
    /// The caller's mailbox.
    pub sender: Option<String>,
    /// When, ms since 1970.
    pub received_ms: i64,
    /// How long it plays, ms.
    pub length_ms: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// CRC32C of its file, hexadecimal.
    pub crc32c: String,
    /// Heard.
    pub heard: bool,
    /// Urgent.
    pub urgent: bool,
    /// Private.
    pub private: bool,
    /// Marked for later.
    pub flagged: bool,
    /// Deleted, and can be had back.
    pub deleted: bool,
    /// Its file is not what was written.
    pub damaged: bool,
    /// Its words are known.
    pub transcript: bool,
    /// Call-ID of the call.
    pub call_id: String,
}

impl VoiceView {
    fn of(voice: &Voice, ledger: &Ledger) -> Self {
        Self {
            number: voice.number,
            kind: if voice.kind == VoiceKind::Sent { "sent" } else { "answered" },
            from: voice.from.clone(),
            name: voice.name.clone(),
            sender: voice.sender.clone(),
            received_ms: voice.received_ms,
            length_ms: voice.length_ms,
            bytes: voice.bytes,
            crc32c: format!("{:08x}", voice.checksum),
            heard: voice.heard,
            urgent: voice.urgent,
            private: voice.private,
            flagged: voice.flagged,
            deleted: voice.deleted_ms.is_some(),
            damaged: voice.damaged,
            transcript: ledger.transcripts.contains(&voice.number),
            call_id: voice.call_id.clone(),
        }
    }
}

/// See the module.
pub struct Mailbox {
    shared: Arc<Shared>,
    house: Arc<House>,
    /// Away while it is worked on.
    ledger: Option<Ledger>,
    waiting: VecDeque<MailboxMsg>,
    busy: bool,
    /// Messages that go out to others.
    sending: usize,
    counts: Counts,
    /// It is looked at again in a while.
    again: bool,
}

/// What a piece of work leaves to be done.
type Then = Box<dyn FnOnce(&mut Mailbox, &mut Cx<'_, Mailbox>) + Send>;

impl Mailbox {
    /// The actor of a house.
    pub fn new(shared: Arc<Shared>, house: Arc<House>) -> Self {
        let (waiting, counts) = (VecDeque::new(), Counts::default());
        Self { shared, house, ledger: None, waiting, busy: false, sending: 0, counts, again: false }
    }

    /// Takes the next piece of work, if none is under way.
    fn next(&mut self, cx: &mut Cx<'_, Self>) {
        if self.busy {
            return;
        }
        let Some(msg) = self.waiting.pop_front() else { return };
        let Some(owner) = self.shared.mailroom.owner(&self.shared, &self.house.name) else {
            // The user has lost the mailbox: askers see that nobody answers.
            return self.next(cx);
        };
        let Some(mut ledger) = self.ledger.take() else { return };
        self.busy = true;
        let (shared, house) = (Arc::clone(&self.shared), Arc::clone(&self.house));
        let work = tokio::task::spawn_blocking(move || {
            let then = work(&mut ledger, msg, &owner, &shared, &house);
            (ledger, then)
        });
        cx.spawn(work, |this, done, cx| match done {
            Ok((mut ledger, then)) => {
                this.busy = false;
                this.look(&mut ledger);
                this.look_again(&ledger, cx);
                this.ledger = Some(ledger);
                then(this, cx);
                this.next(cx);
            }
            Err(error) => cx.fail(format!("work on a mailbox ended: {error}")),
        });
    }

    /// Tells the phones when there are other messages than before.
    fn look(&mut self, ledger: &mut Ledger) {
        self.counts = ledger.counts();
        if std::mem::take(&mut ledger.posted) {
            // One that is full of mail looks anyway.
            let _told = self.shared.mailroom.outbox.try_send(super::OutboxMsg::Look);
        }
        for unread in ledger.unread.drain(..) {
            // One that is full of messages to read leaves this one unread.
            let _unread = self.shared.mailroom.transcriber.try_send(TranscriberMsg::Read(unread));
        }
        if self.shared.mailroom.counted(&self.house.name, self.counts) {
            crate::lamps::changed(&self.shared, &self.house.name);
        }
    }

    /// Opens the mailbox beside the actor.
    fn open(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(owner) = self.shared.mailroom.owner(&self.shared, &self.house.name) else { return cx.stop() };
        self.busy = true;
        let (shared, house) = (Arc::clone(&self.shared), Arc::clone(&self.house));
        let opening = tokio::task::spawn_blocking(move || {
            let (folder, store) = (shared.settings().mail.folder.clone(), shared.store.mailboxes());
            let pepper: Arc<[u8]> = Arc::from(shared.store.meta().secret().unwrap_or_default().as_slice());
            let mut ledger = Ledger::open(&house.name, &folder, store, pepper, &owner, &house.live())?;
            if let Err(error) = ledger.sweep(&owner) {
                tracing::warn!(mailbox = house.name, %error, "old messages were not removed");
            }
            Ok::<_, StoreError>(ledger)
        });
        cx.spawn(opening, |this, opened, cx| match opened {
            Ok(Ok(mut ledger)) => {
                this.busy = false;
                this.look(&mut ledger);
                if !ledger.behind {
                    this.shared.mailroom.delivered.fetch_add(ledger.found.delivered as u64, Relaxed);
                }
                this.look_again(&ledger, cx);
                this.ledger = Some(ledger);
                this.next(cx);
            }
            Ok(Err(error)) => cx.fail(format!("the mailbox cannot be opened: {error}")),
            Err(error) => cx.fail(format!("the mailbox cannot be opened: {error}")),
        });
    }

    /// What the disk did not take is tried again: the mailbox is opened anew, as after a crash.
    fn look_again(&mut self, ledger: &Ledger, cx: &mut Cx<'_, Self>) {
        if ledger.behind && !std::mem::replace(&mut self.again, true) {
            cx.later(AGAIN, |this, cx| {
                this.again = false;
                match this.busy {
                    // Whoever works on it gives it back, and it is behind still.
                    true => {}
                    false => this.open(cx),
                }
            });
        }
    }

    fn rest(&self, cx: &mut Cx<'_, Self>) {
        cx.later(REST, |this, cx| {
            let sent = this.house.sent();
            cx.me().send_reply(MailboxMsg::Retire(sent));
        });
    }

    /// Sends a recording to other mailboxes, each of which makes a message of a copy.
    fn send(&mut self, draft: Arc<Draft>, voice: Voice, to: Vec<String>, asker: Asker, cx: &mut Cx<'_, Self>) {
        self.sending += 1;
        let (shared, path) = (Arc::clone(&self.shared), draft.path.clone());
        let sending = async move {
            let mut missed = Vec::new();
            for name in to {
                let (reply, answer) = tokio::sync::oneshot::channel();
                let take = MailboxMsg::Take(path.clone(), Box::new(voice.clone()), Reply::of(reply));
                if shared.mailroom.send(&shared, &name, take).is_err() || !answer.await.unwrap_or(false) {
                    missed.push(name);
                }
            }
            missed
        };
        cx.spawn(sending, move |this, missed, cx| {
            this.sending -= 1;
            if !missed.is_empty() {
                return asker.answer(&this.shared, Answer::NotSentTo(missed));
            }
            asker.answer(&this.shared, Answer::Delivered(true));
            this.house.drop_draft(draft.voice.number);
            this.waiting.push_back(MailboxMsg::Ask(Ask::Drop(draft), asker));
            this.next(cx);
        });
    }
}

impl Live for Mailbox {
    type Msg = MailboxMsg;
    const KIND: &'static str = "mailbox";
    const MAILBOX: usize = 256;
    const KEEPS_MAIL: bool = true;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.open(cx);
        self.rest(cx);
    }

    fn handle(&mut self, msg: MailboxMsg, cx: &mut Cx<'_, Self>) {
        if let MailboxMsg::Retire(sent) = msg {
            let idle = !self.busy && self.waiting.is_empty() && self.sending == 0 && self.house.is_idle();
            if idle && self.house.retire(sent) {
                return cx.stop();
            }
            return self.rest(cx);
        }
        match msg {
            msg if self.waiting.len() >= WAITING_MAX => refuse(msg, &self.shared),
            msg => self.waiting.push_back(msg),
        }
        self.next(cx);
    }

    fn describe(&self) -> String {
        let Counts { new, old, .. } = self.counts;
        let live = self.house.live().len();
        format!("{new} new and {old} old messages, {live} recordings, {} waiting", self.waiting.len())
    }
}

/// There is too much to do: who waits for an answer hears it.
fn refuse(msg: MailboxMsg, shared: &Shared) {
    if let MailboxMsg::Ask(_, asker) = msg {
        asker.answer(shared, Answer::Failed);
    }
}

/// Does one thing on a mailbox, beside the actor.
fn work(ledger: &mut Ledger, msg: MailboxMsg, owner: &Owner, shared: &Arc<Shared>, house: &Arc<House>) -> Then {
    let nothing: Then = Box::new(|_, _| {});
    let mailroom = &shared.mailroom;
    match msg {
        MailboxMsg::Ask(Ask::Draft { purpose, caller, mailbox }, asker) => {
            let made = ledger.draft(purpose, &caller, owner).map(|voice| {
                let path = ledger.folder.draft(voice.number);
                Arc::new(Draft::new(&mailbox, voice, purpose, path))
            });
            match &made {
                Ok(draft) => {
                    house.add(draft);
                    mailroom.begun.fetch_add(1, Relaxed);
                }
                Err(NoDraft::Full | NoDraft::Disk) => {
                    mailroom.refused.fetch_add(1, Relaxed);
                }
            }
            asker.answer(shared, Answer::Draft(made));
        }
        MailboxMsg::Ask(Ask::Send { draft, to, urgent, private, forwarded }, asker) => {
            if let Some(number) = forwarded
                && let Err(error) = ledger.join(&draft, number)
            {
                tracing::error!(mailbox = house.name, %error, "a message was not forwarded");
                asker.answer(shared, Answer::NotSentTo(to));
                return nothing;
            }
            let voice = Voice { urgent, private, length_ms: draft.length_ms(), ..draft.voice.clone() };
            return Box::new(move |this, cx| this.send(draft, voice, to, asker, cx));
        }
        MailboxMsg::Ask(ask, asker) => {
            let (delivers, drops) = match &ask {
                Ask::Deliver { draft, .. } => (true, Some(draft.voice.number)),
                Ask::Install(draft, _) | Ask::Drop(draft) => (false, Some(draft.voice.number)),
                _ => (false, None),
            };
            let answer = ledger.answer(ask, owner);
            if let Some(number) = drops {
                house.drop_draft(number);
            }
            match &answer {
                Answer::Delivered(true) if delivers => drop(mailroom.delivered.fetch_add(1, Relaxed)),
                Answer::Delivered(false) => ledger.behind = true,
                Answer::Pin(crate::talk::PinAnswer::Right, _) => {}
                Answer::Pin(..) => drop(mailroom.wrong_pins.fetch_add(1, Relaxed)),
                _ => {}
            }
            asker.answer(shared, answer);
        }
        MailboxMsg::Settle(draft) => {
            let settled = ledger.settle(&draft, owner);
            match &settled {
                Ok(true) => drop(mailroom.delivered.fetch_add(1, Relaxed)),
                Ok(false) if draft.purpose == Purpose::Message => drop(mailroom.missed.fetch_add(1, Relaxed)),
                Ok(false) => {}
                Err(error) => tracing::error!(mailbox = house.name, %error, "a recording is not delivered yet"),
            }
            house.drop_draft(draft.voice.number);
            ledger.behind |= settled.is_err();
        }
        MailboxMsg::Missed(voice) => {
            if let Err(error) = ledger.missed(&voice, owner) {
                tracing::error!(mailbox = house.name, %error, "a missed call is not told");
            }
        }
        MailboxMsg::Take(path, voice, reply) => {
            let taken = ledger.take_copy(&path, &voice, owner);
            if let Err(error) = &taken {
                tracing::error!(mailbox = house.name, %error, "a message was not taken");
            } else {
                mailroom.delivered.fetch_add(1, Relaxed);
            }
            reply.send(taken.is_ok());
        }
        MailboxMsg::Count => {}
        MailboxMsg::View(reply) => reply.send(Some(view(ledger, owner))),
        MailboxMsg::Audio(number, reply) => {
            let missing = || StoreError::Damaged { what: format!("there is no message {number}") };
            let voice = ledger.messages.get(&number).ok_or_else(missing);
            reply.send(voice.and_then(|voice| Ok((voice.clone(), ledger.folder.read(voice)?))));
        }
        MailboxMsg::Transcript(number, reply) => {
            let there = ledger.transcripts.contains(&number);
            reply.send(if there { ledger.folder.read_transcript(number) } else { None });
        }
        MailboxMsg::Transcribed(number, transcript, reply) => reply.send(ledger.keep_transcript(number, &transcript)),
        MailboxMsg::Clip(which, reply) => {
            let read = |clip: &store::Clip| {
                let sealed = store::audio::Sealed { bytes: clip.bytes, checksum: clip.checksum };
                store::audio::read(&ledger.folder.clip(&clip.file), sealed)
            };
            reply.send(ledger.clip_of(which).as_ref().map(read).transpose());
        }
        MailboxMsg::SetClip(which, Some(bytes), reply) => {
            let file = format!("clip-{}.wav", crate::shared::unix_ms());
            reply.send(ledger.install_clip(which, &file, &bytes));
        }
        MailboxMsg::SetClip(which, None, reply) => reply.send(ledger.remove_clip(which)),
        MailboxMsg::Callers(reply) => reply.send(ledger.callers()),
        MailboxMsg::SetCallers(book, reply) => {
            let text = serde_json::to_string(&book).ok();
            reply.send(ledger.change(|state| state.callers = text.filter(|_| *book != CallerBook::default())));
        }
        MailboxMsg::Mark(number, step, reply) => {
            let there = ledger.messages.contains_key(&number);
            reply.send(ledger.mark(number, step).map(|()| there));
        }
        MailboxMsg::Import(bytes, voice, reply) => reply.send(ledger.take_import(&bytes, &voice, owner)),
        MailboxMsg::ResetPin(pin, reply) => reply.send(reset_pin(ledger, pin, owner)),
        MailboxMsg::Unlock(reply) => {
            let unlocked = ledger.change(|state| {
                state.locked = false;
                state.failures = 0;
            });
            reply.send(unlocked.is_ok());
        }
        MailboxMsg::Verify(reply) => reply.send(ledger.verify()),
        MailboxMsg::Sweep => {
            if let Err(error) = ledger.sweep(owner) {
                tracing::warn!(mailbox = house.name, %error, "old messages were not removed");
            }
        }
        MailboxMsg::Retire(_) => {}
    }
    nothing
}

fn reset_pin(ledger: &mut Ledger, pin: Option<String>, owner: &Owner) -> Result<String, super::PinFault> {
    let pin = match pin {
        Some(pin) => {
            ledger.set_pin(&pin, true, owner)?;
            pin
        }
        None => ledger.reset_pin(owner)?,
    };
    let unlocked = ledger.change(|state| {
        state.locked = false;
        state.failures = 0;
    });
    unlocked.map(|()| pin).map_err(|_| super::PinFault::NotSaved)
}

fn view(ledger: &Ledger, owner: &Owner) -> MailboxView {
    let has = |which, word| ledger.clip_of(which).is_some().then_some(word);
    MailboxView {
        mailbox: ledger.mailbox.clone(),
        counts: ledger.counts(),
        bytes: ledger.messages.values().map(|voice| voice.bytes).sum(),
        policy: owner.policy.name.clone(),
        has_pin: ledger.state.pin.is_some(),
        must_change: super::pin::must_change(&ledger.state, crate::shared::unix_ms(), &owner.policy.pins),
        locked: ledger.state.locked,
        failures: ledger.state.failures,
        away: ledger.state.away,
        greetings: [has(Which::Greeting, "greeting"), has(Which::Away, "away"), has(Which::Name, "name")]
            .into_iter()
            .flatten()
            .collect(),
        messages: ledger.messages.values().map(|voice| VoiceView::of(voice, ledger)).collect(),
    }
}

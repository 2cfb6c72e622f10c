//! Something is recorded, and the caller decides what becomes of it (reference, unified messaging, 3.7, 4.7).

use media::recorder::{RecordingEnd, Why};
use std::sync::Arc;
use std::time::Duration;

use super::words::{Answer, Ask, Item, Output, Purpose, is_by_key};
use super::{Act, After, MenuId, Mode, Next, Role, Talk, Then};
use crate::mail::{Draft, NoDraft};

/// A recording under way, or waiting for what becomes of it.
pub struct Taken {
    pub purpose: Purpose,
    pub draft: Option<Arc<Draft>>,
    /// What is said before it begins.
    pub before: Vec<Item>,
    pub length: Duration,
    pub sounded: Duration,
    pub urgent: bool,
    pub private: bool,
}

impl Talk {
    /// A place for a recording, before anything is said: who cannot leave a message hears that first.
    pub(super) fn prepare(&mut self, purpose: Purpose, before: Vec<Item>) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        if let Some(draft) = self.taken.take().and_then(|taken| taken.draft) {
            self.out.push(Output::Leave(draft));
        }
        self.taken = Some(Taken {
            purpose,
            draft: None,
            before,
            length: Duration::ZERO,
            sounded: Duration::ZERO,
            urgent: false,
            private: false,
        });
        self.ask(Ask::Draft { mailbox, purpose, caller: self.caller.clone() }, After::Drafted);
    }

    pub(super) fn recording_answered(&mut self, after: After, answer: Answer) {
        match (after, answer) {
            (After::Drafted, Answer::Draft(Ok(draft))) => {
                let Some(taken) = &mut self.taken else { return self.no_messages_now() };
                taken.draft = Some(draft);
                let before = std::mem::take(&mut taken.before);
                self.say(before, Mode::Saying(Next::Record));
            }
            (After::Drafted, Answer::Draft(Err(why))) => {
                let full = matches!(why, NoDraft::Full);
                self.taken = None;
                self.out.push(Output::Note(why.as_str()));
                match (&self.role, full) {
                    (Role::Answering, true) => {
                        if let Some(mailbox) = self.mailbox.clone() {
                            self.out.push(Output::Missed(mailbox));
                        }
                        self.tell(&["mailbox-full", "goodbye"], Next::End("the mailbox is full"));
                    }
                    (Role::Answering, false) => self.no_messages_now(),
                    _ => self.tell(&["cannot-record"], self.home()),
                }
            }
            (After::Drafted, _) => {
                self.taken = None;
                match self.role {
                    Role::Answering => self.no_messages_now(),
                    _ => self.tell(&["cannot-record"], self.home()),
                }
            }
            (After::Delivered, Answer::Delivered(true)) => {
                self.delivered |= matches!(self.role, Role::Answering);
                self.is_kept();
            }
            (After::Delivered, Answer::NotSentTo(names)) => {
                // It is there still, for those who have not got it: the owner may try again.
                self.recipients.retain(|person| names.contains(&person.user));
                self.tell(&["not-done"], Next::Menu(MenuId::Sending));
            }
            (After::Delivered, _) => {
                // What was recorded is on disk as a draft, and delivered when it can be.
                self.taken = None;
                match self.role {
                    Role::Answering => self.tell(&["not-saved", "goodbye"], Next::End("the message is not delivered")),
                    _ => self.tell(&["not-saved"], self.home()),
                }
            }
            (After::Dropped(Then::Fax), _) => self.fax_on(),
            (After::Dropped(then), _) => {
                let purpose = self.taken.take().map(|taken| taken.purpose);
                match (then, purpose) {
                    (Then::Rerecord, Some(purpose)) => {
                        let before = self.words_before(purpose);
                        self.prepare(purpose, before);
                    }
                    _ => self.not_recorded(purpose),
                }
            }
            _ => self.goodbye("a recording came to nothing"),
        }
    }

    /// What is said before somebody records.
    pub(super) fn words_before(&self, purpose: Purpose) -> Vec<Item> {
        let prompt = match purpose {
            Purpose::Message | Purpose::Composed => "record-message",
            Purpose::Clip(super::Which::Name) => "record-name",
            Purpose::Clip(_) => "record-greeting",
        };
        vec![Item::Prompt(prompt), Item::Beep]
    }

    /// Where a caller goes on who has left a message, or has not.
    pub(super) fn home(&self) -> Next {
        match (&self.role, self.signed_in) {
            (_, true) => Next::Menu(MenuId::Main),
            (Role::Attendant(_), false) => Next::Attending,
            _ => Next::End("nothing more is to be done"),
        }
    }

    fn not_recorded(&mut self, purpose: Option<Purpose>) {
        match (purpose, &self.role) {
            (Some(Purpose::Clip(_)), _) => self.tell(&["cancelled"], Next::Menu(MenuId::Greetings)),
            (_, Role::Answering) => self.tell(&["cancelled"], Next::Elsewhere),
            _ => self.tell(&["cancelled"], self.home()),
        }
    }

    /// The tone was heard: the caller speaks.
    pub(super) fn record_now(&mut self) {
        let Some((purpose, draft)) = self.taken.as_ref().and_then(|taken| Some((taken.purpose, taken.draft.clone()?)))
        else {
            return self.no_messages_now();
        };
        let longest = self.left(purpose);
        self.mode = Mode::Recording;
        self.early.clear();
        self.out.push(Output::Sleep);
        self.out.push(Output::Hush);
        self.out.push(Output::Record { draft, longest, silence: self.rules.silence });
    }

    /// A recording has ended in a place where nobody waits for it: only how long it is counts.
    pub(super) fn note_recorded(&mut self, end: &RecordingEnd) {
        if let Some(taken) = &mut self.taken {
            taken.length = end.length;
            taken.sounded += end.sounded;
        }
    }

    pub(super) fn recorded(&mut self, end: &RecordingEnd) {
        self.note_recorded(end);
        let Some(taken) = &self.taken else { return self.goodbye("a recording came to nothing") };
        let (purpose, nothing) = (taken.purpose, taken.sounded < self.rules.recording_min);
        if end.why == Why::Fax {
            return self.fax();
        }
        if end.why == Why::Failed {
            self.out.push(Output::Note("the recording could not be written"));
            // What was written before is a message all the same.
            return match nothing {
                true => self.tell(&["cannot-record", "goodbye"], Next::End("the recording could not be written")),
                false => self.deliver(),
            };
        }
        if nothing && !is_by_key(end.why) && matches!(self.role, Role::Answering) {
            // Silence alone: the mailbox makes a missed call of it.
            return self.tell(&["nothing-recorded", "goodbye"], Next::End("nothing was recorded"));
        }
        if nothing {
            let Some(draft) = self.taken.as_ref().and_then(|taken| taken.draft.clone()) else { return };
            self.out.push(Output::Note("the recording is too short"));
            self.failures += 1;
            let then = if self.failures < self.rules.failures_max { Then::Rerecord } else { Then::CancelRecording };
            return self.ask(Ask::Drop(draft), After::Dropped(then));
        }
        self.failures = 0;
        match purpose {
            Purpose::Clip(_) => self.menu(MenuId::GreetingRecorded),
            _ => self.menu(MenuId::Recorded),
        }
    }

    pub(super) fn recorded_act(&mut self, id: MenuId, act: Act) {
        let Some(taken) = &mut self.taken else { return self.goodbye("a recording came to nothing") };
        match act {
            Act::Keep => self.menu(MenuId::Sending),
            Act::Replay => self.replay(),
            Act::Rerecord => self.throw_away(Then::Rerecord),
            Act::Continue => self.say(vec![Item::Beep], Mode::Saying(Next::Record)),
            Act::Cancel => self.throw_away(Then::CancelRecording),
            Act::Urgent => {
                taken.urgent = !taken.urgent;
                let told = if taken.urgent { "is-urgent" } else { "is-not-urgent" };
                self.tell(&[told], Next::Menu(id));
            }
            Act::Private => {
                taken.private = !taken.private;
                let told = if taken.private { "is-private" } else { "is-not-private" };
                self.tell(&[told], Next::Menu(id));
            }
            Act::Send => self.deliver(),
            _ => self.menu(MenuId::Recorded),
        }
    }

    pub(super) fn replay(&mut self) {
        if let Some(draft) = self.taken.as_ref().and_then(|taken| taken.draft.clone()) {
            self.ask(Ask::Listen(draft), After::Loaded);
        }
    }

    pub(super) fn throw_away(&mut self, then: Then) {
        if let Some(draft) = self.taken.as_ref().and_then(|taken| taken.draft.clone()) {
            self.ask(Ask::Drop(draft), After::Dropped(then));
        }
    }

    /// The recording is a message from now on; the caller hears the tone when it is on disk.
    pub(super) fn deliver(&mut self) {
        let Some(taken) = &self.taken else { return };
        let Some(draft) = taken.draft.clone() else { return };
        let (urgent, private) = (taken.urgent, taken.private);
        let ask = match taken.purpose {
            Purpose::Composed => Ask::Send {
                draft,
                to: self.recipients.iter().map(|person| person.user.clone()).collect(),
                urgent,
                private,
                forwarded: self.forwarded,
            },
            _ => Ask::Deliver { draft, urgent, private },
        };
        self.ask(ask, After::Delivered);
    }

    fn is_kept(&mut self) {
        self.taken = None;
        self.recipients.clear();
        self.forwarded = None;
        let items = vec![Item::Kept, Item::Prompt("message-sent")];
        let next = match (&self.role, self.signed_in) {
            (_, true) if self.hearing.is_some() => Next::Menu(MenuId::Message),
            (_, true) => Next::Menu(MenuId::Main),
            _ => {
                let mut items = items;
                items.push(Item::Prompt("goodbye"));
                return self.say(items, Mode::Saying(Next::End("the message is kept")));
            }
        };
        self.say(items, Mode::Saying(next));
    }

    /// A caller who presses nothing has left a message nevertheless.
    pub(super) fn keeps_what_is_recorded(&mut self) -> bool {
        let Some(taken) = &self.taken else { return false };
        let asked = matches!(self.mode, Mode::Menu(MenuId::Recorded | MenuId::Sending));
        if asked && matches!(taken.purpose, Purpose::Message | Purpose::Composed) {
            self.deliver();
            return true;
        }
        false
    }
}

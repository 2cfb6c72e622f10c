//! A mailbox as it is in memory, and the one way in which it is changed: on disk first.
//!
//! Everything here may wait for the disk. The actor gives the ledger away to the blocking pool for each piece of work and gets it
//! back with the answer, so all that is done to a mailbox is done one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use store::{Letter, LetterKind, LoadedMailbox, MailChange, MailboxState, Mailboxes, StoreError, Voice};

use super::files::{Folder, Numbers};
use super::transcriber::Unread;
use super::transcript::Transcript;
use super::{Counts, Owner};
use crate::shared::unix_ms;
use crate::talk::{CallerBook, View};

/// See the module.
pub struct Ledger {
    pub(super) mailbox: String,
    pub(super) folder: Folder,
    pub(super) store: Mailboxes,
    /// The node's secret.
    pub(super) pepper: Arc<[u8]>,
    pub(super) state: MailboxState,
    pub(super) messages: BTreeMap<u64, Voice>,
    /// Numbers that drafts have, which no message of the index has yet.
    pub(super) given: BTreeSet<u64>,
    /// A letter was posted.
    pub posted: bool,
    /// Messages that came and that a recogniser is to read.
    pub unread: Vec<Unread>,
    /// Messages whose words are known.
    pub(super) transcripts: BTreeSet<u64>,
    /// What the last look at the files has found.
    pub found: Found,
    /// Something in the folder is not in the index, because the disk did not take it: the folder is to be looked at again.
    pub behind: bool,
}

/// What was found when a mailbox was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Messages whose recording was cut short by the end of the process, and that are delivered now.
    pub delivered: usize,
    /// Messages whose record was missing or damaged, made anew from their files.
    pub rebuilt: usize,
    /// Messages whose file is missing or is not what was written.
    pub damaged: usize,
}

impl Ledger {
    /// Opens a mailbox: reads its index, puts right what a crash has left, and delivers what was being recorded, but for `live`
    /// drafts, which are still spoken.
    ///
    /// A disk that takes nothing leaves the mailbox [`Ledger::behind`]: what is in the index can be heard all the same.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        mailbox: &str,
        all: &Path,
        store: Mailboxes,
        pepper: Arc<[u8]>,
        owner: &Owner,
        live: &BTreeSet<u64>,
    ) -> Result<Self, StoreError> {
        let loaded = store.load(mailbox)?;
        let missing = loaded.missing() > 0 || loaded.state.is_none();
        let LoadedMailbox { state, messages, damaged } = loaded;
        let mut this = Self {
            mailbox: mailbox.to_owned(),
            folder: Folder::of(all, mailbox),
            store,
            pepper,
            state: state.unwrap_or_default(),
            messages: messages.into_iter().map(|voice| (voice.number, voice)).collect(),
            given: live.clone(),
            posted: false,
            unread: Vec::new(),
            transcripts: BTreeSet::new(),
            found: Found::default(),
            behind: false,
        };
        this.recover(owner, live, missing, damaged);
        Ok(this)
    }

    fn recover(&mut self, owner: &Owner, live: &BTreeSet<u64>, missing: bool, damaged: u64) {
        let Numbers { messages: files, heads, transcripts } = self.folder.numbers();
        self.transcripts = transcripts;
        let highest =
            [files.last(), heads.last(), self.messages.keys().last(), live.last()].into_iter().flatten().max();
        self.state.next = self.state.next.max(highest.map_or(1, |highest| highest + 1));
        let (mut delivered, mut changes) = (Vec::new(), Vec::new());
        for number in &heads {
            if live.contains(number) {
                continue;
            }
            match self.recover_draft(*number, owner) {
                Some(voice) => delivered.push(voice),
                None if self.messages.contains_key(number) => self.folder.drop_head(*number),
                None => {}
            }
        }
        for number in &files {
            if self.messages.contains_key(number) || delivered.iter().any(|voice: &Voice| voice.number == *number) {
                continue;
            }
            match self.folder.said_by_file(*number).filter(|_| missing) {
                Some(voice) => {
                    self.found.rebuilt += 1;
                    changes.push(voice);
                }
                // It was removed from the index, and its file was about to be.
                None if !missing => self.folder.remove(*number),
                None => self.folder.set_aside(*number),
            }
        }
        let mut marked = Vec::new();
        for voice in self.messages.values_mut().filter(|voice| !voice.damaged) {
            if !self.folder.is_there(voice) {
                voice.damaged = true;
                self.folder.set_aside(voice.number);
                marked.push(voice.clone());
            }
        }
        self.found.damaged = marked.len();
        self.found.delivered = delivered.len();
        // Their owners get a letter of them as of any other.
        let letters: Vec<MailChange> =
            delivered.iter().filter_map(|voice| self.letter(owner, LetterKind::Voice(voice.number), voice)).collect();
        let changed = marked.into_iter().chain(changes).chain(delivered.iter().cloned());
        let changes: Vec<MailChange> = changed.map(MailChange::Put).chain(letters).collect();
        if !changes.is_empty() || damaged > 0 {
            if let Err(error) = self.write(changes) {
                tracing::error!(mailbox = self.mailbox, %error, "a mailbox is not put right yet");
                self.behind = true;
                return;
            }
            for voice in &delivered {
                self.folder.drop_head(voice.number);
                self.give_to_reader(owner, voice);
            }
        }
        if self.found != Found::default() || damaged > 0 {
            tracing::warn!(
                mailbox = self.mailbox,
                delivered = self.found.delivered,
                rebuilt = self.found.rebuilt,
                damaged = self.found.damaged,
                records = damaged,
                "a mailbox was put right"
            );
        }
    }

    /// A recording that was cut short: kept up to its last chunk, if there is something to hear in it.
    fn recover_draft(&mut self, number: u64, owner: &Owner) -> Option<Voice> {
        if self.messages.contains_key(&number) {
            return None;
        }
        let (mut voice, clip) = self.folder.head_of(number).unwrap_or((Voice { number, ..Voice::default() }, true));
        let path = self.folder.message(number);
        if path.exists() {
            return self.folder.said_by_file(number);
        }
        let sealing = store::audio::is_on_its_way(&path);
        let draft = self.folder.draft(number);
        if !sealing {
            let bytes = match what_was_recorded(&draft) {
                Ok(bytes) => bytes,
                Err(error) => {
                    // Not one byte of it is given up for a disk that fails at this moment.
                    tracing::error!(mailbox = self.mailbox, number, %error, "a recording is not delivered yet");
                    self.behind = true;
                    return None;
                }
            };
            voice.length_ms = super::files::length_of(&bytes).unwrap_or(0);
            let least = u64::try_from(owner.recording_min.as_millis()).unwrap_or(u64::MAX);
            if clip || voice.length_ms < least {
                self.folder.drop_draft(number);
                return None;
            }
        }
        let sealed = self.folder.seal(voice).inspect_err(|error| {
            tracing::error!(mailbox = self.mailbox, number, %error, "a recording is not delivered yet");
        });
        self.behind |= sealed.is_err();
        sealed.ok()
    }

    /// Writes changes and the state with them, durably; only then they are in memory.
    ///
    /// # Errors
    /// The store's; nothing is changed then, on disk or here, as far as the store can tell.
    pub(super) fn write(&mut self, changes: Vec<MailChange>) -> Result<(), StoreError> {
        let mut messages = self.messages.len() as u64;
        for change in &changes {
            match change {
                MailChange::Put(voice) if !self.messages.contains_key(&voice.number) => messages += 1,
                MailChange::Remove(number) if self.messages.contains_key(number) => messages -= 1,
                _ => {}
            }
        }
        let mut state = self.state.clone();
        state.messages = messages;
        let (store, mailbox) = (self.store.clone(), self.mailbox.clone());
        store::wait(|reply| store.write(&mailbox, &state, &changes, reply))?;
        self.state = state;
        for change in changes {
            match change {
                MailChange::Put(voice) => {
                    self.given.remove(&voice.number);
                    self.messages.insert(voice.number, voice);
                }
                MailChange::Remove(number) => {
                    self.messages.remove(&number);
                }
                MailChange::Post(_) => self.posted = true,
            }
        }
        Ok(())
    }

    /// Changes the state alone.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub(super) fn change(&mut self, edit: impl FnOnce(&mut MailboxState)) -> Result<(), StoreError> {
        let before = self.state.clone();
        edit(&mut self.state);
        if self.state == before {
            // Nothing to write: what is only looked at needs no disk that takes something.
            return Ok(());
        }
        let written = self.write(Vec::new());
        if written.is_err() {
            self.state = before;
        }
        written
    }

    /// How many messages there are.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for voice in self.messages.values().filter(|voice| voice.is_there()) {
            let (all, urgent) = match voice.heard {
                false => (&mut counts.new, &mut counts.new_urgent),
                true => (&mut counts.old, &mut counts.old_urgent),
            };
            *all += 1;
            *urgent += u32::from(voice.urgent);
        }
        counts
    }

    /// How the mailbox is, for a dialogue.
    pub fn view(&self, owner: &Owner) -> View {
        let now = unix_ms();
        let rules = &owner.policy.pins;
        View {
            messages: self.messages.values().cloned().collect(),
            has_pin: self.state.pin.is_some(),
            must_change: super::pin::must_change(&self.state, now, rules),
            locked: self.state.locked,
            away: self.state.away,
            has_away_greeting: self.state.away_greeting.is_some(),
            has_greeting: self.state.greeting.is_some(),
            welcomed: self.state.welcomed,
            hours_24: self.state.hours_24,
            language: self.state.language.as_deref().and_then(super::language_of),
            zone: self.state.zone.clone().or_else(|| owner.zone.clone()),
            private: owner.policy.private,
            anonymous: owner.policy.anonymous,
            operator: owner.policy.operator.clone(),
            fax: owner.policy.fax.clone(),
            extension: owner.extension.clone(),
            name: self.state.name.as_ref().and_then(|clip| self.folder.read_clip(clip).ok()),
            pin_digits: rules.digits_min,
            callers: Arc::new(if owner.policy.answering_rules { self.callers() } else { CallerBook::default() }),
        }
    }

    /// What the owner has written about callers.
    pub fn callers(&self) -> CallerBook {
        let read = |text: &String| {
            serde_json::from_str(text)
                .inspect_err(|error| tracing::error!(mailbox = self.mailbox, %error, "its callers cannot be read"))
                .ok()
        };
        self.state.callers.as_ref().and_then(read).unwrap_or_default()
    }

    /// A caller's name: the one that is known here, else the owner's for the number.
    pub(super) fn name_of(&self, number: &str, name: &str) -> String {
        match name.is_empty() && !number.is_empty() {
            true => self.callers().contact(number).map(|contact| contact.name.clone()).unwrap_or_default(),
            false => name.to_owned(),
        }
    }

    /// A letter about the mailbox, if its owner gets any.
    pub(super) fn letter(&self, owner: &Owner, kind: LetterKind, voice: &Voice) -> Option<MailChange> {
        let to = owner.email.clone()?;
        let now = unix_ms();
        // It waits for the words, as long as they may take.
        let wait = match kind {
            LetterKind::Voice(_) => owner.transcript_within(voice).unwrap_or_default(),
            LetterKind::Missed | LetterKind::Notice { .. } => std::time::Duration::ZERO,
        };
        Some(MailChange::Post(Letter {
            number: super::outbox::new_number(now),
            mailbox: self.mailbox.clone(),
            to,
            kind,
            from: voice.from.clone(),
            name: voice.name.clone(),
            call_id: voice.call_id.clone(),
            written_ms: now,
            tries: 0,
            due_ms: now + i64::try_from(wait.as_millis()).unwrap_or(0),
            given_up: None,
        }))
    }

    /// A message has come: a recogniser is to read it, where there is one.
    pub(super) fn give_to_reader(&mut self, owner: &Owner, voice: &Voice) {
        if owner.transcript_within(voice).is_some() {
            self.unread.push(Unread {
                mailbox: self.mailbox.clone(),
                number: voice.number,
                length_ms: voice.length_ms,
                caller: voice.name.clone(),
                has_letter: owner.email.is_some(),
            });
        }
    }

    /// A recogniser has read a message.
    ///
    /// # Errors
    /// The disk's; [`StoreError::Damaged`] when the message is not there any more.
    pub fn keep_transcript(&mut self, number: u64, transcript: &Transcript) -> Result<(), StoreError> {
        if !self.messages.contains_key(&number) {
            return Err(StoreError::Damaged { what: format!("there is no message {number}") });
        }
        self.folder.write_transcript(number, transcript)?;
        self.transcripts.insert(number);
        Ok(())
    }

    /// Removes for good what has been deleted for long enough, and what is older than anything is kept.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn sweep(&mut self, owner: &Owner) -> Result<usize, StoreError> {
        let now = unix_ms();
        let older =
            |since: i64, than: std::time::Duration| now - since > i64::try_from(than.as_millis()).unwrap_or(i64::MAX);
        let over: Vec<u64> = self
            .messages
            .values()
            .filter(|voice| {
                let deleted = voice.deleted_ms.is_some_and(|since| older(since, owner.policy.deleted_keep));
                deleted || owner.policy.keep.is_some_and(|keep| older(voice.received_ms, keep))
            })
            .map(|voice| voice.number)
            .collect();
        if !over.is_empty() {
            self.write(over.iter().map(|number| MailChange::Remove(*number)).collect())?;
            for number in &over {
                self.folder.remove(*number);
                self.transcripts.remove(number);
            }
        }
        Ok(over.len())
    }

    /// Reads every file and compares it with the index; what is not what was written is set aside. How many were looked at and
    /// which are damaged.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn verify(&mut self) -> Result<(usize, Vec<u64>), StoreError> {
        let whole = |voice: &Voice| self.folder.read(voice).is_ok();
        let bad: Vec<u64> =
            self.messages.values().filter(|voice| voice.damaged || !whole(voice)).map(|voice| voice.number).collect();
        let newly: Vec<MailChange> = bad
            .iter()
            .filter_map(|number| self.messages.get(number).filter(|voice| !voice.damaged).cloned())
            .map(|voice| MailChange::Put(Voice { damaged: true, ..voice }))
            .collect();
        for change in &newly {
            if let MailChange::Put(voice) = change {
                self.folder.set_aside(voice.number);
            }
        }
        if !newly.is_empty() {
            self.write(newly)?;
        }
        Ok((self.messages.len(), bad))
    }
}

/// A recording that was cut short, made whole; nothing of one that is no recording.
fn what_was_recorded(draft: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match media::recorder::repair(draft) {
        Ok(_) => std::fs::read(draft),
        Err(error) if matches!(error.kind(), NotFound | InvalidData | UnexpectedEof) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

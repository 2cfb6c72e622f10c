//! What a mailbox does when a dialogue asks: each a function on its ledger, which may wait for the disk.

use media::prompt::Audio;
use std::sync::Arc;
use store::{Clip, LetterKind, MailChange, StoreError, Voice, VoiceKind};

use super::files::{self, Folder};
use super::ledger::Ledger;
use super::{Draft, NoDraft, Owner, PinFault, pin};
use crate::shared::unix_ms;
use crate::talk::{Answer, Ask, Caller, PinAnswer, Purpose, Step, Which};

impl Ledger {
    /// Does what a dialogue asks.
    pub fn answer(&mut self, ask: Ask, owner: &Owner) -> Answer {
        let done = match ask {
            Ask::Open(_) => Ok(()),
            Ask::Greeting(_) => return Answer::Sound(self.greeting(), false),
            Ask::CheckPin(_, pin) => return self.check_pin(&pin, owner),
            Ask::SetPin(_, pin) => return Answer::PinSet(self.set_pin(&pin, false, owner)),
            Ask::Load { number, from, percent, louder_db, .. } => {
                return self.load(number, |file| files::piece(file, from, percent, louder_db));
            }
            Ask::Listen(draft) => return listen(&draft),
            Ask::Mark(_, number, step) => self.mark(number, step),
            Ask::Deliver { draft, urgent, private } => {
                let delivered = self.deliver(&draft, urgent, private, owner);
                return Answer::Delivered(delivered.inspect_err(|error| self.complain("delivered", error)).is_ok());
            }
            Ask::Install(draft, which) => self.install(&draft, which),
            Ask::Drop(draft) => {
                self.drop_draft(&draft);
                return Answer::Done;
            }
            Ask::Away(_, away) => self.change(|state| state.away = away),
            Ask::Clock(_, hours_24) => self.change(|state| state.hours_24 = hours_24),
            Ask::Language(_, language) => self.change(|state| state.language = Some(language.tag().to_owned())),
            Ask::Welcomed(_) => self.change(|state| state.welcomed = true),
            // These are not a ledger's: see `mailbox`, and the call.
            Ask::Draft { .. } | Ask::Send { .. } | Ask::Who(_) | Ask::Spell(_) => return Answer::Failed,
        };
        match done {
            Ok(()) => Answer::View(Arc::new(self.view(owner))),
            Err(error) => {
                self.complain("changed", &error);
                Answer::Failed
            }
        }
    }

    fn complain(&self, what: &str, error: &StoreError) {
        tracing::error!(mailbox = self.mailbox, %error, "a mailbox was not {what}");
    }

    /// The greeting that callers hear, if there is one.
    fn greeting(&self) -> Option<Arc<Audio>> {
        let own = self.state.greeting.as_ref();
        let clip = if self.state.away { self.state.away_greeting.as_ref().or(own) } else { own };
        let read = |clip: &Clip| {
            self.folder.read_clip(clip).inspect_err(|error| self.complain("greeted for: its greeting", error)).ok()
        };
        clip.and_then(read)
    }

    fn check_pin(&mut self, pin: &str, owner: &Owner) -> Answer {
        let refused = |answer| Answer::Pin(answer, None);
        if !owner.policy.access {
            // No PIN is right where nobody may call in, and none is counted.
            return refused(PinAnswer::Wrong);
        }
        if self.state.locked {
            return refused(PinAnswer::Locked);
        }
        let right = match (&self.state.pin, &owner.first_pin) {
            (Some(known), _) => pin::is_of(pin, &known.hash, &self.pepper),
            (None, Some(first)) => first == pin,
            (None, None) => false,
        };
        if right && self.state.pin.is_none() && self.set_hash(pin, owner.policy.pin_first_change, owner).is_err() {
            return refused(PinAnswer::Wrong);
        }
        let rules = owner.policy.pins.clone();
        let mut answer = PinAnswer::Wrong;
        // A wrong PIN that could not be counted would be one for nothing.
        if self.change(|state| answer = pin::count(state, right, &rules)).is_err() {
            return Answer::Failed;
        }
        match answer {
            PinAnswer::Right => Answer::Pin(answer, Some(Arc::new(self.view(owner)))),
            PinAnswer::Reset => {
                tracing::warn!(
                    mailbox = self.mailbox,
                    failures = self.state.failures,
                    "wrong PINs: another one is made"
                );
                // Without an address nobody would ever learn it: then the old one stays, and the lock is the end.
                if owner.email.is_none() || self.reset_pin(owner).is_err() {
                    return refused(PinAnswer::Wrong);
                }
                refused(answer)
            }
            PinAnswer::Locked => {
                tracing::warn!(
                    mailbox = self.mailbox,
                    failures = self.state.failures,
                    "wrong PINs: the mailbox is locked"
                );
                refused(answer)
            }
            PinAnswer::Wrong => {
                tracing::warn!(mailbox = self.mailbox, failures = self.state.failures, "a wrong PIN");
                refused(answer)
            }
        }
    }

    /// Sets a PIN of the owner's choice.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set_pin(&mut self, pin: &str, must_change: bool, owner: &Owner) -> Result<(), PinFault> {
        pin::judge(pin, owner.extension.as_deref(), &owner.policy.pins)?;
        if pin::not_again(&self.state).iter().any(|hash| pin::is_of(pin, hash, &self.pepper)) {
            return Err(PinFault::Used);
        }
        self.set_hash(pin, must_change, owner)
    }

    fn set_hash(&mut self, pin: &str, must_change: bool, owner: &Owner) -> Result<(), PinFault> {
        let hash = pin::hash(pin, &self.pepper).ok_or(PinFault::NotSaved)?;
        let now = unix_ms();
        let rules = &owner.policy.pins;
        self.change(|state| pin::set(state, pin, hash, must_change, now, rules)).map_err(|_| PinFault::NotSaved)
    }

    /// Makes another PIN and writes to its owner; it must be changed.
    ///
    /// # Errors
    /// It could not be kept.
    pub fn reset_pin(&mut self, owner: &Owner) -> Result<String, PinFault> {
        let pin = pin::made_up(owner.extension.as_deref(), &owner.policy.pins);
        self.set_hash(&pin, true, owner)?;
        let notice = LetterKind::Notice {
            subject: "Your new PIN for voice mail".into(),
            text: format!("Your PIN for voice mail is now {pin}. You will be asked to change it when you sign in.\n"),
        };
        if let Some(letter) = self.letter(owner, notice, &Voice::default()) {
            self.write(vec![letter]).map_err(|_| PinFault::NotSaved)?;
        }
        Ok(pin)
    }

    fn load(&mut self, number: u64, play: impl FnOnce(&[u8]) -> Result<Option<(Audio, bool)>, StoreError>) -> Answer {
        let Some(voice) = self.messages.get(&number).cloned() else { return Answer::Failed };
        if voice.damaged {
            return Answer::Damaged;
        }
        let read = self.folder.read(&voice).and_then(|file| play(&file));
        match read {
            Ok(Some((sound, more))) => Answer::Sound(Some(Arc::new(sound)), more),
            Ok(None) => Answer::Sound(None, false),
            Err(error) => {
                self.complain("heard", &error);
                if !matches!(error, StoreError::Damaged { .. }) {
                    return Answer::Failed;
                }
                self.folder.set_aside(number);
                let _logged = self
                    .write(vec![MailChange::Put(Voice { damaged: true, ..voice })])
                    .inspect_err(|error| self.complain("marked", error));
                Answer::Damaged
            }
        }
    }

    /// Changes a message.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn mark(&mut self, number: u64, step: Step) -> Result<(), StoreError> {
        let Some(voice) = self.messages.get(&number) else { return Ok(()) };
        let mut changed = voice.clone();
        match step {
            Step::Heard(heard) => changed.heard = heard,
            Step::Flagged(flagged) => changed.flagged = flagged,
            Step::Deleted(true) => changed.deleted_ms = changed.deleted_ms.or(Some(unix_ms())),
            Step::Deleted(false) => changed.deleted_ms = None,
        }
        if changed == *voice {
            return Ok(());
        }
        self.write(vec![MailChange::Put(changed)])
    }

    /// A number for a recording, whose head is then on disk.
    ///
    /// # Errors
    /// Why there is none.
    pub fn draft(&mut self, purpose: Purpose, caller: &Caller, owner: &Owner) -> Result<Voice, NoDraft> {
        let there = self.messages.values().filter(|voice| voice.is_there());
        let bytes: u64 = self.messages.values().map(|voice| voice.bytes).sum();
        let full = there.count() + self.given.len() >= owner.policy.messages_max || bytes >= owner.policy.bytes_max;
        if full && purpose == Purpose::Message {
            return Err(NoDraft::Full);
        }
        let number = self.state.next;
        let voice = Voice {
            number,
            kind: if purpose == Purpose::Message { VoiceKind::Answered } else { VoiceKind::Sent },
            from: caller.number.clone(),
            name: self.name_of(&caller.number, &caller.name),
            sender: caller.mailbox.clone(),
            call_id: caller.call_id.clone(),
            received_ms: unix_ms(),
            ..Voice::default()
        };
        self.folder.begin(&voice, purpose != Purpose::Message).map_err(|error| {
            self.complain("recorded for", &error);
            NoDraft::Disk
        })?;
        self.state.next += 1;
        self.given.insert(number);
        Ok(voice)
    }

    /// A recording that has ended is a message from now on, durably; its owner gets a letter, if any.
    ///
    /// # Errors
    /// The disk's; the draft stays, and is delivered when the mailbox is opened the next time.
    pub fn deliver(&mut self, draft: &Draft, urgent: bool, private: bool, owner: &Owner) -> Result<u64, StoreError> {
        let voice = Voice { urgent, private, length_ms: draft.length_ms(), ..draft.voice.clone() };
        self.take(voice, owner, Folder::seal)
    }

    /// A message that is made by `make` of what lies in the folder.
    ///
    /// # Errors
    /// As [`Ledger::deliver`].
    fn take(
        &mut self,
        voice: Voice,
        owner: &Owner,
        make: impl FnOnce(&Folder, Voice) -> Result<Voice, StoreError>,
    ) -> Result<u64, StoreError> {
        let number = voice.number;
        let voice = make(&self.folder, voice)?;
        let letter = self.letter(owner, LetterKind::Voice(number), &voice);
        self.write(std::iter::once(MailChange::Put(voice.clone())).chain(letter).collect())?;
        self.folder.drop_head(number);
        self.give_to_reader(owner, &voice);
        Ok(number)
    }

    /// A message that another mailbox sends here: a copy of its file.
    ///
    /// # Errors
    /// As [`Ledger::deliver`].
    pub fn take_copy(&mut self, from: &std::path::Path, voice: &Voice, owner: &Owner) -> Result<u64, StoreError> {
        let voice = self.numbered(voice);
        self.take(voice, owner, |folder, voice| folder.copy(from, voice))
    }

    /// A message that an operator brings.
    ///
    /// # Errors
    /// As [`Ledger::deliver`]; [`StoreError::Damaged`] when it is no sound that is known here.
    pub fn take_import(&mut self, bytes: &[u8], voice: &Voice, owner: &Owner) -> Result<u64, StoreError> {
        let voice = self.numbered(voice);
        let quiet = Owner { email: None, transcripts: None, ..owner.clone() };
        self.take(voice, &quiet, |folder, voice| folder.import(bytes, voice))
    }

    fn numbered(&mut self, voice: &Voice) -> Voice {
        let number = self.state.next;
        self.state.next += 1;
        Voice { number, ..voice.clone() }
    }

    /// The sound of a message behind that of a draft, which is then as long; once, however often it is asked for.
    ///
    /// # Errors
    /// The disk's, and what cannot be read.
    pub fn join(&mut self, draft: &Draft, number: u64) -> Result<(), StoreError> {
        if draft.is_joined() {
            return Ok(());
        }
        let voice = self.messages.get(&number).ok_or(StoreError::Damaged { what: "no such message".into() })?;
        let original = files::samples(&self.folder.read(voice)?)?;
        let bytes = std::fs::read(&draft.path)
            .map_err(|error| StoreError::Io { what: "reading a recording", text: error.to_string() })?;
        let both = [files::samples(&bytes)?, original].concat();
        let joined = files::wav_of(&both);
        draft.set_length_ms(files::length_of(&joined)?);
        store::audio::write(&draft.path, &joined)?;
        draft.set_joined();
        Ok(())
    }

    fn install(&mut self, draft: &Draft, which: Which) -> Result<(), StoreError> {
        let name = match which {
            Which::Greeting => "greeting",
            Which::Away => "away",
            Which::Name => "name",
        };
        let bytes = std::fs::read(&draft.path)
            .map_err(|error| StoreError::Io { what: "reading a greeting", text: error.to_string() })?;
        self.install_clip(which, &format!("{name}-{}.wav", draft.voice.number), &bytes)?;
        self.drop_draft(draft);
        Ok(())
    }

    /// Keeps sound as a clip of the mailbox; the one before is removed once the new one is durable.
    ///
    /// # Errors
    /// The disk's; [`StoreError::Damaged`] when it is no sound that is known here.
    pub fn install_clip(&mut self, which: Which, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let length_ms = files::length_of(bytes)?;
        self.folder.make()?;
        let sealed = store::audio::write(&self.folder.clip(file), bytes)?;
        let clip = Clip { file: file.to_owned(), length_ms, bytes: sealed.bytes, checksum: sealed.checksum };
        let before = self.clip_of(which).clone();
        self.change(|state| *place(state, which) = Some(clip))?;
        if let Some(before) = before.filter(|before| before.file != file) {
            self.folder.remove_clip(&before);
        }
        Ok(())
    }

    /// Takes a clip away.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn remove_clip(&mut self, which: Which) -> Result<(), StoreError> {
        let before = self.clip_of(which).clone();
        self.change(|state| *place(state, which) = None)?;
        if let Some(before) = before {
            self.folder.remove_clip(&before);
        }
        Ok(())
    }

    /// A clip of the mailbox.
    pub fn clip_of(&self, which: Which) -> &Option<Clip> {
        match which {
            Which::Greeting => &self.state.greeting,
            Which::Away => &self.state.away_greeting,
            Which::Name => &self.state.name,
        }
    }

    /// Forgets a draft.
    pub fn drop_draft(&mut self, draft: &Draft) {
        self.given.remove(&draft.voice.number);
        self.folder.drop_draft(draft.voice.number);
    }

    /// The caller is gone and the recording has ended: what is to be heard is delivered, else the owner hears of a missed call.
    ///
    /// # Errors
    /// As [`Ledger::deliver`].
    pub fn settle(&mut self, draft: &Draft, owner: &Owner) -> Result<bool, StoreError> {
        if draft.purpose == Purpose::Message && draft.sounded() >= owner.recording_min {
            return self.deliver(draft, false, false, owner).map(|_| true);
        }
        self.drop_draft(draft);
        if draft.purpose == Purpose::Message {
            self.missed(&draft.voice, owner)?;
        }
        Ok(false)
    }

    /// Somebody has called and left nothing.
    ///
    /// # Errors
    /// As [`Ledger::write`].
    pub fn missed(&mut self, voice: &Voice, owner: &Owner) -> Result<(), StoreError> {
        let name = self.name_of(&voice.from, &voice.name);
        let voice = &Voice { name, ..voice.clone() };
        match self.letter(owner, LetterKind::Missed, voice).filter(|_| owner.policy.missed) {
            Some(letter) => self.write(vec![letter]),
            None => Ok(()),
        }
    }
}

fn place(state: &mut store::MailboxState, which: Which) -> &mut Option<Clip> {
    match which {
        Which::Greeting => &mut state.greeting,
        Which::Away => &mut state.away_greeting,
        Which::Name => &mut state.name,
    }
}

fn listen(draft: &Draft) -> Answer {
    let sound = std::fs::read(&draft.path).ok().and_then(|bytes| files::samples(&bytes).ok());
    Answer::Sound(sound.map(|samples| Arc::new(Audio::from_samples(samples))), false)
}

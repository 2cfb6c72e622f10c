//! The outbox: letters that are to be delivered by e-mail, kept until they are, or until their time is over.

use crate::codec::{Decoder, Encoder};
use crate::counts;
use crate::engine::{Batch, Tree};
use crate::locations::check_text;
use crate::mailboxes::Mailboxes;
use crate::{StoreError, value};

/// What a letter is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterKind {
    /// A voice message of the mailbox.
    Voice(u64),
    /// A caller who has left no message.
    Missed,
    /// A notice in words, such as of a PIN that was set anew.
    Notice {
        /// The subject.
        subject: String,
        /// The words.
        text: String,
    },
}

/// A letter that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Names it for ever: later ones have higher numbers.
    pub number: u64,
    /// Whose mailbox it is of.
    pub mailbox: String,
    /// The address that it goes to.
    pub to: String,
    /// What it is about.
    pub kind: LetterKind,
    /// The caller's number or address, of a message or a missed call.
    pub from: String,
    /// The caller's name.
    pub name: String,
    /// Call-ID of the call.
    pub call_id: String,
    /// When it was written, ms since 1970.
    pub written_ms: i64,
    /// Tries that failed.
    pub tries: u32,
    /// When the next try is due, ms since 1970.
    pub due_ms: i64,
    /// It is given up: why. It stays to be seen until it is removed.
    pub given_up: Option<String>,
}

impl Letter {
    pub(crate) fn put(&self) -> Result<Batch, StoreError> {
        check_text("the mailbox", &self.mailbox)?;
        check_text("the address", &self.to)?;
        check_text("the caller", &self.from)?;
        check_text("the caller's name", &self.name)?;
        let mut out = Encoder::default();
        out.text(&self.mailbox).text(&self.to).text(&self.from).text(&self.name).text(&self.call_id);
        match &self.kind {
            LetterKind::Voice(message) => out.number(0).number(*message),
            LetterKind::Missed => out.number(1),
            LetterKind::Notice { subject, text } => out.number(2).text(subject).text(text),
        };
        out.signed(self.written_ms).number(self.tries.into()).signed(self.due_ms);
        out.optional_text(self.given_up.as_deref());
        let key = key(self.number);
        let sealed = value::seal(Tree::Outbox, &key, &out.finish())?;
        let mut batch = Batch::default();
        batch.put(Tree::Outbox, key, sealed);
        Ok(batch)
    }

    fn read(key: &[u8], sealed: &[u8]) -> Result<Self, StoreError> {
        let number = key.first_chunk::<8>().ok_or_else(|| StoreError::damaged("a key of no letter"))?;
        let mut input = Decoder::new(value::open(Tree::Outbox, key, sealed)?);
        let (mailbox, to, from, name, call_id) =
            (input.text()?, input.text()?, input.text()?, input.text()?, input.text()?);
        let kind = match input.number()? {
            0 => LetterKind::Voice(input.number()?),
            1 => LetterKind::Missed,
            2 => LetterKind::Notice { subject: input.text()?, text: input.text()? },
            _ => return Err(StoreError::damaged("a letter of no known kind")),
        };
        let letter = Self {
            number: u64::from_be_bytes(*number),
            mailbox,
            to,
            kind,
            from,
            name,
            call_id,
            written_ms: input.signed()?,
            tries: input.small()?,
            due_ms: input.signed()?,
            given_up: input.optional_text()?,
        };
        input.end()?;
        Ok(letter)
    }
}

impl Mailboxes {
    /// All letters, oldest first; damaged ones are left out.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the engine cannot read on, [`StoreError::Io`].
    pub fn letters(&self) -> Result<Vec<Letter>, StoreError> {
        let mut letters = Vec::new();
        counts::for_each(&*self.shared.engine, Tree::Outbox, |key, sealed| {
            letters.extend(Letter::read(key, sealed));
            Ok(())
        })?;
        Ok(letters)
    }

    /// Writes how a letter stands; `reply` is called once it is durable.
    pub fn put_letter(&self, letter: &Letter, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        match letter.put() {
            Ok(batch) => self.shared.submit(batch, reply),
            Err(error) => reply(Err(error)),
        }
    }

    /// Removes a letter.
    pub fn remove_letter(&self, number: u64, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let mut batch = Batch::default();
        batch.remove(Tree::Outbox, key(number));
        self.shared.submit(batch, reply);
    }
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

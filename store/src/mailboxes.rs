//! Mailboxes: the index of their voice messages, and what each knows of its owner (greetings, PIN, choices).
//!
//! Audio lies in files beside the database ([`crate::audio`]); here is what is said about it. Every write of a mailbox
//! carries its state, and the state carries the number of its messages: a message whose record is missing is noticed.

use std::sync::Arc;

use crate::codec::{Decoder, Encoder, to_text};
use crate::engine::{Batch, SCAN_RECORDS_MAX, Scan, Tree};
use crate::locations::check_text;
use crate::outbox::Letter;
use crate::store::Shared;
use crate::{StoreError, value};

/// Between a mailbox's name and a message's number; the state has none behind it.
const OF_MESSAGE: u8 = b'm';
const OF_STATE: u8 = b's';
/// Most PINs of a history.
const HISTORY_MAX: usize = 20;
/// Most bytes of what an owner has written about callers.
pub const CALLERS_BYTES_MAX: usize = 64 << 10;

/// How a message came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VoiceKind {
    /// Somebody who called and found nobody.
    #[default]
    Answered,
    /// A user recorded it for the owner without a call.
    Sent,
}

/// A voice message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voice {
    /// Its number in the mailbox; higher is later, and none is used twice.
    pub number: u64,
    /// How it came about.
    pub kind: VoiceKind,
    /// The caller's number or address; empty when withheld.
    pub from: String,
    /// The caller's name, where it is known.
    pub name: String,
    /// The mailbox of the caller, where it has one here: replies go there.
    pub sender: Option<String>,
    /// Call-ID of the call.
    pub call_id: String,
    /// When it was left, ms since 1970.
    pub received_ms: i64,
    /// How long it plays, ms.
    pub length_ms: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// CRC32C of its file.
    pub checksum: u32,
    /// The owner has heard it.
    pub heard: bool,
    /// The caller said that it is urgent.
    pub urgent: bool,
    /// The caller said that it is private: it is not forwarded.
    pub private: bool,
    /// The owner has marked it for later.
    pub flagged: bool,
    /// Its file is missing or is not what was written.
    pub damaged: bool,
    /// When the owner deleted it, ms since 1970; it can be had back until it is removed.
    pub deleted_ms: Option<i64>,
}

impl Voice {
    /// Whether the owner still has it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.deleted_ms.is_none()
    }
}

/// A recording of a mailbox that is no message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clip {
    /// The name of its file in the mailbox's folder.
    pub file: String,
    /// How long it plays, ms.
    pub length_ms: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// CRC32C of its file.
    pub checksum: u32,
}

/// A PIN, hashed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pin {
    /// The hash with its salt and parameters, as a PHC string.
    pub hash: String,
    /// How many digits it has.
    pub digits: u32,
    /// When it was set, ms since 1970.
    pub set_ms: i64,
    /// It must be changed at the next sign-in.
    pub must_change: bool,
}

/// What a mailbox knows besides its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxState {
    /// The number of the next message.
    pub next: u64,
    /// Messages of the index, deleted ones among them.
    pub messages: u64,
    /// The PIN; none yet.
    pub pin: Option<Pin>,
    /// Hashes of the PINs before, the newest first.
    pub history: Vec<String>,
    /// Wrong PINs since the last right one.
    pub failures: u32,
    /// Nobody gets in until an operator says so.
    pub locked: bool,
    /// The away greeting is played.
    pub away: bool,
    /// The owner has heard how it works.
    pub welcomed: bool,
    /// The times are said in 24 hours.
    pub hours_24: bool,
    /// The language of the menus, where it is not that of the switch.
    pub language: Option<String>,
    /// The time zone, where it is not that of the switch.
    pub zone: Option<String>,
    /// The greeting.
    pub greeting: Option<Clip>,
    /// The greeting while away.
    pub away_greeting: Option<Clip>,
    /// The owner's name, spoken.
    pub name: Option<Clip>,
    /// What the owner has written about callers, in the words of whoever reads it; at most [`CALLERS_BYTES_MAX`].
    pub callers: Option<String>,
}

/// A change of a mailbox's index.
#[derive(Debug, Clone)]
pub enum MailChange {
    /// The message is so from now on, or new.
    Put(Voice),
    /// The message is gone.
    Remove(u64),
    /// A letter is to be delivered.
    Post(Letter),
}

/// A mailbox as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedMailbox {
    /// Its state; `None` for one that was never written, or whose state is damaged.
    pub state: Option<MailboxState>,
    /// Its messages, oldest first.
    pub messages: Vec<Voice>,
    /// Records that are not what was written.
    pub damaged: u64,
}

impl LoadedMailbox {
    /// Records that were promised and are not there or not whole.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let promised = self.state.as_ref().map_or(0, |state| state.messages);
        promised.saturating_sub(self.messages.len() as u64).max(self.damaged)
    }
}

/// The view of mailboxes.
#[derive(Clone)]
pub struct Mailboxes {
    pub(crate) shared: Arc<Shared>,
}

impl Mailboxes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Reads a mailbox. What is damaged is left out and counted.
    ///
    /// # Errors
    /// [`StoreError::BadKey`], [`StoreError::Damaged`] when the engine cannot read on, [`StoreError::Io`].
    pub fn load(&self, mailbox: &str) -> Result<LoadedMailbox, StoreError> {
        let mut loaded = LoadedMailbox::default();
        let key = state_key(mailbox)?;
        if let Some(sealed) = self.shared.engine.get(Tree::Mail, &key)? {
            match read_state(&key, &sealed) {
                Ok(state) => loaded.state = Some(state),
                Err(_) => loaded.damaged += 1,
            }
        }
        let mut scan = Scan::prefix(Tree::Mail, &message_prefix(mailbox)?, SCAN_RECORDS_MAX);
        loop {
            let page = self.shared.engine.scan(&scan)?;
            let Some((last, _)) = page.last() else { return Ok(loaded) };
            scan.from = [last.as_slice(), &[0]].concat();
            for (key, sealed) in &page {
                match read_message(key, sealed) {
                    Ok(message) => loaded.messages.push(message),
                    Err(_) => loaded.damaged += 1,
                }
            }
        }
    }

    /// The names of all mailboxes that were ever written, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        let mut scan = Scan { tree: Tree::Mail, from: Vec::new(), until: None, backwards: false, limit: 1 };
        loop {
            let page = self.shared.engine.scan(&scan)?;
            let Some((key, _)) = page.first() else { return Ok(names) };
            let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
            names.extend(to_text(name));
            // The first key past all of this mailbox's.
            scan.from = [name, &[1]].concat();
        }
    }

    /// Writes a mailbox's state and changes of its index and the outbox, all or nothing; `reply` is called once it is durable.
    pub fn write(
        &self,
        mailbox: &str,
        state: &MailboxState,
        changes: &[MailChange],
        reply: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        match batch(mailbox, state, changes) {
            Ok(batch) => self.shared.submit(batch, reply),
            Err(error) => reply(Err(error)),
        }
    }
}

fn batch(mailbox: &str, state: &MailboxState, changes: &[MailChange]) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    for change in changes {
        match change {
            MailChange::Put(message) => {
                let key = message_key(mailbox, message.number)?;
                let sealed = value::seal(Tree::Mail, &key, &write_message(message)?)?;
                batch.put(Tree::Mail, key, sealed);
            }
            MailChange::Remove(number) => batch.remove(Tree::Mail, message_key(mailbox, *number)?),
            MailChange::Post(letter) => batch.extend(letter.put()?),
        }
    }
    let key = state_key(mailbox)?;
    let sealed = value::seal(Tree::Mail, &key, &write_state(state)?)?;
    batch.put(Tree::Mail, key, sealed);
    Ok(batch)
}

fn write_message(message: &Voice) -> Result<Vec<u8>, StoreError> {
    check_text("the caller", &message.from)?;
    check_text("the caller's name", &message.name)?;
    check_text("the call-id", &message.call_id)?;
    let flags = [message.heard, message.urgent, message.private, message.flagged, message.damaged];
    let mut out = Encoder::default();
    out.number(match message.kind {
        VoiceKind::Answered => 0,
        VoiceKind::Sent => 1,
    })
    .text(&message.from)
    .text(&message.name)
    .optional_text(message.sender.as_deref())
    .text(&message.call_id)
    .signed(message.received_ms)
    .number(message.length_ms)
    .number(message.bytes)
    .number(message.checksum.into())
    .number(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(*flag)))
    .signed(message.deleted_ms.unwrap_or(i64::MIN));
    Ok(out.finish())
}

fn read_message(key: &[u8], sealed: &[u8]) -> Result<Voice, StoreError> {
    let (_, number) = key.split_last_chunk::<8>().ok_or_else(|| StoreError::damaged("a key of no voice message"))?;
    let mut input = Decoder::new(value::open(Tree::Mail, key, sealed)?);
    let mut message = Voice {
        number: u64::from_be_bytes(*number),
        kind: match input.number()? {
            0 => VoiceKind::Answered,
            1 => VoiceKind::Sent,
            _ => return Err(StoreError::damaged("a voice message of no known kind")),
        },
        from: input.text()?,
        name: input.text()?,
        sender: input.optional_text()?,
        call_id: input.text()?,
        received_ms: input.signed()?,
        length_ms: input.number()?,
        bytes: input.number()?,
        checksum: input.small()?,
        ..Voice::default()
    };
    let flags = input.number()?;
    let is = |bit: u32| flags >> bit & 1 == 1;
    (message.heard, message.urgent, message.private, message.flagged, message.damaged) =
        (is(0), is(1), is(2), is(3), is(4));
    message.deleted_ms = Some(input.signed()?).filter(|ms| *ms != i64::MIN);
    input.end()?;
    Ok(message)
}

fn write_state(state: &MailboxState) -> Result<Vec<u8>, StoreError> {
    let mut out = Encoder::default();
    let flags =
        [state.locked, state.away, state.welcomed, state.hours_24, state.pin.is_some(), state.callers.is_some()];
    out.number(state.next)
        .number(state.messages)
        .number(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(*flag)))
        .number(state.failures.into())
        .optional_text(state.language.as_deref())
        .optional_text(state.zone.as_deref());
    if let Some(pin) = &state.pin {
        check_text("a PIN's hash", &pin.hash)?;
        out.text(&pin.hash).number(pin.digits.into()).signed(pin.set_ms).number(pin.must_change.into());
    }
    let history = state.history.iter().take(HISTORY_MAX);
    out.number(history.len() as u64);
    for hash in history {
        check_text("a PIN's hash", hash)?;
        out.text(hash);
    }
    for clip in [&state.greeting, &state.away_greeting, &state.name] {
        out.optional_text(clip.as_ref().map(|clip| clip.file.as_str()));
        if let Some(clip) = clip {
            out.number(clip.length_ms).number(clip.bytes).number(clip.checksum.into());
        }
    }
    if let Some(callers) = &state.callers {
        if callers.len() > CALLERS_BYTES_MAX {
            let (what, bytes, max) = ("what is said of callers", callers.len(), CALLERS_BYTES_MAX);
            return Err(StoreError::TooLarge { what, bytes, max });
        }
        out.text(callers);
    }
    Ok(out.finish())
}

fn read_state(key: &[u8], sealed: &[u8]) -> Result<MailboxState, StoreError> {
    let mut input = Decoder::new(value::open(Tree::Mail, key, sealed)?);
    let mut state = MailboxState { next: input.number()?, messages: input.number()?, ..MailboxState::default() };
    let flags = input.number()?;
    let is = |bit: u32| flags >> bit & 1 == 1;
    (state.locked, state.away, state.welcomed, state.hours_24) = (is(0), is(1), is(2), is(3));
    state.failures = input.small()?;
    state.language = input.optional_text()?;
    state.zone = input.optional_text()?;
    if is(4) {
        let (hash, digits) = (input.text()?, input.small()?);
        state.pin = Some(Pin { hash, digits, set_ms: input.signed()?, must_change: input.number()? != 0 });
    }
    let history = input.small::<usize>()?;
    if history > HISTORY_MAX {
        return Err(StoreError::damaged("a history of too many PINs"));
    }
    for _ in 0..history {
        state.history.push(input.text()?);
    }
    let mut clip = || -> Result<Option<Clip>, StoreError> {
        let Some(file) = input.optional_text()? else { return Ok(None) };
        let (length_ms, bytes) = (input.number()?, input.number()?);
        Ok(Some(Clip { file, length_ms, bytes, checksum: input.small()? }))
    };
    (state.greeting, state.away_greeting, state.name) = (clip()?, clip()?, clip()?);
    // A state of before there was such a thing has none.
    state.callers = if is(5) { Some(input.text()?) } else { None };
    input.end()?;
    Ok(state)
}

fn prefix(mailbox: &str, of: u8) -> Result<Vec<u8>, StoreError> {
    check_text("the mailbox", mailbox)?;
    if mailbox.is_empty() || mailbox.bytes().any(|byte| byte < 2) {
        return Err(StoreError::BadKey { what: "the mailbox" });
    }
    Ok([mailbox.as_bytes(), &[0, of]].concat())
}

fn message_prefix(mailbox: &str) -> Result<Vec<u8>, StoreError> {
    prefix(mailbox, OF_MESSAGE)
}

fn message_key(mailbox: &str, number: u64) -> Result<Vec<u8>, StoreError> {
    Ok([prefix(mailbox, OF_MESSAGE)?.as_slice(), &number.to_be_bytes()].concat())
}

fn state_key(mailbox: &str) -> Result<Vec<u8>, StoreError> {
    prefix(mailbox, OF_STATE)
}

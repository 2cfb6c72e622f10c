//! What goes into a dialogue, and what comes out of it.

use media::Audio;
use media::prompt::Language;
use media::recorder::{RecordingEnd, Why};
use std::sync::Arc;
use std::time::Duration;
use store::Voice;

use super::rule::CallerBook;
use crate::mail::{Draft, NoDraft, PinFault};

/// What holds for all dialogues.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The language where nobody says another.
    pub language: Language,
    /// The longest message.
    pub recording_max: Duration,
    /// Silence that ends a recording.
    pub silence: Duration,
    /// What is shorter is no message.
    pub recording_min: Duration,
    /// The longest greeting.
    pub greeting_max: Duration,
    /// Wrong inputs in a row, then the operator or the end.
    pub failures_max: u32,
    /// Wrong PINs of a call.
    pub wrong_pins_max: u32,
    /// How long a key may take after what was said.
    pub key_within: Duration,
    /// How long the next key of a row may take.
    pub next_key_within: Duration,
    /// How far a message is skipped.
    pub skip: Duration,
    /// Who helps on `0`.
    pub operator: Option<String>,
    /// The attendant of callers who press `*` at voice access.
    pub attendant: Option<String>,
    /// Digits of an extension.
    pub extension_digits: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            language: Language::English,
            recording_max: Duration::from_secs(1200),
            silence: Duration::from_secs(5),
            recording_min: Duration::from_secs(1),
            greeting_max: Duration::from_secs(300),
            failures_max: 3,
            wrong_pins_max: 3,
            key_within: Duration::from_secs(5),
            next_key_within: Duration::from_millis(1200),
            skip: Duration::from_secs(5),
            operator: None,
            attendant: None,
            extension_digits: 4,
        }
    }
}

/// Who calls.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Number or address; empty when withheld.
    pub number: String,
    /// Name, where it is known.
    pub name: String,
    /// Its own mailbox here.
    pub mailbox: Option<String>,
    /// Call-ID of the call.
    pub call_id: String,
}

/// Somebody of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user: String,
    /// The shown name.
    pub display: String,
    /// The number to call.
    pub extension: Option<String>,
    /// Whether it has a mailbox.
    pub has_mailbox: bool,
}

/// A mailbox as a dialogue sees it.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its messages, deleted ones among them, oldest first.
    pub messages: Vec<Voice>,
    /// Whether it has a PIN.
    pub has_pin: bool,
    /// Whether the PIN must be changed.
    pub must_change: bool,
    /// Nobody gets in.
    pub locked: bool,
    /// The away greeting is on.
    pub away: bool,
    /// There is a greeting while away.
    pub has_away_greeting: bool,
    /// There is a greeting.
    pub has_greeting: bool,
    /// The owner has heard how it works.
    pub welcomed: bool,
    /// Times in 24 hours.
    pub hours_24: bool,
    /// Its language.
    pub language: Option<Language>,
    /// Its time zone.
    pub zone: Option<String>,
    /// Whether callers may mark a message as private.
    pub private: bool,
    /// Whether callers who withhold who they are may leave a message.
    pub anonymous: bool,
    /// Whom a caller gets on `0`.
    pub operator: Option<String>,
    /// Where a fax is taken.
    pub fax: Option<String>,
    /// Its owner's number.
    pub extension: Option<String>,
    /// The owner's name, spoken.
    pub name: Option<Arc<Audio>>,
    /// Digits of a PIN, at least.
    pub pin_digits: usize,
    /// What its owner has written about callers.
    pub callers: Arc<CallerBook>,
}

impl View {
    /// New and old messages that are there.
    pub fn counts(&self) -> (u32, u32) {
        let count = |heard| self.messages.iter().filter(|voice| voice.is_there() && voice.heard == heard).count();
        let small = |count| u32::try_from(count).unwrap_or(u32::MAX);
        (small(count(false)), small(count(true)))
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A prompt.
    Prompt(&'static str),
    /// Digits one by one.
    Digits(String),
    /// A name, spelled.
    Spell(String),
    /// A number.
    Number(u32),
    /// How many messages there are.
    Messages(u32, u32),
    /// A point in time, ms since 1970, in a zone.
    When(i64, Option<String>, bool),
    /// A recording.
    Sound(Arc<Audio>),
    /// The tone after which a recording begins.
    Beep,
    /// The tone that says: it is kept.
    Kept,
}

/// What becomes of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A message of somebody who has called.
    Message,
    /// A message of somebody who has signed in.
    Composed,
    /// A clip of the mailbox.
    Clip(Which),
}

/// A clip of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The greeting.
    Greeting,
    /// The greeting while away.
    Away,
    /// The owner's name.
    Name,
}

/// A change of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has been heard, or has not.
    Heard(bool),
    /// It is marked for later, or not.
    Flagged(bool),
    /// It is deleted, or back.
    Deleted(bool),
}

/// What a dialogue asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// How a mailbox is.
    Open(String),
    /// The greeting that callers hear now.
    Greeting(String),
    /// Whether this is the PIN.
    CheckPin(String, String),
    /// Sets another PIN.
    SetPin(String, String),
    /// A piece of a message: from where, at which speed (per cent), how much louder (dB).
    Load {
        /// The mailbox.
        mailbox: String,
        /// The message.
        number: u64,
        /// From where.
        from: Duration,
        /// At which speed.
        percent: u32,
        /// How much louder, dB.
        louder_db: i32,
    },
    /// What a draft sounds like.
    Listen(Arc<Draft>),
    /// Changes a message.
    Mark(String, u64, Step),
    /// A place for a recording.
    Draft {
        /// The mailbox.
        mailbox: String,
        /// What becomes of it.
        purpose: Purpose,
        /// Who records it.
        caller: Caller,
    },
    /// The recording is a message of its mailbox.
    Deliver {
        /// The recording.
        draft: Arc<Draft>,
        /// It is urgent.
        urgent: bool,
        /// It is private.
        private: bool,
    },
    /// The recording, and a message that is forwarded, go to these mailboxes.
    Send {
        /// The recording.
        draft: Arc<Draft>,
        /// The mailboxes.
        to: Vec<String>,
        /// It is urgent.
        urgent: bool,
        /// It is private.
        private: bool,
        /// A message of the sender that goes with it.
        forwarded: Option<u64>,
    },
    /// The recording is a clip of its mailbox.
    Install(Arc<Draft>, Which),
    /// The recording is thrown away.
    Drop(Arc<Draft>),
    /// The away greeting is on, or off.
    Away(String, bool),
    /// Times are said in 24 hours, or not.
    Clock(String, bool),
    /// The language of the menus.
    Language(String, Language),
    /// The owner has heard how it works.
    Welcomed(String),
    /// Whose extension this is.
    Who(String),
    /// Who is spelled so on a keypad.
    Spell(String),
}

/// What a mailbox says of a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAnswer {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// It is wrong, and another one is on its way to the owner.
    Reset,
    /// Nobody gets in until an operator says so.
    Locked,
}

/// What a dialogue is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// How the mailbox is, also after a change.
    View(Arc<View>),
    /// Sound, if there is any; for a piece of a message also whether more comes after it.
    Sound(Option<Arc<Audio>>, bool),
    /// What a PIN is worth.
    Pin(PinAnswer, Option<Arc<View>>),
    /// Whether the PIN was set.
    PinSet(Result<(), PinFault>),
    /// A place for a recording.
    Draft(Result<Arc<Draft>, NoDraft>),
    /// The message is on disk, or not.
    Delivered(bool),
    /// The message did not reach these mailboxes; the recording is there still.
    NotSentTo(Vec<String>),
    /// People who match.
    People(Vec<Person>),
    /// What is asked for is not what was written.
    Damaged,
    /// It is done.
    Done,
    /// It cannot be done now.
    Failed,
}

/// What comes into a dialogue.
#[derive(Clone, Debug)]
pub enum Input {
    /// A key, and how far what is said has been heard.
    Key(char, Duration),
    /// All was said.
    Played,
    /// A recording has ended, and is on disk.
    Recorded(RecordingEnd),
    /// An answer.
    Answer(Answer),
    /// The timer.
    Due,
}

/// What a dialogue wants.
#[derive(Clone, Debug)]
pub enum Output {
    /// Say this, instead of what is being said.
    Play(Vec<Item>, Language),
    /// Say nothing.
    Hush,
    /// Ask that.
    Ask(Ask),
    /// Record the caller.
    Record {
        /// Where.
        draft: Arc<Draft>,
        /// For how long at most.
        longest: Duration,
        /// The silence that ends it.
        silence: Duration,
    },
    /// Say when so much time is over, instead of what was asked before.
    Wake(Duration),
    /// Nobody is to be woken.
    Sleep,
    /// Connect the caller with this number.
    Transfer(String),
    /// Connect the caller with this number, as the owner of a mailbox wants it.
    Reach {
        /// The number.
        number: String,
        /// The owner.
        of: String,
        /// For how long it rings.
        ring: Option<Duration>,
        /// Whether who answers is asked first.
        asks: bool,
    },
    /// A recording that this dialogue leaves behind: its mailbox decides.
    Leave(Arc<Draft>),
    /// Hang up.
    End(&'static str),
    /// Somebody has called and left nothing.
    Missed(String),
    /// For the record of the call.
    Note(&'static str),
}

/// Whether a recording has ended by the hand of the caller.
pub fn is_by_key(why: Why) -> bool {
    matches!(why, Why::Key(_))
}

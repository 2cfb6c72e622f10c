//! Mailboxes: an actor for each that is in use, which nobody else touches.
//!
//! What a mailbox *is* lies in the store and in its folder ([`store::Mailboxes`], [`store::audio`]). Its actor opens it when
//! somebody first asks, does one thing after the other on it (`ledger`), and lets go of it after some minutes of rest. What must
//! outlive the actor lies beside it, in its [`House`]: the recordings that are being spoken.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `mailbox` | the actor |
//! | `room` | finding and starting it; how many messages each has |
//! | `ledger` | opening, putting right, writing |
//! | `work` | what dialogues and operators ask |
//! | `detail` | what records of calls say of voice mail, and their sums |
//! | `files`, `head` | the folder |
//! | `pin` | PINs |
//! | `play` | messages that are played on a phone |
//! | `postmaster` | what is done without being asked |
//! | `outbox`, `letter` | e-mail |
//! | `lamplighter` | lamps of phones behind gateways |
//! | `transcriber`, `transcript` | words of messages, by a recogniser |

mod detail;
mod files;
mod head;
mod lamplighter;
mod ledger;
mod letter;
mod mailbox;
mod outbox;
mod pin;
mod play;
mod postmaster;
mod room;
mod transcriber;
mod transcript;
mod work;

pub use detail::{
    COLUMNS, MailCall, MailDetail, MailRecord, OfferResult, Outgoing, ReasonForCall, RecordBurst, RecordMedia,
    Statistics, SumBy, Sums,
};
pub use files::PIECE;
pub use lamplighter::{Lamplighter, LamplighterMsg};
pub use ledger::Found;
pub use mailbox::{Asker, Mailbox, MailboxMsg, MailboxView, VoiceView};
pub use outbox::{Outbox, OutboxMsg, Smtp, SmtpSecurity};
pub use pin::{PinFault, PinRules, judge};
pub use play::{Play, PlayFailure, PlayState, PlayView, Played, Plays};
pub use postmaster::Postmaster;
pub use room::{House, Mailroom, NotTaken};
pub use transcriber::{Transcriber, TranscriptSettings};
pub use transcript::{Transcript, Word};

use media::prompt::Language;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Voice;

use crate::directory::User;
use crate::settings::Settings;
use crate::talk::{Purpose, Rules};

/// Voice mail as it was configured.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// The folder of all mailboxes.
    pub folder: PathBuf,
    /// What holds for dialogues.
    pub rules: Arc<Rules>,
    /// How long phones of a user with a mailbox ring before it answers.
    pub answer_after: Duration,
    /// The longest call of voice mail.
    pub call_max: Duration,
    /// How sound is kept.
    pub encoding: media::wav::Encoding,
    /// How e-mail leaves; `None`: it does not.
    pub smtp: Option<Smtp>,
    /// How the words of messages are made out; `None`: they are not.
    pub transcripts: Option<Arc<TranscriptSettings>>,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("mail"),
            rules: Arc::default(),
            answer_after: Duration::from_secs(20),
            call_max: Duration::from_secs(1800),
            encoding: media::wav::Encoding::G711(media::codec::g711::Law::Mu),
            smtp: None,
            transcripts: None,
        }
    }
}

/// What mailboxes may be like.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// PINs.
    pub pins: PinRules,
    /// Whether a PIN from the configuration must be changed at the first sign-in.
    pub pin_first_change: bool,
    /// Messages of a mailbox.
    pub messages_max: usize,
    /// Bytes of their files.
    pub bytes_max: u64,
    /// How long a message is kept; `None`: until it is deleted.
    pub keep: Option<Duration>,
    /// How long a deleted one can be had back.
    pub deleted_keep: Duration,
    /// Whether callers who withhold who they are may leave a message.
    pub anonymous: bool,
    /// Whether callers may mark a message as private.
    pub private: bool,
    /// Whether phones are told of messages (RFC 3842).
    pub lamp: bool,
    /// Gateways behind which the lamps of phones are, in the order in which they are tried.
    pub lamp_gateways: Vec<String>,
    /// Whether the owner gets messages and missed calls by e-mail.
    pub missed: bool,
    /// Whom a caller gets on `0`.
    pub operator: Option<String>,
    /// Whether call answering rules of the owner count.
    pub answering_rules: bool,
    /// Whether messages are played on a phone that the owner names.
    pub play_on_phone: bool,
    /// How the sound of messages is attached to e-mail.
    pub attach: Attach,
    /// The node that keeps these mailboxes; `None` is this one.
    pub home: Option<Home>,
    /// Where a fax that calls a mailbox is taken; `None`: it is a message like others.
    pub fax: Option<String>,
    /// Whether the owner may call in to hear messages.
    pub access: bool,
    /// Whether the words of messages are made out, where there is a recogniser.
    pub transcripts: bool,
}

/// How the sound of a message is attached to e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// As it is kept.
    Wav,
    /// Opus in Ogg (RFC 7845).
    Opus,
}

/// Another node, which keeps mailboxes.
#[derive(Clone, Debug)]
pub struct Home {
    /// The gateway that it is to us.
    pub gateway: String,
    /// What is dialled there; `None` is the user's own number.
    pub pilot: Option<String>,
    /// How calls get there.
    pub front: Front,
}

/// How a call gets to the node of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// The caller is told where it is (302).
    Redirect,
    /// It goes through this switch.
    Proxy,
}

/// The mailbox of a user, as it was configured.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// What it may be like.
    pub policy: Arc<Policy>,
    /// The PIN until the owner has set one.
    pub pin: Option<String>,
    /// Where e-mail about it goes.
    pub email: Option<String>,
}

/// Whose a mailbox is, under the settings in force.
#[derive(Clone, Debug)]
pub struct Owner {
    /// What it may be like.
    pub policy: Arc<Policy>,
    /// The owner's number.
    pub extension: Option<String>,
    /// The PIN until the owner has set one.
    pub first_pin: Option<String>,
    /// Where e-mail goes, if any goes.
    pub email: Option<String>,
    /// The time zone.
    pub zone: Option<String>,
    /// What is shorter is no message.
    pub recording_min: Duration,
    /// How the words of messages are made out, if they are.
    pub transcripts: Option<Arc<TranscriptSettings>>,
}

impl Owner {
    /// The owner of a user's mailbox; `None` of a user without one, or whose is kept by another node.
    pub fn of(user: &User, settings: &Settings) -> Option<Self> {
        let assigned = user.mailbox.as_ref().filter(|assigned| assigned.policy.home.is_none())?;
        Some(Self {
            policy: Arc::clone(&assigned.policy),
            extension: user.extension.clone(),
            first_pin: assigned.pin.clone(),
            email: assigned.email.clone().filter(|_| settings.mail.smtp.is_some()),
            zone: None,
            recording_min: settings.mail.rules.recording_min,
            transcripts: settings.mail.transcripts.clone().filter(|_| assigned.policy.transcripts),
        })
    }

    /// How long the words of a message may take; `None` of one that is not read.
    pub fn transcript_within(&self, voice: &Voice) -> Option<Duration> {
        let settings = self.transcripts.as_ref()?;
        (Duration::from_millis(voice.length_ms) <= settings.longest).then(|| settings.within(voice.length_ms))
    }
}

/// How many messages a mailbox has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Not heard.
    pub new: u32,
    /// Heard.
    pub old: u32,
    /// Not heard, and urgent.
    pub new_urgent: u32,
    /// Heard, and urgent.
    pub old_urgent: u32,
}

/// A recording that is spoken, or waits for what becomes of it.
#[derive(Debug)]
pub struct Draft {
    /// The mailbox whose folder it is in.
    pub mailbox: String,
    /// What it will be; its number is that of the message.
    pub voice: Voice,
    /// What becomes of it.
    pub purpose: Purpose,
    /// Its file.
    pub path: PathBuf,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    length_ms: u64,
    sounded: Duration,
    running: bool,
    /// Its call is gone.
    orphan: bool,
    /// A message that is forwarded is behind it.
    joined: bool,
}

impl Draft {
    pub(crate) fn new(mailbox: &str, voice: Voice, purpose: Purpose, path: PathBuf) -> Self {
        Self { mailbox: mailbox.to_owned(), voice, purpose, path, progress: Mutex::default() }
    }

    /// A recording into it begins.
    pub fn begins(&self) {
        self.progress.lock().running = true;
    }

    /// The recording has ended, and is on disk. True when its call has gone meanwhile.
    pub fn ends(&self, end: &media::recorder::RecordingEnd) -> bool {
        let mut progress = self.progress.lock();
        progress.running = false;
        progress.length_ms = u64::try_from(end.length.as_millis()).unwrap_or(0);
        progress.sounded += end.sounded;
        progress.orphan
    }

    /// Its call is gone. True when nothing is recorded into it any more.
    pub fn orphaned(&self) -> bool {
        let mut progress = self.progress.lock();
        progress.orphan = true;
        !progress.running
    }

    fn length_ms(&self) -> u64 {
        self.progress.lock().length_ms
    }

    fn set_length_ms(&self, length_ms: u64) {
        self.progress.lock().length_ms = length_ms;
    }

    fn is_joined(&self) -> bool {
        self.progress.lock().joined
    }

    fn set_joined(&self) {
        self.progress.lock().joined = true;
    }

    fn sounded(&self) -> Duration {
        self.progress.lock().sounded
    }
}

/// Why there is no place for a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDraft {
    /// The mailbox has all that it may have.
    Full,
    /// The disk does not take it.
    Disk,
}

impl NoDraft {
    /// In words, for the record of the call.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "the mailbox is full",
            Self::Disk => "the disk takes no recording",
        }
    }
}

/// The language of a tag.
pub(crate) fn language_of(tag: &str) -> Option<Language> {
    Language::ALL.into_iter().find(|language| language.tag() == tag)
}

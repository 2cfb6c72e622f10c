//! What the switch says to a caller of a mailbox or an attendant, and what it makes of the keys that come back.
//!
//! Rules alone: a [`Talk`] takes an [`Input`] (a key, the end of what was said, an answer of a mailbox, a timer) and gives
//! [`Output`]s (say this, record, ask the mailbox that, wake me then). The call that holds it does what they say; no clock, no
//! file and no socket is in here. So every menu can be walked in a test, key by key.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `menu` | the menus as a table |
//! | `words` | what goes in and out |
//! | `flow` | waiting, keys, time-outs, failures |
//! | `answering` | a caller who leaves a message |
//! | `rule`, `ruled` | a caller whom the owner has written a rule for |
//! | `signing` | who is it: extension and PIN |
//! | `hearing` | messages are heard |
//! | `recording` | something is recorded, and what becomes of it |
//! | `fax` | a caller that turns out to be a fax machine |
//! | `playing` | a message is heard on a phone that was called for it |
//! | `personal` | greetings, PIN, choices |
//! | `finding` | people are looked for, and messages composed |
//! | `attending` | an attendant |

mod answering;
mod attending;
mod fax;
mod finding;
mod flow;
mod hearing;
mod menu;
mod personal;
mod playing;
mod recording;
mod rule;
mod ruled;
mod signing;
#[cfg(test)]
mod walk;
mod words;

pub use attending::{Attendant, AttendantKey, KeyDoes, Period};
pub use finding::{is_spelled, keys_of};
pub use menu::{Act, Menu, MenuId};
pub use rule::{AnsweringRule, CallerBook, Contact, FindMe, RuleDoes, RuleKey, Situation};
pub use words::{Answer, Ask, Caller, Input, Item, Output, Person, PinAnswer, Purpose, Rules, Step, View, Which};

use crate::mail::MailCall;
use hearing::Hearing;
use recording::Taken;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Keys that wait while a mailbox is asked.
const KEYS_MAX: usize = 16;

/// A dialogue with one caller.
pub struct Talk {
    rules: Arc<Rules>,
    caller: Caller,
    role: Role,
    mode: Mode,
    out: Vec<Output>,
    /// Pressed and not understood yet.
    keys: String,
    /// Pressed while nobody listened.
    early: VecDeque<char>,
    /// What was said last, to be said again.
    said: Vec<Item>,
    /// Wrong or missing inputs in a row.
    failures: u32,
    /// Whether the time for the next key runs, and what has ended is silence.
    asked_again: bool,
    /// The mailbox that is worked on, and how it is.
    mailbox: Option<String>,
    view: Option<Arc<View>>,
    hearing: Option<Hearing>,
    taken: Option<Taken>,
    recipients: Vec<Person>,
    /// A message that is forwarded.
    forwarded: Option<u64>,
    people: Vec<Person>,
    person: Option<Person>,
    /// Extension that was typed, or a PIN that is to be typed once more.
    typed: String,
    /// Wrong PINs of this call.
    wrong_pins: u32,
    /// Whether somebody has signed in.
    signed_in: bool,
    /// Where a search for people comes from.
    searching: Searching,
    /// dB by which messages are louder.
    louder_db: i32,
    /// How long the mailbox has been waited for.
    waited: Duration,
    period: Option<Period>,
    /// How things stood when a caller came who may leave a message, for the rules of the mailbox.
    situation: Option<Situation>,
    /// The rule that the caller has met.
    ruled: Option<Arc<AnsweringRule>>,
    /// The caller is a fax machine.
    faxes: bool,
    /// A message was left in this call.
    delivered: bool,
    /// What is heard on a phone that was called for it: nothing else is.
    plays: Option<crate::mail::Played>,
    /// Numbers that are still to be tried.
    reach: VecDeque<ruled::Reach>,
}

/// What a dialogue came to.
pub struct Report {
    /// In a word.
    pub kind: MailCall,
    /// The attendant.
    pub attendant: Option<String>,
    /// The mailbox.
    pub mailbox: Option<String>,
}

/// What the dialogue is for.
#[derive(Clone, Debug)]
enum Role {
    Answering,
    Access,
    Attendant(Arc<Attendant>),
}

/// Why somebody is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Searching {
    /// To be called or sent a message.
    Anybody,
    /// To be one more recipient.
    Recipient,
}

/// What the dialogue waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Keys of a menu.
    Menu(MenuId),
    /// Keys of an attendant's menu.
    Attending,
    /// Keys of a rule.
    Ruled,
    /// A row of digits.
    Digits(Digits),
    /// An answer, and what it is for.
    Waiting(After),
    /// The end of what is said, and what comes then.
    Saying(Next),
    /// The end of a recording.
    Recording,
    /// Nothing any more.
    Over,
}

/// What a row of digits is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Extension,
    Pin,
    NewPin,
    NewPinAgain,
    Spell,
    Choose,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Opened,
    Greeted,
    SignedFor,
    PinChecked,
    PinSet,
    Marked(Then),
    Loaded,
    Drafted,
    Delivered,
    Installed,
    Spelled,
    Dialled,
    Dropped(Then),
    SettingSet,
    Connected,
    Unreached,
    Reached,
}

/// Where a change of a message leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    NextMessage,
    NextNew,
    PreviousMessage,
    Stay,
    Reply,
    Rerecord,
    CancelRecording,
    Fax,
}

/// What comes after what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Menu(MenuId),
    Attending,
    Digits(Digits),
    Record,
    Hear,
    End(&'static str),
    Transfer,
    Elsewhere,
    Attended,
    Ruled,
    /// The keys of a rule whose greeting has to be heard.
    RuleHeard,
    Reach,
}

impl Talk {
    /// A caller for whom nobody has answered leaves a message in a mailbox, or does what its owner's rules say.
    pub fn answering(rules: Arc<Rules>, caller: Caller, mailbox: String, situation: Situation) -> Self {
        let situation = Some(situation);
        Self { mailbox: Some(mailbox), situation, ..Self::new(rules, caller, Role::Answering) }
    }

    /// Somebody wants to hear messages. `mailbox` is that of the caller's own phone, if it has one.
    pub fn access(rules: Arc<Rules>, caller: Caller, mailbox: Option<String>) -> Self {
        Self { mailbox, ..Self::new(rules, caller, Role::Access) }
    }

    /// A caller of an attendant, in this part of its day.
    pub fn attendant(rules: Arc<Rules>, caller: Caller, attendant: Arc<Attendant>, period: Period) -> Self {
        Self { period: Some(period), ..Self::new(rules, caller, Role::Attendant(attendant)) }
    }

    fn new(rules: Arc<Rules>, caller: Caller, role: Role) -> Self {
        Self {
            rules,
            caller,
            role,
            mode: Mode::Over,
            out: Vec::new(),
            keys: String::new(),
            early: VecDeque::new(),
            said: Vec::new(),
            failures: 0,
            asked_again: false,
            mailbox: None,
            view: None,
            hearing: None,
            taken: None,
            recipients: Vec::new(),
            forwarded: None,
            people: Vec::new(),
            person: None,
            typed: String::new(),
            wrong_pins: 0,
            signed_in: false,
            searching: Searching::Anybody,
            louder_db: 0,
            waited: Duration::ZERO,
            period: None,
            situation: None,
            ruled: None,
            faxes: false,
            delivered: false,
            plays: None,
            reach: VecDeque::new(),
        }
    }

    /// What the caller is told first.
    pub fn begin(&mut self) -> Vec<Output> {
        match self.role.clone() {
            Role::Answering => self.begin_answering(),
            Role::Access if self.plays.is_some() => self.begin_playing(),
            Role::Access => self.begin_access(),
            Role::Attendant(_) => self.begin_attending(),
        }
        std::mem::take(&mut self.out)
    }

    /// Takes what has happened.
    pub fn take(&mut self, input: Input) -> Vec<Output> {
        self.handle(input);
        std::mem::take(&mut self.out)
    }

    /// A recording that is nobody's yet, when the call is over: the mailbox decides what becomes of it.
    pub fn leaves(&mut self) -> Option<Arc<crate::mail::Draft>> {
        self.taken.take().and_then(|taken| taken.draft)
    }

    /// What it came to, for the record of the call.
    pub fn report(&self) -> Report {
        let speaks = self.taken.as_ref().is_some_and(|taken| {
            taken.purpose == Purpose::Message && (self.mode == Mode::Recording || !taken.length.is_zero())
        });
        let kind = match &self.role {
            _ if self.faxes => MailCall::Fax,
            Role::Answering if self.delivered || speaks => MailCall::VoiceMessage,
            Role::Answering => MailCall::MissedCall,
            Role::Attendant(_) => MailCall::AutoAttendant,
            Role::Access if self.plays.is_some() => MailCall::PlayOnPhone,
            Role::Access if self.signed_in => MailCall::SubscriberAccess,
            Role::Access => MailCall::UnauthenticatedPilot,
        };
        let attendant = match &self.role {
            Role::Attendant(attendant) => Some(attendant.name.to_string()),
            Role::Answering | Role::Access => None,
        };
        let known = self.signed_in || matches!(self.role, Role::Answering) || self.plays.is_some();
        Report { kind, attendant, mailbox: self.mailbox.clone().filter(|_| known) }
    }

    /// The user who has signed in.
    pub fn owner(&self) -> Option<String> {
        self.mailbox.clone().filter(|_| self.signed_in)
    }

    /// Where the dialogue is, for the record of the call.
    pub fn place(&self) -> &'static str {
        match self.mode {
            Mode::Menu(menu) => menu.menu().name,
            Mode::Attending => "attendant",
            Mode::Ruled => "rule",
            Mode::Digits(_) => "digits",
            Mode::Waiting(_) => "waiting",
            Mode::Saying(_) => "saying",
            Mode::Recording => "recording",
            Mode::Over => "over",
        }
    }
}

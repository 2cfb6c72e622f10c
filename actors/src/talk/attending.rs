//! An attendant: a greeting by the hour, keys that lead on, people by name (reference, unified messaging, 6).

use media::Audio;
use media::prompt::Language;
use std::sync::Arc;

use super::words::{Answer, Ask, Item, Output};
use super::{After, Digits, Mode, Next, Role, Searching, Talk};

/// An attendant as it was configured.
#[derive(Clone, Debug)]
pub struct Attendant {
    /// Its name.
    pub name: String,
    /// The numbers that it answers.
    pub numbers: Vec<String>,
    /// Its language.
    pub language: Language,
    /// When it is open; `None`: always.
    pub hours: Option<String>,
    /// What is said first while it is open, instead of the words of the program.
    pub greeting: Option<Arc<Audio>>,
    /// While it is closed.
    pub closed_greeting: Option<Arc<Audio>>,
    /// On a holiday, where that differs.
    pub holiday_greeting: Option<Arc<Audio>>,
    /// What is said after the greeting.
    pub announcement: Option<Arc<Audio>>,
    /// What tells the keys while it is open, instead of the words of the program.
    pub prompt: Option<Arc<Audio>>,
    /// While it is closed.
    pub closed_prompt: Option<Arc<Audio>>,
    /// The keys while it is open.
    pub keys: Vec<AttendantKey>,
    /// The keys while it is closed.
    pub closed_keys: Vec<AttendantKey>,
    /// What happens when nothing is pressed, while it is open.
    pub on_silence: Option<KeyDoes>,
    /// While it is closed.
    pub closed_on_silence: Option<KeyDoes>,
    /// Who helps.
    pub operator: Option<String>,
    /// Whether `0` leads to the operator, while it is open and while it is closed.
    pub operator_open: bool,
    /// While it is closed.
    pub operator_closed: bool,
    /// Whether callers may be connected with people.
    pub call_people: bool,
    /// Whether callers may leave messages for people without ringing.
    pub message_people: bool,
    /// Whether callers may look for people by name.
    pub by_name: bool,
    /// Whether any extension may be dialled, and not those of users alone.
    pub any_extension: bool,
    /// The number of voice access, where `*` leads there.
    pub voice_access: Option<String>,
}

/// A key of an attendant.
#[derive(Clone, Debug)]
pub struct AttendantKey {
    /// `1` to `9`.
    pub key: char,
    /// What it is for, spelled or in its own sound.
    pub name: String,
    /// Its own sound: "for sales".
    pub sound: Option<Arc<Audio>>,
    /// What it does.
    pub does: KeyDoes,
}

/// What a key does.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyDoes {
    /// Connects with a number: an extension, another attendant, outside.
    Number(String),
    /// A message for a user.
    Message(String),
    /// Says something and comes back.
    Say(Arc<Audio>),
    /// Looks for somebody by name.
    Find,
    /// The menu once more.
    Repeat,
}

/// What part of an attendant's day it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Business hours.
    Open,
    /// Not.
    Closed,
    /// A holiday.
    Holiday,
}

impl Attendant {
    fn keys_at(&self, period: Option<Period>) -> &[AttendantKey] {
        if period == Some(Period::Open) { &self.keys } else { &self.closed_keys }
    }

    fn greeting_at(&self, period: Option<Period>) -> Option<&Arc<Audio>> {
        match period {
            Some(Period::Holiday) => self.holiday_greeting.as_ref().or(self.closed_greeting.as_ref()),
            Some(Period::Closed) => self.closed_greeting.as_ref(),
            _ => self.greeting.as_ref(),
        }
    }

    fn prompt_at(&self, period: Option<Period>) -> Option<&Arc<Audio>> {
        if period == Some(Period::Open) { self.prompt.as_ref() } else { self.closed_prompt.as_ref() }
    }

    fn on_silence_at(&self, period: Option<Period>) -> Option<&KeyDoes> {
        if period == Some(Period::Open) { self.on_silence.as_ref() } else { self.closed_on_silence.as_ref() }
    }

    pub(super) fn lets_operator(&self, period: Option<Period>) -> bool {
        if period == Some(Period::Open) { self.operator_open } else { self.operator_closed }
    }

    pub(super) fn operator_at(&self, period: Option<Period>) -> Option<String> {
        self.operator.clone().filter(|_| self.lets_operator(period))
    }

    /// Whether a number may be dialled by callers.
    fn lets_dial(&self) -> bool {
        self.call_people
    }

    /// Whether people are looked for: of no use where nothing could be done with them (reference, 6.2).
    fn lets_find(&self) -> bool {
        self.by_name && (self.call_people || self.message_people)
    }
}

impl Talk {
    pub(super) fn attendant_here(&self) -> Option<Arc<Attendant>> {
        match &self.role {
            Role::Attendant(attendant) => Some(Arc::clone(attendant)),
            _ => None,
        }
    }

    pub(super) fn begin_attending(&mut self) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        self.out.push(Output::Note(match self.period {
            Some(Period::Closed) => "the attendant is closed",
            Some(Period::Holiday) => "the attendant has a holiday",
            _ => "the attendant is open",
        }));
        let greeting = match attendant.greeting_at(self.period) {
            Some(own) => Item::Sound(Arc::clone(own)),
            None if self.period == Some(Period::Open) => Item::Prompt("attendant-welcome"),
            None => Item::Prompt("attendant-closed"),
        };
        let next = if attendant.announcement.is_some() { Next::Attended } else { Next::Attending };
        self.say(vec![greeting], Mode::Saying(next));
    }

    /// The announcement, which may have to be heard.
    pub(super) fn announced(&mut self) {
        match self.attendant_here().and_then(|attendant| attendant.announcement.clone()) {
            Some(sound) => self.say(vec![Item::Sound(sound)], Mode::Saying(Next::Attending)),
            None => self.attend(),
        }
    }

    /// Tells the keys.
    pub(super) fn attend(&mut self) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        let keys = attendant.keys_at(self.period);
        let mut items = Vec::new();
        if let Some(own) = attendant.prompt_at(self.period) {
            items.push(Item::Sound(Arc::clone(own)));
        } else {
            for key in keys {
                match &key.sound {
                    Some(sound) => items.push(Item::Sound(Arc::clone(sound))),
                    None => items.extend([Item::Prompt("for"), Item::Spell(key.name.clone())]),
                }
                items.extend([Item::Prompt("press"), Item::Digits(key.key.to_string())]);
            }
            if attendant.lets_dial() {
                items.push(Item::Prompt("dial-extension"));
            }
            if attendant.lets_find() {
                items.push(Item::Prompt("press-pound-for-name"));
            }
            if self.operator().is_some() {
                items.push(Item::Prompt("menu-operator-0"));
            }
        }
        if items.is_empty() {
            // A closed attendant without anything to press has said all.
            return self.goodbye("the attendant is closed");
        }
        self.say(items, Mode::Attending);
    }

    pub(super) fn attending_key(&mut self, key: char) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        self.out.push(Output::Hush);
        match key {
            '0' if self.keys.is_empty() => match self.operator() {
                Some(operator) => self.connect(operator),
                None => self.failed(&["no-operator"], Next::Attending),
            },
            '*' => match &attendant.voice_access {
                Some(number) => self.connect(number.clone()),
                None => self.failed(&["not-an-option"], Next::Attending),
            },
            '#' if attendant.lets_find() => {
                self.keys.clear();
                self.search(Searching::Anybody);
            }
            digit if digit.is_ascii_digit() => {
                self.keys.push(digit);
                let menu = self.keys.len() == 1 && attendant.keys_at(self.period).iter().any(|k| k.key == digit);
                let whole = self.keys.len() >= self.rules.extension_digits;
                if whole && attendant.lets_dial() {
                    return self.attending_row_over();
                }
                if menu && !attendant.lets_dial() {
                    return self.attending_row_over();
                }
                let wait = if menu { self.rules.next_key_within } else { self.rules.key_within };
                self.out.push(Output::Wake(wait));
            }
            _ => self.failed(&["not-an-option"], Next::Attending),
        }
    }

    /// What was pressed is all: a key of the menu, or an extension.
    pub(super) fn attending_row_over(&mut self) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        let row = std::mem::take(&mut self.keys);
        self.out.push(Output::Sleep);
        let keys = attendant.keys_at(self.period);
        let of_menu = keys.iter().find(|entry| row.len() == 1 && row.starts_with(entry.key));
        if let Some(entry) = of_menu {
            self.failures = 0;
            return self.do_key(&entry.does);
        }
        if attendant.lets_dial() && row.len() > 1 {
            self.typed.clone_from(&row);
            return self.ask(Ask::Who(row), After::Dialled);
        }
        self.failed(&["not-an-option"], Next::Attending);
    }

    pub(super) fn attending_silence(&mut self) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        match attendant.on_silence_at(self.period).cloned() {
            Some(does) => self.do_key(&does),
            None => self.failed(&["are-you-there"], Next::Attending),
        }
    }

    /// Whose the extension is that was dialled.
    pub(super) fn dialled(&mut self, answer: Answer) {
        let Some(attendant) = self.attendant_here() else { return self.end("no attendant") };
        let number = std::mem::take(&mut self.typed);
        match answer {
            Answer::People(people) if attendant.any_extension || !people.is_empty() => self.connect(number),
            _ => self.failed(&["no-such-extension"], Next::Attending),
        }
    }

    fn do_key(&mut self, does: &KeyDoes) {
        match does {
            KeyDoes::Number(number) => self.connect(number.clone()),
            KeyDoes::Message(user) => self.leave_for(user.clone()),
            KeyDoes::Say(sound) => self.say(vec![Item::Sound(Arc::clone(sound))], Mode::Saying(Next::Attending)),
            KeyDoes::Find => self.want(Digits::Spell),
            KeyDoes::Repeat => self.attend(),
        }
    }
}

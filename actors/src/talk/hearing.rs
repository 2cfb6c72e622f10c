//! Messages are heard, and something is done with each (reference, unified messaging, 4.4).
//!
//! A message is played in pieces, so that a long one does not lie in memory whole. What is played is told by where its piece
//! begins, how fast it is, and how far the caller has heard it.

use std::time::Duration;
use store::Voice;

use super::words::{Answer, Ask, Item, Output, Purpose, Step};
use super::{Act, After, MenuId, Mode, Next, Person, Talk, Then};

/// Speeds, per cent.
const SPEEDS: [u32; 5] = [50, 75, 100, 150, 200];
/// A step of loudness, dB.
const STEP_DB: i32 = 4;
/// How long a pause lasts before the caller is asked.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where somebody is among the messages.
pub struct Hearing {
    /// Numbers, in the order in which they are heard.
    list: Vec<u64>,
    at: usize,
    percent: u32,
    /// Where in the message the piece that plays begins, and whether one comes after it.
    from: Duration,
    more: bool,
    /// How far the message has been heard.
    heard: Duration,
    playing: bool,
    paused: bool,
    /// The one that was deleted last.
    pub deleted: Option<u64>,
}

impl Talk {
    pub(super) fn hear_messages(&mut self) {
        let Some(view) = &self.view else { return self.menu(MenuId::Main) };
        let mut there: Vec<&Voice> = view.messages.iter().filter(|voice| voice.is_there()).collect();
        // New ones first, of those the urgent ones, then as they came.
        there.sort_by_key(|voice| (voice.heard, !voice.urgent && !voice.heard, voice.number));
        let list: Vec<u64> = there.iter().map(|voice| voice.number).collect();
        if list.is_empty() {
            return self.tell(&["no-messages"], Next::Menu(MenuId::Main));
        }
        self.hear_list(list);
    }

    /// These messages are heard, one after the other.
    pub(super) fn hear_list(&mut self, list: Vec<u64>) {
        self.hearing = Some(Hearing {
            list,
            at: 0,
            percent: 100,
            from: Duration::ZERO,
            more: false,
            heard: Duration::ZERO,
            playing: false,
            paused: false,
            deleted: None,
        });
        self.hear_this();
    }

    /// The message that is heard.
    pub(super) fn current(&self) -> Option<&Voice> {
        let hearing = self.hearing.as_ref()?;
        let number = hearing.list.get(hearing.at)?;
        self.view.as_ref()?.messages.iter().find(|voice| voice.number == *number)
    }

    pub(super) fn is_hearing(&self) -> bool {
        self.hearing.as_ref().is_some_and(|hearing| hearing.playing)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.hearing.as_ref().is_some_and(|hearing| hearing.paused)
    }

    /// Who it is from and when, then the message.
    fn hear_this(&mut self) {
        let Some(voice) = self.current().cloned() else {
            self.hearing = None;
            return self.tell(&["no-more-messages"], Next::Menu(MenuId::Main));
        };
        if let Some(hearing) = &mut self.hearing {
            (hearing.from, hearing.heard) = (Duration::ZERO, Duration::ZERO);
            (hearing.playing, hearing.paused) = (false, false);
        }
        let mut items = vec![Item::Prompt(match (voice.heard, voice.urgent) {
            (false, true) => "urgent-message",
            (false, false) => "one-new-message",
            (true, _) => "one-saved-message",
        })];
        items.extend(self.envelope(&voice));
        self.say(items, Mode::Saying(Next::Hear));
    }

    /// Who a message is from, and when it was left.
    fn envelope(&self, voice: &Voice) -> Vec<Item> {
        let mut items = vec![Item::Prompt("from")];
        match voice.from.as_str() {
            "" => items.push(Item::Prompt("unknown-caller")),
            from if from.chars().any(|c| c.is_ascii_digit()) => {
                items.push(Item::Digits(from.chars().filter(char::is_ascii_digit).collect()));
            }
            from => items.push(Item::Spell(from.split('@').next().unwrap_or_default().to_owned())),
        }
        let view = self.view.as_ref();
        let zone = view.and_then(|view| view.zone.clone());
        items.push(Item::When(voice.received_ms, zone, view.is_some_and(|view| view.hours_24)));
        items
    }

    /// The sound from where the caller has come to.
    pub(super) fn hear_on(&mut self) {
        let Some((mailbox, number)) = self.mailbox.clone().zip(self.current().map(|voice| voice.number)) else {
            return self.menu(MenuId::Main);
        };
        let louder_db = self.louder_db;
        let Some(hearing) = &mut self.hearing else { return self.menu(MenuId::Main) };
        (hearing.playing, hearing.paused) = (true, false);
        hearing.from = hearing.heard;
        let (from, percent) = (hearing.from, hearing.percent);
        self.ask(Ask::Load { mailbox, number, from, percent, louder_db }, After::Loaded);
    }

    pub(super) fn loaded(&mut self, answer: Answer) {
        if self.hearing.is_none() || self.taken.is_some() {
            // A draft is played.
            let menu = match self.taken.as_ref().map(|taken| taken.purpose) {
                Some(Purpose::Clip(_)) => MenuId::GreetingRecorded,
                _ => MenuId::Recorded,
            };
            return match answer {
                Answer::Sound(Some(sound), _) => {
                    self.say(vec![Item::Sound(sound)], Mode::Saying(Next::Menu(menu)));
                }
                _ => self.menu(menu),
            };
        }
        match answer {
            Answer::Sound(Some(sound), more) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.more = more;
                }
                self.say(vec![Item::Sound(sound)], Mode::Menu(MenuId::Message));
            }
            Answer::Sound(None, _) => self.message_over(),
            answer => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.playing = false;
                }
                let told = if matches!(answer, Answer::Damaged) { "message-damaged" } else { "not-done" };
                self.tell(&[told], Next::Menu(MenuId::Message));
            }
        }
    }

    /// A piece was heard to its end.
    pub(super) fn piece_over(&mut self) {
        let length = self.current().map_or(Duration::ZERO, |voice| Duration::from_millis(voice.length_ms));
        let Some(hearing) = &mut self.hearing else { return };
        match hearing.more {
            true => {
                hearing.heard = (hearing.from + crate::mail::PIECE).min(length);
                self.hear_on();
            }
            false => self.message_over(),
        }
    }

    /// How far what plays has been heard, told by a key.
    pub(super) fn heard_until(&mut self, at: Duration) {
        if let Some(hearing) = self.hearing.as_mut().filter(|hearing| hearing.playing) {
            hearing.heard = hearing.from + at * hearing.percent / 100;
        }
    }

    fn message_over(&mut self) {
        if let Some(hearing) = &mut self.hearing {
            hearing.playing = false;
        }
        match self.current().filter(|voice| !voice.heard).map(|voice| voice.number) {
            Some(number) => self.mark(number, Step::Heard(true), Then::Stay),
            None => self.menu_of_message(),
        }
    }

    pub(super) fn menu_of_message(&mut self) {
        if let Some(hearing) = &mut self.hearing {
            hearing.playing = false;
        }
        self.menu(MenuId::Message);
    }

    fn mark(&mut self, number: u64, step: Step, then: Then) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::Mark(mailbox, number, step), After::Marked(then));
    }

    pub(super) fn marked(&mut self, then: Then, answer: Answer) {
        match answer {
            Answer::View(view) => self.view = Some(view),
            _ => return self.tell(&["not-done"], Next::Menu(MenuId::Main)),
        }
        match then {
            Then::NextMessage => self.step(1, false),
            Then::NextNew => self.step(1, true),
            Then::PreviousMessage => self.step(-1, false),
            Then::Reply => self.reply(),
            Then::Stay | Then::Rerecord | Then::CancelRecording | Then::Fax => self.menu_of_message(),
        }
    }

    /// To the message after or before, of those that are there.
    fn step(&mut self, by: isize, new_only: bool) {
        let Some(view) = self.view.clone() else { return self.menu(MenuId::Main) };
        let Some(hearing) = &mut self.hearing else { return self.menu(MenuId::Main) };
        let fits = |number: &u64| {
            let voice = view.messages.iter().find(|voice| voice.number == *number);
            voice.is_some_and(|voice| voice.is_there() && !(new_only && voice.heard))
        };
        let mut at = hearing.at;
        loop {
            match at.checked_add_signed(by).filter(|at| *at < hearing.list.len()) {
                Some(next) => at = next,
                None if by < 0 => return self.tell(&["no-earlier-message"], Next::Menu(MenuId::Message)),
                None => {
                    self.hearing = None;
                    return self.tell(&["no-more-messages"], Next::Menu(MenuId::Main));
                }
            }
            if hearing.list.get(at).is_some_and(fits) {
                hearing.at = at;
                return self.hear_this();
            }
        }
    }

    pub(super) fn message_act(&mut self, id: MenuId, act: Act) {
        let Some(voice) = self.current().cloned() else { return self.menu(MenuId::Main) };
        let plays = self.is_hearing();
        match act {
            Act::Rewind | Act::Replay if !plays || act == Act::Replay => self.move_to(|_, _| Duration::ZERO),
            Act::Rewind => {
                let skip = self.rules.skip;
                self.move_to(|at, _| at.saturating_sub(skip));
            }
            Act::Ahead => {
                let skip = self.rules.skip;
                self.move_to(|at, length| (at + skip).min(length));
            }
            Act::ToEnd => {
                self.out.push(Output::Hush);
                self.message_over();
            }
            Act::Pause => self.pause(),
            Act::Slower => self.faster(false),
            Act::Faster => self.faster(true),
            Act::Softer | Act::Louder => {
                self.louder_db += if act == Act::Louder { STEP_DB } else { -STEP_DB };
                self.hear_on();
            }
            Act::Delete => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.deleted = Some(voice.number);
                }
                self.stop_sound();
                self.mark(voice.number, Step::Deleted(true), Then::NextMessage);
            }
            Act::Undelete => {
                let Some(hearing) = &mut self.hearing else { return };
                let Some(number) = hearing.deleted.take() else { return self.menu(id) };
                hearing.at = hearing.list.iter().position(|other| *other == number).unwrap_or(hearing.at);
                self.stop_sound();
                self.mark(number, Step::Deleted(false), Then::Stay);
            }
            Act::Save | Act::Next => self.leave_message(&voice, Then::NextMessage),
            Act::NextNew => self.leave_message(&voice, Then::NextNew),
            Act::Previous => self.leave_message(&voice, Then::PreviousMessage),
            Act::Unread => {
                self.stop_sound();
                self.mark(voice.number, Step::Heard(false), Then::NextMessage);
            }
            Act::Reply => self.leave_message(&voice, Then::Reply),
            Act::More => {
                self.stop_sound();
                self.menu(MenuId::More);
            }
            Act::Flag => self.mark(voice.number, Step::Flagged(!voice.flagged), Then::Stay),
            Act::Envelope => {
                let items = self.envelope(&voice);
                self.say(items, Mode::Saying(Next::Menu(MenuId::Message)));
            }
            Act::Language => self.other_language(),
            Act::Forward => {
                self.stop_sound();
                self.recipients.clear();
                self.forwarded = Some(voice.number);
                self.search(super::Searching::Recipient);
            }
            Act::CallSender => {
                self.stop_sound();
                self.connect(voice.from);
            }
            Act::Back if id == MenuId::Message => {
                self.stop_sound();
                self.hearing = None;
                self.menu(MenuId::Main);
            }
            _ => self.menu_of_message(),
        }
    }

    fn stop_sound(&mut self) {
        if let Some(hearing) = &mut self.hearing {
            (hearing.playing, hearing.paused) = (false, false);
        }
        self.out.push(Output::Hush);
    }

    /// A message that is left counts as heard.
    fn leave_message(&mut self, voice: &Voice, then: Then) {
        self.stop_sound();
        self.mark(voice.number, Step::Heard(true), then);
    }

    fn move_to(&mut self, to: impl FnOnce(Duration, Duration) -> Duration) {
        let length = self.current().map_or(Duration::ZERO, |voice| Duration::from_millis(voice.length_ms));
        if let Some(hearing) = &mut self.hearing {
            hearing.heard = to(hearing.heard, length);
        }
        self.hear_on();
    }

    fn pause(&mut self) {
        match self.is_paused() {
            true => self.hear_on(),
            false if self.is_hearing() => {
                if let Some(hearing) = &mut self.hearing {
                    (hearing.paused, hearing.playing) = (true, false);
                }
                self.out.push(Output::Hush);
                self.out.push(Output::Wake(PAUSE_MAX));
            }
            false => self.menu_of_message(),
        }
    }

    pub(super) fn pause_over(&mut self) {
        if let Some(hearing) = &mut self.hearing {
            hearing.paused = false;
        }
        self.menu_of_message();
    }

    fn faster(&mut self, faster: bool) {
        if let Some(hearing) = &mut self.hearing {
            let at = SPEEDS.iter().position(|speed| *speed == hearing.percent).unwrap_or(2);
            let next = if faster { (at + 1).min(SPEEDS.len() - 1) } else { at.saturating_sub(1) };
            hearing.percent = SPEEDS.get(next).copied().unwrap_or(100);
        }
        self.hear_on();
    }

    fn reply(&mut self) {
        let Some(sender) = self.current().and_then(|voice| voice.sender.clone()) else { return self.menu_of_message() };
        let person = Person { user: sender, display: String::new(), extension: None, has_mailbox: true };
        self.recipients = vec![person];
        self.forwarded = None;
        self.compose();
    }
}

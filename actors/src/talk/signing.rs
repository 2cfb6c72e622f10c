//! Who is it: extension and PIN (reference, unified messaging, 4.1, 5).

use std::sync::Arc;

use super::words::{Answer, Ask, Item, Output, PinAnswer, View};
use super::{Act, After, Digits, MenuId, Mode, Next, Searching, Talk};

impl Talk {
    pub(super) fn begin_access(&mut self) {
        match self.mailbox.clone() {
            // The caller's own phone: only the PIN is asked for.
            Some(_) => self.say_and_want(&["welcome"], Digits::Pin),
            None => self.say_and_want(&["welcome"], Digits::Extension),
        }
    }

    /// As [`Talk::want`], with something before it.
    pub(super) fn say_and_want(&mut self, prompts: &[&'static str], digits: Digits) {
        self.tell(prompts, Next::Digits(digits));
    }

    pub(super) fn extension_typed(&mut self, row: &str) {
        self.ask(Ask::Who(row.to_owned()), After::SignedFor);
    }

    /// `*`, `#` and `0` at the door.
    pub(super) fn access_sign(&mut self, digits: Digits, key: char) {
        match (digits, key) {
            // It is not the owner of this phone.
            (Digits::Pin, '*') => {
                self.mailbox = None;
                self.want(Digits::Extension);
            }
            (Digits::Extension, '*') => match self.rules.attendant.clone() {
                Some(attendant) => self.connect(attendant),
                None => self.failed(&["not-an-option"], Next::Digits(digits)),
            },
            (Digits::Extension, '#') => self.search(Searching::Anybody),
            (Digits::Extension, '0') if self.operator().is_some() => {
                let operator = self.operator().unwrap_or_default();
                self.connect(operator);
            }
            _ => self.failed(&["not-an-option"], Next::Digits(digits)),
        }
    }

    pub(super) fn signing_answered(&mut self, after: After, answer: Answer) {
        match (after, answer) {
            (After::SignedFor, Answer::People(people)) => {
                // Whether the number has a mailbox is not told before its PIN.
                self.mailbox = people.into_iter().find(|person| person.has_mailbox).map(|person| person.user);
                self.want(Digits::Pin);
            }
            (After::PinChecked, Answer::Pin(PinAnswer::Right, Some(view))) => self.let_in(view),
            (After::PinChecked, Answer::Pin(PinAnswer::Locked, _)) => {
                self.out.push(Output::Note("the mailbox is locked"));
                self.tell(&["mailbox-locked", "goodbye"], Next::End("the mailbox is locked"));
            }
            (After::PinChecked, Answer::Pin(answer, _)) => {
                self.out.push(Output::Note("a wrong PIN"));
                self.wrong_pin(answer == PinAnswer::Reset);
            }
            _ => self.tell(&["try-later", "goodbye"], Next::End("the mailbox does not answer")),
        }
    }

    pub(super) fn pin_typed(&mut self, row: String) {
        match self.mailbox.clone() {
            Some(mailbox) => self.ask(Ask::CheckPin(mailbox, row), After::PinChecked),
            None => self.wrong_pin(false),
        }
    }

    fn wrong_pin(&mut self, reset: bool) {
        self.wrong_pins += 1;
        let told: &[&'static str] = if reset { &["pin-reset"] } else { &["wrong-pin"] };
        if self.wrong_pins >= self.rules.wrong_pins_max {
            let prompts = [told, &["try-later", "goodbye"]].concat();
            return self.tell(&prompts, Next::End("too many wrong PINs"));
        }
        self.tell(told, Next::Digits(Digits::Pin));
    }

    fn let_in(&mut self, view: Arc<View>) {
        self.signed_in = true;
        self.failures = 0;
        let (must_change, welcomed) = (view.must_change, view.welcomed);
        self.view = Some(view);
        if must_change {
            return self.say_and_want(&["pin-must-change"], Digits::NewPin);
        }
        self.summary(if welcomed { &[] } else { &["first-time"] });
        if !welcomed && let Some(mailbox) = self.mailbox.clone() {
            self.out.push(Output::Ask(Ask::Welcomed(mailbox)));
        }
    }

    /// How many messages there are, then the main menu.
    pub(super) fn summary(&mut self, before: &[&'static str]) {
        let (new, old) = self.view.as_ref().map_or((0, 0), |view| view.counts());
        let mut items: Vec<Item> = before.iter().map(|name| Item::Prompt(name)).collect();
        items.push(Item::Messages(new, old));
        self.say(items, Mode::Saying(Next::Menu(MenuId::Main)));
    }

    pub(super) fn main_act(&mut self, act: Act) {
        self.hearing = None;
        match act {
            Act::Messages => self.hear_messages(),
            Act::Find => self.search(Searching::Anybody),
            Act::Compose => {
                self.recipients.clear();
                self.forwarded = None;
                self.search(Searching::Recipient);
            }
            Act::Personal => self.menu(MenuId::Personal),
            Act::Away => self.set_away(false),
            _ => self.goodbye("the caller has signed out"),
        }
    }
}

//! One's own settings: greetings, name, PIN, away, clock, language (reference, unified messaging, 4.8).

use media::prompt::Language;

use super::words::{Answer, Ask, Item, Purpose, Which};
use super::{Act, After, Digits, MenuId, Next, Talk, Then};
use crate::mail::PinFault;

impl Talk {
    pub(super) fn personal_act(&mut self, id: MenuId, act: Act) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        match (id, act) {
            (MenuId::Personal, Act::Away) => self.set_away(!self.view.as_ref().is_some_and(|view| view.away)),
            (MenuId::Personal, Act::Greetings) => self.menu(MenuId::Greetings),
            (MenuId::Personal, Act::ChangePin) => self.want(Digits::NewPin),
            (MenuId::Personal, Act::Clock) => {
                let hours_24 = !self.view.as_ref().is_some_and(|view| view.hours_24);
                self.ask(Ask::Clock(mailbox, hours_24), After::SettingSet);
            }
            (MenuId::Personal, Act::Language) => self.other_language(),
            (MenuId::Personal, _) => self.menu(MenuId::Main),
            (_, Act::Standard) => self.record_clip(Which::Greeting),
            (_, Act::AwayGreeting) => self.record_clip(Which::Away),
            (_, Act::Name) => self.record_clip(Which::Name),
            _ => self.menu(MenuId::Personal),
        }
    }

    fn record_clip(&mut self, which: Which) {
        let purpose = Purpose::Clip(which);
        let before = self.words_before(purpose);
        self.prepare(purpose, before);
    }

    pub(super) fn set_away(&mut self, away: bool) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::Away(mailbox, away), After::SettingSet);
    }

    /// The menus speak the other language from now on.
    pub(super) fn other_language(&mut self) {
        let other = match self.language() {
            Language::English => Language::Italian,
            Language::Italian => Language::English,
        };
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::Language(mailbox, other), After::SettingSet);
    }

    pub(super) fn greeting_recorded_act(&mut self, act: Act) {
        let Some(taken) = &self.taken else { return self.menu(MenuId::Greetings) };
        match (act, taken.purpose, &taken.draft) {
            (Act::Keep, Purpose::Clip(which), Some(draft)) => {
                let draft = std::sync::Arc::clone(draft);
                self.ask(Ask::Install(draft, which), After::Installed);
            }
            (Act::Replay, ..) => self.replay(),
            (Act::Rerecord, ..) => self.throw_away(Then::Rerecord),
            _ => self.throw_away(Then::CancelRecording),
        }
    }

    pub(super) fn personal_answered(&mut self, after: After, answer: Answer) {
        match (after, answer) {
            (After::PinSet, Answer::PinSet(Ok(()))) => {
                if let Some(view) = &self.view {
                    let mut view = (**view).clone();
                    view.must_change = false;
                    self.view = Some(std::sync::Arc::new(view));
                }
                self.typed.clear();
                self.summary(&["pin-changed"]);
            }
            (After::PinSet, Answer::PinSet(Err(fault))) => {
                self.typed.clear();
                let told = match fault {
                    PinFault::TooShort | PinFault::TooLong | PinFault::NoDigits => "pin-too-short",
                    PinFault::Common => "pin-too-simple",
                    PinFault::Used => "pin-used-before",
                    PinFault::NotSaved => "not-done",
                };
                self.failed(&[told], Next::Digits(Digits::NewPin));
            }
            (After::Installed, Answer::View(view)) => {
                self.taken = None;
                self.view = Some(view);
                self.say(
                    vec![Item::Kept, Item::Prompt("greeting-saved")],
                    super::Mode::Saying(Next::Menu(MenuId::Greetings)),
                );
            }
            (After::Installed, _) => {
                self.taken = None;
                self.tell(&["not-done"], Next::Menu(MenuId::Greetings));
            }
            (_, Answer::View(view)) => {
                let was_away = self.view.as_ref().is_some_and(|view| view.away);
                let told = match (was_away, view.away) {
                    (false, true) => "away-on",
                    (true, false) => "away-off",
                    _ => "done",
                };
                let back = if self.hearing.is_some() { MenuId::Message } else { MenuId::Main };
                self.view = Some(view);
                self.tell(&[told], Next::Menu(back));
            }
            _ => self.tell(&["not-done"], Next::Menu(MenuId::Main)),
        }
    }

    pub(super) fn new_pin_typed(&mut self, row: String) {
        self.typed = row;
        self.want(Digits::NewPinAgain);
    }

    pub(super) fn new_pin_again(&mut self, row: &str) {
        if self.typed != row {
            self.typed.clear();
            return self.failed(&["pins-differ"], Next::Digits(Digits::NewPin));
        }
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::SetPin(mailbox, row.to_owned()), After::PinSet);
    }

    /// A PIN that must be changed cannot be kept.
    pub(super) fn new_pin_cancelled(&mut self) {
        self.typed.clear();
        match self.view.as_ref().is_some_and(|view| view.must_change) {
            true => self.failed(&["pin-must-change"], Next::Digits(Digits::NewPin)),
            false => self.menu(MenuId::Personal),
        }
    }
}

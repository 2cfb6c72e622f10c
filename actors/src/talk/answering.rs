//! A caller for whom nobody has answered (reference, unified messaging, 3.5).

use std::sync::Arc;
use std::time::Duration;

use media::Audio;

use super::words::{Answer, Ask, Item, Output, Purpose};
use super::{Act, After, MenuId, Mode, Next, Talk};

impl Talk {
    pub(super) fn begin_answering(&mut self) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::Open(mailbox), After::Opened);
    }

    pub(super) fn answering_answered(&mut self, after: After, answer: Answer) {
        match (after, answer) {
            (After::Opened, Answer::View(view)) => {
                let withheld = self.caller.number.is_empty() && !view.anonymous;
                self.view = Some(view);
                self.ruled = self.rule();
                if withheld {
                    return self
                        .tell(&["no-withheld", "goodbye"], Next::End("the mailbox takes nothing of the nameless"));
                }
                let mailbox = self.mailbox.clone().unwrap_or_default();
                self.ask(Ask::Greeting(mailbox), After::Greeted);
            }
            (After::Greeted, Answer::Sound(greeting, _)) => self.greeted(greeting),
            // The greeting cannot be had: the spoken one does.
            (After::Greeted, _) => self.greeted(None),
            _ => self.no_messages_now(),
        }
    }

    /// The caller hears why nothing can be left, instead of silence.
    pub(super) fn no_messages_now(&mut self) {
        self.tell(&["cannot-record", "goodbye"], Next::End("no message can be taken"));
    }

    fn greeted(&mut self, greeting: Option<Arc<Audio>>) {
        match self.ruled.as_ref().is_some_and(|rule| !rule.keys.is_empty()) {
            true => self.begin_ruled(greeting),
            false => self.place_for_message(greeting),
        }
    }

    fn place_for_message(&mut self, greeting: Option<Arc<Audio>>) {
        let mut items = self.greeting(greeting);
        items.push(Item::Beep);
        self.prepare(Purpose::Message, items);
    }

    /// What the caller hears of the owner.
    fn greeting(&self, recorded: Option<Arc<Audio>>) -> Vec<Item> {
        if let Some(recorded) = recorded {
            return vec![Item::Sound(recorded)];
        }
        let mut items = self.who();
        items.push(Item::Prompt("not-available"));
        items.push(Item::Prompt("after-the-tone"));
        items
    }

    /// Who the owner of the mailbox is: the name in its own voice, or the extension.
    pub(super) fn who(&self) -> Vec<Item> {
        let Some(view) = &self.view else { return vec![Item::Prompt("the-person")] };
        match (&view.name, &view.extension) {
            (Some(name), _) => vec![Item::Sound(Arc::clone(name))],
            (None, Some(extension)) => vec![Item::Prompt("extension"), Item::Digits(extension.clone())],
            (None, None) => vec![Item::Prompt("the-person")],
        }
    }

    /// A key while the greeting plays.
    pub(super) fn greeting_key(&mut self, key: char) {
        match key {
            '#' => {
                self.out.push(Output::Hush);
                self.say(vec![Item::Beep], Mode::Saying(Next::Record));
            }
            '*' => {
                self.out.push(Output::Hush);
                self.out.push(Output::Note("the caller wants somebody else"));
                self.menu(MenuId::Elsewhere);
            }
            '0' => {
                if let Some(operator) = self.operator() {
                    self.out.push(Output::Hush);
                    self.connect(operator);
                }
            }
            _ => {}
        }
    }

    pub(super) fn elsewhere_act(&mut self, act: Act) {
        match act {
            Act::Find => self.search(super::Searching::Anybody),
            Act::Operator => {
                if let Some(operator) = self.operator() {
                    self.connect(operator);
                }
            }
            _ => self.goodbye("the caller has left"),
        }
    }

    /// How much of the longest message is left.
    pub(super) fn left(&self, purpose: Purpose) -> Duration {
        let most = match purpose {
            Purpose::Clip(_) => self.rules.greeting_max,
            Purpose::Message | Purpose::Composed => self.rules.recording_max,
        };
        most.saturating_sub(self.taken.as_ref().map_or(Duration::ZERO, |taken| taken.length))
    }
}

//! A caller who meets a rule of the mailbox's owner (reference, unified messaging, 3.6).

use media::Audio;
use std::sync::Arc;
use std::time::Duration;

use super::rule::{AnsweringRule, RuleDoes};
use super::words::{Item, Output};
use super::{After, Mode, Next, Talk};

/// A number at which the caller is to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    number: String,
    ring: Option<Duration>,
    asks: bool,
}

impl Reach {
    /// One that is connected without being asked.
    pub(super) const fn plain(number: String) -> Self {
        Self { number, ring: None, asks: false }
    }
}

impl Talk {
    /// The rule that this caller meets, if there is one.
    pub(super) fn rule(&self) -> Option<Arc<AnsweringRule>> {
        let (view, situation) = (self.view.as_ref()?, self.situation.as_ref()?);
        view.callers.rule_for(&self.caller, view.away, situation).cloned().map(Arc::new)
    }

    /// What the caller hears of the owner, then the keys of the rule.
    pub(super) fn begin_ruled(&mut self, greeting: Option<Arc<Audio>>) {
        let Some(rule) = self.ruled.clone() else { return };
        self.out.push(Output::Note("a call answering rule holds"));
        let mut items = match greeting {
            Some(recorded) => vec![Item::Sound(recorded)],
            None => {
                let mut items = self.who();
                items.push(Item::Prompt("not-available"));
                items
            }
        };
        if !rule.interruptible {
            return self.say(items, Mode::Saying(Next::RuleHeard));
        }
        items.extend(keys(&rule));
        self.say(items, Mode::Ruled);
    }

    /// Tells the keys of the rule.
    pub(super) fn rule_keys(&mut self) {
        let Some(rule) = self.ruled.clone() else { return self.message_after_all() };
        self.say(keys(&rule), Mode::Ruled);
    }

    pub(super) fn ruled_key(&mut self, key: char) {
        let Some(rule) = self.ruled.clone() else { return self.message_after_all() };
        self.out.push(Output::Hush);
        let does = rule.keys.iter().find(|entry| entry.key == key).map(|entry| entry.does.clone());
        match (does, key) {
            (Some(does), _) => {
                self.failures = 0;
                self.do_rule(does);
            }
            (None, '#') => self.message_after_all(),
            (None, '*') => {
                self.out.push(Output::Note("the caller wants somebody else"));
                self.menu(super::MenuId::Elsewhere);
            }
            (None, '0') if self.operator().is_some() => {
                let operator = self.operator().unwrap_or_default();
                self.connect(operator);
            }
            (None, _) => self.failed(&["not-an-option"], Next::Ruled),
        }
    }

    /// Nothing was pressed: the keys once more, then a message.
    pub(super) fn ruled_silence(&mut self) {
        match std::mem::replace(&mut self.asked_again, true) {
            true => self.message_after_all(),
            false => self.tell(&["are-you-there"], Next::Ruled),
        }
    }

    /// The caller leaves a message as if there were no rule.
    pub(super) fn message_after_all(&mut self) {
        self.ruled = None;
        self.asked_again = false;
        self.prepare(super::Purpose::Message, vec![Item::Prompt("after-the-tone"), Item::Beep]);
    }

    fn do_rule(&mut self, does: RuleDoes) {
        self.asked_again = false;
        self.reach = match does {
            RuleDoes::Message => return self.message_after_all(),
            RuleDoes::Voicemail(user) => return self.leave_for(user),
            RuleDoes::Transfer(number) => [Reach::plain(number)].into(),
            RuleDoes::FindMe(numbers) => numbers
                .into_iter()
                .map(|one| Reach { number: one.number, ring: Some(Duration::from_secs(one.ring_s.into())), asks: true })
                .collect(),
        };
        self.tell(&["please-hold"], Next::Reach);
    }

    /// The next number is tried.
    pub(super) fn reach_next(&mut self) {
        let (Some(Reach { number, ring, asks }), Some(of)) = (self.reach.pop_front(), self.mailbox.clone()) else {
            return match self.faxes {
                true => self.fax_lost(),
                false => self.tell(&["cannot-connect"], Next::Ruled),
            };
        };
        self.mode = Mode::Waiting(After::Reached);
        self.early.clear();
        self.out.push(Output::Sleep);
        self.out.push(Output::Reach { number, of, ring, asks });
    }

    /// Nobody was there, or nobody wanted the call.
    pub(super) fn not_reached(&mut self) {
        self.early.clear();
        self.reach_next();
    }
}

fn keys(rule: &AnsweringRule) -> Vec<Item> {
    let of_key = |entry: &super::rule::RuleKey| {
        [
            Item::Prompt("for"),
            Item::Spell(entry.text.clone()),
            Item::Prompt("press"),
            Item::Digits(entry.key.to_string()),
        ]
    };
    rule.keys.iter().flat_map(of_key).collect()
}

//! A phone was called to hear one message, or for the owner's greetings (reference, unified messaging, 7.7): the keys are those of
//! voice access, and the call ends where its main menu would be.

use std::sync::Arc;

use super::words::{Answer, Ask, Caller, Rules};
use super::{After, MenuId, Next, Role, Talk};
use crate::mail::Played;

impl Talk {
    /// Somebody's phone was called, and has answered.
    pub fn playing(rules: Arc<Rules>, caller: Caller, mailbox: String, what: Played) -> Self {
        Self { mailbox: Some(mailbox), plays: Some(what), ..Self::new(rules, caller, Role::Access) }
    }

    pub(super) fn begin_playing(&mut self) {
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.ask(Ask::Open(mailbox), After::Opened);
    }

    pub(super) fn play_opened(&mut self, answer: Answer) {
        let Answer::View(view) = answer else {
            return self.tell(&["try-later", "goodbye"], Next::End("the mailbox does not answer"));
        };
        self.signed_in = true;
        self.view = Some(view);
        match self.plays {
            Some(Played::Message(number)) => self.hear_list(vec![number]),
            Some(Played::Greetings) | None => self.menu(MenuId::Greetings),
        }
    }
}

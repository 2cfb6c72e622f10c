//! A caller that turns out to be a fax machine is connected with the partner that takes faxes (reference, unified messaging, 3.12).

use super::ruled::Reach;
use super::words::{Ask, Output};
use super::{After, Next, Role, Talk, Then};

impl Talk {
    /// Whether a fax machine would be connected elsewhere.
    pub fn hears_faxes(&self) -> bool {
        matches!(self.role, Role::Answering) && self.view.as_ref().is_some_and(|view| view.fax.is_some())
    }

    /// It has sent its calling tone. What was recorded of it is no message.
    pub(super) fn fax(&mut self) {
        self.out.push(Output::Note("a fax machine calls"));
        self.faxes = true;
        match self.taken.as_ref().and_then(|taken| taken.draft.clone()) {
            Some(draft) => self.ask(Ask::Drop(draft), After::Dropped(Then::Fax)),
            None => self.fax_on(),
        }
    }

    /// It is connected with who takes it.
    pub(super) fn fax_on(&mut self) {
        self.taken = None;
        let Some(number) = self.view.as_ref().and_then(|view| view.fax.clone()) else { return self.fax_lost() };
        self.reach = [Reach::plain(number)].into();
        self.next(Next::Reach);
    }

    /// Who takes faxes is not there.
    pub(super) fn fax_lost(&mut self) {
        self.end("nobody takes the fax");
    }
}

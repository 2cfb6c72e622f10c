//! Who has the call among its own: a user whose phones ring has a line of the call, one who talks has a line of its leg. So a line goes
//! where the leg goes, and is free as soon as the party has left, though the call goes on.

use super::Work;
use super::leg::LegId;
use crate::directory::User;
use crate::user_lines::UserLine;

impl Work<'_> {
    /// A user is called: counts the call among its; false when it has as many as it may have.
    pub fn take_line(&mut self, user: &User, aor: &str) -> bool {
        let line = UserLine::take(&self.core.shared, aor, user.max_calls.unwrap_or(usize::MAX));
        let taken = line.is_some();
        self.state.lines.extend(line);
        taken
    }

    /// A user that was called has one call less.
    pub fn drop_line(&mut self, aor: &str) {
        if let Some(at) = self.state.lines.iter().position(|line| line.aor() == aor) {
            self.state.lines.swap_remove(at);
        }
    }

    /// The agents who were rung have one call less, but for the one who has taken this one.
    pub fn leave_rung(&mut self, but: Option<&str>) {
        let rung = std::mem::take(&mut self.state.rung);
        self.state.lines.extend(rung.into_iter().filter(|line| Some(line.aor()) == but));
    }

    /// A leg has the call: its user's line is the leg's, and nobody else is called any more.
    pub fn settle_line(&mut self, id: LegId) {
        let lines = std::mem::take(&mut self.state.lines);
        let Some(aor) = self.aor_of(id) else { return };
        let own = lines.into_iter().find(|line| line.aor() == aor);
        // One that crossed the end of its turn, or took a call that it was not called for.
        let own = own.or_else(|| UserLine::take(&self.core.shared, &aor, usize::MAX));
        if let Some(leg) = self.state.leg_mut(id) {
            leg.line = own;
        }
    }

    fn aor_of(&self, id: LegId) -> Option<String> {
        let user = self.state.leg(id)?.user.as_ref()?;
        Some(self.core.shared.directory().aor(user))
    }
}

//! A phone that sends the caller elsewhere (RFC 3261 section 8.1.3.4): the switch follows, as far as it is at home there.

use std::collections::VecDeque;

use sip::value::{NameAddr, Scheme, Uri};
use sip::{Message, Name};

use super::Work;
use super::leg::LegId;
use crate::directory::Destination;

/// Addresses of record that one call may ring, the dialled one among them: no chain of diversions goes on for ever.
const TRIED_MAX: usize = 5;

impl Work<'_> {
    /// Rings whom the contacts of a 3xx name, instead of the leg that said it. False when none of them is a user of ours
    /// whom the call has not rung before: the caller then hears that the callee is not there.
    pub fn redirected(&mut self, id: LegId, response: &Message) -> bool {
        if self.state.partner.is_some() {
            return false;
        }
        let directory = self.core.shared.directory();
        let ours = |uri: &Uri<'_>| uri.scheme == Scheme::Tel || self.core.is_ours(uri.host_text());
        let users: Vec<_> = response
            .values(Name::Contact)
            .filter_map(|value| Uri::parse(NameAddr::parse(value.ok()?).ok()?.uri).ok())
            .filter(ours)
            .filter_map(|uri| match directory.route(&uri) {
                Destination::User(user) => Some(user),
                Destination::Service(_)
                | Destination::Conference { .. }
                | Destination::Outside(_)
                | Destination::Nowhere(_) => None,
            })
            .collect();
        // Whom it sends the caller to may ring in its place.
        self.state.forks = self.state.forks.saturating_sub(1);
        let (mut now, mut later) = (VecDeque::new(), VecDeque::new());
        for user in users {
            let aor = directory.aor(&user);
            if self.state.tried.contains(&aor) || self.state.tried.len() >= TRIED_MAX || !self.take_line(&user, &aor) {
                continue;
            }
            self.decided(Some(id), format!("diverted to {aor}"));
            self.state.tried.push(aor.clone());
            let mut groups = self.groups_of(&aor, None);
            now.extend(groups.pop_front());
            later.extend(groups);
        }
        if now.is_empty() {
            return false;
        }
        self.untie(id);
        for turn in now {
            self.ring_turn(turn);
        }
        later.append(&mut self.state.turns);
        self.state.turns = later;
        if self.state.ringing() {
            self.time_group();
            return true;
        }
        self.ring_next()
    }
}

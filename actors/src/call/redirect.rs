//! A phone that sends the caller elsewhere (RFC 3261 section 8.1.3.4): the switch follows, as far as it is at home there.

use std::collections::VecDeque;

use sip::value::{NameAddr, Scheme, Uri};
use sip::{Message, Name};

use super::Work;
use super::groups::Turn;
use super::history::Why;
use super::leg::LegId;
use crate::directory::Destination;
use crate::routing::{self, By};

/// Addresses of record that one call may ring, the dialled one among them: no chain of diversions goes on for ever.
const TRIED_MAX: usize = 5;

impl Work<'_> {
    /// Rings whom the contacts of a 3xx name, instead of the leg that said it: users of ours whom the call has not rung before,
    /// and numbers outside that the phone's user may call. False when there is none: the caller then hears that the callee is
    /// not there.
    pub fn redirected(&mut self, id: LegId, response: &Message) -> bool {
        if self.state.partner.is_some() {
            return false;
        }
        let directory = self.core.shared.directory();
        let ours = |uri: &Uri<'_>| uri.scheme == Scheme::Tel || self.core.is_ours(uri.host_text());
        // The phone's user sends the caller on, and may send it where that user may call.
        let sender = self.state.leg(id).and_then(|leg| leg.user.clone());
        let by = sender.as_ref().map_or(By::Nobody, |user| By::User(user));
        let named = response
            .values(Name::Contact)
            .filter_map(|value| Uri::parse(NameAddr::parse(value.ok()?).ok()?.uri).ok())
            .filter(ours);
        let decisions: Vec<_> = named.take(TRIED_MAX).map(|uri| directory.route(&uri, by)).collect();
        // Whom it sends the caller to may ring in its place.
        self.state.forks = self.state.forks.saturating_sub(1);
        let (mut now, mut later) = (VecDeque::new(), VecDeque::new());
        let mut outside = VecDeque::new();
        for decision in decisions {
            let user = match decision.destination {
                Destination::User(user) => user,
                Destination::Outside(exits) if self.state.tried.len() < TRIED_MAX => {
                    self.decided(Some(id), format!("diverted: {}", routing::brief(&decision.steps)));
                    self.state.tried.push(exits.first().map_or(String::new(), |exit| exit.number.clone()));
                    outside.extend(exits.into_iter().map(Turn::Exit));
                    continue;
                }
                _ => continue,
            };
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
        // Users are asked before gateways, which take turns.
        let by_q = !now.is_empty();
        if now.is_empty() {
            now.extend(outside.pop_front());
        }
        later.append(&mut outside);
        if now.is_empty() {
            return false;
        }
        if let Some(sender) = &sender {
            // Who sends it on twice is named once.
            self.sent_on(sender, Why::Deflection);
        }
        self.untie(id);
        for turn in now {
            self.ring_turn(turn);
        }
        later.append(&mut self.state.turns);
        self.state.turns = later;
        if self.state.ringing() {
            if by_q {
                self.time_group();
            }
            return true;
        }
        self.ring_next()
    }
}

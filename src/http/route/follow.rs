//! What the features of users would do with a call that is asked about: as a call does, in which nobody is busy that is not.

use actors::call::{SENT_ON_MAX, Why};
use actors::directory::{Destination, ServiceKind, User};
use actors::features::rules::{self, Now, Outcome, Refused};
use actors::features::{DELEGATES, Features, VOICEMAIL};
use actors::routing::spec::Switches;
use actors::routing::{By, Decision, Question, Step, Topic, Trail, Verdict};
use actors::shared::{Shared, unix_ms};
use jiff::Timestamp;
use std::sync::Arc;

/// A user by whom the call ends, and what the caller is told.
pub struct Ends {
    /// The user.
    pub user: Arc<User>,
    /// What the caller is told.
    pub refused: Refused,
}

/// A call that was sent on too often, or by somebody who had it before.
const IN_A_CIRCLE: Refused = Refused { code: 480, reason: "Too Many Diversions", q850: 25 };

/// Who asks.
pub struct Asker<'a> {
    /// The user that calls, if one does.
    pub from: Option<&'a User>,
    /// What the caller is known by besides.
    pub caller: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Follows the call from user to user; `Some` where one refuses it.
pub fn follow(shared: &Shared, decision: &mut Decision, asker: &Asker<'_>) -> Option<Ends> {
    let directory = shared.directory();
    let mut callers = vec![asker.caller];
    if let Some(user) = asker.from {
        callers.extend([Some(&user.name), user.extension.as_ref()].into_iter().flatten().map(String::as_str));
        callers.extend(user.numbers.iter().map(String::as_str));
    }
    let mut sent_on: Vec<String> = Vec::new();
    while let Destination::User(user) = &decision.destination {
        let user = Arc::clone(user);
        let features = shared.features.holding(directory.routing(), &user.name, asker.at);
        let switches = directory.routing().switches(&user.routing);
        let now = Now {
            user: &user.name,
            callers: &callers,
            hidden: asker.from.is_some_and(|from| shared.features.of(&from.name).hide_number),
            lines: shared.lines.of(&directory.aor(&user)),
            lines_max: user.max_calls.unwrap_or(usize::MAX),
            ring: shared.settings().features.ring,
        };
        let mut trail = Trail::full();
        let outcome = rules::incoming(&features, &switches, &now, &mut trail);
        decision.steps.extend(trail.into_steps());
        let to = match outcome {
            Outcome::SendOn(to, _) => to,
            // As in a call: who is busy or does not want to be disturbed has a mailbox; callers that are not wanted have none.
            Outcome::Refuse(refused) if matches!(refused.code, 480 | 486) && user.mailbox.is_some() => {
                decision.destination = Destination::Mailbox(user);
                return None;
            }
            Outcome::Refuse(refused) => return Some(Ends { user, refused }),
            Outcome::Ring => {
                decision.steps.push(phones(shared, &user, &features, &switches));
                return None;
            }
        };
        if to == VOICEMAIL && user.mailbox.is_some() {
            decision.destination = Destination::Mailbox(user);
            return None;
        }
        if sent_on.len() >= SENT_ON_MAX || sent_on.contains(&user.name) {
            return Some(Ends { user, refused: IN_A_CIRCLE });
        }
        if to == DELEGATES {
            decision.steps.push(Step {
                topic: Topic::Feature,
                verdict: Verdict::Chosen,
                name: user.name.as_str().into(),
                text: format!("its delegates ring: {}", features.delegates.join(", ")),
            });
            return None;
        }
        sent_on.push(user.name.clone());
        let question = Question { dialled: &to, by: By::User(&user), at: asker.at, sent_on: true };
        let next = directory.routing().decide(&directory, &question, true);
        (decision.destination, decision.under) = (next.destination, next.under);
        decision.steps.extend(next.steps);
        // Who is sent to voice access leaves a message.
        if matches!(decision.destination, Destination::Service(ServiceKind::Voicemail)) && user.mailbox.is_some() {
            decision.destination = Destination::Mailbox(user);
        }
    }
    None
}

/// How many phones would ring at this moment, and what happens when there is none.
fn phones(shared: &Shared, user: &User, features: &Features, switches: &Switches) -> Step {
    let contacts = shared.location.get(&shared.directory().aor(user));
    let now = unix_ms();
    let registered = contacts.iter().filter(|contact| contact.expires_at_ms > now).count();
    let step = |verdict, text| Step { topic: Topic::Feature, verdict, name: user.name.as_str().into(), text };
    if registered > 0 {
        return step(Verdict::Chosen, format!("{registered} registered contacts ring at this moment"));
    }
    if !rules::also(features, switches).is_empty() {
        return step(Verdict::Passed, "no phone is registered at this moment: only the others ring".to_owned());
    }
    match rules::unanswered(features, switches, Why::Unavailable) {
        Some(to) => step(Verdict::Rewrote, format!("no phone is registered at this moment: the call goes to {to}")),
        None if user.mailbox.is_some() => {
            step(Verdict::Rewrote, "no phone is registered at this moment: its mailbox answers".to_owned())
        }
        None => step(Verdict::Refused, "no phone is registered at this moment: the caller gets 480".to_owned()),
    }
}

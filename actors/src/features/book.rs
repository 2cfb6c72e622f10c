//! The features of all users: in memory as they are in force, in the store as they were acknowledged.

use ahash::RandomState;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Features, VOICEMAIL};
use crate::directory::{Destination, User};
use crate::outside;
use crate::routing::hours::State;
use crate::routing::{By, Question, Routing};
use crate::shared::Shared;

/// The space of the store in which features stand, by user.
const FEATURES: &str = "features";
/// The space of the store in which traced calls stand, by time and user.
pub const TRACES: &str = "trace";

/// The last call that came for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCall {
    /// RFC 3339.
    pub at: String,
    /// The switch's name of the call.
    pub call: String,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who called, also where its number was hidden from the user.
    pub from: String,
    /// It was hidden.
    pub hidden: bool,
    /// The gateway that it came by.
    pub gateway: Option<String>,
    /// Where its INVITE came from.
    pub source: String,
}

/// Why features were not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// They are not as they must be.
    #[error("{0}")]
    Wrong(String),
    /// The user may not, by its voice policy.
    #[error("the voice policy does not allow {0}")]
    NotAllowed(&'static str),
    /// A target leads nowhere.
    #[error("{0} leads nowhere: {1}")]
    Nowhere(String, String),
    /// The store did not take them.
    #[error("not kept: {0}")]
    Store(String),
}

#[derive(Clone, Debug)]
struct Entry {
    /// In force.
    now: Arc<Features>,
    /// On the way to the disk.
    next: Option<Arc<Features>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct FeatureBook {
    of: DashMap<Box<str>, Entry, RandomState>,
    none: Arc<Features>,
    last: DashMap<Box<str>, LastCall, RandomState>,
}

impl FeatureBook {
    /// What the store has.
    pub fn read(store: &store::Store) -> Arc<Self> {
        let this = Self::default();
        match store.facts().all(FEATURES) {
            Ok((facts, unread)) => {
                if unread > 0 {
                    tracing::error!(unread, "features of users cannot be read");
                }
                for (user, text) in facts {
                    match serde_json::from_str(&text) {
                        Ok(features) => {
                            this.of.insert(user.into(), Entry { now: Arc::new(features), next: None });
                        }
                        Err(error) => tracing::error!(user, %error, "the features of a user cannot be read"),
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the features of users cannot be read"),
        }
        Arc::new(this)
    }

    /// The features of a user in force.
    pub fn of(&self, user: &str) -> Arc<Features> {
        self.of.get(user).map_or_else(|| Arc::clone(&self.none), |entry| Arc::clone(&entry.now))
    }

    /// The features of a user as they hold at a time. Hours that the configuration has no more are no bound.
    pub fn holding(&self, routing: &Routing, user: &str, at: jiff::Timestamp) -> Arc<Features> {
        let features = self.of(user);
        let state = features.during.as_deref().and_then(|hours| routing.hours_at(hours, at));
        match state {
            None | Some(State::Open) => features,
            Some(State::Closed | State::Holiday) => Arc::new(features.outside_hours()),
        }
    }

    /// Users that have switched something.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether nobody has switched anything.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The last call that came for a user.
    pub fn last_call(&self, user: &str) -> Option<LastCall> {
        self.last.get(user).map(|last| last.clone())
    }

    /// A call has come for a user.
    pub fn came(&self, user: &str, call: LastCall) {
        self.last.insert(user.into(), call);
    }

    /// Changes the features of a user: checked, then on disk, then in force, then `done`. Changes of one user come to be in the
    /// order of these calls.
    pub fn change(
        shared: &Arc<Shared>,
        user: &Arc<User>,
        edit: impl FnOnce(&mut Features) -> Result<(), NotSet>,
        done: impl FnOnce(Result<Arc<Features>, NotSet>) + Send + 'static,
    ) {
        let book = &shared.features;
        let mut features = {
            let entry = book.of.get(user.name.as_str());
            let newest = entry.as_ref().map(|entry| entry.next.as_ref().unwrap_or(&entry.now));
            newest.map_or_else(Features::default, |newest| (**newest).clone())
        };
        let before = features.clone();
        if let Err(why) = edit(&mut features).and_then(|()| allowed(shared, user, &before, &features)) {
            return done(Err(why));
        }
        let text = match serde_json::to_string(&features) {
            Ok(text) => text,
            Err(error) => return done(Err(NotSet::Wrong(error.to_string()))),
        };
        let features = Arc::new(features);
        book.of
            .entry(user.name.as_str().into())
            .or_insert_with(|| Entry { now: Arc::clone(&book.none), next: None })
            .next = Some(Arc::clone(&features));
        let (shared_for, user_for, next) = (Arc::clone(shared), Arc::clone(user), Arc::clone(&features));
        let kept = move |kept: Result<(), store::StoreError>| {
            if let Some(mut entry) = shared_for.features.of.get_mut(user_for.name.as_str()) {
                if kept.is_ok() {
                    entry.now = Arc::clone(&next);
                }
                if entry.next.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, &next)) {
                    entry.next = None;
                }
            }
            let aor = shared_for.directory().aor(&user_for);
            // Who is not to be disturbed is no agent meanwhile.
            shared_for.groups.agent_changed(&aor);
            done(kept.map(|()| next).map_err(|error| NotSet::Store(error.to_string())));
        };
        shared.store.facts().put(FEATURES, &user.name, &text, kept);
    }
}

/// Whether a user may have these features: what was not there before is looked at.
fn allowed(shared: &Shared, user: &User, before: &Features, features: &Features) -> Result<(), NotSet> {
    if let Some(wrong) = features.wrong() {
        return Err(NotSet::Wrong(wrong));
    }
    let directory = shared.directory();
    let switches = directory.routing().switches(&user.routing);
    let forwards = [
        (&before.forward_all, &features.forward_all),
        (&before.forward_busy, &features.forward_busy),
        (&before.forward_no_answer, &features.forward_no_answer),
    ];
    if forwards.iter().any(|(was, is)| was != is && is.is_some()) && !switches.forwarding {
        return Err(NotSet::NotAllowed("call forwarding"));
    }
    if features.also_ring != before.also_ring && !features.also_ring.is_empty() && !switches.simultaneous {
        return Err(NotSet::NotAllowed("simultaneous ringing"));
    }
    if features.delegates != before.delegates && !features.delegates.is_empty() && !switches.delegation {
        return Err(NotSet::NotAllowed("delegates"));
    }
    if features.team != before.team && !features.team.is_empty() && !switches.team_call {
        return Err(NotSet::NotAllowed("team calls"));
    }
    if features.forwards().into_iter().flatten().any(|to| to == VOICEMAIL) && user.mailbox.is_none() {
        return Err(NotSet::Wrong("the user has no mailbox to send calls to".to_owned()));
    }
    if let Some(hours) = features.during.as_ref().filter(|hours| directory.routing().hours_named(hours).is_none()) {
        return Err(NotSet::Wrong(format!("the configuration has no hours {hours:?}")));
    }
    for name in features.users() {
        if directory.user(name).is_none() || *name == user.name {
            return Err(NotSet::Wrong(format!("{name} is no other user here")));
        }
    }
    let known: Vec<&String> = before.targets().collect();
    for target in features.targets().filter(|target| !known.contains(target)) {
        let question = Question { dialled: target, by: By::User(user), at: outside::now(), sent_on: true };
        match directory.routing().decide(&directory, &question, false).destination {
            Destination::Nowhere(refusal) => return Err(NotSet::Nowhere(target.clone(), refusal.to_string())),
            Destination::User(to) if to.name == user.name => {
                return Err(NotSet::Nowhere(target.clone(), "it is the user itself".to_owned()));
            }
            Destination::Feature(_) => {
                return Err(NotSet::Nowhere(target.clone(), "it is a feature code".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

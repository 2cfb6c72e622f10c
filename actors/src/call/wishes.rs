//! Somebody has dialled a feature code: what it switches is kept, then a tone says so.

use media::{Audio, Repeat, Source};
use sip::{Name, Status};
use std::sync::{Arc, LazyLock};

use super::Work;
use super::leg::LegId;
use crate::directory::{ServiceKind, User};
use crate::features::{Action, FeatureBook, Features, NotSet, TRACES, Wish};
use crate::routing::{By, Question};
use crate::shard::SignallingMsg;

/// What came of a wish.
pub type Kept = Result<(), Unkept>;

/// Why a wish is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// What the caller is told.
    pub code: u16,
    /// In words.
    pub why: String,
}

impl From<NotSet> for Unkept {
    fn from(why: NotSet) -> Self {
        let code = match why {
            NotSet::Wrong(_) => 400,
            NotSet::NotAllowed(_) => 403,
            NotSet::Nowhere(..) => 404,
            NotSet::Store(_) => 503,
        };
        Self { code, why: why.to_string() }
    }
}

impl Work<'_> {
    /// Does what a code asks for.
    pub fn fulfil(&mut self, wish: Wish) {
        let Some(user) = self.state.leg(LegId::CALLER).and_then(|leg| leg.user.clone()) else {
            return self.refuse(Status::FORBIDDEN, None, 21);
        };
        self.decided(None, format!("feature code: {}, {}", wish.action.as_str(), if wish.on { "on" } else { "off" }));
        match wish.action {
            Action::HideNumber if !wish.number.is_empty() => self.call_hidden(&user, &wish),
            Action::SignIn => self.sign_in(&user, &wish),
            Action::Trace => self.trace(&user),
            Action::Pickup => self.pick_up(&user, &wish.number),
            _ => {
                let done = self.told();
                let edit = move |features: &mut Features| edit(features, &wish);
                FeatureBook::change(&self.core.shared, &user, edit, move |kept| {
                    done(kept.map(|_| ()).map_err(Unkept::from));
                });
            }
        }
    }

    /// How this call hears what came of its wish, from whatever thread.
    fn told(&mut self) -> impl FnOnce(Kept) + Send + use<> + 'static {
        self.state.wishes = true;
        let (seat, call) = (self.core.shared.signalling(self.core.shard).cloned(), self.key);
        move |kept| {
            if let Some(seat) = seat {
                // One a call.
                seat.send_reply(SignallingMsg::Kept { call, kept });
            }
        }
    }

    /// A wish was kept, or not.
    pub fn wish_kept(&mut self, kept: Kept) {
        self.state.wishes = false;
        if self.state.finished {
            return;
        }
        match kept {
            Ok(()) => self.serve(ServiceKind::Confirmation),
            Err(Unkept { code, why }) => {
                self.decided(None, why.clone());
                let status = Status::new(code).unwrap_or(Status::SERVER_INTERNAL_ERROR);
                let plain: String =
                    why.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { '\'' } else { c }).collect();
                self.refuse_with(status, None, super::cancel::q850_of(status), |writer| {
                    writer.header(Name::Reason, format!("SIP;cause={code};text=\"{plain}\""));
                });
            }
        }
    }

    /// One call with the number hidden, or shown.
    fn call_hidden(&mut self, user: &User, wish: &Wish) {
        if let Some(caller) = self.state.caller() {
            if wish.on {
                caller.hide();
            } else {
                caller.show();
            }
            let hidden = caller.is_hidden();
            self.file.facts.borrow_mut().from_hidden = hidden;
        }
        let directory = self.core.shared.directory();
        let question =
            Question { dialled: &wish.number, by: By::User(user), at: crate::outside::now(), sent_on: false };
        let decision = directory.routing().decide(&directory, &question, false);
        if matches!(decision.destination, crate::directory::Destination::Feature(_)) {
            return self.refuse(Status::NOT_FOUND, None, 1);
        }
        self.go(decision.into(), &wish.number);
    }

    fn sign_in(&mut self, user: &User, wish: &Wish) {
        let mut groups = self.core.shared.groups.of_agent(&user.name);
        groups.retain(|group| {
            let plan = group.plan();
            plan.sign_in && (wish.number.is_empty() || plan.number == wish.number || plan.name == wish.number)
        });
        let Some(last) = groups.pop() else {
            let why = format!("{} signs in to no such group", user.name);
            return self.wish_kept(Err(Unkept { code: 404, why }));
        };
        for group in groups {
            group.sign(&self.core.shared.store, user.name.as_str().into(), wish.on, |_| {});
        }
        // Writes are durable in their order: the last says that all are.
        let done = self.told();
        last.sign(&self.core.shared.store, user.name.as_str().into(), wish.on, move |signed| {
            done(signed.map_err(|why| Unkept { code: 503, why: why.to_string() }));
        });
    }

    /// The last call that came is marked as malicious.
    fn trace(&mut self, user: &User) {
        let directory = self.core.shared.directory();
        if !directory.routing().switches(&user.routing).trace {
            return self.wish_kept(Err(NotSet::NotAllowed("the trace of malicious calls").into()));
        }
        let Some(last) = self.core.shared.features.last_call(&user.name) else {
            return self.wish_kept(Err(Unkept { code: 404, why: "no call has come that could be traced".into() }));
        };
        let record =
            serde_json::json!({ "user": user.name, "traced": super::rfc3339(crate::shared::unix_ms()), "call": last });
        let key = format!("{:015} {}", crate::shared::unix_ms(), user.name);
        tracing::warn!(user = user.name, call = last.call, "a call is traced as malicious");
        let done = self.told();
        self.core.shared.store.facts().put(TRACES, &key, &record.to_string(), move |kept| {
            done(kept.map_err(|error| Unkept { code: 503, why: error.to_string() }));
        });
    }

    /// The sound of [`ServiceKind::Confirmation`].
    pub fn confirmation() -> Source {
        static TONE: LazyLock<Arc<Audio>> = LazyLock::new(|| {
            // Two short notes of 200 ms, the second higher: done.
            let mut samples = Vec::new();
            for hz in [440.0, 660.0] {
                let mut note = vec![0; 1600];
                media::tone::Sine::new(hz, -16.0, media::prompt::RATE_HZ).fill(&mut note);
                samples.extend(note);
            }
            Arc::new(Audio::from_samples(samples))
        });
        Source::Prompt(Arc::clone(&TONE), Repeat::Once)
    }
}

/// What a code changes.
fn edit(features: &mut Features, wish: &Wish) -> Result<(), NotSet> {
    let number = || (!wish.number.is_empty()).then(|| wish.number.clone());
    let needed = || number().ok_or_else(|| NotSet::Wrong("a number is to follow the code".into()));
    let target = || if wish.on { needed().map(Some) } else { Ok(None) };
    match wish.action {
        Action::ForwardAll => features.forward_all = target()?,
        Action::ForwardBusy => features.forward_busy = target()?,
        Action::ForwardNoAnswer => {
            features.forward_no_answer = target()?;
            if wish.seconds.is_some() || !wish.on {
                features.ring_s = wish.seconds;
            }
        }
        Action::ForwardNone => {
            (features.forward_all, features.forward_busy, features.forward_no_answer) = (None, None, None);
        }
        Action::AlsoRing if wish.on => {
            let number = needed()?;
            if !features.also_ring.contains(&number) {
                features.also_ring.push(number);
            }
        }
        Action::AlsoRing => match number() {
            Some(number) => features.also_ring.retain(|other| *other != number),
            None => features.also_ring.clear(),
        },
        Action::DoNotDisturb => features.do_not_disturb = wish.on,
        Action::CallWaiting => features.call_waiting = wish.on,
        Action::HideNumber => features.hide_number = wish.on,
        Action::RejectAnonymous => features.reject_anonymous = wish.on,
        Action::SignIn | Action::Pickup | Action::Trace => {}
    }
    Ok(())
}

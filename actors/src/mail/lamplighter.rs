//! Lamps of phones behind other switches: their gateways are told how many messages a user has (RFC 3842; reference, unified
//! messaging, 3.8).
//!
//! A policy names the gateways, which are tried in turn until one takes the NOTIFY; for five minutes, then it is an error. What is
//! told is what holds when it is sent, so of many changes the last is told. All lamps are told again after some hours, and when a
//! gateway that was gone is back.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

use super::MailboxMsg;
use crate::gateway::{KeeperMsg, State};
use crate::lamps::summary;
use crate::shared::Shared;
use crate::supervision::{Cx, Live, Reply};

/// For how long a lamp is tried.
const GIVE_UP: Duration = Duration::from_secs(300);
/// How long all gateways rest after all have refused.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a gateway may take.
const PATIENCE: Duration = Duration::from_secs(35);
/// Lamps that are told at once.
const AT_ONCE: usize = 16;
/// How often all lamps are told again.
const REFRESH: Duration = Duration::from_secs(6 * 3600);

/// What the lamplighter can be told.
pub enum LamplighterMsg {
    /// Another number of messages is in this mailbox.
    Changed(String),
    /// This gateway was gone, and is back.
    Back(String),
}

/// See the module.
pub struct Lamplighter {
    shared: Arc<Shared>,
    /// Whose turn has not come, in order, and who is among them.
    waiting: VecDeque<String>,
    waits: HashSet<String>,
    /// Who is being told.
    telling: BTreeSet<String>,
    /// Who has changed meanwhile.
    again: BTreeSet<String>,
}

impl Lamplighter {
    /// That of the node.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            waiting: VecDeque::new(),
            waits: HashSet::new(),
            telling: BTreeSet::new(),
            again: BTreeSet::new(),
        }
    }

    fn want(&mut self, name: String) {
        if self.telling.contains(&name) {
            self.again.insert(name);
        } else if !gateways_of(&self.shared, &name).is_empty() && self.waits.insert(name.clone()) {
            self.waiting.push_back(name);
        }
    }

    /// All whose lamps are behind this gateway, or behind any.
    fn want_all(&mut self, gateway: Option<&str>) {
        let directory = self.shared.directory();
        for user in directory.users() {
            let gateways = gateways_of(&self.shared, &user.name);
            if gateways.iter().any(|name| gateway.is_none_or(|wanted| name == wanted)) {
                self.want(user.name.clone());
            }
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        while self.telling.len() < AT_ONCE
            && let Some(name) = self.waiting.pop_front()
        {
            self.waits.remove(&name);
            self.telling.insert(name.clone());
            let shared = Arc::clone(&self.shared);
            let telling = async move {
                let told = tell(&shared, &name).await;
                (name, told)
            };
            cx.spawn(telling, |this, (name, told), cx| {
                this.telling.remove(&name);
                if !told {
                    this.shared.mailroom.lamps_failed.fetch_add(1, Relaxed);
                    tracing::error!(mailbox = name, "no gateway takes how many messages there are");
                }
                if this.again.remove(&name) {
                    this.want(name);
                }
                this.go_on(cx);
            });
        }
    }

    fn refresh(cx: &mut Cx<'_, Self>) {
        cx.later(REFRESH, |this, cx| {
            this.want_all(None);
            this.go_on(cx);
            Self::refresh(cx);
        });
    }
}

/// The gateways behind which the lamp of a user's phone is.
fn gateways_of(shared: &Shared, name: &str) -> Vec<String> {
    let directory = shared.directory();
    let policy = directory.user(name).and_then(|user| user.mailbox.as_ref()).map(|mailbox| &mailbox.policy);
    policy.filter(|policy| policy.lamp).map(|policy| policy.lamp_gateways.clone()).unwrap_or_default()
}

/// Tells a gateway how many messages a user has; false when none has taken it in time.
async fn tell(shared: &Arc<Shared>, name: &str) -> bool {
    let until = Instant::now() + GIVE_UP;
    loop {
        for gateway in gateways_of(shared, name) {
            let Some(extension) = shared.directory().user(name).and_then(|user| user.extension.clone()) else {
                return true;
            };
            let Some(counts) = shared.mailroom.counts(shared, name) else {
                // It is opened, and tells of itself then. It is waited for, so that after a start no more are opened at once than are told.
                let (reply, opened) = tokio::sync::oneshot::channel();
                if shared.mailroom.send(shared, name, MailboxMsg::View(Reply::of(reply))).is_ok() {
                    let _opened = tokio::time::timeout(PATIENCE, opened).await;
                }
                return true;
            };
            let standing = shared.gateways.get(&gateway);
            let there = |state| matches!(state, State::InService | State::Busy | State::Draining);
            let Some(standing) = standing.filter(|standing| there(standing.state())) else { continue };
            let account = format!("{extension}@{}", shared.directory().domain());
            let body = summary(&account, counts);
            let ask = |reply: Reply<u16>| KeeperMsg::Lamp { number: extension, body, reply };
            // 480: the phone is not there, and its switch knows what to show.
            if let Ok(200..=299 | 480) = standing.seat().ask(ask, PATIENCE).await {
                shared.mailroom.lamps_told.fetch_add(1, Relaxed);
                return true;
            }
        }
        if gateways_of(shared, name).is_empty() {
            return true;
        }
        if Instant::now() + AGAIN > until {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Live for Lamplighter {
    type Msg = LamplighterMsg;
    const KIND: &'static str = "lamplighter";
    const MAILBOX: usize = 4096;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.want_all(None);
        self.go_on(cx);
        Self::refresh(cx);
    }

    fn handle(&mut self, msg: LamplighterMsg, cx: &mut Cx<'_, Self>) {
        match msg {
            LamplighterMsg::Changed(name) => self.want(name),
            LamplighterMsg::Back(gateway) => self.want_all(Some(&gateway)),
        }
        self.go_on(cx);
    }

    fn describe(&self) -> String {
        format!("{} lamps are being told, {} wait", self.telling.len(), self.waiting.len())
    }
}

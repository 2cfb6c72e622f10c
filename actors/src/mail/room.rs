//! Finding the actor of a mailbox, starting it when there is none, and what everybody may know of each.

use ahash::RandomState;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use store::Voice;

use super::lamplighter::{Lamplighter, LamplighterMsg};
use super::mailbox::{Asker, Mailbox, MailboxMsg};
use super::outbox::Outbox;
use super::postmaster::{Postmaster, PostmasterMsg};
use super::transcriber::Transcriber;
use super::{Counts, Draft, Owner};
use crate::shared::Shared;
use crate::supervision::{Live as _, Ref, Restart, StartError, SupervisorRef};
use crate::talk::{Answer, Ask};

/// The mailboxes of the node.
pub struct Mailroom {
    houses: DashMap<String, Arc<House>, RandomState>,
    /// The supervisor of their actors.
    pub supervisor: SupervisorRef,
    /// Who sends letters.
    pub outbox: Ref<Outbox>,
    /// Who tells gateways of messages.
    pub lamplighter: Ref<Lamplighter>,
    /// Who has their messages read.
    pub transcriber: Ref<Transcriber>,
    /// Who starts them, on the thread of their supervisor.
    pub postmaster: Ref<Postmaster>,
    /// What is played on phones.
    pub plays: super::Plays,
    counts: DashMap<String, Counts, RandomState>,
    /// Addresses whose phones were told of messages.
    lit: DashMap<String, (), RandomState>,
    /// Messages kept since the start.
    pub delivered: AtomicU64,
    /// Recordings begun.
    pub begun: AtomicU64,
    /// Callers who left nothing.
    pub missed: AtomicU64,
    /// Recordings that were turned away.
    pub refused: AtomicU64,
    /// Gateways that have taken how many messages somebody has.
    pub lamps_told: AtomicU64,
    /// Lamps that no gateway has taken in time.
    pub lamps_failed: AtomicU64,
    /// Wrong PINs.
    pub wrong_pins: AtomicU64,
}

impl Default for Mailroom {
    fn default() -> Self {
        Self {
            houses: DashMap::default(),
            supervisor: Ref::vacant(),
            outbox: Ref::vacant(),
            lamplighter: Ref::vacant(),
            transcriber: Ref::vacant(),
            postmaster: Ref::vacant(),
            plays: super::Plays::default(),
            counts: DashMap::default(),
            lit: DashMap::default(),
            delivered: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lamps_told: AtomicU64::new(0),
            lamps_failed: AtomicU64::new(0),
            wrong_pins: AtomicU64::new(0),
        }
    }
}

/// A mailbox takes nothing: there is none, or it has as much to do as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox takes nothing now")]
pub struct NotTaken;

/// What of a mailbox outlives its actor.
pub struct House {
    /// The user's name.
    pub name: String,
    /// Recordings that are spoken, or wait for what becomes of them.
    drafts: Mutex<BTreeMap<u64, Arc<Draft>>>,
    door: Mutex<Door>,
}

#[derive(Default)]
struct Door {
    seat: Option<Ref<Mailbox>>,
    /// What was sent to it before it was there.
    waiting: VecDeque<MailboxMsg>,
    /// Messages that were sent to it.
    sent: u64,
    /// Actors that it has had.
    born: u64,
}

impl House {
    /// Numbers of the recordings that are not over.
    pub(super) fn live(&self) -> BTreeSet<u64> {
        self.drafts.lock().keys().copied().collect()
    }

    pub(super) fn add(&self, draft: &Arc<Draft>) {
        self.drafts.lock().insert(draft.voice.number, Arc::clone(draft));
    }

    pub(super) fn drop_draft(&self, number: u64) {
        self.drafts.lock().remove(&number);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.drafts.lock().is_empty()
    }

    /// How many messages were sent to the actor.
    pub(super) fn sent(&self) -> u64 {
        self.door.lock().sent
    }

    /// The actor goes, unless somebody has sent to it since.
    pub(super) fn retire(&self, sent: u64) -> bool {
        let mut door = self.door.lock();
        let goes = door.sent == sent;
        if goes {
            door.seat = None;
        }
        goes
    }
}

impl Mailroom {
    fn house(&self, name: &str) -> Arc<House> {
        let make = || Arc::new(House { name: name.to_owned(), drafts: Mutex::default(), door: Mutex::default() });
        Arc::clone(&self.houses.entry(name.to_owned()).or_insert_with(make))
    }

    /// Sends to the actor of a user's mailbox, which is started if need be.
    ///
    /// # Errors
    /// There is no such mailbox, or it has as much to do as it may have.
    pub fn send(&self, shared: &Arc<Shared>, name: &str, msg: MailboxMsg) -> Result<(), NotTaken> {
        if self.owner(shared, name).is_none() {
            return Err(NotTaken);
        }
        let house = self.house(name);
        let mut door = house.door.lock();
        door.sent += 1;
        if let Some(seat) = &door.seat {
            return seat.try_send(msg).map_err(|_| NotTaken);
        }
        if door.waiting.len() >= Mailbox::MAILBOX {
            return Err(NotTaken);
        }
        door.waiting.push_back(msg);
        if door.waiting.len() == 1 {
            // One a mailbox that is opened; a postmaster that is dead at this moment looks for them when it is back.
            self.postmaster.send_reply(PostmasterMsg::Open(name.to_owned()));
        }
        Ok(())
    }

    /// Starts the actor of a mailbox that something waits for. On the thread of its supervisor.
    pub(super) fn open(&self, shared: &Arc<Shared>, name: &str) {
        let house = self.house(name);
        let mut door = house.door.lock();
        if door.waiting.is_empty() {
            return;
        }
        if door.seat.is_none() {
            match self.start(shared, &house, door.born) {
                Ok(seat) => {
                    door.born += 1;
                    door.seat = Some(seat);
                }
                Err(error) => tracing::error!(mailbox = name, %error, "a mailbox has no actor"),
            }
        }
        let waiting = std::mem::take(&mut door.waiting);
        if let Some(seat) = &door.seat {
            // As many as its mailbox holds.
            waiting.into_iter().for_each(|msg| drop(seat.try_send(msg)));
        }
    }

    /// As [`Mailroom::open`], for all that something waits for.
    pub(super) fn open_waiting(&self, shared: &Arc<Shared>) {
        let waiting = |house: &Arc<House>| !house.door.lock().waiting.is_empty();
        let names: Vec<String> =
            self.houses.iter().filter(|house| waiting(house)).map(|house| house.name.clone()).collect();
        names.iter().for_each(|name| self.open(shared, name));
    }

    fn start(&self, shared: &Arc<Shared>, house: &Arc<House>, born: u64) -> Result<Ref<Mailbox>, StartError> {
        let start = |name: &str| {
            let (shared, house) = (Arc::clone(shared), Arc::clone(house));
            let factory = move || Mailbox::new(Arc::clone(&shared), Arc::clone(&house));
            self.supervisor.start_child(name, Restart::Transient, factory)
        };
        match start(&house.name) {
            // Its predecessor is ending still.
            Err(StartError::Taken) => start(&format!("{}-{born}", house.name)),
            other => other,
        }
    }

    /// Asks a mailbox for a dialogue; the answer comes to its call. What cannot be asked is answered at once.
    pub fn ask(&self, shared: &Arc<Shared>, name: &str, asker: Asker, ask: Ask) {
        if self.send(shared, name, MailboxMsg::Ask(ask, asker)).is_err() {
            asker.answer(shared, Answer::Failed);
        }
    }

    /// Whose a mailbox is, under the settings in force.
    pub fn owner(&self, shared: &Shared, name: &str) -> Option<Owner> {
        Owner::of(shared.directory().user(name)?, &shared.settings())
    }

    /// How many messages a mailbox has, as far as it was opened since the start; it is opened to be counted where it was not.
    pub fn counts(&self, shared: &Arc<Shared>, name: &str) -> Option<Counts> {
        let known = self.counts.get(name).map(|counts| *counts);
        if known.is_none() {
            let _opened = self.send(shared, name, MailboxMsg::Count);
        }
        known
    }

    /// The mailbox has so many now. True when that is news.
    pub(super) fn counted(&self, name: &str, counts: Counts) -> bool {
        let news = self.counts.insert(name.to_owned(), counts) != Some(counts);
        if news {
            // One that has that much to do tells all of them again in some hours.
            let _told = self.lamplighter.try_send(LamplighterMsg::Changed(name.to_owned()));
        }
        news
    }

    /// Whether phones that have not asked are told this: not of nothing, unless they were told of something before.
    pub(crate) fn is_news(&self, aor: &str, counts: Counts) -> bool {
        match counts == Counts::default() {
            true => self.lit.remove(aor).is_some(),
            false => {
                self.lit.insert(aor.to_owned(), ());
                true
            }
        }
    }

    /// Mailboxes that are in use, and recordings that are not over.
    pub fn load(&self) -> (usize, usize) {
        let open = self.houses.iter().filter(|house| house.door.lock().seat.is_some()).count();
        let drafts = self.houses.iter().map(|house| house.drafts.lock().len()).sum();
        (open, drafts)
    }

    /// Starts the actors again that a dead supervisor had: only those that have recordings in hand must be there by themselves.
    pub(crate) fn adopt(&self, shared: &Arc<Shared>) {
        for house in self.houses.iter() {
            let mut door = house.door.lock();
            if door.seat.is_none() {
                continue;
            }
            match self.start(shared, &house, door.born) {
                Ok(seat) => {
                    door.born += 1;
                    door.seat = Some(seat);
                }
                Err(error) => {
                    door.seat = None;
                    tracing::error!(mailbox = house.name, %error, "a mailbox was not started again");
                }
            }
        }
    }

    /// A caller has left nothing.
    pub fn missed(&self, shared: &Arc<Shared>, name: &str, voice: Voice) {
        self.missed.fetch_add(1, Relaxed);
        let _refused = self.send(shared, name, MailboxMsg::Missed(voice));
    }

    /// The call of a recording is gone: its mailbox decides, once the recording has ended.
    pub fn orphan(&self, shared: &Arc<Shared>, draft: &Arc<Draft>) {
        if draft.orphaned() {
            self.settle(shared, draft);
        }
    }

    /// A recording without a call has ended.
    pub fn settle(&self, shared: &Arc<Shared>, draft: &Arc<Draft>) {
        // Told past the bound: one a recording. If nobody is there the next opening of the mailbox finds it.
        let house = self.house(&draft.mailbox);
        if self.send(shared, &draft.mailbox, MailboxMsg::Settle(Arc::clone(draft))).is_err() {
            house.drop_draft(draft.voice.number);
        }
    }
}

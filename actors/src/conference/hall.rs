//! A conference as its calls know it: who is in, and how they come and go.

use ahash::RandomState;
use dashmap::{DashMap, Entry};
use media::recorder::Tape;
use media::{Member, Room};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::actor::Conference;
use super::{ConferenceMsg, Plan};
use crate::call::CallKey;
use crate::shard::Core;
use crate::shared::unix_ms;
use crate::supervision::{Ref, Restart, StartError};

/// Conferences at once on the node.
const CONFERENCES_MAX: usize = 4096;

/// The conferences of the node, by number.
#[derive(Default)]
pub struct Conferences {
    halls: DashMap<String, Arc<Hall>, RandomState>,
    /// Conferences begun, guests let in, guests turned away.
    pub begun: AtomicU64,
    /// Guests let in.
    pub entered: AtomicU64,
    /// Guests turned away.
    pub refused: AtomicU64,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// Every seat is taken.
    #[error("the conference is full")]
    Full,
    /// The node has as many conferences as it may have, or its supervisor is being rebuilt.
    #[error("no conference can begin at this moment")]
    Busy,
}

/// See the module.
pub struct Hall {
    /// The number that was dialled.
    pub number: String,
    /// What it has in common with others.
    pub plan: Arc<Plan>,
    /// The mixing.
    pub room: Room,
    /// The shard of its actor.
    pub shard: usize,
    /// ms since 1970.
    pub began_ms: i64,
    /// Who is in, in the order of their coming.
    pub guests: Mutex<Vec<Guest>>,
    /// The recording that is being made.
    pub recording: Mutex<Option<Running>>,
    seat: Mutex<Option<Ref<Conference>>>,
    next_guest: AtomicU32,
}

/// A recording that is being made.
#[derive(Clone)]
pub struct Running {
    /// Where it goes.
    pub tape: Arc<Tape>,
    /// Its file.
    pub path: PathBuf,
}

/// Somebody in a conference.
#[derive(Clone)]
pub struct Guest {
    /// Its number in the conference.
    pub id: u32,
    /// Its address of record, or what it says it is.
    pub name: String,
    /// Its call.
    pub call: CallKey,
    /// Its call's shard.
    pub shard: usize,
    /// ms since 1970.
    pub since_ms: i64,
    /// What the pool knows of it.
    pub member: Member,
}

/// A call's place in a conference; it is left when this is dropped.
pub struct Seated {
    hall: Arc<Hall>,
    id: u32,
    member: Member,
}

impl Seated {
    /// What the call hears, and is heard by.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The number of the conference.
    pub fn number(&self) -> &str {
        &self.hall.number
    }

    /// The worker that the call's media must be on.
    pub fn worker(&self) -> u16 {
        self.hall.room.worker()
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.hall.guests.lock().retain(|guest| guest.id != self.id);
        self.hall.tell_changed();
    }
}

impl Conferences {
    /// Lets a call of this shard into the conference of a number, which begins with its first guest.
    ///
    /// # Errors
    /// See [`NoEntry`].
    pub fn enter(
        &self,
        core: &Core,
        plan: &Arc<Plan>,
        number: &str,
        guest: (String, CallKey),
    ) -> Result<Seated, NoEntry> {
        let entered = self.seat(core, plan, number, guest);
        match entered {
            Ok(_) => self.entered.fetch_add(1, Relaxed),
            Err(_) => self.refused.fetch_add(1, Relaxed),
        };
        entered
    }

    fn seat(
        &self,
        core: &Core,
        plan: &Arc<Plan>,
        number: &str,
        (name, call): (String, CallKey),
    ) -> Result<Seated, NoEntry> {
        let many = self.halls.len() >= CONFERENCES_MAX;
        let seated = |hall: &Arc<Hall>| {
            let mut guests = hall.guests.lock();
            if guests.len() >= hall.plan.participants_max {
                return Err(NoEntry::Full);
            }
            let (id, member) = (hall.next_guest.fetch_add(1, Relaxed), hall.room.member());
            let since_ms = unix_ms();
            guests.push(Guest { id, name, call, shard: core.shard, since_ms, member: member.clone() });
            Ok(Seated { hall: Arc::clone(hall), id, member })
        };
        // Under the entry's lock: a conference that ends takes it too, and asks whether it is empty.
        let seat = match self.halls.entry(number.to_owned()) {
            Entry::Occupied(hall) => seated(hall.get())?,
            Entry::Vacant(_) if many => return Err(NoEntry::Busy),
            Entry::Vacant(place) => {
                let hall = Arc::new(Hall::new(core, plan, number));
                let seat = seated(&hall)?;
                hall.begin(core).map_err(|error| {
                    tracing::error!(conference = number, %error, "a conference has no actor");
                    NoEntry::Busy
                })?;
                self.begun.fetch_add(1, Relaxed);
                place.insert(hall);
                seat
            }
        };
        seat.hall.tell_changed();
        Ok(seat)
    }

    /// The conference of a number.
    pub fn get(&self, number: &str) -> Option<Arc<Hall>> {
        self.halls.get(number).map(|hall| Arc::clone(&hall))
    }

    /// All conferences, by number.
    pub fn all(&self) -> Vec<Arc<Hall>> {
        let mut all: Vec<_> = self.halls.iter().map(|hall| Arc::clone(&hall)).collect();
        all.sort_by(|one, other| one.number.cmp(&other.number));
        all
    }

    /// Ends a conference that nobody is in; false if somebody is.
    pub(super) fn end(&self, hall: &Arc<Hall>) -> bool {
        match self.halls.entry(hall.number.clone()) {
            Entry::Occupied(place) if Arc::ptr_eq(place.get(), hall) => {
                let empty = hall.guests.lock().is_empty();
                if empty {
                    place.remove();
                }
                empty
            }
            _ => true,
        }
    }
}

/// Starts the actors of all conferences of a shard again: their supervisor has died, and they with it.
pub fn adopt(core: &Core) {
    for hall in core.shared.conferences.all().iter().filter(|hall| hall.shard == core.shard) {
        if let Err(error) = hall.begin(core) {
            tracing::error!(conference = hall.number, %error, "a conference was not started again");
        }
    }
}

impl Hall {
    fn new(core: &Core, plan: &Arc<Plan>, number: &str) -> Hall {
        let spec = media::mixer::RoomSpec {
            rate_hz: plan.rate_hz,
            participants_max: plan.participants_max,
            talkers_max: plan.talkers_max,
        };
        let worker = core.shared.pool.idlest_worker();
        Hall {
            number: number.to_owned(),
            room: Room::new(worker, spec, plan.sounds(&core.shared.prompts)),
            plan: Arc::clone(plan),
            shard: core.shard,
            began_ms: unix_ms(),
            guests: Mutex::default(),
            recording: Mutex::default(),
            seat: Mutex::default(),
            next_guest: AtomicU32::new(1),
        }
    }

    /// Its actor, in the care of its shard's supervisor. One of the same number may be ending still: then it has another name.
    fn begin(self: &Arc<Self>, core: &Core) -> Result<(), StartError> {
        let start = |name: &str| {
            let (hall, shared) = (Arc::clone(self), Arc::clone(&core.shared));
            let factory = move || Conference::new(Arc::clone(&shared), Arc::clone(&hall));
            core.conferences_supervisor.start_child(name, Restart::Transient, factory)
        };
        let seat = match start(&self.number) {
            Err(StartError::Taken) => start(&format!("{}-{}", self.number, self.began_ms))?,
            other => other?,
        };
        *self.seat.lock() = Some(seat);
        Ok(())
    }

    /// Its actor.
    pub fn actor(&self) -> Option<Ref<Conference>> {
        self.seat.lock().clone()
    }

    fn tell_changed(&self) {
        // One that is full of mail looks anyway; one that is dead looks when it is back.
        let _told = self.actor().map(|seat| seat.try_send(ConferenceMsg::Look));
    }
}

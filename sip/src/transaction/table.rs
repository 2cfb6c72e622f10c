//! The live transactions: a slab, found by key, each with two alarms on one wheel.

use super::client_invite::ClientInvite;
use super::client_other::ClientOther;
use super::effects::Alarm;
use super::key::{AsIs, Key};
use super::server_invite::ServerInvite;
use super::server_other::ServerOther;
use crate::timer::{Handle, Wheel};
use crate::{ConnectionId, Hop};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::time::Duration;

type Map<K, V> = HashMap<K, V, BuildHasherDefault<AsIs>>;

/// Index into the slab and the generation of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    index: u32,
    generation: u32,
}

/// Live transactions by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// INVITEs of ours.
    pub client_invite: usize,
    /// Other requests of ours.
    pub client_other: usize,
    /// INVITEs to us.
    pub server_invite: usize,
    /// Other requests to us.
    pub server_other: usize,
}

impl Counts {
    /// All of them.
    pub const fn total(&self) -> usize {
        self.client_invite + self.client_other + self.server_invite + self.server_other
    }
}

#[derive(Debug)]
pub(super) enum Machine {
    ClientInvite(ClientInvite),
    ClientOther(ClientOther),
    ServerInvite(ServerInvite),
    ServerOther(ServerOther),
}

/// Who hears of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner<O> {
    /// Nobody has claimed it yet.
    Nobody,
    /// The layer itself: its CANCELs, and the answers that it gives without the user.
    Layer,
    /// Its owner has gone away.
    Gone,
    User(O),
}

#[derive(Debug)]
pub(super) struct Transaction<O> {
    pub key: Key,
    /// Second key of a server transaction, see `Keys::call`.
    pub call: Option<Key>,
    /// Where its messages go.
    pub hop: Hop,
    pub owner: Owner<O>,
    pub machine: Machine,
    retransmit: Option<Handle>,
    end: Option<Handle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bell {
    Retransmit,
    End,
}

#[derive(Debug)]
struct Slot<O> {
    generation: u32,
    transaction: Option<Transaction<O>>,
}

#[derive(Debug)]
pub(super) struct Table<O> {
    slots: Vec<Slot<O>>,
    free: Vec<u32>,
    by_key: Map<Key, Place>,
    by_call: Map<Key, Place>,
    connections: HashMap<ConnectionId, usize>,
    wheel: Wheel<(Place, Bell)>,
    counts: Counts,
    max: usize,
}

impl<O: Copy> Table<O> {
    pub fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: Map::default(),
            by_call: Map::default(),
            connections: HashMap::new(),
            wheel: Wheel::new(max.saturating_mul(2)),
            counts: Counts::default(),
            max,
        }
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Transactions that still fit in.
    pub const fn room(&self) -> usize {
        self.max.saturating_sub(self.counts.total())
    }

    pub fn find(&self, key: Key) -> Option<Place> {
        self.by_key.get(&key).copied()
    }

    pub fn find_call(&self, call: Key) -> Option<Place> {
        self.by_call.get(&call).copied()
    }

    pub fn get(&mut self, place: Place) -> Option<&mut Transaction<O>> {
        self.slots.get_mut(place.index as usize).filter(|s| s.generation == place.generation)?.transaction.as_mut()
    }

    /// Every live transaction, in the order of the slab.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &Transaction<O>)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            let generation = slot.generation;
            let place = Place { index, generation };
            slot.transaction.as_ref().map(|t| (place, t))
        })
    }

    /// `None` when the table is full or the key is taken.
    pub fn insert(
        &mut self,
        key: Key,
        call: Option<Key>,
        hop: Hop,
        owner: Owner<O>,
        machine: Machine,
    ) -> Option<Place> {
        if self.room() == 0 {
            return None;
        }
        let Entry::Vacant(entry) = self.by_key.entry(key) else {
            return None;
        };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, transaction: None });
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        let generation = slot.generation;
        let place = Place { index, generation };
        entry.insert(place);
        if let Some(call) = call {
            self.by_call.entry(call).or_insert(place);
        }
        *self.counts.of(&machine) += 1;
        slot.transaction = Some(Transaction { key, call, hop, owner, machine, retransmit: None, end: None });
        if let Some(connection) = hop.connection {
            *self.connections.entry(connection).or_default() += 1;
        }
        Some(place)
    }

    pub fn remove(&mut self, place: Place) {
        self.set(place, Bell::Retransmit, Duration::ZERO, Alarm::Stop);
        self.set(place, Bell::End, Duration::ZERO, Alarm::Stop);
        let Some(slot) = self.slots.get_mut(place.index as usize) else {
            return;
        };
        if slot.generation != place.generation {
            return;
        }
        let Some(gone) = slot.transaction.take() else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place.index);
        self.by_key.remove(&gone.key);
        if let Some(call) = gone.call
            && self.by_call.get(&call) == Some(&place)
        {
            self.by_call.remove(&call);
        }
        *self.counts.of(&gone.machine) -= 1;
        if let Some(connection) = gone.hop.connection
            && let Entry::Occupied(mut count) = self.connections.entry(connection)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether any transaction goes over this way; spares a look at all of them when a connection closes.
    pub fn uses(&self, hop: &Hop) -> bool {
        hop.connection.is_none_or(|c| self.connections.contains_key(&c))
    }

    pub fn set(&mut self, place: Place, bell: Bell, now: Duration, alarm: Alarm) {
        if alarm == Alarm::Keep {
            return;
        }
        let Some(transaction) = self.get(place) else {
            return;
        };
        let old = transaction.bell(bell).take();
        if let Some(old) = old {
            self.wheel.cancel(old);
        }
        if let Alarm::After(after) = alarm {
            // The wheel has two places for each transaction, so it can not be full.
            let handle = self.wheel.arm(now + after, (place, bell)).ok();
            if let Some(transaction) = self.get(place) {
                *transaction.bell(bell) = handle;
            }
        }
    }

    /// The next alarm that rings at `now`.
    pub fn ring(&mut self, now: Duration) -> Option<(Place, Bell)> {
        let (place, bell) = self.wheel.expire(now)?;
        if let Some(transaction) = self.get(place) {
            *transaction.bell(bell) = None;
        }
        Some((place, bell))
    }

    pub fn next_due(&self) -> Option<Duration> {
        self.wheel.next_due()
    }
}

impl<O> Transaction<O> {
    const fn bell(&mut self, bell: Bell) -> &mut Option<Handle> {
        match bell {
            Bell::Retransmit => &mut self.retransmit,
            Bell::End => &mut self.end,
        }
    }
}

impl Counts {
    const fn of(&mut self, machine: &Machine) -> &mut usize {
        match machine {
            Machine::ClientInvite(_) => &mut self.client_invite,
            Machine::ClientOther(_) => &mut self.client_other,
            Machine::ServerInvite(_) => &mut self.server_invite,
            Machine::ServerOther(_) => &mut self.server_other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_transaction_takes_less_than_700_bytes_beside_its_messages() {
        let slot = size_of::<Slot<u64>>() + size_of::<u32>();
        // A hash map is at least seven sixteenths full after it has grown, with a byte of its own for each place.
        let maps = 2 * (size_of::<(Key, Place)>() + 1) * 16 / 7;
        let alarms = 2 * Wheel::<(Place, Bell)>::NODE_BYTES;
        assert!(slot + maps + alarms < 700, "{slot} + {maps} + {alarms}");
    }
}

//! A hierarchical timer wheel: arming, cancelling and expiring cost the same with ten timers or a million.
//!
//! Seven levels of 64 slots over ticks of one millisecond. A timer lies on the level of the highest six-bit group in
//! which its due tick differs from the current one, so slots never wrap and the first occupied slot of the lowest
//! occupied level is always the next to look at. Timers lie in a slab and are chained by index: in the steady state
//! nothing is allocated.

use std::time::Duration;

/// Slots of a level; one bit each in a word.
const SLOTS: usize = 64;
/// Bits that choose a slot.
const SLOT_BITS: u32 = 6;
/// Levels: 2^42 ms are 139 years.
const LEVELS: usize = 7;
/// Last tick that the wheel can tell from others; later timers fire then.
const TICK_MAX: u64 = (1 << 42) - 1;
/// No node.
const NIL: u32 = u32::MAX;

/// Names an armed timer. A handle of a timer that has fired or was cancelled is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// The wheel holds as many timers as it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timer wheel is full")]
pub struct Full;

/// Timers that carry a `K` each; time is a [`Duration`] since a start that the owner chose.
#[derive(Debug)]
pub struct Wheel<K> {
    tick: u64,
    occupied: [u64; LEVELS],
    heads: [u32; SLOTS * LEVELS],
    nodes: Vec<Node<K>>,
    free: u32,
    live: usize,
    max: usize,
}

#[derive(Debug)]
struct Node<K> {
    key: Option<K>,
    due: u64,
    prev: u32,
    next: u32,
    /// Index into `heads`.
    place: u16,
    generation: u32,
}

impl<K> Wheel<K> {
    /// Memory of a timer, in bytes.
    pub const NODE_BYTES: usize = size_of::<Node<K>>();

    /// A wheel for at most `max` timers at a time.
    pub fn new(max: usize) -> Self {
        Self {
            tick: 0,
            occupied: [0; LEVELS],
            heads: [NIL; SLOTS * LEVELS],
            nodes: Vec::new(),
            free: NIL,
            live: 0,
            max: max.min(NIL as usize),
        }
    }

    /// Armed timers.
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether no timer is armed.
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Arms a timer that fires at `at` or up to one millisecond later, never before. One that lies in the past fires at
    /// the next millisecond, so that a timer which arms itself again can not hold up [`Wheel::expire`] for ever.
    ///
    /// # Errors
    /// [`Full`]
    pub fn arm(&mut self, at: Duration, key: K) -> Result<Handle, Full> {
        if self.live >= self.max {
            return Err(Full);
        }
        let due = u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(TICK_MAX);
        let due = due.max(self.tick + 1).min(TICK_MAX);
        let index = if self.free == NIL {
            let index = u32::try_from(self.nodes.len()).map_err(|_| Full)?;
            self.nodes.push(Node { key: Some(key), due, prev: NIL, next: NIL, place: 0, generation: 0 });
            index
        } else {
            let index = self.free;
            let node = self.node(index).ok_or(Full)?;
            node.key = Some(key);
            node.due = due;
            self.free = std::mem::replace(&mut node.next, NIL);
            index
        };
        self.live += 1;
        self.link(index);
        let generation = self.node(index).map_or(0, |n| n.generation);
        Ok(Handle { index, generation })
    }

    /// Cancels a timer; `None` when it has fired or was cancelled before.
    pub fn cancel(&mut self, handle: Handle) -> Option<K> {
        let node = self.node(handle.index)?;
        if node.generation != handle.generation || node.key.is_none() {
            return None;
        }
        self.unlink(handle.index);
        self.release(handle.index)
    }

    /// When to call [`Wheel::expire`] next. May be earlier than the first timer (far timers move to finer slots on the
    /// way), never later.
    pub fn next_due(&self) -> Option<Duration> {
        self.next_slot().map(|(_, at)| Duration::from_millis(at))
    }

    /// Takes one timer that is due at `now`; call until `None`. Timers come in order of time; within a millisecond the
    /// order is not defined but always the same.
    pub fn expire(&mut self, now: Duration) -> Option<K> {
        let now = u64::try_from(now.as_millis()).unwrap_or(TICK_MAX).min(TICK_MAX);
        loop {
            let due = self.next_slot().filter(|(_, at)| *at <= now);
            let Some((place, at)) = due else {
                self.tick = self.tick.max(now);
                return None;
            };
            self.tick = self.tick.max(at);
            let head = self.heads.get(place).copied().unwrap_or(NIL);
            if place < SLOTS {
                self.unlink(head);
                return self.release(head);
            }
            // A coarse slot has begun: its timers move to finer ones. Each moves at most once a level in its life.
            let mut index = head;
            while index != NIL {
                let next = self.node(index).map_or(NIL, |n| n.next);
                self.unlink(index);
                self.link(index);
                index = next;
            }
        }
    }

    /// The first occupied slot and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, u64)> {
        for (level, bits) in self.occupied.iter().enumerate() {
            if *bits != 0 {
                let slot = bits.trailing_zeros();
                let shift = SLOT_BITS * u32::try_from(level).ok()?;
                let above = (self.tick >> shift >> SLOT_BITS) << SLOT_BITS;
                return Some((level * SLOTS + slot as usize, (above | u64::from(slot)) << shift));
            }
        }
        None
    }

    /// Puts a node into the slot of its due tick.
    fn link(&mut self, index: u32) {
        let tick = self.tick;
        let Some(node) = self.node(index) else {
            return;
        };
        let highest = 63 - ((node.due ^ tick) | 1).leading_zeros();
        let level = highest / SLOT_BITS;
        let slot = (node.due >> (SLOT_BITS * level)) & (SLOTS as u64 - 1);
        let place = u64::from(level) * SLOTS as u64 + slot;
        node.place = u16::try_from(place).unwrap_or(0);
        let place = usize::from(node.place);
        let old = self.heads.get(place).copied().unwrap_or(NIL);
        if let Some(node) = self.node(index) {
            node.prev = NIL;
            node.next = old;
        }
        if let Some(old) = self.node(old) {
            old.prev = index;
        }
        if let Some(head) = self.heads.get_mut(place) {
            *head = index;
        }
        if let Some(bits) = self.occupied.get_mut(place / SLOTS) {
            *bits |= 1 << slot;
        }
    }

    /// Takes a node out of its slot.
    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node(index) else {
            return;
        };
        let (prev, next, place) = (node.prev, node.next, usize::from(node.place));
        if let Some(next) = self.node(next) {
            next.prev = prev;
        }
        if let Some(prev) = self.node(prev) {
            prev.next = next;
            return;
        }
        if let Some(head) = self.heads.get_mut(place) {
            *head = next;
        }
        if next == NIL
            && let Some(bits) = self.occupied.get_mut(place / SLOTS)
        {
            *bits &= !(1 << (place % SLOTS));
        }
    }

    fn release(&mut self, index: u32) -> Option<K> {
        let free = self.free;
        let node = self.node(index)?;
        node.generation = node.generation.wrapping_add(1);
        node.prev = NIL;
        node.next = free;
        let key = node.key.take();
        self.free = index;
        self.live -= 1;
        key
    }

    fn node(&mut self, index: u32) -> Option<&mut Node<K>> {
        self.nodes.get_mut(index as usize)
    }
}

#[cfg(test)]
mod tests;

//! How long a source has to wait after wrong passwords: free tries, then a delay that doubles, then refusal.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};

/// The limits of a [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong passwords that cost nothing.
    pub free_tries: u32,
    /// Wrong passwords after which everything is refused.
    pub tries_max: u32,
    /// Delay after the first try that is not free, ms; it doubles with each further one.
    pub delay_first_ms: u64,
    /// Longest delay, ms.
    pub delay_max_ms: u64,
    /// Quiet time after the last wrong password after which all is forgotten, ms.
    pub forget_ms: u64,
    /// Sources and users that are remembered; the one that was quiet longest goes first.
    pub entries_max: usize,
}

impl Default for Limits {
    /// 3 free tries, then 1 s doubling to 60 s, refusal from the 10th, forgotten after 15 minutes; 65,536 entries.
    fn default() -> Limits {
        Limits {
            free_tries: 3,
            tries_max: 10,
            delay_first_ms: 1_000,
            delay_max_ms: 60_000,
            forget_ms: 900_000,
            entries_max: 65_536,
        }
    }
}

/// Whether credentials may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Yes.
    Allow,
    /// Not before this time, ms; until then the password is not looked at, right or wrong.
    DelayUntil(u64),
    /// No: answer 403 (RFC 3261 section 21.4.4).
    Refuse,
}

/// Wrong passwords by source and user. A source is an IPv4 address or the /64 of an IPv6 address; a user name is kept as
/// a hash, so long names cost nothing.
pub struct Guard {
    limits: Limits,
    entries: HashMap<Key, Entry>,
    /// Last change of each entry, for eviction; the second number tells entries of one moment apart.
    quiet_longest: BTreeMap<(u64, u64), Key>,
    changes: u64,
    hasher: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    user: u64,
}

struct Entry {
    wrong: u32,
    last_ms: u64,
    place: (u64, u64),
}

impl Guard {
    /// An empty table.
    pub fn new(limits: Limits) -> Guard {
        let (entries, quiet_longest) = (HashMap::new(), BTreeMap::new());
        Guard { limits, entries, quiet_longest, changes: 0, hasher: RandomState::new() }
    }

    /// Whether `user` from `source` may try now.
    pub fn check(&self, now_ms: u64, source: IpAddr, user: &str) -> Pass {
        let entry = self.entries.get(&self.key(source, user)).filter(|entry| !self.forgotten(now_ms, entry));
        let Some(entry) = entry else {
            return Pass::Allow;
        };
        if entry.wrong >= self.limits.tries_max {
            return Pass::Refuse;
        }
        let Some(paid) = entry.wrong.checked_sub(self.limits.free_tries).filter(|paid| *paid > 0) else {
            return Pass::Allow;
        };
        let doubled = 1_u64.checked_shl(paid - 1).unwrap_or(u64::MAX);
        let delay_ms = self.limits.delay_first_ms.saturating_mul(doubled).min(self.limits.delay_max_ms);
        let until_ms = entry.last_ms.saturating_add(delay_ms);
        if now_ms < until_ms { Pass::DelayUntil(until_ms) } else { Pass::Allow }
    }

    /// A wrong password, or a user that does not exist.
    pub fn failed(&mut self, now_ms: u64, source: IpAddr, user: &str) {
        let key = self.key(source, user);
        let before = self.remove(&key).filter(|entry| !self.forgotten(now_ms, entry)).map_or(0, |entry| entry.wrong);
        while self.entries.len() >= self.limits.entries_max.max(1) {
            let Some((_, quiet)) = self.quiet_longest.pop_first() else {
                break;
            };
            self.entries.remove(&quiet);
        }
        self.changes = self.changes.wrapping_add(1);
        let place = (now_ms, self.changes);
        self.quiet_longest.insert(place, key);
        self.entries.insert(key, Entry { wrong: before.saturating_add(1), last_ms: now_ms, place });
    }

    /// The right password: all is forgotten.
    pub fn succeeded(&mut self, source: IpAddr, user: &str) {
        let key = self.key(source, user);
        self.remove(&key);
    }

    /// Wrong passwords of `user` from `source` that count now.
    pub fn attempts(&self, now_ms: u64, source: IpAddr, user: &str) -> u32 {
        let entry = self.entries.get(&self.key(source, user));
        entry.filter(|entry| !self.forgotten(now_ms, entry)).map_or(0, |entry| entry.wrong)
    }

    /// Entries in the table.
    pub fn remembered(&self) -> usize {
        self.entries.len()
    }

    fn forgotten(&self, now_ms: u64, entry: &Entry) -> bool {
        now_ms >= entry.last_ms.saturating_add(self.limits.forget_ms)
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.quiet_longest.remove(&entry.place);
        Some(entry)
    }

    fn key(&self, source: IpAddr, user: &str) -> Key {
        let source = match source.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & PREFIX_64)),
            v4 => v4,
        };
        Key { source, user: self.hasher.hash_one(user) }
    }
}

/// One subscriber's network (RFC 6177): its hosts can change the rest at will.
const PREFIX_64: u128 = !0 << 64;

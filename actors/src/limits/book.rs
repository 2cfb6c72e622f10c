//! The accounts of whoever pays for calls outside: what is up, and what was spent.

use ahash::RandomState;
use dashmap::DashMap;
use serde::Serialize;
use smol_str::SmolStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::actor::{Limits, LimitsMsg};
use super::rules::{Charge, Limit, Refused, Spent};
use crate::supervision::Ref;

/// The space of what was spent among the facts of the store.
const SPACE: &str = "spent";

/// See the module. All shards share it; an account is held for as long as a look takes.
pub struct Book {
    accounts: DashMap<SmolStr, Account, RandomState>,
    /// The actor that writes it down.
    pub seat: Ref<Limits>,
    /// It has been told that there is something to write.
    told: AtomicBool,
}

impl Default for Book {
    fn default() -> Self {
        Self { accounts: DashMap::default(), seat: Ref::vacant(), told: AtomicBool::new(false) }
    }
}

#[derive(Default)]
struct Account {
    /// Under which limit it was looked at last.
    limit: Option<Arc<Limit>>,
    up: u32,
    /// Number of the minute since 1970, and the calls that were begun in it.
    minute: (u64, u32),
    spent: Spent,
    /// What is in the store is something else.
    unwritten: bool,
    refused: u64,
}

/// An account as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct AccountView {
    /// `user:NAME` or `gateway:NAME`.
    pub account: SmolStr,
    /// The name of its limit; `None` where nothing has been called since the start.
    pub limit: Option<SmolStr>,
    /// Calls outside that are up.
    pub calls: u32,
    /// Units that were spent in this hour.
    pub hour: u64,
    /// Units that it may spend in an hour.
    pub hour_max: Option<u64>,
    /// Units that were spent today.
    pub day: u64,
    /// Units that it may spend in a day.
    pub day_max: Option<u64>,
    /// Why it may call nobody outside at this moment.
    pub refuses: Option<Refused>,
    /// Calls that were refused since the start.
    pub refused: u64,
}

/// A place among somebody's calls outside, given back on drop.
pub struct Held {
    book: Arc<Book>,
    /// Who pays, within which limit.
    pub charge: Charge,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut account) = self.book.accounts.get_mut(&self.charge.account) {
            account.up = account.up.saturating_sub(1);
        }
    }
}

impl Book {
    /// A place among the calls of who pays, for a new call.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn take(self: &Arc<Self>, charge: &Charge, now: Duration) -> Result<Held, Refused> {
        let mut account = self.accounts.entry(charge.account.clone()).or_default();
        account.limit = Some(Arc::clone(&charge.limit));
        let refused = account.take(&charge.limit, now.as_secs());
        if let Err(why) = refused {
            account.refused += 1;
            metrics::counter!("strowger_limit_refused_total", "limit" => charge.limit.name.to_string(), "why" => why.as_str())
                .increment(1);
            return Err(why);
        }
        drop(account);
        Ok(Held { book: Arc::clone(self), charge: charge.clone() })
    }

    /// Spends; whether that was the last that may be spent.
    pub fn charge(&self, charge: &Charge, units: u64, now: Duration) -> Option<Refused> {
        if units == 0 {
            return None;
        }
        let now_s = now.as_secs();
        let over = {
            let mut account = self.accounts.entry(charge.account.clone()).or_default();
            let before = account.spent.over(&charge.limit, now_s);
            account.spent.add(units, now_s);
            account.unwritten = true;
            let over = account.spent.over(&charge.limit, now_s);
            if over.is_some() && before.is_none() {
                tracing::warn!(account = %charge.account, limit = %charge.limit.name, "the units of this time are spent");
                metrics::counter!("strowger_limit_tripped_total", "limit" => charge.limit.name.to_string())
                    .increment(1);
            }
            over
        };
        self.tell();
        over
    }

    /// Why nothing more may be spent.
    pub fn over(&self, charge: &Charge, now: Duration) -> Option<Refused> {
        self.accounts.get(&charge.account)?.spent.over(&charge.limit, now.as_secs())
    }

    /// Whether it may call outside at this moment, without taking anything.
    pub fn would(&self, charge: &Charge, now: Duration) -> Result<(), Refused> {
        let now_s = now.as_secs();
        self.accounts.get(&charge.account).map_or(Ok(()), |account| account.may(&charge.limit, now_s))
    }

    /// Nothing was spent in this hour and this day; false where there is no such account.
    pub fn reset(&self, account: &str) -> bool {
        let found = self.accounts.get_mut(account).map(|mut account| {
            account.spent = Spent::default();
            account.unwritten = true;
            account.minute = (0, 0);
        });
        self.tell();
        found.is_some()
    }

    /// All accounts that have something to tell, by name.
    pub fn all(&self, now: Duration) -> Vec<AccountView> {
        let now_s = now.as_secs();
        let view = |name: &SmolStr, account: &Account| {
            let (hour, day) = account.spent.at(now_s);
            let limit = account.limit.as_deref();
            AccountView {
                account: name.clone(),
                limit: limit.map(|limit| limit.name.clone()),
                calls: account.up,
                hour,
                hour_max: limit.and_then(|limit| limit.hour_max),
                day,
                day_max: limit.and_then(|limit| limit.day_max),
                refuses: limit.and_then(|limit| account.may(limit, now_s).err()),
                refused: account.refused,
            }
        };
        let mut all: Vec<_> = self.accounts.iter().map(|entry| view(entry.key(), entry.value())).collect();
        all.sort_by(|one, other| one.account.cmp(&other.account));
        all
    }

    /// Calls outside that are up, each counted for each who pays.
    pub fn up(&self) -> u64 {
        self.accounts.iter().map(|entry| u64::from(entry.value().up)).sum()
    }

    fn tell(&self) {
        if !self.told.swap(true, Relaxed) && self.seat.try_send(LimitsMsg::Spent).is_err() {
            // Whoever comes back writes all of it.
            self.told.store(false, Relaxed);
        }
    }

    /// Reads what was spent before this start. Returns how many accounts there are.
    ///
    /// # Errors
    /// What the store says.
    pub fn restore(&self, store: &store::Store) -> Result<usize, store::StoreError> {
        let (all, unread) = store.facts().all(SPACE)?;
        if unread > 0 {
            tracing::error!(unread, "what these have spent on calls outside cannot be read");
        }
        for (name, text) in &all {
            match serde_json::from_str(text) {
                Ok(spent) => self.accounts.entry(name.as_str().into()).or_default().spent = spent,
                Err(error) => tracing::error!(account = name, %error, "what was spent cannot be read"),
            }
        }
        Ok(all.len())
    }

    /// Writes what has changed; accounts of which nothing is left to tell are forgotten.
    pub(super) fn write(&self, store: &store::Store, now: Duration) {
        self.told.store(false, Relaxed);
        let now_s = now.as_secs();
        let mut changed = Vec::new();
        self.accounts.retain(|name, account| {
            let is_over = account.spent.at(now_s) == (0, 0);
            if std::mem::take(&mut account.unwritten) || is_over && account.spent != Spent::default() {
                changed.push((name.clone(), (!is_over).then_some(account.spent)));
            }
            account.up > 0 || !is_over || account.minute.0 == now_s / 60
        });
        let told = |result: Result<(), store::StoreError>| {
            if let Err(error) = result {
                tracing::error!(%error, "what was spent is not in the store");
            }
        };
        // Writes that come together share one barrier.
        for (name, spent) in changed {
            match spent.and_then(|spent| serde_json::to_string(&spent).ok()) {
                Some(text) => store.facts().put(SPACE, &name, &text, told),
                None => store.facts().remove(SPACE, &name, told),
            }
        }
    }
}

impl Account {
    fn may(&self, limit: &Limit, now_s: u64) -> Result<(), Refused> {
        if let Some(over) = self.spent.over(limit, now_s) {
            return Err(over);
        }
        if limit.calls_max.is_some_and(|most| self.up >= most) {
            return Err(Refused::Calls);
        }
        let begun = if self.minute.0 == now_s / 60 { self.minute.1 } else { 0 };
        match limit.calls_per_minute.is_some_and(|most| begun >= most) {
            true => Err(Refused::Pace),
            false => Ok(()),
        }
    }

    fn take(&mut self, limit: &Limit, now_s: u64) -> Result<(), Refused> {
        self.may(limit, now_s)?;
        let begun = if self.minute.0 == now_s / 60 { self.minute.1 } else { 0 };
        self.minute = (now_s / 60, begun + 1);
        self.up += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(limit: Limit) -> Charge {
        Charge { account: "user:alice".into(), limit: Arc::new(limit) }
    }

    fn at(s: u64) -> Duration {
        Duration::from_secs(1_000_020 + s)
    }

    #[test]
    fn calls_at_once_are_counted_and_given_back() {
        let book = Arc::new(Book::default());
        let two = charge(Limit { calls_max: Some(2), ..Limit::default() });
        let first = book.take(&two, at(0)).ok().unwrap();
        let _second = book.take(&two, at(0)).ok().unwrap();
        assert_eq!(book.take(&two, at(0)).err(), Some(Refused::Calls));
        drop(first);
        assert_eq!(book.up(), 1);
        assert!(book.take(&two, at(0)).is_ok());
    }

    #[test]
    fn new_calls_of_a_minute_are_counted_until_the_next() {
        let book = Arc::new(Book::default());
        let paced = charge(Limit { calls_per_minute: Some(1), ..Limit::default() });
        assert!(book.take(&paced, at(0)).is_ok());
        assert_eq!(book.take(&paced, at(2)).err(), Some(Refused::Pace));
        assert!(book.take(&paced, at(60)).is_ok());
    }

    #[test]
    fn what_is_spent_is_told_once_it_is_and_a_reset_gives_it_back() {
        let book = Arc::new(Book::default());
        let day = charge(Limit { day_max: Some(50), ..Limit::default() });
        assert_eq!(book.charge(&day, 49, at(0)), None);
        assert_eq!(book.would(&day, at(0)), Ok(()));
        assert_eq!(book.charge(&day, 20, at(0)), Some(Refused::Day));
        assert_eq!(book.take(&day, at(0)).err(), Some(Refused::Day));
        assert!(book.reset("user:alice") && !book.reset("user:nobody"));
        assert!(book.take(&day, at(0)).is_ok());
    }
}

//! Instant messages for users who are absent: kept durably before the 202, in order, until delivered or expired.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::codec::{Decoder, Encoder, to_text};
use crate::counts;
use crate::engine::{Batch, Engine, SCAN_RECORDS_MAX, Scan, Tree};
use crate::locations::check_text;
use crate::store::Shared;
use crate::{StoreError, value};

/// Longest body of a kept message.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How many messages are kept; past either bound a message is refused with [`StoreError::Full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageBounds {
    /// For one user.
    pub per_user_max: usize,
    /// For all users together.
    pub total_max: usize,
}

impl Default for MessageBounds {
    fn default() -> Self {
        Self { per_user_max: 100, total_max: 100_000 }
    }
}

/// A message to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The address of record of the absent user.
    pub user: String,
    /// From, as it came.
    pub from: String,
    /// To, as it came.
    pub to: String,
    /// Call-ID of the MESSAGE.
    pub call_id: String,
    /// Content-Type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// When it was taken, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// When it is no longer worth delivering, in milliseconds since 1970.
    pub expires_at_ms: i64,
}

/// A kept message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its number; higher is later, and a number is never used twice for a user.
    pub number: u64,
    /// The message.
    pub message: NewMessage,
}

/// The numbers of all kept messages, so that bounds hold for writes that are still queued, too.
pub(crate) struct Index {
    bounds: MessageBounds,
    by_user: HashMap<String, BTreeSet<u64>>,
    total: usize,
    next_number: u64,
}

impl Index {
    pub(crate) fn load(engine: &dyn Engine, bounds: MessageBounds) -> Result<Self, StoreError> {
        let mut index = Self { bounds, by_user: HashMap::new(), total: 0, next_number: 1 };
        counts::for_each(engine, Tree::Messages, |key, _| {
            let (user, number) = parse_key(key)?;
            if index.by_user.entry(user).or_default().insert(number) {
                index.total += 1;
            }
            index.next_number = index.next_number.max(number.saturating_add(1));
            Ok(())
        })?;
        Ok(index)
    }

    fn reserve(&mut self, user: &str) -> Result<u64, StoreError> {
        if self.total >= self.bounds.total_max {
            return Err(StoreError::Full { what: "the store of messages", max: self.bounds.total_max });
        }
        let numbers = self.by_user.entry(user.to_owned()).or_default();
        if numbers.len() >= self.bounds.per_user_max {
            return Err(StoreError::Full { what: "the user's queue of messages", max: self.bounds.per_user_max });
        }
        let number = self.next_number;
        self.next_number += 1;
        numbers.insert(number);
        self.total += 1;
        Ok(number)
    }

    fn release(&mut self, user: &str, number: u64) {
        let Some(numbers) = self.by_user.get_mut(user) else {
            return;
        };
        if numbers.remove(&number) {
            self.total -= 1;
        }
        if numbers.is_empty() {
            self.by_user.remove(user);
        }
    }
}

/// The view of messages for absent users.
#[derive(Clone)]
pub struct Messages {
    shared: Arc<Shared>,
}

impl Messages {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Keeps a message; `reply` gets its number once it is durable. Messages of one user are numbered in the order of
    /// these calls.
    pub fn enqueue(&self, message: &NewMessage, reply: impl FnOnce(Result<u64, StoreError>) + Send + 'static) {
        let reserved = check(message).and_then(|()| self.shared.messages.lock().reserve(&message.user));
        let number = match reserved {
            Ok(number) => number,
            Err(error) => return reply(Err(error)),
        };
        let batch = match put(message, number) {
            Ok(batch) => batch,
            Err(error) => {
                self.shared.messages.lock().release(&message.user, number);
                return reply(Err(error));
            }
        };
        let (shared, user) = (Arc::clone(&self.shared), message.user.clone());
        self.shared.submit(batch, move |outcome| {
            if outcome.is_err() {
                shared.messages.lock().release(&user, number);
            }
            reply(outcome.map(|()| number));
        });
    }

    /// The oldest messages of a user, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn list(&self, user: &str, limit: usize) -> Result<Vec<StoredMessage>, StoreError> {
        let scan = Scan::prefix(Tree::Messages, &user_prefix(user)?, limit);
        let records = self.shared.engine.scan(&scan)?;
        records.iter().map(|(key, sealed)| decode(key, sealed)).collect()
    }

    /// How many messages are kept for a user, those on their way to the drive included.
    #[must_use]
    pub fn count(&self, user: &str) -> usize {
        let index = self.shared.messages.lock();
        index.by_user.get(user).map_or(0, BTreeSet::len)
    }

    /// Removes messages after their delivery. One that is not there is no error.
    pub fn remove(&self, user: &str, numbers: &[u64], reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let pairs = numbers.iter().map(|number| (user.to_owned(), *number));
        self.remove_all(pairs.collect(), reply);
    }

    /// Removes at most `limit` messages that expired before `now_ms`, reading all of them. `reply` gets their number.
    pub fn remove_expired(
        &self,
        now_ms: i64,
        limit: usize,
        reply: impl FnOnce(Result<usize, StoreError>) + Send + 'static,
    ) {
        let mut expired = Vec::new();
        let read = counts::for_each(&*self.shared.engine, Tree::Messages, |key, sealed| {
            if expired.len() < limit
                && let Ok(stored) = decode(key, sealed)
                && stored.message.expires_at_ms < now_ms
            {
                expired.push((stored.message.user, stored.number));
            }
            Ok(())
        });
        if let Err(error) = read {
            return reply(Err(error));
        }
        let removed = expired.len();
        self.remove_all(expired, move |outcome| reply(outcome.map(|()| removed)));
    }

    fn remove_all(&self, pairs: Vec<(String, u64)>, reply: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        let mut batch = Batch::default();
        for (user, number) in &pairs {
            match key(user, *number) {
                Ok(key) => batch.remove(Tree::Messages, key),
                Err(error) => return reply(Err(error)),
            }
        }
        let shared = Arc::clone(&self.shared);
        self.shared.submit(batch, move |outcome| {
            if outcome.is_ok() {
                let mut index = shared.messages.lock();
                for (user, number) in &pairs {
                    index.release(user, *number);
                }
            }
            reply(outcome);
        });
    }
}

fn check(message: &NewMessage) -> Result<(), StoreError> {
    user_prefix(&message.user)?;
    check_text("the sender", &message.from)?;
    check_text("the recipient", &message.to)?;
    check_text("the call-id", &message.call_id)?;
    check_text("the content type", &message.content_type)?;
    if message.body.len() > BODY_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "the body of a message",
            bytes: message.body.len(),
            max: BODY_BYTES_MAX,
        });
    }
    Ok(())
}

fn put(message: &NewMessage, number: u64) -> Result<Batch, StoreError> {
    let key = key(&message.user, number)?;
    let mut out = Encoder::default();
    out.signed(message.received_at_ms)
        .signed(message.expires_at_ms)
        .text(&message.from)
        .text(&message.to)
        .text(&message.call_id)
        .text(&message.content_type)
        .bytes(&message.body);
    let sealed = value::seal(Tree::Messages, &key, &out.finish())?;
    let mut batch = Batch::default();
    batch.put(Tree::Messages, key, sealed);
    Ok(batch)
}

fn decode(key: &[u8], sealed: &[u8]) -> Result<StoredMessage, StoreError> {
    let (user, number) = parse_key(key)?;
    let mut input = Decoder::new(value::open(Tree::Messages, key, sealed)?);
    let message = NewMessage {
        user,
        received_at_ms: input.signed()?,
        expires_at_ms: input.signed()?,
        from: input.text()?,
        to: input.text()?,
        call_id: input.text()?,
        content_type: input.text()?,
        body: input.bytes()?.to_vec(),
    };
    input.end()?;
    Ok(StoredMessage { number, message })
}

fn key(user: &str, number: u64) -> Result<Vec<u8>, StoreError> {
    let mut key = user_prefix(user)?;
    key.extend_from_slice(&number.to_be_bytes());
    Ok(key)
}

fn parse_key(key: &[u8]) -> Result<(String, u64), StoreError> {
    let bad_key = || StoreError::damaged("a key of no message");
    let (user, number) = key.split_last_chunk::<8>().ok_or_else(bad_key)?;
    let user = user.strip_suffix(&[0]).ok_or_else(bad_key)?;
    Ok((to_text(user)?, u64::from_be_bytes(*number)))
}

fn user_prefix(user: &str) -> Result<Vec<u8>, StoreError> {
    check_text("the user", user)?;
    if user.is_empty() || user.contains('\0') {
        return Err(StoreError::BadKey { what: "the user" });
    }
    let mut prefix = user.as_bytes().to_vec();
    prefix.push(0);
    Ok(prefix)
}

/// A page of a scan holds a user's whole queue under the default bounds.
const _: () = assert!(SCAN_RECORDS_MAX >= 100);

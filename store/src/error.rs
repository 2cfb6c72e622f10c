//! The one error type that leaves this crate.

use std::io;

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The writer's queue is at its bound; nothing was taken. Ask again later (SIP: 503 with Retry-After).
    #[error("the store's queue is full ({queued} writes wait, at most {max} may)")]
    Busy {
        /// Writes that wait now.
        queued: usize,
        /// The bound, [`crate::StoreConfig::queue_writes_max`].
        max: usize,
    },
    /// The file system has no room (or a quota or file-size limit was met). Clears by itself once room returns.
    #[error("no room is left on the store's disk")]
    DiskFull,
    /// Writes are refused because the database is damaged; reads may still work.
    #[error("the store is read-only: {reason}")]
    ReadOnly {
        /// What was seen when the store stopped writing.
        reason: String,
    },
    /// The store was shut down.
    #[error("the store is stopped")]
    Stopped,
    /// The writer ended while it held this write: it may or may not be on disk.
    #[error("the store's writer ended before it could answer")]
    WriterDied,
    /// A user's or the whole message queue is at its bound.
    #[error("{what} holds {max} already, which is its bound")]
    Full {
        /// Which bound was met.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A value or key is longer than its bound.
    #[error("{what} has {bytes} bytes, at most {max} are kept")]
    TooLarge {
        /// Which field.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A field that is part of a key holds a NUL or nothing at all.
    #[error("{what} must hold text without a NUL")]
    BadKey {
        /// Which field.
        what: &'static str,
    },
    /// Stored bytes do not pass their checksum or do not parse.
    #[error("damaged: {what}")]
    Damaged {
        /// What was read and what was wrong with it.
        what: String,
    },
    /// A newer release wrote this database; this one must not touch it.
    #[error("the database has schema {found}; this release knows up to {known}")]
    Newer {
        /// Schema in the database.
        found: u32,
        /// Schema of this release.
        known: u32,
    },
    /// Any other failure of the file system.
    #[error("{what}: {text}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's words.
        text: String,
    },
}

impl StoreError {
    /// Sorts a file-system error into [`StoreError::DiskFull`] or [`StoreError::Io`].
    pub(crate) fn io(what: &'static str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::DiskFull,
            _ => Self::Io { what, text: error.to_string() },
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

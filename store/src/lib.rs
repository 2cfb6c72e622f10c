//! What must outlive a process: registrar bindings, messages for absent users, call records, mailboxes.
//!
//! The whole model: a [`Store`] takes writes into one bounded queue; one writer thread takes everything that waits,
//! applies it as one atomic batch, flushes, syncs the file, and only then answers all of it. So an answer of `Ok` is a
//! promise that holds after `kill -9` and after a power cut. Reads go straight to the engine and block for a disk read
//! at most.
//!
//! Below it an [`engine::Engine`] (sled on disk, a map for simulations); above it one typed view a thing kept:
//! [`Locations`], [`Messages`], [`Calls`], [`Facts`], [`Mailboxes`], [`Meta`]. Every value carries a version and a checksum, every tree a count
//! that is written in the same batch as its records, so damage and silently missing keys are noticed.
//!
//! Callers give each write a callback that the writer thread calls exactly once; [`wait`] turns that into a blocking
//! call for tools and tests.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod audio;
mod calls;
mod codec;
mod counts;
mod dump;
pub mod engine;
mod error;
mod facts;
mod fault;
mod locations;
mod mailboxes;
mod messages;
mod meta;
mod open;
mod outbox;
mod queue;
mod store;
pub mod value;
mod witness;
mod writer;

pub use calls::{CallRecord, CallSelect, Calls, PARTIES_MAX};
pub use counts::Missing;
pub use dump::DumpReport;
pub use error::StoreError;
pub use facts::{FACT_BYTES_MAX, Facts};
pub use fault::{SLOW_DISK_MAX, slow_disk};
pub use locations::{AllBindings, Binding, BindingId, Locations};
pub use mailboxes::{
    CALLERS_BYTES_MAX, Clip, LoadedMailbox, MailChange, MailboxState, Mailboxes, Pin, Voice, VoiceKind,
};
pub use messages::{MessageBounds, Messages, NewMessage, StoredMessage};
pub use meta::Meta;
pub use open::{OpenReport, Quarantine, RolledBack};
pub use outbox::{Letter, LetterKind};
pub use queue::StoreState;
pub use store::{EngineChoice, Health, Store, StoreConfig, wait};
pub use writer::{WriterEnd, WriterThread};

/// Longest text field (a URI, a display name, a user agent) that is kept, in bytes.
pub const TEXT_BYTES_MAX: usize = 2048;

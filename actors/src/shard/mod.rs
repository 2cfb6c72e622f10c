//! A signalling shard: one thread with its own sockets, transactions, timers, registrar and calls (design section 5).
//!
//! A message's way: socket → `inbound` (whose shard? read, admitted, authenticated) → transaction layer →
//! `dispatch` (call, registrar, messages, subscriptions) → an actor's mailbox. Answers go back through
//! [`core::Core`], which every actor of the shard holds.

mod calls;
pub mod core;
mod dispatch;
mod errands;
mod gate;
mod inbound;
mod names;
pub mod request;
mod salvage;
mod signalling;
mod wires;

pub use calls::dialog_key;
pub use core::{Core, Owner, TimerKind};
pub use gate::{ALLOW, Identity, SUPPORTED, not_understood};
pub use names::Names;
pub use request::{Named, RequestId, Unanswered, Way};
pub use signalling::{Signalling, SignallingMsg};

/// Which shard a Call-ID or address of record belongs to: every shard computes the same.
pub fn home_of(key: &[u8], shards: usize) -> usize {
    // FNV-1a: the same in every process, so that a Call-ID that we make ourselves can be chosen to stay here.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The low bits of FNV depend on few input bits; the high half is folded in.
    let folded = hash ^ (hash >> 32);
    usize::try_from(folded % u64::try_from(shards.max(1)).unwrap_or(1)).unwrap_or(0)
}

//! Everything that lives in Strowger: the supervision tree, one file (or folder) an actor.
//!
//! [`switch`] is the page to read first: the whole tree with the restart strategy of each branch. A message's way through
//! it is described in [`shard`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod call;
pub mod conference;
mod counters;
pub mod directory;
pub mod features;
pub mod figures;
pub mod gateway;
pub mod group;
pub mod hep;
mod lamps;
pub mod limits;
pub mod location;
pub mod mail;
pub mod messages;
mod outgoing;
pub mod outside;
pub mod packer;
pub mod parking;
pub mod plan;
pub mod records;
pub mod registrar;
pub mod routing;
pub mod settings;
pub mod shard;
pub mod shared;
pub mod subscriptions;
pub mod supervision;
pub mod switch;
pub mod talk;
pub mod user_lines;
mod way;

pub use counters::{Counters, DirectionCounters};

//! Limits of whoever pays for calls outside: how many at once, how many a minute, and how much an hour and a day.
//!
//! Routing says of an exit what it costs and who pays ([`Charge`]); the call takes a place with each of them before it tries the exit,
//! and charges them while it is up. What they have spent lies in the [`Book`] that all shards share, and in the store.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `rules` | limits, rates, windows: no clock |
//! | `book` | accounts |
//! | `actor` | writes what was spent into the store |

mod actor;
mod book;
mod rules;

pub use actor::{Limits, LimitsMsg};
pub use book::{AccountView, Book, Held};
pub use rules::{Charge, Class, Limit, Rate, Refused, Spent};

//! Gateways: neighbours that calls come from and leave by.
//!
//! What is configured of one is a [`Gateway`]; how it stands is a [`Standing`], which its actor, the calls of all shards and the
//! operator share. The actor lives on the shard that its name hashes to.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `plan` | what the configuration says of one |
//! | `standing` | channels, pace, state |
//! | `health` | what answers to OPTIONS say: rules |
//! | `registration` | our registration with a carrier: rules |
//! | `actor` | the keeper, which sends both and does what the operator wants |
//! | `view` | what operators see |

mod actor;
mod health;
mod plan;
mod registration;
mod standing;
mod view;

pub(crate) use actor::answerer;
pub use actor::{Keeper, KeeperMsg};
pub use health::Probing;
pub use plan::{Account, Exit, Gateway, Host, Names};
pub(crate) use registration::challenge;
pub use standing::{Channel, Direction, Gateways, NoChannel, Standing, State, Wanted};
pub use view::GatewayView;

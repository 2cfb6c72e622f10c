//! Gateways: neighbours that calls come from and leave by.
//!
//! What is configured of one is a [`Gateway`]; how it stands is a [`Standing`], which its actor, the calls of all shards and the
//! operator share. The actor lives on the shard that its name hashes to.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `plan` | what the configuration says of one |
//! | `standing` | channels, pace, state |
//! | `table` | all of them, and what becomes of them when a configuration is applied |
//! | `health` | what answers to OPTIONS say: rules |
//! | `registration` | our registration with a carrier: rules |
//! | `account` | who we are to a carrier |
//! | `actor` | the keeper, which sends both and does what the operator wants |
//! | `lamp` | phones behind it are told of their messages |
//! | `together` | what is due at about the same time |
//! | `view` | what operators see |

mod account;
mod actor;
mod health;
mod lamp;
mod plan;
mod registration;
mod standing;
mod table;
mod together;
mod view;

pub(crate) use account::answerer;
pub use actor::{Keeper, KeeperMsg};
pub use health::Probing;
pub use plan::{Account, Exit, Family, Gateway, Host, Names};
pub(crate) use registration::challenge;
pub use standing::{Channel, Direction, NoChannel, Standing, State, Wanted};
pub use table::Gateways;
pub use view::GatewayView;

use std::rc::Rc;
use std::time::Duration;

use crate::shard::{Core, TimerKind, home_of};
use crate::supervision::{Restart, StartError};

/// How soon a gateway is looked at again whose keeper of before has not ended yet.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Every gateway whose name hashes to this shard has a keeper.
pub fn adopt(core: &Rc<Core>) {
    let here = |standing: &&std::sync::Arc<Standing>| {
        home_of(standing.gateway.name.as_bytes(), core.shared.shards()) == core.shard && !standing.seat().is_alive()
    };
    for standing in core.shared.gateways.all().iter().filter(here) {
        let (own, name) = (Rc::clone(core), standing.gateway.name.clone());
        let number = standing.number;
        let first = std::sync::Arc::clone(standing);
        let factory = move || {
            // As it is configured when it starts.
            let now = own.shared.gateways.at(number).unwrap_or_else(|| std::sync::Arc::clone(&first));
            Keeper::new(Rc::clone(&own), now)
        };
        match core.gateways_supervisor.start_child(&name, Restart::Transient, factory) {
            Ok(seat) => standing.take_seat(seat),
            // One of this name takes our registration back, or is being restarted.
            Err(StartError::Taken) => drop(core.arm(core.now() + AGAIN_AFTER, TimerKind::Adopt)),
            // A supervisor that is not there adopts when it is.
            Err(StartError::Dead) => {}
            Err(error) => tracing::error!(gateway = name, %error, "nobody looks after the gateway"),
        }
    }
}

//! Gateways: how they stand, and what an operator wants of them.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::client::{Switch, show};
use super::{humane, table};
use crate::admin_client::Gateway;

#[derive(Subcommand)]
pub enum Order {
    /// Let it take calls
    #[command(after_help = "Example: strowger gateways enable carrier")]
    Enable(Which),
    /// Let no new call on it; those that are up go on
    #[command(after_help = "Example: strowger gateways drain carrier")]
    Drain(Which),
    /// Switch it off: no new call, no OPTIONS, no registration; calls that are up go on
    #[command(after_help = "Example: strowger gateways disable carrier")]
    Disable(Which),
}

/// A gateway.
#[derive(clap::Args)]
pub struct Which {
    /// Its name
    name: String,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Gateways {
    gateways: Vec<Gateway>,
}

#[derive(Deserialize)]
struct Done {
    gateway: Gateway,
}

/// Shows the gateways.
pub fn list(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.gateways()?, |answer: Gateways| match answer.gateways.as_slice() {
        [] => "No gateway is configured.\n".to_owned(),
        all => text(all),
    })
}

impl Order {
    /// Has it done, and shows the gateway afterwards.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let (Which { name, switch }, order) = match self {
            Self::Enable(which) => (which, "enable"),
            Self::Drain(which) => (which, "drain"),
            Self::Disable(which) => (which, "disable"),
        };
        let answer = switch.client()?.order_gateway(&name, &json!({ "do": order }))?;
        show(is_json, &answer, |done: Done| text(&[done.gateway]))
    }
}

fn text(gateways: &[Gateway]) -> String {
    let rows: Vec<_> = gateways
        .iter()
        .map(|one| {
            let registered = match one.registered {
                None => "-",
                Some(true) => "yes",
                Some(false) => "no",
            };
            [
                one.name.clone(),
                format!("{} over {}", one.address, one.transport),
                one.state.replace('-', " "),
                registered.to_owned(),
                format!("{} of {}", one.channels, one.channels_max),
                format!("{} / {} / {}", one.tried, one.answered, one.failed),
                one.round_trip_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
                one.trouble.as_deref().map_or_else(|| "-".to_owned(), |why| humane::safe(why, 60)),
            ]
        })
        .collect();
    let titles =
        ["GATEWAY", "ADDRESS", "STATE", "REGISTERED", "CHANNELS", "TRIED / ANSWERED / FAILED", "OPTIONS", "TROUBLE"];
    table::render(titles, &rows)
}

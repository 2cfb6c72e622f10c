//! Limits of calls outside: who has spent how much, and the order to forget it.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::client::{Switch, show};
use super::table;
use crate::admin_client::Account;

#[derive(Subcommand)]
pub enum Order {
    /// Forget what an account has spent in this hour and this day
    #[command(after_help = "Example: strowger limits reset user:alice")]
    Reset(Which),
}

/// An account.
#[derive(clap::Args)]
pub struct Which {
    /// `user:NAME` or `gateway:NAME`
    account: String,
    #[command(flatten)]
    switch: Switch,
}

#[derive(Deserialize)]
struct Limits {
    limits: Vec<Account>,
}

#[derive(Deserialize)]
struct Done {
    limit: Option<Account>,
}

/// Shows the accounts.
pub fn list(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.limits()?, |answer: Limits| match answer.limits.as_slice() {
        [] => "Nobody with a limit has called outside today.\n".to_owned(),
        all => text(all),
    })
}

impl Order {
    /// Has it done, and shows the account afterwards.
    pub fn run(self, is_json: bool) -> anyhow::Result<()> {
        let Self::Reset(Which { account, switch }) = self;
        let answer = switch.client()?.order_limit(&account, &json!({ "do": "reset" }))?;
        show(is_json, &answer, |done: Done| done.limit.map_or_else(String::new, |one| text(&[one])))
    }
}

fn text(accounts: &[Account]) -> String {
    let of = |spent: u64, most: Option<u64>| match most {
        Some(most) => format!("{spent} of {most}"),
        None => spent.to_string(),
    };
    let row = |one: &Account| {
        [
            one.account.clone(),
            one.limit.clone().unwrap_or_else(|| "-".to_owned()),
            one.calls.to_string(),
            of(one.hour, one.hour_max),
            of(one.day, one.day_max),
            one.refuses.clone().unwrap_or_else(|| "-".to_owned()),
            one.refused.to_string(),
        ]
    };
    let rows: Vec<_> = accounts.iter().map(row).collect();
    table::render(["ACCOUNT", "LIMIT", "CALLS", "THIS HOUR", "TODAY", "REFUSES FOR", "REFUSED"], &rows)
}

//! The objects of the plan: what they carry, and how they stand.

use serde::Deserialize;

use super::client::{Switch, show};
use super::table;
use crate::admin_client::PlanObject;

#[derive(Deserialize)]
struct Plan {
    plan: Vec<PlanObject>,
}

/// Shows them.
pub fn list(switch: &Switch, is_json: bool) -> anyhow::Result<()> {
    show(is_json, &switch.client()?.plan()?, |answer: Plan| match answer.plan.as_slice() {
        [] => "No dial plan, hunt group, voice policy, usage or time condition is configured.\n".to_owned(),
        all => text(all),
    })
}

fn text(objects: &[PlanObject]) -> String {
    let row = |one: &PlanObject| {
        let up = one.calls_max.map_or_else(|| one.up.to_string(), |most| format!("{} of {most}", one.up));
        let stands = match (one.open, &one.until) {
            (None, _) => "-".to_owned(),
            (Some(open), until) => {
                let word = if open { "open" } else { "closed" };
                until.as_ref().map_or_else(|| word.to_owned(), |until| format!("{word} until {until}"))
            }
        };
        [one.kind.replace('-', " "), one.name.clone(), up, one.calls.to_string(), one.refused.to_string(), stands]
    };
    let rows: Vec<_> = objects.iter().map(row).collect();
    table::render(["KIND", "NAME", "UP", "CALLS", "REFUSED", "HOURS"], &rows)
}

//! `GET /api/route`: where a number would go, and why; nothing is called.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Query};
use actors::directory::Destination;
use actors::features::DELEGATES;
use actors::features::rules::{self, Now, Outcome};
use actors::limits::Book;
use actors::outside;
use actors::routing::hours::parse_time;
use actors::routing::number::E164;
use actors::routing::{By, Decision, Inbound, Question, Trail};
use actors::shared::unix_now;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Refusal, Web};

/// Longest number that is asked for, bytes.
const NUMBER_BYTES_MAX: usize = 128;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteQuery {
    number: String,
    from: Option<String>,
    gateway: Option<String>,
    at: Option<String>,
    caller: Option<String>,
    diverted: Option<String>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    srtp: bool,
}

/// Where a number would go.
pub async fn route(web: Data<Web>, query: Query<RouteQuery>) -> Result<Json<Value>, Refusal> {
    let query = query.into_inner();
    let bad = |error: String, remedy| Refusal::new(StatusCode::BAD_REQUEST, error, remedy);
    let absent = |error: String, remedy| Refusal::new(StatusCode::NOT_FOUND, error, remedy);
    if query.number.is_empty() || query.number.len() > NUMBER_BYTES_MAX {
        return Err(bad("this is no number".into(), "name a number of 1 to 128 characters"));
    }
    let at = match &query.at {
        None => outside::now(),
        Some(text) => parse_time(text, &TimeZone::system())
            .ok_or_else(|| bad(format!("{text:?} is no time"), "write 2026-12-25T18:05, or add Z or an offset"))?,
    };
    let directory = web.shared.directory();
    let diverted: Vec<String> = query.diverted.iter().cloned().collect();
    let (user, gateway, caller);
    let by = match (&query.from, &query.gateway) {
        (Some(name), None) => {
            user = directory
                .find(name)
                .cloned()
                .ok_or_else(|| absent(format!("there is no user {name}"), "name a user, an extension or a number"))?;
            By::User(&user)
        }
        (None, Some(name)) => {
            gateway = directory
                .gateway(name)
                .cloned()
                .ok_or_else(|| absent(format!("there is no gateway {name}"), "name one of the configuration"))?;
            let said = query.caller.as_deref().unwrap_or("anonymous");
            caller = gateway.trunk.caller_as_seen(said);
            By::Gateway(&gateway, Inbound { caller: &caller, diverted: &diverted, tls: query.tls, srtp: query.srtp })
        }
        _ => return Err(bad("who calls?".into(), "name a user with `from`, or a gateway with `gateway`")),
    };
    let question = Question { dialled: &query.number, by, at, sent_on: false };
    let mut decision = directory.routing().decide(&directory, &question, true);
    follow(&web, &mut decision, &query, at);
    if let Destination::Group(plan) = &decision.destination
        && let Some(group) = web.shared.groups.get(&plan.name)
    {
        decision.steps.extend(group.explain(&web.shared));
    }
    Ok(Json(told(&query, at, &decision, &web.shared.limits)))
}

/// What the features of users do with the call, and where it goes then: as a call would, in which nobody is busy that is not.
fn follow(web: &Web, decision: &mut Decision, query: &RouteQuery, at: jiff::Timestamp) {
    let (shared, directory) = (&web.shared, web.shared.directory());
    let caller = query.from.as_deref().or(query.caller.as_deref()).unwrap_or_default();
    let mut callers = vec![caller];
    let from = query.from.as_deref().and_then(|name| directory.find(name)).cloned();
    if let Some(user) = &from {
        callers.extend([Some(&user.name), user.extension.as_ref()].into_iter().flatten().map(String::as_str));
        callers.extend(user.numbers.iter().map(String::as_str));
    }
    let mut sent_on: Vec<String> = Vec::new();
    while let Destination::User(user) = &decision.destination {
        let user = Arc::clone(user);
        let (features, switches) = (shared.features.of(&user.name), directory.routing().switches(&user.routing));
        let now = Now {
            user: &user.name,
            callers: &callers,
            hidden: from.as_ref().is_some_and(|from| shared.features.of(&from.name).hide_number),
            lines: shared.lines_of(&directory.aor(&user)),
            lines_max: user.max_calls.unwrap_or(usize::MAX),
            ring: shared.settings().features.ring,
        };
        let mut trail = Trail::full();
        let outcome = rules::incoming(&features, &switches, &now, &mut trail);
        decision.steps.extend(trail.into_steps());
        let to = match outcome {
            Outcome::SendOn(to, _) if to != DELEGATES && !sent_on.contains(&user.name) => to,
            _ => return,
        };
        sent_on.push(user.name.clone());
        let question = Question { dialled: &to, by: By::User(&user), at, sent_on: true };
        let next = directory.routing().decide(&directory, &question, true);
        decision.destination = next.destination;
        decision.steps.extend(next.steps);
    }
}

fn told(query: &RouteQuery, at: jiff::Timestamp, decision: &Decision, book: &Book) -> Value {
    let (outcome, status) = match &decision.destination {
        Destination::Nowhere(refusal) => (refusal.kind.as_str(), Some(refusal.kind.status().code())),
        _ => ("goes", None),
    };
    let targets: Vec<Value> = match &decision.destination {
        Destination::Outside(exits) => exits
            .iter()
            .map(|exit| {
                let facts = E164::parse(&exit.number).and_then(|number| number.facts());
                json!({
                    "gateway": exit.gateway.name,
                    "number": exit.number,
                    "caller": exit.caller,
                    "why": exit.why,
                    "class": exit.rate.class,
                    "units": { "call": exit.rate.call, "minute": exit.rate.minute },
                    "pays": exit.charges.iter().map(|charge| json!({
                        "account": charge.account,
                        "limit": charge.limit.name,
                        "refuses": book.would(charge, unix_now()).err().map(|why| why.as_str()),
                    })).collect::<Vec<_>>(),
                    "country": facts.as_ref().and_then(|facts| facts.country.clone()),
                    "international": facts.map(|facts| facts.international),
                })
            })
            .collect(),
        Destination::Nowhere(_) => Vec::new(),
        inside => vec![json!({ "inside": actors::routing::describe(inside) })],
    };
    json!({
        "number": query.number,
        "from": query.from,
        "gateway": query.gateway,
        "at": at.to_string(),
        "outcome": outcome,
        "status": status,
        "destination": actors::routing::describe(&decision.destination),
        "targets": targets,
        "steps": decision.steps,
    })
}

//! `GET /api/route`: where a number would go, and why; nothing is called.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Query};
use actors::directory::Destination;
use actors::limits::Book;
use actors::outside;
use actors::routing::hours::parse_time;
use actors::routing::number::E164;
use actors::routing::{By, Decision, Inbound, Question, Step, Topic, Verdict};
use actors::shared::unix_now;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

mod follow;

use super::{Refusal, Web};
use follow::{Asker, Ends, follow};

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
    let caller = query.from.as_deref().or(query.caller.as_deref()).unwrap_or_default();
    let from = query.from.as_deref().and_then(|name| directory.find(name)).cloned();
    let ends = follow(&web.shared, &mut decision, &Asker { from: from.as_deref(), caller, at });
    if let Destination::Group(plan) = &decision.destination
        && let Some(group) = web.shared.groups.get(&plan.name)
    {
        decision.steps.extend(group.explain(&web.shared));
    }
    if let Err(full) = web.shared.plans.would_admit(&decision.under) {
        decision.steps.push(Step {
            topic: Topic::Limit,
            verdict: Verdict::Refused,
            name: full.name.clone(),
            text: format!("{full}: at this moment the call gets 503"),
        });
    }
    Ok(Json(told(&query, at, &decision, ends.as_ref(), &web.shared.limits)))
}

fn told(query: &RouteQuery, at: jiff::Timestamp, decision: &Decision, ends: Option<&Ends>, book: &Book) -> Value {
    let (outcome, status) = match (&decision.destination, ends) {
        (_, Some(ends)) => ("refused", Some(ends.refused.code)),
        (Destination::Nowhere(refusal), _) => (refusal.kind.as_str(), Some(refusal.kind.status().code())),
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
        _ if ends.is_some() => Vec::new(),
        inside => vec![json!({ "inside": actors::routing::describe(inside) })],
    };
    json!({
        "number": query.number,
        "from": query.from,
        "gateway": query.gateway,
        "at": at.to_string(),
        "outcome": outcome,
        "status": status,
        "destination": ends.map_or_else(|| actors::routing::describe(&decision.destination), |ends| {
            format!("to user {}, who refuses it: {}", ends.user.name, ends.refused.reason.to_ascii_lowercase())
        }),
        "targets": targets,
        "steps": decision.steps,
    })
}

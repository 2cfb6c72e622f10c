//! The admin API of gateways: how they stand, and what an operator wants of them.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::gateway::{KeeperMsg, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, Web};

/// How long a keeper may take to do what it is asked.
const DO_WITHIN: Duration = Duration::from_secs(2);

type Answer = Result<Json<Value>, Refusal>;

/// All gateways, in the order of the configuration.
pub async fn list(web: Data<Web>) -> Json<Value> {
    let all: Vec<_> = web.shared.gateways.all().iter().map(|standing| standing.view()).collect();
    Json(json!({ "gateways": all }))
}

/// What an operator wants of a gateway.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// It takes calls.
    Enable,
    /// It takes no new ones.
    Drain,
    /// It takes none.
    Disable,
}

/// Does it; the answer is how the gateway is afterwards.
pub async fn order(web: Data<Web>, name: Path<String>, order: Json<Order>) -> Answer {
    let standing = web.shared.gateways.get(&name).ok_or_else(|| {
        let error = format!("there is no gateway {name}");
        Refusal::new(StatusCode::NOT_FOUND, error, "`strowger gateways` lists them")
    })?;
    let wanted = match order.into_inner() {
        Order::Enable => Wanted::Enabled,
        Order::Drain => Wanted::Draining,
        Order::Disable => Wanted::Disabled,
    };
    let done = standing.seat().ask(|reply| KeeperMsg::Want(wanted, reply), DO_WITHIN).await;
    done.map_err(|error| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), "its actor is being rebuilt: ask again")
    })?;
    Ok(Json(json!({ "gateway": standing.view() })))
}

//! The admin API of limits: what was spent on calls outside, and by whom.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::shared::unix_now;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, Web};

/// All accounts that have something to tell.
pub async fn list(web: Data<Web>) -> Json<Value> {
    Json(json!({ "limits": web.shared.limits.all(unix_now()) }))
}

/// What an operator wants of an account.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// Nothing was spent in this hour and this day.
    Reset,
}

/// Does it; the answer is how the account is afterwards.
pub async fn order(
    web: Data<Web>,
    account: Path<String>,
    Json(Order::Reset): Json<Order>,
) -> Result<Json<Value>, Refusal> {
    if !web.shared.limits.reset(&account) {
        let error = format!("{account} has spent nothing");
        return Err(Refusal::new(StatusCode::NOT_FOUND, error, "`strowger limits` lists who has"));
    }
    tracing::warn!(account = *account, "the operator has reset what was spent");
    let now = web.shared.limits.all(unix_now()).into_iter().find(|one| one.account == *account);
    Ok(Json(json!({ "limit": now })))
}

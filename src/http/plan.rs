//! The admin API of the plan: what its dial plans, hunt groups, voice policies, usages and hours carry, and how they stand.

use actix_web::web::{Data, Json};
use serde_json::{Value, json};

use super::Web;

/// All objects, by kind and name.
pub async fn list(web: Data<Web>) -> Json<Value> {
    Json(json!({ "plan": web.shared.plans.views() }))
}

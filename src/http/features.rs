//! The admin API of call features: what users have switched, calls that are parked, calls that were traced.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::directory::User;
use actors::features::{FeatureBook, Features, NotSet, TRACES};
use serde_json::{Map, Value, json};

use super::{Refusal, Web};

/// How long a change may take: a write to the disk.
const KEEP_WITHIN: Duration = Duration::from_secs(5);

type Answer = Result<Json<Value>, Refusal>;

/// What a user has switched.
pub async fn one(web: Data<Web>, name: Path<String>) -> Answer {
    let user = user(&web, &name)?;
    Ok(Json(json!({ "user": user.name, "features": *web.shared.features.of(&user.name) })))
}

/// Changes some of it: what is not named stays as it is, null is the default. The answer, once it is durable, is all of it.
pub async fn change(web: Data<Web>, name: Path<String>, wanted: Json<Map<String, Value>>) -> Answer {
    let user = user(&web, &name)?;
    let wanted = wanted.into_inner();
    let edit = move |features: &mut Features| {
        let wrong = |error: serde_json::Error| NotSet::Wrong(error.to_string());
        let mut all = match serde_json::to_value(&*features).map_err(wrong)? {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        for (key, value) in wanted {
            if value.is_null() {
                all.remove(&key);
            } else {
                all.insert(key, value);
            }
        }
        *features = serde_json::from_value(Value::Object(all)).map_err(wrong)?;
        Ok(())
    };
    let (told, kept) = tokio::sync::oneshot::channel();
    FeatureBook::change(&web.shared, &user, edit, move |kept| drop(told.send(kept)));
    let late =
        || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "it was not kept in time", "look at the disk, and ask again");
    let kept = tokio::time::timeout(KEEP_WITHIN, kept).await.map_err(|_| late())?.map_err(|_| late())?;
    match kept {
        Ok(features) => Ok(Json(json!({ "user": user.name, "features": *features }))),
        Err(why @ NotSet::Wrong(_)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, why.to_string(), "docs/features.md names the features"))
        }
        Err(why @ NotSet::NotAllowed(_)) => {
            Err(Refusal::new(StatusCode::CONFLICT, why.to_string(), "change the user's `[[voice_policy]]`"))
        }
        Err(why @ NotSet::Nowhere(..)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, why.to_string(), "`strowger route` tells where a number goes"))
        }
        Err(why @ NotSet::Store(_)) => {
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string(), "look at the disk, and ask again"))
        }
    }
}

/// Calls that are parked, by place.
pub async fn parked(web: Data<Web>) -> Json<Value> {
    Json(json!({ "parked": web.shared.parked.all() }))
}

/// Calls that users have traced as malicious, the oldest first.
pub async fn traces(web: Data<Web>) -> Answer {
    let facts = web.shared.store.facts();
    // It reads from the disk.
    let read = tokio::task::spawn_blocking(move || facts.all(TRACES)).await;
    let unreadable = |error: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error, "look at the store");
    let (all, unread) =
        read.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))?;
    let traces: Vec<Value> = all.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
    Ok(Json(json!({ "traces": traces, "unreadable": unread })))
}

fn user(web: &Web, name: &str) -> Result<Arc<User>, Refusal> {
    web.shared.directory().find(name).cloned().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no user {name}"), "name a user, an extension or a number")
    })
}

//! `/api/config`: another configuration takes the place of the one in force.

use std::path::PathBuf;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, Web};
use crate::applied::{ApplyError, Candidate, Outcome};
use crate::config::render_json;

/// What is to be in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    file: String,
    base: PathBuf,
    text: String,
    by: String,
    #[serde(default)]
    dry: bool,
}

/// Which version is to be in force again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    version: Option<u64>,
    by: String,
}

/// Puts a configuration in force, or says why not.
pub async fn apply(web: Data<Web>, request: Json<ApplyRequest>) -> impl Responder {
    let ApplyRequest { file, base, text, by, dry } = request.into_inner();
    let applied = std::sync::Arc::clone(&web.applied);
    let candidate = Candidate { file, base, text, by };
    answer(web::block(move || applied.apply(&candidate, dry)).await)
}

/// Puts a version in force again.
pub async fn roll_back(web: Data<Web>, request: Json<RollbackRequest>) -> impl Responder {
    let RollbackRequest { version, by } = request.into_inner();
    let applied = std::sync::Arc::clone(&web.applied);
    answer(web::block(move || applied.roll_back(version, &by)).await)
}

/// The versions that are kept.
pub async fn versions(web: Data<Web>) -> Result<Json<Value>, Refusal> {
    let applied = std::sync::Arc::clone(&web.applied);
    let listed = web::block(move || applied.versions()).await.map_err(|error| std::io::Error::other(error.to_string()));
    match listed.and_then(|listed| listed) {
        Ok(versions) => Ok(Json(json!({ "versions": versions }))),
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Refusal {
    let error = format!("the versions cannot be read: {error}");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error, "look at the folder `versions` of the data folder")
}

fn answer(done: Result<Result<Outcome, ApplyError>, actix_web::error::BlockingError>) -> HttpResponse {
    let refused = |status, error: String, remedy| Refusal::new(status, error, remedy).response();
    match done {
        Ok(Ok(Outcome::Same)) => HttpResponse::Ok().json(json!({ "changes": [], "version": null })),
        Ok(Ok(Outcome::Changed(changes, version))) => {
            let number = version.map(|version| version.number);
            HttpResponse::Ok().json(json!({ "changes": changes, "version": number }))
        }
        Ok(Err(ApplyError::Mistakes(errors))) => HttpResponse::UnprocessableEntity().json(render_json(&errors)),
        Ok(Err(error @ ApplyError::Restart(_))) => {
            refused(StatusCode::CONFLICT, error.to_string(), "restart the switch with this file; nothing was changed")
        }
        Ok(Err(error @ (ApplyError::Unknown(_) | ApplyError::First))) => {
            refused(StatusCode::NOT_FOUND, error.to_string(), "`strowger versions` lists those that are kept")
        }
        Ok(Err(error @ ApplyError::Io(_))) => unreadable(&error).response(),
        Err(error) => unreadable(&error).response(),
    }
}

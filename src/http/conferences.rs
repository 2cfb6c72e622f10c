//! The admin API of conferences: who is in them, and what an operator does there.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::conference::{ConferenceMsg, ConferenceView, Hall, Refusal as Refused};
use actors::supervision::Reply;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Refusal, Web};

/// How long a conference may take to do what it is asked.
const DO_WITHIN: Duration = Duration::from_secs(2);

type Answer = Result<Json<Value>, Refusal>;

/// The conferences that somebody is in.
pub async fn list(web: Data<Web>) -> Json<Value> {
    let all: Vec<ConferenceView> = web.shared.conferences.all().iter().map(|hall| hall.view()).collect();
    Json(json!({ "conferences": all }))
}

/// One of them.
pub async fn one(web: Data<Web>, number: Path<String>) -> Answer {
    Ok(Json(json!(hall(&web, &number)?.view())))
}

/// What is to be done in a conference.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// The others do not hear a participant.
    Mute {
        /// Its number in the conference.
        participant: u32,
    },
    /// They hear it again.
    Unmute {
        /// Its number in the conference.
        participant: u32,
    },
    /// They hear it louder or softer.
    Gain {
        /// Its number in the conference.
        participant: u32,
        /// How much.
        db: f32,
    },
    /// Its call ends.
    Kick {
        /// Its number in the conference.
        participant: u32,
    },
    /// A recording begins.
    Record,
    /// It ends.
    Stop,
}

/// Does something in a conference; the answer is how the conference is afterwards, and of a recording its file.
pub async fn order(web: Data<Web>, number: Path<String>, order: Json<Order>) -> Answer {
    let hall = hall(&web, &number)?;
    let file = match order.into_inner() {
        Order::Mute { participant } => {
            ask(&hall, |reply| ConferenceMsg::Mute(participant, true, reply)).await.map(|()| None)
        }
        Order::Unmute { participant } => {
            ask(&hall, |reply| ConferenceMsg::Mute(participant, false, reply)).await.map(|()| None)
        }
        Order::Gain { participant, db } => {
            let most = media::mixer::GAIN_DB_MAX;
            if !(-most..=most).contains(&db) {
                let error = format!("{db} dB is no gain of a participant");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, error, "give -24 to 24 dB"));
            }
            ask(&hall, |reply| ConferenceMsg::Gain(participant, db, reply)).await.map(|()| None)
        }
        Order::Kick { participant } => ask(&hall, |reply| ConferenceMsg::Kick(participant, reply)).await.map(|()| None),
        Order::Record => ask(&hall, |reply| ConferenceMsg::Record(true, reply)).await.map(Some),
        Order::Stop => ask(&hall, |reply| ConferenceMsg::Record(false, reply)).await.map(Some),
    }?;
    Ok(Json(json!({ "conference": hall.view(), "file": file })))
}

async fn ask<T: Send + 'static>(
    hall: &Hall,
    order: impl FnOnce(Reply<Result<T, Refused>>) -> ConferenceMsg,
) -> Result<T, Refusal> {
    let busy =
        |error: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error, "its actor is being rebuilt: ask again");
    let Some(actor) = hall.actor() else { return Err(busy("the conference has no actor".to_owned())) };
    match actor.ask(order, DO_WITHIN).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error @ Refused::NoGuest(_))) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, error.to_string(), "`strowger conferences` lists the participants"))
        }
        Ok(Err(error)) => {
            Err(Refusal::new(StatusCode::CONFLICT, error.to_string(), "`strowger conferences` shows how it is"))
        }
        Err(error) => Err(busy(error.to_string())),
    }
}

fn hall(web: &Web, number: &str) -> Result<Arc<Hall>, Refusal> {
    web.shared.conferences.get(number).ok_or_else(|| {
        let error = format!("nobody is in a conference {number}");
        Refusal::new(StatusCode::NOT_FOUND, error, "`strowger conferences` lists those that somebody is in")
    })
}

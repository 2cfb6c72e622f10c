//! The admin API of messages that are played on a phone.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actors::mail::{MailboxMsg, MailboxView, Play, Played};
use actors::shard::{SignallingMsg, home_of};
use serde::Deserialize;
use serde_json::{Value, json};

use super::mailboxes::{DO_WITHIN, ask};
use super::{Refusal, Web};

type Answer = Result<Json<Value>, Refusal>;

/// What is to be played, and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// A message; without one the owner hears and records greetings.
    message: Option<u64>,
    /// The number that is dialled; without one the owner's own.
    number: Option<String>,
}

/// Calls a phone and plays to it: one at a time a user.
pub async fn play(web: Data<Web>, name: Path<String>, wanted: Json<Wanted>) -> Answer {
    let Wanted { message, number } = wanted.into_inner();
    let view: Option<MailboxView> = ask(&web, &name, DO_WITHIN, MailboxMsg::View).await?;
    let there =
        |number: u64| view.iter().flat_map(|view| &view.messages).any(|one| one.number == number && !one.deleted);
    if let Some(number) = message.filter(|number| !there(*number)) {
        let error = format!("the mailbox of {name} has no message {number}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, error, "`strowger mailbox list` shows its messages"));
    }
    let directory = web.shared.directory();
    let user = directory.user(&name);
    if !user.and_then(|user| user.mailbox.as_ref()).is_some_and(|mailbox| mailbox.policy.play_on_phone) {
        let error = format!("the policy of the mailbox of {name} plays nothing on phones");
        return Err(Refusal::new(StatusCode::FORBIDDEN, error, "play_on_phone of [[mailbox_policy]] allows it"));
    }
    let own = user.and_then(|user| user.extension.clone()).unwrap_or_else(|| name.to_string());
    let what = message.map_or(Played::Greetings, Played::Message);
    let shard = home_of(name.as_bytes(), web.shared.shards());
    let play = Play::new(name.to_string(), number.unwrap_or(own), what, shard);
    let Some(play) = web.shared.mailroom.plays.begin(play) else {
        let error = format!("something is being played to {name}");
        return Err(Refusal::new(StatusCode::CONFLICT, error, "wait until it is over, or DELETE it"));
    };
    let told =
        web.shared.signalling(shard).is_some_and(|seat| seat.try_send(SignallingMsg::Play(play.clone())).is_ok());
    if !told {
        play.over(503, "the switch has too much to do");
    }
    Ok(Json(json!({ "play": play.view() })))
}

fn last(web: &Web, name: &str) -> Result<std::sync::Arc<Play>, Refusal> {
    web.shared.mailroom.plays.of(name).ok_or_else(|| {
        let error = format!("nothing was played to {name}");
        Refusal::new(StatusCode::NOT_FOUND, error, "POST what is to be played")
    })
}

/// Where the last of a user is.
pub async fn state(web: Data<Web>, name: Path<String>) -> Answer {
    Ok(Json(json!({ "play": last(&web, &name)?.view() })))
}

/// Ends it.
pub async fn end(web: Data<Web>, name: Path<String>) -> Answer {
    let play = last(&web, &name)?;
    if let Some(call) = play.call().filter(|_| !play.is_over())
        && let Some(seat) = web.shared.signalling(play.shard)
    {
        let _late = seat.try_send(SignallingMsg::HangUp { call, by: "operator" });
    }
    Ok(Json(json!({ "play": play.view() })))
}

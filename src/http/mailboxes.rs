//! The admin API of mailboxes: what is in them, sound, flags, greetings, PINs, letters.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::mail::{MailboxMsg, MailboxView, OutboxMsg};
use actors::shared::unix_ms;
use actors::supervision::Reply;
use actors::talk::{CallerBook, Step, Which};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{StoreError, Voice, VoiceKind};

use super::{Refusal, Web};

/// How long a mailbox may take for what it is asked; a verification reads all of it.
pub const DO_WITHIN: Duration = Duration::from_secs(10);
const VERIFY_WITHIN: Duration = Duration::from_secs(300);
/// The largest sound that is taken: a message of 100 minutes in 16 bits.
pub const SOUND_BYTES_MAX: usize = 128 << 20;

type Answer = Result<Json<Value>, Refusal>;

/// A mailbox in the list of all.
#[derive(Serialize)]
struct Row {
    mailbox: String,
    display: String,
    policy: String,
    new: Option<u32>,
    old: Option<u32>,
}

/// The mailboxes of all users that have one. Those that nobody has used since the start are opened to be counted; one that cannot
/// be within the time for all of them has no counts.
pub async fn list(web: Data<Web>) -> Json<Value> {
    let directory = web.shared.directory();
    let until = Instant::now() + DO_WITHIN;
    let mut rows = Vec::new();
    for user in directory.users() {
        let Some(mailbox) = &user.mailbox else { continue };
        let mut counts = web.shared.mailroom.counts(&web.shared, &user.name);
        if counts.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            let view: Option<Option<MailboxView>> = ask(&web, &user.name, left, MailboxMsg::View).await.ok();
            counts = view.flatten().map(|view| view.counts);
        }
        rows.push(Row {
            mailbox: user.name.clone(),
            display: user.display.clone(),
            policy: mailbox.policy.name.clone(),
            new: counts.map(|counts| counts.new),
            old: counts.map(|counts| counts.old),
        });
    }
    Json(json!({ "mailboxes": rows }))
}

/// One mailbox with its messages.
pub async fn one(web: Data<Web>, name: Path<String>) -> Answer {
    let view: Option<MailboxView> = ask(&web, &name, DO_WITHIN, MailboxMsg::View).await?;
    Ok(Json(json!({ "mailbox": view })))
}

/// What is to be done with a mailbox.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// Another PIN: this one, or one that is made up and sent to the owner; it must be changed. Also unlocks.
    Pin {
        /// The PIN; without it one is made up.
        pin: Option<String>,
    },
    /// Lets the owner in again.
    Unlock,
    /// Reads every file and compares it with the index.
    Verify,
}

/// Does something with a mailbox.
pub async fn order(web: Data<Web>, name: Path<String>, order: Json<Order>) -> Answer {
    match order.into_inner() {
        Order::Pin { pin } => {
            let typed = pin.is_some();
            let set = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::ResetPin(pin, reply)).await?;
            let pin = set.map_err(|fault| {
                Refusal::new(
                    StatusCode::BAD_REQUEST,
                    fault.to_string(),
                    "the policy of the mailbox says what a PIN must be",
                )
            })?;
            // One that was made up is the operator's to hand on where no e-mail goes.
            let told = web.shared.settings().mail.smtp.is_some();
            Ok(Json(json!({ "pin": if typed || told { None } else { Some(pin) } })))
        }
        Order::Unlock => match ask(&web, &name, DO_WITHIN, MailboxMsg::Unlock).await? {
            true => Ok(Json(json!({ "unlocked": true }))),
            false => Err(not_written()),
        },
        Order::Verify => {
            let found = ask(&web, &name, VERIFY_WITHIN, MailboxMsg::Verify).await?;
            let (messages, damaged) = found.map_err(|error| of_store(&error))?;
            Ok(Json(json!({ "mailbox": *name, "messages": messages, "damaged": damaged })))
        }
    }
}

/// The sound of a message: all of it, or the range that is asked for (RFC 9110 section 14).
pub async fn sound(web: Data<Web>, path: Path<(String, u64)>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let (name, number) = path.into_inner();
    let read = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::Audio(number, reply)).await?;
    let (_, file) = read.map_err(|error| of_store(&error))?;
    let whole = file.len();
    let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok()).and_then(|text| range(text, whole));
    let mut answer = match range {
        Some(None) => {
            let mut refused = HttpResponse::build(StatusCode::RANGE_NOT_SATISFIABLE);
            return Ok(refused.insert_header((CONTENT_RANGE, format!("bytes */{whole}"))).finish());
        }
        Some(Some((first, last))) => {
            let part = file.get(first..=last).unwrap_or_default().to_vec();
            let mut partial = HttpResponse::PartialContent();
            partial.insert_header((CONTENT_RANGE, format!("bytes {first}-{last}/{whole}")));
            partial.insert_header((CONTENT_LENGTH, part.len()));
            return Ok(partial.insert_header((CONTENT_TYPE, "audio/wav")).body(part));
        }
        None => HttpResponse::Ok(),
    };
    Ok(answer.insert_header((CONTENT_TYPE, "audio/wav")).insert_header((ACCEPT_RANGES, "bytes")).body(file))
}

/// The words of a message.
pub async fn transcript(web: Data<Web>, path: Path<(String, u64)>) -> Answer {
    let (name, number) = path.into_inner();
    match ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::Transcript(number, reply)).await? {
        Some(transcript) => Ok(Json(json!({ "transcript": transcript }))),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("nobody has made out the words of message {number} of {name}"),
            "`transcript` in the list of messages says of which they are known; [transcripts] names a recogniser",
        )),
    }
}

/// The first and last byte of a range of `whole`; `Some(None)` for one that cannot be, `None` for what is no single range.
fn range(text: &str, whole: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = whole.checked_sub(1);
    Some(match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), last) => end.filter(|end| first <= *end).map(|end| (first, last.unwrap_or(end).min(end))),
        (None, Some(suffix)) if first.is_empty() => {
            end.filter(|_| suffix > 0).map(|end| (whole.saturating_sub(suffix), end))
        }
        _ => return None,
    })
    .map(|found| found.filter(|(first, last)| first <= last))
}

/// What of a message is to be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    heard: Option<bool>,
    flagged: Option<bool>,
    deleted: Option<bool>,
}

/// Changes a message; the answer is how the mailbox is afterwards.
pub async fn change(web: Data<Web>, path: Path<(String, u64)>, change: Json<Change>) -> Answer {
    let (name, number) = path.into_inner();
    let steps = [change.heard.map(Step::Heard), change.flagged.map(Step::Flagged), change.deleted.map(Step::Deleted)];
    for step in steps.into_iter().flatten() {
        mark(&web, &name, number, step).await?;
    }
    one(web, Path::from(name)).await
}

/// Deletes a message; it can be had back for a while.
pub async fn delete(web: Data<Web>, path: Path<(String, u64)>) -> Answer {
    let (name, number) = path.into_inner();
    mark(&web, &name, number, Step::Deleted(true)).await?;
    one(web, Path::from(name)).await
}

async fn mark(web: &Web, name: &str, number: u64, step: Step) -> Result<(), Refusal> {
    let there = ask(web, name, DO_WITHIN, |reply| MailboxMsg::Mark(number, step, reply)).await?;
    match there.map_err(|error| of_store(&error))? {
        true => Ok(()),
        false => {
            let error = format!("the mailbox of {name} has no message {number}");
            Err(Refusal::new(StatusCode::NOT_FOUND, error, "`strowger mailbox list` shows its messages"))
        }
    }
}

/// What an imported message is.
#[derive(Deserialize)]
pub struct Imported {
    #[serde(default)]
    from: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    sender: Option<String>,
    #[serde(default)]
    call_id: String,
    received_ms: Option<i64>,
    #[serde(default)]
    heard: bool,
    #[serde(default)]
    urgent: bool,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    flagged: bool,
    #[serde(default)]
    sent: bool,
}

/// A message from outside: its sound is the body.
pub async fn import(web: Data<Web>, name: Path<String>, what: Query<Imported>, body: Bytes) -> Answer {
    let what = what.into_inner();
    let voice = Voice {
        kind: if what.sent { VoiceKind::Sent } else { VoiceKind::Answered },
        from: what.from,
        name: what.name,
        sender: what.sender,
        call_id: what.call_id,
        received_ms: what.received_ms.unwrap_or_else(unix_ms),
        heard: what.heard,
        urgent: what.urgent,
        private: what.private,
        flagged: what.flagged,
        ..Voice::default()
    };
    let taken = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::Import(body.to_vec(), Box::new(voice), reply)).await?;
    let number = taken.map_err(|error| of_store(&error))?;
    Ok(Json(json!({ "number": number })))
}

fn which(word: &str) -> Result<Which, Refusal> {
    match word {
        "greeting" => Ok(Which::Greeting),
        "away" => Ok(Which::Away),
        "name" => Ok(Which::Name),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no greeting {word:?}"),
            "name greeting, away or name",
        )),
    }
}

/// The sound of a greeting.
pub async fn greeting(web: Data<Web>, path: Path<(String, String)>) -> Result<HttpResponse, Refusal> {
    let (name, word) = path.into_inner();
    let which = which(&word)?;
    let read = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::Clip(which, reply)).await?;
    match read.map_err(|error| of_store(&error))? {
        Some(file) => Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "audio/wav")).body(file)),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("{name} has recorded no {word}"),
            "PUT one, or record it by phone",
        )),
    }
}

/// Sets a greeting: its sound is the body.
pub async fn set_greeting(web: Data<Web>, path: Path<(String, String)>, body: Bytes) -> Answer {
    let (name, word) = path.into_inner();
    let which = which(&word)?;
    let set = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::SetClip(which, Some(body.to_vec()), reply)).await?;
    set.map_err(|error| of_store(&error))?;
    one(web, Path::from(name)).await
}

/// Takes a greeting away.
pub async fn remove_greeting(web: Data<Web>, path: Path<(String, String)>) -> Answer {
    let (name, word) = path.into_inner();
    let which = which(&word)?;
    let set = ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::SetClip(which, None, reply)).await?;
    set.map_err(|error| of_store(&error))?;
    one(web, Path::from(name)).await
}

/// What the owner has written about callers: rules and contacts.
pub async fn callers(web: Data<Web>, name: Path<String>) -> Result<Json<CallerBook>, Refusal> {
    ask(&web, &name, DO_WITHIN, MailboxMsg::Callers).await.map(Json)
}

/// Sets all of it.
pub async fn set_callers(
    web: Data<Web>,
    name: Path<String>,
    book: Json<CallerBook>,
) -> Result<Json<CallerBook>, Refusal> {
    let directory = web.shared.directory();
    let hours = &directory.routing().spec().hours;
    book.check(|wanted| hours.iter().any(|known| known.name == wanted)).map_err(|why| {
        Refusal::new(StatusCode::BAD_REQUEST, why, "docs/mail.md says how rules and contacts are written")
    })?;
    let book = Box::new(book.into_inner());
    ask(&web, &name, DO_WITHIN, |reply| MailboxMsg::SetCallers(book, reply))
        .await?
        .map_err(|error| of_store(&error))?;
    callers(web, name).await
}

/// The letters that wait, and those that were given up.
pub async fn outbox(web: Data<Web>) -> Answer {
    let letters = web.shared.mailroom.outbox.ask(OutboxMsg::List, DO_WITHIN).await;
    letters.map(|letters| Json(json!({ "letters": letters }))).map_err(|error| busy(error.to_string()))
}

/// Asks a mailbox.
///
/// # Errors
/// There is none, or it does not answer within the time.
pub async fn ask<T: Send + 'static>(
    web: &Web,
    name: &str,
    within: Duration,
    make: impl FnOnce(Reply<T>) -> MailboxMsg,
) -> Result<T, Refusal> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    if web.shared.mailroom.owner(&web.shared, name).is_none() {
        let error = format!("there is no mailbox of {name}");
        return Err(Refusal::new(StatusCode::NOT_FOUND, error, "`strowger mailbox list` shows those that there are"));
    }
    if web.shared.mailroom.send(&web.shared, name, make(Reply::of(reply))).is_err() {
        return Err(busy("the mailbox has as much to do as it may have".to_owned()));
    }
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(busy("the mailbox is being opened anew".to_owned())),
        Err(_) => Err(busy("the mailbox takes too long".to_owned())),
    }
}

fn busy(error: String) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error, "ask again")
}

fn not_written() -> Refusal {
    busy("it could not be written".to_owned())
}

fn of_store(error: &StoreError) -> Refusal {
    match error {
        StoreError::Damaged { what } => {
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, what.clone(), "`strowger mailbox verify` says what is whole")
        }
        other => busy(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_rfc_9110_says() {
        for (text, wanted) in [
            ("bytes=0-9", Some(Some((0, 9)))),
            ("bytes=90-", Some(Some((90, 99)))),
            ("bytes=-10", Some(Some((90, 99)))),
            ("bytes=-1000", Some(Some((0, 99)))),
            ("bytes=50-1000", Some(Some((50, 99)))),
            ("bytes=100-", Some(None)),
            ("bytes=9-3", Some(None)),
            ("bytes=x-", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(range(text, 100), wanted, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Some(None));
    }
}

//! The admin API of what calls with voice mail came to: their records of a day, and sums.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Query};
use actix_web::{HttpResponse, web};
use actors::mail::{COLUMNS, MailRecord, Statistics, SumBy};
use actors::shared::unix_ms;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, Web};

/// Records that one question reads at most.
const READ_MAX: usize = 2_000_000;
/// The longest span of sums: 400 days.
const SPAN_MAX_MS: i64 = 400 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// One such question at a time: it reads all that is kept.
static BUSY: AtomicBool = AtomicBool::new(false);

struct Turn;

impl Turn {
    fn take() -> Result<Self, Refusal> {
        match BUSY.swap(true, Relaxed) {
            true => Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "records are being read for somebody else",
                "ask again",
            )),
            false => Ok(Self),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.store(false, Relaxed);
    }
}

/// What is summed up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    by: SumBy,
    /// The first day, UTC; without it the one 29 days before the last.
    from: Option<String>,
    /// The last day, UTC; without it today.
    until: Option<String>,
}

fn begin_of(day: &str) -> Result<i64, Refusal> {
    let date = day.parse::<jiff::civil::Date>().and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC));
    date.map(|at| at.timestamp().as_millisecond())
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, format!("{day:?} is no day"), "write it as 2026-11-25"))
}

async fn read<T: Send + 'static>(
    web: &Web,
    from_ms: i64,
    until_ms: i64,
    mut into: T,
    mut add: impl FnMut(&mut T, &MailRecord) + Send + 'static,
) -> Result<T, Refusal> {
    let (calls, turn) = (web.shared.store.calls(), Turn::take()?);
    let reading = web::block(move || {
        let _turn = turn;
        let mut count = 0;
        let read = calls.each(from_ms, until_ms, |record| {
            // Of most calls it is known without reading them that they have not come to voice mail.
            if record.line.contains("\"mail\":{")
                && let Ok(record) = serde_json::from_str(&record.line)
            {
                add(&mut into, &record);
            }
            count += 1;
            count < READ_MAX
        });
        read.map(|()| into)
    });
    let refused = |error: String| {
        let told = format!("the records cannot be read: {error}");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, told, "look at calls.jsonl of the data folder")
    };
    reading.await.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))
}

/// Sums of the records that are kept.
pub async fn statistics(web: Data<Web>, wanted: Query<Wanted>) -> Result<Json<Value>, Refusal> {
    let today = || unix_ms().div_euclid(DAY_MS) * DAY_MS;
    let until_ms = wanted.until.as_deref().map_or_else(|| Ok(today()), begin_of)? + DAY_MS;
    let from_ms = wanted.from.as_deref().map_or(Ok(until_ms - 30 * DAY_MS), begin_of)?;
    if !(1..=SPAN_MAX_MS).contains(&(until_ms - from_ms)) {
        let error = "the span is none, or longer than 400 days";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error, "name `from` and `until` as days"));
    }
    let sums = read(&web, from_ms, until_ms, Statistics::new(wanted.by), Statistics::add).await?.sums();
    Ok(Json(json!({ "sums": sums })))
}

/// Which records.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfDay {
    /// UTC.
    day: String,
}

/// The records of a day as a table (RFC 4180).
pub async fn records(web: Data<Web>, of: Query<OfDay>) -> Result<HttpResponse, Refusal> {
    let from_ms = begin_of(&of.day)?;
    let lines = read(&web, from_ms, from_ms + DAY_MS, format!("{COLUMNS}\r\n"), |lines, record| {
        if let Some(line) = record.line() {
            lines.push_str(&line);
            lines.push_str("\r\n");
        }
    });
    let table = lines.await?;
    let name = format!("attachment; filename=\"um_cdr_{}.csv\"", of.day);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("Content-Disposition", name))
        .body(table))
}

//! The admin API.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix_web::Either;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Path, Query};
use actors::call::CallView;
use actors::location::Contact;
use actors::shard::SignallingMsg;
use actors::shared::{Shared, unix_ms};
use actors::supervision::{Asked, Reply, TreeError};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::CallSelect;

use super::{Refusal, Web, health};

/// How long an actor may take to describe itself.
const DESCRIBE_WITHIN: Duration = Duration::from_millis(300);
/// How long a shard may take to list its calls.
const SHARD_WITHIN: Duration = Duration::from_secs(2);
/// Registrations in one answer.
const REGISTRATIONS_MAX: usize = 100_000;
/// Ended calls that are searched for one by our own id.
const ENDED_CALLS_SEARCHED: usize = 1_024;
/// Longest deadline of a drain.
const DRAIN_S_MAX: u64 = 86_400;

type Answer = Result<Json<Value>, Refusal>;

/// How the switch does as a whole.
pub async fn status(web: Data<Web>) -> Json<Value> {
    let shared = &web.shared;
    let reasons = health::unready(shared).await;
    let is_draining = shared.draining.load(Relaxed);
    let shards = ask_all(shared, SignallingMsg::Load).await;
    let loads = shards.into_iter().enumerate().map(|(shard, load)| json!({ "shard": shard, "load": load.ok() }));
    let workers = (0..shared.pool.worker_count()).map(|number| {
        let health = shared.pool.health(number);
        json!({
            "worker": number,
            "running": health.running,
            "flows": health.flows,
            "packets_in": health.packets_in,
            "packets_out": health.packets_out,
            "restarts": health.restarts,
        })
    });
    let store = shared.store.health();
    Json(json!({
        "node": shared.settings().node,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started": web.started.0.to_string(),
        "uptime_s": web.started.1.elapsed().as_secs(),
        "state": if is_draining { "draining" } else if reasons.is_empty() { "ready" } else { "impaired" },
        "reasons": reasons,
        "calls": shared.calls_alive.load(Relaxed),
        "registered": shared.location.len(),
        "websockets": web.websockets.open(),
        "http": web.listening,
        "sip": sip_addresses(shared),
        "shards": loads.collect::<Vec<_>>(),
        "media": workers.collect::<Vec<_>>(),
        "store": {
            "queue_depth": store.queue_depth,
            "writes": store.writes,
            "failed_writes": store.failed_writes,
            "bytes_on_disk": store.bytes_on_disk,
            "bindings": store.bindings,
            "messages": store.messages,
            "calls": store.calls,
        },
    }))
}

/// The addresses that SIP listens on, by transport.
pub fn sip_addresses(shared: &Shared) -> Value {
    let of = |protocol| -> Vec<String> {
        let bound = shared.network.listening().iter().filter(|bind| bind.protocol == protocol);
        bound.map(|bind| bind.address.to_string()).collect()
    };
    json!({ "udp": of(sip::Protocol::Udp), "tcp": of(sip::Protocol::Tcp), "tls": of(sip::Protocol::Tls) })
}

/// The live tree.
pub async fn tree(web: Data<Web>) -> Json<Value> {
    Json(json!({ "nodes": web.shared.tree.snapshot_described(DESCRIBE_WITHIN).await }))
}

/// Which calls are asked for.
#[derive(Deserialize)]
pub struct Which {
    /// The last so many that have ended.
    ended: Option<usize>,
}

/// The calls that are up, or the last that have ended, the newest first.
pub async fn calls(web: Data<Web>, which: Query<Which>) -> Result<Either<Json<Calls>, Json<Value>>, Refusal> {
    if let Some(count) = which.ended {
        return ended_calls(web, count.min(ENDED_CALLS_SEARCHED)).await.map(Either::Right);
    }
    let mut calls = Vec::new();
    let (mut silent, mut cause) = (Vec::new(), None);
    for (shard, answer) in ask_all(&web.shared, SignallingMsg::Calls).await.into_iter().enumerate() {
        match answer {
            Ok(of_shard) => calls.extend(of_shard),
            Err(error) => {
                silent.push(shard);
                cause = Some(error);
            }
        }
    }
    if let Some(error) = cause {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("shards {silent:?} do not list their calls: {error}"),
            "ask again; `strowger tree` shows how they do",
        ));
    }
    calls.sort_by(|a, b| (&a.started, &a.id).cmp(&(&b.started, &b.id)));
    Ok(Either::Left(Json(Calls { calls })))
}

/// Written out as it is: there may be tens of thousands.
#[derive(Serialize)]
pub struct Calls {
    calls: Vec<CallView>,
}

async fn ended_calls(web: Data<Web>, count: usize) -> Answer {
    let calls = web.shared.store.calls();
    let all = CallSelect::Started { from_ms: 0, until_ms: i64::MAX };
    let found = web::block(move || calls.find(&all, count)).await;
    let found = found.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), "ask again"))?;
    let found = found.map_err(|error| {
        let told = format!("the ended calls cannot be read: {error}");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, told, "look at calls.jsonl of the data folder")
    })?;
    let details: Vec<Value> = found.iter().filter_map(|call| serde_json::from_str(&call.line).ok()).collect();
    Ok(Json(json!({ "calls": details })))
}

/// The record of one call, by our id or its Call-ID: what has happened, and its detail record when it has ended. Of calls
/// that ended long ago the detail record alone.
pub async fn record(web: Data<Web>, id: Path<String>) -> Answer {
    let mut id = id.into_inner();
    let found = ask_all(&web.shared, |reply| SignallingMsg::Record(id.clone(), reply)).await;
    let found = found.into_iter().find_map(|answer| answer.ok().flatten());
    if let Some(record) = &found {
        if record.call.is_some() {
            return Ok(Json(json!(record)));
        }
        id.clone_from(&record.id);
    }
    let calls = web.shared.store.calls();
    let searching = web::block(move || {
        let by_call_id = calls.find(&CallSelect::CallId(id.clone()), 1)?;
        let all = CallSelect::Started { from_ms: 0, until_ms: i64::MAX };
        let newest = if by_call_id.is_empty() { calls.find(&all, ENDED_CALLS_SEARCHED)? } else { by_call_id };
        let details = newest.into_iter().filter_map(|call| serde_json::from_str::<Value>(&call.line).ok());
        Ok::<_, store::StoreError>(
            details.into_iter().find(|d| d.get("id") == Some(&json!(id)) || d.get("sip_call_id") == Some(&json!(id))),
        )
    });
    let stored = searching
        .await
        .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), "ask again"))?;
    match (stored, found) {
        // A call that has just ended has its detail record a moment later.
        (Ok(detail), Some(record)) => {
            Ok(Json(json!({ "id": record.id, "ended": detail, "events": record.events, "dropped": record.dropped })))
        }
        (Ok(Some(detail)), None) => Ok(Json(json!({ "ended": detail }))),
        (Ok(None), None) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "no such call is up or among the last that ended",
            "`strowger calls` lists those that are up, calls.jsonl of the data folder all that ended",
        )),
        (Err(error), _) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the ended calls cannot be read: {error}"),
            "look at calls.jsonl of the data folder",
        )),
    }
}

/// The bindings that are alive, by address of record.
pub async fn registrations(web: Data<Web>) -> Json<Value> {
    let now = unix_ms();
    let mut entries = web.shared.location.snapshot(REGISTRATIONS_MAX);
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    let bindings: Vec<Value> = entries
        .iter()
        .flat_map(|(aor, contacts)| contacts.iter().map(move |contact| (aor, contact)))
        .filter(|(_, contact)| contact.expires_at_ms > now)
        .map(|(aor, contact)| binding(aor, contact, now))
        .collect();
    Json(json!({ "registrations": bindings }))
}

fn binding(aor: &str, contact: &Contact, now_ms: i64) -> Value {
    json!({
        "aor": aor,
        "contact": contact.uri,
        "transport": contact.received.protocol.uri(),
        "received": contact.received.remote,
        "expires_in_s": (contact.expires_at_ms - now_ms) / 1000,
        "q": f64::from(contact.q_milli) / 1000.0,
        "instance": contact.instance,
        "path": contact.path,
        "user_agent": contact.user_agent,
    })
}

/// Which actor to end, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    path: String,
    #[serde(default)]
    how: How,
    /// How long it is stalled.
    #[serde(default)]
    stall_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    #[default]
    Kill,
    Panic,
    Stall,
}

/// How slow the disk is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowDisk {
    /// What each sync takes longer.
    slower_ms: u64,
}

/// Makes the disk slow, or well again.
pub async fn slow_disk(web: Data<Web>, request: Json<SlowDisk>) -> Answer {
    let SlowDisk { slower_ms } = request.into_inner();
    if let Err(error) = web.shared.tree.faults_allowed() {
        let remedy = "set `allow_faults = true` in [admin] of a lab";
        return Err(Refusal::new(StatusCode::CONFLICT, error.to_string(), remedy));
    }
    tracing::warn!(slower_ms, "the disk is made slow by an operator");
    store::slow_disk(Duration::from_millis(slower_ms));
    Ok(Json(json!({ "slower_ms": slower_ms })))
}

/// Ends one actor, or stalls it.
pub async fn kill(web: Data<Web>, request: Json<KillRequest>) -> Answer {
    let KillRequest { path, how, stall_ms } = request.into_inner();
    let path = format!("/{}", path.trim_start_matches('/'));
    let tree = &web.shared.tree;
    let done = match how {
        How::Kill => tree.kill(&path),
        How::Panic => tree.panic(&path),
        How::Stall => tree.stall(&path, Duration::from_millis(stall_ms)),
    };
    match done {
        Ok(()) => {
            tracing::warn!(actor = path, ?how, "ended or stalled by an operator");
            Ok(Json(json!({ "killed": path })))
        }
        Err(TreeError::Unknown(path)) => {
            let error = format!("there is no actor at {path}");
            Err(Refusal::new(StatusCode::NOT_FOUND, error, "take a path of `strowger tree`"))
        }
        Err(TreeError::Vacant(path)) => {
            let error = format!("the actor at {path} is down at this moment");
            Err(Refusal::new(StatusCode::CONFLICT, error, "it is being restarted: try again"))
        }
        Err(error @ TreeError::NoFaults(_)) => Err(Refusal::new(
            StatusCode::CONFLICT,
            error.to_string(),
            "end the actor without --panic or --stall, or set `allow_faults = true` in [admin] of a lab",
        )),
    }
}

/// By when a drain is over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    deadline_s: u64,
}

/// Lets no new call in from now on, and has the switch stop once the others have ended, or at the deadline.
pub async fn drain(web: Data<Web>, request: Json<DrainRequest>) -> Json<Value> {
    let deadline = Duration::from_secs(request.deadline_s.min(DRAIN_S_MAX));
    web.shared.drain();
    web.drain.ask(deadline);
    drained(web).await
}

/// How far the drain is.
pub async fn drained(web: Data<Web>) -> Json<Value> {
    let shared = &web.shared;
    Json(json!({ "draining": shared.draining.load(Relaxed), "calls_left": shared.calls_alive.load(Relaxed) }))
}

/// Asks every shard the same; answers come in the order of shards.
async fn ask_all<T: Send + 'static>(
    shared: &Shared,
    question: impl Fn(Reply<T>) -> SignallingMsg,
) -> Vec<Result<T, actors::supervision::AskError>> {
    let asked: Vec<Asked<T>> =
        (0..shared.shards()).filter_map(|shard| Some(shared.signalling(shard)?.ask(&question, SHARD_WITHIN))).collect();
    join_all(asked).await
}

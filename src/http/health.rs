//! Whether the process lives, and whether it takes calls.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use actors::shard::SignallingMsg;
use actors::shared::Shared;
use serde_json::json;
use store::StoreState;

use super::Web;

/// How long a shard may take to say how it does.
const SHARD_WITHIN: Duration = Duration::from_millis(500);
/// An RTP worker's loop turns at least ten times a second; past this it hangs.
const HEARTBEAT_MAX: Duration = Duration::from_secs(1);

/// The process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "ok": true }))
}

/// 200 when calls are taken, else 503 with the reasons.
pub async fn readyz(web: Data<Web>) -> HttpResponse {
    let reasons = unready(&web.shared).await;
    let answer = json!({ "ready": reasons.is_empty(), "reasons": reasons });
    match reasons.is_empty() {
        true => HttpResponse::Ok().json(answer),
        false => HttpResponse::ServiceUnavailable().json(answer),
    }
}

/// Why no calls are taken; nothing when they are.
pub async fn unready(shared: &Shared) -> Vec<String> {
    let mut reasons = Vec::new();
    if shared.draining.load(Relaxed) {
        reasons.push("draining: no new call is let in".to_owned());
    }
    let store = shared.store.health();
    match store.state {
        StoreState::Running if store.writer_lives => {}
        StoreState::Running => reasons.push("store: its writer is down".to_owned()),
        StoreState::DiskFull => reasons.push("store: the disk is full".to_owned()),
        StoreState::ReadOnly(why) => reasons.push(format!("store: read-only: {why}")),
        StoreState::Stopped => reasons.push("store: stopped".to_owned()),
    }
    for number in 0..shared.pool.worker_count() {
        let health = shared.pool.health(number);
        if !health.running {
            reasons.push(format!("media worker {number}: down"));
        } else if health.heartbeat_age > HEARTBEAT_MAX {
            reasons.push(format!("media worker {number}: hangs since {} ms", health.heartbeat_age.as_millis()));
        }
    }
    if !shared.pool.handshakes().running {
        reasons.push("media handshakes: down".to_owned());
    }
    // All are asked before the first answer is awaited.
    let asked: Vec<_> = (0..shared.shards())
        .filter_map(|number| Some((number, shared.signalling(number)?.ask(SignallingMsg::Load, SHARD_WITHIN))))
        .collect();
    for (number, answer) in asked {
        if let Err(error) = answer.await {
            reasons.push(format!("shard {number}: {error}"));
        }
    }
    reasons
}

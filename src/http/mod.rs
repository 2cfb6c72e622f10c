//! The HTTP faces: health, metrics, console, admin API, and SIP over WebSocket.
//!
//! | path | who may | what |
//! | --- | --- | --- |
//! | `/healthz` | all | the process answers |
//! | `/readyz` | all | calls are taken, or why not |
//! | `/metrics` | all | figures for Prometheus |
//! | `/` | all | the console; it asks for the token |
//! | `/api/…` | the token | the tree, calls, conferences, gateways, ring groups, registrations; kill and drain |
//! | `/sip` | all | WebSocket (RFC 7118); SIP asks for digest as anywhere |
//!
//! All of it is one actor in the tree, [`face::Face`]: it dies and comes back with the same ports.

mod api;
mod conferences;
mod config;
mod console;
pub mod face;
mod features;
mod gateways;
mod groups;
pub mod health;
mod limits;
mod mail_records;
mod mailboxes;
mod metrics;
mod plan;
mod plays;
mod refusal;
mod route;
mod token;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource, Route};
use actors::shared::Shared;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::applied::Applied;
use crate::config::Secret;
use crate::stop::Drain;
pub use api::sip_addresses;
use refusal::Refusal;
pub use websocket::Books;

/// Largest body of a request to the admin API.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Largest body with a configuration: JSON takes more than the text.
const CONFIG_BYTES_MAX: usize = 33 << 20;
/// How long a request line and its headers may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long open requests may take when the face ends, s.
const SHUTDOWN_S: u64 = 1;

/// What the handlers know.
pub struct Web {
    /// The switch.
    pub shared: Arc<Shared>,
    /// The admin token.
    pub token: Secret,
    /// What `/metrics` renders.
    pub metrics: PrometheusHandle,
    /// How a drain is asked for.
    pub drain: Drain,
    /// When the switch began, and the same on the clock that nobody sets.
    pub started: (jiff::Timestamp, Instant),
    /// Where HTTP listens.
    pub listening: Vec<SocketAddr>,
    /// The configuration in force.
    pub applied: Arc<Applied>,
    /// WebSocket connections.
    pub websockets: websocket::Books,
}

/// The routes.
fn routes(service: &mut ServiceConfig) {
    let json = web::JsonConfig::default().limit(BODY_BYTES_MAX).error_handler(|error, _| Refusal::body(&error).into());
    let query = web::QueryConfig::default().error_handler(|error, _| Refusal::query(&error).into());
    service
        .app_data(json)
        .service(get("/", web::get().to(console::page)))
        .service(get("/healthz", web::get().to(health::healthz)))
        .service(get("/readyz", web::get().to(health::readyz)))
        .service(get("/metrics", web::get().to(metrics::render)))
        .service(get("/sip", web::get().to(websocket::upgrade)))
        .service(
            web::scope("/api")
                .wrap(from_fn(token::required))
                .service(get("/status", web::get().to(api::status)))
                .service(get("/tree", web::get().to(api::tree)))
                .service(get("/calls", web::get().to(api::calls)))
                .service(get("/calls/{id}", web::get().to(api::record)))
                .service(get("/conferences", web::get().to(conferences::list)))
                .service(
                    resource("/conferences/{number}", "GET, POST")
                        .route(web::get().to(conferences::one))
                        .route(web::post().to(conferences::order)),
                )
                .service(get("/route", web::get().to(route::route)).app_data(query))
                .service(
                    resource("/config", "POST")
                        .app_data(
                            web::JsonConfig::default()
                                .limit(CONFIG_BYTES_MAX)
                                .error_handler(|error, _| Refusal::body(&error).into()),
                        )
                        .route(web::post().to(config::apply)),
                )
                .service(get("/config/versions", web::get().to(config::versions)))
                .service(resource("/config/rollback", "POST").route(web::post().to(config::roll_back)))
                .service(get("/gateways", web::get().to(gateways::list)))
                .service(resource("/gateways/{name}", "POST").route(web::post().to(gateways::order)))
                .service(
                    resource("/features/{user}", "GET, POST")
                        .route(web::get().to(features::one))
                        .route(web::post().to(features::change)),
                )
                .service(get("/parked", web::get().to(features::parked)))
                .service(get("/traces", web::get().to(features::traces)))
                .service(get("/groups", web::get().to(groups::list)))
                .service(
                    resource("/groups/{name}", "GET, POST")
                        .route(web::get().to(groups::one))
                        .route(web::post().to(groups::order)),
                )
                .service(get("/plan", web::get().to(plan::list)))
                .service(get("/limits", web::get().to(limits::list)))
                .service(resource("/limits/{account}", "POST").route(web::post().to(limits::order)))
                .service(get("/mailboxes", web::get().to(mailboxes::list)))
                .service(
                    resource("/mailboxes/{user}", "GET, POST")
                        .route(web::get().to(mailboxes::one))
                        .route(web::post().to(mailboxes::order)),
                )
                .service(
                    resource("/mailboxes/{user}/messages", "POST")
                        .app_data(web::PayloadConfig::new(mailboxes::SOUND_BYTES_MAX))
                        .app_data(web::QueryConfig::default().error_handler(|error, _| Refusal::query(&error).into()))
                        .route(web::post().to(mailboxes::import)),
                )
                .service(
                    resource("/mailboxes/{user}/messages/{number}", "PATCH, DELETE")
                        .route(web::patch().to(mailboxes::change))
                        .route(web::delete().to(mailboxes::delete)),
                )
                .service(get("/mailboxes/{user}/messages/{number}/audio", web::get().to(mailboxes::sound)))
                .service(get("/mailboxes/{user}/messages/{number}/transcript", web::get().to(mailboxes::transcript)))
                .service(
                    resource("/mailboxes/{user}/greetings/{which}", "GET, PUT, DELETE")
                        .app_data(web::PayloadConfig::new(mailboxes::SOUND_BYTES_MAX))
                        .route(web::get().to(mailboxes::greeting))
                        .route(web::put().to(mailboxes::set_greeting))
                        .route(web::delete().to(mailboxes::remove_greeting)),
                )
                .service(
                    resource("/mailboxes/{user}/callers", "GET, PUT")
                        .route(web::get().to(mailboxes::callers))
                        .route(web::put().to(mailboxes::set_callers)),
                )
                .service(
                    resource("/mailboxes/{user}/play", "GET, POST, DELETE")
                        .route(web::get().to(plays::state))
                        .route(web::post().to(plays::play))
                        .route(web::delete().to(plays::end)),
                )
                .service(get("/mail/statistics", web::get().to(mail_records::statistics)))
                .service(get("/mail/records", web::get().to(mail_records::records)))
                .service(get("/outbox", web::get().to(mailboxes::outbox)))
                .service(get("/registrations", web::get().to(api::registrations)))
                .service(resource("/kill", "POST").route(web::post().to(api::kill)))
                .service(resource("/faults/disk", "POST").route(web::post().to(api::slow_disk)))
                .service(
                    resource("/drain", "GET, POST")
                        .route(web::get().to(api::drained))
                        .route(web::post().to(api::drain)),
                )
                .default_service(web::to(unknown)),
        )
        .default_service(web::to(unknown));
}

/// Headers of every answer: nothing here is to be framed, sniffed or kept.
fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("X-Frame-Options", "DENY"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Cache-Control", "no-store"))
}

fn get(path: &str, route: Route) -> Resource {
    resource(path, "GET").route(route)
}

/// A resource that says 405 to other methods than `allowed` (RFC 9110 section 15.5.6).
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { Refusal::method(allowed) }))
}

async fn unknown() -> HttpResponse {
    Refusal::unknown_path().response()
}

//! The console: one page without any outside resource. It asks for the token and reads the admin API with it.

use actix_web::HttpResponse;
use actix_web::http::header;
use rand::Rng as _;
use rand::distr::Alphanumeric;

const PAGE: &str = include_str!("console.html");
/// Stands in the page where the nonce goes.
const NONCE: &str = "NONCE";
const NONCE_CHARS: usize = 24;

/// The page. Its nonce lets its own script and style run, and no other (Content Security Policy level 3).
pub async fn page() -> HttpResponse {
    let nonce: String = rand::rng().sample_iter(Alphanumeric).take(NONCE_CHARS).map(char::from).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .content_type("text/html; charset=utf-8")
        .body(PAGE.replace(NONCE, &nonce))
}

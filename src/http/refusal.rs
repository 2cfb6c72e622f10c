//! What is refused is refused in one form: `{"error": …, "remedy": …}`.

use std::fmt;

use actix_web::error::JsonPayloadError;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, body::BoxBody};
use serde_json::json;

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: String,
    remedy: &'static str,
    header: Option<(header::HeaderName, &'static str)>,
}

impl Refusal {
    /// `status` with what was wrong and what would be right.
    pub fn new(status: StatusCode, error: impl Into<String>, remedy: &'static str) -> Self {
        Self { status, error: error.into(), remedy, header: None }
    }

    /// With one more header.
    pub fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// 404 of a path that leads nowhere.
    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path", "docs/http.md lists the paths")
    }

    /// 405 with the methods that would be right.
    pub fn method(allowed: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method", "use a method of the Allow header")
            .with(header::ALLOW, allowed)
    }

    /// A body that cannot be read.
    pub fn body(error: &JsonPayloadError) -> Self {
        let status = match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            JsonPayloadError::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, format!("the body cannot be read: {error}"), "send JSON with Content-Type application/json")
    }

    /// A query that cannot be read.
    pub fn query(error: &actix_web::error::QueryPayloadError) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            format!("the query cannot be read: {error}"),
            "docs/http.md lists what may be asked",
        )
    }

    /// As a response.
    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), *value));
        }
        response.json(json!({ "error": self.error, "remedy": self.remedy }))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl Responder for Refusal {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response()
    }
}

//! The admin API is for whoever has the token (RFC 6750 section 2.1).

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::Data;
use subtle::ConstantTimeEq as _;

use super::{Refusal, Web};

/// Lets a request with the token through, and answers 401 to all others.
pub async fn required(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let is_right = match (given, request.app_data::<Data<Web>>()) {
        // Equal work for every wrong token of the right length, so that time tells nothing.
        (Some(given), Some(web)) => bool::from(given.ct_eq(web.token.expose().as_bytes())),
        _ => false,
    };
    if is_right {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let (error, challenge) = match given {
        None => ("the admin API needs a token", "Bearer realm=\"strowger\""),
        Some(_) => ("this is not the token of this switch", "Bearer realm=\"strowger\", error=\"invalid_token\""),
    };
    let remedy = "send `Authorization: Bearer TOKEN`; the token is in admin.token of the data folder";
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, error, remedy).with(header::WWW_AUTHENTICATE, challenge);
    Ok(request.into_response(refusal.response()).map_into_right_body())
}

/// The token of an Authorization header; the scheme is compared without case (RFC 9110 section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

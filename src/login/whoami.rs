//! `GET /session`: who is signed in, for scripts. Never prints a token.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::ask::rfc3339;
use super::call::Call;
use super::errors;
use super::errors::Problem;
use crate::clock::Timestamp;

#[derive(Serialize)]
struct WhoAmI<'a> {
    email: &'a str,
    name: &'a str,
    groups: &'a [String],
    signed_in_at: String,
    ends_at: String,
}

/// `GET /session`.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    let frame = call.frame();
    let Some(session) = call.session() else {
        // JSON for whoever asks: this is no page.
        let status = StatusCode::UNAUTHORIZED;
        return Ok(errors::document(&frame, status, "not-signed-in", "Nobody is signed in."));
    };
    let own = WhoAmI {
        email: session.identity.email.as_str(),
        name: &session.identity.name,
        groups: &session.identity.groups,
        signed_in_at: rfc3339(Timestamp::from_seconds(session.claims.iat)),
        ends_at: rfc3339(session.claims.ends_at()),
    };
    frame.json(StatusCode::OK, &own)
}

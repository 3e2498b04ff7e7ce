//! `GET /login/status`: lets the waiting page go on by itself. Never says whether an address is known: a browser that
//! waits for a stranger is told to wait until the time is over.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::ask;
use super::call::Call;
use super::errors::Problem;

#[derive(Serialize)]
struct Status<'a> {
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// `GET /login/status`.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    let query = call.query()?;
    let nonce = call.nonce();
    let waiting = nonce.as_ref().and_then(|nonce| nonce.waiting.as_ref());
    let answer = |state, next| call.frame().json(StatusCode::OK, &Status { state, next });
    if let Some(session) = call.session() {
        let awaited = waiting.is_none_or(|waiting| {
            waiting.shown == session.claims.sub || waiting.asked_at.seconds() < session.claims.iat
        });
        if awaited {
            let next = call.return_to(query.get("return_to"));
            return answer("signed-in", Some(&next));
        }
    }
    let (Some(nonce), Some(waiting)) = (&nonce, waiting) else { return answer("expired", None) };
    if ask::over(&call, waiting) {
        return answer("expired", None);
    }
    let asked = call.login.parts.store.asked(call.site(), nonce.awaited().hash()).await?;
    let used = asked.is_some_and(|record| record.used_at.is_some() && record.created_at >= waiting.asked_at);
    answer(if used { "used-elsewhere" } else { "waiting" }, None)
}

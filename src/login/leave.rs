//! Signing out: in the store and in memory at once, on every host of the site. Never by a `GET`.

use axum::response::Response;
use http::StatusCode;
use http::header;
use serde::Serialize;

use super::Current;
use super::call::Call;
use super::call::Sent;
use super::errors::Problem;
use super::frame::set_cookie;
use super::visitor::from_own_page;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::StoreError;
use crate::store::Which;

#[derive(Serialize)]
struct LogoutPage<'a> {
    current: &'a str,
    return_to: &'a str,
}

#[derive(Serialize)]
struct SignedOutPage {
    everywhere: bool,
}

/// `GET /logout`: the button.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    let query = call.query()?;
    let frame = call.frame();
    match call.session() {
        None => {
            let everywhere = query.has("everywhere");
            frame.page(StatusCode::OK, "signed-out.html", SignedOutPage { everywhere })
        }
        Some(session) => {
            let return_to = call.return_to(query.get("return_to"));
            let own = LogoutPage { current: &session.claims.sub, return_to: &return_to };
            frame.page(StatusCode::OK, "logout.html", own)
        }
    }
}

/// `POST /logout`.
pub(super) async fn post(call: Call, sent: Sent) -> Result<Response, Problem> {
    by_own_page_or_bearer(&call)?;
    let everywhere = sent.fields.get("everywhere").is_some_and(|value| value == "1");
    let ended = match call.session() {
        None => Ok(()),
        Some(session) if everywhere => end_all(&call, session).await,
        Some(session) => end_this(&call, session).await,
    };
    let frame = call.frame();
    let mut response = match ended {
        // The browser is signed out all the same.
        Err(error) => Problem::from(error).respond(&frame),
        Ok(()) if !frame.html => frame.bare(StatusCode::NO_CONTENT, axum::body::Body::empty()),
        Ok(()) => {
            let path = if everywhere { "/logout?everywhere=1" } else { "/logout" };
            frame.see_other(&call.own(path))?
        }
    };
    forget(&call, &mut response)?;
    Ok(response)
}

/// `POST /sessions/end`: one of one's own sessions, from the start page.
pub(super) async fn end_one(call: Call, sent: Sent) -> Result<Response, Problem> {
    by_own_page_or_bearer(&call)?;
    let session = call.session().ok_or(Problem::NotSignedIn)?;
    let id = sent.fields.get("id").and_then(SessionId::parse).ok_or(Problem::NotFound)?;
    let store = &call.login.parts.store;
    let found = store.session(id).await?;
    let own = found
        .filter(|found| found.site == call.site() && found.email.as_str() == session.claims.sub)
        .ok_or(Problem::NotFound)?;
    store.revoke_sessions(Which::Ids(vec![id.to_string()])).await?;
    call.login.parts.standing.revoke(id, own.ends_at);
    call.audit("session.ended", &session.claims.sub, &format!("{id} by its owner"));
    let here = id.to_string() == session.claims.sid;
    let frame = call.frame();
    if !frame.html {
        return Ok(frame.bare(StatusCode::NO_CONTENT, axum::body::Body::empty()));
    }
    let mut response = frame.see_other(&call.own(if here { "/logout" } else { "/" }))?;
    if here {
        forget(&call, &mut response)?;
    }
    Ok(response)
}

/// This instance stops believing it, even when the store is away.
fn end_here(call: &Call, session: &Current) -> Option<SessionId> {
    let id = SessionId::parse(&session.claims.sid)?;
    call.login.parts.standing.revoke(id, Timestamp::from_seconds(session.claims.end));
    Some(id)
}

async fn end_this(call: &Call, session: &Current) -> Result<(), StoreError> {
    let Some(id) = end_here(call, session) else { return Ok(()) };
    call.login.parts.store.revoke_sessions(Which::Ids(vec![id.to_string()])).await?;
    call.audit("session.ended", &session.claims.sub, "signed out");
    Ok(())
}

async fn end_all(call: &Call, session: &Current) -> Result<(), StoreError> {
    let parts = &call.login.parts;
    let Ok(email) = EmailAddress::parse(&session.claims.sub) else { return Ok(()) };
    end_here(call, session);
    let raised = parts.store.raise_generation(call.site(), &email).await;
    match &raised {
        Ok(generation) => parts.standing.set_generation(call.site(), &email, *generation),
        // Here all the same; the store is told when it answers again. Not before it was asked: it would be told meanwhile,
        // and raise by two, which would put out whoever has come in since.
        Err(_) => parts.standing.raise_generation(call.site(), &email),
    }
    end_this(call, session).await?;
    raised?;
    // The list of devices, and tickets and links under way, follow the generation.
    let ends = Timestamp::from_seconds(call.now.seconds()) + call.visitor.site.session.lifetime;
    for id in parts.store.revoke_sessions(Which::Email(Some(call.site().to_owned()), email)).await? {
        parts.standing.revoke(id, ends);
    }
    call.audit("session.ended", &session.claims.sub, "signed out everywhere");
    Ok(())
}

/// A page of ours, or a program that shows its token and sends no cookie: then nobody else can have sent it. JSON is no
/// proof here, because cookies count.
fn by_own_page_or_bearer(call: &Call) -> Result<(), Problem> {
    // A browser sends `Basic` by itself, to us and from anywhere: only a token that signs somebody in is one.
    let bearer = call.session().is_some()
        && call.headers.contains_key(header::AUTHORIZATION)
        && !call.headers.contains_key(header::COOKIE);
    if bearer || from_own_page(&call.headers, &call.visitor.origin) {
        Ok(())
    } else if call.session().is_none() && call.headers.contains_key(header::AUTHORIZATION) {
        Err(Problem::NotSignedIn)
    } else {
        Err(Problem::CrossSite)
    }
}

fn forget(call: &Call, response: &mut Response) -> Result<(), Problem> {
    let names = &call.visitor.cookies;
    set_cookie(response, &names.clear(&names.session))?;
    set_cookie(response, &names.clear(&names.nonce))
}

//! The start page: apps I may open, where I am signed in. Never shows an app that the judge would refuse.

use axum::response::Response;
use http::Method;
use http::StatusCode;
use serde::Serialize;

use super::Current;
use super::call::Call;
use super::errors::Problem;
use crate::policy::Asker;
use crate::policy::Target;
use crate::policy::judge_app;
use crate::store::SessionFilter;
use crate::store::SessionRecord;

#[derive(Serialize)]
struct StartPage<'a> {
    person: Person<'a>,
    apps: Vec<Tile>,
    sessions: Vec<Entry>,
    tokens: [(); 0],
}

#[derive(Serialize)]
struct Person<'a> {
    email: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Tile {
    title: String,
    url: String,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    device: String,
    signed_in_at: i64,
    seen_at: i64,
    current: bool,
}

/// `GET /`.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    let Some(session) = call.session() else {
        let target = Target::parse(call.visitor.origin.secure(), call.visitor.origin.host(), &call.own("/"))
            .map_err(|error| Problem::Internal(error.to_string()))?;
        return Ok(call.login.start_sign_in(&call.visitor, &target, &Method::GET, &call.headers));
    };
    let filter = SessionFilter {
        site: Some(call.site().to_owned()),
        email: Some(session.identity.email.clone()),
        live: true,
    };
    // Who is signed in goes on: a store that is away costs the list only.
    let found = call.login.parts.store.list_sessions(filter).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the list of sessions could not be read");
        Vec::new()
    });
    let own = StartPage {
        person: Person { email: session.identity.email.as_str(), name: &session.identity.name },
        apps: apps(&call, session),
        sessions: found.iter().map(|record| device(record, session)).collect(),
        tokens: [],
    };
    call.frame().page(StatusCode::OK, "start.html", own)
}

fn apps(call: &Call, session: &Current) -> Vec<Tile> {
    let site = &call.visitor.site.site;
    let opens = |app: &std::sync::Arc<crate::policy::App>| {
        let Ok(target) = Target::parse(app.origin.secure(), app.origin.host(), "/") else { return false };
        let asker = Asker { identity: &session.identity, by_bearer: false };
        judge_app(site, app, &target, &Method::GET, Some(call.visitor.client), Some(asker)).is_ok()
    };
    let tile = |app: &std::sync::Arc<crate::policy::App>| Tile {
        title: app.name.clone(),
        url: format!("{}/", app.origin.as_str()),
    };
    site.apps.iter().filter(|app| opens(app)).map(tile).collect()
}

fn device(record: &SessionRecord, session: &Current) -> Entry {
    let id = record.id.to_string();
    Entry {
        current: id == session.claims.sid,
        id,
        device: record.device.clone(),
        signed_in_at: record.created_at.seconds(),
        seen_at: record.seen_at.seconds(),
    }
}

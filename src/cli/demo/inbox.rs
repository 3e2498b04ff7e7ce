//! The demo's inbox: letters in memory, readable by the person at this machine only. Answers a loopback peer that
//! asks for `localhost` without forwarding headers, and nobody else: not a neighbour, not a re-bound name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Extension;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Html;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::gate::Connection;
use crate::gate::Peer;
use crate::login::Login;
use crate::login::Visitor;
use crate::mail::Memory;

/// One letter, as programs and the page see it.
#[derive(Serialize)]
struct Shown {
    to: String,
    subject: String,
    text: String,
    html: String,
    link: String,
    code: String,
}

/// `/demo/inbox` and `/demo/inbox.json`.
pub fn router(memory: Memory, login: Arc<Login>) -> Router {
    let for_programs = memory.clone();
    Router::new()
        .route(
            "/demo/inbox",
            get(
                move |Extension(connection): Extension<Connection>,
                      Extension(visitor): Extension<Visitor>,
                      headers: HeaderMap| {
                    let answer = if is_here(connection, &headers) {
                        login.page(
                            &visitor,
                            &headers,
                            "inbox.html",
                            serde_json::json!({ "letters": letters(&memory) }),
                        )
                    } else {
                        refused()
                    };
                    async move { answer }
                },
            ),
        )
        .route(
            "/demo/inbox.json",
            get(move |Extension(connection): Extension<Connection>, headers: HeaderMap| {
                let answer = if is_here(connection, &headers) {
                    ([(header::CACHE_CONTROL, "no-store")], Json(letters(&for_programs))).into_response()
                } else {
                    refused()
                };
                async move { answer }
            }),
        )
}

fn letters(memory: &Memory) -> Vec<Shown> {
    let shown = |letter: crate::mail::Letter| Shown {
        to: letter.to.to_string(),
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
        link: letter.link.unwrap_or_default(),
        code: letter.code.unwrap_or_default(),
    };
    memory.letters().into_iter().map(shown).collect()
}

fn is_here(connection: Connection, headers: &HeaderMap) -> bool {
    let loopback = match connection.peer {
        Peer::Ip(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix => false,
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let named = host == "localhost"
        || host.strip_prefix("localhost:").is_some_and(|port| port.parse::<u16>().is_ok());
    let forwarded = headers.keys().any(|name| {
        let name = name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        name.starts_with("x-forwarded") || name == "forwarded" || name == "x-real-ip" || name == "via"
    });
    loopback && named && !forwarded
}

fn refused() -> Response {
    let why = "The demo's inbox answers this machine only: open it on http://localhost.\n";
    (StatusCode::FORBIDDEN, [(header::CACHE_CONTROL, "no-store")], Html(why)).into_response()
}

/// Whether `demo --listen` is reachable from elsewhere: then the demo says so.
#[must_use]
pub const fn is_public(ip: IpAddr) -> bool {
    !ip.is_loopback()
}

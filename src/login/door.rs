//! `GET /login`: the form, the waiting page, or onward. Never spends anything.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::Remember;
use super::ask;
use super::call::Call;
use super::errors::Problem;
use super::frame::set_cookie;
use super::handover;
use super::letter;
use super::nonce::Nonce;
use super::nonce::Waiting;

/// The form.
#[derive(Serialize)]
pub(super) struct Form<'a> {
    pub return_to: &'a str,
    pub email: &'a str,
    pub error: &'a str,
    pub note: &'a str,
}

#[derive(Serialize)]
struct FormPage<'a> {
    #[serde(flatten)]
    form: &'a Form<'a>,
    invited: bool,
    /// The person says whether the browser keeps the session.
    remember_choice: bool,
}

#[derive(Serialize)]
struct WaitingPage<'a> {
    email: &'a str,
    sender: &'a str,
    subject: &'a str,
    code: bool,
    lifetime: Option<u64>,
    return_to: &'a str,
    error: &'a str,
    sent_again: bool,
}

/// `GET /login`.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    let query = call.query()?;
    if !call.visitor.on_sign_in_host() {
        return handover::to_sign_in(&call, query.get("return_to"));
    }
    let return_to = call.return_to(query.get("return_to"));
    let nonce = call.nonce();
    let waiting = nonce.as_ref().and_then(|nonce| nonce.waiting.as_ref());
    let live = waiting.filter(|waiting| !ask::over(&call, waiting));
    let other = query.has("other");
    if let Some(session) = call.session().filter(|_| !other) {
        let elsewhere =
            live.filter(|w| w.shown != session.claims.sub && w.asked_at.seconds() >= session.claims.iat);
        if elsewhere.is_none() {
            return handover::onward(&call, session, &return_to, query.get("host_nonce")).await;
        }
    }
    if let Some(waiting) = live.filter(|_| !other) {
        return wait_here(&call, waiting, &return_to, "", StatusCode::OK);
    }
    let note = query.get("note").and_then(|note| {
        ["signed-out", "session-ended", "lost-post"].into_iter().find(|known| *known == note)
    });
    let email = waiting.filter(|_| !other).map_or("", |waiting| waiting.shown.as_str());
    let email = if email.contains('…') { "" } else { email };
    let form = Form { return_to: &return_to, email, error: "", note: note.unwrap_or_default() };
    let mut response = form.draw(&call, StatusCode::OK)?;
    if nonce.is_none() {
        // Set before the form is sent, so that all tabs share it.
        let nonce = Nonce::new(&call.login.parts.random);
        set_cookie(&mut response, &call.nonce_cookie(&nonce))?;
    }
    Ok(response)
}

impl Form<'_> {
    /// The page.
    pub(super) fn draw(&self, call: &Call, status: StatusCode) -> Result<Response, Problem> {
        let own = FormPage {
            form: self,
            invited: !ask::sends_letters(call),
            remember_choice: call.visitor.site.session.remember == Remember::Ask,
        };
        call.frame().page(status, "login.html", own)
    }
}

/// The waiting page.
pub(super) fn wait_here(
    call: &Call,
    waiting: &Waiting,
    return_to: &str,
    error: &str,
    status: StatusCode,
) -> Result<Response, Problem> {
    let site = &call.visitor.site;
    let frame = call.frame();
    let own = WaitingPage {
        email: &waiting.shown,
        sender: &site.sender,
        subject: &letter::subject(site, frame.lang),
        code: site.link.code && error != "codes-off",
        lifetime: site.link.lifetime.map(|lifetime| lifetime.as_secs()),
        return_to,
        error,
        sent_again: waiting.letters > 1,
    };
    frame.page(status, "waiting.html", own)
}

/// The address of the sign-in page that leads on to `return_to`.
pub(super) fn address(call: &Call, return_to: &str) -> String {
    if return_to == call.visitor.site.site.start {
        return call.own("/login");
    }
    format!("{}?return_to={}", call.own("/login"), encoded(return_to))
}

/// For a query's value.
pub(super) fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

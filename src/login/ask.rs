//! `POST /login`: somebody asks for a link. Never tells whether an address is known: the same work in the same order,
//! the same answer.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::call::Sent;
use super::door;
use super::errors::Problem;
use super::frame::set_cookie;
use super::limits;
use super::link;
use super::nonce::Nonce;
use super::nonce::Waiting;
use super::steady::steadily;
use super::token;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::policy::SignIn;
use crate::store::MadeBy;

#[derive(Serialize)]
struct Accepted {
    message: String,
    /// Seconds; `null`: the link does not end.
    expires_in: Option<u64>,
    expires_at: Option<String>,
    /// The nonce of a client without cookies: to be brought back to `/verify`.
    request: String,
}

/// `POST /login`.
pub(super) async fn post(call: Call, sent: Sent) -> Result<Response, Problem> {
    call.must_be_own(&sent)?;
    if sent.json {
        return program(&call, &sent).await;
    }
    if !call.visitor.on_sign_in_host() {
        return call.frame().see_other(&call.at_sign_in_host("/login"));
    }
    let nonce = call.nonce().unwrap_or_else(|| Nonce::new(&call.login.parts.random));
    if let Some(token) = sent.fields.get("again") {
        return again(&call, token, nonce).await;
    }
    let return_to = call.return_to(sent.fields.get("return_to"));
    let typed = sent.fields.get("email").unwrap_or_default();
    let Ok(email) = EmailAddress::parse(typed) else {
        let shown: String = typed.chars().take(254).collect();
        let page = door::Form { return_to: &return_to, email: &shown, error: "bad-address", note: "" };
        return page.draw(&call, StatusCode::UNPROCESSABLE_ENTITY);
    };
    if !limits::client_may(&call, "ask", call.visitor.site.limits.ask_per_client).await? {
        let page = door::Form { return_to: &return_to, email: email.as_str(), error: "try-later", note: "" };
        return page.draw(&call, StatusCode::TOO_MANY_REQUESTS);
    }
    steadily(send(&call, &email, &return_to, &nonce)).await?;
    wait(&call, nonce, email.as_str(), &return_to, sent.fields.get("remember").is_some())
}

/// `POST /login` with JSON. Cookies do not count.
async fn program(call: &Call, sent: &Sent) -> Result<Response, Problem> {
    let email = EmailAddress::parse(sent.fields.get("email").unwrap_or_default())
        .map_err(|_| Problem::BadAddress("Send one address as \"email\", such as name@example.com."))?;
    if !limits::client_may(call, "ask", call.visitor.site.limits.ask_per_client).await? {
        return Err(Problem::TooMany);
    }
    let return_to = call.return_to(sent.fields.get("return_to"));
    let mut nonce = Nonce::new(&call.login.parts.random);
    steadily(send(call, &email, &return_to, &nonce)).await?;
    nonce.waiting = Some(waiting(call, &nonce, email.as_str(), false));
    let site = &call.visitor.site;
    let frame = call.frame();
    let accepted = Accepted {
        message: format!("{} {email}", site.pages.text(frame.lang, "waiting-text", &[])),
        expires_in: site.link.lifetime.map(|lifetime| lifetime.as_secs()),
        expires_at: site.link.lifetime.map(|lifetime| rfc3339(call.now + lifetime)),
        request: call.nonce_text(&nonce),
    };
    frame.json(StatusCode::ACCEPTED, &accepted)
}

/// `POST /login` with a used or expired token: a fresh letter to its address, once a link. Who presses the button
/// learns nothing of the address, unless this browser asked for it.
async fn again(call: &Call, text: &str, nonce: Nonce) -> Result<Response, Problem> {
    let site = &call.visitor.site;
    let kind = |kind| Problem::Link { kind, again: None, current: String::new() };
    let read = token::read(&call.keys, &site.site, text, call.now).map_err(|fault| match fault {
        token::Fault::Foreign => kind("foreign"),
        token::Fault::Invalid => kind("invalid"),
    })?;
    if !limits::client_may(call, "ask", site.limits.ask_per_client).await? {
        return Err(Problem::TooMany);
    }
    if !sends_letters(call) {
        return call.frame().see_other(&call.own("/login"));
    }
    let Some(record) = call.login.parts.store.again_once(read.hash).await? else {
        return call.frame().see_other(&call.own("/login"));
    };
    if record.site != site.site.name {
        return Err(kind("unknown"));
    }
    let own = record.nonce_hash == Some(nonce.hash());
    let known_here = own || nonce.knows(&call.keys, call.site(), &record.email, call.now);
    let known_place = own || record.made_by == MadeBy::Administrator;
    let place = call.return_to(Some(record.return_to.as_str()).filter(|_| known_place));
    if known_here {
        steadily(send(call, &record.email, &place, &nonce)).await?;
    } else {
        steadily(send(call, &record.email, &place, &nonce.apart())).await?;
    }
    let shown = if known_here { record.email.to_string() } else { record.email.masked() };
    wait(call, nonce, &shown, &place, false)
}

/// Whether people are sent letters here when they ask.
pub(super) fn sends_letters(call: &Call) -> bool {
    call.visitor.site.mail && call.visitor.site.site.sign_in == SignIn::SelfService
}

/// Does all the work for anybody; at the end either the letter is kept, or as much is done as if it were, and a line of
/// the audit is written. `Ok`: what was to be kept is on the disk, and with its replicas where it has some.
async fn send(call: &Call, email: &EmailAddress, return_to: &str, nonce: &Nonce) -> Result<(), Problem> {
    let parts = &call.login.parts;
    let site = &call.visitor.site;
    let known = call.admitted(email).is_some() & sends_letters(call);
    let may = limits::letter_may(call, email, nonce, known).await?;
    let live = parts.store.live_code(call.site(), nonce.hash(), email).await?;
    let seed = live.unwrap_or_else(|| parts.random.bytes());
    let wish = link::Wish {
        email,
        asked_by: Some((nonce, seed)),
        return_to,
        lifetime: site.link.lifetime,
        uses: Some(1),
        note: "",
    };
    let lang = call.frame().lang;
    let made = link::put_together(parts, &call.keys, site, lang, call.now, &wish)
        .map_err(|failure| Problem::Internal(failure.to_string()))?;
    let asked = parts.store.audit(call.event("link.asked", email.as_str(), &made.link.id));
    let kept = async {
        if may {
            parts.store.put_link(made.link, Some(made.letter)).await
        } else {
            let why = if known { "limit" } else { "not allowed to sign in" };
            let refused = parts.store.audit(call.event("link.refused", email.as_str(), why));
            let pretended = parts.store.pretend_link(made.link, Some(made.letter));
            let (refused, pretended) = tokio::join!(refused, pretended);
            pretended.and(refused)
        }
    };
    let (asked, kept) = tokio::join!(asked, kept);
    asked?;
    kept?;
    Ok(())
}

/// To the waiting page.
fn wait(
    call: &Call,
    mut nonce: Nonce,
    shown: &str,
    return_to: &str,
    remember: bool,
) -> Result<Response, Problem> {
    nonce.waiting = Some(waiting(call, &nonce, shown, remember));
    let mut response = call.frame().see_other(&door::address(call, return_to))?;
    set_cookie(&mut response, &call.nonce_cookie(&nonce))?;
    Ok(response)
}

fn waiting(call: &Call, nonce: &Nonce, shown: &str, remember: bool) -> Waiting {
    let earlier = nonce.waiting.as_ref().filter(|earlier| earlier.shown == shown && !over(call, earlier));
    Waiting {
        shown: shown.to_owned(),
        asked_at: call.now,
        letters: earlier.map_or(1, |earlier| earlier.letters.saturating_add(1)),
        remember: remember || earlier.is_some_and(|earlier| earlier.remember),
    }
}

/// Whether what a browser waits for has run out. Links without end are waited for a day.
pub(super) fn over(call: &Call, waiting: &Waiting) -> bool {
    let lifetime = call.visitor.site.link.lifetime.unwrap_or(Duration::from_hours(24));
    call.now >= waiting.asked_at + lifetime
}

/// RFC 3339, in UTC.
pub(super) fn rfc3339(at: Timestamp) -> String {
    time::OffsetDateTime::from_unix_timestamp(at.seconds())
        .ok()
        .and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

//! One sign-in, many hosts: a ticket carries a session from the host where people sign in to another host of the site.
//! Never makes one but on a navigation, never for a host that did not set its own nonce in this browser first.

use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use serde::Serialize;

use super::Current;
use super::Login;
use super::Navigation;
use super::Visitor;
use super::call::Call;
use super::code::hash;
use super::door;
use super::door::Form;
use super::errors;
use super::errors::Problem;
use super::frame::set_cookie;
use super::nonce::KEPT;
use super::nonce::Nonce;
use super::nonce_of;
use super::session;
use super::visitor::wants_html;
use crate::identity::SessionId;
use crate::identity::cookie;
use crate::policy::Origin;
use crate::policy::Target;
use crate::store::NewTicket;
use crate::store::Quota;

/// How long a ticket is good for.
const TICKET: Duration = Duration::from_secs(30);
/// More tickets than this in a minute for one session are a browser that goes round in circles.
const TICKETS: Quota = Quota { count: 20, per: Duration::from_mins(1) };

#[derive(Serialize)]
struct LostPost<'a> {
    login: &'a str,
}

impl Login {
    /// What a visitor gets whom a rule wants signed in: a page is sent to the sign-in page (with this host's own nonce,
    /// for the way back), a form that would be lost says so, a program gets 401.
    #[must_use]
    pub fn start_sign_in(
        &self,
        visitor: &Visitor,
        target: &Target,
        method: &Method,
        headers: &HeaderMap,
    ) -> Response {
        let frame = self.frame(visitor, headers);
        if !wants_html(headers) {
            return Problem::NotSignedIn.respond(&frame);
        }
        let place = format!("{}{}", visitor.origin.as_str(), target.raw);
        let names = &visitor.cookies;
        let had_one = cookie::values(headers, &names.session).any(|value| !value.is_empty());
        let drawn = if *method == Method::GET || *method == Method::HEAD {
            let note = if had_one { "session-ended" } else { "" };
            self.redirect(visitor, headers, &place, note)
        } else {
            let login = format!("{}{}/login", visitor.site.site.url.as_str(), self.parts.prefix);
            let login = format!("{login}?return_to={}", door::encoded(&place));
            frame.page(StatusCode::UNAUTHORIZED, "lost-post.html", LostPost { login: &login }).map(
                |mut page| {
                    page.headers_mut().insert(http::header::WWW_AUTHENTICATE, errors::challenge());
                    page
                },
            )
        };
        drawn.unwrap_or_else(|problem| problem.respond(&frame))
    }

    /// 303 to the sign-in page of the site.
    fn redirect(
        &self,
        visitor: &Visitor,
        headers: &HeaderMap,
        place: &str,
        note: &str,
    ) -> Result<Response, Problem> {
        let site = &visitor.site.site;
        let mut to =
            format!("{}{}/login?return_to={}", site.url.as_str(), self.parts.prefix, door::encoded(place));
        if !note.is_empty() {
            to = format!("{to}&note={note}");
        }
        let frame = self.frame(visitor, headers);
        if visitor.on_sign_in_host() {
            return frame.see_other(&to);
        }
        let keys = self.parts.keys.current();
        let now = self.parts.clock.now();
        let nonce = nonce_of(visitor, headers, &keys, now).unwrap_or_else(|| Nonce::new(&self.parts.random));
        let mark = URL_SAFE_NO_PAD.encode(nonce.hash());
        let mut response = frame.see_other(&format!("{to}&host_nonce={mark}"))?;
        let names = &visitor.cookies;
        let text = nonce.write(&keys, &site.name, visitor.origin.as_str());
        let age = i64::try_from(KEPT.as_secs()).ok();
        set_cookie(&mut response, &names.set(&names.nonce, &text, age))?;
        Ok(response)
    }
}

/// `/login` on another host of the site.
pub(super) fn to_sign_in(call: &Call, wish: Option<&str>) -> Result<Response, Problem> {
    let site = &call.visitor.site.site;
    let here = format!("{}/", call.visitor.origin.as_str());
    let place =
        super::return_to::place(site, &call.visitor.origin, &call.login.parts.prefix, wish.unwrap_or("/"));
    call.login.redirect(&call.visitor, &call.headers, &place.unwrap_or(here), "")
}

/// Somebody signed in at the sign-in page: onward, with a ticket where the place is on another host that asked for one.
pub(super) async fn onward(
    call: &Call,
    session: &Current,
    place: &str,
    mark: Option<&str>,
) -> Result<Response, Problem> {
    let target = Origin::parse(place).filter(|origin| *origin != call.visitor.origin);
    let mark = mark.and_then(|mark| URL_SAFE_NO_PAD.decode(mark).ok()).and_then(|mark| mark.try_into().ok());
    let (Some(target), Some(nonce_hash)) = (target, mark) else {
        return call.frame().see_other(place);
    };
    let Some(id) = navigates(call).then(|| SessionId::parse(&session.claims.sid)).flatten() else {
        // Neither a ticket nor a redirect that would come straight back.
        let form = Form { return_to: place, email: "", error: "", note: "" };
        return form.draw(call, StatusCode::OK);
    };
    let parts = &call.login.parts;
    if !parts.store.spend(&format!("ticket {id}"), TICKETS).await? {
        return Err(Problem::Loop);
    }
    // The generation goes along inside the ticket's hash: signing out everywhere voids tickets under way.
    let ticket =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(parts.random.bytes::<32>()), session.claims.generation);
    let kept = NewTicket {
        ticket_hash: hash(ticket.as_bytes()),
        session: id,
        origin: target.as_str().to_owned(),
        nonce_hash,
        return_to: place.to_owned(),
        expires_at: call.now + TICKET,
    };
    parts.store.put_ticket(kept).await?;
    call.frame().see_other(&format!("{}{}/enter?ticket={ticket}", target.as_str(), parts.prefix))
}

/// `GET /enter`: takes the ticket, sets this host's own cookie.
pub(super) async fn enter(call: Call) -> Result<Response, Problem> {
    let query = call.query()?;
    let ticket = query.get("ticket").unwrap_or_default();
    let start = || call.frame().see_other(&format!("{}/", call.visitor.origin.as_str()));
    if !navigates(&call) {
        return Ok(call.frame().bare(StatusCode::OK, axum::body::Body::empty()));
    }
    let Some(nonce) = call.nonce() else {
        return if call.session().is_some() { start() } else { Err(Problem::Loop) };
    };
    let parts = &call.login.parts;
    let origin = call.visitor.origin.as_str();
    let taken = if ticket.len() > 128 {
        None
    } else {
        parts.store.take_ticket(hash(ticket.as_bytes()), nonce.hash(), origin).await?
    };
    let Some(taken) = taken else {
        // Used, late, or another browser's: the app's page asks anew if it must.
        return start();
    };
    let generation = ticket.rsplit_once('.').and_then(|(_, generation)| generation.parse::<u64>().ok());
    let found = parts.store.session(taken.session).await?;
    let live = found.filter(|found| {
        found.site == call.site()
            && found.revoked_at.is_none()
            && call.now < found.ends_at
            && call.now < found.idle_until
            && !parts.standing.is_revoked(&found.id)
            && generation == Some(parts.standing.person_generation(call.site(), &found.email))
    });
    let (Some(found), Some(generation)) = (live, generation) else { return start() };
    if call.admitted(&found.email).is_none() {
        return start();
    }
    let carried = session::Term {
        id: found.id,
        email: &found.email,
        generation,
        began: found.created_at,
        ends_at: found.ends_at,
    };
    let claims = session::claims(&call.visitor, &carried, call.now);
    let signed = session::token(&call.keys, &claims)?;
    let mut response = call.frame().see_other(&call.return_to(Some(&taken.return_to)))?;
    set_cookie(&mut response, &session::cookie(&call.visitor, &claims, &signed, call.now))?;
    call.audit("session.carried", found.email.as_str(), origin);
    Ok(response)
}

/// A person goes there. Browsers too old to say count when they want a page.
fn navigates(call: &Call) -> bool {
    match call.navigation() {
        Navigation::Real => true,
        Navigation::Unsaid => wants_html(&call.headers),
        Navigation::No => false,
    }
}

impl Login {
    /// What a person gets who may not pass: who they are, whom to ask.
    #[must_use]
    pub fn denied(&self, visitor: &Visitor, headers: &HeaderMap) -> Response {
        #[derive(Serialize)]
        struct Denied<'a> {
            current: &'a str,
            host: &'a str,
            reference: &'a str,
        }
        let frame = self.frame(visitor, headers);
        let status = StatusCode::FORBIDDEN;
        let json = || errors::document(&frame, status, "not-allowed", "No rule lets this person in here.");
        let Some(session) = visitor.session.as_ref().filter(|_| frame.html) else {
            // A rule that admits nobody: there is no name to show.
            return if frame.html {
                errors::error_page(&frame, status, "not-found", "", "").unwrap_or_else(|_| json())
            } else {
                json()
            };
        };
        let own = Denied {
            current: &session.claims.sub,
            host: visitor.origin.host(),
            reference: &visitor.request_id,
        };
        frame.page(status, "denied.html", own).unwrap_or_else(|_| json())
    }

    /// Any other error of the gate, with the site's face.
    #[must_use]
    pub fn error(
        &self,
        visitor: &Visitor,
        headers: &HeaderMap,
        status: StatusCode,
        kind: &str,
        detail: &str,
    ) -> Response {
        let frame = self.frame(visitor, headers);
        let json = || errors::document(&frame, status, kind, detail);
        if !frame.html {
            return json();
        }
        // What is said for programs would only puzzle a person; the configuration's cure is for administrators.
        let shown = if matches!(kind, "unknown-host" | "insecure") { detail } else { "" };
        errors::error_page(&frame, status, kind, shown, "").unwrap_or_else(|_| json())
    }
}

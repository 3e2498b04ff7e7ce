//! The one place where a link or a code becomes a session. Never spends a link of somebody whom no rule lets in now;
//! ends the session that this browser had.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::Remember;
use super::call::Call;
use super::device;
use super::errors::Problem;
use super::frame::set_cookie;
use super::nonce::Nonce;
use super::session;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::SessionId;
use crate::store::CodeRedeemed;
use crate::store::Generations;
use crate::store::LinkRecord;
use crate::store::Redeemed;
use crate::store::Redeemer;
use crate::store::Which;

/// Who comes in, and how.
pub(super) struct Entry {
    /// The browser that asked, or that is to be known from now on; `None`: a program, or a browser we never saw.
    pub nonce: Option<Nonce>,
    /// A program gets a token, a browser a cookie.
    pub program: bool,
    /// Where to go.
    pub to: String,
}

#[derive(Serialize)]
struct Granted {
    token: String,
    token_type: &'static str,
    expires_in: i64,
    email: String,
}

/// The session as the store was told.
struct Begun {
    id: SessionId,
    ends_at: Timestamp,
    generations: Generations,
}

impl Begun {
    fn of(by: &Redeemer) -> Self {
        Self { id: by.session, ends_at: by.ends_at, generations: by.generations.clone() }
    }
}

/// What became of a try that did not let in.
pub(super) enum Missed {
    /// The link is not live (any more): who calls shows why.
    Link(Box<LinkRecord>),
    /// Nothing of that kind is there.
    Unknown,
    /// The code is wrong, off, or none is live. One word for all three: which it is would tell whether the address is
    /// known.
    Code,
}

/// Redeems a link that was peeked at. `Ok(Err(_))`: somebody was faster, or it ended meanwhile.
pub(super) async fn link(
    call: &Call,
    record: &LinkRecord,
    entry: Entry,
) -> Result<Result<Response, Missed>, Problem> {
    if call.admitted(&record.email).is_none() {
        return Err(not_allowed(call, record));
    }
    let by = redeemer(call, &record.email, &entry);
    let begun = Begun::of(&by);
    match call.login.parts.store.redeem(record.token_hash, by).await? {
        Redeemed::Redeemed(record) => welcome(call, &record, begun, entry).await.map(Ok),
        Redeemed::Used(record) | Redeemed::Expired(record) | Redeemed::Revoked(record) => {
            Ok(Err(Missed::Link(Box::new(record))))
        }
        Redeemed::Unknown => Ok(Err(Missed::Unknown)),
    }
}

/// Redeems a code by its tag. `email` is what the browser waits for; the record that is found decides: the code may be of
/// an earlier letter to another address, asked for in this same browser.
pub(super) async fn code(
    call: &Call,
    nonce: &Nonce,
    tag: [u8; 32],
    email: &EmailAddress,
    mut entry: Entry,
    to: impl FnOnce(&LinkRecord) -> String,
) -> Result<Result<Response, Missed>, Problem> {
    let by = redeemer(call, email, &entry);
    let begun = Begun::of(&by);
    match call.login.parts.store.redeem_code(call.site(), nonce.hash(), tag, by).await? {
        CodeRedeemed::Redeemed(record) => {
            entry.to = to(&record);
            welcome(call, &record, begun, entry).await.map(Ok)
        }
        CodeRedeemed::Wrong { .. } => {
            call.audit("code.wrong", email.as_str(), "");
            Ok(Err(Missed::Code))
        }
        CodeRedeemed::Off => {
            call.audit("code.off", email.as_str(), "");
            Ok(Err(Missed::Code))
        }
        CodeRedeemed::None => {
            call.audit("code.wrong", email.as_str(), "no live code");
            Ok(Err(Missed::Code))
        }
    }
}

/// The session of a link that this browser has just redeemed, given to it a second time: the first answer was lost, or
/// a second click was faster. The store says anew that it is so: a redemption that was answered with 503 may not be
/// sure yet, and what the link's record says alone is no reason to let anybody in. `None`: the session is no longer there.
pub(super) async fn resume(call: &Call, record: &LinkRecord, to: &str) -> Result<Option<Response>, Problem> {
    let Some(id) = record.session else { return Ok(None) };
    let parts = &call.login.parts;
    let Some(found) = parts.store.resume(record.token_hash, id).await? else { return Ok(None) };
    let live = found.revoked_at.is_none() && call.now < found.ends_at && call.now < found.idle_until;
    let own = found.site == call.site() && found.email == record.email;
    let ended = found.generation < parts.standing.person_generation(call.site(), &found.email);
    if !live || !own || ended || parts.standing.is_revoked(&id) || call.admitted(&found.email).is_none() {
        return Ok(None);
    }
    let term = session::Term {
        id,
        email: &found.email,
        generation: found.generation,
        began: found.created_at,
        ends_at: found.ends_at,
    };
    let claims = session::claims(&call.visitor, &term, call.now);
    let token = session::token(&call.keys, &claims)?;
    let mut response = call.frame().see_other(to)?;
    set_cookie(&mut response, &session::cookie(&call.visitor, &claims, &token, call.now))?;
    Ok(Some(response))
}

fn redeemer(call: &Call, email: &EmailAddress, entry: &Entry) -> Redeemer {
    let settings = &call.visitor.site.session;
    let waiting = entry.nonce.as_ref().and_then(|nonce| nonce.waiting.as_ref());
    // A program keeps its token as it likes.
    let remember = entry.program || waiting.is_some_and(|waiting| waiting.remember);
    let ends_at = session::end(settings, call.now, remember || settings.remember != Remember::Ask);
    let (standing, site) = (Arc::clone(&call.login.parts.standing), call.site().to_owned());
    let generations = Generations::new(move |email| standing.person_generation(&site, email));
    // Read before the store spends anything: signing out everywhere meanwhile ends what begins now.
    let _ = generations.of(email);
    Redeemer {
        session: SessionId::new(&call.login.parts.random),
        generations,
        ends_at,
        idle_until: (call.now + settings.idle).min(ends_at),
        device: device::name(&call.headers),
        client: call.visitor.client.to_string(),
        ends: if entry.program { None } else { own_session(call) },
    }
}

fn own_session(call: &Call) -> Option<SessionId> {
    call.session().and_then(|session| SessionId::parse(&session.claims.sid))
}

/// The session is in the store: tell the browser.
async fn welcome(call: &Call, record: &LinkRecord, begun: Begun, entry: Entry) -> Result<Response, Problem> {
    let parts = &call.login.parts;
    let Begun { id, ends_at, generations } = begun;
    let generation = generations.of(&record.email);
    if !entry.program
        && let Some(old) = call.session()
        && let Some(old_id) = own_session(call)
    {
        parts.standing.revoke(old_id, Timestamp::from_seconds(old.claims.end));
        call.audit("session.ended", &old.claims.sub, "another sign-in in the same browser");
    }
    if record.site != call.site() || call.admitted(&record.email).is_none() {
        parts.store.revoke_sessions(Which::Ids(vec![id.to_string()])).await?;
        parts.standing.revoke(id, ends_at);
        return Err(not_allowed(call, record));
    }
    let term = session::Term { id, email: &record.email, generation, began: call.now, ends_at };
    let claims = session::claims(&call.visitor, &term, call.now);
    let token = session::token(&call.keys, &claims)?;
    call.audit("link.redeemed", record.email.as_str(), &record.id);
    let frame = call.frame();
    if entry.program {
        let expires_in = claims.ends_at().seconds().saturating_sub(call.now.seconds());
        let email = record.email.to_string();
        return frame.json(StatusCode::OK, &Granted { token, token_type: "Bearer", expires_in, email });
    }
    let mut nonce = entry.nonce.unwrap_or_else(|| Nonce::new(&parts.random));
    nonce.waiting = None;
    nonce.befriend(&call.keys, call.site(), &record.email, call.now);
    let mut response = frame.see_other(&entry.to)?;
    set_cookie(&mut response, &session::cookie(&call.visitor, &claims, &token, call.now))?;
    set_cookie(&mut response, &call.nonce_cookie(&nonce))?;
    Ok(response)
}

fn not_allowed(call: &Call, record: &LinkRecord) -> Problem {
    call.audit_sparingly("link.refused", record.email.as_str(), "not allowed to sign in");
    Problem::Link { kind: "revoked", again: None, current: String::new() }
}

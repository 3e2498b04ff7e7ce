//! `/verify`: links and codes. `GET` lets in only the browser that asked, on a real navigation; `HEAD`, prefetchers,
//! scripts and robots that press every button spend nothing.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use http::StatusCode;
use serde::Serialize;

use super::Navigation;
use super::OtherBrowser;
use super::ask;
use super::call::Call;
use super::call::Fields;
use super::call::Sent;
use super::code::Code;
use super::door;
use super::errors::Problem;
use super::limits;
use super::nonce::Nonce;
use super::redeem;
use super::redeem::Entry;
use super::redeem::Missed;
use super::steady::steadily;
use super::token;
use crate::identity::EmailAddress;
use crate::secret::Secret;
use crate::store::ADDRESS_TRIES;
use crate::store::AddressTry;
use crate::store::CODE_FAILURES_A_DAY;
use crate::store::CODE_TRIES;
use crate::store::LinkRecord;
use crate::store::LinkState;
use crate::store::MadeBy;
use crate::store::Quota;

/// For so long the same browser may open its link again.
const GRACE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A link as found, and whether this browser asked for it.
struct Opened {
    record: LinkRecord,
    token: String,
    bound: bool,
}

#[derive(Serialize)]
struct VerifyPage<'a> {
    masked: &'a str,
    token: &'a str,
    code_hint: bool,
    error: &'a str,
}

#[derive(Serialize)]
struct ConfirmPage<'a> {
    masked: &'a str,
    token: &'a str,
}

#[derive(Serialize)]
struct OtherPersonPage<'a> {
    current: &'a str,
    masked: &'a str,
    token: &'a str,
    stay: &'a str,
    needs_address: bool,
}

/// `GET /verify`, and `HEAD`, which looks at nothing.
pub(super) async fn get(call: Call) -> Result<Response, Problem> {
    if call.method == Method::HEAD {
        return Ok(call.frame().bare(StatusCode::OK, Body::empty()));
    }
    if !call.visitor.on_sign_in_host() {
        return call.frame().see_other(&call.at_sign_in_host(&format!("/verify?{}", call.query)));
    }
    let query = call.query()?;
    let nonce = call.nonce();
    let opened = open(&call, &query, nonce.as_ref()).await?;
    if opened.record.state(call.now) != LinkState::Active {
        return spent(&call, &opened.record, &opened.token, opened.bound).await;
    }
    match call.session() {
        Some(session) if session.claims.sub != opened.record.email.as_str() => other_person(&call, &opened),
        // Signed in as that person already: the link stays good for the browser that waits for it.
        Some(_) if !opened.bound => call.frame().see_other(&destination(&call, &opened.record, false)),
        Some(_) | None if opened.bound => match call.navigation() {
            Navigation::Real => enter(&call, opened, nonce).await,
            Navigation::Unsaid | Navigation::No => confirm(&call, &opened),
        },
        Some(_) | None => elsewhere(&call, &opened, ""),
    }
}

/// `POST /verify`.
pub(super) async fn post(call: Call, sent: Sent) -> Result<Response, Problem> {
    call.must_be_own(&sent)?;
    if sent.json {
        return program(&call, &sent.fields).await;
    }
    if !call.visitor.on_sign_in_host() {
        return call.frame().see_other(&call.at_sign_in_host("/login"));
    }
    let nonce = call.nonce();
    if let Some(typed) = sent.fields.get("code") {
        return by_code(&call, typed, nonce, sent.fields.get("return_to")).await;
    }
    let opened = open(&call, &sent.fields, nonce.as_ref()).await?;
    if opened.record.state(call.now) != LinkState::Active {
        return spent(&call, &opened.record, &opened.token, opened.bound).await;
    }
    let stranger = call.session().is_some_and(|session| session.claims.sub != opened.record.email.as_str());
    if stranger && !sent.fields.has("switch") && sent.fields.get("email").is_none() {
        return other_person(&call, &opened);
    }
    if opened.bound {
        return enter(&call, opened, nonce).await;
    }
    let Some(typed) = sent.fields.get("email") else {
        return if stranger { other_person(&call, &opened) } else { elsewhere(&call, &opened, "") };
    };
    match typed_address(&call, &opened, typed).await? {
        Typed::Right => enter(&call, opened, nonce).await,
        Typed::Wrong => elsewhere(&call, &opened, "wrong-address"),
        Typed::Off => elsewhere(&call, &opened, "too-many"),
        Typed::NotHere => elsewhere(&call, &opened, ""),
    }
}

/// `POST /verify` with JSON: `request` and `token`, `request` and `code`, or `token` and `email`. Cookies do not count.
async fn program(call: &Call, fields: &Fields) -> Result<Response, Problem> {
    let request = match fields.get("request") {
        None => None,
        Some(text) => Some(
            call.nonce_of(text).ok_or(Problem::BadRequest("\"request\" is none of ours for this host"))?,
        ),
    };
    if let Some(typed) = fields.get("code") {
        let nonce = request.ok_or(Problem::BadRequest("a \"code\" needs its \"request\""))?;
        let waiting = nonce.waiting.clone().ok_or(Problem::WrongCode)?;
        return match steadily(try_code(call, typed, nonce, &waiting.shown, None, true)).await? {
            Tried::In(response) => Ok(response),
            Tried::Wrong => Err(Problem::WrongCode),
            Tried::Off => Err(Problem::CodesOff),
        };
    }
    let opened = open(call, fields, request.as_ref()).await?;
    if opened.record.state(call.now) != LinkState::Active {
        return Err(dead(call, &opened.record, &opened.token));
    }
    if !opened.bound {
        let typed = fields.get("email").ok_or(Problem::BadRequest(
            "a \"token\" needs its \"request\", or the \"email\" it was sent to",
        ))?;
        match typed_address(call, &opened, typed).await? {
            Typed::Right => {}
            Typed::Wrong | Typed::NotHere => return Err(Problem::WrongAddress),
            Typed::Off => return Err(Problem::TooMany),
        }
    }
    if !limits::client_may(call, "redeem", call.visitor.site.limits.redeem_per_client).await? {
        return Err(Problem::TooMany);
    }
    let entry = Entry { nonce: None, program: true, to: String::new() };
    match redeem::link(call, &opened.record, entry).await? {
        Ok(response) => Ok(response),
        Err(Missed::Link(record)) => Err(dead(call, &record, &opened.token)),
        Err(Missed::Unknown | Missed::Code) => Err(problem("unknown", None)),
    }
}

/// Reads the token and looks the link up, spending nothing.
async fn open(call: &Call, fields: &Fields, nonce: Option<&Nonce>) -> Result<Opened, Problem> {
    let site = &call.visitor.site.site;
    let text = fields.get("token").unwrap_or_default();
    if fields.has("ts") {
        return Err(problem("foreign", None));
    }
    let read = token::read(&call.keys, site, text, call.now).map_err(|fault| match fault {
        token::Fault::Foreign => problem("foreign", None),
        token::Fault::Invalid => problem("invalid", None),
    })?;
    if read.expired {
        // A past date never reaches the store.
        call.audit_sparingly("link.refused", "", "expired");
        return Err(refused(call, "expired", text));
    }
    let record = call.login.parts.store.peek_link(read.hash).await?;
    let record = record.filter(|record| record.site == site.name).ok_or_else(|| problem("unknown", None))?;
    let bound = nonce.is_some_and(|nonce| record.nonce_hash == Some(nonce.hash()));
    Ok(Opened { record, token: text.to_owned(), bound })
}

/// Lets in, by whatever was proved before.
async fn enter(call: &Call, opened: Opened, nonce: Option<Nonce>) -> Result<Response, Problem> {
    if !limits::client_may(call, "redeem", call.visitor.site.limits.redeem_per_client).await? {
        return Err(Problem::TooMany);
    }
    let entry = Entry { nonce, program: false, to: destination(call, &opened.record, opened.bound) };
    match redeem::link(call, &opened.record, entry).await? {
        Ok(response) => Ok(response),
        Err(Missed::Link(record)) => spent(call, &record, &opened.token, opened.bound).await,
        Err(Missed::Unknown | Missed::Code) => Err(problem("unknown", None)),
    }
}

/// A link that is not live. The same browser, shortly after or holding the session that the link made, is sent on.
async fn spent(call: &Call, record: &LinkRecord, token: &str, bound: bool) -> Result<Response, Problem> {
    let own = record.session.map(|id| id.to_string());
    let holds = call.session().is_some_and(|session| own.as_deref() == Some(session.claims.sid.as_str()));
    if holds {
        return call.frame().see_other(&destination(call, record, bound));
    }
    let fresh = record.used_at.is_some_and(|at| call.now.since(at) <= GRACE);
    let person = call.navigation() == Navigation::Real || call.method == Method::POST;
    if bound
        && fresh
        && person
        && record.state(call.now) == LinkState::Used
        && let Some(response) = redeem::resume(call, record, &destination(call, record, true)).await?
    {
        return Ok(response);
    }
    Err(dead(call, record, token))
}

fn dead(call: &Call, record: &LinkRecord, token: &str) -> Problem {
    let kind = match record.state(call.now) {
        LinkState::Revoked => "revoked",
        LinkState::Expired => "expired",
        LinkState::Used | LinkState::Active => "used",
    };
    call.audit_sparingly("link.refused", record.email.as_str(), &format!("{kind} {}", record.id));
    if kind == "revoked" || record.again_used { problem(kind, None) } else { refused(call, kind, token) }
}

fn problem(kind: &'static str, again: Option<Secret<String>>) -> Problem {
    Problem::Link { kind, again, current: String::new() }
}

/// A page that offers a fresh letter, where letters are sent, and names who is signed in.
fn refused(call: &Call, kind: &'static str, token: &str) -> Problem {
    Problem::Link {
        kind,
        again: ask::sends_letters(call).then(|| Secret::new(token.to_owned())),
        current: call.session().map(|session| session.claims.sub.clone()).unwrap_or_default(),
    }
}

/// The wish counts with the nonce, or where an administrator set it.
fn destination(call: &Call, record: &LinkRecord, bound: bool) -> String {
    let counts = bound || record.made_by == MadeBy::Administrator;
    call.return_to(Some(record.return_to.as_str()).filter(|_| counts))
}

fn confirm(call: &Call, opened: &Opened) -> Result<Response, Problem> {
    let masked = opened.record.email.masked();
    call.frame().page(StatusCode::OK, "confirm.html", ConfirmPage { masked: &masked, token: &opened.token })
}

fn other_person(call: &Call, opened: &Opened) -> Result<Response, Problem> {
    let own = OtherPersonPage {
        current: call.session().map_or("", |session| session.claims.sub.as_str()),
        masked: &opened.record.email.masked(),
        token: &opened.token,
        stay: &call.visitor.site.site.start,
        needs_address: !opened.bound,
    };
    call.frame().page(StatusCode::OK, "other-person.html", own)
}

/// The page of a browser that did not ask for the link.
fn elsewhere(call: &Call, opened: &Opened, error: &str) -> Result<Response, Problem> {
    let error = match way(call, &opened.record) {
        OtherBrowser::TypeAddress if opened.record.wrong_tries >= ADDRESS_TRIES => "too-many",
        OtherBrowser::TypeAddress => error,
        OtherBrowser::CodeOnly | OtherBrowser::Refuse => "elsewhere",
    };
    let own = VerifyPage {
        masked: &opened.record.email.masked(),
        token: &opened.token,
        code_hint: opened.record.code_seed.is_some() && way(call, &opened.record) != OtherBrowser::Refuse,
        error,
    };
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    call.frame().page(status, "verify.html", own)
}

/// What a link does away from home. Links made by hand have no home.
fn way(call: &Call, record: &LinkRecord) -> OtherBrowser {
    match record.made_by {
        MadeBy::Asked => call.visitor.site.link.other_browser,
        MadeBy::Administrator => OtherBrowser::TypeAddress,
    }
}

enum Typed {
    Right,
    Wrong,
    Off,
    /// Typing is of no use here.
    NotHere,
}

/// Compares a typed address; a wrong one is counted for the link and spends nothing.
async fn typed_address(call: &Call, opened: &Opened, typed: &str) -> Result<Typed, Problem> {
    if way(call, &opened.record) != OtherBrowser::TypeAddress {
        return Ok(Typed::NotHere);
    }
    if !limits::client_may(call, "address", call.visitor.site.limits.redeem_per_client).await? {
        return Err(Problem::TooMany);
    }
    // What is no address at all is a slip of the fingers: not counted, because nothing was guessed.
    let Ok(typed) = EmailAddress::parse(typed) else { return Ok(Typed::Wrong) };
    match call.login.parts.store.try_address(opened.record.token_hash, &typed).await? {
        AddressTry::Right => Ok(Typed::Right),
        AddressTry::Wrong { left } => {
            call.audit("link.refused", opened.record.email.as_str(), "another address was typed");
            Ok(if left == 0 { Typed::Off } else { Typed::Wrong })
        }
        AddressTry::Off => Ok(Typed::Off),
    }
}

enum Tried {
    In(Response),
    Wrong,
    Off,
}

/// A code typed into the waiting page.
async fn by_code(
    call: &Call,
    typed: &str,
    nonce: Option<Nonce>,
    wish: Option<&str>,
) -> Result<Response, Problem> {
    let return_to = call.return_to(wish);
    let waiting = nonce.as_ref().and_then(|nonce| nonce.waiting.clone());
    let (Some(nonce), Some(waiting)) = (nonce, waiting) else {
        // Signed in meanwhile in another tab, or the browser keeps no cookies: the door knows.
        return call.frame().see_other(&door::address(call, &return_to));
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    if ask::over(call, &waiting) {
        return door::wait_here(call, &waiting, &return_to, "code-expired", status);
    }
    match steadily(try_code(call, typed, nonce, &waiting.shown, wish, false)).await? {
        Tried::In(response) => Ok(response),
        Tried::Wrong => door::wait_here(call, &waiting, &return_to, "wrong-code", status),
        Tried::Off => door::wait_here(call, &waiting, &return_to, "codes-off", status),
    }
}

/// Tries a code. The limits here are counted alike for addresses that are known and that are not; the store's own
/// count, which is exact, stands behind them and shows no other face.
async fn try_code(
    call: &Call,
    typed: &str,
    nonce: Nonce,
    shown: &str,
    wish: Option<&str>,
    program: bool,
) -> Result<Tried, Problem> {
    let Some(code) = Code::parse(typed) else { return Ok(Tried::Wrong) };
    if !limits::client_may(call, "redeem", call.visitor.site.limits.redeem_per_client).await? {
        return Err(Problem::TooMany);
    }
    let store = &call.login.parts.store;
    let asked_at = nonce.waiting.as_ref().map_or(0, |waiting| waiting.asked_at.millis());
    let browser = format!("code {} {} {asked_at}", call.site(), limits::hex(&nonce.hash()));
    let address = format!("code {} address {shown}", call.site());
    if !store.spend(&browser, Quota { count: CODE_TRIES, per: DAY }).await?
        || !store.spend(&address, Quota { count: CODE_FAILURES_A_DAY, per: DAY }).await?
    {
        return Ok(Tried::Off);
    }
    let awaited = nonce.awaited();
    let tag = code.tag(&call.keys, call.site(), &awaited.hash());
    // A mask stands where a fresh letter was asked for elsewhere; the record found by the code says who it is.
    let email = match EmailAddress::parse(shown) {
        Ok(email) => email,
        Err(_) => match store.asked(call.site(), awaited.hash()).await? {
            Some(record) => record.email,
            None => return Ok(Tried::Wrong),
        },
    };
    let entry = Entry { nonce: Some(nonce), program, to: String::new() };
    let to = |record: &LinkRecord| match wish {
        Some(wish) => call.return_to(Some(wish)),
        None => destination(call, record, true),
    };
    match redeem::code(call, &awaited, tag, &email, entry, to).await? {
        Ok(response) => Ok(Tried::In(response)),
        Err(Missed::Code | Missed::Unknown | Missed::Link(_)) => Ok(Tried::Wrong),
    }
}

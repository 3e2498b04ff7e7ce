//! A yes, as another proxy reads it: 200, and what the app is to be told. Never leaves a header out: where nothing is
//! known it is empty, so that no value of the visitor's stays in its place (class of CVE-2026-30851).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::header;

use super::Question;
use super::Yes;
use crate::gate::Body;
use crate::gate::Gate;
use crate::gate::forward::is_navigation;
use crate::gate::record::Reference;
use crate::gate::visitor;
use crate::identity::CookieNames;
use crate::proxy::IdentityHeaderValues;
use crate::proxy::clean_request;

static ASSERTION: HeaderName = HeaderName::from_static("linkgate-assertion");
const EMPTY: HeaderValue = HeaderValue::from_static("");

impl Gate {
    /// The answer. A navigation carries the session on: one cookie at most, for nginx passes only one to the browser.
    pub(super) fn yes(
        &self,
        question: &Question<'_>,
        yes: &Yes<'_>,
        sent: &HeaderMap,
        reference: &Reference,
    ) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        let headers = answer.headers_mut();
        tell(headers, yes);
        credentials(headers, question, sent);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let found = &question.found;
        let pass = found.pass.as_ref().filter(|_| yes.told.is_some() && !found.by_bearer);
        if let Some(pass) = pass.filter(|_| is_navigation(&question.method, sent)) {
            let visitor = visitor(question.place, &question.client, reference, found);
            self.renew(&visitor, &pass.claims, headers);
        }
        answer
    }
}

/// Every identity header, empty where nobody is named.
fn tell(headers: &mut HeaderMap, yes: &Yes<'_>) {
    let mut set = |values: &IdentityHeaderValues| {
        for (name, value) in values.iter() {
            headers.insert(name, value.clone());
        }
    };
    match &yes.told {
        Some(told) => set(&told.values),
        None => set(&IdentityHeaderValues::empty(yes.form)),
    }
    let assertion = yes.told.as_ref().map(|told| told.assertion.clone());
    headers.insert(&ASSERTION, assertion.unwrap_or(EMPTY));
}

/// `Cookie` and `Authorization` as the app may have them: without our own. For proxies that can replace a header whole,
/// but not cut a piece out of it.
fn credentials(headers: &mut HeaderMap, question: &Question<'_>, sent: &HeaderMap) {
    let cookie = cookies(sent, &question.place.names);
    headers.insert(header::COOKIE, cookie.unwrap_or(EMPTY));
    headers.insert(header::AUTHORIZATION, EMPTY);
    let mut lines = sent.get_all(header::AUTHORIZATION).iter();
    if let (Some(line), None, false) = (lines.next(), lines.next(), question.found.consumed_authorization) {
        let mut line = line.clone();
        line.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, line);
    }
}

fn cookies(sent: &HeaderMap, names: &CookieNames) -> Option<HeaderValue> {
    let mut kept = HeaderMap::new();
    for line in sent.get_all(header::COOKIE) {
        kept.append(header::COOKIE, line.clone());
    }
    clean_request(&mut kept, names);
    let mut cookie = kept.remove(header::COOKIE)?;
    cookie.set_sensitive(true);
    Some(cookie)
}

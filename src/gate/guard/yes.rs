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
use crate::proxy::IdentityHeaderValues;
use crate::proxy::other_cookies;

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
        if yes.theirs {
            credentials(headers, question, sent);
        }
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

/// Every identity header of the app, empty where nobody is named, or not so on this route.
fn tell(headers: &mut HeaderMap, yes: &Yes<'_>) {
    let mut set = |values: &IdentityHeaderValues| {
        for (name, value) in values.iter() {
            headers.insert(name, value.clone());
        }
    };
    // Where there is one way alone, it is set below.
    if yes.told.is_none() || yes.forms.len() > 1 {
        yes.forms.iter().for_each(|form| set(&IdentityHeaderValues::empty(form)));
    }
    if let Some(told) = &yes.told {
        set(&told.values);
    }
    let assertion = yes.told.as_ref().map(|told| told.assertion.clone());
    headers.insert(&ASSERTION, assertion.unwrap_or(EMPTY));
}

/// `Cookie` and `Authorization` as the app may have them, without our own: for proxies that can replace a header whole,
/// but not cut a piece out of it. What the visitor did not send is left out.
fn credentials(headers: &mut HeaderMap, question: &Question<'_>, sent: &HeaderMap) {
    if sent.contains_key(header::COOKIE) {
        set_secret(headers, header::COOKIE, other_cookies(sent, &question.place.names).unwrap_or(EMPTY));
    }
    if question.found.consumed_authorization {
        headers.insert(header::AUTHORIZATION, EMPTY);
    } else if let Some(line) = sent.get(header::AUTHORIZATION) {
        set_secret(headers, header::AUTHORIZATION, line.clone());
    }
}

fn set_secret(headers: &mut HeaderMap, name: HeaderName, mut value: HeaderValue) {
    value.set_sensitive(true);
    headers.insert(name, value);
}

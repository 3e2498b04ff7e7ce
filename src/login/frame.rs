//! How our own answers look: pages, redirects, JSON, and the headers that guard them. Never caches, never lets
//! another origin frame, script or read them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;

use axum::body::Body;
use axum::response::Response;

use super::SiteSettings;
use super::errors::Problem;
use crate::page::Lang;

/// What answers are drawn with.
pub(super) struct Frame<'a> {
    pub site: &'a SiteSettings,
    pub prefix: &'a str,
    pub lang: Lang,
    /// The host is https.
    pub secure: bool,
    /// A person's browser asks.
    pub html: bool,
    /// Names the request.
    pub reference: &'a str,
    /// Of this answer's scripts.
    pub nonce: [u8; 16],
}

#[derive(Serialize)]
struct Common<'a, C> {
    nonce: &'a str,
    prefix: &'a str,
    start: &'a str,
    site: SiteLook<'a>,
    #[serde(flatten)]
    own: C,
}

/// What every page and letter shows of the site.
#[derive(Serialize)]
pub(super) struct SiteLook<'a> {
    title: &'a str,
    contact: &'a str,
    accent: &'a str,
    logo: &'a str,
}

impl<'a> SiteLook<'a> {
    pub(super) fn of(site: &'a SiteSettings) -> Self {
        Self {
            title: &site.look.title,
            contact: &site.contact,
            accent: &site.look.accent,
            logo: &site.look.logo,
        }
    }
}

impl Frame<'_> {
    /// A page.
    pub(super) fn page<C: Serialize>(
        &self,
        status: StatusCode,
        page: &str,
        own: C,
    ) -> Result<Response, Problem> {
        let nonce = URL_SAFE_NO_PAD.encode(self.nonce);
        let common = Common {
            nonce: &nonce,
            prefix: self.prefix,
            start: &self.site.site.start,
            site: SiteLook::of(self.site),
            own,
        };
        let body = self
            .site
            .pages
            .render(page, self.lang, common)
            .map_err(|error| Problem::Internal(error.to_string()))?;
        let mut response = self.bare(status, Body::from(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if let Ok(language) = HeaderValue::from_str(self.lang.code()) {
            headers.insert(header::CONTENT_LANGUAGE, language);
        }
        let targets: Vec<&str> = self.site.site.hosts.iter().map(crate::policy::Origin::as_str).collect();
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'nonce-{nonce}'; img-src 'self'; connect-src 'self'; \
             form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
            targets.join(" ")
        );
        let policy = HeaderValue::from_str(&policy).map_err(|error| Problem::Internal(error.to_string()))?;
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }

    /// JSON.
    pub(super) fn json<C: Serialize>(&self, status: StatusCode, value: &C) -> Result<Response, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| Problem::Internal(error.to_string()))?;
        let mut response = self.bare(status, Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// 303. `to` is an address that we wrote ourselves.
    pub(super) fn see_other(&self, to: &str) -> Result<Response, Problem> {
        let to = HeaderValue::from_str(to).map_err(|error| Problem::Internal(error.to_string()))?;
        let mut response = self.bare(StatusCode::SEE_OTHER, Body::empty());
        response.headers_mut().insert(header::LOCATION, to);
        Ok(response)
    }

    /// An answer with nothing but its guards.
    pub(super) fn bare(&self, status: StatusCode, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        guard(response.headers_mut(), self.secure);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

/// Guards of every answer of ours, files too.
pub(super) fn guard(headers: &mut HeaderMap, secure: bool) {
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Adds a cookie beside those that are there.
pub(super) fn set_cookie(response: &mut Response, cookie: &str) -> Result<(), Problem> {
    let mut value =
        HeaderValue::from_str(cookie).map_err(|_| Problem::Internal("a cookie that is no header".into()))?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

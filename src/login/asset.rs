//! `/assets/…`: own style, scripts, pictures. Never reads a file: what is not loaded is not there.

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::call::Call;
use super::code::hash;
use super::errors::Problem;
use super::frame::guard;
use super::limits::hex;
use crate::page::Pages;

/// `GET /assets/{name}`.
pub(super) async fn get(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let site = &call.visitor.site;
    let (kind, body, tag) = if name == "site.css" {
        let css = Pages::accent_css(&site.look.accent).ok_or(Problem::NotFound)?;
        let tag = hex(hash(css.as_bytes()).get(..8).unwrap_or_default());
        ("text/css; charset=utf-8", css.into_bytes(), tag)
    } else {
        let (kind, body, tag) = site.pages.asset(&name).ok_or(Problem::NotFound)?;
        (kind, body.to_vec(), tag.to_owned())
    };
    let tag = format!("\"{tag}\"");
    let same = call
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|sent| sent.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if same {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(body))
    };
    // Pages name a version, so the bytes behind that address never change; without one, ask again.
    let cache =
        if call.query.is_empty() { "public, no-cache" } else { "public, max-age=31536000, immutable" };
    let headers = response.headers_mut();
    guard(headers, call.visitor.origin.secure());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if kind == "image/svg+xml" {
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

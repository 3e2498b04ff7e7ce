//! Answers to signed-in people stay out of shared caches. Never makes an answer more cacheable than the app said.

use http::HeaderMap;
use http::HeaderValue;
use http::header;

use crate::policy::Handling;

/// Adds `private` (RFC 9111 §5.2.2.7) and takes `public` and `s-maxage` away. A route with `cache = "app"` answers for
/// its app: there nothing is changed.
pub fn keep_private(headers: &mut HeaderMap, handling: &Handling) {
    if handling.app_caches {
        return;
    }
    // Caches that these are meant for obey them before `Cache-Control` (RFC 9213 §2.2).
    let mut targeted = Vec::new();
    let mut said = false;
    for name in headers.keys() {
        said |= *name == header::CACHE_CONTROL;
        if name.as_str().ends_with("cdn-cache-control") || *name == "surrogate-control" {
            targeted.push(name.clone());
        }
    }
    for name in targeted {
        headers.remove(&name);
    }
    if !said {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(header::CACHE_CONTROL) {
        let Ok(text) = value.to_str() else { continue };
        if text.contains('"') && !text.contains("no-store") {
            // Lists within quotes (`private="a, b"`) are not taken apart: the browser asks again.
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
            return;
        }
        for directive in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
            let name = directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            match name.as_str() {
                // `no-store` is already stricter; `private` already there. `private="x"` guards one field only.
                "no-store" => return,
                "private" if !directive.contains('=') => return,
                "private" | "public" | "s-maxage" | "proxy-revalidate" => {}
                _ => kept.push(directive.to_owned()),
            }
        }
    }
    kept.insert(0, "private".to_owned());
    if let Ok(value) = HeaderValue::from_str(&kept.join(", ")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_caches_are_told_to_keep_nothing() {
        for (said, sent) in [
            (None, "private"),
            (Some("public, max-age=60"), "private, max-age=60"),
            (Some("s-maxage=60, max-age=5"), "private, max-age=5"),
            (Some("no-store"), "no-store"),
            (Some("private, max-age=1"), "private, max-age=1"),
            (Some("private=\"x-a, x-b\", max-age=1"), "private, no-cache"),
            (Some("private=x-a, max-age=1"), "private, max-age=1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            }
            for targeted in ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"] {
                headers.insert(targeted, HeaderValue::from_static("max-age=600"));
            }
            keep_private(&mut headers, &Handling::default());
            assert_eq!(headers.len(), 1, "{headers:?}");
            assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), sent);
        }
    }

    #[test]
    fn a_route_may_leave_it_to_its_app() {
        let handling = Handling { app_caches: true, ..Handling::default() };
        for said in [None, Some("public, s-maxage=60")] {
            let mut headers = HeaderMap::new();
            headers.insert("cdn-cache-control", HeaderValue::from_static("max-age=600"));
            if let Some(said) = said {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            }
            let before = headers.clone();
            keep_private(&mut headers, &handling);
            assert_eq!(headers, before);
        }
    }
}

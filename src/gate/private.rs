//! Answers to signed-in people stay out of shared caches. Never makes an answer more cacheable than the app said.

use http::HeaderMap;
use http::HeaderValue;
use http::header;

/// Adds `private` (RFC 9111 §5.2.2.7) and takes `public` and `s-maxage` away.
pub fn keep_private(headers: &mut HeaderMap) {
    let mut kept = Vec::new();
    for value in headers.get_all(header::CACHE_CONTROL) {
        let Ok(text) = value.to_str() else { continue };
        for directive in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
            let name = directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            match name.as_str() {
                // `no-store` is already stricter; `private` already there.
                "no-store" | "private" => return,
                "public" | "s-maxage" | "proxy-revalidate" => {}
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
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            }
            keep_private(&mut headers);
            assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), sent);
        }
    }
}

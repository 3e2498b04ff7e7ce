//! Who is asking, and what the browser says of the request (Fetch Metadata, `Origin`, `Accept`). Never believes more
//! than was proved: a missing or doubled header proves nothing.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::header;

use super::SiteSettings;
use crate::identity::CookieNames;
use crate::identity::Identity;
use crate::identity::SessionClaims;
use crate::policy::Origin;

/// Who asks for one of our own pages: the gate puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The site of the host that was asked.
    pub site: Arc<SiteSettings>,
    /// The origin of that host, as configured.
    pub origin: Origin,
    /// Our cookies' names there.
    pub cookies: CookieNames,
    /// The visitor's address, after trusted proxies.
    pub client: IpAddr,
    /// Who is signed in on this host; `None`: nobody.
    pub session: Option<Arc<Current>>,
    /// Names this request in logs, in the audit and on error pages.
    pub request_id: String,
}

/// Somebody signed in: claims that the gate has checked against signature, dates, audience and standing.
#[derive(Clone, Debug)]
pub struct Current {
    /// The session token's claims.
    pub claims: SessionClaims,
    /// The person behind them, as known now.
    pub identity: Arc<Identity>,
}

impl Visitor {
    /// Whether this is the host where the site's people sign in.
    #[must_use]
    pub fn on_sign_in_host(&self) -> bool {
        self.origin == self.site.site.url
    }
}

/// What the browser says of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Navigation {
    /// A person went to this page: top-level, not ahead of time.
    Real,
    /// The browser does not say (no Fetch Metadata at all).
    Unsaid,
    /// A script, a frame, a prefetch, a `HEAD`.
    No,
}

impl Navigation {
    /// Reads Fetch Metadata and the marks of prefetchers.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let early = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
        if method != Method::GET || early.iter().any(|name| headers.contains_key(*name)) {
            return Self::No;
        }
        let said = |name| only(headers, name);
        match (said("sec-fetch-mode"), said("sec-fetch-dest")) {
            (Some("navigate"), Some("document")) => Self::Real,
            (None, None) if said("sec-fetch-site").is_none() => Self::Unsaid,
            (_, _) => Self::No,
        }
    }
}

/// Whether a person's browser asks, who is to get a page; programs get JSON.
#[must_use]
pub fn wants_html(headers: &HeaderMap) -> bool {
    let script = only(headers, "x-requested-with").is_some()
        || headers.contains_key(header::UPGRADE)
        || only(headers, "sec-fetch-dest").is_some_and(|dest| dest == "empty")
        || only(headers, "sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    let accepts =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|range| {
                let mut parts = range.split(';').map(str::trim);
                let html = parts.next().is_some_and(|kind| {
                    kind.eq_ignore_ascii_case("text/html")
                        || kind.eq_ignore_ascii_case("application/xhtml+xml")
                });
                html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        });
    accepts && !script
}

/// Whether a request was sent by a page of `origin` itself: `Sec-Fetch-Site: same-origin`, or where that is absent
/// the exact `Origin`. `null`, `same-site` and silence prove nothing.
#[must_use]
pub fn from_own_page(headers: &HeaderMap, origin: &Origin) -> bool {
    match only(headers, "sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => only(headers, "origin").is_some_and(|sent| sent == origin.as_str()),
    }
}

/// Whether a request carries no sign of a browser, or that of our own page: for programs, whose cookies do not count.
#[must_use]
pub fn not_from_elsewhere(headers: &HeaderMap, origin: &Origin) -> bool {
    only(headers, "sec-fetch-site").is_none_or(|site| site == "same-origin")
        && only(headers, "origin").is_none_or(|sent| sent == origin.as_str())
}

/// The one value of a header; a doubled or unreadable one counts as sent and equals nothing.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(first.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_a_real_top_level_navigation_is_one() {
        let real = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(Navigation::of(&Method::GET, &headers(&real)), Navigation::Real);
        assert_eq!(Navigation::of(&Method::HEAD, &headers(&real)), Navigation::No);
        assert_eq!(Navigation::of(&Method::GET, &headers(&[])), Navigation::Unsaid);
        for extra in [("sec-purpose", "prefetch"), ("purpose", "prefetch"), ("sec-fetch-mode", "cors")] {
            let mut all = real.to_vec();
            all.push(extra);
            assert_eq!(Navigation::of(&Method::GET, &headers(&all)), Navigation::No, "{extra:?}");
        }
        for (mode, dest) in [("navigate", "iframe"), ("cors", "empty"), ("no-cors", "image")] {
            let sent = headers(&[("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]);
            assert_eq!(Navigation::of(&Method::GET, &sent), Navigation::No, "{mode} {dest}");
        }
        assert_eq!(Navigation::of(&Method::GET, &headers(&[("sec-fetch-site", "none")])), Navigation::No);
    }

    #[test]
    fn a_post_must_come_from_the_very_origin() {
        let own = Origin::parse("https://wiki.example.com").unwrap();
        for good in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "https://wiki.example.com")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://wiki.example.com")],
        ] {
            assert!(from_own_page(&headers(good), &own), "{good:?}");
        }
        for bad in [
            &[][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://wiki.example.com")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", "https://evil.example.com")],
            &[("origin", "https://wiki.example.com/")],
            &[("origin", "http://wiki.example.com")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://wiki.example.com"), ("origin", "https://evil.example.com")],
        ] {
            assert!(!from_own_page(&headers(bad), &own), "{bad:?}");
        }
        assert!(not_from_elsewhere(&headers(&[]), &own));
        assert!(!not_from_elsewhere(&headers(&[("origin", "null")]), &own));
    }

    #[test]
    fn programs_do_not_get_pages() {
        assert!(wants_html(&headers(&[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")])));
        assert!(!wants_html(&headers(&[("accept", "*/*")])));
        assert!(!wants_html(&headers(&[])));
        assert!(!wants_html(&headers(&[("accept", "text/html;q=0")])));
        assert!(!wants_html(&headers(&[("accept", "text/html"), ("sec-fetch-mode", "cors")])));
        assert!(!wants_html(&headers(&[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")])));
    }
}

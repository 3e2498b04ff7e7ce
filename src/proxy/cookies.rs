//! Our cookies never reach the app, and the app never sets or clears them, nor leads browsers around the gate.
//! Works on bytes: a value that is not UTF-8 belongs to the app and passes unchanged.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::identity::CookieNames;
use crate::identity::cookie;

/// Answers may not say these: they send link addresses elsewhere, or lead the browser around the gate.
const REMOVED: [&str; 4] = ["alt-svc", "nel", "report-to", "reporting-endpoints"];
const CLEAR_SITE_DATA: &str = "clear-site-data";

/// A request's cookies without ours, several `Cookie` headers joined into one (RFC 9113 §8.2.3); `None`: no others.
#[must_use]
pub fn others(headers: &HeaderMap, names: &CookieNames) -> Option<HeaderValue> {
    let mut lines = headers.get_all(header::COOKIE).iter();
    let first = lines.next()?;
    if lines.next().is_none() {
        let (mut own, mut others) = (false, false);
        for pair in pairs(first) {
            let is_own = is_own(pair, names);
            own |= is_own;
            others |= !is_own;
        }
        if !own {
            return Some(first.clone());
        }
        if !others {
            return None;
        }
    }
    let mut joined = Vec::new();
    for pair in headers.get_all(header::COOKIE).iter().flat_map(pairs).filter(|pair| !is_own(pair, names)) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(pair);
    }
    if joined.is_empty() {
        return None;
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).ok()
}

/// Takes out of an answer what would touch our cookies or lead around the gate.
pub(super) fn clean_answer(headers: &mut HeaderMap, names: &CookieNames) {
    // Looked at once; most answers have none of them.
    let (mut removed, mut sets, mut clears) = (false, false, false);
    for name in headers.keys() {
        sets |= *name == header::SET_COOKIE;
        match name.as_str() {
            CLEAR_SITE_DATA => clears = true,
            other => removed |= REMOVED.contains(&other),
        }
    }
    if removed {
        for name in REMOVED {
            headers.remove(name);
        }
    }
    if sets {
        keep(headers, &header::SET_COOKIE, |value| {
            let own = pairs(value).next().is_some_and(|pair| is_own(pair, names));
            (!own).then(|| value.clone())
        });
    }
    if clears {
        keep(headers, &HeaderName::from_static(CLEAR_SITE_DATA), without_cookies);
    }
}

/// Whether a trailer of an answer would do what [`clean_answer`] takes out of its headers.
pub(super) fn is_removed_from_answers(name: &HeaderName) -> bool {
    *name == header::SET_COOKIE || *name == CLEAR_SITE_DATA || REMOVED.iter().any(|removed| name == removed)
}

/// Rewrites all lines of one field, in their order; `None` drops a line.
fn keep(headers: &mut HeaderMap, name: &HeaderName, line: impl Fn(&HeaderValue) -> Option<HeaderValue>) {
    let kept: Vec<HeaderValue> = headers.get_all(name).iter().filter_map(line).collect();
    headers.remove(name);
    for value in kept {
        headers.append(name, value);
    }
}

/// `Clear-Site-Data` without `"cookies"` and `"*"`, quoted or (as some parsers take them) bare.
fn without_cookies(value: &HeaderValue) -> Option<HeaderValue> {
    let ends_sessions = |directive: &&[u8]| {
        let bare: Vec<u8> = directive.iter().copied().filter(|b| !b"\"' \t".contains(b)).collect();
        bare.eq_ignore_ascii_case(b"cookies") || bare == b"*"
    };
    let parts = || value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
    if !parts().any(|part| ends_sessions(&part)) {
        return Some(value.clone());
    }
    let kept: Vec<&[u8]> = parts().filter(|part| !part.is_empty() && !ends_sessions(part)).collect();
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b", "[..])).ok() }
}

fn pairs(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    cookie::pairs(value.as_bytes())
}

fn is_own(pair: &[u8], names: &CookieNames) -> bool {
    // A cookie without a name, `=__Host-linkgate=x`, comes back from some browsers as ours.
    let name = pair.split(|byte| *byte == b'=').map(<[u8]>::trim_ascii).find(|part| !part.is_empty());
    names.is_own(name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn crumbs_are_joined_without_our_own() {
        let names = CookieNames::new("linkgate", true);
        let mut headers = map("cookie", &[b"a=1", b"__Host-linkgate=t; b=\xff", b"linkgate-login=n", b"c=3"]);
        assert_eq!(others(&headers, &names).unwrap(), b"a=1; b=\xff; c=3"[..]);
        headers.remove(header::COOKIE);
        assert_eq!(others(&headers, &names), None);
        for (line, left) in [
            (&b"__Host-linkgate=t"[..], None),
            (b"linkgate=t;linkgate-login=n;", None),
            (b"a=1;  b=2;", Some(&b"a=1;  b=2;"[..])),
            (b"a=1;linkgate=t", Some(b"a=1")),
            (b";", Some(b";")),
        ] {
            assert_eq!(others(&map("cookie", &[line]), &names).as_ref().map(HeaderValue::as_bytes), left);
        }
    }

    #[test]
    fn the_app_sets_every_cookie_but_ours() {
        let names = CookieNames::new("linkgate", true);
        let mut headers = map(
            "set-cookie",
            &[
                b"a=1; Path=/",
                b"__host-LINKGATE=x",
                b" linkgate-login =",
                b"linkgate",
                b"=__Host-linkgate=x",
                b" = linkgate=x; Path=/",
                b"b=2; linkgate=1",
                b"a=3",
            ],
        );
        headers.append("nel", HeaderValue::from_static("{}"));
        headers.append("alt-svc", HeaderValue::from_static("h3=\":443\""));
        headers.append("report-to", HeaderValue::from_static("{}"));
        headers.append("reporting-endpoints", HeaderValue::from_static("a=\"https://x.example\""));
        clean_answer(&mut headers, &names);
        assert_eq!(headers, map("set-cookie", &[b"a=1; Path=/", b"b=2; linkgate=1", b"a=3"]));
    }

    #[test]
    fn clear_site_data_may_not_end_our_session() {
        let names = CookieNames::new("linkgate", true);
        let cases: [(&[u8], Option<&[u8]>); 6] = [
            (b"\"cache\", \"cookies\", \"storage\"", Some(b"\"cache\", \"storage\"")),
            (b"\"*\"", None),
            (b"*", None),
            (b"Cookies", None),
            (b"'cookies'", None),
            (b"\"cache\"", Some(b"\"cache\"")),
        ];
        for (sent, kept) in cases {
            let mut headers = map("clear-site-data", &[sent]);
            clean_answer(&mut headers, &names);
            assert_eq!(headers, kept.map_or_else(HeaderMap::new, |kept| map("clear-site-data", &[kept])));
        }
    }
}

//! What a route changes on the way: the path's beginning, single header fields, the app's own account. Never touches
//! what says who asks and where a request comes from: the configuration refuses those names ([`kept_from_requests`]),
//! and ours are set after everything here.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use zeroize::Zeroizing;

use super::cookies;
use super::error::ForwardError;
use super::fold;
use super::fold::Folded;
use super::hop;
use super::identity;
use crate::identity::Identity;
use crate::policy::App;
use crate::policy::BasicAccount;
use crate::policy::Handling;
use crate::policy::PathPattern;
use crate::policy::Permitted;
use crate::policy::Route;
use crate::policy::Target;

static PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const UNCLEAR: &str = "parts of this app lie below a stripped prefix, and this path may or may not";

/// Path and query exactly as judged, without the route's `strip_prefix`.
///
/// # Errors
/// Where it is not certain what the path means: see [`stripped`].
pub(super) fn address(permitted: &Permitted, target: &Target, asked: &Uri) -> Result<Uri, ForwardError> {
    let wanted = stripped(permitted.route(), permitted.app(), target)?;
    let exact = match asked.path_and_query() {
        Some(same) if same.as_str() == wanted => same.clone(),
        _ => PathAndQuery::try_from(wanted.as_ref())
            .ok()
            .filter(|parsed| parsed.as_str() == wanted)
            .ok_or(ForwardError::Path("the path cannot be written"))?,
    };
    Ok(Uri::from(exact))
}

/// What the app is asked for. The prefix is looked for in the path that was judged and taken off as sent, at the
/// same segment border: where nothing is odd, both have the same slashes, however the letters between are spelled.
///
/// # Errors
/// An odd path that, however one reads it, might lie below a prefix of this app: there is no border to cut at.
pub fn stripped<'a>(route: &Route, app: &App, target: &'a Target) -> Result<Cow<'a, str>, ForwardError> {
    let unclear = target.odd && !target.severed;
    if unclear && (route.handling.strip_prefix.is_some() || may_lie_below_a_prefix(app, target)) {
        return Err(ForwardError::Path(UNCLEAR));
    }
    let Some(prefix) = &route.handling.strip_prefix else { return Ok(Cow::Borrowed(&target.raw)) };
    if !lies_below(prefix, &target.path, route.ignore_case) {
        return Err(ForwardError::Path("the path does not lie below the prefix that the route strips"));
    }
    let slashes = prefix.bytes().filter(|byte| *byte == b'/').count();
    let path = target.raw_path();
    let border = path.match_indices('/').nth(slashes).map_or(path.len(), |(at, _)| at);
    let rest = target.raw.get(border..).unwrap_or_default();
    Ok(if rest.starts_with('/') { Cow::Borrowed(rest) } else { Cow::Owned(format!("/{rest}")) })
}

fn may_lie_below_a_prefix(app: &App, target: &Target) -> bool {
    if app.strip_prefixes().next().is_none() {
        return false;
    }
    let readings = [target.folded_path(), target.leading_path()];
    app.strip_prefixes().any(|prefix| readings.iter().any(|path| lies_below(prefix, path, true)))
}

fn lies_below(prefix: &str, path: &str, ignore_case: bool) -> bool {
    PathPattern::Prefix(prefix.to_owned()).covers(path, ignore_case)
}

/// Whether [`request`] has anything to do.
pub(super) fn changes_requests(route: &Route) -> bool {
    let handling = &route.handling;
    !handling.request_headers.is_empty() || handling.basic.is_some() || handling.strip_prefix.is_some()
}

/// Sets and removes what the route says, for the app. A visitor's field of the same name goes, in every spelling that
/// folds to it: what the app reads is the configuration's word.
pub(super) fn request(headers: &mut HeaderMap, permitted: &Permitted) {
    let handling = &permitted.route().handling;
    for (name, value) in &handling.request_headers {
        fold::remove_if(headers, |other| fold::same(name.as_str(), other.as_str()));
        if !value.is_empty() {
            headers.insert(name, value.clone());
        }
    }
    // Only a person whom the route let in by name gets the app's account.
    if let (Some(account), Some(who)) = (&handling.basic, permitted.identity()) {
        headers.remove(header::AUTHORIZATION);
        if let Some(value) = authorization(account, who) {
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    if let Some(prefix) = &handling.strip_prefix
        && let Ok(value) = HeaderValue::from_str(prefix)
    {
        headers.insert(&PREFIX, value);
    }
}

/// Sets and removes what the route says, for the visitor.
pub(super) fn answer(headers: &mut HeaderMap, handling: &Handling) {
    for (name, value) in &handling.response_headers {
        headers.remove(name);
        if !value.is_empty() {
            headers.insert(name, value.clone());
        }
    }
}

/// Whether a route of the app sets this field itself: it may not come behind a body either.
pub(super) fn is_set(app: &App, name: &HeaderName) -> bool {
    app.set_names().any(|set| fold::same(set.as_str(), name.as_str()))
}

/// The name by which the app's own account is used for this person. `None`: it cannot be written (RFC 7617 §2: no
/// colon, no control character), or nothing is known to fill it with; then the app sees no account at all.
#[must_use]
pub fn basic_user(account: &BasicAccount, who: &Identity) -> Option<String> {
    let user = identity::fill(&account.user, who);
    let good = !user.is_empty() && !user.contains(':') && !user.chars().any(char::is_control);
    good.then_some(user)
}

fn authorization(account: &BasicAccount, who: &Identity) -> Option<HeaderValue> {
    let user = basic_user(account, who)?;
    let pair = Zeroizing::new(format!("{user}:{}", account.password.expose()));
    let line = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&line).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Why a route may not set or remove this field of requests, and what to write instead; `None`: it may.
#[must_use]
pub fn kept_from_requests(name: &HeaderName) -> Option<(&'static str, &'static str)> {
    let folded = Folded::new(name.as_str());
    let begins = |families: &[&[u8]]| families.iter().any(|family| folded.begins(family));
    if folded.is(b"host") {
        Some(("it says which host is asked", "write upstream_host = \"…\""))
    } else if frames(name, &folded) {
        Some((FRAMES, "leave it out"))
    } else if begins(&[b"linkgate-", b"remote-", b"x-auth-request-", b"x-forwarded-user"]) {
        Some(("it tells the app who asks", "see identity: a table there chooses names and values"))
    } else if begins(&[b"x-forwarded", b"forwarded"])
        || folded.is_any(&[b"via", b"x-real-ip", b"x-request-id"])
    {
        Some(("linkgate says by it where a request comes from", "leave it out"))
    } else if begins(&[b"x-original-", b"x-rewrite-", b"x-http-method", b"x-envoy-original-"])
        || folded.is_any(&[b"x-method-override", b"x-host", b"x-http-host-override"])
    {
        Some(("apps take it for another request than the one that was judged", "leave it out"))
    } else {
        None
    }
}

/// Why a route may not set this field of answers (or remove it, where `value` is empty), and what to write instead.
#[must_use]
pub fn kept_from_answers(name: &HeaderName, value: &str) -> Option<(&'static str, &'static str)> {
    if frames(name, &Folded::new(name.as_str())) {
        Some((FRAMES, "leave it out"))
    } else if *name == header::SET_COOKIE && !value.is_empty() {
        Some(("the app's cookies and ours would be lost", "write \"\" to remove those of the app"))
    } else if cookies::is_removed_from_answers(name) && !value.is_empty() {
        Some((
            "it ends sessions, leads around linkgate, or sends addresses of links elsewhere",
            "leave it out",
        ))
    } else {
        None
    }
}

const FRAMES: &str = "it frames the message or belongs to one connection, which is linkgate's own";

fn frames(name: &HeaderName, folded: &Folded) -> bool {
    hop::is_hop_by_hop(name) || folded.is_any(&[b"content-length", b"trailer"])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::policy::Accept;
    use crate::policy::Access;
    use crate::policy::IdentityHeaders;
    use crate::policy::Origin;
    use crate::policy::RouteLimits;

    fn app(prefix: &str) -> App {
        let route = |path: &str, prefix: Option<&str>| Route {
            path: PathPattern::Prefix(path.to_owned()),
            methods: Vec::new(),
            clients: Vec::new(),
            access: Access::Public,
            allow: None,
            accept: Accept { session: true, bearer: true },
            identity: IdentityHeaders::Remote,
            upstream: None,
            limits: RouteLimits {
                max_body: None,
                connect_timeout: Duration::ZERO,
                response_timeout: Duration::ZERO,
                idle_timeout: Duration::ZERO,
            },
            handling: Handling { strip_prefix: prefix.map(str::to_owned), ..Handling::default() },
            ignore_case: false,
        };
        let origin = Origin::parse("https://a.example.com").unwrap();
        let routes = vec![Arc::new(route(prefix, Some(prefix))), Arc::new(route("/", None))];
        App::new(String::new(), origin, None, routes)
    }

    /// What stays of a path of the route that strips `prefix`; `None`: it is refused.
    fn cut(prefix: &str, asked: &str) -> Option<String> {
        let app = app(prefix);
        let target = Target::parse(true, "a.example.com", asked).unwrap();
        stripped(&app.routes()[0], &app, &target).ok().map(Cow::into_owned)
    }

    /// Whatever is cut, what stays means what stood behind the prefix in the path that was judged.
    #[test]
    fn what_stays_is_what_was_judged_behind_the_prefix() {
        let spellings = ["ab", "%61b", "a%62", "%61%62"];
        let rests =
            ["", "/", "/c", "/%63/", "/c%20d/e", "/%C3%A4", "/ab", "/ab/ab", "?", "?x=/ab//..", "/?/"];
        for first in spellings {
            for second in spellings {
                for rest in rests {
                    let asked = format!("/{first}/{second}{rest}");
                    let target = Target::parse(true, "a.example.com", &asked).unwrap();
                    assert!(!target.odd);
                    for (prefix, judged) in [("/ab", target.path.get(3..)), ("/ab/ab", target.path.get(6..))]
                    {
                        let stays = cut(prefix, &asked).unwrap();
                        let again = Target::parse(true, "a.example.com", &stays).unwrap();
                        let judged = judged.filter(|rest| !rest.is_empty()).unwrap_or("/");
                        assert_eq!(
                            (again.path.as_str(), again.odd),
                            (judged, false),
                            "{asked} without {prefix}"
                        );
                        assert_eq!(again.query(), target.query());
                        assert!(asked.ends_with(stays.trim_start_matches('/')), "nothing is spelled anew");
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_that_does_not_lie_below_the_prefix_is_never_cut() {
        for asked in
            ["/abc", "/a", "/", "/x/ab", "/AB/x", "/ab%2Fx", "/ab//x", "/ab/../ab/x", "/ab;x/y", "//ab/x"]
        {
            assert_eq!(cut("/ab", asked), None, "{asked}");
        }
    }

    #[test]
    fn no_name_of_ours_is_anybody_elses_to_set() {
        // Whatever we set on every request, in every preset.
        let mut ours = vec!["linkgate-assertion", "x-forwarded-prefix", "host", "via", "te", "connection"];
        ours.extend(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]);
        ours.extend(["x-real-ip", "x-request-id", "content-length", "transfer-encoding"]);
        let presets = [IdentityHeaders::Remote, IdentityHeaders::XForwarded, IdentityHeaders::XAuthRequest];
        let values = presets.iter().map(identity::IdentityHeaderValues::empty);
        let named: Vec<String> = values
            .flat_map(|values| values.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>())
            .chain(ours.into_iter().map(str::to_owned))
            .collect();
        assert_eq!(named.len(), 26);
        for name in named {
            for spelling in [name.clone(), name.replace('-', "_"), name.replace('-', ".")] {
                let name = HeaderName::from_bytes(spelling.as_bytes()).unwrap();
                assert!(kept_from_requests(&name).is_some(), "{name}");
            }
        }
        for name in
            ["authorization", "cookie", "x-app-key", "x-script-name", "accept", "x-auth-token", "x-hostname"]
        {
            assert!(kept_from_requests(&HeaderName::from_static(name)).is_none(), "{name}");
        }
    }
}

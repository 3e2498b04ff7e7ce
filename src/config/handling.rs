//! Reads what a route changes on the way (`policy::Handling`), and finds the keys that change nothing where they stand.

use http::HeaderValue;

use super::headers;
use super::mistake::nearest;
use super::reader::Reader;
use super::secrets;
use super::tree::{Table, Value};
use crate::policy::Access;
use crate::policy::Address;
use crate::policy::BasicAccount;
use crate::policy::Handling;
use crate::policy::Origin;
use crate::policy::PathPattern;
use crate::policy::Protocol;
use crate::policy::Route;
use crate::policy::Upstream;
use crate::policy::UpstreamHost;
use crate::policy::WebSocketOrigins;

/// Keys that mean something only where linkgate itself forwards.
const FORWARDING: &[&str] = &[
    "upstream_tls",
    "upstream_host",
    "health_check",
    "slow_start",
    "wait",
    "strip_prefix",
    "basic",
    "set_request_headers",
    "set_response_headers",
    "upgrades",
    "websocket_origins",
    "cache",
];

/// Keys that belong to the server they were written beside: a route with an upstream of its own starts without them,
/// so that no password or certificate goes where it was not meant for.
const OF_ITS_UPSTREAM: &[&str] = &["upstream_tls", "health_check", "basic"];

/// What routes of one app have in common.
pub struct Context<'a> {
    /// The app's own.
    pub origin: &'a Origin,
    /// What the credential with the password of the app's account is called; empty: it cannot have one.
    pub credential: &'a str,
    /// Names of the headers in all identity tables of the app.
    pub identity: &'a [&'a str],
}

/// What a route inherits: its app's keys, without those that another server's upstream was given.
pub fn inherited(app: &Table, route: &Table) -> Table {
    let mut base = app.clone();
    for key in ["name", "host", "route", "allow"] {
        base.entries.remove(key);
    }
    if route.get("upstream").is_some() {
        for key in OF_ITS_UPSTREAM {
            base.entries.remove(*key);
        }
    }
    for key in ["set_request_headers", "set_response_headers"] {
        headers::yield_to(&mut base, route, key);
    }
    base
}

/// Reads all of it. `own`: the table as written; `keys`: with what it inherits.
pub fn handling(own: &Reader<'_>, keys: &Reader<'_>, context: &Context<'_>) -> Handling {
    let upgrades = upgrades(keys);
    Handling {
        strip_prefix: strip_prefix(own),
        request_headers: headers::of_requests(keys, context.identity),
        response_headers: headers::of_answers(keys),
        basic: basic(own, keys, context.credential),
        host: upstream_host(keys),
        websocket_origins: websocket_origins(keys, context.origin),
        upgrades,
        app_caches: keys.choice("cache", false, &[("private", false), ("app", true)]),
    }
}

fn strip_prefix(own: &Reader<'_>) -> Option<String> {
    const CURE: &str = "write \"/jupyter\": a slash in front, letters, digits and -._~, no % escapes";
    own.parse("strip_prefix", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b);
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Err("every path begins with \"/\", which stays: leave it out".into());
        }
        let segments = path.strip_prefix('/').ok_or(CURE)?.split('/');
        let good = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(plain);
        if segments.into_iter().all(good) { Ok(path.to_owned()) } else { Err(CURE.into()) }
    })
}

fn upstream_host(keys: &Reader<'_>) -> UpstreamHost {
    const WORDS: [&str; 2] = ["visitor", "upstream"];
    let read = keys.parse("upstream_host", |text| match text {
        "visitor" => Ok(UpstreamHost::Visitor),
        "upstream" => Ok(UpstreamHost::Upstream),
        // A bare word is more likely a slip than the name of a host.
        _ => match nearest(text, WORDS.into_iter()).filter(|_| !text.contains(['.', ':'])) {
            Some(near) => Err(format!("did you mean {near:?}?")),
            None => authority(text).map(UpstreamHost::Fixed).ok_or_else(|| {
                "write \"visitor\", \"upstream\", or a host: \"app.internal\", \"app.internal:8080\"".into()
            }),
        },
    });
    read.unwrap_or(UpstreamHost::Visitor)
}

/// `host` or `host:port`, and nothing else.
fn authority(text: &str) -> Option<HeaderValue> {
    let text = text.to_ascii_lowercase();
    let origin = Origin::parse(&format!("http://{text}"))?;
    let port = text.strip_prefix(origin.host())?;
    let digits = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    let good = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    good.then(|| HeaderValue::from_str(&text).ok())?
}

fn basic(own: &Reader<'_>, keys: &Reader<'_>, credential: &str) -> Option<BasicAccount> {
    let table = keys.table("basic")?;
    let path = super::schema::join(keys.path, "basic");
    let reader = Reader::new(table, &path, keys.log);
    // A password that the route writes itself is not the one that the unit hands over for the app.
    let of_route = own.path != "site.app"
        && own
            .table
            .table("basic")
            .is_some_and(|own| ["password", "password_file"].iter().any(|key| own.get(key).is_some()));
    let credential = if of_route { "" } else { credential };
    let before = keys.log.count();
    let password = secrets::read(&reader, "password", credential);
    let broken = keys.log.count() > before;
    let user =
        reader.required("user", "write user = \"{email.local}\", \"{attributes.php}\" or one name for all");
    let user = user.filter(|user| match headers::check_template(user) {
        Ok(()) if user.contains(':') => {
            let cure = "take the colon out: behind it the password begins (RFC 7617)";
            reader.wrong("user", format!("{user:?} cannot be taken"), cure);
            false
        }
        Ok(()) => true,
        Err(cure) => {
            reader.wrong("user", format!("{user:?} cannot be filled"), cure);
            false
        }
    });
    if password.as_ref().is_some_and(|password| password.expose().chars().any(char::is_control)) {
        let key = if reader.has("password") { "password" } else { "password_file" };
        reader.wrong(key, "a control character cannot be sent", "write the password alone");
    }
    if password.is_none() && !broken {
        let more = if credential.is_empty() {
            String::new()
        } else {
            format!(", or a systemd credential {credential}")
        };
        reader.wrong("user", "the password of this account is missing", format!("add password_file{more}"));
    }
    Some(BasicAccount { user: user?.to_owned(), password: password? })
}

fn upgrades(keys: &Reader<'_>) -> Vec<String> {
    if !keys.has("upgrades") {
        return Handling::default().upgrades;
    }
    let found = keys.parse_list("upgrades", |text| {
        let name = text.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
        let bare = name.split('/').next().unwrap_or_default();
        if ["h2c", "h2", "h3", "http", "tls"].contains(&bare) {
            return Err("inside of it a visitor could ask for anything, past every rule: leave it out".into());
        }
        if name == "*" || (!name.is_empty() && name.bytes().all(token)) {
            Ok(name)
        } else {
            Err("write the name of a protocol, \"websocket\", or \"*\" for any".into())
        }
    });
    if found.iter().any(|name| name == "*") && found.len() > 1 {
        keys.wrong("upgrades", "the other entries mean nothing beside \"*\"", "leave \"*\", or take it out");
    }
    found
}

fn websocket_origins(keys: &Reader<'_>, app: &Origin) -> WebSocketOrigins {
    let list = keys.list("websocket_origins").unwrap_or_default();
    if list.contains(&"*") {
        if list.len() > 1 {
            let what = "the other entries mean nothing beside \"*\"";
            keys.wrong("websocket_origins", what, "leave \"*\", or take it out");
        }
        return WebSocketOrigins::Any;
    }
    WebSocketOrigins::Listed(keys.parse_list("websocket_origins", |text| match Origin::parse(text) {
        Some(origin) if origin == *app => Err("leave it out: the app's own pages always may".into()),
        Some(origin)
            if text.trim_end_matches('/').matches('/').count() == 2 && !text.contains(['?', '#']) =>
        {
            Ok(origin)
        }
        Some(origin) => Err(format!("an origin has no path: write \"{origin}\"")),
        None => Err("write \"https://other.example.com\", or \"*\" alone".into()),
    }))
}

/// Notes every key of `own` that changes nothing on any of the routes it serves.
pub fn dead(own: &Reader<'_>, upstream_written: bool, served: &[&Route]) {
    let forwards = |route: &&&Route| matches!(route.access, Access::SignedIn | Access::Public);
    let passing: Vec<&Route> = served.iter().filter(forwards).copied().collect();
    let upstreams: Vec<&Upstream> = passing.iter().filter_map(|route| route.upstream.as_deref()).collect();
    let written = |key: &&&str| own.has(key);
    if passing.is_empty() || (upstreams.is_empty() && !upstream_written) {
        let (what, cure) = if passing.is_empty() {
            ("with this access nothing is passed on", "leave it out")
        } else {
            (
                "there is no upstream: the proxy that asks linkgate forwards by itself",
                "add upstream, or leave it out",
            )
        };
        for key in FORWARDING.iter().filter(written) {
            own.wrong(key, what, cure);
        }
        return;
    }
    if upstreams.is_empty() {
        return;
    }
    let endpoints = || upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    if own.has("upstream_tls") && !endpoints().any(|endpoint| endpoint.protocol == Protocol::Https) {
        own.wrong(
            "upstream_tls",
            "no upstream here speaks https",
            "write \"https://…\" in upstream, or leave it out",
        );
    }
    if own.has("slow_start") && upstreams.iter().all(|upstream| upstream.endpoints.len() < 2) {
        own.wrong(
            "slow_start",
            "there is one upstream, so nothing is shared out",
            "list several, or leave it out",
        );
    }
    let by_name = |route: &&Route| route.handling.host == UpstreamHost::Upstream;
    let nameless = |route: &&Route| {
        route
            .upstream
            .iter()
            .flat_map(|upstream| &upstream.endpoints)
            .any(|e| matches!(e.address, Address::Unix(_)))
    };
    if (own.has("upstream_host") || own.has("upstream"))
        && passing.iter().filter(|r| by_name(r)).any(nameless)
    {
        let key = if own.has("upstream_host") { "upstream_host" } else { "upstream" };
        own.wrong(
            key,
            "a Unix socket has no host to be named by",
            "write upstream_host = \"visitor\", or the name the app expects",
        );
    }
    let sockets =
        |route: &&Route| route.handling.upgrades.iter().any(|name| name == "*" || name == "websocket");
    if own.has("websocket_origins") && !passing.iter().any(sockets) {
        own.wrong(
            "websocket_origins",
            "upgrades lets no WebSocket pass",
            "add \"websocket\" to upgrades, or leave it out",
        );
    }
    let both = |route: &&Route| {
        let mut set = route.handling.request_headers.iter();
        route.handling.basic.is_some() && set.any(|(name, _)| *name == http::header::AUTHORIZATION)
    };
    if (own.has("basic") || own.has("set_request_headers")) && passing.iter().any(both) {
        let key = if own.has("basic") { "basic" } else { "set_request_headers" };
        own.wrong(
            key,
            "basic and set_request_headers both say what Authorization is",
            "leave one of the two",
        );
    }
}

/// Notes a `strip_prefix` that no path of the route begins with.
pub fn outside(own: &Reader<'_>, route: &Route) {
    let Some(prefix) = &route.handling.strip_prefix else { return };
    let (PathPattern::Prefix(path) | PathPattern::Exact(path)) = &route.path;
    if !PathPattern::Prefix(prefix.clone()).covers(path, route.ignore_case) {
        let what = format!("the route's path {path:?} does not lie below {prefix:?}");
        own.wrong(
            "strip_prefix",
            what,
            format!("write path = \"{prefix}/\", or the beginning of the path here"),
        );
    }
}

/// Names of headers in the identity tables of an app and its routes.
pub fn identity_names(app: &Table) -> Vec<&str> {
    let tables = std::iter::once(app).chain(app.tables("route"));
    let names = tables.filter_map(|table| match table.get("identity") {
        Some(Value::Table(names)) => Some(names.entries.keys().map(String::as_str)),
        _ => None,
    });
    names.flatten().collect()
}

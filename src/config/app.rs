//! Reads `[[site.app]]` and `[[site.app.route]]`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;

use super::handling::{self, Context};
use super::headers;
use super::people::{People, allow_list};
use super::reader::Reader;
use super::tree::{Table, Value};
use super::upstream;
use super::values;
use crate::policy::Accept;
use crate::policy::Access;
use crate::policy::App;
use crate::policy::IdentityHeaders;
use crate::policy::Origin;
use crate::policy::PathPattern;
use crate::policy::Route;
use crate::policy::RouteLimits;

/// What is the same for every app of a site.
struct Around<'a> {
    site: &'a str,
    people: &'a People,
    prefix: &'a str,
    /// `[limits] max_body`; `None`: unlimited.
    max_body: Option<u64>,
}

/// The apps of one site: the `[[site.app]]`s, and the one that `upstream` stands for.
pub fn apps(
    site: &Reader<'_>,
    people: &People,
    url: &Origin,
    name: &str,
    prefix: &str,
    max_body: Option<u64>,
) -> Vec<App> {
    let around = Around { site: name, people, prefix, max_body };
    let mut apps: Vec<App> = Vec::new();
    if site.has("upstream") {
        // The short form: as if [[site.app]] held this upstream and nothing else.
        let mut table = Table { place: site.table.place.clone(), ..Table::default() };
        if let Some(entry) = site.table.entries.get("upstream") {
            table.entries.insert("upstream".into(), entry.clone());
        }
        let reader = Reader::new(&table, "site", site.log);
        apps.push(app(&reader, &around, url.clone(), name.to_owned()));
    }
    for table in site.tables("app") {
        let reader = Reader::new(table, "site.app", site.log);
        let Some(origin) = host(&reader, url) else { continue };
        let default = origin.host().split('.').next().unwrap_or_default().to_owned();
        let name = reader.text("name").filter(|name| !name.is_empty()).map_or(default, str::to_owned);
        if let Some(other) = apps.iter().find(|other| other.origin.host() == origin.host()) {
            let what = format!("{} belongs to the app {:?} already", origin.host(), other.name);
            let cure = if reader.has("host") {
                "a host belongs to one app; use routes for its paths"
            } else {
                "add host = \"…\": without it the app lives on the host of the site's url"
            };
            reader.wrong("host", what, cure);
        }
        if apps.iter().any(|other| other.name == name) {
            reader.wrong("name", format!("two apps are named {name:?}"), "give this one a name of its own");
        }
        apps.push(app(&reader, &around, origin, name));
    }
    // A site without any app is one where another proxy asks, on the host of its url.
    if apps.is_empty() {
        let table = Table { place: site.table.place.clone(), ..Table::default() };
        apps.push(app(&Reader::new(&table, "site.app", site.log), &around, url.clone(), name.to_owned()));
    }
    apps
}

fn host(reader: &Reader<'_>, url: &Origin) -> Option<Origin> {
    let Some(text) = reader.text("host") else { return Some(url.clone()) };
    let wrong = |what: &str, cure: String| {
        reader.wrong("host", format!("{text:?}: {what}"), cure);
        None
    };
    if let Some((_, rest)) = text.split_once("://") {
        let bare = rest.split('/').next().unwrap_or_default();
        return wrong(
            "this is an address",
            format!("write the host alone, \"{bare}\"; the scheme is the site's"),
        );
    }
    if text.contains('*') {
        return wrong("a host is one name", "write one [[site.app]] a host".into());
    }
    let port = if text.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(':') || is_default(url) {
        String::new()
    } else {
        format!(":{}", url.port())
    };
    let scheme = if url.secure() { "https" } else { "http" };
    let origin = Origin::parse(&format!("{scheme}://{text}{port}"));
    match origin {
        Some(origin) if !text.contains(['/', '?', '#', '@', ' ']) => {
            if !origin.secure() && !super::general::is_loopback(origin.host()) {
                return wrong(
                    "the site's url is plain http, which is for localhost only",
                    "write an https url".into(),
                );
            }
            Some(origin)
        }
        _ => wrong("this is no host", "write \"photos.example.com\"".into()),
    }
}

fn is_default(url: &Origin) -> bool {
    url.port() == if url.secure() { 443 } else { 80 }
}

fn app(reader: &Reader<'_>, around: &Around<'_>, origin: Origin, name: String) -> App {
    let allow = narrowing(reader, around);
    let credential = credential(around.site, &name);
    let identity = handling::identity_names(reader.table);
    let context = Context { origin: &origin, credential: &credential, identity: &identity };
    let mut routes: Vec<Arc<Route>> = Vec::new();
    for table in reader.tables("route") {
        let own = Reader::new(table, "site.app.route", reader.log);
        let effective = table.over(&handling::inherited(reader.table, table));
        let effective = Reader::new(&effective, "site.app.route", reader.log);
        let Some(route) = route(&own, &effective, around, &context) else { continue };
        if let Some(hidden) = routes.iter().find(|earlier| hides(earlier, &route)) {
            let what = format!(
                "this never matches: the earlier route {} takes every such request",
                shown(&hidden.path)
            );
            own.wrong("path", what, "put this route in front of that one, or take it out");
        }
        handling::outside(&own, &route);
        handling::dead(&own, effective.has("upstream"), &[&route]);
        routes.push(Arc::new(route));
    }
    let last = Route {
        path: PathPattern::Prefix("/".into()),
        methods: Vec::new(),
        clients: Vec::new(),
        allow: None,
        ..common(reader, reader, around, &context)
    };
    dead_allow(reader, last.access);
    routes.push(Arc::new(last));
    if reader.path != "site" {
        let written = reader.has("upstream") || reader.tables("route").any(|r| r.get("upstream").is_some());
        let served: Vec<&Route> = routes.iter().map(|route| &**route).collect();
        handling::dead(reader, written, &served);
    }
    App::new(name, origin, allow, routes)
}

/// What systemd's credential with the password of an app's own account is called; empty where the name of the app
/// could not be the name of a file.
fn credential(site: &str, app: &str) -> String {
    if app.contains(['/', '\0']) { String::new() } else { format!("site.{site}.app.{app}.basic.password") }
}

/// `allow` of an app or route.
fn narrowing(reader: &Reader<'_>, around: &Around<'_>) -> Option<crate::policy::AllowList> {
    if reader.path == "site" {
        return None;
    }
    let allow = allow_list(reader, "allow")?;
    around.people.check_groups(reader, "allow");
    if reader.list("allow").is_some_and(|list| list.is_empty()) {
        let cure = "name people, leave it out (then the site's list counts), or write access = \"deny\"";
        reader.wrong("allow", "an empty list lets nobody through", cure);
    }
    if allow.anyone {
        reader.wrong("allow", "\"*\" narrows nothing: the site's list counts anyhow", "leave it out");
    }
    Some(allow)
}

fn dead_allow(reader: &Reader<'_>, access: Access) {
    if matches!(access, Access::Deny | Access::SignOut)
        && reader.path != "site"
        && reader.has("allow")
        && reader.has("access")
    {
        reader.wrong(
            "allow",
            "with this access nobody passes, whoever is listed",
            "leave out allow or access",
        );
    }
}

fn route(
    own: &Reader<'_>,
    effective: &Reader<'_>,
    around: &Around<'_>,
    context: &Context<'_>,
) -> Option<Route> {
    const PATH_CURE: &str =
        "write \"/share/\" (and all below) or \"= /exact\"; paths are compared decoded, without query";
    let allow = narrowing(own, around);
    let methods = own.parse_list("methods", method);
    if own.list("methods").is_some_and(|list| list.is_empty()) {
        own.wrong("methods", "an empty list matches nothing", "name methods, or leave it out: any method");
    }
    let clients: Vec<IpNet> = own
        .parse_list("clients", |text| {
            if text == "private" {
                Ok(super::general::private())
            } else {
                values::network(text).map(|net| vec![net])
            }
        })
        .into_iter()
        .flatten()
        .collect();
    if own.list("clients").is_some_and(|list| list.is_empty()) {
        own.wrong("clients", "an empty list matches nobody", "name networks, or leave it out: any client");
    }
    let rest = common(own, effective, around, context);
    dead_allow(own, rest.access);
    let path = own.required("path", PATH_CURE)?;
    let Some(pattern) = PathPattern::parse(path) else {
        own.wrong("path", format!("{path:?} is no path"), PATH_CURE);
        return None;
    };
    if PathPattern::Prefix(around.prefix.to_owned()).covers(text_of(&pattern), true) {
        let what = format!("everything below {} is linkgate's own and never reaches the app", around.prefix);
        own.wrong("path", what, "choose another path, or another prefix");
    }
    Some(Route { path: pattern, methods, clients, allow, ..rest })
}

fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(_) if upper != text => Err(format!("methods are written in capitals: {upper:?}")),
        Ok(method) if method == Method::TRACE || method == Method::CONNECT => {
            Err("linkgate never forwards it; leave it out".into())
        }
        Ok(method) => Ok(method),
        Err(_) => Err("write \"GET\", \"POST\", …".into()),
    }
}

/// Everything that a route may inherit from its app. `own`: the table as written; `reader`: with what it inherits.
fn common(own: &Reader<'_>, reader: &Reader<'_>, around: &Around<'_>, context: &Context<'_>) -> Route {
    let accesses = [
        ("signed-in", Access::SignedIn),
        ("public", Access::Public),
        ("deny", Access::Deny),
        ("sign-out", Access::SignOut),
    ];
    let short = reader.path == "site";
    let empty = Table::default();
    // In the short form the site's keys of the same name mean something else.
    let none = Reader::new(&empty, "site.app", reader.log);
    let (own, keys) = if short { (&none, none) } else { (own, *reader) };
    Route {
        path: PathPattern::Prefix("/".into()),
        methods: Vec::new(),
        clients: Vec::new(),
        access: keys.choice("access", Access::SignedIn, &accesses),
        allow: None,
        accept: accept(&keys),
        identity: identity(&keys),
        upstream: upstream::upstream(reader, &keys),
        limits: limits(&keys, around),
        ignore_case: keys.flag("ignore_case", false),
        handling: handling::handling(own, &keys, context),
    }
}

fn accept(reader: &Reader<'_>) -> Accept {
    let Some(words) = reader.list("accept") else { return Accept { session: true, bearer: true } };
    let mut accept = Accept { session: false, bearer: false };
    for (index, word) in words.iter().enumerate() {
        match *word {
            "session" => accept.session = true,
            "bearer" => accept.bearer = true,
            "basic" => {
                let what = "\"basic\" comes with a later version";
                let cure = "leave it out; a program sends a token as `Authorization: Bearer` (\"bearer\", docs/api.md), \
                            and a native app that knows passwords only can be given a route of its own with \
                            access = \"public\" and `clients`, where the app itself asks for the password";
                reader.wrong_item("accept", index, what, cure);
            }
            other => {
                let what = format!("{other:?} is none of the words known here");
                reader.wrong_item("accept", index, what, "write \"session\", \"bearer\"");
            }
        }
    }
    if words.is_empty() {
        let cure = "write [\"session\", \"bearer\"], leave it out, or write access = \"deny\"";
        reader.wrong("accept", "nobody could prove who they are", cure);
    }
    accept
}

fn identity(reader: &Reader<'_>) -> IdentityHeaders {
    if let Some(Value::Table(_)) = reader.table.get("identity") {
        return IdentityHeaders::Table(headers::table(reader, "identity"));
    }
    let words = [("remote", 0), ("x-forwarded", 1), ("x-auth-request", 2)];
    match reader.choice("identity", 0, &words) {
        1 => IdentityHeaders::XForwarded,
        2 => IdentityHeaders::XAuthRequest,
        _ => IdentityHeaders::Remote,
    }
}

fn limits(reader: &Reader<'_>, around: &Around<'_>) -> RouteLimits {
    let seconds = Duration::from_secs;
    let least = Duration::from_millis(10);
    let body = reader.parse("max_body", values::size);
    RouteLimits {
        max_body: body.unwrap_or(around.max_body),
        connect_timeout: reader.duration("connect_timeout", seconds(5), least, seconds(600)),
        response_timeout: reader.duration("response_timeout", seconds(60), least, seconds(86_400)),
        idle_timeout: reader.duration("idle_timeout", seconds(300), least, seconds(86_400)),
    }
}

/// Whether every request that `later` matches is taken by `earlier`.
fn hides(earlier: &Route, later: &Route) -> bool {
    let path = match (&earlier.path, &later.path) {
        (PathPattern::Exact(a), PathPattern::Exact(_)) => {
            earlier.path.covers(text_of(&later.path), earlier.ignore_case) && !a.is_empty()
        }
        (PathPattern::Exact(_), PathPattern::Prefix(_)) => false,
        (PathPattern::Prefix(_), _) => earlier.path.covers(text_of(&later.path), earlier.ignore_case),
    } && (earlier.ignore_case || !later.ignore_case || text_of(&earlier.path) == "/");
    let methods = earlier.methods.is_empty()
        || (!later.methods.is_empty() && later.methods.iter().all(|m| earlier.methods.contains(m)));
    let clients = earlier.clients.is_empty()
        || (!later.clients.is_empty()
            && later.clients.iter().all(|net| earlier.clients.iter().any(|wide| wide.contains(net))));
    path && methods && clients
}

fn text_of(pattern: &PathPattern) -> &str {
    match pattern {
        PathPattern::Prefix(path) | PathPattern::Exact(path) => path,
    }
}

/// A path rule as written.
pub fn shown(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Prefix(path) => path.clone(),
        PathPattern::Exact(path) => format!("= {path}"),
    }
}

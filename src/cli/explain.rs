//! `linkgate explain`: which site, app and rule decide about a request, and why.

use serde_json::json;

use super::Failure;
use super::arguments::Explain;
use super::output;
use super::workbench::Workbench;
use crate::clock::Clock;
use crate::config::{self, Judged, Loaded};
use crate::identity::Identity;
use crate::identity::Profile;
use crate::policy::Access;
use crate::policy::App;
use crate::policy::PathPattern;
use crate::policy::Route;
use crate::policy::Target;
use crate::policy::Upstream;
use crate::policy::UpstreamHost;
use crate::proxy;
use crate::store::Settings;

/// Asks the judge, with the people of the store where there is one.
pub async fn run(loaded: &Loaded, asked: &Explain) -> Result<(), Failure> {
    let person = match asked.person.as_str() {
        "nobody" => None,
        address => Some(output::address(address)?),
    };
    let (method, _, target) = config::parse_request(&asked.request)
        .map_err(|error| Failure::Usage(format!("{error}; write \"GET https://wiki.example.com/path\"")))?;
    let sites = loaded.judge_sites();
    let mut stored: Option<Profile> = None;
    if let (Some(email), Some(host)) = (&person, sites.by_host(&target.host))
        && is_there(&loaded.store)
    {
        let people = Workbench::open(loaded)?.store.list_users(Some(&host.site.name)).await?;
        stored = people.into_iter().map(|(_, profile)| profile).find(|profile| profile.email == *email);
    }
    let who = person.as_ref().map(|email| (email, stored.as_ref()));
    let judged = config::judge(&sites, who, &method, &target, asked.client, Clock::system().now());
    let rows = rows(&judged, &target);
    if asked.json {
        let fields = rows.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        return output::json(&serde_json::Value::Object(fields.collect()));
    }
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<9} {value}")).collect();
    output::line(&lines.join("\n"))
}

/// Asking must not make a store.
fn is_there(store: &Settings) -> bool {
    match store {
        Settings::Sqlite { path } => path.exists(),
        Settings::Http(http) => http.path.exists(),
        Settings::Redis(_) => true,
    }
}

fn rows(judged: &Judged, target: &Target) -> Vec<(&'static str, String)> {
    let mut rows = vec![("result", judged.outcome.word().to_owned()), ("why", judged.why.clone())];
    let Some(host) = &judged.host else { return rows };
    rows.push(("site", host.site.name.clone()));
    if let Some(app) = &host.app {
        rows.push(("app", app.name.clone()));
        let rule = match &judged.route {
            Some((number, route)) if *number == app.routes().len() => {
                format!("the app's own, for every path: {}", said(route))
            }
            Some((number, route)) => {
                format!("route {number}, path {}: {}", pattern(&route.path), said(route))
            }
            None if target.odd => {
                "the path is odd, so that every rule of the app must let it pass".to_owned()
            }
            None => "none".to_owned(),
        };
        rows.push(("rule", rule));
        // An odd path that every rule lets pass is the app's own.
        let used = judged.route.as_ref().map(|(_, route)| route);
        let used = used.or_else(|| app.routes().last().filter(|_| target.odd));
        match used.map(|route| (route, &route.upstream)) {
            Some((route, Some(upstream))) => {
                forwarded(&mut rows, upstream, route, app, target, judged.who.as_deref());
            }
            Some((_, None)) => rows.push(("upstream", "none: another proxy asks".into())),
            None => {}
        }
    }
    rows.push(("path", target.path.clone()));
    if let Some(who) = &judged.who {
        rows.push(("user", who.user.clone()));
        rows.push(("groups", if who.groups.is_empty() { "none".into() } else { who.groups.join(", ") }));
    }
    rows
}

/// Where a request goes, and what is changed on the way. Never the password, nor values of headers: they may be keys.
fn forwarded(
    rows: &mut Vec<(&'static str, String)>,
    upstream: &Upstream,
    route: &Route,
    app: &App,
    target: &Target,
    who: Option<&Identity>,
) {
    let handling = &route.handling;
    rows.push(("upstream", upstream.to_string()));
    match &handling.host {
        UpstreamHost::Visitor => {}
        UpstreamHost::Upstream => rows.push(("host", "the upstream's own".into())),
        UpstreamHost::Fixed(name) => {
            rows.push(("host", String::from_utf8_lossy(name.as_bytes()).into_owned()));
        }
    }
    match proxy::stripped(route, app, target) {
        Ok(sent) if sent != target.raw => rows.push(("sent as", sent.into_owned())),
        Ok(_) => {}
        Err(error) => rows.push(("sent as", format!("nothing: {error}"))),
    }
    if let Some(account) = &handling.basic {
        let user = who.map(|who| proxy::basic_user(account, who));
        rows.push((
            "basic",
            match user {
                Some(Some(user)) => format!("the app's account {user:?}"),
                Some(None) => format!("none: {:?} gives no name for this person", account.user),
                None => "none: nobody is named".into(),
            },
        ));
    }
    for (name, fields) in [("sets", &handling.request_headers), ("answers", &handling.response_headers)] {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| if value.is_empty() { format!("without {name}") } else { name.to_string() })
            .collect();
        if !fields.is_empty() {
            rows.push((name, fields.join(", ")));
        }
    }
}

fn said(route: &Route) -> String {
    let mut said = match route.access {
        Access::SignedIn => "signed-in",
        Access::Public => "public",
        Access::Deny => "deny",
        Access::SignOut => "sign-out",
    }
    .to_owned();
    if !route.methods.is_empty() {
        let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
        said = format!("{said}, methods {}", methods.join(" "));
    }
    if !route.clients.is_empty() {
        let clients: Vec<String> = route.clients.iter().map(ToString::to_string).collect();
        said = format!("{said}, clients {}", clients.join(" "));
    }
    said
}

fn pattern(path: &PathPattern) -> String {
    match path {
        PathPattern::Prefix(path) => path.clone(),
        PathPattern::Exact(path) => format!("= {path}"),
    }
}

//! `linkgate explain`: which site, app and rule decide about a request, and why.

use serde_json::json;

use super::Failure;
use super::arguments::Explain;
use super::output;
use super::workbench::Workbench;
use crate::clock::Clock;
use crate::config::{self, Judged, Loaded};
use crate::identity::Profile;
use crate::policy::Access;
use crate::policy::PathPattern;
use crate::policy::Route;

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
        && loaded.store.exists()
    {
        let people = Workbench::open(loaded)?.store.list_users(Some(&host.site.name)).await?;
        stored = people.into_iter().map(|(_, profile)| profile).find(|profile| profile.email == *email);
    }
    let who = person.as_ref().map(|email| (email, stored.as_ref()));
    let judged = config::judge(&sites, who, &method, &target, asked.client, Clock::system().now());
    let rows = rows(&judged, &target.path, target.odd);
    if asked.json {
        let fields = rows.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        return output::json(&serde_json::Value::Object(fields.collect()));
    }
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<9} {value}")).collect();
    output::line(&lines.join("\n"))
}

fn rows(judged: &Judged, path: &str, odd: bool) -> Vec<(&'static str, String)> {
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
            None if odd => "the path is odd, so that every rule of the app must let it pass".to_owned(),
            None => "none".to_owned(),
        };
        rows.push(("rule", rule));
        if let Some((_, route)) = &judged.route {
            let upstream = route.upstream.as_ref().map(ToString::to_string);
            rows.push(("upstream", upstream.unwrap_or_else(|| "none: another proxy asks".into())));
        }
    }
    rows.push(("path", path.to_owned()));
    if let Some(who) = &judged.who {
        rows.push(("user", who.user.clone()));
        rows.push(("groups", if who.groups.is_empty() { "none".into() } else { who.groups.join(", ") }));
    }
    rows
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

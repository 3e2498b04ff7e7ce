//! Routes and sites for tests of this room. Never part of the program.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Accept;
use super::Access;
use super::AllowList;
use super::App;
use super::Groups;
use super::Handling;
use super::IdentityHeaders;
use super::Origin;
use super::PathPattern;
use super::Route;
use super::RouteLimits;
use super::SignIn;
use super::Site;
use super::Sites;
use super::Upstream;

pub fn route(path: &str, access: Access) -> Route {
    let wait = Duration::from_secs(5);
    Route {
        path: PathPattern::parse(path).unwrap(),
        methods: Vec::new(),
        clients: Vec::new(),
        access,
        allow: None,
        accept: Accept { session: true, bearer: false },
        identity: IdentityHeaders::Remote,
        upstream: Some(Arc::new(Upstream::http("127.0.0.1", 1))),
        limits: RouteLimits {
            max_body: None,
            connect_timeout: wait,
            response_timeout: wait,
            idle_timeout: wait,
        },
        ignore_case: false,
        handling: Handling::default(),
    }
}

pub fn list(entries: &[&str]) -> AllowList {
    AllowList::parse(&entries.iter().map(|&e| e.to_owned()).collect::<Vec<_>>()).unwrap()
}

pub fn app(routes: Vec<Route>) -> Arc<App> {
    app_at("https://wiki.example.com", routes)
}

pub fn app_at(origin: &str, routes: Vec<Route>) -> Arc<App> {
    let origin = Origin::parse(origin).unwrap();
    Arc::new(App::new("wiki".into(), origin, None, routes.into_iter().map(Arc::new).collect()))
}

pub fn site(app: Arc<App>) -> Site {
    let origin = app.origin.clone();
    Site {
        name: "wiki".into(),
        url: origin.clone(),
        start: "https://wiki.example.com/".into(),
        allow: list(&["@example.com"]),
        sign_in: SignIn::SelfService,
        groups: Groups(vec![("staff".into(), list(&["alice@example.com"]))]),
        users: HashMap::new(),
        administrators: AllowList::default(),
        apps: vec![app],
        hosts: vec![origin],
    }
}

pub fn sites(routes: Vec<Route>) -> Sites {
    Sites::new(vec![site(app(routes))]).unwrap()
}

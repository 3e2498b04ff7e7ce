//! An app's routes filed by path, so that finding the rule for a request costs the same for one route and for ten
//! thousand. Only proposes: whether a route matches is asked of the route itself, so a mistake here lets nobody in
//! by a rule that does not cover the path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Access;
use super::AllowList;
use super::PathPattern;
use super::Route;

/// A tree of path segments. A walk ends at the first segment that no route names: a long path costs no more than the
/// deepest route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RouteIndex {
    /// The first is the root.
    nodes: Vec<Node>,
    /// Some route ignores case: then segments are filed, and looked up, in lower case.
    folded: bool,
    strict: Vec<usize>,
}

/// Route numbers rise in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Where the next segment leads, as a place in `nodes`.
    children: HashMap<Box<str>, usize, RandomState>,
    /// Routes that cover this path and everything below it.
    prefixes: Vec<usize>,
    /// Routes for this very path.
    exact: Vec<usize>,
}

impl RouteIndex {
    pub(super) fn new(routes: &[Arc<Route>]) -> Self {
        let folded = routes.iter().any(|route| route.ignore_case);
        let mut index = Self { nodes: vec![Node::default()], folded, strict: strict(routes) };
        for (number, route) in routes.iter().enumerate() {
            index.file(&route.path, number);
        }
        index
    }

    /// The lowest number of a route that fits, of those that may cover the path.
    pub(super) fn first(&self, path: &str, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let path = self.spelled(path);
        let better = |best: Option<usize>, numbers: &[usize]| {
            let mut earlier =
                numbers.iter().copied().take_while(|number| best.is_none_or(|best| *number < best));
            earlier.find(|number| fits(*number)).or(best)
        };
        let mut node = self.nodes.first()?;
        let mut best = better(None, &node.prefixes);
        let mut rest = path.strip_prefix('/');
        while let Some(text) = rest {
            let (segment, after) = match text.split_once('/') {
                Some((segment, after)) => (segment, Some(after)),
                None => (text, None),
            };
            let child = node.children.get(segment).and_then(|place| self.nodes.get(*place));
            let Some(child) = child else { return best };
            best = better(best, &child.prefixes);
            (node, rest) = (child, after);
        }
        better(best, &node.exact)
    }

    /// Numbers of the routes that an odd path must pass, in order: of routes that ask the same, the first; none that
    /// ask nothing.
    pub(super) fn strict(&self) -> &[usize] {
        &self.strict
    }

    fn file(&mut self, pattern: &PathPattern, number: usize) {
        let (text, exact) = match pattern {
            PathPattern::Exact(path) => (path.as_str(), true),
            PathPattern::Prefix(path) => (path.strip_suffix('/').unwrap_or(path), false),
        };
        let path = self.spelled(text).into_owned();
        // What does not begin with a slash has no place in the tree: it is proposed for every path.
        let segments = path.strip_prefix('/');
        let mut place = 0;
        for segment in segments.into_iter().flat_map(|path| path.split('/')) {
            place = self.child(place, segment);
        }
        if let Some(node) = self.nodes.get_mut(place) {
            let list = if exact && segments.is_some() { &mut node.exact } else { &mut node.prefixes };
            list.push(number);
        }
    }

    fn child(&mut self, place: usize, segment: &str) -> usize {
        let new = self.nodes.len();
        let known = self.nodes.get_mut(place).map(|node| *node.children.entry(segment.into()).or_insert(new));
        if known == Some(new) {
            self.nodes.push(Node::default());
        }
        known.unwrap_or(place)
    }

    fn spelled<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.folded && path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(path.to_ascii_lowercase())
        } else {
            Cow::Borrowed(path)
        }
    }
}

/// See [`RouteIndex::strict`].
fn strict(routes: &[Arc<Route>]) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut numbers = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let asked = match route.access {
            Access::Public => continue,
            Access::Deny | Access::SignOut => None,
            Access::SignedIn => Some((route.accept, route.allow.as_ref().map(AllowList::sorted))),
        };
        if seen.insert((route.access, asked)) {
            numbers.push(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::Method;
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::*;
    use crate::identity::EmailAddress;
    use crate::policy::Accept;
    use crate::policy::App;
    use crate::policy::Asker;
    use crate::policy::Refusal;
    use crate::policy::Target;
    use crate::policy::fixture::app;
    use crate::policy::fixture::list;
    use crate::policy::fixture::route;
    use crate::policy::fixture::site;
    use crate::policy::judge_app;

    /// A path of few, easily confused segments.
    fn path() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["a", "A", "b", "ab", "a.b", "x"]);
        (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, slash)| {
            let path = format!("/{}", segments.join("/"));
            if slash && path.len() > 1 { format!("{path}/") } else { path }
        })
    }

    fn any_route() -> impl Strategy<Value = Route> {
        let methods = prop::sample::subsequence(vec![Method::GET, Method::POST], 0..=2);
        let clients = prop::sample::subsequence(vec!["10.0.0.0/8", "10.1.0.0/16"], 0..=1);
        let access = vec![Access::SignedIn, Access::SignedIn, Access::Public, Access::Deny, Access::SignOut];
        let allow = vec![None, Some("alice@example.com"), Some("@example.com"), Some("group:staff")];
        let kind = (prop::sample::select(access), prop::sample::select(allow), any::<[bool; 2]>());
        let strange = prop::bool::weighted(0.05);
        let how = (any::<bool>(), any::<bool>(), strange);
        (path(), methods, clients, how, kind).prop_map(|(path, methods, clients, how, kind)| {
            let ((exact, ignore_case, strange), (access, allow, [session, bearer])) = (how, kind);
            let mut made = route("/", access);
            // What no configuration can say is found all the same.
            let path = if strange { path.replacen('/', "", 1) } else { path };
            made.path = if exact { PathPattern::Exact(path) } else { PathPattern::Prefix(path) };
            made.methods = methods;
            made.clients = clients.iter().map(|net| net.parse::<IpNet>().unwrap()).collect();
            made.ignore_case = ignore_case;
            made.allow = allow.map(|entry| list(&[entry]));
            made.accept = Accept { session: session || !bearer, bearer };
            made
        })
    }

    fn routes() -> impl Strategy<Value = Vec<Route>> {
        prop::collection::vec(any_route(), 0..24)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_index_finds_what_reading_the_list_from_the_top_finds(
            routes in routes(),
            paths in prop::collection::vec(path(), 1..12),
            post in any::<bool>(),
            client in prop::sample::select(vec![None, Some("10.1.2.3"), Some("10.2.3.4"), Some("11.1.1.1")]),
        ) {
            let method = if post { Method::POST } else { Method::GET };
            let client = client.map(|ip| ip.parse().unwrap());
            let app = app(routes);
            for path in paths.iter().map(String::as_str).chain(["", "a", "//", "/a//b", "*"]) {
                let slow = app.routes().iter().position(|route| route.matches(path, &method, client));
                let fast = app.route_for(path, &method, client).map(|(number, _)| number);
                prop_assert_eq!(fast, slow, "{}", path);
            }
        }

        #[test]
        fn an_odd_path_gets_the_answer_of_asking_every_route(
            routes in routes(),
            address in prop::sample::select(vec!["alice@example.com", "bob@example.com", "eve@evil.example"]),
            by_bearer in any::<bool>(),
            nobody in any::<bool>(),
        ) {
            let app = app(routes);
            let site = site(Arc::clone(&app));
            let email = EmailAddress::parse(address).unwrap();
            let identity = Arc::new(site.identity(&email, None, crate::clock::Timestamp::from_seconds(0)).unwrap());
            let who = (!nobody).then_some(Asker { identity: &identity, by_bearer });
            let target = Target::parse(true, "wiki.example.com", "//a").unwrap();
            let fast = judge_app(&site, &app, &target, &Method::GET, None, who);
            let fast = fast.map(|granted| (Arc::as_ptr(granted.route()), granted.identity().is_some()));
            // Every route by itself, as the only one of an app.
            let mut slow: Result<(*const Route, bool), Refusal> = Err(Refusal::Denied);
            for route in app.routes() {
                let alone = Arc::new(App::new(String::new(), app.origin.clone(), None, vec![Arc::clone(route)]));
                let one = judge_app(&site, &alone, &target, &Method::GET, None, who);
                slow = one.map(|granted| (Arc::as_ptr(route), granted.identity().is_some()));
                if slow.is_err() {
                    break;
                }
            }
            prop_assert_eq!(fast, slow);
        }
    }

    /// How many routes are asked before the answer stands.
    fn asked(routes: &[Arc<Route>], path: &str) -> usize {
        let asked = Cell::new(0);
        let found = RouteIndex::new(routes).first(path, |number| {
            asked.set(asked.get() + 1);
            routes[number].matches(path, &Method::GET, None)
        });
        assert!(found.is_some());
        asked.get()
    }

    #[test]
    fn with_ten_thousand_routes_no_more_of_them_are_asked_than_cover_the_path() {
        let mut many: Vec<Route> = (0..5_000)
            .flat_map(|n| {
                [
                    route(&format!("/team-{n}/docs/"), Access::Public),
                    route(&format!("= /page-{n}"), Access::Public),
                ]
            })
            .collect();
        many.push(route("/", Access::SignedIn));
        let mut folded = many.clone();
        folded[17].ignore_case = true;
        for list in [many, folded] {
            let list: Vec<Arc<Route>> = list.into_iter().map(Arc::new).collect();
            for (path, most) in [
                ("/", 1),
                ("/nothing/here", 1),
                ("/team-4999/docs/a/b", 2),
                ("/team-0/docs", 2),
                ("/page-2500", 2),
                ("/team-7/other", 1),
            ] {
                assert!(asked(&list, path) <= most, "{path}: {}", asked(&list, path));
            }
            let long = format!("/team-1/docs{}", "/x".repeat(8_000));
            assert!(asked(&list, &long) <= 2);
        }
    }

    #[test]
    fn an_odd_path_asks_each_distinct_rule_once() {
        let mut many: Vec<Route> = (0..10_000).map(|n| route(&format!("/{n}/"), Access::SignedIn)).collect();
        for (number, route) in many.iter_mut().enumerate() {
            route.allow = Some(list(&[["alice@example.com", "group:staff"][number % 2]]));
        }
        many[5_000].access = Access::Public;
        let app = app(many);
        assert_eq!(app.strict().count(), 2);
    }
}

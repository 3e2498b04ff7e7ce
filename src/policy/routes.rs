//! What the configuration says of sites, apps and routes, in the form that is looked up per request.
//! Never changes after it was built: a reload builds another.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use http::HeaderName;
use http::Method;
use ipnet::IpNet;

use super::AllowList;
use super::Groups;
use super::Handling;
use super::Origin;
use super::Upstream;
use super::index::RouteIndex;
use super::target::comparable;
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::identity::Profile;

/// Whether people may ask for a link by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// The sign-in page sends links to whom a rule lets in.
    SelfService,
    /// Only links made by hand; the page says so.
    Invited,
}

/// What a route asks of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A session (or token) of a person whom the lists admit.
    SignedIn,
    /// Nothing.
    Public,
    /// Nobody passes.
    Deny,
    /// The app's own sign-out address: ends our session.
    SignOut,
}

/// Which credentials a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accept {
    /// The session cookie.
    pub session: bool,
    /// `Authorization: Bearer` with our token.
    pub bearer: bool,
}

/// How the app is told who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityHeaders {
    /// `Remote-User`, `-Email`, `-Name`, `-Groups`.
    Remote,
    /// `X-Forwarded-User`, `-Email`, `-Groups`, `-Preferred-Username`.
    XForwarded,
    /// `X-Auth-Request-User`, `-Email`, `-Groups`, `-Preferred-Username`.
    XAuthRequest,
    /// Header names and templates such as `"{email}"`.
    Table(Vec<(String, String)>),
}

/// Limits of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Largest request body in bytes; `None`: any size.
    pub max_body: Option<u64>,
    /// Until a TCP connection to the app stands.
    pub connect_timeout: Duration,
    /// From the last byte of the request to the answer's headers.
    pub response_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
}

/// A path rule, anchored on segment borders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// `"/share/"`: the path itself and everything below.
    Prefix(String),
    /// `"= /exact"`.
    Exact(String),
}

impl PathPattern {
    /// Parses `"/prefix"` or `"= /exact"`, written as people read it: what needs an escape gets one here.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (exact, path) = match text.strip_prefix('=') {
            Some(rest) => (true, rest.trim()),
            None => (false, text.trim()),
        };
        let plain =
            path.starts_with('/') && !path.contains(['?', '#', '*', '%', '\\', ';']) && !path.contains("//");
        let dotted = path.split('/').any(|segment| segment == "." || segment == "..");
        match (plain && !dotted, exact) {
            (false, _) => None,
            (true, true) => Some(Self::Exact(comparable(path))),
            (true, false) => Some(Self::Prefix(comparable(path))),
        }
    }

    /// Whether a normalised path falls under this rule: `/share` and `/share/` both cover `/share`, `/share/` and
    /// `/share/x`, never `/shared`.
    #[must_use]
    pub fn covers(&self, path: &str, ignore_case: bool) -> bool {
        let same = |a: &str, b: &str| if ignore_case { a.eq_ignore_ascii_case(b) } else { a == b };
        match self {
            Self::Exact(exact) => same(exact, path),
            Self::Prefix(prefix) => {
                let stem = prefix.strip_suffix('/').unwrap_or(prefix);
                path.get(..stem.len()).is_some_and(|head| same(head, stem))
                    && path.get(stem.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

/// One rule of an app; first match wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty: any.
    pub methods: Vec<Method>,
    /// Which client networks; empty: any.
    pub clients: Vec<IpNet>,
    /// What it asks.
    pub access: Access,
    /// Narrows app and site; `None`: as the app.
    pub allow: Option<AllowList>,
    /// Which credentials.
    pub accept: Accept,
    /// How the app is told.
    pub identity: IdentityHeaders,
    /// Where to; `None`: another proxy asks us, we forward nothing.
    pub upstream: Option<Arc<Upstream>>,
    /// Sizes and times.
    pub limits: RouteLimits,
    /// What is changed on the way.
    pub handling: Handling,
    /// Compare the path without regard to ASCII case (for apps that do so).
    pub ignore_case: bool,
}

impl Route {
    pub(super) fn matches(&self, path: &str, method: &Method, client: Option<IpAddr>) -> bool {
        self.path.covers(path, self.ignore_case)
            && (self.methods.is_empty() || self.methods.contains(method))
            && (self.clients.is_empty()
                || client.is_some_and(|ip| self.clients.iter().any(|net| net.contains(&ip))))
    }
}

/// One upstream on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// For people, logs and `explain`.
    pub name: String,
    /// Its host.
    pub origin: Origin,
    /// Narrows the site; `None`: as the site.
    pub allow: Option<AllowList>,
    routes: Vec<Arc<Route>>,
    index: RouteIndex,
    tables: Vec<String>,
    identities: Vec<IdentityHeaders>,
    strip_prefixes: BTreeSet<String>,
    set_names: HashSet<HeaderName>,
}

impl App {
    /// Files the routes by path. The first that matches wins; the last one is the app's own and covers `/`.
    #[must_use]
    pub fn new(name: String, origin: Origin, allow: Option<AllowList>, routes: Vec<Arc<Route>>) -> Self {
        let index = RouteIndex::new(&routes);
        let mut tables = BTreeSet::new();
        let mut identities = Vec::new();
        let mut strip_prefixes = BTreeSet::new();
        let mut set_names = HashSet::new();
        for route in &routes {
            if !identities.contains(&route.identity) {
                identities.push(route.identity.clone());
            }
            if let IdentityHeaders::Table(rows) = &route.identity {
                tables.extend(rows.iter().map(|(name, _)| name.clone()));
            }
            strip_prefixes.extend(route.handling.strip_prefix.clone());
            for (name, value) in &route.handling.request_headers {
                if !value.is_empty() && !is_the_visitors(name) {
                    tables.insert(name.as_str().to_owned());
                }
                set_names.insert(name.clone());
            }
        }
        let tables = tables.into_iter().collect();
        Self { name, origin, allow, routes, index, tables, identities, strip_prefixes, set_names }
    }

    /// Its rules, as in the file.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Every way in which one of its routes names people, each once.
    #[must_use]
    pub fn identities(&self) -> &[IdentityHeaders] {
        &self.identities
    }

    /// Whether another proxy forwards to it, and only asks us who may pass.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.routes.iter().all(|route| route.upstream.is_none())
            && self.routes.iter().any(|route| matches!(route.access, Access::SignedIn | Access::Public))
    }

    /// The rule for a request, and its number from zero. The path is taken as it is: what happens to an odd one is
    /// for the judge to say. `client` is `None` where no rule with `clients` may match.
    #[must_use]
    pub fn route_for(
        &self,
        path: &str,
        method: &Method,
        client: Option<IpAddr>,
    ) -> Option<(usize, &Arc<Route>)> {
        let fits =
            |number: usize| self.routes.get(number).is_some_and(|route| route.matches(path, method, client));
        let number = self.index.first(path, fits)?;
        self.routes.get(number).map(|route| (number, route))
    }

    /// The rules that say who passes on an odd path: of those that ask the same, the first.
    pub(super) fn strict(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.index.strict().iter().filter_map(|number| self.routes.get(*number))
    }

    /// Header names of every identity table of its routes, and those that some route tells the app by
    /// `set_request_headers`, each once: reserved on all routes, for the app believes them on all.
    #[must_use]
    pub fn table_names(&self) -> &[String] {
        &self.tables
    }

    /// Every `strip_prefix` of its routes, each once.
    pub fn strip_prefixes(&self) -> impl Iterator<Item = &str> {
        self.strip_prefixes.iter().map(String::as_str)
    }

    /// Every header name that `set_request_headers` of a route sets, each once.
    pub fn set_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.set_names.iter()
    }
}

/// Fields that visitors need where no route sets them: they say what is asked for, and prove nothing.
fn is_the_visitors(name: &HeaderName) -> bool {
    let name = name.as_str();
    let families = ["accept", "access-control-", "content-", "if-", "sec-"];
    let single =
        ["authorization", "cache-control", "dnt", "origin", "pragma", "range", "referer", "user-agent"];
    families.iter().any(|family| name.starts_with(family)) || single.contains(&name)
}

/// A tenant: its own people, sessions, letters and looks.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name, part of every token.
    pub name: String,
    /// Where its people sign in.
    pub url: Origin,
    /// The address given as `url`, with its path: where a sign-in without a wish leads.
    pub start: String,
    /// Who may sign in.
    pub allow: AllowList,
    /// Whether they may ask for links.
    pub sign_in: SignIn,
    /// `[groups]`, the site's own and the file's.
    pub groups: Groups,
    /// `[[user]]`, by canonical address.
    pub users: HashMap<EmailAddress, Profile>,
    /// Who looks after it.
    pub administrators: AllowList,
    /// Its apps.
    pub apps: Vec<Arc<App>>,
    /// Every origin of the site, `url` first.
    pub hosts: Vec<Origin>,
}

impl Site {
    /// Puts a person together from the file and the store. `None`: this person is switched off or has run out, so
    /// no rule may let them in.
    #[must_use]
    pub fn identity(
        &self,
        email: &EmailAddress,
        stored: Option<&Profile>,
        now: Timestamp,
    ) -> Option<Identity> {
        let file = self.users.get(email);
        let live = |profile: &&Profile| profile.until.is_none_or(|until| now < until);
        if [file, stored].into_iter().flatten().any(|profile| profile.disabled || !live(&profile)) {
            return None;
        }
        let mut name = String::new();
        let mut user = String::new();
        let mut attributes = std::collections::BTreeMap::new();
        for profile in [file, stored].into_iter().flatten() {
            if name.is_empty() {
                name.clone_from(&profile.name);
            }
            if user.is_empty() {
                user.clone_from(&profile.id);
            }
            for (key, value) in &profile.attributes {
                attributes.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        if user.is_empty() {
            email.as_str().clone_into(&mut user);
        }
        let listed = file.is_some() || stored.is_some();
        let file_groups = file.into_iter().flat_map(|profile| profile.groups.iter().cloned());
        // A stored group may not bear a name that the file uses.
        let stored_groups = stored.into_iter().flat_map(|profile| profile.groups.iter().cloned());
        let own = file_groups.chain(stored_groups.filter(|name| !self.groups.defines(name)));
        let groups = self.groups.of(email, listed, own);
        Some(Identity { email: email.clone(), name, user, groups, attributes, listed })
    }

    /// The one judge for sign-ins: may this person have a session of this site?
    #[must_use]
    pub fn may_sign_in(&self, who: &Identity) -> bool {
        self.allow.admits(who)
    }

    /// Whether an origin is one of the site's.
    #[must_use]
    pub fn has_origin(&self, origin: &Origin) -> bool {
        self.hosts.contains(origin)
    }
}

/// What answers on one host name.
#[derive(Clone, Debug)]
pub struct Host {
    /// The tenant.
    pub site: Arc<Site>,
    /// The host's origin.
    pub origin: Origin,
    /// `None`: only our own pages live here.
    pub app: Option<Arc<App>>,
}

/// All sites, by name and by host: looked up at the same cost for one and for thousands.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    all: Vec<Arc<Site>>,
    names: HashMap<String, usize, RandomState>,
    hosts: HashMap<String, Host, RandomState>,
}

impl Sites {
    /// Files the sites by host.
    ///
    /// # Errors
    /// Two sites or apps claim one host, or two sites one name.
    pub fn new(sites: Vec<Site>) -> Result<Self, String> {
        let mut built = Self::default();
        for site in sites {
            let site = Arc::new(site);
            if built.names.insert(site.name.clone(), built.all.len()).is_some() {
                return Err(format!("two sites are named {:?}; give one another name", site.name));
            }
            for origin in &site.hosts {
                let app = site.apps.iter().find(|app| app.origin == *origin).cloned();
                let host = Host { site: Arc::clone(&site), origin: origin.clone(), app };
                if built.hosts.insert(origin.host().to_owned(), host).is_some() {
                    return Err(format!(
                        "the host {} is named twice; a host belongs to one app",
                        origin.host()
                    ));
                }
            }
            built.all.push(site);
        }
        Ok(built)
    }

    /// By canonical host name (see [`super::Target`]).
    #[must_use]
    pub fn by_host(&self, host: &str) -> Option<&Host> {
        self.hosts.get(host)
    }

    /// By the site's name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Site>> {
        self.all.get(*self.names.get(name)?)
    }

    /// All of them, as in the file.
    #[must_use]
    pub fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;
    use crate::policy::Access;
    use crate::policy::fixture::app_at;
    use crate::policy::fixture::route;
    use crate::policy::fixture::site;

    fn many(count: usize) -> Sites {
        let one = |number: usize| {
            let app = app_at(&format!("https://wiki-{number}.example.com"), vec![route("/", Access::Public)]);
            Site { name: format!("wiki-{number}"), ..site(app) }
        };
        Sites::new((0..count).map(one).collect()).unwrap()
    }

    /// The best of many short rounds that take turns: what else runs on the machine slows some of them, never all.
    fn best(ways: [&dyn Fn(); 2]) -> [f64; 2] {
        let mut best = [f64::MAX; 2];
        for _ in 0..300 {
            for (best, way) in best.iter_mut().zip(ways) {
                let began = Instant::now();
                way();
                *best = best.min(began.elapsed().as_secs_f64());
            }
        }
        best
    }

    #[test]
    fn a_site_is_found_among_a_thousand_as_fast_as_alone() {
        let (one, thousand) = (many(1), many(1_000));
        let look = |sites: &Sites, number: usize| {
            for _ in 0..50 {
                assert!(black_box(sites).by_host(&format!("wiki-{number}.example.com")).is_some());
                assert!(black_box(sites).by_name(&format!("wiki-{number}")).is_some());
            }
        };
        let [alone, among] = best([&|| look(&one, 0), &|| look(&thousand, 999)]);
        // A list read from the top would cost a hundred times as much; bench/MICRO.md has the figures.
        assert!(among < 3.0 * alone, "{alone} s against {among} s");
    }

    #[test]
    fn two_sites_claim_neither_one_name_nor_one_host() {
        let at = |url: &str, name: &str| Site {
            name: name.into(),
            ..site(app_at(url, vec![route("/", Access::Public)]))
        };
        let (a, b) = ("https://a.example.com", "https://b.example.com");
        assert!(Sites::new(vec![at(a, "one"), at(b, "one")]).unwrap_err().contains("\"one\""));
        assert!(Sites::new(vec![at(a, "one"), at(a, "two")]).unwrap_err().contains("a.example.com"));
        let sites = Sites::new(vec![at(a, "one"), at(b, "two")]).unwrap();
        for (number, host) in ["a.example.com", "b.example.com"].into_iter().enumerate() {
            let found = &sites.by_host(host).unwrap().site;
            assert!(Arc::ptr_eq(found, &sites.all()[number]));
            assert!(Arc::ptr_eq(found, sites.by_name(&found.name).unwrap()));
        }
    }
}

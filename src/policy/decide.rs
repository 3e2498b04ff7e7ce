//! The decision. "Allow" has one exit: the one place that makes a [`Granted`].

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::Access;
use super::App;
use super::Host;
use super::Route;
use super::Site;
use super::Target;
use super::Upstream;
use crate::identity::Identity;

/// A yes. Only [`judge`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a, 'w> {
    app: &'a Arc<App>,
    route: &'a Arc<Route>,
    identity: Option<&'w Arc<Identity>>,
}

impl<'a, 'w> Granted<'a, 'w> {
    /// The app.
    #[must_use]
    pub const fn app(&self) -> &'a Arc<App> {
        self.app
    }

    /// The rule that decided.
    #[must_use]
    pub const fn route(&self) -> &'a Arc<Route> {
        self.route
    }

    /// Whom to name to the app; `None`: nobody, every identity header is empty.
    #[must_use]
    pub const fn identity(&self) -> Option<&'w Arc<Identity>> {
        self.identity
    }
}

/// Leave to forward one request: a yes, and where to. Only [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Permitted {
    app: Arc<App>,
    route: Arc<Route>,
    upstream: Arc<Upstream>,
    identity: Option<Arc<Identity>>,
}

impl Permitted {
    /// The app.
    #[must_use]
    pub const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The rule that decided.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Where to.
    #[must_use]
    pub const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Whom to name to the app; `None`: nobody, every identity header is empty.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }
}

/// Somebody who asks, and by which credential.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The person, as rules see them.
    pub identity: &'a Arc<Identity>,
    /// True for a bearer token, false for the session cookie.
    pub by_bearer: bool,
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is signed in, and the rule wants somebody.
    SignIn,
    /// Somebody is, whom the rule does not admit.
    NotAllowed,
    /// The rule admits nobody.
    Denied,
    /// The app's sign-out address: end the session.
    SignOut,
    /// No app answers here: only our own pages do.
    NoApp,
}

/// Judges one request, for whoever forwards it. `client` is `None` where the visitor's address cannot be trusted: then
/// no rule with `clients` matches. An odd path passes only if every route of the host admits this person.
///
/// # Errors
/// [`Refusal`] says what is missing.
pub fn judge<'a, 'w>(
    host: &'a Host,
    target: &Target,
    method: &Method,
    client: Option<IpAddr>,
    who: Option<Asker<'w>>,
) -> Result<Granted<'a, 'w>, Refusal> {
    let app = host.app.as_ref().ok_or(Refusal::NoApp)?;
    judge_app(&host.site, app, target, method, client, who)
}

/// As [`judge`], where the app is known already.
///
/// # Errors
/// [`Refusal`] says what is missing.
pub fn judge_app<'a, 'w>(
    site: &Site,
    app: &'a Arc<App>,
    target: &Target,
    method: &Method,
    client: Option<IpAddr>,
    who: Option<Asker<'w>>,
) -> Result<Granted<'a, 'w>, Refusal> {
    let route = if target.odd {
        for route in app.strict() {
            admit(site, app, route, who, true)?;
        }
        app.routes().last()
    } else {
        app.route_for(&target.path, method, client).map(|(_, route)| route)
    };
    let route = route.ok_or(Refusal::Denied)?;
    let identity = admit(site, app, route, who, target.odd)?;
    Ok(Granted { app, route, identity })
}

/// Judges one request that we forward ourselves: as [`judge`], and there must be somewhere to forward it to.
///
/// # Errors
/// [`Refusal`] says what is missing.
pub fn decide(
    host: &Host,
    target: &Target,
    method: &Method,
    client: Option<IpAddr>,
    who: Option<Asker<'_>>,
) -> Result<Permitted, Refusal> {
    let Granted { app, route, identity } = judge(host, target, method, client, who)?;
    let upstream = route.upstream.clone().ok_or(Refusal::NoApp)?;
    Ok(Permitted { app: Arc::clone(app), route: Arc::clone(route), upstream, identity: identity.cloned() })
}

/// Whom the route lets through as; `Ok(None)`: anybody, namelessly.
fn admit<'a>(
    site: &Site,
    app: &App,
    route: &Route,
    who: Option<Asker<'a>>,
    odd: bool,
) -> Result<Option<&'a Arc<Identity>>, Refusal> {
    // A credential that the route does not take is no credential.
    let taken = |asker: &Asker<'_>| if asker.by_bearer { route.accept.bearer } else { route.accept.session };
    let who = who.filter(taken).map(|asker| asker.identity);
    let allowed = |who: &Arc<Identity>| {
        site.allow.admits(who)
            && app.allow.as_ref().is_none_or(|list| list.admits(who))
            && route.allow.as_ref().is_none_or(|list| list.admits(who))
    };
    match route.access {
        Access::Deny => Err(Refusal::Denied),
        Access::SignOut if odd => Err(Refusal::Denied),
        Access::SignOut => Err(Refusal::SignOut),
        // On a public route a person who would not be let in here stays nameless.
        Access::Public => Ok(who.filter(|who| allowed(who))),
        Access::SignedIn => match who {
            None => Err(Refusal::SignIn),
            Some(who) if allowed(who) => Ok(Some(who)),
            Some(_) => Err(Refusal::NotAllowed),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::EmailAddress;
    use crate::policy::Sites;
    use crate::policy::fixture::list;
    use crate::policy::fixture::route;
    use crate::policy::fixture::sites;

    fn person(sites: &Sites, address: &str) -> Arc<Identity> {
        let email = EmailAddress::parse(address).unwrap();
        Arc::new(sites.by_name("wiki").unwrap().identity(&email, None, Timestamp::from_seconds(0)).unwrap())
    }

    fn judge(sites: &Sites, path: &str, who: Option<&Arc<Identity>>) -> Result<Option<String>, Refusal> {
        judge_from(sites, path, None, who)
    }

    fn judge_from(
        sites: &Sites,
        path: &str,
        client: Option<&str>,
        who: Option<&Arc<Identity>>,
    ) -> Result<Option<String>, Refusal> {
        let target = Target::parse(true, "wiki.example.com", path).unwrap();
        let host = sites.by_host(&target.host).unwrap();
        let who = who.map(|identity| Asker { identity, by_bearer: false });
        let client = client.map(|ip| ip.parse().unwrap());
        decide(host, &target, &Method::GET, client, who)
            .map(|permitted| permitted.identity().map(|who| who.email.to_string()))
    }

    #[test]
    fn a_signed_in_route_wants_somebody_and_the_right_one() {
        let mut admin = route("/admin", Access::SignedIn);
        admin.allow = Some(list(&["group:staff"]));
        let sites = sites(vec![admin, route("/", Access::SignedIn)]);
        let (alice, bob) = (person(&sites, "alice@example.com"), person(&sites, "bob@example.com"));
        assert_eq!(judge(&sites, "/", None), Err(Refusal::SignIn));
        assert_eq!(judge(&sites, "/", Some(&bob)), Ok(Some("bob@example.com".into())));
        assert_eq!(judge(&sites, "/admin/x", Some(&bob)), Err(Refusal::NotAllowed));
        assert_eq!(judge(&sites, "/%61dmin", Some(&bob)), Err(Refusal::NotAllowed));
        assert_eq!(judge(&sites, "/admin/x", Some(&alice)), Ok(Some("alice@example.com".into())));
        assert!(judge(&sites, "/administrator", Some(&bob)).is_ok());
        let stranger = person(&sites, "mallory@evil.example");
        assert_eq!(judge(&sites, "/", Some(&stranger)), Err(Refusal::NotAllowed));
    }

    #[test]
    fn an_odd_path_never_meets_a_public_rule() {
        let sites = sites(vec![route("/share/", Access::Public), route("/", Access::SignedIn)]);
        let bob = person(&sites, "bob@example.com");
        assert_eq!(judge(&sites, "/share/x", None), Ok(None));
        for odd in [
            "/share/../x",
            "/share/%2e%2e/x",
            "/share//x",
            "/share/..%2fx",
            "/share/x;y",
            "/share\\x",
            "//share/",
        ] {
            assert_eq!(judge(&sites, odd, None), Err(Refusal::SignIn), "{odd}");
            assert!(judge(&sites, odd, Some(&bob)).is_ok(), "{odd}");
        }
        for outside in ["/shared", "/sharex/", "/x?/share/", "/Share/"] {
            assert_eq!(judge(&sites, outside, None), Err(Refusal::SignIn), "{outside}");
        }
    }

    #[test]
    fn on_a_public_route_a_person_without_rights_stays_nameless() {
        let sites = sites(vec![route("/", Access::Public)]);
        assert_eq!(judge(&sites, "/", Some(&person(&sites, "mallory@evil.example"))), Ok(None));
        assert_eq!(
            judge(&sites, "/", Some(&person(&sites, "bob@example.com"))),
            Ok(Some("bob@example.com".into()))
        );
    }

    #[test]
    fn a_client_rule_matches_no_untrusted_address() {
        let mut near = route("/", Access::Public);
        near.clients = vec!["10.0.0.0/8".parse().unwrap()];
        let sites = sites(vec![near, route("/", Access::SignedIn)]);
        assert_eq!(judge_from(&sites, "/", Some("10.1.2.3"), None), Ok(None));
        assert_eq!(judge_from(&sites, "/", Some("11.1.2.3"), None), Err(Refusal::SignIn));
        assert_eq!(judge_from(&sites, "/", None, None), Err(Refusal::SignIn));
    }

    #[test]
    fn a_credential_that_the_route_does_not_take_is_none() {
        let sites = sites(vec![route("/", Access::SignedIn)]);
        let bob = person(&sites, "bob@example.com");
        let target = Target::parse(true, "wiki.example.com", "/").unwrap();
        let host = sites.by_host("wiki.example.com").unwrap();
        let asker = Asker { identity: &bob, by_bearer: true };
        assert_eq!(decide(host, &target, &Method::GET, None, Some(asker)).unwrap_err(), Refusal::SignIn);
    }
}

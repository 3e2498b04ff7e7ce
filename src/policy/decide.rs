//! The decision. "Allow" has one exit: the one place that makes a [`Permitted`].

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::Access;
use super::App;
use super::Host;
use super::Route;
use super::Target;
use super::Upstream;
use crate::identity::Identity;

/// Leave to forward one request. Only [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Permitted {
    app: Arc<App>,
    route: Arc<Route>,
    upstream: Upstream,
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
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Whom to name to the app; `None`: nobody, every identity header is empty.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }
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

/// Judges one request. `client` is `None` where the visitor's address cannot be trusted: then no rule with `clients`
/// matches. An odd path passes only if every route of the host admits this person.
///
/// # Errors
/// [`Refusal`] says what is missing.
pub fn decide(
    host: &Host,
    target: &Target,
    method: &Method,
    client: Option<IpAddr>,
    who: Option<&Arc<Identity>>,
) -> Result<Permitted, Refusal> {
    let app = host.app.as_ref().ok_or(Refusal::NoApp)?;
    let route = if target.odd {
        for route in &app.routes {
            admit(host, app, route, who, true)?;
        }
        app.routes.last()
    } else {
        app.routes.iter().find(|route| matches(route, target, method, client))
    };
    let route = route.ok_or(Refusal::Denied)?;
    let identity = admit(host, app, route, who, target.odd)?;
    let upstream = route.upstream.clone().ok_or(Refusal::NoApp)?;
    Ok(Permitted { app: Arc::clone(app), route: Arc::clone(route), upstream, identity: identity.cloned() })
}

/// Whom the route lets through as; `Ok(None)`: anybody, namelessly.
fn admit<'a>(
    host: &Host,
    app: &App,
    route: &Route,
    who: Option<&'a Arc<Identity>>,
    odd: bool,
) -> Result<Option<&'a Arc<Identity>>, Refusal> {
    let allowed = |who: &Arc<Identity>| {
        host.site.allow.admits(who)
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

fn matches(route: &Route, target: &Target, method: &Method, client: Option<IpAddr>) -> bool {
    route.path.covers(&target.path, route.ignore_case)
        && (route.methods.is_empty() || route.methods.contains(method))
        && (route.clients.is_empty()
            || client.is_some_and(|ip| route.clients.iter().any(|net| net.contains(&ip))))
}

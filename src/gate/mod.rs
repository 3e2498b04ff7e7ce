//! REQUEST: one list of early returns, from a parsed request to an answer. Never fails: every error becomes an answer
//! in `answer.rs`, and "allow" is said by `policy` alone.

mod again;
pub mod answer;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod body;
mod client;
mod forward;
mod guard;
mod hosts;
mod identify;
mod open;
mod private;
mod record;
mod shelf;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use tower_service::Service as _;

use again::Ask;
use answer::Fault;
pub use body::Body;
pub use client::Client;
pub use client::Connection;
pub use client::Peer;
pub use client::Trust;
use guard::Complaints;
use guard::Way;
use hosts::Hosted;
use hosts::Hosts;
use identify::Found;
use identify::Known;
use identify::Passes;
pub use open::Cut;
pub use open::Line;
use open::Register;
use record::Reference;
use record::References;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::Keyring;
use crate::identity::Standing;
use crate::login::Current;
use crate::login::Login;
use crate::login::SiteSettings;
use crate::login::Visitor;
use crate::policy::Asker;
use crate::policy::Host;
use crate::policy::Refusal;
use crate::policy::Sites;
use crate::policy::Target;
use crate::policy::decide;
use crate::proxy::Proxy;
use crate::proxy::Wish;
use crate::random::Random;

/// What a gate is built from.
pub struct Parts {
    /// Sites by host.
    pub sites: Arc<Sites>,
    /// Per site: pages, looks, lifetimes. Keys are the sites' names.
    pub settings: HashMap<String, Arc<SiteSettings>>,
    /// Own pages live below it, on every host: `/.linkgate`.
    pub prefix: String,
    /// Whose forwarding headers are believed.
    pub trust: Trust,
    /// Beyond this age of the standing nobody is let in by it.
    pub max_staleness: Duration,
    /// Of the pools that each worker keeps.
    pub proxy: crate::proxy::Settings,
    /// One line a request.
    pub access_log: bool,
    /// People, revocations.
    pub standing: Arc<Standing>,
    /// Keys.
    pub keys: Arc<Keyring>,
    /// Own pages.
    pub login: Arc<Login>,
    /// More own pages (the demo's inbox); `None`: no more.
    pub extra: Option<Router>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// The pipeline of one configuration; a reload builds another.
pub struct Gate {
    parts: Parts,
    router: Router,
    complaints: Complaints,
}

/// What one worker keeps for itself.
pub struct Worker {
    passes: Passes,
    references: References,
    proxy: Proxy,
    /// Outlives the gate.
    open: Register,
    /// The gate's number there.
    number: u64,
    router: Router,
    hosts: Hosts,
}

impl Worker {
    /// A stop begins: what is open and would never end is told to.
    pub fn leave(&self) {
        self.open.leave();
    }
}

/// One request on its way, as far as it is known.
struct Journey<'a> {
    place: &'a Hosted,
    client: &'a Client,
    reference: &'a Reference,
    now: Timestamp,
    line: Line,
}

impl Journey<'_> {
    fn visitor(&self, found: &Found) -> Visitor {
        visitor(self.place, self.client, self.reference, found)
    }
}

impl Gate {
    /// Builds the pipeline.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let mut router = parts.login.router().merge(jwks(&parts.keys));
        if let Some(extra) = parts.extra.clone() {
            router = router.merge(extra);
        }
        Self { parts, router, complaints: Complaints::default() }
    }

    /// What a worker keeps for itself: made on its thread, never leaves it. Takes over from `previous` what is open.
    #[must_use]
    pub fn worker(self: &Arc<Self>, previous: Option<&Worker>) -> Worker {
        let open = previous.map_or_else(Register::default, |previous| previous.open.clone());
        let number = open.obey(self);
        Worker {
            passes: Passes::default(),
            references: References::new(&self.parts.random),
            proxy: Proxy::new(&self.parts.proxy, &self.parts.random),
            open,
            number,
            router: self.router.clone(),
            hosts: Hosts::new(&self.parts),
        }
    }

    /// Whether a site has this host (canonical name): for redirects from http to https.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.parts.sites.by_host(name)
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        worker: &Worker,
        connection: Connection,
        line: Line,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let reference = worker.references.next();
        let record = self.parts.access_log.then(|| record::Line::of(&request));
        let answer = self.answer(worker, connection, line, request, &reference).await;
        if let Some(record) = record {
            record.write(reference.as_str(), answer.status());
        }
        answer
    }

    async fn answer(
        &self,
        worker: &Worker,
        connection: Connection,
        line: Line,
        mut request: Request<Incoming>,
        reference: &Reference,
    ) -> Response<Body> {
        if let Some(way) = Way::of(&self.parts.prefix, request.uri()) {
            return self.guard(worker, connection, &way, &request, reference).await;
        }
        let wish = Wish::of(&request);
        let mut method = request.method().clone();
        if wish.as_ref().is_some_and(Wish::is_by_connect) {
            // Looked at as what HTTP/1.1 would have said (RFC 8441 §5).
            method = Method::GET;
            request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        let client = match client::client(&self.parts.trust, connection, request.headers()) {
            Ok(client) => client,
            Err(what) => return answer::plain(&Fault::Forwarding(what).shown(), reference.as_str()),
        };
        let authority = client.host.as_deref().or_else(|| authority(&request)).unwrap_or_default();
        let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
        let target = match Target::parse(client.secure, authority, asked) {
            Ok(target) => target,
            Err(error) => return answer::plain(&Fault::Target(error).shown(), reference.as_str()),
        };
        let Some(place) = worker.hosts.get(&target.host) else {
            return answer::plain(&Fault::UnknownHost(target.host).shown(), reference.as_str());
        };
        let now = self.parts.clock.now();
        let host = &place.host;
        let journey = Journey { place, client: &client, reference, now, line };
        if host.origin.secure() && !client.secure {
            return to_https(host, &target, &client, &method)
                .unwrap_or_else(|| answer::plain(&Fault::Insecure.shown(), reference.as_str()));
        }
        let known = Known {
            standing: &self.parts.standing,
            keys: &self.parts.keys,
            sites: &self.parts.sites,
            now: journey.now,
        };
        let found = worker.passes.find(&known, host, &place.names, request.headers());
        let visitor = |found: &Found| journey.visitor(found);
        if found.presented && !self.fresh(journey.now) {
            return self.fault(&visitor(&found), request.headers(), &Fault::Stale);
        }
        match own_path(&self.parts.prefix, &target) {
            // Before anything was loaded the keys are nobody's: what they sign would be of no use a moment later.
            Own::Ours(path) if !self.loaded(journey.now) && !path.starts_with("/assets/") => {
                return self.fault(&visitor(&found), request.headers(), &Fault::Stale);
            }
            Own::Ours(path) => {
                let Ok(uri) = path.parse() else {
                    return self.fault(&visitor(&found), request.headers(), &Fault::NotFound);
                };
                *request.uri_mut() = uri;
                return self
                    .own(worker, connection, visitor(&found), request.map(axum::body::Body::new))
                    .await;
            }
            Own::Disguised => return self.fault(&visitor(&found), request.headers(), &Fault::NotFound),
            Own::Theirs => {}
        }
        let who =
            found.pass.as_ref().map(|pass| Asker { identity: &pass.identity, by_bearer: found.by_bearer });
        let certain = client.certain.then_some(client.ip);
        match decide(host, &target, &method, certain, who) {
            Ok(permitted) => {
                let (pass, by_bearer) = (found.pass.clone(), found.by_bearer);
                let told = permitted.identity().is_some();
                let ask = Box::new(Ask { target, method, client: certain, pass, by_bearer, told, wish });
                self.forward(worker, &journey, &found, &permitted, ask, request).await
            }
            Err(refusal) => self.refuse(&visitor(&found), refusal, &target, &method, request.headers()),
        }
    }

    fn loaded(&self, now: Timestamp) -> bool {
        self.parts.standing.age(now).is_some()
    }

    fn fresh(&self, now: Timestamp) -> bool {
        self.parts.standing.age(now).is_some_and(|age| age <= self.parts.max_staleness)
    }

    async fn own(
        &self,
        worker: &Worker,
        connection: Connection,
        visitor: Visitor,
        mut request: Request<axum::body::Body>,
    ) -> Response<Body> {
        request.extensions_mut().insert(visitor);
        request.extensions_mut().insert(connection);
        match worker.router.clone().call(request).await {
            Ok(answer) => answer.map(Body::Own),
            Err(never) => match never {},
        }
    }

    fn refuse(
        &self,
        visitor: &Visitor,
        refusal: Refusal,
        target: &Target,
        method: &Method,
        headers: &http::HeaderMap,
    ) -> Response<Body> {
        let login = &self.parts.login;
        match refusal {
            // Signed in, but by a credential that this route does not take: signing in again would lead back here.
            Refusal::SignIn if visitor.session.is_some() => login.denied(visitor, headers).map(Body::Own),
            Refusal::SignIn => login.start_sign_in(visitor, target, method, headers).map(Body::Own),
            Refusal::NotAllowed | Refusal::Denied => login.denied(visitor, headers).map(Body::Own),
            Refusal::SignOut => see_other(&format!("{}/logout", self.parts.prefix)),
            Refusal::NoApp if target.path == "/" => see_other(&format!("{}/", self.parts.prefix)),
            Refusal::NoApp => self.fault(visitor, headers, &Fault::NotFound),
        }
    }

    fn fault(&self, visitor: &Visitor, headers: &http::HeaderMap, fault: &Fault) -> Response<Body> {
        let shown = fault.shown();
        self.parts.login.error(visitor, headers, shown.status, shown.kind, &shown.detail).map(Body::Own)
    }
}

fn visitor(place: &Hosted, client: &Client, reference: &Reference, found: &Found) -> Visitor {
    let session = found
        .pass
        .as_ref()
        .map(|pass| Arc::new(Current { claims: pass.claims.clone(), identity: Arc::clone(&pass.identity) }));
    Visitor {
        site: Arc::clone(&place.settings),
        origin: place.host.origin.clone(),
        cookies: place.names.clone(),
        client: client.ip,
        session,
        request_id: reference.as_str().to_owned(),
    }
}

fn authority(request: &Request<Incoming>) -> Option<&str> {
    let from_target = request.uri().authority().map(http::uri::Authority::as_str);
    from_target.or_else(|| request.headers().get(header::HOST).and_then(|host| host.to_str().ok()))
}

/// `/jwks.json`: public keys of the identity assertion (RFC 7517), for apps that verify it.
fn jwks(keys: &Arc<Keyring>) -> Router {
    let keys = Arc::clone(keys);
    let answer = move || {
        let document = keys.assertions().jwks();
        async move {
            let headers = [
                (header::CONTENT_TYPE, "application/jwk-set+json"),
                (header::CACHE_CONTROL, "public, max-age=300"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, document)
        }
    };
    Router::new().route("/jwks.json", axum::routing::get(answer))
}

enum Own {
    /// Below our prefix: path and query without it.
    Ours(String),
    /// Our prefix in another spelling: nobody's.
    Disguised,
    /// The app's.
    Theirs,
}

fn own_path(prefix: &str, target: &Target) -> Own {
    let below = |path: &str| {
        path.len() >= prefix.len()
            && path.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            && path.get(prefix.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !target.odd && target.raw_path().starts_with(prefix) && below(&target.path) && below(target.raw_path())
    {
        let rest = target.raw.get(prefix.len()..).unwrap_or_default();
        let slash = if rest.starts_with('/') { "" } else { "/" };
        return Own::Ours(format!("{slash}{rest}"));
    }
    // The common case costs one look: a path without odd marks that does not begin like ours is not ours.
    let plain = !target.odd && !target.raw_path().contains('%');
    let disguised = if plain {
        below(&target.path)
    } else {
        below(&target.folded_path()) || below(&target.leading_path())
    };
    if disguised { Own::Disguised } else { Own::Theirs }
}

/// 308 to the same address by https; `None` where that would go in a circle, or lose a body.
fn to_https(host: &Host, target: &Target, client: &Client, method: &Method) -> Option<Response<Body>> {
    if client.unbelieved || client.chain.is_some() || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::from_str(&format!("{}{}", host.origin, target.raw)).ok()?;
    answer.headers_mut().insert(header::LOCATION, location);
    Some(answer)
}

fn see_other(path: &str) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(path) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

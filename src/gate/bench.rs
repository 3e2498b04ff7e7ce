//! Doors for `bench/micro`: what the gate does for a request, piece by piece and without sockets. Only with the feature
//! `bench`, never part of the program; lets nobody through.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::request;

use super::Connection;
use super::Gate;
use super::Hosted;
use super::Known;
use super::Own;
use super::Peer;
use super::Worker;
use super::client;
use super::guard::Asking;
use super::identify::Found;
use super::identify::Passes;
use super::identify::Told;
use super::own_path;
use super::record::Reference;
use crate::policy::Asker;
use crate::policy::Permitted;
use crate::policy::Target;
use crate::policy::decide;
use crate::proxy::Visit;

/// Every connection comes from here.
const LOOPBACK: Connection = Connection {
    peer: Peer::Ip(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1)),
    local_port: 443,
    secure: true,
};

/// One worker of a gate.
pub struct Desk {
    gate: Arc<Gate>,
    worker: Worker,
    reference: HeaderValue,
    asked: Reference,
}

/// A request that may pass, ready for its headers to be made.
pub struct Ready<'a> {
    permitted: Permitted,
    target: Target,
    place: &'a Hosted,
    told: Option<Told>,
}

impl Desk {
    /// Sits down.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        let gate = Arc::new(gate);
        let worker = gate.worker(None);
        let asked = worker.references.next();
        Self { gate, worker, reference: HeaderValue::from_static("0000-0000-0000"), asked }
    }

    /// Whether somebody is signed in, by what is remembered.
    #[must_use]
    pub fn session(&self, host: &str, headers: &HeaderMap) -> bool {
        self.found(&self.worker.passes, host, headers).is_some_and(|found| found.pass.is_some())
    }

    /// Whether somebody is signed in, with nothing remembered: as in the first request after a revocation.
    #[must_use]
    pub fn session_anew(&self, host: &str, headers: &HeaderMap) -> bool {
        self.found(&Passes::default(), host, headers).is_some_and(|found| found.pass.is_some())
    }

    /// The status of an answer at `/check/nginx`.
    #[must_use]
    pub fn check(&self, headers: &HeaderMap) -> u16 {
        let asking = Asking { method: &Method::GET, authority: None, headers };
        self.gate.nginx(&self.worker, LOOPBACK, &asking, &self.asked).status().as_u16()
    }

    /// The head of a GET.
    #[must_use]
    pub fn head(path: &str, headers: &HeaderMap) -> Option<request::Parts> {
        let mut head = Request::builder().uri(path).body(()).ok()?.into_parts().0;
        head.headers.clone_from(headers);
        Some(head)
    }

    /// All that is asked of a request before its headers are made.
    #[must_use]
    pub fn ready(&self, authority: &str, head: &request::Parts) -> Option<Ready<'_>> {
        let gate = &self.gate;
        let client = client::client(&gate.parts.trust, LOOPBACK, &head.headers).ok()?;
        let target = Target::parse(true, authority, head.uri.path_and_query()?.as_str()).ok()?;
        let place = self.worker.hosts.get(&target.host)?;
        let found = self.found(&self.worker.passes, &target.host, &head.headers)?;
        if !matches!(own_path(&gate.parts.prefix, &target), Own::Theirs) {
            return None;
        }
        let pass = found.pass.as_ref()?;
        let who = Asker { identity: &pass.identity, by_bearer: found.by_bearer };
        let client = client.certain.then_some(client.ip);
        let permitted = decide(&place.host, &target, &Method::GET, client, Some(who)).ok()?;
        let now = gate.parts.clock.now();
        let told = pass.told(&gate.parts.keys, &place.host, permitted.app(), permitted.route(), now);
        Some(Ready { permitted, target, place, told })
    }

    /// The headers that the app gets; their number.
    #[must_use]
    pub fn header_rules(&self, ready: &Ready<'_>, head: &request::Parts) -> usize {
        let visit = Visit {
            client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            forwarded_for: None,
            secure: true,
            host: &ready.place.authority,
            port: &ready.place.port,
            request_id: &self.reference,
            cookies: &ready.place.names,
            identity: ready.told.as_ref().map(|told| &told.values),
            consumed_authorization: false,
            assertion: ready.told.as_ref().map(|told| &told.assertion),
        };
        self.worker.proxy.header_rules(&ready.permitted, &ready.target, head, &visit)
    }

    fn found(&self, passes: &Passes, host: &str, headers: &HeaderMap) -> Option<Found> {
        let place = self.worker.hosts.get(host)?;
        let parts = &self.gate.parts;
        let (standing, keys, sites, now) = (&parts.standing, &parts.keys, &parts.sites, parts.clock.now());
        let found = passes.find(&Known { standing, keys, sites, now }, &place.host, &place.names, headers);
        self.gate.fresh(now).then_some(found)
    }
}

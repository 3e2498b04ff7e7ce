//! The guard of another proxy: it holds a request back, asks us whether it may pass, and forwards it itself. Every way
//! of asking ends in one question and one judge: the same target, session and rules as on the way through us. Never
//! reads a body, never believes a peer that `trusted_proxies` does not name.

mod complaints;
mod dialect;
mod nginx;
mod whole;
mod yes;

use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http::Version;
use http::header;
use hyper::body::Body as _;
use hyper::body::Incoming;

pub use complaints::Complaints;
use complaints::Cure;
pub use dialect::Asking;
pub use dialect::Way;

use super::Body;
use super::Client;
use super::Connection;
use super::Gate;
use super::Own;
use super::Peer;
use super::Worker;
use super::answer::Fault;
use super::client;
use super::hosts::Hosted;
use super::identify::Found;
use super::identify::Known;
use super::identify::Told;
use super::own_path;
use super::record::Reference;
use crate::clock::Timestamp;
use crate::policy::Asker;
use crate::policy::IdentityHeaders;
use crate::policy::Refusal;
use crate::policy::Target;
use crate::policy::judge;
use crate::proxy::ForwardError;
use crate::proxy::Wish;
use crate::proxy::is_disguised;

/// What is asked: a request that another proxy holds back until we answer.
struct Question<'a> {
    client: Client,
    method: Method,
    target: Target,
    place: &'a Hosted,
    found: Found,
    now: Timestamp,
}

/// A yes, and what the app is to be told.
struct Yes<'a> {
    /// Every way in which this app names people: another proxy knows its names, but not its routes.
    forms: &'a [IdentityHeaders],
    /// The other proxy forwards it, not we: only there is it told what else the app may have.
    theirs: bool,
    /// `None`: nobody is named, every header is empty.
    told: Option<Told>,
}

/// Why not.
enum No {
    /// The judge says so.
    Rule(Refusal),
    /// One of our own pages (path and query without the prefix), which no app may answer.
    Own(String),
    /// The visitor asks for something that nobody should answer, or something of ours is missing.
    Fault(Fault),
    /// A setting, here or at the other proxy, is wrong.
    Setting(Cure),
}

impl Gate {
    /// Answers another proxy.
    pub(super) async fn guard(
        &self,
        worker: &Worker,
        connection: Connection,
        way: &Way,
        request: &Request<Incoming>,
        reference: &Reference,
    ) -> Response<Body> {
        let asking = Asking::of(request);
        let mut answer = match way {
            Way::Nginx => self.nginx(worker, connection, &asking, reference),
            Way::Challenge | Way::Forward | Way::Envoy(_) => {
                Box::pin(self.whole(worker, connection, way, &asking, reference)).await
            }
        };
        // Where a body was announced that may never come, what follows on this connection has no certain beginning.
        if !request.body().is_end_stream() && request.version() < Version::HTTP_2 {
            answer.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        answer
    }

    /// Reads what another proxy says of a request, and who sends it.
    fn question<'a>(
        &'a self,
        worker: &'a Worker,
        connection: Connection,
        way: &Way,
        asking: &Asking<'_>,
    ) -> Result<Question<'a>, No> {
        if !self.parts.trust.covers(connection.peer) {
            return Err(No::Setting(match connection.peer {
                Peer::Unix => Cure::unix_peer(),
                Peer::Ip(address) => Cure::peer(address.ip()),
            }));
        }
        let headers = asking.headers;
        way.promised(headers)?;
        let client = client::client(&self.parts.trust, connection, headers)
            .map_err(|what| No::Fault(Fault::Forwarding(what)))?;
        let (method, target) = way.original(asking, &client)?;
        let Some(place) = worker.hosts.get(&target.host) else {
            return Err(No::Fault(Fault::UnknownHost(target.host)));
        };
        let host = &place.host;
        if host.origin.secure() && !target.secure {
            return Err(No::Setting(way.plain_http()));
        }
        let now = self.parts.clock.now();
        let (standing, keys, sites) = (&self.parts.standing, &self.parts.keys, &self.parts.sites);
        let found = worker.passes.find(&Known { standing, keys, sites, now }, host, &place.names, headers);
        Ok(Question { client, method, target, place, found, now })
    }

    fn verdict<'a>(&self, question: &Question<'a>, headers: &HeaderMap) -> Result<Yes<'a>, No> {
        let Question { client, method, target, place, found, now } = question;
        if found.presented && !self.fresh(*now) {
            return Err(No::Fault(Fault::Stale));
        }
        match own_path(&self.parts.prefix, target) {
            Own::Theirs => {}
            // A yes here would let an app answer in our name.
            Own::Ours(path) => return Err(No::Own(path)),
            Own::Disguised => return Err(No::Fault(Fault::Check)),
        }
        let host = &place.host;
        let who =
            found.pass.as_ref().map(|pass| Asker { identity: &pass.identity, by_bearer: found.by_bearer });
        let client = client.certain.then_some(client.ip);
        let granted = judge(host, target, method, client, who).map_err(No::Rule)?;
        let (app, route) = (granted.app(), granted.route());
        // The other proxy would hand it to the app.
        if is_disguised(headers, app) {
            return Err(No::Fault(Fault::Forwarding(
                "a header is spelled to be taken for one of the gateway's",
            )));
        }
        // What is let through may become a WebSocket, and browsers send cookies with those of any page.
        if Wish::told_by_proxy(headers).is_some_and(|wish| wish.is_admitted(app, &route.handling).is_err()) {
            return Err(No::Fault(Fault::Forward(ForwardError::ForeignOrigin)));
        }
        let told = match found.pass.as_ref().filter(|_| granted.identity().is_some()) {
            None => None,
            Some(pass) => match pass.told(&self.parts.keys, host, app, route, *now) {
                None => {
                    tracing::error!("the identity assertion could not be signed");
                    return Err(No::Fault(Fault::Stale));
                }
                told => told,
            },
        };
        Ok(Yes { forms: app.identities(), theirs: route.upstream.is_none(), told })
    }

    /// Says why, a wrong setting aloud; never who asked, or for what.
    fn say(&self, no: &No, reference: &Reference) {
        let reference = reference.as_str();
        match no {
            No::Rule(refusal) => tracing::debug!(reference, ?refusal, "a check is refused"),
            No::Own(_) => tracing::debug!(reference, "a check is refused: the path is linkgate's own"),
            No::Fault(fault) => tracing::debug!(reference, ?fault, "a check is refused"),
            No::Setting(cure) => self.complaints.say(cure, self.parts.clock.now(), reference),
        }
    }
}

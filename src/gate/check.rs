//! `/check/nginx`: another proxy asks whether a request may pass (`auth_request`), and forwards it itself. Says 200,
//! 401 or 403 and nothing else, for nginx turns every other answer into a 500; never reads a body, never renews a
//! cookie (an answer to nginx does not reach the browser), never believes a peer that `trusted_proxies` does not name.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use hyper::body::Body as _;
use hyper::body::Incoming;
use url::form_urlencoded::byte_serialize;

use super::Body;
use super::Client;
use super::Connection;
use super::Gate;
use super::Own;
use super::Peer;
use super::Worker;
use super::client;
use super::hosts::Hosted;
use super::identify::Found;
use super::identify::Known;
use super::identify::Told;
use super::own_path;
use crate::clock::Timestamp;
use crate::policy::Asker;
use crate::policy::Host;
use crate::policy::IdentityHeaders;
use crate::policy::Refusal;
use crate::policy::Target;
use crate::policy::judge;
use crate::proxy::IdentityHeaderValues;
use crate::proxy::Wish;

/// Below the prefix, on whatever host nginx names: `proxy_pass` sends its own.
const PATH: &str = "/check/nginx";
static ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static ASSERTION: HeaderName = HeaderName::from_static("linkgate-assertion");
/// nginx reads an answer's head into one buffer (`proxy_buffer_size`), and a larger one is a 502 that it turns into 500.
const LONGEST_LOCATION: usize = 2048;

/// What is asked: a request that another proxy holds back until we answer.
pub(super) struct Question<'a> {
    pub client: Client,
    pub method: Method,
    pub target: Target,
    pub place: &'a Hosted,
    pub found: Found,
    pub now: Timestamp,
}

/// A yes, and what the app is to be told.
struct Yes<'a> {
    form: &'a IdentityHeaders,
    /// `None`: nobody is named, every header is empty.
    told: Option<Told>,
}

/// Why not.
pub(super) enum No {
    /// The judge says so.
    Rule(Refusal),
    /// The visitor asks for something that nobody should answer.
    Refused(&'static str),
    /// A setting, here or in nginx, is wrong; the text names the cure.
    Setting(&'static str),
    /// Ours.
    Internal(&'static str),
}

/// Whether a request is such a question.
pub(super) fn asks(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix) == Some(PATH)
}

impl Gate {
    /// Answers the question.
    pub(super) fn check(
        &self,
        worker: &Worker,
        connection: Connection,
        request: &Request<Incoming>,
        reference: &str,
    ) -> Response<Body> {
        let mut answer = self.checked(worker, connection, request.headers(), reference);
        end_after(request, answer.headers_mut());
        answer
    }

    pub(super) fn checked(
        &self,
        worker: &Worker,
        connection: Connection,
        headers: &HeaderMap,
        reference: &str,
    ) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::FORBIDDEN;
        match self.question(worker, connection, headers) {
            Err(no) => no.log(reference),
            Ok(question) => match self.judged(&question, headers) {
                Ok(yes) => {
                    *answer.status_mut() = StatusCode::OK;
                    tell(answer.headers_mut(), &yes);
                }
                // Who is signed in by a credential that this route does not take would be led back here.
                Err(No::Rule(Refusal::SignIn)) if question.found.pass.is_none() => {
                    *answer.status_mut() = StatusCode::UNAUTHORIZED;
                    challenge(answer.headers_mut(), &self.parts.prefix, &question);
                }
                Err(no) => no.log(reference),
            },
        }
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        answer
    }

    /// Reads what another proxy says of a request, and who sends it.
    pub(super) fn question<'a>(
        &'a self,
        worker: &'a Worker,
        connection: Connection,
        headers: &HeaderMap,
    ) -> Result<Question<'a>, No> {
        if !self.parts.trust.covers(connection.peer) {
            return Err(No::Setting(match connection.peer {
                Peer::Unix => "this peer is not trusted: add \"unix\" to trusted_proxies",
                Peer::Ip(_) => "this peer is not trusted: add nginx's address to trusted_proxies",
            }));
        }
        let client = client::client(&self.parts.trust, connection, headers).map_err(No::Refused)?;
        let method = original_method(headers)?;
        let target = original_target(headers)?;
        let Some(place) = worker.hosts.get(&target.host) else {
            return Err(No::Refused("no site has this host"));
        };
        let host = &place.host;
        if host.origin.secure() && !target.secure {
            return Err(No::Setting(
                "the host is https, but X-Original-URL is http: let nginx redirect plain http by itself, \
                 and send the visitor's scheme",
            ));
        }
        let now = self.parts.clock.now();
        let (standing, keys, sites) = (&self.parts.standing, &self.parts.keys, &self.parts.sites);
        let found = worker.passes.find(&Known { standing, keys, sites, now }, host, &place.names, headers);
        if found.presented && !self.fresh(now) {
            return Err(No::Refused("the list of ended sessions could not be read for too long"));
        }
        match own_path(&self.parts.prefix, &target) {
            Own::Theirs => {}
            // nginx sends these to us by themselves; a yes here would let an app answer in our name.
            Own::Ours(_) | Own::Disguised => return Err(No::Refused("the path is linkgate's own")),
        }
        Ok(Question { client, method, target, place, found, now })
    }

    fn judged<'a>(&self, question: &Question<'a>, headers: &HeaderMap) -> Result<Yes<'a>, No> {
        let Question { client, method, target, place, found, now } = question;
        let host = &place.host;
        let who =
            found.pass.as_ref().map(|pass| Asker { identity: &pass.identity, by_bearer: found.by_bearer });
        let client = client.certain.then_some(client.ip);
        let granted = judge(host, target, method, client, who).map_err(No::Rule)?;
        let (app, route) = (granted.app(), granted.route());
        // What nginx lets through may become a WebSocket, and browsers send cookies with those of any page.
        if Wish::told_by_proxy(headers).is_some_and(|wish| wish.is_admitted(app, &route.handling).is_err()) {
            return Err(No::Refused("this page may not open a WebSocket here"));
        }
        let told = match found.pass.as_ref().filter(|_| granted.identity().is_some()) {
            None => None,
            Some(pass) => match pass.told(&self.parts.keys, host, app, route, *now) {
                None => return Err(No::Internal("the identity assertion could not be signed")),
                told => told,
            },
        };
        Ok(Yes { form: &route.identity, told })
    }
}

impl No {
    /// Says once why; never who asked, or for what.
    pub(super) fn log(&self, reference: &str) {
        match self {
            Self::Rule(refusal) => tracing::debug!(reference, ?refusal, "a check is refused"),
            Self::Refused(why) => tracing::debug!(reference, why, "a check is refused"),
            Self::Setting(why) => tracing::warn!(reference, why, "a check is refused"),
            Self::Internal(why) => tracing::error!(reference, why, "a check is refused"),
        }
    }
}

/// Where a body was announced that nginx may never send, what follows on this connection has no certain beginning.
pub(super) fn end_after(request: &Request<Incoming>, headers: &mut HeaderMap) {
    if !request.body().is_end_stream() && request.version() < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Every identity header, empty where nobody is named (class of CVE-2026-30851).
fn tell(headers: &mut HeaderMap, yes: &Yes<'_>) {
    let mut set = |values: &IdentityHeaderValues| {
        for (name, value) in values.iter() {
            headers.insert(name, value.clone());
        }
    };
    match &yes.told {
        Some(told) => set(&told.values),
        None => set(&IdentityHeaderValues::empty(yes.form)),
    }
    let assertion = yes.told.as_ref().map(|told| told.assertion.clone());
    headers.insert(&ASSERTION, assertion.unwrap_or(HeaderValue::from_static("")));
}

/// RFC 9110 §11.6.1; without `error`, for no token was sent that counts (RFC 6750 §3.1).
fn challenge(headers: &mut HeaderMap, prefix: &str, question: &Question<'_>) {
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"linkgate\""));
    if let Ok(address) = HeaderValue::from_str(&sign_in(&question.place.host, prefix, &question.target)) {
        headers.insert(header::LOCATION, address);
    }
}

/// The sign-in page as the host itself offers it: on another host than the site's `url` it leads on, and leaves the
/// nonce there that the way back needs. A wish too long for nginx is shortened, then left out.
fn sign_in(host: &Host, prefix: &str, target: &Target) -> String {
    let page = format!("{}{prefix}/login", host.origin);
    let to = |place: &str| {
        let place = format!("{}{place}", host.origin);
        let place: String = byte_serialize(place.as_bytes()).collect();
        Some(format!("{page}?return_to={place}")).filter(|address| address.len() <= LONGEST_LOCATION)
    };
    to(&target.raw).or_else(|| to(target.raw_path())).unwrap_or_else(|| page.clone())
}

fn original_method(headers: &HeaderMap) -> Result<Method, No> {
    let text = only(headers, &ORIGINAL_METHOD).ok_or(No::Setting(
        "X-Original-Method must come once: proxy_set_header X-Original-Method $request_method;",
    ))?;
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| No::Refused("this is no method"))?;
    // As on the way through us: some apps take `delete` for `DELETE`; a rule with methods does not.
    let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    if lower || method == Method::CONNECT || method == Method::TRACE {
        return Err(No::Refused("this method is never forwarded"));
    }
    Ok(method)
}

/// `https://host[:port]/path?query`, taken apart as it was sent and normalised like any request's target.
fn original_target(headers: &HeaderMap) -> Result<Target, No> {
    const CURE: &str = "X-Original-URL must come once, whole: proxy_set_header X-Original-URL $scheme://$http_host$request_uri;";
    let text = only(headers, &ORIGINAL_URL).ok_or(No::Setting(CURE))?;
    let (scheme, rest) = text.split_once("://").ok_or(No::Setting(CURE))?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(No::Setting(CURE)),
    };
    let (authority, path) = rest.split_at(rest.find('/').ok_or(No::Refused("the address has no path"))?);
    Target::parse(secure, authority, path).map_err(|_| No::Refused("the address is not one that we serve"))
}

/// The value of a header that comes exactly once and is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    std::str::from_utf8(value.as_bytes()).ok().filter(|text| !text.is_empty())
}

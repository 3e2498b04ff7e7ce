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
use super::Connection;
use super::Gate;
use super::Known;
use super::Own;
use super::Peer;
use super::Worker;
use super::client;
use super::identify::Told;
use super::own_path;
use crate::policy::Asker;
use crate::policy::Host;
use crate::policy::IdentityHeaders;
use crate::policy::Refusal;
use crate::policy::Target;
use crate::policy::judge;
use crate::proxy::IdentityHeaderValues;

/// Below the prefix, on whatever host nginx names: `proxy_pass` sends its own.
const PATH: &str = "/check/nginx";
static ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static ASSERTION: HeaderName = HeaderName::from_static("linkgate-assertion");
/// nginx reads an answer's head into one buffer (`proxy_buffer_size`), and a larger one is a 502 that it turns into 500.
const LONGEST_LOCATION: usize = 2048;

/// A yes, and what the app is to be told.
struct Yes<'a> {
    form: &'a IdentityHeaders,
    /// `None`: nobody is named, every header is empty.
    told: Option<Told>,
}

/// Why not.
enum No {
    /// Nobody is signed in, and the rule wants somebody: where to sign in.
    SignIn(String),
    /// The rule says no, or the visitor asked for something that nobody should answer.
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
        let mut answer = Response::new(Body::empty());
        match self.verdict(worker, connection, request.headers()) {
            Ok(yes) => tell(answer.headers_mut(), &yes),
            Err(no) => refuse(&mut answer, &no, reference),
        }
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        // A body was announced that nginx may never send: what follows on this connection has no certain beginning.
        if !request.body().is_end_stream() && request.version() < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn verdict<'a>(
        &'a self,
        worker: &'a Worker,
        connection: Connection,
        headers: &HeaderMap,
    ) -> Result<Yes<'a>, No> {
        if !self.parts.trust.covers(connection.peer) {
            return Err(No::Setting(match connection.peer {
                Peer::Unix => "this peer is not trusted: add \"unix\" to trusted_proxies",
                Peer::Ip(_) => "this peer is not trusted: add nginx's address to trusted_proxies",
            }));
        }
        let client = client::client(&self.parts.trust, connection, headers).map_err(No::Refused)?;
        let method = original_method(headers)?;
        let target = original_target(headers)?;
        let Some((host, _, names)) = self.place(worker, &target.host) else {
            return Err(No::Refused("no site has this host"));
        };
        if host.origin.secure() && !target.secure {
            return Err(No::Setting(
                "the host is https, but X-Original-URL is http: let nginx redirect plain http by itself, \
                 and send the visitor's scheme",
            ));
        }
        let now = self.parts.clock.now();
        let (standing, keys, sites) = (&self.parts.standing, &self.parts.keys, &self.parts.sites);
        let found = worker.passes.find(&Known { standing, keys, sites, now }, host, names, headers);
        if found.presented && !self.fresh(now) {
            return Err(No::Refused("the list of ended sessions could not be read for too long"));
        }
        match own_path(&self.parts.prefix, &target) {
            Own::Theirs => {}
            // nginx sends these to us by themselves; a yes here would let an app answer in our name.
            Own::Ours(_) | Own::Disguised => return Err(No::Refused("the path is linkgate's own")),
        }
        let who =
            found.pass.as_ref().map(|pass| Asker { identity: &pass.identity, by_bearer: found.by_bearer });
        let certain = client.certain.then_some(client.ip);
        let (app, route, named) = match judge(host, &target, &method, certain, who) {
            Ok(granted) => (granted.app(), granted.route(), granted.identity().is_some()),
            Err(Refusal::SignIn) if found.pass.is_none() => {
                return Err(No::SignIn(sign_in(host, &self.parts.prefix, &target)));
            }
            Err(Refusal::SignIn) => return Err(No::Refused("the rule does not take this credential")),
            Err(Refusal::NotAllowed) => return Err(No::Refused("the rule does not admit this person")),
            Err(Refusal::Denied) => return Err(No::Refused("the rule admits nobody")),
            Err(Refusal::SignOut) => return Err(No::Refused("this is the app's sign-out address")),
            Err(Refusal::NoApp) => return Err(No::Refused("no app lives on this host")),
        };
        let told = match found.pass.filter(|_| named) {
            None => None,
            Some(pass) => match pass.told(keys, host, app, route, now) {
                None => return Err(No::Internal("the identity assertion could not be signed")),
                told => told,
            },
        };
        Ok(Yes { form: &route.identity, told })
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

fn refuse(answer: &mut Response<Body>, no: &No, reference: &str) {
    *answer.status_mut() = StatusCode::FORBIDDEN;
    match no {
        No::SignIn(address) => {
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            let headers = answer.headers_mut();
            // RFC 9110 §11.6.1; without `error`, for no token was sent that counts (RFC 6750 §3.1).
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"linkgate\""));
            if let Ok(address) = HeaderValue::from_str(address) {
                headers.insert(header::LOCATION, address);
            }
        }
        No::Refused(why) => tracing::debug!(reference, why, "a check is refused"),
        No::Setting(why) => tracing::warn!(reference, why, "a check is refused"),
        No::Internal(why) => tracing::error!(reference, why, "a check is refused"),
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

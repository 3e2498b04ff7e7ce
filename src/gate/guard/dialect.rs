//! How other proxies say which request they ask about: method, scheme, host, path and query as the visitor sent them.
//! Reads each from one place alone, and takes nothing that comes twice, for then one of them may be the visitor's word.

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::Request;
use hyper::body::Incoming;

use super::Cure;
use super::No;
use crate::gate::Client;
use crate::gate::answer::Fault;
use crate::gate::authority;
use crate::policy::Target;
use crate::policy::TargetError;

static ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Headers that a dialect promises: which, and the line that makes the other proxy send it.
type Promise = [(&'static HeaderName, &'static str)];

static NGINX: &Promise = &[
    (&ORIGINAL_URL, "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;"),
    (&ORIGINAL_METHOD, "proxy_set_header X-Original-Method $request_method;"),
    (&FORWARDED_HOST, "proxy_set_header X-Forwarded-Host $server_name;"),
];
// Caddy's forward_auth and Traefik's forwardAuth send them by themselves; who writes Caddy's reverse_proxy out does not.
static FORWARD: &Promise = &[
    (&FORWARDED_METHOD, "header_up X-Forwarded-Method {method}, or what `linkgate snippet` prints"),
    (&FORWARDED_PROTO, "header_up X-Forwarded-Proto {scheme}, or what `linkgate snippet` prints"),
    (&FORWARDED_HOST, "header_up X-Forwarded-Host {hostport}, or what `linkgate snippet` prints"),
    (&FORWARDED_URI, "header_up X-Forwarded-Uri {uri}, or what `linkgate snippet` prints"),
];
static ENVOY: &Promise =
    &[(&FORWARDED_PROTO, "allowed_headers: { patterns: [{ exact: x-forwarded-proto }] }")];

/// Who asks, and for which kind of answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// `/check/nginx`: yes or no, and nginx draws its own pages.
    Nginx,
    /// `/challenge`: what nginx shows a visitor whom it does not let through. Never a yes.
    Challenge,
    /// `/check/forward`: a yes, or the answer that the visitor gets.
    Forward,
    /// `/check/envoy/…`: the same; the path and query asked for follow.
    Envoy(String),
}

/// A question as it came.
#[derive(Clone, Copy)]
pub struct Asking<'r> {
    /// Of the question itself.
    pub method: &'r Method,
    /// Of the question itself.
    pub authority: Option<&'r str>,
    /// The other proxy's, and those of the visitor that it copied.
    pub headers: &'r HeaderMap,
}

impl<'r> Asking<'r> {
    /// The question in a request.
    pub fn of(request: &'r Request<Incoming>) -> Self {
        Self { method: request.method(), authority: authority(request), headers: request.headers() }
    }
}

impl Way {
    /// Whether a request is a question, and of which kind. Asked on whatever host: other proxies send their own.
    pub fn of(prefix: &str, uri: &http::Uri) -> Option<Self> {
        match uri.path().strip_prefix(prefix)? {
            "/check/nginx" => Some(Self::Nginx),
            "/challenge" => Some(Self::Challenge),
            "/check/forward" => Some(Self::Forward),
            path if path.starts_with("/check/envoy/") => {
                let asked = uri.path_and_query()?.as_str();
                asked.get(prefix.len() + "/check/envoy".len()..).map(|asked| Self::Envoy(asked.to_owned()))
            }
            _ => None,
        }
    }

    fn promise(&self) -> &'static Promise {
        match self {
            Self::Nginx | Self::Challenge => NGINX,
            Self::Forward => FORWARD,
            Self::Envoy(_) => ENVOY,
        }
    }

    /// Whether everything is there that this way promises, once.
    pub(super) fn promised(&self, headers: &HeaderMap) -> Result<(), No> {
        for (name, line) in self.promise() {
            let mut values = headers.get_all(*name).iter();
            let why = match (values.next(), values.next()) {
                (Some(value), None) if !value.is_empty() => continue,
                (Some(_), Some(_)) => "came twice",
                (_, _) => "did not come",
            };
            return Err(No::Setting(Cure::new(name.as_str(), format!("{name} {why}"), *line)));
        }
        Ok(())
    }

    /// What the visitor asked for, taken apart as it was sent and normalised like any request's target.
    pub(super) fn original(&self, asking: &Asking<'_>, client: &Client) -> Result<(Method, Target), No> {
        let bad = |error| No::Fault(Fault::Target(error));
        let (method, target) = match self {
            Self::Nginx | Self::Challenge => {
                let (secure, authority, path) = whole(text(asking.headers, &ORIGINAL_URL)?)?;
                let target = Target::parse(secure, authority, path);
                // For `GET https://one/ HTTP/1.1` with `Host: other`, or an unknown Host, nginx forwards to a server of
                // another name than `$http_host` says.
                let server = Target::parse(secure, client.host.as_deref().unwrap_or_default(), "/");
                if target.as_ref().is_ok_and(|target| !server.is_ok_and(|server| server.host == target.host))
                {
                    return Err(No::Setting(two_hosts()));
                }
                (text(asking.headers, &ORIGINAL_METHOD)?, target)
            }
            Self::Forward => {
                let host = client.host.as_deref().unwrap_or_default();
                let target = Target::parse(client.secure, host, text(asking.headers, &FORWARDED_URI)?);
                (text(asking.headers, &FORWARDED_METHOD)?, target)
            }
            Self::Envoy(asked) => {
                let host = asking.authority.unwrap_or_default();
                (asking.method.as_str(), Target::parse(client.secure, host, asked))
            }
        };
        Ok((forwarded(method)?, target.map_err(bad)?))
    }

    /// The visitor's scheme is said to be http where only https is served.
    pub(super) fn plain_http(&self) -> Cure {
        let why = "the host is https, but the other proxy says that the visitor came by http";
        let add = match self {
            Self::Nginx | Self::Challenge => {
                "proxy_set_header X-Original-URL $scheme://$http_host$request_uri; and a redirect of plain http to https"
            }
            Self::Forward | Self::Envoy(_) => {
                "a redirect of plain http to https at the other proxy; X-Forwarded-Proto is the visitor's scheme"
            }
        };
        Cure::new("plain http", why, add)
    }
}

/// What a visitor can bring about too, by a request with two hosts.
fn two_hosts() -> Cure {
    let why = "nginx serves the visitor's host by a server of another name";
    let add =
        "server_name with the very host, and X-Forwarded-Host $server_name: each host in a server of its own";
    Cure::new("two hosts", why, add)
}

/// `https://host[:port]/path?query`.
fn whole(url: &str) -> Result<(bool, &str, &str), No> {
    let cure = || {
        let (name, line) =
            (&ORIGINAL_URL, "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;");
        No::Setting(Cure::new("whole url", format!("{name} is no whole address"), line))
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(cure)?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(cure()),
    };
    let slash = rest.find('/').ok_or(No::Fault(Fault::Target(TargetError::BadPath)))?;
    let (authority, path) = rest.split_at(slash);
    Ok((secure, authority, path))
}

/// As on the way through us: some apps take `delete` for `DELETE`; a rule with methods does not.
fn forwarded(method: &str) -> Result<Method, No> {
    let never = || No::Fault(Fault::Check);
    let lower = method.bytes().any(|byte| byte.is_ascii_lowercase());
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| never())?;
    if lower || method == Method::CONNECT || method == Method::TRACE { Err(never()) } else { Ok(method) }
}

/// The value of a header that was promised, and came once.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, No> {
    let value = headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
    std::str::from_utf8(value).map_err(|_| No::Fault(Fault::Target(TargetError::BadPath)))
}

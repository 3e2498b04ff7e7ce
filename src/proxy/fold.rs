//! Which header fields of a visitor could pass for ours. Compares folded names, because CGI, WSGI and PHP fold them:
//! `X_Forwarded_User` reaches an app as `X-Forwarded-User` would. Never allocates, never looks at values.

use http::HeaderMap;
use http::HeaderName;

use crate::policy::App;

/// Longest name that the lists below hold, with room to spare; a longer one can only match by its beginning.
const WINDOW: usize = 48;

/// Beginnings that belong to gateways: whatever follows, a visitor may not set it.
const FAMILIES: &[&[u8]] = &[
    b"x-forwarded-",
    b"x-auth-",
    b"x-authenticated-",
    b"x-authentik-",
    b"x-remote-",
    b"x-webauth-",
    b"x-user-",
    b"x-ssl-",
    b"x-client-cert",
    b"x-original-",
    b"x-rewrite-",
    b"x-goog-authenticated-user-",
    b"x-amzn-oidc-",
    b"x-ms-client-principal",
    b"remote-",
    b"ssl-client-",
    b"cf-connecting-",
    b"cf-access-",
    b"linkgate-",
    b"auth-user",
];

/// Whole names: identity, overrides of method and address, addresses of clients, and `Proxy` (httpoxy).
const NAMES: &[&[u8]] = &[
    b"auth-email",
    b"auth-groups",
    b"auth-name",
    b"client-cert",
    b"client-cert-chain",
    b"client-ip",
    b"cluster-client-ip",
    b"fastly-client-ip",
    b"forwarded",
    b"forwarded-for",
    b"front-end-https",
    b"proxy",
    b"true-client-ip",
    b"x-appengine-user-ip",
    b"x-auth",
    b"x-authenticated",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-email",
    b"x-envoy-external-address",
    b"x-envoy-original-path",
    b"x-forwarded",
    b"x-groups",
    b"x-host",
    b"x-http-host-override",
    b"x-http-method",
    b"x-http-method-override",
    b"x-method-override",
    b"x-proxyuser-ip",
    b"x-real-ip",
    b"x-real-port",
    b"x-remote",
    b"x-request-id",
    b"x-rewrite-uri",
    b"x-true-client-ip",
    b"x-url-scheme",
    b"x-user",
    b"x-userid",
    b"x-useremail",
    b"x-username",
    b"x-usergroups",
    b"x-webauth",
];

/// Not an identity although a family claims it: gRPC-Web clients send their own name in it.
const EXEMPT: &[u8] = b"x-user-agent";

/// A byte of a name as CGI and its kin see it.
const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// The beginning of a name, folded, on the stack.
pub(super) struct Folded {
    bytes: [u8; WINDOW],
    kept: usize,
    whole: bool,
}

impl Folded {
    /// Folds a name.
    pub(super) fn new(name: &str) -> Self {
        let mut bytes = [0; WINDOW];
        for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
            *place = folded(byte);
        }
        Self { bytes, kept: name.len().min(WINDOW), whole: name.len() <= WINDOW }
    }

    fn start(&self) -> &[u8] {
        self.bytes.get(..self.kept).unwrap_or_default()
    }

    /// Whether the folded name is exactly `name`.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.whole && self.start() == name
    }

    /// Whether the folded name is one of `names`.
    pub(super) fn is_any(&self, names: &[&[u8]]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    /// Whether the folded name begins with `family` (at most 48 bytes).
    pub(super) fn begins(&self, family: &[u8]) -> bool {
        self.start().starts_with(family)
    }

    /// An identity, an override or a client's address: never taken from a visitor.
    pub(super) fn is_reserved(&self) -> bool {
        let family = FAMILIES.iter().any(|family| self.begins(family));
        (family && !self.is(EXEMPT)) || self.is_any(NAMES)
    }
}

/// The first three bytes of a name, folded; zeros where it ends before. Most names of a browser are told from the
/// lists by them, at the cost of a comparison.
pub(super) fn first(name: &str) -> [u8; 3] {
    match name.as_bytes() {
        [a, b, c, ..] => [folded(*a), folded(*b), folded(*c)],
        [a, b] => [folded(*a), folded(*b), 0],
        [a] => [folded(*a), 0, 0],
        [] => [0; 3],
    }
}

/// Whether the lists of reserved names have any that begin so.
const fn may_be_reserved(first: [u8; 3]) -> bool {
    matches!(
        &first,
        [b'x', b'-', _]
            | b"aut"
            | b"cf-"
            | b"cli"
            | b"clu"
            | b"fas"
            | b"for"
            | b"fro"
            | b"lin"
            | b"pro"
            | b"rem"
            | b"ssl"
            | b"tru"
    )
}

/// Whether two names are one for an app that folds them.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// Whether no visitor may set this header, whatever the app.
pub(super) fn is_spoof(name: &HeaderName) -> bool {
    let name = name.as_str();
    may_be_reserved(first(name)) && Folded::new(name).is_reserved()
}

/// Whether a header is in the app's own tables, in any spelling.
pub(super) fn is_one_of(name: &HeaderName, tables: &[String]) -> bool {
    tables.iter().any(|table| same(table, name.as_str()))
}

/// Whether a visitor sends a name that an app may take for one of ours, spelled as nobody else spells it: `Remote_User`.
/// Other proxies take out what they know by its own spelling, and pass this on.
#[must_use]
pub fn is_disguised(headers: &HeaderMap, app: &App) -> bool {
    let plain = |name: &HeaderName| {
        name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            || app.table_names().iter().any(|own| own.eq_ignore_ascii_case(name.as_str()))
    };
    let taken = |name: &HeaderName| is_spoof(name) || is_one_of(name, app.table_names());
    headers.keys().any(|name| !plain(name) && taken(name))
}

/// Takes out every header for which `doomed` says yes. Allocates only where there is one.
pub(super) fn remove_if(headers: &mut HeaderMap, doomed: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| doomed(name)).cloned().collect();
    for name in names {
        headers.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(name: &str) -> bool {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        is_spoof(&name) || is_one_of(&name, &["X-My-User".to_owned()])
    }

    #[test]
    fn every_spelling_of_a_reserved_name_is_found() {
        for name in [
            "Remote-User",
            "remote_user",
            "REMOTE.EMAIL",
            "Remote-Name",
            "remote~groups",
            "Linkgate-Assertion",
            "X_Forwarded_User",
            "x.forwarded.for",
            "X-Forwarded_Proto",
            "X-Forwarded-Client-Cert",
            "Forwarded",
            "X-Real-IP",
            "x_real_ip",
            "True-Client-IP",
            "CF-Connecting-IP",
            "Client-IP",
            "X-Cluster-Client-IP",
            "X-Original-URL",
            "X-Original-Method",
            "X_Original_URI",
            "X-Rewrite-URL",
            "X-HTTP-Method",
            "X-HTTP-Method-Override",
            "x_method_override",
            "X-Auth-Request-User",
            "X-Remote-User",
            "X-Webauth-User",
            "X-User",
            "X-User-Id",
            "X-Username",
            "X-Authenticated-User",
            "X-Auth-User",
            "Auth-User",
            "SSL-Client-Cert",
            "ssl_client_s_dn",
            "X-SSL-Client-Verify",
            "Proxy",
            "X-Request-Id",
            "x!my!user",
            "x-forwarded-a-name-that-is-longer-than-any-window-that-the-fold-could-ever-have",
        ] {
            assert!(reserved(name), "{name}");
        }
    }

    #[test]
    fn the_quick_look_hides_no_entry_of_the_lists() {
        for name in FAMILIES.iter().chain(NAMES) {
            assert!(reserved(std::str::from_utf8(name).unwrap()), "{name:?}");
        }
    }

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "Accept",
            "Accept-Language",
            "Authorization",
            "Content-Type",
            "Cookie",
            "If-None-Match",
            "Origin",
            "Range",
            "Referer",
            "Sec-Fetch-Site",
            "User-Agent",
            "X-Requested-With",
            "X-CSRF-Token",
            "X-User-Agent",
            "X-Grpc-Web",
            "Traceparent",
            "Cache-Control",
            "Proxima",
            "X-My-Users",
            "Via",
        ] {
            assert!(!reserved(name), "{name}");
        }
    }
}

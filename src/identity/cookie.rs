//! Our own cookies: found, removed and written (RFC 6265bis). Never decides whether one is valid.

use http::HeaderMap;
use http::header;

/// The names of our cookies on one site's hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    /// Session, one a host: `__Host-linkgate`.
    pub session: String,
    /// Nonce of the browser that asked: `__Host-linkgate-login`.
    pub nonce: String,
    secure: bool,
}

impl CookieNames {
    /// `base` is `session.cookie` of the configuration. `secure` is false only for plain http on localhost,
    /// where browsers refuse the `__Host-` prefix.
    #[must_use]
    pub fn new(base: &str, secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self { session: format!("{prefix}{base}"), nonce: format!("{prefix}{base}-login"), secure }
    }

    /// Whether `name` is ours. Both prefixed and bare spellings count: an app may set neither.
    #[must_use]
    pub fn is_own(&self, name: &[u8]) -> bool {
        let name = match std::str::from_utf8(name) {
            // Some apps trim more than ASCII knows as space.
            Ok(text) if !name.is_ascii() => text.trim().as_bytes(),
            Ok(_) => name.trim_ascii(),
            Err(_) => return false,
        };
        let name = bare(name);
        name.eq_ignore_ascii_case(bare(self.session.as_bytes()))
            || name.eq_ignore_ascii_case(bare(self.nonce.as_bytes()))
    }

    /// A `Set-Cookie` value. `max_age` in seconds; `None`: until the browser closes.
    #[must_use]
    pub fn set(&self, name: &str, value: &str, max_age: Option<i64>) -> String {
        let age = max_age.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/{age}{secure}; HttpOnly; SameSite=Lax")
    }

    /// A `Set-Cookie` value that removes the cookie.
    #[must_use]
    pub fn clear(&self, name: &str) -> String {
        self.set(name, "", Some(0))
    }
}

/// A cookie's name without the prefix that browsers guard.
fn bare(name: &[u8]) -> &[u8] {
    const PREFIX: &[u8] = b"__Host-";
    match name.split_at_checked(PREFIX.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(PREFIX) => rest,
        _ => name,
    }
}

/// The `name=value` pairs of one `Cookie` line, trimmed; empty ones are passed over.
pub fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (pair, after) = match memchr::memchr(b';', line).and_then(|at| line.split_at_checked(at)) {
            Some((pair, after)) => (pair, after.get(1..)),
            None => (line, None),
        };
        rest = after;
        Some(pair.trim_ascii())
    })
    .filter(|pair| !pair.is_empty())
}

/// Every value of the cookie `name`, in order. Looks at bytes: what other cookies hold, be it no text at all, is
/// nothing to ours.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.get_all(header::COOKIE).iter().flat_map(|line| pairs(line.as_bytes())).filter_map(move |pair| {
        let after = pair.strip_prefix(name.as_bytes())?.trim_ascii_start();
        std::str::from_utf8(after.strip_prefix(b"=")?.trim_ascii()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookies_are_found_beside_whatever_others_hold() {
        let mut headers = HeaderMap::new();
        for line in [&b"a=\xfc\xe9; n=1;n = 2 ; N=3; n; xn=4"[..], b"=n=5; n=a=b", b"n=\xff"] {
            headers.append(header::COOKIE, http::HeaderValue::from_bytes(line).unwrap());
        }
        assert_eq!(values(&headers, "n").collect::<Vec<_>>(), ["1", "2", "a=b"]);
    }

    #[test]
    fn every_spelling_of_our_names_is_ours() {
        let names = CookieNames::new("linkgate", true);
        for own in
            ["__Host-linkgate", "linkgate", "__host-LINKGATE", " linkgate-login ", "__Host-linkgate-login"]
        {
            assert!(names.is_own(own.as_bytes()), "{own}");
        }
        for other in ["linkgate2", "a", "", "__Host-", "__Host-linkgate-logins", "é__Host-linkgate"] {
            assert!(!names.is_own(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_secure_cookie_carries_every_guard() {
        let set = CookieNames::new("linkgate", true).set("__Host-linkgate", "v", Some(60));
        assert_eq!(set, "__Host-linkgate=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
    }
}

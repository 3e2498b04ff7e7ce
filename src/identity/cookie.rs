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
    pub fn is_own(&self, name: &str) -> bool {
        const PREFIX: &str = "__Host-";
        let after = |name: &str| {
            let prefixed = name.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX));
            if prefixed { PREFIX.len() } else { 0 }
        };
        let name = name.trim();
        let name = name.get(after(name)..).unwrap_or_default();
        [&self.session, &self.nonce]
            .into_iter()
            .any(|own| own.get(after(own)..).is_some_and(|own| own.eq_ignore_ascii_case(name)))
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

/// Every value of the cookie `name`, in order. Looks at bytes: what other cookies hold, be it no text at all, is
/// nothing to ours.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let own = parts.next()?.trim_ascii() == name.as_bytes();
            let value = parts.next().filter(|_| own)?;
            std::str::from_utf8(value.trim_ascii()).ok()
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
            assert!(names.is_own(own), "{own}");
        }
        for other in ["linkgate2", "a", "", "__Host-", "__Host-linkgate-logins", "é__Host-linkgate"] {
            assert!(!names.is_own(other), "{other}");
        }
    }

    #[test]
    fn a_secure_cookie_carries_every_guard() {
        let set = CookieNames::new("linkgate", true).set("__Host-linkgate", "v", Some(60));
        assert_eq!(set, "__Host-linkgate=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
    }
}

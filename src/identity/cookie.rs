//! Our own cookies: found, removed and written (RFC 6265bis). Never decides whether one is valid.

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
        let bare = |n: &str| {
            n.len()
                .checked_sub(7)
                .filter(|_| n.get(..7).is_some_and(|p| p.eq_ignore_ascii_case("__Host-")))
                .map_or_else(|| n.to_owned(), |_| n.get(7..).unwrap_or_default().to_owned())
        };
        let name = bare(name.trim());
        name.eq_ignore_ascii_case(&bare(&self.session)) || name.eq_ignore_ascii_case(&bare(&self.nonce))
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

/// Every `name=value` of one or several `Cookie` headers, in order. Pairs without `=` are passed over.
pub fn pairs<'a>(headers: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, &'a str)> {
    headers
        .flat_map(|h| h.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t'])))
}

/// The `Cookie` header without our own cookies; `None` when nothing is left.
#[must_use]
pub fn without_own(header: &str, names: &CookieNames) -> Option<String> {
    let kept: Vec<&str> = header
        .split(';')
        .map(|pair| pair.trim_matches([' ', '\t']))
        .filter(|pair| !pair.is_empty() && !names.is_own(pair.split('=').next().unwrap_or_default()))
        .collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cookies_are_taken_out_and_the_rest_stays_in_order() {
        let names = CookieNames::new("linkgate", true);
        assert_eq!(
            without_own("a=1; __Host-linkgate=x; b=2;__Host-linkgate-login=y", &names).unwrap(),
            "a=1; b=2"
        );
        assert_eq!(without_own("__Host-linkgate=x", &names), None);
        assert_eq!(without_own("linkgate=x; __host-LINKGATE=y; c=3", &names).unwrap(), "c=3");
        assert_eq!(without_own("linkgate2=x", &names).unwrap(), "linkgate2=x");
    }

    #[test]
    fn a_secure_cookie_carries_every_guard() {
        let set = CookieNames::new("linkgate", true).set("__Host-linkgate", "v", Some(60));
        assert_eq!(set, "__Host-linkgate=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
    }
}

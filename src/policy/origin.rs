//! Web origins (RFC 6454). Never compares parts of one: whole origins only.

use std::fmt;

use url::{Host, Url};

/// Scheme, host and port of an http or https address, written as browsers write it (default port left out).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    text: String,
    host: String,
    port: u16,
    secure: bool,
}

impl Origin {
    /// Parses an absolute http or https address (WHATWG URL) and keeps its origin. `None` for anything else,
    /// and for addresses with a user name or password.
    #[must_use]
    pub fn parse(address: &str) -> Option<Self> {
        Self::of(&Url::parse(address).ok()?)
    }

    /// The origin of a parsed address.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => format!("[{ip}]"),
        };
        if host.is_empty() {
            return None;
        }
        let port = url.port_or_known_default()?;
        let scheme = url.scheme();
        let text = match url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Some(Self { text, host, port, secure })
    }

    /// `https://wiki.example.com`, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host, and the port where it is not the scheme's own: what belongs into `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Lower case, without port; IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, given or default.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// True for https.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_origin_are_equal() {
        let plain = Origin::parse("https://wiki.example.com").unwrap();
        for same in
            ["https://WIKI.example.com:443/", "https://wiki.example.com./a?b#c", "HTTPS://wiki.example.com/x"]
        {
            assert_eq!(Origin::parse(same).unwrap(), plain, "{same}");
        }
        assert_ne!(Origin::parse("http://wiki.example.com").unwrap(), plain);
        assert_ne!(Origin::parse("https://wiki.example.com:8443").unwrap(), plain);
    }

    #[test]
    fn what_has_no_web_origin_has_none() {
        for bad in [
            "",
            "/x",
            "//evil.example",
            "javascript:alert(1)",
            "data:,x",
            "https://a@b.example",
            "https://",
            "ftp://a.example",
        ] {
            assert!(Origin::parse(bad).is_none(), "{bad}");
        }
    }
}

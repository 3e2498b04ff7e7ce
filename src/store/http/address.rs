//! Where the token service is. Never an address in the clear but on this very machine, never one that carries a secret.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// What every service keeps its link records under.
const RECORDS: &str = "magic_link_tokens";

/// The address of the records, taken apart for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    /// TLS; `false` on loopback only.
    pub(super) secure: bool,
    /// As in the address; an IPv6 address without its brackets.
    pub(super) host: String,
    /// The scheme's own unless the address says otherwise.
    pub(super) port: u16,
    /// `host` or `host:port`, for the header.
    pub(super) authority: String,
    /// With [`RECORDS`] at its end.
    pub(super) path: String,
}

impl ServiceAddress {
    /// From `https://tokens.example.com/api`: what stands before `/magic_link_tokens`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WRITE: &str = "write \"https://tokens.example.com/api\": what comes before /magic_link_tokens";
        let url = Url::parse(text).map_err(|_| WRITE.to_owned())?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(WRITE.to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("take the name and password out; token_file holds the token".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("take ? and # out; {WRITE}"));
        }
        let (host, loopback) = match url.host() {
            Some(Host::Domain(name)) => (name.to_owned(), name == "localhost"),
            Some(Host::Ipv4(ip)) => (ip.to_string(), ip.is_loopback()),
            Some(Host::Ipv6(ip)) => (ip.to_string(), IpAddr::V6(ip).to_canonical().is_loopback()),
            None => return Err(WRITE.to_owned()),
        };
        if !secure && !loopback {
            return Err(
                "the bearer token and all addresses would cross the network in the clear; write https://"
                    .to_owned(),
            );
        }
        let base = url.path().trim_end_matches('/');
        if base.ends_with(RECORDS) {
            return Err(format!("leave /{RECORDS} out; linkgate adds it"));
        }
        Ok(Self {
            secure,
            host,
            port: url.port_or_known_default().ok_or(WRITE)?,
            authority: url.authority().to_owned(),
            path: format!("{base}/{RECORDS}"),
        })
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine_and_carries_no_secret() {
        let good = |text: &str| ServiceAddress::parse(text).unwrap().to_string();
        assert_eq!(good("https://t.example.com"), "https://t.example.com/magic_link_tokens");
        assert_eq!(
            good("https://t.example.com:8443/a/b/"),
            "https://t.example.com:8443/a/b/magic_link_tokens"
        );
        assert_eq!(good("http://127.0.0.1:9000/x"), "http://127.0.0.1:9000/x/magic_link_tokens");
        assert_eq!(good("http://[::1]:9000"), "http://[::1]:9000/magic_link_tokens");
        assert_eq!(good("http://localhost"), "http://localhost/magic_link_tokens");
        for (bad, cure) in [
            ("t.example.com", "write \"https://"),
            ("ftp://t.example.com", "write \"https://"),
            ("http://t.example.com", "in the clear"),
            ("http://10.0.0.1", "in the clear"),
            ("https://user:pass@t.example.com", "token_file"),
            ("https://t.example.com/?key=1", "take ? and # out"),
            ("https://t.example.com/magic_link_tokens", "leave /magic_link_tokens out"),
        ] {
            let said = ServiceAddress::parse(bad).unwrap_err();
            assert!(said.contains(cure), "{bad}: {said}");
        }
    }
}

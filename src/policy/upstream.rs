//! Where an app is and how it is spoken to, as the configuration says it. Opens nothing and reads no file; a
//! certificate is a path here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One address of an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// Where an app listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `http://host:port` and its kin.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `unix:/path`: a socket on this machine.
    Unix(PathBuf),
}

/// What is spoken to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `http://`, `unix:`: HTTP/1.1.
    Http,
    /// `h2c://`: HTTP/2 in clear text, by prior knowledge (RFC 9113 §3.3).
    H2c,
    /// `https://`: TLS; HTTP/2 where the app offers it (ALPN `h2`), else HTTP/1.1.
    Https,
}

/// `upstream_tls`: whom to believe at the other end of `https`, and who we are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// PEM file with the only roots believed; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the only public keys (SPKI) believed; empty: any that the roots vouch for.
    pub pins: Vec<[u8; 32]>,
    /// PEM files of our own certificate chain and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name in the app's certificate; `None`: the endpoint's host.
    pub server_name: Option<String>,
}

/// `health_check`: a request that every endpoint must answer with a status below 400.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Path and query.
    pub path: String,
    /// Pause between two checks of one endpoint.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// All addresses of one app, and how to choose among them. Shared as `Arc`: the same one, the same connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// At least one; several are balanced (the one with fewer requests under way, of two taken at random).
    pub endpoints: Vec<Endpoint>,
    /// For `https` endpoints.
    pub tls: UpstreamTls,
    /// `None`: endpoints are judged by the requests they fail only.
    pub health: Option<HealthCheck>,
    /// How long an endpoint that came back is given less than its share.
    pub slow_start: Duration,
    /// How long a request waits for an app that refuses connections (a deploy); zero: not at all.
    pub wait: Duration,
}

impl Upstream {
    /// A single HTTP/1.1 endpoint with nothing special about it.
    #[must_use]
    pub fn http(host: &str, port: u16) -> Self {
        let address = Address::Tcp { host: host.to_owned(), port };
        Self::new(vec![Endpoint { address, protocol: Protocol::Http }])
    }

    /// Endpoints with nothing special about them.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            tls: UpstreamTls::default(),
            health: None,
            slow_start: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }
}

impl fmt::Display for Endpoint {
    /// As in the configuration: `http://[::1]:3000`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::H2c => "h2c",
            Protocol::Https => "https",
        };
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "{scheme}://[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{scheme}://{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Upstream {
    /// The endpoints, by comma.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

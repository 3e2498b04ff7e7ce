//! The configuration as usable values. Nothing in here is text that somebody still has to understand.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::identity::EmailAddress;
use crate::login::AskLimits;
use crate::login::LinkSettings;
use crate::login::SessionSettings;
use crate::policy::Site;
use crate::secret::Secret;
use crate::serve::Listen;
use crate::store::Settings;

/// A whole configuration, free of mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file it came from.
    pub file: PathBuf,
    /// Where visitors connect. Never empty.
    pub listen: Vec<Listen>,
    /// Own pages live below it: `/.linkgate`; no slash at the end.
    pub prefix: String,
    /// Whose forwarding headers are believed. Empty: nobody's.
    pub trusted_proxies: Trusted,
    /// Peers that open every connection with a PROXY header. Empty: nobody, and nobody else may.
    pub proxy_protocol: Trusted,
    /// Holds the store and the generated secret.
    pub state_dir: PathBuf,
    /// Where the master secret comes from.
    pub master: Master,
    /// How long open requests may go on after the order to stop.
    pub drain: Duration,
    /// Worker threads; `None`: one a core.
    pub workers: Option<usize>,
    /// Certificates; `None`: no https listener.
    pub tls: Option<Tls>,
    /// Where records are kept.
    pub store: Settings,
    /// Health and metrics; `None`: switched off.
    pub monitor: Option<SocketAddr>,
    /// What is logged and how.
    pub log: LogSettings,
    /// Limits of connections.
    pub limits: ConnectionLimits,
    /// The sites, as in the file. Never empty.
    pub sites: Vec<SiteSettings>,
    /// `[[expect]]`.
    pub expects: Vec<Expect>,
}

/// Peers whose word on where a request comes from is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Peers in these networks (`"private"` is spelled out).
    pub networks: Vec<IpNet>,
    /// Whoever connects through our Unix socket.
    pub unix: bool,
}

impl Trusted {
    /// Whether a peer's word counts. `None`: it came through a Unix socket.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer.map(|ip| ip.to_canonical()) {
            None => self.unix,
            Some(ip) => self.networks.iter().any(|net| net.contains(&ip)),
        }
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

/// Where the master secret comes from.
#[derive(Clone, Debug)]
pub struct Master {
    /// Given by file, environment or credential; `None`: lies in `generated`, made there at first use.
    pub given: Option<Secret<String>>,
    /// Where a generated one lies.
    pub generated: PathBuf,
    /// Still accepted, never used to sign.
    pub previous: Vec<Secret<String>>,
}

/// Certificates of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Chain and key, both PEM files. Never empty.
    pub certificates: Vec<(PathBuf, PathBuf)>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,linkgate::mail=debug`.
    pub level: String,
    /// Whether every request is a line.
    pub access: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// To systemd's journal, with fields.
    Journald,
}

/// Limits of connections, for the whole server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Request line and headers, bytes.
    pub max_header_bytes: usize,
    /// Header lines.
    pub max_headers: usize,
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one client address.
    pub connections_per_client: usize,
    /// HTTP/2 streams of one connection.
    pub streams_per_connection: u32,
    /// From connect to the end of the headers.
    pub header_timeout: Duration,
    /// Between two pieces of a request body.
    pub body_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// After this a connection is asked to end.
    pub connection_age: Duration,
}

/// One site with everything that rooms need of it.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// For the judge.
    pub site: Site,
    /// `[link]`.
    pub link: LinkSettings,
    /// `[session]`.
    pub session: SessionSettings,
    /// Ask and redeem limits.
    pub limits: AskLimits,
    /// `None`: nobody sends letters for this site (allowed with `sign_in = "invited"` only).
    pub mail: Option<crate::mail::Settings>,
    /// `[site.look]`.
    pub look: Look,
    /// `[site.text]`: Fluent patterns by message id.
    pub texts: BTreeMap<String, String>,
    /// Where a browser names no language that we speak.
    pub language: String,
    /// An address or https URL for questions; empty: none.
    pub contact: String,
    /// A folder that wins over the built-in pages.
    pub pages: Option<PathBuf>,
}

/// `[site.look]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What people call the site; empty: its name.
    pub title: String,
    /// A picture file.
    pub logo: Option<PathBuf>,
    /// `#rrggbb`; empty: ours.
    pub accent: String,
}

/// One `[[expect]]`.
#[derive(Clone, Debug)]
pub struct Expect {
    /// `None`: nobody is signed in.
    pub person: Option<EmailAddress>,
    /// The method.
    pub method: http::Method,
    /// The address.
    pub url: String,
    /// What must come out.
    pub result: Outcome,
    /// Its line in the file; zero where it has none.
    pub line: usize,
}

/// What comes out of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The app gets the request.
    Allow,
    /// A refusal.
    Deny,
    /// The sign-in page.
    SignIn,
}

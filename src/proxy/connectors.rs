//! Everything that workers share about upstreams, built once for each configuration: certificates are read and checked
//! here, so that a start, a reload or `check` with a bad one fails with the file's name. Holds no connection.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;

use super::connect::Line;
use super::tls;
use crate::policy::Protocol;
use crate::policy::Sites;
use crate::policy::Upstream;

/// Why connections to an upstream cannot be set up; ours to cure.
#[derive(Debug)]
pub enum ConnectorError {
    /// A file cannot be read.
    Unreadable(PathBuf, String),
    /// A file has no PEM certificate or none that can be parsed.
    Certificate(PathBuf, String),
    /// A file has no private key, or one of an unknown kind.
    Key(PathBuf, String),
    /// The key is not the certificate's (certificate, key).
    Mismatch(PathBuf, PathBuf),
    /// No name that a certificate could bear.
    ServerName(String),
    /// The system has no root certificates that could be read.
    SystemRoots(String),
    /// The cryptographic library refuses.
    Library(String),
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, why) => write!(
                f,
                "upstream_tls: cannot read {}: {why}; check the path, and that the linkgate user may read it",
                file.display()
            ),
            Self::Certificate(file, why) => write!(
                f,
                "upstream_tls: {} holds no usable PEM certificate ({why}); give the file of the app's authority as \
                 `ca`, our own chain as `certificate`",
                file.display()
            ),
            Self::Key(file, why) => write!(
                f,
                "upstream_tls: {} holds no usable private key ({why}); give an unencrypted PEM key (RSA, ECDSA or \
                 Ed25519) as `key`",
                file.display()
            ),
            Self::Mismatch(certificate, key) => write!(
                f,
                "upstream_tls: {} is not the key of {}; give the key that the certificate was issued for",
                key.display(),
                certificate.display()
            ),
            Self::ServerName(name) => write!(
                f,
                "{name:?} can stand in no certificate; set upstream_tls.server_name to the name that the app's \
                 certificate has"
            ),
            Self::SystemRoots(why) => write!(
                f,
                "the system's root certificates cannot be read ({why}); install ca-certificates, or set \
                 upstream_tls.ca"
            ),
            Self::Library(why) => write!(f, "TLS to upstreams cannot be set up: {why}; report this"),
        }
    }
}

impl std::error::Error for ConnectorError {}

/// What workers share of one upstream.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) upstream: Arc<Upstream>,
    /// As in the configuration; at least one.
    pub(super) lines: Vec<Arc<Line>>,
}

/// The upstreams of one configuration. Equal ones are one; whoever holds any of them finds it by its address in memory.
#[derive(Debug, Default)]
pub struct Connectors {
    all: Vec<Arc<Connector>>,
    /// Keeps every address in memory taken, so that none is another's later.
    known: Vec<(Arc<Upstream>, usize)>,
}

impl Connectors {
    /// Reads what the sites' upstreams need.
    ///
    /// # Errors
    /// The first file that cannot be used, and the cure.
    pub fn new(sites: &Sites) -> Result<Arc<Self>, ConnectorError> {
        let apps = sites.all().iter().flat_map(|site| &site.apps);
        Self::of(apps.flat_map(|app| app.routes()).filter_map(|route| route.upstream.as_ref()))
    }

    /// As [`Connectors::new`], for these alone.
    ///
    /// # Errors
    /// As there.
    pub(super) fn of<'a>(
        upstreams: impl Iterator<Item = &'a Arc<Upstream>>,
    ) -> Result<Arc<Self>, ConnectorError> {
        let mut tls = tls::Builder::new();
        let mut built = Self::default();
        let mut seen = HashSet::new();
        let mut by_value: HashMap<Arc<Upstream>, usize> = HashMap::new();
        for upstream in upstreams {
            if !seen.insert(Arc::as_ptr(upstream).addr()) {
                continue;
            }
            let number = if let Some(number) = by_value.get(upstream) {
                *number
            } else {
                built.all.push(Arc::new(connector(upstream, &mut tls)?));
                by_value.insert(Arc::clone(upstream), built.all.len() - 1);
                built.all.len() - 1
            };
            built.known.push((Arc::clone(upstream), number));
        }
        Ok(Arc::new(built))
    }

    pub(super) fn all(&self) -> &[Arc<Connector>] {
        &self.all
    }

    /// Every upstream's address in memory, with its number in [`Connectors::all`].
    pub(super) fn numbers(&self) -> Addresses {
        self.known.iter().map(|(upstream, number)| (Arc::as_ptr(upstream).addr(), *number)).collect()
    }
}

/// From an upstream's address in memory to its number.
pub(super) type Addresses = HashMap<usize, usize, BuildHasherDefault<Spread>>;

/// Hashes addresses in memory, which nobody from outside chooses: one multiplication.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // The lowest bits of an address are all the same: the upper half of the product is mixed into the lower.
        let product = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

fn connector(upstream: &Arc<Upstream>, tls: &mut tls::Builder) -> Result<Connector, ConnectorError> {
    let mut lines = Vec::with_capacity(upstream.endpoints.len());
    for endpoint in &upstream.endpoints {
        let configs =
            if endpoint.protocol == Protocol::Https { Some(tls.build(&upstream.tls)?) } else { None };
        lines.push(Arc::new(Line::new(endpoint, configs, upstream.tls.server_name.as_deref())?));
    }
    Ok(Connector { upstream: Arc::clone(upstream), lines })
}

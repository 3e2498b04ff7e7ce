//! Certificates: loads and checks them, chooses one by the name asked for, keeps the session tickets valid over a
//! reload. Never answers with another protocol than TLS 1.2 or 1.3, never takes early data.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};

use crate::clock::Timestamp;

/// Which certificates to use.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Files of chain and key, PEM; the first is shown to clients that ask for no known name.
    pub certificates: Vec<(PathBuf, PathBuf)>,
}

/// Why certificates cannot be used; ours to cure.
#[derive(Debug)]
pub enum TlsError {
    /// No certificate is configured.
    None,
    /// A file cannot be read.
    Unreadable(PathBuf, String),
    /// A file has no PEM certificate or none that can be parsed.
    Certificate(PathBuf, String),
    /// A file has no private key, or one of an unknown kind.
    Key(PathBuf, String),
    /// The key is not the certificate's.
    Mismatch(PathBuf, PathBuf),
    /// The certificate's time is over.
    Expired(PathBuf),
    /// The certificate's time has not come.
    NotYetValid(PathBuf),
    /// The cryptographic library refuses.
    Library(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "no certificate: set `tls.certificate` and `tls.key`"),
            Self::Unreadable(file, why) => write!(
                f,
                "cannot read {}: {why}; check the path, and that the linkgate user may read it",
                file.display()
            ),
            Self::Certificate(file, why) => write!(
                f,
                "{} is not a PEM certificate chain ({why}): give the file with the chain, own certificate first",
                file.display()
            ),
            Self::Key(file, why) => write!(
                f,
                "{} holds no usable private key ({why}): give an unencrypted PEM key (RSA, ECDSA or Ed25519)",
                file.display()
            ),
            Self::Mismatch(certificate, key) => write!(
                f,
                "{} is not the key of {}: give the key that the certificate was issued for",
                key.display(),
                certificate.display()
            ),
            Self::Expired(file) => {
                write!(f, "the certificate in {} has expired: renew it, then reload", file.display())
            }
            Self::NotYetValid(file) => write!(
                f,
                "the certificate in {} is not valid yet: check this machine's clock",
                file.display()
            ),
            Self::Library(why) => write!(f, "TLS cannot be set up: {why}; report this"),
        }
    }
}

impl std::error::Error for TlsError {}

/// Holds the configuration in use, and what must outlive it.
#[derive(Debug)]
pub(super) struct Keeper {
    provider: Arc<CryptoProvider>,
    ticketer: Arc<dyn ProducesTickets>,
    current: Mutex<Arc<ServerConfig>>,
}

impl Keeper {
    pub fn load(tls: &Tls, now: Timestamp) -> Result<Self, TlsError> {
        let provider =
            CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let ticketer = aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Library(error.to_string()))?;
        let config = build(tls, now, &provider, &ticketer)?;
        Ok(Self { provider, ticketer, current: Mutex::new(config) })
    }

    /// Loads again; on an error nothing has changed.
    pub fn reload(&self, tls: &Tls, now: Timestamp) -> Result<Arc<ServerConfig>, TlsError> {
        let config = build(tls, now, &self.provider, &self.ticketer)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&config);
        Ok(config)
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn build(
    tls: &Tls,
    now: Timestamp,
    provider: &Arc<CryptoProvider>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let pairs = tls.certificates.iter().map(|(chain, key)| load_pair(chain, key, now, provider));
    let resolver = Resolver { keys: pairs.collect::<Result<_, _>>()? };
    if resolver.keys.is_empty() {
        return Err(TlsError::None);
    }
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| TlsError::Library(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Arc::clone(ticketer);
    // A replayed request must not act twice, so no request comes before the handshake is done.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn load_pair(
    chain: &Path,
    key: &Path,
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let bad_chain = |why: String| TlsError::Certificate(chain.to_owned(), why);
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_chain(error.to_string()))?;
    let leaf = certificates.first().ok_or_else(|| bad_chain("it holds no certificate".to_owned()))?;
    check_dates(leaf, chain, now, provider)?;
    let bad_key = |why: String| TlsError::Key(key.to_owned(), why);
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| bad_key(error.to_string()))?;
    let signer =
        provider.key_provider.load_private_key(private).map_err(|error| bad_key(error.to_string()))?;
    let pair = CertifiedKey::new(certificates, signer);
    match pair.keys_match() {
        Ok(()) => Ok(Arc::new(pair)),
        Err(_) => Err(TlsError::Mismatch(chain.to_owned(), key.to_owned())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Unreadable(file.to_owned(), error.to_string()))
}

/// Asks rustls for the dates: it judges them before it looks for an issuer, of which it is given none.
fn check_dates(
    leaf: &CertificateDer<'_>,
    file: &Path,
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<(), TlsError> {
    let parsed = ParsedCertificate::try_from(leaf)
        .map_err(|error| TlsError::Certificate(file.to_owned(), error.to_string()))?;
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = provider.signature_verification_algorithms.all;
    let verdict =
        verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], at, algorithms);
    match verdict {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Err(TlsError::Expired(file.to_owned())),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err(TlsError::NotYetValid(file.to_owned())),
        _ => Ok(()),
    }
}

/// Chooses by the name that the client asks for.
#[derive(Debug)]
struct Resolver {
    keys: Vec<Arc<CertifiedKey>>,
}

impl Resolver {
    fn by_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = ServerName::try_from(name).ok()?;
        self.keys.iter().find(|key| {
            let leaf = key.end_entity_cert().ok();
            let parsed = leaf.and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
            parsed.is_some_and(|parsed| verify_server_name(&parsed, &name).is_ok())
        })
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.by_name(name));
        named.or_else(|| self.keys.first()).cloned()
    }
}

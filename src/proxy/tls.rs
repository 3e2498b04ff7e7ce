//! TLS towards apps: builds client configurations from files, judges an app's certificate, and says in plain words why
//! a handshake failed and what to change. Never speaks to anybody itself, never believes a certificate unseen.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::OtherError;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;
use rustls_platform_verifier::Verifier;

use super::connectors::ConnectorError;
use crate::policy::UpstreamTls;

/// What is offered in the handshake (ALPN), one configuration each.
#[derive(Clone, Debug)]
pub(super) struct Configs {
    /// `h2`, then `http/1.1`.
    pub(super) any: Arc<ClientConfig>,
    /// `http/1.1` only: for what HTTP/2 cannot carry, such as `Upgrade`.
    pub(super) http1: Arc<ClientConfig>,
}

/// Builds each distinct configuration once, and reads the system's roots once.
pub(super) struct Builder {
    provider: Arc<CryptoProvider>,
    system: Option<Arc<dyn ServerCertVerifier>>,
    built: HashMap<UpstreamTls, Configs>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let provider =
            CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(provider::default_provider()));
        Self { provider, system: None, built: HashMap::new() }
    }

    pub(super) fn build(&mut self, wanted: &UpstreamTls) -> Result<Configs, ConnectorError> {
        if let Some(built) = self.built.get(wanted) {
            return Ok(built.clone());
        }
        let (inner, own) = match &wanted.ca {
            None => (self.system()?, Vec::new()),
            Some(file) => self.roots(file)?,
        };
        let verifier = Arc::new(Judge { inner, own, pins: wanted.pins.clone() });
        let building = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| ConnectorError::Library(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut any = match &wanted.client {
            None => building.with_no_client_auth(),
            Some((chain, key)) => {
                let certificates = certificates(chain)?;
                let unusable = |why: String| ConnectorError::Key(key.clone(), why);
                let private = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|error| unusable(error.to_string()))?;
                building.with_client_auth_cert(certificates, private).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        ConnectorError::Mismatch(chain.clone(), key.clone())
                    }
                    error => unusable(error.to_string()),
                })?
            }
        };
        // A replayed request must not act twice, so no request goes out before the handshake is done.
        any.enable_early_data = false;
        let mut http1 = any.clone();
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let built = Configs { any: Arc::new(any), http1: Arc::new(http1) };
        self.built.insert(wanted.clone(), built.clone());
        Ok(built)
    }

    fn system(&mut self) -> Result<Arc<dyn ServerCertVerifier>, ConnectorError> {
        if let Some(known) = &self.system {
            return Ok(Arc::clone(known));
        }
        let verifier = Verifier::new(Arc::clone(&self.provider))
            .map_err(|error| ConnectorError::SystemRoots(error.to_string()))?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
        Ok(Arc::clone(self.system.insert(verifier)))
    }

    /// A verifier that believes the file only, and the file's certificates.
    fn roots(
        &self,
        file: &Path,
    ) -> Result<(Arc<dyn ServerCertVerifier>, Vec<CertificateDer<'static>>), ConnectorError> {
        let own = certificates(file)?;
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            roots
                .add(certificate.clone())
                .map_err(|error| ConnectorError::Certificate(file.to_owned(), error.to_string()))?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| ConnectorError::Certificate(file.to_owned(), error.to_string()))?;
        Ok((inner, own))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ConnectorError> {
    std::fs::read(file).map_err(|error| ConnectorError::Unreadable(file.to_owned(), error.to_string()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let bad = |why: String| ConnectorError::Certificate(file.to_owned(), why);
    let found = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if found.is_empty() { Err(bad("it holds no certificate".to_owned())) } else { Ok(found) }
}

/// Whom to believe: the roots, and where pins are set, only those keys of all that the roots vouch for.
#[derive(Debug)]
struct Judge {
    inner: Arc<dyn ServerCertVerifier>,
    /// The certificates of `ca`: one of them may be the app's own, as `openssl req -x509` makes it.
    own: Vec<CertificateDer<'static>>,
    pins: Vec<[u8; 32]>,
}

/// The app's key is not pinned. Shows the key that it has.
#[derive(Debug)]
struct NotPinned(String);

impl std::fmt::Display for NotPinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "its key is none of upstream_tls.pin; it has \"sha256//{}\"", self.0)
    }
}

impl std::error::Error for NotPinned {}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(error) = verdict {
            // The very certificate that is trusted, marked as an authority. Its dates were looked at before that.
            if !(is_authority(&error) && self.own.iter().any(|own| own == end_entity)) {
                return Err(error);
            }
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        if !self.pins.is_empty() {
            let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
            let print = digest::digest(&digest::SHA256, &key);
            if !self.pins.iter().any(|pin| pin == print.as_ref()) {
                let other = OtherError(Arc::new(NotPinned(STANDARD.encode(print.as_ref()))));
                return Err(CertificateError::Other(other).into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a certificate was refused only because it is an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else {
        return false;
    };
    inner.to_string().contains("CaUsedAsEndEntity")
}

/// Why TLS failed, with the cure; `None`: this is no failure of TLS.
pub(super) fn explain(error: &io::Error) -> Option<String> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::InvalidCertificate(bad) => certificate_fault(bad),
        rustls::Error::AlertReceived(alert) => alert_fault(*alert),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS there; write http:// in `upstream`, or give the port of its https"
                .to_owned()
        }
        rustls::Error::PeerIncompatible(why) => {
            format!("it speaks no TLS that we do ({why:?}); TLS 1.2 or 1.3 is needed")
        }
        rustls::Error::NoApplicationProtocol => {
            "it offers neither HTTP/2 nor HTTP/1.1 (ALPN); is another service on that port?".to_owned()
        }
        other => format!("the TLS handshake failed: {other}"),
    })
}

fn certificate_fault(bad: &CertificateError) -> String {
    match bad {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "its certificate is signed by nobody we believe; set upstream_tls.ca \
             to the PEM file of the authority that signed it"
            .to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!(
                "its certificate is for {names}, not for {}; set upstream_tls.server_name to a name that it has",
                expected.to_str()
            )
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name; set upstream_tls.server_name to a name that it has".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there, or check this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check this machine's clock and the app's".to_owned()
        }
        CertificateError::Other(OtherError(inner)) if inner.is::<NotPinned>() => {
            format!("{inner}; if that key is the app's, put it there")
        }
        CertificateError::Other(OtherError(inner)) if inner.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority; set upstream_tls.ca to this very certificate, or give the \
             app one of its own"
                .to_owned()
        }
        other => format!("its certificate is not good ({other}); give the app another"),
    }
}

/// `DnsName("a.example")` as webpki writes it, without the wrapping.
fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    // Writing into a String cannot fail.
    let _ = write!(plain, "{}", inner.trim_matches('"'));
    plain
}

fn alert_fault(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it wants a client certificate; set upstream_tls.certificate and upstream_tls.key".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => format!(
            "it refuses our client certificate ({alert:?}); give it one of an authority that it believes, by \
             upstream_tls.certificate and upstream_tls.key"
        ),
        AlertDescription::UnrecognisedName => {
            "it knows no such name; set upstream_tls.server_name to one that it serves".to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "it speaks no TLS that we do; TLS 1.2 or 1.3 is needed".to_owned()
        }
        other => format!("it broke the TLS handshake off ({other:?}); look into its log"),
    }
}

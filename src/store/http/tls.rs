//! TLS towards the token service: whom to believe, and in plain words why a handshake failed. Never speaks to anybody
//! itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::store::StoreError;

/// Believes the authorities of `ca` and nobody else; without it, the system's.
pub(super) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, StoreError> {
    let wrong = |what: String| StoreError::Invalid(format!("store.ca: {what}"));
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(provider::default_provider()));
    let verifier: Arc<dyn ServerCertVerifier> = match ca {
        None => Arc::new(Verifier::new(Arc::clone(&provider)).map_err(|error| {
            wrong(format!("the system's authorities cannot be read ({error}); name a file"))
        })?),
        Some(file) => {
            let shown = file.display();
            let mut roots = RootCertStore::empty();
            let found = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| wrong(format!("{shown}: {error}")))?;
            for certificate in found {
                roots.add(certificate).map_err(|error| wrong(format!("{shown}: {error}")))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| wrong(format!("{shown} holds no certificate ({error}); name a PEM file")))?
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| wrong(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why a connection could not be made, with the cure where TLS knows it.
pub(super) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by nobody we believe; set store.ca to the PEM file of the authority that \
                 signed it"
                    .to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired; renew it there, or check this machine's clock".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet; check both clocks".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name; write the name that it has in store.url".to_owned()
            }
            other => format!("its certificate is not good: {other}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS there; check the port in store.url".to_owned()
        }
        Some(other) => format!("the TLS handshake failed: {other}"),
        None => error.to_string(),
    }
}

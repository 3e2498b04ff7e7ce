//! A certificate authority of the test's own, made by openssl.

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub struct Authority {
    roots: RootCertStore,
    client: Arc<ClientConfig>,
}

fn client(roots: &RootCertStore, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    Arc::new(client)
}

impl Authority {
    /// Makes `ca.pem`, and `site.pem` with `site.key` for these names, in the folder.
    pub fn make(folder: &Path, names: &[&str]) -> Arc<Self> {
        let mut ca = vec!["req", "-x509", "-days", "2", "-subj", "/CN=Test authority"];
        ca.extend(EC);
        ca.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
        openssl(folder, &ca);
        issue(folder, "site", names, "2");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
        let client = client(&roots, rustls::DEFAULT_VERSIONS);
        Arc::new(Self { roots, client })
    }

    /// Who speaks this version alone, and has never been here.
    pub fn client_of(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        client(&self.roots, &[version])
    }

    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

const EC: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// What openssl says on stdout.
pub fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Has the authority of the folder sign `NAME.pem` with `NAME.key` for these names, for so many days.
pub fn issue(folder: &Path, name: &str, names: &[&str], days: &str) {
    let (key, csr, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
    let subject = format!("/CN={}", names[0]);
    let mut request = vec!["req", "-new", "-subj", &subject];
    request.extend(EC);
    request.extend(["-keyout", &key, "-out", &csr]);
    openssl(folder, &request);
    let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    std::fs::write(folder.join("extensions"), format!("subjectAltName={}\n", alternatives.join(",")))
        .unwrap();
    let ours = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions"];
    let mut sign = vec!["x509", "-req", "-days", days, "-in", &csr, "-out", &pem];
    sign.extend(ours);
    openssl(folder, &sign);
}

/// Makes `NAME.pem` with `NAME.key`, signed by itself, as `openssl req -x509` does.
pub fn self_sign(folder: &Path, name: &str, host: &str) {
    let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
    let (subject, extension) = (format!("/CN={host}"), format!("subjectAltName=DNS:{host}"));
    let mut make = vec!["req", "-x509", "-days", "2", "-subj", &subject, "-addext", &extension];
    make.extend(EC);
    make.extend(["-keyout", &key, "-out", &pem]);
    openssl(folder, &make);
}

//! A certificate authority of the test's own, made by openssl.

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub struct Authority {
    client: Arc<ClientConfig>,
}

impl Authority {
    /// Makes `ca.pem`, and `site.pem` with `site.key` for these names, in the folder.
    pub fn make(folder: &Path, names: &[&str]) -> Arc<Self> {
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
            assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        };
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let mut ca = vec!["req", "-x509", "-days", "2", "-subj", "/CN=Test authority"];
        ca.extend(ec);
        ca.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
        run(&ca);
        let subject = format!("/CN={}", names[0]);
        let mut request = vec!["req", "-new", "-subj", &subject];
        request.extend(ec);
        request.extend(["-keyout", "site.key", "-out", "site.csr"]);
        run(&request);
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let extensions = format!("subjectAltName={}\n", alternatives.join(","));
        std::fs::write(folder.join("extensions"), extensions).unwrap();
        run(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "site.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "extensions",
            "-out",
            "site.pem",
        ]);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
        let client =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        Arc::new(Self { client: Arc::new(client) })
    }

    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

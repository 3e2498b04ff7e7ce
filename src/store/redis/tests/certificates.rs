//! Certificates of a test's own, made by openssl, and what servers must be told to show them.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// `site.pem`, signed by `ca.pem`; `other.pem` is an authority that has nothing to do with it.
pub(super) struct Certificates(TempDir);

impl Certificates {
    /// For these names, as `subjectAltName` has them.
    pub(super) fn of(names: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        for ca in ["ca", "other"] {
            let (secret, public) = (format!("{ca}.key"), format!("{ca}.pem"));
            let own = ["-keyout", &secret, "-out", &public];
            let make = ["req", "-x509", "-days", "2", "-subj", "/CN=Test authority"];
            openssl(&[&make, &key[..], &own[..]].concat());
        }
        let ask = ["-keyout", "site.key", "-out", "site.csr"];
        openssl(&[&["req", "-new", "-subj", "/CN=localhost"], &key[..], &ask].concat());
        std::fs::write(folder.path().join("names"), format!("subjectAltName={names}\n")).unwrap();
        let signs = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
        let request = ["x509", "-req", "-days", "2", "-in", "site.csr", "-out", "site.pem"];
        openssl(&[&request[..], &signs[..]].concat());
        Self(folder)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The settings of a server that shows them at this port.
    pub(super) fn shown_at(&self, port: u16) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.file(name).display().to_string();
        vec![
            ("tls-port", port.to_string()),
            ("tls-cert-file", file("site.pem")),
            ("tls-key-file", file("site.key")),
            ("tls-ca-cert-file", file("ca.pem")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }
}

//! Certificates and handshakes.

use super::*;

#[tokio::test]
async fn certificates_are_chosen_by_name_and_reload_with_the_server_running() {
    let secure = secure(Vec::new());
    for name in ["localhost", "wiki.example.com"] {
        let mut socket = tls(&secure, name, b"http/1.1").await.unwrap();
        socket.write_all(&get("/a", "")).await.unwrap();
        assert!(read_until(&mut socket, " /a").await.ends_with("first tls /a"));
    }
    assert!(
        tls(&secure, "other.example.org", b"http/1.1").await.is_err(),
        "the default is not for that name"
    );
    let renewed = certificate(secure.folder.path(), "c", "DNS:other.example.org", "30");
    let (chain, key) = renewed.clone();
    let mismatch = Tls { certificates: vec![(chain, secure.folder.path().join("a.key"))] };
    let error = secure.server.swap(Arc::clone(&secure.house), Some(mismatch)).await.unwrap_err();
    assert!(error.to_string().contains("a.key is not the key of"), "{error}");
    assert!(tls(&secure, "localhost", b"http/1.1").await.is_ok(), "a failed reload keeps the old");
    let mut roots = secure.roots.clone();
    roots.add(CertificateDer::from_pem_file(&renewed.0).unwrap()).unwrap();
    let secure = Secure { roots, ..secure };
    let new = Tls { certificates: vec![(renewed.0, key)] };
    secure.server.swap(Arc::clone(&secure.house), Some(new)).await.unwrap();
    assert!(tls(&secure, "other.example.org", b"http/1.1").await.is_ok());
    secure.server.drain().await;
}

#[test]
fn certificates_that_cannot_work_name_the_file_and_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = certificate(folder.path(), "a", "DNS:localhost", "1");
    let try_with = |chain: &Path, key: &Path, clock: &Clock| {
        let tls = Tls { certificates: vec![(chain.to_owned(), key.to_owned())] };
        tls::Keeper::load(&tls, clock.now()).err().map(|error| error.to_string())
    };
    let now = Clock::system();
    assert_eq!(try_with(&chain, &key, &now), None);
    let later = Clock::manual(now.now() + Duration::from_hours(72));
    let expired = try_with(&chain, &key, &later).unwrap();
    assert!(expired.contains("a.pem has expired: renew"), "{expired}");
    let early = Clock::manual(now.now() - Duration::from_hours(24));
    assert!(try_with(&chain, &key, &early).unwrap().contains("clock"));
    let missing = try_with(&chain, &folder.path().join("none"), &now).unwrap();
    assert!(missing.contains("none") && missing.contains("check the path"), "{missing}");
    assert!(try_with(&key, &key, &now).unwrap().contains("a.key is not a PEM certificate"));
    assert!(try_with(&chain, &chain, &now).unwrap().contains("a.pem holds no usable private key"));
}

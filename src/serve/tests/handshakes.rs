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

async fn shake(
    config: &Arc<rustls::ClientConfig>,
    address: SocketAddr,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut socket = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.unwrap();
    // TLS 1.3 sends its tickets after the handshake, before the first answer.
    socket.write_all(&get("/a", "")).await.unwrap();
    assert!(read_until(&mut socket, " /a").await.ends_with(" /a"));
    socket
}

#[tokio::test]
async fn a_second_handshake_is_resumed_by_every_worker_and_after_a_reload_but_never_with_early_data() {
    let secure = secure(Vec::new());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(secure.roots.clone())
            .with_no_client_auth();
        config.enable_early_data = true;
        let config = Arc::new(config);
        let kind = async || shake(&config, secure.address).await.get_ref().1.handshake_kind();
        assert_eq!(kind().await, Some(rustls::HandshakeKind::Full));
        for _ in 0..6 {
            assert_eq!(kind().await, Some(rustls::HandshakeKind::Resumed), "{version:?}");
        }
        let folder = secure.folder.path();
        let same =
            ["a", "b"].map(|name| (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key"))));
        let same = Tls { certificates: same.to_vec() };
        secure.server.swap(Arc::clone(&secure.house), Some(same)).await.unwrap();
        assert_eq!(kind().await, Some(rustls::HandshakeKind::Resumed), "{version:?}");
        let name = ServerName::try_from("localhost").unwrap();
        let mut third = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        assert!(third.early_data().is_none(), "a ticket allows no early data");
    }
    secure.server.drain().await;
}

#[tokio::test]
async fn an_older_protocol_than_tls_1_2_is_refused() {
    let secure = secure(Vec::new());
    for version in [[3, 0], [3, 1], [3, 2]] {
        // A whole hello: nothing is wrong with it but its age.
        let extensions = [
            &[0, 10, 0, 4, 0, 2, 0, 23][..],
            &[0, 11, 0, 2, 1, 0],
            &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4],
            &[0, 23, 0, 0],
        ]
        .concat();
        let suites = [0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, 0, u8::try_from(extensions.len()).unwrap()];
        let body = [&version[..], &[7; 32], &suites, &extensions].concat();
        let length = u8::try_from(body.len()).unwrap();
        let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat();
        let mut socket = TcpStream::connect(secure.address).await.unwrap();
        socket.write_all(&hello).await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(matches!(answer.as_slice(), [21, 3, _, 0, 2, 2, 70]), "protocol_version: {answer:?}");
    }
    assert_eq!(secure.server.counters().handshakes_failed.load(Relaxed), 3);
    secure.server.drain().await;
}

#[tokio::test]
async fn new_certificates_reach_new_connections_and_drop_no_old_one() {
    let secure = secure(Vec::new());
    let mut old = tls(&secure, "localhost", b"http/1.1").await.unwrap();
    old.write_all(&get("/wait", "")).await.unwrap();
    secure.house.entered.acquire().await.unwrap().forget();
    let renewed = certificate(secure.folder.path(), "c", "DNS:localhost", "30");
    let mut roots = secure.roots.clone();
    roots.add(CertificateDer::from_pem_file(&renewed.0).unwrap()).unwrap();
    let secure = Secure { roots, ..secure };
    let shown = |socket: &tokio_rustls::client::TlsStream<TcpStream>| {
        socket.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let before = shown(&old);
    let new = Tls { certificates: vec![renewed.clone()] };
    secure.server.swap(Arc::clone(&secure.house), Some(new)).await.unwrap();
    let fresh = tls(&secure, "localhost", b"http/1.1").await.unwrap();
    assert_eq!(shown(&fresh), CertificateDer::from_pem_file(&renewed.0).unwrap());
    assert_ne!(shown(&fresh), before);
    secure.house.released.add_permits(1);
    assert!(read_until(&mut old, " /wait").await.ends_with(" /wait"));
    old.write_all(&get("/again", "")).await.unwrap();
    assert!(read_until(&mut old, " /again").await.ends_with("first tls /again"));
    secure.server.drain().await;
}

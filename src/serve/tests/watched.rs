//! Health, readiness, and what systemd is told.

use super::*;

#[tokio::test]
async fn the_monitor_tells_health_and_readiness_and_nothing_else() {
    let mut settings = settings(vec![Listen::Http(loopback())]);
    settings.monitor = Some(loopback());
    let check = Check { name: "store", ok: false, detail: "away".to_owned() };
    let health: Health = Arc::new(move || Readiness { ready: false, checks: vec![check.clone()] });
    let server = Server::start(settings, House::new("first"), health).unwrap();
    let monitor = server.monitor_addr().unwrap();
    assert!(exchange(monitor, &get("/healthz", "")).await.starts_with("HTTP/1.1 200 "));
    let ready = exchange(monitor, &get("/readyz", "")).await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let json = r#"{"ready":false,"draining":false,"checks":[{"name":"store","ok":false,"detail":"away"}]}"#;
    assert!(ready.ends_with(json), "{ready}");
    assert!(exchange(monitor, &get("/metrics", "")).await.starts_with("HTTP/1.1 404 "));
    server.drain().await;
}

#[tokio::test]
async fn systemd_hears_of_start_reload_and_stop_and_the_watchdog_of_living_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = tokio::net::UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::connect(Some(path.as_os_str())).unwrap();
    let hear = async || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    notifier.ready("2 sites\nWATCHDOG=1");
    assert_eq!(hear().await, "READY=1\nSTATUS=2 sites\n");
    notifier.reloading();
    assert!(hear().await.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    notifier.stopping();
    assert_eq!(hear().await, "STOPPING=1\n");
    let (server, ..) = plain();
    tokio::select! {
        () = watchdog(&notifier, Duration::from_millis(100), &server) => {}
        heard = hear() => assert_eq!(heard, "WATCHDOG=1\n"),
    }
    server.drain().await;
    assert!(!server.alive(Duration::from_secs(1)).await, "a worker that is gone is not alive");
    Notifier::connect(None).unwrap().ready("nobody listens");
}

//! WebSockets with an implementation that is not ours at both ends: Python's `websockets`.

use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::process::assert_within_a_second;
use crate::harness::program::Program;
use crate::harness::stage::Stage;
use std::time::Instant;

const ALL: &[&str] = &[
    "ok packed messages",
    "ok plain messages",
    "ok a thousand messages",
    "ok a subprotocol",
    "ok the app's own close code",
    "ok who asks",
    "ok nobody else",
];

#[tokio::test]
async fn everything_works_as_without_a_gateway_and_a_revoked_session_ends_in_1008() {
    let port = free_port();
    let mut app = Program::script("ws_app.py", &[&port.to_string()]);
    app.says("ready").await;
    let stage = Stage::before(&format!("http://127.0.0.1:{port}")).await;
    let (address, origin) = (format!("ws://{}", stage.host), format!("http://{}", stage.host));
    let mut client = Program::script("ws_client.py", &[&address, &stage.cookie, &origin]);
    for line in ALL {
        assert_eq!(client.line().await.as_deref(), Some(*line), "{}", client.told());
    }
    client.says("open").await;
    stage.gateway.run(&["session", "revoke", "--all"]).await;
    let revoked = Instant::now();
    client.says("closed 1008").await;
    assert_within_a_second(revoked);
    client.ends().await;

    // The app's side was closed too, and was told why each time.
    let ended = format!("http://127.0.0.1:{port}/ended");
    let codes = eventually("all ends reach the app", async || {
        let codes = Browser::new().send("GET", &ended, &[], Vec::new()).await.json();
        (codes.as_array().unwrap().len() == 7).then_some(codes)
    })
    .await;
    assert_eq!(codes[0], serde_json::json!(["/echo", 1000]), "{codes}");
    assert_ne!(codes[6][1], 1000, "the last one did not end by the client's wish: {codes}");
}

//! A real, unmodified app that lives by its WebSockets: JupyterLab. Its own protocol, through the gateway.

use crate::harness::browser::try_fetch;
use crate::harness::jupyter::Jupyter;
use crate::harness::process::assert_within_a_second;
use crate::harness::program::Program;
use crate::harness::stage::Stage;
use std::time::Instant;

#[tokio::test]
async fn a_kernel_computes_over_its_websocket_and_is_cut_off_when_the_session_is_revoked() {
    let app = Jupyter::start().await;
    let stage = Stage::before(&format!("http://127.0.0.1:{}", app.port)).await;
    let address = format!("http://{}/", stage.host);
    let client = Program::script("jupyter_client.py", &[&address, &stage.cookie]);
    assert_eq!(client.ends().await, ["user True", "result 42", "status ok"]);

    let mut client = Program::script("jupyter_client.py", &[&address, &stage.cookie, "hold"]);
    client.says("open").await;
    stage.gateway.run(&["session", "revoke", "--all"]).await;
    let revoked = Instant::now();
    client.says("closed 1008").await;
    assert_within_a_second(revoked);

    // And nobody without a session comes near.
    let api = format!("{address}api/kernels");
    let answer = try_fetch(None, "POST", &api, &[], b"{}".to_vec()).await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
}

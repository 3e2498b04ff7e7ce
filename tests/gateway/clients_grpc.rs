//! gRPC from end to end with the library that most use (`grpcio`): TLS and HTTP/2 in front, HTTP/2 behind.

use crate::harness::free_port;
use crate::harness::program::Program;
use crate::harness::stage::Stage;

const ALL: &[&str] = &[
    "ok unary, with metadata before and behind",
    "ok empty, large and packed messages",
    "ok a status with details",
    "ok a stream of answers",
    "ok a status after messages",
    "ok a stream of requests",
    "ok both ways, one after the other",
    "ok a deadline, and the app learns of it",
    "ok a cancelled call, and the app learns of it",
    "ok three hundred calls at once",
    "ok nobody without a session",
];

/// Everything that the client does, signed in by this metadata.
async fn call(stage: &Stage, key: &str, value: &str) {
    let port = stage.gateway.place.port.to_string();
    let roots = stage.gateway.place.path().join("ca.pem").display().to_string();
    let client = Program::script("grpc_client.py", &[&port, &roots, &stage.host, key, value]);
    assert_eq!(client.ends().await, ALL);
}

#[tokio::test]
async fn every_kind_of_call_works_with_the_session_in_a_cookie_or_as_a_bearer() {
    let port = free_port();
    let mut app = Program::script("grpc_app.py", &[&port.to_string()]);
    app.says("ready").await;
    let stage = Stage::secure_before(&format!("h2c://127.0.0.1:{port}"), "").await;
    call(&stage, "cookie", &stage.cookie).await;
    let bearer = stage.bearer().await;
    call(&stage, "authorization", &format!("Bearer {bearer}")).await;
}

#[tokio::test]
async fn every_kind_of_call_works_before_an_app_with_tls() {
    let port = free_port();
    let folder = tempfile::TempDir::new().unwrap();
    crate::harness::authority::Authority::make(folder.path(), &["app.localhost"]);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let mut app = Program::script("grpc_app.py", &[&port.to_string(), &file("site.key"), &file("site.pem")]);
    app.says("ready").await;
    let tls = format!("upstream_tls = {{ ca = \"{}\", server_name = \"app.localhost\" }}\n", file("ca.pem"));
    let stage = Stage::secure_before(&format!("https://127.0.0.1:{port}"), &tls).await;
    call(&stage, "cookie", &stage.cookie).await;
}

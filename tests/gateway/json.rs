//! The sign-in for programs without cookies: docs/api.md, step by step.

use crate::harness::app::App;
use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use serde_json::Value;
use serde_json::json;

const ALICE: &str = "alice@example.com";

async fn post(gateway: &Gateway, path: &str, body: Value) -> Answer {
    Browser::new().json("POST", &gateway.url(path), &body).await
}

async fn ask(gateway: &Gateway) -> String {
    let answer =
        post(gateway, "/.linkgate/login", json!({"email": ALICE, "return_to": "/x"})).await.expect(202);
    let told = answer.json();
    assert!(told["message"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
    assert_eq!(told["expires_in"], 600, "{told}");
    assert!(told["expires_at"].is_string() || told["expires_at"].is_number(), "{told}");
    told["request"].as_str().expect("a request").to_owned()
}

async fn enters(gateway: &Gateway, app: &App, answer: Answer) {
    let told = answer.expect(200).json();
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["email"], ALICE);
    assert!(told["expires_in"].as_i64().is_some_and(|seconds| seconds > 0), "{told}");
    let bearer = format!("Bearer {}", told["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let url = gateway.url("/api");
    assert_eq!(Browser::new().send("GET", &url, &headers, Vec::new()).await.status, 200);
    let seen = app.request("/api").await;
    assert_eq!(seen.header("remote-user"), ALICE);
    assert_eq!(seen.header("authorization"), "", "the credential we consumed stays here");
}

#[tokio::test]
async fn request_and_token_let_a_program_in() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let request = ask(&gateway).await;
    let letter = gateway.letter_to(ALICE).await;
    let body = json!({"request": request, "token": letter.token()});
    enters(&gateway, &app, post(&gateway, "/.linkgate/verify", body).await).await;
}

#[tokio::test]
async fn request_and_code_let_a_program_in() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let request = ask(&gateway).await;
    let letter = gateway.letter_to(ALICE).await;
    let body = json!({"request": request, "code": letter.code.to_lowercase()});
    enters(&gateway, &app, post(&gateway, "/.linkgate/verify", body).await).await;
}

#[tokio::test]
async fn token_and_address_let_a_program_in() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    ask(&gateway).await;
    let letter = gateway.letter_to(ALICE).await;
    let body = json!({"token": letter.token(), "email": ALICE});
    enters(&gateway, &app, post(&gateway, "/.linkgate/verify", body).await).await;
}

#[tokio::test]
async fn a_token_alone_or_with_the_wrong_request_is_refused_as_a_problem_document() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let request = ask(&gateway).await;
    let letter = gateway.letter_to(ALICE).await;
    let stranger = ask(&gateway).await;
    for body in [
        json!({"token": letter.token()}),
        json!({"token": letter.token(), "request": stranger}),
        json!({"token": letter.token(), "request": "x"}),
        json!({"token": letter.token(), "email": "bob@example.com"}),
        json!({"code": letter.code}),
        json!({"request": request}),
        json!({"request": request, "code": "0000-0000"}),
        json!({"token": "a.b.c", "email": ALICE}),
        json!({}),
    ] {
        let answer = post(&gateway, "/.linkgate/verify", body.clone()).await;
        assert!(matches!(answer.status, 400..=499), "{body}: {} {}", answer.status, answer.text());
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{body}");
        assert!(answer.json()["type"].is_string(), "{body}: {}", answer.text());
        assert_eq!(answer.header("set-cookie"), "", "{body}");
    }
    // None of this has spent it.
    let body = json!({"request": request, "token": letter.token()});
    post(&gateway, "/.linkgate/verify", body.clone()).await.expect(200);
    let again = post(&gateway, "/.linkgate/verify", body).await;
    assert!(matches!(again.status, 400..=499), "used: {}", again.text());
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_202() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let mut told = Vec::new();
    for email in [ALICE, "nobody@elsewhere.example"] {
        let answer = post(&gateway, "/.linkgate/login", json!({"email": email})).await.expect(202);
        let names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        let mut body = answer.json();
        // Signed for this very request; it holds what the program itself said.
        assert!(body["request"].take().as_str().is_some_and(|request| request.len() > 40));
        body["expires_at"].take();
        let message = body["message"].as_str().unwrap().replace(email, "ADDRESS");
        body["message"] = message.into();
        // Its length goes with the address's.
        told.push((names, body));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn jwks_shows_public_keys_only() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let keys = Browser::new()
        .json("GET", &gateway.url("/.linkgate/jwks.json"), &Value::Null)
        .await
        .expect(200)
        .json();
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    assert!(key["d"].is_null() && key["k"].is_null(), "{key}");
}

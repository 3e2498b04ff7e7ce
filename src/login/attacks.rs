//! What was tried against sign-in, and must not work again.

use axum::body::Body;
use http::Request;
use http::StatusCode;
use http::header;

use super::fixture::Browser;
use super::fixture::HERE;
use super::fixture::World;
use crate::store::AuditEvent;
use crate::store::AuditFilter;
use std::time::Duration;

const ALICE: &str = "alice@example.com";

fn token(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

/// The path of a letter's link.
fn path(link: &str) -> String {
    link.strip_prefix(&format!("{HERE}/.linkgate")).unwrap().to_owned()
}

#[tokio::test]
async fn a_scanner_that_keeps_cookies_is_not_let_in_by_the_fresh_letter_it_asked_for() {
    let (world, mut person, mut scanner) = (World::new(), Browser::default(), Browser::default());
    let (link, _) = world.ask(&mut person, ALICE, "/a").await;
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(world.go(&mut scanner, HERE, &link).await.status, StatusCode::GONE);
    world.form(&mut scanner, "/login", &[("again", token(&link))]).await;
    let letter = world.letters().await.pop().unwrap();
    let fresh = path(&letter.link.unwrap());
    // The same robot reads the fresh letter, and presses what is there.
    assert_eq!(world.go(&mut scanner, HERE, &fresh).await.status, StatusCode::OK);
    world.form(&mut scanner, "/verify", &[("token", token(&fresh)), ("confirm", "1")]).await;
    assert_eq!(world.who(&mut scanner, HERE).await, "");
    // Who knows the address gets in there, and so does who types the code.
    let mut typed = scanner.clone();
    world.form(&mut typed, "/verify", &[("token", token(&fresh)), ("email", ALICE)]).await;
    assert_eq!(world.who(&mut typed, HERE).await, ALICE);
}

#[tokio::test]
async fn the_code_of_a_fresh_letter_works_where_it_was_asked_for() {
    let (world, mut person, mut phone) = (World::new(), Browser::default(), Browser::default());
    let (link, _) = world.ask(&mut person, ALICE, "/a").await;
    world.clock.advance(Duration::from_mins(10));
    world.form(&mut phone, "/login", &[("again", token(&link))]).await;
    let letter = world.letters().await.pop().unwrap();
    let code = letter.code.unwrap();
    world.form(&mut Browser::default(), "/verify", &[("code", &code)]).await;
    world.form(&mut person.clone(), "/verify", &[("code", &code)]).await;
    world.form(&mut phone, "/verify", &[("code", &code)]).await;
    assert_eq!(world.who(&mut phone, HERE).await, ALICE);
}

#[tokio::test]
async fn the_browser_that_asked_first_gets_a_fresh_letter_that_one_click_opens() {
    let (world, mut person) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut person, ALICE, "/a").await;
    world.clock.advance(Duration::from_mins(10));
    world.form(&mut person, "/login", &[("again", token(&link))]).await;
    let fresh = path(&world.letters().await.pop().unwrap().link.unwrap());
    assert_eq!(world.go(&mut person, HERE, &fresh).await.location(), "https://wiki.example.com/a");
}

#[tokio::test]
async fn cached_basic_credentials_sign_nobody_out_from_elsewhere() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.sign_in(&mut browser, ALICE).await;
    // A form of another site: `Lax` cookies stay at home, what the browser remembers of `Basic` does not.
    let request = Request::post("/logout")
        .header("accept", "text/html")
        .header("sec-fetch-site", "cross-site")
        .header("origin", "https://evil.example")
        .header("authorization", "Basic YTpi")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("everywhere=1"))
        .unwrap();
    let answer = world.call(&mut Browser::default(), HERE, request).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert!(!answer.headers.contains_key(header::SET_COOKIE), "{answer:?}");
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
}

#[tokio::test]
async fn refusals_carry_the_headers_that_their_status_asks_for() {
    let (world, mut browser) = (World::new(), Browser::default());
    let request = Request::put("/login").body(Body::empty()).unwrap();
    let answer = world.call(&mut browser, HERE, request).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.headers.contains_key(header::ALLOW), "{answer:?}");
    let answer = world.form(&mut browser, "/sessions/end", &[("id", "x")]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE), "{answer:?}");
}

#[tokio::test]
async fn one_old_link_does_not_fill_the_audit() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    world.clock.advance(Duration::from_mins(10));
    for _ in 0..200 {
        world.go(&mut browser, HERE, &link).await;
    }
    let last = AuditEvent {
        at: world.clock.now(),
        site: "wiki".into(),
        email: String::new(),
        what: "last".into(),
        request: String::new(),
        client: String::new(),
        detail: String::new(),
    };
    // Written one after the other: when this is there, the others are.
    let store = &world.login.parts.store;
    store.audit(last.clone()).await.unwrap();
    let lines = store.audit_log(AuditFilter::default()).await.unwrap();
    assert!(lines.contains(&last));
    assert!(lines.len() < 100, "{}", lines.len());
}

#[tokio::test]
async fn a_cookie_that_is_no_text_hides_none_of_ours() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (letter, _) = world.ask(&mut browser, ALICE, "/a").await;
    let (name, nonce) = browser.first_cookie(HERE);
    let mut raw = b"app=M\xfcller; ".to_vec();
    raw.extend_from_slice(format!("{name}={nonce}").as_bytes());
    let request = Request::get(&letter)
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header(header::COOKIE, http::HeaderValue::from_bytes(&raw).unwrap())
        .body(Body::empty())
        .unwrap();
    let answer = world.call(&mut Browser::default(), HERE, request).await;
    assert_eq!(answer.location(), "https://wiki.example.com/a", "{answer:?}");
}

#[tokio::test]
async fn a_stranger_is_not_answered_sooner_than_a_person() {
    let world = World::new();
    for email in [ALICE, "mallory@evil.example"] {
        let began = std::time::Instant::now();
        let answer = world.json("/login", &format!(r#"{{"email":"{email}"}}"#)).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "asking for {email}");
        let request = answer.json()["request"].as_str().unwrap().to_owned();
        let began = std::time::Instant::now();
        world.json("/verify", &format!(r#"{{"request":"{request}","code":"0000-0000"}}"#)).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "a wrong code for {email}");
    }
}

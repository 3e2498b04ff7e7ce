//! Who asks in which way: forms, programs, guards of every page, the audit.

use super::*;

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.sign_in(&mut browser, ALICE).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "null"),
        ("origin", "https://evil.example.com"),
        ("x-nothing", ""),
    ] {
        for path in ["/logout", "/login", "/verify", "/sessions/end"] {
            let request = Request::post(path)
                .header("accept", "text/html")
                .header(name, value)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from("email=bob%40example.com"))
                .unwrap();
            let answer = world.call(&mut browser, HERE, request).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {name}");
            assert!(answer.body.contains(".linkgate&#x2f;login"));
        }
    }
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
    assert!(world.letters().await.is_empty());
}

#[tokio::test]
async fn programs_sign_in_without_cookies() {
    let world = World::new();
    let asked = world.json("/login", r#"{"email":"alice@example.com"}"#).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    let request = asked.json()["request"].as_str().unwrap().to_owned();
    let letter = world.letters().await.pop().unwrap();
    let wrong = world.json("/verify", &format!(r#"{{"request":"{request}","code":"0000-0000"}}"#)).await;
    assert_eq!(
        (wrong.status, wrong.json()["type"].clone()),
        (StatusCode::FORBIDDEN, "urn:linkgate:problem:wrong-code".into())
    );
    let code = letter.code.unwrap();
    let right = world.json("/verify", &format!(r#"{{"request":"{request}","code":"{code}"}}"#)).await;
    assert_eq!((right.status, right.json()["email"].clone()), (StatusCode::OK, ALICE.into()));
    assert_eq!(right.json()["token_type"], "Bearer");
    assert!(!right.headers.contains_key("set-cookie"));

    world.json("/login", r#"{"email":"alice@example.com"}"#).await;
    let link = world.letters().await.pop().unwrap().link.unwrap();
    let (wrong, right) = ("bob@example.com", ALICE);
    let body = |email| format!(r#"{{"token":"{}","email":"{email}"}}"#, token(&link));
    assert_eq!(world.json("/verify", &body(wrong)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.json("/verify", &body(right)).await.status, StatusCode::OK);
    assert_eq!(world.json("/verify", &body(right)).await.status, StatusCode::GONE);

    for bad in [
        "",
        "{",
        "[]",
        r#"{"email":1}"#,
        r#"{"email":"x"}"#,
        r#"{"email":"a@b.example","email":"c@d.example"}"#,
    ] {
        let answer = world.json("/login", bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.headers.get("content-type").unwrap(), "application/problem+json");
    }
}

#[tokio::test]
async fn an_unauthenticated_request_gets_what_its_sender_understands() {
    let world = World::new();
    let mut browser = Browser::default();
    let page = world.go(&mut browser, HERE, "/").await;
    assert_eq!(
        page.location(),
        "https://wiki.example.com/.linkgate/login?return_to=https%3A%2F%2Fwiki.example.com%2F.linkgate%2F"
    );
    let script = world.get(&mut browser, HERE, "/", "empty", "cors", Method::GET).await;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);
    assert!(script.headers.contains_key("www-authenticate"));
    assert_eq!(script.json()["login"], "https://wiki.example.com/.linkgate/login");
    assert!(Target::parse(true, "wiki.example.com", "/").is_ok());
}

#[tokio::test]
async fn own_pages_carry_every_guard_and_no_page_prints_a_token() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.sign_in(&mut browser, ALICE).await;
    for path in ["/", "/login?other=1", "/logout", "/verify?token=abc", "/nothing"] {
        let answer = world.go(&mut browser, HERE, path).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "strict-origin"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers.get(name).unwrap(), value, "{path}");
        }
        assert!(answer.headers.contains_key("strict-transport-security"));
        let policy = answer.headers.get("content-security-policy").unwrap().to_str().unwrap();
        assert!(
            policy.contains("form-action 'self' https://wiki.example.com https://photos.example.com;"),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'nonce-"));
    }
    let style = world.go(&mut browser, HERE, "/assets/style.css?v=1").await;
    assert_eq!(style.headers.get("cache-control").unwrap(), "public, max-age=31536000, immutable");
    assert_eq!(world.go(&mut browser, HERE, "/assets/site.css").await.status, StatusCode::OK);
    assert_eq!(world.go(&mut browser, HERE, "/assets/login.html").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_audit_tells_who_did_what() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.form(&mut browser, "/login", &[("email", "x@else.example")]).await;
    let log = world.login.parts().store.audit_log(AuditFilter::default()).await.unwrap();
    let rows: Vec<(&str, &str)> = log.iter().map(|row| (row.what.as_str(), row.email.as_str())).collect();
    assert_eq!(rows, [("link.asked", "x@else.example"), ("link.refused", "x@else.example")]);
    assert!(log.iter().all(|row| row.request == "k3f9-2m7q"));
}

//! Nonsense and traps in what our own pages take, and what may not come out of them: logs, health, addresses elsewhere.

use super::ALICE;
use super::start;
use crate::harness::app::App;
use crate::harness::browser::Browser;

#[tokio::test]
async fn return_to_never_leads_off_the_site() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let port = gateway.place.port;
    let browser = Browser::new();
    let mut wrong = Vec::new();
    for wish in [
        "https://evil.example/".to_owned(),
        "http://evil.example/".to_owned(),
        "//evil.example/".to_owned(),
        "///evil.example/".to_owned(),
        "/\\evil.example/".to_owned(),
        "\\\\evil.example/".to_owned(),
        "/\t/evil.example/".to_owned(),
        "/\n/evil.example/".to_owned(),
        "/%0d%0aLocation:%20https://evil.example".to_owned().replace("%0d%0a", "\r\n"),
        "\u{a0}//evil.example".to_owned(),
        "javascript:alert(1)".to_owned(),
        "data:text/html,x".to_owned(),
        format!("http://localhost:{port}@evil.example/"),
        format!("http://localhost:{port}.evil.example/"),
        format!("http://localhost.evil.example:{port}/"),
        format!("http://evil-localhost:{port}/"),
        format!("http://other.localhost:{port}/"),
        format!("https://localhost:{port}/"),
        "http://localhost:1/".to_owned(),
        "http:/evil.example/".to_owned(),
        "http:evil.example".to_owned(),
        "https:/\\evil.example".to_owned(),
        "evil.example".to_owned(),
        format!("http://localhost:{port}\\@evil.example/"),
        format!("http://localhost:{port}%2f@evil.example/"),
        "/.linkgate/logout?everywhere=1".to_owned(),
        format!("http://localhost:{port}/.linkgate/enter?ticket=x"),
        "x".repeat(10_000),
    ] {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &wish).finish();
        let page = browser.visit(&gateway.url(&format!("/.linkgate/login?{query}"))).await;
        let shown = page.field("return_to");
        let home = gateway.url("/");
        if page.status != 200
            || !(shown.is_empty() || shown == "/" || shown == home || format!("{shown}/") == home)
        {
            wrong.push(format!("{wish:?} → {} {shown:?}", page.status));
        }
        // Nor when it comes with the form.
        let fields = [("email", ALICE), ("return_to", &wish)];
        browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
        let letter = gateway.letter_to(ALICE).await;
        let person = Browser::new();
        person.set_cookie("localhost", "linkgate-login", &browser.cookie("localhost", "linkgate-login"));
        let answer = person.visit(&letter.link).await;
        let there = answer.location();
        if !there.starts_with(&home) || there.contains(".linkgate") {
            wrong.push(format!("{wish:?} led to {there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn posts_of_ours_are_taken_from_our_own_pages_only() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let origin = gateway.url("");
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let before = gateway.letters().len();
    for (site, from) in [
        ("cross-site", "https://evil.example"),
        ("same-site", "http://other.localhost"),
        ("none", "null"),
        ("cross-site", ""),
        ("same-site", ""),
        ("nonsense", origin.as_str()),
        ("", "null"),
        ("", "https://evil.example"),
        ("", "http://localhost.evil.example"),
        ("", "http://localhost:1"),
        ("", ""),
    ] {
        let headers = [("sec-fetch-site", site), ("origin", from)];
        for (path, fields) in [
            ("/.linkgate/login", &[("email", ALICE)][..]),
            ("/.linkgate/logout", &[("everywhere", "1")]),
            ("/.linkgate/verify", &[("code", "0000-0000")]),
        ] {
            let answer = alice.post_form_with(&gateway.url(path), fields, &headers).await;
            assert_eq!(answer.status, 403, "{path} with {headers:?}: {}", answer.text());
        }
    }
    alice.visit(&gateway.url("/")).await.expect(200);
    assert_eq!(gateway.letters().len(), before, "no letter was sent");
    // Without Sec-Fetch-Site the exact Origin counts.
    let old = [("sec-fetch-site", ""), ("origin", origin.as_str())];
    alice.post_form_with(&gateway.url("/.linkgate/logout"), &[], &old).await.expect(303);
    assert!(alice.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn hostile_addresses_send_no_letter_and_break_none() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    for address in [
        "alice@example.com\r\nBcc: eve@evil.example",
        "alice@example.com\nSubject: x",
        "alice@example.com,eve@evil.example",
        "alice@example.com eve@evil.example",
        "eve@evil.example@example.com",
        "\"alice@example.com\"@evil.example",
        "alice@example.com.evil.example",
        "alice@evil.example",
        "alice@[127.0.0.1]",
        "alice@",
        "@example.com",
        "",
        "alice",
        "alice@exa mple.com",
        "alice@example..com",
        "<alice@example.com>",
        "Alice <alice@example.com>",
        "alice@example.com\0",
        "alic\u{435}@example.com",
        "alice@ex\u{430}mple.com",
        "alice%40example.com",
        "alice@example.com%0d%0aBcc:eve@evil.example",
        &format!("{}@example.com", "a".repeat(65)),
        &format!("a@{}.com", "b".repeat(300)),
    ] {
        let answer = browser.post_form(&gateway.url("/.linkgate/login"), &[("email", address)]).await;
        assert!(answer.status < 500, "{address:?}: {}", answer.status);
        assert!(!answer.header("location").contains("evil"), "{address:?}: {:?}", answer.headers);
    }
    // Letters go out in order; if one had been written it would lie before this one.
    gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let letters = gateway.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(!letters[0].raw.contains("evil"));
}

#[tokio::test]
async fn forms_of_ours_take_no_nonsense() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let origin = gateway.url("");
    let large = format!("email={}", "x".repeat(2_000_000));
    for (kind, body) in [
        ("application/x-www-form-urlencoded", &b"email=%ff%fe"[..]),
        ("application/x-www-form-urlencoded", b"%"),
        ("application/x-www-form-urlencoded", b"email=a&email=b"),
        ("application/x-www-form-urlencoded", large.as_bytes()),
        ("application/x-www-form-urlencoded", b""),
        ("application/json", b"{"),
        ("application/json", b"null"),
        ("application/json", b"{\"email\":7}"),
        ("application/json", b"{\"email\":[\"alice@example.com\"]}"),
        ("application/json", b"\xff\xfe"),
        ("text/plain", b"email=alice@example.com"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        ("", b"email=alice@example.com"),
    ] {
        for path in ["/.linkgate/login", "/.linkgate/verify", "/.linkgate/logout"] {
            let mut headers = vec![("sec-fetch-site", "same-origin"), ("origin", origin.as_str())];
            if !kind.is_empty() {
                headers.push(("content-type", kind));
            }
            let answer = browser.send("POST", &gateway.url(path), &headers, body.to_vec()).await;
            assert!(answer.status < 500, "{path} {kind} {:?}: {}", body.get(..20), answer.status);
            assert_eq!(browser.cookie("localhost", "linkgate"), "", "{path} {kind}");
        }
    }
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn nothing_that_opens_a_door_is_written_to_the_log() {
    let app = App::start().await;
    let gateway = start(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/page?secret=query")).await;
    browser.follow(&letter.link).await.expect(200);
    let other = Browser::new();
    other.visit(&letter.link).await;
    let log = gateway.log();
    assert!(!log.is_empty());
    for secret in
        [letter.token(), letter.code.as_str(), &browser.cookie("localhost", "linkgate"), "secret=query"]
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let signature = letter.token().rsplit('.').next().unwrap();
    assert!(!log.contains(signature));
    assert!(!log.contains(ALICE), "no address at info or debug either");
}

#[tokio::test]
async fn health_is_not_on_the_public_listener() {
    let app = App::start().await;
    let gateway = start(&app).await;
    for path in ["/healthz", "/readyz", "/metrics", "/ping"] {
        let answer =
            Browser::new().visit_with(&gateway.url(path), &[("user-agent", "kube-probe/1.29")]).await;
        assert!(answer.is_redirect(), "{path}: {}", answer.status);
    }
    assert!(app.seen().is_empty());
}

//! A link opened where it was not asked for: the person types the address; scanners, prefetchers and thieves get nothing
//! and spend nothing. And what each kind of link that no longer works says.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn another_browser_gets_in_by_the_address() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let letter = gateway.ask(&Browser::new(), ALICE, &gateway.url("/page")).await;

    let phone = Browser::new();
    let page = phone.visit(&letter.link).await.expect(200);
    assert!(!page.text().contains(ALICE), "who holds the link does not read the address");
    assert!(page.text().contains("example.com"), "but is given a hint");
    let fields = [("token", letter.token()), ("email", " Alice@EXAMPLE.com ")];
    phone.post_form(&gateway.url("/.linkgate/verify"), &fields).await.expect(303);
    phone.visit(&gateway.url("/")).await.expect(200);
}

#[tokio::test]
async fn wrong_addresses_spend_nothing_and_are_counted() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let asked_here = Browser::new();
    let letter = gateway.ask(&asked_here, ALICE, &gateway.url("/page")).await;

    let thief = Browser::new();
    for guess in 0..8 {
        let email = format!("guess{guess}@example.com");
        let fields = [("token", letter.token()), ("email", &email)];
        let answer = thief.post_form(&gateway.url("/.linkgate/verify"), &fields).await;
        assert!(!answer.is_redirect() || !answer.location().ends_with("/page"), "{}", answer.location());
    }
    let fields = [("token", letter.token()), ("email", ALICE)];
    thief.post_form(&gateway.url("/.linkgate/verify"), &fields).await;
    assert!(thief.visit(&gateway.url("/")).await.is_redirect(), "after five the right one is too late there");
    assert_eq!(asked_here.follow(&letter.link).await.expect(200).url.path(), "/page");
}

#[tokio::test]
async fn scanners_are_not_let_in_and_do_not_spend_the_link() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let person = Browser::new();
    let letter = gateway.ask(&person, ALICE, &gateway.url("/page")).await;

    let scanner = Browser::new();
    for (method, headers) in [
        ("HEAD", &[][..]),
        ("GET", &[]),
        ("GET", &[("user-agent", "curl/8"), ("accept", "*/*")]),
        ("GET", &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]),
        ("GET", &[("accept", "text/html"), ("sec-purpose", "prefetch"), ("sec-fetch-mode", "navigate")]),
        ("OPTIONS", &[]),
    ] {
        scanner.send(method, &letter.link, headers, Vec::new()).await;
    }
    // A robot that fills in nothing but presses every button.
    for fields in [
        &[("token", letter.token())][..],
        &[("token", letter.token()), ("email", "")],
        &[("token", letter.token()), ("confirm", "1")],
        &[("token", letter.token()), ("switch", "1")],
        &[("code", "")],
    ] {
        scanner.post_form(&gateway.url("/.linkgate/verify"), fields).await;
    }
    assert!(scanner.visit(&gateway.url("/")).await.is_redirect(), "not let in");
    assert!(app.seen().is_empty());
    assert_eq!(person.follow(&letter.link).await.expect(200).url.path(), "/page", "not spent");
}

#[tokio::test]
async fn a_link_checker_with_the_persons_own_cookies_does_not_spend_the_link() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let person = Browser::new();
    let letter = gateway.ask(&person, ALICE, &gateway.url("/page")).await;

    person.send("HEAD", &letter.link, &[("accept", "text/html")], Vec::new()).await;
    person.visit_with(&letter.link, &[("sec-purpose", "prefetch;prerender")]).await;
    person.visit_with(&letter.link, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]).await;
    person.visit_with(&letter.link, &[("sec-fetch-dest", "iframe")]).await;
    assert_eq!(person.cookie("localhost", "linkgate"), "", "no session yet");

    // An old browser without those headers gets a button.
    let old =
        [("sec-fetch-mode", ""), ("sec-fetch-dest", ""), ("sec-fetch-site", ""), ("sec-fetch-user", "")];
    let page = person.visit_with(&letter.link, &old).await.expect(200);
    assert!(page.text().contains("<form"), "{}", page.text());
    assert_eq!(person.cookie("localhost", "linkgate"), "");
    let fields = [("token", page.field("token")), ("confirm", "1".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let without =
        [("sec-fetch-mode", ""), ("sec-fetch-dest", ""), ("sec-fetch-site", ""), ("sec-fetch-user", "")];
    let answer =
        person.post_form_with(&gateway.url("/.linkgate/verify"), &fields, &without).await.expect(303);
    assert!(answer.location().ends_with("/page"), "{}", answer.location());
}

#[tokio::test]
async fn a_used_link_is_refused_elsewhere_and_offers_a_fresh_letter_in_one_click() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let person = Browser::new();
    let letter = gateway.ask(&person, ALICE, &gateway.url("/page")).await;
    person.follow(&letter.link).await.expect(200);

    let other = Browser::new();
    let page = other.visit(&letter.link).await;
    assert!(page.text().contains("used already"), "{}", page.text());
    let fields = [("token", letter.token()), ("email", ALICE)];
    other.post_form(&gateway.url("/.linkgate/verify"), &fields).await;
    assert!(other.visit(&gateway.url("/")).await.is_redirect(), "a used link lets nobody in");

    let again = [("again", letter.token())];
    other.post_form(&gateway.url("/.linkgate/login"), &again).await.expect(303);
    let fresh = gateway.letter_to(ALICE).await;
    assert_ne!(fresh.link, letter.link);
    // A robot that presses this button and then opens the next letter too is a stranger still.
    other.visit(&fresh.link).await.expect(200);
    assert!(other.visit(&gateway.url("/")).await.is_redirect(), "the fresh link knows no browser");
    // Once a link: pressing it again brings no more letters.
    for _ in 0..3 {
        other.post_form(&gateway.url("/.linkgate/login"), &again).await;
    }
    gateway.ask(&Browser::new(), "bob@example.com", &gateway.url("/")).await;
    assert_eq!(gateway.letters().iter().filter(|letter| letter.to == ALICE).count(), 2);
}

#[tokio::test]
async fn an_expired_link_says_so() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let made = gateway.run(&["link", "create", ALICE, "--expires", "1s", "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = made["link"].as_str().unwrap();
    let browser = Browser::new();
    let page = eventually("the link expires", async || {
        let page = browser.visit(link).await;
        page.text().contains("expired").then_some(page)
    })
    .await;
    assert!(page.text().contains("/.linkgate/login"), "one click to a fresh one: {}", page.text());
    let token = link.split_once("token=").unwrap().1;
    browser.post_form(&gateway.url("/.linkgate/verify"), &[("token", token), ("email", ALICE)]).await;
    assert!(browser.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn a_revoked_link_says_so() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    gateway.run(&["link", "revoke", "--email", ALICE]).await;
    let page = browser.visit(&letter.link).await;
    assert!(page.text().contains("withdrawn"), "{}", page.text());
    assert!(browser.visit(&gateway.url("/")).await.is_redirect());
}

#[tokio::test]
async fn tampered_and_foreign_links_say_so_and_let_nobody_in() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let browser = Browser::new();
    let letter = gateway.ask(&browser, ALICE, &gateway.url("/")).await;
    let verify = gateway.url("/.linkgate/verify");
    let token = letter.token();
    let parts: Vec<&str> = token.split('.').collect();
    let mut flipped = token.to_owned();
    let last = flipped.pop().unwrap();
    flipped.push(if last == 'A' { 'B' } else { 'A' });
    // {"alg":"none"} in the place of the header.
    let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    for bad in [
        format!("{verify}?token={}", &token[..token.len() - 8]),
        format!("{verify}?token={none}"),
        format!("{verify}?token={}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{verify}?token={}x.{}.{}", parts[0], parts[1], parts[2]),
        format!("{verify}?token="),
        verify.clone(),
        format!("{verify}?token={}", "a".repeat(4000)),
        format!("{verify}?token=%00%ff"),
        format!("{verify}?token={token}&token={flipped}x"),
    ] {
        let page = browser.visit(&bad).await;
        assert!(
            page.status < 500 && !page.is_redirect() || page.location().contains("/login"),
            "{bad}: {}",
            page.status
        );
        assert_eq!(browser.cookie("localhost", "linkgate"), "", "{bad}");
    }
    let page = browser.visit(&format!("{verify}?token=abcdef0123456789&ts=1700000000")).await;
    assert!(page.text().contains("older system"), "{}", page.text());
    assert!(page.text().contains("/.linkgate/login"));
    assert_eq!(browser.follow(&letter.link).await.expect(200).url.path(), "/");
}

#[tokio::test]
async fn another_persons_link_asks_who_one_wants_to_be() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let alice = Browser::new();
    gateway.sign_in(&alice, ALICE, &gateway.url("/")).await;
    let letter = gateway.ask(&Browser::new(), "bob@example.com", &gateway.url("/")).await;
    let page = alice.visit(&letter.link).await.expect(200);
    assert!(page.text().contains(ALICE) && page.text().contains("already signed in"), "{}", page.text());
    let session = alice.json("GET", &gateway.url("/.linkgate/session"), &serde_json::Value::Null).await;
    assert_eq!(session.expect(200).json()["email"], ALICE, "nothing happened by opening it");
    let fields = [("token", letter.token()), ("switch", "1"), ("email", "bob@example.com")];
    alice.post_form(&gateway.url("/.linkgate/verify"), &fields).await.expect(303);
    let session = alice.json("GET", &gateway.url("/.linkgate/session"), &serde_json::Value::Null).await;
    assert_eq!(session.expect(200).json()["email"], "bob@example.com");
}

//! Asking for a letter: the same answer for everybody, and limits that lock nobody out.

use super::*;

#[tokio::test]
async fn known_unknown_and_limited_addresses_get_the_same_answer() {
    let world = World::new();
    let mut browser = Browser::default();
    world.go(&mut browser, HERE, "/login").await;
    let ask = async |email: &'static str| {
        let answer =
            world.form(&mut browser.clone(), "/login", &[("email", email), ("return_to", "/a")]).await;
        let mut headers = answer.headers.clone();
        let cookie = headers.remove("set-cookie").unwrap();
        let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
        let attributes = rest.split_once(';').unwrap().1;
        (answer.status, headers, format!("{name} {attributes} {}", rest.len()), answer.body)
    };
    let known = ask(ALICE).await;
    assert_eq!(world.letters().await.len(), 1);
    let unknown = ask("alicf@exbmple.com").await;
    assert_eq!(world.letters().await.len(), 0);
    assert_eq!(known, unknown);
    for _ in 0..4 {
        ask(ALICE).await;
    }
    assert_eq!(world.letters().await.len(), 4);
    let limited = ask(ALICE).await;
    assert_eq!(world.letters().await.len(), 0);
    assert_eq!(known, limited);
    // The program's answer differs in nothing but its nonce and the address that was sent.
    let a = world.json("/login", r#"{"email":"carol@example.com"}"#).await;
    let b = world.json("/login", r#"{"email":"carol@elsewhe.com"}"#).await;
    assert_eq!(
        (a.status, a.body.len(), a.json()["expires_in"].clone()),
        (b.status, b.body.len(), 600.into())
    );
    assert_eq!(a.headers.keys().collect::<Vec<_>>(), b.headers.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_waiting_page_says_the_same_of_a_stranger() {
    let world = World::new();
    let mut pages = Vec::new();
    for email in [ALICE, "alicf@exbmple.com"] {
        let mut browser = Browser::default();
        world.form(&mut browser, "/login", &[("email", email)]).await;
        let page = world.go(&mut browser, HERE, "/login").await;
        let state = world.go(&mut browser, HERE, "/login/status").await.json()["state"].clone();
        assert_eq!(state, "waiting");
        let csp = page.headers.get("content-security-policy").unwrap().to_str().unwrap();
        let nonce = csp.split_once("nonce-").unwrap().1.split_once('\'').unwrap().0.to_owned();
        pages.push(page.body.replace(email, "").replace(&nonce, ""));
    }
    assert_eq!(pages.first(), pages.last());
}

#[tokio::test]
async fn nobody_can_spend_the_letters_of_a_browser_that_is_known() {
    let (world, mut mine, mut foe) = (World::new(), Browser::default(), Browser::default());
    world.sign_in(&mut mine, ALICE).await;
    for _ in 0..10 {
        world.form(&mut foe, "/login", &[("email", "alice+x@example.com")]).await;
        world.form(&mut foe, "/login", &[("email", ALICE)]).await;
    }
    world.letters().await;
    world.form(&mut foe, "/login", &[("email", ALICE)]).await;
    assert!(world.letters().await.is_empty());
    world.form(&mut mine, "/login", &[("email", ALICE)]).await;
    assert_eq!(world.letters().await.len(), 1);
}

#[tokio::test]
async fn an_invited_site_sends_nothing_and_its_hand_made_links_work() {
    let world = World::with(|settings| {
        let mut site = super::fixture::site();
        site.sign_in = SignIn::Invited;
        settings.site = Arc::new(site);
    });
    let mut browser = Browser::default();
    assert_eq!(world.form(&mut browser, "/login", &[("email", ALICE)]).await.status, StatusCode::SEE_OTHER);
    assert!(world.letters().await.is_empty());
    let email = EmailAddress::parse(ALICE).unwrap();
    let options = LinkOptions { uses: Some(2), return_to: Some("/team".into()), ..LinkOptions::default() };
    let made = make_link(world.login.parts(), "wiki", &email, options.clone()).await.unwrap();
    let link = made.url.strip_prefix("https://wiki.example.com/.linkgate").unwrap().to_owned();
    assert!(world.go(&mut browser, HERE, &link).await.body.contains("a…e@example.com"));
    let fields = [("token", token(&link)), ("email", ALICE)];
    let answer = world.form(&mut browser, "/verify", &fields).await;
    assert_eq!(answer.location(), "https://wiki.example.com/team");
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
    let parts = world.login.parts();
    let stranger = EmailAddress::parse("x@else.example").unwrap();
    let refused = make_link(parts, "wiki", &stranger, LinkOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("allow = [\"x@else.example\"]"));
    let bad = LinkOptions { return_to: Some("https://evil.example/".into()), ..options };
    assert!(matches!(make_link(parts, "wiki", &email, bad).await, Err(MakeLinkError::ReturnTo(_))));
}

//! The promises of sign-in, over the real store and through the router.

use std::time::Duration;

use axum::body::Body;
use http::Method;
use http::Request;
use http::StatusCode;

use super::fixture::Browser;
use super::fixture::HERE;
use super::fixture::PHOTOS;
use super::fixture::World;
use super::*;
use crate::identity::EmailAddress;
use crate::policy::SignIn;
use crate::policy::Target;
use crate::store::AuditFilter;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

fn token(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

#[tokio::test]
async fn one_click_in_the_same_browser_signs_in_and_leads_where_one_wanted() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.go(&mut browser, HERE, "/login?return_to=/deep").await;
    let (link, _) = world.ask(&mut browser, ALICE, "/deep?q=1#part").await;
    let answer = world.go(&mut browser, HERE, &link).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.location(), "https://wiki.example.com/deep?q=1#part");
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
}

#[tokio::test]
async fn head_prefetch_scripts_and_other_robots_spend_nothing() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    for (dest, mode, method) in [
        ("document", "navigate", Method::HEAD),
        ("empty", "cors", Method::GET),
        ("iframe", "navigate", Method::GET),
        ("", "", Method::GET),
        ("", "", Method::HEAD),
    ] {
        for own in [true, false] {
            let mut robot = if own { browser.clone() } else { Browser::default() };
            let answer = world.get(&mut robot, HERE, &link, dest, mode, method.clone()).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(!robot.has(HERE, "__Host-linkgate"));
        }
    }
    let prefetch = Request::get(&link)
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-purpose", "prefetch")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.call(&mut browser, HERE, prefetch).await.status, StatusCode::OK);
    // A scanner that runs the page and presses its buttons, without the browser's nonce.
    let mut scanner = Browser::default();
    for fields in
        [&[("token", token(&link)), ("confirm", "1")][..], &[("token", token(&link)), ("switch", "1")]]
    {
        world.form(&mut scanner, "/verify", fields).await;
    }
    assert!(!scanner.has(HERE, "__Host-linkgate"));
    // Where the browser does not say, a button does it.
    let answer = world.form(&mut browser, "/verify", &[("token", token(&link)), ("confirm", "1")]).await;
    assert_eq!(answer.location(), "https://wiki.example.com/a");
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
}

#[tokio::test]
async fn another_browser_types_the_address_and_goes_to_the_start() {
    let (world, mut asked, mut phone) = (World::new(), Browser::default(), Browser::default());
    let (link, _) = world.ask(&mut asked, ALICE, "/a").await;
    let page = world.go(&mut phone, HERE, &link).await;
    assert!(page.body.contains("a…e@example.com") && !page.body.contains(ALICE), "{}", page.body);
    for _ in 0..4 {
        let fields = [("token", token(&link)), ("email", "mallory@example.com")];
        let wrong = world.form(&mut phone, "/verify", &fields).await;
        assert_eq!(wrong.status, StatusCode::FORBIDDEN);
        assert_eq!(world.who(&mut phone, HERE).await, "");
    }
    let fields = [("token", token(&link)), ("email", "ALICE@Example.com ")];
    let answer = world.form(&mut phone, "/verify", &fields).await;
    assert_eq!(answer.location(), "https://wiki.example.com/home");
    assert_eq!(world.who(&mut phone, HERE).await, ALICE);
    let status = world.go(&mut asked, HERE, "/login/status").await;
    assert_eq!(status.json()["state"], "used-elsewhere");
}

#[tokio::test]
async fn five_wrong_addresses_close_the_typing_but_not_the_link() {
    let (world, mut asked, mut thief) = (World::new(), Browser::default(), Browser::default());
    let (link, _) = world.ask(&mut asked, ALICE, "/a").await;
    for n in 0..5 {
        let guess = format!("guess{n}@example.com");
        world.form(&mut thief, "/verify", &[("token", token(&link)), ("email", &guess)]).await;
    }
    let right = world.form(&mut thief, "/verify", &[("token", token(&link)), ("email", ALICE)]).await;
    assert_eq!(right.status, StatusCode::FORBIDDEN);
    assert_eq!(world.who(&mut thief, HERE).await, "");
    assert_eq!(world.go(&mut asked, HERE, &link).await.location(), "https://wiki.example.com/a");
}

#[tokio::test]
async fn a_code_works_in_any_spelling_only_where_it_was_asked_for() {
    let (world, mut asked) = (World::new(), Browser::default());
    let (_, code) = world.ask(&mut asked, ALICE, "/a").await;
    let (_, again) = world.ask(&mut asked, ALICE, "/a").await;
    assert_eq!(code, again, "letters to one address from one browser carry one code");
    let mut thief = Browser::default();
    world.form(&mut thief, "/login", &[("email", ALICE)]).await;
    world.form(&mut thief, "/verify", &[("code", &code)]).await;
    assert_eq!(world.who(&mut thief, HERE).await, "");
    let typed = code.to_lowercase().replace('-', " ");
    let answer = world.form(&mut asked, "/verify", &[("code", &typed)]).await;
    assert_eq!(answer.location(), "https://wiki.example.com/a");
    assert_eq!(world.who(&mut asked, HERE).await, ALICE);
}

#[tokio::test]
async fn five_wrong_codes_turn_the_code_off_alike_for_known_and_unknown() {
    let world = World::new();
    let mut seen = Vec::new();
    let mut rights = Vec::new();
    for email in [ALICE, "nobody@else.example"] {
        let mut browser = Browser::default();
        world.form(&mut browser, "/login", &[("email", email)]).await;
        let letter = world.letters().await.pop();
        let right = letter.and_then(|letter| letter.code);
        let mut answers = Vec::new();
        for _ in 0..6 {
            let answer = world.form(&mut browser, "/verify", &[("code", "0000-0000")]).await;
            let off = answer.body.contains("Codes are switched off");
            let wrong = answer.body.contains("This code is not right");
            answers.push((answer.status, off, wrong));
        }
        seen.push(answers);
        if let Some(right) = right {
            let answer = world.form(&mut browser, "/verify", &[("code", &right)]).await;
            rights.push(answer.status);
            assert_eq!(world.who(&mut browser, HERE).await, "");
        }
    }
    assert_eq!(seen.first(), seen.last());
    assert_eq!(seen[0][4], (StatusCode::UNPROCESSABLE_ENTITY, false, true));
    assert_eq!(seen[0][5], (StatusCode::UNPROCESSABLE_ENTITY, true, false));
    assert_eq!(rights, [StatusCode::UNPROCESSABLE_ENTITY]);
}

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
async fn the_same_browser_may_click_twice_and_nobody_else() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    let before = browser.clone();
    world.go(&mut browser, HERE, &link).await;
    // The session is held.
    assert_eq!(world.go(&mut browser, HERE, &link).await.location(), "https://wiki.example.com/a");
    // The first answer was lost.
    let mut lost = before.clone();
    assert_eq!(world.go(&mut lost, HERE, &link).await.location(), "https://wiki.example.com/a");
    assert_eq!(world.who(&mut lost, HERE).await, ALICE);
    // A robot in between gets no session, and another browser nothing at all.
    let mut robot = before.clone();
    world.get(&mut robot, HERE, &link, "empty", "cors", Method::GET).await;
    assert!(!robot.has(HERE, "__Host-linkgate"));
    let mut other = Browser::default();
    assert_eq!(world.go(&mut other, HERE, &link).await.status, StatusCode::GONE);
    world.clock.advance(Duration::from_secs(61));
    let mut late = before;
    assert_eq!(world.go(&mut late, HERE, &link).await.status, StatusCode::GONE);
    assert_eq!(world.go(&mut browser, HERE, &link).await.location(), "https://wiki.example.com/a");
}

#[tokio::test]
async fn another_persons_link_asks_first_and_ends_the_old_session() {
    let (world, mut mine, mut asked) = (World::new(), Browser::default(), Browser::default());
    world.sign_in(&mut mine, ALICE).await;
    let old = mine.clone();
    let (link, _) = world.ask(&mut asked, BOB, "/b").await;
    let page = world.go(&mut mine, HERE, &link).await;
    assert!(page.body.contains(ALICE) && page.body.contains("b…b@example.com"), "{}", page.body);
    assert_eq!(world.who(&mut mine, HERE).await, ALICE);
    let fields = [("token", token(&link)), ("switch", "1"), ("email", BOB)];
    assert_eq!(world.form(&mut mine, "/verify", &fields).await.location(), "https://wiki.example.com/home");
    assert_eq!(world.who(&mut mine, HERE).await, BOB);
    assert_eq!(world.who(&mut old.clone(), HERE).await, "");
}

fn path_of(link: &str) -> String {
    link.strip_prefix("https://wiki.example.com/.linkgate").unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_or_used_link_gives_one_fresh_letter() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    world.clock.advance(Duration::from_mins(10));
    let page = world.go(&mut browser, HERE, &link).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.body.contains("name=\"again\""), "{}", page.body);
    let mut other = Browser::default();
    world.form(&mut other, "/login", &[("again", token(&link))]).await;
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    // A robot that presses this button and then opens the fresh letter too is a stranger still.
    let fresh = path_of(letters[0].link.as_deref().unwrap_or_default());
    let page = world.go(&mut other, HERE, &fresh).await;
    assert!(page.body.contains("name=\"email\""), "{}", page.body);
    assert_eq!(world.who(&mut other, HERE).await, "");
    let waiting = world.go(&mut other, HERE, "/login").await;
    assert!(waiting.body.contains("a…e@example.com") && !waiting.body.contains(ALICE));
    world.form(&mut browser, "/login", &[("again", token(&link))]).await;
    assert_eq!(world.letters().await.len(), 0);
}

#[tokio::test]
async fn old_foreign_and_damaged_links_say_so() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    for (path, status, words) in [
        (format!("{link}&ts=1"), StatusCode::BAD_REQUEST, "older system"),
        ("/verify?token=abc".to_owned(), StatusCode::BAD_REQUEST, "older system"),
        ("/verify".to_owned(), StatusCode::BAD_REQUEST, "damaged"),
        (link.trim_end_matches(|c| c != '.').to_owned(), StatusCode::BAD_REQUEST, "damaged"),
        (format!("{link}&token=x"), StatusCode::BAD_REQUEST, "not understood"),
    ] {
        let answer = world.go(&mut browser, HERE, &path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(words), "{path} {}", answer.body);
    }
    assert_eq!(world.go(&mut browser, HERE, &link).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_at_once() {
    let (world, mut one, mut two) = (World::new(), Browser::default(), Browser::default());
    world.sign_in(&mut one, ALICE).await;
    world.sign_in(&mut two, ALICE).await;
    let kept = one.clone();
    let (open, _) = world.ask(&mut Browser::default(), BOB, "/").await;
    assert_eq!(world.go(&mut one, HERE, "/logout").await.status, StatusCode::OK);
    assert_eq!(world.who(&mut one, HERE).await, ALICE, "a GET signs nobody out");
    world.form(&mut one, "/logout", &[("everywhere", "1")]).await;
    for browser in [&mut one, &mut two, &mut kept.clone()] {
        assert_eq!(world.who(browser, HERE).await, "");
    }
    assert!(!one.has(HERE, "__Host-linkgate") && !one.has(HERE, "__Host-linkgate-login"));
    assert!(!open.is_empty());
    world.sign_in(&mut one, ALICE).await;
}

#[tokio::test]
async fn one_session_may_be_ended_by_its_owner_only() {
    let (world, mut alice, mut bob) = (World::new(), Browser::default(), Browser::default());
    world.sign_in(&mut alice, ALICE).await;
    world.sign_in(&mut bob, BOB).await;
    let page = world.go(&mut alice, HERE, "/").await;
    let id = page.body.split_once("name=\"id\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    assert_eq!(world.form(&mut bob, "/sessions/end", &[("id", &id)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.who(&mut alice, HERE).await, ALICE);
    world.form(&mut alice, "/sessions/end", &[("id", &id)]).await;
    assert_eq!(world.who(&mut alice, HERE).await, "");
}

#[tokio::test]
async fn a_ticket_carries_the_session_once_in_time_and_to_its_own_browser() {
    let (world, mut browser) = (World::new(), Browser::default());
    world.sign_in(&mut browser, ALICE).await;
    let path = |location: &str, host: &str| {
        location.strip_prefix(&format!("{host}/.linkgate")).unwrap_or_else(|| panic!("{location}")).to_owned()
    };
    let ticket = async |browser: &mut Browser| {
        let door = world.go(browser, PHOTOS, "/login?return_to=/album%3Fa=1").await;
        let there = path(door.location(), HERE);
        let answer = world.go(browser, HERE, &there).await;
        path(answer.location(), PHOTOS)
    };
    let enter = ticket(&mut browser).await;
    for (dest, mode, method) in [
        ("document", "navigate", Method::HEAD),
        ("empty", "cors", Method::GET),
        ("iframe", "navigate", Method::GET),
    ] {
        world.get(&mut browser, PHOTOS, &enter, dest, mode, method).await;
        assert!(!browser.has(PHOTOS, "__Host-linkgate"));
    }
    let good = browser.clone();
    // Another browser has another nonce: the ticket is gone for everybody then.
    let mut thief = Browser::default();
    world.go(&mut thief, PHOTOS, "/login").await;
    world.go(&mut thief, PHOTOS, &enter).await;
    assert!(!thief.has(PHOTOS, "__Host-linkgate"));
    world.go(&mut browser, PHOTOS, &enter).await;
    assert!(!browser.has(PHOTOS, "__Host-linkgate"));

    let mut browser = good;
    let enter = ticket(&mut browser).await;
    let answer = world.go(&mut browser, PHOTOS, &enter).await;
    assert_eq!(answer.location(), "https://photos.example.com/album?a=1");
    assert_eq!(world.who(&mut browser, PHOTOS).await, ALICE);
    let mut again = browser.clone();
    world.form(&mut again, "/nothing", &[]).await;
    let late = ticket(&mut browser).await;
    world.clock.advance(Duration::from_secs(31));
    let other_session = browser.has(PHOTOS, "__Host-linkgate");
    let answer = world.go(&mut browser, PHOTOS, &late).await;
    assert!(other_session && !answer.headers.contains_key("set-cookie"));
    // Signed out on one host, signed out on all.
    world.form(&mut browser, "/logout", &[]).await;
    assert_eq!(world.who(&mut browser, PHOTOS).await, "");
}

#[tokio::test]
async fn a_browser_without_cookies_is_told_instead_of_going_round() {
    let (world, mut browser) = (World::new(), Browser::default());
    let answer = world.go(&mut browser, PHOTOS, "/enter?ticket=x.0").await;
    assert!(answer.body.contains("goes round in circles"), "{}", answer.body);
}

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
async fn store_and_token_agree_about_the_moment_a_link_ends() {
    let world = World::new();
    world.clock.advance(Duration::from_millis(700));
    let email = EmailAddress::parse(ALICE).unwrap();
    let options = LinkOptions { lifetime: Some(Duration::from_secs(5)), ..LinkOptions::default() };
    let made = make_link(world.login.parts(), "wiki", &email, options).await.unwrap();
    let record = &world.login.parts().store.list_links(crate::store::LinkFilter::default()).await.unwrap()[0];
    assert_eq!(made.expires_at, record.expires_at);
    assert_eq!(record.expires_at.unwrap().millis() % 1000, 0);
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

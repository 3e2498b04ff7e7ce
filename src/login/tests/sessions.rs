//! Sessions: how they end, and how they come to another host.

use super::*;

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

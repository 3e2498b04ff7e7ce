//! Links at the end of their life, and links of somebody else.

use super::*;

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
async fn a_second_click_brings_no_session_back_that_ended_here_and_that_the_store_does_not_know_of_yet() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (link, _) = world.ask(&mut browser, ALICE, "/a").await;
    let mut lost = browser.clone();
    world.go(&mut browser, HERE, &link).await;
    world.login.parts().standing.set_generation("wiki", &EmailAddress::parse(ALICE).unwrap(), 1);
    assert_eq!(world.go(&mut lost, HERE, &link).await.status, StatusCode::GONE);
    assert_eq!(world.who(&mut lost, HERE).await, "");
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

//! The sign-in of a browser: the link, other browsers, robots, the code.

use super::*;

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
async fn the_code_of_an_earlier_letter_to_another_address_begins_a_session_of_its_own_person() {
    let (world, mut browser) = (World::new(), Browser::default());
    let (store, alice) = (&world.login.parts().store, EmailAddress::parse(ALICE).unwrap());
    let raised = store.raise_generation("wiki", &alice).await.unwrap();
    world.login.parts().standing.set_generation("wiki", &alice, raised);
    let (_, code) = world.ask(&mut browser, ALICE, "/a").await;
    world.ask(&mut browser, BOB, "/b").await;
    world.form(&mut browser, "/verify", &[("code", &code)]).await;
    assert_eq!(world.who(&mut browser, HERE).await, ALICE);
    let sessions = store.list_sessions(SessionFilter::default()).await.unwrap();
    assert_eq!(
        (sessions.len(), sessions[0].generation),
        (1, raised),
        "the record says what the token carries"
    );
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

//! `kill -9` at any moment loses nothing that was answered for: letters through a real mail server.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually_within;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::smtp::MailServer;
use std::collections::BTreeSet;
use std::time::Duration;

const ALICE: &str = "alice@example.com";

/// Sends by SMTP to this port of the loopback, where nobody need listen yet.
async fn start(app: &App, smtp: u16) -> Gateway {
    let head = HEAD.replace("folder:@DIR@/mail", &format!("smtp+plain://127.0.0.1:{smtp}"));
    let site = format!(
        "[[site]]\nname = \"wiki\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{}\"\nallow = [\"@example.com\"]\n",
        app.url()
    );
    Gateway::start_with(Place::new(), &format!("{head}{site}")).await
}

async fn ask(gateway: &Gateway, browser: &Browser, email: &str) {
    let page = gateway.login_page(browser, &gateway.url("/page")).await;
    let fields = [("email", email), ("return_to", &page.field("return_to"))];
    browser.post_form(&gateway.url("/.linkgate/login"), &fields).await.expect(303);
}

#[tokio::test]
async fn a_letter_that_was_promised_before_kill_9_arrives_once_and_its_link_works() {
    let app = App::start().await;
    let port = free_port();
    let gateway = start(&app, port).await;
    let browser = Browser::new();
    ask(&gateway, &browser, ALICE).await;
    gateway.kill();

    let server = MailServer::start(port, 0);
    gateway.restart().await;
    // It may have been on its way when the gateway died: then it is held for up to a minute.
    let letter = server.mailbox.next_to_within(Duration::from_secs(90), ALICE).await;
    assert_eq!(browser.follow(&letter.link).await.expect(200).url.path(), "/page");
    // A later letter would find a second copy of the first one before it.
    ask(&gateway, &Browser::new(), "bob@example.com").await;
    server.mailbox.next_to("bob@example.com").await;
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_server_that_says_later_gets_the_letter_later() {
    let app = App::start().await;
    let port = free_port();
    let server = MailServer::start(port, 1);
    let gateway = start(&app, port).await;
    ask(&gateway, &Browser::new(), ALICE).await;
    server.mailbox.next_to(ALICE).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn killed_while_many_letters_are_on_their_way_it_loses_none() {
    let app = App::start().await;
    let port = free_port();
    let server = MailServer::start(port, 0);
    let gateway = start(&app, port).await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..40 {
        let url = gateway.url("/.linkgate/login");
        all.spawn(async move {
            let email = format!("person{number}@example.com");
            let body = format!("email=person{number}%40example.com").into_bytes();
            let kind = [
                ("content-type", "application/x-www-form-urlencoded"),
                ("accept", "text/html"),
                ("sec-fetch-site", "same-origin"),
            ];
            let answer = crate::harness::browser::try_fetch(None, "POST", &url, &kind, body).await;
            // Only what was answered for counts.
            answer.ok().filter(|answer| answer.status == 303).map(|_| email)
        });
    }
    let mut promised = BTreeSet::new();
    while let Some(one) = all.join_next().await {
        promised.extend(one.unwrap());
        if promised.len() == 5 {
            gateway.kill();
        }
    }
    assert!(promised.len() >= 5);
    gateway.restart().await;
    for email in promised {
        eventually_within(Duration::from_secs(90), &format!("the letter to {email}"), async || {
            server.mailbox.all().into_iter().any(|letter| letter.to == email).then_some(())
        })
        .await;
    }
}

//! What mail scanners do: open the link, run its scripts, press every button, submit every form. They are not let in,
//! and the link is not spent.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::gateway::Gateway;
use crate::sign_in::ask;

const ALICE: &str = "alice@example.com";

/// How many of these are on the page that the link shows.
async fn count(chrome: &Chrome, css: &str) -> i64 {
    chrome.run(&format!("return document.querySelectorAll('{css}').length")).await.as_i64().unwrap()
}

async fn settle(chrome: &Chrome) {
    crate::harness::eventually("the page is there", async || {
        let state = chrome.client.execute("return document.readyState", vec![]).await.ok()?;
        (state == "complete").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_robot_that_presses_every_button_is_not_let_in_and_does_not_spend_the_link() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (person, robot) = (Chrome::start().await, Chrome::start().await);
    let wanted = gateway.url("/page?q=1#here");
    ask(&person, &wanted, ALICE).await;
    let letter = gateway.letter_to(ALICE).await;

    robot.open(&letter.link).await;
    let (forms, buttons, links) =
        (count(&robot, "form").await, count(&robot, "button").await, count(&robot, "a[href]").await);
    assert!(forms > 0 && buttons > 0, "the page for a person in another browser has a form");
    for fill in ["", "test@example.com", "ABCD-EFGH"] {
        for (css, deed, number) in [
            ("form", "HTMLFormElement.prototype.submit.call(found)", forms),
            ("form", "found.requestSubmit()", forms),
            ("button", "found.click()", buttons),
            ("a[href]", "found.click()", links),
        ] {
            for at in 0..number {
                robot.open(&letter.link).await;
                let script = format!(
                    "for (const field of document.querySelectorAll('input:not([type=hidden])')) field.value = '{fill}';\n\
                     for (const field of document.querySelectorAll('[required]')) field.required = false;\n\
                     const found = document.querySelectorAll('{css}')[{at}]; if (found) {{ {deed} }}"
                );
                robot.run(&script).await;
                settle(&robot).await;
                // And whatever is on the page that follows.
                robot.run("for (const form of document.forms) { HTMLFormElement.prototype.submit.call(form); break }").await;
                settle(&robot).await;
            }
        }
    }
    robot.open(&gateway.url("/page")).await;
    robot.find("input[name=email]").await;
    assert!(app.seen().is_empty(), "not let in");

    person.open(&letter.link).await;
    person.arrives(&wanted).await;
    person.shows("The app").await;
}

#[tokio::test]
async fn curl_gets_nothing_and_spends_nothing() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let person = Chrome::start().await;
    ask(&person, &gateway.url("/page"), ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    for arguments in [&["--head"][..], &[], &["--location"], &["--location", "--cookie-jar", "/dev/null"]] {
        let output = tokio::process::Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20"])
            .args(arguments)
            .arg(&letter.link)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(app.seen().is_empty());
    person.open(&letter.link).await;
    person.arrives(&gateway.url("/page")).await;
}

//! What mail scanners do: open the link, run its scripts, press every button, submit every form. They are not let in,
//! and the link is not spent.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::sign_in::ask;
use std::collections::BTreeSet;

const ALICE: &str = "alice@example.com";

/// What can be pressed or sent on a page: submitted as a script does it, as a person does it, pressed, followed.
const DEEDS: &str = r"
const links = [...document.querySelectorAll('a[href]')].filter(link => /^https?:$/.test(link.protocol));
const forms = [...document.forms], buttons = [...document.querySelectorAll('button, input[type=submit]')];
const fill = email => {
    for (const form of forms) form.noValidate = true;
    for (const field of document.querySelectorAll('input:not([type=hidden])')) {
        field.value = field.name === 'email' ? email : 'ABCD-EFGH';
        field.checked = true;
    }
};
const deeds = [
    ...forms.flatMap(form => ['', 'test@example.com'].flatMap(email => [
        () => { fill(email); HTMLFormElement.prototype.submit.call(form); },
        () => { fill(email); form.requestSubmit(); },
    ])),
    ...buttons.map(button => () => { fill('robot@example.com'); button.click(); }),
    ...links.map(link => () => link.click()),
];
";

/// How many deeds the page that is open offers.
async fn count(robot: &Chrome) -> u64 {
    robot.run(&format!("{DEEDS} return deeds.length")).await.as_u64().unwrap()
}

/// Does one of them, and waits for the page that it leads to.
async fn act(robot: &Chrome, number: u64) {
    robot.run(&format!("{DEEDS} window.before = true; deeds[{number}]()")).await;
    eventually(&format!("deed {number} leads to another page"), async || {
        let there = "return !window.before && document.readyState === 'complete'";
        (robot.client.execute(there, vec![]).await.ok()? == true).then_some(())
    })
    .await;
}

/// The page, whatever link or address it is about.
async fn page(robot: &Chrome) -> String {
    let seen = "return location.pathname + ' ' + document.querySelector('h1').innerText + ' '\
                + (document.querySelector('.problem, .note') || { innerText: '' }).innerText";
    robot.run(seen).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_robot_that_presses_every_button_on_every_page_is_not_let_in_and_does_not_spend_the_link() {
    let app = App::start().await;
    let gateway = Gateway::before(&app).await;
    let (person, robot) = (Chrome::start().await, Chrome::start().await);
    let wanted = gateway.url("/page?q=1#here");
    ask(&person, &wanted, ALICE).await;
    let letter = gateway.letter_to(ALICE).await;

    let mut pages = BTreeSet::new();
    // The ways to pages not yet worked off: what was done since the link was opened.
    let mut ways = vec![Vec::new()];
    let mut deeds = 0;
    while let Some(way) = ways.pop() {
        let mut next = 0;
        let mut all = 1;
        while next < all {
            robot.open(&letter.link).await;
            for number in &way {
                // Wrong addresses change what the link shows; a way that is gone is no way.
                if *number < count(&robot).await {
                    act(&robot, *number).await;
                }
            }
            all = count(&robot).await;
            if next < all {
                act(&robot, next).await;
                deeds += 1;
                if pages.insert(page(&robot).await) && way.len() < 3 {
                    ways.push(way.iter().copied().chain([next]).collect());
                }
            }
            next += 1;
        }
    }
    for path in ["/.linkgate/login ", "/.linkgate/verify Is this you?"] {
        assert!(pages.iter().any(|page| page.starts_with(path)), "{path} is not among {pages:#?}");
    }
    assert!(deeds > 30, "it tried {deeds} things only, on {pages:#?}");
    robot.open(&gateway.url("/page")).await;
    robot.find("input[name=email]").await;
    assert!(app.seen().is_empty(), "not let in");
    let links: serde_json::Value =
        serde_json::from_str(&gateway.run(&["link", "list", "--email", ALICE, "--json"]).await).unwrap();
    assert_eq!(links[0]["state"], "active");

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

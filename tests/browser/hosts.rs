//! A second host of the site, and signing out on both.

use crate::chrome::Chrome;
use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::sign_in::ask;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn one_sign_in_opens_both_hosts_and_one_sign_out_closes_both() {
    let app = App::start().await;
    let place = Place::new();
    Authority::make(place.path(), &["wiki.localhost", "photos.localhost"]);
    let head = HEAD.replace("http://127.0.0.1:@PORT@", "https://127.0.0.1:@PORT@");
    let config = format!(
        "{head}[tls]\ncertificate = \"@DIR@/site.pem\"\nkey = \"@DIR@/site.key\"\n\
         [[site]]\nname = \"wiki\"\nurl = \"https://wiki.localhost:@PORT@\"\nallow = [\"{ALICE}\"]\n\
         [[site.app]]\nname = \"wiki\"\nhost = \"wiki.localhost\"\nupstream = \"{0}\"\n\
         [[site.app]]\nname = \"photos\"\nhost = \"photos.localhost\"\nupstream = \"{0}\"\n",
        app.url()
    );
    let gateway = Gateway::start_with(place, &config).await;
    let port = gateway.place.port;
    let wiki = format!("https://wiki.localhost:{port}/page?a=1#b");
    let photos = format!("https://photos.localhost:{port}/album?year=2026#last");

    let chrome = Chrome::start().await;
    ask(&chrome, &photos, ALICE).await;
    let letter = gateway.letter_to(ALICE).await;
    chrome.open(&letter.link).await;
    chrome.arrives(&photos).await;
    chrome.open(&wiki).await;
    chrome.arrives(&wiki).await;
    chrome.shows(ALICE).await;
    assert_eq!(gateway.letters().len(), 1);
    // Each host has a cookie of its own, which no script reads and no other host gets.
    let mut sessions = Vec::new();
    for url in [&wiki, &photos] {
        chrome.open(url).await;
        let cookies = chrome.client.get_all_cookies().await.unwrap();
        let session = cookies.iter().find(|cookie| cookie.name() == "__Host-linkgate").unwrap();
        assert_eq!(
            (session.secure(), session.http_only(), session.path()),
            (Some(true), Some(true), Some("/"))
        );
        assert_eq!(chrome.run("return document.cookie").await, "");
        sessions.push(session.value().to_owned());
    }
    assert_ne!(sessions[0], sessions[1]);

    chrome.open(&format!("https://photos.localhost:{port}/.linkgate/logout")).await;
    chrome.press("Sign out").await;
    chrome.shows("You are signed out").await;
    for url in [&wiki, &photos] {
        chrome.open(url).await;
        chrome.find("input[name=email]").await;
        assert!(
            chrome.address().await.starts_with(&format!("https://wiki.localhost:{port}/.linkgate/login"))
        );
    }
}

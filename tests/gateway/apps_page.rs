//! The configurations of docs/apps.md, as they stand there, before a real app: only addresses and names are exchanged.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use std::os::unix::fs::PermissionsExt as _;

const PAGE: &str = include_str!("../../docs/apps.md");
const ALICE: &str = "alice@example.com";

/// The TOML blocks below a heading.
fn blocks(heading: &str) -> Vec<String> {
    let (_, section) =
        PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A gateway with this block behind its site, all of whose upstreams are `app`; and Alice, signed in.
async fn run(block: &str, app: &App) -> (Gateway, Browser) {
    let place = Place::new();
    for name in block.split('"').filter_map(|part| part.strip_prefix("/etc/linkgate/")) {
        std::fs::write(place.path().join(name), "open sesame\n").unwrap();
        std::fs::set_permissions(place.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let block = block.replace("/etc/linkgate/", "").replace(".example.com\"", ".localhost\"");
    let mut parts = block.split("\"http://127.0.0.1:");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (_, after) = part.split_once('"').unwrap();
        text.extend(["\"", &app.url(), "\"", after]);
    }
    let site =
        format!("[[site]]\nname = \"wiki\"\nurl = \"http://wiki.localhost:@PORT@\"\nallow = [\"{ALICE}\"]\n");
    let gateway = Gateway::start_with(place, &format!("{HEAD}{site}{text}")).await;
    let alice = Browser::new();
    let letter = gateway.ask(&alice, ALICE, &url(&gateway, "wiki", "/.linkgate/")).await;
    alice.follow(&letter.link).await.expect(200);
    app.forget();
    (gateway, alice)
}

fn url(gateway: &Gateway, host: &str, path: &str) -> String {
    format!("http://{host}.localhost:{}{path}", gateway.place.port)
}

#[tokio::test]
async fn an_old_app_gets_its_account() {
    let app = App::start().await;
    let accounts = blocks("An app with an account of its own");
    for (block, account) in
        accounts.iter().zip(["aW52ZW50b3J5Om9wZW4gc2VzYW1l", "YWxpY2VfYTpvcGVuIHNlc2FtZQ=="])
    {
        let (gateway, alice) = run(block, &app).await;
        alice.follow(&url(&gateway, "inventory", "/list")).await.expect(200);
        assert_eq!(app.request("/list").await.all("authorization"), [format!("Basic {account}")], "{block}");
    }
    assert_eq!(accounts.len(), 2);
}

#[tokio::test]
async fn apps_live_on_hosts_and_below_paths() {
    let app = App::start().await;
    let found = blocks("WebSockets, and an app below a path");
    let wanted = [
        ("lab", "/lab/tree", "/lab/tree", ""),
        ("wiki", "/jupyter/tree", "/jupyter/tree", ""),
        ("wiki", "/board/a?b", "/a?b", "/board"),
        ("live", "/a", "/a", ""),
    ];
    assert_eq!(found.len(), wanted.len());
    for (block, (host, asked, sent, prefix)) in found.iter().zip(wanted) {
        let (gateway, alice) = run(block, &app).await;
        alice.follow(&url(&gateway, host, asked)).await.expect(200);
        let seen = app.request(sent).await;
        assert_eq!(
            (seen.target.as_str(), seen.header("x-forwarded-prefix")),
            (sent, prefix.to_owned()),
            "{block}"
        );
        assert_eq!(seen.header("x-script-name"), prefix);
    }
}

#[tokio::test]
async fn headers_are_set_and_removed() {
    let app = App::start().await;
    let [block] = blocks("Headers").try_into().unwrap();
    let (gateway, alice) = run(&block, &app).await;
    alice.follow(&url(&gateway, "api", "/a")).await.expect(200);
    let answer = alice
        .visit_with(&url(&gateway, "api", "/cached"), &[("accept-encoding", "br"), ("x-api-key", "eve")])
        .await
        .expect(200);
    let seen = app.request("/cached").await;
    assert_eq!(seen.all("x-api-key"), ["kept-in-this-file"]);
    assert!(seen.all("accept-encoding").is_empty(), "{seen:?}");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("content-security-policy"), "default-src 'self'");
    assert!(!answer.headers.contains_key("server"));
}

#[tokio::test]
async fn large_bodies_pass() {
    let app = App::start().await;
    let [block] = blocks("Large and slow").try_into().unwrap();
    let (gateway, alice) = run(&block, &app).await;
    alice.follow(&url(&gateway, "files", "/a")).await.expect(200);
    let body = vec![b'x'; 1 << 20];
    let answer = alice.send("PUT", &url(&gateway, "files", "/big"), &[], body.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.request("/big").await.body.len(), body.len());
}

//! The real Apache before an app: asking by Lua, with the lines of docs/apache.md and docs/apache/linkgate.lua as they
//! stand there; and before linkgate, which is before the app.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::APACHE;
use crate::harness::proxies::APACHE_LUA;
use crate::harness::proxies::apache_asking;
use crate::harness::proxies::apache_before_linkgate;
use std::process::Command;

promises!(apache_asking);
promises!(apache_asking: a_page_with_a_renewed_cookie_goes_into_no_cache);

/// With a Lua file that fails before it asks.
fn broken(ground: &Ground<'_>) -> Command {
    let command = apache_asking(ground);
    let at = "    local target, host =";
    assert!(APACHE_LUA.contains(at));
    let pages = format!("http://127.0.0.1:{}", ground.place.port);
    let lua = APACHE_LUA
        .replace("http://127.0.0.1:8080", &pages)
        .replace(at, &format!("    error(\"out of order\")\n{at}"));
    ground.write("linkgate.lua", &lua);
    command
}

#[tokio::test]
async fn an_error_in_lua_lets_nobody_through() {
    let app = App::start().await;
    let guard = Guard::before(broken, &app).await;
    let alice = guard.browser();
    // A page of linkgate's, which is not asked about.
    guard.gateway.sign_in(&alice, ALICE, &guard.url("/.linkgate/")).await;
    alice.visit(&guard.url("/page")).await.expect(500);
    guard.browser().visit(&guard.url("/open/x")).await.expect(500);
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    assert!(guard.log().contains("out of order"), "{}", guard.log());
}

#[tokio::test]
async fn before_linkgate_it_only_hands_on() {
    let app = App::start().await;
    let guard = Guard::through(apache_before_linkgate, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let spoofed = [
        ("remote-user", "root"),
        ("Remote_User", "root"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "evil.example"),
    ];
    alice.visit_with(&guard.url("/a%20b?x=%2F"), &spoofed).await.expect(200);
    let seen = app.request("/a%20b").await;
    assert_eq!((seen.target.as_str(), seen.header("remote-user").as_str()), ("/a%20b?x=%2F", "1017"));
    assert!(
        !seen.headers.iter().any(|(_, value)| value.contains("root") || value.contains("203.0.113.9")),
        "{seen:?}"
    );
    assert_eq!(guard.browser().visit(&guard.url("/page")).await.status, 303);
    guard.gateway.kill();
    assert_eq!(alice.visit(&guard.url("/page")).await.status, 503);
}

#[test]
fn linkgate_takes_the_files_of_the_page() {
    linkgate_takes_the_file_of(APACHE);
}

//! The real HAProxy before an app, asking by Lua: the lines of docs/haproxy.md and docs/haproxy/linkgate.lua as they
//! stand there.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::HAPROXY;
use crate::harness::proxies::HAPROXY_LUA;
use crate::harness::proxies::haproxy;
use std::process::Command;

promises!(haproxy);
promises!(haproxy: a_page_with_a_renewed_cookie_goes_into_no_cache);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(HAPROXY);
}

/// With a Lua file that fails before it asks.
fn broken(ground: &Ground<'_>) -> Command {
    let command = haproxy(ground);
    let at = "local question, target, host =";
    assert!(HAPROXY_LUA.contains(at));
    ground.write("linkgate.lua", &HAPROXY_LUA.replace(at, &format!("error(\"out of order\")\n    {at}")));
    command
}

#[tokio::test]
async fn an_error_in_lua_lets_nobody_through() {
    let app = App::start().await;
    let guard = Guard::before(broken, &app).await;
    let alice = guard.browser();
    // A page of linkgate's, which is not asked about.
    guard.gateway.sign_in(&alice, ALICE, &guard.url("/.linkgate/")).await;
    alice.visit(&guard.url("/page")).await.expect(503);
    guard.browser().visit(&guard.url("/open/x")).await.expect(503);
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    assert!(guard.log().contains("out of order"), "{}", guard.log());
}

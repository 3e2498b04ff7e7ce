//! The real HAProxy before an app, asking by Lua: the lines of docs/haproxy.md and docs/haproxy/linkgate.lua as they
//! stand there.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::debian;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/haproxy.md");
const LUA: &str = include_str!("../../docs/haproxy/linkgate.lua");

fn haproxy(ground: &Ground<'_>) -> Command {
    let (lua, folder) = (ground.write("linkgate.lua", LUA), ground.folder());
    // HAProxy wants both in one file.
    let both =
        ["site.pem", "site.key"].map(|name| std::fs::read_to_string(ground.place.path().join(name)).unwrap());
    let both = ground.write("both.pem", &both.concat());
    let config = ground.here(
        &ground.block(PAGE, "haproxy"),
        &[
            ("/etc/haproxy/linkgate.lua", &lua),
            ("/etc/haproxy/wiki.example.com.pem", &both),
            ("bind :80\n", &format!("bind unix@{folder}/plain\n")),
            ("bind :443", &format!("bind 127.0.0.1:{}", ground.port)),
        ],
    );
    let mut command = debian("haproxy");
    command.arg("-db").arg("-f").arg(ground.write("haproxy.cfg", &config));
    command
}

promises!(haproxy);

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}

/// With a Lua file that fails before it asks.
fn broken(ground: &Ground<'_>) -> Command {
    let command = haproxy(ground);
    let at = "local question, target, host =";
    assert!(LUA.contains(at));
    ground.write("linkgate.lua", &LUA.replace(at, &format!("error(\"out of order\")\n    {at}")));
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

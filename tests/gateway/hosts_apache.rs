//! The real Apache before an app: asking by Lua, with the lines of docs/apache.md and docs/apache/linkgate.lua as they
//! stand there; and before linkgate, which is before the app.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::blocks;
use crate::harness::guard::debian;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/apache.md");
const LUA: &str = include_str!("../../docs/apache/linkgate.lua");

/// Apache with this host, and with the modules that the page's `number`th `a2enmod` brings, beside Debian's default.
fn apache(ground: &Ground<'_>, host: &str, number: usize) -> Command {
    let folder = ground.folder();
    let wanted =
        PAGE.split("a2enmod ").nth(number).and_then(|rest| rest.split(['\n', '`']).next()).expect("a2enmod");
    let loaded: String = ["mpm_event", "authz_core"]
        .into_iter()
        .chain(wanted.split(' '))
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let config = format!(
        "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\n\
         ErrorLog /dev/stderr\nLogLevel warn\nUser www-data\nGroup www-data\nListen 127.0.0.1:{}\n{loaded}{host}",
        ground.port
    );
    let mut command = debian("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(ground.write("apache.conf", &config));
    command
}

fn host(ground: &Ground<'_>, number: usize, more: &[(&str, &str)]) -> String {
    let lines = blocks(PAGE, "apache").into_iter().nth(number).expect("a host");
    let port = format!("<VirtualHost 127.0.0.1:{}>", ground.port);
    let mut all = vec![("<VirtualHost *:443>", port.as_str())];
    all.extend(more);
    ground.here(&lines, &all)
}

fn asking(ground: &Ground<'_>) -> Command {
    let lua = ground.write(
        "linkgate.lua",
        &ground.here(LUA, &[("http://127.0.0.1:8080", &format!("http://127.0.0.1:{}", ground.place.port))]),
    );
    apache(ground, &host(ground, 1, &[("/etc/apache2/linkgate.lua", &lua)]), 2)
}

promises!(asking);

/// With a Lua file that fails before it asks.
fn broken(ground: &Ground<'_>) -> Command {
    let command = asking(ground);
    let at = "    local target, host =";
    assert!(LUA.contains(at));
    let pages = format!("http://127.0.0.1:{}", ground.place.port);
    let lua = LUA
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

fn before_linkgate(ground: &Ground<'_>) -> Command {
    apache(ground, &host(ground, 0, &[]), 1)
}

#[tokio::test]
async fn before_linkgate_it_only_hands_on() {
    let app = App::start().await;
    let guard = Guard::through(before_linkgate, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let spoofed = [
        ("remote-user", "root"),
        ("Remote_User", "root"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-host", "evil.example"),
    ];
    alice.visit_with(&guard.url("/a%2Fb?x=%2F"), &spoofed).await.expect(200);
    let seen = app.request("/a%2Fb").await;
    assert_eq!((seen.target.as_str(), seen.header("remote-user").as_str()), ("/a%2Fb?x=%2F", "1017"));
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
    linkgate_takes_the_file_of(PAGE);
}

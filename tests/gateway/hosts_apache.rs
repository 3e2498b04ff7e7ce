//! The real Apache before an app: asking by Lua, with the lines of docs/apache.md and docs/apache/linkgate.lua as they
//! stand there; and before linkgate, which is before the app.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::BOB;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::HOST;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::APACHE;
use crate::harness::proxies::APACHE_LUA;
use crate::harness::proxies::apache_asking;
use crate::harness::proxies::apache_before_linkgate;
use std::os::unix::fs::PermissionsExt as _;
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

/// Serving files and programs itself, with pages that lead to others within Apache.
fn serving(ground: &Ground<'_>) -> Command {
    let command = apache_asking(ground);
    let folder = ground.folder();
    let root = ground.place.path().join("root");
    for below in ["", "open", "staff"] {
        std::fs::create_dir_all(root.join(below)).unwrap();
        ground.write(&format!("root/{below}/index.html"), &format!("the index of {below:?}"));
    }
    ground.write("root/.htaccess", "RewriteEngine on\nRewriteRule ^pretty/ /cgi/who [PT,L]\n");
    let who = ground.write("who", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv\n");
    std::fs::set_permissions(&who, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = std::fs::read_to_string(ground.place.path().join("apache.conf")).unwrap();
    let proxied = format!("ProxyPass / http://{}/ nocanon upgrade=websocket", ground.app);
    assert!(config.contains(&proxied), "{config}");
    let served = format!(
        "ProxyPass /cgi/ !\nScriptAlias /cgi/ {folder}/\nDocumentRoot {folder}/root\nDirectoryIndex index.html\n\
         <Directory {folder}/root>\nAllowOverride All\nOptions +Indexes +FollowSymLinks\n</Directory>\n"
    );
    let modules = ["dir", "alias", "rewrite", "cgid", "mime"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let config = config.replace(&proxied, &served);
    let more = format!("TypesConfig /dev/null\nScriptSock {folder}/cgisock\n");
    ground.write("apache.conf", &format!("{}{more}{config}", modules.concat()));
    command
}

#[tokio::test]
async fn what_apache_serves_itself_is_asked_about_once_and_learns_who_it_is() {
    let app = App::start().await;
    let guard = Guard::before(serving, &app).await;
    let (alice, bob, nobody) = (guard.signed_in(ALICE).await, guard.signed_in(BOB).await, guard.browser());
    // An index is another address within Apache.
    assert_eq!(alice.visit(&guard.url("/")).await.expect(200).text(), "the index of \"\"");
    assert_eq!(alice.visit(&guard.url("/staff/")).await.expect(200).text(), "the index of \"staff\"");
    assert_eq!(nobody.visit(&guard.url("/open/")).await.expect(200).text(), "the index of \"open\"");
    bob.visit(&guard.url("/staff/")).await.expect(403);
    bob.visit(&guard.url("/staff/index.html")).await.expect(403);
    nobody.visit(&guard.url("/")).await.expect(303);
    // So is a program behind a rule of a folder's own.
    for path in ["/cgi/who", "/pretty/page"] {
        let spoofed = [("remote-user", "s3cret"), ("Remote_Email", "s3cret"), ("x-forwarded-user", "s3cret")];
        let told = alice.visit_with(&guard.url(path), &spoofed).await.expect(200).text();
        for line in ["HTTP_REMOTE_USER=1017\n", "HTTP_REMOTE_EMAIL=alice@example.com\n"] {
            assert!(told.contains(line), "{path}: {line} in {told}");
        }
        assert!(told.contains("REMOTE_USER=alice@example.com\n"), "{told}");
        let session = alice.cookie(HOST, "__Host-linkgate");
        assert!(!told.contains("s3cret") && !told.contains(&session), "{told}");
        nobody.visit(&guard.url(path)).await.expect(303);
    }
    assert!(app.seen().is_empty(), "{:?}", app.seen());
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

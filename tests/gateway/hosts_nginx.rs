//! The real nginx before an app, asking by `auth_request`: the lines of docs/nginx.md as they stand there.

use crate::harness::app::App;
use crate::harness::attacks;
use crate::harness::guard::ALICE;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::blocks;
use crate::harness::promises::linkgate_takes_the_file_of;
use crate::harness::promises::promises;
use crate::harness::proxies::NGINX;
use crate::harness::proxies::nginx;
use std::process::Command;

// All but one: nginx takes headers out by name only, so not every name that linkgate itself takes out.
promises!(nginx and
    nobody_passes_while_linkgate_is_silent,
    no_cookie_of_the_app_takes_the_place_of_ours,
    a_page_with_a_renewed_cookie_goes_into_no_cache
);

#[tokio::test]
async fn no_name_of_the_page_reaches_the_app_in_any_spelling_of_a_visitors() {
    let app = App::start().await;
    let guard = Guard::before(nginx, &app).await;
    let alice = guard.signed_in(ALICE).await;
    let page = blocks(NGINX, "nginx").concat();
    let names: Vec<&str> = page
        .split("proxy_set_header ")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next())
        .filter(|name| {
            !["Host", "Upgrade", "Connection", "Cookie", "Authorization", "Content-Length"].contains(name)
        })
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        for spelled in [name.to_owned(), name.replace('-', "_"), name.replace('-', "."), name.to_uppercase()]
        {
            app.forget();
            alice.visit_with(&guard.url("/page"), &[(&spelled, "s3cret")]).await.expect(200);
            let seen = app.request("/page").await;
            assert!(!seen.headers.iter().any(|(_, value)| value.contains("s3cret")), "{spelled}: {seen:?}");
            assert_eq!((seen.header("remote-user").as_str(), seen.all("remote-user").len()), ("1017", 1));
        }
    }
}

/// As many will have it.
fn by_http2(ground: &Ground<'_>) -> Command {
    let command = nginx(ground);
    let config = std::fs::read_to_string(ground.place.path().join("nginx.conf")).unwrap();
    ground.write("nginx.conf", &config.replace(" ssl;", " ssl http2;"));
    command
}

#[tokio::test]
async fn with_http2_no_request_names_two_hosts() {
    attacks::no_request_names_one_host_to_the_rules_and_another_to_the_proxy(by_http2).await;
}

#[tokio::test]
async fn nginx_has_nothing_to_complain_of() {
    let app = App::start().await;
    let guard = Guard::before(nginx, &app).await;
    let alice = guard.signed_in(ALICE).await;
    for path in ["/page", "/.linkgate/", "/staff/", "/bye"] {
        alice.visit(&guard.url(path)).await;
        guard.browser().visit(&guard.url(path)).await;
    }
    alice.send("POST", &guard.url("/upload"), &[], vec![b'x'; 300_000]).await.expect(200);
    guard.browser().send("POST", &guard.url("/upload"), &[], vec![b'x'; 300_000]).await.expect(401);
    let bad = ["[warn]", "[error]", "[crit]", "[alert]", "[emerg]"];
    // A refusal by auth_request is an error to nginx.
    let ours =
        |line: &&str| bad.iter().any(|bad| line.contains(bad)) && !line.contains("access forbidden by rule");
    let log = guard.log();
    let complaints: Vec<&str> = log.lines().filter(ours).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(NGINX);
}

//! `linkgate snippet`: the pages below docs/ hold what it prints for their own example, and it says what is missing.

use crate::harness::guard::blocks;
use std::process::Command;
use std::process::Output;
use tempfile::TempDir;

fn snippet(proxy: &str, config: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_linkgate"))
        .arg("--config")
        .arg(file)
        .args(["snippet", proxy])
        .output()
        .unwrap()
}

#[track_caller]
fn printed(proxy: &str, config: &str) -> String {
    let output = snippet(proxy, config);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(proxy: &str, config: &str) -> String {
    let output = snippet(proxy, config);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_page_holds_what_is_printed_for_its_own_example() {
    for (proxy, language, number, page) in [
        ("nginx", "nginx", 0, include_str!("../../docs/nginx.md")),
        ("caddy", "caddyfile", 0, include_str!("../../docs/caddy.md")),
        ("traefik", "yaml", 1, include_str!("../../docs/traefik.md")),
        ("envoy", "yaml", 0, include_str!("../../docs/envoy.md")),
        ("haproxy", "haproxy", 0, include_str!("../../docs/haproxy.md")),
        ("apache", "apache", 1, include_str!("../../docs/apache.md")),
    ] {
        // Where a page has two, the second is for the proxy that asks.
        let config = blocks(page, "toml").into_iter().next_back().expect("linkgate's file");
        let block = blocks(page, language).into_iter().nth(number).expect("the proxy's file");
        assert_eq!(printed(proxy, &config), block, "docs/{proxy}.md");
    }
}

const HEAD: &str =
    "trusted_proxies = [\"127.0.0.1\", \"unix\"]\n[mail]\nfrom = \"a@example.com\"\nurl = \"memory:\"\n";

#[test]
fn names_prefix_cookie_and_socket_are_those_of_the_file() {
    let listen = "listen = [\"unix:/run/linkgate/web.sock\", \"http://0.0.0.0:9000\"]\nprefix = \"/auth\"\n";
    let sites = "[[site]]\nurl = \"https://start.example.com\"\nallow = [\"*\"]\n\
                 [site.session]\ncookie = \"key\"\n\
                 [[site.app]]\nhost = \"wiki.example.com\"\nidentity = \"x-auth-request\"\n\
                 [[site.app]]\nhost = \"files.example.org\"\nidentity = { X_Person = \"{user}\" }\n\
                 [[site]]\nurl = \"https://own.example.com\"\nallow = [\"*\"]\nupstream = \"http://a\"\n";
    let config = format!("{listen}{HEAD}{sites}");
    for (proxy, address) in [
        ("nginx", "unix:/run/linkgate/web.sock;"),
        ("caddy", "unix//run/linkgate/web.sock {"),
        ("traefik", "127.0.0.1:9000"),
        ("envoy", "address: 127.0.0.1, port_value: 9000"),
        ("haproxy", "lua.linkgate http://127.0.0.1:9000/auth unless pages"),
        ("apache", "linkgate = \"http://127.0.0.1:9000/auth\""),
    ] {
        let text = printed(proxy, &config);
        assert!(text.contains(address), "{text}");
        assert!(text.contains("/auth/") && text.contains("check/") && !text.contains("/.linkgate"), "{text}");
        for host in ["start.example.com", "wiki.example.com", "files.example.org"] {
            assert!(text.contains(host), "{host}: {text}");
        }
        assert!(!text.contains("own.example.com"), "linkgate forwards there by itself: {text}");
        assert!(text.contains("127.0.0.1:3001") && text.contains("127.0.0.1:3002"), "{text}");
    }
    let caddy = printed("caddy", &config);
    assert!(
        caddy.contains("request_header X-Auth-Request-Email {rp.header.X-Auth-Request-Email}"),
        "{caddy}"
    );
    assert!(caddy.contains("(linkgate-2)") && caddy.contains("import linkgate-2"), "{caddy}");
    let traefik = printed("traefik", &config);
    assert!(traefik.contains("x[^a-z0-9]person|") && traefik.contains("[__Host-key]"), "{traefik}");
    let envoy = printed("envoy", &config);
    assert!(envoy.contains("'x[^a-z0-9]person'") && envoy.contains("exact: x_person"), "{envoy}");
    assert!(envoy.contains("{ \"__Host-key=\""), "{envoy}");
    let nginx = printed("nginx", &config);
    assert!(nginx.contains("proxy_set_header X-Auth-Request-User $linkgate_1;"), "{nginx}");
    assert_eq!(
        nginx.matches("proxy_set_header X-Auth-Request-User ").count(),
        2,
        "set for one, emptied for the other"
    );
}

#[test]
fn what_is_missing_is_said() {
    let guarded = "[[site]]\nurl = \"https://wiki.example.com\"\nallow = [\"*\"]\n";
    let only_unix = format!("listen = [\"unix:/run/web.sock\"]\n{HEAD}{guarded}");
    assert!(refused("traefik", &only_unix).contains("http://127.0.0.1:8080"));
    let forwards = format!("listen = [\"unix:/run/web.sock\"]\n{HEAD}{guarded}upstream = \"http://a\"\n");
    assert!(refused("nginx", &forwards).contains("leave upstream out"));
}

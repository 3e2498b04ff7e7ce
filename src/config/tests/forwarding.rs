//! Where requests go and what is changed on the way: upstreams and handling, inheritance, dead combinations.

mod inheritance;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::policy::App;
use crate::policy::Handling;
use crate::policy::Protocol;
use crate::policy::Route;
use crate::policy::UpstreamHost;
use crate::policy::WebSocketOrigins;

/// An app whose keys begin in line 11.
fn app(keys: &str) -> String {
    file("", &format!("[[site.app]]\nhost = \"b.example.com\"\n{keys}"), "")
}

/// The app of [`app`].
fn load_app(keys: &str) -> Arc<App> {
    let loaded = try_load(&app(keys)).unwrap_or_else(|mistakes| panic!("{mistakes}\n{keys}"));
    Arc::clone(&loaded.sites[0].site.apps[1])
}

fn last(app: &App) -> &Route {
    app.routes().last().unwrap()
}

/// What stands below the host of an app (line 11 and on); the beginning of a line of the answer; part of its cure.
const BAD: &[(&str, &str, &str)] = &[
    // Upstreams.
    (
        "upstream = \"127.0.0.1:1\"",
        "11:12: site.app.upstream: \"127.0.0.1:1\" has no scheme",
        "http://127.0.0.1:1",
    ),
    ("upstream = [\"http://a:1\", \"ws://b:1\"]", "11:27: site.app.upstream: \"ws://b:1\"", "http://b:1"),
    (
        "upstream = [\"http://a:1\", \"http://a:1/\"]",
        "11:27: site.app.upstream: this is listed twice",
        "leave one",
    ),
    ("upstream = []", "11:12: site.app.upstream: this is empty", "leave it out"),
    ("upstream = \"unix:app.sock\"", "11:12: site.app.upstream: \"unix:app.sock\"", "unix:/run"),
    ("upstream = \"http://u:hunter2@a\"", "11:12: site.app.upstream: an address holds no account", "basic"),
    ("upsteam = \"http://a\"", "11:1: site.app.upsteam: no such key", "upstream"),
    // TLS to the app.
    (
        "upstream = \"http://a\"\nupstream_tls = { server_name = \"a\" }",
        "12:16: site.app.upstream_tls: no upstream here speaks https",
        "https://",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { certificate = \"c.pem\" }",
        "12:32: site.app.upstream_tls.certificate: its key is missing",
        "key =",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { key = \"c.pem\" }",
        "12:24: site.app.upstream_tls.key: its certificate is missing",
        "certificate =",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { ca = \"/nowhere/ca.pem\" }",
        "12:23: site.app.upstream_tls.ca: /nowhere/ca.pem",
        "may read",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { pin = [\"sha256//AAAA\"] }",
        "12:25: site.app.upstream_tls.pin: \"sha256//AAAA\" cannot be taken",
        "openssl",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { server_name = \"https://a\" }",
        "12:32: site.app.upstream_tls.server_name:",
        "alone",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = { sever_name = \"a\" }",
        "12:18: site.app.upstream_tls.sever_name: no such key",
        "\"server_name\"?",
    ),
    (
        "upstream = \"https://a\"\nupstream_tls = {}",
        "12:16: site.app.upstream_tls: this table is empty",
        "ca =",
    ),
    // Health and patience.
    (
        "upstream = \"http://a\"\nhealth_check = { interval = \"1s\" }",
        "12:16: site.app.health_check.path: this is missing",
        "/healthz",
    ),
    (
        "upstream = \"http://a\"\nhealth_check = { path = \"healthz\" }",
        "12:25: site.app.health_check.path: \"healthz\" is no path",
        "/healthz",
    ),
    (
        "upstream = \"http://a\"\nhealth_check = { path = \"/\", interval = \"1s\", timeout = \"2s\" }",
        "12:57: site.app.health_check.timeout: the next check",
        "interval",
    ),
    ("health_check = { path = \"/\" }", "11:16: site.app.health_check: there is no upstream", "add upstream"),
    (
        "upstream = \"http://a\"\nslow_start = \"10s\"",
        "12:14: site.app.slow_start: there is one upstream",
        "several",
    ),
    ("upstream = \"http://a\"\nwait = \"1d\"", "12:8: site.app.wait: this is out of range", "10m"),
    ("wait = \"5s\"", "11:8: site.app.wait: there is no upstream", "add upstream"),
    // Host.
    (
        "upstream = \"http://a\"\nupstream_host = \"visitors\"",
        "12:17: site.app.upstream_host:",
        "\"visitor\"?",
    ),
    ("upstream = \"http://a\"\nupstream_host = \"http://a.b\"", "12:17: site.app.upstream_host:", "a host"),
    ("upstream = \"http://a\"\nupstream_host = \"a.b/c\"", "12:17: site.app.upstream_host:", "a host"),
    (
        "upstream = \"unix:/run/a\"\nupstream_host = \"upstream\"",
        "12:17: site.app.upstream_host: a Unix socket has no host",
        "visitor",
    ),
    // Paths.
    (
        "upstream = \"http://a\"\nstrip_prefix = \"/x\"",
        "12:1: site.app.strip_prefix: no such key",
        "site.app.route.strip_prefix",
    ),
    (
        "upstream = \"http://a\"\n[[site.app.route]]\npath = \"/x/\"\nstrip_prefix = \"/xx\"",
        "14:16: site.app.route.strip_prefix: the route's path \"/x/\" does not lie below",
        "path = \"/xx/\"",
    ),
    (
        "upstream = \"http://a\"\n[[site.app.route]]\npath = \"/x/\"\nstrip_prefix = \"/X\"",
        "14:16: site.app.route.strip_prefix: the route's path",
        "path = \"/X/\"",
    ),
    (
        "upstream = \"http://a\"\n[[site.app.route]]\npath = \"/x/\"\nstrip_prefix = \"/\"",
        "14:16: site.app.route.strip_prefix:",
        "leave it out",
    ),
    (
        "upstream = \"http://a\"\n[[site.app.route]]\npath = \"/x/\"\nstrip_prefix = \"/%78\"",
        "14:16: site.app.route.strip_prefix:",
        "no % escapes",
    ),
    (
        "[[site.app.route]]\npath = \"/x/\"\nstrip_prefix = \"/x\"",
        "13:16: site.app.route.strip_prefix: there is no upstream",
        "add upstream",
    ),
    // Headers.
    (
        "upstream = \"http://a\"\nset_request_headers = { \"X Y\" = \"1\" }",
        "12:25: site.app.set_request_headers: \"X Y\" is no header name",
        "letters",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = { X-A = \"1\\r\\nX-B: 2\" }",
        "12:25: site.app.set_request_headers: the value of X-A",
        "no control characters",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = { X-A = \" 1\" }",
        "12:25: site.app.set_request_headers: the value of X-A",
        "no spaces",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = { X-A = \"{email}\" }",
        "12:25: site.app.set_request_headers: X-A cannot be set",
        "identity",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = { X-A = \"1\", x_a = \"2\" }",
        "12:36: site.app.set_request_headers: x_a is the same header",
        "leave one",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = { Host = \"a\" }",
        "12:25: site.app.set_request_headers: Host cannot be set",
        "upstream_host",
    ),
    (
        "upstream = \"http://a\"\nidentity = { X-Who = \"{user}\" }\nset_request_headers = { x_who = \"eve\" }",
        "13:25: site.app.set_request_headers: x_who cannot be set: an identity table",
        "leave one",
    ),
    (
        "upstream = \"http://a\"\nset_response_headers = { Set-Cookie = \"a=b\" }",
        "12:26: site.app.set_response_headers: Set-Cookie cannot be set",
        "\"\"",
    ),
    (
        "upstream = \"http://a\"\nset_request_headers = {}",
        "12:23: site.app.set_request_headers: this table is empty",
        "X-Name",
    ),
    (
        "set_request_headers = { X-A = \"1\" }",
        "11:23: site.app.set_request_headers: there is no upstream",
        "add upstream",
    ),
    // The app's own account.
    (
        "basic = { user = \"u\", password = \"p\" }",
        "11:9: site.app.basic: there is no upstream",
        "add upstream",
    ),
    (
        "upstream = \"http://a\"\nbasic = { user = \"u\" }",
        "12:18: site.app.basic.user: the password of this account is missing",
        "site.wiki.example.com.app.b.basic.password",
    ),
    (
        "upstream = \"http://a\"\nbasic = { password = \"p\" }",
        "12:9: site.app.basic.user: this is missing",
        "{attributes.php}",
    ),
    (
        "upstream = \"http://a\"\nbasic = { user = \"{usr}\", password = \"p\" }",
        "12:18: site.app.basic.user: \"{usr}\" cannot be filled",
        "{user}",
    ),
    (
        "upstream = \"http://a\"\nbasic = { user = \"a:b\", password = \"p\" }",
        "12:18: site.app.basic.user: \"a:b\" cannot be taken",
        "colon",
    ),
    (
        "upstream = \"http://a\"\nbasic = { user = \"u\", password = \"a\\nb\" }",
        "12:34: site.app.basic.password: a control character",
        "alone",
    ),
    (
        "upstream = \"http://a\"\nbasic = { user = \"u\", password = \"p\" }\nset_request_headers = { Authorization = \"x\" }",
        "12:9: site.app.basic: basic and set_request_headers both",
        "leave one",
    ),
    // Upgrades, WebSockets, caches.
    ("upstream = \"http://a\"\nupgrades = [\"h2c\"]", "12:13: site.app.upgrades: \"h2c\"", "past every rule"),
    ("upstream = \"http://a\"\nupgrades = [\"web socket\"]", "12:13: site.app.upgrades:", "websocket"),
    (
        "upstream = \"http://a\"\nupgrades = [\"*\", \"x\"]",
        "12:12: site.app.upgrades: the other entries",
        "\"*\"",
    ),
    (
        "upstream = \"http://a\"\nupgrades = []\nwebsocket_origins = \"*\"",
        "13:21: site.app.websocket_origins: upgrades lets no WebSocket pass",
        "upgrades",
    ),
    (
        "upstream = \"http://a\"\nwebsocket_origins = [\"https://c.example.com/x\"]",
        "12:22: site.app.websocket_origins:",
        "write \"https://c.example.com\"",
    ),
    (
        "upstream = \"http://a\"\nwebsocket_origins = [\"https://b.example.com\"]",
        "12:22: site.app.websocket_origins:",
        "leave it out",
    ),
    (
        "upstream = \"http://a\"\nwebsocket_origins = [\"c.example.com\"]",
        "12:22: site.app.websocket_origins:",
        "https://",
    ),
    ("upstream = \"http://a\"\ncache = \"apps\"", "12:9: site.app.cache: \"apps\"", "\"app\"?"),
    // Where nothing passes, nothing is changed.
    (
        "upstream = \"http://a\"\n[[site.app.route]]\npath = \"/x\"\naccess = \"deny\"\nwait = \"5s\"",
        "15:8: site.app.route.wait: with this access nothing is passed on",
        "leave it out",
    ),
];

#[test]
fn every_mistake_about_apps_names_its_place_its_key_and_the_cure() {
    let mut wrong = Vec::new();
    for (keys, start, cure) in BAD {
        let answer = mistakes(&app(keys));
        if !answer.lines().any(|line| line.starts_with(&format!("c.toml:{start}")) && line.contains(cure)) {
            wrong.push(format!("wanted {start} … {cure}\n   got {answer}"));
        }
        if answer.lines().count() != 1 {
            wrong.push(format!("one mistake, told more than once:\n{answer}"));
        }
        assert!(!answer.contains("hunter2"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_that_are_ours_are_set_by_nobody_else() {
    for name in [
        "Remote-User",
        "remote_email",
        "Linkgate-Assertion",
        "X-Auth-Request-User",
        "X-Forwarded-For",
        "X_Forwarded_Prefix",
        "X-Forwarded-User",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "Via",
        "Host",
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "Content-Length",
        "content_length",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "HTTP2-Settings",
    ] {
        for value in ["x", ""] {
            let answer = mistakes(&app(&format!(
                "upstream = \"http://a\"\nset_request_headers = {{ {name} = \"{value}\" }}"
            )));
            let start = format!("c.toml:12:25: site.app.set_request_headers: {name} cannot be set");
            assert!(answer.starts_with(&start) && answer.contains("; "), "{name}: {answer}");
        }
    }
    for (name, removable) in [
        ("Connection", false),
        ("Transfer-Encoding", false),
        ("Content-Length", false),
        ("Trailer", false),
        ("Upgrade", false),
        ("Set-Cookie", true),
        ("Alt-Svc", true),
        ("NEL", true),
        ("Report-To", true),
        ("Reporting-Endpoints", true),
        ("Clear-Site-Data", true),
    ] {
        let set = |value: &str| {
            mistakes(&app(&format!(
                "upstream = \"http://a\"\nset_response_headers = {{ {name} = \"{value}\" }}"
            )))
        };
        assert!(set("x").contains("cannot be set"), "{name}: {}", set("x"));
        assert_eq!(!set("").contains("cannot be set"), removable, "{name}: {}", set(""));
    }
}

#[test]
fn every_kind_of_upstream_is_read() {
    let app = load_app(
        "upstream = [\"http://10.0.0.1:3000\", \"https://app.example.com\", \"h2c://[::1]:50051\", \"unix:/run/app.sock\"]\n\
         slow_start = \"30s\"\nwait = \"5s\"\nhealth_check = { path = \"/healthz?full\", interval = \"2s\", timeout = \"1s\" }\n\
         upstream_tls = { pin = \"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", server_name = \"App.internal\" }",
    );
    let upstream = last(&app).upstream.as_ref().unwrap();
    assert_eq!(
        upstream.to_string(),
        "http://10.0.0.1:3000, https://app.example.com:443, h2c://[::1]:50051, unix:/run/app.sock"
    );
    assert_eq!((upstream.slow_start.as_secs(), upstream.wait.as_secs()), (30, 5));
    let health = upstream.health.as_ref().unwrap();
    assert_eq!(
        (health.path.as_str(), health.interval.as_secs(), health.timeout.as_secs()),
        ("/healthz?full", 2, 1)
    );
    assert_eq!(
        (upstream.tls.pins.as_slice(), upstream.tls.server_name.as_deref()),
        ([[0; 32]].as_slice(), Some("app.internal"))
    );
    let plain = load_app("upstream = \"http://a\"\nhealth_check = { path = \"/\", interval = \"1s\" }");
    assert_eq!(
        last(&plain).upstream.as_ref().unwrap().health.as_ref().unwrap().timeout,
        Duration::from_secs(1)
    );
    let several = GOOD.replace("\"http://127.0.0.1:3000\"", "[\"http://127.0.0.1:3000\", \"unix:/run/b\"]");
    let upstream = try_load(&several).unwrap().sites[0].site.apps[0].routes()[0].upstream.clone().unwrap();
    assert_eq!(upstream.endpoints.len(), 2, "the short form takes a list as well");
}

#[test]
fn certificates_and_passwords_are_looked_for_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "client.pem", "client.key", "app.password"] {
        fs::write(folder.path().join(name), "hunter2\n").unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = app(
        "upstream = \"https://a\"\nbasic = { user = \"{email.local}\", password_file = \"app.password\" }\n\
         upstream_tls = { ca = \"ca.pem\", certificate = \"client.pem\", key = \"client.key\" }\n\
         set_request_headers = { Authorization-Token = \"hunter3\" }",
    );
    let (loaded, _) = load_text(&text, &folder.path().join("c.toml"), &Environment::default()).unwrap();
    let route = &loaded.sites[0].site.apps[1].routes()[0];
    let tls = &route.upstream.as_ref().unwrap().tls;
    assert_eq!(tls.ca.as_deref(), Some(folder.path().join("ca.pem").as_path()));
    let (certificate, key) = tls.client.clone().unwrap();
    assert_eq!((certificate, key), (folder.path().join("client.pem"), folder.path().join("client.key")));
    let account = route.handling.basic.as_ref().unwrap();
    assert_eq!((account.user.as_str(), account.password.expose().as_str()), ("{email.local}", "hunter2"));
    let shown = format!("{loaded:?} {loaded:#?}");
    assert!(!shown.contains("hunter"), "neither the password nor a header's value is ever printed");
}

#[test]
fn the_password_of_an_account_comes_from_a_credential_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("site.wiki.example.com.app.b.basic.password"), "hunter2\n").unwrap();
    let text = app("upstream = \"http://a\"\nbasic = { user = \"u\" }\n[[site.app.route]]\npath = \"/x\"\n\
                    basic = { user = \"v\" }\n[[site.app.route]]\npath = \"/y\"\nbasic = { password = \"other\" }");
    let (loaded, _) = load_text(&text, Path::new("c.toml"), &with(&[], Some(folder.path()))).unwrap();
    let accounts: Vec<_> =
        loaded.sites[0].site.apps[1].routes().iter().map(|r| r.handling.basic.clone().unwrap()).collect();
    let pairs: Vec<_> = accounts.iter().map(|a| (a.user.as_str(), a.password.expose().as_str())).collect();
    assert_eq!(pairs, [("v", "hunter2"), ("u", "other"), ("u", "hunter2")]);
}

#[test]
fn handling_is_read_and_changes_nothing_by_default() {
    assert_eq!(last(&load_app("upstream = \"http://a\"")).handling, Handling::default());
    let app = load_app(
        "upstream = \"http://a\"\nupstream_host = \"App.internal:8080\"\nupgrades = [\"WebSocket\", \"SPDY/3.1\"]\n\
         websocket_origins = [\"https://c.example.com\"]\ncache = \"app\"\nset_request_headers = { X-Key = \"é\", Accept-Encoding = \"\" }\n\
         set_response_headers = { Server = \"\", X-Frame-Options = \"DENY\" }",
    );
    let handling = &last(&app).handling;
    assert_eq!(handling.host, UpstreamHost::Fixed("app.internal:8080".parse().unwrap()));
    assert_eq!(handling.upgrades, ["websocket", "spdy/3.1"]);
    assert!(handling.app_caches);
    let WebSocketOrigins::Listed(origins) = &handling.websocket_origins else { panic!("a list was written") };
    assert_eq!(origins.iter().map(ToString::to_string).collect::<Vec<_>>(), ["https://c.example.com"]);
    let set: Vec<_> =
        handling.request_headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes().to_vec())).collect();
    assert_eq!(set, [("accept-encoding", Vec::new()), ("x-key", "é".as_bytes().to_vec())]);
    assert_eq!(handling.response_headers.len(), 2);
    let any = load_app(
        "upstream = \"http://a\"\nupgrades = \"*\"\nwebsocket_origins = \"*\"\nupstream_host = \"upstream\"",
    );
    let handling = &last(&any).handling;
    assert_eq!(
        (handling.upgrades.as_slice(), &handling.websocket_origins),
        (["*".to_owned()].as_slice(), &WebSocketOrigins::Any)
    );
    assert_eq!(handling.host, UpstreamHost::Upstream);
    assert!(last(&load_app("upstream = \"http://a\"\nupgrades = []")).handling.upgrades.is_empty());
}

//! `[store]`: what Redis needs, and what each kind refuses.

use std::time::Duration;

use super::*;
use crate::store::Replicas;

/// 43 characters, as `openssl rand -base64 32` would give.
const SECRET: &str = "secret = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"";

fn redis(loaded: &Loaded) -> &crate::store::RedisSettings {
    match &loaded.store {
        Settings::Redis(redis) => redis,
        other @ (Settings::Sqlite { .. } | Settings::Http(_)) => panic!("{other:?}"),
    }
}

#[test]
fn redis_needs_a_secret_and_an_address_and_nothing_else() {
    let loaded =
        try_load(&file(SECRET, "", "[store]\nkind = \"redis\"\nurl = \"redis://localhost\"")).unwrap();
    let redis = redis(&loaded);
    assert_eq!(
        (redis.url.as_str(), redis.user.as_str(), redis.prefix.as_str()),
        ("redis://localhost", "", "linkgate:")
    );
    assert!(redis.password.is_none() && redis.ca.is_none());
    assert_eq!((redis.timeout, redis.replicas), (Duration::from_secs(2), Replicas::Auto));
}

#[test]
fn the_environment_and_systemd_hand_over_the_password_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.password"), "from systemd\n").unwrap();
    let variables = [
        ("LINKGATE_STORE__KIND", "redis"),
        ("LINKGATE_STORE__URL", "redis://localhost/3"),
        ("LINKGATE_STORE__USER", "linkgate"),
        ("LINKGATE_STORE__REPLICAS", "2"),
    ];
    let environment = with(&variables, Some(folder.path()));
    let (loaded, _) = load_text(&file(SECRET, "", ""), Path::new("c.toml"), &environment).unwrap();
    let redis = redis(&loaded);
    assert_eq!(redis.password.as_ref().map(|password| password.expose().as_str()), Some("from systemd"));
    assert_eq!((redis.user.as_str(), redis.replicas), ("linkgate", Replicas::AtLeast(2)));
}

#[test]
fn what_a_kind_does_not_know_or_cannot_use_is_told_with_the_cure() {
    const AFTER: &str = "[store]\nkind = \"redis\"\nurl = \"redis://localhost\"\n";
    let told = |lines: &str, start: &str, cure: &str| {
        let answer = mistakes(&file(SECRET, "", lines));
        let line = answer.lines().any(|line| line.starts_with(start) && line.contains(cure));
        assert!(line, "wanted {start} … {cure}\n   got {answer}");
    };
    told(
        "[store]\nurl = \"redis://a\"",
        "c.toml:11:7: store.url: the store is \"sqlite\"",
        "kind = \"redis\"",
    );
    told(&format!("{AFTER}path = \"x\""), "c.toml:13:8: store.path: the store is \"redis\"", "leave it out");
    told("[store]\nkind = \"redis\"", "c.toml:10:1: store.url: this is missing", "redis+sentinel://");
    told("[store]\nkind = \"redos\"", "c.toml:11:8: store.kind: \"redos\" is no store", "\"redis\"");
    told(&format!("{AFTER}user = \"u\""), "c.toml:13:8: store.user: a user without", "password_file");
    told(&format!("{AFTER}prefix = \"{{x}}\""), "c.toml:13:10: store.prefix: braces", "linkgate:");
    told(&format!("{AFTER}timeout = \"1m\""), "c.toml:13:11: store.timeout: this is out of range", "\"10s\"");
    told(&format!("{AFTER}replicas = \"all\""), "c.toml:13:12: store.replicas: \"all\"", "\"auto\"");
    let ca = tempfile::NamedTempFile::new().unwrap();
    let with_ca = format!("{AFTER}ca = {:?}", ca.path());
    told(&with_ca, "c.toml:13:6: store.ca: without TLS", "rediss://");
}

#[test]
fn machines_that_share_redis_share_a_secret() {
    let answer = mistakes(&file("", "", "[store]\nkind = \"redis\"\nurl = \"redis://localhost\""));
    assert!(
        answer.contains("secret_file: machines that share Redis") && answer.contains("openssl rand"),
        "{answer}"
    );
}

#[test]
fn an_address_that_holds_a_password_is_refused_without_being_repeated() {
    let answer = mistakes(&file(SECRET, "", "[store]\nkind = \"redis\"\nurl = \"redis://u:hunter2@a\""));
    assert!(answer.contains("password_file") && !answer.contains("hunter2"), "{answer}");
}

#[test]
fn the_token_service_is_read_with_its_token_and_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.token"), "from systemd\n").unwrap();
    let lines =
        "[store]\nkind = \"http\"\nurl = \"https://t.example.com/api/\"\ntimeout = \"3s\"\npath = \"l.db\"";
    let environment = with(&[], Some(folder.path()));
    let (loaded, _) = load_text(&file("", "", lines), Path::new("/x/c.toml"), &environment).unwrap();
    let Settings::Http(http) = &loaded.store else { panic!("{:?}", loaded.store) };
    assert_eq!(http.address.to_string(), "https://t.example.com/api/magic_link_tokens");
    assert_eq!((http.token.expose().as_str(), http.ca.as_ref()), ("from systemd", None));
    assert_eq!((http.timeout.as_secs(), http.path.as_path()), (3, Path::new("/x/l.db")));
}

#[test]
fn a_token_service_that_cannot_be_used_is_told_with_the_cure_and_without_the_secret() {
    const AFTER: &str = "[store]\nkind = \"http\"\nurl = \"https://t.example.com\"\n";
    let told = |lines: &str, start: &str, cure: &str| {
        let answer = mistakes(&file("", "", lines));
        let line = answer.lines().any(|line| line.starts_with(start) && line.contains(cure));
        assert!(line && !answer.contains("hunter2"), "wanted {start} … {cure}\n   got {answer}");
    };
    told(AFTER, "c.toml:10:1: store.token_file: the bearer token", "store.token");
    told("[store]\nkind = \"http\"", "c.toml:10:1: store.url: this is missing", "https://");
    let url = |url: &str| format!("[store]\nkind = \"http\"\nurl = \"{url}\"\ntoken = \"t\"");
    told(&url("http://t.example.com"), "c.toml:12:7: store.url", "in the clear");
    told(&url("https://u:hunter2@t.example.com"), "c.toml:12:7: store.url", "token_file");
    told(
        &url("https://t.example.com/magic_link_tokens"),
        "c.toml:12:7: store.url",
        "leave /magic_link_tokens out",
    );
    told(&format!("{AFTER}token = \"t\"\nprefix = \"p\""), "c.toml:14:10: store.prefix", "kind = \"redis\"");
    told(
        "[store]\ntoken = \"hunter2\"",
        "c.toml:11:9: store.token: the store is \"sqlite\"",
        "kind = \"http\"",
    );
    let ca = tempfile::NamedTempFile::new().unwrap();
    let with_ca = format!("{}\nca = {:?}", url("http://localhost"), ca.path());
    told(&with_ca, "c.toml:14:6: store.ca: without TLS", "https://");
}

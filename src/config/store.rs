//! Reads `[store]`: which kind, and how to reach it. Opens nothing; a key that the kind does not know is a mistake.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::secrets;
use super::tree::Table;
use crate::store;
use crate::store::HttpSettings;
use crate::store::RedisSettings;
use crate::store::Replicas;
use crate::store::ServiceAddress;
use crate::store::Settings;

/// The longest that anything waits for Redis or the token service, where the file says nothing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Less would call a busy one away; more would let a person wait for an error.
const TIMEOUT_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Replicas that anybody has.
const MOST_REPLICAS: u32 = 16;

/// What only one kind knows.
const OF_SQLITE: &[&str] = &["path"];
const OF_REDIS: &[&str] =
    &["url", "user", "password", "password_file", "ca", "prefix", "timeout", "replicas"];
const OF_HTTP: &[&str] = &["url", "token", "token_file", "ca", "timeout", "path"];

/// `[store]`. `shared_secret`: whether the file gives a secret that other machines can have too.
pub fn store(root: &Reader<'_>, state_dir: &Path, shared_secret: bool) -> Settings {
    let empty = Table::default();
    let reader = Reader::new(root.table("store").unwrap_or(&empty), "store", root.log);
    match reader.text("kind") {
        None | Some("sqlite") => {
            foreign(&reader, "sqlite", OF_SQLITE);
            Settings::Sqlite { path: file(&reader, state_dir) }
        }
        Some("redis") => {
            foreign(&reader, "redis", OF_REDIS);
            if !shared_secret {
                let cure = "make one with: openssl rand -base64 32 > /etc/linkgate/secret; give every machine the \
                            same file, and name it here: secret_file = \"/etc/linkgate/secret\"";
                root.wrong("secret_file", "machines that share Redis must share the master secret", cure);
            }
            Settings::Redis(redis(&reader))
        }
        Some("http") => {
            foreign(&reader, "http", OF_HTTP);
            let path = file(&reader, state_dir);
            // What cannot be read is noted, so that nobody will ask this store anything.
            http(&reader, path.clone()).map_or(Settings::Sqlite { path }, Settings::Http)
        }
        Some(kind) => {
            reader.wrong(
                "kind",
                format!("{kind:?} is no store"),
                "write \"sqlite\", \"redis\" or \"http\", or leave it out",
            );
            Settings::Sqlite { path: file(&reader, state_dir) }
        }
    }
}

/// Keys of another kind would change nothing, and nobody would know.
fn foreign(reader: &Reader<'_>, kind: &str, own: &[&str]) {
    let kinds = [("sqlite", OF_SQLITE), ("redis", OF_REDIS), ("http", OF_HTTP)];
    let mut said: Vec<&str> = Vec::new();
    for key in kinds.iter().flat_map(|(_, keys)| keys.iter()) {
        if own.contains(key) || said.contains(key) || !reader.has(key) {
            continue;
        }
        said.push(key);
        let knows = |(name, keys): &(&str, &[&str])| keys.contains(key).then(|| format!("kind = {name:?}"));
        let others: Vec<String> = kinds.iter().filter_map(knows).collect();
        let what = format!("the store is {kind:?}, which knows no {key}");
        reader.wrong(key, what, format!("leave it out, or write {}", others.join(" or ")));
    }
}

fn file(reader: &Reader<'_>, state_dir: &Path) -> PathBuf {
    match reader.text("path") {
        Some("") => {
            reader.wrong("path", "this is empty", "name a file, or leave it out: linkgate.db in state_dir");
            state_dir.join("linkgate.db")
        }
        Some(path) => reader.log.path(path),
        None => state_dir.join("linkgate.db"),
    }
}

fn redis(reader: &Reader<'_>) -> RedisSettings {
    const URL: &str = "write \"redis://redis.example.com:6379/0\" (rediss:// with TLS, redis+unix:///run/redis.sock, \
                       redis+sentinel://a,b,c/name, redis+cluster://a,b,c)";
    let url = reader.required("url", URL).unwrap_or_default();
    if !url.is_empty()
        && let Err(error) = store::check_redis_url(url)
    {
        // Not the text itself: it may hold a password.
        reader.wrong("url", error.to_string(), URL);
    }
    let user = reader.text("user").unwrap_or_default();
    let password = secrets::read(reader, "password", "store.password");
    if !user.is_empty() && password.is_none() && !reader.has("password_file") && !reader.has("password") {
        reader.wrong("user", "a user without a password is not let in", "add password_file = \"…\"");
    }
    let ca = reader.existing_file("ca");
    if ca.is_some() && !url.starts_with("rediss") {
        reader.wrong(
            "ca",
            "without TLS nobody shows a certificate",
            "write rediss:// in url, or leave it out",
        );
    }
    let prefix = reader.text("prefix").unwrap_or("linkgate:");
    if prefix.contains(['{', '}']) {
        reader.wrong(
            "prefix",
            "braces decide where a Cluster puts a key",
            "write it without braces: \"linkgate:\"",
        );
    }
    let (least, most) = TIMEOUT_BOUNDS;
    RedisSettings {
        url: url.to_owned(),
        user: user.to_owned(),
        password,
        ca,
        prefix: prefix.to_owned(),
        timeout: reader.duration("timeout", TIMEOUT, least, most),
        replicas: reader.parse("replicas", replicas).unwrap_or(Replicas::Auto),
    }
}

fn http(reader: &Reader<'_>, path: PathBuf) -> Option<HttpSettings> {
    const URL: &str = "write \"https://tokens.example.com/api\": what comes before /magic_link_tokens";
    let url = reader.required("url", URL);
    let address = url.and_then(|url| {
        // Not the text itself: it may hold a password.
        ServiceAddress::parse(url)
            .map_err(|cure| reader.wrong("url", "this address cannot be taken", cure))
            .ok()
    });
    let before = reader.log.count();
    let token = secrets::read(reader, "token", "store.token");
    if token.is_none() && reader.log.count() == before {
        let cure = "add token_file = \"/etc/linkgate/store.token\", or a systemd credential store.token";
        reader.wrong("token_file", "the bearer token of the token service is missing", cure);
    }
    let ca = reader.existing_file("ca");
    if ca.is_some() && url.is_some_and(|url| url.starts_with("http:")) {
        reader.wrong(
            "ca",
            "without TLS nobody shows a certificate",
            "write https:// in url, or leave it out",
        );
    }
    let (least, most) = TIMEOUT_BOUNDS;
    let timeout = reader.duration("timeout", TIMEOUT, least, most);
    Some(HttpSettings { address: address?, token: token?, ca, timeout, path })
}

fn replicas(text: &str) -> Result<Replicas, String> {
    if text == "auto" {
        return Ok(Replicas::Auto);
    }
    let count = text.parse().ok().filter(|count| *count <= MOST_REPLICAS).map(Replicas::AtLeast);
    count.ok_or_else(|| "write \"auto\", or how many must confirm: \"0\", \"1\", \"2\"".to_owned())
}

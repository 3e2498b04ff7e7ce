//! Reads where an app is and how it is spoken to: `upstream`, `upstream_tls`, `health_check`, `slow_start`, `wait`.
//! Looks at files, opens no connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::ServerName;

use super::general::is_loopback;
use super::reader::Reader;
use crate::policy::Address;
use crate::policy::Endpoint;
use crate::policy::HealthCheck;
use crate::policy::Protocol;
use crate::policy::Upstream;
use crate::policy::UpstreamTls;
use crate::serve::Listen;

const CURE: &str = "write \"http://127.0.0.1:3000\", \"https://app.example.com\", \"h2c://127.0.0.1:50051\" or \"unix:/run/app.sock\"";
/// The kernel takes no longer name of a socket (`sun_path`).
const LONGEST_SOCKET: usize = 107;

/// All of it for one app or route. `endpoints` holds `upstream`; `keys` the rest, which the short form has not.
/// `None`: left out, or wrong (which is noted). Equal ones are the same one.
pub fn upstream(endpoints: &Reader<'_>, keys: &Reader<'_>) -> Option<Arc<Upstream>> {
    let (tls, health) = (tls(keys), health_check(keys));
    let slow_start = span(keys, "slow_start", Duration::from_hours(1));
    let wait = span(keys, "wait", Duration::from_mins(10));
    let endpoints = self::endpoints(endpoints)?;
    let secure = endpoints.iter().any(|endpoint| endpoint.protocol == Protocol::Https);
    let several = endpoints.len() > 1;
    // What a route inherits and cannot use is left away, so that equal upstreams are found equal.
    Some(keys.log.shared(Upstream {
        tls: if secure { tls } else { UpstreamTls::default() },
        health,
        slow_start: if several { slow_start } else { Duration::ZERO },
        wait,
        endpoints,
    }))
}

fn span(keys: &Reader<'_>, key: &str, most: Duration) -> Duration {
    keys.duration(key, Duration::ZERO, Duration::ZERO, most)
}

fn endpoints(reader: &Reader<'_>) -> Option<Vec<Endpoint>> {
    let list = reader.list("upstream")?;
    if list.is_empty() {
        let cure = format!("{CURE}, or leave it out where another proxy asks");
        reader.wrong("upstream", "this is empty", cure);
    }
    let mut found: Vec<Endpoint> = Vec::new();
    for (index, text) in list.iter().enumerate() {
        match endpoint(text) {
            Ok(endpoint) if found.contains(&endpoint) => {
                reader.wrong_item("upstream", index, "this is listed twice", "leave one out");
            }
            Ok(endpoint) if reader.log.is_listening(|listen| is_same(listen, &endpoint)) => {
                let what = format!("{endpoint} is linkgate itself: requests would go round in circles");
                reader.wrong_item("upstream", index, what, "name the address of the app, or change listen");
            }
            Ok(endpoint) => found.push(endpoint),
            Err((what, cure)) => reader.wrong_item("upstream", index, what, cure),
        }
    }
    (!found.is_empty() && found.len() == list.len()).then_some(found)
}

/// Whether an app's address is one that linkgate listens on.
fn is_same(listen: &Listen, endpoint: &Endpoint) -> bool {
    match (listen, &endpoint.address) {
        (Listen::Http(address) | Listen::Https(address), Address::Tcp { host, port }) => {
            let same_host = *host == address.ip().to_string()
                || (is_loopback(host) && (address.ip().is_unspecified() || address.ip().is_loopback()));
            same_host && address.port() == *port && address.port() != 0
        }
        (Listen::Unix { path, .. }, Address::Unix(other)) => path == other,
        _ => false,
    }
}

fn endpoint(text: &str) -> Result<Endpoint, (String, String)> {
    let wrong = |what: &str, cure: &str| Err((format!("{text:?}: {what}"), cure.to_owned()));
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path)
            .map(|path| Endpoint { address: Address::Unix(path), protocol: Protocol::Http })
            .map_err(|what| (format!("{text:?}: {what}"), "write \"unix:/run/app.sock\"".into()));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err((format!("{text:?} has no scheme"), format!("write \"http://{text}\"")));
    };
    // h2c is no scheme that addresses know; its host and port are written as in http.
    let (protocol, known, default) = match scheme {
        "http" => (Protocol::Http, "http", 80),
        "h2c" => (Protocol::H2c, "http", 80),
        "https" => (Protocol::Https, "https", 443),
        "h2" | "grpcs" => return wrong("this is no scheme", &format!("write \"https://{rest}\"")),
        "grpc" => return wrong("this is no scheme", &format!("write \"h2c://{rest}\"")),
        "ws" => return wrong("WebSockets come by http", &format!("write \"http://{rest}\"")),
        "wss" => return wrong("WebSockets come by https", &format!("write \"https://{rest}\"")),
        _ => return wrong("apps are reached by http, https, h2c or a Unix socket", CURE),
    };
    let Ok(url) = url::Url::parse(&format!("{known}://{rest}")) else {
        return wrong("this is no address", CURE);
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it may hold a password.
        let cure = "write basic = { user = \"…\", password_file = \"…\" } beside it";
        return Err(("an address holds no account".into(), cure.into()));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let what = "nothing follows the port: the path of the request is sent on (strip_prefix of a route takes from its beginning)";
        return wrong(what, CURE);
    }
    let Some(host) = url.host_str() else { return wrong("the host is missing", CURE) };
    match url.port().unwrap_or(default) {
        0 => wrong("there is no port 0", CURE),
        port => {
            let address = Address::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port };
            Ok(Endpoint { address, protocol })
        }
    }
}

fn socket(path: &str) -> Result<PathBuf, &'static str> {
    let bare = path.trim_start_matches('/');
    if !path.starts_with('/') || bare.is_empty() || path.ends_with('/') {
        return Err("the path of the socket is written in full");
    }
    if bare.len() >= LONGEST_SOCKET {
        return Err("the kernel takes names of sockets up to 107 bytes");
    }
    if path.contains(['\0', '?', '#']) {
        return Err("nothing follows the path");
    }
    Ok(Path::new("/").join(bare))
}

fn tls(keys: &Reader<'_>) -> UpstreamTls {
    let Some(table) = keys.table("upstream_tls") else { return UpstreamTls::default() };
    let path = super::schema::join(keys.path, "upstream_tls");
    let reader = Reader::new(table, &path, keys.log);
    if table.entries.is_empty() {
        let cure = "write upstream_tls = { ca = \"…\" }, or leave it out: the system's roots count then";
        reader.wrong("", "this table is empty", cure);
    }
    let given = |key: &str| reader.text(key).is_some_and(|text| !text.is_empty());
    let client = match (given("certificate"), given("key")) {
        (true, true) => reader.existing_file("certificate").zip(reader.existing_file("key")),
        (true, false) => {
            let cure = "add key = \"…\", the PEM file with the private key";
            reader.wrong("certificate", "its key is missing", cure);
            None
        }
        (false, true) => {
            let cure = "add certificate = \"…\", the PEM file with the chain that linkgate shows to the app";
            reader.wrong("key", "its certificate is missing", cure);
            None
        }
        (false, false) => None,
    };
    let server_name = reader.parse("server_name", |text| match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_ascii_lowercase()),
        Err(_) => Err("write the name in the app's certificate alone, \"app.internal\"".into()),
    });
    UpstreamTls { ca: reader.existing_file("ca"), pins: reader.parse_list("pin", pin), client, server_name }
}

/// `"sha256//BASE64"` as curl's `--pinnedpubkey` takes it (one slash will do), or 64 hexadecimal digits.
fn pin(text: &str) -> Result<[u8; 32], String> {
    const CURE: &str = "write \"sha256//…\", the SHA-256 of the public key in base 64: openssl x509 -in app.pem -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
    let bytes = match text.strip_prefix("sha256/") {
        Some(rest) => STANDARD.decode(rest.strip_prefix('/').unwrap_or(rest)).ok(),
        None => hexadecimal(text),
    };
    bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(|| CURE.to_owned())
}

/// Digits, with or without colons between the bytes.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let value = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        pair.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
    };
    digits.chunks(2).map(value).collect()
}

fn health_check(keys: &Reader<'_>) -> Option<HealthCheck> {
    const PATH_CURE: &str = "write health_check = { path = \"/healthz\" }";
    let table = keys.table("health_check")?;
    let path = super::schema::join(keys.path, "health_check");
    let reader = Reader::new(table, &path, keys.log);
    let (milli, second) = (Duration::from_millis, Duration::from_secs);
    let interval = reader.duration("interval", second(10), milli(100), second(3_600));
    let timeout = reader.duration("timeout", second(5).min(interval), milli(10), second(60));
    if timeout > interval {
        reader.wrong(
            "timeout",
            "the next check would begin before this one is over",
            "write at most interval",
        );
    }
    let path = reader.required("path", PATH_CURE)?;
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with('/')
        || !visible
        || path.contains('#')
        || http::uri::PathAndQuery::try_from(path).is_err()
    {
        reader.wrong("path", format!("{path:?} is no path"), PATH_CURE);
        return None;
    }
    Some(HealthCheck { path: path.to_owned(), interval, timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind_are_read_and_shown_as_written() {
        for text in [
            "http://127.0.0.1:3000",
            "http://[::1]:80",
            "https://app.example.com:443",
            "h2c://localhost:50051",
            "unix:/run/app.sock",
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), text);
        }
        assert_eq!(endpoint("https://app.example.com/").unwrap().to_string(), "https://app.example.com:443");
        assert_eq!(endpoint("h2c://App.example.com").unwrap().to_string(), "h2c://app.example.com:80");
        assert_eq!(endpoint("https://a.example:80").unwrap().to_string(), "https://a.example:80");
        assert_eq!(endpoint("unix:///run/app.sock").unwrap().to_string(), "unix:/run/app.sock");
    }

    #[test]
    fn addresses_that_say_too_much_or_too_little_are_refused() {
        for (text, wanted) in [
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://", "http://127.0.0.1:3000"),
            ("http://a:0", "no port 0"),
            ("http://a/x", "strip_prefix"),
            ("http://a?x", "nothing follows"),
            ("http://a:99999", "no address"),
            ("ftp://a", "http, https, h2c"),
            ("ws://a:1", "http://a:1"),
            ("grpc://a:1", "h2c://a:1"),
            ("unix:run/app.sock", "in full"),
            ("unix:/", "in full"),
            ("unix:", "in full"),
        ] {
            let (what, cure) = endpoint(text).unwrap_err();
            assert!(what.contains(wanted) || cure.contains(wanted), "{text}: {what}; {cure}");
        }
        let (what, cure) = endpoint("http://admin:hunter2@a").unwrap_err();
        assert!(!what.contains("hunter2") && cure.contains("basic"), "{what}; {cure}");
        assert!(endpoint(&format!("unix:/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn pins_are_read_as_curl_and_openssl_write_them() {
        let zero = STANDARD.encode([0; 32]);
        assert_eq!(pin(&format!("sha256//{zero}")), Ok([0; 32]));
        assert_eq!(pin(&format!("sha256/{zero}")), Ok([0; 32]));
        assert_eq!(pin(&"ab".repeat(32)), Ok([0xab; 32]));
        assert_eq!(pin(&["AB"; 32].join(":")), Ok([0xab; 32]));
        let short = STANDARD.encode([0; 31]);
        for bad in [
            "",
            "sha256//",
            &format!("sha256//{short}"),
            "sha1//x",
            &"ab".repeat(31),
            &"+1".repeat(32),
            &"é".repeat(32),
        ] {
            assert!(pin(bad).is_err(), "{bad}");
        }
    }
}

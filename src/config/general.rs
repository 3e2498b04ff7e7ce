//! Reads what counts for the whole server: sockets, trust, secrets, TLS, store, monitor, log, connection limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::Reader;
use super::secrets;
use super::settings::{ConnectionLimits, LogFormat, LogSettings, Master, Tls, Trusted};
use super::tree::Table;
use super::values;
use crate::identity::MasterSecret;
use crate::secret::Secret;
use crate::serve::Listen;

const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

const LISTEN_CURE: &str = "write \"http://127.0.0.1:8080\", \"https://[::]:443\", \"unix:/run/linkgate/web.sock\" or \"systemd:NAME\"";

/// `listen`.
pub fn listen(root: &Reader<'_>) -> Vec<Listen> {
    if !root.has("listen") {
        return vec![Listen::Http(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))];
    }
    let found = root.parse_list("listen", one_listen);
    if root.list("listen").is_some_and(|list| list.is_empty()) {
        root.wrong("listen", "nobody could connect", LISTEN_CURE);
    }
    for (index, listen) in found.iter().enumerate() {
        if found.iter().take(index).any(|earlier| earlier == listen) {
            root.wrong_item("listen", index, "this is listed twice", "leave one out");
        }
    }
    found
}

fn one_listen(text: &str) -> Result<Listen, String> {
    let address = |text: &str, port: u16| {
        let text = text.strip_suffix('/').unwrap_or(text);
        let text = text.replace("localhost", "127.0.0.1");
        text.parse::<SocketAddr>()
            .or_else(|_| text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)))
            .map_err(|_| format!("an address and a port are wanted, no name: {LISTEN_CURE}"))
    };
    match text.split_once(':') {
        Some(("http", rest)) => address(rest.strip_prefix("//").ok_or(LISTEN_CURE)?, 80).map(Listen::Http),
        Some(("https", rest)) => address(rest.strip_prefix("//").ok_or(LISTEN_CURE)?, 443).map(Listen::Https),
        Some(("unix", rest)) => unix(rest),
        Some(("systemd", name)) if !name.is_empty() && !name.contains(['/', ':', ' ']) => {
            Ok(Listen::Systemd { name: name.to_owned() })
        }
        _ => Err(LISTEN_CURE.into()),
    }
}

fn unix(text: &str) -> Result<Listen, String> {
    const CURE: &str = "write \"unix:/run/linkgate/web.sock?mode=0660&group=www-data\", the path in full";
    let (path, options) = text.split_once('?').unwrap_or((text, ""));
    if !path.starts_with('/') || path.ends_with('/') || path.len() > 100 {
        return Err(CURE.into());
    }
    let (mut mode, mut group) = (0o660, None);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("mode", digits)) => {
                mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777).ok_or(CURE)?;
            }
            Some(("group", name)) if !name.is_empty() => group = Some(name.to_owned()),
            _ => return Err(CURE.into()),
        }
    }
    Ok(Listen::Unix { path: PathBuf::from(path), mode, group })
}

/// `prefix`.
pub fn prefix(root: &Reader<'_>) -> String {
    const DEFAULT: &str = "/.linkgate";
    let parsed = root.parse("prefix", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let segments = text.strip_prefix('/').map(|rest| rest.split('/'));
        let good = segments.is_some_and(|mut segments| {
            segments.all(|s| !s.is_empty() && s != "." && s != ".." && s.bytes().all(plain))
        });
        if good { Ok(text.to_owned()) } else { Err(format!("write a path such as {DEFAULT:?}: a slash in front, none at the end, letters, digits and -._~")) }
    });
    parsed.unwrap_or_else(|| DEFAULT.to_owned())
}

/// `trusted_proxies` and `proxy_protocol`: peers whose word on where a request comes from counts.
pub fn trusted(root: &Reader<'_>, key: &str) -> Trusted {
    let mut trusted = Trusted::default();
    for (index, text) in root.list(key).unwrap_or_default().into_iter().enumerate() {
        match text {
            "unix" => trusted.unix = true,
            "private" => trusted.networks.extend(private()),
            _ => match values::network(text) {
                Ok(net) if net.prefix_len() < if net.addr().is_ipv4() { 8 } else { 7 } => {
                    let what = format!(
                        "{net} is a good part of the world: anybody could say where a request comes from"
                    );
                    let cure = "name the addresses of the proxies themselves, or \"private\"";
                    root.wrong_item(key, index, what, cure);
                }
                Ok(net) => trusted.networks.push(net),
                Err(cure) => {
                    let what = format!("{text:?} cannot be taken");
                    root.wrong_item(key, index, what, format!("{cure}, \"private\" or \"unix\""));
                }
            },
        }
    }
    trusted
}

/// Loopback, RFC 1918, RFC 4193 and link-local.
pub fn private() -> Vec<IpNet> {
    let networks = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    ];
    networks.iter().filter_map(|net| net.parse().ok()).collect()
}

/// `state_dir`.
pub fn state_dir(root: &Reader<'_>) -> PathBuf {
    let name = root.text("state_dir").unwrap_or("/var/lib/linkgate");
    if name.is_empty() {
        root.wrong("state_dir", "this is empty", "write \"/var/lib/linkgate\", or leave it out");
    }
    root.log.path(name)
}

/// `secret`, `secret_file`, `previous_secret_files`.
pub fn master(root: &Reader<'_>, state_dir: &std::path::Path) -> Master {
    let given = secrets::read(root, "secret", "secret");
    let key = if root.has("secret") { "secret" } else { "secret_file" };
    let given = given.filter(|secret| long_enough(secret, |what, cure| root.wrong(key, what, cure)));
    let mut previous = Vec::new();
    for (index, file) in root.list("previous_secret_files").unwrap_or_default().into_iter().enumerate() {
        match secrets::read_file(&root.log.path(file), true) {
            Ok(secret) => {
                let wrong = |what, cure| root.wrong_item("previous_secret_files", index, what, cure);
                if long_enough(&secret, wrong) {
                    if given.as_ref().is_some_and(|given| given.expose() == secret.expose()) {
                        let cure = "leave it out, or put a new one into secret_file";
                        root.wrong_item("previous_secret_files", index, "this is the present secret", cure);
                    }
                    previous.push(secret);
                }
            }
            Err((what, cure)) => root.wrong_item("previous_secret_files", index, what, cure),
        }
    }
    Master { given, generated: state_dir.join("secret"), previous }
}

fn long_enough(secret: &Secret<String>, wrong: impl FnOnce(String, String)) -> bool {
    let usable = MasterSecret::decode(secret.expose());
    if let Err(error) = &usable {
        let cure = "make one with: openssl rand -base64 32";
        wrong(format!("this secret cannot be used: {error}"), cure.into());
    }
    usable.is_ok()
}

/// `drain`.
pub fn drain(root: &Reader<'_>) -> Duration {
    root.duration("drain", Duration::from_secs(30), Duration::ZERO, Duration::from_hours(1))
}

/// `[tls]`. `secure`: whether a listener speaks https.
pub fn tls(root: &Reader<'_>, listen: &[Listen]) -> Option<Tls> {
    let empty = Table::default();
    let table = root.table("tls");
    let reader = Reader::new(table.unwrap_or(&empty), "tls", root.log);
    let mut certificates: Vec<(PathBuf, PathBuf)> = pair(&reader).into_iter().collect();
    if let (None, Some(folder)) = (table.and_then(|t| t.get("certificate")), &root.log.credentials) {
        let (certificate, key) = (folder.join("tls.certificate"), folder.join("tls.key"));
        if certificate.exists() && key.exists() {
            certificates.push((certificate, key));
        }
    }
    for table in reader.tables("certificates") {
        let reader = Reader::new(table, "tls.certificates", root.log);
        if let Some(found) = pair(&reader) {
            certificates.push(found);
        } else if !reader.has("certificate") && !reader.has("key") {
            reader.wrong("certificate", "this is missing", "name the PEM file with the chain, and key");
        }
    }
    let secure = listen.iter().position(|listen| matches!(listen, Listen::Https(_)));
    // A socket of systemd may carry either; [tls] decides.
    let maybe = listen.iter().any(|listen| matches!(listen, Listen::Systemd { .. }));
    match (secure, table) {
        (Some(index), _) if certificates.is_empty() && !root.log.has_mistake_under("tls") => {
            let cure =
                "add [tls] with certificate and key, or listen on http:// behind a proxy that ends TLS";
            root.wrong_item("listen", index, "https needs a certificate", cure);
        }
        (None, Some(_)) if !maybe => {
            reader.wrong(
                "",
                "nothing listens on https",
                "add \"https://[::]:443\" to listen, or leave [tls] out",
            );
        }
        _ => {}
    }
    (!certificates.is_empty()).then_some(Tls { certificates })
}

fn pair(reader: &Reader<'_>) -> Option<(PathBuf, PathBuf)> {
    let given = |key: &str| reader.text(key).is_some_and(|text| !text.is_empty());
    match (given("certificate"), given("key")) {
        (true, true) => Some((reader.existing_file("certificate")?, reader.existing_file("key")?)),
        (true, false) => {
            reader.wrong(
                "certificate",
                "its key is missing",
                "add key = \"…\", the PEM file with the private key",
            );
            None
        }
        (false, true) => {
            reader.wrong(
                "key",
                "its certificate is missing",
                "add certificate = \"…\", the PEM file with the chain",
            );
            None
        }
        (false, false) => None,
    }
}

/// `[monitor]`; off when `listen = ""`.
pub fn monitor(root: &Reader<'_>, listen: &[Listen]) -> Option<SocketAddr> {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9080));
    let Some(table) = root.table("monitor") else { return Some(default) };
    let reader = Reader::new(table, "monitor", root.log);
    let Some(text) = reader.text("listen") else { return Some(default) };
    if text.is_empty() {
        return None;
    }
    let text = text.strip_prefix("http://").unwrap_or(text).replace("localhost", "127.0.0.1");
    let Ok(address) = text.parse::<SocketAddr>() else {
        let cure = "write an address and a port, \"127.0.0.1:9080\", or \"\" for none";
        reader.wrong("listen", format!("{text:?} cannot be taken"), cure);
        return None;
    };
    let ip = address.ip().to_canonical();
    if !private().iter().any(|net| net.contains(&ip)) {
        let cure = "name a loopback or private address, such as \"127.0.0.1:9080\"";
        reader.wrong(
            "listen",
            format!("{ip} can be reached from outside; health and metrics are never public"),
            cure,
        );
    }
    let taken = listen.iter().any(|listen| match listen {
        Listen::Http(other) | Listen::Https(other) => {
            other.port() == address.port()
                && address.port() != 0
                && (other.ip() == address.ip() || other.ip().is_unspecified())
        }
        Listen::Unix { .. } | Listen::Systemd { .. } => false,
    });
    if taken {
        reader.wrong("listen", "visitors connect to this port already", "choose another port");
    }
    Some(address)
}

/// `[log]`.
pub fn log(root: &Reader<'_>) -> LogSettings {
    let empty = Table::default();
    let reader = Reader::new(root.table("log").unwrap_or(&empty), "log", root.log);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let level = reader.parse("level", |text| {
        tracing_subscriber::EnvFilter::try_new(text)
            .ok()
            .filter(|_| !text.trim().is_empty() && plain_levels(text))
            .map(|_| text.to_owned())
            .ok_or_else(|| "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"; for one room \"info,linkgate::mail=debug\"".into())
    });
    LogSettings {
        format: reader.choice("format", LogFormat::Text, &formats),
        level: level.unwrap_or_else(|| "info".into()),
        access: reader.flag("access", true),
    }
}

/// A bare word that is no level would be taken for the name of a room, and silence everything else.
fn plain_levels(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    text.split(',').all(|part| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        LEVELS.contains(&level.to_ascii_lowercase().as_str())
    })
}

/// `[limits]`, the server's part.
pub fn limits(limits: &Reader<'_>) -> ConnectionLimits {
    let seconds = Duration::from_secs;
    let header = limits.parse("max_header", |text| match values::size(text)? {
        Some(bytes) if (4_096..=1 << 20).contains(&bytes) => Ok(bytes),
        _ => Err("write something from \"4KiB\" to \"1MiB\"".into()),
    });
    ConnectionLimits {
        max_header_bytes: header.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(64 << 10),
        max_headers: limits.number("max_headers", 100, 10_000),
        connections: limits.number("connections", 10_000, 10_000_000),
        connections_per_client: limits.number("connections_per_client", 200, 10_000_000),
        streams_per_connection: u32::try_from(limits.number("streams_per_connection", 100, 10_000))
            .unwrap_or(100),
        header_timeout: limits.duration("header_timeout", seconds(10), SECOND, seconds(600)),
        body_timeout: limits.duration("body_timeout", seconds(30), SECOND, seconds(3_600)),
        idle_timeout: limits.duration("idle_timeout", seconds(75), SECOND, seconds(3_600)),
        connection_age: limits.duration("connection_age", seconds(3_600), seconds(10), DAY),
    }
}

/// Whether an address can be reached from this machine alone.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

//! Every key, and what kind of value it takes. A key that is not here is a mistake; a test makes sure that each one
//! here is read by somebody and appears in config.toml.example.

use super::mistake::{Mistake, Place, nearest};
use super::tree::{Node, Table, Value};

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `"text"`, also durations, sizes and rates.
    Text,
    /// A text that is a secret: also as `…_file` and as systemd credential.
    Secret,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// `["one", "two"]`; a single text counts as a list of one.
    List,
    /// A table of known keys.
    Table(&'static [Key]),
    /// `[[key]]`: several tables of known keys.
    Tables(&'static [Key]),
    /// A table of names that the file chooses, each with a text.
    Texts,
    /// A table of names that the file chooses, each with a list.
    Lists,
    /// A text, or a table of texts.
    TextOrTexts,
    /// Known, but not yet built.
    Later,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

use Kind::{Flag, Later, List, Lists, Number, Secret, Tables, Text, TextOrTexts, Texts};

/// The file.
pub const ROOT: &[Key] = &[
    key("listen", List),
    key("prefix", Text),
    key("trusted_proxies", List),
    key("proxy_protocol", List),
    key("state_dir", Text),
    key("secret", Secret),
    key("secret_file", Text),
    key("previous_secret_files", List),
    key("drain", Text),
    key("workers", Number),
    key("tls", Kind::Table(TLS)),
    key("mail", Kind::Table(MAIL)),
    key("link", Kind::Table(LINK)),
    key("session", Kind::Table(SESSION)),
    key("limits", Kind::Table(LIMITS)),
    key("store", Kind::Table(STORE)),
    key("admin", Later),
    key("monitor", Kind::Table(&[key("listen", Text)])),
    key("log", Kind::Table(&[key("format", Text), key("level", Text), key("access", Flag)])),
    key("groups", Lists),
    key("user", Tables(USER)),
    key("site", Tables(SITE)),
    key("expect", Tables(&[key("person", Text), key("request", Text), key("result", Text)])),
];

const CERTIFICATE: &[Key] = &[key("certificate", Text), key("key", Text)];
const TLS: &[Key] = &[
    key("certificate", Text),
    key("key", Text),
    key("certificates", Tables(CERTIFICATE)),
    key("acme", Later),
];
const MAIL: &[Key] = &[
    key("from", Text),
    key("url", Text),
    key("user", Text),
    key("password", Secret),
    key("password_file", Text),
    key("mechanism", Text),
    key("ca", Text),
    key("reply_to", Text),
    key("fallback", Kind::Table(FALLBACK)),
    key("oauth", Later),
];
const FALLBACK: &[Key] = &[
    key("url", Text),
    key("user", Text),
    key("password", Secret),
    key("password_file", Text),
    key("mechanism", Text),
    key("ca", Text),
    key("oauth", Later),
];
const LINK: &[Key] = &[key("lifetime", Text), key("code", Flag), key("other_browser", Text)];
const SESSION: &[Key] =
    &[key("lifetime", Text), key("idle", Text), key("remember", Text), key("cookie", Text)];
const SITE_LIMITS: &[Key] = &[
    key("ask_per_address", Text),
    key("ask_per_client", Text),
    key("ask_per_domain", Text),
    key("ask_per_site", Text),
    key("redeem_per_client", Text),
    key("max_body", Text),
];
const LIMITS: &[Key] = &[
    key("ask_per_address", Text),
    key("ask_per_client", Text),
    key("ask_per_domain", Text),
    key("ask_per_site", Text),
    key("redeem_per_client", Text),
    key("max_body", Text),
    key("max_header", Text),
    key("max_headers", Number),
    key("connections", Number),
    key("connections_per_client", Number),
    key("streams_per_connection", Number),
    key("header_timeout", Text),
    key("body_timeout", Text),
    key("idle_timeout", Text),
    key("connection_age", Text),
];
const STORE: &[Key] = &[
    key("kind", Text),
    key("path", Text),
    key("url", Text),
    key("user", Text),
    key("password", Secret),
    key("password_file", Text),
    key("ca", Text),
    key("prefix", Text),
    key("timeout", Text),
    key("replicas", Text),
    key("token", Secret),
    key("token_file", Text),
];
const USER: &[Key] = &[
    key("email", Text),
    key("name", Text),
    key("id", Text),
    key("groups", List),
    key("attributes", Texts),
    key("until", Text),
    key("disabled", Flag),
];
const SITE: &[Key] = &[
    key("name", Text),
    key("url", Text),
    key("upstream", List),
    key("allow", List),
    key("sign_in", Text),
    key("administrators", List),
    key("contact", Text),
    key("language", Text),
    key("pages", Text),
    key("look", Kind::Table(&[key("title", Text), key("logo", Text), key("accent", Text)])),
    key("text", Texts),
    key("mail", Kind::Table(MAIL)),
    key("link", Kind::Table(LINK)),
    key("session", Kind::Table(SESSION)),
    key("limits", Kind::Table(SITE_LIMITS)),
    key("groups", Lists),
    key("user", Tables(USER)),
    key("app", Tables(APP)),
];
/// Keys that an app may have and each of its routes too, behind those that are given.
macro_rules! with_route_keys {
    ($($own:expr),* $(,)?) => {
        &[
            $($own,)*
            key("upstream", List),
            key("upstream_tls", Kind::Table(UPSTREAM_TLS)),
            key("upstream_host", Text),
            key("health_check", Kind::Table(HEALTH_CHECK)),
            key("slow_start", Text),
            key("wait", Text),
            key("access", Text),
            key("allow", List),
            key("accept", List),
            key("identity", TextOrTexts),
            key("basic", Kind::Table(BASIC)),
            key("set_request_headers", Texts),
            key("set_response_headers", Texts),
            key("upgrades", List),
            key("websocket_origins", List),
            key("cache", Text),
            key("max_body", Text),
            key("connect_timeout", Text),
            key("response_timeout", Text),
            key("idle_timeout", Text),
            key("ignore_case", Flag),
        ]
    };
}

const APP: &[Key] = with_route_keys![key("name", Text), key("host", Text), key("route", Tables(ROUTE))];
const ROUTE: &[Key] = with_route_keys![
    key("path", Text),
    key("methods", List),
    key("clients", List),
    key("strip_prefix", Text)
];
const UPSTREAM_TLS: &[Key] = &[
    key("ca", Text),
    key("pin", List),
    key("certificate", Text),
    key("key", Text),
    key("server_name", Text),
];
const HEALTH_CHECK: &[Key] = &[key("path", Text), key("interval", Text), key("timeout", Text)];
const BASIC: &[Key] = &[key("user", Text), key("password", Secret), key("password_file", Text)];

/// What is said of every key that is not built yet.
pub const LATER: &str = "this comes with a later version";

/// `mail` and `from` → `mail.from`.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Every key in full (`site.app.route.path`), with its kind.
#[must_use]
pub fn all_keys() -> Vec<(String, Kind)> {
    fn walk(path: &str, keys: &[Key], found: &mut Vec<(String, Kind)>) {
        for key in keys {
            let path = join(path, key.name);
            found.push((path.clone(), key.kind));
            if let Kind::Table(below) | Kind::Tables(below) = key.kind {
                walk(&path, below, found);
            }
        }
    }
    let mut found = Vec::new();
    walk("", ROOT, &mut found);
    found
}

/// Reports unknown keys and values of the wrong kind, in the whole tree.
pub fn check(table: &Table, keys: &[Key], path: &str, mistakes: &mut Vec<Mistake>) {
    for (name, entry) in &table.entries {
        let full = join(path, name);
        match keys.iter().find(|key| key.name == name) {
            Some(key) => check_value(&entry.node, &entry.key, key.kind, &full, mistakes),
            None => mistakes.push(Mistake {
                place: entry.key.clone(),
                key: full,
                what: "no such key".into(),
                cure: unknown_cure(name, keys, path),
            }),
        }
    }
}

/// What may have been meant.
pub fn unknown_cure(name: &str, keys: &[Key], path: &str) -> String {
    if let Some(near) = nearest(name, keys.iter().map(|key| key.name)) {
        return format!("did you mean {near:?}?");
    }
    let elsewhere = all_keys().into_iter().find(|(key, _)| key.rsplit('.').next() == Some(name));
    let known: Vec<&str> = keys.iter().filter(|key| !matches!(key.kind, Later)).map(|key| key.name).collect();
    match elsewhere {
        Some((key, _)) => format!("there is {key}; did you mean to write it there?"),
        None if path.is_empty() => format!("known here: {}", known.join(", ")),
        None => format!("known in {path}: {}", known.join(", ")),
    }
}

fn check_value(node: &Node, key: &Place, kind: Kind, path: &str, mistakes: &mut Vec<Mistake>) {
    let mut wrong = |place: &Place, found: &Value, cure: &str| {
        mistakes.push(Mistake {
            place: place.clone(),
            key: path.to_owned(),
            what: format!("this is {}", found.name()),
            cure: cure.into(),
        });
    };
    match (kind, &node.value) {
        (Later, _) => mistakes.push(Mistake {
            place: key.clone(),
            key: path.to_owned(),
            what: LATER.into(),
            cure: "leave it out".into(),
        }),
        (Text | Secret | TextOrTexts | List, Value::Text(_))
        | (Number, Value::Number(_))
        | (Flag, Value::Flag(_)) => {}
        (List, Value::List(items)) => {
            for item in items.iter().filter(|item| !matches!(item.value, Value::Text(_))) {
                wrong(&item.place, &item.value, "write a text in quotation marks");
            }
        }
        (Kind::Table(keys), Value::Table(table)) => check(table, keys, path, mistakes),
        (Tables(keys), Value::List(items)) => {
            for item in items {
                match &item.value {
                    Value::Table(table) => check(table, keys, path, mistakes),
                    other => mistakes.push(Mistake {
                        place: item.place.clone(),
                        key: path.to_owned(),
                        what: format!("this is {}", other.name()),
                        cure: format!("write [[{path}]] and its keys below"),
                    }),
                }
            }
        }
        (Tables(_), found) => wrong(key, found, &format!("write [[{path}]], with two brackets")),
        (Texts | TextOrTexts, Value::Table(table)) => {
            for entry in table.entries.values() {
                if !matches!(entry.node.value, Value::Text(_)) {
                    wrong(&entry.node.place, &entry.node.value, "write a text in quotation marks");
                }
            }
        }
        (Lists, Value::Table(table)) => {
            for (name, entry) in &table.entries {
                check_value(&entry.node, &entry.key, List, &join(path, name), mistakes);
            }
        }
        (Text | Secret | TextOrTexts, found) => {
            wrong(&node.place, found, "write it as a text, in quotation marks");
        }
        (Number, found) => wrong(&node.place, found, "write a whole number, without quotation marks"),
        (Flag, found) => wrong(&node.place, found, "write true or false, without quotation marks"),
        (List, found) => wrong(&node.place, found, "write a list of texts: [\"…\", \"…\"]"),
        (Kind::Table(_) | Texts | Lists, found) => {
            wrong(key, found, &format!("write [{path}] and its keys below"));
        }
    }
}

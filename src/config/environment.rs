//! The only reader of the environment: `LINKGATE_…` variables and the directory of systemd's credentials, laid over
//! the tree of the file so that every value keeps its place.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::mistake::{Mistake, Place, nearest};
use super::schema::{Key, Kind, LATER, ROOT, join};
use super::tree::{Entry, Node, Table, Value};

/// What the surroundings say.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Variables that begin with `LINKGATE_`.
    pub variables: BTreeMap<String, String>,
    /// `$CREDENTIALS_DIRECTORY`; `None`: not started by systemd with credentials.
    pub credentials: Option<PathBuf>,
    /// `$NOTIFY_SOCKET`; `None`: no service manager listens.
    pub notify_socket: Option<OsString>,
    /// `$WATCHDOG_USEC`; `None`: no watchdog.
    pub watchdog: Option<Duration>,
    /// `$LISTEN_FDNAMES`; empty: no sockets were handed over.
    pub socket_names: String,
}

/// `$LINKGATE_CONFIG` names the file itself, so it is no key.
const OWN: &[&str] = &["LINKGATE_CONFIG"];

impl Environment {
    /// That of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("LINKGATE_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self {
            variables: variables.collect(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            notify_socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog: std::env::var("WATCHDOG_USEC")
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Duration::from_micros),
            socket_names: std::env::var("LISTEN_FDNAMES").unwrap_or_default(),
        }
    }

    /// Lays the variables over the file.
    pub fn overlay(&self, file: &mut Table) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (name, value) in &self.variables {
            if OWN.contains(&name.as_str()) {
                continue;
            }
            let place = Place::Environment(name.clone());
            let path: Vec<&str> = name.trim_start_matches("LINKGATE_").split("__").collect();
            if let Err((what, cure)) = set(file, ROOT, &path, "", &place, value) {
                mistakes.push(Mistake { place, key: String::new(), what, cure });
            }
        }
        mistakes
    }
}

type Wrong = (String, String);

fn set(
    table: &mut Table,
    keys: &[Key],
    path: &[&str],
    above: &str,
    place: &Place,
    text: &str,
) -> Result<(), Wrong> {
    let (first, rest) = path.split_first().ok_or_else(|| unknown("", keys))?;
    let word = first.to_ascii_lowercase();
    let key = keys.iter().find(|key| key.name == word).ok_or_else(|| unknown(&word, keys))?;
    let full = join(above, key.name);
    match (key.kind, rest) {
        (Kind::Later, _) => Err((LATER.into(), "leave it out".into())),
        (Kind::Table(below), [_, ..]) => set(inner(table, key.name, place)?, below, rest, &full, place, text),
        (Kind::Tables(below), [name, rest @ ..])
            if below.iter().any(|key| key.name == "name") && full != "user" =>
        {
            if rest.is_empty() {
                return Err((
                    format!("this names no key of {full}"),
                    format!("write it as …__{first}__NAME__KEY"),
                ));
            }
            set(named(table, key.name, name, place)?, below, rest, &full, place, text)
        }
        (Kind::Texts, [name]) => {
            let name = name.to_ascii_lowercase().replace('_', "-");
            inner(table, key.name, place)?.set(&name, place, Value::Text(text.to_owned()));
            Ok(())
        }
        (Kind::Lists, [name]) => {
            let existing = inner(table, key.name, place)?;
            let known = existing.entries.keys().find(|known| fold(known) == fold(name)).cloned();
            let name = known.unwrap_or_else(|| name.to_ascii_lowercase());
            existing.set(&name, place, list(text, place));
            Ok(())
        }
        (Kind::Text | Kind::Secret | Kind::TextOrTexts, []) => {
            table.set(key.name, place, Value::Text(text.to_owned()));
            Ok(())
        }
        (Kind::List, []) => {
            table.set(key.name, place, list(text, place));
            Ok(())
        }
        (Kind::Flag, []) => match text {
            "true" | "1" | "yes" => {
                table.set(key.name, place, Value::Flag(true));
                Ok(())
            }
            "false" | "0" | "no" => {
                table.set(key.name, place, Value::Flag(false));
                Ok(())
            }
            _ => Err((format!("{text:?} is neither true nor false"), "write true or false".into())),
        },
        (Kind::Number, []) => {
            let number = text
                .trim()
                .parse()
                .map_err(|_| (format!("{text:?} is not a number"), String::from("write a whole number")))?;
            table.set(key.name, place, Value::Number(number));
            Ok(())
        }
        (Kind::Table(below), []) => {
            let names: Vec<String> = below.iter().map(|key| key.name.to_ascii_uppercase()).collect();
            Err((
                format!("{full} is a table"),
                format!("name one of its keys behind two underscores: {}", names.join(", ")),
            ))
        }
        (Kind::Tables(_) | Kind::Texts | Kind::Lists, _) => {
            Err((format!("{full} cannot be set in the environment"), "write it into the file".into()))
        }
        (Kind::Text | Kind::Secret | Kind::TextOrTexts | Kind::List | Kind::Flag | Kind::Number, [_, ..]) => {
            Err((format!("{full} has no keys below it"), "leave out what follows its name".into()))
        }
    }
}

fn unknown(word: &str, keys: &[Key]) -> Wrong {
    let names = || keys.iter().map(|key| key.name);
    let cure = nearest(word, names()).map_or_else(
        || "see config.toml.example for the keys; LINKGATE_MAIL__URL stands for mail.url".to_owned(),
        |near| format!("did you mean {}?", near.to_ascii_uppercase()),
    );
    (format!("there is no key {word:?}"), cure)
}

fn list(text: &str, place: &Place) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::List(
        items.map(|item| Node { place: place.clone(), value: Value::Text(item.to_owned()) }).collect(),
    )
}

fn inner<'a>(table: &'a mut Table, key: &str, place: &Place) -> Result<&'a mut Table, Wrong> {
    let entry = table.entries.entry(key.to_owned()).or_insert_with(|| Entry {
        key: place.clone(),
        node: Node {
            place: place.clone(),
            value: Value::Table(Table { place: place.clone(), ..Table::default() }),
        },
    });
    match &mut entry.node.value {
        Value::Table(table) => Ok(table),
        _ => Err((format!("{key} is not a table in the file"), format!("write [{key}] there"))),
    }
}

/// The `[[key]]` of this name; made where the file has none.
fn named<'a>(table: &'a mut Table, key: &str, name: &str, place: &Place) -> Result<&'a mut Table, Wrong> {
    let entry = table.entries.entry(key.to_owned()).or_insert_with(|| Entry {
        key: place.clone(),
        node: Node { place: place.clone(), value: Value::List(Vec::new()) },
    });
    let Value::List(items) = &mut entry.node.value else {
        return Err((format!("{key} is not a list of tables in the file"), format!("write [[{key}]] there")));
    };
    let known = items.iter().position(|item| match &item.value {
        Value::Table(table) => name_of(table).is_some_and(|known| fold(&known) == fold(name)),
        _ => false,
    });
    let index = known.unwrap_or_else(|| {
        let mut table = Table { place: place.clone(), ..Table::default() };
        table.set("name", place, Value::Text(name.to_ascii_lowercase().replace('_', "-")));
        items.push(Node { place: place.clone(), value: Value::Table(table) });
        items.len() - 1
    });
    match items.get_mut(index).map(|item| &mut item.value) {
        Some(Value::Table(table)) => Ok(table),
        _ => Err((format!("{key} holds something that is not a table"), format!("write [[{key}]]"))),
    }
}

/// What a site or an app is called: its name, else the host of its url, else its host.
fn name_of(table: &Table) -> Option<String> {
    match (table.get("name"), table.get("url"), table.get("host")) {
        (Some(Value::Text(name)), _, _) | (None, None, Some(Value::Text(name))) => Some(name.clone()),
        (None, Some(Value::Text(url)), _) => {
            url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned))
        }
        _ => None,
    }
}

/// Variables cannot bear every character: only letters and digits count.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

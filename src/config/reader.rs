//! Takes values out of one table, by key; collects what is wrong with them. What a value may be was checked before
//! (`schema`), so that a value of the wrong kind reads here as absent without a second complaint.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::mistake::{Mistake, Place, nearest};
use super::schema::join;
use super::tree::{Table, Value};
use super::values;
use crate::policy::Upstream;
use crate::serve::Listen;

/// What all readers of one run share.
#[derive(Debug, Default)]
pub struct Log {
    mistakes: RefCell<Vec<Mistake>>,
    asked: RefCell<BTreeSet<String>>,
    upstreams: RefCell<HashSet<Arc<Upstream>>>,
    listen: RefCell<Vec<Listen>>,
    /// Relative file names are meant from here: the folder of the configuration.
    pub base: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
}

impl Log {
    /// Notes a mistake.
    pub fn push(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// All mistakes so far; the log is empty then.
    pub fn take(&self) -> Vec<Mistake> {
        self.mistakes.take()
    }

    /// How many mistakes so far.
    pub fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Whether a mistake was noted below `path`.
    pub fn has_mistake_under(&self, path: &str) -> bool {
        self.mistakes.borrow().iter().any(|mistake| mistake.key.starts_with(path))
    }

    /// Every key that anybody asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Notes where linkgate itself listens.
    pub fn listens(&self, at: &[Listen]) {
        self.listen.replace(at.to_owned());
    }

    /// Whether linkgate itself listens at a place for which `is` says yes.
    pub fn is_listening(&self, is: impl Fn(&Listen) -> bool) -> bool {
        self.listen.borrow().iter().any(is)
    }

    /// The one upstream that equals this one: what is written twice is the same app, with the same connections.
    pub fn shared(&self, upstream: Upstream) -> Arc<Upstream> {
        let mut known = self.upstreams.borrow_mut();
        if let Some(same) = known.get(&upstream) {
            return Arc::clone(same);
        }
        let new = Arc::new(upstream);
        known.insert(Arc::clone(&new));
        new
    }

    /// A file name of the configuration as a path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }
}

/// One table, being read.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The table.
    pub table: &'a Table,
    /// Its name in full: `site.mail`; empty for the file itself.
    pub path: &'a str,
    /// What all readers share.
    pub log: &'a Log,
}

impl<'a> Reader<'a> {
    /// The whole file.
    pub const fn new(table: &'a Table, path: &'a str, log: &'a Log) -> Self {
        Self { table, path, log }
    }

    fn ask(&self, key: &str) -> Option<&'a Value> {
        let full = join(self.path, key);
        // A site's table lies over the file's table of the same name: both are read through it.
        if let Some(base) = full.strip_prefix("site.") {
            self.log.asked.borrow_mut().insert(base.to_owned());
        }
        self.log.asked.borrow_mut().insert(full);
        self.table.get(key)
    }

    /// Whether the key was written at all.
    pub fn has(&self, key: &str) -> bool {
        self.ask(key).is_some()
    }

    /// Where the value of a key stands; the table's own place where it is missing.
    pub fn place(&self, key: &str) -> Place {
        self.table.entries.get(key).map_or_else(|| self.table.place.clone(), |entry| entry.node.place.clone())
    }

    /// Notes that the value of a key is wrong.
    pub fn wrong(&self, key: &str, what: impl Into<String>, cure: impl Into<String>) {
        self.wrong_at(self.place(key), key, what, cure);
    }

    /// Notes that item `index` of a list is wrong.
    pub fn wrong_item(&self, key: &str, index: usize, what: impl Into<String>, cure: impl Into<String>) {
        let place = match self.table.get(key) {
            Some(Value::List(items)) => items.get(index).map(|item| item.place.clone()),
            _ => None,
        };
        self.wrong_at(place.unwrap_or_else(|| self.place(key)), key, what, cure);
    }

    /// Notes that one entry of a table of names is wrong.
    pub fn wrong_entry(&self, key: &str, name: &str, what: impl Into<String>, cure: impl Into<String>) {
        let place =
            self.table.table(key).and_then(|table| table.entries.get(name)).map(|entry| entry.key.clone());
        self.wrong_at(place.unwrap_or_else(|| self.place(key)), key, what, cure);
    }

    fn wrong_at(&self, place: Place, key: &str, what: impl Into<String>, cure: impl Into<String>) {
        let key = if key.is_empty() { self.path.to_owned() } else { join(self.path, key) };
        self.log.push(Mistake { place, key, what: what.into(), cure: cure.into() });
    }

    /// A text; `None`: left out.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.ask(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that must be there and not empty.
    pub fn required(&self, key: &str, cure: &str) -> Option<&'a str> {
        match self.text(key) {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => {
                self.wrong(key, "this is empty", cure);
                None
            }
            None => {
                if !self.has(key) {
                    self.wrong(key, "this is missing", cure);
                }
                None
            }
        }
    }

    /// A text turned into something; a text that cannot be is noted, and reads as left out.
    pub fn parse<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key)?;
        parse(text).map_err(|cure| self.wrong(key, format!("{text:?} cannot be taken"), cure)).ok()
    }

    /// One of several words.
    pub fn choice<T: Copy>(&self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let Some(text) = self.text(key) else { return default };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let names = || words.iter().map(|(word, _)| *word);
        let cure = nearest(text, names()).map_or_else(
            || format!("write {}", names().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean {near:?}?"),
        );
        self.wrong(key, format!("{text:?} is none of the words known here"), cure);
        default
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        match self.ask(key) {
            Some(Value::Flag(flag)) => *flag,
            _ => default,
        }
    }

    /// A whole number from 1 up to `most`.
    pub fn number(&self, key: &str, default: usize, most: usize) -> usize {
        let Some(Value::Number(number)) = self.ask(key) else { return default };
        match usize::try_from(*number) {
            Ok(number) if (1..=most).contains(&number) => number,
            _ => {
                self.wrong(
                    key,
                    format!("{number} is out of range"),
                    format!("write a number from 1 to {most}"),
                );
                default
            }
        }
    }

    /// A duration that ends, within bounds.
    pub fn duration(&self, key: &str, default: Duration, least: Duration, most: Duration) -> Duration {
        let Some(span) = self.parse(key, values::duration) else { return default };
        let bounds = || {
            format!(
                "write something from \"{}\" to \"{}\"",
                values::spoken_duration(least),
                values::spoken_duration(most)
            )
        };
        match span {
            None => {
                self.wrong(key, "this cannot be \"never\"", bounds());
                default
            }
            Some(span) if (least..=most).contains(&span) => span,
            Some(_) => {
                self.wrong(key, "this is out of range", bounds());
                default
            }
        }
    }

    /// A list of texts with their indices; a single text is a list of one. `None`: left out.
    pub fn list(&self, key: &str) -> Option<Vec<&'a str>> {
        match self.ask(key)? {
            Value::Text(text) => Some(vec![text]),
            // An item of the wrong kind was noted already; an empty text keeps the indices right.
            Value::List(items) => Some(
                items
                    .iter()
                    .map(|item| match &item.value {
                        Value::Text(text) => text.as_str(),
                        _ => "",
                    })
                    .collect(),
            ),
            _ => None,
        }
    }

    /// A list, each item turned into something; items that cannot be are noted and left out.
    pub fn parse_list<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut found = Vec::new();
        for (index, text) in self.list(key).unwrap_or_default().into_iter().enumerate() {
            match parse(text) {
                Ok(value) => found.push(value),
                Err(cure) => self.wrong_item(key, index, format!("{text:?} cannot be taken"), cure),
            }
        }
        found
    }

    /// Names and texts, as the file chose them.
    pub fn texts(&self, key: &str) -> Vec<(&'a str, &'a str)> {
        let Some(Value::Table(table)) = self.ask(key) else { return Vec::new() };
        let texts = table.entries.iter().filter_map(|(name, entry)| match &entry.node.value {
            Value::Text(text) => Some((name.as_str(), text.as_str())),
            _ => None,
        });
        texts.collect()
    }

    /// Notes that a table of the form `[key]` was looked at, and gives it.
    pub fn table(&self, key: &str) -> Option<&'a Table> {
        match self.ask(key)? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The tables of the form `[[key]]`.
    pub fn tables(&self, key: &str) -> impl Iterator<Item = &'a Table> + use<'a> {
        self.ask(key);
        self.table.tables(key)
    }

    /// A file that must exist; its path.
    pub fn existing_file(&self, key: &str) -> Option<PathBuf> {
        let name = self.text(key).filter(|name| !name.is_empty())?;
        let path = self.log.path(name);
        self.check_file(key, &path).then_some(path)
    }

    fn check_file(&self, key: &str, path: &Path) -> bool {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => true,
            Ok(_) => {
                self.wrong(key, format!("{} is not a file", path.display()), "name a file");
                false
            }
            Err(error) => {
                let cure = "name a file that linkgate may read (relative names are meant from the folder of this file)";
                self.wrong(key, format!("{}: {error}", path.display()), cure);
                false
            }
        }
    }
}

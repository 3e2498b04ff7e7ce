//! The file as a tree in which every value knows where it was written. Knows TOML, but no key.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// The value.
    pub value: Value,
}

/// What can stand in a file.
#[derive(Clone, Debug)]
pub enum Value {
    /// `"text"`.
    Text(String),
    /// `17`.
    Number(i64),
    /// `true`.
    Flag(bool),
    /// `[…]` or `[[…]]`.
    List(Vec<Node>),
    /// `{…}` or `[…]`.
    Table(Table),
    /// Something that no key takes; how to call it.
    Other(&'static str),
}

impl Value {
    /// How to call it in a sentence.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

/// A table and where it stands.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Where its header or brace stands.
    pub place: Place,
    /// Its keys.
    pub entries: BTreeMap<String, Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub key: Place,
    /// Its value.
    pub node: Node,
}

impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.node.value)
    }

    /// The table under a key.
    pub fn table(&self, key: &str) -> Option<&Self> {
        match self.get(key)? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The tables under a key of the form `[[key]]`.
    pub fn tables<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Self> + use<'a> {
        let list: &[Node] = match self.get(key) {
            Some(Value::List(list)) => list,
            _ => &[],
        };
        list.iter().filter_map(|node| match &node.value {
            Value::Table(table) => Some(table),
            _ => None,
        })
    }

    /// Sets a value from outside the file. A secret and its `_file` push each other out.
    pub fn set(&mut self, key: &str, place: &Place, value: Value) {
        self.entries.remove(&twin(key));
        let node = Node { place: place.clone(), value };
        self.entries.insert(key.to_owned(), Entry { key: place.clone(), node });
    }

    /// This table, with what it leaves out taken from `base`, key by key, table by table.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let mut merged = base.clone();
        merged.place = self.place.clone();
        for (key, entry) in &self.entries {
            merged.entries.remove(&twin(key));
            let below = merged.table(key).cloned();
            let mut entry = entry.clone();
            if let (Value::Table(own), Some(below)) = (&entry.node.value, below) {
                entry.node.value = Value::Table(own.over(&below));
            }
            merged.entries.insert(key.clone(), entry);
        }
        merged
    }
}

/// `password` ↔ `password_file`: only one of the two counts.
fn twin(key: &str) -> String {
    key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned)
}

/// Parses a file. Mistakes of form come back beside what could be read.
pub fn parse(source: &str) -> (Table, Vec<Mistake>) {
    let (document, errors) = DeTable::parse_recoverable(source);
    let lines = Lines(source);
    let mistakes = errors
        .iter()
        .map(|error| Mistake {
            place: lines.place(error.span().map_or(0, |span| span.start)),
            key: String::new(),
            what: format!("this is not TOML: {}", error.message().trim()),
            cure: "see https://toml.io for how tables, keys and texts are written".into(),
        })
        .collect();
    (lines.table(document.get_ref(), Place::Whole), mistakes)
}

struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn place(&self, offset: usize) -> Place {
        let mut end = offset.min(self.0.len());
        while !self.0.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.0.get(..end).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        Place::File { line, column }
    }

    fn span(&self, span: &Range<usize>) -> Place {
        self.place(span.start)
    }

    fn table(&self, table: &DeTable<'_>, place: Place) -> Table {
        let entries = table.iter().map(|(key, value)| {
            (key.get_ref().to_string(), Entry { key: self.span(&key.span()), node: self.node(value) })
        });
        Table { place, entries: entries.collect() }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let place = self.span(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number out of range"), Value::Number),
            DeValue::Float(_) => Value::Other("a number with a point"),
            DeValue::Datetime(moment) => Value::Text(moment.to_string()),
            DeValue::Array(list) => Value::List(list.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table, place.clone())),
        };
        Node { place, value }
    }
}

//! The service's records as one JSON document, kept as it came: what is not ours is written back byte for byte, in the
//! order it had. Never guesses: a name that stands twice makes the document broken.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON object whose values are as they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    entries: Vec<(String, Box<RawValue>)>,
    places: HashMap<String, usize>,
}

impl Object {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.entries.get(*self.places.get(name)?)?;
        Some(value)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Puts a value in its old place, or at the end.
    pub(super) fn set(&mut self, name: &str, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let raw = serde_json::value::to_raw_value(value)?;
        let old = self.places.get(name).and_then(|place| self.entries.get_mut(*place));
        if let Some((_, value)) = old {
            *value = raw;
        } else {
            self.places.insert(name.to_owned(), self.entries.len());
            self.entries.push((name.to_owned(), raw));
        }
        Ok(())
    }

    /// Removes every entry for which `goes` says yes. True: there was one.
    pub(super) fn remove(&mut self, mut goes: impl FnMut(&str, &RawValue) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(name, value)| !goes(name, value));
        if self.entries.len() == before {
            return false;
        }
        self.places = self.entries.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        true
    }

    /// The object below a name; `None`: there is none, or it is broken.
    pub(super) fn object(&self, name: &str) -> Option<Self> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A text; `None`: it is missing, or something else.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Whether a field is missing or `null`.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.get(name).is_none_or(|value| value.get() == "null")
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.entries.len()))?;
        for (name, value) in &self.entries {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if object.places.insert(name.clone(), object.entries.len()).is_some() {
                        return Err(A::Error::custom("a name stands twice in one object"));
                    }
                    object.entries.push((name, value));
                }
                Ok(object)
            }
        }

        from.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays_byte_for_byte_and_in_its_place() {
        let text = r#"{"b":{"n": 1.50, "big":12345678901234567890123,"é":"\u00e9\/" },"a":[1 ,2],"c":null}"#;
        let mut object = Object::parse(text.as_bytes()).unwrap();
        object.set("c", &"ours").unwrap();
        object.set("d", &true).unwrap();
        let written = String::from_utf8(object.bytes().unwrap()).unwrap();
        assert_eq!(written, text.replace("null}", "\"ours\",\"d\":true}"));
        assert!(object.remove(|name, _| name == "a"));
        assert!(!object.remove(|name, _| name == "a"));
        assert_eq!(object.text("c").as_deref(), Some("ours"));
        assert!(!object.has("a") && object.has("d") && object.is_null("x"));
    }

    #[test]
    fn what_is_no_object_or_says_a_name_twice_is_broken() {
        for bad in ["", "[]", "null", "{\"a\":1", "{\"a\":1,\"a\":2}", "{\"a\":1} x", "{\"a\":}"] {
            assert!(Object::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

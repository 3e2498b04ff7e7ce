//! What pages say, language by language: Fluent messages, plurals, the choice of a language. Never fails on what
//! a visitor sends; a message that a language lacks is said in English.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentError, FluentResource};
use fluent_langneg::{NegotiationStrategy, convert_vec_str_to_langids_lossy, negotiate_languages};

use super::error::{PageError, nearest};
use super::files::{Text, line_of};

/// The language that every other one falls back to.
pub(super) const FALLBACK: &str = "en";

/// Browsers send well under this; the rest of a longer header is not read.
const LONGEST_HEADER: usize = 1024;
const MOST_TAGS: usize = 24;
const LONGEST_CODE: usize = 24;

/// A language that the pages speak. Small and `Copy`; made by [`super::Pages::negotiate`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lang {
    code: [u8; LONGEST_CODE],
    length: usize,
}

impl Lang {
    /// The BCP 47 code, such as `de` or `pt-BR`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.code.get(..self.length).and_then(|code| std::str::from_utf8(code).ok()).unwrap_or(FALLBACK)
    }

    fn new(name: &str) -> Option<Self> {
        let mut code = [0; LONGEST_CODE];
        code.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { code, length: name.len() })
    }
}

impl fmt::Debug for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// All messages of all languages.
pub(super) struct Texts {
    languages: BTreeMap<Lang, FluentBundle<FluentResource>>,
    /// Every id of every language, for "the nearest is".
    ids: BTreeSet<String>,
    fallback: Lang,
    available: Vec<fluent_langneg::LanguageIdentifier>,
}

impl Texts {
    /// Parses every Fluent file; `replaced` then wins in every language.
    pub(super) fn new(
        files: BTreeMap<String, Vec<Text>>,
        replaced: &BTreeMap<String, String>,
    ) -> Result<Self, PageError> {
        check_replaced(&files, replaced)?;
        let all = files.values().flatten();
        let ids = all.flat_map(|text| messages(&text.source).into_keys().map(str::to_owned)).collect();
        let mut languages = BTreeMap::new();
        for (code, texts) in files {
            let (Some(lang), Ok(language)) = (Lang::new(&code), code.parse()) else {
                let cure = "a text file is named after its language, such as nl.ftl or pt-BR.ftl; rename it";
                return Err(PageError::UnknownFile { file: format!("{code}.ftl"), cure: cure.to_owned() });
            };
            let mut bundle = FluentBundle::new_concurrent(vec![language]);
            bundle.set_use_isolating(false);
            for text in texts {
                bundle.add_resource_overriding(parse(&text.file, text.source.into_owned())?);
            }
            for (id, value) in replaced {
                bundle.add_resource_overriding(parse_replaced(id, value)?);
            }
            languages.insert(lang, bundle);
        }
        let available = convert_vec_str_to_langids_lossy(languages.keys().map(Lang::code));
        match Lang::new(FALLBACK) {
            Some(fallback) => Ok(Self { languages, ids, fallback, available }),
            None => Err(PageError::UnknownPage { page: FALLBACK.to_owned() }),
        }
    }

    pub(super) fn languages(&self) -> impl Iterator<Item = Lang> {
        self.languages.keys().copied()
    }

    /// The best language for an `Accept-Language` header (RFC 9110, section 12.5.4), else `fallback`, else English.
    pub(super) fn negotiate(&self, header: Option<&str>, fallback: &str) -> Lang {
        let asked = convert_vec_str_to_langids_lossy(wishes(header.unwrap_or("")));
        let known = self.available.as_slice();
        negotiate_languages(&asked, known, None, NegotiationStrategy::Lookup)
            .first()
            .and_then(|best| self.known(&best.to_string()))
            .or_else(|| self.known(fallback))
            .unwrap_or(self.fallback)
    }

    fn known(&self, code: &str) -> Option<Lang> {
        self.languages.keys().copied().find(|lang| lang.code().eq_ignore_ascii_case(code))
    }

    /// Whether any language says `id`.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn nearest(&self, id: &str) -> &str {
        nearest(id, self.ids.iter().map(String::as_str))
    }

    /// The message `id`; the id itself if nobody knows it.
    pub(super) fn text(&self, lang: Lang, id: &str, args: &FluentArgs<'_>) -> String {
        [lang, self.fallback]
            .into_iter()
            .filter_map(|lang| self.bundle(lang))
            .find_map(|bundle| {
                let pattern = bundle.get_message(id)?.value()?;
                // A variable that is missing shows as its name; tests keep all languages to the same ones.
                Some(bundle.format_pattern(pattern, Some(args), &mut Vec::new()).into_owned())
            })
            .unwrap_or_else(|| id.to_owned())
    }

    fn bundle(&self, lang: Lang) -> Option<&FluentBundle<FluentResource>> {
        self.languages.get(&lang)
    }
}

/// Language tags of the header, most wanted first.
fn wishes(header: &str) -> Vec<&str> {
    let end = (0..=header.len().min(LONGEST_HEADER)).rev().find(|end| header.is_char_boundary(*end));
    let mut wishes: Vec<(u16, &str)> = header
        .get(..end.unwrap_or(0))
        .unwrap_or("")
        .split(',')
        .take(MOST_TAGS)
        .filter_map(|wish| {
            let (tag, rest) = wish.split_once(';').unwrap_or((wish, ""));
            let weight = match rest.trim().strip_prefix("q=") {
                Some(q) => q.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?,
                None => 1.0,
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000, checked")]
            let thousandths = (weight * 1000.0) as u16;
            (thousandths > 0 && tag.trim() != "*").then_some((thousandths, tag.trim()))
        })
        .collect();
    wishes.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    wishes.into_iter().map(|(_, tag)| tag).collect()
}

fn parse(file: &str, source: String) -> Result<FluentResource, PageError> {
    let resource = FluentResource::try_new(source).map_err(|(resource, errors)| {
        let file = file.to_owned();
        let Some(error) = errors.first() else {
            return PageError::Text { file, line: 0, reason: CURE.to_owned() };
        };
        // The parser notices an unfinished line at the start of the next one.
        let source = resource.source();
        let noticed = source.get(..error.pos.start).map_or(0, |before| before.trim_end().len());
        let entry = error.slice.as_ref().map_or(0, |junk| junk.start);
        let line = line_of(source.as_bytes(), noticed.max(entry));
        PageError::Text { file, line, reason: format!("{error}; {CURE}") }
    })?;
    if let Some((id, line)) = said_twice(resource.source()) {
        let reason = format!("{id:?} is said a second time; remove one of the two");
        return Err(PageError::Text { file: file.to_owned(), line, reason });
    }
    Ok(resource)
}

const CURE: &str = "a line reads id = text, and a brace that is meant as such is written {\"{\"}";

fn said_twice(source: &str) -> Option<(&str, usize)> {
    let mut seen = BTreeSet::new();
    source
        .lines()
        .enumerate()
        .filter_map(|(line, text)| Some((id_of(text)?, line + 1)))
        .find(|(id, _)| !seen.insert(*id))
}

/// The id of the message that begins on this line (they begin in the first column, and nothing else with a `=` does).
fn id_of(line: &str) -> Option<&str> {
    let (id, _) = line.split_once('=')?;
    let id = id.trim_end_matches(' ');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.chars().all(plain)).then_some(id)
}

/// Every message of a Fluent source with the sorted names of its variables.
pub(super) fn messages(source: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut messages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = None;
    for line in source.lines() {
        current = match id_of(line) {
            Some(id) => Some(id),
            None if line.starts_with([' ', '}']) || line.is_empty() => current,
            None => None,
        };
        if let Some(id) = current {
            let names = messages.entry(id).or_default();
            names.extend(variables(line));
            names.sort_unstable();
            names.dedup();
        }
    }
    messages
}

fn variables(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('{').skip(1).filter_map(|inside| {
        let name = inside.trim_start().strip_prefix('$')?;
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        name.get(..end.unwrap_or(name.len()))
    })
}

fn check_replaced(
    files: &BTreeMap<String, Vec<Text>>,
    replaced: &BTreeMap<String, String>,
) -> Result<(), PageError> {
    let sources = || files.get(FALLBACK).into_iter().flatten().chain(files.values().flatten());
    let known: Vec<BTreeMap<&str, Vec<&str>>> = sources().map(|text| messages(&text.source)).collect();
    for (id, value) in replaced {
        let Some(names) = known.iter().find_map(|file| file.get(id.as_str())) else {
            let nearest = nearest(id, known.iter().flat_map(|file| file.keys().copied())).to_owned();
            return Err(PageError::UnknownText { id: id.clone(), nearest });
        };
        if let Some(odd) = variables(value).find(|name| !names.contains(name)) {
            let has = if names.is_empty() { "none".to_owned() } else { format!("${}", names.join(", $")) };
            return Err(PageError::Text {
                file: format!("text {id:?}"),
                line: 0,
                reason: format!("it uses ${odd}, which this text does not have; it has {has}"),
            });
        }
    }
    Ok(())
}

fn parse_replaced(id: &str, value: &str) -> Result<FluentResource, PageError> {
    let value =
        if value.trim().is_empty() { "{\"\"}".to_owned() } else { value.trim().replace('\n', "\n    ") };
    let mistake = |reason: String| PageError::Text { file: format!("text {id:?}"), line: 0, reason };
    let resource = FluentResource::try_new(format!("{id} = {value}\n")).map_err(|(_, errors)| {
        mistake(errors.first().map_or_else(String::new, |e| format!("{e}; {CURE}")))
    })?;
    // Nothing that looks like a second message, or an attribute, may hide in a value.
    let mut bundle = FluentBundle::new_concurrent(Vec::new());
    match bundle.add_resource(&resource) {
        Ok(()) if bundle.get_message(id).is_some_and(|message| message.value().is_some()) => {}
        Ok(()) => return Err(mistake("it has no words".to_owned())),
        Err(errors) => return Err(mistake(errors.first().map_or_else(String::new, FluentError::to_string))),
    }
    drop(bundle);
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_sorted_by_weight_and_zero_means_never() {
        assert_eq!(wishes("en;q=0.5, de-AT, fr;q=0, *;q=0.1, ru; q=0.9"), ["de-AT", "ru", "en"]);
        assert_eq!(wishes(",,;q=x,;;"), ["", "", ""]);
    }

    #[test]
    fn messages_are_found_with_their_variables() {
        let source = "# note = no\na = x { $one }\nb = { $count ->\n    [one] { $count }\n   *[other] { $z }\n}\nc = d";
        let found = messages(source);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(found.get("b").map(Vec::as_slice), Some(["count", "z"].as_slice()));
    }
}

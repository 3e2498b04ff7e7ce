//! Who may name whom: the table of the design, enforced on every file below `src/`. A forbidden import, a room
//! without a rule, or a habit that was given up fails here, with the line to look at.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// Room → rooms it may import. A room that is not here has no rule, and that is an error.
const RULES: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("random", &[]),
    ("secret", &[]),
    ("metrics", &[]),
    ("page", &[]),
    ("identity", &["clock", "random", "secret"]),
    ("policy", &["clock", "secret", "identity"]),
    ("store", &["clock", "random", "secret", "identity"]),
    ("mail", &["clock", "random", "secret", "metrics", "identity", "store"]),
    ("proxy", &["random", "secret", "metrics", "identity", "policy"]),
    ("login", &["clock", "random", "secret", "metrics", "page", "identity", "policy", "store", "mail"]),
    (
        "admin",
        &["clock", "random", "secret", "metrics", "page", "identity", "policy", "store", "mail", "login"],
    ),
    (
        "gate",
        &[
            "clock", "random", "secret", "metrics", "page", "identity", "policy", "store", "proxy", "login",
            "admin",
        ],
    ),
    ("serve", &["clock", "secret", "metrics", "store", "gate"]),
    (
        "config",
        &[
            "clock", "random", "secret", "metrics", "page", "identity", "policy", "store", "mail", "proxy",
            "login", "admin", "gate", "serve",
        ],
    ),
    (
        "cli",
        &[
            "clock", "random", "secret", "metrics", "page", "identity", "policy", "store", "mail", "proxy",
            "login", "admin", "gate", "serve", "config",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Room → crates it must not name: the pure rooms know no sockets, store and mail know no status codes.
const FOREIGN: &[(&str, &[&str])] = &[
    ("identity", &["hyper", "hyper_util", "tokio", "axum", "rusqlite", "lettre"]),
    ("policy", &["hyper", "hyper_util", "tokio", "axum", "rusqlite", "lettre"]),
    ("store", &["hyper", "hyper_util", "axum", "minijinja", "lettre"]),
    ("mail", &["hyper", "hyper_util", "axum", "rusqlite"]),
    ("login", &["hyper", "hyper_util", "rusqlite", "lettre"]),
];

/// Folders that may name them all the same.
const BUT: &[(&str, &[&str])] = &[("store/http/", &["hyper", "hyper_util"])];

const LONGEST_FILE_LINES: usize = 500;

/// One source file, as the checks see it.
struct Source {
    /// Below `src/`, with slashes.
    path: String,
    text: String,
}

impl Source {
    /// `lib`, `main`, or the first folder or file name below `src/`.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super::` still stay inside the room.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts.saturating_sub(1) } else { parts }
    }
}

fn complaints(sources: &[Source]) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = RULES.iter().copied().collect();
    let rooms: BTreeSet<&str> =
        sources.iter().map(Source::room).filter(|room| !matches!(*room, "lib" | "main")).collect();
    let tests = test_files(sources);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !tests.contains(&source.path)) {
        let room = source.room();
        let mut say = |line: usize, what: &str| found.push(format!("src/{}:{line}: {what}", source.path));
        if !source.text.starts_with("//!") {
            say(1, "does not open with //!: what it does, what it never does");
        }
        let Some(allowed) = rules.get(room) else {
            say(1, &format!("the room `{room}` has no rule in tests/layering.rs"));
            continue;
        };
        let blanked = blank(&source.text);
        let code = without_tests(&blanked);
        let length = source.text.lines().count() - (blanked.lines().count() - code.lines().count());
        if length > LONGEST_FILE_LINES {
            say(1, &format!("{length} lines without tests; {LONGEST_FILE_LINES} is the limit"));
        }
        let line_of = |at: usize| blanked.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let live = mask_tests(&blanked);
        for (at, rest) in after(&live, "crate::") {
            let before = live.get(..at).unwrap_or_default();
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() {
                say(line_of(at), "one `use crate::room::…;` a line, no nested or starred `use crate::`");
            } else if !rooms.contains(name.as_str()) {
                say(line_of(at), &format!("`crate::{name}` is no room"));
            } else if name != room && room != "lib" && !allowed.contains(&name.as_str()) {
                say(line_of(at), &format!("`{room}` may not import `{name}`"));
            }
        }
        if room == "main" {
            for (at, rest) in after(&live, "linkgate::") {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !allowed.contains(&name.as_str()) {
                    say(line_of(at), &format!("`main` may not import `{name}`"));
                }
            }
        }
        for (at, _) in after(&live, "crate as ") {
            say(line_of(at), "`crate` gets no other name");
        }
        let too_far = "super::".repeat(source.depth() + 1);
        for (at, _) in after(&live, &too_far) {
            say(line_of(at), "`super::` leaves the room: write `crate::room::…`");
        }
        for (_, foreign) in FOREIGN.iter().filter(|(of, _)| *of == room) {
            let but = |name: &str| {
                BUT.iter().any(|(folder, of)| source.path.starts_with(folder) && of.contains(&name))
            };
            for name in foreign.iter().filter(|name| !but(name)) {
                for (at, _) in after(&live, &format!("{name}::")) {
                    let before = live.get(..at).unwrap_or_default();
                    if !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                        say(line_of(at), &format!("`{room}` may not name the crate `{name}`"));
                    }
                }
            }
        }
        for (number, line) in blanked.lines().enumerate() {
            let squeezed: String = line.split_whitespace().collect();
            if squeezed.contains("#[allow(")
                || squeezed.contains("#![allow(")
                || (squeezed.contains("cfg_attr(") && squeezed.contains(",allow("))
            {
                say(number + 1, "`#[allow]` is not used here: `#[expect(…, reason = \"…\")]`");
            }
        }
        for (number, line) in live.lines().enumerate() {
            let words = line.trim_start();
            let words = words.strip_prefix("pub ").unwrap_or(words);
            let held = ["Mutex", "RwLock", "Atomic", "OnceLock", "OnceCell", "RefCell", "Cell<"];
            if words.starts_with("thread_local!")
                || words.starts_with("static mut ")
                || (words.starts_with("static ") && held.iter().any(|kind| words.contains(kind)))
            {
                say(number + 1, "no `static` that holds state: hand it down");
            }
        }
    }
    found
}

/// Every place right after `needle`: where it begins, and what follows.
fn after<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    text.match_indices(needle).map(move |(at, _)| (at, text.get(at + needle.len()..).unwrap_or_default()))
}

/// The code with comments, strings and character literals blanked out; every line stays where it is.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let hide = |c: char| if c == '\n' { '\n' } else { ' ' };
    let mut i = 0;
    while i < chars.len() {
        let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                out.push(' ');
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                if at(i) == '/' && at(i + 1) == '*' {
                    depth += 1;
                    out.extend([' ', ' ']);
                    i += 2;
                } else if at(i) == '*' && at(i + 1) == '/' {
                    depth -= 1;
                    out.extend([' ', ' ']);
                    i += 2;
                } else {
                    out.push(hide(at(i)));
                    i += 1;
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if at(i) == 'r' && !word_before_raw(&chars, i) && raw_hashes(&chars, i).is_some() {
            let hashes = raw_hashes(&chars, i).unwrap_or_default();
            out.extend(std::iter::repeat_n(' ', hashes + 2));
            i += hashes + 2;
            while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#')) {
                out.push(hide(at(i)));
                i += 1;
            }
            out.extend(std::iter::repeat_n(' ', hashes + 1));
            i += hashes + 1;
        } else if at(i) == '"' {
            out.push(' ');
            i += 1;
            while i < chars.len() && at(i) != '"' {
                if at(i) == '\\' {
                    out.push(' ');
                    i += 1;
                }
                out.push(hide(at(i)));
                i += 1;
            }
            out.push(' ');
            i += 1;
        } else if at(i) == '\'' && !word_before && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            out.push(' ');
            i += 1;
            while i < chars.len() && at(i) != '\'' {
                if at(i) == '\\' {
                    out.push(' ');
                    i += 1;
                }
                out.push(' ');
                i += 1;
            }
            out.push(' ');
            i += 1;
        } else {
            out.push(at(i));
            i += 1;
        }
    }
    out.into_iter().collect()
}

/// An `r` that ends a longer word opens no raw string; `b` and `c` before it do.
fn word_before_raw(chars: &[char], i: usize) -> bool {
    let before = |n: usize| i.checked_sub(n).and_then(|i| chars.get(i)).copied().unwrap_or(' ');
    let wordy = |c: char| c.is_alphanumeric() || c == '_';
    wordy(before(1)) && (!matches!(before(1), 'b' | 'c') || wordy(before(2)))
}

fn raw_hashes(chars: &[char], i: usize) -> Option<usize> {
    let hashes = chars.iter().skip(i + 1).take_while(|c| **c == '#').count();
    (chars.get(i + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Where the items marked `#[cfg(test)]` stand in blanked code.
fn test_spans(code: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(found) = code.get(from..).and_then(|rest| rest.find("#[cfg(test)]")) {
        let start = from + found;
        let rest = code.get(start..).unwrap_or_default();
        let mut depth = 0_i32;
        let mut end = rest.len();
        for (at, c) in rest.char_indices().skip("#[cfg(test)]".len()) {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        end = at + 1;
                        break;
                    }
                }
                ';' if depth == 0 => {
                    end = at + 1;
                    break;
                }
                _ => {}
            }
        }
        spans.push((start, start + end));
        from = start + end;
    }
    spans
}

/// Blanked code without its tests, the lines gone too.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for (start, end) in test_spans(code).into_iter().rev() {
        out.replace_range(start..end, "");
    }
    out
}

/// Blanked code with its tests blanked too, so that lines keep their numbers.
fn mask_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for (start, end) in test_spans(code) {
        let hidden: String = code
            .get(start..end)
            .unwrap_or_default()
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &hidden);
    }
    out
}

/// Files that `#[cfg(test)] mod name;` brings in.
fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for source in sources {
        let code = blank(&source.text);
        let folder = match source.path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            Some((_, _)) => format!("{}/", source.path.strip_suffix(".rs").unwrap_or_default()),
            None if matches!(source.room(), "lib" | "main") => String::new(),
            None => format!("{}/", source.room()),
        };
        for (start, end) in test_spans(&code) {
            let item = code.get(start..end).unwrap_or_default();
            if let Some((_, name)) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
                files.insert(format!("{folder}{}.rs", name.trim()));
                files.insert(format!("{folder}{}/mod.rs", name.trim()));
            }
        }
    }
    files
}

fn read_sources(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path: below, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[test]
fn every_file_of_the_house_keeps_to_the_table() {
    let sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "only {} files found: looked in the wrong place", sources.len());
    let found = complaints(&sources);
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_rule_names_rooms_that_have_a_rule_themselves() {
    let ruled: BTreeSet<&str> = RULES.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in RULES {
        for name in *allowed {
            assert!(ruled.contains(name), "{room} may import {name}, which has no rule");
        }
    }
}

#[test]
fn the_table_has_no_circle() {
    // Every room stands below all that may import it, so sorting by rules must use all of them up.
    let mut left: BTreeMap<&str, BTreeSet<&str>> =
        RULES.iter().map(|(room, allowed)| (*room, allowed.iter().copied().collect())).collect();
    while !left.is_empty() {
        let ready: Vec<&str> =
            left.iter().filter(|(_, needs)| needs.is_empty()).map(|(room, _)| *room).collect();
        assert!(!ready.is_empty(), "a circle among {:?}", left.keys());
        left.retain(|room, _| !ready.contains(room));
        for needs in left.values_mut() {
            needs.retain(|name| !ready.contains(name));
        }
    }
}

/// The complaints about one file, beside an innocent `identity`, `store` and `login`.
fn about(path: &str, text: &str) -> Vec<String> {
    let innocent = |path: &str| Source { path: path.to_owned(), text: "//! Fine.\n".to_owned() };
    let mut sources: Vec<Source> =
        ["identity/mod.rs", "store/mod.rs", "login/mod.rs", "proxy/mod.rs", "policy/mod.rs"]
            .into_iter()
            .filter(|other| *other != path)
            .map(innocent)
            .collect();
    sources.push(Source { path: path.to_owned(), text: text.to_owned() });
    complaints(&sources)
}

#[test]
fn bad_samples_are_caught() {
    let many = format!("//! Long.\n{}", "fn f() {}\n".repeat(500));
    for (path, text, expected) in [
        ("identity/mod.rs", "//! X.\nuse crate::store::Store;\n", "2: `identity` may not import `store`"),
        (
            "login/ask.rs",
            "//! X.\n\nfn f() { crate::proxy::forward() }\n",
            "3: `login` may not import `proxy`",
        ),
        ("login/ask.rs", "//! X.\nuse crate::{store, mail};\n", "2: one `use crate::room::…;` a line"),
        ("login/ask.rs", "//! X.\nuse crate::*;\n", "2: one `use crate::room::…;` a line"),
        ("login/ask.rs", "//! X.\nuse crate as house;\n", "2: `crate` gets no other name"),
        ("login/ask.rs", "//! X.\nuse super::super::proxy::X;\n", "2: `super::` leaves the room"),
        ("login.rs", "//! X.\nuse super::proxy::X;\n", "2: `super::` leaves the room"),
        ("attic/mod.rs", "//! X.\n", "1: the room `attic` has no rule"),
        ("store/mod.rs", "//! X.\nuse crate::cellar::X;\n", "2: `crate::cellar` is no room"),
        (
            "policy/decide.rs",
            "//! X.\nuse tokio::sync::Mutex;\n",
            "2: `policy` may not name the crate `tokio`",
        ),
        (
            "store/sqlite/links.rs",
            "//! X.\nuse hyper::body::Body;\n",
            "2: `store` may not name the crate `hyper`",
        ),
        ("store/http/wire.rs", "//! X.\nuse axum::Router;\n", "2: `store` may not name the crate `axum`"),
        ("policy/decide.rs", "use http::Method;\n", "1: does not open with //!"),
        ("policy/decide.rs", "//! X.\n#[allow(dead_code)]\nfn f() {}\n", "2: `#[allow]` is not used here"),
        ("policy/decide.rs", "//! X.\n#![allow(dead_code)]\n", "2: `#[allow]` is not used here"),
        (
            "policy/decide.rs",
            "//! X.\nstatic SEEN: Mutex<u8> = Mutex::new(0);\n",
            "2: no `static` that holds",
        ),
        ("policy/decide.rs", &many, "1: 501 lines without tests; 500 is the limit"),
        ("main.rs", "//! X.\nuse linkgate::store::Store;\n", "2: `main` may not import `store`"),
        (
            "login/ask.rs",
            "//! X.\nconst A: &str = r#\"\"#;\nconst B: char = '\"';\nuse crate::proxy::X;\n",
            "4: `login` may not import `proxy`",
        ),
        (
            "login/ask.rs",
            "//! X.\n#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::proxy::X;\n",
            "4: `login` may not import `proxy`",
        ),
    ] {
        let found = about(path, text);
        assert_eq!(found.len(), 1, "{path}: {text}\n{found:?}");
        assert!(found[0].starts_with(&format!("src/{path}:{expected}")), "{found:?}");
    }
}

#[test]
fn good_samples_pass() {
    let long = format!(
        "//! X.\n{}#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn f() {}\n".repeat(400),
        "//\n".repeat(400)
    );
    for (path, text) in [
        ("login/ask.rs", "//! X.\nuse crate::store::Store;\nuse crate::login::link;\nuse super::link;\n"),
        (
            "login/ask.rs",
            "//! Never `use crate::proxy::X`.\n/* crate::{a} /* crate::* */ */ const A: &str = \"crate::proxy::\";\n",
        ),
        ("login/ask.rs", "//! X.\n#[cfg(test)]\nmod tests {\n    use crate::proxy::X;\n}\n"),
        ("login/ask.rs", "//! X.\nfn f<'a>(x: &'a str) -> char { '\\'' }\nuse mycrate::proxy::X;\n"),
        ("policy/decide.rs", &long),
        ("store/http/wire.rs", "//! X.\nuse hyper::client::conn::http1;\n"),
        ("policy/decide.rs", "//! X.\nstatic NAME: HeaderName = HeaderName::from_static(\"x\");\n"),
        ("main.rs", "//! X.\nfn main() { linkgate::cli::run() }\n"),
    ] {
        let found = about(path, text);
        let found: Vec<&String> = found.iter().filter(|line| !line.contains("`cli`")).collect();
        assert!(found.is_empty(), "{path}: {text}\n{found:?}");
    }
}

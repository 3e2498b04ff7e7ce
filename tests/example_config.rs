//! config.toml.example loads, as it is and with everything in it switched on, and every key appears in it; and every
//! configuration in the documentation is free of mistakes, and every test that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use linkgate::config::{self, Environment, Kind};

const EXAMPLE: &str = include_str!("../config.toml.example");

#[test]
fn the_example_is_a_configuration_as_it_is() {
    let (loaded, _) =
        config::load_text(EXAMPLE, Path::new("/etc/linkgate/config.toml"), &Environment::default()).unwrap();
    assert_eq!(loaded.sites.len(), 1);
}

/// The kinds of store: one at a time can be switched on.
const KINDS: &[&str] = &["sqlite", "redis", "http"];

/// The example with every commented key taken as written, but for those of other kinds of store; files that it names
/// are made.
fn switched_on(folder: &Path, kind: &str) -> String {
    for file in [
        "people.txt",
        "logo.svg",
        "fullchain.pem",
        "privkey.pem",
        "photos.pem",
        "photos.key",
        "relay-ca.pem",
        "app-ca.pem",
        "client.pem",
        "client.key",
        "redis-ca.pem",
        "service-ca.pem",
    ] {
        fs::write(folder.join(file), "someone@example.com\n").unwrap();
    }
    for file in [
        "secret",
        "secret.old",
        "mail.password",
        "fallback.password",
        "wiki.password",
        "wiki-fallback.password",
        "photos.password",
        "share.password",
        "store.password",
        "store.token",
    ] {
        let path = folder.join(file);
        fs::write(&path, format!("{:A<43}", file.replace('.', "_"))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::create_dir_all(folder.join("pages")).unwrap();
    let mut of_another_kind = false;
    let on: Vec<String> = EXAMPLE
        .lines()
        .filter(|line| {
            if let Some(other) = line.strip_prefix("#kind = ") {
                of_another_kind = other != format!("{kind:?}");
            } else if line.starts_with("#[") {
                of_another_kind = false;
            }
            !of_another_kind
        })
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
            _ => line.to_owned(),
        })
        // Either a secret or its file.
        .filter(|line| {
            !line.starts_with("password = ")
                && !line.starts_with("token = ")
                && !line.starts_with("secret = ")
        })
        .collect();
    on.join("\n").replace("/etc/linkgate/", &format!("{}/", folder.display())).replace(
        "listen = [\"http://127.0.0.1:8080\"]",
        "listen = [\"http://127.0.0.1:8080\", \"https://[::]:443\"]",
    )
}

#[test]
fn every_commented_line_of_the_example_is_right_and_every_key_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = BTreeSet::new();
    for kind in KINDS {
        let text = switched_on(folder.path(), kind);
        let read = config::load_text(&text, &folder.path().join("config.toml"), &Environment::default());
        let (loaded, these) = read.unwrap_or_else(|mistakes| panic!("{kind}: {mistakes}"));
        assert_eq!(format!("{:?}", loaded.store).to_lowercase().split([' ', '(']).next(), Some(*kind));
        asked.extend(these);
    }
    let unread: Vec<String> = config::all_keys()
        .into_iter()
        .filter(|(_, kind)| !matches!(kind, Kind::Later))
        .map(|(key, _)| key)
        // [site.mail] over [mail] is read under the one name or the other.
        .filter(|key| !asked.contains(key))
        .collect();
    assert!(unread.is_empty(), "keys that nothing reads: {unread:?}");
}

#[test]
fn every_key_appears_in_the_example() {
    let mut section = String::new();
    let mut seen = BTreeSet::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_start_matches('[').split(']').next().unwrap().to_owned();
            seen.insert(section.clone());
        } else if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            let full = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            if value.starts_with('{') {
                let inside: toml::Table = toml::from_str(&format!("it = {value}")).unwrap();
                let names = inside["it"].as_table().unwrap().keys();
                seen.extend(names.map(|name| format!("{full}.{name}")));
            }
            seen.insert(full);
        }
    }
    let missing: Vec<String> = config::all_keys()
        .into_iter()
        .filter(|(_, kind)| !matches!(kind, Kind::Later))
        // The head of the file says that every secret is also taken from a file.
        .filter(|(key, kind)| !matches!(kind, Kind::Secret) || !seen.contains(&format!("{key}_file")))
        .map(|(key, _)| key)
        .filter(|key| !seen.contains(key))
        .collect();
    assert!(missing.is_empty(), "not in config.toml.example: {missing:?}");
}

/// What stands before a block of a page that is a part of a file only.
const MAIL: &str = "[mail]\nfrom = \"Example <login@example.com>\"\nurl = \"memory:\"\n";
const TRUST: &str = "trusted_proxies = [\"127.0.0.1\"]\n";
const SITE: &str = "[[site]]\nurl = \"https://wiki.example.com\"\nallow = [\"@example.com\"]\n";

/// The TOML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("```toml\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// A block as a whole file: what it leaves out is put around it.
fn completed(block: &str) -> String {
    let part_of_site = block.contains("[[site.") && !block.contains("[[site]]");
    // Many blocks show a site without what stands behind it: somebody may ask on its behalf.
    let mut file = if block.contains("trusted_proxies") { String::new() } else { TRUST.to_owned() };
    file += if part_of_site { "" } else { block };
    file += if block.contains("[mail]") { "" } else { MAIL };
    file += if block.contains("[[site]]") { "" } else { SITE };
    file + if part_of_site { block } else { "" }
}

#[test]
fn every_configuration_in_the_documentation_is_free_of_mistakes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.is_file());
    let mut tried = 0;
    for page in docs.chain([root.join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        let page = page.display();
        for block in blocks(&text) {
            tried += 1;
            let folder = tempfile::tempdir().unwrap();
            // Every file that is named is there, for its owner alone; an ellipsis is a value left to the reader.
            for name in block.split('"').filter_map(|part| part.strip_prefix("/etc/linkgate/")) {
                let path = folder.path().join(name);
                fs::write(&path, "kept-in-this-file-which-is-long-enough-to-be-one").unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let ellipsis = folder.path().join("ellipsis");
            fs::write(&ellipsis, "x").unwrap();
            fs::set_permissions(&ellipsis, fs::Permissions::from_mode(0o600)).unwrap();
            let here = format!("{}/", folder.path().display());
            let file = completed(&block)
                .replace("/etc/linkgate/", &here)
                .replace("_file = \"…\"", &format!("_file = \"{}\"", ellipsis.display()));
            if let Err(mistakes) =
                config::load_text(&file, &folder.path().join("config.toml"), &Environment::default())
            {
                panic!("{page}:\n{block}\n{mistakes}");
            }
        }
    }
    assert!(tried > 15, "{tried} configurations are in the documentation");
}

/// Whether `name` is a test of this file, or of one below the folder that is called like it.
fn is_there(file: &str, name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "tests"].iter().any(|room| {
        let path = root.join(room).join(file);
        let mut texts = vec![fs::read_to_string(&path).unwrap_or_default()];
        let below = fs::read_dir(path.with_extension("")).into_iter().flatten().flatten();
        texts.extend(below.filter_map(|entry| fs::read_to_string(entry.path()).ok()));
        texts.iter().any(|text| text.contains(&format!("fn {name}(")))
    })
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let mut named = 0;
    let mut missing = Vec::new();
    let mut file = "";
    for word in include_str!("../docs/threat-model.md").split('`').skip(1).step_by(2) {
        let Some((before, name)) = word.split_once("::") else { continue };
        if name == "test" {
            continue;
        }
        if !before.is_empty() {
            file = before;
        }
        named += 1;
        if !is_there(file, name) {
            missing.push(format!("{file}::{name}"));
        }
    }
    assert!(named > 40, "{named} tests are named");
    assert!(missing.is_empty(), "named in docs/threat-model.md, but not there: {missing:#?}");
}

//! Tests of the whole configuration: what loads, what is refused and how it is said. Never part of the program.

mod environment;
mod forwarding;
mod mistakes;
mod places;
mod secrets;
mod store;

use std::path::Path;

use super::*;
use crate::clock::Timestamp;

const GOOD: &str = r#"
[mail]
from = "Example <login@example.com>"
url = "memory:"
[[site]]
url = "https://wiki.example.com"
upstream = "http://127.0.0.1:3000"
allow = ["@example.com"]
"#;

fn try_load(text: &str) -> Result<Loaded, Mistakes> {
    load_text(text, Path::new("c.toml"), &Environment::default()).map(|(loaded, _)| loaded)
}

fn mistakes(text: &str) -> String {
    match try_load(text) {
        Ok(_) => "(no mistake)".into(),
        Err(mistakes) => mistakes.to_string(),
    }
}

/// `before` at the top (line 1), `site` inside the site (from line 9), `after` behind.
fn file(before: &str, site: &str, after: &str) -> String {
    format!("{before}{GOOD}{site}\n{after}")
}

/// What is put where: `before`, `site` and `after` as in [`file`], the beginning of a line of the answer, and a part of
/// its cure.
type Bad = (&'static str, &'static str, &'static str, &'static str, &'static str);

fn all_are_told(bad: &[Bad]) {
    let mut wrong = Vec::new();
    for (before, site, after, start, cure) in bad {
        let answer = mistakes(&file(before, site, after));
        if !answer.lines().any(|line| line.starts_with(start) && line.contains(cure)) {
            wrong.push(format!("wanted {start} … {cure}\n   got {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn with(variables: &[(&str, &str)], credentials: Option<&Path>) -> Environment {
    Environment {
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        credentials: credentials.map(Path::to_owned),
        ..Environment::default()
    }
}

#[test]
fn the_smallest_file_loads_with_safe_defaults() {
    let loaded = try_load(GOOD).unwrap();
    assert_eq!(loaded.listen, [Listen::Http("127.0.0.1:8080".parse().unwrap())]);
    assert!(loaded.trusted_proxies.is_empty());
    assert_eq!((loaded.prefix.as_str(), loaded.sites.len()), ("/.linkgate", 1));
    let site = loaded.site(None).unwrap();
    assert_eq!(
        (site.site.name.as_str(), site.site.start.as_str()),
        ("wiki.example.com", "https://wiki.example.com/")
    );
    assert_eq!((site.link.lifetime.unwrap().as_secs(), site.session.idle.as_secs()), (600, 604_800));
    assert_eq!(site.site.apps.len(), 1);
}

#[test]
fn expectations_are_tried() {
    let expect = |person: &str, result: &str| {
        format!(
            "[[expect]]\nperson = \"{person}\"\nrequest = \"GET https://wiki.example.com/x\"\nresult = \"{result}\"\n"
        )
    };
    let now = Timestamp::from_seconds(1_800_000_000);
    let right = file(
        "",
        "",
        &(expect("a@example.com", "allow")
            + &expect("nobody", "sign-in")
            + &expect("a@other.example", "deny")),
    );
    assert_eq!(try_load(&right).unwrap().try_expectations(now).unwrap(), 3);
    let wrong = file("", "", &expect("a@other.example", "allow"));
    let failed = try_load(&wrong).unwrap().try_expectations(now).unwrap_err();
    assert!(
        failed[0].what.contains("expected allow for a@other.example, but the answer is deny"),
        "{failed:?}"
    );
}

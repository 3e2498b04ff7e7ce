//! What the environment lays over the file.

use super::*;

#[test]
fn the_environment_overrides_the_file_and_keeps_its_places() {
    let environment = with(
        &[
            ("LINKGATE_CONFIG", "/elsewhere"),
            ("LINKGATE_LISTEN", "http://127.0.0.1:1, http://127.0.0.1:2"),
            ("LINKGATE_MAIL__FROM", "b@example.com"),
            ("LINKGATE_SITE__WIKI_EXAMPLE_COM__UPSTREAM", "http://127.0.0.1:9"),
            ("LINKGATE_SITE__NEWS__URL", "https://news.example.com"),
            ("LINKGATE_SITE__NEWS__UPSTREAM", "http://127.0.0.1:8"),
            ("LINKGATE_SITE__NEWS__ALLOW", "group:staff,a@example.com"),
            ("LINKGATE_GROUPS__STAFF", "@example.org"),
            ("LINKGATE_LOG__ACCESS", "false"),
        ],
        None,
    );
    let (loaded, _) = load_text(GOOD, Path::new("c.toml"), &environment).unwrap();
    assert_eq!(loaded.listen.len(), 2);
    assert!(!loaded.log.access);
    assert_eq!(loaded.site(Some("wiki.example.com")).unwrap().mail.as_ref().unwrap().from, "b@example.com");
    let upstream = loaded.sites[0].site.apps[0].routes()[0].upstream.as_ref().unwrap();
    assert_eq!(upstream.to_string(), "http://127.0.0.1:9");
    assert_eq!(loaded.site(Some("news")).unwrap().site.allow.groups, ["staff"]);
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, wanted) in [
        (
            "LINKGATE_MIAL__URL",
            "x",
            "environment variable LINKGATE_MIAL__URL: there is no key \"mial\"; did you mean MAIL?",
        ),
        ("LINKGATE_MAIL__URLL", "x", "did you mean URL?"),
        ("LINKGATE_MAIL", "x", "mail is a table"),
        ("LINKGATE_LOG__ACCESS", "perhaps", "neither true nor false"),
        ("LINKGATE_DRAIN", "x", "environment variable LINKGATE_DRAIN: drain: \"x\" cannot be taken"),
        ("LINKGATE_TLS__ACME", "x", "later version"),
        ("LINKGATE_LISTEN__X", "x", "no keys below it"),
    ] {
        let error =
            load_text(GOOD, Path::new("c.toml"), &with(&[(name, value)], None)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{name}: {error}");
    }
}

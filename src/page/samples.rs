//! Sample contexts of every page, for tests. Never part of the program.

use serde_json::{Value, json};

/// Page, case, context.
pub(super) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let mut samples = Vec::new();
    let mut add = |page, case, own: Value| samples.push((page, case, with_common(own)));

    for (case, invited, error, note) in [
        ("plain", false, "", ""),
        ("invited", true, "", ""),
        ("bad-address", false, "bad-address", ""),
        ("try-later", false, "try-later", ""),
        ("signed-out", false, "", "signed-out"),
        ("session-ended", false, "", "session-ended"),
        ("lost-post", true, "", "lost-post"),
    ] {
        let own = json!({"return_to": "/wiki?a=b&c=d", "invited": invited, "remember_choice": !invited, "email": "alice@example.com",
            "error": error, "note": note});
        add("login.html", case, own);
    }
    for (case, code, error, lifetime, again) in [
        ("plain", true, "", json!(600), false),
        ("no-code", false, "", json!(null), true),
        ("wrong-code", true, "wrong-code", json!(86_400), true),
        ("codes-off", false, "codes-off", json!(600), false),
        ("code-expired", true, "code-expired", json!(600), false),
    ] {
        let own = json!({"email": "alice@example.com", "sender": "Example Wiki <login@example.com>",
            "subject": "Sign in to Example Wiki", "code": code, "lifetime": lifetime, "return_to": "/",
            "error": error, "sent_again": again});
        add("waiting.html", case, own);
    }
    for error in ["", "wrong-address", "too-many", "elsewhere"] {
        let own = json!({"masked": "a…e@example.com", "token": "abc", "code_hint": true, "error": error});
        add("verify.html", error, own);
    }
    add("confirm.html", "", json!({"masked": "a…e@example.com", "token": "abc"}));
    for needs_address in [false, true] {
        let own = json!({"current": "bob@example.com", "masked": "a…e@example.com", "token": "abc",
            "stay": "/", "needs_address": needs_address});
        add("other-person.html", if needs_address { "address" } else { "" }, own);
    }
    for kind in ["expired", "used", "revoked", "invalid", "foreign", "unknown", "surprise"] {
        let again = ["expired", "used"].contains(&kind);
        let current = if kind == "used" { "alice@example.com" } else { "" };
        add(
            "link-problem.html",
            kind,
            json!({"kind": kind, "token": "abc", "again": again, "current": current}),
        );
    }
    add("denied.html", "", json!({"current": "bob@example.com", "host": "photos.example.com"}));
    add("logout.html", "", json!({"current": "bob@example.com", "return_to": "/"}));
    add("signed-out.html", "here", json!({"everywhere": false}));
    add("signed-out.html", "everywhere", json!({"everywhere": true}));
    add("start.html", "", start());
    add(
        "start.html",
        "bare",
        json!({"person": {"email": "bob@example.com", "name": ""}, "apps": [],
        "sessions": [], "tokens": []}),
    );
    add("lost-post.html", "", json!({"login": "/.linkgate/login?return_to=%2F"}));
    for kind in [
        "bad-request",
        "not-found",
        "unknown-host",
        "too-large",
        "too-many",
        "timeout",
        "upstream-down",
        "upstream-slow",
        "unavailable",
        "store-away",
        "internal",
        "loop",
        "insecure",
        "method",
        "surprise",
    ] {
        let detail = if kind == "unknown-host" { "[[site]]\nurl = \"https://new.example.com\"" } else { "" };
        let retry = if kind.starts_with("upstream") { "/again" } else { "" };
        let own =
            json!({"status": 500, "kind": kind, "detail": detail, "retry": retry, "reference": "k3f9-2m7q"});
        add("error.html", kind, own);
    }
    add("inbox.html", "empty", json!({"letters": []}));
    add("inbox.html", "two", inbox());
    for (case, code, lifetime, admin, note) in [
        ("asked", "ABCD-2345", json!(600), false, ""),
        ("invited", "", json!(null), true, "Welcome to the team <script>alert(1)"),
    ] {
        let own = json!({"link": "https://wiki.example.com/.linkgate/verify?token=eyJhbGciOi", "code": code,
            "lifetime": lifetime, "host": "wiki.example.com", "email": "alice@example.com",
            "invited_by_admin": admin, "note": note});
        add("letter.txt", case, own.clone());
        add("letter.html", case, own);
    }
    samples
}

fn start() -> Value {
    json!({"person": {"email": "alice@example.com", "name": "Alice"},
        "apps": [{"title": "Wiki", "url": "https://wiki.example.com/"},
            {"title": "Photos <script>alert(1)", "url": "https://photos.example.com/"}],
        "sessions": [
            {"id": "1", "device": "Firefox on Linux", "signed_in_at": 1_795_000_000, "seen_at": 1_795_247_760,
                "current": true},
            {"id": "2", "device": "Safari on iPhone", "signed_in_at": 1_794_000_000, "seen_at": 1_795_147_760,
                "current": false}],
        "tokens": [{"name": "backup"}]})
}

fn inbox() -> Value {
    let letter = json!({"to": "alice@example.com", "subject": "Sign in to Example Wiki", "code": "ABCD-2345",
        "text": "Open this link\n\nhttp://localhost:8080/.linkgate/verify?token=eyJhbGciOi",
        "link": "http://localhost:8080/.linkgate/verify?token=eyJhbGciOi"});
    json!({"letters": [letter, letter]})
}

fn with_common(mut own: Value) -> Value {
    let common = json!({"lang": "overridden", "nonce": "bm9uY2U", "prefix": "/.linkgate", "start": "https://wiki.example.com/",
        "site": {"title": "Example Wiki", "contact": "it@example.com", "accent": "", "logo": ""}});
    if let (Some(own), Value::Object(common)) = (own.as_object_mut(), common) {
        for (name, value) in common {
            own.entry(name).or_insert(value);
        }
    }
    own
}

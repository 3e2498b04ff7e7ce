//! Tests of the whole configuration: bad files with their place and cure, the environment, secrets, expectations. Never
//! part of the program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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

/// What is put where, and the beginning of a line of the answer with a part of its cure.
const BAD: &[(&str, &str, &str, &str, &str)] = &[
    // Slips of the finger.
    ("lisen = []", "", "", "c.toml:1:1: lisen: no such key", "did you mean \"listen\"?"),
    ("", "alow = []", "", "c.toml:9:1: site.alow: no such key", "did you mean \"allow\"?"),
    ("", "", "[lnik]\ncode = true", "c.toml:10:2: lnik: no such key", "did you mean \"link\"?"),
    ("", "from = \"a@b.example\"", "", "c.toml:9:1: site.from: no such key", "there is mail.from"),
    ("", "", "[link]\nlifetime = 600", "c.toml:11:12: link.lifetime: this is a number", "as a text"),
    ("", "", "[link]\ncode = \"yes\"", "c.toml:11:8: link.code: this is text", "true or false"),
    ("listen = [8080]", "", "", "c.toml:1:11: listen: this is a number", "quotation marks"),
    ("", "", "[user]\nemail = \"a@b.example\"", "c.toml:10:2: user: this is a table", "two brackets"),
    ("drain = \"5 parsecs\"", "", "", "c.toml:1:9: drain: \"5 parsecs\" cannot be taken", "\"15m\""),
    ("drain = \"never\"", "", "", "c.toml:1:9: drain: this cannot be \"never\"", "\"1h\""),
    ("workers = 0", "", "", "c.toml:1:11: workers: 0 is out of range", "from 1"),
    ("state_dir = ", "", "", "c.toml:1:13: this is not TOML", "toml.io"),
    // Not yet.
    (
        "proxy_protocol = []",
        "",
        "",
        "c.toml:1:1: proxy_protocol: this comes with a later version",
        "leave it out",
    ),
    ("", "", "[admin]\nurl = \"x\"", "c.toml:10:2: admin: this comes with a later version", "leave it out"),
    (
        "",
        "",
        "[tls.acme]\ncontact = \"x\"",
        "c.toml:10:6: tls.acme: this comes with a later version",
        "leave it out",
    ),
    (
        "",
        "",
        "[store]\nkind = \"redis\"",
        "c.toml:11:8: store.kind: the store \"redis\" comes with a later",
        "SQLite",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nstrip_prefix = \"/x\"",
        "",
        "c.toml:11:1: site.app.strip_prefix: this comes",
        "leave it out",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nupstream = [\"http://a:1\", \"http://b:1\"]",
        "",
        "c.toml:11:27: site.app.upstream: several upstreams come",
        "leave one",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nupstream = \"https://a\"",
        "",
        "c.toml:11:12: site.app.upstream: upstreams by https come",
        "http://127.0.0.1",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\naccept = [\"session\", \"basic\"]",
        "",
        "c.toml:11:22: site.app.accept: \"basic\" comes",
        "leave it out",
    ),
    // Sockets and trust.
    (
        "listen = [\"0.0.0.0:80\"]",
        "",
        "",
        "c.toml:1:11: listen: \"0.0.0.0:80\" cannot be taken",
        "http://127.0.0.1:8080",
    ),
    ("listen = [\"https://[::]:443\"]", "", "", "c.toml:1:11: listen: https needs a certificate", "[tls]"),
    (
        "listen = [\"http://0.0.0.0:80\"]",
        "",
        "",
        "c.toml:1:11: listen: session cookies would cross",
        "trusted_proxies",
    ),
    ("listen = []", "", "", "c.toml:1:10: listen: nobody could connect", "http://"),
    (
        "trusted_proxies = [\"0.0.0.0/0\"]",
        "",
        "",
        "c.toml:1:20: trusted_proxies: 0.0.0.0/0 is a good part of the world",
        "private",
    ),
    ("trusted_proxies = [\"10.0.0.1/8\"]", "", "", "c.toml:1:20: trusted_proxies:", "10.0.0.0/8"),
    (
        "trusted_proxies = [\"unix\"]",
        "",
        "",
        "c.toml:1:19: trusted_proxies: nothing listens on a Unix socket",
        "unix:/run",
    ),
    ("prefix = \"/\"", "", "", "c.toml:1:10: prefix: \"/\" cannot be taken", "/.linkgate"),
    ("secret = \"short\"", "", "", "c.toml:1:10: secret: this secret cannot be used", "openssl rand"),
    (
        "",
        "",
        "[monitor]\nlisten = \"0.0.0.0:9080\"",
        "c.toml:11:10: monitor.listen: 0.0.0.0 can be reached from outside",
        "127.0.0.1",
    ),
    (
        "",
        "",
        "[tls]\ncertificate = \"/nowhere.pem\"",
        "c.toml:11:15: tls.certificate: its key is missing",
        "key =",
    ),
    ("", "", "[log]\nlevel = \"loud\"", "c.toml:11:9: log.level: \"loud\" cannot be taken", "debug"),
    // Sessions and links.
    (
        "",
        "",
        "[session]\nidle = \"60d\"",
        "c.toml:11:8: session.idle: sessions end by session.lifetime",
        "30d",
    ),
    ("", "", "[session]\ncookie = \"__Host-x\"", "c.toml:11:10: session.cookie:", "prefix"),
    (
        "",
        "",
        "[session]\nremember = \"allways\"",
        "c.toml:11:12: session.remember: \"allways\"",
        "\"always\"?",
    ),
    (
        "",
        "",
        "[link]\nlifetime = \"30s\"",
        "c.toml:11:12: link.lifetime: nobody could open a link so fast",
        "at least \"1m\"",
    ),
    (
        "",
        "",
        "[link]\ncode = false\nother_browser = \"code-only\"",
        "c.toml:12:17: link.other_browser: letters carry no code",
        "code = true",
    ),
    ("", "", "[limits]\nask_per_address = \"0/1h\"", "c.toml:11:19: limits.ask_per_address:", "nobody"),
    (
        "",
        "[site.limits]\nconnections = 5",
        "",
        "c.toml:10:1: site.limits.connections: no such key",
        "limits.connections",
    ),
    // Sites and people.
    (
        "",
        "",
        "[[site]]\nurl = \"http://b.example.com\"\nallow = [\"*\"]",
        "c.toml:11:7: site.url: \"http://b.example.com\": over plain http",
        "https://b.example.com",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"",
        "c.toml:10:1: site.allow: nobody can sign in",
        "allow =",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"\nallow = []",
        "c.toml:12:9: site.allow: nobody can sign in",
        "allow =",
    ),
    (
        "",
        "",
        "[[site]]\nurl = \"https://b.example.com\"\nallow = [\"a@b.example\", \"*\"]",
        "c.toml:12:25: site.allow: the other entries mean nothing",
        "alone",
    ),
    ("", "", "[[site]]\nallow = [\"*\"]", "c.toml:10:1: site.url: this is missing", "https://"),
    (
        "",
        "",
        "[[site]]\nname = \"b\"\nurl = \"https://wiki.example.com\"\nallow = [\"*\"]",
        "c.toml:12:7: site.url: wiki.example.com belongs to the site",
        "hosts of its own",
    ),
    (
        "",
        "administrators = [\"group:staf\"]",
        "[groups]\nstaff = [\"a@example.com\"]",
        "c.toml:9:19: site.administrators: there is no group \"staf\"",
        "group:staff",
    ),
    (
        "",
        "administrators = [\"*\"]",
        "",
        "c.toml:9:18: site.administrators: everybody with a mailbox",
        "name people",
    ),
    (
        "",
        "",
        "[[user]]\nemail = \"nobody\"",
        "c.toml:11:9: user.email: \"nobody\" is no address",
        "name@example.com",
    ),
    ("", "language = \"enn\"", "", "c.toml:9:12: site.language: no page speaks \"enn\"", "en"),
    (
        "",
        "[site.look]\naccent = \"blue\"",
        "",
        "c.toml:10:10: site.look.accent: \"blue\" cannot be taken",
        "#0b5c9e",
    ),
    // Apps, routes, headers.
    (
        "",
        "[[site.app]]\nhost = \"https://b.example.com\"",
        "",
        "c.toml:10:8: site.app.host:",
        "the host alone, \"b.example.com\"",
    ),
    (
        "",
        "[[site.app]]\nname = \"b\"",
        "",
        "c.toml:9:1: site.app.host: wiki.example.com belongs to the app",
        "add host",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nallow = []",
        "",
        "c.toml:11:9: site.app.allow: an empty list",
        "leave it out",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nupstream = \"127.0.0.1:1\"",
        "",
        "c.toml:11:12: site.app.upstream:",
        "\"http://127.0.0.1:1\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = \"remot\"",
        "",
        "c.toml:11:12: site.app.identity: \"remot\"",
        "\"remote\"?",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = { Host = \"{user}\" }",
        "",
        "c.toml:11:12: site.app.identity: Host is not ours",
        "X-User",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\nidentity = { X-U = \"{usr}\" }",
        "",
        "c.toml:11:12: site.app.identity: X-U",
        "{user}",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"share\"",
        "",
        "c.toml:12:8: site.app.route.path: \"share\" is no path",
        "\"/share/\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/\"\n[[site.app.route]]\npath = \"/x/\"\naccess = \"public\"",
        "",
        "c.toml:14:8: site.app.route.path: this never matches",
        "in front of",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/.linkgate/x\"",
        "",
        "c.toml:12:8: site.app.route.path: everything below /.linkgate",
        "another path",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\n[[site.app.route]]\npath = \"/x\"\nmethods = [\"get\"]",
        "",
        "c.toml:13:12: site.app.route.methods: \"get\"",
        "\"GET\"",
    ),
    (
        "",
        "[[site.app]]\nhost = \"b.example.com\"\naccess = \"deny\"\nallow = [\"a@example.com\"]",
        "",
        "c.toml:12:9: site.app.allow: with this access nobody",
        "leave out",
    ),
    (
        "listen = [\"http://127.0.0.1:3000\"]",
        "",
        "",
        "c.toml:5:1: site: 127.0.0.1:3000 is linkgate itself",
        "address of the app",
    ),
    // Expectations.
    (
        "",
        "",
        "[[expect]]\nperson = \"nobody\"\nrequest = \"GET https://other.example.com/\"\nresult = \"deny\"",
        "c.toml:12:11: expect.request: no site has the host other.example.com",
        "name a host",
    ),
    (
        "",
        "",
        "[[expect]]\nperson = \"nobody\"\nrequest = \"GET https://wiki.example.com/\"\nresult = \"alow\"",
        "c.toml:13:10: expect.result: \"alow\"",
        "\"allow\"?",
    ),
    (
        "",
        "",
        "[[expect]]\nrequest = \"GET https://wiki.example.com/\"\nresult = \"deny\"",
        "c.toml:10:1: expect.person: this is missing",
        "nobody",
    ),
];

#[test]
fn every_mistake_names_its_place_its_key_and_the_cure() {
    let mut wrong = Vec::new();
    for (before, site, after, start, cure) in BAD {
        let answer = mistakes(&file(before, site, after));
        if !answer.lines().any(|line| line.starts_with(start) && line.contains(cure)) {
            wrong.push(format!("wanted {start} … {cure}\n   got {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(BAD.len() >= 40);
}

#[test]
fn mistakes_of_the_letters_way_name_their_cure() {
    for (mail, wanted) in [
        ("from = \"x\"\nurl = \"memory:\"", "c.toml:2:8: mail.from"),
        ("from = \"a@b.example\"", "c.toml:1:1: mail.url: this is missing"),
        ("from = \"a@b.example\"\nurl = \"smtp+plain://relay.example.com\"", "this machine only"),
        (
            "from = \"a@b.example\"\nurl = \"smtp://relay.example.com\"\nuser = \"x\"",
            "the password of this account is missing",
        ),
        ("from = \"a@b.example\"\nurl = \"memory:\"\nuser = \"x\"", "only SMTP asks for this"),
        (
            "from = \"a@b.example\"\nurl = \"smtp://relay.example.com\"\npassword = \"x\"",
            "whose password is it?",
        ),
        ("from = \"a@b.example\"\nurl = \"smpt://relay.example.com\"", "c.toml:3:7: mail.url"),
    ] {
        let text = format!("[mail]\n{mail}\n[[site]]\nurl = \"https://w.example.com\"\nallow = [\"*\"]\n");
        assert!(mistakes(&text).contains(wanted), "{mail}: {}", mistakes(&text));
    }
    let none = "[[site]]\nurl = \"https://w.example.com\"\nallow = [\"*\"]\n";
    assert!(mistakes(none).contains("[mail] is missing"));
    assert!(try_load(&format!("{none}sign_in = \"invited\"\n")).is_ok());
    assert!(mistakes("").contains("there is no site"));
}

#[test]
fn all_mistakes_are_told_in_one_run_in_the_order_of_the_file() {
    let answer = mistakes(&file("lisen = []\ndrain = \"x\"", "alow = []", "[link]\ncode = 1"));
    let lines: Vec<&str> = answer.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["c.toml:1:1", "c.toml:2:9", "c.toml:10:1", "c.toml:12:8"]);
}

fn with(variables: &[(&str, &str)], credentials: Option<&Path>) -> Environment {
    Environment {
        variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        credentials: credentials.map(Path::to_owned),
        ..Environment::default()
    }
}

#[test]
fn the_environment_overrides_the_file_and_keeps_its_places() {
    let environment = with(
        &[
            ("LINKGATE_CONFIG", "/elsewhere"),
            ("LINKGATE_LISTEN", "http://127.0.0.1:1, http://127.0.0.1:2"),
            ("LINKGATE_MAIL__FROM", "b@example.com"),
            ("LINKGATE_SITE__WIKI_EXAMPLE_COM__UPSTREAM", "http://127.0.0.1:9"),
            ("LINKGATE_SITE__NEWS__URL", "https://news.example.com"),
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

#[test]
fn secrets_come_from_files_and_credentials_and_never_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        GOOD.replace("memory:", "smtp://relay.example.com").replace("[[site]]", "user = \"u\"\n[[site]]");
    fs::write(folder.path().join("mail.password"), "hunter2\n").unwrap();
    let environment = with(&[], Some(folder.path()));
    let (loaded, _) = load_text(&text, Path::new("c.toml"), &environment).unwrap();
    let crate::mail::Transport::Smtp { password, .. } = &loaded.sites[0].mail.as_ref().unwrap().transport
    else {
        panic!("this is SMTP");
    };
    assert_eq!(password.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{loaded:?}").contains("hunter2"));

    let twice = text.replace("user = \"u\"", "user = \"u\"\npassword = \"x\"");
    let error = load_text(&twice, Path::new("c.toml"), &environment).unwrap_err().to_string();
    assert!(error.contains("the systemd credential mail.password gives it as well"), "{error}");

    // The unit hands over the very file that `…_file` names; the file itself may be root's alone.
    let handed = |file: &str| {
        let text = text.replace("user = \"u\"", &format!("user = \"u\"\npassword_file = \"{file}\""));
        load_text(&text, Path::new("c.toml"), &environment).map(|_| ()).map_err(|error| error.to_string())
    };
    handed(&folder.path().join("mail.password").display().to_string()).unwrap();
    handed("/nowhere/to/be/read").unwrap();
    fs::write(folder.path().join("another"), "hunter3").unwrap();
    let error = handed(&folder.path().join("another").display().to_string()).unwrap_err();
    assert!(error.contains("holds another secret than this file"), "{error}");

    let open = folder.path().join("open");
    fs::write(&open, "x").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let filed =
        text.replace("user = \"u\"", &format!("user = \"u\"\npassword_file = \"{}\"", open.display()));
    let error = load_text(&filed, Path::new("c.toml"), &Environment::default()).unwrap_err().to_string();
    assert!(error.contains("everybody on this machine may open") && error.contains("chmod o="), "{error}");
}

#[test]
fn a_site_with_a_relay_of_its_own_never_gets_the_account_of_the_file() {
    let text = "[mail]\nfrom = \"a@b.example\"\nurl = \"smtp://one.example\"\nuser = \"u\"\npassword = \"p\"\n\
                [[site]]\nurl = \"https://w.example.com\"\nallow = [\"*\"]\n[site.mail]\nurl = \"smtp://two.example\"\n";
    let loaded = try_load(text).unwrap();
    let crate::mail::Transport::Smtp { host, user, password, .. } =
        &loaded.sites[0].mail.as_ref().unwrap().transport
    else {
        panic!("this is SMTP");
    };
    assert_eq!((host.as_str(), user.is_none(), password.is_none()), ("two.example", true, true));
}

#[test]
fn the_master_secret_is_made_once_for_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("state_dir = \"{}\"\n{GOOD}", folder.path().display());
    let loaded = try_load(&text).unwrap();
    let random = crate::random::Random::system();
    let made = loaded.master_secrets(&random).unwrap();
    assert_eq!(made[0].expose().len(), 43);
    assert_eq!(made, loaded.master_secrets(&random).unwrap());
    let path = folder.path().join("secret");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(loaded.master_secrets(&random).unwrap_err().contains("chmod 0600"));
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("linkgate.db"), "").unwrap();
    assert!(loaded.master_secrets(&random).unwrap_err().contains("backup"));
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

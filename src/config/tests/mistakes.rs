//! Mistakes of the file as a whole: slips, sockets, trust, sessions, letters.

use super::*;

const BAD: &[Bad] = &[
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
        "[[site.app]]\nhost = \"b.example.com\"\naccept = [\"session\", \"basic\"]",
        "",
        "c.toml:11:22: site.app.accept: \"basic\" comes",
        "as `Authorization: Bearer`",
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
    (
        "proxy_protocol = [\"0.0.0.0/0\"]",
        "",
        "",
        "c.toml:1:19: proxy_protocol: 0.0.0.0/0 is a good part of the world",
        "private",
    ),
    ("proxy_protocol = [\"lb\"]", "", "", "c.toml:1:19: proxy_protocol: \"lb\"", "\"unix\""),
    (
        "proxy_protocol = [\"unix\"]",
        "",
        "",
        "c.toml:1:18: proxy_protocol: nothing listens on a Unix socket",
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
];

#[test]
fn every_mistake_names_its_place_its_key_and_the_cure() {
    all_are_told(BAD);
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
    let invited = format!("{none}sign_in = \"invited\"\n");
    assert!(try_load(&format!("{invited}upstream = \"http://a\"\n")).is_ok());
    assert!(mistakes("").contains("there is no site"));
}

#[test]
fn a_site_for_which_another_proxy_asks_names_the_peers_that_may() {
    let text = |trusted: &str, app: &str| {
        format!(
            "{trusted}\n[mail]\nfrom = \"a@b.example\"\nurl = \"memory:\"\n[[site]]\n\
             url = \"https://w.example.com\"\nallow = [\"*\"]\n{app}"
        )
    };
    let app = |keys: &str| format!("[[site.app]]\nhost = \"b.example.com\"\n{keys}\n");
    for asked in [String::new(), app(""), format!("upstream = \"http://a\"\n{}", app("access = \"public\""))]
    {
        let answer = mistakes(&text("", &asked));
        assert!(answer.starts_with("c.toml:") && answer.contains(": site.upstream: "), "{answer}");
        assert!(answer.contains("add trusted_proxies = [\"127.0.0.1\"]"), "{answer}");
        assert_eq!(answer.lines().count(), 1, "{answer}");
        assert!(mistakes(&text("trusted_proxies = []", &asked)).contains("trusted_proxies"));
        assert!(try_load(&text("trusted_proxies = [\"10.0.0.7\"]", &asked)).is_ok(), "{asked}");
    }
    let route = "[[site.app.route]]\npath = \"/x\"\nupstream = \"http://a\"";
    for forwarded in [app("upstream = \"http://a\""), app(route), app("access = \"deny\"")] {
        assert!(try_load(&text("", &forwarded)).is_ok(), "{forwarded}: {}", mistakes(&text("", &forwarded)));
    }
}

#[test]
fn all_mistakes_are_told_in_one_run_in_the_order_of_the_file() {
    let answer = mistakes(&file("lisen = []\ndrain = \"x\"", "alow = []", "[link]\ncode = 1"));
    let lines: Vec<&str> = answer.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["c.toml:1:1", "c.toml:2:9", "c.toml:10:1", "c.toml:12:8"]);
}

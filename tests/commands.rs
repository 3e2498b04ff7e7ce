//! The command line, as somebody types it: on a configuration and a state of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "state_dir = \"{0}/state\"\n[mail]\nfrom = \"login@example.com\"\nurl = \"folder:{0}/letters\"\n\
             [monitor]\nlisten = \"127.0.0.1:1\"\n\
             [[site]]\nname = \"wiki\"\nurl = \"https://wiki.example.com\"\nupstream = \"http://127.0.0.1:3000\"\n\
             allow = [\"@example.com\", \"users\"]\n{more}",
            folder.path().display()
        );
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(folder.path().join("config.toml"), text).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(assert_cmd::cargo::cargo_bin!("linkgate"))
            .env_clear()
            .arg("--config")
            .arg(self.file("config.toml"))
            .args(arguments)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(arguments)).unwrap()
    }

    #[track_caller]
    fn bad(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stdout.is_empty(), "complaints belong on standard error");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn check_says_good_and_names_every_mistake_with_exit_2() {
    let expect = "[[expect]]\nperson = \"nobody\"\nrequest = \"GET https://wiki.example.com/\"\nresult = \"sign-in\"\n";
    assert!(Place::new(expect).good(&["check"]).contains("good; 1 site, 1 app, 1 expectation met"));
    let wrong = Place::new("alow = []\n[lnik]\n").bad(&["check"], 2);
    assert!(wrong.contains(":12:1: site.alow: no such key; did you mean \"allow\"?"), "{wrong}");
    assert!(wrong.contains(":13:2: lnik: no such key"), "{wrong}");
    let unmet = Place::new(&expect.replace("sign-in", "allow")).bad(&["check"], 2);
    assert!(unmet.contains("expected allow for nobody, but the answer is sign-in"), "{unmet}");
    let empty = Place::new("");
    fs::remove_file(empty.file("config.toml")).unwrap();
    let gone = empty.bad(&["check"], 2);
    assert!(gone.contains("linkgate init"), "{gone}");
}

#[test]
fn explain_names_site_app_rule_and_reason() {
    let place = Place::new(
        "[[site.app]]\nhost = \"photos.example.com\"\nupstream = \"http://127.0.0.1:2342\"\n\
         [[site.app.route]]\npath = \"/share/\"\naccess = \"public\"\n",
    );
    let said = place.good(&["explain", "a@example.com", "GET https://photos.example.com/share/x"]);
    for part in [
        "result    allow",
        "site      wiki",
        "app       photos",
        "route 1, path /share/: public",
        "http://127.0.0.1:2342",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = place.json(&["explain", "b@other.example", "GET https://wiki.example.com/", "--json"]);
    assert_eq!(said["result"], "deny");
    assert!(said["why"].as_str().unwrap().contains("no entry of the allow of site \"wiki\""), "{said}");
    let said = place.json(&["explain", "nobody", "https://wiki.example.com/", "--json"]);
    assert_eq!(said["result"], "sign-in");
    assert!(place.bad(&["explain", "nobody", "GET wiki"], 2).contains("no address"));
}

#[test]
fn a_link_is_made_listed_and_revoked() {
    let place = Place::new("");
    let made =
        place.json(&["link", "create", "a@example.com", "--expires", "30m", "--note", "for Anna", "--json"]);
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("https://wiki.example.com/.linkgate/verify?token="), "{link}");
    assert_eq!(made["single_use"], true);
    let listed = place.json(&["link", "list", "--state", "active", "--json"]);
    assert_eq!(listed[0]["id"], made["id"]);
    assert!(!listed.to_string().contains(link.split("token=").nth(1).unwrap()));
    assert!(place.good(&["link", "list"]).contains("for Anna"));
    let id = made["id"].as_str().unwrap();
    assert_eq!(place.good(&["link", "revoke", id]), "1 revoked\n");
    assert_eq!(place.json(&["link", "list", "--json"])[0]["state"], "revoked");
    let secret = fs::metadata(place.file("state/secret")).unwrap().permissions().mode();
    assert_eq!(secret & 0o777, 0o600);
}

#[test]
fn a_person_whom_no_rule_lets_in_gets_no_link_but_the_line_to_add() {
    let place = Place::new("");
    let why = place.bad(&["link", "create", "b@other.example"], 1);
    assert!(why.contains("allow = [\"b@other.example\"]"), "{why}");
    assert!(place.bad(&["link", "create", "b@other"], 2).contains("domain name"));
    assert!(place.bad(&["link", "create", "a@example.com", "--expires", "soon"], 2).contains("15m"));
    assert!(
        place
            .bad(&["link", "create", "a@example.com", "--site", "wikki"], 2)
            .contains("did you mean \"wiki\"?")
    );
    assert!(place.bad(&["link", "revoke"], 2).contains("--all"));
}

#[test]
fn people_are_added_changed_listed_and_removed() {
    let place = Place::new("[groups]\nstaff = [\"a@example.com\"]\n");
    place.good(&["user", "add", "b@other.example", "--name", "Bob", "--groups", "guests"]);
    assert!(place.bad(&["user", "add", "b@other.example"], 1).contains("user set"));
    assert!(
        place
            .bad(&["user", "set", "b@other.example", "--groups", "staff"], 1)
            .contains("belongs to the file")
    );
    place.good(&["link", "create", "b@other.example"]);
    place.good(&["user", "set", "b@other.example", "--until", "2099-12-31", "--disable"]);
    let people = place.json(&["user", "list", "--json"]);
    assert_eq!(people[0]["name"], "Bob");
    assert_eq!(people[0]["disabled"], true);
    assert_eq!(people[0]["until"], "2100-01-01T00:00:00Z");
    place.bad(&["link", "create", "b@other.example"], 1);
    place.good(&["user", "remove", "b@other.example"]);
    place.bad(&["user", "remove", "b@other.example"], 1);
    assert_eq!(place.json(&["user", "list", "--json"]), Value::Array(Vec::new()));
}

#[test]
fn a_trial_letter_arrives_and_the_queue_is_shown() {
    let place = Place::new("");
    assert!(place.good(&["mail", "test", "a@example.com"]).starts_with("taken by "));
    assert_eq!(fs::read_dir(place.file("letters")).unwrap().count(), 1);
    place.good(&["link", "create", "a@example.com", "--send"]);
    let queue = place.json(&["mail", "queue", "--json"]);
    assert_eq!(queue[0]["state"], "waiting");
    let id = queue[0]["id"].as_str().unwrap();
    assert_eq!(place.good(&["mail", "queue", "drop", id]), "1 dropped\n");
    assert_eq!(place.good(&["mail", "queue", "retry"]), "0 waiting again\n");
}

#[test]
fn keys_rotate_and_at_once_end_every_link() {
    let place = Place::new("");
    place.good(&["link", "create", "a@example.com", "--expires", "never"]);
    assert!(place.good(&["key", "rotate"]).contains("believed until"));
    assert_eq!(place.json(&["link", "list", "--state", "active", "--json"]).as_array().unwrap().len(), 1);
    assert!(place.good(&["key", "rotate", "--now"]).contains("every link has ended"));
    assert_eq!(place.json(&["link", "list", "--state", "active", "--json"]).as_array().unwrap().len(), 0);
}

#[test]
fn the_small_commands_do_what_they_say() {
    let place = Place::new("");
    assert!(place.good(&["store", "cleanup"]).starts_with("removed: "));
    assert_eq!(place.json(&["session", "list", "--json"]), Value::Array(Vec::new()));
    assert_eq!(place.good(&["session", "revoke", "--email", "a@example.com"]), "0 ended\n");
    assert!(place.bad(&["health"], 1).contains("/readyz"));
    assert!(place.good(&["completions", "bash"]).contains("linkgate"));
    assert!(place.good(&["man"]).contains(".TH linkgate"));
    place.bad(&["nonsense"], 2);
}

#[test]
fn init_writes_a_configuration_that_check_likes_and_overwrites_nothing() {
    let place = Place::new("");
    let (file, state) = (place.file("new.toml"), place.file("new-state"));
    let (file, state) = (file.to_str().unwrap(), state.to_str().unwrap());
    let flags = [
        "--config",
        file,
        "init",
        "--url",
        "https://a.example.com",
        "--upstream",
        "http://127.0.0.1:3000",
        "--allow",
        "@example.com,b@other.example",
        "--from",
        "A \"B\" <a@example.com>",
        "--mail-url",
        "memory:",
        "--state-dir",
        state,
    ];
    let run = |arguments: &[&str]| {
        Command::new(assert_cmd::cargo::cargo_bin!("linkgate")).env_clear().args(arguments).output().unwrap()
    };
    let made = run(&flags);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(run(&["--config", file, "check"]).status.success());
    assert!(fs::metadata(place.file("new-state/secret")).is_ok());
    assert_eq!(run(&flags).status.code(), Some(2));
    let missing = run(&["--config", "/nowhere/x.toml", "init"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--url is missing"));
}

#[test]
fn the_environment_names_the_file_and_overrides_it() {
    let place = Place::new("");
    let output = Command::new(assert_cmd::cargo::cargo_bin!("linkgate"))
        .env_clear()
        .env("LINKGATE_CONFIG", place.file("config.toml"))
        .env("LINKGATE_SITE__WIKI__ALOW", "x")
        .arg("check")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(
            "environment variable LINKGATE_SITE__WIKI__ALOW: there is no key \"alow\"; did you mean ALLOW?"
        ),
        "{said}"
    );
}

#[test]
fn a_store_moves_to_a_machine_with_the_same_secret_and_to_no_other() {
    let (old, new) = (Place::new(""), Place::new(""));
    let made = old.json(&["link", "create", "a@example.com", "--expires", "never", "--json"]);
    old.good(&["link", "create", "a@example.com", "--send"]);
    let file = old.file("store.export");
    let file = file.to_str().unwrap();
    let said = old.run(&["store", "export", file]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("exported: 2 links, 0 sessions"), "{said}");
    assert!(said.contains("not exported: 1 letters"), "{said}");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(file).unwrap();
    let secret = fs::read_to_string(old.file("state/secret")).unwrap();
    assert!(!text.contains(secret.trim()) && text.starts_with("{\"linkgate\":\"store\",\"format\":2,"));
    assert!(old.bad(&["store", "export", file], 1).contains("nothing is written over"));
    assert_eq!(fs::read_to_string(file).unwrap(), text);

    let why = new.bad(&["store", "import", file], 1);
    assert!(why.contains("copy the file of the old machine"), "{why}");
    assert!(!new.file("state/secret").exists(), "and none was made");
    let (first, rest) = secret.trim().split_at(1);
    let other = format!("{}{rest}", if first == "A" { "B" } else { "A" });
    let write = |secret: &str| {
        fs::write(new.file("state/secret"), secret).unwrap();
        fs::set_permissions(new.file("state/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&other);
    assert!(new.bad(&["store", "import", file], 1).contains("another master secret"));
    write(&secret);

    // A file that was cut off, or changed on its way, leaves everything as it was.
    let cut = new.file("cut");
    fs::write(&cut, text.rsplit_once("{\"end\"").unwrap().0).unwrap();
    assert!(new.bad(&["store", "import", cut.to_str().unwrap()], 1).contains("cut off; export again"));
    fs::write(&cut, text.replacen("\"uses\":", "\"usages\":", 1)).unwrap();
    let wrong = new.bad(&["store", "import", cut.to_str().unwrap()], 1);
    assert!(wrong.contains("line ") && wrong.contains("unknown field `usages`"), "{wrong}");
    assert!(!new.file("state/linkgate.db").exists(), "the store was not even opened");

    assert!(new.good(&["store", "import", file]).starts_with("imported: 2 links"));
    let listed = new.json(&["link", "list", "--json"]);
    assert_eq!(listed[1]["id"], made["id"]);
    let why = new.bad(&["store", "import", file], 1);
    assert!(why.contains("not empty (2 links"), "{why}");
}

#[test]
fn a_store_moves_through_a_pipe_and_people_alone_under_another_secret() {
    let (old, new) = (Place::new(""), Place::new(""));
    old.good(&["user", "add", "b@other.example", "--name", "Bob"]);
    let text = old.good(&["store", "export", "-"]);
    assert!(text.ends_with("}}\n") && text.lines().last().unwrap().starts_with("{\"end\""));
    let piped = Command::new(assert_cmd::cargo::cargo_bin!("linkgate"))
        .env_clear()
        .arg("--config")
        .arg(new.file("config.toml"))
        .args(["store", "import", "--other-secret", "-"])
        .write_stdin(text)
        .output()
        .unwrap();
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(String::from_utf8_lossy(&piped.stderr).contains("everybody has to sign in again"));
    assert!(new.good(&["user", "list"]).contains("Bob"));
    let left: Vec<_> = fs::read_dir(new.file("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("import")), "{left:?}");
}

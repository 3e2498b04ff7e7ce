//! Secrets: where they come from, who may read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

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
                [[site]]\nurl = \"https://w.example.com\"\nallow = [\"*\"]\n\
                upstream = \"http://a\"\n[site.mail]\nurl = \"smtp://two.example\"\n";
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

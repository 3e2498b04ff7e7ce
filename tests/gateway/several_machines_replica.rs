//! A command that takes something away says that it is done only where a replica has confirmed it.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::gateway::Gateway;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;

/// What it said on standard output, on standard error, and how it ended.
async fn said(machine: &Gateway, command: &[&str]) -> (String, String, Option<i32>) {
    let output = machine.command(command).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test]
async fn a_command_whose_revocation_no_replica_confirms_says_so_and_said_again_it_is_confirmed() {
    let redis = Redis::start().await;
    let replica = redis.replica().await;
    let app = App::start().await;
    let several =
        Several::with(&Plan { machines: 1, timeout: "1s", ..Plan::new(&|_| redis.port, &app.url()) }).await;
    let machine = &several.machines[0];
    let alice = Browser::new();
    several.sign_in(&alice, ALICE).await;
    machine.run(&["user", "add", "carol@example.org"]).await;
    machine.run(&["user", "add", "dave@example.org"]).await;
    let made = machine.run(&["link", "create", ALICE, "--expires", "30m", "--json"]).await;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let link = made["id"].as_str().unwrap();

    let commands = [
        &["session", "revoke", "--email", ALICE][..],
        &["link", "revoke", link],
        &["user", "set", "carol@example.org", "--disable"],
        &["user", "remove", "dave@example.org"],
    ];
    replica.signal("STOP");
    for command in commands {
        let (out, err, code) = said(machine, command).await;
        assert_eq!((out.as_str(), code), ("", Some(1)), "{command:?}: {err}");
        for part in ["in force", "no replica has confirmed", "store.replicas", "say it again"] {
            assert!(err.contains(part), "{command:?}: {err}");
        }
        // Said again it is no more confirmed than before.
        let (out, err, code) = said(machine, command).await;
        assert_eq!((out.as_str(), code), ("", Some(1)), "{command:?} again: {err}");
        assert!(err.contains("no replica has confirmed"), "{command:?} again: {err}");
    }
    assert_ne!(several.status_at(0, &alice).await, 200, "in force it is");

    replica.signal("CONT");
    for command in &commands[..3] {
        let (_, err, code) = said(machine, command).await;
        assert_eq!(code, Some(0), "{command:?}: {err}");
    }
    let (_, err, code) = said(machine, commands[3]).await;
    assert!(code == Some(1) && err.contains("not in the store"), "{err}");
    assert_eq!(replica.cli(&["zcard", "linkgate:{standing}:revoked"]).trim(), "1", "and the replica has it");
    assert_eq!(replica.cli(&["hlen", "linkgate:{standing}:people"]).trim(), "1");
}

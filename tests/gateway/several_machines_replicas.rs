//! What a master and its replica owe to people who sign in: nobody comes in on a word that no replica has heard, and what a
//! page promised outlives the master. Real servers; the replica is stopped, the master killed.

use crate::harness::app::App;
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::line::Line;
use crate::harness::line::Weather;
use crate::harness::process::crowd;
use crate::harness::several::ALICE;
use crate::harness::several::Plan;
use crate::harness::several::Redis;
use crate::harness::several::Several;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// Whom no rule lets in; as long as [`ALICE`].
const STRANGER: &str = "mallo@elsewhere.test";

/// A master, its replica, and machines that ask the master.
struct Pair {
    master: Redis,
    replica: Redis,
    several: Several,
    _app: App,
}

impl Pair {
    async fn start(machines: usize) -> Self {
        let (master, app) = (Redis::start().await, App::start().await);
        let replica = master.replica().await;
        let several =
            Several::with(&Plan { machines, timeout: "2s", ..Plan::new(&|_| master.port, &app.url()) }).await;
        Self { master, replica, several, _app: app }
    }
}

#[tokio::test]
async fn a_redemption_that_no_replica_confirmed_lets_in_at_no_later_click_before_one_has() {
    let Pair { master: _master, replica, several, _app } = Pair::start(1).await;
    let alice = Browser::new();
    let link = several.ask(&alice, ALICE).await;
    replica.signal("STOP");
    alice.visit(&link).await.expect(503);
    // The link says that it is used, and by which session: no reason to hand that session out.
    for click in ["second", "third"] {
        alice.visit(&link).await.expect(503);
        assert_eq!(several.status_at(0, &alice).await, 303, "not signed in by the {click} click");
    }
    // What the page says to do helps as soon as the replica hears again.
    replica.signal("CONT");
    alice.follow(&link).await.expect(200);
    assert_eq!(several.status_at(0, &alice).await, 200);
    // It was spent once: nobody else comes in by it.
    Browser::new().visit(&link).await.expect(410);
}

/// The status of three asks for a letter to this address, and how long the quickest took.
async fn asked(several: &Several, email: &str) -> ([u16; 3], Duration) {
    let (mut statuses, mut quickest) = ([0; 3], Duration::MAX);
    for status in &mut statuses {
        let began = Instant::now();
        *status = several.at(0, "POST /.linkgate/login", &format!("{{\"email\":\"{email}\"}}")).await.status;
        quickest = quickest.min(began.elapsed());
    }
    (statuses, quickest)
}

#[tokio::test]
async fn a_letter_that_no_replica_has_is_promised_to_nobody_and_whether_one_is_sent_shows_in_nothing() {
    let Pair { master: _master, replica, several, _app } = Pair::start(1).await;
    for (signal, status) in [("CONT", 202), ("STOP", 503), ("CONT", 202)] {
        replica.signal(signal);
        eventually("the replica is heard, or is not", async || {
            let heard =
                several.at(0, "POST /.linkgate/login", "{\"email\":\"bob@example.com\"}").await.status;
            (heard == status).then_some(())
        })
        .await;
        let before = several.mailbox.count();
        let (alice, stranger) = (asked(&several, ALICE).await, asked(&several, STRANGER).await);
        assert_eq!((alice.0, stranger.0), ([status; 3], [status; 3]), "{signal}");
        let differ = alice.1.abs_diff(stranger.1);
        let noise = Duration::from_millis(150).mul_f64(crowd().max(1.0));
        assert!(differ < noise, "{signal}: {:?} for a person, {:?} for a stranger", alice.1, stranger.1);
        if status == 202 {
            eventually("what was promised is sent", async || {
                let to_alice = several.mailbox.all().iter().filter(|letter| letter.to == ALICE).count();
                (to_alice == if before < 4 { 3 } else { 6 }).then_some(())
            })
            .await;
        }
    }
    assert!(several.mailbox.all().iter().all(|letter| letter.to != STRANGER));
}

/// A program like sendmail that takes a letter and says so as soon as there is a file named `go`.
fn slow_sendmail(folder: &Path) -> String {
    let program = folder.join("sendmail");
    let shown = folder.display();
    let script = format!(
        "#!/bin/sh\ncat > {shown}/$$.part\ntouch {shown}/taken\nwhile [ ! -e {shown}/go ]; do sleep 0.05; done\n\
         mv {shown}/$$.part {shown}/$$.eml\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    format!("sendmail:{}", program.display())
}

#[tokio::test]
async fn a_letter_whose_master_dies_while_it_is_sent_is_sent_once_and_the_next_master_learns_that_it_was() {
    let (master, app, mail) = (Redis::start().await, App::start().await, tempfile::tempdir().unwrap());
    // The replica hears the master by a line, which can be cut; machines find the one or the other behind one address.
    let heard = Line::to(vec![master.port]).await;
    let replica = master.replica().await;
    replica.cli(&["replicaof", "127.0.0.1", &heard.port.to_string()]);
    eventually("the replica follows by the line", async || {
        let well = replica.cli(&["info", "replication"]).contains("master_link_status:up")
            && master.cli(&["info", "replication"]).contains("state=online");
        well.then_some(())
    })
    .await;
    let found = Line::to(vec![master.port, replica.port]).await;
    found.aim(0);
    let program = slow_sendmail(mail.path());
    let several = Several::with(&Plan {
        machines: 2,
        timeout: "2s",
        mail: &|_| program.clone(),
        ..Plan::new(&|_| found.port, &app.url())
    })
    .await;
    assert_eq!(asked_once(&several).await, 202);
    eventually("somebody sends it", async || mail.path().join("taken").exists().then_some(())).await;
    let link = master.cli(&["--scan", "--pattern", "linkgate:{l:*}"]).trim().to_owned();
    let state = |redis: &Redis| redis.cli(&["hget", &link, "letter.state"]).trim().to_owned();
    assert_eq!((state(&master), state(&replica)), ("1".to_owned(), "1".to_owned()), "whose it is, both know");

    heard.is(Weather::Silent);
    std::fs::write(mail.path().join("go"), "").unwrap();
    eventually("who sent it has told the master, and waits for no replica any more", async || {
        (master.cli(&["zcard", "linkgate:{letters}"]).trim() == "0").then_some(())
    })
    .await;
    assert_eq!((state(&master), state(&replica)), ("3".to_owned(), "1".to_owned()));
    master.kill();
    heard.is(Weather::Cut);
    replica.cli(&["replicaof", "no", "one"]);
    found.aim(1);
    eventually("the next master is told", async || (state(&replica) == "3").then_some(())).await;
    let letters = std::fs::read_dir(mail.path()).unwrap().flatten();
    let sent = letters.filter(|entry| entry.path().extension().is_some_and(|end| end == "eml")).count();
    assert_eq!(sent, 1);
    assert_eq!(
        replica.cli(&["hexists", &link, "letter.sealed"]).trim(),
        "0",
        "there is nothing to send any more"
    );
}

async fn asked_once(several: &Several) -> u16 {
    several.at(0, "POST /.linkgate/login", &format!("{{\"email\":\"{ALICE}\"}}")).await.status
}

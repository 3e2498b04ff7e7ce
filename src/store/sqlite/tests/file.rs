//! The file: its making, its age, its mode, and what a killed process leaves behind.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use super::{Bench, open};
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::identity::SessionId;
use crate::identity::Unsaid;
use crate::random::Random;
use crate::store::{LinkFilter, NewLetter, NewLink, Settings, Store, StoreError};

#[tokio::test]
async fn an_empty_file_becomes_a_store_that_only_its_owner_reads() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    for name in ["linkgate.db", "linkgate.db-wal", "linkgate.db-shm"] {
        let mode = std::fs::metadata(bench.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(bench.another().list_links(LinkFilter::default()).await.unwrap().len(), 1);
    let epochs = bench.store.snapshot().await.unwrap().epochs;
    assert_eq!(
        bench.another().snapshot().await.unwrap().epochs,
        epochs,
        "only the first opening begins an epoch"
    );
}

#[test]
fn a_file_of_a_newer_linkgate_is_refused_with_the_cure_and_left_alone() {
    let bench = Bench::new();
    let file = bench.folder.path().join("linkgate.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open(&bench.folder, &bench.clock).unwrap_err();
    assert!(error.to_string().contains("schema 99"), "{error}");
    assert!(error.to_string().contains("install that version"), "{error}");
    let version: i64 =
        Connection::open(&file).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[tokio::test]
async fn a_file_of_an_older_linkgate_becomes_one_of_today_and_keeps_everything() {
    let bench = Bench::new();
    let session = bench.signed_in(1).await;
    bench.store.put_link(bench.link(2), None).await.unwrap();
    let before = bench.store.snapshot().await.unwrap();
    // What schema-2.sql added is taken away again.
    let file = Connection::open(bench.folder.path().join("linkgate.db")).unwrap();
    file.execute_batch("DROP TABLE refused; PRAGMA user_version = 1").unwrap();
    let today = bench.another();
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
    assert_eq!(today.snapshot().await.unwrap().epochs, before.epochs);
    assert_eq!(today.session(session).await.unwrap().unwrap().id, session);
    assert_eq!(today.list_links(LinkFilter::default()).await.unwrap().len(), 2);
    let lost = SessionId::new(&Random::system());
    assert!(today.refuse_session(lost, bench.in_minutes(60)).await.unwrap());
    assert!(today.snapshot().await.unwrap().revoked.iter().any(|(id, _)| *id == lost));
}

#[tokio::test]
async fn what_could_not_be_written_when_it_ended_is_written_when_it_is_told() {
    let bench = Bench::new();
    let (session, alice) = (bench.signed_in(1).await, crate::store::contract::alice());
    bench.store.raise_generation("wiki", &alice).await.unwrap();
    let second = bench.signed_in(2).await;
    let unsaid = |generation| Unsaid {
        revoked: vec![(second, bench.in_minutes(60))],
        generations: vec![("wiki".to_owned(), alice.clone(), generation)],
        epochs: Vec::new(),
    };
    assert_eq!(bench.store.unite(&unsaid(3)).await.unwrap(), 2);
    assert_eq!(bench.store.unite(&unsaid(2)).await.unwrap(), 0, "said already, and never lower");
    let snapshot = bench.another().snapshot().await.unwrap();
    assert_eq!(snapshot.people[0].generation, 3);
    for ended in [session, second] {
        assert!(snapshot.revoked.iter().any(|(id, _)| *id == ended));
    }
}

#[test]
fn another_programs_file_and_no_database_at_all_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let file = folder.path().join("linkgate.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(open(&folder, &clock).unwrap_err(), StoreError::Invalid(_)));
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    assert!(matches!(open(&folder, &clock).unwrap_err(), StoreError::Corrupt(_)));
    let nowhere = Settings::Sqlite { path: folder.path().join("missing/linkgate.db") };
    let error = Store::open(&nowhere, &clock, &Random::system()).unwrap_err();
    assert!(error.to_string().contains("state_dir"), "{error}");
}

#[tokio::test]
async fn a_delivered_letter_leaves_no_body_in_the_file() {
    let bench = Bench::new();
    let letter = NewLetter { sealed: b"a body to be erased".repeat(400), ..bench.letter("letter-1") };
    bench.store.put_link(bench.link(1), Some(letter)).await.unwrap();
    bench.store.lease_letters(1, Duration::from_mins(1), "a").await.unwrap();
    bench.store.letter_sent("letter-1", "a").await.unwrap();
    let file = bench.folder.path().join("linkgate.db");
    let other = Connection::open(&file).unwrap();
    let mode: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, 0);
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(8).any(|w| w == b"a body t"));
}

#[tokio::test]
async fn a_sweep_removes_links_a_week_after_they_ended_and_nothing_that_counts() {
    let bench = Bench::new();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let forever = NewLink { expires_at: None, uses: None, ..bench.link(2) };
    bench.store.put_link(forever, None).await.unwrap();
    bench.signed_in(3).await;
    bench.days(7);
    assert_eq!(bench.store.sweep().await.unwrap().links, 1, "the one that was used; the other ended later");
    bench.minutes(10);
    assert_eq!(bench.store.sweep().await.unwrap().links, 1);
    assert_eq!(bench.store.sweep().await.unwrap().links, 0);
    bench.days(300);
    bench.store.sweep().await.unwrap();
    let left = bench.store.list_links(LinkFilter::default()).await.unwrap();
    assert_eq!(left.iter().map(|l| l.id.as_str()).collect::<Vec<_>>(), ["link-2"]);
}

#[tokio::test]
async fn while_another_process_writes_for_too_long_the_store_says_that_it_is_away() {
    let bench = Bench::new();
    let other = Connection::open(bench.folder.path().join("linkgate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = bench.store.put_link(bench.link(1), None).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Away(why) if why.contains("another process")), "{refused}");
    assert!(bench.store.peek_link([1; 32]).await.unwrap().is_none(), "reading goes on meanwhile");
    other.execute_batch("ROLLBACK").unwrap();
    bench.store.put_link(bench.link(1), None).await.unwrap();
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::sqlite::tests::file::every_answer_comes_after_the_commit", "--nocapture"])
        .env(CHILD, folder.path().join("linkgate.db"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut answered = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while answered.len() < 200 {
        let line = lines.next().unwrap().unwrap();
        answered.extend(line.strip_prefix("answered ").map(str::to_owned));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    answered
        .extend(lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("answered ").map(str::to_owned)));
    let store = open(&folder, &Clock::system()).unwrap();
    let kept: std::collections::HashSet<String> =
        store.list_links(LinkFilter::default()).await.unwrap().into_iter().map(|link| link.id).collect();
    assert!(answered.iter().all(|id| kept.contains(id)));
    assert_eq!(store.list_letters().await.unwrap().len(), kept.len(), "each link with its letter");
}

/// Names the file that a second process of this test binary writes to until it is killed.
const CHILD: &str = "LINKGATE_TEST_CHILD";

/// By itself: what was answered is there for another handle. As the other process of the test above: goes on until it
/// is killed, and says what was answered.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test above names the file to its other process")]
async fn every_answer_comes_after_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let given = std::env::var_os(CHILD);
    let count = if given.is_some() { 1_000_000 } else { 3 };
    let path = given.map_or_else(|| folder.path().join("linkgate.db"), std::path::PathBuf::from);
    let settings = Settings::Sqlite { path };
    let store = Store::open(&settings, &Clock::system(), &Random::system()).unwrap();
    let bench = Bench::new();
    println!();
    for number in 0..count {
        let mut token_hash = [0; 32];
        token_hash[..4].copy_from_slice(&u32::to_be_bytes(number));
        let id = format!("link-{number}");
        let expires_at = Some(Timestamp::from_seconds(4_000_000_000));
        let mut letter = bench.letter(&id);
        letter.expires_at = expires_at;
        let link = NewLink { id: id.clone(), token_hash, expires_at, ..bench.link(0) };
        store.put_link(link, Some(letter)).await.unwrap();
        println!("answered {id}");
    }
    let other = Store::open(&settings, &Clock::system(), &Random::system()).unwrap();
    assert_eq!(other.list_links(LinkFilter::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_panicking_command_costs_itself_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let sqlite = super::super::Sqlite::open(&folder.path().join("a.db"), &clock, &Random::system()).unwrap();
    let boom = sqlite.writer.ask(|tx| -> Result<(), StoreError> {
        tx.execute("DELETE FROM epochs", [])?;
        panic!("boom")
    });
    assert!(matches!(boom.await, Err(StoreError::Away(_))));
    let boom = sqlite.reader.ask(|_| -> Result<(), StoreError> { panic!("boom") });
    assert!(matches!(boom.await, Err(StoreError::Away(_))));
    assert_eq!(sqlite.snapshot().await.unwrap().epochs.len(), 1, "and what it did is undone");
}

#[tokio::test]
async fn a_full_disk_undoes_the_group_and_says_so_and_room_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let sqlite = super::super::Sqlite::open(&folder.path().join("a.db"), &clock, &Random::system()).unwrap();
    let pages = |most: &'static str| sqlite.writer.ask(move |tx| Ok(tx.execute_batch(most)?));
    pages("PRAGMA max_page_count = 10").await.unwrap();
    let small = sqlite.writer.ask(|tx| Ok(tx.execute("DELETE FROM epochs", [])?));
    let large = sqlite.writer.ask(|tx| {
        tx.execute_batch("CREATE TABLE big (x); INSERT INTO big VALUES (zeroblob(9000000))")?;
        Ok(())
    });
    let (_, large) = tokio::join!(small, large);
    assert!(matches!(large, Err(StoreError::Away(why)) if why.contains("full")));
    pages("PRAGMA max_page_count = 1000000").await.unwrap();
    sqlite.rotate_keys(false, clock.now() + Duration::from_hours(1)).await.unwrap();
    assert!(sqlite.snapshot().await.unwrap().epochs.len() <= 2);
}

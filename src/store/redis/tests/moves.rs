//! Moving into Redis, where an earlier attempt was killed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::harness::{Server, cli, settings};
use crate::identity::StoredPerson;
use crate::store::contract::{Bench, alice};
use crate::store::transfer::{Delivery, Moved, MovedEpoch, MovedEvent, MovedPerson};
use crate::store::{AuditEvent, AuditFilter, LinkFilter, RedisSettings, SessionFilter, Settings, StoreError};

#[tokio::test]
async fn what_a_killed_import_left_counts_nowhere_and_is_removed_by_the_next_one() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    // As far as it came: records, and what was laid ready, under the note that an import is under way.
    bench.signed_in(1).await;
    bench.store.put_link(bench.link(2), None).await.unwrap();
    let people = "linkgate:{standing}:import.people";
    assert_eq!(cli(port, &["SET", "linkgate:{standing}:import", "half"]).trim(), "OK");
    assert_eq!(cli(port, &["HSET", people, "x", "y"]).trim(), "1");
    assert!(bench.store.snapshot().await.unwrap().people.is_empty(), "what is laid ready counts nowhere");

    let created_at = bench.clock.now();
    let epoch = MovedEpoch { id: "0a0b0c0d".to_owned(), created_at, accepted_until: None };
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Records(vec![Moved::Epoch(epoch)])).await.unwrap();
    sender.send(Delivery::Complete).await.unwrap();
    bench.store.import(receiver).await.unwrap();
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty());
    assert!(bench.store.list_sessions(SessionFilter::default()).await.unwrap().is_empty());
    let snapshot = bench.store.snapshot().await.unwrap();
    assert_eq!(snapshot.epochs.first().map(|epoch| epoch.id.as_str()), Some("0a0b0c0d"));
    assert_eq!(snapshot.epochs.len(), 1);
    assert_eq!(cli(port, &["EXISTS", people]).trim(), "0");
    // Without such a note nothing is ever removed: what is there hinders.
    bench.store.put_link(bench.link(3), None).await.unwrap();
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Complete).await.unwrap();
    let refused = bench.store.import(receiver).await.unwrap_err();
    assert!(refused.to_string().contains("not empty (1 links"), "{refused}");
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_in_use_is_removed_by_no_import_whatever_an_earlier_one_left() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    let links = async || bench.store.list_links(LinkFilter::default()).await.unwrap().len();
    // A note that an import was broken off; then a gateway runs, which sweeps.
    cli(port, &["SET", "linkgate:{standing}:import", "half"]);
    bench.store.sweep().await.unwrap();
    bench.store.put_link(bench.link(1), None).await.unwrap();
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Complete).await.unwrap();
    let refused = bench.store.import(receiver).await.unwrap_err();
    assert!(refused.to_string().contains("not empty (1 links"), "{refused}");
    assert_eq!(links().await, 1);
}

#[tokio::test]
async fn an_import_that_fails_removes_nothing_of_another_that_came_after_it() {
    let server = Server::on_port(&[]);
    let port = server.port;
    let bench = Bench::of(Settings::Redis(settings(&format!("redis://127.0.0.1:{port}"))), server);
    let (sender, receiver) = mpsc::channel(1);
    let slow = tokio::spawn({
        let store = bench.store.clone();
        async move { store.import(receiver).await }
    });
    // Both are taken once the import is under way: the channel holds one.
    for _ in 0..2 {
        sender.send(Delivery::Records(Vec::new())).await.unwrap();
    }
    cli(port, &["SET", "linkgate:{standing}:import", "done another"]);
    bench.store.put_link(bench.link(1), None).await.unwrap();
    drop(sender);
    slow.await.unwrap().unwrap_err();
    assert_eq!(bench.store.list_links(LinkFilter::default()).await.unwrap().len(), 1);
}

/// What becomes of what is asked, and of all that is answered after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It arrives; nothing on this connection is answered any more.
    Answer,
    /// It never arrives.
    Ask,
    /// It arrives; nothing is answered any more on any connection, as long as the line lives.
    Everything,
}

/// A line to a Redis that loses, once, what is asked with all of these words in it; and then falls silent.
struct Lossy {
    port: u16,
}

impl Lossy {
    fn to(port: u16, words: &'static [&'static str], loss: Loss) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (over, silence) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let deaf = Arc::new(AtomicBool::new(false));
                let (mut asks, mut asked) = (here.try_clone().unwrap(), there.try_clone().unwrap());
                let (hears_nothing, once, silent) =
                    (Arc::clone(&deaf), Arc::clone(&over), Arc::clone(&silence));
                carry(&mut asks, &mut asked, move |piece| {
                    let text = String::from_utf8_lossy(piece);
                    let meant = words.iter().all(|word| text.contains(word));
                    if meant && !once.swap(true, Ordering::SeqCst) {
                        hears_nothing.store(true, Ordering::SeqCst);
                        silent.store(loss == Loss::Everything, Ordering::SeqCst);
                        return loss != Loss::Ask;
                    }
                    true
                });
                let silent = Arc::clone(&silence);
                let (mut answers, mut here) = (there, here);
                carry(&mut answers, &mut here, move |_| {
                    !deaf.load(Ordering::SeqCst) && !silent.load(Ordering::SeqCst)
                });
            }
        });
        Self { port: own }
    }
}

/// Hands on what `passes`, in a thread of its own.
fn carry(from: &mut TcpStream, to: &mut TcpStream, mut passes: impl FnMut(&[u8]) -> bool + Send + 'static) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if passes(&piece[..length]) && to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// What an import of one key epoch, one person and one event says on such a line, and the store as it is seen by another.
async fn imported(words: &'static [&'static str], loss: Loss) -> (Result<(), StoreError>, Bench) {
    let server = Server::on_port(&[]);
    let line = Lossy::to(server.port, words, loss);
    let of = settings(&format!("redis://127.0.0.1:{}", server.port));
    let hasty = RedisSettings {
        url: format!("redis://127.0.0.1:{}", line.port),
        timeout: Duration::from_millis(500),
        ..of.clone()
    };
    let bench = Bench::of(Settings::Redis(of), server);
    let through = Bench::of(Settings::Redis(hasty), ());
    (import_all(&through).await, bench)
}

async fn import_all(bench: &Bench) -> Result<(), StoreError> {
    let created_at = bench.clock.now();
    let records = vec![
        Moved::Epoch(MovedEpoch { id: "0a0b0c0d".to_owned(), created_at, accepted_until: None }),
        Moved::Person(MovedPerson::of(StoredPerson {
            site: "wiki".to_owned(),
            email: alice(),
            generation: 7,
            profile: None,
        })),
        Moved::Audit(MovedEvent::of(AuditEvent {
            at: created_at,
            site: "wiki".to_owned(),
            email: String::new(),
            what: "link.asked".to_owned(),
            request: String::new(),
            client: String::new(),
            detail: String::new(),
        })),
    ];
    let (sender, receiver) = mpsc::channel(2);
    sender.send(Delivery::Records(records)).await.unwrap();
    sender.send(Delivery::Complete).await.unwrap();
    bench.store.import(receiver).await.map(drop)
}

/// Whether everything counts, the log among it.
async fn counts(bench: &Bench) -> (bool, usize) {
    let people = bench.store.snapshot().await.unwrap().people;
    let log = bench.store.audit_log(AuditFilter::default()).await.unwrap();
    (people.iter().any(|person| person.generation == 7), log.len())
}

/// The script in full: its name alone does not count where the server does not know it yet.
const COMMIT: &[&str] = &["\r\nEVAL\r\n", "import.generations", "standing}:version"];
const LOG: &[&str] = &["RENAMENX"];

#[tokio::test]
async fn an_import_whose_last_answer_was_lost_is_called_done_where_it_is() {
    for loss in [Loss::Answer, Loss::Ask] {
        let (said, bench) = imported(COMMIT, loss).await;
        said.unwrap();
        assert_eq!(counts(&bench).await, (true, 1), "{loss:?}");
    }
}

#[tokio::test]
async fn an_import_of_which_nothing_is_heard_any_more_says_so_and_the_next_one_tells() {
    let (said, bench) = imported(COMMIT, Loss::Everything).await;
    let said = said.unwrap_err().to_string();
    assert!(said.contains("it may") && said.contains("import again"), "{said}");
    assert!(counts(&bench).await.0, "here it does");
    let again = import_all(&bench).await.unwrap_err().to_string();
    assert!(again.contains("not empty"), "{again}");
    assert!(counts(&bench).await.0, "and nothing was removed");
}

#[tokio::test]
async fn an_import_counts_even_where_its_log_is_late_and_the_next_sweep_brings_it() {
    let (said, bench) = imported(LOG, Loss::Ask).await;
    said.unwrap();
    assert_eq!(counts(&bench).await, (true, 0));
    bench.store.sweep().await.unwrap();
    assert_eq!(counts(&bench).await, (true, 1));
    bench.store.sweep().await.unwrap();
    assert_eq!(counts(&bench).await, (true, 1), "once");
}

//! Redis that is killed, stopped, full, or not what it should be: every verb ends in time and says so, and works again
//! when Redis does, without a new store.

use std::time::{Duration, Instant};

use super::harness::{Server, settings};
use crate::clock::Timestamp;
use crate::identity::EmailAddress;
use crate::identity::Profile;
use crate::identity::SessionId;
use crate::store::contract::Bench;
use crate::store::{
    LinkFilter, NewTicket, Quota, RedisSettings, SessionFilter, Settings, Store, StoreError, Which,
};

const PATIENCE: Duration = Duration::from_millis(400);

fn hasty(server: &Server) -> Settings {
    let url = format!("redis+unix://{}", server.socket().display());
    Settings::Redis(RedisSettings { timeout: PATIENCE, ..settings(&url) })
}

/// Every verb of these files, its name and what it said.
async fn every_verb(bench: &Bench) -> Vec<(&'static str, Duration, Option<StoreError>)> {
    let (store, hash) = (&bench.store, [7; 32]);
    let alice = EmailAddress::parse("alice@example.com").unwrap();
    let id = SessionId::from_bytes([9; 16]);
    let ticket = NewTicket {
        ticket_hash: hash,
        session: id,
        origin: String::new(),
        nonce_hash: hash,
        return_to: String::new(),
        expires_at: bench.in_minutes(1),
    };
    let mut said = Vec::new();
    macro_rules! say {
        ($($verb:ident($($value:expr),*);)*) => {
            $(
                let began = Instant::now();
                let error = store.$verb($($value),*).await.err();
                said.push((stringify!($verb), began.elapsed(), error));
            )*
        };
    }
    say! {
        put_link(bench.link(1), Some(bench.letter("letter-1")));
        live_code("wiki", hash, &alice);
        peek_link(hash);
        redeem(hash, bench.redeemer(1));
        redeem_code("wiki", hash, hash, bench.redeemer(1));
        resume(hash, id);
        try_address(hash, &alice);
        wrong_address(hash);
        again_once(hash);
        list_links(LinkFilter::default());
        revoke_links(Which::Ids(vec!["link-1".into()]));
        revoke_links(Which::All(None));
        asked("wiki", hash);
        list_sessions(SessionFilter::default());
        session(id);
        touch_session(id, bench.in_minutes(1), bench.in_minutes(1));
        revoke_sessions(Which::Ids(vec![id.to_string()]));
        revoke_sessions(Which::All(None));
        raise_generation("wiki", &alice);
        put_ticket(ticket);
        take_ticket(hash, hash, "");
        put_user("wiki", Profile::bare(alice.clone()));
        remove_user("wiki", &alice);
        list_users(None);
        rotate_keys(false, bench.in_minutes(1));
        snapshot();
        version();
    }
    said
}

async fn all_are_away(bench: &Bench) {
    for (verb, took, error) in every_verb(bench).await {
        assert!(matches!(error, Some(StoreError::Away(_))), "{verb}: {error:?}");
        assert!(took < PATIENCE + Duration::from_millis(300), "{verb} took {took:?}");
    }
}

async fn all_work(bench: &Bench) {
    for (verb, _, error) in every_verb(bench).await {
        assert!(error.is_none(), "{verb}: {error:?}");
    }
}

#[tokio::test]
async fn while_redis_is_killed_every_verb_says_so_in_time_and_works_after_it_is_back() {
    let mut server = Server::start();
    let bench = Bench::of(hasty(&server), ());
    all_work(&bench).await;
    server.signal("KILL");
    all_are_away(&bench).await;
    server.start_again();
    all_work(&bench).await;
}

#[tokio::test]
async fn while_redis_is_stopped_every_verb_says_so_in_time_and_works_after_it_goes_on() {
    let mut server = Server::start();
    let bench = Bench::of(hasty(&server), ());
    all_work(&bench).await;
    server.signal("STOP");
    all_are_away(&bench).await;
    server.signal("CONT");
    let began = Instant::now();
    // What it was asked while it stood still, it answers first.
    while bench.store.version().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not come back");
    }
    // A link that was begun meanwhile may be there or not; the others are as before.
    bench.store.put_link(bench.link(2), None).await.unwrap();
    assert!(bench.store.peek_link([2; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_opens_while_redis_is_away_and_works_once_it_is_there() {
    let mut server = Server::start();
    server.signal("KILL");
    let bench = Bench::of(hasty(&server), ());
    assert!(matches!(bench.store.snapshot().await, Err(StoreError::Away(_))));
    server.start_again();
    assert_eq!(bench.store.snapshot().await.unwrap().epochs.len(), 1);
}

#[tokio::test]
async fn a_full_memory_refuses_what_is_new_with_the_cure_and_takes_it_when_there_is_room() {
    let server = Server::with(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let bench = Bench::of(hasty(&server), ());
    let refused = bench.store.put_link(bench.link(1), None).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Away(why) if why.contains("maxmemory")), "{refused}");
    assert!(bench.store.list_links(LinkFilter::default()).await.unwrap().is_empty(), "reading goes on");
    // Whether anybody is counted at all cannot be told from what a full memory refuses.
    for count in [0, 1] {
        let refused =
            bench.store.spend("bucket", Quota { count, per: Duration::from_mins(1) }).await.unwrap_err();
        assert!(refused.to_string().contains("maxmemory"), "{count}: {refused}");
    }
    let room = std::process::Command::new("redis-cli")
        .args(["-s", &server.socket().display().to_string(), "config", "set", "maxmemory", "0"])
        .output()
        .unwrap();
    assert!(room.status.success());
    bench.store.put_link(bench.link(1), None).await.unwrap();
}

#[tokio::test]
async fn an_emptied_redis_begins_another_epoch_and_counts_on_from_where_none_counted() {
    let server = Server::start();
    let bench = Bench::of(server.settings(), ());
    let before = bench.store.snapshot().await.unwrap();
    let socket = server.socket().display().to_string();
    std::process::Command::new("redis-cli").args(["-s", &socket, "flushall"]).output().unwrap();
    assert_ne!(bench.store.version().await.unwrap(), before.version);
    let after = bench.store.snapshot().await.unwrap();
    assert_ne!(after.epochs, before.epochs);
    assert!(after.version > before.version);
}

#[tokio::test]
async fn what_is_somebody_elses_is_said_and_left_alone() {
    let server = Server::start();
    let bench = Bench::of(server.settings(), ());
    let socket = server.socket().display().to_string();
    let key = "linkgate:{standing}:version";
    std::process::Command::new("redis-cli").args(["-s", &socket, "set", key, "theirs"]).output().unwrap();
    assert!(matches!(bench.store.version().await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_when_the_store_is_opened() {
    let clock = crate::clock::Clock::manual(Timestamp::from_seconds(1));
    let open = |settings: RedisSettings| {
        Store::open(&Settings::Redis(settings), &clock, &crate::random::Random::system()).unwrap_err()
    };
    let good = settings("redis://localhost");
    for (settings, said) in [
        (settings("redis://a:b@localhost"), "password_file"),
        (RedisSettings { prefix: "a{b}".into(), ..good.clone() }, "braces"),
        (
            RedisSettings { ca: Some("/does/not/exist.pem".into()), ..settings("rediss://localhost") },
            "exist.pem",
        ),
        (RedisSettings { ca: Some("/dev/null".into()), ..good }, "rediss://"),
    ] {
        let error = open(settings).to_string();
        assert!(error.contains(said), "{error}");
    }
}

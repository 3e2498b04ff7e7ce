//! What has changed is told as such, and who follows it knows what those know who read everything.

use super::harness::{Server, cli, settings};
use crate::identity::Change;
use crate::identity::KeyEpoch;
use crate::identity::Profile;
use crate::identity::Standing;
use crate::identity::StoredPerson;
use crate::identity::Unsaid;
use crate::random::Random;
use crate::store::contract::{Bench, alice, bob, session_id};
use crate::store::{News, Settings, Store, Which};

const NOTES: &str = "linkgate:{standing}:version:notes";

fn bench() -> (u16, Bench) {
    let server = Server::on_port(&[]);
    let (port, of) = (server.port, settings(&format!("redis://127.0.0.1:{}", server.port)));
    (port, Bench::of(Settings::Redis(of), server))
}

async fn told(store: &Store, seen: i64) -> (i64, Change) {
    match store.news(seen).await.unwrap() {
        News::Told { version, change } => (version, change),
        other => panic!("{other:?} instead of what has changed"),
    }
}

fn person(generation: u64, profile: Option<Profile>) -> StoredPerson {
    StoredPerson { site: "wiki".to_owned(), email: alice(), generation, profile }
}

#[tokio::test]
async fn what_has_changed_is_told_and_nobody_reads_all_that_ever_ended() {
    let (port, bench) = bench();
    let other = bench.another();
    let scans = || -> Vec<String> {
        let stats = cli(port, &["info", "commandstats"]);
        let scans = ["cmdstat_zscan:", "cmdstat_hscan:"];
        stats
            .lines()
            .filter(|line| scans.iter().any(|scan| line.starts_with(scan)))
            .map(str::to_owned)
            .collect()
    };
    let (one, two) = (bench.signed_in(1).await, bench.signed_in(2).await);
    let seen = bench.store.snapshot().await.unwrap().version;
    assert_eq!(bench.store.news(seen).await.unwrap(), News::None);
    let end = bench.in_minutes(30 * 24 * 60);
    for id in [one, two] {
        other.revoke_sessions(Which::Ids(vec![id.to_string()])).await.unwrap();
    }
    let before = scans();
    let (version, change) = told(&bench.store, seen).await;
    assert_eq!(change, Change { ended: vec![(one, end), (two, end)], ..Change::default() });
    assert_eq!(bench.store.news(version).await.unwrap(), News::None);

    // The list of devices is walked by whoever raises; who follows reads one person.
    other.raise_generation("wiki", &alice()).await.unwrap();
    let (raising, walked) = (told(&bench.store, version).await, scans());
    assert_eq!(raising.1, Change { people: vec![person(1, None)], ..Change::default() });
    assert_ne!(walked, before);
    let profile = Profile { id: "1017".to_owned(), ..Profile::bare(alice()) };
    other.put_user("wiki", profile.clone()).await.unwrap();
    other.put_user("wiki", Profile { name: "Alice".to_owned(), ..profile.clone() }).await.unwrap();
    let (version, change) = told(&bench.store, raising.0).await;
    let named = Profile { name: "Alice".to_owned(), ..profile };
    assert_eq!(change, Change { people: vec![person(1, Some(named))], ..Change::default() });
    let epoch = other.rotate_keys(false, end).await.unwrap();
    let unsaid = Unsaid {
        generations: vec![("wiki".to_owned(), alice(), 7)],
        revoked: vec![(session_id(99), end)],
        epochs: Vec::new(),
    };
    other.unite(&unsaid).await.unwrap();
    let (version, change) = told(&bench.store, version).await;
    assert_eq!((change.people[0].generation, change.ended), (7, vec![(session_id(99), end)]));
    assert_eq!(change.epochs.unwrap()[0], epoch);
    assert_eq!(bench.store.news(version).await.unwrap(), News::None);
    assert_eq!(scans(), walked, "nothing was read as a whole");

    // Five hundred at once are told too.
    let revoked = (1_000..1_500).map(|number| (session_id(number), end)).collect();
    other.unite(&Unsaid { revoked, ..Unsaid::default() }).await.unwrap();
    assert_eq!(told(&bench.store, version).await.1.ended.len(), 500);
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_read_as_a_whole() {
    let (port, bench) = bench();
    let other = bench.another();
    let seen = bench.store.snapshot().await.unwrap().version;
    other.raise_generation("wiki", &alice()).await.unwrap();
    told(&bench.store, seen).await;
    assert_eq!(bench.store.news(seen).await.unwrap(), News::Much, "nobody remembers that number");

    // The same number, in another history: a backup was put back, and something else has happened since.
    let seen = bench.store.snapshot().await.unwrap().version;
    cli(port, &["decr", "linkgate:{standing}:version"]);
    cli(port, &["zremrangebyscore", NOTES, &seen.to_string(), "+inf"]);
    other.raise_generation("wiki", &alice()).await.unwrap();
    assert_eq!(bench.store.version().await.unwrap(), seen);
    assert_eq!(bench.store.news(seen).await.unwrap(), News::Much);

    // A note in between was lost.
    let seen = bench.store.snapshot().await.unwrap().version;
    for _ in 0..3 {
        other.raise_generation("wiki", &alice()).await.unwrap();
    }
    cli(port, &["zremrangebyscore", NOTES, &(seen + 2).to_string(), &(seen + 2).to_string()]);
    assert_eq!(bench.store.news(seen).await.unwrap(), News::Much);

    // A note that says nothing, or something that only a later linkgate understands.
    for what in ["", "x1", "p"] {
        let seen = bench.store.snapshot().await.unwrap().version;
        let next = cli(port, &["incr", "linkgate:{standing}:version"]).trim().to_owned();
        cli(port, &["zadd", NOTES, &next, &format!("{next} 1795{what} ")]);
        let news = bench.store.news(seen).await;
        assert!(!matches!(news, Ok(News::Told { .. } | News::None)), "{what}: {news:?}");
        bench.store.snapshot().await.unwrap();
    }

    // More than are noted.
    let seen = bench.store.snapshot().await.unwrap().version;
    let generations = (1..=1_001).map(|number| ("wiki".to_owned(), bob(), number)).collect();
    other.unite(&Unsaid { generations, ..Unsaid::default() }).await.unwrap();
    assert_eq!(bench.store.news(seen).await.unwrap(), News::Much);

    let seen = bench.store.snapshot().await.unwrap().version;
    cli(port, &["flushall"]);
    assert_eq!(bench.store.news(seen).await.unwrap(), News::Much);
}

/// What a session of these is told by either.
fn known(standing: &Standing) -> (Vec<bool>, Vec<u64>, Vec<bool>, Vec<KeyEpoch>) {
    (
        (0..40).map(|number| standing.is_revoked(&session_id(number))).collect(),
        [alice(), bob()].map(|who| standing.person_generation("wiki", &who)).into(),
        [alice(), bob()].map(|who| standing.profile("wiki", &who).is_some()).into(),
        standing.keys_epochs(),
    )
}

#[tokio::test]
async fn who_follows_what_is_told_knows_what_those_know_who_read_everything() {
    let (port, bench) = bench();
    let (other, random) = (bench.another(), Random::seeded(7));
    let (standing, now) = (Standing::new(), bench.clock.now());
    let first = bench.store.snapshot().await.unwrap();
    let mut seen = first.version;
    standing.apply(first, now);
    let (mut all, mut parts) = (0, 0);
    for number in 0..300_u16 {
        let [what, who, more, look] = random.bytes();
        let person = if who % 2 == 0 { alice() } else { bob() };
        match what % 16 {
            0..=4 => {
                let id = session_id(u16::from(more % 40));
                other.refuse_session(id, bench.in_minutes(60)).await.map(drop).unwrap();
            }
            5..=7 => other.raise_generation("wiki", &person).await.map(drop).unwrap(),
            8..=10 => {
                let profile = Profile { disabled: more % 3 == 0, ..Profile::bare(person) };
                other.put_user("wiki", profile).await.unwrap();
            }
            11 | 12 => other.remove_user("wiki", &person).await.map(drop).unwrap(),
            13 => other.rotate_keys(more % 2 == 0, bench.in_minutes(60)).await.map(drop).unwrap(),
            14 => drop(cli(port, &["zremrangebyrank", NOTES, "-1", "-1"])),
            // Another history that has come just as far as was seen.
            _ if other.version().await.unwrap() == seen => {
                cli(port, &["decr", "linkgate:{standing}:version"]);
                cli(port, &["zremrangebyrank", NOTES, "-1", "-1"]);
                other.raise_generation("wiki", &person).await.unwrap();
            }
            _ => {}
        }
        if look % 3 > 0 {
            continue;
        }
        match bench.store.news(seen).await.unwrap() {
            News::None => standing.confirm(now),
            News::Told { version, change } => {
                standing.change(change, now);
                seen = version;
                parts += 1;
            }
            News::Much => {
                let snapshot = bench.store.snapshot().await.unwrap();
                seen = snapshot.version;
                standing.apply(snapshot, now);
                all += 1;
            }
        }
        let whole = Standing::new();
        whole.apply(other.snapshot().await.unwrap(), now);
        assert_eq!(known(&standing), known(&whole), "after {number} changes");
        assert!(standing.unsaid(99).is_empty(), "after {number} changes: {:?}", standing.unsaid(99));
    }
    assert!(all > 5 && parts > 20, "{all} times everything, {parts} times what had changed");
}
